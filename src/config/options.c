/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line, from one table that is also the help text.
 */
#include "config/options.h"

#include <getopt.h>
#include <string.h>
#include <syslog.h>

#include "base/suggest.h"
#include "config/text.h"

/* Options that have no letter. */
enum {
	OPTION_CLEANUP = 256,
	OPTION_LAN,
	OPTION_WAN,
	OPTION_STATE_DIR,
	OPTION_PRINT_CONFIG,
	OPTION_PRINT_DEFAULTS,
	OPTION_VERSION
};

static const struct option_text {
	const char *name;
	int letter;
	const char *argument; /* NULL: takes none */
	const char *sentence;
} table[] = {
	{"config", 'c', "FILE", "read FILE; the default is " CONFIG_FILE_DEFAULT ", if that exists"},
	{"lan", OPTION_LAN, "DEVICE", "the device of the inside hosts"},
	{"wan", OPTION_WAN, "DEVICE", "the device towards the outside; the default is the device of the default route"},
	{"foreground", 'f', NULL, "stay in the foreground"},
	{"user", 'u', "USER", "become USER once all files and devices are open"},
	{"pidfile", 'p', "FILE", "write the process number to FILE and lock it"},
	{"state-dir", OPTION_STATE_DIR, "DIR",
	 "keep the journal of kernel changes in DIR; the default is " OPTIONS_STATE_DIR},
	{"verbose", 'v', NULL, "write more to the log; given twice, still more"},
	{"quiet", 'q', NULL, "write only warnings and errors to the log"},
	{"check", 't', NULL, "check the configuration (--check FILE), report every error, and exit"},
	{"dry-run", 'n', NULL, "print what culvertd would change in the kernel, and exit"},
	{"cleanup", OPTION_CLEANUP, NULL, "remove from the kernel what a culvertd that died has left there, and exit"},
	{"print-config", OPTION_PRINT_CONFIG, NULL, "print the configuration in force, and exit"},
	{"print-defaults", OPTION_PRINT_DEFAULTS, NULL,
	 "print a configuration file with every key and default, and exit"},
	{"version", OPTION_VERSION, NULL, "print the version; with -v, the features and libraries as well"},
	{"help", 'h', NULL, "print this"},
};

enum { OPTIONS_COUNT = sizeof(table) / sizeof(table[0]) };

void options_print_help(FILE *out)
{
	fputs("usage: culvertd [OPTION]...\n"
	      "       culvertd --check [FILE]\n"
	      "Translates between the LAN and the WAN (IPv4 NAPT) and carries PPTP, L2TP and IPsec through.\n\n",
	      out);
	for (size_t i = 0; i < OPTIONS_COUNT; i++) {
		char letter[8] = "    ", name[40];

		if (table[i].letter < 256)
			snprintf(letter, sizeof(letter), "-%c, ", table[i].letter);
		snprintf(name, sizeof(name), "%s%s%s", table[i].name, table[i].argument ? " " : "",
			 table[i].argument ? table[i].argument : "");
		fprintf(out, "  %s--%-18s %s\n", letter, name, table[i].sentence);
	}
	fputs("\nSignals: TERM and INT stop, HUP reads the configuration again, USR1 writes statistics to the log, USR2 opens the\n"
	      "log file again. Exit codes: 0 success, 1 usage, 2 configuration, 3 rights, 4 network or kernel, 5 files.\n",
	      out);
}

/* Writes the tables of getopt_long(). */
static void fill_getopt(struct option long_options[OPTIONS_COUNT + 1], char letters[2 * OPTIONS_COUNT + 2])
{
	char *next = letters;

	*next++ = ':'; /* getopt says nothing itself, and tells a missing argument from an unknown option */
	for (size_t i = 0; i < OPTIONS_COUNT; i++) {
		long_options[i] = (struct option){
			.name = table[i].name,
			.has_arg = table[i].argument ? required_argument : no_argument,
			.val = table[i].letter,
		};
		if (table[i].letter >= 256)
			continue;
		*next++ = (char)table[i].letter;
		if (table[i].argument)
			*next++ = ':';
	}
	*next = '\0';
	long_options[OPTIONS_COUNT] = (struct option){0};
}

static int refuse(FILE *errors, const char *what, const char *option, const char *suggestion)
{
	char text[128];

	text_escape(text, sizeof(text), option);
	fprintf(errors,
		"culvertd: %s%s%s%s%s%s\nusage: culvertd --lan DEVICE [OPTION]...; culvertd --help lists the options\n",
		what, text, suggestion ? " (did you mean --" : "", suggestion ? suggestion : "", suggestion ? "?" : "",
		suggestion ? ")" : "");
	return EXIT_USAGE;
}

/* argument is the word of the command line that getopt_long() stopped at, letter what it says it could not use. */
static int refuse_option(FILE *errors, const char *argument, int letter)
{
	const char *names[OPTIONS_COUNT];
	char text[8] = {'-', (char)letter, '\0'};
	char name[64];

	if (letter > 0 && letter < 256 && strncmp(argument, "--", 2) != 0)
		return refuse(errors, "unknown option ", text, NULL);
	for (size_t i = 0; i < OPTIONS_COUNT; i++) {
		names[i] = table[i].name;
		if (letter == table[i].letter)
			return refuse(errors, "this option takes no argument: --", table[i].name, NULL);
	}
	argument += strspn(argument, "-");
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument, "="), argument);
	return refuse(errors, "unknown option --", name, suggest_word(name, names, OPTIONS_COUNT));
}

static void set_action(struct options *options, enum action action, bool *twice)
{
	*twice = *twice || (options->action != ACTION_RUN && options->action != action);
	options->action = action;
}

/* One option that getopt_long() has understood. */
static void set_option(struct options *options, int letter, const char *argument, bool *twice)
{
	switch (letter) {
	case 'c':
		options->source.path = argument;
		options->source.optional = false;
		break;
	case OPTION_LAN:
		options->source.lan = argument;
		break;
	case OPTION_WAN:
		options->source.wan = argument;
		break;
	case 'f':
		options->foreground = true;
		break;
	case 'u':
		options->user = argument;
		break;
	case 'p':
		options->pidfile = argument;
		break;
	case OPTION_STATE_DIR:
		options->state_dir = argument;
		break;
	case 'v':
		options->verbosity = options->verbosity < 0 ? 1 : options->verbosity + 1;
		break;
	case 'q':
		options->verbosity = -1;
		break;
	case 't':
		set_action(options, ACTION_CHECK, twice);
		break;
	case 'n':
		set_action(options, ACTION_DRY_RUN, twice);
		break;
	case OPTION_CLEANUP:
		set_action(options, ACTION_CLEANUP, twice);
		break;
	case OPTION_PRINT_CONFIG:
		set_action(options, ACTION_PRINT_CONFIG, twice);
		break;
	case OPTION_PRINT_DEFAULTS:
		set_action(options, ACTION_PRINT_DEFAULTS, twice);
		break;
	case OPTION_VERSION:
		set_action(options, ACTION_VERSION, twice);
		break;
	default:
		options->action = ACTION_HELP;
		break;
	}
}

/* The words that are no options: the file of --check. */
static int set_operands(struct options *options, int count, char **operands, FILE *errors)
{
	if (!count)
		return EXIT_OK;
	if (options->action != ACTION_CHECK)
		return refuse(errors, "unexpected word ", operands[0], NULL);
	if (count > 1 || !options->source.optional)
		return refuse(errors, "more than one file to check: ", operands[count > 1 ? 1 : 0], NULL);
	options->source.path = operands[0];
	options->source.optional = false;
	return EXIT_OK;
}

int options_parse(struct options *options, int argc, char **argv, FILE *errors)
{
	struct option long_options[OPTIONS_COUNT + 1];
	char letters[2 * OPTIONS_COUNT + 2];
	bool twice = false;
	int letter;

	*options = (struct options){
		.source = {.path = CONFIG_FILE_DEFAULT, .optional = true},
		.state_dir = OPTIONS_STATE_DIR,
		.ready_fd = -1,
	};
	fill_getopt(long_options, letters);
	optind = 0; /* GNU: start anew, also in a second call */
	while ((letter = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		if (letter == ':')
			return refuse(errors, "an argument is missing after ", argv[optind - 1], NULL);
		if (letter == '?')
			return refuse_option(errors, argv[optind - 1], optopt);
		if (optarg && !optarg[0])
			return refuse(errors, "an argument is empty, of ",
				      argv[optind - 1][0] ? argv[optind - 1] : argv[optind - 2], NULL);
		set_option(options, letter, optarg, &twice);
	}
	if (twice && options->action != ACTION_HELP)
		return refuse(errors,
			      "only one of --check, --dry-run, --cleanup, --print-config, --print-defaults, --version",
			      "", NULL);
	return set_operands(options, argc - optind, argv + optind, errors);
}

int options_log_level(const struct options *options, const struct config *config)
{
	int level = config->log_level;

	if (options->verbosity < 0)
		return level < LOG_WARNING ? level : LOG_WARNING;
	level += options->verbosity;
	return level > LOG_DEBUG ? LOG_DEBUG : level;
}
