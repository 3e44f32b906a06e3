/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#include "config/options.h"

enum { WORDS_MAX = 16 };

/* Parses line, split at spaces; "@" stands for an empty word. What is said about errors goes to said. */
static int parse(struct options *options, const char *line, char *said, size_t size)
{
	static char words[512];
	char *argv[WORDS_MAX + 1] = {(char[]){"culvertd"}}, *rest = words;
	int argc = 1, code;
	FILE *errors = fmemopen(said, size, "w");

	assert_non_null(errors);
	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strsep(&rest, " "); word && argc < WORDS_MAX; word = strsep(&rest, " ")) {
		if (*word)
			argv[argc++] = *word == '@' ? word + 1 : word;
	}
	code = options_parse(options, argc, argv, errors);
	assert_int_equal(fclose(errors), 0);
	return code;
}

static void defaults(void **state)
{
	struct options options;
	char said[1024] = "";

	(void)state;
	assert_int_equal(parse(&options, "", said, sizeof(said)), EXIT_OK);
	assert_int_equal(options.action, ACTION_RUN);
	assert_string_equal(options.source.path, "/etc/culvert/culvert.ini");
	assert_true(options.source.optional);
	assert_null(options.source.lan);
	assert_null(options.pidfile);
	assert_null(options.user);
	assert_string_equal(options.state_dir, "/run/culvert");
	assert_false(options.foreground);
	assert_int_equal(options.verbosity, 0);
	assert_int_equal(options.ready_fd, -1);
}

static void reads_options(void **state)
{
	struct options options;
	char said[1024] = "";

	(void)state;
	assert_int_equal(parse(&options, "-c x.ini --lan eth1 --wan=eth0 -fvv -u nobody -p /p --state-dir /s", said,
			       sizeof(said)),
			 EXIT_OK);
	assert_string_equal(options.source.path, "x.ini");
	assert_false(options.source.optional);
	assert_string_equal(options.source.lan, "eth1");
	assert_string_equal(options.source.wan, "eth0");
	assert_true(options.foreground);
	assert_int_equal(options.verbosity, 2);
	assert_string_equal(options.user, "nobody");
	assert_string_equal(options.pidfile, "/p");
	assert_string_equal(options.state_dir, "/s");
	assert_int_equal(
		parse(&options, "--foreground --config y --quiet --pidfile q --user w --verbose", said, sizeof(said)),
		EXIT_OK);
	assert_string_equal(options.source.path, "y");
	assert_int_equal(options.verbosity, 1);
}

static void reads_actions(void **state)
{
	static const struct {
		const char *line;
		enum action action;
	} cases[] = {
		{"--check", ACTION_CHECK},
		{"-t", ACTION_CHECK},
		{"--check x", ACTION_CHECK},
		{"-n", ACTION_DRY_RUN},
		{"--dry-run", ACTION_DRY_RUN},
		{"--cleanup", ACTION_CLEANUP},
		{"--print-config", ACTION_PRINT_CONFIG},
		{"--print-defaults", ACTION_PRINT_DEFAULTS},
		{"--version", ACTION_VERSION},
		{"--version -v", ACTION_VERSION},
		{"-h", ACTION_HELP},
		{"--check --help", ACTION_HELP},
	};
	struct options options;
	char said[1024] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(&options, cases[i].line, said, sizeof(said)), EXIT_OK);
		assert_int_equal(options.action, cases[i].action);
	}
	parse(&options, "--check my.ini", said, sizeof(said));
	assert_string_equal(options.source.path, "my.ini");
	assert_false(options.source.optional);
	parse(&options, "-t -c my.ini", said, sizeof(said));
	assert_string_equal(options.source.path, "my.ini");
}

static void refuses(void **state)
{
	static const struct {
		const char *line, *said;
	} cases[] = {
		{"--chek", "unknown option --chek (did you mean --check?)"},
		{"--lna=x", "unknown option --lna (did you mean --lan?)"},
		{"--zzzzzzz", "unknown option --zzzzzzz\n"},
		{"-Z", "unknown option -Z\n"},
		{"-fZ", "unknown option -Z\n"},
		{"--lan", "an argument is missing after --lan"},
		{"-c", "an argument is missing after -c"},
		{"--lan=", "an argument is empty"},
		{"--lan @", "an argument is empty, of --lan"},
		{"--quiet=3", "this option takes no argument: --quiet"},
		{"--check=x", "this option takes no argument: --check"},
		{"foo", "unexpected word foo"},
		{"--check a b", "more than one file to check: b"},
		{"--check a -c b", "more than one file to check: a"},
		{"--check --dry-run", "only one of --check"},
		{"--\x1b[0m", "unknown option --\\x1b[0m"},
	};
	struct options options;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char said[1024] = "";

		assert_int_equal(parse(&options, cases[i].line, said, sizeof(said)), EXIT_USAGE);
		if (!strstr(said, cases[i].said))
			fail_msg("%s said: %s", cases[i].line, said);
		assert_non_null(strstr(said, "\nusage: culvertd"));
	}
}

static void helps(void **state)
{
	char text[8192] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	static const char *const options[] = {"-c, --config FILE", "--lan DEVICE", "-t, --check", "--print-defaults",
					      "-h, --help"};

	(void)state;
	assert_non_null(out);
	options_print_help(out);
	assert_int_equal(fclose(out), 0);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		assert_non_null(strstr(text, options[i]));
}

static void combines_levels(void **state)
{
	struct options options = {0};
	struct config config = {.log_level = LOG_INFO};

	(void)state;
	assert_int_equal(options_log_level(&options, &config), LOG_INFO);
	options.verbosity = 1;
	assert_int_equal(options_log_level(&options, &config), LOG_DEBUG);
	options.verbosity = 5;
	assert_int_equal(options_log_level(&options, &config), LOG_DEBUG);
	options.verbosity = -1;
	assert_int_equal(options_log_level(&options, &config), LOG_WARNING);
	config.log_level = LOG_ERR;
	assert_int_equal(options_log_level(&options, &config), LOG_ERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults), cmocka_unit_test(reads_options), cmocka_unit_test(reads_actions),
		cmocka_unit_test(refuses),  cmocka_unit_test(helps),         cmocka_unit_test(combines_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
