/* SPDX-License-Identifier: BSD-2-Clause */
/* The writing half of the hash table. */
#include "base/table.h"

#include <string.h>

static uint32_t slot_value(uint64_t hash, uint32_t index)
{
	return table_tag(hash) | (index + 1);
}

bool table_insert(struct table *table, uint64_t hash, uint32_t index)
{
	uint32_t at = table_home(table, hash);
	uint32_t walked = 0;

	for (; walked < table->buckets; walked++) {
		struct table_bucket *bucket = &table->bucket[at];
		for (unsigned i = 0; i < TABLE_SLOTS; i++) {
			if (bucket->slot[i] == 0) {
				bucket->slot[i] = slot_value(hash, index);
				return true;
			}
		}
		bucket->overflow++;
		at = table_next_bucket(table, at);
	}
	/* Every bucket was full: take back what was counted on the way. */
	for (uint32_t i = 0; i < table->buckets; i++)
		table->bucket[i].overflow--;
	return false;
}

static uint32_t *find_slot(struct table *table, uint64_t hash, uint32_t index, uint32_t *found_at)
{
	uint32_t at = table_home(table, hash);
	uint32_t value = slot_value(hash, index);

	for (uint32_t walked = 0; walked < table->buckets; walked++) {
		struct table_bucket *bucket = &table->bucket[at];
		for (unsigned i = 0; i < TABLE_SLOTS; i++) {
			if (bucket->slot[i] == value) {
				*found_at = at;
				return &bucket->slot[i];
			}
		}
		if (bucket->overflow == 0)
			break;
		at = table_next_bucket(table, at);
	}
	return NULL;
}

bool table_remove(struct table *table, uint64_t hash, uint32_t index)
{
	uint32_t found_at;
	uint32_t *slot = find_slot(table, hash, index, &found_at);

	if (!slot)
		return false;
	*slot = 0;
	for (uint32_t at = table_home(table, hash); at != found_at; at = table_next_bucket(table, at))
		table->bucket[at].overflow--;
	return true;
}

bool table_replace(struct table *table, uint64_t hash, uint32_t index, uint32_t other)
{
	uint32_t found_at;
	uint32_t *slot = find_slot(table, hash, index, &found_at);

	if (!slot)
		return false;
	*slot = slot_value(hash, other);
	return true;
}

void table_clear(struct table *table)
{
	memset(table->bucket, 0, (size_t)table->buckets * sizeof(*table->bucket));
}
