/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the live screen shows and where: rows become frames, and a frame becomes lines. No terminal is needed for that.
 */
#ifndef CULVERT_CTL_TOP_VIEW_H
#define CULVERT_CTL_TOP_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/row.h"

enum {
	TOP_LINES_MAX = 400, /* rows of the list that may be asked for */
	TOP_DROPS_MAX = 128,
	TOP_ROWS_MIN = 12, /* of the screen */
	TOP_COLUMNS_MIN = 60,
};

enum top_sort { TOP_BY_BYTES, TOP_BY_PACKETS, TOP_BY_AGE, TOP_SORTS };

/* A tunnel or a host. Texts are as they came: to be escaped when they are shown. */
struct top_line {
	char id[20], inside[20], remote[20], state[12], hint[32];
	bool has_age;
	uint64_t flows, tunnels, age;
	uint64_t bytes[2], packets[2]; /* out, in */
	uint64_t rate;                 /* bytes or packets a second since the frame before */
};

struct top_drop {
	char reason[40], meaning[160];
	uint64_t packets[2], last_minute, rate;
};

struct top_frame {
	bool is_there;
	char version[24];
	uint64_t uptime_ms, uptime, flows, flows_limit, mappings, hosts, tunnels;
	uint64_t packets[2], bytes[2]; /* out, in */
	bool has_rates;
	uint64_t packet_rate[2], byte_rate[2]; /* a second */
	uint32_t lines, drops;
	struct top_line line[TOP_LINES_MAX];
	struct top_drop drop[TOP_DROPS_MAX];
};

struct top_view {
	uint32_t rows, columns; /* of the terminal */
	bool in_colour;
	bool shows_hosts, shows_drops, shows_help;
	bool waits; /* for the list: nothing can be said of it yet */
	enum top_sort sort;
	uint32_t first;      /* line of the list that stands on top */
	const char *message; /* "" or what is wrong, for the last row */
	struct top_frame *now;
};

const char *top_sort_name(enum top_sort sort);

/* An answer to "top", row by row; members that are missing or too long are cut, never trusted. */
void top_frame_start(struct top_frame *frame);
void top_frame_add(struct top_frame *frame, const struct row *row);
/* The answer is complete: rates are what has changed since before, which may be of something else or not there. */
void top_frame_end(struct top_frame *frame, const struct top_frame *before, enum top_sort sort);

/* How many rows of the list fit on the screen. */
uint32_t top_view_room(const struct top_view *view);
/* Writes the whole screen, from its upper left corner. */
void top_view_draw(const struct top_view *view, FILE *out);

#endif
