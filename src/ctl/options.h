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

enum { OPTIONS_WORDS = 17 };

struct verb_text;

struct ctl_options {
	const char *socket;
	enum answer_format format;
	bool in_colour;
	bool watch;        /* again every second */
	const char *write; /* NULL, or the file a capture goes to */
	bool wants_help, wants_version;
	const struct verb_text *verb;
	const char *words[OPTIONS_WORDS]; /* the verb's whole name, and its arguments */
	size_t count;
	char explain[128], confirm[32]; /* arguments that were given as options */
};

/* The strings are those of argv, or constants. EXIT_OK, or EXIT_USAGE after having said on errors what is wrong. */
int options_parse(struct ctl_options *options, int argc, char **argv, FILE *errors);
void options_print_help(FILE *out);

/* The options, for those who complete them: the long names, a NULL behind the last. */
extern const char *const options_names[];

#endif
