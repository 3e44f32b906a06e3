/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A life of one VPN service in the engine: what the fuzz targets of PPTP, L2TP and IPsec share. A life has one inside
 * network, an engine in memory that outlives crashes, and a number of packets after which it ends.
 */
#ifndef CULVERT_TESTS_FUZZ_LIFE_H
#define CULVERT_TESTS_FUZZ_LIFE_H

#include "../unit/engine_check.h"
#include "../unit/packets.h"

enum { LIFE_STEPS = 400, LIFE_OUTSIDE = 0xc6336401, LIFE_ROUNDS = 64 };

struct life {
	struct engine *engine;
	const uint8_t *seed; /* of the engine, 32 bytes */
	struct engine_limits limits;
	struct engine_config config;
	uint64_t now;
	uint32_t steps, lives;
	struct emissions out;            /* of the last packet */
	struct test_packet packet, last; /* to be sent; the one of the service that went on last */
	enum side last_to;
	void *arena;
	size_t size;
};

/* Says what is wrong and aborts. */
void life_fail(const char *what);
/* The same if wrong is not NULL. */
void life_check(const char *wrong);

/* Before the first life the struct must be zero; memory stays from one to the next. seed and limits are set already.
 * Gives it the default configuration and memory for tunnels_most tunnels. */
void life_begin(struct life *life, uint64_t now, uint32_t tunnels_most);
/* An engine with the limits and configuration of the life, and so many outside addresses from LIFE_OUTSIDE on. */
void life_start(struct life *life, uint32_t outsides);
/* kill -9: another process takes over what is in memory. */
void life_crash(struct life *life);
void life_finish(struct life *life);

/* Feeds life->packet from memory of exactly its size, and checks that the verdict is one. */
void life_process(struct life *life, enum side from);
/* Packets are conserved; now and then the whole engine is looked at. Counts a step. */
void life_look(struct life *life);
/* What has a deadline expires, in several rounds; what comes out goes to sink, which may be NULL. */
void life_expire(struct life *life, struct engine_sink *sink);
/* The first of the tunnels; returns how many. */
uint32_t life_list_tunnels(struct life *life, struct tunnel_view *view, uint32_t most);

/* LIFE_OUTSIDE or the next one. */
bool life_is_outside(uint32_t address);

#endif
