/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words come from the lists of include/culvert, and names of what is there now from a running culvertd.
 */
#include "ctl/complete.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "ctl/options.h"
#include "ctl/talk.h"
#include "ctl/verbs.h"

/* The line as far as it is typed. */
struct line {
	const char *socket;
	const struct verb_text *verb; /* NULL: there is none yet, or names_verb: none like this */
	bool names_verb;
	uint32_t place;      /* of the last word among the plain ones behind the verb */
	struct verb_key key; /* whose value comes next; "": none */
	const char *word;    /* the last one */
	size_t before;       /* so much of it is not part of what is completed: KEY= */
};

/* What the capital words of arguments stand for. */
static const struct {
	const char *name, *words;
} placeholders[] = {
	{"FORM", "table|json|lines|tsv"},
	{"WHEN", "always|never|auto"},
	{"SWITCH", "pptp|l2tp|ipsec|ike|natt|esp|ah"},
	{"MODE", "pass|plain|block|on|off"},
	{"PROTOCOL", "tcp|udp|icmp|gre|esp|ah|l2tp"},
	{"STATE", "requested|negotiating|connected|blocked|clearing|ended"},
#define SERVICE(name, section, label) {"SERVICE", section},
#include <culvert/services.def>
#undef SERVICE
#define DROP(name, text, meaning, advice) {"REASON", text},
#include <culvert/drops.def>
#undef DROP
};

/* The same for names that a running culvertd knows: what it is asked, and which member of a row it is. */
static const struct {
	const char *names, *request[3];
	size_t words;
	const char *member;
} live[] = {
	{"HOST|ADDRESS|SOURCE", {"top", "show=hosts", "limit=100"}, 3, "internal-src-address"},
	{"REMOTE|ADDRESS|DESTINATION", {"tunnels"}, 1, "external-dst-address"},
	{"TUNNEL", {"tunnels"}, 1, "id"},
	{"MAPPING", {"mappings", "limit=100"}, 2, "index"},
};

/* Takes the next word of one|two|three. */
static bool next_word(const char **list, char word[64])
{
	size_t length = strcspn(*list, "|");

	snprintf(word, 64, "%.*s", (int)length, *list);
	*list += length + ((*list)[length] == '|');
	return length > 0;
}

static bool has_word(const char *list, const char *name)
{
	char word[64];

	while (next_word(&list, word))
		if (!strcmp(word, name))
			return true;
	return false;
}

static void offer(const struct line *line, const char *word, const char *behind, const char *sentence)
{
	const char *typed = line->word + line->before;

	if (!strncmp(word, typed, strlen(typed)))
		printf("%.*s%s%s%s%s\n", (int)line->before, line->word, word, behind, sentence[0] ? "\t" : "",
		       sentence);
}

/* A name is taken only if no shell sees more in it than a word. False: the time is over. */
static bool ask(const struct line *line, const char *const *request, size_t words, const char *member)
{
	static struct talk talk;
	static struct row row;
	const char *name, *at;
	int code = talk_start(&talk, line->socket, request, words, false, stderr);

	if (code == EXIT_OK)
		talk_stop_at_signals(&talk);
	while (code == EXIT_OK && (code = talk_next(&talk, &row, &at)) == EXIT_OK && !row_find(&row, "code")) {
		name = row_text(&row, member);
		if (name[0] && name[0] != '-' && !name[strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz.-")] &&
		    !row_text(&row, "end")[0])
			offer(line, name, "", "");
	}
	talk_end(&talk);
	return code != TALK_STOPPED;
}

static void offer_verbs(const struct line *line)
{
	for (size_t i = 0; i < verb_count; i++)
		offer(line, verb_texts[i].name, "", verb_texts[i].sentence);
}

/* Words of one|two|three are themselves if they are in small letters. EXIT_FILE: one of them is a file. */
static int offer_words(const struct line *line, const char *list)
{
	char word[64], meant[64];

	for (const char *at = list; next_word(&at, word);) {
		if (word[0] >= 'a')
			offer(line, word, "", "");
		if (!strcmp(word, "VERB"))
			offer_verbs(line);
		for (size_t i = 0; i < sizeof(placeholders) / sizeof(placeholders[0]); i++)
			for (const char *words = placeholders[i].words;
			     !strcmp(placeholders[i].name, word) && next_word(&words, meant);)
				offer(line, meant, "", "");
	}
	for (const char *at = list; next_word(&at, word);) {
		/* Numbers of mappings say nothing to people, until the first digit is typed. */
		if (!strcmp(word, "MAPPING") && strspn(line->word, "0123456789") == 0)
			continue;
		for (size_t i = 0; i < sizeof(live) / sizeof(live[0]); i++)
			if (has_word(live[i].names, word) && !ask(line, live[i].request, live[i].words, live[i].member))
				return EXIT_OK;
	}
	return has_word(list, "FILE") || has_word(list, "PATH") ? EXIT_FILE : EXIT_OK;
}

/* Takes the option or KEY= that word begins with for the one whose value comes next. False: it has none. */
static bool find_key(struct line *line, const char *word)
{
	size_t dashes = strspn(word, "-"), length = strcspn(word + dashes, "=");
	struct verb_key key;

	word += dashes;
	for (const struct option_text *text = option_texts; text->name && dashes > 0; text++) {
		if (!text->value || (dashes == 2 ? strncmp(text->name, word, length) != 0 || text->name[length]
						 : length != 1 || text->letter != word[0]))
			continue;
		snprintf(line->key.name, sizeof(line->key.name), "%s", text->name);
		snprintf(line->key.value, sizeof(line->key.value), "%s", text->value);
		return true;
	}
	for (const struct verb_text *verb = verb_texts; verb < verb_texts + verb_count; verb++) {
		for (const char *at = NULL; verbs_next_key(verb, &at, &key);) {
			if ((line->verb && line->verb != verb) || dashes == 1 || strlen(key.name) != length ||
			    strncmp(key.name, word, length) != 0)
				continue;
			line->key = key;
			if (!strcmp(key.value, "ADDRESS"))
				snprintf(line->key.value, sizeof(line->key.value), "%s",
					 strcmp(key.name, "host") ? "REMOTE" : "HOST");
			return true;
		}
	}
	return false;
}

static void offer_options(const struct line *line)
{
	struct verb_key key;
	char word[sizeof(key.name) + 2] = "-";

	for (const struct option_text *text = option_texts; text->name; text++) {
		snprintf(word, sizeof(word), "--%s", text->name);
		offer(line, word, "", text->help);
		snprintf(word, sizeof(word), "-%c", text->letter);
		if (text->letter < OPTION_LONG)
			offer(line, word, "", text->help);
	}
	for (const char *at = NULL; line->verb && verbs_next_key(line->verb, &at, &key);) {
		snprintf(word, sizeof(word), "--%s", key.name);
		offer(line, word, "", "");
	}
}

/* A plain word behind the verb, and KEY= unless something else must stand there. */
static int offer_arguments(const struct line *line)
{
	const char *at = line->verb->arguments;
	uint32_t place = line->place;
	struct verb_key key;
	char list[64] = "";
	bool is_optional = true;

	for (size_t length; *at && !list[0]; at += length) {
		at += strspn(at, " []");
		length = strcspn(at, " []");
		if (length == 0 || memchr(at, '=', length) || place-- > 0)
			continue;
		snprintf(list, sizeof(list), "%.*s", (int)length, at);
		is_optional = at > line->verb->arguments && at[-1] == '[' && at[length] == ']';
	}
	for (at = NULL; is_optional && verbs_next_key(line->verb, &at, &key);)
		offer(line, key.name, "=", "");
	return offer_words(line, list);
}

/* One of the words before the last. */
static void take_word(struct line *line, const char *word)
{
	const char *equals = strchr(word, '=');
	bool is_value = line->key.name[0];

	if (!is_value && word[0] == '-') {
		if (!find_key(line, word) || !equals)
			return;
		word = equals + 1;
	} else if (!is_value) {
		if (line->names_verb) {
			line->place += !equals;
		} else if (strcmp(word, "show") != 0 && strcmp(word, "list") != 0) {
			line->names_verb = true;
			line->verb = verbs_find(word, NULL);
		}
		return;
	}
	if (!strcmp(line->key.name, "socket"))
		line->socket = word;
	line->key.name[0] = '\0';
}

int complete_words(int count, char **words)
{
	struct line line = {.socket = OPTIONS_SOCKET, .word = count > 0 ? words[count - 1] : ""};
	const char *equals = strchr(line.word, '=');

	if (!freopen("/dev/null", "w", stderr))
		return EXIT_FILE;
	setlinebuf(stdout); /* what is known is said before culvertd is asked */
	alarm(1);
	for (int i = 0; i + 1 < count; i++)
		take_word(&line, words[i]);
	if (line.names_verb && !line.verb)
		return EXIT_OK;
	if (!line.key.name[0] && equals && find_key(&line, line.word))
		line.before = (size_t)(equals + 1 - line.word);
	if (line.key.name[0])
		return offer_words(&line, line.key.value);
	if (line.word[0] == '-')
		offer_options(&line);
	else if (!line.verb)
		offer_words(&line, "VERB");
	else
		return offer_arguments(&line);
	return EXIT_OK;
}
