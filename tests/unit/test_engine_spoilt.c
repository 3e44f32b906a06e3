/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An arena that somebody wrote into: whoever owns the file of the flows must not own the process that takes it over.
 * Each area of records is spoilt on its own; what is taken over has to pass the engine's check, and packets, tunnels
 * and timers must do no harm to memory (the sanitizers watch).
 */
#include <stdlib.h>
#include <string.h>

#include "nat/state.h"
#include "ipsec_check.h"
#include "ipsec_rig.h"
#include "pptp_rig.h"

enum { ROUNDS = 240, PACKETS = 60, SPOTS = 40 };

struct area {
	const void *at;
	size_t size;
};

/* ESP with few SPIs, and IKE of few initiators. */
static void build_ipsec(struct test_packet *packet, struct test_random *r, bool from_lan)
{
	static const uint8_t exchanges[] = {SA_INIT, AUTH, CHILD, INFORMATIONAL};
	uint32_t inside = L1 + test_random_below(r, 3), remote = W1 + test_random_below(r, 2);
	uint16_t port = test_random_one_in(r, 2) ? 500 : 4500;
	uint8_t bytes[40] = {0};

	bytes[7] = (uint8_t)(1 + test_random_below(r, 4));
	bytes[15] = (uint8_t)test_random_below(r, 2);
	bytes[17] = 0x20;
	bytes[18] = exchanges[test_random_below(r, 4)];
	bytes[23] = (uint8_t)test_random_below(r, 4);
	bytes[27] = sizeof(bytes);
	packets_build(packet, &(struct packet_spec){.protocol = test_random_one_in(r, 2) ? PROTO_ESP : PROTO_UDP,
						    .source = from_lan ? inside : remote,
						    .source_port = port,
						    .destination = from_lan ? remote : O1,
						    .destination_port = port,
						    .spi = 0x100 + test_random_below(r, 8),
						    .sequence = test_random_next(r),
						    .payload = bytes,
						    .payload_length = sizeof(bytes)});
}

static void build_random(struct test_packet *packet, struct test_random *r, bool from_lan)
{
	static const uint8_t protocols[] = {PROTO_UDP, PROTO_TCP, PROTO_TCP, PROTO_ICMP, PROTO_GRE};
	uint8_t protocol = protocols[test_random_below(r, sizeof(protocols))], bytes[MESSAGE_MAX];
	uint32_t inside = L1 + test_random_below(r, 3), remote = W1 + test_random_below(r, 2);
	uint16_t port = (uint16_t)(5000 + test_random_below(r, 4)), server = test_random_one_in(r, 3) ? 7 : 1723;
	uint32_t length = message_build(bytes, 1 + test_random_below(r, MESSAGE_TYPES - 1),
					(uint16_t)test_random_below(r, 8), (uint16_t)test_random_below(r, 8), 1);

	packets_build(packet, &(struct packet_spec){.protocol = protocol,
						    .source = from_lan ? inside : remote,
						    .source_port = from_lan ? port : server,
						    .destination = from_lan ? remote : O1,
						    .destination_port = from_lan ? server : port,
						    .flags = test_random_one_in(r, 20) ? FLAG_RST : FLAG_ACK,
						    .sequence = 0xfffffff0 + test_random_below(r, 400),
						    .acknowledge = 0xffffff70 + test_random_below(r, 400),
						    .payload = bytes,
						    .payload_length = length,
						    .icmp_type = from_lan ? 8 : 0,
						    .enhanced = true,
						    .call_id = (uint16_t)test_random_below(r, 8)});
}

static void use(struct rig *rig, struct engine *engine, struct test_random *r)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &rig->out};
	uint64_t now = rig->now, cursor = 0;
	struct tunnel_view view;

	for (int i = 0; i < PACKETS; i++) {
		bool from_lan = test_random_one_in(r, 2);
		if (i % 2 == 0)
			build_ipsec(&rig->work, r, from_lan);
		else
			build_random(&rig->work, r, from_lan);
		emissions_clear(&rig->out);
		engine_process(engine, from_lan ? SIDE_LAN : SIDE_WAN, &rig->work.packet, 1, now, &sink, NULL);
		now += test_random_below(r, 500);
	}
	if (ipsec_check(engine))
		fail_msg("%s", ipsec_check(engine));
	while (engine_next_tunnel(engine, &cursor, now, &view))
		assert_true(view.state < TUNNEL_STATES);
	for (int i = 0; i < 100; i++)
		engine_expire(engine, now += 20 * SECOND, NULL);
	if (engine_check(engine))
		fail_msg("%s", engine_check(engine));
}

static void a_spoilt_area_does_no_harm(void **state)
{
	struct rig *rig = *state;
	struct test_random r = test_random_seed(5);
	uint32_t taken = 0;

	rig->limits = (struct engine_limits){.flows = 64, .hosts = 8, .addresses = 2, .fragments = 64, .tunnels = 8};
	rig_restart(rig);
	for (uint16_t i = 0; i < 3; i++) {
		struct line line = line_to(rig, L1 + i, 5000, W1);
		line_call(&line, 5, (uint16_t)(1 + i));
		line_call(&line, 6, (uint16_t)(4 + i));
		rig_open_udp(rig, L1 + i, 5001, W1, 7);
		ipsec_ike(rig, SIDE_LAN, L1 + i, 500, W1, 500,
			  &(struct ike_spec){.initiator = 1 + i, .exchange = SA_INIT});
		ipsec_out(rig, L1 + i, W1, 0x100 + i, 1);
		ipsec_in(rig, W1, 0x104 + i, 1);
	}
	/* somebody waits */
	ipsec_out(rig, L1, W2, 0x100, 1);
	ipsec_out(rig, L2, W2, 0x101, 1);
	const struct engine *whole = rig->engine;
	const uint8_t *pptp = whole->module[SERVICE_PPTP], *ipsec = whole->module[SERVICE_IPSEC];
	const struct area areas[] = {
		{whole->flow, 16 * sizeof(struct flow)},
		{whole->track, 16 * sizeof(union flow_track)},
		{whole->mapping, 16 * sizeof(struct mapping)},
		{whole->host, 4 * sizeof(struct host)},
		{whole->host_use, 4 * sizeof(struct host_use)},
		{whole->sibling, 16 * sizeof(struct sibling)},
		{whole->outside->port, sizeof(whole->outside->port)},
		{whole->header, sizeof(struct arena_header)},
		{&whole->header->limits, sizeof(struct engine_limits)},
		{pptp, rig->size - (size_t)(pptp - (const uint8_t *)rig->arena)},
		{ipsec, rig->size - (size_t)(ipsec - (const uint8_t *)rig->arena)},
		{ipsec, 2048},
	};
	for (int round = 0; round < ROUNDS; round++) {
		const struct area *area = &areas[(size_t)round % (sizeof(areas) / sizeof(areas[0]))];
		uint8_t *copy = aligned_alloc(64, (rig->size + 63) / 64 * 64);
		assert_non_null(copy);
		memcpy(copy, rig->arena, rig->size);
		uint8_t *spoilt = copy + ((const uint8_t *)area->at - (const uint8_t *)rig->arena);
		for (uint32_t spots = 1 + test_random_below(&r, SPOTS); spots > 0; spots--)
			spoilt[test_random_below(&r, (uint32_t)area->size)] = (uint8_t)test_random_next(&r);
		struct engine *engine =
			engine_new(copy, rig->size, &rig->limits, &rig->config, rig->seed, true, rig->now);
		if (engine) {
			taken++;
			packets_set_outside(engine, &O1, 1, rig->now);
			if (engine_check(engine))
				fail_msg("round %d: %s", round, engine_check(engine));
			if (ipsec_check(engine))
				fail_msg("round %d: %s", round, ipsec_check(engine));
			use(rig, engine, &r);
			engine_free(engine);
		}
		free(copy);
	}
	assert_true(taken > ROUNDS / 2);
}

/* Each word of the header in front of the tables of fragments, with values at the edges. */
static void a_spoilt_word_of_the_header_does_no_harm(void **state)
{
	struct rig *rig = *state;
	struct test_random r = {7};
	size_t words = offsetof(struct arena_header, set_chain) / sizeof(uint32_t);

	for (uint32_t host = 0; host < 3; host++)
		rig_open_udp(rig, L1 + host, 4500, W1, 4500);
	rig_wait(rig, 302 * SECOND); /* ports that rest */
	rig_open_udp(rig, L1, 5000, W1, 7);
	for (size_t word = 0; word < words; word++) {
		const uint32_t was = ((const uint32_t *)rig->arena)[word];
		const uint32_t values[] = {was + 1, was - 1, 1, 65535, 65000, 3 * 65536 - 100, UINT32_MAX};

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			uint8_t *copy = aligned_alloc(64, (rig->size + 63) / 64 * 64);
			assert_non_null(copy);
			memcpy(copy, rig->arena, rig->size);
			((uint32_t *)(void *)copy)[word] = values[i];
			struct engine *engine =
				engine_new(copy, rig->size, &rig->limits, &rig->config, rig->seed, true, rig->now);
			if (engine) {
				packets_set_outside(engine, &O1, 1, rig->now);
				assert_null(engine_check(engine));
				for (int sweep = 0; sweep < 40; sweep++)
					engine_expire(engine, rig->now + (uint64_t)sweep * 250, NULL);
				use(rig, engine, &r);
				engine_free(engine);
			}
			free(copy);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pptp_test(a_spoilt_area_does_no_harm),
		rig_test(a_spoilt_word_of_the_header_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
