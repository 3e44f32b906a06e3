/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is different between two configurations, key by key, and what of that a reload does not change.
 */
#include "config/config_keys.h"

#include <stddef.h>
#include <string.h>

enum { VALUE_TEXT = 4096 /* longer lists are cut */ };

/* What a forward does, in the words of its section: "protocol tcp, port 80, to 10.0.0.3". */
static void describe_forward(const struct config_forward *forward, char text[VALUE_TEXT])
{
	FILE *out = fmemopen(text, VALUE_TEXT, "w");
	bool is_service = forward->service != SERVICE_NONE;

	text[0] = '\0';
	if (!out)
		return;
	for (unsigned int i = 0; i < FORWARD_KEYS; i++) {
		if (is_service ? i == FORWARD_KEY_PROTOCOL || i == FORWARD_KEY_PORT
			       : i == FORWARD_KEY_SERVICE || (i == FORWARD_KEY_PORT && !forward->port_first))
			continue;
		fprintf(out, "%s%s ", ftell(out) > 0 ? ", " : "", forward_keys[i].name);
		forward_key_print((enum forward_key)i, forward, out);
	}
	fclose(out);
}

static void describe_key(const struct config_key *key, const struct config *config, char text[VALUE_TEXT])
{
	FILE *out = fmemopen(text, VALUE_TEXT, "w");

	text[0] = '\0';
	if (!out)
		return;
	config_key_print(key, config, out);
	fclose(out);
}

static const struct config_forward *find_forward(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->forwards; i++)
		if (!strcmp(config->forward[i].name, name))
			return &config->forward[i];
	return NULL;
}

/* One of the two may be missing. True if they differ, and then *change says how. */
static bool compare_forward(const struct config_forward *before, const struct config_forward *after,
			    struct config_change *change, char text[2][VALUE_TEXT])
{
	if (before)
		describe_forward(before, text[0]);
	if (after)
		describe_forward(after, text[1]);
	if (before && after && !strcmp(text[0], text[1]))
		return false;
	*change = (struct config_change){
		.is_forward = true,
		.section = before ? before->name : after->name,
		.before = before ? text[0] : NULL,
		.after = after ? text[1] : NULL,
	};
	return true;
}

static uint32_t compare_forwards(const struct config *before, const struct config *after, config_tell_change *tell,
				 void *context)
{
	char text[2][VALUE_TEXT];
	struct config_change change;
	uint32_t changes = 0;

	for (uint32_t i = 0; i < before->forwards; i++) {
		const struct config_forward *forward = &before->forward[i];

		if (!compare_forward(forward, find_forward(after, forward->name), &change, text))
			continue;
		changes++;
		tell(context, &change);
	}
	for (uint32_t i = 0; i < after->forwards; i++) {
		if (find_forward(before, after->forward[i].name))
			continue;
		changes += compare_forward(NULL, &after->forward[i], &change, text);
		tell(context, &change);
	}
	return changes;
}

/* A restart would take the same device. */
static bool is_same_wan(const struct config_key *key, const struct config *before, const struct config *after,
			const char *default_wan)
{
	const char *old = before->wan_interface, *next = after->wan_interface;

	return key->offset == offsetof(struct config, wan_interface) && default_wan && default_wan[0] &&
	       !strcmp(old[0] ? old : default_wan, next[0] ? next : default_wan);
}

uint32_t config_compare(const struct config *before, const struct config *after, const char *default_wan,
			config_tell_change *tell, void *context)
{
	char text[2][VALUE_TEXT];
	uint32_t changes = 0;

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (config_key_equal(key, before, after) || is_same_wan(key, before, after, default_wan))
			continue;
		changes++;
		describe_key(key, before, text[0]);
		describe_key(key, after, text[1]);
		tell(context, &(struct config_change){.section = key->section,
						      .key = key->name,
						      .needs_restart = key->restart,
						      .before = text[0],
						      .after = text[1]});
	}
	return changes + compare_forwards(before, after, tell, context);
}

void config_keep_fixed(struct config *config, const struct config *running)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++)
		if (config_keys[i].restart) /* which no list is */
			memcpy((char *)config + config_keys[i].offset, (const char *)running + config_keys[i].offset,
			       config_keys[i].size);
}
