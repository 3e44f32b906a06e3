/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log, into a file and into standard error; and the pid file, which needs the same directory.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/options.h"
#include "daemon/background.h"
#include "daemon/pidfile.h"
#include "io/clock.h"
#include "observe/log.h"

/* The log's clock, in place of that of src/io/clock.c. */
static uint64_t now_ms = 1;

uint64_t clock_now_ms(void)
{
	return now_ms;
}

struct fixture {
	char directory[64], path[96], other[96];
	struct log *log;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	unsetenv("JOURNAL_STREAM");
	snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/culvert-test-log-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/log", fixture->directory);
	snprintf(fixture->other, sizeof(fixture->other), "%s/other", fixture->directory);
	fixture->log = log_new();
	*state = fixture;
	return fixture->log ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	log_free(fixture->log);
	unlink(fixture->path);
	unlink(fixture->other);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

static const char *contents(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	assert_true(got >= 0);
	if (fd >= 0)
		close(fd);
	text[got] = '\0';
	return text;
}

static unsigned int count(const char *text, const char *word)
{
	unsigned int found = 0;

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		found++;
	return found;
}

static void writes_a_file(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	assert_true(log_open(fixture->log, fixture->path, true));
	log_write(fixture->log, LOG_WARNING, "device %s is gone", "eth\n0\x1b");
	log_write(fixture->log, LOG_DEBUG, "not wanted");
	log_report(fixture->log, LOG_ERR, "number %d", 7);
	log_report_text(fixture->log, LOG_NOTICE, "100%s of it");
	log_line(fixture->log, "a line");
	assert_non_null(strstr(contents(fixture->path), "Z warning: device eth\\x0a0\\x1b is gone\n"));
	assert_non_null(strstr(contents(fixture->path), "Z error: number 7\n"));
	assert_non_null(strstr(contents(fixture->path), "Z notice: 100%s of it\n"));
	assert_null(strstr(contents(fixture->path), "not wanted"));
	assert_int_equal(count(contents(fixture->path), "\n"), 4);
	assert_int_equal(stat(fixture->path, &status), 0);
	assert_int_equal(status.st_mode & 07, 0);
	assert_true(log_wants(fixture->log, LOG_INFO));
	assert_false(log_wants(fixture->log, LOG_DEBUG));
	log_set_level(fixture->log, LOG_ERR);
	log_report_text(fixture->log, LOG_NOTICE, "not this");
	log_line(fixture->log, "asked for");
	assert_null(strstr(contents(fixture->path), "not this"));
	assert_non_null(strstr(contents(fixture->path), "notice: asked for\n"));
	log_set_level(fixture->log, LOG_DEBUG);
	assert_true(log_wants(fixture->log, LOG_DEBUG));
}

struct heard {
	uint32_t lines;
	int level;
	char text[512];
};

static void hear(void *context, int level, const char *text)
{
	struct heard *heard = context;

	heard->lines++;
	heard->level = level;
	snprintf(heard->text, sizeof(heard->text), "%s", text);
}

/* Whatever is written, but not more often. */
static void is_heard_at_any_level(void **state)
{
	struct fixture *fixture = *state;
	struct heard heard = {.lines = 0};

	assert_true(log_open(fixture->log, fixture->path, true));
	log_listen(fixture->log, hear, &heard);
	log_set_level(fixture->log, LOG_ERR);
	log_write(fixture->log, LOG_NOTICE, "device %s is gone", "eth\n0");
	assert_int_equal(heard.lines, 1);
	assert_int_equal(heard.level, LOG_NOTICE);
	assert_string_equal(heard.text, "device eth\\x0a0 is gone");
	log_write(fixture->log, LOG_INFO, "not of interest");
	log_event(fixture->log, LOG_NOTICE, "a tunnel, told otherwise");
	log_line(fixture->log, "what was asked for");
	assert_int_equal(heard.lines, 1);
	log_report_text(fixture->log, LOG_WARNING, "100%s of it");
	assert_int_equal(heard.lines, 2);
	for (int i = 0; i < 3 * LOG_BURST; i++)
		log_report(fixture->log, LOG_WARNING, "again");
	assert_int_equal(heard.lines, 2 + LOG_BURST);
	now_ms += LOG_WINDOW_S * 1000;
	log_flush(fixture->log);
	assert_string_equal(heard.text, "20 similar messages suppressed: again");
	log_listen(fixture->log, NULL, NULL);
	log_write(fixture->log, LOG_ERR, "an error");
	assert_int_equal(heard.lines, 3 + LOG_BURST);
	assert_int_equal(count(contents(fixture->path), "\n"), 2);
	assert_non_null(strstr(contents(fixture->path), "Z notice: what was asked for\n"));
	assert_non_null(strstr(contents(fixture->path), "Z error: an error\n"));
}

static void limits_the_rate(void **state)
{
	struct fixture *fixture = *state;
	const char *text;

	assert_true(log_open(fixture->log, fixture->path, true));
	for (int i = 0; i < 1000; i++)
		log_write(fixture->log, LOG_WARNING, "flood %d", i);
	log_write(fixture->log, LOG_WARNING, "something else");
	for (int i = 0; i < 100; i++)
		log_line(fixture->log, "wanted line");
	text = contents(fixture->path);
	assert_int_equal(count(text, "flood"), LOG_BURST);
	assert_int_equal(count(text, "something else"), 1);
	assert_int_equal(count(text, "wanted line"), 100);
	log_flush(fixture->log); /* the window is still open */
	assert_int_equal(count(contents(fixture->path), "suppressed"), 0);
	now_ms += LOG_WINDOW_S * 1000;
	log_flush(fixture->log);
	log_flush(fixture->log);
	assert_int_equal(count(contents(fixture->path), "suppressed"), 1);
	assert_non_null(strstr(contents(fixture->path), "warning: 990 similar messages suppressed: flood ...\n"));
	/* The next one after the window tells as well, and is written. */
	for (int i = 0; i < LOG_BURST + 2; i++) {
		if (i == LOG_BURST + 1)
			now_ms += LOG_WINDOW_S * 1000;
		log_write(fixture->log, LOG_WARNING, "once %d", i);
	}
	assert_non_null(strstr(contents(fixture->path), "warning: 1 similar messages suppressed: once ...\n"));
	assert_non_null(strstr(contents(fixture->path), "warning: once 11\n"));
}

/* Messages in turn do not hide each other, wherever their texts stand in memory. */
static void limits_each_of_many(void **state)
{
	enum { FORMATS = 50, TURNS = 2 * LOG_BURST };
	static char formats[FORMATS][16];
	struct fixture *fixture = *state;

	assert_true(log_open(fixture->log, fixture->path, true));
	for (int turn = 0; turn < TURNS; turn++)
		for (int i = 0; i < FORMATS; i++) {
			snprintf(formats[i], sizeof(formats[i]), "<%d>", i);
			log_report(fixture->log, LOG_WARNING, formats[i]);
		}
	for (int i = 0; i < FORMATS; i++)
		assert_int_equal(count(contents(fixture->path), formats[i]), LOG_BURST);
}

/* What comes and goes is limited, too, but not so soon. */
static void writes_more_events(void **state)
{
	struct fixture *fixture = *state;

	assert_true(log_open(fixture->log, fixture->path, true));
	for (int i = 0; i < LOG_EVENT_BURST + 5; i++)
		log_event(fixture->log, LOG_NOTICE, "came %d", i);
	assert_int_equal(count(contents(fixture->path), "came"), LOG_EVENT_BURST);
}

/* The end comes before the window is over. */
static void tells_of_the_suppressed_at_the_end(void **state)
{
	struct fixture *fixture = *state;

	assert_true(log_open(fixture->log, fixture->path, true));
	for (int i = 0; i < LOG_BURST + 3; i++)
		log_write(fixture->log, LOG_WARNING, "late %d of %.10s, 100 %%, %08" PRIx64 "%%", i, "%x", (uint64_t)i);
	log_free(fixture->log);
	fixture->log = NULL;
	assert_non_null(strstr(contents(fixture->path),
			       "warning: 3 similar messages suppressed: late ... of ..., 100 %, ...%\n"));
}

static void opens_again(void **state)
{
	struct fixture *fixture = *state;

	assert_true(log_open(fixture->log, fixture->path, true));
	log_write(fixture->log, LOG_INFO, "first");
	assert_int_equal(rename(fixture->path, fixture->other), 0);
	log_write(fixture->log, LOG_INFO, "second");
	log_reopen(fixture->log);
	log_write(fixture->log, LOG_INFO, "third");
	assert_non_null(strstr(contents(fixture->other), "second"));
	assert_null(strstr(contents(fixture->other), "third"));
	assert_non_null(strstr(contents(fixture->path), "third"));
}

static void does_not_follow_links(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(symlink(fixture->other, fixture->path), 0);
	assert_false(log_open(fixture->log, fixture->path, true));
	assert_int_equal(access(fixture->other, F_OK), -1);
}

/* What write_all() writes to standard error. */
static const char *on_stderr(struct fixture *fixture, void (*write_all)(struct fixture *fixture))
{
	int saved = dup(STDERR_FILENO), file = open(fixture->other, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(saved >= 0 && file >= 0);
	assert_true(dup2(file, STDERR_FILENO) >= 0);
	write_all(fixture);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	close(file);
	return contents(fixture->other);
}

static void write_two(struct fixture *fixture)
{
	assert_true(log_open(fixture->log, "auto", true));
	log_write(fixture->log, LOG_ERR, "bad");
	log_write(fixture->log, LOG_INFO, "good");
}

static void write_two_to_journal(struct fixture *fixture)
{
	struct stat status;
	char stream[64];

	assert_int_equal(fstat(STDERR_FILENO, &status), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	write_two(fixture);
}

static void write_two_to_wrong_journal(struct fixture *fixture)
{
	assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	write_two(fixture);
}

static void write_two_in_background(struct fixture *fixture)
{
	assert_true(log_open(fixture->log, fixture->path, false));
	log_write(fixture->log, LOG_ERR, "bad");
	log_write(fixture->log, LOG_INFO, "good");
}

static void writes_standard_error(void **state)
{
	assert_string_equal(on_stderr(*state, write_two), "culvertd: error: bad\nculvertd: good\n");
}

static void writes_the_journal(void **state)
{
	assert_string_equal(on_stderr(*state, write_two_to_journal), "<3>bad\n<6>good\n");
}

static void knows_another_journal(void **state)
{
	assert_string_equal(on_stderr(*state, write_two_to_wrong_journal), "culvertd: error: bad\nculvertd: good\n");
}

static void copies_errors_in_background(void **state)
{
	struct fixture *fixture = *state;

	assert_string_equal(on_stderr(fixture, write_two_in_background), "culvertd: error: bad\n");
	assert_non_null(strstr(contents(fixture->path), "good"));
}

static void pidfile_holds_and_tells(void **state)
{
	struct fixture *fixture = *state;
	struct pidfile first, second;
	char number[32], message[256];

	assert_true(log_open(fixture->log, fixture->other, true));
	assert_int_equal(pidfile_open(&first, fixture->path, fixture->log), EXIT_OK);
	snprintf(number, sizeof(number), "%ld\n", (long)getpid());
	assert_string_equal(contents(fixture->path), number);
	assert_int_equal(pidfile_open(&second, fixture->path, fixture->log), EXIT_FILE);
	snprintf(message, sizeof(message), "running already: process %ld holds %s", (long)getpid(), fixture->path);
	assert_non_null(strstr(contents(fixture->other), message));
	assert_string_equal(contents(fixture->path), number);
	pidfile_close(&first);
	assert_int_equal(access(fixture->path, F_OK), -1);
	pidfile_close(&second); /* never opened: nothing happens */
}

static void pidfile_takes_over_leftovers(void **state)
{
	struct fixture *fixture = *state;
	struct pidfile pidfile;
	FILE *file = fopen(fixture->path, "w");
	char number[32];

	assert_non_null(file);
	fputs("4194304000000000000\nand more\n", file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(pidfile_open(&pidfile, fixture->path, fixture->log), EXIT_OK);
	snprintf(number, sizeof(number), "%ld\n", (long)getpid());
	assert_string_equal(contents(fixture->path), number);
	pidfile_close(&pidfile);
}

static void pidfile_refuses_links_and_fifos(void **state)
{
	struct fixture *fixture = *state;
	struct pidfile pidfile;

	assert_true(log_open(fixture->log, "auto", true));
	log_set_level(fixture->log, LOG_EMERG);
	assert_int_equal(symlink(fixture->other, fixture->path), 0);
	assert_int_equal(pidfile_open(&pidfile, fixture->path, fixture->log), EXIT_FILE);
	assert_int_equal(access(fixture->other, F_OK), -1);
	assert_int_equal(unlink(fixture->path), 0);
	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	assert_int_equal(pidfile_open(&pidfile, fixture->path, fixture->log), EXIT_FILE);
	assert_int_equal(pidfile_open(&pidfile, "/nonexistent/x", fixture->log), EXIT_FILE);
}

/* The exit code of a process that goes into the background and there either ends with code, or says that it is ready.
 */
static int background_code(int code)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		int ready_fd = -1;

		if (background_start(&ready_fd, NULL) != EXIT_OK)
			_exit(99);
		if (code >= 0)
			_exit(code);
		background_ready(ready_fd);
		_exit(77); /* nobody waits for this one any more */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void background_passes_the_code(void **state)
{
	(void)state;
	assert_int_equal(background_code(4), 4);
	assert_int_equal(background_code(0), 0);
	assert_int_equal(background_code(-1), EXIT_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(is_heard_at_any_level, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_the_rate, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_each_of_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_more_events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_of_the_suppressed_at_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(opens_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(does_not_follow_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_standard_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_the_journal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(knows_another_journal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(copies_errors_in_background, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pidfile_holds_and_tells, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pidfile_takes_over_leftovers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pidfile_refuses_links_and_fifos, set_up, tear_down),
		cmocka_unit_test(background_passes_the_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
