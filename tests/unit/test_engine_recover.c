/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arena after a crash: an engine that dies at any packet is taken over with the flows it had; an arena that is
 * spoilt, foreign or cut short never does harm (docs/architecture.md; robustness: kill -9 under load).
 */
#include <stdlib.h>
#include <string.h>

#include "nat/state.h"
#include "rig.h"

static struct engine *take_over(struct rig *rig, void *arena, size_t size)
{
	struct engine *e = engine_new(arena, size, &rig->limits, &rig->config, rig->seed, true, rig->now);

	if (e)
		packets_set_outside(e, &O1, 1, rig->now);
	return e;
}

static void *copy_arena(const struct rig *rig)
{
	void *copy = aligned_alloc(64, (rig->size + 63) / 64 * 64);

	assert_non_null(copy);
	memcpy(copy, rig->arena, rig->size);
	return copy;
}

/* Replaces the rig's engine by one that takes over its arena elsewhere, as if the process had died here. */
static void crash(struct rig *rig)
{
	rig_move(rig);
	rig->engine = take_over(rig, rig->arena, rig->size);
	assert_non_null(rig->engine);
	assert_null(engine_check(rig->engine));
}

static void flows_outlive_the_engine(void **state)
{
	struct rig *rig = *state;
	uint16_t port[20];

	for (uint16_t i = 0; i < 20; i++)
		port[i] = rig_open_udp(rig, L1 + i % 3, 5000, W1, (uint16_t)(7 + i));
	rig_tcp(rig, SIDE_LAN, L1, 6000, W1, 80, FLAG_SYN, 100, 0);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 6000, FLAG_SYN | FLAG_ACK, 500, 101);
	rig_tcp(rig, SIDE_LAN, L1, 6000, W1, 80, FLAG_ACK, 101, 501);
	rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W1);
	rig_echo(rig, SIDE_LAN, L2, W1, 8, 9);
	uint32_t flows = rig_flows(rig);
	rig_wait(rig, 1000);
	crash(rig);
	assert_int_equal(rig_flows(rig), flows);
	for (uint16_t i = 0; i < 20; i++) {
		rig_udp(rig, SIDE_WAN, W1, (uint16_t)(7 + i), O1, port[i]);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packets_destination(&rig->out.item[0].packet), L1 + i % 3);
		assert_int_equal(rig_open_udp(rig, L1 + i % 3, 5000, W1, (uint16_t)(7 + i)), port[i]);
	}
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 6000, FLAG_ACK, 501, 101);
	rig_forwarded(rig, SIDE_LAN);
	struct flow_view view;
	assert_true(rig_flow(rig, PROTO_TCP, L1, 6000, W1, 80, &view));
	assert_int_equal(view.expires_ms, 7440 * SECOND);
	assert_int_equal(view.age_ms, 1000);
	rig_portless(rig, SIDE_WAN, PROTO_GRE, W1, O1);
	rig_forwarded(rig, SIDE_LAN);
	/* timers go on */
	rig_wait(rig, 8000 * SECOND);
	assert_int_equal(rig_flows(rig), 0);
}

/* A crash after every packet of a busy life, with changes of everything in between. */
static void a_crash_after_every_packet(void **state)
{
	struct rig *rig = *state;
	struct test_random r = test_random_seed(7);

	rig->limits = (struct engine_limits){.flows = 64, .hosts = 8, .addresses = 2, .fragments = 64};
	rig_restart(rig);
	for (int i = 0; i < 1500; i++) {
		uint32_t host = L1 + test_random_below(&r, 6);
		uint16_t port = (uint16_t)(5000 + test_random_below(&r, 5)),
			 remote = (uint16_t)(7 + test_random_below(&r, 3));
		switch (test_random_below(&r, 6)) {
		case 0:
			rig_udp(rig, SIDE_LAN, host, port, W1, remote);
			break;
		case 1:
			rig_tcp(rig, SIDE_LAN, host, port, W1, remote, FLAG_SYN, 1, 0);
			break;
		case 2:
			rig_portless(rig, SIDE_LAN, PROTO_ESP, host, W1 + remote);
			break;
		case 3:
			rig_udp(rig, SIDE_WAN, W1, remote, O1, port);
			break;
		case 4:
			rig_echo(rig, SIDE_LAN, host, W1, 8, port);
			break;
		default:
			rig_wait(rig, test_random_below(&r, 60000));
			break;
		}
		uint32_t flows = rig_flows(rig);
		crash(rig);
		assert_int_equal(rig_flows(rig), flows);
	}
}

/* Bits flip: what does not hold together is thrown away, and the engine works. */
static void a_spoilt_arena_does_no_harm(void **state)
{
	struct rig *rig = *state;
	struct test_random r = test_random_seed(11);
	uint32_t taken = 0;

	rig->limits = (struct engine_limits){.flows = 64, .hosts = 8, .addresses = 2, .fragments = 64};
	rig_restart(rig);
	for (uint16_t i = 0; i < 40; i++)
		rig_open_udp(rig, L1 + i % 6, (uint16_t)(5000 + i), W1, 7);
	uint8_t *good = copy_arena(rig), *spoilt = rig->arena;
	for (int round = 0; round < 400; round++) {
		memcpy(spoilt, good, rig->size);
		uint32_t spots = 1 + test_random_below(&r, 200);
		for (uint32_t i = 0; i < spots; i++) /* the front holds the records, the rest is mostly empty */
			spoilt[64 +
			       test_random_below(&r, (uint32_t)(test_random_one_in(&r, 2) ? 16384 : rig->size - 64))] ^=
				(uint8_t)(1 << test_random_below(&r, 8));
		struct engine *e = take_over(rig, spoilt, rig->size);
		if (e) {
			struct engine *before = rig->engine;
			taken++;
			rig->engine = e;
			if (engine_check(e))
				fail_msg("round %d: %s", round, engine_check(e));
			assert_true(rig_flows(rig) <= 64);
			rig_udp(rig, SIDE_LAN, L1, 6000, W1, 7);
			rig_udp(rig, SIDE_WAN, W1, 7, O1, 5001);
			rig->engine = before;
			engine_free(e);
		}
	}
	memcpy(spoilt, good, rig->size);
	free(good);
	assert_true(taken > 100);
}

/* A process that dies while its addresses change leaves records of addresses that are not in use. */
static void a_crash_while_addresses_change(void **state)
{
	static const uint32_t both[] = {O1, O2};
	struct rig *rig = *state;

	for (uint32_t left = 0; left < 2; left++) {
		rig_restart(rig);
		rig_outside(rig, 2, O1, O2);
		rig_open_udp(rig, L1, 5000, W1, 7);
		rig_open_udp(rig, L2, 5000, W1, 7);
		rig->engine->header->outside_count = left;
		crash(rig);
		packets_set_outside(rig->engine, both, 2, rig->now);
		if (engine_check(rig->engine))
			fail_msg("%s", engine_check(rig->engine));
		assert_int_equal(rig_flows(rig), left);
		rig_udp(rig, SIDE_WAN, W1, 7, left > 0 ? O2 : O1, 5000);
		rig_dropped(rig, DROP_UNSOLICITED);
	}
}

/* A flow and a mapping are worth nothing without the host that they name. */
static void a_flow_ends_with_its_host(void **state)
{
	struct rig *rig = *state;
	struct flow_view view;

	for (int round = 0; round < 4; round++) {
		rig_restart(rig);
		rig_open_udp(rig, L1, 5000, W1, 7);
		rig_open_udp(rig, L2, 5000, W1, 7);
		rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W1);
		rig_portless(rig, SIDE_LAN, PROTO_GRE, L3, W2);
		rig_portless(rig, SIDE_LAN, PROTO_GRE, L3 + 1, W1 + 5);
		struct engine *e = rig->engine;
		if (round == 0)
			e->host[e->flow[1].host].live = e->host[e->flow[4].host].live = 0;
		else if (round == 1)
			e->flow[1].host = e->flow[2].host = rig->limits.hosts;
		else if (round == 2)
			e->mapping[e->flow[1].mapping].host = UINT32_MAX, e->flow[2].host = e->flow[0].host;
		else
			e->host[e->flow[1].host].address =
				address_of(L1); /* one of two is known by it, here L2's record */
		crash(rig);
		assert_int_equal(rig_flows(rig), round == 0 ? 2 : round == 1 ? 3 : 4);
		assert_int_equal(engine_counters(rig->engine)->hosts, round == 0 ? 2 : 3);
		assert_true(rig_flow(rig, PROTO_GRE, L3, 0, W2, 0, &view));
		assert_true(rig_flow(rig, PROTO_UDP, L1, 5000, W1, 7, &view));
		assert_false(rig_flow(rig, PROTO_UDP, L2, 5000, W1, 7, &view));
	}
}

static void a_foreign_arena_is_refused(void **state)
{
	struct rig *rig = *state;
	uint8_t *copy = copy_arena(rig);

	assert_null(take_over(rig, copy, rig->size - 64));
	memset(copy, 0, rig->size);
	assert_null(take_over(rig, copy, rig->size));
	memset(copy, 0xff, rig->size);
	assert_null(take_over(rig, copy, rig->size));
	struct test_random r = test_random_seed(3);
	for (size_t i = 0; i < rig->size; i++)
		copy[i] = (uint8_t)test_random_next(&r);
	assert_null(take_over(rig, copy, rig->size));
	memcpy(copy, rig->arena, rig->size);
	rig->limits.flows--; /* other limits */
	assert_null(take_over(rig, copy, rig->size));
	rig->limits.flows++;
	free(copy);
	/* limits out of range have no arena */
	struct engine_limits limits = rig->limits;
	limits.flows = (1u << 22) + 1;
	assert_int_equal(engine_arena_size(&limits), 0);
	limits = rig->limits;
	limits.hosts = 65537;
	assert_int_equal(engine_arena_size(&limits), 0);
	limits = rig->limits;
	limits.addresses = 65;
	assert_int_equal(engine_arena_size(&limits), 0);
}

/* Time went on while nobody was there: what ended meanwhile is gone before the first packet comes. */
static void what_ended_meanwhile_is_gone(void **state)
{
	struct rig *rig = *state;

	for (uint16_t i = 0; i < 20; i++)
		rig_open_udp(rig, L1, 5000, W1, (uint16_t)(7 + i));
	rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W1);
	rig->now += 2 * rig->config.timeout[TIMEOUT_UDP];
	rig_open_udp(rig, L2, 5001, W2, 7);
	rig->now += 2 * MINUTE;
	crash(rig);
	assert_int_equal(engine_counters(rig->engine)->flows, rig_flows(rig));
	rig->now += 10 * rig->config.timeout[TIMEOUT_GRE] + 24 * 60 * MINUTE;
	crash(rig);
	assert_int_equal(engine_counters(rig->engine)->flows, 0);
	assert_int_equal(engine_counters(rig->engine)->mappings, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(flows_outlive_the_engine),    rig_test(a_crash_after_every_packet),
		rig_test(a_spoilt_arena_does_no_harm), rig_test(a_crash_while_addresses_change),
		rig_test(a_foreign_arena_is_refused),  rig_test(what_ended_meanwhile_is_gone),
		rig_test(a_flow_ends_with_its_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
