/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnels as fields of a log line: whole, in one form, and nobody's own words among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "observe/tunnel_text.h"

enum { INSIDE = 0x0a4d000b, OUTSIDE = 0xc6336402, REMOTE = 0xcb00710a };

static const struct tunnel_view call = {
	.service = SERVICE_PPTP,
	.kind = "PPTP",
	.data = "GRE",
	.inside_address = {INSIDE},
	.outside_address = {OUTSIDE},
	.remote_address = {REMOTE},
	.state = TUNNEL_IS_CONNECTED,
	.age_ms = 61999,
	.bytes = {1200, 900},
	.silent = -1,
};

static void expect(const struct tunnel_view *view, enum engine_event_kind kind, const char *want)
{
	char text[TUNNEL_FIELDS];

	tunnel_text_fields(view, kind, text);
	assert_string_equal(text, want);
}

static void names_the_event(void **state)
{
	(void)state;
	expect(&call, EVENT_TUNNEL_UP,
	       " [event=tunnel_up service=pptp inside=10.77.0.11 outside=198.51.100.2 remote=203.0.113.10 "
	       "called=remote age_seconds=61 lan_bytes=1200 wan_bytes=900]");
	expect(&call, EVENT_NOT_UNDERSTOOD,
	       " [event=tunnel_not_understood service=pptp inside=10.77.0.11 outside=198.51.100.2 "
	       "remote=203.0.113.10 called=remote age_seconds=61 lan_bytes=1200 wan_bytes=900]");
}

static void names_ids_and_the_end(void **state)
{
	struct tunnel_view view = call;

	(void)state;
	view.has_inside_id = view.has_remote_id = view.inside_is_server = true;
	view.inside_id = 7;
	view.outside_id = 8;
	view.remote_id = 9;
	view.end = END_CONTROL_RESET;
	view.hint = HINT_NO_ANSWER;
	expect(&view, EVENT_TUNNEL_DOWN,
	       " [event=tunnel_down service=pptp inside=10.77.0.11 outside=198.51.100.2 remote=203.0.113.10 "
	       "inside_id=7 outside_id=8 remote_id=9 called=inside age_seconds=61 lan_bytes=1200 wan_bytes=900 "
	       "end=control_reset hint=no_answer]");
}

static void repeats_nobody(void **state)
{
	struct tunnel_view view = call;
	char text[TUNNEL_FIELDS];

	(void)state;
	view.inside_name = view.remote_name = "x [event=tunnel_down service=ipsec]";
	tunnel_text_fields(&view, EVENT_TUNNEL_UP, text);
	assert_null(strstr(text, "tunnel_down"));
	assert_ptr_equal(strstr(text + 1, "["), text + 1);
	assert_null(strchr(text + 2, '['));
}

/* The longest of all values are not cut, and fit a line of the log beside the sentence. */
static void fits(void **state)
{
	struct tunnel_view view = call;
	char text[TUNNEL_FIELDS];

	(void)state;
	view.service = SERVICE_IPSEC;
	view.inside_address.v4 = view.outside_address.v4 = view.remote_address.v4 = UINT32_MAX;
	view.has_inside_id = view.has_remote_id = true;
	view.inside_id = view.outside_id = view.remote_id = view.age_ms = UINT32_MAX;
	view.bytes[SIDE_LAN] = view.bytes[SIDE_WAN] = UINT64_MAX;
	for (int end = END_NOT; end < ENDS; end++) {
		for (int hint = HINT_NONE; hint < HINTS; hint++) {
			view.end = (enum tunnel_end)end;
			view.hint = (enum tunnel_hint)hint;
			tunnel_text_fields(&view, EVENT_NOT_UNDERSTOOD, text);
			assert_true(text[strlen(text) - 1] == ']');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_the_event),
		cmocka_unit_test(names_ids_and_the_end),
		cmocka_unit_test(repeats_nobody),
		cmocka_unit_test(fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
