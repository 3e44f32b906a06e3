/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A binary heap in an array of the caller's: what comes before all others stands at place 0. The caller compares and
 * swaps what stands at two places, so that it may keep what it likes there, and remember where that is.
 */
#ifndef CULVERT_BASE_HEAP_H
#define CULVERT_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

typedef bool heap_before(void *context, uint32_t a, uint32_t b);
typedef void heap_swap(void *context, uint32_t a, uint32_t b);

/* What stands at this place was added at the end, or is earlier than it was. */
static inline void heap_rise(uint32_t at, heap_before *before, heap_swap *swap, void *context)
{
	for (; at > 0 && before(context, at, (at - 1) / 2); at = (at - 1) / 2)
		swap(context, at, (at - 1) / 2);
}

/* What stands at place 0 of so many is later than what stood there. */
static inline void heap_sink(uint32_t count, heap_before *before, heap_swap *swap, void *context)
{
	for (uint32_t at = 0, child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && before(context, child + 1, child))
			child++;
		if (!before(context, child, at))
			return;
		swap(context, child, at);
	}
}

#endif
