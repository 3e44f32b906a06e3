/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay LAN-IN WAN-IN LAN-OUT WAN-OUT: two captures through an engine with a fixed seed, merged by time, and what came
 * out as two captures. The captures are classic pcap with link type RAW (101): every record is an IPv4 packet.
 *
 * The setup is always the same: LAN 10.0.0.0/24 (router .1), outside address 198.51.100.1, TCP 8080 forwarded to
 * 10.0.0.2:80, both MTUs 1500. Equal inputs give equal outputs, byte for byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/engine_check.h"
#include "../unit/packets.h"

enum { PCAP_MAGIC = 0xa1b2c3d4, LINKTYPE_RAW = 101, RECORDS = 4096 };

struct record {
	uint64_t microseconds;
	enum side side;
	uint32_t length;
	uint8_t *bytes;
};

struct recording {
	FILE *file[SIDES];
	uint64_t microseconds;
};

static void die(const char *path, const char *what)
{
	fprintf(stderr, "replay: %s: %s\n", path, what);
	exit(5);
}

static uint32_t read32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void write32(FILE *f, uint32_t value)
{
	uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};

	fwrite(bytes, 1, 4, f);
}

static uint32_t read_capture(const char *path, enum side side, struct record *records, uint32_t count)
{
	uint8_t header[24];
	FILE *f = fopen(path, "rb");

	if (!f)
		die(path, "cannot be opened");
	if (fread(header, 1, 24, f) != 24 || read32(header) != PCAP_MAGIC)
		die(path, "is no little-endian pcap file with microseconds");
	if (read32(header + 20) != LINKTYPE_RAW)
		die(path, "has another link type than RAW");
	while (fread(header, 1, 16, f) == 16) {
		struct record *r = &records[count];
		if (count++ == RECORDS)
			die(path, "has too many packets");
		r->side = side;
		r->microseconds = (uint64_t)read32(header) * 1000000 + read32(header + 4);
		r->length = read32(header + 8);
		if (r->length > PACKET_LENGTH_MAX || !(r->bytes = malloc(r->length + 1)))
			die(path, "has a packet that is too long");
		if (fread(r->bytes, 1, r->length, f) != r->length)
			die(path, "is cut short");
	}
	fclose(f);
	return count;
}

static FILE *begin_capture(const char *path)
{
	FILE *f = fopen(path, "wb");

	if (!f)
		die(path, "cannot be written");
	write32(f, PCAP_MAGIC);
	write32(f, 2 | 4u << 16);
	write32(f, 0);
	write32(f, 0);
	write32(f, PACKET_LENGTH_MAX);
	write32(f, LINKTYPE_RAW);
	return f;
}

static void emit(void *context, enum side from, enum side to, struct packet *packet, enum origin origin)
{
	struct recording *out = context;
	FILE *f = out->file[to];

	(void)from;
	(void)origin;
	write32(f, (uint32_t)(out->microseconds / 1000000));
	write32(f, (uint32_t)(out->microseconds % 1000000));
	write32(f, packet->length);
	write32(f, packet->length);
	fwrite(packet->data, 1, packet->length, f);
}

static int by_time(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->microseconds != y->microseconds)
		return x->microseconds < y->microseconds ? -1 : 1;
	return x->side < y->side ? -1 : x->side > y->side;
}

static struct engine *begin_engine(uint64_t now_ms, void **arena_made)
{
	struct engine_limits limits = {.flows = 1024, .hosts = 16, .addresses = 1, .fragments = 64};
	struct engine_config *config = calloc(1, sizeof(*config));
	uint32_t outside = 0xc6336401;
	uint8_t seed[32];
	size_t size = engine_arena_size(&limits);
	void *arena = aligned_alloc(64, (size + 63) / 64 * 64);

	memset(seed, 42, sizeof(seed));
	if (!config || !arena)
		die("engine", "no memory");
	engine_config_default(config);
	config->inside[0].prefix = (struct prefix){{0x0a000000}, 24};
	config->insides = 1;
	config->inside[0].router_address.v4 = 0x0a000001;
	config->hop_address.v4 = 0x0a00fffe;
	config->forward[0] = (struct forward){PROTO_TCP, 8080, 8080, {0x0a000002}, 80};
	config->forwards = 1;
	*arena_made = arena;
	struct engine *engine = engine_new(arena, size, &limits, config, seed, false, now_ms);
	free(config);
	if (!engine)
		die("engine", "did not start");
	packets_set_outside(engine, &outside, 1, now_ms);
	return engine;
}

int main(int argc, char **argv)
{
	static struct record records[RECORDS];
	struct recording out;
	void *arena;

	if (argc != 5) {
		fprintf(stderr, "usage: replay LAN-IN WAN-IN LAN-OUT WAN-OUT\n");
		return 1;
	}
	uint32_t count = read_capture(argv[1], SIDE_LAN, records, 0);
	count = read_capture(argv[2], SIDE_WAN, records, count);
	qsort(records, count, sizeof(records[0]), by_time);
	out.file[SIDE_LAN] = begin_capture(argv[3]);
	out.file[SIDE_WAN] = begin_capture(argv[4]);
	struct engine *engine = begin_engine(count ? records[0].microseconds / 1000 : 0, &arena);
	struct engine_sink sink = {.emit = emit, .context = &out};
	for (uint32_t i = 0; i < count; i++) {
		struct packet packet = {.data = records[i].bytes, .length = records[i].length};
		out.microseconds = records[i].microseconds;
		for (int k = 0; k < 100 && engine_deadline(engine) <= out.microseconds / 1000; k++)
			engine_expire(engine, out.microseconds / 1000, NULL);
		engine_process(engine, records[i].side, &packet, 1, out.microseconds / 1000, &sink, NULL);
		free(records[i].bytes);
	}
	const char *wrong = packets_check_conservation(engine_counters(engine));
	if (!wrong)
		wrong = engine_check(engine);
	if (wrong)
		die("engine", wrong);
	engine_free(engine);
	free(arena);
	for (int side = 0; side < SIDES; side++)
		if (fclose(out.file[side]))
			die(argv[3 + side], "cannot be written");
	return 0;
}
