/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnels as text: each kind as a person reads it, hints as a second sentence, and names that mean harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "observe/tunnel_text.h"

enum { INSIDE = 0x0a4d000b, OUTSIDE = 0xc6336402, REMOTE = 0xcb00710a, HOME = 0xc0a80102 };

static struct tunnel_view ipsec(void)
{
	return (struct tunnel_view){
		.service = SERVICE_IPSEC,
		.kind = "IPsec",
		.data = "ESP",
		.inside_address = {INSIDE},
		.outside_address = {OUTSIDE},
		.remote_address = {REMOTE},
		.has_inside_id = true,
		.has_remote_id = true,
		.inside_id = 0xc0ffee,
		.outside_id = 0xc0ffee,
		.remote_id = 0xdeadbeef,
		.state = TUNNEL_IS_CONNECTED,
		.remote_name = "strongSwan",
		.ike_version = 2,
		.natt_inside = true,
		.pairing = PAIRING_RECENCY,
		.age_ms = 61999,
		.bytes = {1200, 900},
		.packets = {12, 9},
		.last_ms = {500, 1500},
		.silent = -1,
	};
}

static struct tunnel_view l2tp(void)
{
	return (struct tunnel_view){
		.service = SERVICE_L2TP,
		.kind = "L2TP",
		.data = "UDP",
		.inside_address = {INSIDE},
		.outside_address = {OUTSIDE},
		.remote_address = {REMOTE},
		.state = TUNNEL_IS_REQUESTED,
		.silent = -1,
	};
}

static void expect(const struct tunnel_view *view, const char *want)
{
	char text[TUNNEL_TEXT];

	tunnel_text(view, text);
	assert_string_equal(text, want);
}

static void expect_part(const struct tunnel_view *view, const char *want)
{
	char text[TUNNEL_TEXT];

	tunnel_text(view, text);
	if (!strstr(text, want))
		fail_msg("not \"%s\" in: %s", want, text);
}

static void expect_not(const struct tunnel_view *view, const char *unwanted)
{
	char text[TUNNEL_TEXT];

	tunnel_text(view, text);
	if (strstr(text, unwanted))
		fail_msg("\"%s\" in: %s", unwanted, text);
}

static void describes_ipsec(void **state)
{
	struct tunnel_view view = ipsec();

	(void)state;
	expect(&view, "IPsec 10.77.0.11 -> 203.0.113.10 \"strongSwan\" by 198.51.100.2, IKEv2, "
		      "NAT traversal offered by the inside end only, data by ESP, "
		      "SPI inside 00c0ffee, remote deadbeef (pairing: recency): connected, age 61 s; "
		      "from LAN 1200 bytes in 12 packets, the last 0 s ago; "
		      "from WAN 900 bytes in 9 packets, the last 1 s ago");
	view.natt_remote = true;
	expect_part(&view, ", NAT traversal offered by both ends, ");
	view.natt_inside = false;
	expect_part(&view, ", NAT traversal offered by the remote end only, ");
	view.natt_remote = false;
	expect_part(&view, ", no NAT traversal offered, ");
	view.data = "ESP in UDP";
	view.has_inside_id = view.has_remote_id = false;
	view.pairing = PAIRING_NONE;
	view.ike_version = 1;
	expect_part(&view, ", IKEv1, no NAT traversal offered, data by ESP in UDP: connected");
	view.data = "";
	view.ike_version = 0;
	expect_part(&view, " by 198.51.100.2: connected");
	view.is_shared = true;
	expect_part(&view, " by 198.51.100.2, shares outside port 500: connected");
}

static void describes_a_server_inside(void **state)
{
	struct tunnel_view view = ipsec();

	(void)state;
	view.inside_is_server = true;
	view.inside_name = "gate";
	expect_part(&view, "IPsec 203.0.113.10 \"strongSwan\" -> 10.77.0.11 \"gate\" by 198.51.100.2, ");
}

static void describes_l2tp(void **state)
{
	struct tunnel_view view = l2tp();

	(void)state;
	expect(&view, "L2TP 10.77.0.11 -> 203.0.113.10 by 198.51.100.2: requested, age 0 s; "
		      "from LAN 0 bytes in 0 packets; from WAN 0 bytes in 0 packets");
	view.has_inside_id = true;
	view.inside_id = 7;
	view.outside_id = 4294967295;
	expect_part(&view, ", Tunnel ID inside 7, outside 4294967295: requested");
	view.has_remote_id = true;
	view.remote_id = 9;
	expect_part(&view, ", Tunnel ID inside 7, outside 4294967295, remote 9: requested");
	view.has_inside_id = false;
	expect_part(&view, ", Tunnel ID remote 9: requested");
	view.is_shared = true;
	expect_part(&view, ", Tunnel ID remote 9, shares outside port 1701: requested");
	view.state = TUNNEL_IS_ENDED;
	view.end = END_NO_ANSWER;
	expect_part(&view, ": ended, age 0 s (no answer); ");
	view.sessions = 1;
	view.inside_session = 21;
	view.remote_session = 4000000000;
	expect_part(&view, ", 1 session, Session ID inside 21, remote 4000000000");
	view.sessions = 3;
	expect_part(&view, ", 3 sessions, the last Session ID inside 21, remote 4000000000");
}

static void tells_who_is_silent(void **state)
{
	struct tunnel_view view = l2tp();

	(void)state;
	view.silent = SIDE_WAN;
	expect_part(&view, "; NOTHING COMES FROM THE WAN: UDP may be blocked on that side");
	view.data = "";
	expect_part(&view, "; NOTHING COMES FROM THE WAN: L2TP may be blocked on that side");
	view.silent = SIDE_LAN;
	expect_part(&view, "; NOTHING COMES FROM THE LAN: ");
}

/* Every hint, behind the longest line there can be, is there to its full stop. */
static void hints_are_sentences(void **state)
{
	struct tunnel_view view = ipsec();
	char text[TUNNEL_TEXT], tail[64], sentence[TUNNEL_HINT];
	char long_name[200];

	(void)state;
	memset(long_name, '\n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	expect_not(&view, ". ");
	view.inside_name = view.remote_name = long_name;
	view.inside_address.v4 = view.remote_address.v4 = view.outside_address.v4 = 0xdededede;
	view.natt_remote = false;
	view.data = "ESP in UDP";
	view.is_shared = true;
	view.pairing = PAIRING_REPAIRED;
	view.end = END_CONTROL_SILENT;
	view.age_ms = view.last_ms[0] = view.last_ms[1] = UINT32_MAX;
	view.bytes[0] = view.bytes[1] = UINT64_MAX;
	view.packets[0] = view.packets[1] = UINT32_MAX;
	view.silent = SIDE_LAN;
	for (int hint = HINT_NONE + 1; hint < HINTS; hint++) {
		size_t length = strlen(tunnel_hint_text((enum tunnel_hint)hint));

		view.hint = (enum tunnel_hint)hint;
		assert_true(length > 50 && length < 400);
		if (hint == HINT_REFUSED || hint == HINT_UNREACHABLE || hint == HINT_PROHIBITED)
			view.refusal = (struct refusal){{UINT32_MAX}, UINT16_MAX, 17, 11, 255};
		else
			view.refusal.by.v4 = 0;
		length = strlen(tunnel_text_hint(&view, sentence));
		assert_true(tunnel_hint_name(view.hint)[0]);
		snprintf(tail, sizeof(tail), "%s.", sentence + length - 40);
		tunnel_text(&view, text);
		if (strlen(text) < strlen(tail) || strcmp(text + strlen(text) - strlen(tail), tail))
			fail_msg("cut: %s", text);
	}
}

/* Who has refused what, and which switch blocks it. */
static void names_who_refuses(void **state)
{
	struct tunnel_view view = ipsec();
	char text[TUNNEL_HINT], end[TUNNEL_END];

	(void)state;
	view.hint = HINT_REFUSED;
	view.refusal = (struct refusal){{0xcb007151}, 500, 17, 3, 3};
	assert_non_null(
		strstr(tunnel_text_hint(&view, text),
		       "203.0.113.81 answers to UDP port 500 with ICMP unreachable (type 3, code 3); the server"));
	view.refusal = (struct refusal){{0xcb007151}, 0, 47, 11, 0};
	assert_non_null(strstr(tunnel_text_hint(&view, text),
			       "203.0.113.81 answers to GRE with ICMP time exceeded (type 11, code 0); "));
	view.refusal = (struct refusal){{0xcb007151}, 1723, 6, 0, 0};
	assert_non_null(strstr(tunnel_text_hint(&view, text), "203.0.113.81 answers to TCP port 1723 with a reset; "));
	view.refusal.by.v4 = 0;
	view.hint = HINT_BLOCKED;
	view.end = END_BLOCKED;
	for (int part = 0; part < PARTS; part++) {
		static const char *const keys[PARTS] = {
			[PART_PPTP] = "[pptp] mode",        [PART_L2TP] = "[l2tp] mode",
			[PART_IKE] = "[ipsec] mode or ike", [PART_NATT] = "[ipsec] mode or natt",
			[PART_ESP] = "[ipsec] mode or esp", [PART_AH] = "[ipsec] mode or ah"};
		char want[64];

		view.part = (enum part)part;
		snprintf(want, sizeof(want), "%s = block refuses it: culvertctl mode ", keys[part]);
		assert_ptr_equal(strstr(tunnel_text_hint(&view, text), want), text);
		snprintf(want, sizeof(want), "ended by %s = block", keys[part]);
		assert_string_equal(tunnel_text_end(&view, end), want);
	}
	view.end = END_SILENT;
	assert_string_equal(tunnel_text_end(&view, end), "silence");
}

static void names_are_made_harmless(void **state)
{
	struct tunnel_view view = l2tp();
	char name[600];

	(void)state;
	view.inside_name = "";
	expect_part(&view, "L2TP 10.77.0.11 -> ");
	view.inside_name = "a\nb\x1b[0m";
	expect_part(&view, "L2TP 10.77.0.11 \"a\\x0ab\\x1b[0m\" -> ");
	view.inside_name = "x\" -> 1.2.3.4 by \"";
	expect_part(&view, "L2TP 10.77.0.11 \"x' -> 1.2.3.4 by '\" -> 203.0.113.10 by 198.51.100.2: ");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	view.inside_name = name;
	expect_part(&view, "nnn...\" -> 203.0.113.10 by ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(describes_ipsec),         cmocka_unit_test(describes_a_server_inside),
		cmocka_unit_test(describes_l2tp),          cmocka_unit_test(tells_who_is_silent),
		cmocka_unit_test(hints_are_sentences),     cmocka_unit_test(names_who_refuses),
		cmocka_unit_test(names_are_made_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
