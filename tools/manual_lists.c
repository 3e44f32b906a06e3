/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes a manual page with its lists made anew: what stands between the lines
 *     .\" BEGIN name
 *     .\" END name
 * comes from the lists of include/culvert. name is sections, forward, timeouts, drops, statistics, hints, rules or
 * verbs. The pages hold the lists so that they can be read as they are; the test tools/check_lists.sh compares, and
 * "make update-lists" makes them anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <culvert/engine.h>
#include <culvert/explain.h>

#include "config/config_keys.h"
#include "config/text.h"

enum { LINE_MAX_BYTES = 1024 };

static void print_sentence(const char *phrase)
{
	char sentence[512];

	text_sentence(sentence, sizeof(sentence), phrase);
	/* In a manual page each sentence has a line of its own. */
	for (char *stop = strstr(sentence, ". "); stop; stop = strstr(stop, ". "))
		stop[1] = '\n';
	printf("%s\n", sentence);
}

static void print_key(const struct config_key *key)
{
	char values[160];

	config_key_describe(key, values, sizeof(values));
	printf(".It Ic %s\n", key->name);
	print_sentence(key->sentence);
	if (key->why[0])
		printf("The least value is that of %s.\n", key->why);
	printf(".br\nValue: %s.\n", values);
	if (key->initial[0])
		printf("Default: %s.\n", key->initial);
	else
		printf("Default: none.\n");
	if (key->restart)
		printf("A reload does not change it.\n");
}

static void print_sections(void)
{
	size_t key = 0;

	for (size_t i = 0; i < CONFIG_SECTIONS; i++) {
		printf(".Ss [%s]\n", config_sections[i].name);
		print_sentence(config_sections[i].sentence);
		printf(".Bl -tag -width Ds\n");
		for (; key < CONFIG_KEYS && !strcmp(config_keys[key].section, config_sections[i].name); key++)
			print_key(&config_keys[key]);
		printf(".El\n");
	}
}

static void print_forward(void)
{
	printf(".Bl -tag -width Ds\n");
	for (size_t i = 0; i < FORWARD_KEYS; i++) {
		printf(".It Ic %s\n", forward_keys[i].name);
		print_sentence(forward_keys[i].sentence);
		printf(".br\nValue: %s.\n", forward_keys[i].values);
	}
	printf(".El\n");
}

/* The timers once more, as short as a table. */
static void print_timeouts(void)
{
	printf(".Bl -tag -width tcp_established\n");
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (strcmp(key->section, "timeouts") != 0)
			continue;
		printf(".It Ic %s\n", key->name);
		print_sentence(key->sentence);
		printf("Default %s, at least %u%s%s%s.\n", key->initial, key->low, key->why[0] ? " (" : "", key->why,
		       key->why[0] ? ")" : "");
	}
	printf(".El\n");
}

static void print_drops(void)
{
	static const struct {
		const char *group, *name, *meaning, *advice;
	} drops[] = {
#define DROP_GROUP(title)                 {title, NULL, NULL, NULL},
#define DROP(name, text, meaning, advice) {NULL, text, meaning, advice},
#include <culvert/drops.def>
#undef DROP
	};

	for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
		if (drops[i].group) {
			printf("%s.Ss %s\n.Bl -tag -width Ds\n", i > 0 ? ".El\n" : "", drops[i].group);
			continue;
		}
		printf(".It Li %s\n", drops[i].name);
		print_sentence(drops[i].meaning);
		print_sentence(drops[i].advice);
	}
	printf(".El\n");
}

static void print_statistics(void)
{
	static const struct {
		const char *name, *meaning;
	} statistics[] = {
#define STAT(name, text, meaning) {text, meaning},
#include <culvert/stats.def>
#undef STAT
	};

	printf(".Bl -tag -width Ds\n");
	for (size_t i = 0; i < sizeof(statistics) / sizeof(statistics[0]); i++) {
		printf(".It Li %s\n", statistics[i].name);
		print_sentence(statistics[i].meaning);
	}
	printf(".El\n");
}

static void print_hints(void)
{
	printf(".Bl -tag -width Ds\n");
	for (int i = HINT_NONE + 1; i < HINTS; i++) {
		printf(".It Li %s\n", tunnel_hint_name((enum tunnel_hint)i));
		print_sentence(tunnel_hint_text((enum tunnel_hint)i));
	}
	printf(".El\n");
}

static void print_rules(void)
{
	printf(".Bl -tag -width Ds\n");
	for (int i = RULE_NONE + 1; i < RULES; i++) {
		printf(".It Li %s\n", rule_name((enum rule)i));
		print_sentence(rule_meaning((enum rule)i));
	}
	printf(".El\n");
}

static void print_verbs(void)
{
	static const struct {
		const char *name, *arguments, *sentence;
	} verbs[] = {
#define VERB(NAME, name, version, arguments, flags, function, sentence) {name, arguments, sentence},
#include <culvert/verbs.def>
#undef VERB
	};

	printf(".Bl -tag -width Ds\n");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		printf(".It Cm %s%s%s\n", verbs[i].name, verbs[i].arguments[0] ? " " : "", verbs[i].arguments);
		print_sentence(verbs[i].sentence);
	}
	printf(".El\n");
}

static const struct list {
	const char *name;
	void (*print)(void);
} lists[] = {
	{"sections", print_sections}, {"forward", print_forward},       {"timeouts", print_timeouts},
	{"drops", print_drops},       {"statistics", print_statistics}, {"hints", print_hints},
	{"verbs", print_verbs},       {"rules", print_rules},
};

/* True if line is the mark word for a list; *list becomes that list, or NULL if there is none of that name. */
static bool is_mark(const char *line, const char *word, const struct list **list)
{
	size_t length = strlen(word);

	if (strncmp(line, word, length) != 0)
		return false;
	*list = NULL;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		size_t name = strlen(lists[i].name);

		if (!strncmp(line + length, lists[i].name, name) && line[length + name] == '\n')
			*list = &lists[i];
	}
	return true;
}

/* False if the page's marks do not fit one another. */
static bool rewrite(FILE *page)
{
	char line[LINE_MAX_BYTES];
	const struct list *open = NULL, *list;

	while (fgets(line, sizeof(line), page)) {
		if (is_mark(line, ".\\\" END ", &list)) {
			if (!list || list != open)
				return false;
			open = NULL;
		}
		if (!open)
			fputs(line, stdout);
		if (is_mark(line, ".\\\" BEGIN ", &list)) {
			if (!list || open)
				return false;
			list->print();
			open = list;
		}
	}
	return !open;
}

int main(int argc, char **argv)
{
	FILE *page = argc == 2 ? fopen(argv[1], "r") : NULL;

	if (!page) {
		fprintf(stderr, "usage: manual_lists PAGE\n");
		return EXIT_FAILURE;
	}
	if (!rewrite(page)) {
		fprintf(stderr, "%s: BEGIN and END of a list do not fit together\n", argv[1]);
		return EXIT_FAILURE;
	}
	fclose(page);
	return EXIT_SUCCESS;
}
