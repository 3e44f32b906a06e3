/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every control message of PPTP, in both directions, with the client or the server inside, in every state of a call:
 * what is translated, and what becomes of the call. The expectations are tables of RFC 2637 section 2, not the
 * product's.
 */
#include "pptp_rig.h"

enum state { NO_CALL, REQUESTED, CONNECTED, CLEARING, ENDED, CALL_STATES };

static const enum tunnel_state SHOWN[] = {TUNNEL_STATES, TUNNEL_IS_REQUESTED, TUNNEL_IS_CONNECTED, TUNNEL_IS_CLEARING,
					  TUNNEL_IS_ENDED};

/* The inside end's own ID, which somebody else already has towards the remote; the remote end's. */
enum { OWN = 0x4d21, THEIRS = 0x3e17, STRANGE = 0x6a02 };

static enum side pns_side(bool server_inside)
{
	return server_inside ? SIDE_WAN : SIDE_LAN;
}

/* A line whose call (if any) is in the wanted state; the outside ID of it. */
static struct line line_in_state(struct rig *rig, bool server_inside, enum state state, uint16_t *outside_id)
{
	struct line other = line_to(rig, L2, 40000, W1), line;

	assert_int_equal(line_call(&other, OWN, THEIRS + 1), OWN);
	line = server_inside ? line_from(rig, W1, 3000) : line_to(rig, L1, 3000, W1);
	*outside_id = OWN;
	if (state == NO_CALL)
		return line;
	*outside_id = line_request(&line, OWN);
	assert_int_not_equal(*outside_id, OWN);
	assert_int_equal(*outside_id >> 8, OWN >> 8);
	if (state == REQUESTED)
		return line;
	line_expect(&line, SIDE_WAN, server_inside ? INCOMING_REPLY : OUTGOING_REPLY, THEIRS, *outside_id,
		    RESULT_CONNECTED, THEIRS, OWN);
	if (state == CLEARING) {
		bool lan = pns_side(server_inside) == SIDE_LAN;
		line_expect(&line, pns_side(server_inside), CLEAR_REQUEST, lan ? OWN : THEIRS, 0, 0,
			    lan ? *outside_id : THEIRS, 0);
	}
	if (state == ENDED) {
		bool lan = pns_side(server_inside) == SIDE_WAN;
		line_expect(&line, (enum side) !pns_side(server_inside), DISCONNECT_NOTIFY, lan ? OWN : THEIRS, 0, 4,
			    lan ? *outside_id : THEIRS, 0);
	}
	rig_expect_tunnel(rig, line.inside, OWN, SHOWN[state], state == ENDED ? END_DISCONNECTED : END_NOT);
	return line;
}

/* What a field arrives as; value is one of OWN, THEIRS, STRANGE and the outside ID. */
static uint16_t expected_field(enum side from, enum whose whose, enum state state, uint16_t value, uint16_t outside_id)
{
	bool lives = state == REQUESTED || state == CONNECTED || state == CLEARING;
	bool may_be_own = whose == SENDERS || whose == SENDERS_NEW || whose == EITHERS;

	if (from == SIDE_LAN && may_be_own && value == OWN && lives)
		return outside_id;
	if (from == SIDE_WAN && (whose == RECEIVERS || whose == EITHERS) && value == outside_id && lives)
		return OWN;
	return value;
}

/* The state after a message that names the call as its sender should. */
static enum state expected_state(enum side from, unsigned type, enum state state, bool accepted, enum tunnel_end *end)
{
	bool lives = state == REQUESTED || state == CONNECTED || state == CLEARING;
	bool knows_theirs = state == CONNECTED || state == CLEARING;

	*end = state == ENDED ? END_DISCONNECTED : END_NOT;
	switch (type) {
	case STOP_REPLY:
		*end = lives ? END_STOPPED : *end;
		return lives ? ENDED : state;
	case OUTGOING_REQUEST:
	case INCOMING_REQUEST:
		if (from == SIDE_LAN && !lives)
			*end = END_NOT;
		return from == SIDE_LAN && !lives ? REQUESTED : state;
	case OUTGOING_REPLY:
	case INCOMING_REPLY:
		if (from == SIDE_WAN && !lives)
			return state;
		*end = accepted ? END_NOT : END_REFUSED;
		if (!accepted)
			return ENDED;
		return lives && state != REQUESTED ? state : CONNECTED;
	case CLEAR_REQUEST:
		return (from == SIDE_LAN ? lives : knows_theirs) ? CLEARING : state;
	case DISCONNECT_NOTIFY:
		if (!(from == SIDE_LAN ? lives : knows_theirs))
			return state;
		*end = state == CLEARING ? END_CLEARED : END_DISCONNECTED;
		return ENDED;
	default:
		return state;
	}
}

static void check_message(struct rig *rig, unsigned type, enum side from, bool server_inside, enum state state,
			  uint8_t result)
{
	uint16_t outside_id;
	enum tunnel_end end;
	struct tunnel_view view;

	rig_restart(rig);
	rig->in_haste = true;
	struct line line = line_in_state(rig, server_inside, state, &outside_id);
	rig->in_haste = false;
	rig_wait(rig, 10);
	uint16_t own = from == SIDE_LAN ? OWN : THEIRS, peers = from == SIDE_LAN ? THEIRS : outside_id;
	uint16_t first = message_field(type, 12) == RECEIVERS ? peers : own;
	uint16_t second = message_field(type, 14) == RECEIVERS ? peers : 0x1111;
	const uint8_t *arrived = line_message(&line, from, type, first, second, result);
	bool opens = from == SIDE_LAN && message_field(type, 12) == SENDERS_NEW && (state == NO_CALL || state == ENDED);
	if (!opens)
		assert_int_equal(message_get16(arrived + 12),
				 expected_field(from, message_field(type, 12), state, first, outside_id));
	else if (state == ENDED) /* the same end with the same ID: as before */
		assert_int_equal(message_get16(arrived + 12), outside_id);
	else
		assert_int_not_equal(message_get16(arrived + 12), OWN);
	assert_int_equal(message_get16(arrived + 14),
			 expected_field(from, message_field(type, 14), state, second, outside_id));
	enum state after = expected_state(from, type, state, result == RESULT_CONNECTED, &end);
	if (after == NO_CALL)
		assert_false(rig_tunnel(rig, line.inside, OWN, &view));
	else
		rig_expect_tunnel(rig, line.inside, OWN, SHOWN[after], end);
	rig_expect_tunnel(rig, L2, OWN, TUNNEL_IS_CONNECTED, END_NOT);
}

static void every_message_in_every_state(void **state)
{
	for (unsigned type = START_REQUEST; type < MESSAGE_TYPES; type++)
		for (int from = 0; from < SIDES; from++)
			for (int inside = 0; inside < 2; inside++)
				for (int s = NO_CALL; s < CALL_STATES; s++) {
					check_message(*state, type, (enum side)from, inside, (enum state)s,
						      RESULT_CONNECTED);
					if (message_field(type, 14) == RECEIVERS)
						check_message(*state, type, (enum side)from, inside, (enum state)s,
							      RESULT_REFUSED);
				}
}

/* IDs of nobody, and of a call on another connection, stay what they are. */
static void ids_of_no_call_stay(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;
	uint16_t outside_id;
	struct line line = line_in_state(rig, false, CONNECTED, &outside_id);

	for (unsigned type = START_REQUEST; type < MESSAGE_TYPES; type++)
		for (int from = 0; from < SIDES; from++) {
			if (message_field(type, 12) == SENDERS_NEW || type == STOP_REPLY)
				continue;
			line_expect(&line, (enum side)from, type, STRANGE, STRANGE, 1, STRANGE, STRANGE);
		}
	/* from outside: the other host's outside ID, on a connection that is not its own */
	line_expect(&line, SIDE_WAN, SET_LINK_INFO, OWN, 0, 0, OWN, 0);
	line_expect(&line, SIDE_WAN, DISCONNECT_NOTIFY, OWN, 0, 4, OWN, 0);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, 9, STRANGE, 1, 9,
		    STRANGE); /* a reply to a call nobody asked for */
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, 9, OWN, 1, 9, OWN);
	assert_int_equal(rig_tunnels(rig, true), 2);
	assert_false(rig_tunnel(rig, L1, STRANGE, &view));
	rig_expect_tunnel(rig, L2, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	line_data_passes(&line, OWN, outside_id, THEIRS);
}

/* The receiver's ID echoed, or the sender's own: both end the call, and both are answered in kind. */
static void both_dialects_of_disconnect(void **state)
{
	for (int echo = 0; echo < 2; echo++)
		for (int cleared = 0; cleared < 2; cleared++) {
			struct rig *rig = *state;
			uint16_t outside_id;
			rig_restart(rig);
			struct line line = line_in_state(rig, false, cleared ? CLEARING : CONNECTED, &outside_id);
			line_expect(&line, SIDE_WAN, DISCONNECT_NOTIFY, echo ? outside_id : THEIRS, 0, 4,
				    echo ? OWN : THEIRS, 0);
			rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, cleared ? END_CLEARED : END_DISCONNECTED);
		}
}

/* With several calls a value may be both one end's ID and the other's: what is being cleared decides. */
static void disconnect_when_ids_collide(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = line_in_state(rig, false, CONNECTED, &outside_id);
	uint16_t second = line_call(&line, 0x5555, outside_id); /* the server chose our outside ID as its own */

	assert_int_equal(second, 0x5555);
	/* nothing is being cleared: the RFC's meaning, the server's own ID */
	line_expect(&line, SIDE_WAN, DISCONNECT_NOTIFY, outside_id, 0, 4, outside_id, 0);
	rig_expect_tunnel(rig, L1, 0x5555, TUNNEL_IS_ENDED, END_DISCONNECTED);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	assert_int_equal(line_call(&line, 0x5555, outside_id), 0x5555);
	/* ours is being cleared: the echo */
	line_expect(&line, SIDE_LAN, CLEAR_REQUEST, OWN, 0, 0, outside_id, 0);
	line_expect(&line, SIDE_WAN, DISCONNECT_NOTIFY, outside_id, 0, 4, OWN, 0);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_CLEARED);
	rig_expect_tunnel(rig, L1, 0x5555, TUNNEL_IS_CONNECTED, END_NOT);
}

/* One call with equal IDs on its outer leg: the RFC's meaning, which stays. */
static void disconnect_when_both_ids_are_equal(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	struct line other = line_to(rig, L2, 40000, W1);

	line_call(&other, OWN, THEIRS);
	uint16_t outside_id = line_request(&line, OWN);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, outside_id, outside_id, RESULT_CONNECTED, outside_id, OWN);
	line_expect(&line, SIDE_WAN, DISCONNECT_NOTIFY, outside_id, 0, 4, outside_id, 0);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_DISCONNECTED);
}

/* The same with the server inside: its notification may carry its own ID or echo the client's. */
static void disconnect_from_inside_when_ids_collide(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = line_in_state(rig, true, CONNECTED, &outside_id);

	assert_int_equal(line_call(&line, 0x5555, OWN), 0x5555); /* this client's ID is our OWN */
	line_expect(&line, SIDE_WAN, CLEAR_REQUEST, OWN, 0, 0, OWN, 0);
	rig_expect_tunnel(rig, SERVER, 0x5555, TUNNEL_IS_CLEARING, END_NOT);
	line_expect(&line, SIDE_LAN, DISCONNECT_NOTIFY, OWN, 0, 4, OWN, 0);
	rig_expect_tunnel(rig, SERVER, 0x5555, TUNNEL_IS_ENDED, END_CLEARED);
	rig_expect_tunnel(rig, SERVER, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	line_expect(&line, SIDE_LAN, DISCONNECT_NOTIFY, OWN, 0, 4, outside_id, 0);
	rig_expect_tunnel(rig, SERVER, OWN, TUNNEL_IS_ENDED, END_DISCONNECTED);
}

static void incoming_calls_both_ways(void **state)
{
	for (int server_inside = 0; server_inside < 2; server_inside++) {
		struct rig *rig = *state;
		uint16_t outside_id;
		struct line line;
		rig_restart(rig);
		struct line other = line_to(rig, L2, 40000, W1);
		assert_int_equal(line_call(&other, OWN, THEIRS + 1), OWN);
		if (server_inside) {
			line = line_from(rig, W1, 3000);
			outside_id = line_request(&line, OWN);
			line_expect(&line, SIDE_WAN, INCOMING_REPLY, THEIRS, outside_id, 1, THEIRS, OWN);
			line_expect(&line, SIDE_LAN, INCOMING_CONNECTED, THEIRS, 0, 0, THEIRS, 0);
			line_expect(&line, SIDE_LAN, WAN_ERROR, THEIRS, 0, 0, THEIRS, 0);
			line_expect(&line, SIDE_WAN, SET_LINK_INFO, outside_id, 0, 0, OWN, 0);
		} else {
			line = line_to(rig, L1, 3000, W1);
			line_expect(&line, SIDE_WAN, INCOMING_REQUEST, THEIRS, 0x7177, 0, THEIRS, 0x7177);
			const uint8_t *arrived = line_message(&line, SIDE_LAN, INCOMING_REPLY, OWN, THEIRS, 1);
			outside_id = message_get16(arrived + 12);
			assert_int_equal(message_get16(arrived + 14), THEIRS);
			line_expect(&line, SIDE_WAN, INCOMING_CONNECTED, outside_id, 0, 0, OWN, 0);
			line_expect(&line, SIDE_WAN, WAN_ERROR, outside_id, 0, 0, OWN, 0);
			line_expect(&line, SIDE_LAN, SET_LINK_INFO, THEIRS, 0, 0, THEIRS, 0);
			line_expect(&line, SIDE_WAN, SET_LINK_INFO, outside_id, 0, 0, OWN, 0);
		}
		assert_int_not_equal(outside_id, OWN);
		line_data_passes(&line, OWN, outside_id, THEIRS);
		rig_expect_tunnel(rig, line.inside, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	}
}

static void several_calls_of_one_connection(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id[40];
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);

	for (uint16_t i = 0; i < 40; i++)
		line_call(&other, (uint16_t)(OWN + i), (uint16_t)(0x100 + i));
	for (uint16_t i = 0; i < 40; i++)
		outside_id[i] = line_call(&line, (uint16_t)(OWN + i), (uint16_t)(THEIRS + i));
	for (uint16_t i = 0; i < 40; i++)
		for (uint16_t k = 0; k < i; k++)
			assert_int_not_equal(outside_id[i], outside_id[k]);
	for (uint16_t i = 0; i < 40; i++) {
		line_data_passes(&line, (uint16_t)(OWN + i), outside_id[i], (uint16_t)(THEIRS + i));
		line_data_passes(&other, (uint16_t)(OWN + i), (uint16_t)(OWN + i), (uint16_t)(0x100 + i));
	}
	line_expect(&line, SIDE_LAN, CLEAR_REQUEST, OWN + 7, 0, 0, outside_id[7], 0);
	line_expect(&line, SIDE_WAN, DISCONNECT_NOTIFY, THEIRS + 7, 0, 4, THEIRS + 7, 0);
	assert_int_equal(rig_tunnels(rig, false), 79);
	rig_expect_tunnel(rig, L1, OWN + 7, TUNNEL_IS_ENDED, END_CLEARED);
}

/* As many clients as the rig has hosts, all with the same ID to the same server. */
static void equal_ids_of_many_clients(void **state)
{
	enum { CLIENTS = 60 };
	static const uint16_t ids[] = {0, 1, 255, 256, 0x8000, 65535};
	struct rig *rig = *state;

	for (size_t k = 0; k < sizeof(ids) / sizeof(ids[0]); k++) {
		struct line line[CLIENTS];
		uint16_t outside_id[CLIENTS];
		rig_restart(rig);
		for (uint16_t i = 0; i < CLIENTS; i++) {
			line[i] = line_to(rig, 0x0a000010u + i, 2000, W1);
			outside_id[i] = line_call(&line[i], ids[k], (uint16_t)(i + 1));
			if (i == 0)
				assert_int_equal(outside_id[i], ids[k]);
			else
				assert_int_not_equal(outside_id[i], 0);
		}
		for (uint16_t i = 0; i < CLIENTS; i++) {
			for (uint16_t j = 0; j < i; j++)
				assert_int_not_equal(outside_id[i], outside_id[j]);
			line_data_passes(&line[i], ids[k], outside_id[i], (uint16_t)(i + 1));
		}
		/* another server: the ID is free there */
		struct line elsewhere = line_to(rig, 0x0a000011u, 2001, W2);
		assert_int_equal(line_call(&elsewhere, ids[k], 5), ids[k]);
		line_data_passes(&elsewhere, ids[k], ids[k], 5);
	}
}

static void remote_ids_at_the_ends(void **state)
{
	struct rig *rig = *state;
	static const uint16_t ids[] = {0, 1, 65535};

	for (uint16_t i = 0; i < 3; i++) {
		struct line line = line_to(rig, L1, (uint16_t)(3000 + i), W1);
		uint16_t outside_id = line_call(&line, (uint16_t)(OWN + i), ids[i]);
		line_data_passes(&line, (uint16_t)(OWN + i), outside_id, ids[i]);
		line = line_from(rig, W2, (uint16_t)(3000 + i));
		outside_id = line_call(&line, (uint16_t)(OWN + i), ids[i]);
		line_data_passes(&line, (uint16_t)(OWN + i), outside_id, ids[i]);
	}
}

/* Client and server inside at once, towards one remote: one space of outside IDs. */
static void both_roles_share_the_ids(void **state)
{
	struct rig *rig = *state;
	struct line client = line_to(rig, L1, 3000, W1), server = line_from(rig, W1, 3000);
	uint16_t a = line_call(&client, OWN, THEIRS), b = line_call(&server, OWN, THEIRS);

	assert_int_equal(a, OWN);
	assert_int_not_equal(b, OWN);
	line_data_passes(&client, OWN, a, THEIRS);
	line_data_passes(&server, OWN, b, THEIRS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pptp_test(every_message_in_every_state),       pptp_test(ids_of_no_call_stay),
		pptp_test(both_dialects_of_disconnect),        pptp_test(disconnect_when_ids_collide),
		pptp_test(disconnect_when_both_ids_are_equal), pptp_test(disconnect_from_inside_when_ids_collide),
		pptp_test(incoming_calls_both_ways),           pptp_test(several_calls_of_one_connection),
		pptp_test(equal_ids_of_many_clients),          pptp_test(remote_ids_at_the_ends),
		pptp_test(both_roles_share_the_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
