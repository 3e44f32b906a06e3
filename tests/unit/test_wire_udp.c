/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing two bytes of a UDP payload: the checksum is that of the whole new datagram, taken in full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "packets.h"
#include "wire/transport.h"

enum { UDP_AT = 20, PAYLOAD_AT = 28, CHECKSUM_AT = 26, PAYLOAD = 24 };

static struct test_packet packet, fresh;
static uint8_t payload[PAYLOAD];

/* The expected datagram, made anew from a changed payload. */
static void build(struct test_packet *out, bool no_checksum, bool partial)
{
	packets_build(out, &(struct packet_spec){.protocol = PROTO_UDP,
						 .source = 0x0a000002,
						 .source_port = 1701,
						 .destination = 0xcb007101,
						 .destination_port = 1701,
						 .payload = payload,
						 .payload_length = PAYLOAD,
						 .udp_no_checksum = no_checksum,
						 .partial = partial});
}

static void check_patch(uint32_t at, uint16_t value, bool no_checksum, bool partial)
{
	build(&packet, no_checksum, partial);
	udp_patch16(&packet.packet, UDP_AT, PAYLOAD_AT + at, value);
	uint8_t before[2] = {payload[at], payload[at + 1]};
	payload[at] = (uint8_t)(value >> 8);
	payload[at + 1] = (uint8_t)value;
	build(&fresh, no_checksum, partial);
	memcpy(payload + at, before, 2);
	if (packet.packet.length != fresh.packet.length ||
	    memcmp(packet.bytes, fresh.bytes, fresh.packet.length) != 0 || packets_verify(&packet.packet))
		fail_msg("%u -> %04x, %s: checksum %04x, not %04x", at, value,
			 no_checksum ? "none"
			 : partial   ? "partial"
				     : "full",
			 packet_get16(&packet.packet, CHECKSUM_AT), packet_get16(&fresh.packet, CHECKSUM_AT));
}

static void every_place_takes_every_kind_of_value(void **state)
{
	static const uint16_t values[] = {0, 0xffff, 1, 0x0100, 0x1234, 0xfffe, 0x7fff, 0x8000};

	(void)state;
	for (uint32_t fill = 0; fill < 3; fill++) {
		for (uint32_t i = 0; i < PAYLOAD; i++)
			payload[i] = fill == 0 ? 0 : fill == 1 ? 0xff : (uint8_t)(i * 37 + 11);
		for (uint32_t at = 0; at + 2 <= PAYLOAD; at++)
			for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
				for (int kind = 0; kind < 3; kind++)
					check_patch(at, values[v], kind == 1, kind == 2);
	}
}

/* One of these values makes the sum 0, which is written as 0xffff; one is the payload's own. */
static void every_value_is_patched_right(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PAYLOAD; i++)
		payload[i] = (uint8_t)(i * 91 + 3);
	for (uint32_t value = 0; value < 65536; value++) {
		check_patch(8, (uint16_t)value, false, false);
		check_patch(11, (uint16_t)value, false, false);
	}
}

static void nothing_outside_the_payload_is_touched(void **state)
{
	(void)state;
	build(&fresh, false, false);
	for (uint32_t at = 0; at < 80; at++) {
		build(&packet, false, false);
		udp_patch16(&packet.packet, UDP_AT, at, 0x4242);
		bool inside = at >= PAYLOAD_AT && at + 2 <= PAYLOAD_AT + PAYLOAD;
		assert_int_equal(memcmp(packet.bytes, fresh.bytes, 80) != 0, inside);
	}
	static const uint32_t wild[] = {UINT32_MAX, UINT32_MAX - 1, UINT32_MAX - 7, 0x80000000, 65535};
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		build(&packet, false, false);
		udp_patch16(&packet.packet, UDP_AT, wild[i], 0x4242);
		udp_patch16(&packet.packet, wild[i], 30, 0x4242);
		udp_patch16(&packet.packet, wild[i], wild[i], 0x4242);
		assert_memory_equal(packet.bytes, fresh.bytes, 80);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_place_takes_every_kind_of_value),
		cmocka_unit_test(every_value_is_patched_right),
		cmocka_unit_test(nothing_outside_the_payload_is_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
