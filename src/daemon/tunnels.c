/* SPDX-License-Identifier: BSD-2-Clause */
/* Tunnels as text. */
#include "daemon/tunnels.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include <culvert/module.h>

enum { TUNNELS_SHOWN = 100 };

static const char *const side_names[SIDES] = {"LAN", "WAN"};

static void append(char text[TUNNEL_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char text[TUNNEL_TEXT], const char *format, ...)
{
	size_t used = 0;
	va_list arguments;

	while (used < TUNNEL_TEXT - 1 && text[used] != 0)
		used++;
	va_start(arguments, format);
	vsnprintf(text + used, TUNNEL_TEXT - used, format, arguments);
	va_end(arguments);
}

static void append_address(char text[TUNNEL_TEXT], uint32_t address)
{
	append(text, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

/* The client calls the server, whichever of the two is inside. */
static void append_ends(char text[TUNNEL_TEXT], const struct tunnel_view *view)
{
	append(text, "%s ", service_name(view->service));
	append_address(text, view->inside_is_server ? view->remote_address : view->inside_address);
	append(text, " -> ");
	append_address(text, view->inside_is_server ? view->inside_address : view->remote_address);
	append(text, " by ");
	append_address(text, view->outside_address);
}

static void append_ids(char text[TUNNEL_TEXT], const struct tunnel_view *view)
{
	if (view->has_inside_id)
		append(text, ", Call ID inside %u, outside %u", view->inside_id, view->outside_id);
	if (view->has_remote_id)
		append(text, ", remote %u", view->remote_id);
}

static void append_traffic(char text[TUNNEL_TEXT], const struct tunnel_view *view)
{
	for (int side = 0; side < SIDES; side++) {
		append(text, "; from %s %" PRIu64 " bytes in %" PRIu32 " packets", side_names[side], view->bytes[side],
		       view->packets[side]);
		if (view->packets[side])
			append(text, ", the last %" PRIu32 " s ago", view->last_ms[side] / 1000);
	}
	if (view->silent >= 0)
		append(text, "; NOTHING COMES FROM THE %s: GRE may be blocked on that side", side_names[view->silent]);
}

void tunnels_describe(const struct tunnel_view *view, char text[TUNNEL_TEXT])
{
	text[0] = 0;
	append_ends(text, view);
	append_ids(text, view);
	append(text, ": %s, age %" PRIu32 " s", view->state, view->age_ms / 1000);
	if (view->end != END_NOT)
		append(text, " (%s)", tunnel_end_text(view->end));
	append_traffic(text, view);
}

/* The age of the oldest one among the youngest tunnels that have ended, as many of them as there is room for. */
static uint32_t age_limit(struct engine *engine, uint64_t now_ms, uint32_t room)
{
	uint32_t ages[TUNNELS_SHOWN], kept = 0;
	struct tunnel_view view;
	uint64_t cursor = 0;

	while (engine_next_tunnel(engine, &cursor, now_ms, &view)) {
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
		tunnels_describe(&view, text);
		snprintf(labelled, sizeof(labelled), "tunnel: %s", text);
		line(context, labelled);
	}
	return seen;
}

void tunnels_print(struct engine *engine, uint64_t now_ms, bool all, statistics_line *line, void *context)
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
}

uint32_t tunnels_count(struct engine *engine, uint64_t now_ms, enum service service)
{
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t count = 0;

	while (engine_next_tunnel(engine, &cursor, now_ms, &view))
		count += view.service == service && view.end == END_NOT;
	return count;
}

void tunnels_log_event(void *context, enum engine_event_kind kind, const struct tunnel_view *view)
{
	struct log *log = context;
	char text[TUNNEL_TEXT];

	if (kind == EVENT_NOT_UNDERSTOOD) {
		text[0] = 0;
		append_ends(text, view);
		log_write(log, LOG_WARNING,
			  "%s: the control connection is not understood (any more) and passes as it is; new calls of "
			  "it will not work",
			  text);
		return;
	}
	tunnels_describe(view, text);
	log_write(log, LOG_NOTICE, "tunnel %s: %s", kind == EVENT_TUNNEL_UP ? "up" : "down", text);
}
