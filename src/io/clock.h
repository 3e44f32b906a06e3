/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clock of the data path. It is read once per wake-up, and everything below gets the time as an argument.
 */
#ifndef CULVERT_IO_CLOCK_H
#define CULVERT_IO_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: steps of the wall clock do not move it, and it goes on across a restart of the
 * process. */
uint64_t clock_now_ms(void);
/* The same clock in microseconds. */
uint64_t clock_now_us(void);

/* Microseconds that this process has spent on processors. */
uint64_t clock_cpu_us(void);

/* Seconds since 1970 by the wall clock, to be shown and not to be counted with. */
uint64_t clock_unix_seconds(void);
uint64_t clock_unix_ms(void);
uint64_t clock_unix_us(void);

#endif
