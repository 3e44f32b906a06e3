/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hash table of record indices. The keys live in the records; the table holds only 32-bit slots of {tag, index}.
 *
 * A bucket is one cache line: 15 slots and a count of entries that wanted this bucket and had to go on to a later one.
 * A lookup reads one line in nearly every case and stops at the first bucket whose count is 0; deletion needs no
 * tombstones. The caller brings the 64-bit hash and a match function; both are inlined.
 */
#ifndef CULVERT_BASE_TABLE_H
#define CULVERT_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TABLE_SLOTS = 15,
	TABLE_FILL = 11, /* entries a bucket is meant to hold on average */
	TABLE_INDEX_BITS = 23,
};
#define TABLE_NONE UINT32_MAX

struct __attribute__((aligned(64), may_alias)) table_bucket {
	uint32_t slot[TABLE_SLOTS]; /* tag << TABLE_INDEX_BITS | (index + 1); 0 is empty */
	uint32_t overflow;
};
_Static_assert(sizeof(struct table_bucket) == 64, "a bucket is a cache line");

struct table {
	struct table_bucket *bucket;
	uint32_t buckets;
};

typedef bool table_match(const void *context, uint32_t index);

static inline uint32_t table_buckets_for(uint32_t entries)
{
	return entries / TABLE_FILL + 2;
}

static inline uint32_t table_home(const struct table *table, uint64_t hash)
{
	return (uint32_t)(((hash >> 32) * table->buckets) >> 32);
}

/* Never 0, so that no tag fits an empty slot. */
static inline uint32_t table_tag(uint64_t hash)
{
	uint32_t tag = (uint32_t)hash << TABLE_INDEX_BITS;

	return tag != 0 ? tag : 1u << TABLE_INDEX_BITS;
}

static inline uint32_t table_index(uint32_t slot)
{
	return (slot & ((1u << TABLE_INDEX_BITS) - 1)) - 1;
}

typedef uint32_t table_lanes __attribute__((vector_size(16), may_alias));

/* One bit for each slot whose tag fits; four slots at a time and without branches, because where in the bucket an entry
 * stands cannot be predicted. */
static inline uint32_t table_fitting(const struct table_bucket *bucket, uint32_t tag)
{
	const table_lanes *lanes = (const table_lanes *)(const void *)bucket;
	const table_lanes bit = {1, 2, 4, 8};
	table_lanes fitting = {0, 0, 0, 0};

	for (unsigned i = 0; i < (TABLE_SLOTS + 1) / 4; i++)
		fitting |= (table_lanes)(((lanes[i] ^ tag) >> TABLE_INDEX_BITS) == 0) & (bit << (4 * i));
	return (fitting[0] | fitting[1] | fitting[2] | fitting[3]) & ((1u << TABLE_SLOTS) - 1);
}

static inline uint32_t table_next_bucket(const struct table *table, uint32_t bucket)
{
	return bucket + 1 < table->buckets ? bucket + 1 : 0;
}

static inline void table_prefetch(const struct table *table, uint64_t hash)
{
	__builtin_prefetch(&table->bucket[table_home(table, hash)]);
}

/* The first index in the home bucket whose tag fits, or TABLE_NONE: what is worth prefetching. */
static inline uint32_t table_candidate(const struct table *table, uint64_t hash)
{
	const struct table_bucket *bucket = &table->bucket[table_home(table, hash)];
	uint32_t fitting = table_fitting(bucket, table_tag(hash));

	return fitting != 0 ? table_index(bucket->slot[__builtin_ctz(fitting)]) : TABLE_NONE;
}

/* The index whose record matches, or TABLE_NONE. */
static inline __attribute__((always_inline)) uint32_t table_find(const struct table *table, uint64_t hash,
								 table_match *match, const void *context)
{
	uint32_t at = table_home(table, hash);
	uint32_t tag = table_tag(hash);

	for (uint32_t walked = 0; walked < table->buckets; walked++) {
		const struct table_bucket *bucket = &table->bucket[at];
		for (uint32_t fitting = table_fitting(bucket, tag); fitting != 0; fitting &= fitting - 1) {
			uint32_t index = table_index(bucket->slot[__builtin_ctz(fitting)]);
			if (match(context, index))
				return index;
		}
		if (bucket->overflow == 0)
			break;
		at = table_next_bucket(table, at);
	}
	return TABLE_NONE;
}

/* Tables are sized so that there is always room; false would be a defect of the sizing. */
bool table_insert(struct table *table, uint64_t hash, uint32_t index);
/* False if it was not there. */
bool table_remove(struct table *table, uint64_t hash, uint32_t index);
/* Puts another index where the old one stands; both have the same key. */
bool table_replace(struct table *table, uint64_t hash, uint32_t index, uint32_t other);
void table_clear(struct table *table);

#endif
