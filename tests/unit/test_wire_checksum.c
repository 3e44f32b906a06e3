/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The incremental checksum update against the full sum, for every 16-bit change (RFC 3022 section 4.1, RFC 1624).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "packets.h"
#include "wire/checksum.h"

static void put(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Words before the change are 0, ffff and some in between; every word after it, every neighbour's sum. */
static void every_change_patches_like_the_full_sum(void **state)
{
	static const uint16_t before[] = {0x0000, 0xffff, 0x0001, 0xfffe, 0x1234, 0x8000, 0x7fff, 0xabcd};
	static const uint16_t other[] = {0x0000, 0xffff, 0x0001, 0x5555};
	uint8_t bytes[8] = {0x45, 0, 0, 0, 0, 0, 0, 1};

	(void)state;
	for (size_t b = 0; b < 8; b++)
		for (size_t o = 0; o < 4; o++)
			for (uint32_t after = 0; after < 65536; after++) {
				put(bytes + 2, before[b]);
				put(bytes + 4, other[o]);
				uint16_t sum = (uint16_t)~packets_sum(bytes, sizeof(bytes), 0);
				uint16_t patched = checksum_patch(sum, checksum_delta16(before[b], (uint16_t)after));
				put(bytes + 2, (uint16_t)after);
				uint16_t want = (uint16_t)~packets_sum(bytes, sizeof(bytes), 0);
				if (patched != want)
					fail_msg("%04x -> %04x beside %04x: %04x", before[b], after, other[o], patched);
			}
}

static void every_checksum_value_is_patched_right(void **state)
{
	uint8_t bytes[8] = {0x45, 0, 0, 0, 0, 0, 0, 0};

	(void)state;
	for (uint32_t fill = 0; fill < 65536; fill++) {
		put(bytes + 2, 0x0a00);
		put(bytes + 4, (uint16_t)fill);
		uint16_t sum = (uint16_t)~packets_sum(bytes, sizeof(bytes), 0);
		uint16_t patched = checksum_patch(sum, checksum_delta16(0x0a00, 0xc633));
		put(bytes + 2, 0xc633);
		uint16_t want = (uint16_t)~packets_sum(bytes, sizeof(bytes), 0);
		if (patched != want)
			fail_msg("fill %04x: %04x", fill, patched);
	}
}

static void partial_sums_are_not_complemented(void **state)
{
	(void)state;
	for (uint32_t after = 0; after < 65536; after++) {
		uint32_t new_source = 0xc6330000 | after;
		uint16_t sum = packets_pseudo_sum(0x0a000002, 0xcb007101, PROTO_TCP, 40);
		uint16_t patched = checksum_patch_partial(sum, checksum_delta32(0x0a000002, new_source));
		uint16_t want = packets_pseudo_sum(new_source, 0xcb007101, PROTO_TCP, 40);
		if (patched % 65535 != want % 65535)
			fail_msg("%04x: %04x, not %04x", after, patched, want);
	}
}

static void sums_agree_at_every_length_and_alignment(void **state)
{
	static uint8_t bytes[4200];
	struct test_random r = test_random_seed(5);

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i < 2100 ? 0xff : test_random_next(&r));
	for (size_t start = 0; start < 9; start++)
		for (size_t length = 0; length < 4100; length += length < 200 ? 1 : 97)
			assert_int_equal(checksum_fold(checksum_add(0, bytes + start, length)) % 65535,
					 packets_sum(bytes + start, length, 0) % 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_change_patches_like_the_full_sum),
		cmocka_unit_test(every_checksum_value_is_patched_right),
		cmocka_unit_test(partial_sums_are_not_complemented),
		cmocka_unit_test(sums_agree_at_every_length_and_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
