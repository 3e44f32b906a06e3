/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a live screen shows: sums, the largest tunnels or inside hosts, and the reasons of drops. However many flows and
 * tunnels there are, they are looked at here, over as many turns as it takes, and only the rows that were asked for are
 * sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/text.h"
#include "control/ranking.h"
#include "control/verb.h"
#include "io/clock.h"
#include "io/random.h"

enum filter { BY_SHOW, BY_SORT, BY_LIMIT, FILTERS };
enum sort { SORT_BYTES, SORT_PACKETS, SORT_AGE };
enum phase { FLOWS, TUNNELS, RANK, SUMMARY, ROWS };
enum { LIMIT_MAX = 1000, LIMIT_USUAL = 20, SLOTS_MIN = 1024 };

/* The flows and living tunnels of an inside host; those that are over have taken their numbers along. */
struct sum {
	struct address address;
	bool is_used;
	uint32_t flows, tunnels;
	uint32_t age_ms; /* of its oldest tunnel */
	uint64_t bytes[SIDES], packets[SIDES];
};

struct top {
	enum phase phase;
	bool shows_hosts;
	enum sort sort;
	uint32_t limit;
	uint32_t flow_cursor, at; /* at: of slots to rank, then of rows to send */
	uint64_t tunnel_cursor;
	uint32_t tunnels;
	struct ranking ranking;
	/* hosts: open addressing with linear probing, a power of two of slots; strangers choose the addresses, so the
	 * hash is a multiplication by a secret odd number */
	struct sum *slot;
	uint32_t slots, used;
	uint64_t secret;
};

static void let_go(struct verb *verb)
{
	struct top *top = verb_memory(verb, sizeof(*top));

	ranking_end(&top->ranking);
	free(top->slot);
	top->slot = NULL;
}

/* --- sums of hosts --- */

static bool make_slots(struct top *top, uint32_t hosts)
{
	for (top->slots = SLOTS_MIN; top->slots < 2 * hosts; top->slots *= 2)
		;
	top->slot = calloc(top->slots, sizeof(*top->slot));
	if (!top->slot || !random_fill(&top->secret, sizeof(top->secret)))
		return false;
	top->secret |= 1;
	return true;
}

/* NULL if the table is full: hosts come and go while it is filled, so that there may be more than at any one time. */
static struct sum *sum_of(struct top *top, struct address address)
{
	uint32_t at = (uint32_t)(address_word(address) * top->secret >> 32) & (top->slots - 1);

	while (top->slot[at].is_used && !address_equal(top->slot[at].address, address))
		at = (at + 1) & (top->slots - 1);
	if (top->slot[at].is_used)
		return &top->slot[at];
	if (top->used == top->slots / 4 * 3)
		return NULL;
	top->used++;
	top->slot[at] = (struct sum){.address = address, .is_used = true};
	return &top->slot[at];
}

static enum verb_step add_flows(struct verb *verb, struct top *top)
{
	uint32_t budget = VERB_RECORDS_A_TURN;
	uint64_t now_ms = clock_now_ms();
	struct flow_view view;
	struct sum *sum;

	while (engine_next_flow_within(verb->router->engine, &top->flow_cursor, &budget, now_ms, &view)) {
		sum = sum_of(top, view.inside_address);
		if (!sum)
			return verb_fail(verb, EXIT_NETWORK, "inside hosts come and go faster than they are counted");
		sum->flows++;
		for (int side = 0; side < SIDES; side++) {
			sum->bytes[side] += view.bytes[side];
			sum->packets[side] += view.packets[side];
		}
	}
	if (budget > 0)
		top->phase = TUNNELS;
	return VERB_AGAIN;
}

static uint64_t size_of(enum sort sort, const uint64_t bytes[SIDES], uint64_t packets, uint32_t age_ms)
{
	if (sort == SORT_BYTES)
		return bytes[SIDE_LAN] + bytes[SIDE_WAN];
	return sort == SORT_PACKETS ? packets : age_ms;
}

/* --- tunnels --- */

static void add_tunnel(struct top *top, const struct tunnel_view *view, uint64_t from)
{
	struct ranked ranked = {.from = from, .to = top->tunnel_cursor};
	struct sum *sum;

	top->tunnels++;
	if (top->shows_hosts) {
		sum = sum_of(top, view->inside_address);
		if (!sum)
			return;
		sum->tunnels++;
		if (sum->age_ms < view->age_ms)
			sum->age_ms = view->age_ms;
		return;
	}
	ranked.size = size_of(top->sort, view->bytes, (uint64_t)view->packets[SIDE_LAN] + view->packets[SIDE_WAN],
			      view->age_ms);
	ranking_add(&top->ranking, &ranked);
}

static enum verb_step add_tunnels(struct verb *verb, struct top *top)
{
	uint64_t now_ms = clock_now_ms(), from;
	struct tunnel_view view;

	for (uint32_t seen = 0; seen < VERB_RECORDS_A_TURN; seen++) {
		from = top->tunnel_cursor;
		if (!engine_next_tunnel(verb->router->engine, &top->tunnel_cursor, now_ms, &view)) {
			top->phase = top->shows_hosts ? RANK : SUMMARY;
			break;
		}
		if (view.end == END_NOT)
			add_tunnel(top, &view, from);
	}
	return VERB_AGAIN;
}

static enum verb_step rank_hosts(struct top *top)
{
	for (uint32_t seen = 0; seen < VERB_RECORDS_A_TURN && top->at < top->slots; seen++, top->at++) {
		const struct sum *sum = &top->slot[top->at];

		if (!sum->is_used)
			continue;
		ranking_add(&top->ranking,
			    &(struct ranked){
				    .size = size_of(top->sort, sum->bytes,
						    sum->packets[SIDE_LAN] + sum->packets[SIDE_WAN], sum->age_ms),
				    .from = address_word(sum->address),
				    .to = top->at,
			    });
	}
	if (top->at == top->slots)
		top->phase = SUMMARY;
	return VERB_AGAIN;
}

/* --- rows --- */

static enum verb_step send_summary(struct verb *verb, struct top *top)
{
	const struct engine_counters *counters = engine_counters(verb->router->engine);
	uint64_t uptime_ms = clock_now_ms() - verb->router->started_ms;
	struct json *row = verb_row(verb, "summary");

	json_text(row, "version", PACKAGE_VERSION);
	json_number(row, "uptime", uptime_ms / 1000);
	json_number(row, "uptime-ms", uptime_ms);
	json_number(row, "flows", counters->flows);
	json_number(row, "flows-limit", verb->router->config->flows);
	json_number(row, "mappings", counters->mappings);
	json_number(row, "hosts", counters->hosts);
	json_number(row, "tunnels", top->tunnels);
	json_number(row, "packets-out", counters->received[SIDE_LAN]);
	json_number(row, "bytes-out", counters->bytes[SIDE_LAN]);
	json_number(row, "packets-in", counters->received[SIDE_WAN]);
	json_number(row, "bytes-in", counters->bytes[SIDE_WAN]);
	verb_send(verb);
	for (int i = DROP_NONE + 1; i < DROPS; i++)
		if (counters->dropped[SIDE_LAN][i] + counters->dropped[SIDE_WAN][i] > 0)
			verb_send_drop(verb, (enum drop)i);
	ranking_sort(&top->ranking);
	top->at = 0;
	top->phase = ROWS;
	return VERB_AGAIN;
}

static void send_host(struct verb *verb, const struct sum *sum)
{
	struct json *row = verb_row(verb, "host");

	json_address(row, "internal-src-address", sum->address);
	json_number(row, "flows", sum->flows);
	json_number(row, "tunnels", sum->tunnels);
	json_number_if(row, sum->tunnels, "age", sum->age_ms / 1000);
	json_number(row, "packets-out", sum->packets[SIDE_LAN]);
	json_number(row, "bytes-out", sum->bytes[SIDE_LAN]);
	json_number(row, "packets-in", sum->packets[SIDE_WAN]);
	json_number(row, "bytes-in", sum->bytes[SIDE_WAN]);
	verb_send(verb);
}

static enum verb_step send_rows(struct verb *verb, struct top *top)
{
	struct tunnel_view view;

	for (; verb_has_room(verb) && top->at < top->ranking.count; top->at++) {
		const struct ranked *ranked = &top->ranking.entry[top->at];
		uint64_t cursor = ranked->from;

		if (top->shows_hosts)
			send_host(verb, &top->slot[ranked->to]);
		else if (engine_next_tunnel(verb->router->engine, &cursor, clock_now_ms(), &view) &&
			 cursor == ranked->to) /* else it has gone meanwhile */
			verb_send_tunnel(verb, &view);
	}
	return top->at < top->ranking.count ? VERB_AGAIN : VERB_OVER;
}

/* --- the verb --- */

static bool is_one_of(const struct verb_value *value, const char *const *names, uint32_t *index)
{
	for (*index = 0; value->is_given && names[*index]; (*index)++)
		if (!strcmp(value->text, names[*index]))
			return true;
	*index = 0;
	return !value->is_given;
}

static bool begin(struct verb *verb, struct top *top)
{
	static const struct verb_key keys[FILTERS] = {
		[BY_SHOW] = {"show", VERB_KEY_WORD},
		[BY_SORT] = {"sort", VERB_KEY_WORD},
		[BY_LIMIT] = {"limit", VERB_KEY_WORD},
	};
	static const char *const shows[] = {"tunnels", "hosts", NULL}, *const sorts[] = {"bytes", "packets", "age",
											 NULL};
	struct verb_value filter[FILTERS];
	uint32_t show, sort;

	if (!verb_read_keys(verb, keys, FILTERS, filter))
		return false;
	top->limit = LIMIT_USUAL;
	if (!is_one_of(&filter[BY_SHOW], shows, &show)) {
		verb_fail(verb, EXIT_USAGE, "show= takes tunnels or hosts");
	} else if (!is_one_of(&filter[BY_SORT], sorts, &sort)) {
		verb_fail(verb, EXIT_USAGE, "sort= takes bytes, packets or age");
	} else if (filter[BY_LIMIT].is_given &&
		   (!text_number(filter[BY_LIMIT].text, LIMIT_MAX, &top->limit) || top->limit == 0)) {
		verb_fail(verb, EXIT_USAGE, "limit= takes a number of rows from 1 to %d", LIMIT_MAX);
	} else {
		top->shows_hosts = show == 1;
		top->sort = (enum sort)sort;
		top->phase = top->shows_hosts ? FLOWS : TUNNELS;
		verb->over = let_go;
		if (ranking_start(&top->ranking, top->limit) &&
		    (!top->shows_hosts || make_slots(top, verb->router->config->hosts)))
			return true;
		verb_fail(verb, EXIT_NETWORK, "no memory for the sums: %s", strerror(errno));
	}
	return false;
}

enum verb_step verb_top(struct verb *verb)
{
	struct top *top = verb_memory(verb, sizeof(*top));

	if (verb->is_first && !begin(verb, top))
		return VERB_OVER;
	switch (top->phase) {
	case FLOWS:
		return add_flows(verb, top);
	case TUNNELS:
		return add_tunnels(verb, top);
	case RANK:
		return rank_hosts(top);
	case SUMMARY:
		return send_summary(verb, top);
	default:
		return send_rows(verb, top);
	}
}
