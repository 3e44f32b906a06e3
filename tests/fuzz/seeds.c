/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seeds DIRECTORY: writes the seed inputs of fuzz_packet and fuzz_engine, made by the tests' packet builder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/packets.h"

static void write_seed(const char *directory, const char *target, const char *name, const uint8_t *bytes, size_t size)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s/%s", directory, target, name);
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(bytes, 1, size, f) != size || fclose(f)) {
		perror(path);
		exit(5);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint8_t protocol, type;
	} kind[] = {{"tcp", PROTO_TCP, 0},    {"udp", PROTO_UDP, 0}, {"echo", PROTO_ICMP, 8},
		    {"reply", PROTO_ICMP, 0}, {"gre", PROTO_GRE, 0}, {"esp", PROTO_ESP, 0}};
	static struct test_packet p, e;
	static uint8_t life[2048];
	size_t used = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: seeds DIRECTORY\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++)
		for (int out = 0; out < 2; out++) {
			struct packet_spec spec = {.protocol = kind[i].protocol,
						   .source = out ? 0x0a000002 : 0xcb007101,
						   .source_port = out ? 5000 : 80,
						   .destination = out ? 0xcb007101 : 0xc6336401,
						   .destination_port = out ? 80 : 5000,
						   .flags = FLAG_ACK,
						   .sequence = out ? 101 : 501,
						   .acknowledge = out ? 501 : 101,
						   .icmp_type = kind[i].type,
						   .spi = 7,
						   .payload_length = 24};
			char name[32];
			if (kind[i].protocol == PROTO_ICMP)
				spec.source_port = 5000;
			packets_build(&p, &spec);
			snprintf(name, sizeof(name), "%s-%s", kind[i].name, out ? "out" : "in");
			write_seed(argv[1], "fuzz_packet", name, p.bytes, p.packet.length);
			uint8_t record[4] = {(uint8_t)(4 | !out), (uint8_t)(i % 2 ? 0x82 : 0), (uint8_t)p.packet.length,
					     0};
			memcpy(life + used, record, 4);
			memcpy(life + used + 4, p.bytes, p.packet.length);
			used += 4 + p.packet.length;
			packets_build_error(&e, out ? 0x0a000003 : 0xcb0071fe, out ? 0xcb007101 : 0xc6336401, 3, 4,
					    1400, p.bytes, p.packet.length);
			snprintf(name, sizeof(name), "error-%s-%s", kind[i].name, out ? "out" : "in");
			write_seed(argv[1], "fuzz_packet", name, e.bytes, e.packet.length);
			packets_build_fragment(&e, &p, 0, 24);
			snprintf(name, sizeof(name), "fragment-%s-%s", kind[i].name, out ? "out" : "in");
			write_seed(argv[1], "fuzz_packet", name, e.bytes, e.packet.length);
		}
	write_seed(argv[1], "fuzz_engine", "life", life, used);
	return 0;
}
