/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters over time. */
#include "observe/drop_rates.h"

static uint64_t count_of(const struct engine_counters *counters, int side, int reason)
{
	return reason == DROP_NONE ? counters->received[side] : counters->dropped[side][reason];
}

void drop_rates_sample(struct drop_rates *rates, const struct engine_counters *counters, uint64_t now_ms)
{
	uint32_t place = rates->taken++ % DROP_RATES_SAMPLES;

	rates->sample[place].at_ms = now_ms;
	for (int side = 0; side < SIDES; side++)
		for (int reason = 0; reason < DROPS; reason++)
			rates->sample[place].packets[side][reason] = count_of(counters, side, reason);
}

uint64_t drop_rates_of_side(const struct drop_rates *rates, const struct engine_counters *counters, enum side side,
			    enum drop reason, uint64_t now_ms)
{
	uint64_t now = count_of(counters, (int)side, (int)reason), then = now;

	/* From the newest sample back to the oldest one that is not older than a minute. */
	for (uint32_t i = 1; i <= rates->taken && i <= DROP_RATES_SAMPLES; i++) {
		uint32_t place = (rates->taken - i) % DROP_RATES_SAMPLES;

		if (now_ms - rates->sample[place].at_ms > DROP_RATES_MS)
			break;
		then = rates->sample[place].packets[side][reason];
	}
	return now - then;
}

uint64_t drop_rates_last_minute(const struct drop_rates *rates, const struct engine_counters *counters,
				enum drop reason, uint64_t now_ms)
{
	return drop_rates_of_side(rates, counters, SIDE_LAN, reason, now_ms) +
	       drop_rates_of_side(rates, counters, SIDE_WAN, reason, now_ms);
}
