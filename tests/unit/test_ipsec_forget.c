/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP of tunnels that were forgotten by request, which their servers do not know. docs/nat-behaviour.md section 11. */
#include "ipsec_check.h"
#include "ipsec_rig.h"

#define test(name) cmocka_unit_test_setup_teardown(name, ipsec_rig_setup, rig_teardown)

static void pair(struct rig *rig, uint32_t inside, uint32_t remote, uint32_t number)
{
	assert_int_equal(ipsec_out(rig, inside, remote, 0x100 + number, 1), O1);
	assert_int_equal(ipsec_in(rig, remote, 0xa00 + number, 1), inside);
}

/* All flows of a host end by request. */
static uint32_t forget(struct rig *rig, uint32_t inside)
{
	struct flow_view view;
	uint32_t cursor = 0, count = 0;

	while (engine_next_flow(rig->engine, &cursor, rig->now, &view))
		if (view.inside_address.v4 == inside)
			count += engine_forget_flow(rig->engine, view.index, rig->now);
	rig_check(rig);
	assert_null(ipsec_check(rig->engine));
	return count;
}

/* What a server goes on sending to a tunnel that was forgotten is not for its only other client, and finds its own
 * client again once that has sent something. */
static void forgotten_and_back(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	assert_int_equal(forget(rig, L1), 1);
	assert_false(ipsec_tunnel(rig, L1, W1, &view));
	for (uint32_t i = 0; i < 10; i++) {
		ipsec_in(rig, W1, 0xa01, 2 + i);
		rig_dropped(rig, DROP_NO_OWNER);
		rig_wait(rig, 2 * SECOND);
		assert_int_equal(ipsec_in(rig, W1, 0xa02, 2 + i), L2);
	}
	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 2), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 20), L1);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 20), L2);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.state, TUNNEL_IS_CONNECTED);
	/* Afresh, with other SPIs. */
	assert_int_equal(forget(rig, L2), 1);
	pair(rig, L2, W1, 3);
	ipsec_in(rig, W1, 0xa02, 21);
	rig_forwarded(rig, SIDE_LAN); /* its host is there, and will say whether it still knows it */
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L2);
}

/* It is not remembered for ever, and only of the last few. */
static void forgotten_for_good(void **state)
{
	struct rig *rig = *state;

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	assert_int_equal(forget(rig, L1), 1);
	rig_wait(rig, 119 * SECOND);
	ipsec_in(rig, W1, 0xa01, 2);
	rig_dropped(rig, DROP_NO_OWNER);
	rig_wait(rig, SECOND);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 3), L2);
	for (uint32_t i = 4; i < 37; i++)
		pair(rig, L1, W1, i);
	assert_int_equal(forget(rig, L1), 33);
	ipsec_in(rig, W1, 0xa00 + 36, 9);
	rig_dropped(rig, DROP_NO_OWNER);
	ipsec_in(rig, W1, 0xa05, 9);
	rig_dropped(rig, DROP_NO_OWNER);
	assert_int_equal(ipsec_in(rig, W1, 0xa04, 9), L2);
}

/* Whoever comes to the server next, after its only client was forgotten, does not get what is for that one. */
static void forgotten_and_alone(void **state)
{
	struct rig *rig = *state;

	pair(rig, L1, W1, 1);
	assert_int_equal(forget(rig, L1), 1);
	ipsec_in(rig, W1, 0xa01, 2);
	rig_dropped(rig, DROP_NO_OWNER);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 1), O1);
	ipsec_in(rig, W1, 0xa01, 3);
	rig_dropped(rig, DROP_NO_OWNER);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 1), L2);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 2), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 4), L1);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 2), L2);
}

/* A server inside is found by its forward at any time. */
static void forgotten_behind_a_forward(void **state)
{
	struct rig *rig = *state;

	rig->config.forward[0] = (struct forward){.protocol = PROTO_ESP, .to_address = {L3}};
	rig->config.forwards = 1;
	rig_configure(rig);
	assert_int_equal(ipsec_in(rig, W2, 0xc00, 1), L3);
	assert_int_equal(ipsec_out(rig, L3, W2, 0x300, 1), O1);
	pair(rig, L1, W2, 1);
	assert_int_equal(forget(rig, L3), 1);
	assert_int_equal(ipsec_in(rig, W2, 0xc00, 2), L3);
	assert_int_equal(ipsec_in(rig, W2, 0xa01, 2), L1);
}

/* Nor is it for another host because a forward names that one, while nobody else is there who could be meant. */
static void forgotten_beside_a_forward(void **state)
{
	struct rig *rig = *state;
	struct ike_spec spec = {.initiator = 3, .responder = 9, .exchange = CHILD, .message_id = 4, .marker = true};

	rig->config.forward[0] = (struct forward){.protocol = PROTO_ESP, .to_address = {L3}};
	rig->config.forwards = 1;
	rig_configure(rig);
	pair(rig, L1, W1, 1);
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L2, PORT_NATT, W1, PORT_NATT, &spec));
	assert_int_equal(forget(rig, L1), 1);
	ipsec_in(rig, W1, 0xa01, 2);
	rig_dropped(rig, DROP_NO_OWNER);
	assert_int_equal(ipsec_in(rig, W1, 0xc00, 1), L3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(forgotten_and_back),         test(forgotten_for_good),         test(forgotten_and_alone),
		test(forgotten_behind_a_forward), test(forgotten_beside_a_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
