/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnels as fields, for programs that read the log: " [event=tunnel_up service=pptp ...]" behind the sentence for
 * people. Values hold no blanks, and nothing that a peer says about itself is among them, so the last " [event=" of a
 * line is always ours.
 */
#include <inttypes.h>
#include <stdio.h>

#include <culvert/module.h>

#include "base/address.h"
#include "config/text.h"
#include "observe/tunnel_text.h"

static const char *const end_names[ENDS] = {
	[END_NOT] = "none",
	[END_REFUSED] = "refused",
	[END_DISCONNECTED] = "disconnected",
	[END_CLEARED] = "cleared",
	[END_STOPPED] = "stopped",
	[END_CONTROL_CLOSED] = "control_closed",
	[END_CONTROL_RESET] = "control_reset",
	[END_CONTROL_SILENT] = "control_silent",
	[END_SILENT] = "silent",
	[END_NO_ANSWER] = "no_answer",
	[END_ROUTER] = "router",
	[END_BLOCKED] = "blocked",
};

const char *tunnel_text_end_word(enum tunnel_end end)
{
	return end < ENDS ? end_names[end] : end_names[END_NOT];
}

bool tunnel_text_name(const struct tunnel_view *view, char name[TUNNEL_NAME])
{
	snprintf(name, TUNNEL_NAME, "%s-%" PRIu32, service_name(view->service), view->index);
	return view->index != UINT32_MAX;
}

static void append_address(char text[TUNNEL_FIELDS], const char *name, struct address address)
{
	char dotted[ADDRESS_TEXT];

	text_append(text, TUNNEL_FIELDS, " %s=%s", name, address_print(address, dotted));
}

void tunnel_text_fields(const struct tunnel_view *view, enum engine_event_kind kind, char text[TUNNEL_FIELDS])
{
	static const char *const events[] = {
		[EVENT_TUNNEL_UP] = "tunnel_up",
		[EVENT_TUNNEL_DOWN] = "tunnel_down",
		[EVENT_NOT_UNDERSTOOD] = "tunnel_not_understood",
		[EVENT_TUNNEL_HINT] = "tunnel_hint",
	};

	snprintf(text, TUNNEL_FIELDS, " [event=%s service=%s", events[kind], service_name(view->service));
	append_address(text, "inside", view->inside_address);
	append_address(text, "outside", view->outside_address);
	append_address(text, "remote", view->remote_address);
	if (view->has_inside_id)
		text_append(text, TUNNEL_FIELDS, " inside_id=%" PRIu32 " outside_id=%" PRIu32, view->inside_id,
			    view->outside_id);
	if (view->has_remote_id)
		text_append(text, TUNNEL_FIELDS, " remote_id=%" PRIu32, view->remote_id);
	text_append(text, TUNNEL_FIELDS, " called=%s age_seconds=%" PRIu32,
		    view->inside_is_server ? "inside" : "remote", view->age_ms / 1000);
	text_append(text, TUNNEL_FIELDS, " lan_bytes=%" PRIu64 " wan_bytes=%" PRIu64, view->bytes[SIDE_LAN],
		    view->bytes[SIDE_WAN]);
	if (view->end != END_NOT)
		text_append(text, TUNNEL_FIELDS, " end=%s", tunnel_text_end_word(view->end));
	if (view->hint != HINT_NONE)
		text_append(text, TUNNEL_FIELDS, " hint=%s", tunnel_hint_name(view->hint));
	text_append(text, TUNNEL_FIELDS, "]");
}
