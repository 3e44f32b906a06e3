/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows one by one, as they stand in the engine's table, or the first few of an order.
 */
#include <errno.h>
#include <string.h>

#include <culvert/module.h>

#include "config/text.h"
#include "control/ranking.h"
#include "control/selection.h"
#include "control/verb.h"
#include "io/clock.h"

enum filter { BY_HOST, BY_REMOTE, BY_PROTOCOL, BY_PORT, BY_SORT, BY_LIMIT, FILTERS };
enum sort { SORT_BYTES, SORT_PACKETS, SORT_EXPIRES, SORT_AGE, SORT_IDLE, SORTS };
enum { SORTED_MAX = 1000 };

struct mappings {
	struct verb_value filter[FILTERS];
	struct selection selection; /* of a word alone */
	uint32_t cursor;
	uint32_t left; /* rows still to be sent, if they are not sorted */
	enum sort sort;
	struct ranking ranking; /* without entries: not sorted */
	bool is_ranked;
	uint32_t at; /* of the ranking */
};

/* The states of TCP as enum tcp_state of the engine has them. */
static const char *state_of(const struct flow_view *view)
{
	static const char *const names[] = {NULL, "opening", "established", "half-closed", "closed", "reset"};

	return view->tcp_state < sizeof(names) / sizeof(names[0]) ? names[view->tcp_state] : NULL;
}

/* A word alone: an address of any of the three, a tunnel, or the mapping itself. */
static bool is_selected(const struct flow_view *view, const struct selection *selection)
{
	if (selection->what == SELECTED_HOST)
		return address_equal(view->inside_address, selection->host) ||
		       address_equal(view->outside_address, selection->host) ||
		       address_equal(view->remote_address, selection->host);
	return selection->what == SELECTED_ALL || selection_has_flow(selection, view);
}

static bool is_wanted(const struct flow_view *view, const struct mappings *mappings)
{
	const struct verb_value *filter = mappings->filter;
	uint32_t port = filter[BY_PORT].number;

	if (!is_selected(view, &mappings->selection))
		return false;
	if (filter[BY_HOST].is_given && !address_equal(filter[BY_HOST].address, view->inside_address))
		return false;
	if (filter[BY_REMOTE].is_given && !address_equal(filter[BY_REMOTE].address, view->remote_address))
		return false;
	if (filter[BY_PROTOCOL].is_given && filter[BY_PROTOCOL].number != view->protocol)
		return false;
	return !filter[BY_PORT].is_given || port == view->inside_port || port == view->outside_port ||
	       port == view->remote_port;
}

static void send_mapping(struct verb *verb, const struct flow_view *view)
{
	struct json *row = verb_row(verb, "mapping");

	json_number(row, "index", view->index);
	json_text(row, "type", view->inside_is_server ? "static" : "dynamic-implicit");
	json_number(row, "transport-protocol", view->protocol);
	verb_put_flow(row, view);
	json_text(row, "state", state_of(view));
	json_bool(row, "hairpin", view->hairpin);
	json_number(row, "packets-out", view->packets[SIDE_LAN]);
	json_number(row, "bytes-out", view->bytes[SIDE_LAN]);
	json_number(row, "packets-in", view->packets[SIDE_WAN]);
	json_number(row, "bytes-in", view->bytes[SIDE_WAN]);
	json_number(row, "lifetime", view->expires_ms / 1000);
	json_number(row, "age", view->age_ms / 1000);
	json_number(row, "idle", view->idle_ms / 1000);
	verb_send(verb);
}

static void let_go(struct verb *verb)
{
	struct mappings *mappings = verb_memory(verb, sizeof(*mappings));

	ranking_end(&mappings->ranking);
}

/* What is shown first is larger. */
static uint64_t size_of(const struct flow_view *view, enum sort sort)
{
	switch (sort) {
	case SORT_BYTES:
		return view->bytes[SIDE_LAN] + view->bytes[SIDE_WAN];
	case SORT_PACKETS:
		return (uint64_t)view->packets[SIDE_LAN] + view->packets[SIDE_WAN];
	case SORT_AGE:
		return view->age_ms;
	case SORT_IDLE:
		return view->idle_ms;
	default:
		return UINT32_MAX - view->expires_ms;
	}
}

static bool read_sort(const struct verb_value *value, enum sort *sort)
{
	static const char *const names[SORTS] = {[SORT_BYTES] = "bytes",
						 [SORT_PACKETS] = "packets",
						 [SORT_EXPIRES] = "expires",
						 [SORT_AGE] = "age",
						 [SORT_IDLE] = "idle"};

	for (*sort = SORT_BYTES; *sort < SORTS; (*sort)++)
		if (!strcmp(value->text, names[*sort]))
			return true;
	return false;
}

/* A protocol by its name, or what has flows. False after verb_fail(). */
static bool read_word(struct verb *verb, struct mappings *mappings, const char *word)
{
	struct verb_value *protocol = &mappings->filter[BY_PROTOCOL];
	uint32_t number;

	if (protocol->is_given || text_number(word, UINT32_MAX, &number) || !verb_read_protocol(word, &number))
		return selection_read(&mappings->selection, verb, word, true);
	*protocol = (struct verb_value){.is_given = true, .number = number, .text = word};
	return true;
}

/* False after verb_fail(). */
static bool begin(struct verb *verb, struct mappings *mappings)
{
	static const struct verb_key keys[FILTERS] = {
		[BY_HOST] = {"host", VERB_KEY_ADDRESS},       [BY_REMOTE] = {"remote", VERB_KEY_ADDRESS},
		[BY_PROTOCOL] = {"proto", VERB_KEY_PROTOCOL}, [BY_PORT] = {"port", VERB_KEY_PORT},
		[BY_SORT] = {"sort", VERB_KEY_WORD},          [BY_LIMIT] = {"limit", VERB_KEY_WORD},
	};
	const struct verb_value *sort = &mappings->filter[BY_SORT], *limit = &mappings->filter[BY_LIMIT];
	const char *word;

	if (!verb_read_keys_and_word(verb, keys, FILTERS, mappings->filter, &word) ||
	    (word && !read_word(verb, mappings, word)))
		return false;
	mappings->left = sort->is_given ? SORTED_MAX : UINT32_MAX;
	if (limit->is_given && (!text_number(limit->text, UINT32_MAX, &mappings->left) || mappings->left == 0))
		verb_fail(verb, EXIT_USAGE, "limit= takes a number of rows from 1 on, not %.60s", limit->text);
	else if (sort->is_given && !read_sort(sort, &mappings->sort))
		verb_fail(verb, EXIT_USAGE, "sort= takes bytes, packets, expires, age or idle, not %.60s", sort->text);
	else if (sort->is_given && mappings->left > SORTED_MAX)
		verb_fail(verb, EXIT_USAGE,
			  "with sort=, limit= is at most %d, because the rows are kept until all flows were read",
			  SORTED_MAX);
	else if (sort->is_given && !ranking_start(&mappings->ranking, mappings->left))
		verb_fail(verb, EXIT_NETWORK, "out of memory: cannot sort: %s", strerror(errno));
	else
		return true;
	return false;
}

/* One turn's worth; true once all flows were looked at. */
static bool rank(struct verb *verb, struct mappings *mappings, uint64_t now_ms)
{
	uint32_t budget = VERB_RECORDS_A_TURN;
	struct flow_view view;

	while (engine_next_flow_within(verb->router->engine, &mappings->cursor, &budget, now_ms, &view))
		if (is_wanted(&view, mappings))
			ranking_add(&mappings->ranking,
				    &(struct ranked){.size = size_of(&view, mappings->sort), .from = view.index});
	return budget > 0;
}

static enum verb_step send_ranked(struct verb *verb, struct mappings *mappings, uint64_t now_ms)
{
	struct flow_view view;

	for (; verb_has_room(verb) && mappings->at < mappings->ranking.count; mappings->at++) {
		uint32_t cursor = (uint32_t)mappings->ranking.entry[mappings->at].from, budget = 1;

		if (engine_next_flow_within(verb->router->engine, &cursor, &budget, now_ms, &view) &&
		    is_wanted(&view, mappings)) /* else it has gone meanwhile */
			send_mapping(verb, &view);
	}
	return mappings->at < mappings->ranking.count ? VERB_AGAIN : VERB_OVER;
}

static enum verb_step list(struct verb *verb, struct mappings *mappings, uint64_t now_ms)
{
	uint32_t budget = VERB_RECORDS_A_TURN;
	struct flow_view view;

	while (verb_has_room(verb)) {
		if (mappings->left == 0)
			return VERB_OVER;
		if (!engine_next_flow_within(verb->router->engine, &mappings->cursor, &budget, now_ms, &view))
			return budget > 0 ? VERB_OVER : VERB_AGAIN;
		if (!is_wanted(&view, mappings))
			continue;
		send_mapping(verb, &view);
		mappings->left--;
	}
	return VERB_AGAIN;
}

enum verb_step verb_mappings(struct verb *verb)
{
	struct mappings *mappings = verb_memory(verb, sizeof(*mappings));
	uint64_t now_ms = clock_now_ms();

	if (verb->is_first && !begin(verb, mappings))
		return VERB_OVER;
	if (!mappings->ranking.entry)
		return list(verb, mappings, now_ms);
	verb->over = let_go;
	if (mappings->is_ranked)
		return send_ranked(verb, mappings, now_ms);
	if (rank(verb, mappings, now_ms)) {
		ranking_sort(&mappings->ranking);
		mappings->is_ranked = true;
	}
	return VERB_AGAIN;
}
