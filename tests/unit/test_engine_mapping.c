/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping, filtering, forwards, hairpinning and limits (RFC 4787, RFC 5382 section 4, RFC 6888, RFC 7857) through
 * engine.h.
 */
#include "rig.h"

/* RFC 4787 REQ-1 and section 4.1: the outside port by remote, for each kind of mapping. */
static void mapping_depends_on_what_is_configured(void **state)
{
	static const struct {
		enum dependence mapping;
		bool same_address, same_endpoint; /* as the first: another port of W1; W2 */
	} row[] = {
		{ENDPOINT_INDEPENDENT, true, true},
		{ADDRESS_DEPENDENT, true, false},
		{ADDRESS_AND_PORT_DEPENDENT, false, false},
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < 3; i++) {
		rig->config.mapping = row[i].mapping;
		rig_restart(rig);
		uint16_t first = rig_open_udp(rig, L1, 40000, W1, 7);
		assert_int_equal(first, 40000);
		assert_int_equal(rig_open_udp(rig, L1, 40000, W1, 7), first);
		assert_int_equal(rig_open_udp(rig, L1, 40000, W1, 8) == first, row[i].same_address);
		assert_int_equal(rig_open_udp(rig, L1, 40000, W2, 7) == first, row[i].same_endpoint);
	}
}

/* RFC 4787 section 5: who may send to a mapping whose host has talked to W1:7 only. */
static void filtering_accepts_what_is_configured(void **state)
{
	static const struct {
		enum dependence filtering;
		bool other_port, other_host;
	} row[] = {
		{ENDPOINT_INDEPENDENT, true, true},
		{ADDRESS_DEPENDENT, true, false},
		{ADDRESS_AND_PORT_DEPENDENT, false, false},
	};
	static const uint8_t protocol[] = {PROTO_UDP, PROTO_TCP};
	struct rig *rig = *state;

	for (size_t i = 0; i < 6; i++) {
		rig->config.filtering = row[i % 3].filtering;
		rig_restart(rig);
		struct packet_spec out = {.protocol = protocol[i / 3],
					  .source = L1,
					  .source_port = 40000,
					  .destination = W1,
					  .destination_port = 7,
					  .flags = FLAG_SYN};
		struct packet_spec in = {.protocol = protocol[i / 3],
					 .source = W1,
					 .source_port = 7,
					 .destination = O1,
					 .destination_port = 40000,
					 .flags = FLAG_SYN};
		rig_send(rig, SIDE_LAN, &out);
		rig_forwarded(rig, SIDE_WAN);
		rig_send(rig, SIDE_WAN, &in);
		rig_forwarded(rig, SIDE_LAN);
		in.source_port = 8;
		rig_send(rig, SIDE_WAN, &in);
		if (row[i % 3].other_port)
			rig_forwarded(rig, SIDE_LAN);
		else
			rig_dropped(rig, DROP_FILTERED);
		in.source = W2;
		rig_send(rig, SIDE_WAN, &in);
		if (row[i % 3].other_host)
			rig_forwarded(rig, SIDE_LAN);
		else
			rig_dropped(rig, DROP_FILTERED);
	}
}

/* A TCP segment other than SYN never opens a flow through a mapping. */
static void inbound_tcp_needs_a_syn(void **state)
{
	struct rig *rig = *state;

	rig->config.filtering = ENDPOINT_INDEPENDENT;
	rig_restart(rig);
	rig_tcp(rig, SIDE_LAN, L1, 40000, W1, 80, FLAG_SYN, 1, 0);
	rig_tcp(rig, SIDE_WAN, W2, 80, O1, 40000, FLAG_ACK, 1, 1);
	rig_dropped(rig, DROP_UNSOLICITED);
	rig_tcp(rig, SIDE_WAN, W2, 80, O1, 40000, FLAG_RST, 1, 1);
	rig_dropped(rig, DROP_UNSOLICITED);
	rig_tcp(rig, SIDE_WAN, W2, 80, O1, 40000, FLAG_SYN | FLAG_ACK, 1, 1);
	rig_dropped(rig, DROP_UNSOLICITED);
	rig_tcp(rig, SIDE_WAN, W2, 80, O1, 40000, FLAG_SYN, 1, 0);
	rig_forwarded(rig, SIDE_LAN);
}

static void unsolicited_is_dropped_and_makes_nothing(void **state)
{
	struct rig *rig = *state;

	for (uint16_t port = 1; port < 3000; port++) {
		rig_udp(rig, SIDE_WAN, W1, 7, O1, port);
		rig_dropped(rig, DROP_UNSOLICITED);
		assert_int_equal(rig->out.count, 0);
	}
	assert_int_equal(rig_flows(rig), 0);
	assert_int_equal(rig_stat(rig, STAT_FLOWS_CREATED), 0);
	rig_portless(rig, SIDE_WAN, PROTO_GRE, W1, O1);
	rig_dropped(rig, DROP_NO_OWNER);
}

/* RFC 4787 REQ-2: one outside address per host; a new host gets the one with the fewest. */
static void pooling_is_paired(void **state)
{
	struct rig *rig = *state;
	uint32_t host[] = {L1, L2, L3}, want[] = {O1, O2, O1};

	rig_outside(rig, 2, O1, O2);
	for (int i = 0; i < 3; i++)
		for (uint16_t port = 5000; port < 5050; port++) {
			struct packet *p = rig_udp(rig, SIDE_LAN, host[i], port, W1 + port % 2, 7);
			assert_non_null(p);
			assert_int_equal(packets_source(p), want[i]);
		}
	struct packet *p = rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W1);
	assert_non_null(p);
	assert_int_equal(packets_source(p), O2);
}

static void add_forward(struct rig *rig, uint8_t protocol, uint16_t first, uint16_t last, uint32_t to, uint16_t to_port)
{
	rig->config.forward[rig->config.forwards++] = (struct forward){protocol, first, last, {to}, to_port};
	rig_configure(rig);
}

static void forwards_let_strangers_in(void **state)
{
	struct rig *rig = *state;

	add_forward(rig, PROTO_TCP, 8080, 8083, L1, 80);
	for (uint16_t i = 0; i < 4; i++) {
		struct packet *p = rig_tcp(rig, SIDE_WAN, W1, 1000, O1, (uint16_t)(8080 + i), FLAG_SYN, 1, 0);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packets_destination(p), L1);
		assert_int_equal(packets_destination_port(p), 80 + i);
		p = rig_tcp(rig, SIDE_LAN, L1, (uint16_t)(80 + i), W1, 1000, FLAG_SYN | FLAG_ACK, 9, 2);
		rig_forwarded(rig, SIDE_WAN);
		assert_int_equal(packets_source(p), O1);
		assert_int_equal(packets_source_port(p), 8080 + i);
	}
	/* a second stranger, though the mapping stands and the filter would refuse it */
	rig_tcp(rig, SIDE_WAN, W2, 1000, O1, 8080, FLAG_SYN, 1, 0);
	rig_forwarded(rig, SIDE_LAN);
	rig_tcp(rig, SIDE_WAN, W2, 1001, O1, 8080, FLAG_RST, 1, 0);
	rig_dropped(rig, DROP_UNSOLICITED);
	/* the port is nobody else's */
	rig_tcp(rig, SIDE_LAN, L2, 8080, W1, 80, FLAG_SYN, 1, 0);
	assert_int_not_equal(packets_source_port(&rig->out.item[0].packet), 8080);
	/* UDP of the same number is not forwarded */
	rig_udp(rig, SIDE_WAN, W1, 7, O1, 8080);
	rig_dropped(rig, DROP_UNSOLICITED);
}

static void forwards_that_go_take_their_flows(void **state)
{
	struct rig *rig = *state;

	add_forward(rig, PROTO_UDP, 9000, 9000, L1, 9000);
	rig_udp(rig, SIDE_WAN, W1, 7, O1, 9000);
	rig_forwarded(rig, SIDE_LAN);
	rig_open_udp(rig, L2, 5000, W1, 7);
	rig->config.forwards = 0;
	assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), 1);
	rig_udp(rig, SIDE_WAN, W1, 7, O1, 9000);
	rig_dropped(rig, DROP_UNSOLICITED);
	assert_int_equal(rig_flows(rig), 1);
}

static void portless_forward_has_one_owner(void **state)
{
	struct rig *rig = *state;

	add_forward(rig, PROTO_GRE, 0, 0, L1, 0);
	struct packet *p = rig_portless(rig, SIDE_WAN, PROTO_GRE, W1, O1);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L1);
	rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W1);
	rig_dropped(rig, DROP_OWNER_TAKEN);
	rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W2);
	rig_forwarded(rig, SIDE_WAN);
	p = rig_portless(rig, SIDE_WAN, PROTO_GRE, W2, O1);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L2);
}

/* The hosts that have used up their share; the first one is in host. */
static uint32_t full_hosts(struct rig *rig, struct full_host *host)
{
	struct full_host next;
	uint32_t cursor = 0, count = 0;

	for (; engine_next_full_host(rig->engine, &cursor, &next); count++)
		if (count == 0)
			*host = next;
	return count;
}

/* Forged SYNs to a forward take half of what its target may have; the target's own flows and other hosts' go on. */
static void strangers_get_half(void **state)
{
	struct rig *rig = *state;
	struct full_host full = {0};

	rig->config.host_flows = 20;
	add_forward(rig, PROTO_TCP, 8080, 8080, L1, 80);
	for (uint16_t i = 0; i < 10; i++) {
		rig_tcp(rig, SIDE_WAN, W1, (uint16_t)(5000 + i), O1, 8080, FLAG_SYN, 77, 0);
		rig_forwarded(rig, SIDE_LAN);
	}
	rig_tcp(rig, SIDE_WAN, W1, 6000, O1, 8080, FLAG_SYN, 77, 0);
	rig_dropped(rig, DROP_HOST_LIMIT);
	assert_int_equal(full_hosts(rig, &full), 1);
	assert_int_equal(full.address.v4, L1);
	assert_int_equal(full.inbound, 10);
	assert_false(full.is_full);
	for (uint16_t i = 0; i < 10; i++)
		rig_open_udp(rig, L1, (uint16_t)(5000 + i), W1, 7);
	rig_udp(rig, SIDE_LAN, L1, 6000, W1, 7);
	rig_dropped(rig, DROP_HOST_LIMIT);
	rig_open_udp(rig, L2, 5000, W1, 7);
	assert_int_equal(full_hosts(rig, &full), 1);
	assert_true(full.is_full);
	assert_int_equal(full.flows, 20);
	/* Whoever is nearly there is dropped for it most of the time. */
	rig->config.host_flows = 128;
	rig_configure(rig);
	assert_int_equal(full_hosts(rig, &full), 0);
	for (uint16_t i = 0; i < 105; i++)
		rig_open_udp(rig, L1, (uint16_t)(7000 + i), W1, 7);
	assert_int_equal(full_hosts(rig, &full), 0);
	rig_open_udp(rig, L1, 8000, W1, 7);
	assert_int_equal(full_hosts(rig, &full), 1);
	assert_int_equal(full.flows, 126);
}

/* Invariant I6: a full table refuses the new and keeps the old. */
static void full_tables_refuse_newcomers_only(void **state)
{
	struct rig *rig = *state;

	rig->limits.flows = 50;
	rig->limits.hosts = 4;
	rig->config.host_flows = 30;
	rig_restart(rig);
	for (uint16_t i = 0; i < 30; i++)
		rig_open_udp(rig, L1, (uint16_t)(5000 + i), W1, 7);
	rig_udp(rig, SIDE_LAN, L1, 6000, W1, 7);
	rig_dropped(rig, DROP_HOST_LIMIT);
	rig_made_error(rig, &rig->out.item[0], SIDE_LAN, ROUTER, 3, 13, 0);
	for (uint32_t i = 1; i < 4; i++)
		rig_open_udp(rig, L1 + i, 5000, W1, 7);
	rig_udp(rig, SIDE_LAN, L1 + 4, 5000, W1, 7);
	rig_dropped(rig, DROP_HOSTS_EXHAUSTED);
	for (uint16_t i = 0; i < 17; i++)
		rig_open_udp(rig, L2, (uint16_t)(6000 + i), W1, 7);
	assert_int_equal(rig_flows(rig), 50);
	rig_udp(rig, SIDE_LAN, L3, 7000, W1, 7);
	rig_dropped(rig, DROP_FLOWS_EXHAUSTED);
	rig_made_error(rig, &rig->out.item[0], SIDE_LAN, ROUTER, 3, 13, 0);
	for (uint16_t i = 0; i < 30; i++)
		rig_open_udp(rig, L1, (uint16_t)(5000 + i), W1, 7);
	/* the flows that expired make room at once, before any cleaning */
	rig->now += 300 * SECOND;
	rig_open_udp(rig, L3 + 9, 7000, W1, 7);
	assert_int_equal(rig_flows(rig), 1);
}

static void hairpin_shows_the_outside_address(void **state)
{
	struct rig *rig = *state;

	/* RFC 4787 REQ-9; filtering does not apply, both ends are inside */
	uint16_t s = rig_open_udp(rig, L1, 5000, W1, 7), t = rig_open_udp(rig, L2, 6000, W1, 7);
	struct packet *p = rig_udp(rig, SIDE_LAN, L2, 6000, O1, s);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_source(p), O1);
	assert_int_equal(packets_source_port(p), t);
	assert_int_equal(packets_destination(p), L1);
	assert_int_equal(packets_destination_port(p), 5000);
	p = rig_udp(rig, SIDE_LAN, L1, 5000, O1, t);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_source_port(p), s);
	assert_int_equal(packets_destination(p), L2);
	struct flow_view view;
	assert_true(rig_flow(rig, PROTO_UDP, L1, 5000, O1, t, &view));
	assert_true(view.hairpin);
	rig_udp(rig, SIDE_LAN, L1, 5000, O1, 9999);
	rig_dropped(rig, DROP_HAIRPIN_NO_TARGET);
	rig->config.hairpinning = false;
	rig_configure(rig);
	rig_udp(rig, SIDE_LAN, L1, 5000, O1, t);
	rig_dropped(rig, DROP_HAIRPIN_OFF);
}

static void hairpin_reaches_forwards(void **state)
{
	struct rig *rig = *state;

	add_forward(rig, PROTO_TCP, 80, 80, L2, 8080);
	struct packet *p = rig_tcp(rig, SIDE_LAN, L1, 5000, O1, 80, FLAG_SYN, 1, 0);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_source(p), O1);
	assert_int_equal(packets_destination(p), L2);
	assert_int_equal(packets_destination_port(p), 8080);
	p = rig_tcp(rig, SIDE_LAN, L2, 8080, O1, packets_source_port(p), FLAG_SYN | FLAG_ACK, 9, 2);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L1);
	assert_int_equal(packets_source(p), O1);
	assert_int_equal(packets_source_port(p), 80);
}

static void outside_addresses_that_go_take_their_flows(void **state)
{
	struct rig *rig = *state;

	rig_outside(rig, 2, O1, O2);
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig_open_udp(rig, L2, 5000, W1, 7);
	assert_int_equal(packets_set_outside(rig->engine, &O2, 1, rig->now), 1);
	rig_udp(rig, SIDE_WAN, W1, 7, O1, 5000);
	rig_dropped(rig, DROP_NOT_FOR_US);
	rig_udp(rig, SIDE_WAN, W1, 7, O2, 5000);
	rig_forwarded(rig, SIDE_LAN);
	struct packet *p = rig_udp(rig, SIDE_LAN, L1, 5000, W1, 7);
	assert_non_null(p);
	assert_int_equal(packets_source(p), O2);
	assert_int_equal(packets_set_outside(rig->engine, NULL, 0, rig->now), 2);
	rig_udp(rig, SIDE_LAN, L1, 5000, W1, 7);
	rig_dropped(rig, DROP_NO_OUTSIDE_ADDRESS);
	rig_made_error(rig, &rig->out.item[0], SIDE_LAN, ROUTER, 3, 0, 0);
}

/* Who has how many ports of each outside address; those that rest belong to nobody. */
static void outside_addresses_are_shown(void **state)
{
	struct rig *rig = *state;
	struct outside_view view[3];
	uint32_t n = 0;

	rig_outside(rig, 2, O2, O1);
	for (uint16_t i = 0; i < 5; i++) {
		rig_open_udp(rig, L1, (uint16_t)(5000 + i), W1, 7);
		rig_open_udp(rig, L1, (uint16_t)(5000 + i), W2, 7); /* the same mapping */
	}
	rig_open_udp(rig, L2, 5000, W1, 7);
	rig_tcp(rig, SIDE_LAN, L2, 6000, W1, 80, FLAG_SYN, 100, 0);
	rig_echo(rig, SIDE_LAN, L2, W1, 8, 9);
	rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W1);
	while (engine_next_outside(rig->engine, &n, &view[n]))
		assert_in_range(n, 1, 2);
	assert_int_equal(n, 2);
	assert_int_equal(view[0].address.v4, O2);
	assert_int_equal(view[1].address.v4, O1);
	assert_int_equal(view[0].hosts + view[1].hosts, 2);
	assert_int_equal(view[0].udp_ports + view[1].udp_ports, 6);
	assert_int_equal(view[0].tcp_ports + view[1].tcp_ports, 1);
	assert_int_equal(view[0].icmp_identifiers + view[1].icmp_identifiers, 1);
	rig_wait(rig, 24 * 60 * MINUTE);
	n = 1;
	assert_true(engine_next_outside(rig->engine, &n, &view[1]));
	assert_int_equal(view[1].udp_ports + view[1].tcp_ports + view[1].icmp_identifiers, 0);
	assert_false(engine_next_outside(rig->engine, &n, &view[2]));
}

static void blocked_services_are_refused(void **state)
{
	static const struct {
		enum part part;
		uint8_t protocol;
		uint16_t port;
		enum drop drop;
	} row[] = {
		{PART_PPTP, PROTO_TCP, 1723, DROP_PPTP_BLOCKED}, {PART_PPTP, PROTO_GRE, 0, DROP_PPTP_BLOCKED},
		{PART_L2TP, PROTO_UDP, 1701, DROP_L2TP_BLOCKED}, {PART_L2TP, PROTO_L2TP, 0, DROP_L2TP_BLOCKED},
		{PART_IKE, PROTO_UDP, 500, DROP_IPSEC_BLOCKED},  {PART_NATT, PROTO_UDP, 4500, DROP_IPSEC_BLOCKED},
		{PART_ESP, PROTO_ESP, 0, DROP_IPSEC_BLOCKED},
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct packet_spec spec = {.protocol = row[i].protocol,
					   .source = L1,
					   .source_port = 7777,
					   .destination = W1,
					   .destination_port = row[i].port,
					   .flags = FLAG_SYN,
					   .spi = 9,
					   .enhanced = true,
					   .payload_length = 30};
		rig->config.mode[row[i].part] = MODE_PLAIN;
		rig_configure(rig);
		rig_send(rig, SIDE_LAN, &spec);
		rig_forwarded(rig, SIDE_WAN);
		rig->config.mode[row[i].part] = MODE_BLOCK;
		assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), 1);
		rig_send(rig, SIDE_LAN, &spec);
		rig_dropped(rig, row[i].drop);
		struct packet_spec in = spec;
		in.source = W1, in.source_port = row[i].port, in.destination = O1, in.destination_port = 7777;
		rig_send(rig, SIDE_WAN, &in);
		rig_dropped(rig, row[i].drop);
		rig->config.mode[row[i].part] = MODE_PLAIN;
		rig_configure(rig);
	}
	rig_portless(rig, SIDE_LAN, PROTO_AH, L1, W1);
	rig_dropped(rig, DROP_AH_UNTRANSLATABLE);
	rig_portless(rig, SIDE_WAN, PROTO_AH, W1, O1);
	rig_dropped(rig, DROP_AH_UNTRANSLATABLE);
}

static void flows_have_an_index_and_are_forgotten_by_it(void **state)
{
	struct rig *rig = *state;
	uint32_t cursor = 0, index[6], count = 0;
	struct flow_view view;

	for (uint16_t port = 5000; port < 5003; port++) {
		rig_open_udp(rig, L1, port, W1, 53);
		rig_open_udp(rig, L2, port, W1, 53);
	}
	while (engine_next_flow(rig->engine, &cursor, rig->now, &view)) {
		for (uint32_t i = 0; i < count; i++)
			assert_int_not_equal(index[i], view.index);
		index[count++] = view.index;
	}
	assert_int_equal(count, 6);
	/* The index is where the iteration finds the flow again. */
	cursor = index[3];
	assert_true(engine_next_flow(rig->engine, &cursor, rig->now, &view));
	assert_int_equal(view.index, index[3]);
	assert_true(engine_forget_flow(rig->engine, index[3], rig->now));
	assert_false(engine_forget_flow(rig->engine, index[3], rig->now));
	assert_int_equal(rig_flows(rig), 5);
	rig_check(rig);
	for (uint32_t i = 0; i < 6; i++) {
		cursor = index[i];
		if (i != 3 && engine_next_flow(rig->engine, &cursor, rig->now, &view) && view.inside_address.v4 == L1)
			assert_true(engine_forget_flow(rig->engine, view.index, rig->now));
	}
	assert_int_equal(engine_counters(rig->engine)->hosts, 1);
	rig_check(rig);
	rig_udp(rig, SIDE_LAN, L2, 5000, W1, 53);
	rig_forwarded(rig, SIDE_WAN);
	assert_false(engine_forget_flow(rig->engine, 6, rig->now));
	assert_false(engine_forget_flow(rig->engine, UINT32_MAX, rig->now));
}

static void flows_are_listed_in_pieces(void **state)
{
	struct rig *rig = *state;
	uint32_t cursor = 0, budget, seen = 0, pieces = 0;
	struct flow_view view;

	for (uint16_t port = 5000; port < 5005; port++)
		rig_open_udp(rig, L1, port, W1, 53);
	/* Two records, two, one: only the last piece leaves something of its budget. */
	do {
		budget = 2;
		while (engine_next_flow_within(rig->engine, &cursor, &budget, rig->now, &view))
			assert_int_equal(view.inside_port, 5000 + seen++);
		pieces++;
	} while (budget == 0);
	assert_int_equal(seen, 5);
	assert_int_equal(pieces, 3);
}

/* The remote side must choose another port, for what comes back could not be told apart. */
static void two_forwards_to_one_target_clash(void **state)
{
	struct rig *rig = *state;

	rig->config.forward[0] = (struct forward){PROTO_UDP, 7000, 7000, {L1}, 7000};
	rig->config.forward[1] = (struct forward){PROTO_UDP, 7001, 7001, {L1}, 7000};
	rig->config.forwards = 2;
	rig_configure(rig);
	rig_udp(rig, SIDE_WAN, W1, 9, O1, 7000);
	rig_forwarded(rig, SIDE_LAN);
	rig_udp(rig, SIDE_WAN, W1, 9, O1, 7001);
	rig_dropped(rig, DROP_FLOW_CLASH);
	rig_udp(rig, SIDE_WAN, W1, 10, O1, 7001);
	rig_forwarded(rig, SIDE_LAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(mapping_depends_on_what_is_configured),
		rig_test(two_forwards_to_one_target_clash),
		rig_test(filtering_accepts_what_is_configured),
		rig_test(inbound_tcp_needs_a_syn),
		rig_test(unsolicited_is_dropped_and_makes_nothing),
		rig_test(pooling_is_paired),
		rig_test(forwards_let_strangers_in),
		rig_test(forwards_that_go_take_their_flows),
		rig_test(portless_forward_has_one_owner),
		rig_test(strangers_get_half),
		rig_test(full_tables_refuse_newcomers_only),
		rig_test(hairpin_shows_the_outside_address),
		rig_test(hairpin_reaches_forwards),
		rig_test(outside_addresses_that_go_take_their_flows),
		rig_test(outside_addresses_are_shown),
		rig_test(blocked_services_are_refused),
		rig_test(flows_have_an_index_and_are_forgotten_by_it),
		rig_test(flows_are_listed_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
