/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The internet checksum (RFC 1071) and its incremental update (RFC 1624).
 *
 * A change is carried as a delta: the ones' complement sum of every removed word, complemented, and every added
 * word. One delta patches any number of sums that cover the same words. A complete checksum is patched through its
 * complement; a partial one (the device will finish it) holds a plain sum and is patched without complementing.
 */
#ifndef CULVERT_WIRE_CHECKSUM_H
#define CULVERT_WIRE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include <culvert/types.h>

/* Adds count bytes to a running sum; the first byte counts as the high half of a word. Not folded. */
uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t count);

static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The delta of one 16-bit word that changes; add deltas up. */
static inline uint32_t checksum_delta16(uint16_t before, uint16_t after)
{
	return (uint32_t)(uint16_t)~before + after;
}

static inline uint32_t checksum_delta32(uint32_t before, uint32_t after)
{
	return checksum_delta16((uint16_t)(before >> 16), (uint16_t)(after >> 16)) +
	       checksum_delta16((uint16_t)before, (uint16_t)after);
}

static inline uint32_t checksum_delta_address(struct address before, struct address after)
{
	return checksum_delta32(before.v4, after.v4);
}

/* The delta of the same change one byte further on: words that start at an odd offset (RFC 1071 section 2 (B)). */
static inline uint32_t checksum_swap(uint32_t delta)
{
	uint16_t folded = checksum_fold(delta);
	return (uint32_t)(uint16_t)(folded << 8 | folded >> 8);
}

/* A complete checksum after the delta (RFC 1624 equation 3). */
static inline uint16_t checksum_patch(uint16_t checksum, uint32_t delta)
{
	return (uint16_t)~checksum_fold((uint64_t)(uint16_t)~checksum + delta);
}

/* A partial checksum (a plain sum) after the delta. */
static inline uint16_t checksum_patch_partial(uint16_t sum, uint32_t delta)
{
	return checksum_fold((uint64_t)sum + delta);
}

/* The sum of the IPv4 pseudo-header (RFC 793, RFC 768); length is that of the transport header and data. */
static inline uint64_t checksum_pseudo(struct address source, struct address destination, uint8_t protocol,
				       uint32_t length)
{
	return (uint64_t)(source.v4 >> 16) + (source.v4 & 0xffff) + (destination.v4 >> 16) + (destination.v4 & 0xffff) +
	       protocol + length;
}

#endif
