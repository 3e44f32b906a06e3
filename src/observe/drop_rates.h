/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many packets were dropped in the last minute, for each reason: the counters as they were at every tick.
 */
#ifndef CULVERT_OBSERVE_DROP_RATES_H
#define CULVERT_OBSERVE_DROP_RATES_H

#include <stdint.h>

#include <culvert/engine.h>

enum { DROP_RATES_MS = 60000, DROP_RATES_SAMPLES = 32 };

struct drop_rates {
	struct {
		uint64_t at_ms;
		uint64_t packets[SIDES][DROPS]; /* dropped; [DROP_NONE]: all that were received */
	} sample[DROP_RATES_SAMPLES];           /* a ring */
	uint32_t taken;
};

/* To be called every 2 seconds or more, and once at the start. */
void drop_rates_sample(struct drop_rates *rates, const struct engine_counters *counters, uint64_t now_ms);
/* Packets from one side that were dropped for this reason in the last minute, or since the start if that is less;
 * DROP_NONE: that were received. */
uint64_t drop_rates_of_side(const struct drop_rates *rates, const struct engine_counters *counters, enum side side,
			    enum drop reason, uint64_t now_ms);
/* The same of both sides. */
uint64_t drop_rates_last_minute(const struct drop_rates *rates, const struct engine_counters *counters,
				enum drop reason, uint64_t now_ms);

#endif
