/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small world for the property test: a few inside hosts and remotes, an engine and a model beside it, and the
 * grammar that makes events out of seeds. An event is its kind and a seed: what it becomes depends on the state it
 * meets, so a list of events still means something when some of them are taken out.
 */
#ifndef CULVERT_TESTS_WORLD_H
#define CULVERT_TESTS_WORLD_H

#include "model.h"

enum event_kind {
	EVENT_LAN_NEW,
	EVENT_LAN_FLOW,
	EVENT_WAN_FLOW,
	EVENT_WAN_MAPPING,
	EVENT_WAN_RANDOM,
	EVENT_HAIRPIN,
	EVENT_WAN_ERROR,
	EVENT_LAN_ERROR,
	EVENT_FRAGMENT,
	EVENT_BYPASS,
	EVENT_BATCH,
	EVENT_TIME,
	EVENT_CONFIGURE,
	EVENT_OUTSIDE,
	EVENTS,
};

struct event {
	uint8_t kind;
	uint64_t seed;
};

enum { WORLD_RECENT = 32, WORLD_QUOTE = 640, WORLD_DATAGRAMS = 6, WORLD_BATCH = 12, WORLD_ADDRESSES = 4 };

/* A datagram that goes out in pieces. */
struct datagram {
	bool live;
	enum side from;
	uint32_t pieces, sent;
	uint32_t cut[16]; /* offsets of the pieces, in the order in which they go */
	uint32_t length[16];
	struct test_packet whole;
};

struct world {
	struct engine_limits limits;
	struct engine_config config;
	bool lazy;          /* engine_expire() is not called, so that nothing may depend on it */
	bool eager_compare; /* flow tables are compared after every event, not only when time passes */
	struct engine *engine;
	void *arena;
	struct model *model;
	uint64_t now;
	struct emissions out;
	struct {
		uint8_t bytes[WORLD_QUOTE];
		uint32_t length;
	} recent[SIDES][WORLD_RECENT];
	uint32_t recents[SIDES];
	struct datagram datagram[WORLD_DATAGRAMS];
	uint16_t next_id;
	uint64_t packets;
	bool verbose;
};

void world_begin(struct world *w, uint64_t seed, bool verbose);
void world_end(struct world *w);
/* NULL, or the difference. */
const char *world_run(struct world *w, const struct event *event);
struct event world_event(struct test_random *r);

/* --- grammar_config.c --- */
void grammar_config(struct test_random *r, struct engine_limits *limits, struct engine_config *config);
void grammar_change_config(struct world *w, struct test_random *r, struct engine_config *config);
uint32_t grammar_outside(struct test_random *r, uint32_t *addresses);
uint64_t grammar_time(struct world *w, struct test_random *r);

/* --- grammar.c --- */
/* Makes the packet of an event. False if the state has nothing to make one from. */
bool grammar_packet(struct world *w, struct test_random *r, uint8_t kind, enum side *from, struct test_packet *out);

#endif
