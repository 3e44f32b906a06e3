/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One packet at a time: IPv4 rules, size and fragmentation, offloads, MSS, time to live, bypass
 * (docs/nat-behaviour.md sections 1, 2, 4 and 5).
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"

static struct packet *resend(struct rig *rig, enum side from)
{
	packets_fix_ip_checksum(rig->packet.bytes);
	return rig_send_packet(rig, from, &rig->packet.packet);
}

static void build_udp(struct rig *rig)
{
	packets_build(&rig->packet, &(struct packet_spec){.protocol = PROTO_UDP,
							  .source = L1,
							  .source_port = 5000,
							  .destination = W1,
							  .destination_port = 7,
							  .payload_length = 40});
}

/* adv_01 to adv_04 */
static void headers_that_lie_are_dropped(void **state)
{
	struct rig *rig = *state;

	for (uint32_t length = 0; length < 68; length++) {
		build_udp(rig);
		rig->packet.packet.length = length;
		rig_send_packet(rig, SIDE_LAN, &rig->packet.packet);
		rig_dropped(rig, DROP_IP_SHORT);
	}
	for (uint32_t version = 0; version < 16; version++)
		for (uint32_t ihl = 0; ihl < 16; ihl++) {
			build_udp(rig);
			rig->packet.bytes[0] = (uint8_t)(version << 4 | ihl);
			if (ihl >= 5)
				packets_fix_ip_checksum(rig->packet.bytes);
			rig_send_packet(rig, SIDE_LAN, &rig->packet.packet);
			if (version != 4)
				rig_dropped(rig, DROP_IP_VERSION);
			else if (ihl < 5)
				rig_dropped(rig, DROP_IP_SHORT);
			else
				assert_int_not_equal(rig->result.verdict, VERDICT_HELD);
		}
	for (uint32_t total = 0; total < 80; total++) {
		build_udp(rig);
		packet_put16(&rig->packet.packet, 2, (uint16_t)total);
		resend(rig, SIDE_LAN);
		if (total < 20 || total > 68)
			rig_dropped(rig, DROP_IP_SHORT);
		else
			assert_int_equal(rig->result.verdict, total == 68 ? VERDICT_FORWARDED : VERDICT_DROPPED);
	}
	for (int bit = 0; bit < 16; bit++) {
		build_udp(rig);
		rig->packet.bytes[10 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		rig_send_packet(rig, SIDE_LAN, &rig->packet.packet);
		rig_dropped(rig, DROP_IP_CHECKSUM);
	}
	/* padding is cut off */
	build_udp(rig);
	memset(rig->packet.bytes + 68, 0xee, 30);
	rig->packet.packet.length = 98;
	struct packet *p = rig_send_packet(rig, SIDE_LAN, &rig->packet.packet);
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(p->length, 68);
}

/* adv_05 */
static void options_pass_but_source_routes(void **state)
{
	static const struct {
		uint8_t bytes[8];
		bool good;
	} row[] = {
		{{1, 1, 1, 1, 1, 1, 1, 0}, true},    {{7, 7, 4, 0, 0, 0, 0, 0}, true},
		{{68, 8, 5, 0, 0, 0, 0, 0}, true},   {{148, 4, 0, 0, 0, 0, 0, 0}, true},
		{{0, 131, 7, 4, 0, 0, 0, 0}, true},  {{131, 7, 4, 0, 0, 0, 0, 0}, false},
		{{1, 137, 7, 4, 0, 0, 0, 0}, false}, {{7, 0, 0, 0, 0, 0, 0, 0}, false},
		{{7, 1, 0, 0, 0, 0, 0, 0}, false},   {{7, 9, 4, 0, 0, 0, 0, 0}, false},
		{{1, 1, 1, 1, 1, 1, 1, 7}, false},
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct packet *p = rig_send(rig, SIDE_LAN,
					    &(struct packet_spec){.protocol = PROTO_UDP,
								  .source = L1,
								  .source_port = 5000,
								  .destination = W1,
								  .destination_port = 7,
								  .ip_options = row[i].bytes,
								  .ip_options_length = 8,
								  .payload_length = 10});
		if (!row[i].good) {
			rig_dropped(rig, DROP_IP_OPTION);
			continue;
		}
		rig_forwarded(rig, SIDE_WAN);
		assert_memory_equal(p->data + 20, row[i].bytes, 8);
	}
}

/* adv_07 to adv_10 */
static void martians_and_spoofs_are_dropped(void **state)
{
	static const uint32_t martian[] = {0,          0x00ffffff, 0x7f000001, 0x7fffffff,
					   0xe0000001, 0xefffffff, 0xf0000000, 0xffffffff};
	struct rig *rig = *state;

	for (int i = 0; i < 8; i++) {
		rig_udp(rig, SIDE_LAN, martian[i], 5000, W1, 7);
		rig_dropped(rig, DROP_SOURCE_MARTIAN);
		rig_udp(rig, SIDE_LAN, L1, 5000, martian[i], 7);
		rig_dropped(rig, DROP_DESTINATION_MARTIAN);
		rig_udp(rig, SIDE_WAN, martian[i], 5000, O1, 7);
		rig_dropped(rig, DROP_SOURCE_MARTIAN);
		rig_udp(rig, SIDE_WAN, W1, 5000, martian[i], 7);
		rig_dropped(rig, DROP_DESTINATION_MARTIAN);
	}
	rig_udp(rig, SIDE_WAN, O1, 7, O1, 7);
	rig_dropped(rig, DROP_SOURCE_IS_OURS);
	rig_udp(rig, SIDE_LAN, O1, 7, W1, 7);
	rig_dropped(rig, DROP_SOURCE_IS_OURS);
	rig_udp(rig, SIDE_WAN, L1, 7, O1, 7);
	rig_dropped(rig, DROP_SOURCE_IS_INSIDE);
	rig_udp(rig, SIDE_WAN, W1, 7, L1, 7);
	rig_dropped(rig, DROP_NOT_FOR_US);
}

/* Invariant I8: all that is not address, port, identifier, checksum or MSS passes as it is. */
static void the_rest_is_preserved(void **state)
{
	struct rig *rig = *state;

	for (uint32_t tos = 0; tos < 256; tos++)
		for (int df = 0; df < 2; df++) {
			struct packet *p = rig_send(rig, SIDE_LAN,
						    &(struct packet_spec){.protocol = PROTO_TCP,
									  .source = L1,
									  .source_port = 5000,
									  .destination = W1,
									  .destination_port = 80,
									  .tos = (uint8_t)tos,
									  .ttl = (uint8_t)(tos ? tos : 1),
									  .df = df,
									  .id = 4711,
									  .flags = FLAG_ACK | FLAG_ECE | FLAG_CWR,
									  .sequence = 77,
									  .payload_length = 50});
			rig_forwarded(rig, SIDE_WAN);
			assert_int_equal(packet_get8(p, 1), tos);
			assert_int_equal(packet_get8(p, 8), tos ? tos : 1);
			assert_int_equal(packet_get16(p, 6), df ? 0x4000 : 0);
			if (df)
				assert_int_equal(packet_get16(p, 4), 4711);
			assert_int_equal(packet_get32(p, 16), W1);
			assert_memory_equal(p->data + 22, rig->packet.bytes + 22,
					    14); /* ports to window, but for the source port */
			assert_memory_equal(p->data + 38, rig->packet.bytes + 38, p->length - 38);
		}
}

/* adv_06, RFC 1812 5.3.1 */
static void time_to_live_runs_out_here(void **state)
{
	struct rig *rig = *state;

	rig_open_udp(rig, L1, 5000, W1, 7);
	for (uint8_t ttl = 0; ttl < 4; ttl++) {
		struct packet_spec spec = {.protocol = PROTO_UDP,
					   .source = W1,
					   .source_port = 7,
					   .destination = O1,
					   .destination_port = 5000,
					   .ttl = ttl,
					   .ttl_zero = true,
					   .payload_length = 10};
		rig_send(rig, SIDE_WAN, &spec);
		if (ttl > 1) {
			rig_forwarded(rig, SIDE_LAN);
			continue;
		}
		rig_dropped(rig, DROP_IP_TTL);
		assert_int_equal(rig->out.count, 1);
		rig_made_error(rig, &rig->out.item[0], SIDE_WAN, O1, 11, 0, 0);
	}
}

/* RFC 4787 REQ-13: DF and too big, both ways, at the very byte. */
static void too_big_is_told(void **state)
{
	struct rig *rig = *state;

	rig->config.wan_mtu = 1400;
	rig->config.inside[0].mtu = 1300;
	rig_configure(rig);
	rig_open_udp(rig, L1, 5000, W1, 7);
	for (int side = 0; side < SIDES; side++)
		for (uint32_t more = 0; more < 2; more++) {
			bool lan = side == SIDE_LAN;
			uint32_t mtu = lan ? 1400 : 1300;
			struct packet_spec spec = {.protocol = PROTO_UDP,
						   .source = lan ? L1 : W1,
						   .source_port = lan ? 5000 : 7,
						   .destination = lan ? W1 : O1,
						   .destination_port = lan ? 7 : 5000,
						   .df = true,
						   .payload_length = mtu - 28 + more};
			rig_send(rig, side, &spec);
			if (!more) {
				rig_forwarded(rig, lan ? SIDE_WAN : SIDE_LAN);
				continue;
			}
			rig_dropped(rig, DROP_TOO_BIG);
			rig_made_error(rig, &rig->out.item[0], side, lan ? ROUTER : O1, 3, 4, mtu);
		}
	/* DF clear to the LAN: the kernel's business */
	rig_send(rig, SIDE_WAN,
		 &(struct packet_spec){.protocol = PROTO_UDP,
				       .source = W1,
				       .source_port = 7,
				       .destination = O1,
				       .destination_port = 5000,
				       .payload_length = 2000});
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(rig->out.count, 1);
}

static uint16_t mss_of_syn(struct rig *rig, uint32_t source, uint32_t destination, uint16_t destination_port)
{
	static const uint8_t mss[4] = {2, 4, 0xff, 0xff};

	rig_send(rig, SIDE_LAN,
		 &(struct packet_spec){.protocol = PROTO_TCP,
				       .source = source,
				       .source_port = 5001,
				       .destination = destination,
				       .destination_port = destination_port,
				       .flags = FLAG_SYN,
				       .tcp_options = mss,
				       .tcp_options_length = sizeof(mss)});
	rig_forwarded(rig, destination == O1 ? SIDE_LAN : SIDE_WAN);
	return packet_get16(&rig->out.item[0].packet, 42);
}

/* What an inside host is told, and how much it gets, depends on its own network. A stranger's is the first one. */
static void each_network_has_its_router_and_mtu(void **state)
{
	struct rig *rig = *state;
	const struct {
		uint32_t host, router, mtu;
	} place[] = {{L1, ROUTER, 1400}, {0x0a010002, 0x0a010001, 1300}, {0x0a020002, ROUTER, 1400}};

	rig->config.inside[0].mtu = 1400;
	rig->config.inside[1] = (struct inside){{{0x0a010000}, 16}, {0x0a010001}, 1300};
	rig->config.insides = 2;
	rig_configure(rig);
	for (int i = 0; i < 3; i++) {
		struct packet_spec out = {.protocol = PROTO_UDP,
					  .source = place[i].host,
					  .source_port = (uint16_t)(5000 + i),
					  .destination = W1,
					  .destination_port = 7,
					  .df = true,
					  .payload_length = 1500 - 27};
		struct packet_spec in = {.protocol = PROTO_UDP,
					 .source = W1,
					 .source_port = 7,
					 .destination = O1,
					 .destination_port = out.source_port,
					 .df = true,
					 .payload_length = place[i].mtu - 28};
		rig_send(rig, SIDE_LAN, &out);
		rig_dropped(rig, DROP_TOO_BIG);
		rig_made_error(rig, &rig->out.item[0], SIDE_LAN, place[i].router, 3, 4, 1500);
		rig_open_udp(rig, place[i].host, out.source_port, W1, 7);
		rig_send(rig, SIDE_WAN, &in);
		rig_forwarded(rig, SIDE_LAN);
		in.payload_length++;
		rig_send(rig, SIDE_WAN, &in);
		rig_dropped(rig, DROP_TOO_BIG);
		rig_made_error(rig, &rig->out.item[0], SIDE_WAN, O1, 3, 4, place[i].mtu);
		assert_int_equal(mss_of_syn(rig, place[i].host, W1, 443), place[i].mtu - 40);
	}
	/* flows go on with what holds for their host's network now */
	rig->config.inside[1].mtu = 1400;
	rig->config.inside[2] = (struct inside){{{0x0a000000}, 16}, {ROUTER}, 1300};
	rig->config.inside[0] = (struct inside){{{0x0a030000}, 16}, {0x0a030001}, 1500};
	rig->config.insides = 3;
	rig_configure(rig);
	for (int i = 0; i < 3; i++) {
		static const uint32_t mtu[] = {1300, 1400, 1500};
		for (uint32_t more = 0; more < 2; more++) {
			rig_send(rig, SIDE_WAN,
				 &(struct packet_spec){.protocol = PROTO_UDP,
						       .source = W1,
						       .source_port = 7,
						       .destination = O1,
						       .destination_port = (uint16_t)(5000 + i),
						       .df = true,
						       .payload_length = mtu[i] - 28 + more});
			if (more)
				rig_dropped(rig, DROP_TOO_BIG);
			else
				rig_forwarded(rig, SIDE_LAN);
		}
	}
}

static void a_hairpin_joins_two_networks(void **state)
{
	struct rig *rig = *state;

	rig->config.inside[0].mtu = 1400;
	rig->config.inside[1] = (struct inside){{{0x0a010000}, 16}, {0x0a010001}, 1300};
	rig->config.insides = 2;
	rig->config.forward[0] = (struct forward){PROTO_TCP, 80, 80, {0x0a010002}, 80};
	rig->config.forwards = 1;
	rig_configure(rig);
	/* what fits is for the called host's network, and its error from the caller's */
	assert_int_equal(mss_of_syn(rig, L1, O1, 80), 1300 - 40);
	rig_send(rig, SIDE_LAN,
		 &(struct packet_spec){.protocol = PROTO_TCP,
				       .source = L1,
				       .source_port = 5001,
				       .destination = O1,
				       .destination_port = 80,
				       .flags = FLAG_ACK,
				       .df = true,
				       .payload_length = 1300 - 39});
	rig_dropped(rig, DROP_TOO_BIG);
	rig_made_error(rig, &rig->out.item[0], SIDE_LAN, ROUTER, 3, 4, 1300);
}

/* RFC 4787 REQ-13a: DF clear and too big is fragmented, in order; a partial checksum is completed first. */
static void fragments_are_made(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole));

	for (uint32_t mtu = 576; mtu < 1500; mtu += 231)
		for (int partial = 0; partial < 2; partial++) {
			uint32_t expected = 0;
			rig->config.wan_mtu = mtu;
			rig_configure(rig);
			rig_send(rig, SIDE_LAN,
				 &(struct packet_spec){.protocol = PROTO_UDP,
						       .source = L1,
						       .source_port = 5000,
						       .destination = W1,
						       .destination_port = 7,
						       .partial = partial,
						       .payload_length = 4001});
			rig_forwarded(rig, SIDE_WAN);
			packets_copy(whole, &rig->packet.packet);
			for (uint32_t i = 0; i < rig->out.count; i++) {
				const struct packet *p = &rig->out.item[i].packet;
				assert_int_equal((packet_get16(p, 6) & 0x1fff) * 8, expected);
				assert_true(p->length <= mtu);
				assert_int_equal(!!(packet_get16(p, 6) & 0x2000), i + 1 < rig->out.count);
				assert_false(p->offload.partial);
				memcpy(whole->bytes + 20 + expected, p->data + 20, p->length - 20);
				expected += p->length - 20;
			}
			assert_int_equal(expected, 4009);
			packet_put32(&whole->packet, 12, O1);
			packets_fix_ip_checksum(whole->bytes);
			memset(&whole->packet.offload, 0, sizeof(whole->packet.offload));
			assert_null(packets_verify(&whole->packet));
		}
	free(whole);
}

/* A UDP checksum of 0 stays 0; one that comes out as 0 is written ffff (RFC 768). Every sum there is. */
static void udp_checksums_through_the_engine(void **state)
{
	struct rig *rig = *state;
	struct engine_sink sink = {.emit = emissions_emit, .context = &rig->out};
	uint32_t ffff = 0;

	for (uint32_t fill = 0; fill < 65536; fill++) {
		uint8_t payload[2] = {(uint8_t)(fill >> 8), (uint8_t)fill};
		packets_build(&rig->packet, &(struct packet_spec){.protocol = PROTO_UDP,
								  .source = L1,
								  .source_port = 5000,
								  .destination = W1,
								  .destination_port = 7,
								  .df = true,
								  .payload = payload,
								  .payload_length = 2});
		emissions_clear(&rig->out);
		engine_process(rig->engine, SIDE_LAN, &rig->packet.packet, 1, rig->now, &sink, NULL);
		assert_int_equal(rig->out.count, 1);
		const struct packet *p = &rig->out.item[0].packet;
		if (packets_verify(p) || !packet_get16(p, 26))
			fail_msg("payload %04x: %s", fill, packets_verify(p) ? packets_verify(p) : "checksum 0");
		ffff += packet_get16(p, 26) == 0xffff;
	}
	assert_int_equal(ffff, 1);
	struct packet *p = rig_send(rig, SIDE_LAN,
				    &(struct packet_spec){.protocol = PROTO_UDP,
							  .source = L1,
							  .source_port = 5000,
							  .destination = W1,
							  .destination_port = 7,
							  .udp_no_checksum = true,
							  .payload_length = 9});
	assert_int_equal(packet_get16(p, 26), 0);
}

/* A TCP packet with 12 bytes of options, from the rig's first host to its first remote or back. */
static struct packet *send_options(struct rig *rig, enum side from, uint8_t flags, const uint8_t *options, bool partial)
{
	bool lan = from == SIDE_LAN;

	return rig_send(rig, from,
			&(struct packet_spec){.protocol = PROTO_TCP,
					      .source = lan ? L1 : W1,
					      .source_port = lan ? 5000 : 80,
					      .destination = lan ? W1 : O1,
					      .destination_port = lan ? 80 : 5000,
					      .flags = flags,
					      .tcp_options = options,
					      .tcp_options_length = 12,
					      .partial = partial});
}

/* The MSS option at even and odd places, and a zoo around it (adv_26). */
static void mss_is_clamped(void **state)
{
	static const struct {
		uint8_t bytes[12];
		uint8_t at; /* of the value; 0: nothing changes */
	} row[] = {
		{{2, 4, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0, 0}, 2},  {{1, 2, 4, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0}, 3},
		{{1, 1, 1, 2, 4, 0x23, 0x28, 0, 0, 0, 0, 0}, 5},  {{3, 3, 7, 2, 4, 0x23, 0x28, 4, 2, 0, 0, 0}, 5},
		{{2, 4, 0x02, 0x00, 0, 0, 0, 0, 0, 0, 0, 0}, 0},  {{0, 2, 4, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0}, 0},
		{{5, 0, 2, 4, 0x23, 0x28, 0, 0, 0, 0, 0, 0}, 0},  {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4}, 0},
		{{8, 40, 2, 4, 0x23, 0x28, 0, 0, 0, 0, 0, 0}, 0},
	};
	struct rig *rig = *state;

	rig->config.wan_mtu = 1400;
	rig_configure(rig);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (int partial = 0; partial < 2; partial++) {
			uint8_t want[12];
			memcpy(want, row[i].bytes, 12);
			if (row[i].at) {
				want[row[i].at] = 1360 >> 8;
				want[row[i].at + 1] = 1360 & 255;
			}
			struct packet *p = send_options(rig, SIDE_LAN, FLAG_SYN, row[i].bytes, partial);
			rig_forwarded(rig, SIDE_WAN);
			assert_memory_equal(p->data + 40, want, 12);
			/* not in a segment without SYN */
			p = send_options(rig, SIDE_LAN, FLAG_ACK, row[i].bytes, partial);
			assert_memory_equal(p->data + 40, row[i].bytes, 12);
			/* and inbound */
			p = send_options(rig, SIDE_WAN, FLAG_SYN | FLAG_ACK, row[i].bytes, partial);
			rig_forwarded(rig, SIDE_LAN);
			assert_memory_equal(p->data + 40, want, 12);
		}
	rig->config.clamp_mss = false;
	rig_configure(rig);
	struct packet *p = send_options(rig, SIDE_LAN, FLAG_SYN, row[0].bytes, false);
	assert_memory_equal(p->data + 40, row[0].bytes, 12);
}

/* RFC 6888 REQ-6 */
static void bypassed_destinations_are_untouched(void **state)
{
	struct rig *rig = *state;

	rig->config.bypass[0] = (struct prefix){{0xac100000}, 12};
	rig->config.bypasses = 1;
	rig_configure(rig);
	struct packet *p = rig_udp(rig, SIDE_LAN, L1, 5000, 0xac100001, 7);
	rig_forwarded(rig, SIDE_WAN);
	assert_memory_equal(p->data, rig->packet.bytes, p->length);
	p = rig_udp(rig, SIDE_WAN, 0xac100001, 7, L1, 5000);
	rig_forwarded(rig, SIDE_LAN);
	assert_memory_equal(p->data, rig->packet.bytes, p->length);
	assert_int_equal(rig_flows(rig), 0);
	rig_udp(rig, SIDE_WAN, 0xac200001, 7, L1, 5000);
	rig_dropped(rig, DROP_NOT_FOR_US);
	assert_int_equal(rig_stat(rig, STAT_BYPASSED), 2);
}

/* adv_24, adv_34, adv_35 */
static void transport_headers_that_lie_are_dropped(void **state)
{
	struct rig *rig = *state;

	for (uint32_t offset = 0; offset < 16; offset++) {
		packets_build(&rig->packet, &(struct packet_spec){.protocol = PROTO_TCP,
								  .source = L1,
								  .source_port = 5000,
								  .destination = W1,
								  .destination_port = 80,
								  .flags = FLAG_SYN,
								  .payload_length = 12});
		rig->packet.bytes[32] = (uint8_t)(offset << 4);
		packets_fix_transport_checksum(&rig->packet.packet);
		resend(rig, SIDE_LAN);
		if (offset < 5 || offset > 8)
			rig_dropped(rig, DROP_TCP_MALFORMED);
		else
			rig_forwarded(rig, SIDE_WAN);
	}
	for (uint32_t length = 0; length < 60; length++) {
		build_udp(rig);
		packet_put16(&rig->packet.packet, 24, (uint16_t)length);
		rig->wrong_sums = true;
		resend(rig, SIDE_LAN);
		if (length < 8 || length > 48)
			rig_dropped(rig, DROP_UDP_MALFORMED);
		else
			rig_forwarded(rig, SIDE_WAN);
	}
	for (int end = 0; end < 2; end++) {
		build_udp(rig);
		packet_put16(&rig->packet.packet, end ? 20 : 22, 0);
		resend(rig, SIDE_LAN);
		rig_dropped(rig, DROP_PORT_ZERO);
	}
	rig_send(rig, SIDE_LAN,
		 &(struct packet_spec){
			 .protocol = PROTO_ESP, .source = L1, .destination = W1, .spi = 0, .payload_length = 20});
	rig_dropped(rig, DROP_ESP_MALFORMED);
}

/* adv_12: every protocol number, both ways */
static void every_protocol_has_its_fate(void **state)
{
	struct rig *rig = *state;

	for (uint32_t protocol = 0; protocol < 256; protocol++) {
		if (protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_ICMP || protocol == PROTO_AH)
			continue;
		rig_portless(rig, SIDE_WAN, (uint8_t)protocol, W1, O1);
		rig_dropped(rig, DROP_NO_OWNER);
		rig_portless(rig, SIDE_LAN, (uint8_t)protocol, L1, W1);
		rig_forwarded(rig, SIDE_WAN);
		rig_portless(rig, SIDE_WAN, (uint8_t)protocol, W1, O1);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packets_destination(&rig->out.item[0].packet), L1);
	}
}

/* A link may say that it carries less than IPv4 needs. */
static void an_absurd_mtu_does_no_harm(void **state)
{
	static const uint8_t options[40] = {1};
	struct rig *rig = *state;

	for (uint32_t mtu = 0; mtu < 68; mtu++) {
		rig->config.wan_mtu = rig->config.inside[0].mtu = mtu;
		rig_configure(rig);
		rig_send(rig, SIDE_LAN,
			 &(struct packet_spec){.protocol = PROTO_UDP,
					       .source = L1,
					       .source_port = 5000,
					       .destination = W1,
					       .destination_port = 7,
					       .ip_options = options,
					       .ip_options_length = mtu % 2 ? sizeof(options) : 0,
					       .payload_length = 400});
		rig_forwarded(rig, SIDE_WAN);
		for (uint32_t i = 0; i < rig->out.count; i++)
			assert_true(rig->out.item[i].packet.length <= 68);
		rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_SYN, 1, 0);
		rig_forwarded(rig, SIDE_WAN);
		rig_udp(rig, SIDE_LAN, L1, 5000, O1, 9);
		rig_dropped(rig, DROP_HAIRPIN_NO_TARGET);
	}
}

static uint32_t some_remote(uint32_t i)
{
	return 0x0b000000 + (i * i * UINT32_C(7919) & 0xffffff);
}

/* Destinations share counters; who sees the identifications towards one does not learn those towards another. */
static void identifications_tell_nothing_of_others(void **state)
{
	enum { REMOTES = 400 };
	struct rig *rig = *state;
	static uint16_t first[REMOTES];
	uint32_t sharing = 0, telling = 0;

	rig->limits.flows = 2 * REMOTES;
	rig_restart(rig);
	rig->in_haste = true;
	for (uint32_t i = 0; i < REMOTES; i++) {
		struct packet *p = rig_udp(rig, SIDE_LAN, L1, 5000, some_remote(i), 7);
		assert_non_null(p);
		first[i] = packet_get16(p, 4);
	}
	/* Counted on by so many since: by itself, and by those that share. */
	for (uint32_t i = 0; i < REMOTES; i++) {
		uint16_t now = packet_get16(rig_udp(rig, SIDE_LAN, L1, 5000, some_remote(i), 7), 4);
		uint16_t more = (uint16_t)(now - first[i]);
		assert_in_range(more, 1, 10);
		sharing += more > 1;
		for (uint32_t k = 0; more > 1 && k < REMOTES; k++)
			telling += k != i && (uint16_t)(first[k] - first[i]) <= 10;
	}
	assert_true(sharing > REMOTES / 20);
	assert_true(telling < sharing / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(identifications_tell_nothing_of_others),
		rig_test(headers_that_lie_are_dropped),
		rig_test(options_pass_but_source_routes),
		rig_test(martians_and_spoofs_are_dropped),
		rig_test(the_rest_is_preserved),
		rig_test(time_to_live_runs_out_here),
		rig_test(too_big_is_told),
		rig_test(each_network_has_its_router_and_mtu),
		rig_test(a_hairpin_joins_two_networks),
		rig_test(fragments_are_made),
		rig_test(udp_checksums_through_the_engine),
		rig_test(mss_is_clamped),
		rig_test(bypassed_destinations_are_untouched),
		rig_test(transport_headers_that_lie_are_dropped),
		rig_test(every_protocol_has_its_fate),
		rig_test(an_absurd_mtu_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
