/* SPDX-License-Identifier: BSD-2-Clause */
/* IPsec of those who mean no good, and of those who have bad luck: nothing stays for ever, and nobody takes all. */
#include "ipsec_check.h"
#include "ipsec_rig.h"

static int setup_of(void **state, uint32_t tunnels)
{
	struct rig *rig;

	rig_setup(state);
	rig = *state;
	rig->limits.tunnels = tunnels;
	rig->limits.flows = 512;
	rig->limits.hosts = 256;
	rig->limits.fragments = 1024;
	rig->config.host_flows = 1000;
	rig_restart(rig);
	return 0;
}

static int setup(void **state)
{
	return setup_of(state, 16);
}

static int setup_large(void **state)
{
	return setup_of(state, 128);
}

#define test(name)       cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
#define test_large(name) cmocka_unit_test_setup_teardown(name, setup_large, rig_teardown)

static void check(const struct rig *rig)
{
	const char *wrong = ipsec_check(rig->engine);

	if (wrong)
		fail_msg("%s", wrong);
}

static uint32_t count_tunnels(struct rig *rig)
{
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t count = 0;

	while (engine_next_tunnel(rig->engine, &cursor, rig->now, &view))
		count += view.end == END_NOT;
	return count;
}

static uint64_t held(const struct rig *rig)
{
	return engine_counters(rig->engine)->held[SIDE_LAN] + engine_counters(rig->engine)->held[SIDE_WAN];
}

/* L1's window is open, and L2 has something to send. */
static void let_one_wait(struct rig *rig, uint32_t remote)
{
	assert_int_equal(ipsec_out(rig, L1, remote, 0x101, 1), O1);
	ipsec_out(rig, L2, remote, 0x102, 1);
	rig_held(rig);
	ipsec_out(rig, L2, remote, 0x102, 2);
	rig_held(rig);
	check(rig);
}

/* What waits is refused when its turn comes: the host's record is free again. */
static void who_waited_in_vain_ends(void **state)
{
	struct rig *rig = *state;

	let_one_wait(rig, W1);
	rig->config.mode[PART_ESP] = MODE_BLOCK;
	rig_configure(rig);
	rig_wait(rig, 3 * SECOND + 1);
	check(rig);
	assert_int_equal(held(rig), 0);
	assert_int_equal(engine_counters(rig->engine)->dropped[SIDE_LAN][DROP_IPSEC_BLOCKED], 2);
	assert_int_equal(count_tunnels(rig), 0);
}

static void who_waited_for_an_address_that_went_ends(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	let_one_wait(rig, W1);
	rig_outside(rig, 1, O2, 0);
	rig_wait(rig, 3 * SECOND + 1);
	check(rig);
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(packets_source(&rig->out.item[0].packet), O2);
	assert_int_equal(count_tunnels(rig), 1);
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_int_equal(view.outside_address.v4, O2);
	rig_wait(rig, 40 * SECOND);
	assert_int_equal(count_tunnels(rig), 0);
}

/* A phase 2 that waits, and IKE is blocked meanwhile. */
static void ike_that_waited_in_vain_ends(void **state)
{
	struct rig *rig = *state;
	const struct ike_spec child[2] = {
		{.initiator = 1, .responder = 11, .exchange = CHILD, .message_id = 3},
		{.initiator = 2, .responder = 22, .exchange = CHILD, .message_id = 3},
	};

	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 1), L1);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 1), L2);
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &child[0]));
	assert_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &child[1]));
	rig_held(rig);
	rig->config.mode[PART_IKE] = rig->config.mode[PART_ESP] = MODE_BLOCK;
	rig_configure(rig);
	rig_wait(rig, 3 * SECOND + 1);
	check(rig);
	assert_int_equal(held(rig), 0);
	assert_int_equal(count_tunnels(rig), 0);
}

/* One's turn is one turn: the next time there is a window, it waits again. */
static void a_turn_is_over_when_all_is_sent(void **state)
{
	struct rig *rig = *state;

	assert_non_null(
		ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &(struct ike_spec){.initiator = 2, .exchange = SA_INIT}));
	let_one_wait(rig, W1);
	rig_wait(rig, 3 * SECOND + 1);
	assert_int_equal(rig->out.count, 2);
	check(rig);
	rig_wait(rig, 60 * SECOND);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x201, 1), O1);
	ipsec_out(rig, L2, W1, 0x202, 1);
	rig_held(rig);
}

/* The windows of many servers close at one moment. */
static void many_turns_at_one_moment(void **state)
{
	struct rig *rig = *state;

	for (uint32_t i = 0; i < 20; i++)
		let_one_wait(rig, W1 + i);
	rig_wait(rig, 3 * SECOND + 1);
	check(rig);
	assert_int_equal(held(rig), 0);
	assert_int_equal(engine_counters(rig->engine)->forwarded[SIDE_LAN], 60);
	rig_wait(rig, 60 * SECOND);
	assert_int_equal(count_tunnels(rig), 0);
}

/* Each whose turn comes is paired at once, because the server has sent already: one turn after the other in a single
 * moment. */
static void a_long_chain_of_turns(void **state)
{
	struct rig *rig = *state;

	/* New SPIs of this side first, so that those of the server do not look like a stranger's. */
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(ipsec_out(rig, L1, W1, 0x300 + i, 1), O1);
	rig_wait(rig, 3 * SECOND + 1);
	for (uint32_t i = 0; i < 10; i++) {
		ipsec_ike(rig, SIDE_LAN, L1 + 1 + i, 500, W1, 500,
			  &(struct ike_spec){.initiator = 2 + i, .exchange = AUTH, .message_id = 1});
		struct packet *out = rig->out.count > 0 ? &rig->out.item[rig->out.count - 1].packet : NULL;
		uint16_t port = out ? packets_source_port(out) : 500;
		ipsec_ike(rig, SIDE_WAN, W1, 500, O1, port,
			  &(struct ike_spec){.initiator = 2 + i,
					     .responder = 1,
					     .exchange = AUTH,
					     .message_id = 1,
					     .response = true});
		assert_int_equal(ipsec_in(rig, W1, 0xa00 + i, 1), L1 + 1 + i);
	}
	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 1), O1);
	for (uint32_t i = 0; i < 10; i++) {
		ipsec_out(rig, L1 + 1 + i, W1, 0x200 + i, 1);
		rig_held(rig);
	}
	rig_wait(rig, 3 * SECOND + 1);
	check(rig);
	assert_int_equal(held(rig), 0);
	assert_int_equal(rig->out.count, 10);
}

/* Who asks for no sink gets nothing, and nothing is lost by it. */
static void no_sink(void **state)
{
	struct rig *rig = *state;

	let_one_wait(rig, W1);
	rig->now += 4 * SECOND;
	engine_expire(rig->engine, rig->now, NULL);
	assert_int_equal(held(rig), 2);
	rig_wait(rig, 1);
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(held(rig), 0);
	check(rig);
}

/* The first packet of an SPI may have any sequence number. */
static void a_high_sequence_is_no_collision(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 0x90000000), L1);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 0x90000001), L1);
	assert_int_equal(rig_stat(rig, STAT_ESP_SPI_COLLISION), 0);
	/* where it starts is where it falls back from */
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 0x8ffe0000), L1);
	assert_int_equal(rig_stat(rig, STAT_ESP_SPI_COLLISION), 1);
}

/* L2 shares port 500 with L1. */
static void share(struct rig *rig)
{
	const struct ike_spec first[2] = {{.initiator = 1, .exchange = SA_INIT}, {.initiator = 2, .exchange = SA_INIT}};
	const struct ike_spec answer[2] = {
		{.initiator = 1, .responder = 11, .exchange = SA_INIT, .response = true},
		{.initiator = 2, .responder = 22, .exchange = SA_INIT, .response = true},
	};

	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &first[0]));
	assert_non_null(ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500, &answer[0]));
	for (int i = 0; i < 4; i++) {
		assert_non_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &first[1]));
		if (i < 3)
			rig_wait(rig, SECOND);
	}
	assert_int_equal(packets_source_port(&rig->out.item[0].packet), 500);
	struct packet *in = ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500, &answer[1]);
	assert_non_null(in);
	assert_int_equal(packets_destination(in), L2);
	check(rig);
}

/* At its deadline a flow is gone for what comes to the shared port as well, whether the owner of the port is there or
 * not. */
static void who_shared_and_fell_silent_gets_nothing(void **state)
{
	struct rig *rig = *state;
	const struct ike_spec alive = {.initiator = 1, .responder = 11, .exchange = INFORMATIONAL};
	const struct ike_spec late = {.initiator = 2, .responder = 22, .exchange = INFORMATIONAL};

	rig->config.refresh_inbound = true;
	rig_configure(rig);
	share(rig);
	rig->now += 299 * SECOND;
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &alive));
	rig->now += SECOND;
	assert_null(ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500, &late));
	rig_dropped(rig, DROP_IKE_NO_PEER);
	rig->now += 299 * SECOND;
	assert_null(ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500, &late));
	check(rig);
}

/* Strangers with a new address each: a quarter of the records is theirs, and the others are there for clients. */
static void strangers_take_a_quarter(void **state)
{
	struct rig *rig = *state;

	rig->config.forward[0] = (struct forward){.protocol = PROTO_ESP, .to_address = {L3}};
	rig->config.forwards = 1;
	rig_configure(rig);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(ipsec_in(rig, W1 + 10 + i, 0xa00, 1), i < 4 ? L3 : 0);
	rig_dropped(rig, DROP_TUNNELS_EXHAUSTED);
	check(rig);
	/* answered ones make room for others */
	assert_int_equal(ipsec_out(rig, L3, W1 + 10, 0x100, 1), O1);
	assert_int_equal(ipsec_in(rig, W1 + 30, 0xa00, 1), L3);
	assert_int_equal(ipsec_in(rig, W1 + 31, 0xa00, 1), 0);
	for (uint32_t i = 0; i < 11; i++)
		assert_int_equal(ipsec_out(rig, L1, W1 + 40 + i, 0x100, 1), O1);
	check(rig);
	rig_wait(rig, 2 * 3600 * SECOND);
	assert_int_equal(count_tunnels(rig), 0);
	check(rig);
}

/* Other hosts find peers and SAs, whatever one of them does. */
static void one_host_takes_three_quarters(void **state)
{
	struct rig *rig = *state;

	rig->in_haste = true;
	for (uint32_t i = 0; i < 128; i++)
		assert_int_equal(ipsec_out(rig, L1, W1 + i, 0x100, 1), i < 96 ? O1 : 0);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x200, 1), 0);
	rig_held(rig);
	assert_int_equal(ipsec_out(rig, L2, W1 + 200, 0x200, 1), O1);
	rig_wait(rig, 4 * SECOND);
	rig_wait(rig, 40 * SECOND);
	for (uint32_t i = 0; i < 30; i++)
		for (uint32_t k = 0; k < 30; k++)
			ipsec_out(rig, L1, W1 + i, 0x100 + k, 1);
	check(rig);
	assert_int_equal(rig_flows(rig), 384);
	assert_int_equal(ipsec_out(rig, L2, W1 + 200, 0x200, 1), O1);
	rig->in_haste = false;
	rig_wait(rig, 40 * SECOND);
	check(rig);
	assert_int_equal(count_tunnels(rig), 0);
}

/* One host opens a window with a new SPI every 2.9 s: the other one still gets its turn. */
static void nobody_waits_for_ever(void **state)
{
	struct rig *rig = *state;

	ipsec_out(rig, L1, W1, 0x100, 1);
	ipsec_out(rig, L2, W1, 0x102, 1);
	rig_held(rig);
	for (uint32_t i = 0; i < 3; i++) {
		rig_wait(rig, 2900);
		ipsec_out(rig, L1, W1, 0x200 + i, 1);
	}
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 2), O1);
}

/* The same with phases 2 that the server answers, if only with an error. */
static void no_phase_2_waits_for_ever(void **state)
{
	struct rig *rig = *state;
	struct ike_spec mine = {.initiator = 1, .responder = 11, .exchange = CHILD};
	struct ike_spec other = {.initiator = 2, .responder = 22, .exchange = CHILD};

	ipsec_out(rig, L1, W1, 0x101, 1);
	ipsec_in(rig, W1, 0xa01, 1);
	ipsec_out(rig, L2, W1, 0x102, 1);
	ipsec_in(rig, W1, 0xa02, 1);
	for (uint32_t i = 0; i < 3; i++) {
		mine.message_id = i;
		mine.response = false;
		ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &mine);
		mine.response = true;
		ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500, &mine);
		if (i == 0) {
			ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &other);
			rig_held(rig);
		}
		rig_wait(rig, 2900);
	}
	/* It went out long ago: sent again, it is part of what is under way. */
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &other));
}

/* Hosts with pairs come before a new one, but not for ever: L1 and L2 take turns with new SPIs, L3 is new. */
static void a_new_host_has_its_turn_among_paired_ones(void **state)
{
	struct rig *rig = *state;
	uint32_t turns = 0;
	bool is_let_go = false;

	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 1), L1);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 1), L2);
	rig_wait(rig, 5 * SECOND);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x200, 1), O1);
	ipsec_out(rig, L3, W1, 0x103, 1);
	rig_held(rig);
	while (!is_let_go && turns < 40) {
		rig_wait(rig, 400);
		for (uint32_t i = 0; i < rig->out.count; i++)
			is_let_go |= packet_get32(&rig->out.item[i].packet, 20) == 0x103;
		ipsec_out(rig, turns % 2 ? L1 : L2, W1, 0x300 + turns, 1);
		turns++;
	}
	assert_in_range(turns, 1, 25); /* ten seconds */
	check(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(who_waited_in_vain_ends),
		test(who_waited_for_an_address_that_went_ends),
		test(ike_that_waited_in_vain_ends),
		test(a_turn_is_over_when_all_is_sent),
		test_large(many_turns_at_one_moment),
		test_large(a_long_chain_of_turns),
		test(no_sink),
		test(a_high_sequence_is_no_collision),
		test(who_shared_and_fell_silent_gets_nothing),
		test(strangers_take_a_quarter),
		test_large(one_host_takes_three_quarters),
		test(a_new_host_has_its_turn_among_paired_ones),
		test(nobody_waits_for_ever),
		test(no_phase_2_waits_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
