/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments (RFC 4787 REQ-14, docs/nat-behaviour.md section 6): every order of a datagram in both directions, attacks,
 * limits, timers.
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"

enum { PIECES = 4, PIECE = 248 };

static void send_piece(struct rig *rig, enum side from, const struct test_packet *whole, uint32_t at, uint32_t length)
{
	packets_build_fragment(&rig->packet, whole, at, length);
	rig_send_packet(rig, from, &rig->packet.packet);
}

/* A datagram of PIECES pieces; outbound from L1:5000, inbound to its mapping. */
static void build_datagram(struct test_packet *whole, enum side from, uint8_t protocol, uint16_t id,
			   uint16_t outside_port)
{
	bool out = from == SIDE_LAN;
	uint32_t header = protocol == PROTO_TCP ? 20 : 8;

	packets_build(whole, &(struct packet_spec){
				     .protocol = protocol,
				     .source = out ? L1 : W1,
				     .source_port = out || protocol == PROTO_ICMP ? (out ? 5000 : outside_port) : 7,
				     .destination = out ? W1 : O1,
				     .destination_port = out ? 7 : outside_port,
				     .icmp_type = out ? 8 : 0,
				     .flags = FLAG_ACK,
				     .spi = 9,
				     .id = id,
				     .payload_length = PIECES * PIECE - header - 5});
}

/* Puts what came out together again and compares it with the datagram, translated by hand. */
static void expect_whole(struct test_packet *got, const struct test_packet *whole, enum side from,
			 uint16_t outside_port)
{
	struct test_packet *want = malloc(sizeof(*want));

	assert_non_null(want);
	packets_copy(want, &whole->packet);
	packet_put32(&want->packet, from == SIDE_LAN ? 12 : 16, from == SIDE_LAN ? O1 : L1);
	uint8_t protocol = packet_get8(&want->packet, 9);
	if (protocol == PROTO_ICMP)
		packet_put16(&want->packet, 24, from == SIDE_LAN ? outside_port : 5000);
	else if (protocol != PROTO_ESP)
		packet_put16(&want->packet, from == SIDE_LAN ? 20 : 22, from == SIDE_LAN ? outside_port : 5000);
	packets_fix_transport_checksum(&want->packet);
	memcpy(want->bytes + 4, got->bytes + 4, 2);
	memcpy(got->bytes + 2, want->bytes + 2, 2); /* the length and flags were those of the first piece */
	memcpy(got->bytes + 6, want->bytes + 6, 2);
	packets_fix_ip_checksum(got->bytes);
	packets_fix_ip_checksum(want->bytes);
	assert_int_equal(got->packet.length, want->packet.length);
	assert_memory_equal(got->bytes, want->bytes, want->packet.length);
	free(want);
}

/* Takes what came out of the rig into a reassembly. */
static void gather(struct rig *rig, struct test_packet *got, enum side to, uint16_t *id, uint32_t *count)
{
	for (uint32_t i = 0; i < rig->out.count; i++) {
		const struct packet *p = &rig->out.item[i].packet;
		uint32_t at = (packet_get16(p, 6) & 0x1fffu) * 8;
		assert_int_equal(rig->out.item[i].to, to);
		if (*count)
			assert_int_equal(packet_get16(p, 4), *id); /* all fragments have one identification */
		*id = packet_get16(p, 4);
		(*count)++;
		memcpy(got->bytes + 20 + at, p->data + 20, p->length - 20);
		if (!at) {
			memcpy(got->bytes, p->data, 20);
			got->packet.data = got->bytes;
		}
		if (!(packet_get16(p, 6) & 0x2000))
			got->packet.length = at + p->length;
	}
}

static void every_order_arrives(void **state)
{
	static const uint8_t protocol[] = {PROTO_UDP, PROTO_TCP, PROTO_ICMP, PROTO_ESP};
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole)), *got = malloc(sizeof(*got));

	for (uint32_t n = 0; n < 4 * 2 * 24; n++) {
		enum side from = n / 24 % 2 ? SIDE_WAN : SIDE_LAN;
		uint8_t proto = protocol[n / 48];
		uint32_t order[PIECES] = {0, 1, 2, 3}, code = n % 24, count = 0;
		uint16_t id = 0, outside_port = 0;
		rig_restart(rig);
		/* the mapping, with its port changed */
		for (uint32_t host = L2; host >= L1; host--) {
			struct packet_spec spec = {.protocol = proto,
						   .source = host,
						   .source_port = 5000,
						   .destination = host == L1 ? W1 : W2,
						   .destination_port = 7,
						   .icmp_type = 8,
						   .flags = FLAG_SYN,
						   .spi = 9,
						   .payload_length = 30};
			struct packet *p = rig_send(rig, SIDE_LAN, &spec);
			rig_forwarded(rig, SIDE_WAN);
			outside_port = proto == PROTO_ICMP ? packets_icmp_id(p) : packets_source_port(p);
		}
		for (uint32_t i = PIECES; i > 1; i--) { /* the permutation of this number */
			uint32_t k = code % i, t = order[i - 1];
			code /= i;
			order[i - 1] = order[k];
			order[k] = t;
		}
		build_datagram(whole, from, proto, (uint16_t)(100 + n), outside_port);
		memset(&got->packet, 0, sizeof(got->packet));
		bool first = false;
		for (uint32_t i = 0; i < PIECES; i++) {
			send_piece(rig, from, whole, order[i] * PIECE, PIECE);
			first |= order[i] == 0;
			if (first)
				rig_forwarded(rig, from == SIDE_LAN ? SIDE_WAN : SIDE_LAN);
			else
				rig_held(rig);
			gather(rig, got, from == SIDE_LAN ? SIDE_WAN : SIDE_LAN, &id, &count);
		}
		assert_int_equal(count, PIECES);
		expect_whole(got, whole, from, outside_port);
		assert_int_equal(engine_counters(rig->engine)->held[from], 0);
	}
	free(whole);
	free(got);
}

static void send_last(struct rig *rig, const struct test_packet *whole, uint32_t at)
{
	packets_build_fragment(&rig->packet, whole, at, PIECE);
	rig->packet.bytes[6] &= 0xdf; /* no more fragments */
	packets_fix_ip_checksum(rig->packet.bytes);
	rig_send_packet(rig, SIDE_WAN, &rig->packet.packet);
}

static void overlaps_poison_the_set(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole));

	rig_open_udp(rig, L1, 5000, W1, 7);
	build_datagram(whole, SIDE_WAN, PROTO_UDP, 1, 5000);
	send_piece(rig, SIDE_WAN, whole, 0, PIECE);
	rig_forwarded(rig, SIDE_LAN);
	send_piece(rig, SIDE_WAN, whole, PIECE - 8, PIECE);
	rig_dropped(rig, DROP_FRAGMENT_OVERLAP);
	send_piece(rig, SIDE_WAN, whole, 2 * PIECE, PIECE);
	rig_dropped(rig, DROP_FRAGMENT_OVERLAP);
	/* the same, before the first has come: nothing of it is ever delivered */
	build_datagram(whole, SIDE_WAN, PROTO_UDP, 2, 5000);
	send_piece(rig, SIDE_WAN, whole, PIECE, PIECE);
	rig_held(rig);
	send_piece(rig, SIDE_WAN, whole, PIECE, PIECE - 8);
	rig_dropped(rig, DROP_FRAGMENT_OVERLAP);
	send_piece(rig, SIDE_WAN, whole, 0, PIECE);
	rig_dropped(rig, DROP_FRAGMENT_OVERLAP);
	/* what is held is compared: the same range with other bytes is no copy */
	build_datagram(whole, SIDE_WAN, PROTO_UDP, 3, 5000);
	send_piece(rig, SIDE_WAN, whole, PIECE, PIECE);
	rig_held(rig);
	whole->bytes[20 + 2 * PIECE - 1] ^= 1;
	send_piece(rig, SIDE_WAN, whole, PIECE, PIECE);
	rig_dropped(rig, DROP_FRAGMENT_OVERLAP);
	/* a copy of a piece that now says there is no more */
	build_datagram(whole, SIDE_WAN, PROTO_UDP, 4, 5000);
	send_piece(rig, SIDE_WAN, whole, 0, PIECE);
	rig_forwarded(rig, SIDE_LAN);
	send_piece(rig, SIDE_WAN, whole, PIECE, PIECE);
	rig_forwarded(rig, SIDE_LAN);
	send_last(rig, whole, PIECE);
	rig_dropped(rig, DROP_FRAGMENT_OVERLAP);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_WAN], 0);
	free(whole);
}

/* A datagram has one end, and nothing behind it, in whatever order its pieces come. */
static void the_end_is_the_end(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole));

	rig_open_udp(rig, L1, 5000, W1, 7);
	for (uint16_t i = 0; i < 4; i++) {
		bool is_translated = i % 2 == 0, is_second = i / 2 == 0;

		build_datagram(whole, SIDE_WAN, PROTO_UDP, (uint16_t)(1 + i), 5000);
		if (is_translated)
			send_piece(rig, SIDE_WAN, whole, 0, PIECE);
		if (is_second)
			send_last(rig, whole, 3 * PIECE);
		else
			send_piece(rig, SIDE_WAN, whole, 2 * PIECE, PIECE);
		if (is_translated)
			rig_forwarded(rig, SIDE_LAN);
		else
			rig_held(rig);
		send_last(rig, whole, PIECE);
		rig_dropped(rig, DROP_FRAGMENT_OVERLAP);
		assert_int_equal(engine_counters(rig->engine)->held[SIDE_WAN], 0);
	}
	free(whole);
}

/* A network delivers one piece twice, whichever, at once or at the end: nothing is lost, and nothing is left behind. */
static void copies_harm_nothing(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole)), *got = malloc(sizeof(*got));
	uint16_t id = 0, ident = 1;
	bool as_held = false;

	for (uint32_t n = 0; n < 2 * 2 * PIECES * 2; n++) {
		enum side from = n % 2 ? SIDE_WAN : SIDE_LAN, to = from == SIDE_LAN ? SIDE_WAN : SIDE_LAN;
		bool is_reversed = n / 2 % 2, is_late = n / 4 % 2;
		uint32_t twice = n / 8, count = 0;

		rig_restart(rig);
		uint16_t outside_port = rig_open_udp(rig, L1, 5000, W1, 7);
		build_datagram(whole, from, PROTO_UDP, ident++, outside_port);
		memset(&got->packet, 0, sizeof(got->packet));
		for (uint32_t i = 0; i < PIECES; i++) {
			uint32_t at = is_reversed ? PIECES - 1 - i : i;
			send_piece(rig, from, whole, at * PIECE, PIECE);
			gather(rig, got, to, &id, &count);
			if (at != twice || is_late)
				continue;
			as_held |= engine_counters(rig->engine)->held[from] > 0;
			send_piece(rig, from, whole, at * PIECE, PIECE);
			rig_dropped(rig, DROP_FRAGMENT_DUPLICATE);
		}
		if (is_late) {
			send_piece(rig, from, whole, twice * PIECE, PIECE);
			rig_dropped(rig, DROP_FRAGMENT_DUPLICATE);
		}
		assert_int_equal(count, PIECES);
		expect_whole(got, whole, from, outside_port);
		assert_int_equal(engine_counters(rig->engine)->held[from], 0);
	}
	assert_true(as_held);
	/* A quarter of a second later the identification is that of a new datagram. */
	build_datagram(whole, SIDE_LAN, PROTO_UDP, 1000, 0);
	for (uint32_t i = 0; i < PIECES; i++)
		send_piece(rig, SIDE_LAN, whole, i * PIECE, PIECE);
	rig_wait(rig, 249);
	send_piece(rig, SIDE_LAN, whole, PIECE, PIECE);
	rig_dropped(rig, DROP_FRAGMENT_DUPLICATE);
	rig_wait(rig, 1);
	send_piece(rig, SIDE_LAN, whole, PIECE, PIECE);
	rig_held(rig);
	/* So it is 30 days later, too, when the time of the copies lies in the future as 32 bits have it. */
	rig_wait(rig, 60000);
	rig_wait(rig, UINT64_C(30) * 24 * 3600 * 1000);
	send_piece(rig, SIDE_LAN, whole, PIECE, PIECE);
	rig_held(rig);
	free(whole);
	free(got);
}

/* 64 KiB that came over two paths in turn, one of them slower. */
static void two_paths_are_no_flood(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole));
	uint32_t pieces = 0;

	rig->limits.fragments = 1024;
	rig_restart(rig);
	packets_build(whole, &(struct packet_spec){.protocol = PROTO_UDP,
						   .source = L1,
						   .source_port = 5000,
						   .destination = W1,
						   .destination_port = 7,
						   .id = 6,
						   .payload_length = 65000});
	for (uint32_t start = 0; start < 2; start++)
		for (uint32_t at = start * 552; at < 65008; at += 2 * 552, pieces++) {
			send_piece(rig, SIDE_LAN, whole, at, at + 552 < 65008 ? 552 : 65008 - at);
			rig_forwarded(rig, SIDE_WAN);
		}
	assert_int_equal(pieces, 118);
	free(whole);
}

static void tiny_and_absurd_fragments_are_dropped(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole));

	packets_build(whole, &(struct packet_spec){.protocol = PROTO_TCP,
						   .source = L1,
						   .source_port = 5000,
						   .destination = W1,
						   .destination_port = 80,
						   .flags = FLAG_SYN,
						   .payload_length = 400});
	for (uint32_t first = 8; first < 24; first += 8) {
		send_piece(rig, SIDE_LAN, whole, 0, first);
		rig_dropped(rig, DROP_FRAGMENT_TINY);
	}
	send_piece(rig, SIDE_LAN, whole, 8, 64);
	rig_dropped(rig, DROP_FRAGMENT_TINY);
	/* RFC 3128 is about TCP: what is translated of UDP is in its first 8 bytes, and others have nothing to hide */
	for (int i = 0; i < 2; i++) {
		build_datagram(whole, SIDE_LAN, i ? PROTO_ESP : PROTO_UDP, 8, 0);
		send_piece(rig, SIDE_LAN, whole, 8, PIECE);
		rig_held(rig);
		send_piece(rig, SIDE_LAN, whole, 0, 8);
		assert_int_equal(rig->result.verdict, VERDICT_FORWARDED);
		assert_int_equal(rig->out.count, 2);
		send_piece(rig, SIDE_LAN, whole, 8 + PIECE, PIECES * PIECE - PIECE - 13);
		rig_forwarded(rig, SIDE_WAN);
	}
	build_datagram(whole, SIDE_LAN, PROTO_TCP, 8, 0);
	/* a middle piece that is no multiple of 8 */
	packets_build_fragment(&rig->packet, whole, 64, 61);
	rig_send_packet(rig, SIDE_LAN, &rig->packet.packet);
	rig_dropped(rig, DROP_FRAGMENT_LENGTH);
	/* past 65535 (adv_17) */
	packets_build_fragment(&rig->packet, whole, 64, 64);
	packet_put16(&rig->packet.packet, 6, 8188);
	packets_fix_ip_checksum(rig->packet.bytes);
	rig_send_packet(rig, SIDE_LAN, &rig->packet.packet);
	rig_dropped(rig, DROP_FRAGMENT_LENGTH);
	free(whole);
}

static void held_fragments_end(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole));

	build_datagram(whole, SIDE_LAN, PROTO_UDP, 5, 0);
	send_piece(rig, SIDE_LAN, whole, PIECE, PIECE);
	rig_held(rig);
	rig_wait(rig, 29999);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 1);
	rig_wait(rig, 2001);
	rig_wait(rig, 1000);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	assert_int_equal(engine_counters(rig->engine)->dropped[SIDE_LAN][DROP_FRAGMENT_TIMEOUT], 1);
	/* refused with the first: */
	rig->config.mode[PART_IKE] = MODE_BLOCK;
	rig_configure(rig);
	packets_build(whole, &(struct packet_spec){.protocol = PROTO_UDP,
						   .source = L1,
						   .source_port = 500,
						   .destination = W1,
						   .destination_port = 500,
						   .id = 6,
						   .payload_length = 984});
	send_piece(rig, SIDE_LAN, whole, 2 * PIECE, PIECE);
	rig_held(rig);
	send_piece(rig, SIDE_LAN, whole, 0, PIECE);
	rig_dropped(rig, DROP_IPSEC_BLOCKED);
	send_piece(rig, SIDE_LAN, whole, PIECE, PIECE);
	rig_dropped(rig, DROP_FRAGMENT_REFUSED);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	assert_int_equal(engine_counters(rig->engine)->dropped[SIDE_LAN][DROP_FRAGMENT_REFUSED], 2);
	free(whole);
}

/* RFC 4787 REQ-14a, adv_23: a flood without first fragments fills the store and hurts nobody else. */
static void floods_hurt_nobody(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole));

	rig->limits.fragments = 64;
	rig_restart(rig);
	rig_open_udp(rig, L1, 5000, W1, 7);
	for (uint32_t i = 0; i < 5000; i++) {
		build_datagram(whole, SIDE_WAN, PROTO_UDP, (uint16_t)i, 5000);
		packet_put32(&whole->packet, 12, 0xcb000000 + i);
		packets_fix_ip_checksum(whole->bytes);
		send_piece(rig, SIDE_WAN, whole, PIECE, PIECE);
		if (i % 500 == 0) {
			rig_udp(rig, SIDE_WAN, W1, 7, O1, 5000);
			rig_forwarded(rig, SIDE_LAN);
			rig_open_udp(rig, L1, (uint16_t)(6000 + i), W1, 7);
		}
	}
	/* the newcomer is refused, or an older set makes room */
	assert_true(engine_counters(rig->engine)->dropped[SIDE_WAN][DROP_FRAGMENT_LIMIT] > 4000);
	assert_true(engine_counters(rig->engine)->held[SIDE_WAN] <= 64);
	/* one datagram holds 64 at most */
	rig->limits.fragments = 1024;
	rig_restart(rig);
	packets_build(whole, &(struct packet_spec){.protocol = PROTO_UDP,
						   .source = L1,
						   .source_port = 500,
						   .destination = W1,
						   .destination_port = 77,
						   .id = 6,
						   .payload_length = 8000});
	for (uint32_t i = 1; i <= 70; i++) {
		send_piece(rig, SIDE_LAN, whole, 16 + i * 64, 64);
		if (i <= 64)
			rig_held(rig);
		else
			rig_dropped(rig, DROP_FRAGMENT_LIMIT);
	}
	free(whole);
}

/* RFC 3022 section 6.3, RFC 6864: two hosts with one identification toward one remote stay apart. */
static void equal_identifications_stay_apart(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole));
	uint16_t id[2];

	for (int host = 0; host < 2; host++) {
		build_datagram(whole, SIDE_LAN, PROTO_UDP, 77, 0);
		packet_put32(&whole->packet, 12, host ? L2 : L1);
		packets_fix_ip_checksum(whole->bytes);
		packets_fix_transport_checksum(&whole->packet);
		send_piece(rig, SIDE_LAN, whole, 0, PIECE);
		rig_forwarded(rig, SIDE_WAN);
		id[host] = packet_get16(&rig->out.item[0].packet, 4);
	}
	assert_int_not_equal(id[0], id[1]);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(every_order_arrives),
		rig_test(overlaps_poison_the_set),
		rig_test(the_end_is_the_end),
		rig_test(copies_harm_nothing),
		rig_test(two_paths_are_no_flood),
		rig_test(tiny_and_absurd_fragments_are_dropped),
		rig_test(held_fragments_end),
		rig_test(floods_hurt_nobody),
		rig_test(equal_identifications_stay_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
