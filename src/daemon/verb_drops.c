/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why packets were dropped: the reasons with their counts, one reason explained, and the last packets one by one.
 */
#include <string.h>

#include "base/suggest.h"
#include "daemon/drop_rates.h"
#include "daemon/text.h"
#include "daemon/verb.h"
#include "io/clock.h"

enum filter { BY_EXPLAIN, BY_LAST, BY_REASON, FILTERS };
enum {
	PACKETS_KEPT = 4096, /* by the engine */
	EXAMPLES = 5,        /* shown with a reason that is explained */
};

struct drops {
	uint64_t cursor;
	uint32_t left;    /* packets still to be shown; 0: the reasons are asked for */
	enum drop reason; /* DROP_NONE: all */
};

static void send_counts(const struct verb *verb, struct json *row, enum drop reason)
{
	const struct engine_counters *counters = engine_counters(verb->router->engine);

	json_text(row, "reason", drop_name(reason));
	json_number(row, "packets-lan", counters->dropped[SIDE_LAN][reason]);
	json_number(row, "packets-wan", counters->dropped[SIDE_WAN][reason]);
	json_number(row, "packets-last-minute",
		    drop_rates_last_minute(verb->router->drop_rates, counters, reason, clock_now_ms()));
}

/* DROP_NONE after verb_fail(). */
static enum drop find_reason(struct verb *verb, const char *name)
{
	const char *names[DROPS], *suggestion;

	for (int i = DROP_NONE + 1; i < DROPS; i++) {
		names[i] = drop_name((enum drop)i);
		if (!strcmp(name, names[i]))
			return (enum drop)i;
	}
	suggestion = suggest_word(name, names + 1, DROPS - 1);
	verb_fail(verb, EXIT_NOT_FOUND, "there is no reason %s%s%s%s; drops lists all", name,
		  suggestion ? " (did you mean " : "", suggestion ? suggestion : "", suggestion ? "?)" : "");
	return DROP_NONE;
}

void verb_send_drop(struct verb *verb, enum drop reason)
{
	struct json *row = verb_row(verb, "drop");

	send_counts(verb, row, reason);
	json_text(row, "meaning", drop_meaning(reason));
	verb_send(verb);
}

/* The list is short enough to be sent in one turn, so that its numbers belong together. */
static enum verb_step list_reasons(struct verb *verb)
{
	for (int i = DROP_NONE + 1; i < DROPS; i++)
		verb_send_drop(verb, (enum drop)i);
	return VERB_OVER;
}

static void send_packet(struct verb *verb, const struct drop_view *view)
{
	struct json *row = verb_row(verb, "dropped");
	char memory[8];

	json_number(row, "number", view->number);
	json_number(row, "time", clock_unix_seconds() - view->age_ms / 1000);
	json_number(row, "age", view->age_ms / 1000);
	json_text(row, "from", view->from == SIDE_LAN ? "lan" : "wan");
	json_text(row, "reason", drop_name(view->reason));
	json_number(row, "transport-protocol", view->protocol);
	json_text(row, "protocol-name", verb_protocol_name(view->protocol, memory));
	json_address(row, "src-address", view->source);
	json_number(row, "src-port", view->source_port);
	json_address(row, "dst-address", view->destination);
	json_number(row, "dst-port", view->destination_port);
	json_number(row, "identifier", view->identifier);
	json_number(row, "bytes", view->length);
	if (view->has_mapping) {
		json_address(row, "nearest-src-address", view->mapping_address);
		json_number(row, "nearest-src-port", view->mapping_port);
	} else {
		json_null(row, "nearest-src-address");
		json_null(row, "nearest-src-port");
	}
	verb_send(verb);
}

static enum verb_step list_packets(struct verb *verb, struct drops *drops)
{
	uint64_t now_ms = clock_now_ms();
	struct drop_view view;

	while (verb_has_room(verb) && drops->left > 0) {
		if (!engine_next_drop(verb->router->engine, &drops->cursor, now_ms, &view))
			return VERB_OVER;
		if (drops->reason != DROP_NONE && view.reason != drops->reason)
			continue;
		send_packet(verb, &view);
		drops->left--;
	}
	return drops->left > 0 ? VERB_AGAIN : VERB_OVER;
}

/* The reason, and then who it is about. */
static enum verb_step explain(struct verb *verb, struct drops *drops, const char *name)
{
	enum drop reason = find_reason(verb, name);
	struct json *row;

	if (reason == DROP_NONE)
		return VERB_OVER;
	row = verb_row(verb, "explanation");
	send_counts(verb, row, reason);
	json_text(row, "meaning", drop_meaning(reason));
	json_text(row, "advice", drop_advice(reason));
	verb_send(verb);
	drops->left = EXAMPLES;
	drops->reason = reason;
	return list_packets(verb, drops);
}

enum verb_step verb_drops(struct verb *verb)
{
	static const struct verb_key keys[FILTERS] = {
		[BY_EXPLAIN] = {"explain", VERB_KEY_WORD},
		[BY_LAST] = {"last", VERB_KEY_WORD},
		[BY_REASON] = {"reason", VERB_KEY_WORD},
	};
	struct drops *drops = verb_memory(verb, sizeof(*drops));
	struct verb_value filter[FILTERS];

	if (!verb->is_first)
		return list_packets(verb, drops);
	if (!verb_read_keys(verb, keys, FILTERS, filter))
		return VERB_OVER;
	if (filter[BY_EXPLAIN].is_given)
		return explain(verb, drops, filter[BY_EXPLAIN].text);
	if (!filter[BY_LAST].is_given && !filter[BY_REASON].is_given)
		return list_reasons(verb);
	drops->left = PACKETS_KEPT;
	if (filter[BY_LAST].is_given &&
	    (!text_number(filter[BY_LAST].text, PACKETS_KEPT, &drops->left) || drops->left == 0))
		return verb_fail(verb, EXIT_USAGE, "last= takes a number from 1 to %d: so many packets are remembered",
				 PACKETS_KEPT);
	if (filter[BY_REASON].is_given)
		drops->reason = find_reason(verb, filter[BY_REASON].text);
	if (filter[BY_REASON].is_given && drops->reason == DROP_NONE)
		return VERB_OVER;
	return list_packets(verb, drops);
}
