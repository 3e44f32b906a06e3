/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of culvertctl.
 */
#ifndef CULVERT_CTL_OPTIONS_H
#define CULVERT_CTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ctl/answer.h"

#define OPTIONS_SOCKET "/run/culvert/control.sock"

enum { OPTIONS_WORDS = 17, OPTIONS_TEXT = 1024 };

struct verb_text;

struct ctl_options {
	const char *socket;
	enum answer_format format;
	bool in_colour;
	bool watch;        /* again every second */
	bool quiet;        /* of status: nothing but the exit code */
	bool yes;          /* of mode: no question */
	const char *write; /* NULL, or the file a capture goes to */
	bool wants_help, wants_version;
	const struct verb_text *verb;
	bool names_verb;                  /* else it is the one that is meant without any */
	const char *words[OPTIONS_WORDS]; /* the verb's whole name, and its arguments; --KEY VALUE as KEY=VALUE */
	size_t count, made;               /* made: the last so many were --KEY VALUE */
	char text[OPTIONS_TEXT];          /* of words that do not stand in argv as they are */
	size_t text_used;
};

/* The strings are those of argv and of options, or constants; argv is put into another order. EXIT_OK, or EXIT_USAGE
 * after having said on errors what is wrong. */
int options_parse(struct ctl_options *options, int argc, char **argv, FILE *errors);
void options_print_help(FILE *out);
/* Puts text in the place of a part of a word. EXIT_OK, or EXIT_USAGE after having said that there is no room. */
int options_replace_word(struct ctl_options *options, size_t index, size_t before, size_t length, const char *text,
			 FILE *errors);
/* An error of culvertd, which knows words KEY=VALUE only, with --KEY where that was typed. To be freed; NULL if there
 * is no memory. */
char *options_as_typed(const struct ctl_options *options, const char *error);

/* The options of all verbs, a name that is NULL behind the last. */
struct option_text {
	const char *name, *value; /* value: NULL, or what it takes */
	int letter;               /* OPTION_LONG or more: it has none */
	const char *help;
};

enum { OPTION_LONG = 256 };

extern const struct option_text option_texts[];

#endif
