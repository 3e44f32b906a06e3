/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which flows and packets belong to a tunnel or a mapping, and which of their neighbours do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/capture_text.h"
#include "control/selection.h"

enum { INSIDE = 0x0a4d000b, NEIGHBOUR = 0x0a4d000c, OUTSIDE = 0xc6336402, REMOTE = 0xcb00710a };

static struct selection tunnel_of(enum service service)
{
	return (struct selection){
		.what = SELECTED_TUNNEL,
		.tunnel = {.service = service,
			   .inside_address = {INSIDE},
			   .outside_address = {OUTSIDE},
			   .remote_address = {REMOTE}},
	};
}

static struct flow_view flow_of(uint8_t protocol, uint16_t inside_port, uint16_t remote_port)
{
	return (struct flow_view){.protocol = protocol,
				  .inside_address = {INSIDE},
				  .inside_port = inside_port,
				  .outside_address = {OUTSIDE},
				  .outside_port = inside_port,
				  .remote_address = {REMOTE},
				  .remote_port = remote_port};
}

/* A packet that goes out, as it is on the side; back: the answer. */
static struct capture_ends packet_of(enum side side, uint8_t protocol, uint16_t local_port, uint16_t remote_port,
				     uint32_t identifier)
{
	return (struct capture_ends){.protocol = protocol,
				     .source = {side == SIDE_LAN ? INSIDE : OUTSIDE},
				     .source_port = local_port,
				     .destination = {REMOTE},
				     .destination_port = remote_port,
				     .identifier = identifier};
}

static struct capture_ends back(struct capture_ends ends)
{
	return (struct capture_ends){.protocol = ends.protocol,
				     .source = ends.destination,
				     .source_port = ends.destination_port,
				     .destination = ends.source,
				     .destination_port = ends.source_port,
				     .identifier = ends.identifier};
}

static bool has(const struct selection *selection, enum side side, struct capture_ends ends)
{
	return selection_has_packet(selection, &ends, side);
}

static bool owns(const struct selection *selection, struct flow_view flow)
{
	return selection_has_flow(selection, &flow);
}

static void a_call_of_pptp(void **state)
{
	struct selection call = tunnel_of(SERVICE_PPTP);

	(void)state;
	call.tunnel.inside_port = 3000;
	call.tunnel.remote_port = 1723;
	call.tunnel.inside_id = 7000;
	call.tunnel.outside_id = 6900;
	call.tunnel.remote_id = 100;
	for (int i = 0; i < SIDES; i++) {
		enum side side = (enum side)i;

		assert_true(has(&call, side, packet_of(side, PROTOCOL_TCP, 3000, 1723, 0)));
		assert_true(has(&call, side, back(packet_of(side, PROTOCOL_TCP, 3000, 1723, 0))));
		assert_true(has(&call, side, packet_of(side, PROTOCOL_GRE, 0, 0, 100)));
		assert_false(has(&call, side, packet_of(side, PROTOCOL_GRE, 0, 0, 101)));
		assert_false(has(&call, side, packet_of(side, PROTOCOL_UDP, 3000, 1723, 0)));
		assert_false(has(&call, side, packet_of(side, PROTOCOL_TCP, 3000, 80, 0)));
	}
	assert_false(has(&call, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_TCP, 3001, 1723, 0)));
	assert_true(has(&call, SIDE_LAN, back(packet_of(SIDE_LAN, PROTOCOL_GRE, 0, 0, 7000))));
	assert_false(has(&call, SIDE_LAN, back(packet_of(SIDE_LAN, PROTOCOL_GRE, 0, 0, 6900))));
	assert_true(has(&call, SIDE_WAN, back(packet_of(SIDE_WAN, PROTOCOL_GRE, 0, 0, 6900))));
	assert_false(has(&call, SIDE_WAN, back(packet_of(SIDE_WAN, PROTOCOL_GRE, 0, 0, 7000))));
	assert_true(owns(&call, flow_of(PROTOCOL_TCP, 3000, 1723)));
	assert_true(owns(&call, flow_of(PROTOCOL_GRE, 7000, 100)));
	assert_false(owns(&call, flow_of(PROTOCOL_GRE, 7001, 101)));
	assert_false(owns(&call, flow_of(PROTOCOL_TCP, 3001, 1723)));
	call.tunnel.inside_port = 0; /* its control connection is over */
	assert_false(owns(&call, flow_of(PROTOCOL_TCP, 3000, 1723)));
}

static void a_tunnel_of_l2tp(void **state)
{
	struct selection tunnel = tunnel_of(SERVICE_L2TP);

	(void)state;
	tunnel.tunnel.inside_port = 40000;
	tunnel.tunnel.remote_port = 1701;
	assert_true(has(&tunnel, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_UDP, 40000, 1701, 0)));
	assert_true(
		has(&tunnel, SIDE_LAN, back(packet_of(SIDE_LAN, PROTOCOL_UDP, 40000, 5555, 0)))); /* its server may */
	assert_true(has(&tunnel, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_UDP, 0, 0, 0)));          /* a fragment */
	assert_false(has(&tunnel, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_UDP, 40001, 1701, 0)));
	assert_false(has(&tunnel, SIDE_WAN, packet_of(SIDE_WAN, PROTOCOL_UDP, 40000, 53, 0)));
	assert_true(owns(&tunnel, flow_of(PROTOCOL_UDP, 40000, 1701)));
	assert_true(owns(&tunnel, flow_of(PROTOCOL_UDP, 40000, 5555)));
	assert_false(owns(&tunnel, flow_of(PROTOCOL_UDP, 40001, 1701)));
	assert_false(owns(&tunnel, flow_of(PROTOCOL_TCP, 40000, 1701)));
}

static void a_tunnel_of_ipsec(void **state)
{
	struct selection tunnel = tunnel_of(SERVICE_IPSEC);
	struct flow_view other = flow_of(PROTOCOL_ESP, 0, 0);

	(void)state;
	assert_true(has(&tunnel, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_UDP, 500, 500, 0)));
	assert_true(has(&tunnel, SIDE_WAN, back(packet_of(SIDE_WAN, PROTOCOL_UDP, 31000, 4500, 0))));
	assert_true(has(&tunnel, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_ESP, 0, 0, 0xc0ffee01)));
	assert_false(has(&tunnel, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_UDP, 53, 53, 0)));
	assert_false(has(&tunnel, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_GRE, 0, 0, 0)));
	assert_true(owns(&tunnel, other));
	assert_true(owns(&tunnel, flow_of(PROTOCOL_UDP, 4500, 4500)));
	assert_false(owns(&tunnel, flow_of(PROTOCOL_UDP, 4501, 4501)));
	other.inside_address.v4 = NEIGHBOUR;
	assert_false(owns(&tunnel, other));
}

static void a_mapping(void **state)
{
	struct selection one = {.what = SELECTED_MAPPING, .flow = flow_of(PROTOCOL_UDP, 5000, 53)};
	struct capture_ends neighbours = packet_of(SIDE_LAN, PROTOCOL_UDP, 5000, 53, 0);
	struct flow_view flow = one.flow;

	(void)state;
	one.flow.outside_port = 6000;
	one.flow.index = flow.index = 7;
	assert_true(has(&one, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_UDP, 5000, 53, 0)));
	assert_true(has(&one, SIDE_WAN, back(packet_of(SIDE_WAN, PROTOCOL_UDP, 6000, 53, 0))));
	assert_false(has(&one, SIDE_WAN, packet_of(SIDE_WAN, PROTOCOL_UDP, 5000, 53, 0)));
	assert_false(has(&one, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_TCP, 5000, 53, 0)));
	neighbours.source.v4 = NEIGHBOUR;
	assert_false(has(&one, SIDE_LAN, neighbours));
	assert_true(owns(&one, flow));
	flow.remote_port = 54; /* the record went to another flow */
	assert_false(owns(&one, flow));
	one.flow = flow_of(PROTOCOL_ICMP, 77, 0);
	assert_true(has(&one, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_ICMP, 0, 0, 77)));
	assert_false(has(&one, SIDE_LAN, packet_of(SIDE_LAN, PROTOCOL_ICMP, 0, 0, 78)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_of_pptp),
		cmocka_unit_test(a_tunnel_of_l2tp),
		cmocka_unit_test(a_tunnel_of_ipsec),
		cmocka_unit_test(a_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
