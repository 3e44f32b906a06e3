/* SPDX-License-Identifier: BSD-2-Clause */
/* Summing bytes: eight at a time in host order, which RFC 1071 section 2 (B) allows, and swapped once at the end. */
#include "wire/checksum.h"

#include <string.h>

uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t count)
{
	uint64_t words = 0;
	uint64_t carries = 0;

	while (count >= 8) {
		uint64_t word;
		memcpy(&word, bytes, 8);
		words += word;
		carries += words < word;
		bytes += 8;
		count -= 8;
	}
	if (count > 0) {
		uint64_t word = 0;
		memcpy(&word, bytes, count);
		words += word;
		carries += words < word;
	}
	uint64_t folded = (words & 0xffffffff) + (words >> 32) + carries;
	uint16_t host = checksum_fold(folded);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	host = (uint16_t)(host << 8 | host >> 8);
#endif
	return sum + host;
}
