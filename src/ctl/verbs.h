/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The verbs as culvertctl knows them: names, abbreviations and help. The list is include/culvert/verbs.def.
 */
#ifndef CULVERT_CTL_VERBS_H
#define CULVERT_CTL_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum verb_flags {
	VERB_LISTS = 0,
	VERB_STREAMS = 1,
	VERB_CHANGES = 2,
};

struct verb_text {
	const char *name;
	const char *arguments;
	const char *sentence;
	unsigned int version; /* of its rows */
	unsigned int flags;
};

extern const struct verb_text verb_texts[];
extern const size_t verb_count;

/* The verb of that name, or the only one that begins like it. NULL, after having said on errors (which may
 * be NULL) which there are. */
const struct verb_text *verbs_find(const char *word, FILE *errors);

/* A KEY=VALUE word of a verb's arguments. */
struct verb_key {
	char name[16], value[64];
};

/* Iterates over the keys of a verb: start with *at NULL; false at the end. */
bool verbs_next_key(const struct verb_text *verb, const char **at, struct verb_key *key);
/* One verb with its arguments, or (NULL) a list of all with what they do. */
void verbs_print_help(const struct verb_text *verb, FILE *out);

#endif
