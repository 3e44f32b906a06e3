/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CLOCK_MONOTONIC in milliseconds.
 */
#include "io/clock.h"

#include <time.h>

uint64_t clock_now_ms(void)
{
	struct timespec now;

	/* It can not fail: the clock exists on every Linux and the pointer is good. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
