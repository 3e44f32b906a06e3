/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seeds DIRECTORY: writes the seed inputs of fuzz_packet, fuzz_engine, fuzz_ike, fuzz_l2tp and fuzz_ipsec, made by the
 * tests' builders of packets and messages, or written as records.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/ike_messages.h"
#include "../unit/l2tp_messages.h"
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

/* A datagram behind how much of it is there. */
static void write_message(const char *directory, const char *target, const char *name, const uint8_t *bytes,
			  uint32_t size)
{
	static uint8_t out[2 + IKE_MESSAGE_MAX];

	ike_put(out, size, 2);
	memcpy(out + 2, bytes, size);
	write_seed(directory, target, name, out, 2 + size);
}

static void write_ike(const char *directory)
{
	static const char *const vendors[] = {VID_RFC3947,    VID_DRAFT_02N,   VID_DRAFT_02, VID_DRAFT_03,
					      VID_STRONGSWAN, VID_CISCO_UNITY, VID_DPD,      VID_FRAGMENTATION};
	static struct ike_message m;
	uint64_t spi = UINT64_C(0x0102030405060708);
	uint8_t marked[160] = {0};

	ike_build_sa_init(&m, spi);
	ike_add(&m, V2_VID, "OE-Libreswan-4.10", 17);
	write_message(directory, "fuzz_ike", "sa-init", m.bytes, m.length);
	ike_build_main_mode(&m, spi);
	write_message(directory, "fuzz_ike", "main-mode", m.bytes, m.length);
	ike_begin(&m, 1, 4, 0, spi, 0, 0);
	for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
		ike_add(&m, V1_VID, vendors[i], 16);
	ike_add(&m, V1_NAT_D, NULL, 20);
	ike_add(&m, V1_NAT_OA, NULL, 8);
	ike_add(&m, V1_VID, "CISCOVPN-REV-02", 15);
	write_message(directory, "fuzz_ike", "vendors", m.bytes, m.length);
	ike_begin(&m, 1, 5, 0, spi, spi + 1, 0);
	ike_add_notify(&m, 14, 0);
	write_message(directory, "fuzz_ike", "refusal", m.bytes, m.length);
	ike_begin(&m, 2, 34, IKE_RESPONSE, spi, 0, 0);
	ike_add_notify(&m, 16390, 16);
	ike_add_notify(&m, 17, 2);
	ike_add_notify(&m, 16391, 0);
	write_message(directory, "fuzz_ike", "cookie", m.bytes, m.length);
	ike_begin(&m, 2, 35, IKE_INITIATOR, spi, spi + 1, 1);
	ike_add(&m, V2_SK, NULL, 100);
	write_message(directory, "fuzz_ike", "auth", m.bytes, m.length);
	memcpy(marked + 4, m.bytes, m.length);
	write_message(directory, "fuzz_ike", "marked", marked, 4 + m.length);
	write_message(directory, "fuzz_ike", "esp", (const uint8_t *)"\1\2\3\4\0\0\0\1payload", 15);
	write_message(directory, "fuzz_ike", "keepalive", (const uint8_t *)"\xff", 1);
}

static void write_l2tp(const char *directory)
{
	static struct l2tp_message_bytes m;

	l2tp_build_start(&m, 1, 0, 0x1234, "client");
	write_message(directory, "fuzz_l2tp", "start", m.bytes, m.length);
	l2tp_build_start(&m, 2, 0x1234, 0x4321, "server");
	write_message(directory, "fuzz_l2tp", "start-answer", m.bytes, m.length);
	l2tp_begin(&m, 2, 7, 9, 3, 4);
	l2tp_add16(&m, 0, 14);
	l2tp_add(&m, AVP_M, 0, 1, "\0\3\0\6no money", 12);
	l2tp_add16(&m, 14, 0x2468);
	write_message(directory, "fuzz_l2tp", "disconnect", m.bytes, m.length);
	l2tp_begin(&m, 2, 0, 0, 0, 0);
	l2tp_add16(&m, 0, 1);
	l2tp_add(&m, AVP_M | AVP_H, 0, 7, "hidden", 6);
	l2tp_add(&m, AVP_M | AVP_H, 0, 9, "hidden", 6);
	l2tp_add(&m, 0, 311, 9, "theirs", 6);
	write_message(directory, "fuzz_l2tp", "hidden", m.bytes, m.length);
	l2tp_begin(&m, 2, 7, 0, 1, 1);
	write_message(directory, "fuzz_l2tp", "zlb", m.bytes, m.length);
	l2tp_begin(&m, 3, 0, 0, 0, 0);
	l2tp_add16(&m, 0, 10);
	l2tp_add(&m, 0, 0, 59, NULL, 17);
	l2tp_add32(&m, 61, 0x11223344);
	l2tp_add32(&m, 63, 0x55667788);
	l2tp_add32(&m, 64, 0);
	write_message(directory, "fuzz_l2tp", "version-3", m.bytes, m.length);
	write_message(directory, "fuzz_l2tp", "data", (const uint8_t *)"\0\2\0\7\0\11\377\3\300\41", 10);
	write_message(directory, "fuzz_l2tp", "data-all",
		      (const uint8_t *)"\113\2\0\30\0\7\0\11\0\1\0\2\0\2zz\377\3\300\41abcd", 24);
	write_message(directory, "fuzz_l2tp", "data-version-3", (const uint8_t *)"\0\3\0\0\1\2\3\4ethernet", 16);
}

/* --- lives of IPsec: see fuzz_ipsec.c for what the bytes mean --- */

enum { IPSEC_ESP = 0, IPSEC_IKE = 4, IPSEC_NATT = 8, IPSEC_PIECES = 10, IPSEC_OTHER = 11, IPSEC_TIME = 12 };
enum { WAN = 64, HAIRPIN = 128 };
enum { WINDOW = 16 | 6, LONG = 16 | 10 };
enum { INIT, AUTH, CHILD, QUICK = 5, ANSWER = 0x20 };

#define ESP_OUT(host, spi) IPSEC_ESP, (host), 0, (spi)
#define ESP_IN(spi)        IPSEC_ESP, WAN, 0, (spi)
#define IKE_OUT(host, b)   IPSEC_IKE, (host), 0, (b)
#define IKE_IN(host, b)    IPSEC_IKE, WAN | (host), ANSWER | 4, (b)
#define NATT_OUT(host, b)  IPSEC_NATT, (host), 0, (b)
#define WAIT(how)          IPSEC_TIME, 0, (how), 0
#define CHANGE(a, b)       14, 0, (a), (b)

static const uint8_t pairs[] = {0,          ESP_OUT(0, 1), ESP_OUT(1, 2), ESP_OUT(2, 3), ESP_IN(11), ESP_IN(12),
				ESP_IN(13), ESP_OUT(0, 4), ESP_IN(14),    WAIT(LONG),    ESP_IN(15)};
static const uint8_t windows[] = {8,
				  ESP_OUT(0, 1),
				  ESP_OUT(1, 2),
				  ESP_OUT(1, 2),
				  ESP_OUT(2, 3),
				  ESP_OUT(2, 4),
				  WAIT(WINDOW),
				  WAIT(WINDOW),
				  ESP_OUT(1, 5),
				  WAIT(WINDOW),
				  ESP_IN(11),
				  WAIT(LONG)};
static const uint8_t exchanges[] = {1,
				    IKE_OUT(0, INIT),
				    IKE_OUT(1, INIT),
				    IKE_IN(0, INIT),
				    IKE_IN(1, INIT),
				    IKE_OUT(0, AUTH),
				    IKE_OUT(1, AUTH),
				    IKE_IN(0, AUTH),
				    ESP_IN(11),
				    IKE_OUT(1, 0x80 | CHILD),
				    WAIT(WINDOW),
				    IKE_IN(1, AUTH),
				    ESP_IN(12),
				    IKE_OUT(2, QUICK),
				    WAIT(WINDOW),
				    ESP_OUT(2, 3),
				    ESP_IN(13)};
static const uint8_t sharing[] = {1,
				  IKE_OUT(0, INIT),
				  IKE_IN(0, INIT),
				  IKE_OUT(1, INIT),
				  IKE_OUT(1, INIT),
				  IKE_OUT(1, INIT),
				  IKE_OUT(1, INIT),
				  IPSEC_IKE,
				  WAN | 1,
				  ANSWER,
				  INIT,
				  IKE_OUT(2, INIT),
				  IPSEC_IKE,
				  WAN | 2,
				  ANSWER,
				  INIT,
				  IPSEC_IKE,
				  WAN | 3,
				  ANSWER,
				  CHILD,
				  IPSEC_OTHER,
				  0,
				  3,
				  0,
				  CHANGE(224, 7),
				  IKE_OUT(2, CHILD)};
static const uint8_t traversal[] = {0,
				    IPSEC_IKE,
				    0,
				    1,
				    AUTH,
				    NATT_OUT(0, 7),
				    NATT_OUT(0, 0),
				    IPSEC_NATT,
				    WAN,
				    0,
				    7,
				    IPSEC_IKE,
				    1,
				    65,
				    CHILD,
				    IPSEC_PIECES,
				    0,
				    2,
				    AUTH,
				    IPSEC_PIECES,
				    1,
				    67,
				    3,
				    IPSEC_PIECES,
				    WAN,
				    64,
				    INIT};
static const uint8_t forwards[] = {
	0,          CHANGE(2, 3), ESP_IN(11), IPSEC_IKE,   WAN | 7, 0,    INIT,          IPSEC_IKE,     7,
	0,          INIT,         IPSEC_IKE,  HAIRPIN,     0,       INIT, ESP_OUT(7, 1), ESP_OUT(0, 2), CHANGE(3, 1),
	ESP_IN(12), WAIT(WINDOW), ESP_IN(12), CHANGE(2, 0)};
static const uint8_t changes[] = {8,
				  ESP_OUT(0, 1),
				  ESP_OUT(1, 2),
				  ESP_OUT(1, 2),
				  IKE_OUT(2, CHILD),
				  CHANGE(0, 2 | 8),
				  WAIT(WINDOW),
				  CHANGE(0, 2),
				  ESP_OUT(0, 1),
				  ESP_OUT(1, 2),
				  14,
				  HAIRPIN,
				  96,
				  1,
				  WAIT(WINDOW),
				  ESP_OUT(1, 3),
				  CHANGE(160, 0),
				  ESP_OUT(1, 3),
				  CHANGE(224, 9),
				  ESP_IN(1),
				  CHANGE(226, 9),
				  ESP_IN(11),
				  WAIT(LONG)};

static void write_ipsec(const char *directory)
{
#define WRITE(name) write_seed(directory, "fuzz_ipsec", #name, name, sizeof(name))
	WRITE(pairs);
	WRITE(windows);
	WRITE(exchanges);
	WRITE(sharing);
	WRITE(traversal);
	WRITE(forwards);
	WRITE(changes);
#undef WRITE
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
	write_ike(argv[1]);
	write_l2tp(argv[1]);
	write_ipsec(argv[1]);
	return 0;
}
