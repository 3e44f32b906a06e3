/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every timer of the engine, with a clock of our own: alive one millisecond before its deadline, gone at it
 * (RFC 4787 REQ-5 and 6, RFC 5382 REQ-5, RFC 5508 REQ-2 and 6, RFC 7857 sections 2.1 and 7).
 */
#include "rig.h"

enum opening { BY_ONE, BY_HANDSHAKE, BY_RST, BY_FINS };

static void open_tcp(struct rig *rig, enum opening how)
{
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_SYN, 100, 0);
	if (how == BY_ONE)
		return;
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_SYN | FLAG_ACK, 500, 101);
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_ACK, 101, 501);
	if (how == BY_RST)
		rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_RST | FLAG_ACK, 501, 101);
	if (how != BY_FINS)
		return;
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_FIN | FLAG_ACK, 501, 101);
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_FIN | FLAG_ACK, 101, 502);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_ACK, 502, 102);
}

static void every_timer_is_exact(void **state)
{
	static const struct {
		uint8_t protocol;
		uint16_t remote_port;
		enum opening opening;
		uint32_t seconds;
	} row[] = {
		{PROTO_UDP, 7, 0, 300},       {PROTO_UDP, 53, 0, 30},        {PROTO_UDP, 500, 0, 300},
		{PROTO_UDP, 4500, 0, 300},    {PROTO_TCP, 80, BY_ONE, 240},  {PROTO_TCP, 80, BY_HANDSHAKE, 7440},
		{PROTO_TCP, 80, BY_RST, 240}, {PROTO_TCP, 80, BY_FINS, 240}, {PROTO_ICMP, 0, 0, 60},
		{PROTO_GRE, 0, 0, 180},       {PROTO_ESP, 0, 0, 3600},       {PROTO_IPIP, 0, 0, 180},
		{PROTO_SCTP, 0, 0, 180},      {PROTO_L2TP, 0, 0, 180},
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (int lazy = 0; lazy < 2; lazy++) {
			struct flow_view view;
			uint16_t inside = row[i].protocol == PROTO_TCP || row[i].protocol == PROTO_UDP ? 5000
					  : row[i].protocol == PROTO_ICMP                              ? 77
												       : 0;
			for (int s = 0; s < PARTS; s++)
				rig->config.mode[s] = MODE_PLAIN;
			rig_restart(rig);
			if (row[i].protocol == PROTO_TCP)
				open_tcp(rig, row[i].opening);
			else if (row[i].protocol == PROTO_UDP)
				rig_open_udp(rig, L1, inside, W1, row[i].remote_port);
			else if (row[i].protocol == PROTO_ICMP)
				rig_echo(rig, SIDE_LAN, L1, W1, 8, inside);
			else
				rig_portless(rig, SIDE_LAN, row[i].protocol, L1, W1);
			assert_true(rig_flow(rig, row[i].protocol, L1, inside, W1, row[i].remote_port, &view));
			assert_int_equal(view.expires_ms, row[i].seconds * SECOND);
			if (!lazy)
				rig_wait(rig, row[i].seconds * SECOND - 1);
			else
				rig->now += row[i].seconds * SECOND - 1;
			assert_int_equal(rig_flows(rig), 1);
			if (!lazy)
				rig_wait(rig, 1);
			else
				rig->now += 1;
			assert_int_equal(rig_flows(rig), 0);
			struct packet_spec in = {.protocol = row[i].protocol,
						 .source = W1,
						 .destination = O1,
						 .source_port = row[i].remote_port,
						 .destination_port = inside,
						 .flags = FLAG_ACK,
						 .spi = 1,
						 .payload_length = 20};
			if (row[i].protocol == PROTO_ICMP)
				in.source_port = inside;
			rig_send(rig, SIDE_WAN, &in);
			if (row[i].protocol == PROTO_ICMP)
				rig_consumed(rig);
			else
				rig_dropped(rig, inside ? DROP_UNSOLICITED : DROP_NO_OWNER);
		}
}

/* RFC 4787 REQ-6: outbound refreshes; inbound only if configured. */
static void who_refreshes_udp(void **state)
{
	struct rig *rig = *state;

	for (int inbound = 0; inbound < 2; inbound++) {
		rig->config.refresh_inbound = inbound;
		rig_restart(rig);
		rig_open_udp(rig, L1, 5000, W1, 7);
		for (int i = 0; i < 3; i++) {
			rig_wait(rig, 200 * SECOND);
			rig_open_udp(rig, L1, 5000, W1, 7);
		}
		rig_wait(rig, 200 * SECOND);
		rig_udp(rig, SIDE_WAN, W1, 7, O1, 5000);
		rig_forwarded(rig, SIDE_LAN);
		rig_wait(rig, 100 * SECOND);
		assert_int_equal(rig_flows(rig), inbound);
	}
}

static void inbound_refreshes_tcp(void **state)
{
	struct rig *rig = *state;

	open_tcp(rig, BY_HANDSHAKE);
	for (int i = 1; i <= 5; i++) {
		rig_wait(rig, 7000 * SECOND);
		rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_ACK, 501, 101);
		rig_forwarded(rig, SIDE_LAN);
	}
	rig_wait(rig, 7440 * SECOND);
	assert_int_equal(rig_flows(rig), 0);
}

/* RFC 7857 section 7.1: a flow is not kept alive by answers to strangers. */
static void resets_that_answer_refresh_nothing(void **state)
{
	struct rig *rig = *state;

	struct flow_view view;

	open_tcp(rig, BY_HANDSHAKE);
	rig_wait(rig, 200 * SECOND);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_ACK, 501, 101);
	assert_true(rig_flow(rig, PROTO_TCP, L1, 5000, W1, 80, &view));
	uint32_t before = view.expires_ms;
	rig_wait(rig, 10 * SECOND);
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_RST, 70000, 0); /* not exact: no reset either */
	rig_forwarded(rig, SIDE_WAN);
	assert_true(rig_flow(rig, PROTO_TCP, L1, 5000, W1, 80, &view));
	assert_int_equal(view.expires_ms, before - 10 * SECOND);
}

static void a_mapping_lives_as_long_as_one_of_its_flows(void **state)
{
	struct rig *rig = *state;

	uint16_t port = rig_open_udp(rig, L1, 5000, W1, 7);
	rig_wait(rig, 200 * SECOND);
	assert_int_equal(rig_open_udp(rig, L1, 5000, W2, 7), port);
	rig_wait(rig, 200 * SECOND);
	assert_int_equal(rig_flows(rig), 1);
	assert_int_equal(engine_counters(rig->engine)->mappings, 1);
	rig_udp(rig, SIDE_WAN, W1, 7, O1, port); /* its flow is gone, and the filter is address-dependent */
	if (rig->config.filtering == ENDPOINT_INDEPENDENT)
		rig_forwarded(rig, SIDE_LAN);
	else
		rig_dropped(rig, DROP_FILTERED);
	rig_wait(rig, 300 * SECOND);
	assert_int_equal(engine_counters(rig->engine)->mappings, 0);
	assert_int_equal(engine_counters(rig->engine)->hosts, 0);
}

/* Many flows that end in the same millisecond are cleaned in bounded pieces, and all of them. */
static void a_storm_of_deadlines_is_worked_off(void **state)
{
	struct rig *rig = *state;
	uint32_t rounds = 0;

	rig->limits.flows = 30000;
	rig->config.host_flows = 30000;
	rig_restart(rig);
	for (uint32_t i = 0; i < 20000; i++) {
		packets_build(&rig->packet, &(struct packet_spec){.protocol = PROTO_UDP,
								  .source = L1 + i % 4,
								  .source_port = (uint16_t)(1024 + i),
								  .destination = W1,
								  .destination_port = 7});
		struct engine_sink sink = {.emit = emissions_emit, .context = &rig->out};
		emissions_clear(&rig->out);
		engine_process(rig->engine, SIDE_LAN, &rig->packet.packet, 1, rig->now, &sink, NULL);
	}
	assert_int_equal(engine_counters(rig->engine)->flows, 20000);
	rig->now += 300 * SECOND;
	assert_true(engine_deadline(rig->engine) <= rig->now);
	uint64_t end = rig->now + 30 * SECOND;
	for (; engine_counters(rig->engine)->flows; rounds++) {
		uint32_t before = engine_counters(rig->engine)->flows;
		engine_expire(rig->engine, rig->now, NULL);
		assert_true(before - engine_counters(rig->engine)->flows <= 8192); /* a bounded piece */
		uint64_t next = engine_deadline(rig->engine);
		rig->now = next > rig->now ? next : rig->now;
		assert_true(rig->now <= end);
	}
	assert_true(rounds > 1);
	assert_int_equal(engine_counters(rig->engine)->flows, 0);
	assert_int_equal(rig_stat(rig, STAT_FLOWS_CLOSED), 20000);
	assert_null(engine_check(rig->engine));
}

static void deadlines_are_never_missed(void **state)
{
	struct rig *rig = *state;

	assert_true(engine_deadline(rig->engine) == UINT64_MAX);
	rig_open_udp(rig, L1, 5000, W1, 53);
	assert_true(engine_deadline(rig->engine) <= rig->now + 30 * SECOND);
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig_wait(rig, 30 * SECOND);
	assert_int_equal(engine_counters(rig->engine)->flows, 1);
	assert_true(engine_deadline(rig->engine) <= rig->now + 270 * SECOND);
}

static void expect_age(struct rig *rig, uint8_t protocol, uint16_t remote_port, uint64_t age_ms, uint32_t idle_ms)
{
	struct flow_view view;

	assert_true(rig_flow(rig, protocol, L1, 5000, W1, remote_port, &view));
	assert_int_equal(view.age_ms, age_ms);
	assert_int_equal(view.idle_ms, idle_ms);
}

static void flows_have_an_age_and_an_idle_time(void **state)
{
	struct rig *rig = *state;

	open_tcp(rig, BY_HANDSHAKE);
	rig_open_udp(rig, L1, 5000, W1, 7);
	expect_age(rig, PROTO_UDP, 7, 0, 0);
	rig_wait(rig, 250 * SECOND);
	expect_age(rig, PROTO_UDP, 7, 250 * SECOND, 250 * SECOND);
	rig_open_udp(rig, L1, 5000, W1, 7);
	expect_age(rig, PROTO_UDP, 7, 250 * SECOND, 0);
	rig_wait(rig, 10 * SECOND + 50);
	expect_age(rig, PROTO_UDP, 7, 260 * SECOND, 10 * SECOND + 50);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_ACK, 501, 101);
	rig_wait(rig, 7000 * SECOND);
	expect_age(rig, PROTO_TCP, 80, 7260 * SECOND, 7000 * SECOND);
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_RST, 70000, 0); /* not exact: it keeps nothing alive */
	expect_age(rig, PROTO_TCP, 80, 7260 * SECOND, 7000 * SECOND);
	/* Another flow in the same record is as young as it is. */
	rig_open_udp(rig, L1, 5000, W1, 7);
	expect_age(rig, PROTO_UDP, 7, 0, 0);
}

/* A timer that was changed is taken from the next packet on, and so is what it tells. */
static void another_timer_tells_from_the_next_packet_on(void **state)
{
	struct rig *rig = *state;

	rig_open_udp(rig, L1, 5000, W1, 7);
	rig_wait(rig, 10 * SECOND);
	rig->config.timeout[TIMEOUT_UDP] = 200 * SECOND;
	rig_configure(rig);
	expect_age(rig, PROTO_UDP, 7, 10 * SECOND, 0);
	rig->config.timeout[TIMEOUT_UDP] = 1000 * SECOND;
	rig_configure(rig);
	expect_age(rig, PROTO_UDP, 7, 10 * SECOND, 10 * SECOND); /* never more than its age */
	rig_open_udp(rig, L1, 5000, W1, 7);
	rig_wait(rig, 10 * SECOND);
	expect_age(rig, PROTO_UDP, 7, 20 * SECOND, 10 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(every_timer_is_exact),
		rig_test(who_refreshes_udp),
		rig_test(inbound_refreshes_tcp),
		rig_test(resets_that_answer_refresh_nothing),
		rig_test(a_mapping_lives_as_long_as_one_of_its_flows),
		rig_test(a_storm_of_deadlines_is_worked_off),
		rig_test(deadlines_are_never_missed),
		rig_test(flows_have_an_age_and_an_idle_time),
		rig_test(another_timer_tells_from_the_next_packet_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
