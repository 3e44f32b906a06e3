/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of culvertctl: options before, behind and between the words of a verb, and KEY=VALUE words as
 * options.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <culvert/exit.h>

#include "ctl/options.h"
#include "ctl/verbs.h"

enum { WORDS_MAX = 48, SAID = 4096 };

static struct ctl_options options;
static char line_words[4096], said[SAID];

/* Parses line, split at spaces; "@" stands for an empty word. */
static int parse(const char *line)
{
	char *argv[WORDS_MAX + 1] = {(char[]){"culvertctl"}}, *rest = line_words;
	int argc = 1, code;
	FILE *errors = fmemopen(said, sizeof(said), "w");

	assert_non_null(errors);
	memset(said, 0, sizeof(said));
	snprintf(line_words, sizeof(line_words), "%s", line);
	for (char *word = strsep(&rest, " "); word && argc < WORDS_MAX; word = strsep(&rest, " "))
		argv[argc++] = *word == '@' ? word + 1 : word;
	code = options_parse(&options, argc, argv, errors);
	assert_int_equal(fclose(errors), 0);
	return code;
}

/* The words of the request, with blanks between them. */
static const char *request(void)
{
	static char text[4096];
	size_t used = 0;

	for (size_t i = 0; i < options.count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i == 0 ? "" : " ", options.words[i]);
	return text;
}

static void keys_are_options(void **state)
{
	static const struct {
		const char *line, *request;
	} cases[] = {
		{"mappings --host 10.0.0.2", "mappings host=10.0.0.2"},
		{"mappings --host=10.0.0.2", "mappings host=10.0.0.2"},
		{"--host 10.0.0.2 mappings", "mappings host=10.0.0.2"},
		{"--host=10.0.0.2 map -j", "mappings host=10.0.0.2"},
		{"mappings proto=tcp --host 10.0.0.2 port=80", "mappings proto=tcp port=80 host=10.0.0.2"},
		{"explain --call-id 513 in gre 203.0.113.1 198.51.100.2",
		 "explain in gre 203.0.113.1 198.51.100.2 call-id=513"},
		{"explain in --spi=0xc0ffee01 udp a --df yes b", "explain in udp a b spi=0xc0ffee01 df=yes"},
		{"drops --explain filtered", "drops explain=filtered"},
		{"--confirm 60 reload", "reload confirm=60"},
		/* a beginning is enough while only one of the verb's options begins so */
		{"mappings --ho 10.0.0.2", "mappings host=10.0.0.2"},
		{"mappings --re 10.0.0.2", "mappings remote=10.0.0.2"},
		{"trace --drops=yes --count 1", "trace drops=yes count=1"},
		/* nothing is judged here that culvertd judges */
		{"mappings --host @ --host x=y host=", "mappings host= host= host=x=y"},
		{"rehearse -- --host", "rehearse --host"},
		{NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; cases[i].line; i++) {
		if (parse(cases[i].line) != EXIT_OK)
			fail_msg("%s: %s", cases[i].line, said);
		assert_string_equal(request(), cases[i].request);
		assert_string_equal(said, "");
	}
}

static void options_stand_anywhere(void **state)
{
	(void)state;
	assert_int_equal(parse("-j mappings --host 10.0.0.2 --socket /s -o tsv"), EXIT_OK);
	assert_string_equal(options.socket, "/s");
	assert_int_equal(options.format, ANSWER_TSV);
	assert_string_equal(options.verb->name, "mappings");
	assert_true(options.names_verb);
	assert_int_equal(parse("--watch"), EXIT_OK);
	assert_true(options.watch);
	assert_string_equal(request(), "status");
	assert_false(options.names_verb);
	assert_int_equal(parse("capture -w - --snap 64"), EXIT_OK);
	assert_string_equal(options.write, "-");
	assert_string_equal(request(), "capture snap=64");
	assert_int_equal(parse("mappings --help"), EXIT_OK);
	assert_true(options.wants_help);
	assert_string_equal(options.verb->name, "mappings");
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *line, *said;
	} cases[] = {
		{"mappings --hots 1",
		 "mappings has no option --hots (did you mean --host?); its own are --host, --remote, "},
		{"mappings --hots=1", "mappings has no option --hots (did you mean --host?)"},
		{"mappings --p 1", "mappings has no option --p; its own are --host, --remote, --proto, --port, "},
		{"mappings --confirm 5", "mappings has no option --confirm; its own are"},
		{"mappings --confirm 5", "; verbs with it: reload; culvertctl --help says more\n"},
		{"status --jsno", "status has no option --jsno (did you mean --json?); culvertctl --help says more\n"},
		{"--host 10.0.0.2", "status has no option --host; verbs with it: mappings, tunnels, trace, capture; "},
		{"--zzzzzz", "status has no option --zzzzzz; culvertctl --help"},
		{"--zzzzzz 5 mappings", "there is no such option: --zzzzzz"},
		{"-Z mappings", "mappings has no option -Z; its own are"},
		{"--\033[1m", "status has no option --\\x1b[1m; "},
		{"mappings --host", "an argument is missing: write --host ADDRESS\n"},
		{"trace --drops", "an argument is missing: write --drops yes\n"},
		{"status -o", "an argument is missing after -o"},
		{"status --json=5", "this option takes no argument: --json=5"},
		{"nothing --host 1", "nothing is not a verb"},
		{"mappings --watch --write x", "--write goes with capture"},
		{NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; cases[i].line; i++) {
		if (parse(cases[i].line) != EXIT_USAGE)
			fail_msg("%s is taken", cases[i].line);
		if (!strstr(said, cases[i].said))
			fail_msg("%s: %s", cases[i].line, said);
	}
}

static void too_much_is_refused(void **state)
{
	char line[2048];
	int used = snprintf(line, sizeof(line), "mappings");

	(void)state;
	for (int i = 0; i < OPTIONS_WORDS - 1; i++)
		used += snprintf(line + used, sizeof(line) - (size_t)used, i % 2 ? " --port 1" : " port=1");
	assert_int_equal(parse(line), EXIT_OK);
	assert_int_equal(options.count, OPTIONS_WORDS);
	snprintf(line + used, sizeof(line) - (size_t)used, " port=1");
	assert_int_equal(parse(line), EXIT_USAGE);
	assert_non_null(strstr(said, "that many arguments"));
	snprintf(line, sizeof(line), "mappings --host %01020d", 0);
	assert_int_equal(parse(line), EXIT_USAGE);
	assert_non_null(strstr(said, "too long for a request"));
}

/* What other programs call them. */
static void aliases_are_known(void **state)
{
	static const struct {
		const char *line, *request;
	} cases[] = {
		{"show", "status"},
		{"list", "status"},
		{"show mappings --host 10.0.0.2", "mappings host=10.0.0.2"},
		{"--host 10.0.0.2 list map", "mappings host=10.0.0.2"},
		{"help show", "help show"},
		{NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; cases[i].line; i++) {
		assert_int_equal(parse(cases[i].line), EXIT_OK);
		assert_string_equal(request(), cases[i].request);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(parse((const char *[]){"version", "-V", "--version"}[i]), EXIT_OK);
		assert_true(options.wants_version);
	}
	assert_int_equal(parse("-q"), EXIT_OK);
	assert_true(options.quiet);
	assert_int_equal(parse("drops -q"), EXIT_USAGE);
	assert_int_equal(parse("drops -y"), EXIT_USAGE);
}

/* Errors speak of what was typed. */
static void errors_are_in_the_words_that_were_typed(void **state)
{
	static const struct {
		const char *line, *error, *typed;
	} cases[] = {
		{"mappings --limit x", "limit= takes a number, not x", "--limit takes a number, not x"},
		{"mappings limit=x", "limit= takes a number, not x", "limit= takes a number, not x"},
		{"mappings sort=age --limit x", "with sort=, limit= is small", "with sort=, --limit is small"},
		{"mappings --host x", "xhost=x: host=x", "xhost=x: --host x"},
		{"mappings", "host=x", "host=x"},
		{NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; cases[i].line; i++) {
		char *typed;

		assert_int_equal(parse(cases[i].line), EXIT_OK);
		typed = options_as_typed(&options, cases[i].error);
		assert_string_equal(typed, cases[i].typed);
		free(typed);
	}
}

/* Every key that any verb has is an option of it, none of which is one of culvertctl's own. */
static void all_keys_are_options(void **state)
{
	struct verb_key key;
	uint32_t keys = 0;
	char line[128], expected[128];

	(void)state;
	for (size_t i = 0; i < verb_count; i++) {
		for (const char *at = NULL; verbs_next_key(&verb_texts[i], &at, &key); keys++) {
			snprintf(line, sizeof(line), "%s --%s 1", verb_texts[i].name, key.name);
			snprintf(expected, sizeof(expected), "%s %s=1", verb_texts[i].name, key.name);
			assert_int_equal(parse(line), EXIT_OK);
			assert_string_equal(request(), expected);
			assert_true(key.value[0] != '\0');
			for (const struct option_text *text = option_texts; text->name; text++)
				assert_string_not_equal(text->name, key.name);
		}
	}
	assert_true(keys > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_options),
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(all_keys_are_options),
		cmocka_unit_test(aliases_are_known),
		cmocka_unit_test(errors_are_in_the_words_that_were_typed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
