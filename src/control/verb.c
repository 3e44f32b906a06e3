/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What verbs have in common: their arguments, and the verb that explains the others.
 */
#include "control/verb.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include <culvert/module.h>

#include "config/text.h"
#include "wire/ip.h"

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {{"icmp", PROTOCOL_ICMP}, {"tcp", PROTOCOL_TCP}, {"udp", PROTOCOL_UDP},  {"gre", PROTOCOL_GRE},
		 {"esp", PROTOCOL_ESP},   {"ah", PROTOCOL_AH},   {"l2tp", PROTOCOL_L2TP}};

enum { PROTOCOLS = sizeof(protocols) / sizeof(protocols[0]) };

const char *verb_protocol_name(unsigned int protocol, char memory[8])
{
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (protocols[i].number == protocol)
			return protocols[i].name;
	snprintf(memory, 8, "%u", protocol & 255);
	return memory;
}

void verb_put_flow(struct json *row, const struct flow_view *view)
{
	char memory[8];

	json_text(row, "protocol-name", verb_protocol_name(view->protocol, memory));
	json_endpoint(row, true, "internal-src", view->inside_address, view->inside_port);
	json_endpoint(row, true, "external-src", view->outside_address, view->outside_port);
	json_endpoint(row, true, "external-dst", view->remote_address, view->remote_port);
}

const char *verb_severity(int level)
{
	return level <= LOG_ERR ? "error" : level == LOG_WARNING ? "warning" : "notice";
}

bool verb_read_protocol(const char *text, uint32_t *number)
{
	for (size_t i = 0; i < PROTOCOLS; i++) {
		if (!strcasecmp(text, protocols[i].name)) {
			*number = protocols[i].number;
			return true;
		}
	}
	return text_number(text, 255, number);
}

bool verb_is_like_address(const char *text)
{
	return strchr(text, '.') && !text[strspn(text, "0123456789.")];
}

bool verb_read_service(const char *text, uint32_t *number)
{
	for (*number = 0; *number < SERVICES; (*number)++)
		if (!strcasecmp(text, service_name((enum service) * number)))
			return true;
	return false;
}

/* What is expected, if text is not that, else NULL. */
static const char *read_value(enum verb_key_type type, const char *text, struct verb_value *value)
{
	value->is_given = true;
	value->text = text;
	switch (type) {
	case VERB_KEY_ADDRESS:
		return text_address(text, &value->address) ? NULL : "not an IPv4 address";
	case VERB_KEY_PROTOCOL:
		return verb_read_protocol(text, &value->number)
			       ? NULL
			       : "tcp, udp, icmp, gre, esp, ah, l2tp or a number to 255";
	case VERB_KEY_PORT:
		return text_number(text, 65535, &value->number) ? NULL : "a number to 65535";
	case VERB_KEY_SERVICE:
		return verb_read_service(text, &value->number) ? NULL : "pptp, l2tp or ipsec";
	case VERB_KEY_WORD:
		break;
	}
	return NULL;
}

static void list_keys(const struct verb_key *keys, uint32_t count, char *text, size_t size)
{
	size_t used = 0;

	for (uint32_t i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s=", i == 0 ? "" : ", ", keys[i].name);
}

static bool read_word(struct verb *verb, const char *word, const struct verb_key *keys, uint32_t count,
		      struct verb_value *values)
{
	const char *equals = strchr(word, '='), *expected;
	size_t length = equals ? (size_t)(equals - word) : 0;
	char all[256];

	for (uint32_t i = 0; i < count && equals; i++) {
		if (strlen(keys[i].name) != length || memcmp(keys[i].name, word, length) != 0)
			continue;
		if (values[i].is_given) {
			verb_fail(verb, EXIT_USAGE, "%s= was given twice", keys[i].name);
			return false;
		}
		expected = read_value(keys[i].type, equals + 1, &values[i]);
		if (expected && keys[i].type == VERB_KEY_ADDRESS)
			verb_fail(verb, EXIT_USAGE, "%s=: %s: %.60s", keys[i].name, expected, equals + 1);
		else if (expected)
			verb_fail(verb, EXIT_USAGE, "%s= takes %s, not %.60s", keys[i].name, expected, equals + 1);
		return !expected;
	}
	list_keys(keys, count, all, sizeof(all));
	verb_fail(verb, EXIT_USAGE, "cannot understand %.60s: give %s", word, all);
	return false;
}

/* A key without its equals sign is a slip, and no word of its own. */
static bool is_key(const char *word, const struct verb_key *keys, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!strcmp(word, keys[i].name))
			return true;
	return false;
}

/* word is NULL if there may be none. */
static bool read_words(struct verb *verb, const struct verb_key *keys, uint32_t count, struct verb_value *values,
		       const char **word)
{
	memset(values, 0, count * sizeof(*values));
	for (uint32_t i = 0; i < verb->count; i++) {
		if (word && !*word && !strchr(verb->words[i], '=') && !is_key(verb->words[i], keys, count))
			*word = verb->words[i];
		else if (!read_word(verb, verb->words[i], keys, count, values))
			return false;
	}
	return true;
}

bool verb_read_keys(struct verb *verb, const struct verb_key *keys, uint32_t count, struct verb_value *values)
{
	return read_words(verb, keys, count, values, NULL);
}

bool verb_read_keys_and_word(struct verb *verb, const struct verb_key *keys, uint32_t count, struct verb_value *values,
			     const char **word)
{
	*word = NULL;
	return read_words(verb, keys, count, values, word);
}

bool verb_has_no_words(struct verb *verb)
{
	if (verb->count == 0)
		return true;
	verb_fail(verb, EXIT_USAGE, "cannot understand %.60s: this verb takes no arguments", verb->words[0]);
	return false;
}

enum verb_step verb_help(struct verb *verb)
{
	static const struct {
		const char *name, *arguments, *sentence;
	} table[] = {
#define VERB(NAME, name, version, arguments, flags, function, sentence) {name, arguments, sentence},
#include <culvert/verbs.def>
#undef VERB
	};
	uint32_t found = 0;

	if (verb->count > 1)
		return verb_fail(verb, EXIT_USAGE, "help takes the name of one verb");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (verb->count == 1 && strcmp(verb->words[0], table[i].name) != 0)
			continue;
		struct json *row = verb_row(verb, "verb");
		json_text(row, "name", table[i].name);
		json_text(row, "arguments", table[i].arguments);
		json_text(row, "description", table[i].sentence);
		verb_send(verb);
		found++;
	}
	return found ? VERB_OVER : verb_fail(verb, EXIT_NOT_FOUND, "there is no verb %.60s", verb->words[0]);
}
