/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A loop with a server of lines that answers with rows, and its peers. The patience is tenths of a second here, so that
 * it can be seen to end.
 */
#ifndef CULVERT_TESTS_LINES_RIG_H
#define CULVERT_TESTS_LINES_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/lines.h"
#include "daemon/loop.h"

enum {
	ASK_MS = 600,
	TAKE_MS = 300,
	ROW = 1000,
	ENDLESS = 1000000, /* rows */
	BEAT_MS = 5,
	COARSE_MS = 20,  /* libevent's clock has ticks */
	SPARE_MS = 5000, /* that a busy machine may need longer */
};

struct fixture {
	struct loop *loop;
	struct lines *lines;
	int listener;
	char path[64];
	uint64_t stop_ms;
	uint32_t asked, left, turns, rows; /* rows: of each answer */
	uint32_t not_accepted;
	bool waits;     /* for ever, in the place of rows */
	size_t expects; /* bytes behind the line, in the place of rows; they are sent back */
	uint32_t stop_at_left;
	struct lines_peer *known; /* asked for some */
	uint64_t other_work;
	bool is_busy;
};

/* Of cmocka; *state is a struct fixture. */
int lines_rig_set_up(void **state);
int lines_rig_tear_down(void **state);
uint64_t lines_rig_now_ms(void);
/* A connection that has sent this. */
int lines_rig_join(const struct fixture *fixture, const char *text);
/* Has the loop run for so long. */
void lines_rig_pass(struct fixture *fixture, uint64_t ms);
/* Takes what is there, at most so much; true if that is the end of the connection. */
bool lines_rig_take(int fd, size_t most, size_t *sum);

#endif
