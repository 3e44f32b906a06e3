/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What runs out, what is shown, what a reload and a crash do to PPTP, and input that means harm.
 */
#include "pptp_rig.h"

#include <stdlib.h>
#include <string.h>

enum { OWN = 0x4d21, THEIRS = 0x3e17 };

struct told {
	uint32_t count[3];
	struct tunnel_view last;
};

static void tell(void *context, enum engine_event_kind kind, const struct tunnel_view *view)
{
	struct told *told = context;

	told->count[kind]++;
	told->last = *view;
}

static struct line changed_call(struct rig *rig, uint16_t *outside_id)
{
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);

	assert_int_equal(line_call(&other, OWN, THEIRS + 1), OWN);
	*outside_id = line_call(&line, OWN, THEIRS);
	assert_int_not_equal(*outside_id, OWN);
	return line;
}

/* --- what runs out --- */

static void request_refused(struct line *line, uint16_t id, enum drop reason)
{
	uint8_t bytes[MESSAGE_MAX];
	uint32_t length = message_build(bytes, OUTGOING_REQUEST, id, 0, 0);

	line_segment(line, SIDE_LAN, FLAG_ACK, line->next[SIDE_LAN], bytes, length);
	rig_dropped(line->rig, reason);
}

static void calls_of_one_connection(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1), other = line_to(rig, L2, 3000, W1);

	rig->in_haste = true;
	for (uint16_t i = 0; i < 256; i++)
		assert_int_equal(line_call(&line, (uint16_t)(OWN + i), i), OWN + i);
	rig->in_haste = false;
	request_refused(&line, OWN - 1, DROP_CALL_IDS_EXHAUSTED);
	line_call(&other, OWN, THEIRS); /* others are not concerned */
	line_message(&line, SIDE_WAN, DISCONNECT_NOTIFY, 7, 0, 4);
	line_call(&line, OWN - 1, 7);
	request_refused(&line, OWN - 2, DROP_CALL_IDS_EXHAUSTED);
	for (uint16_t i = 0; i < 256; i += 51)
		line_data_passes(&line, i == 7 ? OWN - 1 : (uint16_t)(OWN + i), i == 7 ? OWN - 1 : (uint16_t)(OWN + i),
				 i);
}

/* A stranger who only sends SYNs to the forwarded port takes no help away: neither from clients inside nor from those
 * who call the server. */
static void a_flood_of_knocks(void **state)
{
	struct rig *rig = *state;

	rig->limits.tunnels = 16;
	rig_restart(rig);
	rig->in_haste = true;
	for (uint16_t i = 0; i < 100; i++) {
		struct line knock = line_plan(rig, true, SERVER, (uint16_t)(20000 + i), W2);
		line_segment(&knock, SIDE_WAN, FLAG_SYN, 77, NULL, 0);
		rig_forwarded(rig, SIDE_LAN);
	}
	rig->in_haste = false;
	assert_int_equal(rig_stat(rig, STAT_PPTP_CONTROLS), 4);
	assert_int_equal(rig_stat(rig, STAT_PPTP_UNREAD), 0);
	struct line out = line_to(rig, L1, 3000, W1), in = line_from(rig, W1, 4000);
	line_data_passes(&out, OWN, line_call(&out, OWN, THEIRS), THEIRS);
	line_data_passes(&in, OWN, line_call(&in, OWN, THEIRS), THEIRS);
}

/* One inside host leaves a quarter of the records to the others. */
static void a_host_that_wants_every_record(void **state)
{
	struct rig *rig = *state;

	rig->limits.tunnels = 8;
	rig_restart(rig);
	for (uint16_t i = 0; i < 8; i++)
		line_to(rig, L1, (uint16_t)(3000 + i), W1);
	assert_int_equal(rig_stat(rig, STAT_PPTP_CONTROLS), 6);
	assert_int_equal(rig_stat(rig, STAT_PPTP_UNREAD), 2);
	struct line line = line_to(rig, L2, 3000, W1);
	line_data_passes(&line, OWN, line_call(&line, OWN, THEIRS), THEIRS);
	rig_take_over(rig);
	line_to(rig, L1, 4000, W1);
	assert_int_equal(rig_stat(rig, STAT_PPTP_UNREAD), 3);
}

static void records_of_calls(void **state)
{
	struct rig *rig = *state;

	rig->limits.tunnels = 3;
	rig_restart(rig);
	struct line line = line_to(rig, L1, 3000, W1);
	for (uint16_t i = 0; i < 6; i++)
		line_call(&line, (uint16_t)(OWN + i), i);
	request_refused(&line, OWN + 6, DROP_CALL_IDS_EXHAUSTED);
	line_message(&line, SIDE_WAN, DISCONNECT_NOTIFY, 2, 0, 4);
	request_refused(&line, OWN + 6, DROP_CALL_IDS_EXHAUSTED); /* its ID rests: the record is in use */
	rig_wait(rig, 3 * MINUTE);
	line_call(&line, OWN + 6, 6); /* an old record, shown until it is needed */
	assert_int_equal(rig_tunnels(rig, true), 6);
	struct line more[3];
	for (uint16_t i = 0; i < 3; i++)
		more[i] = line_to(rig, L2, (uint16_t)(3000 + i), W1);
	line_message(&more[2], SIDE_LAN, START_REQUEST, 0, 0, 0); /* not read for want of a record */
	line_expect(&more[2], SIDE_LAN, OUTGOING_REQUEST, OWN, 0, 0, OWN, 0);
	assert_int_equal(rig_stat(rig, STAT_PPTP_CONTROLS), 3);
}

static void no_tunnels_at_all(void **state)
{
	struct rig *rig = *state;

	rig->limits.tunnels = 0;
	rig_restart(rig);
	struct line line = line_to(rig, L1, 3000, W1);
	line_expect(&line, SIDE_LAN, OUTGOING_REQUEST, OWN, 0, 0, OWN, 0);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, OWN, 1, THEIRS, OWN);
	line_data_refused(&line, OWN, THEIRS);
	assert_int_equal(rig_tunnels(rig, true), 0);
}

static void flows_run_out(void **state)
{
	struct rig *rig = *state;

	rig->config.host_flows = 4;
	rig_configure(rig);
	struct line line = line_to(rig, L1, 3000, W1), other = line_to(rig, L2, 3000, W1);
	for (uint16_t i = 0; i < 3; i++)
		line_call(&line, (uint16_t)(OWN + i), i);
	request_refused(&line, OWN + 3, DROP_HOST_LIMIT);
	line_call(&other, OWN, THEIRS);
	rig->limits.flows = 8;
	rig->config.host_flows = 100;
	rig_restart(rig);
	line = line_to(rig, L1, 3000, W1);
	for (uint16_t i = 0; i < 7; i++)
		line_call(&line, (uint16_t)(OWN + i), i);
	request_refused(&line, OWN + 7, DROP_FLOWS_EXHAUSTED);
}

/* Every outside ID towards one server is taken: the next call is told so, another server is not concerned. */
static void ids_run_out(void **state)
{
	struct rig *rig = *state;
	struct line line;

	rig->limits.flows = 80000;
	rig->limits.tunnels = 32768;
	rig->config.host_flows = 80000;
	rig_restart(rig);
	rig->in_haste = true;
	for (uint32_t i = 0; i < 65536; i++) {
		if (i % 256 == 0)
			line = line_to(rig, 0x0a000100 + i / 4096, (uint16_t)(3000 + i / 256), W1);
		if (i == 0)
			continue; /* 0 is given to nobody who did not ask for it */
		assert_int_equal(line_request(&line, (uint16_t)i), i);
		line_acknowledge(&line, SIDE_WAN);
	}
	rig->in_haste = false;
	rig_check(rig);
	line = line_to(rig, L3, 3000, W1);
	request_refused(&line, OWN, DROP_CALL_IDS_EXHAUSTED);
	line = line_to(rig, L3, 3001, W2);
	assert_int_equal(line_call(&line, OWN, THEIRS), OWN);
}

/* --- modes --- */

static void blocked(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);
	struct told told = {0};

	engine_on_event(rig->engine, tell, &told);
	rig->config.mode[PART_PPTP] = MODE_BLOCK;
	rig_configure(rig);
	assert_int_equal(told.count[EVENT_TUNNEL_DOWN], 2);
	assert_int_equal(rig_flows(rig), 0);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_BLOCKED);
	for (int from = 0; from < SIDES; from++) {
		line_segment(&line, (enum side)from, FLAG_ACK, line.next[from], NULL, 0);
		rig_dropped(rig, DROP_PPTP_BLOCKED);
		line_segment(&line, (enum side)from, FLAG_SYN, line.next[from], NULL, 0);
		rig_dropped(rig, DROP_PPTP_BLOCKED);
	}
	pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
	rig_dropped(rig, DROP_PPTP_BLOCKED);
	pptp_gre(rig, SIDE_WAN, W1, O1, outside_id);
	rig_dropped(rig, DROP_PPTP_BLOCKED);
	rig_portless(rig, SIDE_LAN, PROTO_GRE, L1, W1); /* version 0 is not PPTP */
	rig_forwarded(rig, SIDE_WAN);
	rig->config.mode[PART_PPTP] = MODE_PASS;
	rig_configure(rig);
	changed_call(rig, &outside_id);
}

static void plain(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);

	rig->config.mode[PART_PPTP] = MODE_PLAIN;
	rig_configure(rig);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_ROUTER);
	assert_int_equal(rig_tunnels(rig, false), 0);
	line_expect(&line, SIDE_LAN, OUTGOING_REQUEST, OWN, 0, 0, OWN, 0);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, OWN, 1, THEIRS, OWN);
	struct packet *p = pptp_gre(rig, SIDE_WAN, W1, O1, OWN);
	rig_dropped(rig, DROP_NO_OWNER);
	p = pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS); /* like any GRE: one owner, nothing but addresses */
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(packet_get16(p, 26), THEIRS);
	p = pptp_gre(rig, SIDE_WAN, W1, O1, 0x1234);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L1);
	assert_int_equal(packet_get16(p, 26), 0x1234);
	pptp_gre(rig, SIDE_LAN, L2, W1, THEIRS);
	rig_dropped(rig, DROP_OWNER_TAKEN);
	rig->config.mode[PART_PPTP] = MODE_PASS;
	rig_configure(rig);
	struct line again = line_to(rig, L1, 3001, W1);
	outside_id = line_call(&again, OWN, THEIRS);
	line_data_passes(&again, OWN, outside_id, THEIRS);
}

static void the_outside_address_goes(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);

	line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[SIDE_LAN] + 100, (const uint8_t *)"x", 1);
	rig_held(rig);
	rig_outside(rig, 1, O2, 0);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_ROUTER);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
	rig_dropped(rig, DROP_GRE_NO_CALL);
}

/* --- what is shown --- */

static void tunnels_are_shown(void **state)
{
	struct rig *rig = *state;
	struct told told = {0};
	struct tunnel_view v;

	engine_on_event(rig->engine, tell, &told);
	struct line line = line_from(rig, W1, 3000);
	line_message(&line, SIDE_WAN, OUTGOING_REQUEST, THEIRS, 0, 0);
	assert_false(rig_tunnel(rig, SERVER, OWN, &v));
	line_message(&line, SIDE_LAN, OUTGOING_REPLY, OWN, THEIRS, 1);
	assert_int_equal(told.count[EVENT_TUNNEL_UP], 1);
	assert_int_equal(told.last.state, TUNNEL_IS_CONNECTED);
	rig_wait(rig, 5 * SECOND);
	for (int i = 0; i < 3; i++)
		pptp_gre(rig, SIDE_LAN, SERVER, W1, THEIRS);
	rig_wait(rig, SECOND);
	pptp_gre(rig, SIDE_WAN, W1, O1, OWN);
	rig_wait(rig, 2 * SECOND);
	assert_true(rig_tunnel(rig, SERVER, OWN, &v));
	assert_true(v.inside_is_server && v.has_inside_id && v.has_remote_id);
	assert_int_equal(v.outside_address.v4, O1);
	assert_int_equal(v.remote_address.v4, W1);
	assert_int_equal(v.inside_id, OWN);
	assert_int_equal(v.outside_id, OWN);
	assert_int_equal(v.remote_id, THEIRS);
	assert_int_equal(v.age_ms, 8 * SECOND);
	assert_int_equal(v.packets[SIDE_LAN], 3);
	assert_int_equal(v.packets[SIDE_WAN], 1);
	assert_int_equal(v.bytes[SIDE_LAN], 3 * 68);
	assert_int_equal(v.bytes[SIDE_WAN], 68);
	assert_int_equal(v.last_ms[SIDE_LAN], 3 * SECOND);
	assert_int_equal(v.last_ms[SIDE_WAN], 2 * SECOND);
	assert_int_equal(v.silent, -1);
	rig_wait(rig, 8 * SECOND); /* the LAN speaks, the WAN said its last word 10 s ago */
	pptp_gre(rig, SIDE_LAN, SERVER, W1, THEIRS);
	assert_true(rig_tunnel(rig, SERVER, OWN, &v));
	assert_int_equal(v.silent, SIDE_WAN);
	rig_wait(rig, 9999);
	assert_true(rig_tunnel(rig, SERVER, OWN, &v));
	assert_int_equal(v.silent, SIDE_WAN);
	rig_wait(rig, 1); /* nobody speaks */
	assert_true(rig_tunnel(rig, SERVER, OWN, &v));
	assert_int_equal(v.silent, -1);
	line_message(&line, SIDE_LAN, DISCONNECT_NOTIFY, OWN, 0, 4);
	assert_int_equal(told.count[EVENT_TUNNEL_DOWN], 1);
	assert_int_equal(told.last.end, END_DISCONNECTED);
	assert_int_equal(told.last.packets[SIDE_LAN], 4);
	pptp_gre(rig, SIDE_WAN, W1, O1, OWN); /* late */
	rig_wait(rig, 5 * MINUTE);
	assert_true(rig_tunnel(rig, SERVER, OWN, &v));
	assert_int_equal(v.state, TUNNEL_IS_ENDED);
	assert_int_equal(v.packets[SIDE_LAN], 4);
	assert_int_equal(v.packets[SIDE_WAN], 2);
	assert_int_equal(v.bytes[SIDE_WAN], 2 * 68);
	assert_true(v.inside_is_server && v.has_remote_id);
	assert_int_equal(v.last_ms[SIDE_WAN], 5 * MINUTE);
	assert_int_equal(told.count[EVENT_TUNNEL_UP], 1);
	assert_int_equal(told.count[EVENT_TUNNEL_DOWN], 1);
	assert_int_equal(told.count[EVENT_NOT_UNDERSTOOD], 0);
}

static void every_end_has_a_text(void **state)
{
	(void)state;
	for (int end = END_NOT; end < ENDS; end++)
		assert_non_null(tunnel_end_text((enum tunnel_end)end));
}

/* --- after kill -9 --- */

static void calls_outlive_the_engine(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);
	uint16_t asked = line_request(&line, OWN + 1);

	line_call(&line, OWN + 2, THEIRS + 2);
	line_message(&line, SIDE_WAN, DISCONNECT_NOTIFY, THEIRS + 2, 0, 4);
	line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[SIDE_LAN] + 100, (const uint8_t *)"x", 1);
	rig_held(rig);
	emissions_clear(&rig->out);
	rig_take_over(rig);
	line_data_passes(&line, OWN, outside_id, THEIRS);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	rig_expect_tunnel(rig, L1, OWN + 2, TUNNEL_IS_ENDED, END_DISCONNECTED);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS + 1, asked, 1, THEIRS + 1, OWN + 1);
	line_data_passes(&line, OWN + 1, asked, THEIRS + 1);
	line_expect(&line, SIDE_LAN, CLEAR_REQUEST, OWN, 0, 0, outside_id, 0);
	line_expect(&line, SIDE_WAN, DISCONNECT_NOTIFY, outside_id, 0, 4, OWN, 0);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_CLEARED);
	rig_take_over(rig);
	rig_wait(rig, 31 * SECOND);
	line_data_refused(&line, outside_id, THEIRS);
	line_data_passes(&line, OWN + 1, asked, THEIRS + 1);
}

/* Bits flipped in the records of calls and control connections: the engine refuses, or stands. */
static void a_spoilt_arena(void **state)
{
	struct rig *rig = *state;
	struct test_random r = test_random_seed(5);
	uint32_t taken = 0;

	rig->limits = (struct engine_limits){.flows = 64, .hosts = 8, .addresses = 1, .fragments = 64, .tunnels = 8};
	rig_restart(rig);
	uint16_t outside_id;
	changed_call(rig, &outside_id);
	struct line server = line_from(rig, W2, 77);
	line_call(&server, OWN, 1);
	struct engine *good = rig->engine;
	void *arena = rig->arena;
	void *copy = aligned_alloc(64, (rig->size + 63) / 64 * 64);
	assert_non_null(copy);
	for (int round = 0; round < 3000; round++) {
		bool front = round % 2; /* flows and the header, whose sums are tested elsewhere */
		memcpy(copy, arena, rig->size);
		for (uint32_t i = 1 + test_random_below(&r, 60); i; i--) { /* the module's records are at the end */
			size_t span = 12000;
			size_t at = front ? 64 : rig->size - span;
			((uint8_t *)copy)[at + test_random_below(&r, (uint32_t)(span - 64))] ^=
				(uint8_t)(1 << test_random_below(&r, 8));
		}
		rig->arena = copy;
		rig->engine = engine_new(copy, rig->size, &rig->limits, &rig->config, rig->seed, true, rig->now);
		if (rig->engine) {
			taken++;
			if (!front && engine_check(rig->engine))
				fail_msg("round %d: %s", round, engine_check(rig->engine));
			assert_true(rig_tunnels(rig, true) <= 16);
			rig->in_haste = true;
			pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
			pptp_gre(rig, SIDE_WAN, W1, O1, outside_id);
			uint8_t bytes[MESSAGE_MAX];
			for (uint16_t i = 0; i < 12; i++) {
				struct line line = line_plan(rig, false, L1, 3000, W1);
				line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[SIDE_LAN], bytes,
					     message_build(bytes, OUTGOING_REQUEST, (uint16_t)(i * 77), 0, 0));
			}
			rig_wait(rig, 10 * MINUTE);
			rig->now -= 10 * MINUTE;
			rig->in_haste = false;
			if (!front && engine_check(rig->engine))
				fail_msg("round %d, later: %s", round, engine_check(rig->engine));
			engine_free(rig->engine);
		}
	}
	free(copy);
	rig->engine = good;
	rig->arena = arena;
	assert_true(taken > 500);
}

/* --- harm --- */

static void every_wrong_length(void **state)
{
	struct rig *rig = *state;
	static uint8_t bytes[MESSAGE_MAX + 16];
	uint32_t lost = 0;
	struct told told = {0};

	rig->in_haste = true;
	engine_on_event(rig->engine, tell, &told);
	for (unsigned type = 0; type <= MESSAGE_TYPES; type++)
		for (uint32_t length = 0; length < 65536;
		     length += length < 240 || type == OUTGOING_REQUEST ? 1 : 251) {
			unsigned shape = type && type < MESSAGE_TYPES ? type : OUTGOING_REQUEST;
			if (shape == type && length == message_length(type))
				continue;
			uint32_t count = message_build(bytes, shape, OWN, OWN, 1), arrived;
			message_put16(bytes, length);
			message_put16(bytes + 8, type);
			struct line line = line_plan(rig, false, L1, (uint16_t)(1024 + lost % 3000), W1);
			line_segment(&line, SIDE_LAN, FLAG_RST, line.next[0], NULL, 0); /* of the one before */
			line_segment(&line, SIDE_LAN, FLAG_SYN, line.next[0]++, NULL, 0);
			struct packet *p = line_send(&line, SIDE_LAN, bytes, count);
			rig_forwarded(rig, SIDE_WAN);
			assert_memory_equal(line_data(p, &arrived), bytes, count);
			line_segment(&line, SIDE_LAN, FLAG_RST, line.next[0], NULL, 0);
			lost++;
			assert_int_equal(told.count[EVENT_NOT_UNDERSTOOD], lost);
		}
	rig->in_haste = false;
	rig_check(rig);
	assert_int_equal(rig_tunnels(rig, true), 0);
}

/* Cookie, message type, type: each bit of the header. A stream that is not understood passes as it is, told once. */
static void every_wrong_bit_of_the_header(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[MESSAGE_MAX];
	uint32_t arrived;

	for (uint32_t bit = 0; bit < 80; bit++) {
		struct told told = {0};
		rig_restart(rig);
		engine_on_event(rig->engine, tell, &told);
		struct line line = line_to(rig, L1, 3000, W1);
		line_message(&line, SIDE_LAN, START_REQUEST, 0, 0, 0);
		uint32_t length = message_build(bytes, OUTGOING_REQUEST, OWN, 0, 0);
		bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		struct packet *p = line_send(&line, SIDE_LAN, bytes, length);
		rig_forwarded(rig, SIDE_WAN);
		assert_memory_equal(line_data(p, &arrived), bytes, length);
		assert_int_equal(told.count[EVENT_NOT_UNDERSTOOD], 1);
		assert_int_equal(told.last.inside_address.v4, L1);
		assert_int_equal(told.last.remote_address.v4, W1);
		/* a sound message later in the stream is not believed */
		line_expect(&line, SIDE_LAN, OUTGOING_REQUEST, OWN, 0, 0, OWN, 0);
		line_expect(&line, SIDE_WAN, START_REPLY, 0, 0, 0, 0, 0);
		p = line_send(&line, SIDE_WAN, bytes, length);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(told.count[EVENT_NOT_UNDERSTOOD], 1);
		assert_int_equal(rig_tunnels(rig, true), 0);
		assert_int_equal(rig_stat(rig, STAT_PPTP_OUT_OF_STEP), 1);
	}
}

/* A browser is made to send a message inside an HTTP request, at the start of a segment, to open a way to its host. */
static void slipstreaming(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: w1:1723\r\nContent-Length: 4000\r\n\r\n";
	struct rig *rig = *state;
	uint8_t bytes[MESSAGE_MAX];

	for (int restarted = 0; restarted < 2; restarted++) {
		struct line line = line_to(rig, L1, (uint16_t)(3000 + restarted), W1);
		line_send(&line, SIDE_LAN, (const uint8_t *)head, sizeof(head) - 1);
		rig_forwarded(rig, SIDE_WAN);
		if (restarted) {
			emissions_clear(&rig->out);
			rig_take_over(rig);
		}
		uint32_t length = message_build(bytes, OUTGOING_REQUEST, OWN, 0, 0), count;
		struct packet *p = line_send(&line, SIDE_LAN, bytes, length);
		rig_forwarded(rig, SIDE_WAN);
		assert_memory_equal(line_data(p, &count), bytes, length);
		line_message(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, OWN, 1);
		line_data_refused(&line, OWN, THEIRS);
		assert_int_equal(rig_tunnels(rig, true), 0);
	}
}

/* A server that claims everything it can: other clients' IDs, the same ID for all, calls never asked for. */
static void a_hostile_server(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);
	struct line victim = line_to(rig, L3, 3000, W2);
	uint16_t victim_id = line_call(&victim, 0x6001, 0x6002);
	struct test_random r = test_random_seed(9);

	for (int i = 0; i < 3000; i++) {
		static const uint16_t ids[] = {OWN, THEIRS, THEIRS + 1, 0x6001, 0x6002, 0, 65535, 1};
		unsigned type = 1 + test_random_below(&r, 15);
		rig->in_haste = i % 50;
		line_message(&line, SIDE_WAN, type, ids[test_random_below(&r, 8)], ids[test_random_below(&r, 8)],
			     (uint8_t)test_random_below(&r, 3));
		if (i % 16 == 0)
			line_acknowledge(&line, SIDE_LAN);
		struct packet *p = pptp_gre(rig, SIDE_WAN, W1, O1, ids[test_random_below(&r, 8)]);
		if (p)
			assert_int_not_equal(packets_destination(p), L3);
	}
	line_data_passes(&victim, 0x6001, victim_id, 0x6002);
	rig_expect_tunnel(rig, L2, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	rig_expect_tunnel(rig, L3, 0x6001, TUNNEL_IS_CONNECTED, END_NOT);
}

/* Noise on the wire of both sides, as a header and as a body. */
static void noise(void **state)
{
	struct rig *rig = *state;
	struct test_random r = test_random_seed(10);
	static uint8_t bytes[3000];

	rig->config.host_flows = 1000;
	rig_configure(rig);
	for (int i = 0; i < 4000; i++) {
		struct line line = line_plan(rig, i & 1, i & 1 ? SERVER : L1, (uint16_t)(3000 + i % 40), W1);
		uint32_t length = 0, sound = test_random_below(&r, 4);
		rig->in_haste = i % 50;
		for (uint32_t k = 0; k < sound; k++)
			length += message_build(bytes + length, 1 + test_random_below(&r, 15),
						(uint16_t)test_random_next(&r), (uint16_t)test_random_next(&r), 1);
		for (uint32_t k = test_random_below(&r, 100); k; k--)
			bytes[length++] = (uint8_t)test_random_next(&r);
		for (int side = 0; side < SIDES; side++)
			line_segment(&line, (enum side)(side ^ (i & 1)), side ? FLAG_SYN | FLAG_ACK : FLAG_SYN,
				     line.next[side], bytes, length);
		line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[0] + test_random_below(&r, 300), bytes, length);
		if (i % 10 == 0)
			line_segment(&line, SIDE_WAN, FLAG_RST, line.next[1], NULL, 0);
		rig_wait(rig, test_random_below(&r, 2000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pptp_test(calls_of_one_connection),
		pptp_test(records_of_calls),
		pptp_test(a_flood_of_knocks),
		pptp_test(a_host_that_wants_every_record),
		pptp_test(no_tunnels_at_all),
		pptp_test(flows_run_out),
		pptp_test(ids_run_out),
		pptp_test(blocked),
		pptp_test(plain),
		pptp_test(the_outside_address_goes),
		pptp_test(tunnels_are_shown),
		cmocka_unit_test(every_end_has_a_text),
		pptp_test(calls_outlive_the_engine),
		pptp_test(a_spoilt_arena),
		pptp_test(every_wrong_length),
		pptp_test(every_wrong_bit_of_the_header),
		pptp_test(slipstreaming),
		pptp_test(a_hostile_server),
		pptp_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
