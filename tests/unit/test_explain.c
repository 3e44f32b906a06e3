/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Explanations: what they tell, and that asking changes nothing. That they tell the truth is checked for nearly every
 * packet of all other tests, see rig.c.
 */
#include <stdlib.h>
#include <string.h>

#include "nat/state.h"

#include "rig.h"

static const uint8_t protocols[] = {PROTO_TCP, PROTO_UDP, PROTO_ICMP, PROTO_GRE, PROTO_ESP, PROTO_AH, PROTO_SCTP, 255};
static const uint16_t ports[] = {0, 22, 53, 80, 500, 1701, 1723, 4500, 5000, 5001, 8080};
static const uint32_t insides[] = {0x0a000002, 0x0a000003, 0x0a000004};
static const uint32_t outsides[] = {0xc6336401, 0xcb007101, 0xcb007102, 0xcb0071fe, 0x7f000001, 0x0a000005};

static uint16_t any_port(struct test_random *r)
{
	uint32_t choice = test_random_below(r, 16);

	return choice < sizeof(ports) / sizeof(ports[0]) ? ports[choice] : (uint16_t)test_random_next(r);
}

/* Any packet that may come, most of them sensible. */
static enum side random_packet(struct test_random *r, struct test_packet *out)
{
	enum side from = test_random_one_in(r, 2) ? SIDE_LAN : SIDE_WAN;
	uint32_t inside = insides[test_random_below(r, 3)], remote = outsides[test_random_below(r, 6)];
	struct packet_spec spec = {
		.protocol = protocols[test_random_below(r, 8)],
		.source = from == SIDE_LAN ? inside : remote,
		.destination = from == SIDE_LAN ? remote : O1,
		.source_port = any_port(r),
		.destination_port = any_port(r),
		.ttl = test_random_one_in(r, 20) ? 1 : 64,
		.flags = test_random_one_in(r, 2) ? FLAG_SYN : (uint8_t)test_random_below(r, 64),
		.icmp_type = test_random_one_in(r, 2) ? 8 : (uint8_t)test_random_below(r, 20),
		.spi = 1 + test_random_below(r, 8),
		.enhanced = test_random_one_in(r, 2),
		.call_id = (uint16_t)test_random_below(r, 4),
		.df = test_random_one_in(r, 2),
		.mf = test_random_one_in(r, 10),
		.fragment_offset = (uint16_t)(test_random_one_in(r, 10) ? 8 * test_random_below(r, 300) : 0),
		.payload_length = test_random_one_in(r, 10) ? 1600 : test_random_below(r, 100),
	};

	packets_build(out, &spec);
	if (test_random_one_in(r, 10))
		out->bytes[test_random_below(r, out->packet.length)] ^= 0x10;
	return from;
}

/* Every byte of the arena and of the engine's own memory stays as it is. */
static void changes_nothing(void **state)
{
	static struct test_packet packet;
	struct rig *rig = *state;
	struct test_random r = test_random_seed(20);
	struct explanation told;
	uint32_t verdicts[4] = {0}, rules[RULES] = {0};

	rig->limits = (struct engine_limits){.flows = 256, .hosts = 8, .addresses = 1, .fragments = 32, .tunnels = 16};
	rig->config.forward[0] = (struct forward){PROTO_TCP, 8080, 8080, {L1}, 80};
	rig->config.forwards = 1;
	port_set_add(&rig->config.host_tcp, 22);
	port_set_add(&rig->config.open_tcp, 22);
	rig->in_haste = rig->wrong_sums = true;
	rig_restart(rig);
	struct engine *engine = malloc(sizeof(*engine));
	uint8_t *arena = malloc(rig->size);
	assert_non_null(engine);
	assert_non_null(arena);
	for (int i = 0; i < 5000; i++) {
		enum side from = random_packet(&r, &packet);
		/* Each fourth one is sent, so that there is something to ask about. */
		if (i % 4 == 0) {
			rig_send_packet(rig, from, &packet.packet);
			continue;
		}
		memcpy(engine, rig->engine, sizeof(*engine));
		memcpy(arena, rig->arena, rig->size);
		rig_explain(rig, from, &packet.packet, &told);
		assert_int_equal(memcmp(arena, rig->arena, rig->size), 0); /* cmocka compares byte by byte */
		assert_memory_equal(engine, rig->engine, sizeof(*engine));
		verdicts[told.result.verdict]++;
		rules[told.rule]++;
	}
	for (int i = 0; i < 4; i++)
		assert_true(verdicts[i] > 0);
	assert_true(rules[RULE_FLOW] > 0 && rules[RULE_NEW_MAPPING] > 0 && rules[RULE_PORTLESS] > 0);
	free(engine);
	free(arena);
}

static void ask(struct rig *rig, enum side from, const struct packet_spec *spec, struct explanation *told)
{
	packets_build(&rig->packet, spec);
	rig_explain(rig, from, &rig->packet.packet, told);
}

static void tells_flow_and_mapping(void **state)
{
	struct rig *rig = *state;
	struct packet_spec spec = {
		.protocol = PROTO_UDP, .source = L1, .source_port = 5000, .destination = W1, .destination_port = 53};
	struct explanation told;

	ask(rig, SIDE_LAN, &spec, &told);
	assert_int_equal(told.rule, RULE_NEW_MAPPING);
	assert_true(told.has_flow && told.flow_is_new && told.mapping_is_new);
	assert_int_equal(told.flow.inside_address.v4, L1);
	assert_int_equal(told.flow.outside_address.v4, O1);
	assert_int_equal(told.flow.remote_port, 53);
	assert_int_equal(rig_flows(rig), 0);
	rig_send(rig, SIDE_LAN, &spec);
	ask(rig, SIDE_LAN, &spec, &told);
	assert_int_equal(told.rule, RULE_FLOW);
	assert_false(told.flow_is_new || told.mapping_is_new);
	spec.destination_port = 54;
	ask(rig, SIDE_LAN, &spec, &told);
	assert_int_equal(told.rule, RULE_MAPPING);
	assert_true(told.flow_is_new && !told.mapping_is_new);
	/* What has expired is new again. */
	spec.destination_port = 53;
	rig->now += 3600 * SECOND;
	ask(rig, SIDE_LAN, &spec, &told);
	assert_int_equal(told.rule, RULE_NEW_MAPPING);
	assert_true(told.flow_is_new && told.mapping_is_new);
}

static void tells_forward_part_and_nearest(void **state)
{
	struct rig *rig = *state;
	struct explanation told;

	rig->config.forward[0] = (struct forward){PROTO_UDP, 7000, 7000, {L2}, 7000};
	rig->config.forward[1] = (struct forward){PROTO_UDP, 4500, 4500, {L1}, 4500};
	rig->config.forwards = 2;
	rig->config.mode[PART_L2TP] = MODE_BLOCK;
	rig_restart(rig);
	struct packet_spec spec = {
		.protocol = PROTO_UDP, .source = W1, .source_port = 9, .destination = O1, .destination_port = 4500};
	ask(rig, SIDE_WAN, &spec, &told);
	assert_int_equal(told.rule, RULE_FORWARD);
	assert_int_equal(told.forward, 1);
	assert_int_equal(told.part, PART_NATT);
	assert_int_equal(told.mode, MODE_PASS);
	spec.destination_port = 1701;
	ask(rig, SIDE_WAN, &spec, &told);
	assert_int_equal(told.result.drop, DROP_L2TP_BLOCKED);
	assert_int_equal(told.forward, FORWARDS_MAX);
	assert_int_equal(told.mode, MODE_BLOCK);
	spec.destination_port = rig_open_udp(rig, L3, 6000, W2, 53);
	ask(rig, SIDE_WAN, &spec, &told);
	assert_int_equal(told.result.drop, DROP_FILTERED);
	assert_true(told.has_nearest);
	assert_int_equal(told.nearest_address.v4, L3);
	assert_int_equal(told.nearest_port, 6000);
}

static void tells_what_leaves_instead(void **state)
{
	struct rig *rig = *state;
	struct explanation told;
	struct packet_spec spec = {.protocol = PROTO_UDP,
				   .source = L1,
				   .source_port = 5000,
				   .destination = W1,
				   .destination_port = 53,
				   .payload_length = 1600};

	ask(rig, SIDE_LAN, &spec, &told);
	assert_int_equal(told.result.verdict, VERDICT_FORWARDED);
	assert_int_equal(told.outputs, 2);
	assert_int_equal(told.output[1].offset, 1480);
	assert_int_equal(told.mtu, 1500);
	spec.df = true;
	ask(rig, SIDE_LAN, &spec, &told);
	assert_int_equal(told.result.drop, DROP_TOO_BIG);
	assert_int_equal(told.outputs, 1);
	assert_int_equal(told.output[0].to, SIDE_LAN);
	assert_int_equal(told.output[0].identifier, 3 << 8 | 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(changes_nothing),
		rig_test(tells_flow_and_mapping),
		rig_test(tells_forward_part_and_nearest),
		rig_test(tells_what_leaves_instead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
