/* SPDX-License-Identifier: BSD-2-Clause */
/* IKE as it passes, and several hosts on port 500: docs/nat-behaviour.md section 11. */
#include "ipsec_rig.h"

#include <stdlib.h>

static int setup(void **state)
{
	struct rig *rig;

	ipsec_rig_setup(state);
	rig = *state;
	rig->config.host_flows = 1000;
	rig_restart(rig);
	return 0;
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

/* The first message of a client from port 500; the port it left from. */
static uint16_t begin(struct rig *rig, uint32_t inside, uint32_t remote, uint64_t initiator)
{
	struct packet *out = ipsec_ike(rig, SIDE_LAN, inside, PORT_IKE, remote, PORT_IKE,
				       &(struct ike_spec){.initiator = initiator, .exchange = SA_INIT});

	assert_non_null(out);
	return packets_source_port(out);
}

/* The server's message to a port of ours; the host that gets it, or 0. */
static uint32_t answer(struct rig *rig, uint32_t remote, uint16_t port, uint64_t initiator, uint8_t exchange)
{
	const struct ike_spec spec = {
		.initiator = initiator, .responder = initiator + 1000, .exchange = exchange, .response = true};
	struct packet *out = ipsec_ike(rig, SIDE_WAN, remote, PORT_IKE, O1, port, &spec);

	return out ? packets_destination(out) : 0;
}

static void a_lone_client_keeps_port_500(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	assert_int_equal(begin(rig, L1, W1, 1), 500);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.state, TUNNEL_IS_REQUESTED);
	assert_int_equal(answer(rig, W1, 500, 1, SA_INIT), L1);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.state, TUNNEL_IS_NEGOTIATING);
	assert_int_equal(view.ike_version, 2);
	assert_false(view.is_shared);
	rig_wait(rig, 299 * SECOND);
	assert_int_equal(answer(rig, W1, 500, 1, INFORMATIONAL), L1);
	rig_wait(rig, 20 * SECOND);
	assert_false(ipsec_tunnel(rig, L1, W1, &view));
}

/* Servers that answer to any port: everybody has a port of its own, however often messages are lost elsewhere. */
static void clients_float(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(begin(rig, L1, W1, 1), 500);
	assert_int_equal(answer(rig, W1, 500, 1, SA_INIT), L1);
	uint16_t port = begin(rig, L2, W1, 2);
	assert_int_not_equal(port, 500);
	assert_in_range(port, 1, 1023);
	assert_int_equal(begin(rig, L2, W1, 2), port);
	assert_int_equal(answer(rig, W1, port, 2, SA_INIT), L2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(begin(rig, L2, W1, 3), port);
	assert_int_equal(answer(rig, W1, port, 3, SA_INIT), L2);
	assert_int_equal(rig_stat(rig, STAT_IKE_SHARED), 0);
}

/* L1 has port 500 and is answered; L2's first messages stay without an answer. */
static void share(struct rig *rig)
{
	assert_int_equal(begin(rig, L1, W1, 1), 500);
	assert_int_equal(answer(rig, W1, 500, 1, SA_INIT), L1);
	uint16_t port = begin(rig, L2, W1, 2);
	assert_int_not_equal(port, 500);
	assert_int_equal(begin(rig, L2, W1, 2), port);
	assert_int_equal(begin(rig, L2, W1, 2), port);
	assert_int_equal(begin(rig, L2, W1, 2), port); /* in haste: the server may be slow */
	rig_wait(rig, 3 * SECOND);
	assert_int_equal(begin(rig, L2, W1, 2), 500);
}

static void a_server_that_insists_on_port_500(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	share(rig);
	assert_int_equal(answer(rig, W1, 500, 2, SA_INIT), L2);
	assert_int_equal(answer(rig, W1, 500, 1, SA_INIT), L1);
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_true(view.is_shared);
	assert_int_equal(view.hint, HINT_PORT_SHARED);
	assert_int_equal(rig_stat(rig, STAT_IKE_SHARED), 1);
	/* It is known now: the third one shares at once, another server is not affected. */
	assert_int_equal(begin(rig, L3, W1, 3), 500);
	assert_int_equal(answer(rig, W1, 500, 3, SA_INIT), L3);
	assert_int_not_equal(begin(rig, L2, W2, 4), 500);
	/* New initiator SPIs: a client's own, and one that the server begins with. */
	assert_int_equal(begin(rig, L2, W1, 5), 500);
	assert_int_equal(answer(rig, W1, 500, 5, SA_INIT), L2);
	rig_wait(rig, 20 * SECOND);
	assert_int_equal(answer(rig, W1, 500, 77, INFORMATIONAL), 0);
	rig_dropped(rig, DROP_IKE_NO_PEER);
	ipsec_ike(rig, SIDE_LAN, L3, PORT_IKE, W1, PORT_IKE,
		  &(struct ike_spec){.initiator = 3, .responder = 1003, .exchange = CHILD});
	assert_int_equal(answer(rig, W1, 500, 78, INFORMATIONAL), L3);
}

/* The one who owned port 500 is gone: the others are found without it. */
static void the_owner_of_the_port_leaves(void **state)
{
	struct rig *rig = *state;

	share(rig);
	assert_int_equal(answer(rig, W1, 500, 2, SA_INIT), L2);
	for (int i = 0; i < 4; i++) {
		rig_wait(rig, 100 * SECOND);
		assert_int_equal(begin(rig, L2, W1, 2), 500);
		assert_int_equal(answer(rig, W1, 500, 2, SA_INIT), L2);
	}
	assert_int_equal(rig_flows(rig), 1);
	assert_int_equal(answer(rig, W1, 500, 2, INFORMATIONAL), L2);
	assert_int_equal(answer(rig, W2, 500, 2, INFORMATIONAL), 0);
	rig_dropped(rig, DROP_UNSOLICITED);
}

/* Port 500 does not help either: back to the client's own, and again. */
static void a_server_that_is_down(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	share(rig);
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_true(view.is_shared);
	assert_int_equal(view.hint, HINT_NONE); /* nobody knows yet whether sharing helps */
	assert_int_equal(begin(rig, L2, W1, 2), 500);
	rig_wait(rig, 8 * SECOND);
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_int_equal(view.hint, HINT_NO_ANSWER);
	assert_int_equal(begin(rig, L2, W1, 2), 500);
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_int_equal(view.hint, HINT_NO_ANSWER);
	assert_int_not_equal(begin(rig, L2, W1, 2), 500);
}

/* Nobody else is there, so the port is the client's own all the time. */
static void a_server_that_is_down_for_a_lone_client(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	assert_int_equal(begin(rig, L1, W1, 1), 500);
	rig_wait(rig, 9 * SECOND);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.hint, HINT_NONE);
	rig_wait(rig, SECOND);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.hint, HINT_NO_ANSWER);
	assert_int_equal(answer(rig, W1, 500, 1, SA_INIT), L1);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.hint, HINT_NONE);
}

/* Nothing tells two hosts with one initiator SPI apart. */
static void equal_initiator_spis(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	assert_int_equal(begin(rig, L1, W1, 9), 500);
	assert_int_equal(answer(rig, W1, 500, 9, SA_INIT), L1);
	for (int i = 0; i < 10; i++) {
		rig_wait(rig, SECOND);
		assert_int_not_equal(begin(rig, L2, W1, 9), 500);
	}
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_int_equal(view.hint, HINT_SHARE_IMPOSSIBLE);
	assert_int_equal(answer(rig, W1, 500, 9, SA_INIT), L1);
}

static void sharing_survives_a_crash(void **state)
{
	struct rig *rig = *state;

	share(rig);
	assert_int_equal(answer(rig, W1, 500, 2, SA_INIT), L2);
	rig_take_over(rig);
	assert_int_equal(answer(rig, W1, 500, 2, INFORMATIONAL), L2);
	assert_int_equal(answer(rig, W1, 500, 1, INFORMATIONAL), L1);
	assert_int_equal(begin(rig, L2, W1, 2), 500);
	assert_int_equal(begin(rig, L3, W1, 3), 500);
	rig->config.mode[PART_IKE] = MODE_PLAIN;
	rig_configure(rig);
	assert_int_not_equal(begin(rig, L2, W1, 2), 500);
	assert_int_equal(begin(rig, L1, W1, 1), 500);
}

/* What a router on the way says about a message from the shared port goes to its sender. */
static void errors_about_shared_messages(void **state)
{
	struct rig *rig = *state;
	struct test_packet *error = malloc(sizeof(*error)), *sent = malloc(sizeof(*sent));

	share(rig);
	assert_int_equal(answer(rig, W1, 500, 2, SA_INIT), L2);
	for (uint64_t who = 1; who <= 3; who++) {
		assert_int_equal(begin(rig, who == 1 ? L1 : L2, W1, who == 1 ? 1 : 2), 500);
		packets_copy(sent, &rig->out.item[0].packet);
		uint32_t quoted = who == 3 ? 28 : 60;
		packets_build_error(error, X, O1, 3, 4, 1200, sent->bytes, quoted);
		rig_send_packet(rig, SIDE_WAN, &error->packet);
		if (who == 3) {
			rig_dropped(rig, DROP_ICMP_QUOTE_UNKNOWN);
			continue;
		}
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packets_destination(&rig->out.item[0].packet), who == 1 ? L1 : L2);
		assert_int_equal(packet_get32(&rig->out.item[0].packet, 28 + 12), who == 1 ? L1 : L2);
		assert_int_equal(packet_get16(&rig->out.item[0].packet, 28 + 20), 500);
	}
	free(error);
	free(sent);
}

/* Several messages in one packet of the kernel's, for two hosts. */
static void merged_messages_part(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[3 * 40] = {0};

	share(rig);
	assert_int_equal(answer(rig, W1, 500, 2, SA_INIT), L2);
	for (int i = 0; i < 3; i++) {
		uint8_t *at = bytes + 40 * i;
		at[7] = i == 1 ? 2 : 1;
		at[8] = 1;
		at[17] = 0x20;
		at[18] = INFORMATIONAL;
		at[27] = i == 2 ? 30 : 40;
	}
	uint64_t received = engine_counters(rig->engine)->received[SIDE_WAN];
	rig_send(rig, SIDE_WAN,
		 &(struct packet_spec){.protocol = PROTO_UDP,
				       .source = W1,
				       .source_port = 500,
				       .destination = O1,
				       .destination_port = 500,
				       .payload = bytes,
				       .payload_length = 110,
				       .gso_size = 40});
	assert_int_equal(rig->out.count, 3);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L1);
	assert_int_equal(packets_destination(&rig->out.item[1].packet), L2);
	assert_int_equal(packets_destination(&rig->out.item[2].packet), L1);
	assert_int_equal(rig->out.item[2].packet.length, 20 + 8 + 30);
	assert_int_equal(engine_counters(rig->engine)->received[SIDE_WAN], received + 3);
}

/* UDP 4500: three kinds, and the tunnel that their data makes. */
static void nat_traversal(void **state)
{
	static const uint8_t esp[40] = {0, 0, 1, 2, 0, 0, 0, 1}, keepalive[1] = {0xff}, other[3] = {1, 2, 3};
	struct rig *rig = *state;
	struct tunnel_view view;
	struct packet_spec out = {.protocol = PROTO_UDP,
				  .source = L1,
				  .source_port = PORT_NATT,
				  .destination = W1,
				  .destination_port = PORT_NATT,
				  .payload = esp,
				  .payload_length = sizeof(esp)};
	struct packet_spec in = out;

	in.source = W1;
	in.destination = O1;
	ipsec_ike(rig, SIDE_LAN, L1, PORT_NATT, W1, PORT_NATT,
		  &(struct ike_spec){.initiator = 1, .exchange = AUTH, .marker = true});
	rig_forwarded(rig, SIDE_WAN);
	rig_send(rig, SIDE_LAN, &out);
	rig_forwarded(rig, SIDE_WAN);
	rig_send(rig, SIDE_WAN, &in);
	rig_forwarded(rig, SIDE_LAN);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.state, TUNNEL_IS_CONNECTED);
	assert_string_equal(view.data, "ESP in UDP");
	assert_int_equal(view.packets[SIDE_LAN], 1);
	assert_int_equal(view.packets[SIDE_WAN], 1);
	out.payload = keepalive, out.payload_length = 1;
	rig_send(rig, SIDE_LAN, &out);
	rig_forwarded(rig, SIDE_WAN);
	out.payload = other, out.payload_length = 3;
	rig_send(rig, SIDE_LAN, &out);
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(rig_stat(rig, STAT_NATT_ESP), 2);
	assert_int_equal(rig_stat(rig, STAT_NATT_KEEPALIVE), 1);
	assert_int_equal(rig_stat(rig, STAT_IKE_MESSAGES), 1);
	assert_int_equal(rig_stat(rig, STAT_IKE_MALFORMED), 1);
	/* Its ESP goes in UDP: native ESP of another host to the same server needs no choice. */
	assert_int_equal(ipsec_out(rig, L2, W1, 0x100, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa00, 1), L2);
}

/* What both ends said in clear, and what follows from it. */
static void facts_and_hints(void **state)
{
	static const uint8_t natt_id[16] = {0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45,
					    0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45, 0x2f};
	struct rig *rig = *state;
	struct tunnel_view view;

	ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500,
		  &(struct ike_spec){.initiator = 1,
				     .version = 1,
				     .exchange = MAIN,
				     .clear_type = 13,
				     .clear = natt_id,
				     .clear_length = sizeof(natt_id)});
	ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500,
		  &(struct ike_spec){.initiator = 1, .responder = 2, .version = 1, .exchange = MAIN});
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.ike_version, 1);
	assert_true(view.natt_inside);
	assert_false(view.natt_remote);
	for (uint32_t i = 1; i < 13; i++) {
		assert_int_equal(ipsec_out(rig, L1, W1, 0x100, i), O1);
		rig_wait(rig, SECOND);
	}
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.silent, SIDE_WAN);
	assert_int_equal(view.hint, HINT_NATT_ONE_END);
	rig_portless(rig, SIDE_LAN, PROTO_AH, L1, W1);
	rig_dropped(rig, DROP_AH_UNTRANSLATABLE);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.hint, HINT_AH_SEEN);
	for (uint32_t i = 1; i < 13; i++) {
		assert_int_equal(ipsec_out(rig, L2, W2, 0x100, i), O1);
		rig_wait(rig, SECOND);
	}
	assert_true(ipsec_tunnel(rig, L2, W2, &view));
	assert_int_equal(view.hint, HINT_ESP_ONE_WAY);
}

static void natt_data(struct rig *rig, uint32_t inside, uint16_t port, bool answered)
{
	static const uint8_t esp[40] = {0, 0, 1, 2, 0, 0, 0, 1};
	struct packet_spec spec = {.protocol = PROTO_UDP,
				   .source = inside,
				   .source_port = PORT_NATT,
				   .destination = W1,
				   .destination_port = PORT_NATT,
				   .payload = esp,
				   .payload_length = sizeof(esp)};

	rig_send(rig, SIDE_LAN, &spec);
	rig_forwarded(rig, SIDE_WAN);
	if (!answered)
		return;
	spec.source = W1, spec.source_port = PORT_NATT, spec.destination = O1, spec.destination_port = port;
	rig_send(rig, SIDE_WAN, &spec);
	rig_forwarded(rig, SIDE_LAN);
}

/* L1 works until L2 comes: the complaint that is heard most. */
static void two_clients_in_transport_mode(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;
	struct flow_view flow;

	natt_data(rig, L1, PORT_NATT, true);
	rig_wait(rig, 20 * SECOND);
	natt_data(rig, L1, PORT_NATT, true);
	natt_data(rig, L2, 0, false);
	assert_true(rig_flow(rig, PROTO_UDP, L2, PORT_NATT, W1, PORT_NATT, &flow));
	for (int i = 0; i < 12; i++) {
		rig_wait(rig, SECOND);
		natt_data(rig, L1, 0, false);
		natt_data(rig, L2, flow.outside_port, true);
	}
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.silent, SIDE_WAN);
	assert_int_equal(view.hint, HINT_TRANSPORT_CLASH);
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_int_equal(view.hint, HINT_NONE);
}

static void a_server_inside(void **state)
{
	static const uint8_t windows[20] = {0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96,
					    0xfc, 0xbf, 0xb5, 0x87, 0xe4, 0x61, 0,    0,    0,    9};
	struct rig *rig = *state;
	struct tunnel_view view;
	struct ike_spec spec = {.initiator = 1, .version = 1, .exchange = MAIN};

	rig->config.forward[0] = (struct forward){
		.protocol = PROTO_UDP, .port_first = 500, .port_last = 500, .to_address = {L3}, .to_port = 500};
	rig->config.forwards = 1;
	rig_configure(rig);
	ipsec_ike(rig, SIDE_WAN, W2, 500, O1, 500, &spec);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L3);
	spec.responder = 2, spec.clear_type = 13, spec.clear = windows, spec.clear_length = sizeof(windows);
	ipsec_ike(rig, SIDE_LAN, L3, 500, W2, 500, &spec);
	rig_forwarded(rig, SIDE_WAN);
	rig_wait(rig, 11 * SECOND);
	assert_true(ipsec_tunnel(rig, L3, W2, &view));
	assert_true(view.inside_is_server);
	assert_int_equal(view.hint, HINT_WINDOWS_SERVER);
	/* Clients inside float beside it. */
	assert_int_not_equal(begin(rig, L1, W1, 7), 500);
}

/* Strangers who knock get a quarter of the records. */
static void knocking(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;
	const struct ike_spec spec = {.initiator = 1, .exchange = SA_INIT};
	uint32_t seen = 0;

	rig->config.forward[0] = (struct forward){
		.protocol = PROTO_UDP, .port_first = 500, .port_last = 500, .to_address = {L3}, .to_port = 500};
	rig->config.forwards = 1;
	rig_configure(rig);
	for (uint32_t i = 0; i < 20; i++)
		ipsec_ike(rig, SIDE_WAN, W2 + i, 500, O1, 500, &spec);
	for (uint32_t i = 0; i < 20; i++)
		seen += ipsec_tunnel(rig, L3, W2 + i, &view);
	assert_int_equal(seen, 4);
	assert_int_equal(rig_stat(rig, STAT_IPSEC_UNREAD), 16);
	/* One that is answered is read from then on. */
	ipsec_ike(rig, SIDE_LAN, L3, 500, W2 + 19, 500,
		  &(struct ike_spec){.initiator = 1, .responder = 2, .exchange = SA_INIT, .response = true});
	assert_true(ipsec_tunnel(rig, L3, W2 + 19, &view));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_lone_client_keeps_port_500),
		test(clients_float),
		test(a_server_that_insists_on_port_500),
		test(the_owner_of_the_port_leaves),
		test(a_server_that_is_down),
		test(a_server_that_is_down_for_a_lone_client),
		test(equal_initiator_spis),
		test(sharing_survives_a_crash),
		test(errors_about_shared_messages),
		test(merged_messages_part),
		test(nat_traversal),
		test(facts_and_hints),
		test(two_clients_in_transport_mode),
		test(a_server_inside),
		test(knocking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
