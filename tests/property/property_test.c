/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * property_test [--packets N] [--seed S] [--events N]: the engine against the model, world after world of random
 * events.
 *
 * A difference is made small before it is printed: events are taken out as long as some difference remains.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { CHECK_EVERY = 64 };

/* Counted over all worlds. */
struct totals {
	uint64_t packets, strangers, rested;
};

/* Runs a list; the index of the event that fails, or count. */
static uint32_t run_list(uint64_t seed, const struct event *events, uint32_t count, bool verbose, char *error,
			 size_t size, struct totals *totals)
{
	struct world *w = malloc(sizeof(*w));
	const char *wrong = NULL;
	uint32_t i;

	if (!w)
		abort();
	world_begin(w, seed, verbose);
	for (i = 0; i < count; i++) {
		wrong = world_run(w, &events[i]);
		if (!wrong && (i % CHECK_EVERY == CHECK_EVERY - 1 || i + 1 == count))
			wrong = engine_check(w->engine);
		if (wrong)
			break;
	}
	if (wrong && error)
		snprintf(error, size, "%s", wrong);
	if (totals) {
		totals->packets += w->packets;
		totals->strangers += w->model->strangers;
		totals->rested += w->model->rested;
	}
	world_end(w);
	free(w);
	return i;
}

/* Takes out runs of events, long ones first, as long as the list still fails. */
static uint32_t shrink(uint64_t seed, struct event *events, uint32_t count)
{
	struct event *attempt = malloc(count * sizeof(*attempt));
	bool smaller = true;

	if (!attempt)
		abort();
	while (smaller) {
		smaller = false;
		for (uint32_t run = count / 2; run; run /= 2)
			for (uint32_t at = 0; at + run <= count;) {
				memcpy(attempt, events, at * sizeof(*attempt));
				memcpy(attempt + at, events + at + run, (count - at - run) * sizeof(*attempt));
				uint32_t failed = run_list(seed, attempt, count - run, false, NULL, 0, NULL);
				if (failed == count - run) {
					at += run;
					continue;
				}
				count = failed + 1;
				memcpy(events, attempt, count * sizeof(*events));
				smaller = true;
			}
	}
	free(attempt);
	return count;
}

static void report(uint64_t seed, struct event *events, uint32_t count, const char *error)
{
	char again[1024] = "";

	printf("seed %llu: event %u: %s\n", (unsigned long long)seed, count, error);
	count = shrink(seed, events, count);
	printf("smallest failing list, %u events:\n", count);
	run_list(seed, events, count, true, again, sizeof(again), NULL);
	printf("  -> %s\n", again);
}

static void usage(void)
{
	fprintf(stderr, "usage: property_test [--packets N] [--seed S] [--events N a world]\n");
	exit(1);
}

int main(int argc, char **argv)
{
	static const struct option option[] = {{"packets", required_argument, NULL, 'p'},
					       {"seed", required_argument, NULL, 's'},
					       {"events", required_argument, NULL, 'e'},
					       {NULL, 0, NULL, 0}};
	uint64_t packets = 20000, seed = 1, worlds = 0;
	struct totals done = {0};
	uint32_t length = 400;

	for (int c; (c = getopt_long(argc, argv, "", option, NULL)) != -1;) {
		if (c == 'p')
			packets = strtoull(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'e')
			length = (uint32_t)strtoul(optarg, NULL, 0);
		else
			usage();
	}
	if (optind != argc || !packets || !length)
		usage();
	struct event *events = malloc(length * sizeof(*events));
	if (!events)
		abort();
	printf("property_test: from seed %llu, %llu packets, %u events a world\n", (unsigned long long)seed,
	       (unsigned long long)packets, length);
	fflush(stdout);
	while (done.packets < packets) {
		struct test_random r = test_random_seed(seed ^ 0x5eed);
		char error[1024];
		for (uint32_t i = 0; i < length; i++)
			events[i] = world_event(&r);
		uint32_t failed = run_list(seed, events, length, false, error, sizeof(error), &done);
		if (failed != length) {
			report(seed, events, failed + 1, error);
			free(events);
			return 1;
		}
		seed++;
		worlds++;
	}
	free(events);
	if (done.strangers > 4 + done.rested / 64) {
		printf("property_test: %llu resting ports went to another host, %llu did not\n",
		       (unsigned long long)done.strangers, (unsigned long long)done.rested);
		return 1;
	}
	printf("1..1\nok 1 - %llu packets in %llu worlds, no difference\n", (unsigned long long)done.packets,
	       (unsigned long long)worlds);
	return 0;
}
