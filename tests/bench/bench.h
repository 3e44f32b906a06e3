/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of engine_bench share: an engine with room for a benchmark, and the clock. */
#ifndef CULVERT_TESTS_BENCH_H
#define CULVERT_TESTS_BENCH_H

#include "../unit/packets.h"

enum { BATCH = 64 };

struct bench {
	struct engine_limits limits;
	struct engine *engine;
	void *arena;
	size_t size;
	uint64_t now, emitted;
};

uint64_t nanoseconds(void);
void bench_begin(struct bench *bench, const struct engine_limits *limits, uint32_t outsides);
void bench_end(struct bench *bench);
/* For engine_sink.emit; context is the bench, or begins with it. */
void count_emission(void *context, enum side from, enum side to, struct packet *packet, enum origin origin);

/* The parts, each a file; 1 if something costs too much or goes wrong. rounds: over all calls or tunnels. */

/* equal_ids: all clients have chosen the same Call ID. */
int measure_pptp(bool equal_ids, int rounds);
/* shared: all tunnels go through outside port 1701. */
int measure_l2tp(bool shared, int rounds);
/* IPsec of many hosts with one server, and floods. */
int measure_esp(int rounds);

#endif
