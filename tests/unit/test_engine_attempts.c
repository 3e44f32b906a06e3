/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is said of VPNs that are tried in vain: blocked by a mode, refused by ICMP or a reset, AH, NAT traversal that is
 * filtered. None of it changes what is done with a packet.
 */
#include <stdlib.h>

#include "ipsec_rig.h"
#include "pptp_messages.h"
#include "pptp_rig.h"

enum { OWN = 0x1234, THEIRS = 0x4321, LINE_PORT = 4000 };

/* The number of attempts; the last one is in view. */
static uint32_t attempts(struct rig *rig, struct tunnel_view *view)
{
	uint32_t cursor = 0, count = 0;
	struct tunnel_view next;

	while (engine_next_attempt(rig->engine, &cursor, rig->now, &next)) {
		*view = next;
		count++;
	}
	return count;
}

static void answer_with_error(struct rig *rig, uint32_t from, uint8_t type, uint8_t code, const struct packet *sent)
{
	struct test_packet *error = malloc(sizeof(*error));

	assert_non_null(error);
	assert_non_null(sent);
	packets_build_error(error, from, O1, type, code, 0, sent->data, sent->length < 64 ? sent->length : 64);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_forwarded(rig, SIDE_LAN);
	free(error);
}

static struct packet *dial(struct rig *rig, uint32_t inside)
{
	return rig_tcp(rig, SIDE_LAN, inside, LINE_PORT, W1, 1723, FLAG_SYN, 100, 0);
}

/* --- blocked by a mode --- */

static void what_is_blocked_is_counted(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	assert_int_equal(attempts(rig, &view), 0);
	rig->config.mode[PART_PPTP] = MODE_BLOCK;
	rig_configure(rig);
	for (int i = 0; i < 5; i++) {
		dial(rig, L1);
		rig_dropped(rig, DROP_PPTP_BLOCKED);
		rig_wait(rig, 8 * SECOND);
	}
	assert_int_equal(attempts(rig, &view), 1);
	assert_int_equal(view.service, SERVICE_PPTP);
	assert_int_equal(view.part, PART_PPTP);
	assert_int_equal(view.index, UINT32_MAX);
	assert_int_equal(view.state, TUNNEL_IS_BLOCKED);
	assert_int_equal(view.hint, HINT_BLOCKED);
	assert_int_equal(view.end, END_NOT);
	assert_int_equal(view.inside_address.v4, L1);
	assert_int_equal(view.outside_address.v4, O1);
	assert_int_equal(view.remote_address.v4, W1);
	assert_int_equal(view.packets[SIDE_LAN], 5);
	assert_int_equal(view.last_ms[SIDE_LAN], 8 * SECOND);
	assert_int_equal(view.age_ms, 40 * SECOND);
	dial(rig, L2);
	assert_int_equal(attempts(rig, &view), 2);
	/* Those of a minute ago count no longer, and then the last one is a minute ago, too. */
	rig_wait(rig, 40 * SECOND);
	assert_int_equal(attempts(rig, &view), 2);
	dial(rig, L1);
	assert_int_equal(attempts(rig, &view), 2);
	rig_wait(rig, 30 * SECOND);
	assert_int_equal(attempts(rig, &view), 1);
	assert_int_equal(view.inside_address.v4, L1);
	assert_int_equal(view.packets[SIDE_LAN], 1);
	rig->config.mode[PART_PPTP] = MODE_PASS;
	rig_configure(rig);
	assert_int_equal(attempts(rig, &view), 0);
}

/* The table has a fixed size, whatever a host does; the one that was silent longest makes room. */
static void the_table_is_bounded(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	rig->config.mode[PART_L2TP] = MODE_BLOCK;
	rig_configure(rig);
	rig->in_haste = true;
	for (uint32_t i = 0; i < 20000; i++)
		rig_udp(rig, SIDE_LAN, L1 + i % 100, 1701, W1 + i, 1701);
	rig->in_haste = false;
	assert_int_equal(attempts(rig, &view), 256);
	rig_udp(rig, SIDE_LAN, L1, 1701, X, 1701);
	bool found = false;
	for (uint32_t cursor = 0; engine_next_attempt(rig->engine, &cursor, rig->now, &view);)
		found |= view.remote_address.v4 == X;
	assert_true(found);
}

static void a_tunnel_ends_by_the_switch(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, LINE_PORT, W1);
	struct ike_spec spec = {.initiator = 1, .exchange = SA_INIT};
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t seen = 0;

	line_call(&line, OWN, THEIRS);
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W2, 500, &spec));
	rig->config.mode[PART_PPTP] = rig->config.mode[PART_IKE] = MODE_BLOCK;
	rig_configure(rig);
	while (engine_next_tunnel(rig->engine, &cursor, rig->now, &view)) {
		assert_int_equal(view.end, END_BLOCKED);
		seen++;
	}
	assert_int_equal(seen, 2);
}

/* --- AH --- */

static void ah_alone_is_seen(void **state)
{
	struct rig *rig = *state;
	struct ike_spec spec = {.initiator = 1, .exchange = SA_INIT};
	struct tunnel_view view;

	rig_portless(rig, SIDE_LAN, PROTO_AH, L1, W1);
	rig_dropped(rig, DROP_AH_UNTRANSLATABLE);
	assert_int_equal(attempts(rig, &view), 1);
	assert_int_equal(view.service, SERVICE_IPSEC);
	assert_int_equal(view.hint, HINT_AH_SEEN);
	assert_string_equal(view.data, "AH");
	/* With IKE there is a tunnel to show it in. */
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &spec));
	rig_portless(rig, SIDE_LAN, PROTO_AH, L2, W1);
	assert_int_equal(attempts(rig, &view), 1);
	assert_int_equal(view.inside_address.v4, L1);
	rig->config.mode[PART_AH] = MODE_BLOCK;
	rig_configure(rig);
	rig_portless(rig, SIDE_LAN, PROTO_AH, L3, W1);
	rig_dropped(rig, DROP_IPSEC_BLOCKED);
	assert_int_equal(attempts(rig, &view), 2);
}

/* --- refused --- */

static void ike_is_refused(void **state)
{
	static const struct {
		uint32_t from;
		uint8_t type, code;
		enum tunnel_hint hint;
	} cases[] = {
		{W1, 3, 3, HINT_REFUSED},      {X, 3, 1, HINT_UNREACHABLE}, {X, 3, 0, HINT_UNREACHABLE},
		{X, 3, 13, HINT_PROHIBITED},   {X, 3, 9, HINT_PROHIBITED},  {X, 11, 0, HINT_UNREACHABLE},
		{X, 3, 200, HINT_UNREACHABLE}, {X, 3, 4, HINT_NONE},        {X, 12, 0, HINT_NONE},
	};
	struct rig *rig = *state;
	struct ike_spec ask = {.initiator = 1, .exchange = SA_INIT},
			answer = {.initiator = 1, .responder = 2, .exchange = SA_INIT, .response = true};
	struct tunnel_view view;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_restart(rig);
		struct packet *sent = ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &ask);
		rig_wait(rig, SECOND);
		answer_with_error(rig, cases[i].from, cases[i].type, cases[i].code, sent);
		assert_true(ipsec_tunnel(rig, L1, W1, &view));
		assert_int_equal(view.hint, cases[i].hint);
		assert_int_equal(view.refusal.by.v4, cases[i].hint != HINT_NONE ? cases[i].from : 0);
		if (cases[i].hint == HINT_NONE)
			continue;
		assert_int_equal(view.refusal.port, 500);
		assert_int_equal(view.refusal.protocol, PROTO_UDP);
		assert_int_equal(view.refusal.type, cases[i].type);
		assert_int_equal(view.refusal.code, cases[i].code);
		/* It stays the truth for as long as nothing else comes. */
		for (int j = 0; j < 15; j++) {
			rig_wait(rig, SECOND);
			assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &ask));
		}
		assert_true(ipsec_tunnel(rig, L1, W1, &view));
		assert_int_equal(view.hint, cases[i].hint);
		/* A router spoke for a while, or somebody has forged it. */
		assert_non_null(ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500, &answer));
		assert_true(ipsec_tunnel(rig, L1, W1, &view));
		assert_int_equal(view.hint, HINT_NONE);
		assert_int_equal(view.refusal.by.v4, 0);
	}
	assert_int_equal(attempts(rig, &view), 0); /* the tunnel is shown, once */
}

/* A tunnel that was refused long ago, and a new one: what is said of the old one is not said of the new one. */
static void a_refusal_is_of_its_time(void **state)
{
	struct rig *rig = *state;
	struct ike_spec ask = {.initiator = 1, .exchange = SA_INIT};
	struct tunnel_view view;

	answer_with_error(rig, W1, 3, 3, ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &ask));
	rig_wait(rig, 10 * MINUTE);
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &ask));
	for (int j = 0; j < 12; j++)
		rig_wait(rig, SECOND);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.hint, HINT_NO_ANSWER);
	/* Nor of what a server inside sends to its callers. */
	rig->config.forward[0] = (struct forward){PROTO_UDP, 500, 500, {L2}, 500};
	rig->config.forwards = 1;
	rig_restart(rig);
	assert_non_null(ipsec_ike(rig, SIDE_WAN, W2, 500, O1, 500, &ask));
	answer_with_error(rig, W2, 3, 3, ipsec_ike(rig, SIDE_LAN, L2, 500, W2, 500, &ask));
	assert_true(ipsec_tunnel(rig, L2, W2, &view));
	assert_int_equal(view.refusal.by.v4, 0);
}

static void pptp_is_refused(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	dial(rig, L1);
	rig_forwarded(rig, SIDE_WAN);
	rig_tcp(rig, SIDE_WAN, W1, 1723, O1, LINE_PORT, FLAG_RST | FLAG_ACK, 0, 101);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(attempts(rig, &view), 1);
	assert_int_equal(view.state, TUNNEL_IS_REQUESTED);
	assert_int_equal(view.hint, HINT_REFUSED);
	assert_int_equal(view.refusal.by.v4, W1);
	assert_int_equal(view.refusal.port, 1723);
	assert_int_equal(view.refusal.type, 0);
	answer_with_error(rig, X, 3, 1, dial(rig, L2));
	assert_int_equal(attempts(rig, &view), 2);
	rig_wait(rig, MINUTE);
	assert_int_equal(attempts(rig, &view), 0);
	/* A connection that was used is no attempt in vain. */
	struct line line = line_to(rig, L3, LINE_PORT, W1);
	line_call(&line, OWN, THEIRS);
	line_reset(&line, SIDE_WAN);
	assert_int_equal(attempts(rig, &view), 0);
	/* Nor is one that the client itself gives up as soon as it is answered. */
	dial(rig, L2);
	rig_tcp(rig, SIDE_WAN, W1, 1723, O1, LINE_PORT, FLAG_SYN | FLAG_ACK, 500, 101);
	rig_tcp(rig, SIDE_LAN, L2, LINE_PORT, W1, 1723, FLAG_RST, 101, 0);
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(attempts(rig, &view), 0);
}

/* The control connection never opens. A client asks after 1, 3, 7 and 15 seconds again. */
static void pptp_is_unanswered(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	for (uint32_t at = 0; at < 15; at++) {
		if (at == 0 || at == 1 || at == 3 || at == 7)
			dial(rig, L1);
		assert_int_equal(attempts(rig, &view), at >= 7);
		rig_wait(rig, SECOND);
	}
	assert_int_equal(view.service, SERVICE_PPTP);
	assert_int_equal(view.state, TUNNEL_IS_REQUESTED);
	assert_int_equal(view.hint, HINT_NO_ANSWER);
	rig_tcp(rig, SIDE_WAN, W1, 1723, O1, LINE_PORT, FLAG_SYN | FLAG_ACK, 500, 101);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(attempts(rig, &view), 0);
	/* Only what was answered is forgotten. */
	for (uint32_t at = 0; at < 10; at++) {
		dial(rig, L2);
		rig_tcp(rig, SIDE_LAN, L3, LINE_PORT, W2, 1723, FLAG_SYN, 100, 0);
		rig_wait(rig, SECOND);
	}
	assert_int_equal(attempts(rig, &view), 2);
	answer_with_error(rig, X, 3, 1, dial(rig, L2));
	assert_int_equal(attempts(rig, &view), 2);
	rig_wait(rig, MINUTE);
	assert_int_equal(attempts(rig, &view), 0);
}

static void gre_is_refused(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, LINE_PORT, W1);
	struct tunnel_view view;

	line_call(&line, OWN, THEIRS);
	answer_with_error(rig, W1, 3, 2, pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS));
	assert_true(rig_tunnel(rig, L1, OWN, &view));
	assert_int_equal(view.hint, HINT_REFUSED);
	assert_int_equal(view.refusal.protocol, PROTO_GRE);
	rig_wait(rig, SECOND);
	pptp_gre(rig, SIDE_WAN, W1, O1, OWN);
	assert_true(rig_tunnel(rig, L1, OWN, &view));
	assert_int_equal(view.hint, HINT_NONE);
	assert_int_equal(attempts(rig, &view), 0);
}

/* --- NAT traversal --- */

static void natt_is_filtered(void **state)
{
	struct rig *rig = *state;
	struct ike_spec ask = {.initiator = 1, .exchange = SA_INIT},
			answer = {.initiator = 1, .responder = 2, .exchange = SA_INIT, .response = true},
			auth = {.initiator = 1, .responder = 2, .exchange = AUTH, .marker = true},
			reply = {.initiator = 1, .responder = 2, .exchange = AUTH, .marker = true, .response = true};
	struct tunnel_view view;

	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &ask));
	assert_non_null(ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500, &answer));
	for (int i = 0; i < 11; i++) {
		assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 4500, W1, 4500, &auth));
		assert_true(ipsec_tunnel(rig, L1, W1, &view));
		assert_int_equal(view.hint, i < 10 ? HINT_NONE : HINT_NATT_FILTERED);
		rig_wait(rig, SECOND);
	}
	assert_int_equal(view.state, TUNNEL_IS_NEGOTIATING);
	assert_non_null(ipsec_ike(rig, SIDE_WAN, W1, 4500, O1, 4500, &reply));
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.hint, HINT_NONE);
}

/* --- telling --- */

static void tell(void *context, enum engine_event_kind kind, const struct tunnel_view *view)
{
	uint32_t *told = context;

	*told += kind == EVENT_TUNNEL_HINT && view->index == UINT32_MAX;
}

static void review(struct rig *rig)
{
	uint64_t cursor = 0;

	engine_tell_hints(rig->engine, &cursor, 1000, rig->now);
}

/* Once for as long as it goes on, and once more after a pause. */
static void attempts_are_told_once(void **state)
{
	struct rig *rig = *state;
	uint32_t told = 0;

	engine_on_event(rig->engine, tell, &told);
	rig->config.mode[PART_IKE] = MODE_BLOCK;
	rig_configure(rig);
	for (uint32_t i = 0; i < 5; i++) {
		rig_udp(rig, SIDE_LAN, L1, 500, W1, 500);
		review(rig);
		assert_int_equal(told, 1);
		rig_wait(rig, 40 * SECOND);
	}
	rig_wait(rig, MINUTE);
	rig_udp(rig, SIDE_LAN, L1, 500, W1, 500);
	review(rig);
	assert_int_equal(told, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pptp_test(what_is_blocked_is_counted),
		pptp_test(the_table_is_bounded),
		pptp_test(a_tunnel_ends_by_the_switch),
		pptp_test(ah_alone_is_seen),
		cmocka_unit_test_setup_teardown(ike_is_refused, ipsec_rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_of_its_time, ipsec_rig_setup, rig_teardown),
		pptp_test(pptp_is_refused),
		pptp_test(pptp_is_unanswered),
		pptp_test(gre_is_refused),
		cmocka_unit_test_setup_teardown(natt_is_filtered, ipsec_rig_setup, rig_teardown),
		pptp_test(attempts_are_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
