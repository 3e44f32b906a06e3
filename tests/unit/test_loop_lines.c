/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peers of the server of lines: those that take nothing or say nothing, and when turns come beside other work. The
 * patience is tenths of a second here, so that it can be seen to end. The clock is the test's own, see steady_clock.c.
 */
#include <errno.h>
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
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/loop.h"
#include "daemon/loop_lines.h"

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
	uint64_t other_work;
	bool is_busy;
};

struct memory {
	uint32_t rows;
	bool has_expected;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- the handlers --- */

static const char *admit(void *context, int fd)
{
	(void)context;
	(void)fd;
	return NULL;
}

static void asked(void *context, struct lines_peer *peer, const char *line, size_t length)
{
	struct fixture *fixture = context;
	struct memory *memory = lines_memory(peer);

	assert_int_equal(strlen(line), length);
	fixture->asked++;
	*memory = (struct memory){.rows = 0};
}

static enum lines_next expect(const struct fixture *fixture, struct lines_peer *peer)
{
	struct memory *memory = lines_memory(peer);
	char *bytes = malloc(fixture->expects);

	assert_non_null(bytes);
	if (!memory->has_expected) {
		memory->has_expected = true;
		lines_expect(peer, fixture->expects);
		free(bytes);
		return LINES_WAIT;
	}
	assert_true(lines_take(peer, bytes, fixture->expects));
	lines_write(peer, bytes, fixture->expects);
	free(bytes);
	return LINES_DONE;
}

static enum lines_next turn(void *context, struct lines_peer *peer)
{
	struct fixture *fixture = context;
	struct memory *memory = lines_memory(peer);
	char row[ROW];

	fixture->turns++;
	if (fixture->waits)
		return LINES_WAIT;
	if (fixture->expects > 0)
		return expect(fixture, peer);
	if (memory->rows++ == fixture->rows)
		return LINES_DONE;
	memset(row, 'x', sizeof(row));
	row[ROW - 1] = '\n';
	lines_write(peer, row, sizeof(row));
	return LINES_AGAIN;
}

static void left(void *context, struct lines_peer *peer)
{
	struct fixture *fixture = context;

	(void)peer;
	fixture->left++;
}

static uint64_t other_work(void *context)
{
	struct fixture *fixture = context;

	return fixture->is_busy ? ++fixture->other_work : fixture->other_work;
}

static void not_accepted(void *context, int error)
{
	struct fixture *fixture = context;

	assert_int_equal(error, EMFILE);
	fixture->not_accepted++;
}

static void readable(void *context, enum loop_source source)
{
	(void)context;
	(void)source;
}

static void signalled(void *context, int number)
{
	(void)context;
	(void)number;
}

static void ignored(void *context)
{
	(void)context;
}

static void beat(void *context)
{
	struct fixture *fixture = context;

	if (now_ms() >= fixture->stop_ms || (fixture->stop_at_left && fixture->left >= fixture->stop_at_left))
		loop_stop(fixture->loop);
}

/* --- the fixture --- */

static void listen_somewhere(struct fixture *fixture)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(fixture->path, sizeof(fixture->path), "test_loop_lines.%d", (int)getpid());
	memcpy(address.sun_path, fixture->path, sizeof(fixture->path));
	unlink(fixture->path);
	fixture->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fixture->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fixture->listener, 128), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const struct loop_handlers loop_handlers = {
		.context = fixture,
		.readable = readable,
		.signalled = signalled,
		.ticked = ignored,
		.expired = ignored,
		.beat = beat,
	};
	const struct lines_handlers handlers = {
		.context = fixture,
		.memory = sizeof(struct memory),
		.ask_ms = ASK_MS,
		.take_ms = TAKE_MS,
		.admit = admit,
		.crowded = "crowded\n",
		.not_accepted = not_accepted,
		.too_long = "too long\n",
		.other_work = other_work,
		.asked = asked,
		.turn = turn,
		.left = left,
	};

	if (!fixture)
		return -1;
	fixture->loop = loop_new(&loop_handlers);
	assert_non_null(fixture->loop);
	assert_true(loop_set_beat(fixture->loop, BEAT_MS));
	listen_somewhere(fixture);
	fixture->lines = lines_new(fixture->loop, fixture->listener, &handlers);
	assert_non_null(fixture->lines);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	lines_free(fixture->lines);
	loop_free(fixture->loop);
	close(fixture->listener);
	unlink(fixture->path);
	free(fixture);
	return 0;
}

static int join(const struct fixture *fixture, const char *text)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, fixture->path, sizeof(fixture->path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

/* Has the loop run for so long. */
static void pass(struct fixture *fixture, uint64_t ms)
{
	fixture->stop_ms = now_ms() + ms;
	assert_true(loop_run(fixture->loop));
}

/* Takes what is there, at most so much; true if that is the end of the connection. */
static bool take(int fd, size_t most, size_t *sum)
{
	static char bytes[1 << 16];
	ssize_t got = 1;

	while (most > 0 && got > 0) {
		got = recv(fd, bytes, most < sizeof(bytes) ? most : sizeof(bytes), 0);
		if (got > 0) {
			*sum += (size_t)got;
			most -= (size_t)got;
		}
	}
	return got == 0;
}

/* --- patience --- */

static void who_takes_nothing_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start = now_ms();
	size_t sum = 0;

	fixture->rows = ENDLESS;
	fixture->stop_at_left = 1;
	int stuck = join(fixture, "all\n");
	pass(fixture, TAKE_MS + SPARE_MS);
	assert_int_equal(fixture->left, 1);
	assert_true(now_ms() - start + COARSE_MS >= TAKE_MS);
	/* What it could have taken is still there, then comes the end; libevent closes a round later. */
	fixture->stop_at_left = 0;
	pass(fixture, 50);
	assert_true(take(stuck, SIZE_MAX, &sum));
	assert_true(sum > 0 && sum < (size_t)ENDLESS * ROW);
	close(stuck);
}

static void who_takes_slowly_stays(void **state)
{
	struct fixture *fixture = *state;
	size_t sum = 0;

	fixture->rows = 1000;
	int slow = join(fixture, "all\n");
	/* Each time enough for the kernel to tell the daemon that there is room. */
	for (int i = 0; i < 10; i++) {
		pass(fixture, TAKE_MS / 2);
		assert_false(take(slow, (size_t)fixture->rows * ROW / 10, &sum));
	}
	for (int i = 0; i < SPARE_MS / BEAT_MS && sum < (size_t)fixture->rows * ROW; i++) {
		pass(fixture, BEAT_MS);
		assert_false(take(slow, SIZE_MAX, &sum));
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
	int fd = join(fixture, line);
	free(line);
	pass(fixture, 50);
	assert_true(take(fd, SIZE_MAX, &sum));
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
	int quiet = join(fixture, "all\n"), loud = join(fixture, "all\n");
	pass(fixture, 50);
	assert_int_equal(fixture->asked, 2);
	assert_int_equal(send(loud, more, sizeof(more), MSG_NOSIGNAL), sizeof(more));
	fixture->stop_at_left = 1;
	pass(fixture, SPARE_MS);
	fixture->stop_at_left = 0;
	pass(fixture, 50);
	assert_int_equal(fixture->left, 1);
	take(loud, SIZE_MAX, &sum);
	assert_int_equal(sum, strlen("too long\n"));
	assert_false(take(quiet, SIZE_MAX, &sum));
	close(quiet);
	close(loud);
	pass(fixture, 50);
	assert_int_equal(fixture->left, 2);
}

static void who_says_nothing_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	int silent = join(fixture, ""), half = join(fixture, "al"), whole = join(fixture, "all\n");
	size_t sum = 0;

	pass(fixture, ASK_MS / 2);
	assert_int_equal(fixture->asked, 1);
	assert_false(take(silent, SIZE_MAX, &sum));
	assert_false(take(half, SIZE_MAX, &sum));
	assert_int_equal(send(half, "l", 1, MSG_NOSIGNAL), 1); /* a byte more does not make it younger */
	for (int i = 0; i < SPARE_MS / ASK_MS && !take(half, SIZE_MAX, &sum); i++)
		pass(fixture, ASK_MS);
	assert_true(take(silent, SIZE_MAX, &sum));
	assert_true(take(half, SIZE_MAX, &sum));
	assert_true(take(whole, SIZE_MAX, &sum)); /* has asked once, and not again */
	assert_int_equal(sum, 0);
	assert_int_equal(fixture->asked, 1);
	close(silent);
	close(half);
	close(whole);
}

/* --- bytes behind a line --- */

/* Until it has been counted so often, and a little longer: perhaps it is counted once more. */
static void pass_until(struct fixture *fixture, const uint32_t *count, uint32_t wanted)
{
	for (int i = 0; i < SPARE_MS / BEAT_MS && *count < wanted; i++)
		pass(fixture, BEAT_MS);
	pass(fixture, COARSE_MS);
}

/* All that comes, which should be so much; the peer is not let go. */
static void take_all(struct fixture *fixture, int fd, size_t wanted, size_t *sum)
{
	for (int i = 0; i < SPARE_MS / BEAT_MS && *sum < wanted; i++) {
		assert_false(take(fd, SIZE_MAX, sum));
		pass(fixture, BEAT_MS);
	}
	assert_false(take(fd, SIZE_MAX, sum));
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
			fd[i] = join(fixture, "all\n");
		assert_int_equal(send(fd[0], text, strlen(text), MSG_NOSIGNAL), strlen(text));
		pass_until(fixture, &fixture->turns, 5); /* of four lines, one of which has its bytes */
		for (size_t i = 0; i < fixture->expects; i += 4096) {
			size_t piece = fixture->expects - i < 4096 ? fixture->expects - i : 4096;

			assert_int_equal(fixture->turns, 5);
			assert_int_equal(send(fd[1], text + i, piece, MSG_NOSIGNAL), piece);
			pass(fixture, 20);
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
		pass(fixture, 20);
	}
}

static void who_does_not_send_them_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	size_t sum = 0;

	fixture->expects = 100;
	int slow = join(fixture, "all\nless"), gone = join(fixture, "all\nless");
	pass(fixture, 20);
	assert_int_equal(fixture->left, 0);
	close(gone);
	fixture->stop_at_left = 1;
	pass(fixture, SPARE_MS);
	assert_false(take(slow, SIZE_MAX, &sum));
	fixture->stop_at_left = 2;
	pass(fixture, SPARE_MS);
	fixture->stop_at_left = 0;
	pass(fixture, 50);
	assert_true(take(slow, SIZE_MAX, &sum));
	assert_int_equal(fixture->left, 2);
	assert_int_equal(sum, 0);
	close(slow);
}

/* --- turns --- */

static uint32_t turns_in(struct fixture *fixture, bool is_busy, uint64_t ms)
{
	uint32_t before = fixture->turns;
	uint64_t start = now_ms();

	fixture->is_busy = is_busy;
	while (now_ms() - start < ms) {
		int fd = join(fixture, "all\n"), other = join(fixture, "all\n");
		size_t sum = 0;

		pass(fixture, BEAT_MS);
		take(fd, SIZE_MAX, &sum);
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
	start = now_ms();
	busy = turns_in(fixture, true, 300);
	assert_true(busy > 0);
	/* However many peers there are. */
	assert_true(busy <= (now_ms() - start) / LINES_PAUSE_MS + 1);
	assert_true(turns_in(fixture, false, 300) > 2 * busy);
}

/* Four a millisecond. */
static void connections_wait_beside_other_work(void **state)
{
	enum { MANY = 100 };
	struct fixture *fixture = *state;
	uint64_t start = now_ms();
	uint32_t over = 0;
	int fd[MANY];

	fixture->is_busy = true;
	for (uint32_t i = 0; i < MANY; i++)
		fd[i] = join(fixture, "");
	while (over < MANY - LINES_PEERS && now_ms() - start < SPARE_MS) {
		pass(fixture, 1);
		over = 0;
		for (uint32_t i = LINES_PEERS; i < MANY; i++) {
			char byte;

			over += recv(fd[i], &byte, 1, MSG_PEEK) == 1;
		}
	}
	assert_int_equal(over, MANY - LINES_PEERS);
	assert_true(now_ms() - start + COARSE_MS >= MANY / 4 * LINES_PAUSE_MS);
	for (uint32_t i = 0; i < MANY; i++)
		close(fd[i]);
}

/* Neither refused nor tried all the time. */
static void connections_wait_for_descriptors(void **state)
{
	struct fixture *fixture = *state;
	int first = join(fixture, "all\n"), second = join(fixture, "all\n"), lowest = dup(first);
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)lowest;
	close(lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	pass(fixture, 500);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_in_range(fixture->not_accepted, 1, 6);
	assert_int_equal(fixture->asked, 0);
	pass(fixture, 300);
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
		fd[i] = join(fixture, "");
	pass(fixture, ASK_MS / 2);
	for (uint32_t i = 0; i <= LINES_PEERS; i++) {
		size_t sum = 0;

		sent_away += take(fd[i], SIZE_MAX, &sum);
		assert_int_equal(sum, i < LINES_PEERS ? 0 : strlen("crowded\n"));
		close(fd[i]);
	}
	assert_int_equal(sent_away, 1);
	/* The places are free again. */
	pass(fixture, 50);
	int again = join(fixture, "all\n");
	pass(fixture, 50);
	assert_int_equal(fixture->asked, 1);
	close(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_takes_nothing_is_let_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_takes_slowly_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_line_that_is_too_long_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_talks_while_it_waits_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_says_nothing_is_let_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bytes_that_were_asked_for_are_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_does_not_send_them_is_let_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(turns_wait_beside_other_work, set_up, tear_down),
		cmocka_unit_test_setup_teardown(connections_wait_beside_other_work, set_up, tear_down),
		cmocka_unit_test_setup_teardown(connections_wait_for_descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_crowd_is_sent_away, set_up, tear_down),
	};

	signal(SIGPIPE, SIG_IGN); /* as main.c does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
