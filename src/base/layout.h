/* SPDX-License-Identifier: BSD-2-Clause */
/* Arrays one behind the other in one piece of memory, each on a cache line of its own. */
#ifndef CULVERT_BASE_LAYOUT_H
#define CULVERT_BASE_LAYOUT_H

#include "base/table.h"

enum { LAYOUT_LINE = 64 };

/* Returns the place of the next array, and adds what it takes to *used; without memory NULL, to learn how much it is.
 */
static inline void *layout_take(uint8_t *memory, size_t *used, size_t bytes)
{
	uint8_t *at = memory ? memory + *used : NULL;

	*used += (bytes + LAYOUT_LINE - 1) / LAYOUT_LINE * LAYOUT_LINE;
	return at;
}

static inline void layout_take_table(struct table *table, uint32_t entries, uint8_t *memory, size_t *used)
{
	table->buckets = table_buckets_for(entries);
	table->bucket = layout_take(memory, used, (size_t)table->buckets * sizeof(*table->bucket));
}

#endif
