/* SPDX-License-Identifier: BSD-2-Clause */
/* Options stand before or behind the verb, as one likes. */
#include "ctl/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "ctl/human.h"
#include "ctl/verbs.h"

enum { OPTION_SOCKET = 256, OPTION_COLOUR, OPTION_WATCH, OPTION_EXPLAIN, OPTION_CONFIRM, OPTION_VERSION };

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"lines", no_argument, NULL, 'J'},
	{"output", required_argument, NULL, 'o'},
	{"color", required_argument, NULL, OPTION_COLOUR},
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"watch", no_argument, NULL, OPTION_WATCH},
	{"write", required_argument, NULL, 'w'},
	{"explain", required_argument, NULL, OPTION_EXPLAIN},
	{"confirm", required_argument, NULL, OPTION_CONFIRM},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

const char *const options_names[] = {"--json",  "--lines",   "--output",  "--color",   "--socket", "--watch",
				     "--write", "--explain", "--confirm", "--version", "--help",   NULL};

void options_print_help(FILE *out)
{
	fputs("usage: culvertctl [OPTION]... [VERB [ARGUMENT]...]\n"
	      "Asks culvertd. Without a verb: status. A verb may be abbreviated as long as only one begins so.\n\n"
	      "  -j, --json          one JSON document\n"
	      "  -J, --lines         JSON, an object a line, as it comes\n"
	      "  -o, --output FORM   table, json, lines or tsv (columns between tabs)\n"
	      "      --color WHEN    always, never, or auto: on a terminal, unless NO_COLOR is set\n"
	      "      --socket PATH   the control socket; without it " OPTIONS_SOCKET "\n"
	      "      --watch         again every second\n"
	      "  -w, --write FILE    with capture: a pcapng file; - is the standard output\n"
	      "      --explain NAME  with drops: what this reason means, and what to do about it\n"
	      "      --confirm SECONDS  with reload: the configuration from before comes back unless confirm is said "
	      "in time\n"
	      "      --version       print the version\n"
	      "  -h, --help          print this\n\n",
	      out);
	verbs_print_help(NULL, out);
	fputs("\nExit codes: 0 well, 1 usage, 2 configuration, 3 rights, 4 network or kernel, 5 files, 6 culvertd does "
	      "not "
	      "run,\n7 not found, 8 timed out.\n",
	      out);
}

static int refuse(FILE *errors, const char *what, const char *word)
{
	char *shown = human_escape(word);

	fprintf(errors, "culvertctl: %s%s; culvertctl --help says more\n", what, shown ? shown : "");
	free(shown);
	return EXIT_USAGE;
}

static int set_format(struct ctl_options *options, const char *name, FILE *errors)
{
	static const struct {
		const char *name;
		enum answer_format format;
	} formats[] = {{"table", ANSWER_TABLE}, {"json", ANSWER_JSON}, {"lines", ANSWER_LINES}, {"tsv", ANSWER_TSV}};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (!strcmp(formats[i].name, name)) {
			options->format = formats[i].format;
			return EXIT_OK;
		}
	}
	return refuse(errors, "--output is table, json, lines or tsv, not ", name);
}

static int set_colour(struct ctl_options *options, const char *when, FILE *errors)
{
	if (strcmp(when, "always") && strcmp(when, "never") && strcmp(when, "auto"))
		return refuse(errors, "--color is always, never or auto, not ", when);
	if (strcmp(when, "auto") != 0)
		options->in_colour = !strcmp(when, "always");
	return EXIT_OK;
}

static int set_option(struct ctl_options *options, int letter, const char *word, FILE *errors)
{
	switch (letter) {
	case 'j':
		options->format = ANSWER_JSON;
		return EXIT_OK;
	case 'J':
		options->format = ANSWER_LINES;
		return EXIT_OK;
	case 'o':
		return set_format(options, optarg, errors);
	case OPTION_COLOUR:
		return set_colour(options, optarg, errors);
	case OPTION_SOCKET:
		options->socket = optarg;
		return EXIT_OK;
	case OPTION_WATCH:
		options->watch = true;
		return EXIT_OK;
	case 'w':
		options->write = optarg;
		return EXIT_OK;
	case OPTION_EXPLAIN:
		snprintf(options->explain, sizeof(options->explain), "explain=%s", optarg);
		return EXIT_OK;
	case OPTION_CONFIRM:
		snprintf(options->confirm, sizeof(options->confirm), "confirm=%s", optarg);
		return EXIT_OK;
	case OPTION_VERSION:
		options->wants_version = true;
		return EXIT_OK;
	case 'h':
		options->wants_help = true;
		return EXIT_OK;
	case ':':
		return refuse(errors, "an argument is missing after ", word);
	default:
		return refuse(errors, "there is no such option: ", word);
	}
}

/* The verb and its arguments. */
static int set_words(struct ctl_options *options, int count, char **words, FILE *errors)
{
	options->verb = verbs_find(count > 0 ? words[0] : options->explain[0] ? "drops" : "status", errors);
	if (!options->verb)
		return EXIT_USAGE;
	options->words[options->count++] = options->verb->name;
	for (int i = 1; i < count; i++) {
		if (options->count == OPTIONS_WORDS - 2)
			return refuse(errors, "no verb takes that many arguments: ", words[i]);
		options->words[options->count++] = words[i];
	}
	if (options->explain[0])
		options->words[options->count++] = options->explain;
	if (options->confirm[0])
		options->words[options->count++] = options->confirm;
	if (options->watch && options->verb->flags != VERB_LISTS)
		return refuse(errors, "--watch goes with verbs that list something, not with ", options->verb->name);
	if (options->write && strcmp(options->verb->name, "capture") != 0)
		return refuse(errors, "--write goes with capture, not with ", options->verb->name);
	return EXIT_OK;
}

int options_parse(struct ctl_options *options, int argc, char **argv, FILE *errors)
{
	const char *no_colour = getenv("NO_COLOR");
	int letter, code;

	*options = (struct ctl_options){
		.socket = OPTIONS_SOCKET,
		.in_colour = isatty(STDOUT_FILENO) && (!no_colour || !no_colour[0]),
	};
	optind = 0; /* GNU: start anew, also in a second call */
	while ((letter = getopt_long(argc, argv, ":jJo:w:h", long_options, NULL)) != -1) {
		code = set_option(options, letter, argv[optind - 1], errors);
		if (code != EXIT_OK)
			return code;
	}
	if (options->wants_help || options->wants_version)
		return EXIT_OK;
	return set_words(options, argc - optind, argv + optind, errors);
}
