/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of verbs. */
#include "ctl/verbs.h"

#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "ctl/human.h"
#include "ctl/wrap.h"

const struct verb_text verb_texts[] = {
#define VERB(NAME, name, version, arguments, flags, function, sentence) {name, arguments, sentence, version, flags},
#include <culvert/verbs.def>
#undef VERB
};

const size_t verb_count = sizeof(verb_texts) / sizeof(verb_texts[0]);

enum { HELP_COLUMNS = 79, HELP_INDENT = 8, LIST_INDENT = 12 };

/* Those that begin with length bytes of the word, or, with 0, what was meant, otherwise all there are. */
static void refuse(FILE *errors, const char *word, const char *what, size_t length)
{
	const char *names[sizeof(verb_texts) / sizeof(verb_texts[0])], *between = "", *suggestion;
	char *shown = human_escape(word);

	for (size_t i = 0; i < verb_count; i++)
		names[i] = verb_texts[i].name;
	suggestion = length == 0 ? suggest_word(word, names, verb_count) : NULL;
	fprintf(errors, "culvertctl: %s %s", shown ? shown : "the verb", what);
	free(shown);
	if (suggestion) {
		fprintf(errors, "; did you mean %s?\n", suggestion);
		return;
	}
	fputs(": ", errors);
	for (size_t i = 0; i < verb_count; i++) {
		if (strncmp(verb_texts[i].name, word, length) != 0)
			continue;
		fprintf(errors, "%s%s", between, verb_texts[i].name);
		between = ", ";
	}
	fputc('\n', errors);
}

const struct verb_text *verbs_find(const char *word, FILE *errors)
{
	const struct verb_text *found = NULL;
	size_t length = strlen(word), candidates = 0;

	for (size_t i = 0; i < verb_count; i++) {
		if (!strcmp(verb_texts[i].name, word))
			return &verb_texts[i];
		if (length > 0 && !strncmp(verb_texts[i].name, word, length)) {
			found = &verb_texts[i];
			candidates++;
		}
	}
	if (candidates == 1)
		return found;
	if (!errors)
		return NULL;
	if (candidates > 1)
		refuse(errors, word, "may be any of these verbs", length);
	else
		refuse(errors, word, "is not a verb", 0);
	return NULL;
}

bool verbs_next_key(const struct verb_text *verb, const char **at, struct verb_key *key)
{
	const char *word = *at ? *at : verb->arguments;

	for (size_t length; *word; word += length) {
		const char *equals;

		word += strspn(word, " []|");
		length = strcspn(word, " []|");
		equals = memchr(word, '=', length);
		if (equals) /* its values may be a list */
			length = strcspn(word, " []");
		if (!equals)
			continue;
		snprintf(key->name, sizeof(key->name), "%.*s", (int)(equals - word), word);
		snprintf(key->value, sizeof(key->value), "%.*s", (int)(word + length - equals - 1), equals + 1);
		*at = word + length;
		return true;
	}
	return false;
}

static void print_all(FILE *out)
{
	for (const struct verb_text *text = verb_texts; text < verb_texts + verb_count; text++) {
		fprintf(out, "  %-*s", LIST_INDENT - 2, text->name);
		wrap_print(out, text->sentence, LIST_INDENT, LIST_INDENT, HELP_COLUMNS);
		fputc('\n', out);
	}
}

void verbs_print_help(const struct verb_text *verb, FILE *out)
{
	if (!verb) {
		print_all(out);
		return;
	}
	fprintf(out, "  %s%s", verb->name, verb->arguments[0] ? " " : "");
	wrap_print(out, verb->arguments, 3 + strlen(verb->name), HELP_INDENT, HELP_COLUMNS);
	fprintf(out, "\n%*s", HELP_INDENT, "");
	wrap_print(out, verb->sentence, HELP_INDENT, HELP_INDENT, HELP_COLUMNS);
	fputc('\n', out);
}
