/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options stand before or behind the verb, as one likes. Those of culvertctl are in a list here; beside them each
 * KEY=VALUE word of a verb's arguments is an option --KEY VALUE of this verb, and becomes that word again.
 */
#include "ctl/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "base/suggest.h"
#include "ctl/human.h"
#include "ctl/verbs.h"

enum { OPTION_SOCKET = OPTION_LONG, OPTION_COLOUR, OPTION_WATCH, OPTION_KEY, KEYS_MAX = 32 };

const struct option_text option_texts[] = {
	{"json", NULL, 'j', "one JSON document"},
	{"lines", NULL, 'J', "JSON, an object a line, as it comes"},
	{"output", "FORM", 'o', "table, json, lines or tsv (columns between tabs)"},
	{"color", "WHEN", OPTION_COLOUR, "always, never, or auto: on a terminal without NO_COLOR"},
	{"socket", "PATH", OPTION_SOCKET, "the control socket (" OPTIONS_SOCKET ")"},
	{"watch", NULL, OPTION_WATCH, "again every second"},
	{"write", "FILE", 'w', "with capture: a pcapng file; - is the standard output"},
	{"quiet", NULL, 'q', "with status: nothing but the exit code, 0 if it forwards"},
	{"yes", NULL, 'y', "with mode: no question before tunnels end"},
	{"version", NULL, 'V', "print the version"},
	{"help", NULL, 'h', "print this, or with a verb what it does"},
	{.name = NULL},
};

enum { COMMON = sizeof(option_texts) / sizeof(option_texts[0]) - 1 };

/* These, and --KEY for KEY=VALUE words: option COMMON + i is key i. */
struct known_options {
	struct option option[COMMON + KEYS_MAX + 1];
	struct verb_key key[KEYS_MAX];
	uint32_t keys;
};

void options_print_help(FILE *out)
{
	fputs("usage: culvertctl [OPTION]... [VERB [ARGUMENT]...]\n"
	      "Asks culvertd. Without a verb it shows the status. The beginning of a verb is\n"
	      "enough if it fits only one verb.\n\n",
	      out);
	for (const struct option_text *text = option_texts; text->name; text++) {
		int width = fprintf(out, text->letter < OPTION_LONG ? "  -%c, " : "      ", text->letter);

		width += fprintf(out, "--%s %s", text->name, text->value ? text->value : "");
		fprintf(out, "%*s%s\n", 22 - width, "", text->help);
	}
	fputs("\nThe verbs; \"culvertctl help VERB\" names the arguments of one:\n\n", out);
	verbs_print_help(NULL, out);
	fputs("\nArguments like host=ADDRESS may also be written --host ADDRESS or\n"
	      "--host=ADDRESS; man culvertctl says more.\n"
	      "Exit codes: 0 success, 1 usage, 2 configuration, 3 rights, 4 network or kernel,\n"
	      "5 files, 6 culvertd does not run, 7 not found, 8 timed out.\n",
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

static int set_option(struct ctl_options *options, int letter, FILE *errors)
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
	case 'q':
		options->quiet = true;
		return EXIT_OK;
	case 'y':
		options->yes = true;
		return EXIT_OK;
	case 'V':
		options->wants_version = true;
		return EXIT_OK;
	case 'h':
		options->wants_help = true;
		return EXIT_OK;
	default:
		return EXIT_USAGE;
	}
}

/* --- the keys of verbs as options --- */

static void add_key(struct known_options *known, const struct verb_key *key)
{
	uint32_t at = known->keys;

	for (uint32_t i = 0; i < at; i++)
		if (!strcmp(known->key[i].name, key->name))
			return;
	if (at == KEYS_MAX)
		return;
	known->key[at] = *key;
	known->option[COMMON + at] =
		(struct option){known->key[at].name, required_argument, NULL, OPTION_KEY + (int)at};
	known->keys++;
}

/* The keys of one verb, or (NULL) of all. */
static void know_options(struct known_options *known, const struct verb_text *verb)
{
	struct verb_key key;

	*known = (struct known_options){.keys = 0};
	for (int i = 0; i < COMMON; i++)
		known->option[i] = (struct option){option_texts[i].name, option_texts[i].value != NULL, NULL,
						   option_texts[i].letter};
	for (const struct verb_text *text = verb_texts; text < verb_texts + verb_count; text++)
		for (const char *at = NULL; (!verb || verb == text) && verbs_next_key(text, &at, &key);)
			add_key(known, &key);
}

static bool add_word(struct ctl_options *options, const char *word)
{
	if (options->count == OPTIONS_WORDS)
		return false;
	options->words[options->count++] = word;
	return true;
}

static int add_option(struct ctl_options *options, const char *name, const char *value, FILE *errors)
{
	size_t room = sizeof(options->text) - options->text_used;
	char *word = options->text + options->text_used;
	int length = snprintf(word, room, "%s=%s", name, value);

	if (length < 0 || (size_t)length >= room || !add_word(options, word))
		return refuse(errors, "this is too long for a request: ", value);
	options->text_used += (size_t)length + 1;
	return EXIT_OK;
}

/* An option that is none of the verb's: what it has, and who has it. */
static int refuse_option(const struct known_options *known, const struct verb_text *verb, const char *word,
			 FILE *errors)
{
	const char *names[COMMON + KEYS_MAX], *suggestion, *between = "; verbs with it: ";
	char name[64], *shown;
	struct verb_key key;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	for (uint32_t i = 0; i < COMMON + known->keys; i++)
		names[i] = known->option[i].name;
	suggestion = suggest_word(name + strspn(name, "-"), names, COMMON + known->keys);
	shown = human_escape(name);
	fprintf(errors, "culvertctl: %s has no option %s", verb->name, shown ? shown : "like this");
	free(shown);
	if (suggestion)
		fprintf(errors, " (did you mean --%s?)", suggestion);
	for (uint32_t i = 0; i < known->keys; i++)
		fprintf(errors, "%s--%s", i == 0 ? "; its own are " : ", ", known->key[i].name);
	for (const struct verb_text *text = verb_texts; text < verb_texts + verb_count; text++) {
		for (const char *at = NULL; verbs_next_key(text, &at, &key);) {
			if (strncmp(name, "--", 2) != 0 || strcmp(name + 2, key.name) != 0)
				continue;
			fprintf(errors, "%s%s", between, text->name);
			between = ", ";
		}
	}
	fputs("; culvertctl --help says more\n", errors);
	return EXIT_USAGE;
}

static int refuse_incomplete(const struct known_options *known, const char *word, FILE *errors)
{
	for (uint32_t i = 0; i < known->keys; i++) {
		if (OPTION_KEY + (int)i != optopt)
			continue;
		fprintf(errors, "culvertctl: an argument is missing: write --%s %s\n", known->key[i].name,
			known->key[i].value);
		return EXIT_USAGE;
	}
	return refuse(errors, "an argument is missing after ", word);
}

/* --- the whole line --- */

static const char short_options[] = ":jJo:w:qyVh";

/* The first word that is no option and does not belong to one, or NULL; *unknown is the first option that no verb has.
 * Which options take a word is known for certain only when it is known which verb it is. */
static const char *first_word(int argc, char **argv, struct known_options *known, const char **unknown)
{
	int letter;

	know_options(known, NULL);
	optind = 0; /* GNU: start anew, also in a second call */
	while ((letter = getopt_long(argc, argv, short_options, known->option, NULL)) != -1)
		if (letter == '?' && !*unknown)
			*unknown = argv[optind - 1];
	return optind < argc ? argv[optind] : NULL;
}

/* What other programs call it: "show" and "list" may stand before a verb. */
static void drop_alias(int *argc, char **argv, const char *word)
{
	int at = 1;

	while (at < *argc && argv[at] != word)
		at++;
	if (at == *argc)
		return;
	memmove(argv + at, argv + at + 1, (size_t)(*argc - at) * sizeof(*argv));
	(*argc)--;
}

/* NULL after having said why. */
static const struct verb_text *find_verb(struct ctl_options *options, int *argc, char **argv,
					 struct known_options *known, FILE *errors)
{
	char **copy = calloc((size_t)*argc + 1, sizeof(*copy)); /* getopt changes the order */
	const struct verb_text *verb;
	const char *unknown = NULL, *word;
	bool is_version;

	if (!copy) {
		fputs("culvertctl: out of memory\n", errors);
		return NULL;
	}
	memcpy(copy, argv, (size_t)*argc * sizeof(*copy));
	word = first_word(*argc, copy, known, &unknown);
	if (word && (!strcmp(word, "show") || !strcmp(word, "list"))) {
		drop_alias(argc, argv, word);
		memcpy(copy, argv, (size_t)*argc * sizeof(*copy));
		copy[*argc] = NULL;
		word = first_word(*argc, copy, known, &unknown);
	}
	free(copy);
	is_version = word && !strcmp(word, "version");
	if (is_version)
		drop_alias(argc, argv, word);
	options->wants_version = is_version;
	word = is_version ? NULL : word;
	options->names_verb = word != NULL;
	verb = verbs_find(word ? word : "status", unknown ? NULL : errors);
	if (!verb && unknown)
		refuse(errors, "there is no such option: ", unknown);
	return verb;
}

/* The options, as the verb has them. */
static int set_options(struct ctl_options *options, const struct known_options *known, int argc, char **argv,
		       FILE *errors)
{
	int letter, code, index;
	char word[3] = "-";

	optind = 0;
	while ((letter = getopt_long(argc, argv, short_options, known->option, &index)) != -1) {
		const char *last = argv[optind - 1];

		if (letter == ':')
			return refuse_incomplete(known, last, errors);
		if (letter == '?' && !strncmp(last, "--", 2) && optopt != 0)
			return refuse(errors, "this option takes no argument: ", last);
		word[1] = (char)optopt;
		if (letter == '?')
			return refuse_option(known, options->verb, optopt != 0 ? word : last, errors);
		if (letter >= OPTION_KEY)
			code = add_option(options, known->option[index].name, optarg, errors);
		else
			code = set_option(options, letter, errors);
		if (code != EXIT_OK)
			return code;
	}
	return EXIT_OK;
}

/* The other words, in front of those that were options. */
static int set_words(struct ctl_options *options, int count, char **words, FILE *errors)
{
	const char *made[OPTIONS_WORDS];
	size_t makes = options->count;

	options->made = makes;
	memcpy(made, options->words, sizeof(made));
	options->count = 0;
	add_word(options, options->verb->name);
	for (int i = 1; i < count; i++)
		if (!add_word(options, words[i]))
			return refuse(errors, "no verb takes that many arguments: ", words[i]);
	for (size_t i = 0; i < makes; i++)
		if (!add_word(options, made[i]))
			return refuse(errors, "no verb takes that many arguments: ", made[i]);
	if (options->watch && options->verb->flags != VERB_LISTS)
		return refuse(errors, "--watch goes with verbs that list something, not with ", options->verb->name);
	if (options->write && strcmp(options->verb->name, "capture") != 0)
		return refuse(errors, "--write goes with capture, not with ", options->verb->name);
	if (options->quiet && strcmp(options->verb->name, "status") != 0)
		return refuse(errors, "--quiet goes with status, not with ", options->verb->name);
	if (options->yes && strcmp(options->verb->name, "mode") != 0)
		return refuse(errors, "--yes goes with mode, not with ", options->verb->name);
	return EXIT_OK;
}

int options_replace_word(struct ctl_options *options, size_t index, size_t before, size_t length, const char *text,
			 FILE *errors)
{
	size_t room = sizeof(options->text) - options->text_used;
	const char *word = options->words[index];
	char *made = options->text + options->text_used;
	int size = snprintf(made, room, "%.*s%s%s", (int)before, word, text, word + before + length);

	if (size < 0 || (size_t)size >= room)
		return refuse(errors, "this is too long for a request: ", word);
	options->text_used += (size_t)size + 1;
	options->words[index] = made;
	return EXIT_OK;
}

/* The length of the key= at text that was typed as an option; 0: there is none. */
static size_t typed_key(const struct ctl_options *options, const char *text)
{
	for (size_t i = options->count - options->made; i < options->count; i++) {
		size_t length = strcspn(options->words[i], "=") + 1;

		if (!strncmp(text, options->words[i], length))
			return length;
	}
	return 0;
}

char *options_as_typed(const struct ctl_options *options, const char *error)
{
	char *text = NULL;
	size_t size = 0, length;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (const char *at = error; *at; at += length) {
		bool is_begin = at == error || at[-1] == ' ';

		length = is_begin ? typed_key(options, at) : 0;
		if (length > 0)
			fprintf(out, "--%.*s%s", (int)length - 1, at, strchr(" :,;", at[length]) ? "" : " ");
		else
			fputc(*at, out);
		length = length > 0 ? length : 1;
	}
	return fclose(out) == 0 ? text : NULL;
}

int options_parse(struct ctl_options *options, int argc, char **argv, FILE *errors)
{
	const char *no_colour = getenv("NO_COLOR");
	struct known_options known;
	int code;

	*options = (struct ctl_options){
		.socket = OPTIONS_SOCKET,
		.in_colour = isatty(STDOUT_FILENO) && (!no_colour || !no_colour[0]),
	};
	options->verb = find_verb(options, &argc, argv, &known, errors);
	if (!options->verb)
		return EXIT_USAGE;
	know_options(&known, options->verb);
	code = set_options(options, &known, argc, argv, errors);
	if (code != EXIT_OK || options->wants_help || options->wants_version)
		return code;
	return set_words(options, argc - optind, argv + optind, errors);
}
