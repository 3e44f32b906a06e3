/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of keys, and what can be said of a key without knowing its value's type.
 */
#include "config/config_keys.h"

#include <string.h>

#define RELOAD  false
#define RESTART true

const struct config_key config_keys[CONFIG_KEYS] = {
#define KEY(section, key, type, member, low, high, initial, when, why, sentence) \
	{section, key, KEY_##type, offsetof(struct config, member), low, high, initial, when, why, sentence},
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

/* Bytes of the member; lists are more than one member. */
static size_t member_size(const struct config_key *key)
{
	switch (key->type) {
	case KEY_INTERFACE:
		return IFNAMSIZ;
	case KEY_PATH:
	case KEY_LISTEN:
	case KEY_LOG_TARGET:
		return CONFIG_PATH_MAX;
	case KEY_BOOLEAN:
		return sizeof(bool);
	case KEY_DEPENDENCE:
		return sizeof(enum dependence);
	case KEY_MODE:
		return sizeof(enum service_mode);
	case KEY_PART_MODE:
		return sizeof(enum part_mode);
	case KEY_LOG_LEVEL:
		return sizeof(int);
	case KEY_NUMBER:
	case KEY_SECONDS:
	case KEY_PORTS:
	case KEY_PREFIXES:
		break;
	}
	return sizeof(uint32_t);
}

bool config_key_equal(const struct config_key *key, const struct config *a, const struct config *b)
{
	switch (key->type) {
	case KEY_PORTS:
		return a->host_auto == b->host_auto && !memcmp(&a->host_tcp, &b->host_tcp, sizeof(a->host_tcp)) &&
		       !memcmp(&a->host_udp, &b->host_udp, sizeof(a->host_udp));
	case KEY_PREFIXES:
		if (a->bypasses != b->bypasses)
			return false;
		for (uint32_t i = 0; i < a->bypasses; i++) {
			if (a->bypass[i].address != b->bypass[i].address || a->bypass[i].length != b->bypass[i].length)
				return false;
		}
		return true;
	default:
		return !memcmp((const char *)a + key->offset, (const char *)b + key->offset, member_size(key));
	}
}

void config_key_copy(const struct config_key *key, struct config *to, const struct config *from)
{
	switch (key->type) {
	case KEY_PORTS:
		to->host_tcp = from->host_tcp;
		to->host_udp = from->host_udp;
		to->host_auto = from->host_auto;
		break;
	case KEY_PREFIXES:
		memcpy(to->bypass, from->bypass, sizeof(to->bypass));
		to->bypasses = from->bypasses;
		break;
	default:
		memcpy((char *)to + key->offset, (const char *)from + key->offset, member_size(key));
		break;
	}
}
