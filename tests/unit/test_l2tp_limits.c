/* SPDX-License-Identifier: BSD-2-Clause */
/* What runs out, and what a reload, a crash and a spoilt arena do to L2TP. */
#include "l2tp_rig.h"

#include <stdlib.h>
#include <string.h>

#include "nat/state.h"

static struct l2tp_message_bytes m;

/* --- what runs out --- */

static void no_tunnels_at_all(void **state)
{
	struct rig *rig = *state;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5);

	rig->limits.tunnels = 0;
	rig_restart(rig);
	dialer_dial(&d, 6);
	dialer_data(&d);
	assert_int_equal(rig_tunnels(rig, true), 0);
}

static void a_host_that_wants_every_record(void **state)
{
	struct rig *rig = *state;

	rig->limits.tunnels = 8;
	rig_restart(rig);
	for (uint16_t i = 0; i < 8; i++) {
		struct dialer d = dialer_of(rig, L1, (uint16_t)(3000 + i), W1, 5);
		dialer_dial(&d, i);
		dialer_data(&d); /* what is not read passes, too */
	}
	assert_int_equal(rig_tunnels(rig, false), 6);
	assert_int_equal(rig_stat(rig, STAT_L2TP_UNREAD), 2);
	struct dialer other = dialer_of(rig, L2, PORT, W1, 5);
	dialer_dial(&other, 77);
	rig_expect_tunnel(rig, L2, 5, TUNNEL_IS_CONNECTED, END_NOT);
	rig_take_over(rig);
	struct dialer more = dialer_of(rig, L1, 4000, W1, 5);
	dialer_dial(&more, 78);
	assert_int_equal(rig_tunnels(rig, false), 7);
}

/* One flow may have 32 tunnels, all flows together half of the records beyond their first one. */
static void tunnels_of_one_flow(void **state)
{
	struct rig *rig = *state;
	struct dialer d;

	for (uint16_t i = 0; i < 40; i++) {
		d = dialer_of(rig, L1, PORT, W1, (uint16_t)(1 + i));
		dialer_dial(&d, (uint16_t)(100 + i));
		dialer_data(&d);
	}
	assert_int_equal(rig_tunnels(rig, true), 32);
	assert_int_equal(rig_stat(rig, STAT_L2TP_UNREAD), 8);
	d = dialer_of(rig, L1, PORT, W1, 3);
	d.remote_id = 102;
	dialer_stop(&d, SIDE_LAN);
	dialer_say(&d, SIDE_WAN, 0, 0, 0);
	d.id = 200; /* the place of the one that has ended */
	dialer_dial(&d, 201);
	rig_expect_tunnel(rig, L1, 200, TUNNEL_IS_CONNECTED, END_NOT);
	for (uint16_t i = 0; i < 3; i++) {
		for (uint16_t k = 0; k < 20; k++) {
			d = dialer_of(rig, L2 + i, PORT, W1, (uint16_t)(1 + k));
			dialer_dial(&d, (uint16_t)(100 + k));
		}
		rig_expect_tunnel(rig, L2 + i, 1, TUNNEL_IS_CONNECTED, END_NOT);
	}
	assert_int_equal(rig_tunnels(rig, false), 64 + 4);
	rig_take_over(rig);
	assert_int_equal(rig_tunnels(rig, false), 64 + 4);
}

static void records_go_round(void **state)
{
	struct rig *rig = *state;

	rig->limits.tunnels = 4;
	rig_restart(rig);
	for (uint16_t i = 1; i < 200; i++) {
		struct dialer d = dialer_of(rig, L1 + i % 3, PORT, W1 + i % 2, i);
		dialer_dial(&d, i);
		dialer_stop(&d, (enum side)(i & 1));
		rig_wait(rig, (uint64_t)(i % 40) * SECOND);
		assert_true(rig_tunnels(rig, true) <= 8);
	}
	rig_wait(rig, 10 * MINUTE);
	assert_int_equal(rig_flows(rig), 0);
	assert_int_equal(rig_tunnels(rig, false), 0);
	assert_int_equal(rig_tunnels(rig, true), 8);
}

/* Strangers who knock at a server inside take no help away. */
static void a_flood_of_knocks(void **state)
{
	struct rig *rig = *state;

	rig->limits.tunnels = 16;
	rig->config.forward[0] = (struct forward){PROTO_UDP, PORT, PORT, {SERVER}, PORT};
	rig->config.forwards = 1;
	rig_restart(rig);
	rig->in_haste = true;
	struct dialer knock = dialer_of(rig, SERVER, PORT, W2, 20);
	for (uint16_t i = 0; i < 100; i++) {
		knock.remote_port = (uint16_t)(20000 + i);
		l2tp_build_start(&m, SCCRQ, 0, 9, "stranger");
		dialer_send(&knock, SIDE_WAN, m.bytes, m.length);
		dialer_arrived(&knock, SIDE_WAN, m.bytes, m.length, 0);
	}
	rig->in_haste = false;
	struct dialer out = dialer_of(rig, L1, PORT, W1, 5);
	dialer_dial(&out, 6);
	rig_expect_tunnel(rig, L1, 5, TUNNEL_IS_CONNECTED, END_NOT);
	knock.remote_id = 9; /* the last one, which is not read until it is answered */
	l2tp_build_start(&m, SCCRP, 9, knock.id, "inner");
	dialer_send(&knock, SIDE_LAN, m.bytes, m.length);
	dialer_arrived(&knock, SIDE_LAN, m.bytes, m.length, 0);
	dialer_say(&knock, SIDE_WAN, SCCCN, 0, 0);
	rig_expect_tunnel(rig, SERVER, 20, TUNNEL_IS_CONNECTED, END_NOT);
	assert_int_equal(rig_stat(rig, STAT_L2TP_UNREAD), 0);
}

/* Somebody sends in the server's name, from many ports, but knows no Tunnel ID: that takes no record, and is no answer.
 */
static void in_the_servers_name(void **state)
{
	struct rig *rig = *state;

	rig->limits.tunnels = 8;
	rig_restart(rig);
	struct dialer owner = dialer_of(rig, L1, PORT, W1, 5), d = dialer_of(rig, L2, PORT, W1, 5);
	dialer_dial(&owner, 6);
	struct dialer spoof = owner;
	for (uint16_t i = 0; i < 100; i++) {
		spoof.remote_port = (uint16_t)(30000 + i);
		dialer_stray(&spoof, PORT, (uint16_t)(600 + i));
		rig_forwarded(rig, SIDE_LAN); /* filtering does not look at the sender */
	}
	for (int i = 0; i < 4; i++) {
		dialer_ask(&d);
		struct dialer junk = d;
		dialer_stray(&junk, d.seen_port, 999);
	}
	assert_int_equal(d.seen_port, PORT);
	dialer_answer(&d, 7);
	for (uint16_t i = 0; i < 4; i++) {
		struct dialer more = dialer_of(rig, L3, (uint16_t)(3000 + i), W1, 5);
		dialer_dial(&more, (uint16_t)(8 + i));
		dialer_data(&more);
	}
	assert_int_equal(rig_tunnels(rig, false), 6);
	assert_int_equal(rig_stat(rig, STAT_L2TP_UNREAD), 0);
	dialer_data(&owner);
}

/* --- reload --- */

static void two_that_share(struct rig *rig, struct dialer *owner, struct dialer *d)
{
	*owner = dialer_of(rig, L1, PORT, W1, 1);
	*d = dialer_of(rig, L2, PORT, W1, 1);
	dialer_dial(owner, 500);
	for (int i = 0; i < 4; i++)
		dialer_ask(d);
	assert_int_equal(d->seen_port, PORT);
	assert_int_not_equal(d->seen_id, 1);
	dialer_answer(d, 501);
	dialer_say(d, SIDE_LAN, SCCCN, 0, 0);
}

static void modes(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d;

	two_that_share(rig, &owner, &d);
	rig->config.mode[PART_L2TP] = MODE_PLAIN;
	rig_configure(rig);
	assert_int_equal(rig_tunnels(rig, false), 0);
	rig_expect_tunnel(rig, L2, 1, TUNNEL_IS_ENDED, END_ROUTER);
	l2tp_build_start(&m, SCCRQ, 0, 1, "x");
	for (int i = 0; i < 6; i++) {
		dialer_send(&d, SIDE_LAN, m.bytes, m.length);
		dialer_arrived(&d, SIDE_LAN, m.bytes, m.length, 0);
		assert_int_not_equal(d.seen_port, PORT);
	}
	rig->config.mode[PART_L2TP] = MODE_BLOCK;
	rig_configure(rig);
	assert_int_equal(rig_flows(rig), 0);
	dialer_send(&d, SIDE_LAN, m.bytes, m.length);
	rig_dropped(rig, DROP_L2TP_BLOCKED);
	dialer_stray(&d, PORT, 1);
	rig_dropped(rig, DROP_L2TP_BLOCKED);
	rig->config.mode[PART_L2TP] = MODE_PASS;
	rig_configure(rig);
	rig_wait(rig, 3 * MINUTE);
	struct dialer third = dialer_of(rig, L3, PORT, W1, 1);
	dialer_dial(&owner, 10); /* the server is still known to be strict */
	dialer_dial(&d, 11);
	assert_int_equal(d.seen_port, PORT);
	dialer_dial(&third, 12);
	dialer_data(&third);
	dialer_data(&d);
	dialer_data(&owner);
}

static void the_outside_address_goes(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d;

	two_that_share(rig, &owner, &d);
	rig_outside(rig, 1, O2, 0);
	assert_int_equal(rig_tunnels(rig, false), 0);
	rig_expect_tunnel(rig, L1, 1, TUNNEL_IS_ENDED, END_ROUTER);
	rig_outside(rig, 1, O1, 0);
	dialer_dial(&owner, 10);
	dialer_dial(&d, 11);
	dialer_data(&d);
}

/* --- after kill -9 --- */

static void tunnels_outlive_the_engine(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d, plain = dialer_of(rig, L3, PORT, W2, 1);
	struct tunnel_view v;

	two_that_share(rig, &owner, &d);
	dialer_dial(&plain, 3);
	dialer_stop(&plain, SIDE_LAN);
	for (int i = 0; i < 3; i++) {
		rig_take_over(rig);
		dialer_data(&owner);
		dialer_data(&d);
		assert_int_equal(d.seen_port, PORT);
	}
	assert_true(rig_tunnel(rig, L2, 1, &v));
	assert_int_equal(v.state, TUNNEL_IS_CONNECTED);
	assert_string_equal(v.remote_name, "server");
	assert_true(v.is_shared && v.has_remote_id);
	assert_int_equal(v.outside_id, d.seen_id);
	rig_expect_tunnel(rig, L3, 1, TUNNEL_IS_CLEARING, END_NOT);
	dialer_say(&plain, SIDE_WAN, 0, 0, 0);
	rig_expect_tunnel(rig, L3, 1, TUNNEL_IS_ENDED, END_STOPPED);
	dialer_stop(&d, SIDE_LAN);
	rig_take_over(rig);
	rig_expect_tunnel(rig, L2, 1, TUNNEL_IS_CLEARING, END_NOT);
	rig_wait(rig, 2 * MINUTE);
	rig_expect_tunnel(rig, L2, 1, TUNNEL_IS_ENDED, END_STOPPED);
	rig_wait(rig, 10 * MINUTE);
	rig_take_over(rig);
	assert_int_equal(rig_tunnels(rig, false), 0);
	assert_true(rig_tunnels(rig, true) >= 3);
}

/* What is taken over from memory that somebody wrote into: packets, tunnels and time do no harm. */
static void use(struct rig *rig, struct engine *engine, struct test_random *r)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &rig->out};
	uint64_t now = rig->now, cursor = 0;
	struct tunnel_view view;

	for (int i = 0; i < 60; i++) {
		bool lan = test_random_one_in(r, 2);
		l2tp_build_start(&m, 1 + test_random_below(r, 4), (uint16_t)(test_random_below(r, 3) * 250),
				 (uint16_t)test_random_below(r, 4), "spoilt");
		packets_build(&rig->work, &(struct packet_spec){.protocol = PROTO_UDP,
								.source = lan ? L1 + test_random_below(r, 3) : W1,
								.source_port = PORT,
								.destination = lan ? W1 : O1,
								.destination_port = PORT,
								.payload = m.bytes,
								.payload_length = m.length});
		emissions_clear(&rig->out);
		engine_process(engine, lan ? SIDE_LAN : SIDE_WAN, &rig->work.packet, 1, now, &sink, NULL);
		now += test_random_below(r, 3000);
	}
	while (engine_next_tunnel(engine, &cursor, now, &view)) {
		assert_true(view.state < TUNNEL_STATES);
		assert_true(view.end < ENDS && (!view.inside_name || strlen(view.inside_name) < 64));
		assert_true(!view.remote_name || strlen(view.remote_name) < 64);
	}
	for (int i = 0; i < 60; i++)
		engine_expire(engine, now += 20 * SECOND, NULL);
	if (engine_check(engine))
		fail_msg("%s", engine_check(engine));
}

static void a_spoilt_arena(void **state)
{
	struct rig *rig = *state;
	struct test_random r = test_random_seed(6);
	struct dialer owner, d;
	enum { ROUNDS = 600, SPAN = 4096 };

	rig->limits = (struct engine_limits){.flows = 64, .hosts = 8, .addresses = 1, .fragments = 64, .tunnels = 6};
	rig_restart(rig);
	two_that_share(rig, &owner, &d);
	struct dialer ended = dialer_of(rig, L3, PORT, W2, 9);
	dialer_dial(&ended, 3);
	dialer_stop(&ended, SIDE_LAN);
	const uint8_t *records = rig->engine->module[SERVICE_L2TP];
	for (int round = 0; round < ROUNDS; round++) {
		uint8_t *copy = aligned_alloc(64, (rig->size + 63) / 64 * 64);
		assert_non_null(copy);
		memcpy(copy, rig->arena, rig->size);
		uint8_t *spoilt = copy + (records - (const uint8_t *)rig->arena);
		for (uint32_t spots = 1 + test_random_below(&r, 80); spots > 0; spots--) {
			uint8_t *at = spoilt + test_random_below(&r, SPAN);
			uint32_t value = round % 2 ? test_random_next(&r) : *at ^ 1u << test_random_below(&r, 8);
			*at = (uint8_t)value;
		}
		if (round % 3 == 0) /* flows say that they share strange ports */
			for (uint32_t i = 0; i < 4; i++)
				((union flow_track *)(copy + ((const uint8_t *)rig->engine->track -
							      (const uint8_t *)rig->arena)))[i]
					.udp.shared_port = (uint16_t)test_random_next(&r);
		struct engine *engine =
			engine_new(copy, rig->size, &rig->limits, &rig->config, rig->seed, true, rig->now);
		assert_non_null(engine);
		if (engine_check(engine))
			fail_msg("round %d: %s", round, engine_check(engine));
		use(rig, engine, &r);
		engine_free(engine);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		l2tp_test(no_tunnels_at_all),
		l2tp_test(a_host_that_wants_every_record),
		l2tp_test(tunnels_of_one_flow),
		l2tp_test(records_go_round),
		l2tp_test(a_flood_of_knocks),
		l2tp_test(in_the_servers_name),
		l2tp_test(modes),
		l2tp_test(the_outside_address_goes),
		l2tp_test(tunnels_outlive_the_engine),
		l2tp_test(a_spoilt_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
