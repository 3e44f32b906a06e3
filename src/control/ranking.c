/* SPDX-License-Identifier: BSD-2-Clause */
/* A heap with the smallest entry on top. */
#include "control/ranking.h"

#include <stdlib.h>

#include "base/heap.h"

bool ranking_start(struct ranking *ranking, uint32_t limit)
{
	*ranking = (struct ranking){.entry = calloc(limit, sizeof(struct ranked)), .limit = limit};
	return ranking->entry != NULL;
}

/* Of equal ones the first counts as larger, so that a list does not change its order when nothing has changed. */
static bool is_smaller(const struct ranked *a, const struct ranked *b)
{
	return a->size != b->size ? a->size < b->size : a->from > b->from;
}

static bool is_before(void *entries, uint32_t a, uint32_t b)
{
	const struct ranked *entry = entries;

	return is_smaller(&entry[a], &entry[b]);
}

static void swap(void *entries, uint32_t a, uint32_t b)
{
	struct ranked *entry = entries, kept = entry[a];

	entry[a] = entry[b];
	entry[b] = kept;
}

void ranking_add(struct ranking *ranking, const struct ranked *entry)
{
	if (ranking->count < ranking->limit) {
		ranking->entry[ranking->count] = *entry;
		heap_rise(ranking->count++, is_before, swap, ranking->entry);
	} else if (is_smaller(&ranking->entry[0], entry)) {
		ranking->entry[0] = *entry;
		heap_sink(ranking->count, is_before, swap, ranking->entry);
	}
}

static int compare(const void *a, const void *b)
{
	return is_smaller(a, b) ? 1 : is_smaller(b, a) ? -1 : 0;
}

void ranking_sort(struct ranking *ranking)
{
	qsort(ranking->entry, ranking->count, sizeof(ranking->entry[0]), compare);
}

void ranking_end(struct ranking *ranking)
{
	free(ranking->entry);
	*ranking = (struct ranking){0};
}
