/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows one by one.
 */
#include <culvert/module.h>

#include "daemon/verb.h"
#include "io/clock.h"

enum filter { BY_HOST, BY_REMOTE, BY_PROTOCOL, BY_PORT, FILTERS };

struct mappings {
	uint32_t cursor;
	struct verb_value filter[FILTERS];
};

/* The states of TCP as enum tcp_state of the engine has them. */
static const char *state_of(const struct flow_view *view)
{
	static const char *const names[] = {NULL, "opening", "established", "half-closed", "closed", "reset"};

	return view->tcp_state < sizeof(names) / sizeof(names[0]) ? names[view->tcp_state] : NULL;
}

static bool is_wanted(const struct flow_view *view, const struct verb_value *filter)
{
	uint32_t port = filter[BY_PORT].number;

	if (filter[BY_HOST].is_given && filter[BY_HOST].number != view->inside_address)
		return false;
	if (filter[BY_REMOTE].is_given && filter[BY_REMOTE].number != view->remote_address)
		return false;
	if (filter[BY_PROTOCOL].is_given && filter[BY_PROTOCOL].number != view->protocol)
		return false;
	return !filter[BY_PORT].is_given || port == view->inside_port || port == view->outside_port ||
	       port == view->remote_port;
}

static void send_mapping(struct verb *verb, const struct flow_view *view)
{
	struct json *row = verb_row(verb, "mapping");
	char memory[8];

	json_number(row, "index", view->index);
	json_text(row, "type", view->inside_is_server ? "static" : "dynamic-implicit");
	json_number(row, "transport-protocol", view->protocol);
	json_text(row, "protocol-name", verb_protocol_name(view->protocol, memory));
	json_address(row, "internal-src-address", view->inside_address);
	json_number(row, "internal-src-port", view->inside_port);
	json_address(row, "external-src-address", view->outside_address);
	json_number(row, "external-src-port", view->outside_port);
	json_address(row, "external-dst-address", view->remote_address);
	json_number(row, "external-dst-port", view->remote_port);
	json_text(row, "state", state_of(view));
	json_bool(row, "hairpin", view->hairpin);
	json_number(row, "packets-out", view->packets[SIDE_LAN]);
	json_number(row, "bytes-out", view->bytes[SIDE_LAN]);
	json_number(row, "packets-in", view->packets[SIDE_WAN]);
	json_number(row, "bytes-in", view->bytes[SIDE_WAN]);
	json_number(row, "lifetime", view->expires_ms / 1000);
	verb_send(verb);
}

enum verb_step verb_mappings(struct verb *verb)
{
	static const struct verb_key keys[FILTERS] = {
		[BY_HOST] = {"host", VERB_KEY_ADDRESS},
		[BY_REMOTE] = {"remote", VERB_KEY_ADDRESS},
		[BY_PROTOCOL] = {"proto", VERB_KEY_PROTOCOL},
		[BY_PORT] = {"port", VERB_KEY_PORT},
	};
	struct mappings *mappings = verb_memory(verb, sizeof(*mappings));
	uint32_t budget = VERB_RECORDS_A_TURN;
	uint64_t now_ms = clock_now_ms();
	struct flow_view view;

	if (verb->is_first && !verb_read_keys(verb, keys, FILTERS, mappings->filter))
		return VERB_OVER;
	while (verb_has_room(verb)) {
		if (!engine_next_flow_within(verb->router->engine, &mappings->cursor, &budget, now_ms, &view))
			return budget > 0 ? VERB_OVER : VERB_AGAIN;
		if (is_wanted(&view, mappings->filter))
			send_mapping(verb, &view);
	}
	return VERB_AGAIN;
}
