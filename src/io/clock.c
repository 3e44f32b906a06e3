/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CLOCK_MONOTONIC, the wall clock for people, and time on processors.
 */
#include "io/clock.h"

#include <time.h>

static uint64_t microseconds_of(clockid_t clock)
{
	struct timespec now;

	/* It cannot fail: these clocks exist on every Linux and the pointer is good. */
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_now_ms(void)
{
	return microseconds_of(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_now_us(void)
{
	return microseconds_of(CLOCK_MONOTONIC);
}

uint64_t clock_cpu_us(void)
{
	return microseconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t clock_unix_seconds(void)
{
	return microseconds_of(CLOCK_REALTIME) / 1000000;
}

uint64_t clock_unix_ms(void)
{
	return microseconds_of(CLOCK_REALTIME) / 1000;
}

uint64_t clock_unix_us(void)
{
	return microseconds_of(CLOCK_REALTIME);
}
