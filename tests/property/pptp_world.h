/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What pptp_property and its model share: lines, which are control connections, and calls.
 */
#ifndef CULVERT_TESTS_PPTP_WORLD_H
#define CULVERT_TESTS_PPTP_WORLD_H

#include "../unit/engine_check.h"
#include "../unit/packets.h"
#include "../unit/pptp_messages.h"

enum { LINES = 10, CALLS = 512, STREAM = 12000, LINE_CALLS = 24, SERVER = 0x0a000009, OUTSIDE = 0xc6336401 };

enum state { FREE, REQUESTED, CONNECTED, CLEARING, ENDED };

struct call {
	enum state state;
	uint32_t line, inside, remote; /* line is told apart by its number, never used again */
	uint16_t inside_id, outside_id, remote_id;
	bool has_remote;
	bool answered;  /* and what carries that remote ID is this call's */
	uint64_t until; /* requested: end of the wait; ended: end of the drain; the ID rests 120 s more */
};

/* One direction: all bytes written so far, and what went on of them. */
struct stream {
	uint8_t sent[STREAM], out[STREAM];
	uint32_t written, read; /* read: what the engine has sent on without a gap */
	uint32_t tried;         /* sent up to here */
	uint32_t acked;
	uint32_t message; /* where the message that read stands in began */
	uint32_t changed; /* bytes that may have changed since the last acknowledgement */
	uint32_t first_sequence;
};

struct line {
	uint32_t number;
	bool server_inside;
	uint32_t inside, remote;
	uint16_t inside_port, outside_port, remote_port;
	struct stream stream[SIDES];
};

struct world {
	struct engine *engine;
	void *arena;
	struct engine_config config;
	struct test_random r;
	uint64_t now, seed, packets, calls_made, changed_ids;
	struct line line[LINES];
	struct call call[CALLS];
	uint32_t lines_made;
	uint16_t next_remote_id;
	struct emissions out;
	struct engine_result result;
	struct test_packet packet;
};

/* Says what is wrong, with two numbers, and ends the program. */
void world_fail(const struct world *w, const char *what, uint32_t a, uint32_t b);
/* A random number below n. */
uint32_t world_below(struct world *w, uint32_t n);
/* Time passes for calls and for the engine. */
void world_wait(struct world *w, uint64_t ms);

bool model_call_lives(const struct call *c);
void model_call_end(struct world *w, struct call *c);
/* The call that data belongs to; NULL: it is dropped. id is that of the packet as it comes. */
const struct call *call_owner(const struct world *w, enum side from, uint32_t inside, uint32_t remote, uint16_t id);

/* What an ID of a message that came becomes; went_out is what the engine has made of it, for calls that are new. */
uint16_t message_translate(struct world *w, const struct line *l, enum side from, enum whose whose, uint16_t value,
			   uint16_t went_out);
/* What a whole message does to calls. */
void message_take_effect(struct world *w, const struct line *l, enum side from, const uint8_t *m);

#endif
