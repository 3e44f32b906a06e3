/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout. Every line is made in memory, cut at the width of the terminal, and overwrites what stood there, so that
 * nothing flickers; the last one has no newline, so that nothing scrolls.
 */
#include "ctl/top_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/colour.h"
#include "ctl/human.h"

#define INVERSE "\033[7m"

enum {
	HEAD = 5, /* with the headings of the list */
	DROPS_PANE = 8,
	LINE_MAX = 512,
	OUT = 0,
	IN = 1,
	IDENTITY_WIDTH = 40, /* of what a tunnel is known by */
	HOSTS_WIDTH = 75,    /* of all columns of hosts */
};

/* One screen being written. */
struct drawing {
	FILE *out;
	const struct top_view *view;
	uint32_t row; /* rows written */
};

struct text {
	char bytes[LINE_MAX];
	size_t used;
};

const char *top_sort_name(enum top_sort sort)
{
	static const char *const names[TOP_SORTS] = {"bytes", "packets", "age"};

	return names[sort];
}

static void __attribute__((format(printf, 2, 3))) put(struct text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->used, sizeof(text->bytes) - text->used, format, arguments);
	va_end(arguments);
	if (length > 0)
		text->used += (size_t)length;
	if (text->used >= sizeof(text->bytes))
		text->used = sizeof(text->bytes) - 1;
}

/* A row of the screen; what is beyond its last row is left out. */
static void write_row(struct drawing *drawing, const char *colour, const char *text)
{
	const struct top_view *view = drawing->view;
	char *shown;

	if (drawing->row >= view->rows)
		return;
	shown = human_escape(text);
	fprintf(drawing->out, "%s%s%-*.*s%s\033[K", drawing->row > 0 ? "\r\n" : "", colour ? colour : "",
		colour && !strcmp(colour, INVERSE) ? (int)view->columns : 0, (int)view->columns,
		shown ? shown : "no memory", colour ? "\033[0m" : "");
	free(shown);
	drawing->row++;
}

static void put_rate(struct text *text, const char *name, const struct top_frame *now, int direction)
{
	char human[HUMAN_MAX];

	human_bytes(human, now->byte_rate[direction]);
	if (now->has_rates)
		put(text, "%s %s/s in %" PRIu64 " packets/s", name, human, now->packet_rate[direction]);
	else
		put(text, "%s -", name);
}

static void draw_head(struct drawing *drawing)
{
	const struct top_view *view = drawing->view;
	const struct top_frame *now = view->now;
	uint64_t dropped = 0, dropping = 0;
	struct text text = {.used = 0};
	char human[HUMAN_MAX];

	for (uint32_t i = 0; i < now->drops; i++) {
		dropped += now->drop[i].packets[0] + now->drop[i].packets[1];
		dropping += now->drop[i].rate;
	}
	human_seconds(human, now->uptime);
	put(&text, "culvertd %s, up %s; %s by %s", now->version, human, view->shows_hosts ? "hosts" : "tunnels",
	    top_sort_name(view->sort));
	write_row(drawing, view->in_colour ? COLOUR_BOLD : NULL, text.bytes);
	text = (struct text){.used = 0};
	put(&text, "flows %" PRIu64 " of %" PRIu64 ", mappings %" PRIu64 ", hosts %" PRIu64 ", tunnels %" PRIu64,
	    now->flows, now->flows_limit, now->mappings, now->hosts, now->tunnels);
	write_row(drawing, NULL, text.bytes);
	text = (struct text){.used = 0};
	put_rate(&text, "out", now, OUT);
	put_rate(&text, "; in", now, IN);
	write_row(drawing, NULL, text.bytes);
	text = (struct text){.used = 0};
	put(&text, "dropped %" PRIu64 ", %" PRIu64 "/s", dropped, dropping);
	write_row(drawing, view->in_colour && dropping ? COLOUR_YELLOW : NULL, text.bytes);
}

static void set_amount(char human[HUMAN_MAX], const struct top_view *view, uint64_t bytes, uint64_t packets)
{
	if (view->sort == TOP_BY_PACKETS)
		human_count(human, packets);
	else
		human_bytes(human, bytes);
}

/* The columns of tunnels behind ID, INSIDE and REMOTE, in the order in which they stand. */
enum column { STATE, AGE, SENT, CAME, RATE, COLUMNS };

/* As many of them as fit, those that say most first; what the list is sorted by is always there. */
static void put_columns(struct text *text, const struct top_view *view, const char *const cells[COLUMNS])
{
	static const enum column worth[COLUMNS] = {SENT, CAME, RATE, STATE, AGE};
	static const enum column worth_by_age[COLUMNS] = {AGE, SENT, CAME, RATE, STATE};
	static const int width[COLUMNS] = {[STATE] = 11, [AGE] = 9, [SENT] = 8, [CAME] = 8, [RATE] = 8};
	const enum column *first = view->sort == TOP_BY_AGE ? worth_by_age : worth;
	uint32_t used = IDENTITY_WIDTH;
	bool is_shown[COLUMNS] = {false};

	for (uint32_t i = 0; i < COLUMNS; i++) {
		used += (uint32_t)width[first[i]] + 1;
		if (used > view->columns)
			break;
		is_shown[first[i]] = true;
	}
	for (int i = 0; i < COLUMNS; i++)
		if (is_shown[i])
			put(text, i == STATE ? " %-*.*s" : " %*.*s", width[i], width[i], cells[i]);
}

static void put_host(struct text *text, const struct top_view *view, const char *host, const char *flows,
		     const char *tunnels, const char *oldest)
{
	bool is_wide = view->columns >= HOSTS_WIDTH;

	put(text, "%-15.15s %8s", host, flows);
	if (is_wide)
		put(text, " %8s", tunnels);
	if (is_wide || view->sort == TOP_BY_AGE)
		put(text, " %11s", oldest);
}

static void draw_line(struct drawing *drawing, const struct top_line *line)
{
	const struct top_view *view = drawing->view;
	char age[HUMAN_MAX] = "-", out[HUMAN_MAX], in[HUMAN_MAX], rate[HUMAN_MAX], flows[24], tunnels[24];
	struct text text = {.used = 0};

	if (line->has_age)
		human_seconds(age, line->age);
	set_amount(out, view, line->bytes[OUT], line->packets[OUT]);
	set_amount(in, view, line->bytes[IN], line->packets[IN]);
	set_amount(rate, view, line->rate, line->rate);
	if (view->shows_hosts) {
		snprintf(flows, sizeof(flows), "%" PRIu64, line->flows);
		snprintf(tunnels, sizeof(tunnels), "%" PRIu64, line->tunnels);
		put_host(&text, view, line->inside, flows, tunnels, age);
		put(&text, " %9s %9s %9s", out, in, rate);
	} else {
		put(&text, "%-8s %-15.15s %-15.15s", line->id, line->inside, line->remote);
		put_columns(&text, view, (const char *const[COLUMNS]){line->state, age, out, in, rate});
		put(&text, "  %s", line->hint);
	}
	write_row(drawing, view->in_colour && line->hint[0] ? COLOUR_YELLOW : NULL, text.bytes);
}

static void draw_list(struct drawing *drawing, uint32_t until)
{
	const struct top_view *view = drawing->view;
	const struct top_frame *now = view->now;
	struct text text = {.used = 0};

	if (view->shows_hosts) {
		put_host(&text, view, "HOST", "FLOWS", "TUNNELS", "OLDEST");
		put(&text, " %9s %9s %9s", "OUT", "IN", "A SECOND");
	} else {
		put(&text, "%-8s %-15s %-15s", "ID", "INSIDE", "REMOTE");
		put_columns(&text, view, (const char *const[COLUMNS]){"STATE", "AGE", "OUT", "IN", "A SECOND"});
		put(&text, "  HINT");
	}
	write_row(drawing, INVERSE, text.bytes);
	if (now->lines <= view->first && !view->waits)
		write_row(drawing, NULL, view->shows_hosts ? "no inside host has a flow or a tunnel" : "no tunnels");
	for (uint32_t i = view->first; i < now->lines && drawing->row < until; i++)
		draw_line(drawing, &now->line[i]);
	while (drawing->row < until)
		write_row(drawing, NULL, "");
}

static void draw_drops(struct drawing *drawing, uint32_t until)
{
	const struct top_frame *now = drawing->view->now;
	struct text text = {.used = 0};

	put(&text, "%-24s %9s %9s %9s %9s  %s", "DROPPED BECAUSE", "FROM LAN", "FROM WAN", "A SECOND", "A MINUTE",
	    "MEANING");
	write_row(drawing, INVERSE, text.bytes);
	if (now->drops == 0)
		write_row(drawing, NULL, "nothing was dropped");
	for (uint32_t i = 0; i < now->drops && drawing->row < until; i++) {
		const struct top_drop *drop = &now->drop[i];

		text = (struct text){.used = 0};
		put(&text, "%-24s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "  %s", drop->reason,
		    drop->packets[0], drop->packets[1], drop->rate, drop->last_minute, drop->meaning);
		write_row(drawing, NULL, text.bytes);
	}
	while (drawing->row < until)
		write_row(drawing, NULL, "");
}

static void draw_help(struct drawing *drawing, uint32_t until)
{
	static const char *const lines[] = {
		"",
		"b  sort by bytes",
		"p  sort by packets",
		"a  sort by age, the oldest first; of hosts: of their oldest tunnel",
		"h  hosts instead of tunnels, and back; left and right do the same",
		"d  drops, and back",
		"up, down, page up, page down, home: the list",
		"?  this help, and back",
		"q  quit",
		"",
		"Hosts have the traffic of the flows that they have now.",
	};

	write_row(drawing, INVERSE, "KEYS");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) && drawing->row < until; i++)
		write_row(drawing, NULL, lines[i]);
	while (drawing->row < until)
		write_row(drawing, NULL, "");
}

static bool is_too_small(const struct top_view *view)
{
	return view->rows < TOP_ROWS_MIN || view->columns < TOP_COLUMNS_MIN;
}

/* The last row is for keys; the drops have their pane above that if there is room for both. */
static uint32_t list_end(const struct top_view *view)
{
	uint32_t pane = view->rows >= HEAD + 2 * DROPS_PANE ? DROPS_PANE : view->rows / 3;

	return view->rows - 1 - (view->shows_drops ? pane : 0);
}

uint32_t top_view_room(const struct top_view *view)
{
	return is_too_small(view) ? 1 : list_end(view) - HEAD;
}

void top_view_draw(const struct top_view *view, FILE *out)
{
	struct drawing drawing = {.out = out, .view = view};

	fputs("\033[H", out);
	if (is_too_small(view)) {
		struct text text = {.used = 0};

		put(&text, "too small: needs %d x %d; q quits", TOP_COLUMNS_MIN, TOP_ROWS_MIN);
		write_row(&drawing, NULL, text.bytes);
		fputs("\033[J", out);
		return;
	}
	draw_head(&drawing);
	if (view->shows_help) {
		draw_help(&drawing, view->rows - 1);
	} else {
		draw_list(&drawing, list_end(view));
		if (view->shows_drops)
			draw_drops(&drawing, view->rows - 1);
	}
	if (view->message[0])
		write_row(&drawing, view->in_colour ? COLOUR_RED : NULL, view->message);
	else
		write_row(&drawing, NULL, "q quit  ? help  by: b bytes p packets a age  h hosts d drops");
	fputs("\033[J", out);
}
