/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why packets were dropped.
 */
#include <string.h>

#include "daemon/text.h"
#include "daemon/verb.h"

static void send_counts(struct json *row, const struct engine_counters *counters, enum drop reason)
{
	json_text(row, "reason", drop_name(reason));
	json_number(row, "packets-lan", counters->dropped[SIDE_LAN][reason]);
	json_number(row, "packets-wan", counters->dropped[SIDE_WAN][reason]);
}

static enum verb_step explain(struct verb *verb, const char *name)
{
	const char *names[DROPS], *suggestion;

	for (int i = DROP_NONE + 1; i < DROPS; i++) {
		struct json *row;

		names[i] = drop_name((enum drop)i);
		if (strcmp(name, names[i]) != 0)
			continue;
		row = verb_row(verb, "explanation");
		send_counts(row, engine_counters(verb->router->engine), (enum drop)i);
		json_text(row, "meaning", drop_meaning((enum drop)i));
		json_text(row, "advice", drop_advice((enum drop)i));
		verb_send(verb);
		return VERB_OVER;
	}
	suggestion = text_suggest(name, names + 1, DROPS - 1);
	return verb_fail(verb, EXIT_NOT_FOUND, "there is no reason %.60s%s%s%s; drops lists all", name,
			 suggestion ? " (did you mean " : "", suggestion ? suggestion : "", suggestion ? "?)" : "");
}

/* The list is short enough to be sent in one turn, so that its numbers belong together. */
enum verb_step verb_drops(struct verb *verb)
{
	static const struct verb_key keys[] = {{"explain", VERB_KEY_WORD}};
	const struct engine_counters *counters = engine_counters(verb->router->engine);
	struct verb_value which;

	if (!verb_read_keys(verb, keys, 1, &which))
		return VERB_OVER;
	if (which.is_given)
		return explain(verb, which.text);
	for (int i = DROP_NONE + 1; i < DROPS; i++) {
		struct json *row = verb_row(verb, "drop");

		send_counts(row, counters, (enum drop)i);
		json_text(row, "meaning", drop_meaning((enum drop)i));
		verb_send(verb);
	}
	return VERB_OVER;
}
