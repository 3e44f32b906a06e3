/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of other programs, and what stands for them here. */
#include "config/config_guess.h"

#include <string.h>
#include <strings.h>

#include "base/suggest.h"
#include "config/text.h"

/* Of several meanings the first one counts that may stand where the word stands. */
static const struct {
	const char *words, *here;
} meanings[] = {
	{"true on 1 enable enabled", "yes"},
	{"false off 0 disable disabled", "no"},
	{"true on 1 enable enabled yes allow accept", "pass"},
	{"false off 0 disable disabled no deny drop reject", "block"},
	{"warn", "warning"},
	{"err crit critical", "error"},
	{"verbose", "debug"},
	{"both tcpudp udp+tcp tcp/udp", "tcp+udp"},
	{"ping", "icmp"},
};

static const struct {
	const char *words, *sentence;
} wishes[] = {
	{"enabled enable disabled disable active",
	 "a section holds as long as it is in the file; put # before each of its lines to switch it off"},
	{"source src from allow allowed",
	 "a forward lets in every sender; the inside host has to refuse those it does not want"},
	{"comment description desc note", "write it behind #, on a line of its own or behind a value"},
	{"on address interface dest destination",
	 "a forward holds on all outside addresses; the inside host is to = ADDRESS"},
	{"to_port toport inside_port internal_port target_port", "write to = ADDRESS:PORT"},
	{"log", "culvertctl mappings and culvertctl trace show what a forward lets in"},
};

/* list: words with blanks between them. */
static bool is_among(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; *list; list += strcspn(list, " "), list += *list == ' ')
		if (!strncasecmp(list, word, length) && (list[length] == ' ' || !list[length]))
			return length > 0;
	return false;
}

const char *guess_word(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		for (size_t j = 0; j < count && is_among(meanings[i].words, text); j++)
			if (!strcmp(meanings[i].here, words[j]))
				return words[j];
	return suggest_word(text, words, count);
}

static uint32_t unit_of(const char *text)
{
	static const struct {
		const char *words;
		uint32_t seconds;
	} units[] = {
		{"s sec secs second seconds", 1},
		{"m min mins minute minutes", 60},
		{"h hour hours", 3600},
		{"d day days", 86400},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (is_among(units[i].words, text))
			return units[i].seconds;
	return 0;
}

bool guess_seconds(const char *text, uint32_t low, uint32_t high, uint32_t *seconds)
{
	size_t digits = strspn(text, "0123456789");
	char number[12];
	uint32_t value, unit = unit_of(text + digits + strspn(text + digits, " \t"));

	if (digits >= sizeof(number) || unit == 0)
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!text_number(number, high / unit, &value) || value * unit < low)
		return false;
	*seconds = value * unit;
	return true;
}

const char *guess_forward_key(const char *name)
{
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		if (is_among(wishes[i].words, name))
			return wishes[i].sentence;
	return NULL;
}
