/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The largest few of many: a heap of fixed size, whose root is what has to go when something larger comes.
 */
#ifndef CULVERT_CONTROL_RANKING_H
#define CULVERT_CONTROL_RANKING_H

#include <stdbool.h>
#include <stdint.h>

struct ranked {
	uint64_t size;
	uint64_t from, to; /* whatever finds it again */
};

struct ranking {
	struct ranked *entry;
	uint32_t count, limit;
};

/* limit is at least 1. False if there is no memory. */
bool ranking_start(struct ranking *ranking, uint32_t limit);
void ranking_add(struct ranking *ranking, const struct ranked *entry);
/* Puts the largest first, and equal ones in the order of from; nothing may be added any more. */
void ranking_sort(struct ranking *ranking);
void ranking_end(struct ranking *ranking);

#endif
