/* SPDX-License-Identifier: BSD-2-Clause */
/* Tunnels as text. */
#include "observe/tunnel_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <culvert/module.h>

#include "base/address.h"
#include "config/text.h"
#include "wire/ip.h"

enum { TUNNELS_SHOWN = 100, NAME_TEXT = 68, KEYS_TEXT = 32 };

static const char *const side_names[SIDES] = {"LAN", "WAN"};

static void append_address(char text[TUNNEL_TEXT], struct address address)
{
	char dotted[ADDRESS_TEXT];

	text_append(text, TUNNEL_TEXT, "%s", address_print(address, dotted));
}

/* What somebody calls itself; it cannot look like anything else of the line. */
static void append_name(char text[TUNNEL_TEXT], const char *name)
{
	char escaped[NAME_TEXT];

	if (!name || name[0] == 0)
		return;
	text_escape(escaped, sizeof(escaped), name);
	for (char *quote = strchr(escaped, '"'); quote; quote = strchr(quote, '"'))
		*quote = '\'';
	text_append(text, TUNNEL_TEXT, " \"%s\"", escaped);
}

/* The client calls the server, whichever of the two is inside. */
static void append_ends(char text[TUNNEL_TEXT], const struct tunnel_view *view)
{
	bool out = !view->inside_is_server;

	text_append(text, TUNNEL_TEXT, "%s ", view->kind ? view->kind : service_name(view->service));
	append_address(text, out ? view->inside_address : view->remote_address);
	append_name(text, out ? view->inside_name : view->remote_name);
	text_append(text, TUNNEL_TEXT, " -> ");
	append_address(text, out ? view->remote_address : view->inside_address);
	append_name(text, out ? view->remote_name : view->inside_name);
	text_append(text, TUNNEL_TEXT, " by ");
	append_address(text, view->outside_address);
}

/* How IPsec goes: which of its ways data takes depends on what the two ends offer. */
static void append_ipsec(char text[TUNNEL_TEXT], const struct tunnel_view *view)
{
	static const char *const offers[] = {"no NAT traversal offered", "NAT traversal offered by the remote end only",
					     "NAT traversal offered by the inside end only",
					     "NAT traversal offered by both ends"};

	if (view->ike_version)
		text_append(text, TUNNEL_TEXT, ", IKEv%u, %s", view->ike_version,
			    offers[2 * view->natt_inside + view->natt_remote]);
	if (view->data && view->data[0])
		text_append(text, TUNNEL_TEXT, ", data by %s", view->data);
}

static void append_id(char text[TUNNEL_TEXT], const struct tunnel_view *view, const char *whose, uint32_t id)
{
	text_append(text, TUNNEL_TEXT, view->service == SERVICE_IPSEC ? "%s %08" PRIx32 : "%s %" PRIu32, whose, id);
}

/* Each identifier was chosen by the end it stands for; the outside one is what the remote end sees of the inside one,
 * and SPIs are never translated. */
static void append_ids(char text[TUNNEL_TEXT], const struct tunnel_view *view)
{
	static const char *const words[SERVICES] = {
		[SERVICE_PPTP] = "Call ID", [SERVICE_L2TP] = "Tunnel ID", [SERVICE_IPSEC] = "SPI"};

	if (!view->has_inside_id && !view->has_remote_id)
		return;
	text_append(text, TUNNEL_TEXT, ", %s", words[view->service]);
	if (view->has_inside_id) {
		append_id(text, view, " inside", view->inside_id);
		if (view->service != SERVICE_IPSEC)
			append_id(text, view, ", outside", view->outside_id);
	}
	if (view->has_remote_id)
		append_id(text, view, view->has_inside_id ? ", remote" : " remote", view->remote_id);
	if (view->pairing != PAIRING_NONE)
		text_append(text, TUNNEL_TEXT, " (pairing: %s)", pairing_name(view->pairing));
}

static void append_traffic(char text[TUNNEL_TEXT], const struct tunnel_view *view)
{
	for (int side = 0; side < SIDES; side++) {
		text_append(text, TUNNEL_TEXT, "; from %s %" PRIu64 " bytes in %" PRIu32 " packets", side_names[side],
			    view->bytes[side], view->packets[side]);
		if (view->packets[side])
			text_append(text, TUNNEL_TEXT, ", the last %" PRIu32 " s ago", view->last_ms[side] / 1000);
	}
	if (view->silent >= 0)
		text_append(text, TUNNEL_TEXT, "; NOTHING COMES FROM THE %s: %s may be blocked on that side",
			    side_names[view->silent], view->data && view->data[0] ? view->data : view->kind);
}

/* The keys that may block a part. */
static const char *keys_of(enum part part, char text[KEYS_TEXT])
{
	bool both = part_has_key(part);

	snprintf(text, KEYS_TEXT, "[%s] mode%s%s", service_name(service_of_part(part)), both ? " or " : "",
		 both ? part_key(part) : "");
	return text;
}

static void append_refusal(char text[TUNNEL_HINT], const struct refusal *refusal)
{
	char by[ADDRESS_TEXT], what[32];

	snprintf(what, sizeof(what), refusal->port ? "%s port %u" : "%s",
		 refusal->protocol == PROTOCOL_TCP   ? "TCP"
		 : refusal->protocol == PROTOCOL_UDP ? "UDP"
		 : refusal->protocol == PROTOCOL_GRE ? "GRE"
						     : "ESP",
		 refusal->port);
	if (refusal->type)
		text_append(text, TUNNEL_HINT, "%s answers to %s with ICMP %s (type %u, code %u); ",
			    address_print(refusal->by, by), what, refusal->type == 3 ? "unreachable" : "time exceeded",
			    refusal->type, refusal->code);
	else
		text_append(text, TUNNEL_HINT, "%s answers to %s with a reset; ", address_print(refusal->by, by), what);
}

const char *tunnel_text_hint(const struct tunnel_view *view, char text[TUNNEL_HINT])
{
	char keys[KEYS_TEXT];
	bool both = part_has_key(view->part);

	text[0] = 0;
	if (address_is_set(view->refusal.by))
		append_refusal(text, &view->refusal);
	if (view->hint == HINT_BLOCKED && view->part < PARTS)
		text_append(text, TUNNEL_HINT,
			    "%s = block refuses it: culvertctl mode %s pass%s%s%s lets it through again",
			    keys_of(view->part, keys), service_name(service_of_part(view->part)),
			    both ? ", or mode " : "", both ? part_name(view->part) : "", both ? " pass," : "");
	else
		text_append(text, TUNNEL_HINT, "%s", tunnel_hint_text(view->hint));
	return text;
}

const char *tunnel_text_end(const struct tunnel_view *view, char text[TUNNEL_END])
{
	char keys[KEYS_TEXT];

	if (view->end == END_BLOCKED && view->part < PARTS)
		snprintf(text, TUNNEL_END, "ended by %s = block", keys_of(view->part, keys));
	else
		snprintf(text, TUNNEL_END, "%s", tunnel_end_text(view->end));
	return text;
}

static void append_hint(char text[TUNNEL_TEXT], const struct tunnel_view *view)
{
	char hint[TUNNEL_HINT];

	if (view->hint != HINT_NONE)
		text_append(text, TUNNEL_TEXT, ". Hint %s: %s.", tunnel_hint_name(view->hint),
			    tunnel_text_hint(view, hint));
}

void tunnel_text(const struct tunnel_view *view, char text[TUNNEL_TEXT])
{
	char end[TUNNEL_END];

	text[0] = 0;
	append_ends(text, view);
	if (view->service == SERVICE_IPSEC)
		append_ipsec(text, view);
	append_ids(text, view);
	if (view->sessions)
		text_append(text, TUNNEL_TEXT, ", %" PRIu32 " session%s Session ID inside %" PRIu32 ", remote %" PRIu32,
			    view->sessions, view->sessions == 1 ? "," : "s, the last", view->inside_session,
			    view->remote_session);
	if (view->is_shared)
		text_append(text, TUNNEL_TEXT, ", shares outside port %u", service_shared_port(view->service));
	text_append(text, TUNNEL_TEXT, ": %s, age %" PRIu32 " s", tunnel_state_name(view->state), view->age_ms / 1000);
	if (view->end != END_NOT)
		text_append(text, TUNNEL_TEXT, " (%s)", tunnel_text_end(view, end));
	append_traffic(text, view);
	append_hint(text, view);
}

/* The age of the oldest one among the youngest tunnels that have ended, as many of them as there is room for. */
static uint32_t age_limit(struct engine *engine, uint64_t now_ms, uint32_t room)
{
	uint32_t ages[TUNNELS_SHOWN], kept = 0;
	struct tunnel_view view;
	uint64_t cursor = 0;

	while (room > 0 && engine_next_tunnel(engine, &cursor, now_ms, &view)) {
		if (view.end == END_NOT || (kept == room && view.age_ms >= ages[kept - 1]))
			continue;
		uint32_t at = kept < room ? kept++ : kept - 1;
		for (; at > 0 && ages[at - 1] > view.age_ms; at--)
			ages[at] = ages[at - 1];
		ages[at] = view.age_ms;
	}
	return kept > 0 ? ages[kept - 1] : 0;
}

/* Those that live, or those that have ended and are not older; at most room of them. How many there are. */
static uint32_t print_some(struct engine *engine, uint64_t now_ms, bool ended, uint32_t age_ms, uint32_t room,
			   statistics_line *line, void *context)
{
	char text[TUNNEL_TEXT], labelled[TUNNEL_TEXT + 16];
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t seen = 0, shown = 0;

	while (engine_next_tunnel(engine, &cursor, now_ms, &view)) {
		if ((view.end != END_NOT) != ended)
			continue;
		seen++;
		if (view.age_ms > age_ms || shown == room)
			continue;
		shown++;
		tunnel_text(&view, text);
		snprintf(labelled, sizeof(labelled), "tunnel: %s", text);
		line(context, labelled);
	}
	return seen;
}

static void print_attempts(struct engine *engine, uint64_t now_ms, statistics_line *line, void *context)
{
	char text[TUNNEL_TEXT], labelled[TUNNEL_TEXT + 24];
	struct tunnel_view view;
	uint32_t cursor = 0;

	while (engine_next_attempt(engine, &cursor, now_ms, &view)) {
		tunnel_text(&view, text);
		snprintf(labelled, sizeof(labelled), "tried without success: %s", text);
		line(context, labelled);
	}
}

/* Those that live and have no encryption worth the name. L2TP in IPsec is not seen here as L2TP. */
static void print_open_ones(struct engine *engine, uint64_t now_ms, statistics_line *line, void *context)
{
	char text[TUNNEL_TEXT];
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t count = 0;

	while (engine_next_tunnel(engine, &cursor, now_ms, &view))
		count += view.end == END_NOT && view.service != SERVICE_IPSEC;
	if (!count)
		return;
	snprintf(text, sizeof(text), "tunnels: %" PRIu32 " by PPTP or L2TP without IPsec. Hint %s: %s.", count,
		 tunnel_hint_name(HINT_NOT_ENCRYPTED), tunnel_hint_text(HINT_NOT_ENCRYPTED));
	line(context, text);
}

void tunnel_text_print_all(struct engine *engine, uint64_t now_ms, bool all, statistics_line *line, void *context)
{
	uint32_t room = all ? UINT32_MAX : TUNNELS_SHOWN, seen, left, age_ms = UINT32_MAX;
	char text[TUNNEL_TEXT];

	seen = print_some(engine, now_ms, false, UINT32_MAX, room, line, context);
	left = seen < room ? room - seen : 0;
	if (!all && left > 0)
		age_ms = age_limit(engine, now_ms, left);
	seen += print_some(engine, now_ms, true, age_ms, left, line, context);
	if (seen > room) {
		snprintf(text, sizeof(text), "tunnels: %" PRIu32 " more are not shown", seen - room);
		line(context, text);
	}
	print_attempts(engine, now_ms, line, context);
	print_open_ones(engine, now_ms, line, context);
}

void tunnel_text_log(void *context, enum engine_event_kind kind, const struct tunnel_view *view)
{
	struct log *log = context;
	char text[TUNNEL_TEXT], fields[TUNNEL_FIELDS];

	tunnel_text_fields(view, kind, fields);
	if (kind == EVENT_NOT_UNDERSTOOD) {
		text[0] = 0;
		append_ends(text, view);
		log_event(log, LOG_WARNING,
			  "%s: the control connection cannot be read (any more) and passes unchanged%s%s", text,
			  view->service == SERVICE_PPTP ? "; new calls of it will not work" : "", fields);
		return;
	}
	tunnel_text(view, text);
	if (kind == EVENT_TUNNEL_UP)
		log_event(log, LOG_NOTICE, "tunnel up: %s%s", text, fields);
	else if (kind == EVENT_TUNNEL_DOWN)
		log_event(log, LOG_NOTICE, "tunnel down: %s%s", text, fields);
	else
		log_event(log, LOG_NOTICE, "tunnel hint: %s%s", text, fields);
}
