/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters over time. */
#include "daemon/drop_rates.h"

static uint64_t both_sides(const struct engine_counters *counters, enum drop reason)
{
	return counters->dropped[SIDE_LAN][reason] + counters->dropped[SIDE_WAN][reason];
}

void drop_rates_sample(struct drop_rates *rates, const struct engine_counters *counters, uint64_t now_ms)
{
	uint32_t place = rates->taken++ % DROP_RATES_SAMPLES;

	rates->sample[place].at_ms = now_ms;
	for (int reason = 0; reason < DROPS; reason++)
		rates->sample[place].packets[reason] = both_sides(counters, (enum drop)reason);
}

uint64_t drop_rates_last_minute(const struct drop_rates *rates, const struct engine_counters *counters,
				enum drop reason, uint64_t now_ms)
{
	uint64_t then = both_sides(counters, reason);

	/* From the newest sample back to the oldest one that is not older than a minute. */
	for (uint32_t i = 1; i <= rates->taken && i <= DROP_RATES_SAMPLES; i++) {
		uint32_t place = (rates->taken - i) % DROP_RATES_SAMPLES;

		if (now_ms - rates->sample[place].at_ms > DROP_RATES_MS)
			break;
		then = rates->sample[place].packets[reason];
	}
	return both_sides(counters, reason) - then;
}
