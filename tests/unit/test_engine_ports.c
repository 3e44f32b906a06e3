/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Outside ports: which one a mapping gets, whose they are, when there are no more (RFC 4787 section 4.2, RFC 5382
 * section 7, RFC 6888, RFC 7857) through engine.h.
 */
#include <string.h>

#include "rig.h"

/* RFC 4787 REQ-3: never the same outside port for two inside endpoints; REQ-4: parity; REQ-3a: class. */
static void ports_are_not_overloaded(void **state)
{
	struct rig *rig = *state;
	static uint8_t used[65536];

	memset(used, 0, sizeof(used));
	rig->config.host_flows = 100000;
	rig_restart(rig);
	for (uint32_t i = 0; i < 1000; i++) {
		uint16_t inside = (uint16_t)(i % 2 ? 40001 : 40000);
		uint16_t port = rig_open_udp(rig, L1 + i / 2 % 60, inside, W1, (uint16_t)(7 + i / 120));
		struct flow_view view;
		assert_true(rig_flow(rig, PROTO_UDP, L1 + i / 2 % 60, inside, W1, (uint16_t)(7 + i / 120), &view));
		assert_int_equal(view.outside_port, port);
		if (i < 120) {
			assert_int_equal(used[port]++, 0);
			assert_int_equal(port & 1, inside & 1);
			assert_true(port >= 1024);
		}
	}
}

static void low_ports_stay_low(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(rig_open_udp(rig, L1, 500, W1, 500), 500);
	for (uint32_t i = 1; i < 60; i++) {
		uint16_t port = rig_open_udp(rig, L1 + i, 500, W1, 500);
		assert_in_range(port, 1, 1023);
		assert_int_equal(port & 1, 0);
		assert_int_not_equal(port, 500);
	}
}

/* RFC 6056: a changed port cannot be guessed from the ones before. */
static void changed_ports_are_spread(void **state)
{
	struct rig *rig = *state;
	uint32_t bucket[16] = {0}, steps = 0;
	uint16_t last = 0;

	rig->limits.flows = 20000;
	rig->limits.hosts = 4096;
	rig_restart(rig);
	for (uint32_t i = 0; i < 3200; i++) {
		uint16_t port = rig_open_udp(rig, 0x0a000100 + i, 40000, W1, 7);
		if (!i)
			continue;
		bucket[port / 4096]++;
		steps += (uint16_t)(port - last) < 64;
		last = port;
	}
	for (int i = 1; i < 16; i++)
		assert_in_range(bucket[i], 130, 290); /* 207 each if even: far beyond 4 sigma */
	assert_true(steps < 20);                      /* 3 by chance */
}

static void host_ports_are_left_alone(void **state)
{
	struct rig *rig = *state;

	port_set_add(&rig->config.host_udp, 5000);
	port_set_add(&rig->config.host_tcp, 22);
	rig_configure(rig);
	assert_int_not_equal(rig_open_udp(rig, L1, 5000, W1, 7), 5000);
	rig_udp(rig, SIDE_WAN, W1, 7, O1, 5000);
	rig_dropped(rig, DROP_NOT_OPEN);
	rig_tcp(rig, SIDE_WAN, W1, 999, O1, 22, FLAG_SYN, 1, 0);
	rig_dropped(rig, DROP_NOT_OPEN);
	rig_echo(rig, SIDE_WAN, W1, O1, 8, 1);
	rig_consumed(rig);
	rig_echo(rig, SIDE_WAN, W1, O1, 0, 1);
	rig_consumed(rig);
	/* and from inside: turned round unchanged */
	struct packet *p = rig_tcp(rig, SIDE_LAN, L1, 999, O1, 22, FLAG_SYN, 1, 0);
	rig_forwarded(rig, SIDE_LAN);
	assert_memory_equal(p->data, rig->packet.bytes, p->length);
}

/* What is open is the kernel's, and so is a connection that is kept; a forward of its port has all the others. */
static void the_router_gets_what_is_open_or_kept(void **state)
{
	struct rig *rig = *state;

	rig->config.kept[0] = (struct host_connection){{O1}, {W1}, 2222, 40000, PROTO_TCP};
	rig->config.kept[1] = (struct host_connection){{O1}, {W1}, 5001, 123, PROTO_UDP};
	rig->config.kepts = 2;
	rig->config.forward[0] = (struct forward){PROTO_TCP, 2222, 2222, {L2}, 22};
	rig->config.forwards = 1;
	port_set_add(&rig->config.host_tcp, 22);
	port_set_add(&rig->config.open_tcp, 22);
	port_set_add(&rig->config.host_udp, 5000);
	port_set_add(&rig->config.open_udp, 5000);
	rig_configure(rig);
	rig_udp(rig, SIDE_WAN, W1, 7, O1, 5000);
	rig_consumed(rig);
	rig_tcp(rig, SIDE_WAN, W1, 999, O1, 22, FLAG_SYN, 1, 0);
	rig_consumed(rig);
	rig_tcp(rig, SIDE_WAN, W1, 40000, O1, 2222, FLAG_ACK, 1, 1);
	rig_consumed(rig);
	rig_udp(rig, SIDE_WAN, W1, 123, O1, 5001);
	rig_consumed(rig);
	rig_udp(rig, SIDE_WAN, W1, 40000, O1, 2222);
	rig_dropped(rig, DROP_UNSOLICITED);
	rig_udp(rig, SIDE_WAN, W2, 123, O1, 5001);
	rig_dropped(rig, DROP_UNSOLICITED);
	rig_tcp(rig, SIDE_WAN, W1, 40001, O1, 2222, FLAG_SYN, 1, 0);
	rig_forwarded(rig, SIDE_LAN);
	rig_tcp(rig, SIDE_WAN, W2, 40000, O1, 2222, FLAG_SYN, 1, 0);
	rig_forwarded(rig, SIDE_LAN);
}

static void leave_only_ports(struct rig *rig, uint16_t first, uint16_t last)
{
	memset(&rig->config.host_udp, 0xff, sizeof(rig->config.host_udp));
	for (uint32_t port = first; port <= last; port++)
		rig->config.host_udp.bits[port / 64] &= ~(UINT64_C(1) << port % 64);
	rig_configure(rig);
}

/* Ports of the router itself and of forwards are not there for others. */
static void the_limit_of_ports_is_the_true_one(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(engine_port_limit(rig->engine, PROTO_TCP), OUTSIDE_PORTS);
	port_set_add(&rig->config.host_tcp, 22);
	port_set_add(&rig->config.host_tcp, 8080);
	rig->config.forward[0] = (struct forward){PROTO_TCP, 8080, 8089, {L2}, 8080};
	rig->config.forwards = 1;
	leave_only_ports(rig, 6000, 6099);
	assert_int_equal(engine_port_limit(rig->engine, PROTO_TCP), OUTSIDE_PORTS - 10);
	assert_int_equal(engine_port_limit(rig->engine, PROTO_UDP), 100);
}

/* Every port of the pool is reachable (RFC 6888 REQ-13), then refusal with ICMP 3/13 (RFC 5508 REQ-8), never
 * overloading. */
static void ports_run_out_to_the_last(void **state)
{
	struct rig *rig = *state;
	uint32_t seen = 0;

	leave_only_ports(rig, 6000, 6099);
	for (uint32_t i = 0; i < 100; i++) {
		uint16_t port = rig_open_udp(rig, L1, (uint16_t)(20000 + i * 2), W1, 7);
		assert_in_range(port, 6000, 6099);
		/* even inside ports take the even outside ports first */
		assert_int_equal(port & 1, i >= 50);
		seen++;
	}
	assert_int_equal(seen, 100);
	rig_udp(rig, SIDE_LAN, L1, 30000, W1, 7);
	rig_dropped(rig, DROP_PORTS_EXHAUSTED);
	assert_int_equal(rig->out.count, 1);
	rig_made_error(rig, &rig->out.item[0], SIDE_LAN, ROUTER, 3, 13, 0);
	/* those who have a mapping go on */
	rig_open_udp(rig, L1, 20000, W2, 7);
}

static void high_inside_ports_never_get_low_ones(void **state)
{
	struct rig *rig = *state;

	leave_only_ports(rig, 600, 609);
	rig_udp(rig, SIDE_LAN, L1, 20000, W1, 7);
	rig_dropped(rig, DROP_PORTS_EXHAUSTED);
}

/* ... but low ones get high ones when no low one is free (the wish of REQ-3a yields to an answer). */
static void low_inside_ports_may_get_high_ones(void **state)
{
	struct rig *rig = *state;

	leave_only_ports(rig, 6000, 6009);
	assert_in_range(rig_open_udp(rig, L1, 500, W1, 7), 6000, 6009);
}

/* RFC 6888 REQ-8: a freed port rests before another host gets it; its last user may have it at once. */
static void freed_ports_rest(void **state)
{
	struct rig *rig = *state;

	leave_only_ports(rig, 6000, 6000);
	assert_int_equal(rig_open_udp(rig, L1, 6000, W1, 7), 6000);
	rig_wait(rig, 300 * SECOND);
	assert_int_equal(rig_flows(rig), 0);
	rig_udp(rig, SIDE_LAN, L2, 6000, W1, 7);
	rig_dropped(rig, DROP_PORTS_EXHAUSTED);
	rig_wait(rig, 120 * SECOND - 1);
	rig_udp(rig, SIDE_LAN, L2, 6000, W1, 7);
	rig_dropped(rig, DROP_PORTS_EXHAUSTED);
	rig_wait(rig, 1);
	assert_int_equal(rig_open_udp(rig, L2, 6000, W1, 7), 6000);
	rig_wait(rig, 300 * SECOND + 1);
	assert_int_equal(rig_open_udp(rig, L2, 6000, W1, 7), 6000);
}

/* Whoever could not keep its port and was silent for too long gets back the one it had, as long as that rests. */
static void a_port_rests_for_its_owner(void **state)
{
	enum { HOSTS = 8 };
	struct rig *rig = *state;
	uint16_t had[HOSTS];

	rig->in_haste = true;
	for (uint32_t host = 0; host < HOSTS; host++)
		had[host] = rig_open_udp(rig, L1 + host, 4500, W1, 4500);
	assert_int_equal(had[0], 4500);
	rig_wait(rig, 305 * SECOND);
	assert_int_equal(rig_flows(rig), 0);
	/* In another order, with strangers in between that take what they find. */
	for (uint32_t host = HOSTS; host-- > 0;) {
		rig_open_udp(rig, L1 + HOSTS + host, 4500, W1, 4500);
		assert_int_equal(rig_open_udp(rig, L1 + host, 4500, W1, 4500), had[host]);
	}
}

static void cleanly_closed_tcp_needs_no_rest(void **state)
{
	struct rig *rig = *state;

	memset(&rig->config.host_tcp, 0xff, sizeof(rig->config.host_tcp));
	rig->config.host_tcp.bits[6000 / 64] &= ~(UINT64_C(1) << 6000 % 64);
	rig_configure(rig);
	rig_tcp(rig, SIDE_LAN, L1, 6000, W1, 80, FLAG_SYN, 100, 0);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 6000, FLAG_SYN | FLAG_ACK, 500, 101);
	rig_tcp(rig, SIDE_LAN, L1, 6000, W1, 80, FLAG_FIN | FLAG_ACK, 101, 501);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 6000, FLAG_FIN | FLAG_ACK, 501, 102);
	rig_tcp(rig, SIDE_LAN, L1, 6000, W1, 80, FLAG_ACK, 102, 502);
	rig_wait(rig, 240 * SECOND);
	assert_int_equal(rig_flows(rig), 0);
	rig_tcp(rig, SIDE_LAN, L2, 6000, W1, 80, FLAG_SYN, 1, 0);
	rig_forwarded(rig, SIDE_WAN);
}

/* RFC 7857 section 5: protocols have port spaces of their own. */
static void protocols_have_their_own_ports(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(rig_open_udp(rig, L1, 5000, W1, 7), 5000);
	struct packet *p = rig_tcp(rig, SIDE_LAN, L2, 5000, W1, 7, FLAG_SYN, 1, 0);
	assert_int_equal(packets_source_port(p), 5000);
	p = rig_echo(rig, SIDE_LAN, L3, W1, 8, 5000);
	assert_int_equal(packets_icmp_id(p), 5000);
	p = rig_echo(rig, SIDE_LAN, L1, W1, 8, 5000);
	assert_int_not_equal(packets_icmp_id(p), 5000);
	p = rig_echo(rig, SIDE_WAN, W1, O1, 0, packets_icmp_id(p));
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_icmp_id(p), 5000);
	assert_int_equal(packets_destination(p), L1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(ports_are_not_overloaded),
		rig_test(a_port_rests_for_its_owner),
		rig_test(low_ports_stay_low),
		rig_test(changed_ports_are_spread),
		rig_test(host_ports_are_left_alone),
		rig_test(the_router_gets_what_is_open_or_kept),
		rig_test(the_limit_of_ports_is_the_true_one),
		rig_test(ports_run_out_to_the_last),
		rig_test(high_inside_ports_never_get_low_ones),
		rig_test(low_inside_ports_may_get_high_ones),
		rig_test(freed_ports_rest),
		rig_test(cleanly_closed_tcp_needs_no_rest),
		rig_test(protocols_have_their_own_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
