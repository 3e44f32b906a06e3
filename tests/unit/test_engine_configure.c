/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes while running: what is unchanged costs nothing and loses nothing, and a rehearsal names exactly the flows
 * that the change then ends.
 */
#include <stdlib.h>

#include <culvert/rehearsal.h>

#include "ipsec_rig.h"
#include "nat/state.h"
#include "pptp_rig.h"

enum { FLOWS_SEEN = 64 };

struct flows {
	struct flow_view view[FLOWS_SEEN];
	enum flow_end why[FLOWS_SEEN];
	uint32_t count;
};

static bool same_flow(const struct flow_view *a, const struct flow_view *b)
{
	return a->protocol == b->protocol && a->inside_address.v4 == b->inside_address.v4 &&
	       a->inside_port == b->inside_port && a->outside_address.v4 == b->outside_address.v4 &&
	       a->outside_port == b->outside_port && a->remote_address.v4 == b->remote_address.v4 &&
	       a->remote_port == b->remote_port;
}

static bool has_flow(const struct flows *flows, const struct flow_view *view)
{
	for (uint32_t i = 0; i < flows->count; i++)
		if (same_flow(&flows->view[i], view))
			return true;
	return false;
}

static void list_flows(struct rig *rig, struct flows *flows)
{
	uint32_t cursor = 0;

	flows->count = 0;
	while (engine_next_flow(rig->engine, &cursor, rig->now, &flows->view[flows->count]))
		assert_true(++flows->count < FLOWS_SEEN);
}

/* In pieces of two records, to see that nothing is lost between them. */
static void rehearse(struct rig *rig, struct flows *flows)
{
	struct rehearsal *rehearsal = rehearsal_start(malloc(rehearsal_size()), rig->engine, &rig->config);
	uint32_t cursor = 0, budget = 2;

	flows->count = 0;
	for (;;) {
		if (rehearsal_next(rehearsal, &cursor, &budget, rig->now, &flows->view[flows->count],
				   &flows->why[flows->count]))
			assert_true(++flows->count < FLOWS_SEEN);
		else if (budget > 0)
			break;
		else
			budget = 2;
	}
	free(rehearsal);
}

/* The rig's configuration ends what its rehearsal said, and nothing else. How many flows that were. */
static uint32_t configure_as_rehearsed(struct rig *rig)
{
	static struct flows before, after, named;

	list_flows(rig, &before);
	rehearse(rig, &named);
	list_flows(rig, &after);
	assert_int_equal(after.count, before.count); /* nothing has ended by asking */
	assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), named.count);
	list_flows(rig, &after);
	for (uint32_t i = 0; i < before.count; i++)
		assert_int_equal(has_flow(&named, &before.view[i]), !has_flow(&after, &before.view[i]));
	for (uint32_t i = 0; i < named.count; i++) {
		assert_true(has_flow(&before, &named.view[i]));
		assert_int_not_equal(named.why[i], FLOW_STAYS);
		assert_true(flow_end_text(named.why[i])[0] != 0);
	}
	rig_check(rig);
	return named.count;
}

static void add_forward(struct rig *rig, uint8_t protocol, uint16_t port, uint32_t to)
{
	rig->config.forward[rig->config.forwards++] = (struct forward){
		.protocol = protocol, .port_first = port, .port_last = port, .to_address = {to}, .to_port = port};
}

/* Some of everything: 15 flows. */
static void open_all_kinds(struct rig *rig)
{
	struct line line;

	add_forward(rig, PROTO_TCP, 80, L3);
	add_forward(rig, PROTO_UDP, 53, L3);
	add_forward(rig, PROTO_IPIP, 0, L3);
	rig_configure(rig);
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig_open_udp(rig, L1, 5000, W2, 7);
	rig_open_udp(rig, L2, 500, W1, PORT_IKE);
	rig_open_udp(rig, L2, 4500, W1, PORT_NATT);
	rig_open_udp(rig, L2, 1701, W1, 1701);
	rig_tcp(rig, SIDE_LAN, L1, 6000, W1, 443, FLAG_SYN, 100, 0);
	rig_tcp(rig, SIDE_WAN, W1, 999, O1, 80, FLAG_SYN, 100, 0);
	rig_udp(rig, SIDE_WAN, W1, 999, O1, 53);
	rig_portless(rig, SIDE_WAN, PROTO_IPIP, W1, O1);
	rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W1);
	rig_portless(rig, SIDE_LAN, PROTO_L2TP, L2, W1);
	rig_echo(rig, SIDE_LAN, L1, W1, 8, 9);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x1000, 1), O1);
	line = line_to(rig, L1, 3000, W2);
	line_call(&line, 5, 6);
	assert_int_equal(rig_flows(rig), 15);
}

static void a_rehearsal_names_what_ends(void **state)
{
	struct rig *rig = *state;

	open_all_kinds(rig);
	rig->config.icmp_rate = 7;
	rig->config.timeout[TIMEOUT_UDP] = 200000;
	rig->config.filtering = ENDPOINT_INDEPENDENT;
	assert_int_equal(configure_as_rehearsed(rig), 0);
	rig->config.mode[PART_PPTP] = MODE_BLOCK; /* the control connection and its call */
	assert_int_equal(configure_as_rehearsed(rig), 2);
	rig->config.mode[PART_ESP] = MODE_PLAIN;
	assert_int_equal(configure_as_rehearsed(rig), 1);
	rig->config.mode[PART_NATT] = MODE_BLOCK;
	assert_int_equal(configure_as_rehearsed(rig), 1);
	rig->config.mode[PART_IKE] = MODE_PLAIN;
	assert_int_equal(configure_as_rehearsed(rig), 0);
	rig->config.mode[PART_L2TP] = MODE_BLOCK; /* by UDP, and L2TPv3 by itself */
	assert_int_equal(configure_as_rehearsed(rig), 2);
	rig->config.forward[1].to_address.v4 = L2;
	assert_int_equal(configure_as_rehearsed(rig), 1);
	rig->config.forwards = 2;
	assert_int_equal(configure_as_rehearsed(rig), 2);
	port_set_add(&rig->config.host_udp, 5000);
	assert_int_equal(configure_as_rehearsed(rig), 2);
	assert_int_equal(rig_flows(rig), 4);
	assert_int_equal(configure_as_rehearsed(rig), 0);
}

/* A server behind a forward calls out by its own mapping: that flow stays when the forward goes, with its mapping. */
static void a_forward_takes_its_own_flows_only(void **state)
{
	struct rig *rig = *state;

	add_forward(rig, PROTO_UDP, 5353, L3);
	add_forward(rig, PROTO_UDP, 5354, L3);
	add_forward(rig, PROTO_ICMP, 0, L3);
	rig_configure(rig);
	rig_udp(rig, SIDE_WAN, W1, 999, O1, 5353);
	assert_int_equal(rig_open_udp(rig, L3, 5353, W2, 7), 5353);
	rig_udp(rig, SIDE_WAN, W1, 998, O1, 5353);
	rig_udp(rig, SIDE_WAN, W1, 999, O1, 5354);
	rig_echo(rig, SIDE_WAN, W1, O1, 8, 9);
	rig_open_udp(rig, L1, 5000, W1, 7);
	assert_int_equal(rig_flows(rig), 6);
	rig->config.mode[PART_ESP] = MODE_BLOCK;
	assert_int_equal(configure_as_rehearsed(rig), 0);
	rig->config.forward[0].to_port = 5355;
	assert_int_equal(configure_as_rehearsed(rig), 2);
	rig->config.forwards = 2;
	assert_int_equal(configure_as_rehearsed(rig), 1);
	rig_udp(rig, SIDE_WAN, W2, 7, O1, 5353);
	rig_forwarded(rig, SIDE_LAN);
	rig_udp(rig, SIDE_WAN, W1, 999, O1, 5354);
	rig_forwarded(rig, SIDE_LAN);
	rig->config.forwards = 0;
	port_set_add(&rig->config.host_udp, 5353);
	assert_int_equal(configure_as_rehearsed(rig), 2);
	assert_int_equal(rig_flows(rig), 1);
}

/* What a change ends is gone with the next packet, however many other flows there are before and behind it. */
static void no_packet_slips_through(void **state)
{
	struct rig *rig = *state;
	uint16_t outside;

	rig->in_haste = true;
	for (uint32_t i = 0; i < 200; i++)
		rig_open_udp(rig, L1, (uint16_t)(5000 + i), W1, 7);
	outside = rig_open_udp(rig, L2, 1701, W1, 1701);
	for (uint32_t i = 0; i < 200; i++)
		rig_open_udp(rig, L3, (uint16_t)(5000 + i), W1, 7);
	rig->config.mode[PART_L2TP] = MODE_BLOCK;
	assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), 1);
	assert_int_equal(rig_flows(rig), 400);
	rig_udp(rig, SIDE_WAN, W1, 1701, O1, outside);
	rig_dropped(rig, DROP_L2TP_BLOCKED);
	rig_udp(rig, SIDE_LAN, L2, 1701, W1, 1701);
	rig_dropped(rig, DROP_L2TP_BLOCKED);
	port_set_add(&rig->config.host_udp, 5100);
	assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), 1);
	rig_udp(rig, SIDE_WAN, W1, 7, O1, 5100);
	rig_dropped(rig, DROP_NOT_OPEN);
	rig_check(rig);
}

/* What has expired and was not swept up is no flow any more: no change ends it. */
static void what_has_expired_is_not_counted(void **state)
{
	struct rig *rig = *state;

	rig_open_udp(rig, L2, 1701, W1, 1701);
	rig_tcp(rig, SIDE_LAN, L1, 6000, W1, 1723, FLAG_SYN, 100, 0);
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig->now += 100 * MINUTE;
	rig->config.mode[PART_L2TP] = rig->config.mode[PART_PPTP] = MODE_BLOCK;
	assert_int_equal(configure_as_rehearsed(rig), 0);
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig->now += 100 * MINUTE;
	assert_int_equal(packets_set_outside(rig->engine, &O2, 1, rig->now), 0);
	rig_check(rig);
}

static void a_rehearsal_says_why(void **state)
{
	struct rig *rig = *state;
	static struct flows named;

	add_forward(rig, PROTO_TCP, 80, L3);
	rig_configure(rig);
	rig_tcp(rig, SIDE_WAN, W1, 999, O1, 80, FLAG_SYN, 100, 0);
	rig_open_udp(rig, L1, 5000, W1, 7);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x1000, 1), O1);
	rig_open_udp(rig, L2, 1701, W1, 1701);
	rig->config.forwards = 0;
	rig->config.mode[PART_ESP] = MODE_PLAIN;
	rig->config.mode[PART_L2TP] = MODE_BLOCK;
	port_set_add(&rig->config.host_udp, 5000);
	rehearse(rig, &named);
	assert_int_equal(named.count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		const struct flow_view *view = &named.view[i];
		enum flow_end expected = view->protocol == PROTO_TCP   ? FLOW_END_FORWARD
					 : view->protocol == PROTO_ESP ? FLOW_END_MODE
					 : view->inside_port == 5000   ? FLOW_END_HOST_PORT
								       : FLOW_END_BLOCKED;
		assert_int_equal(named.why[i], expected);
	}
}

static void a_rehearsal_knows_the_forwards(void **state)
{
	struct rig *rig = *state;
	struct rehearsal *rehearsal;

	add_forward(rig, PROTO_UDP, 500, L3);
	rehearsal = rehearsal_start(malloc(rehearsal_size()), rig->engine, &rig->config);
	assert_true(rehearsal_leads_to(rehearsal, PROTO_UDP, 500, address_of(L3)));
	assert_false(rehearsal_leads_to(rehearsal, PROTO_UDP, 500, address_of(L2)));
	assert_false(rehearsal_leads_to(rehearsal, PROTO_UDP, 501, address_of(L3)));
	assert_false(rehearsal_leads_to(rehearsal, PROTO_TCP, 500, address_of(L3)));
	free(rehearsal);
}

/* A process that takes over has flows that its own configuration may forbid: the first call looks at them although
 * nothing has changed since engine_new(). */
static void what_was_taken_over_is_looked_at(void **state)
{
	struct rig *rig = *state;

	rig_open_udp(rig, L1, 1701, W1, 1701);
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig->config.mode[PART_L2TP] = MODE_BLOCK;
	rig_take_over(rig);
	assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), 1);
	assert_int_equal(rig_flows(rig), 1);
	rig_check(rig);
}

/* The other addresses that a process finds when it takes over end flows as ever. */
static void addresses_are_looked_at_after_a_crash(void **state)
{
	struct rig *rig = *state;

	rig_open_udp(rig, L1, 5000, W1, 7);
	rig_take_over(rig);
	assert_int_equal(packets_set_outside(rig->engine, &O1, 1, rig->now), 0);
	assert_int_equal(packets_set_outside(rig->engine, &O2, 1, rig->now), 1);
	rig_check(rig);
}

/* The two halves of one datagram, the second one first. */
static void send_half(struct rig *rig, bool first)
{
	static struct test_packet whole, piece;
	const struct packet_spec spec = {.protocol = PROTO_UDP,
					 .source = L1,
					 .destination = W1,
					 .source_port = 5000,
					 .destination_port = 7,
					 .id = 77,
					 .payload_length = 1000};

	packets_build(&whole, &spec);
	packets_build_fragment(&piece, &whole, first ? 0 : 512, first ? 512 : 496);
	rig_send_packet(rig, SIDE_LAN, &piece.packet);
}

static void the_same_addresses_change_nothing(void **state)
{
	struct rig *rig = *state;

	rig_outside(rig, 2, O1, O2);
	send_half(rig, false);
	rig_held(rig);
	rig_outside(rig, 2, O1, O2);
	rig_configure(rig);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 1);
	send_half(rig, true);
	assert_int_equal(rig->out.count, 2);
}

static void other_addresses_drop_what_waits(void **state)
{
	struct rig *rig = *state;

	rig_outside(rig, 2, O1, O2);
	send_half(rig, false);
	rig_outside(rig, 2, O2, O1); /* another order, too: new hosts get another address */
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	rig_outside(rig, 1, O1, 0);
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig_outside(rig, 0, 0, 0);
	assert_int_equal(rig_flows(rig), 0);
	rig_outside(rig, 0, 0, 0);
	rig_outside(rig, 1, O1, 0);
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig_check(rig);
}

/* The WAN loses its address for a moment: nothing passes, and nothing ends. */
static void addresses_that_are_away(void **state)
{
	struct rig *rig = *state;

	for (int same = 0; same < 2; same++) {
		uint16_t port = rig_open_udp(rig, L1, 5000, W1, 7);
		engine_suspend_outside(rig->engine);
		engine_suspend_outside(rig->engine);
		rig_udp(rig, SIDE_LAN, L1, 5000, W1, 7);
		rig_dropped(rig, DROP_NO_OUTSIDE_ADDRESS);
		rig_udp(rig, SIDE_WAN, W1, 7, O1, port);
		rig_dropped(rig, DROP_NOT_FOR_US);
		rig_udp(rig, SIDE_LAN, L2, 5000, O1, port); /* a hairpin */
		rig_dropped(rig, DROP_NO_OUTSIDE_ADDRESS);
		assert_int_equal(rig_flows(rig), 1);
		rig_outside(rig, 1, same ? O1 : O2, 0);
		assert_int_equal(rig_flows(rig), same);
		rig_udp(rig, SIDE_WAN, W1, 7, O1, port);
		if (same)
			rig_forwarded(rig, SIDE_LAN);
		else
			rig_dropped(rig, DROP_NOT_FOR_US);
		rig_outside(rig, 1, O1, 0);
	}
	engine_suspend_outside(rig->engine);
	rig_outside(rig, 0, 0, 0);
	assert_int_equal(rig_flows(rig), 0);
	rig_check(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(addresses_that_are_away),
		pptp_test(a_rehearsal_names_what_ends),
		pptp_test(a_rehearsal_says_why),
		pptp_test(a_rehearsal_knows_the_forwards),
		rig_test(what_was_taken_over_is_looked_at),
		rig_test(a_forward_takes_its_own_flows_only),
		rig_test(no_packet_slips_through),
		rig_test(what_has_expired_is_not_counted),
		rig_test(addresses_are_looked_at_after_a_crash),
		rig_test(the_same_addresses_change_nothing),
		rig_test(other_addresses_drop_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
