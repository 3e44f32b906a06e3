/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stage of the engine's fuzz targets: a small engine with some flows and forwards, and the invariants that hold
 * whatever comes in.
 */
#ifndef CULVERT_TESTS_FUZZ_STAGE_H
#define CULVERT_TESTS_FUZZ_STAGE_H

#include "../unit/engine_check.h"
#include "../unit/packets.h"

struct stage {
	struct engine *engine;
	void *arena;
	struct engine_config config;
	uint64_t now;
	struct emissions out;
	uint32_t steps, lives;
};

/* The stage must be zero before its first life. */
void stage_begin(struct stage *stage);
void stage_end(struct stage *stage);
/* A few flows of each kind. */
void stage_populate(struct stage *stage);
/* Feeds one packet, from memory of exactly its size, and aborts with a message if an invariant does not hold. */
void stage_send(struct stage *stage, enum side from, const struct packet *packet);
void stage_wait(struct stage *stage, uint64_t ms);

#endif
