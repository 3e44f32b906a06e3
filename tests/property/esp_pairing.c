/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * esp_pairing [--worlds N] [--seed S] [--minutes M] [--scenario NAME] [--verbose]: clients of one IPsec server start at
 * once, without NAT traversal, and then talk and rekey for half an hour of virtual time. What the server sends to one
 * of them never gets to another one, although nothing in its packets says whose they are; nothing is lost at the start.
 *
 * Every world is made of its seed alone.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esp_ends.h"

static const struct scenario scenarios[] = {
	{.name = "three", .clients = 3, .ike = 2, .paired_ms = 5000},
	{.name = "three-v1", .clients = 3, .ike = 1, .paired_ms = 5000},
	{.name = "ten", .clients = 10, .ike = 2, .paired_ms = 30000},
	{.name = "typed-in", .clients = 3, .paired_ms = 5000},
	{.name = "mute-client", .clients = 3, .ike = 2, .mute_client = true, .paired_ms = 10000},
	{.name = "mute-both", .clients = 3, .ike = 2, .mute_client = true, .mute_server = true, .paired_ms = 10000},
	{.name = "attacked", .clients = 3, .ike = 2, .attacked = true, .paired_ms = 10000, .lost_percent = 25},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

struct run {
	uint64_t worlds, seed, minutes, faults;
	struct ends *ends;
};

static void run_world(struct run *run, const struct scenario *scenario, uint64_t seed, struct ends_count *count)
{
	uint64_t wrong = count->wrong, early = count->early_drops;
	const char *fault = NULL;

	ends_begin(run->ends, scenario, seed, count);
	ends_run(run->ends, scenario->paired_ms);
	if (!ends_all_paired(run->ends))
		fault = "not everybody was heard in time";
	ends_run(run->ends, run->minutes * 60000);
	if (count->early_drops > early)
		fault = "ESP was lost at the start";
	if (count->wrong > wrong)
		fault = "ESP went astray";
	const char *broken = ends_end(run->ends);
	fault = broken || scenario->lost_percent ? broken : fault;
	if (!fault)
		return;
	if (run->faults++ < 20)
		printf("esp_pairing: %s, seed %" PRIu64 ": %s\n", scenario->name, seed, fault);
}

static void report(const struct scenario *scenario, const struct ends_count *count)
{
	printf("%-12s %" PRIu64 " ESP out, %" PRIu64 " in, %" PRIu64 " rekeys: %" PRIu64 " astray (%" PRIu64
	       " SPIs), %" PRIu64 " held, %" PRIu64 " dropped at the start, %" PRIu64 " bogus let in;",
	       scenario->name, count->esp[SIDE_LAN], count->esp[SIDE_WAN], count->rekeys, count->wrong,
	       count->wrong_spis, count->held, count->early_drops, count->bogus);
	for (int reason = 1; reason < DROPS; reason++)
		if (count->dropped[reason])
			printf(" %s %" PRIu64, drop_name((enum drop)reason), count->dropped[reason]);
	printf("\n");
	fflush(stdout);
}

static void run_scenario(struct run *run, const struct scenario *scenario)
{
	struct ends_count count = {0};

	for (uint64_t i = 0; i < run->worlds; i++)
		run_world(run, scenario, run->seed + i, &count);
	report(scenario, &count);
	if ((count.wrong + count.dropped[DROP_ESP_AMBIGUOUS]) * 100 > count.esp[SIDE_WAN] * scenario->lost_percent &&
	    scenario->lost_percent) {
		printf("esp_pairing: %s: more was lost than %u percent\n", scenario->name, scenario->lost_percent);
		run->faults++;
	}
}

int main(int argc, char **argv)
{
	static const struct option option[] = {
		{"worlds", required_argument, NULL, 'w'},  {"seed", required_argument, NULL, 's'},
		{"minutes", required_argument, NULL, 'm'}, {"scenario", required_argument, NULL, 'n'},
		{"verbose", no_argument, NULL, 'v'},       {NULL, 0, NULL, 0}};
	struct run run = {.worlds = 30, .seed = 1, .minutes = 30};
	const char *only = NULL;
	static struct ends e;

	for (int c; (c = getopt_long(argc, argv, "", option, NULL)) != -1;) {
		if (c == 'w')
			run.worlds = strtoull(optarg, NULL, 0);
		else if (c == 's')
			run.seed = strtoull(optarg, NULL, 0);
		else if (c == 'm')
			run.minutes = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			only = optarg;
		else if (c == 'v')
			e.verbose = true;
		else
			return 1;
	}
	e.arena = aligned_alloc(64, (size_t)16 << 20);
	if (!e.arena)
		return 1;
	emissions_init(&e.out);
	run.ends = &e;
	for (uint32_t i = 0; i < SCENARIOS; i++)
		if (!only || strcmp(only, scenarios[i].name) == 0)
			run_scenario(&run, &scenarios[i]);
	printf("1..1\nok 1 - %" PRIu64 " worlds a scenario from seed %" PRIu64 ": %" PRIu64 " faults\n", run.worlds,
	       run.seed, run.faults);
	emissions_free(&e.out);
	free(e.arena);
	return run.faults ? 1 : 0;
}
