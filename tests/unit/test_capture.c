/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of a capture, its filter and limits, and what it says, told by hand what the data path would tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/capture.h"

enum { INSIDE = 0x0a000002, OUTSIDE = 0xc6336402, REMOTE = 0xcb007109, RATE = 1000000 };

static const struct engine_result forwarded = {.verdict = VERDICT_FORWARDED};
static uint32_t woken;

static void wake(void *context)
{
	(void)context;
	woken++;
}

static struct capture *start(const struct capture_filter *filter, uint32_t snap, uint32_t rate)
{
	struct capture *capture = capture_new(filter, snap, rate, NULL, wake, NULL);

	assert_non_null(capture);
	woken = 0;
	return capture;
}

static void came(const struct capture *capture, enum side side, const struct packet *packet)
{
	const struct datapath_tap *tap = capture_tap(capture);

	tap->came(tap->context, side, packet);
}

static void left(const struct capture *capture, enum side side, const struct packet *packet)
{
	const struct datapath_tap *tap = capture_tap(capture);

	tap->left(tap->context, side, packet, DROP_NONE);
}

/* The link did not take it. */
static void refused(const struct capture *capture, enum side side, const struct packet *packet, enum drop link)
{
	const struct datapath_tap *tap = capture_tap(capture);

	tap->left(tap->context, side, packet, link);
}

static void judged(const struct capture *capture, struct engine_result result)
{
	const struct datapath_tap *tap = capture_tap(capture);

	tap->judged(tap->context, result);
}

static struct packet udp(uint8_t bytes[100], uint32_t source, uint16_t source_port, uint32_t destination,
			 uint16_t destination_port)
{
	struct packet packet = {.data = bytes, .length = 100};

	memset(bytes, 'u', 100);
	packet_put8(&packet, 0, 0x45);
	packet_put16(&packet, 6, 0);
	packet_put8(&packet, 9, 17);
	packet_put32(&packet, 12, source);
	packet_put32(&packet, 16, destination);
	packet_put16(&packet, 20, source_port);
	packet_put16(&packet, 22, destination_port);
	return packet;
}

/* A packet from the inside host and the one that left. */
static void pass(const struct capture *capture, uint16_t port, uint16_t outside_port)
{
	uint8_t one[100], other[100];
	struct packet before = udp(one, INSIDE, port, REMOTE, 53),
		      after = udp(other, OUTSIDE, outside_port, REMOTE, 53);

	came(capture, SIDE_LAN, &before);
	left(capture, SIDE_WAN, &after);
	judged(capture, forwarded);
}

static void assert_next(struct capture *capture, enum capture_event event, const char *comment)
{
	const struct capture_packet *packet = capture_fetch(capture);

	assert_non_null(packet);
	assert_int_equal(packet->event, event);
	assert_string_equal(packet->comment, comment);
}

static void a_packet_is_seen_on_both_sides(void **state)
{
	const struct capture_filter filter = {.service = SERVICE_NONE};
	struct capture *capture = start(&filter, 64, RATE);
	const struct capture_packet *packet;

	(void)state;
	pass(capture, 5000, 6000);
	assert_int_equal(woken, 1);
	packet = capture_fetch(capture);
	assert_non_null(packet);
	assert_int_equal(packet->number, 1);
	assert_int_equal(packet->side, SIDE_LAN);
	assert_int_equal(packet->length, 100);
	assert_int_equal(packet->stored, 64);
	assert_int_equal(packet->data[63], 'u');
	assert_int_equal(packet->ends.source_port, 5000);
	assert_string_equal(packet->comment, "forwarded: source 10.0.0.2:5000 -> 198.51.100.2:6000");
	packet = capture_fetch(capture);
	assert_non_null(packet);
	assert_int_equal(packet->number, 1);
	assert_int_equal(packet->event, CAPTURE_LEFT);
	assert_int_equal(packet->side, SIDE_WAN);
	assert_int_equal(packet->data[12], 198);
	assert_null(capture_fetch(capture));
	capture_free(capture);
}

static void every_fate_has_its_words(void **state)
{
	const struct capture_filter filter = {.service = SERVICE_NONE};
	struct capture *capture = start(&filter, 64, RATE);
	uint8_t bytes[100], made[100];
	struct packet packet = udp(bytes, REMOTE, 53, OUTSIDE, 7), answer = udp(made, OUTSIDE, 7, REMOTE, 53);
	char expected[400];

	(void)state;
	came(capture, SIDE_WAN, &packet);
	judged(capture, (struct engine_result){VERDICT_DROPPED, DROP_FILTERED});
	snprintf(expected, sizeof(expected), "dropped filtered: %s", drop_meaning(DROP_FILTERED));
	assert_next(capture, CAPTURE_CAME, expected);

	came(capture, SIDE_WAN, &packet);
	judged(capture, (struct engine_result){VERDICT_CONSUMED, DROP_NONE});
	assert_next(capture, CAPTURE_CAME, "for the router itself");

	came(capture, SIDE_WAN, &packet);
	left(capture, SIDE_WAN, &answer);
	judged(capture, (struct engine_result){VERDICT_CONSUMED, DROP_NONE});
	assert_next(capture, CAPTURE_CAME, "answered by the router");
	assert_next(capture, CAPTURE_LEFT, "made by the router because of packet 3");

	came(capture, SIDE_WAN, &packet);
	judged(capture, (struct engine_result){VERDICT_HELD, DROP_NONE});
	assert_next(capture, CAPTURE_CAME, "held: it waits, and is forwarded or dropped later");
	left(capture, SIDE_LAN, &packet);
	assert_next(capture, CAPTURE_LEFT, "forwarded: it had waited for its turn");

	came(capture, SIDE_WAN, &packet);
	left(capture, SIDE_WAN, &packet);
	judged(capture, forwarded);
	assert_next(capture, CAPTURE_CAME, "forwarded as it is");
	assert_next(capture, CAPTURE_LEFT, "forwarded as it is");

	/* The link was down: it did not leave. */
	came(capture, SIDE_LAN, &answer);
	judged(capture, (struct engine_result){VERDICT_DROPPED, DROP_LINK_DOWN});
	snprintf(expected, sizeof(expected), "dropped link_down: %s", drop_meaning(DROP_LINK_DOWN));
	assert_next(capture, CAPTURE_CAME, expected);
	assert_null(capture_fetch(capture));
	assert_int_equal(capture_take_lost(capture), 0);
	capture_free(capture);
}

/* What the link does not take beside or after the packet it belongs to has a row of its own. */
static void what_a_link_refuses_has_not_left(void **state)
{
	const struct capture_filter filter = {.service = SERVICE_NONE, .drops_only = true};
	struct capture *capture = start(&filter, 64, RATE);
	uint8_t bytes[100], made[100];
	struct packet packet = udp(bytes, INSIDE, 53, REMOTE, 7), piece = udp(made, OUTSIDE, 53, REMOTE, 7);
	char expected[400];

	(void)state;
	came(capture, SIDE_LAN, &packet);
	left(capture, SIDE_WAN, &piece);
	refused(capture, SIDE_WAN, &piece, DROP_LINK_SEND);
	judged(capture, forwarded);
	assert_next(capture, CAPTURE_CAME, "forwarded: source 10.0.0.2:53 -> 198.51.100.2:53");
	assert_next(capture, CAPTURE_LEFT, "forwarded: source 10.0.0.2:53 -> 198.51.100.2:53");
	snprintf(expected, sizeof(expected), "because of packet 1: dropped link_send: %s",
		 drop_meaning(DROP_LINK_SEND));
	assert_next(capture, CAPTURE_DROPPED, expected);

	came(capture, SIDE_LAN, &packet);
	judged(capture, (struct engine_result){VERDICT_HELD, DROP_NONE});
	assert_null(capture_fetch(capture));
	refused(capture, SIDE_WAN, &piece, DROP_LINK_NEXT_HOP);
	snprintf(expected, sizeof(expected), "dropped link_next_hop: %s; it had waited",
		 drop_meaning(DROP_LINK_NEXT_HOP));
	assert_next(capture, CAPTURE_DROPPED, expected);
	assert_null(capture_fetch(capture));
	capture_free(capture);
}

static void only_what_fits_the_filter(void **state)
{
	struct capture_filter none = {.service = SERVICE_NONE};
	const struct {
		struct capture_filter filter;
		uint32_t rows; /* of packets from ports 5000 and 500, which leave from 6000 and 6001 */
	} cases[] = {
		{{.service = SERVICE_NONE, .has_host = true, .host = {INSIDE}}, 4},
		{{.service = SERVICE_NONE, .has_host = true, .host = {INSIDE + 1}}, 0},
		{{.service = SERVICE_NONE, .has_remote = true, .remote = {REMOTE}}, 4},
		{{.service = SERVICE_NONE, .has_remote = true, .remote = {OUTSIDE}}, 0},
		{{.service = SERVICE_NONE, .has_port = true, .port = 6001}, 2},
		{{.service = SERVICE_NONE, .has_port = true, .port = 53, .has_host = true, .host = {INSIDE}}, 4},
		{{.service = SERVICE_NONE, .has_protocol = true, .protocol = 17}, 4},
		{{.service = SERVICE_NONE, .has_protocol = true, .protocol = 6}, 0},
		{{.service = SERVICE_NONE, .drops_only = true}, 0},
		{{.service = SERVICE_IPSEC}, 2},
		{{.service = SERVICE_PPTP}, 0},
		{{.service = SERVICE_L2TP}, 0},
	};

	(void)state;
	capture_free(start(&none, 64, 1)); /* with nothing seen */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct capture *capture = start(&cases[i].filter, 64, RATE);
		uint32_t rows = 0;

		pass(capture, 5000, 6000);
		pass(capture, 500, 6001);
		while (capture_fetch(capture))
			rows++;
		assert_int_equal(rows, cases[i].rows);
		assert_int_equal(capture_take_lost(capture), 0);
		capture_free(capture);
	}
}

static void limits_hold_and_losses_are_counted(void **state)
{
	const struct capture_filter filter = {.service = SERVICE_NONE};
	struct capture *capture = start(&filter, CAPTURE_SNAP_MAX, RATE);
	uint32_t rows;

	(void)state;
	for (uint32_t round = 0; round < 3; round++) { /* the ring comes around */
		for (uint32_t i = 0; i < CAPTURE_RING; i++)
			pass(capture, 5000, (uint16_t)(6000 + i));
		for (rows = 0; capture_fetch(capture); rows++)
			;
		assert_int_equal(rows, CAPTURE_RING);
		assert_int_equal(capture_take_lost(capture), CAPTURE_RING / 2);
		assert_int_equal(capture_take_lost(capture), 0);
	}
	capture_free(capture);
	capture = start(&filter, 64, 1);
	for (uint32_t i = 0; i < 10; i++)
		pass(capture, 5000, 6000);
	for (rows = 0; capture_fetch(capture); rows++)
		;
	/* One a second; a slow machine may need longer than that for ten of them. */
	assert_true(rows >= 2 && rows <= 4);
	assert_int_equal(rows / 2 + capture_take_lost(capture), 10);
	capture_free(capture);
}

/* Packets that are none, in memory of exactly their size. */
static void any_bytes_are_taken(void **state)
{
	const struct capture_filter filter = {.service = SERVICE_NONE};
	struct capture *capture = start(&filter, 64, RATE);
	uint32_t seed = 1;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t bytes[80];
		uint32_t length = i % sizeof(bytes);

		for (uint32_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
		bytes[0] = (uint8_t)(i % 3 ? 0x40 | (bytes[0] & 15) : bytes[0]);
		struct packet packet = {.data = bytes + sizeof(bytes) - length, .length = length};
		came(capture, SIDE_WAN, &packet);
		judged(capture, (struct engine_result){VERDICT_DROPPED, (uint8_t)(1 + i % (DROPS - 1))});
		const struct capture_packet *seen = capture_fetch(capture);
		assert_non_null(seen);
		assert_int_equal(seen->length, length);
		assert_true(strlen(seen->comment) < CAPTURE_COMMENT - 1);
		assert_memory_equal(seen->data, packet.data, seen->stored);
	}
	capture_free(capture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_is_seen_on_both_sides),     cmocka_unit_test(every_fate_has_its_words),
		cmocka_unit_test(what_a_link_refuses_has_not_left),   cmocka_unit_test(only_what_fits_the_filter),
		cmocka_unit_test(limits_hold_and_losses_are_counted), cmocka_unit_test(any_bytes_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
