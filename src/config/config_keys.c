/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of keys, and what can be said of a key without knowing its value's type.
 */
#include "config/config_keys.h"

#include <string.h>

#define RELOAD        false
#define RESTART       true

#define PLACE(member) offsetof(struct config, member), sizeof(((struct config *)0)->member)

const struct config_key config_keys[CONFIG_KEYS] = {
#define KEY(section, key, type, member, low, high, initial, when, why, sentence) \
	{section, key, KEY_##type, PLACE(member), low, high, initial, when, why, sentence},
#include <culvert/confkeys.def>
};

const struct config_section config_sections[CONFIG_SECTIONS] = {
#define SECTION(name, sentence) {name, sentence},
#include <culvert/confkeys.def>
};

const struct forward_key_text forward_keys[FORWARD_KEYS] = {
#define FORWARD_KEY(name, key, values, sentence) [FORWARD_KEY_##name] = {key, values, sentence},
#include <culvert/confkeys.def>
};

bool config_key_is_list(const struct config_key *key)
{
	return key->type == KEY_PORTS || key->type == KEY_PREFIXES;
}

void config_key_empty(const struct config_key *key, struct config *config)
{
	if (key->type == KEY_PORTS) {
		memset(&config->host_tcp, 0, sizeof(config->host_tcp));
		memset(&config->host_udp, 0, sizeof(config->host_udp));
		config->host_auto = false;
	} else {
		memset(config->bypass, 0, sizeof(config->bypass));
		config->bypasses = 0;
	}
}

void config_key_reset(const struct config_key *key, struct config *config)
{
	char problem[PROBLEM_MAX];

	if (config_key_is_list(key))
		config_key_empty(key, config);
	if (!config_key_is_list(key) || key->initial[0])
		(void)config_key_parse(key, config, key->initial, problem);
}

static bool has_same_prefixes(const struct config *a, const struct config *b)
{
	uint32_t i = 0;

	while (i < a->bypasses && i < b->bypasses && address_equal(a->bypass[i].address, b->bypass[i].address) &&
	       a->bypass[i].length == b->bypass[i].length)
		i++;
	return i == a->bypasses && i == b->bypasses;
}

bool config_key_equal(const struct config_key *key, const struct config *a, const struct config *b)
{
	if (key->type == KEY_PREFIXES)
		return has_same_prefixes(a, b);
	if (key->type == KEY_PORTS &&
	    (a->host_auto != b->host_auto || memcmp(&a->host_udp, &b->host_udp, sizeof(a->host_udp)) != 0))
		return false;
	return !memcmp((const char *)a + key->offset, (const char *)b + key->offset, key->size);
}
