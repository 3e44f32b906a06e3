/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers of the log that hang: nothing waits for them, and what they do not take is counted and told of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "observe/log_sink.h"

enum { PATIENCE_S = 30, LINES_MAX = 100000 };

/* A sink on standard error, whose reader is ours. */
struct fixture {
	struct log_sink sink;
	int reader, writer, standard_error;
};

static void begin(struct fixture *f, const int ends[2])
{
	f->reader = ends[0];
	f->writer = ends[1];
	f->standard_error = dup(STDERR_FILENO);
	assert_true(f->standard_error >= 0);
	alarm(PATIENCE_S); /* a sink that waits fails the test */
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(dup2(f->writer, STDERR_FILENO), STDERR_FILENO);
	log_sink_start(&f->sink);
	assert_null(log_sink_open(&f->sink, "stderr", true));
}

static void end(struct fixture *f)
{
	assert_int_equal(dup2(f->standard_error, STDERR_FILENO), STDERR_FILENO);
	log_sink_close(&f->sink);
	close(f->standard_error);
	close(f->reader);
	close(f->writer);
	alarm(0);
}

/* Returns how many lines were taken before one was lost. */
static uint32_t fill(struct log_sink *sink)
{
	uint32_t taken = 0;

	for (; !sink->lost && taken < LINES_MAX; taken++)
		log_sink_write(sink, LOG_NOTICE, "a line of a log that nobody reads, as long as such lines often are");
	assert_int_equal(sink->lost, 1);
	assert_int_not_equal(sink->error, 0);
	return taken - 1;
}

static uint32_t read_all(int fd, char *last, size_t size)
{
	static char text[1 << 20];
	uint32_t lines = 0;
	ssize_t got;

	assert_return_code(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	last[0] = '\0';
	while ((got = read(fd, text, sizeof(text) - 1)) > 0) {
		char *line = text, *newline;

		text[got] = '\0';
		for (; (newline = strchr(line, '\n')); line = newline + 1) {
			*newline = '\0';
			snprintf(last, size, "%.*s", (int)size - 1, line);
			lines++;
		}
	}
	return lines;
}

static void hang_and_come_back(struct fixture *f)
{
	char last[200];
	uint32_t taken = fill(&f->sink);

	for (int i = 0; i < 4; i++)
		log_sink_write(&f->sink, LOG_ERR, "lost, too");
	log_sink_flush(&f->sink);
	assert_int_equal(f->sink.lost, 5);
	assert_int_equal(f->sink.unsaid, 5);
	assert_int_equal(read_all(f->reader, last, sizeof(last)), taken);
	log_sink_write(&f->sink, LOG_NOTICE, "back");
	assert_int_equal(f->sink.error, 0);
	assert_int_equal(f->sink.unsaid, 0);
	assert_int_equal(f->sink.lost, 5);
	assert_int_equal(read_all(f->reader, last, sizeof(last)), 2);
	assert_string_equal(last, "culvertd: back");
	f->sink.unsaid = 7;
	log_sink_flush(&f->sink);
	assert_int_equal(read_all(f->reader, last, sizeof(last)), 1);
	assert_string_equal(last,
			    "culvertd: warning: 7 lines of this log were lost; its reader did not take them in time");
}

/* Others who have the pipe go on waiting as they like: its description does not change. */
static void a_pipe_that_nobody_reads(void **state)
{
	struct fixture f;
	int ends[2];

	(void)state;
	assert_return_code(pipe(ends), 0);
	begin(&f, ends);
	assert_true(f.sink.own_stderr >= 0);
	hang_and_come_back(&f);
	assert_int_equal(fcntl(f.writer, F_GETFL) & O_NONBLOCK, 0);
	end(&f);
}

/* Where there is no /proc. */
static void a_pipe_that_cannot_be_opened_anew(void **state)
{
	struct fixture f;
	int ends[2];

	(void)state;
	assert_return_code(pipe(ends), 0);
	begin(&f, ends);
	close(f.sink.own_stderr);
	f.sink.own_stderr = -1;
	f.sink.asks_first = true;
	fill(&f.sink);
	end(&f);
}

/* As the journal has it. */
static void a_stream_that_nobody_reads(void **state)
{
	struct fixture f;
	int ends[2];

	(void)state;
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	begin(&f, ends);
	assert_true(f.sink.is_socket);
	hang_and_come_back(&f);
	assert_int_equal(fcntl(f.writer, F_GETFL) & O_NONBLOCK, 0);
	end(&f);
}

static void a_full_disk(void **state)
{
	struct log_sink sink;

	(void)state;
	log_sink_start(&sink);
	assert_null(log_sink_open(&sink, "/dev/full", true));
	log_sink_write(&sink, LOG_NOTICE, "does not fit");
	assert_int_equal(sink.lost, 1);
	log_sink_close(&sink);
}

static int serve(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_return_code(fd, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_return_code(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Returns the text of the next message, behind its head. */
static const char *receive(int fd, char text[LOG_SINK_LINE])
{
	char head[64];
	ssize_t got = recv(fd, text, LOG_SINK_LINE - 1, MSG_DONTWAIT);
	const char *found;

	assert_true(got > 0);
	text[got] = '\0';
	snprintf(head, sizeof(head), " culvertd[%d]: ", (int)getpid());
	found = strstr(text, head);
	assert_non_null(found);
	return found + strlen(head);
}

/* A daemon that hangs, one that is started anew, and none. */
static void syslog_daemons(void **state)
{
	char folder[] = "/tmp/culvert-test-sink-XXXXXX", path[64], text[LOG_SINK_LINE];
	struct log_sink sink;
	uint32_t taken;
	int fd;

	(void)state;
	alarm(PATIENCE_S);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	log_sink_start(&sink);
	log_sink_open_syslog(&sink, path);
	log_sink_write(&sink, LOG_NOTICE, "to nobody");
	assert_int_equal(sink.lost, 1);
	fd = serve(path);
	log_sink_write(&sink, LOG_NOTICE, "first");
	assert_string_equal(receive(fd, text), "1 line of this log was lost; its reader did not take them in time");
	assert_string_equal(receive(fd, text), "first");
	assert_int_equal(strncmp(text, "<29>", 4), 0); /* daemon.notice */
	sink.lost = 0;
	taken = fill(&sink);
	for (uint32_t i = 0; i < taken; i++)
		receive(fd, text);
	log_sink_flush(&sink);
	receive(fd, text);
	close(fd);
	assert_return_code(unlink(path), 0);
	fd = serve(path);
	log_sink_write(&sink, LOG_ERR, "the next one");
	assert_string_equal(receive(fd, text), "the next one");
	log_sink_close(&sink);
	close(fd);
	unlink(path);
	rmdir(folder);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pipe_that_nobody_reads),
		cmocka_unit_test(a_pipe_that_cannot_be_opened_anew),
		cmocka_unit_test(a_stream_that_nobody_reads),
		cmocka_unit_test(a_full_disk),
		cmocka_unit_test(syslog_daemons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
