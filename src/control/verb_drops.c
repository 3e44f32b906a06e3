/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why packets were dropped: the reasons with their counts, one reason explained, and the last packets one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "config/text.h"
#include "control/capture.h"
#include "control/selection.h"
#include "control/verb.h"
#include "io/clock.h"
#include "observe/drop_rates.h"
#include "observe/tunnel_text.h"

enum phase { COLLECT, NAME, SEND };
enum filter { BY_EXPLAIN, BY_LAST, BY_REASON, FILTERS };
enum {
	PACKETS_KEPT = 4096, /* by the engine */
	EXAMPLES = 5,        /* shown with a reason that is explained */
	BUCKETS = 256,
	COMPARISONS_A_TURN = 1 << 16, /* of a packet with a tunnel; strangers choose the addresses */
};

/* A dropped packet, and the tunnel it belonged to. Those of one remote address are linked. */
struct packet_row {
	struct drop_view view;
	uint32_t next; /* an index plus 1; 0: none */
	uint32_t tunnels;
	char tunnel[TUNNEL_NAME]; /* the last of them */
};

struct drops {
	enum phase phase;
	uint64_t cursor;  /* of drops, then of tunnels */
	uint32_t left;    /* packets still to be collected */
	enum drop reason; /* DROP_NONE: all */
	struct packet_row *row;
	uint32_t rows, sent;
	uint32_t first[BUCKETS]; /* by remote address; like next */
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

static void send_packet(struct verb *verb, const struct packet_row *packet)
{
	const struct drop_view *view = &packet->view;
	struct json *row = verb_row(verb, "dropped");
	char memory[8];

	json_number(row, "number", view->number);
	json_number(row, "time", clock_unix_seconds() - view->age_ms / 1000);
	json_number(row, "age", view->age_ms / 1000);
	json_text(row, "from", side_name(view->from));
	json_text(row, "reason", drop_name(view->reason));
	json_number(row, "transport-protocol", view->protocol);
	json_text(row, "protocol-name", verb_protocol_name(view->protocol, memory));
	json_endpoint(row, true, "src", view->source, view->source_port);
	json_endpoint(row, true, "dst", view->destination, view->destination_port);
	json_number(row, "identifier", view->identifier);
	json_number(row, "bytes", view->length);
	json_text(row, "tunnel", packet->tunnels == 1 ? packet->tunnel : NULL);
	json_endpoint(row, view->has_mapping, "nearest-src", view->mapping_address, view->mapping_port);
	verb_send(verb);
}

/* --- the tunnel of a packet --- */

static uint32_t *bucket_of(struct drops *drops, struct address remote_address)
{
	return &drops->first[(address_word(remote_address) * 0x9e3779b1U) >> 24];
}

static void collect(struct drops *drops, const struct drop_view *view)
{
	uint32_t *first = bucket_of(drops, view->from == SIDE_WAN ? view->source : view->destination);
	struct packet_row *row = &drops->row[drops->rows++];

	row->view = *view;
	row->next = *first;
	*first = drops->rows;
}

/* One that was sent to a mapping belongs to its host; on the outside, tunnels to one server look alike otherwise. */
static bool is_of(const struct drop_view *view, const struct selection *selection)
{
	const struct capture_ends ends = {
		.protocol = view->protocol,
		.source = view->source,
		.destination = view->destination,
		.identifier = view->identifier,
		.source_port = view->source_port,
		.destination_port = view->destination_port,
	};
	const struct tunnel_view *tunnel = &selection->tunnel;

	if (!selection_has_packet(selection, &ends, view->from))
		return false;
	if (!view->has_mapping)
		return true;
	return address_equal(view->mapping_address, tunnel->inside_address) &&
	       (tunnel->inside_port == 0 || view->mapping_port == tunnel->inside_port);
}

/* Returns how many packets it was compared with. */
static uint32_t name_tunnel(struct drops *drops, const struct tunnel_view *view)
{
	const struct selection selection = {.what = SELECTED_TUNNEL, .tunnel = *view};
	uint32_t comparisons = 0;
	char name[TUNNEL_NAME];

	if (view->end != END_NOT || !tunnel_text_name(view, name))
		return 0;
	for (uint32_t at = *bucket_of(drops, view->remote_address); at != 0; at = drops->row[at - 1].next) {
		struct packet_row *row = &drops->row[at - 1];

		comparisons++;
		if (!is_of(&row->view, &selection))
			continue;
		row->tunnels++;
		memcpy(row->tunnel, name, sizeof(name));
	}
	return comparisons;
}

static void name_tunnels(struct verb *verb, struct drops *drops)
{
	uint64_t now_ms = clock_now_ms();
	uint32_t comparisons = 0;
	struct tunnel_view view;

	for (uint32_t i = 0; i < VERB_RECORDS_A_TURN && comparisons < COMPARISONS_A_TURN; i++) {
		if (!engine_next_tunnel(verb->router->engine, &drops->cursor, now_ms, &view)) {
			drops->phase = SEND;
			return;
		}
		comparisons += name_tunnel(drops, &view);
	}
}

/* --- the last packets --- */

static void let_go(struct verb *verb)
{
	struct drops *drops = verb_memory(verb, sizeof(*drops));

	free(drops->row);
	drops->row = NULL;
}

/* In one turn, so that they are the last ones of the same moment. */
static void collect_packets(struct verb *verb, struct drops *drops)
{
	uint64_t now_ms = clock_now_ms();
	struct drop_view view;

	while (drops->rows < drops->left && engine_next_drop(verb->router->engine, &drops->cursor, now_ms, &view))
		if (drops->reason == DROP_NONE || view.reason == drops->reason)
			collect(drops, &view);
	drops->cursor = 0;
	drops->phase = NAME;
}

static enum verb_step list_packets(struct verb *verb, struct drops *drops)
{
	if (!drops->row) {
		drops->row = calloc(drops->left, sizeof(*drops->row));
		if (!drops->row)
			return verb_fail(verb, EXIT_NETWORK, "out of memory: no list");
		verb->over = let_go;
	}
	if (drops->phase == COLLECT)
		collect_packets(verb, drops);
	else if (drops->phase == NAME)
		name_tunnels(verb, drops);
	while (drops->phase == SEND && verb_has_room(verb)) {
		if (drops->sent == drops->rows)
			return VERB_OVER;
		send_packet(verb, &drops->row[drops->sent++]);
	}
	return VERB_AGAIN;
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
	const char *word;

	if (!verb->is_first)
		return list_packets(verb, drops);
	if (!verb_read_keys_and_word(verb, keys, FILTERS, filter, &word))
		return VERB_OVER;
	if (word || filter[BY_EXPLAIN].is_given)
		return explain(verb, drops, word ? word : filter[BY_EXPLAIN].text);
	if (!filter[BY_LAST].is_given && !filter[BY_REASON].is_given)
		return list_reasons(verb);
	drops->left = PACKETS_KEPT;
	if (filter[BY_LAST].is_given &&
	    (!text_number(filter[BY_LAST].text, PACKETS_KEPT, &drops->left) || drops->left == 0))
		return verb_fail(verb, EXIT_USAGE, "last= takes a number from 1 to %d; no more packets are remembered",
				 PACKETS_KEPT);
	if (filter[BY_REASON].is_given)
		drops->reason = find_reason(verb, filter[BY_REASON].text);
	if (filter[BY_REASON].is_given && drops->reason == DROP_NONE)
		return VERB_OVER;
	return list_packets(verb, drops);
}
