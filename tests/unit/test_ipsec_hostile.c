/* SPDX-License-Identifier: BSD-2-Clause */
/* IPsec of those who mean no good, and of those who have bad luck: nothing stays for ever, and nobody takes all. */
#include "ipsec_check.h"
#include "ipsec_rig.h"

#include <stdlib.h>

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
	assert_int_equal(view.outside_address, O2);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
