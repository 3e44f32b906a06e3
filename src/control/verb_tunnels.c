/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnels: the list, and events as they happen.
 */
#include <stdio.h>
#include <strings.h>

#include <culvert/module.h>

#include "config/text.h"
#include "control/selection.h"
#include "control/verb.h"
#include "io/clock.h"
#include "observe/tunnel_text.h"

enum filter { BY_HOST, BY_REMOTE, BY_SERVICE, BY_STATE, FILTERS };

/* What a word alone chooses. */
enum choice { CHOOSE_ALL, CHOOSE_ONE, CHOOSE_SERVICE, CHOOSE_STATE, CHOOSE_ADDRESS };

struct tunnels {
	uint64_t cursor;
	uint32_t attempts; /* cursor of what was tried in vain, behind those that live */
	bool sends_ended;  /* behind all others */
	struct verb_value filter[FILTERS];
	enum choice choice;
	enum service service;
	uint32_t number; /* of the choice */
	struct address address;
};

/* As people write it: a SPI in eight hexadecimal digits, Call and Tunnel IDs as numbers. */
static void put_id(struct json *row, const char *name, const struct tunnel_view *view, bool is_known, uint32_t id)
{
	char text[16];

	snprintf(text, sizeof(text), view->service == SERVICE_IPSEC ? "0x%08x" : "%u", id);
	json_text(row, name, is_known ? text : NULL);
}

static void put_ipsec(struct json *row, const struct tunnel_view *view)
{
	json_number_if(row, view->ike_version, "ike-version", view->ike_version);
	json_bool(row, "nat-traversal-internal", view->natt_inside);
	json_bool(row, "nat-traversal-remote", view->natt_remote);
	json_text(row, "pairing", view->pairing == PAIRING_NONE ? NULL : pairing_name(view->pairing));
}

static void put_tunnel(struct json *row, const struct tunnel_view *view)
{
	char name[TUNNEL_NAME], end[TUNNEL_END], hint[TUNNEL_HINT];

	json_text(row, "id", tunnel_text_name(view, name) ? name : NULL);
	json_text(row, "service", service_name(view->service));
	json_text(row, "type", view->kind);
	json_text(row, "state", tunnel_state_name(view->state));
	json_text(row, "end", view->end == END_NOT ? NULL : tunnel_text_end(view, end));
	json_text(row, "data", view->data && view->data[0] ? view->data : NULL);
	json_address(row, "internal-src-address", view->inside_address);
	json_text(row, "internal-name", view->inside_name);
	json_address(row, "external-src-address", view->outside_address);
	json_address(row, "external-dst-address", view->remote_address);
	json_text(row, "remote-name", view->remote_name);
	json_text(row, "server", view->inside_is_server ? "internal" : "remote");
	put_id(row, "internal-id", view, view->has_inside_id, view->inside_id);
	put_id(row, "external-id", view, view->has_inside_id, view->outside_id);
	put_id(row, "remote-id", view, view->has_remote_id, view->remote_id);
	json_bool(row, "shared-port", view->is_shared);
	put_ipsec(row, view);
	json_number(row, "age", view->age_ms / 1000);
	json_number(row, "packets-out", view->packets[SIDE_LAN]);
	json_number(row, "bytes-out", view->bytes[SIDE_LAN]);
	json_number_if(row, view->packets[SIDE_LAN] > 0, "last-out", view->last_ms[SIDE_LAN] / 1000);
	json_number(row, "packets-in", view->packets[SIDE_WAN]);
	json_number(row, "bytes-in", view->bytes[SIDE_WAN]);
	json_number_if(row, view->packets[SIDE_WAN] > 0, "last-in", view->last_ms[SIDE_WAN] / 1000);
	json_text(row, "silent-side", view->silent >= 0 ? side_name((enum side)view->silent) : NULL);
	json_text(row, "hint", view->hint == HINT_NONE ? NULL : tunnel_hint_name(view->hint));
	json_text(row, "hint-text", view->hint == HINT_NONE ? NULL : tunnel_text_hint(view, hint));
}

void verb_send_tunnel(struct verb *verb, const struct tunnel_view *view)
{
	put_tunnel(verb_row(verb, "tunnel"), view);
	verb_send(verb);
}

static bool is_wanted(const struct tunnels *tunnels, const struct tunnel_view *view)
{
	const struct verb_value *filter = tunnels->filter;

	if ((view->end != END_NOT) != tunnels->sends_ended)
		return false;
	if ((filter[BY_HOST].is_given && !address_equal(filter[BY_HOST].address, view->inside_address)) ||
	    (filter[BY_REMOTE].is_given && !address_equal(filter[BY_REMOTE].address, view->remote_address)) ||
	    (filter[BY_SERVICE].is_given && filter[BY_SERVICE].number != view->service) ||
	    (filter[BY_STATE].is_given && filter[BY_STATE].number != view->state))
		return false;
	switch (tunnels->choice) {
	case CHOOSE_SERVICE:
		return view->service == tunnels->service;
	case CHOOSE_STATE:
		return view->state == tunnels->number;
	case CHOOSE_ADDRESS:
		return address_equal(view->inside_address, tunnels->address) ||
		       address_equal(view->remote_address, tunnels->address);
	default:
		return true;
	}
}

static bool read_state(const char *text, uint32_t *state)
{
	for (*state = 0; *state < TUNNEL_STATES; (*state)++)
		if (!strcasecmp(text, tunnel_state_name((enum tunnel_state) * state)))
			return true;
	return false;
}

/* False after verb_fail(). */
static bool choose(struct verb *verb, struct tunnels *tunnels, const char *word)
{
	uint32_t service;

	if (selection_read_tunnel(word, &tunnels->service, &tunnels->number)) {
		tunnels->choice = CHOOSE_ONE;
	} else if (verb_read_service(word, &service)) {
		tunnels->choice = CHOOSE_SERVICE;
		tunnels->service = (enum service)service;
	} else if (read_state(word, &tunnels->number)) {
		tunnels->choice = CHOOSE_STATE;
	} else if (text_address(word, &tunnels->address)) {
		tunnels->choice = CHOOSE_ADDRESS;
	} else if (verb_is_like_address(word)) {
		verb_fail(verb, EXIT_USAGE, "not an IPv4 address: %.60s", word);
		return false;
	} else {
		verb_fail(
			verb, EXIT_USAGE,
			"cannot understand %.60s: give a tunnel like pptp-17, an address, pptp, l2tp or ipsec, or a state",
			word);
		return false;
	}
	return true;
}

/* False after verb_fail(). */
static bool begin(struct verb *verb, struct tunnels *tunnels)
{
	static const struct verb_key keys[FILTERS] = {
		[BY_HOST] = {"host", VERB_KEY_ADDRESS},
		[BY_REMOTE] = {"remote", VERB_KEY_ADDRESS},
		[BY_SERVICE] = {"service", VERB_KEY_SERVICE},
		[BY_STATE] = {"state", VERB_KEY_WORD},
	};
	struct verb_value *state = &tunnels->filter[BY_STATE];
	const char *word;

	if (!verb_read_keys_and_word(verb, keys, FILTERS, tunnels->filter, &word))
		return false;
	if (state->is_given && !read_state(state->text, &state->number)) {
		verb_fail(verb, EXIT_USAGE,
			  "state= takes requested, negotiating, connected, blocked, clearing or ended, not %.60s",
			  state->text);
		return false;
	}
	return !word || choose(verb, tunnels, word);
}

/* One by its name, whether it lives or not. */
static enum verb_step send_one(struct verb *verb, const struct tunnels *tunnels, uint64_t now_ms)
{
	uint64_t cursor = (uint64_t)tunnels->service << 32 | tunnels->number, next = cursor + 1;
	struct tunnel_view view;

	if (!engine_next_tunnel(verb->router->engine, &cursor, now_ms, &view) || cursor != next)
		return verb_fail(verb, EXIT_NOT_FOUND, "there is no tunnel %s-%u; tunnels lists those that exist",
				 service_name(tunnels->service), tunnels->number);
	verb_send_tunnel(verb, &view);
	return VERB_OVER;
}

enum verb_step verb_tunnels(struct verb *verb)
{
	struct tunnels *tunnels = verb_memory(verb, sizeof(*tunnels));
	struct engine *engine = verb->router->engine;
	uint64_t now_ms = clock_now_ms();
	uint32_t seen = 0;
	struct tunnel_view view;

	if (verb->is_first && !begin(verb, tunnels))
		return VERB_OVER;
	if (tunnels->choice == CHOOSE_ONE)
		return send_one(verb, tunnels, now_ms);
	while (verb_has_room(verb) && seen++ < VERB_RECORDS_A_TURN) {
		if (engine_next_tunnel(engine, &tunnels->cursor, now_ms, &view) ||
		    (!tunnels->sends_ended && engine_next_attempt(engine, &tunnels->attempts, now_ms, &view))) {
			if (is_wanted(tunnels, &view))
				verb_send_tunnel(verb, &view);
		} else if (tunnels->sends_ended) {
			return VERB_OVER;
		} else {
			tunnels->sends_ended = true;
			tunnels->cursor = 0;
		}
	}
	return VERB_AGAIN;
}

/* --- watch --- */

struct watch {
	uint64_t lost;
};

/* What a reader was too slow for is counted, and said as soon as it takes something again. */
static void send_lost(struct verb *verb, struct watch *watch)
{
	struct json *row;

	if (watch->lost == 0)
		return;
	row = verb_row(verb, "lost");
	json_number(row, "events", watch->lost);
	verb_send(verb);
	watch->lost = 0;
}

/* False if the reader is too slow: what it misses is counted. */
static bool can_tell(struct verb *verb)
{
	struct watch *watch = verb_memory(verb, sizeof(*watch));

	if (!verb_keeps_up(verb)) {
		if (watch->lost++ == 0)
			verb_wake(verb);
		return false;
	}
	send_lost(verb, watch);
	return true;
}

static void watch_tell(struct verb *verb, enum engine_event_kind kind, const struct tunnel_view *view)
{
	static const char *const names[] = {
		[EVENT_TUNNEL_UP] = "up",
		[EVENT_TUNNEL_DOWN] = "down",
		[EVENT_NOT_UNDERSTOOD] = "not-understood",
		[EVENT_TUNNEL_HINT] = "hint",
	};
	struct json *row;

	if (!can_tell(verb))
		return;
	row = verb_row(verb, "event");
	json_text(row, "event", names[kind]);
	json_number(row, "time", clock_unix_seconds());
	put_tunnel(row, view);
	verb_send(verb);
}

static void watch_hear(struct verb *verb, int level, const char *text)
{
	struct json *row;

	if (!can_tell(verb))
		return;
	row = verb_row(verb, "message");
	json_text(row, "severity", verb_severity(level));
	json_number(row, "time", clock_unix_seconds());
	json_text(row, "text", text);
	verb_send(verb);
}

enum verb_step verb_watch(struct verb *verb)
{
	struct watch *watch = verb_memory(verb, sizeof(*watch));

	if (verb->is_first) {
		if (!verb_has_no_words(verb))
			return VERB_OVER;
		verb_start_watching(verb, watch_tell, watch_hear);
		verb_begin(verb);
	}
	if (!verb_keeps_up(verb))
		return watch->lost > 0 ? VERB_AGAIN : VERB_WAITS;
	send_lost(verb, watch);
	return VERB_WAITS;
}
