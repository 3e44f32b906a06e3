/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets for tests: a builder, a verifier and a sink that keeps what came out.
 *
 * Everything here is written apart from the product's own wire code, so that the two can contradict each other:
 * sums are taken over the whole packet, never patched. Addresses, ports and numbers are in host byte order.
 */
#ifndef CULVERT_TESTS_PACKETS_H
#define CULVERT_TESTS_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <culvert/engine.h>
#include <culvert/packet.h>
#include <culvert/views.h>

/* engine_set_outside() of numbers. */
static inline uint32_t packets_set_outside(struct engine *engine, const uint32_t *addresses, uint32_t count,
					   uint64_t now_ms)
{
	struct address typed[ADDRESSES_MAX];

	for (uint32_t i = 0; i < count && i < ADDRESSES_MAX; i++)
		typed[i] = address_of(addresses[i]);
	return engine_set_outside(engine, typed, count, now_ms);
}

enum { PACKETS_CAPACITY = PACKET_LENGTH_MAX + 1 };

enum {
	FLAG_FIN = 1,
	FLAG_SYN = 2,
	FLAG_RST = 4,
	FLAG_PSH = 8,
	FLAG_ACK = 16,
	FLAG_URG = 32,
	FLAG_ECE = 64,
	FLAG_CWR = 128
};

enum {
	PROTO_ICMP = 1,
	PROTO_IPIP = 4,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_GRE = 47,
	PROTO_ESP = 50,
	PROTO_AH = 51,
	PROTO_L2TP = 115,
	PROTO_SCTP = 132
};

/* A packet with its memory. Copy it only with packets_copy(): packet.data points into bytes. */
struct test_packet {
	struct packet packet;
	uint8_t bytes[PACKETS_CAPACITY];
};

/* What to build; fields that are 0 take a sensible value where 0 makes no sense (ttl 64, TCP window 64240). */
struct packet_spec {
	uint8_t protocol;
	uint32_t source, destination;
	uint8_t tos, ttl;
	bool ttl_zero; /* really 0 */
	uint16_t id;
	bool df, mf;
	uint16_t fragment_offset; /* bytes */
	const uint8_t *ip_options;
	uint8_t ip_options_length; /* a multiple of 4 */

	uint16_t source_port, destination_port; /* ICMP queries: the identifier is source_port */
	uint32_t sequence, acknowledge;         /* ICMP: low half of sequence; GRE/ESP: sequence is the second word */
	uint8_t flags;
	uint16_t window;
	const uint8_t *tcp_options;
	uint8_t tcp_options_length; /* a multiple of 4 */
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_rest; /* errors: the second word; queries take identifier and sequence instead */
	uint32_t spi;
	bool enhanced;    /* GRE of a PPTP call */
	uint16_t call_id; /* of it */

	const uint8_t *payload; /* NULL: a pattern */
	uint32_t payload_length;
	bool udp_no_checksum;
	bool partial;      /* leave the pseudo-header sum, as a kernel with checksum offload does */
	uint16_t gso_size; /* not 0: a super-packet (TCP or UDP); implies partial */
};

/* Ones' complement sum of bytes plus initial, folded to 16 bits, not complemented. */
uint16_t packets_sum(const uint8_t *bytes, size_t length, uint32_t initial);
/* The pseudo-header's sum, folded, not complemented. length is that of the transport header and data. */
uint16_t packets_pseudo_sum(uint32_t source, uint32_t destination, uint8_t protocol, uint32_t length);

void packets_build(struct test_packet *out, const struct packet_spec *spec);
/* An ICMP error about quoted bytes. */
void packets_build_error(struct test_packet *out, uint32_t source, uint32_t destination, uint8_t type, uint8_t code,
			 uint32_t rest, const uint8_t *quote, uint32_t quote_length);
/* The piece [offset, offset + length) of the payload of a whole packet without offloads; offset a multiple of 8. */
void packets_build_fragment(struct test_packet *out, const struct test_packet *whole, uint32_t offset, uint32_t length);
void packets_copy(struct test_packet *out, const struct packet *packet);
/* Writes a right header checksum again. */
void packets_fix_ip_checksum(uint8_t *ip);
/* Writes right transport checksums again (whole packets; ICMP errors: the outer sum only), if the packet is long
 * enough. */
void packets_fix_transport_checksum(struct packet *packet);

/* NULL, or what is wrong with an output packet: lengths, header checksum and, if the packet is not a fragment, the
 * transport checksum (full or partial). A transport checksum of 0 in UDP counts as right. */
const char *packets_verify(const struct packet *packet);
/* The header checks of packets_verify() only. */
const char *packets_verify_ip(const struct packet *packet);

/* Fields of a built or emitted packet. */
static inline uint32_t packets_ihl(const struct packet *packet)
{
	return (uint32_t)(packet_get8(packet, 0) & 15) * 4;
}
static inline uint32_t packets_source(const struct packet *packet)
{
	return packet_get32(packet, 12);
}
static inline uint32_t packets_destination(const struct packet *packet)
{
	return packet_get32(packet, 16);
}
static inline uint16_t packets_source_port(const struct packet *packet)
{
	return packet_get16(packet, packets_ihl(packet));
}
static inline uint16_t packets_destination_port(const struct packet *packet)
{
	return packet_get16(packet, packets_ihl(packet) + 2);
}
static inline uint16_t packets_icmp_id(const struct packet *packet)
{
	return packet_get16(packet, packets_ihl(packet) + 4);
}

/* What came out of an engine, in order. */
struct emission {
	enum side from, to;
	enum origin origin;
	struct packet packet; /* its bytes are our copy */
};

struct emissions {
	struct emission *item;
	uint32_t count, capacity;
	uint8_t *memory; /* one block for all copies */
	size_t used, size;
};

void emissions_init(struct emissions *emissions);
void emissions_clear(struct emissions *emissions);
void emissions_free(struct emissions *emissions);
/* For engine_sink.emit; context is the struct emissions. */
void emissions_emit(void *context, enum side from, enum side to, struct packet *packet, enum origin origin);

/* NULL, or the side for which received = forwarded + consumed + held + dropped does not hold. */
const char *packets_check_conservation(const struct engine_counters *counters);

/* A small, fast, seeded generator (xorshift64*), enough for tests. */
struct test_random {
	uint64_t state;
};
static inline struct test_random test_random_seed(uint64_t seed)
{
	seed = (seed + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
	seed ^= seed >> 29;
	return (struct test_random){seed ? seed : 1};
}
static inline uint32_t test_random_next(struct test_random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (uint32_t)((r->state * 0x2545f4914f6cdd1du) >> 32);
}
/* 0 to below - 1. */
static inline uint32_t test_random_below(struct test_random *r, uint32_t below)
{
	return (uint32_t)(((uint64_t)test_random_next(r) * below) >> 32);
}
static inline bool test_random_one_in(struct test_random *r, uint32_t n)
{
	return test_random_below(r, n) == 0;
}

#endif
