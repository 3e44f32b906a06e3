/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peers of the server of lines: those that take nothing or say nothing, and when turns come beside other work. The
 * clock is the test's own, see steady_clock.c.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lines_rig.h"

/* --- patience --- */

static void who_takes_nothing_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start = lines_rig_now_ms();
	size_t sum = 0;

	fixture->rows = ENDLESS;
	fixture->stop_at_left = 1;
	int stuck = lines_rig_join(fixture, "all\n");
	lines_rig_pass(fixture, TAKE_MS + SPARE_MS);
	assert_int_equal(fixture->left, 1);
	assert_true(lines_rig_now_ms() - start + COARSE_MS >= TAKE_MS);
	/* What it could have taken is still there, then comes the end; libevent closes a round later. */
	fixture->stop_at_left = 0;
	lines_rig_pass(fixture, 50);
	assert_true(lines_rig_take(stuck, SIZE_MAX, &sum));
	assert_true(sum > 0 && sum < (size_t)ENDLESS * ROW);
	close(stuck);
}

static void who_takes_slowly_stays(void **state)
{
	struct fixture *fixture = *state;
	size_t sum = 0;

	fixture->rows = 1000;
	int slow = lines_rig_join(fixture, "all\n");
	/* Each time enough for the kernel to tell the daemon that there is room. */
	for (int i = 0; i < 10; i++) {
		lines_rig_pass(fixture, TAKE_MS / 2);
		assert_false(lines_rig_take(slow, (size_t)fixture->rows * ROW / 10, &sum));
	}
	for (int i = 0; i < SPARE_MS / BEAT_MS && sum < (size_t)fixture->rows * ROW; i++) {
		lines_rig_pass(fixture, BEAT_MS);
		assert_false(lines_rig_take(slow, SIZE_MAX, &sum));
	}
	assert_int_equal(sum, (size_t)fixture->rows * ROW);
	assert_int_equal(fixture->left, 0);
	close(slow);
}

static void a_line_that_is_too_long_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char *line = malloc(LINES_ASK_MAX + 1);
	size_t sum = 0;

	assert_non_null(line);
	memset(line, 'x', LINES_ASK_MAX);
	line[LINES_ASK_MAX] = '\0';
	int fd = lines_rig_join(fixture, line);
	free(line);
	lines_rig_pass(fixture, 50);
	assert_true(lines_rig_take(fd, SIZE_MAX, &sum));
	assert_int_equal(sum, strlen("too long\n"));
	assert_int_equal(fixture->asked, 0);
	close(fd);
}

/* Otherwise it would not be heard to go, and keep its place. */
static void who_talks_while_it_waits_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char more[4 * LINES_ASK_MAX];
	size_t sum = 0;

	memset(more, 'x', sizeof(more));
	fixture->waits = true;
	int quiet = lines_rig_join(fixture, "all\n"), loud = lines_rig_join(fixture, "all\n");
	lines_rig_pass(fixture, 50);
	assert_int_equal(fixture->asked, 2);
	assert_int_equal(send(loud, more, sizeof(more), MSG_NOSIGNAL), sizeof(more));
	fixture->stop_at_left = 1;
	lines_rig_pass(fixture, SPARE_MS);
	fixture->stop_at_left = 0;
	lines_rig_pass(fixture, 50);
	assert_int_equal(fixture->left, 1);
	lines_rig_take(loud, SIZE_MAX, &sum);
	assert_int_equal(sum, strlen("too long\n"));
	assert_false(lines_rig_take(quiet, SIZE_MAX, &sum));
	close(quiet);
	close(loud);
	lines_rig_pass(fixture, 50);
	assert_int_equal(fixture->left, 2);
}

static void who_says_nothing_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	int silent = lines_rig_join(fixture, ""), half = lines_rig_join(fixture, "al"),
	    whole = lines_rig_join(fixture, "all\n");
	size_t sum = 0;

	lines_rig_pass(fixture, ASK_MS / 2);
	assert_int_equal(fixture->asked, 1);
	assert_false(lines_rig_take(silent, SIZE_MAX, &sum));
	assert_false(lines_rig_take(half, SIZE_MAX, &sum));
	assert_int_equal(send(half, "l", 1, MSG_NOSIGNAL), 1); /* a byte more does not make it younger */
	for (int i = 0; i < SPARE_MS / ASK_MS && !lines_rig_take(half, SIZE_MAX, &sum); i++)
		lines_rig_pass(fixture, ASK_MS);
	assert_true(lines_rig_take(silent, SIZE_MAX, &sum));
	assert_true(lines_rig_take(half, SIZE_MAX, &sum));
	assert_true(lines_rig_take(whole, SIZE_MAX, &sum)); /* has asked once, and not again */
	assert_int_equal(sum, 0);
	assert_int_equal(fixture->asked, 1);
	close(silent);
	close(half);
	close(whole);
}

/* --- half a connection --- */

/* It hears what comes, as long as it is there; then its place is free. */
static void who_asks_and_ends_its_half_is_answered(void **state)
{
	struct fixture *fixture = *state;
	uint32_t turns;
	size_t sum = 0;

	fixture->waits = true;
	int stays = lines_rig_join(fixture, "some\nall\n"), goes = lines_rig_join(fixture, "all\n"),
	    gone = lines_rig_join(fixture, "all\n");
	assert_int_equal(shutdown(stays, SHUT_WR), 0);
	assert_int_equal(shutdown(goes, SHUT_WR), 0);
	close(gone);
	lines_rig_pass(fixture, 3 * ASK_MS);
	assert_int_equal(fixture->asked, 3);
	assert_int_equal(fixture->left, 1);
	assert_false(lines_rig_take(stays, SIZE_MAX, &sum));
	assert_false(lines_rig_take(goes, SIZE_MAX, &sum));
	/* Its end can be read all the time, and is not. */
	turns = fixture->turns;
	clock_t used = clock();
	lines_rig_pass(fixture, 500);
	assert_int_equal(fixture->turns, turns);
	assert_true(clock() - used < CLOCKS_PER_SEC / 4);
	close(goes);
	fixture->stop_at_left = 2;
	lines_rig_pass(fixture, SPARE_MS);
	assert_int_equal(fixture->left, 2);
	fixture->stop_at_left = 0;
	/* What it waits for comes, and then the answer to the line behind. */
	fixture->waits = false;
	fixture->rows = 2;
	lines_wake(fixture->known);
	for (int i = 0; i < SPARE_MS / BEAT_MS && !lines_rig_take(stays, SIZE_MAX, &sum); i++)
		lines_rig_pass(fixture, BEAT_MS);
	assert_int_equal(sum, 2 * 2 * ROW);
	assert_int_equal(fixture->asked, 4);
	assert_int_equal(fixture->left, 2);
	close(stays);
}

/* --- bytes behind a line --- */

/* Until it has been counted so often, and a little longer: perhaps it is counted once more. */
static void pass_until(struct fixture *fixture, const uint32_t *count, uint32_t wanted)
{
	for (int i = 0; i < SPARE_MS / BEAT_MS && *count < wanted; i++)
		lines_rig_pass(fixture, BEAT_MS);
	lines_rig_pass(fixture, COARSE_MS);
}

/* All that comes, which should be so much; the peer is not let go. */
static void take_all(struct fixture *fixture, int fd, size_t wanted, size_t *sum)
{
	for (int i = 0; i < SPARE_MS / BEAT_MS && *sum < wanted; i++) {
		assert_false(lines_rig_take(fd, SIZE_MAX, sum));
		lines_rig_pass(fixture, BEAT_MS);
	}
	assert_false(lines_rig_take(fd, SIZE_MAX, sum));
}

static void bytes_that_were_asked_for_are_taken(void **state)
{
	struct fixture *fixture = *state;
	char text[20 * LINES_ASK_MAX];
	int fd[3];

	/* No more than a line, and much more; with the next line behind them, in pieces, and whole before they are
	 * asked for. */
	for (fixture->expects = 1; fixture->expects < sizeof(text) - 8; fixture->expects += 19 * LINES_ASK_MAX) {
		size_t sum[3] = {0};

		memset(text, '\n', fixture->expects);
		snprintf(text + fixture->expects, 8, "again\n");
		fixture->asked = fixture->turns = 0;
		for (int i = 0; i < 3; i++)
			fd[i] = lines_rig_join(fixture, "all\n");
		assert_int_equal(send(fd[0], text, strlen(text), MSG_NOSIGNAL), strlen(text));
		pass_until(fixture, &fixture->turns, 5); /* of four lines, one of which has its bytes */
		for (size_t i = 0; i < fixture->expects; i += 4096) {
			size_t piece = fixture->expects - i < 4096 ? fixture->expects - i : 4096;

			assert_int_equal(fixture->turns, 5);
			assert_int_equal(send(fd[1], text + i, piece, MSG_NOSIGNAL), piece);
			lines_rig_pass(fixture, 20);
		}
		pass_until(fixture, &fixture->asked, 4);
		assert_int_equal(fixture->asked, 4);
		for (int i = 0; i < 3; i++)
			take_all(fixture, fd[i], i < 2 ? fixture->expects : 0, &sum[i]);
		assert_int_equal(sum[0], fixture->expects);
		assert_int_equal(sum[1], fixture->expects);
		assert_int_equal(sum[2], 0);
		for (int i = 0; i < 3; i++)
			close(fd[i]);
		lines_rig_pass(fixture, 20);
	}
}

static void who_does_not_send_them_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	size_t sum = 0;

	fixture->expects = 100;
	int slow = lines_rig_join(fixture, "all\nless"), gone = lines_rig_join(fixture, "all\nless");
	lines_rig_pass(fixture, 20);
	assert_int_equal(fixture->left, 0);
	close(gone);
	fixture->stop_at_left = 1;
	lines_rig_pass(fixture, SPARE_MS);
	assert_false(lines_rig_take(slow, SIZE_MAX, &sum));
	fixture->stop_at_left = 2;
	lines_rig_pass(fixture, SPARE_MS);
	fixture->stop_at_left = 0;
	lines_rig_pass(fixture, 50);
	assert_true(lines_rig_take(slow, SIZE_MAX, &sum));
	assert_int_equal(fixture->left, 2);
	assert_int_equal(sum, 0);
	close(slow);
}

/* --- turns --- */

static uint32_t turns_in(struct fixture *fixture, bool is_busy, uint64_t ms)
{
	uint32_t before = fixture->turns;
	uint64_t start = lines_rig_now_ms();

	fixture->is_busy = is_busy;
	while (lines_rig_now_ms() - start < ms) {
		int fd = lines_rig_join(fixture, "all\n"), other = lines_rig_join(fixture, "all\n");
		size_t sum = 0;

		lines_rig_pass(fixture, BEAT_MS);
		lines_rig_take(fd, SIZE_MAX, &sum);
		close(fd);
		close(other);
	}
	return fixture->turns - before;
}

static void turns_wait_beside_other_work(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start;
	uint32_t busy;

	fixture->rows = 50;
	start = lines_rig_now_ms();
	busy = turns_in(fixture, true, 300);
	assert_true(busy > 0);
	/* However many peers there are. */
	assert_true(busy <= (lines_rig_now_ms() - start) / LINES_PAUSE_MS + 1);
	assert_true(turns_in(fixture, false, 300) > 2 * busy);
}

/* Four a millisecond. */
static void connections_wait_beside_other_work(void **state)
{
	enum { MANY = 100 };
	struct fixture *fixture = *state;
	uint64_t start = lines_rig_now_ms();
	uint32_t over = 0;
	int fd[MANY];

	fixture->is_busy = true;
	for (uint32_t i = 0; i < MANY; i++)
		fd[i] = lines_rig_join(fixture, "");
	while (over < MANY - LINES_PEERS && lines_rig_now_ms() - start < SPARE_MS) {
		lines_rig_pass(fixture, 1);
		over = 0;
		for (uint32_t i = LINES_PEERS; i < MANY; i++) {
			char byte;

			over += recv(fd[i], &byte, 1, MSG_PEEK) == 1;
		}
	}
	assert_int_equal(over, MANY - LINES_PEERS);
	assert_true(lines_rig_now_ms() - start + COARSE_MS >= MANY / 4 * LINES_PAUSE_MS);
	for (uint32_t i = 0; i < MANY; i++)
		close(fd[i]);
}

/* Neither refused nor tried all the time. */
static void connections_wait_for_descriptors(void **state)
{
	struct fixture *fixture = *state;
	int first = lines_rig_join(fixture, "all\n"), second = lines_rig_join(fixture, "all\n"), lowest = dup(first);
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)lowest;
	close(lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	lines_rig_pass(fixture, 500);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_in_range(fixture->not_accepted, 1, 6);
	assert_int_equal(fixture->asked, 0);
	lines_rig_pass(fixture, 300);
	assert_int_equal(fixture->asked, 2);
	close(first);
	close(second);
}

static void the_crowd_is_sent_away(void **state)
{
	struct fixture *fixture = *state;
	int fd[LINES_PEERS + 1];
	uint32_t sent_away = 0;

	for (uint32_t i = 0; i <= LINES_PEERS; i++)
		fd[i] = lines_rig_join(fixture, "");
	lines_rig_pass(fixture, ASK_MS / 2);
	for (uint32_t i = 0; i <= LINES_PEERS; i++) {
		size_t sum = 0;

		sent_away += lines_rig_take(fd[i], SIZE_MAX, &sum);
		assert_int_equal(sum, i < LINES_PEERS ? 0 : strlen("crowded\n"));
		close(fd[i]);
	}
	assert_int_equal(sent_away, 1);
	/* The places are free again. */
	lines_rig_pass(fixture, 50);
	int again = lines_rig_join(fixture, "all\n");
	lines_rig_pass(fixture, 50);
	assert_int_equal(fixture->asked, 1);
	close(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_takes_nothing_is_let_go, lines_rig_set_up, lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(who_takes_slowly_stays, lines_rig_set_up, lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(a_line_that_is_too_long_is_refused, lines_rig_set_up,
						lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(who_talks_while_it_waits_is_refused, lines_rig_set_up,
						lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(who_says_nothing_is_let_go, lines_rig_set_up, lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(who_asks_and_ends_its_half_is_answered, lines_rig_set_up,
						lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(bytes_that_were_asked_for_are_taken, lines_rig_set_up,
						lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(who_does_not_send_them_is_let_go, lines_rig_set_up,
						lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(turns_wait_beside_other_work, lines_rig_set_up, lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(connections_wait_beside_other_work, lines_rig_set_up,
						lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(connections_wait_for_descriptors, lines_rig_set_up,
						lines_rig_tear_down),
		cmocka_unit_test_setup_teardown(the_crowd_is_sent_away, lines_rig_set_up, lines_rig_tear_down),
	};

	signal(SIGPIPE, SIG_IGN); /* as main.c does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
