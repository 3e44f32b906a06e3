/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ICMP errors in both directions, byte for byte, and the errors the engine makes (RFC 5508, RFC 4787 REQ-12, RFC 5382
 * REQ-9 and 10, RFC 3022 section 4.3; docs/nat-behaviour.md section 7).
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"

static const uint8_t PROTOCOLS[] = {PROTO_UDP, PROTO_TCP, PROTO_ICMP, PROTO_GRE, PROTO_ESP};
enum { PROTOCOL_COUNT = 5 };

static struct packet_spec outbound(uint8_t protocol)
{
	return (struct packet_spec){.protocol = protocol,
				    .source = L1,
				    .source_port = 5001,
				    .destination = W1,
				    .destination_port = 7,
				    .flags = FLAG_SYN,
				    .sequence = 1000,
				    .icmp_type = 8,
				    .spi = 0x2002,
				    .df = true,
				    .payload_length = 33};
}

/* Another host has the same ports first, so that the port under test is really changed. */
static void take_port(struct rig *rig, uint8_t protocol)
{
	struct packet_spec spec = outbound(protocol);

	spec.source = L2;
	spec.destination = W2;
	rig_send(rig, SIDE_LAN, &spec);
	rig_forwarded(rig, SIDE_WAN);
}

/* The error as it must arrive: built anew about the packet of the other side, so no byte comes from the engine. */
static void expect_error(struct rig *rig, const struct packet *got, uint32_t source, uint32_t destination, uint8_t type,
			 uint8_t code, uint32_t rest, const struct packet *quoted, uint32_t length,
			 const struct packet *sent)
{
	struct test_packet *want = malloc(sizeof(*want));

	assert_non_null(want);
	assert_non_null(got);
	packets_build_error(want, source, destination, type, code, rest, quoted->data, length);
	memcpy(want->bytes + 4, got->data + 4, 2); /* the identification may be new */
	memcpy(want->bytes + 6, sent->data + 6, 2);
	packets_fix_ip_checksum(want->bytes);
	assert_int_equal(got->length, want->packet.length);
	assert_memory_equal(got->data, want->bytes, got->length);
	free(want);
	(void)rig;
}

static void errors_from_outside_are_translated(void **state)
{
	struct rig *rig = *state;
	struct test_packet *inner = malloc(sizeof(*inner)), *outer = malloc(sizeof(*outer)),
			   *error = malloc(sizeof(*error));

	for (int i = 0; i < PROTOCOL_COUNT; i++)
		for (uint32_t cut = 0; cut < 3; cut++) {
			struct packet_spec spec = outbound(PROTOCOLS[i]);
			rig_restart(rig);
			take_port(rig, PROTOCOLS[i]);
			struct packet *sent = rig_send(rig, SIDE_LAN, &spec);
			rig_forwarded(rig, SIDE_WAN);
			packets_copy(inner, &rig->packet.packet);
			packets_copy(outer, sent);
			uint32_t length = cut == 0 ? 28 : cut == 1 ? 40 : outer->packet.length;
			packets_build_error(error, X, O1, 3, 4, 1400, outer->bytes, length);
			struct packet *p = rig_send_packet(rig, SIDE_WAN, &error->packet);
			rig_forwarded(rig, SIDE_LAN);
			expect_error(rig, p, X, L1, 3, 4, 1400, &inner->packet, length, &error->packet);
			assert_int_equal(rig_stat(rig, STAT_ICMP_TRANSLATED), 1);
		}
	free(inner);
	free(outer);
	free(error);
}

static void errors_from_inside_are_translated(void **state)
{
	static const uint32_t from[] = {L1, HOP};
	struct rig *rig = *state;
	struct test_packet *came = malloc(sizeof(*came)), *arrived = malloc(sizeof(*arrived)),
			   *error = malloc(sizeof(*error));

	for (int i = 0; i < PROTOCOL_COUNT * 2; i++) {
		struct packet_spec spec = outbound(PROTOCOLS[i / 2]);
		rig_restart(rig);
		take_port(rig, PROTOCOLS[i / 2]);
		struct packet *sent = rig_send(rig, SIDE_LAN, &spec);
		uint32_t ihl = 20;
		struct packet_spec back = {.protocol = spec.protocol,
					   .source = W1,
					   .source_port = 7,
					   .destination = O1,
					   .destination_port = packet_get16(sent, ihl),
					   .flags = FLAG_SYN | FLAG_ACK,
					   .sequence = 5000,
					   .acknowledge = 1034,
					   .spi = 0x77,
					   .payload_length = 50};
		if (spec.protocol == PROTO_ICMP)
			back.source_port = packets_icmp_id(sent);
		struct packet *p = rig_send(rig, SIDE_WAN, &back);
		rig_forwarded(rig, SIDE_LAN);
		packets_copy(came, &rig->packet.packet);
		packets_copy(arrived, p);
		packets_build_error(error, from[i % 2], W1, 3, 3, 0, arrived->bytes, arrived->packet.length);
		p = rig_send_packet(rig, SIDE_LAN, &error->packet);
		rig_forwarded(rig, SIDE_WAN);
		expect_error(rig, p, O1, W1, 3, 3, 0, &came->packet, came->packet.length, &error->packet);
	}
	free(came);
	free(arrived);
	free(error);
}

/* RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6: whatever the code, no flow goes and no timer is touched. */
static void errors_change_no_flow(void **state)
{
	struct rig *rig = *state;
	struct test_packet *sent = malloc(sizeof(*sent)), *error = malloc(sizeof(*error));

	for (int i = 0; i < PROTOCOL_COUNT; i++) {
		struct packet_spec spec = outbound(PROTOCOLS[i]);
		struct flow_view before, after;
		uint32_t cursor = 0;
		rig_restart(rig);
		packets_copy(sent, rig_send(rig, SIDE_LAN, &spec));
		rig_wait(rig, 10000);
		assert_true(engine_next_flow(rig->engine, &cursor, rig->now, &before));
		for (uint8_t code = 0; code < 16; code++) {
			packets_build_error(error, X, O1, 3, code, code == 4 ? 1400 : 0, sent->bytes, 28);
			rig_send_packet(rig, SIDE_WAN, &error->packet);
			rig_forwarded(rig, SIDE_LAN);
		}
		cursor = 0;
		assert_true(engine_next_flow(rig->engine, &cursor, rig->now, &after));
		assert_int_equal(after.expires_ms, before.expires_ms);
		assert_int_equal(after.tcp_state, before.tcp_state);
	}
	free(sent);
	free(error);
}

/* RFC 5508 REQ-3 and adv_37..39: what does not hold together is dropped with its own reason. */
static void bad_errors_are_dropped(void **state)
{
	struct rig *rig = *state;
	struct test_packet *sent = malloc(sizeof(*sent)), *error = malloc(sizeof(*error));

	packets_copy(sent, rig_udp(rig, SIDE_LAN, L1, 5000, W1, 7));
	/* the outer checksum */
	packets_build_error(error, X, O1, 3, 1, 0, sent->bytes, 28);
	error->bytes[22] ^= 1;
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_dropped(rig, DROP_ICMP_CHECKSUM);
	/* the inner header checksum */
	packets_build_error(error, X, O1, 3, 1, 0, sent->bytes, 28);
	error->bytes[28 + 10] ^= 1;
	packets_fix_transport_checksum(&error->packet);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_dropped(rig, DROP_ICMP_QUOTE_MALFORMED);
	/* every cut */
	for (uint32_t length = 0; length < 28; length++) {
		packets_build_error(error, X, O1, 3, 1, 0, sent->bytes, length);
		rig_send_packet(rig, SIDE_WAN, &error->packet);
		rig_dropped(rig, DROP_ICMP_QUOTE_MALFORMED);
	}
	/* an error about an error */
	struct test_packet *first = malloc(sizeof(*first));
	packets_build_error(first, O1, W1, 3, 1, 0, sent->bytes, 28);
	packets_build_error(error, X, O1, 3, 1, 0, first->bytes, 56);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_dropped(rig, DROP_ICMP_QUOTE_MALFORMED);
	free(first);
	/* a later fragment */
	sent->bytes[7] = 3;
	packets_fix_ip_checksum(sent->bytes);
	packets_build_error(error, X, O1, 3, 1, 0, sent->bytes, 28);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_dropped(rig, DROP_ICMP_QUOTE_MALFORMED);
	sent->bytes[7] = 0;
	packets_fix_ip_checksum(sent->bytes);
	/* nobody's flow */
	sent->bytes[21] ^= 1;
	packets_build_error(error, X, O1, 3, 1, 0, sent->bytes, 28);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_dropped(rig, DROP_ICMP_QUOTE_UNKNOWN);
	sent->bytes[21] ^= 1;
	free(sent);
	free(error);
}

/* RFC 5508 REQ-4: whatever the MTU, the host is told; only what no link can have becomes what each has. */
static void small_mtus_pass(void **state)
{
	struct rig *rig = *state;
	struct test_packet *sent = malloc(sizeof(*sent)), *error = malloc(sizeof(*error));

	rig_open_udp(rig, L1, 5000, W1, 53);
	packets_copy(sent, &rig->out.item[0].packet);
	for (uint32_t mtu = 0; mtu < 700; mtu += mtu < 72 ? 1 : 69) {
		packets_build_error(error, X, O1, 3, 4, mtu, sent->bytes, 28);
		rig_send_packet(rig, SIDE_WAN, &error->packet);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packet_get16(&rig->out.item[0].packet, 26), mtu && mtu < 68 ? 68 : mtu);
		/* the same field of another error is not an MTU */
		packets_build_error(error, X, O1, 3, 1, mtu, sent->bytes, 28);
		rig_send_packet(rig, SIDE_WAN, &error->packet);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packet_get16(&rig->out.item[0].packet, 26), mtu);
	}
	free(sent);
	free(error);
}

static void undeliverable(struct rig *rig, const struct packet *packet, enum unreachable code)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &rig->out};
	struct packet part = *packet;

	/* The data path keeps no more than what is quoted. */
	part.length = part.length < ICMP_QUOTE_MAX ? part.length : ICMP_QUOTE_MAX;
	engine_undeliverable(rig->engine, &part, code, rig->now, &sink);
	rig_check(rig);
}

/* RFC 1812 section 5.2.7.1: who sent what did not get farther hears of it, and sees the packet that it sent. */
static void senders_hear_what_did_not_leave(void **state)
{
	static const uint8_t protocols[] = {PROTO_UDP, PROTO_TCP, PROTO_ICMP, PROTO_ESP, PROTO_SCTP};
	struct rig *rig = *state;
	struct test_packet *sent = malloc(sizeof(*sent)), *left = malloc(sizeof(*left));

	for (uint32_t n = 0; n < 2 * sizeof(protocols); n++) {
		rig_restart(rig);
		rig->config.bypasses = 0;
		rig_open_udp(rig, L2, 5000, W1, 53); /* L1 gets another port */
		packets_build(sent, &(struct packet_spec){.protocol = protocols[n / 2],
							  .source = L1,
							  .source_port = 5000,
							  .destination = W1,
							  .destination_port = 53,
							  .df = true,
							  .icmp_type = 8,
							  .flags = FLAG_SYN,
							  .spi = 7,
							  .payload_length = n % 2 ? 1000 : 20});
		rig_send_packet(rig, SIDE_LAN, &sent->packet);
		rig_forwarded(rig, SIDE_WAN);
		packets_copy(left, &rig->out.item[0].packet);
		emissions_clear(&rig->out);
		undeliverable(rig, &left->packet, n % 2 ? UNREACHABLE_NET : UNREACHABLE_HOST);
		assert_int_equal(rig->out.count, 1);
		packets_copy(&rig->packet, &sent->packet); /* what is quoted is the packet as it came */
		rig_made_error(rig, &rig->out.item[0], SIDE_LAN, ROUTER, 3, n % 2 ? 0 : 1, 0);
	}
	free(sent);
	free(left);
}

/* RFC 1122 section 3.2.2: nothing is said about errors, of which source quench and redirect are two. */
static void errors_are_not_answered(void **state)
{
	struct rig *rig = *state;

	rig_outside(rig, 0, 0, 0);
	for (uint32_t type = 0; type < 20; type++) {
		bool is_error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
		rig_echo(rig, SIDE_LAN, L1, W1, (uint8_t)type, 1);
		rig_dropped(rig, DROP_NO_OUTSIDE_ADDRESS);
		assert_int_equal(rig->out.count, !is_error);
	}
}

/* A destination that is not translated; and packets about which nothing may be said. */
static void some_senders_hear_nothing(void **state)
{
	struct rig *rig = *state;
	struct test_packet *left = malloc(sizeof(*left)), *error = malloc(sizeof(*error));

	rig->config.bypass[0] = (struct prefix){{W2}, 32};
	rig->config.bypasses = 1;
	rig_configure(rig);
	rig_udp(rig, SIDE_LAN, L1, 5000, W2, 53);
	rig_forwarded(rig, SIDE_WAN);
	packets_copy(left, &rig->out.item[0].packet);
	emissions_clear(&rig->out);
	undeliverable(rig, &left->packet, UNREACHABLE_HOST);
	assert_int_equal(rig->out.count, 1);
	rig_made_error(rig, &rig->out.item[0], SIDE_LAN, ROUTER, 3, 1, 0);
	/* nobody's flow */
	rig_open_udp(rig, L1, 5000, W1, 53);
	packets_copy(left, &rig->out.item[0].packet);
	emissions_clear(&rig->out);
	packet_put16(&left->packet, 20, 4999);
	undeliverable(rig, &left->packet, UNREACHABLE_HOST);
	assert_int_equal(rig->out.count, 0);
	/* an ICMP error, a later fragment, somebody else's source, no header */
	packet_put16(&left->packet, 20, 5000);
	packets_build_error(error, O1, W1, 3, 1, 0, left->bytes, 28);
	undeliverable(rig, &error->packet, UNREACHABLE_HOST);
	packets_build_fragment(error, left, 8, 8);
	undeliverable(rig, &error->packet, UNREACHABLE_HOST);
	packets_copy(error, &left->packet);
	packet_put32(&error->packet, 12, X);
	packets_fix_ip_checksum(error->bytes);
	undeliverable(rig, &error->packet, UNREACHABLE_HOST);
	for (uint32_t length = 0; length < 28; length++) {
		left->packet.length = length;
		undeliverable(rig, &left->packet, UNREACHABLE_HOST);
	}
	assert_int_equal(rig->out.count, 0);
	/* no more than icmp_rate a second */
	left->packet.length = 28;
	rig->config.icmp_rate = 10;
	rig_configure(rig);
	rig_wait(rig, 2000);
	for (int i = 0; i < 100; i++)
		undeliverable(rig, &left->packet, UNREACHABLE_HOST);
	assert_in_range(rig->out.count, 7, 20);
	free(left);
	free(error);
}

/* RFC 5508 REQ-3: inner options are skipped, a wrong inner transport checksum does not matter, extensions stay. */
static void odd_but_good_errors_pass(void **state)
{
	static const uint8_t options[8] = {7, 7, 4, 0, 0, 0, 0, 0};
	struct rig *rig = *state;
	struct test_packet *error = malloc(sizeof(*error)), *sent = malloc(sizeof(*sent));
	uint8_t quote[200];

	packets_copy(sent, rig_send(rig, SIDE_LAN,
				    &(struct packet_spec){.protocol = PROTO_UDP,
							  .source = L1,
							  .source_port = 5000,
							  .destination = W1,
							  .destination_port = 7,
							  .ip_options = options,
							  .ip_options_length = 8,
							  .payload_length = 20}));
	sent->bytes[28 + 6] ^= 0x55; /* the UDP checksum */
	memset(quote, 0x5a, sizeof(quote));
	memcpy(quote, sent->bytes, sent->packet.length);
	packets_build_error(error, X, O1, 11, 0, 0x00200000, quote,
			    sizeof(quote)); /* RFC 4884: length, then extensions */
	struct packet *p = rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L1);
	assert_int_equal(packet_get32(p, 24), 0x00200000);
	assert_int_equal(packet_get32(p, 28 + 12), L1);
	assert_memory_equal(p->data + 28 + sent->packet.length, quote + sent->packet.length,
			    sizeof(quote) - sent->packet.length);
	assert_int_equal(packets_sum(p->data + 28, 28, 0), 0xffff);
	free(error);
	free(sent);
}

static void quoted_sequence_must_be_in_flight(void **state)
{
	struct rig *rig = *state;
	struct test_packet *sent = malloc(sizeof(*sent)), *error = malloc(sizeof(*error));

	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_SYN, 0x10000000, 0);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_SYN | FLAG_ACK, 500, 0x10000001);
	packets_copy(sent, rig_send(rig, SIDE_LAN,
				    &(struct packet_spec){.protocol = PROTO_TCP,
							  .source = L1,
							  .source_port = 5000,
							  .destination = W1,
							  .destination_port = 80,
							  .flags = FLAG_ACK,
							  .sequence = 0x10000001,
							  .acknowledge = 501,
							  .payload_length = 1000}));
	packets_build_error(error, X, O1, 3, 1, 0, sent->bytes, 28);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_forwarded(rig, SIDE_LAN);
	static const uint32_t wrong[] = {0x90000000, 0x50000000, 0xd0000000, 0x10000001 + 2000};
	for (int i = 0; i < 4; i++) {
		struct packet quoted = sent->packet;
		packet_put32(&quoted, 24, wrong[i]);
		packets_build_error(error, X, O1, 3, 1, 0, sent->bytes, 28);
		rig_send_packet(rig, SIDE_WAN, &error->packet);
		rig_dropped(rig, DROP_ICMP_QUOTE_WINDOW);
	}
	free(sent);
	free(error);
}

/* RFC 5508 REQ-7: both ends translated, and it goes back to the other inside host. */
static void errors_of_hairpins_turn_round(void **state)
{
	struct rig *rig = *state;
	struct test_packet *came = malloc(sizeof(*came)), *error = malloc(sizeof(*error)),
			   *sent = malloc(sizeof(*sent));
	uint16_t t = rig_open_udp(rig, L2, 6000, W1, 7);

	packets_copy(came, rig_udp(rig, SIDE_LAN, L1, 5000, O1, t));
	rig_forwarded(rig, SIDE_LAN);
	packets_copy(sent, &rig->packet.packet);
	packets_build_error(error, L2, O1, 3, 3, 0, came->bytes, 28);
	struct packet *p = rig_send_packet(rig, SIDE_LAN, &error->packet);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_source(p), O1);
	assert_int_equal(packets_destination(p), L1);
	assert_int_equal(packet_get32(p, 28 + 12), L1);
	assert_int_equal(packet_get32(p, 28 + 16), O1);
	assert_int_equal(packet_get16(p, 28 + 20), 5000);
	assert_int_equal(packet_get16(p, 28 + 22), t);
	free(came);
	free(error);
	free(sent);
}

/* RFC 5508 REQ-4: errors about the host's own packets are the host's. */
static void the_hosts_own_errors_are_consumed(void **state)
{
	struct rig *rig = *state;
	struct test_packet *own = malloc(sizeof(*own)), *error = malloc(sizeof(*error));

	port_set_add(&rig->config.host_udp, 123);
	rig_configure(rig);
	packets_build(own, &(struct packet_spec){.protocol = PROTO_UDP,
						 .source = O1,
						 .source_port = 123,
						 .destination = W1,
						 .destination_port = 123});
	packets_build_error(error, X, O1, 3, 1, 0, own->bytes, 28);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_consumed(rig);
	packets_build(
		own,
		&(struct packet_spec){
			.protocol = PROTO_ICMP, .source = O1, .icmp_type = 8, .source_port = 99, .destination = W1});
	packets_build_error(error, X, O1, 11, 0, 0, own->bytes, 28);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_consumed(rig);
	free(own);
	free(error);
}

/* RFC 5508 REQ-10 and 11, by type: both directions. */
static void every_type_has_its_fate(void **state)
{
	struct rig *rig = *state;

	for (uint32_t type = 0; type < 256; type++) {
		if (type == 3 || type == 11 || type == 12)
			continue;
		rig_echo(rig, SIDE_LAN, L1, W1, (uint8_t)type, 9);
		if (type == 8 || type == 13)
			rig_forwarded(rig, SIDE_WAN);
		else
			rig_dropped(rig, type == 0 || type == 14 ? DROP_ICMP_NO_FLOW : DROP_ICMP_TYPE);
	}
	for (uint32_t type = 0; type < 256; type++) {
		if (type == 3 || type == 11 || type == 12)
			continue;
		rig_echo(rig, SIDE_WAN, W1, O1, (uint8_t)type, 9);
		if (type == 0 || type == 14)
			rig_forwarded(rig, SIDE_LAN);
		else if (type == 8 || type == 13)
			rig_consumed(rig);
		else
			rig_dropped(rig, DROP_ICMP_TYPE);
	}
}

/* RFC 1812 4.3.2.8, RFC 5508 REQ-10f: a rate for each side; 0 makes none. */
static void made_errors_are_limited(void **state)
{
	struct rig *rig = *state;
	struct packet_spec big = {.protocol = PROTO_UDP,
				  .source = L1,
				  .source_port = 5000,
				  .destination = W1,
				  .destination_port = 7,
				  .df = true,
				  .payload_length = 1600};

	rig->config.icmp_rate = 10;
	rig_configure(rig);
	rig_wait(rig, 10000);
	for (int second = 0; second < 3; second++) {
		uint32_t made = 0;
		for (int i = 0; i < 100; i++) {
			rig_send(rig, SIDE_LAN, &big);
			rig_dropped(rig, DROP_TOO_BIG);
			made += rig->out.count;
		}
		assert_in_range(made, 9, 11);
		rig_wait(rig, 1000);
	}
	assert_true(rig_stat(rig, STAT_ICMP_LIMITED) >= 260);
	rig->config.icmp_rate = 0;
	rig_configure(rig);
	rig_wait(rig, 10000);
	rig_send(rig, SIDE_LAN, &big);
	rig_dropped(rig, DROP_TOO_BIG);
	assert_int_equal(rig->out.count, 0);
}

static void a_message_without_its_header_is_refused(void **state)
{
	struct rig *rig = *state;

	for (uint32_t length = 0; length < 8; length++) {
		packets_build(&rig->packet, &(struct packet_spec){.protocol = PROTO_ICMP,
								  .source = L1,
								  .destination = W1,
								  .icmp_type = 8,
								  .source_port = 7});
		rig->packet.packet.length = 20 + length;
		packet_put16(&rig->packet.packet, 2, (uint16_t)(20 + length));
		packets_fix_ip_checksum(rig->packet.bytes);
		rig_send_packet(rig, SIDE_LAN, &rig->packet.packet);
		rig_dropped(rig, DROP_ICMP_MALFORMED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_message_without_its_header_is_refused),
		rig_test(errors_from_outside_are_translated),
		rig_test(errors_from_inside_are_translated),
		rig_test(errors_change_no_flow),
		rig_test(bad_errors_are_dropped),
		rig_test(odd_but_good_errors_pass),
		rig_test(small_mtus_pass),
		rig_test(senders_hear_what_did_not_leave),
		rig_test(errors_are_not_answered),
		rig_test(some_senders_hear_nothing),
		rig_test(quoted_sequence_must_be_in_flight),
		rig_test(errors_of_hairpins_turn_round),
		rig_test(the_hosts_own_errors_are_consumed),
		rig_test(every_type_has_its_fate),
		rig_test(made_errors_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
