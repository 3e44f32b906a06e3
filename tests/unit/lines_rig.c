/* SPDX-License-Identifier: BSD-2-Clause */
/* The server's handlers, which count, and peers as plain sockets. */
#include "lines_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct memory {
	uint32_t rows;
	bool has_expected;
};

uint64_t lines_rig_now_ms(void)
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
	if (!strcmp(line, "some"))
		fixture->known = peer;
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

	if (lines_rig_now_ms() >= fixture->stop_ms || (fixture->stop_at_left && fixture->left >= fixture->stop_at_left))
		loop_stop(fixture->loop);
}

/* --- the fixture --- */

static void listen_somewhere(struct fixture *fixture)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(fixture->path, sizeof(fixture->path), "test_lines.%d", (int)getpid());
	memcpy(address.sun_path, fixture->path, sizeof(fixture->path));
	unlink(fixture->path);
	fixture->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fixture->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fixture->listener, 128), 0);
}

int lines_rig_set_up(void **state)
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
	fixture->lines = lines_new(loop_base(fixture->loop), fixture->listener, &handlers);
	assert_non_null(fixture->lines);
	*state = fixture;
	return 0;
}

int lines_rig_tear_down(void **state)
{
	struct fixture *fixture = *state;

	lines_free(fixture->lines);
	loop_free(fixture->loop);
	close(fixture->listener);
	unlink(fixture->path);
	free(fixture);
	return 0;
}

int lines_rig_join(const struct fixture *fixture, const char *text)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, fixture->path, sizeof(fixture->path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

void lines_rig_pass(struct fixture *fixture, uint64_t ms)
{
	fixture->stop_ms = lines_rig_now_ms() + ms;
	assert_true(loop_run(fixture->loop));
}

bool lines_rig_take(int fd, size_t most, size_t *sum)
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
