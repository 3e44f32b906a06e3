/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows one by one, and the end of all flows of a host.
 */
#include <culvert/module.h>

#include "daemon/log.h"
#include "daemon/text.h"
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

struct forget {
	uint32_t address, cursor;
	uint32_t ended;
};

enum verb_step verb_forget(struct verb *verb)
{
	struct forget *forget = verb_memory(verb, sizeof(*forget));
	uint32_t budget = VERB_RECORDS_A_TURN;

	if (verb->is_first && (verb->count != 1 || !text_address(verb->words[0], &forget->address)))
		return verb_fail(verb, EXIT_USAGE, "forget takes the address of one inside host, like 192.168.1.2");
	if (engine_forget_host(verb->router->engine, forget->address, &forget->cursor, &budget, &forget->ended,
			       clock_now_ms()))
		return VERB_AGAIN;
	if (forget->ended == 0)
		return verb_fail(verb, EXIT_NOT_FOUND, "no inside host %s has a flow", verb->words[0]);
	log_write(verb->router->log, LOG_NOTICE, "%s was forgotten by request: %u of its flows ended", verb->words[0],
		  forget->ended);
	struct json *row = verb_row(verb, "forgotten");
	json_address(row, "internal-src-address", forget->address);
	json_number(row, "flows", forget->ended);
	verb_send(verb);
	return VERB_OVER;
}
