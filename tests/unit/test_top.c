/* SPDX-License-Identifier: BSD-2-Clause */
/* The live screen without a terminal: what stands in which row, at every size, and what hostile rows do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <culvert/views.h>

#include "control/ranking.h"
#include "ctl/top_view.h"

enum { ROWS_MAX = 100, COLUMNS_MAX = 300 };

struct screen {
	uint32_t rows;
	char row[ROWS_MAX][COLUMNS_MAX];
};

static struct row row;
static struct top_frame frames[2];
static struct screen screen;

static void add(struct top_frame *frame, const char *line)
{
	assert_null(row_read(&row, line, strlen(line)));
	top_frame_add(frame, &row);
}

static void fill(struct top_frame *frame, unsigned int seconds, unsigned int factor)
{
	char line[512];

	top_frame_start(frame);
	snprintf(line, sizeof(line),
		 "{\"kind\":\"summary\",\"version\":\"1.2\",\"uptime\":%u,\"uptime-ms\":%u000,\"flows\":7,\"flows-"
		 "limit\":"
		 "100,\"mappings\":6,\"hosts\":2,\"tunnels\":40,\"packets-out\":%u,\"bytes-out\":%u,\"packets-in\":0,"
		 "\"bytes-in\":0}",
		 seconds, seconds, 10 * factor, 2048 * factor);
	add(frame, line);
	add(frame, "{\"kind\":\"drop\",\"reason\":\"rare\",\"packets-lan\":9,\"packets-wan\":0,\"packets-last-"
		   "minute\":0,\"meaning\":\"m\"}");
	snprintf(line, sizeof(line),
		 "{\"kind\":\"drop\",\"reason\":\"often\",\"packets-lan\":0,\"packets-wan\":%u,\"packets-last-minute\":"
		 "3,\"meaning\":\"m\"}",
		 factor);
	add(frame, line);
	for (unsigned int i = 0; i < 40; i++) {
		snprintf(
			line, sizeof(line),
			"{\"kind\":\"tunnel\",\"id\":\"l2tp-%u\",\"internal-src-address\":\"10.0.0.%u\",\"external-dst-"
			"address\":\"203.0.113.%u\",\"state\":\"connected\",\"age\":61,"
			"\"packets-out\":1,\"bytes-out\":%u,\"packets-in\":0,\"bytes-in\":0,\"hint\":null}",
			i, i, i, i == 0 ? 4096 * factor : 1);
		add(frame, line);
	}
}

/* What a terminal would show: everything but the sequences. */
static void draw(const struct top_view *view)
{
	char *bytes = NULL;
	size_t length = 0, column = 0;
	FILE *memory = open_memstream(&bytes, &length);

	assert_non_null(memory);
	top_view_draw(view, memory);
	assert_int_equal(fclose(memory), 0);
	memset(&screen, 0, sizeof(screen));
	for (const char *at = bytes; at < bytes + length; at++) {
		if (*at == '\033') {
			assert_int_equal(at[1], '[');
			at += 2 + strspn(at + 2, "0123456789;?");
			assert_non_null(memchr("HJKm", *at, 4));
		} else if (*at == '\r') {
			assert_int_equal(*++at, '\n');
			screen.rows++;
			column = 0;
		} else {
			assert_in_range(*at, 0x20, 0x7e);
			assert_in_range(column, 0, view->columns - 1);
			screen.row[screen.rows][column++] = *at;
		}
	}
	screen.rows++;
	free(bytes);
}

static void starts(uint32_t at, const char *text)
{
	char start[COLUMNS_MAX];

	snprintf(start, sizeof(start), "%.*s", (int)strlen(text), screen.row[at]);
	assert_string_equal(start, text);
}

static void prepare(struct top_view *view)
{
	fill(&frames[0], 100, 1);
	top_frame_end(&frames[0], &frames[1], TOP_BY_BYTES);
	fill(&frames[1], 102, 3);
	top_frame_end(&frames[1], &frames[0], TOP_BY_BYTES);
	*view = (struct top_view){.rows = 24, .columns = 80, .message = "", .now = &frames[1]};
}

static void everything_has_its_place(void **state)
{
	struct top_view view;

	(void)state;
	memset(frames, 0, sizeof(frames));
	prepare(&view);
	view.shows_drops = true;
	draw(&view);
	assert_int_equal(screen.rows, 24);
	starts(0, "culvertd 1.2, up 1 m 42 s; tunnels by bytes");
	starts(1, "flows 7 of 100, mappings 6, hosts 2, tunnels 40");
	starts(2, "out 2.0 KiB/s in 10 packets/s; in 0 B/s in 0 packets/s");
	starts(3, "dropped 12, 1/s");
	starts(4, "ID       INSIDE          REMOTE          STATE            OUT       IN A SECOND");
	starts(5, "l2tp-0   10.0.0.0        203.0.113.0     connected     12 KiB      0 B  4.0 KiB");
	starts(15, "DROPPED BECAUSE");
	starts(16, "often                            0         3         1         3  m");
	starts(17, "rare                             9         0         0         0  m");
	starts(23, "q quit");
	assert_int_equal(top_view_room(&view), 10);
	starts(14, "l2tp-9   10.0.0.9 ");
	view.columns = 100;
	draw(&view);
	starts(5, "l2tp-0   10.0.0.0        203.0.113.0     connected     1 m 1 s   12 KiB      0 B  4.0 KiB");
}

/* Every state and any number of packets are whole on 80 columns. */
static void values_are_not_cut(void **state)
{
	struct top_view view;
	char tunnel[256];

	(void)state;
	memset(frames, 0, sizeof(frames));
	for (int i = 0; i < TUNNEL_STATES; i++) {
		prepare(&view);
		view.sort = TOP_BY_PACKETS;
		top_frame_start(&frames[1]);
		snprintf(tunnel, sizeof(tunnel),
			 "{\"kind\":\"tunnel\",\"id\":\"l2tp-1\",\"state\":\"%s\",\"packets-out\":12345678901,"
			 "\"packets-in\":99999999}",
			 tunnel_state_name((enum tunnel_state)i));
		add(&frames[1], tunnel);
		top_frame_end(&frames[1], &frames[0], TOP_BY_PACKETS);
		draw(&view);
		snprintf(tunnel, sizeof(tunnel), "%-41s%-12s 12345 M 99999999 ", "l2tp-1",
			 tunnel_state_name((enum tunnel_state)i));
		starts(5, tunnel);
	}
}

/* What the list is sorted by is seen on every screen, and the keys as well. */
static void narrow_screens_show_what_says_most(void **state)
{
	struct top_view view;

	(void)state;
	memset(frames, 0, sizeof(frames));
	prepare(&view);
	view.columns = TOP_COLUMNS_MIN;
	draw(&view);
	starts(4, "ID       INSIDE          REMOTE               OUT       IN");
	starts(23, "q quit  ? help  by: b bytes p packets a age  h hosts d drops");
	view.sort = TOP_BY_AGE;
	draw(&view);
	starts(4, "ID       INSIDE          REMOTE                AGE      OUT");
	starts(5, "l2tp-0   10.0.0.0        203.0.113.0       1 m 1 s   12 KiB");
	view.shows_hosts = true;
	draw(&view);
	starts(4, "HOST               FLOWS      OLDEST       OUT        IN  A");
	view.sort = TOP_BY_BYTES;
	draw(&view);
	starts(4, "HOST               FLOWS       OUT        IN  A SECOND");
	view.columns = 40;
	view.rows = 10;
	draw(&view);
	starts(0, "too small: needs 60 x 12; q quits");
}

static void every_size_is_filled_and_not_more(void **state)
{
	struct top_view view;

	(void)state;
	prepare(&view);
	for (view.rows = 1; view.rows <= ROWS_MAX; view.rows++) {
		for (view.columns = 1; view.columns < COLUMNS_MAX; view.columns += 7) {
			bool is_small = view.rows < TOP_ROWS_MIN || view.columns < TOP_COLUMNS_MIN;

			for (int what = 0; what < 8; what++) {
				view.shows_drops = what & 1;
				view.shows_help = what & 2;
				view.in_colour = what & 4;
				view.first = (uint32_t)what * 10;
				draw(&view);
				assert_int_equal(screen.rows, is_small ? 1 : view.rows);
				if (!is_small)
					starts(view.rows - 1, "q quit");
			}
		}
	}
}

static void hostile_texts_are_shown_as_text(void **state)
{
	struct top_view view;

	(void)state;
	prepare(&view);
	top_frame_start(&frames[1]);
	add(&frames[1], "{\"kind\":\"summary\",\"version\":\"\\u001b[2J\",\"uptime\":1,\"uptime-ms\":1}");
	add(&frames[1], "{\"kind\":\"tunnel\",\"id\":\"\\u001bc\\n\\u009b\",\"internal-src-address\":"
			"\"0123456789012345678901234567890123456789\",\"age\":\"x\"}");
	add(&frames[1], "{\"kind\":\"mystery\",\"type\":1}");
	top_frame_end(&frames[1], &frames[0], TOP_BY_BYTES);
	assert_false(frames[1].has_rates); /* it is younger than the one before */
	draw(&view);
	starts(0, "culvertd \\x1b[2J, up 1 s");
	starts(5, "\\x1bc\\x0a\\x9b");
	view.message = "\033]0;title\a";
	draw(&view);
	starts(23, "\\x1b]0;title\\x07");
}

static void too_many_rows_are_left_out(void **state)
{
	struct top_frame *frame = &frames[0];

	(void)state;
	top_frame_start(frame);
	for (uint32_t i = 0; i < TOP_LINES_MAX + 10; i++)
		add(frame, "{\"kind\":\"host\",\"internal-src-address\":\"10.0.0.1\"}");
	for (uint32_t i = 0; i < TOP_DROPS_MAX + 10; i++)
		add(frame, "{\"kind\":\"drop\",\"reason\":\"r\"}");
	assert_int_equal(frame->lines, TOP_LINES_MAX);
	assert_int_equal(frame->drops, TOP_DROPS_MAX);
}

/* Against sorting all of them. */
static void the_largest_are_ranked(void **state)
{
	enum { COUNT = 1000 };
	static const uint32_t limits[] = {1, 2, 7, 64, COUNT, 2 * COUNT};
	struct ranking ranking;
	uint64_t sizes[COUNT];

	(void)state;
	for (uint64_t i = 0; i < COUNT; i++)
		sizes[i] = i * 7919 % 499; /* most come twice or more */
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		uint32_t expected = limits[i] < COUNT ? limits[i] : COUNT;

		assert_true(ranking_start(&ranking, limits[i]));
		for (uint64_t j = 0; j < COUNT; j++)
			ranking_add(&ranking, &(struct ranked){.size = sizes[j], .from = j});
		ranking_sort(&ranking);
		assert_int_equal(ranking.count, expected);
		for (uint32_t j = 0; j < expected; j++) {
			const struct ranked *ranked = &ranking.entry[j];
			uint32_t before = 0;

			for (uint64_t k = 0; k < COUNT; k++)
				before += sizes[k] > ranked->size || (sizes[k] == ranked->size && k < ranked->from);
			assert_int_equal(sizes[ranked->from], ranked->size);
			assert_int_equal(before, j);
		}
		ranking_end(&ranking);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_has_its_place),
		cmocka_unit_test(values_are_not_cut),
		cmocka_unit_test(narrow_screens_show_what_says_most),
		cmocka_unit_test(every_size_is_filled_and_not_more),
		cmocka_unit_test(hostile_texts_are_shown_as_text),
		cmocka_unit_test(too_many_rows_are_left_out),
		cmocka_unit_test(the_largest_are_ranked),
	};

	return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
