/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SipHash-1-3 (Aumasson, Bernstein) of exactly two 64-bit words. Strangers choose the keys of our tables, so the hash
 * is keyed; the same function in counter mode is the engine's random source.
 */
#ifndef CULVERT_BASE_SIPHASH_H
#define CULVERT_BASE_SIPHASH_H

#include <stdint.h>

struct siphash_key {
	uint64_t word[2];
};

static inline uint64_t siphash_rotate(uint64_t value, unsigned by)
{
	return value << by | value >> (64 - by);
}

static inline void siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = siphash_rotate(v[1], 13) ^ v[0];
	v[3] = siphash_rotate(v[3], 16) ^ v[2];
	v[0] = siphash_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = siphash_rotate(v[1], 17) ^ v[2];
	v[3] = siphash_rotate(v[3], 21) ^ v[0];
	v[2] = siphash_rotate(v[2], 32);
}

static inline uint64_t siphash(const struct siphash_key *key, uint64_t a, uint64_t b)
{
	uint64_t v[4] = {
		key->word[0] ^ UINT64_C(0x736f6d6570736575),
		key->word[1] ^ UINT64_C(0x646f72616e646f6d),
		key->word[0] ^ UINT64_C(0x6c7967656e657261),
		key->word[1] ^ UINT64_C(0x7465646279746573),
	};
	const uint64_t length = UINT64_C(16) << 56;

	v[3] ^= a;
	siphash_round(v);
	v[0] ^= a;
	v[3] ^= b;
	siphash_round(v);
	v[0] ^= b;
	v[3] ^= length;
	siphash_round(v);
	v[0] ^= length;
	v[2] ^= 0xff;
	siphash_round(v);
	siphash_round(v);
	siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
