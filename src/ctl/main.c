/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * culvertctl: one request to culvertd, its answer, and an exit code.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "ctl/answer.h"
#include "ctl/complete.h"
#include "ctl/human.h"
#include "ctl/names.h"
#include "ctl/offer.h"
#include "ctl/options.h"
#include "ctl/question.h"
#include "ctl/save.h"
#include "ctl/talk.h"
#include "ctl/top.h"
#include "ctl/verbs.h"
#include "io/standard_files.h"

struct ctl {
	struct ctl_options options;
	struct talk talk;
	struct row row;
	struct answer answer;
	struct save save;
	struct offer offer;
	char first_error[512]; /* of the findings that people were told */
	char unwell[512];      /* why nothing is forwarded, for who asks for nothing else */
};

static void report(const char *error)
{
	char *shown = human_escape(error);

	fprintf(stderr, "culvertctl: %s\n", shown ? shown : "no memory");
	free(shown);
}

/* What culvertd says of the request, in the words that it was typed in. */
static void report_answer(const struct ctl *ctl, const char *error)
{
	char *typed = options_as_typed(&ctl->options, error);

	report(typed ? typed : error);
	free(typed);
}

/* --- status --quiet --- */

/* Keeps the first warning that means that nothing is forwarded. */
static void judge_health(struct ctl *ctl)
{
	static const char *const bad[] = {"wan-gone",           "wan-down",         "lan-down",
					  "no-outside-address", "no-default-route", "gateway-silent"};
	const char *name = row_text(&ctl->row, "warning");

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) && !ctl->unwell[0]; i++)
		if (!strcmp(bad[i], name))
			snprintf(ctl->unwell, sizeof(ctl->unwell), "%s", row_text(&ctl->row, "text"));
}

static int tell_health(const struct ctl *ctl, int code)
{
	if (code != EXIT_OK || !ctl->unwell[0])
		return code;
	report(ctl->unwell);
	return EXIT_NETWORK;
}

/* --- the answer --- */

/* On a terminal a stream without events looks like one that does not work. */
static void say_what_comes(const struct ctl_options *options)
{
	bool is_watch = !strcmp(options->verb->name, "watch");

	if (options->verb->flags & VERB_STREAMS && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO))
		fprintf(stderr, "culvertctl: waiting for %s; Ctrl-C ends this\n",
			is_watch ? "tunnels and messages" : "packets");
}

/* People see each error as a line where errors go, once. False: it is a row like others. */
static bool take_error(struct ctl *ctl)
{
	const char *text = row_text(&ctl->row, "text");

	if (ctl->options.format != ANSWER_TABLE || strcmp(row_text(&ctl->row, "kind"), "finding") != 0 ||
	    strcmp(row_text(&ctl->row, "severity"), "error") != 0)
		return false;
	report(text);
	if (!ctl->first_error[0])
		snprintf(ctl->first_error, sizeof(ctl->first_error), "%s", text);
	return true;
}

/* The error of the last line is the first of the findings, if there are any, and may be cut, with "..." then. */
static bool was_told(const struct ctl *ctl, const char *error)
{
	size_t length = strlen(error);

	if (length > 3 && !strcmp(error + length - 3, "..."))
		length -= 3;
	return ctl->first_error[0] && !strncmp(ctl->first_error, error, length);
}

/* A line that is not the last one. An exit code, after having said what is wrong. */
static int take_row(struct ctl *ctl, const char *line)
{
	if (row_find(&ctl->row, "schema"))
		say_what_comes(&ctl->options);
	if (take_error(ctl))
		return EXIT_OK;
	if (ctl->options.quiet) {
		judge_health(ctl);
		return EXIT_OK;
	}
	if (ctl->options.write)
		return save_add(&ctl->save, &ctl->row);
	if (ctl->offer.text && !strcmp(row_text(&ctl->row, "kind"), "send")) {
		talk_send(&ctl->talk, ctl->offer.text, ctl->offer.size);
		return EXIT_OK;
	}
	if (row_find(&ctl->row, "schema")) {
		answer_schema(&ctl->answer, &ctl->row, line);
	} else if (!answer_add(&ctl->answer, &ctl->row, line)) {
		report("no memory");
		return EXIT_NETWORK;
	}
	if (!ferror(stdout))
		return EXIT_OK;
	fprintf(stderr, "culvertctl: standard output: %s\n", strerror(errno));
	return EXIT_FILE;
}

/* Everything that comes, to the last line. */
static int take_answer(struct ctl *ctl)
{
	const struct row_member *code;
	const char *line;
	int failed;

	for (;;) {
		failed = talk_next(&ctl->talk, &ctl->row, &line);
		if (failed == TALK_STOPPED)
			return failed;
		if (failed) {
			answer_end(&ctl->answer, failed, "the answer is not complete");
			return failed;
		}
		code = row_find(&ctl->row, "code");
		if (code)
			break;
		failed = take_row(ctl, line);
		if (failed) {
			answer_end(&ctl->answer, failed, "the answer could not be taken");
			return failed;
		}
	}
	failed = (int)row_member_number(code);
	answer_end(&ctl->answer, failed, row_text(&ctl->row, "error"));
	if (failed && !was_told(ctl, row_text(&ctl->row, "error")))
		report_answer(ctl, row_text(&ctl->row, "error"));
	return failed;
}

static enum answer_look look_of(const char *verb)
{
	if (!strcmp(verb, "status"))
		return ANSWER_STATUS;
	return strcmp(verb, "metrics") ? ANSWER_PLAIN : ANSWER_METRICS;
}

/* The rows of a capture that goes to a file are not shown, and nothing is of a health probe. */
static enum answer_format form_of(const struct ctl_options *options)
{
	if (options->quiet)
		return ANSWER_LINES;
	return options->write ? ANSWER_TABLE : options->format;
}

/* A row of a list by its name: tunnels pptp-3, mappings 42. */
static bool asks_for_one(const struct ctl_options *options)
{
	const char *name = options->verb->name, *word = options->count > 1 ? options->words[1] : "";
	const char *digits = strcmp(name, "tunnels") ? word : strrchr(word, '-');

	if ((strcmp(name, "tunnels") != 0 && strcmp(name, "mappings") != 0) || !digits || !digits[0])
		return false;
	digits += digits != word;
	return digits[0] && !digits[strspn(digits, "0123456789")];
}

/* Columns of the terminal that the answer goes to; 0: it goes elsewhere. */
static uint32_t room(void)
{
	const char *columns = getenv("COLUMNS");
	long said = columns ? strtol(columns, NULL, 10) : 0;
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (said > 0 && said < UINT16_MAX)
		return (uint32_t)said;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Ends the file, and says what is in it. A reader that goes away is an error like a full disk. */
static int end_capture(struct ctl *ctl, int code)
{
	const char *why = "not all of it could be taken";
	int failed;

	if (code == EXIT_OK)
		why = "count= is reached";
	else if (code == TALK_STOPPED)
		why = "interrupted";
	else if (code == EXIT_NOT_RUNNING)
		why = "culvertd is gone";
	failed = save_end(&ctl->save, why);
	return code == EXIT_OK || code == TALK_STOPPED ? failed : code;
}

/* The request. A file that rehearse is given is read here, and announced in the place of its name. */
static int start_talk(struct ctl *ctl, bool is_stream)
{
	const struct ctl_options *options = &ctl->options;
	const char *const announced[] = {options->words[0], ctl->offer.name, ctl->offer.announced};
	int code;

	if (strcmp(options->verb->name, "rehearse") != 0 || options->count == 1)
		return talk_start(&ctl->talk, options->socket, options->words, options->count, is_stream, stderr);
	if (options->count > 2) {
		report("rehearse takes one file, or none for the configuration file");
		return EXIT_USAGE;
	}
	code = offer_read(&ctl->offer, options->words[1], stderr);
	if (code != EXIT_OK)
		return code;
	return talk_start(&ctl->talk, options->socket, announced, 3, is_stream, stderr);
}

static int ask(struct ctl *ctl)
{
	const struct ctl_options *options = &ctl->options;
	bool is_stream = (options->verb->flags & VERB_STREAMS) != 0;
	int code;

	save_start(&ctl->save, options->write, stderr);
	answer_start(&ctl->answer, form_of(options), stdout, look_of(options->verb->name), is_stream,
		     options->in_colour, room());
	ctl->answer.table.in_detail = asks_for_one(options);
	answer_expect(&ctl->answer, options->verb->name, options->verb->version);
	ctl->talk.fd = -1;
	code = names_resolve(&ctl->options, stderr);
	if (code == EXIT_OK)
		code = start_talk(ctl, is_stream);
	if (code == EXIT_OK && options->write)
		talk_stop_at_signals(&ctl->talk);
	if (code == EXIT_OK)
		code = take_answer(ctl);
	else
		answer_end(&ctl->answer, code, "culvertd could not be asked");
	talk_end(&ctl->talk);
	offer_free(&ctl->offer);
	if (options->quiet)
		return tell_health(ctl, code);
	return options->write ? end_capture(ctl, code) : code;
}

/* Help for people needs no daemon. */
static int help(const struct ctl_options *options)
{
	const struct verb_text *verb = options->count > 1 ? verbs_find(options->words[1], stderr) : NULL;

	if (options->count > 1 && !verb)
		return EXIT_NOT_FOUND;
	if (verb)
		verbs_print_help(verb, stdout);
	else
		options_print_help(stdout);
	return EXIT_OK;
}

static int act(struct ctl *ctl)
{
	const struct ctl_options *options = &ctl->options;
	int code;

	if (options->wants_version) {
		puts("culvertctl " PACKAGE_VERSION);
		return EXIT_OK;
	}
	if (options->wants_help) {
		if (options->names_verb)
			verbs_print_help(options->verb, stdout);
		else
			options_print_help(stdout);
		return EXIT_OK;
	}
	if (options->format == ANSWER_TABLE && !strcmp(options->verb->name, "help"))
		return help(options);
	if (options->format == ANSWER_TABLE && !strcmp(options->verb->name, "top"))
		return top_run(options);
	if (!question_allows(options, &ctl->talk, &ctl->row))
		return EXIT_OK;
	for (;;) {
		if (options->watch && options->format == ANSWER_TABLE && isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		code = ask(ctl);
		if (code != EXIT_OK || !options->watch || fflush(stdout) != 0)
			return code;
		poll(NULL, 0, 1000);
	}
}

int main(int argc, char **argv)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));
	int code;

	standard_files_occupy();
	if (!ctl) {
		fputs("culvertctl: out of memory\n", stderr);
		return EXIT_NETWORK;
	}
	if (argc > 1 && !strcmp(argv[1], "--complete")) {
		code = complete_words(argc - 2, argv + 2);
	} else {
		code = options_parse(&ctl->options, argc, argv, stderr);
		if (code == EXIT_OK)
			code = act(ctl);
	}
	free(ctl);
	if (fflush(stdout) != 0 && code == EXIT_OK) {
		fprintf(stderr, "culvertctl: standard output: %s\n", strerror(errno));
		return EXIT_FILE;
	}
	return code;
}
