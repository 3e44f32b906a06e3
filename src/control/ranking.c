/* SPDX-License-Identifier: BSD-2-Clause */
/* A binary heap with the smallest entry on top. */
#include "control/ranking.h"

#include <stdlib.h>

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

static void swap(struct ranked *a, struct ranked *b)
{
	struct ranked kept = *a;

	*a = *b;
	*b = kept;
}

static void rise(struct ranked *entry, uint32_t at)
{
	for (; at > 0 && is_smaller(&entry[at], &entry[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&entry[at], &entry[(at - 1) / 2]);
}

static void sink(struct ranked *entry, uint32_t count)
{
	for (uint32_t at = 0, child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && is_smaller(&entry[child + 1], &entry[child]))
			child++;
		if (!is_smaller(&entry[child], &entry[at]))
			return;
		swap(&entry[child], &entry[at]);
	}
}

void ranking_add(struct ranking *ranking, const struct ranked *entry)
{
	if (ranking->count < ranking->limit) {
		ranking->entry[ranking->count] = *entry;
		rise(ranking->entry, ranking->count++);
	} else if (is_smaller(&ranking->entry[0], entry)) {
		ranking->entry[0] = *entry;
		sink(ranking->entry, ranking->count);
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
