/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counters of the engine as lines for people.
 */
#ifndef CULVERT_OBSERVE_STATISTICS_H
#define CULVERT_OBSERVE_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/engine.h>
#include <culvert/views.h>

/* Receives one line, without a newline. log_line() is one of these. */
typedef void statistics_line(void *context, const char *text);

/* What came in and what became of it, each drop reason with its meaning and advice, and the flows by protocol. Without
 * all, counters that are zero are left out. now_ms is the clock that the engine is driven with. */
void statistics_print(const struct engine *engine, uint64_t now_ms, bool all, statistics_line *line, void *context);

#endif
