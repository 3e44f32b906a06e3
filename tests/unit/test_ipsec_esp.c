/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP told apart by SPI: docs/nat-behaviour.md section 11, rule by rule. */
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

/* A host alone: whatever the server sends is for it. */
static void sole_owner(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	assert_int_equal(ipsec_out(rig, L1, W1, 0x100, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa00, 1), L1);
	assert_int_equal(ipsec_in(rig, W1, 0xb00, 1), L1);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x200, 1), O1);
	assert_int_equal(ipsec_in(rig, W2, 0xa00, 1), 0);
	rig_dropped(rig, DROP_NO_OWNER);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.state, TUNNEL_IS_CONNECTED);
	assert_string_equal(view.data, "ESP");
	assert_int_equal(view.pairing, PAIRING_SOLE);
	assert_int_equal(view.inside_id, 0xb00);
	assert_int_equal(view.remote_id, 0x200);
	assert_int_equal(view.packets[SIDE_WAN], 2);
	assert_int_equal(view.packets[SIDE_LAN], 2);
}

/* Three start at once: one after the other, nothing lost, each gets its own. */
static void those_who_start_wait_for_one_another(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 1), O1);
	ipsec_out(rig, L2, W1, 0x102, 1);
	rig_held(rig);
	ipsec_out(rig, L2, W1, 0x102, 2);
	rig_held(rig);
	ipsec_out(rig, L3, W1, 0x103, 1);
	rig_held(rig);
	/* The first one's answer lets the second one go. */
	ipsec_in(rig, W1, 0xa01, 1);
	assert_int_equal(rig->out.count, 3);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L1);
	assert_int_equal(packet_get32(&rig->out.item[1].packet, 20), 0x102);
	assert_int_equal(packet_get32(&rig->out.item[1].packet, 24), 1);
	assert_int_equal(packet_get32(&rig->out.item[2].packet, 24), 2);
	ipsec_out(rig, L3, W1, 0x103, 2);
	rig_held(rig);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 2), O1);
	ipsec_in(rig, W1, 0xa02, 1);
	assert_int_equal(rig->out.count, 3);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L2);
	assert_int_equal(packet_get32(&rig->out.item[1].packet, 20), 0x103);
	assert_int_equal(ipsec_in(rig, W1, 0xa03, 1), L3);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 2), L1);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 2), L2);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	assert_int_equal(rig_stat(rig, STAT_ESP_PAIRED), 3);
	assert_int_equal(rig_stat(rig, STAT_ESP_GUESSED), 0);
}

/* A server that never answers one of them holds up the others for three seconds. */
static void a_window_closes(void **state)
{
	struct rig *rig = *state;

	ipsec_out(rig, L1, W1, 0x101, 1);
	for (uint32_t i = 1; i <= 8; i++) {
		ipsec_out(rig, L2, W1, 0x102, i);
		rig_held(rig);
	}
	ipsec_out(rig, L2, W1, 0x102, 9);
	rig_dropped(rig, DROP_ESP_QUEUE_FULL);
	rig_wait(rig, 2999);
	assert_int_equal(rig->out.count, 0);
	rig_wait(rig, 2);
	assert_int_equal(rig->out.count, 8);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(packet_get32(&rig->out.item[i].packet, 24), i + 1);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 1), L2);
	/* The first one still waits: it is the only one. */
	rig_wait(rig, 4000);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 1), L1);
}

static void pair(struct rig *rig, uint32_t inside, uint32_t remote, uint32_t number)
{
	assert_int_equal(ipsec_out(rig, inside, remote, 0x100 + number, 1), O1);
	assert_int_equal(ipsec_in(rig, remote, 0xa00 + number, 1), inside);
}

/* A phase 2 that the client asks for, and the server's answer to it. */
static void exchange(struct rig *rig, uint32_t inside, uint32_t remote, uint32_t message_id)
{
	struct ike_spec spec = {.initiator = inside, .responder = 9, .exchange = CHILD, .message_id = message_id};
	struct packet *out = ipsec_ike(rig, SIDE_LAN, inside, 500, remote, 500, &spec);

	assert_non_null(out);
	spec.response = true;
	assert_non_null(ipsec_ike(rig, SIDE_WAN, remote, 500, O1, packets_source_port(out), &spec));
}

/* New keys: who has a pair already does not wait; the server may be the first to use them. */
static void rekeys(void **state)
{
	struct rig *rig = *state;

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	rig_wait(rig, 60 * SECOND);
	/* by the client */
	assert_int_equal(ipsec_out(rig, L1, W1, 0x111, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa11, 1), L1);
	rig_wait(rig, 60 * SECOND);
	/* by the server, known from IKE */
	exchange(rig, L2, W1, 1);
	rig_wait(rig, 50);
	assert_int_equal(ipsec_in(rig, W1, 0xa12, 1), L2);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x112, 1), O1);
	/* the old ones still work */
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 2), L1);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 2), L2);
	/* nothing tells: dropped for three seconds, and then nobody is there to guess */
	rig_wait(rig, 60 * SECOND);
	for (int i = 0; i < 5; i++) {
		ipsec_in(rig, W1, 0xa55, 1);
		rig_dropped(rig, DROP_ESP_AMBIGUOUS);
		rig_wait(rig, SECOND);
	}
	/* until one of them sends with a new one, too */
	assert_int_equal(ipsec_out(rig, L2, W1, 0x155, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa55, 2), L2);
}

/* Keys change while somebody else starts: a short wait, and who has just begun to send is answered. */
static void a_rekey_beside_a_start(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	pair(rig, L1, W1, 1);
	rig_wait(rig, 60 * SECOND);
	exchange(rig, L1, W1, 1);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 1), O1);
	ipsec_out(rig, L1, W1, 0x111, 1);
	rig_held(rig);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 2), O1); /* the old keys go on */
	ipsec_in(rig, W1, 0xa02, 1);
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L2);
	assert_int_equal(packet_get32(&rig->out.item[1].packet, 20), 0x111);
	assert_int_equal(ipsec_in(rig, W1, 0xa11, 1), L1);
	/* A server that does not answer the one who starts: the other waits for a second, and IKE tells. */
	rig_wait(rig, 60 * SECOND);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x112, 1), O1);
	ipsec_out(rig, L1, W1, 0x121, 1);
	rig_held(rig);
	rig_wait(rig, 999);
	assert_int_equal(rig->out.count, 0);
	rig_wait(rig, 2);
	assert_int_equal(rig->out.count, 1);
	rig_wait(rig, 1500);
	exchange(rig, L2, W1, 2);
	assert_int_equal(ipsec_in(rig, W1, 0xa12, 1), L2);
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_int_equal(view.pairing, PAIRING_RECENCY);
}

/* Two whose keys change at one moment: IKE of the second one waits for the first one's new SPI. */
static void one_phase_two_at_a_time(void **state)
{
	struct rig *rig = *state;
	struct ike_spec child = {.initiator = 1, .responder = 11, .exchange = CHILD, .message_id = 7};

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	rig_wait(rig, 60 * SECOND);
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &child));
	assert_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &child));
	rig_held(rig);
	assert_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &child));
	rig_dropped(rig, DROP_IKE_WAITS);
	child.response = true;
	assert_non_null(ipsec_ike(rig, SIDE_WAN, W1, 500, O1, 500, &child)); /* an answer waits for nobody */
	ipsec_in(rig, W1, 0xa11, 1);
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L1);
	assert_int_not_equal(packets_source_port(&rig->out.item[1].packet), 500);
	assert_non_null(ipsec_ike(rig, SIDE_WAN, W1, 500, O1, packets_source_port(&rig->out.item[1].packet), &child));
	assert_int_equal(ipsec_in(rig, W1, 0xa12, 1), L2);
	/* without a new SPI it takes three seconds, and asking again does not make it longer */
	rig_wait(rig, 60 * SECOND);
	child.response = false;
	child.message_id = 8;
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &child));
	assert_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &child));
	rig_wait(rig, 2 * SECOND);
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &child));
	rig_wait(rig, 1001);
	assert_int_equal(rig->out.count, 1);
	/* who is never answered holds up nobody */
	for (uint32_t i = 0; i < 6; i++) {
		child.message_id = 20 + i;
		rig_wait(rig, 4 * SECOND);
		assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &child));
	}
	assert_non_null(ipsec_ike(rig, SIDE_LAN, L2, 500, W1, 500, &child));
}

static void fan_out(void **state)
{
	struct rig *rig = *state;

	rig->config.esp_fanout = true;
	rig_configure(rig);
	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	rig_wait(rig, 60 * SECOND);
	ipsec_in(rig, W1, 0xa55, 1);
	assert_int_equal(rig->result.verdict, VERDICT_FORWARDED);
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(packets_destination(&rig->out.item[0].packet) + packets_destination(&rig->out.item[1].packet),
			 L1 + L2);
}

/* The answer to the first one comes after its window, while the second one's is open. */
static void a_wrong_pairing_is_taken_back(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	ipsec_out(rig, L1, W1, 0x101, 1);
	rig_wait(rig, 3100);
	ipsec_out(rig, L2, W1, 0x102, 1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 1), L2); /* wrong, and nothing could tell */
	for (int i = 2; i < 13; i++) {
		rig_wait(rig, SECOND);
		ipsec_out(rig, L1, W1, 0x101, (uint32_t)i);
		ipsec_in(rig, W1, 0xa01, (uint32_t)i);
	}
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 20), L1);
	assert_int_equal(rig_stat(rig, STAT_ESP_REPAIRED), 1);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.pairing, PAIRING_REPAIRED);
}

/* One stray packet in the server's name, just while a host waits for its first answer. */
static void a_single_foreign_spi(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	pair(rig, L1, W1, 1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 2), L1);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0x7777, 1), L2);
	for (uint32_t i = 0; i < 4; i++) {
		ipsec_in(rig, W1, 0xa02, i + 1);
		rig_wait(rig, 300);
	}
	rig_dropped(rig, DROP_ESP_AMBIGUOUS);
	for (uint32_t i = 4; i < 14; i++)
		assert_int_equal(ipsec_in(rig, W1, 0xa02, i + 1), L2);
	assert_int_equal(rig_flows(rig), 2); /* a pair for each, and nothing of the stray one */
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_int_equal(view.pairing, PAIRING_GUESSED);
	assert_int_equal(view.inside_id, 0xa02);
	assert_int_equal(view.remote_id, 0x102);
}

/* Somebody sends in the server's name, with SPIs that nobody has: those who start and rekey still find their own. */
static void a_stranger_who_says_he_is_the_server(void **state)
{
	struct rig *rig = *state;
	uint32_t bogus = 0x7000;

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	for (int round = 0; round < 10; round++) {
		uint32_t inside = round % 2 == 0 ? L1 : L2, spi = 0x500 + (uint32_t)round;
		for (int i = 0; i < 40; i++) {
			rig_wait(rig, 200);
			ipsec_in(rig, W1, bogus++, 1);
		}
		assert_int_equal(ipsec_in(rig, W1, 0xa01, 2 + (uint32_t)round), L1);
		assert_int_equal(ipsec_in(rig, W1, 0xa02, 2 + (uint32_t)round), L2);
		assert_int_equal(ipsec_out(rig, inside, W1, spi, 1), O1);
		ipsec_in(rig, W1, bogus++, 1);
		ipsec_in(rig, W1, bogus++, 1);
		for (uint32_t i = 1; i < 12; i++)
			assert_int_equal(ipsec_in(rig, W1, spi + 0x900, i), inside);
		assert_int_equal(ipsec_out(rig, inside, W1, spi, 2), O1);
	}
}

/* An SPI that nobody can be found for has to be heard without a break to be given away. */
static void an_unclear_spi_is_forgotten(void **state)
{
	struct rig *rig = *state;

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	for (uint32_t i = 0; i < 2; i++) {
		ipsec_in(rig, W1, 0xb00, 1 + i);
		rig_dropped(rig, DROP_ESP_AMBIGUOUS);
		rig_wait(rig, 5 * SECOND);
	}
	/* Both had a second packet, so that only an unpaired SA can be meant. */
	ipsec_in(rig, W1, 0xa01, 2);
	ipsec_in(rig, W1, 0xa02, 2);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x201, 1), O1);
	rig_wait(rig, 1001);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x202, 1), O1);
	rig_wait(rig, 1001);
	ipsec_in(rig, W1, 0xb00, 3);
	rig_dropped(rig, DROP_ESP_AMBIGUOUS);
	rig_wait(rig, 2999);
	ipsec_in(rig, W1, 0xb00, 4);
	rig_dropped(rig, DROP_ESP_AMBIGUOUS);
	rig_wait(rig, 1);
	assert_int_equal(ipsec_in(rig, W1, 0xb00, 5), L1);
}

/* Hosts with pairs wait for one another for a second each. */
static void paired_hosts_wait_a_second(void **state)
{
	struct rig *rig = *state;

	for (uint32_t i = 0; i < 3; i++)
		pair(rig, L1 + i, W1, i);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x201, 1), O1);
	for (uint32_t i = 1; i < 3; i++) {
		ipsec_out(rig, L1 + i, W1, 0x201 + i, 1);
		rig_held(rig);
	}
	for (uint32_t i = 0; i < 2; i++) {
		rig_wait(rig, 999);
		assert_int_equal(rig->out.count, 0);
		rig_wait(rig, 1);
		assert_int_equal(rig->out.count, 1);
		assert_int_equal(packet_get32(&rig->out.item[0].packet, 20), 0x203 - i);
	}
}

/* All that a host kept goes before the next host, even if the first of it completes a pair. */
static void what_was_kept_goes_together(void **state)
{
	struct rig *rig = *state;

	pair(rig, L1, W1, 1);
	assert_int_equal(ipsec_in(rig, W1, 0xa11, 1), L1); /* the server begins */
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 1), O1);
	ipsec_out(rig, L1, W1, 0x111, 1);
	rig_held(rig);
	ipsec_out(rig, L1, W1, 0x121, 1);
	rig_held(rig);
	ipsec_out(rig, L3, W1, 0x103, 1);
	rig_held(rig);
	ipsec_in(rig, W1, 0xa02, 1);
	assert_int_equal(rig->out.count, 3);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L2);
	assert_int_equal(packet_get32(&rig->out.item[1].packet, 20), 0x111);
	assert_int_equal(packet_get32(&rig->out.item[2].packet, 20), 0x121);
	ipsec_in(rig, W1, 0xa21, 1);
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L1);
	assert_int_equal(packet_get32(&rig->out.item[1].packet, 20), 0x103);
	assert_int_equal(ipsec_in(rig, W1, 0xa03, 1), L3);
}

/* Who uses NAT traversal is never meant by ESP, even if its server owes an SPI. */
static void natt_gets_no_esp(void **state)
{
	struct rig *rig = *state;
	struct ike_spec spec = {.initiator = 3, .responder = 9, .exchange = CHILD, .message_id = 4, .marker = true};

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	struct packet *out = ipsec_ike(rig, SIDE_LAN, L3, PORT_NATT, W1, PORT_NATT, &spec);
	assert_non_null(out);
	spec.response = true;
	assert_non_null(ipsec_ike(rig, SIDE_WAN, W1, PORT_NATT, O1, packets_source_port(out), &spec));
	rig_wait(rig, 4 * SECOND);
	ipsec_in(rig, W1, 0xb00, 1);
	rig_dropped(rig, DROP_ESP_AMBIGUOUS);
}

static void one_spi_of_two_hosts(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	pair(rig, L1, W1, 1);
	for (uint32_t i = 2; i < 10; i++)
		assert_int_equal(ipsec_in(rig, W1, 0xa01, i * 100000), L1);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 1), L1);
	assert_int_equal(rig_stat(rig, STAT_ESP_SPI_COLLISION), 1);
	assert_true(ipsec_tunnel(rig, L2, W1, &view));
	assert_int_equal(view.hint, HINT_SPI_COLLISION);
}

/* A server on the LAN behind a forward, beside a client of the same LAN. */
static void a_server_inside(void **state)
{
	struct rig *rig = *state;

	rig->config.forward[0] = (struct forward){.protocol = PROTO_ESP, .to_address = {L3}};
	rig->config.forwards = 1;
	rig_configure(rig);
	pair(rig, L1, W1, 1);
	assert_int_equal(ipsec_in(rig, W2, 0xc00, 1), L3);
	assert_int_equal(ipsec_out(rig, L3, W2, 0x300, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 2), L1);
	assert_int_equal(ipsec_in(rig, W2, 0xc00, 2), L3);
}

static void modes(void **state)
{
	struct rig *rig = *state;

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	rig->config.mode[PART_ESP] = MODE_PLAIN;
	assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), 2);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 3), O1);
	ipsec_out(rig, L2, W1, 0x102, 3);
	rig_dropped(rig, DROP_OWNER_TAKEN);
	rig->config.mode[PART_ESP] = MODE_BLOCK;
	assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), 1);
	ipsec_out(rig, L1, W1, 0x101, 4);
	rig_dropped(rig, DROP_IPSEC_BLOCKED);
	rig->config.mode[PART_ESP] = MODE_PASS;
	assert_int_equal(engine_configure(rig->engine, &rig->config, rig->now), 0);
	pair(rig, L1, W1, 5);
}

static void expiry(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	pair(rig, L1, W1, 1);
	ipsec_out(rig, L1, W1, 0x109, 1);
	assert_int_equal(rig_flows(rig), 2);
	rig_wait(rig, 31 * SECOND + 9 * SECOND);
	assert_int_equal(rig_flows(rig), 1); /* the unpaired one is gone */
	rig_wait(rig, 3600 * SECOND);
	assert_int_equal(rig_flows(rig), 0);
	assert_false(ipsec_tunnel(rig, L1, W1, &view));
	ipsec_in(rig, W1, 0xa01, 2);
	rig_dropped(rig, DROP_NO_OWNER);
}

static void limits(void **state)
{
	struct rig *rig = *state;

	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(ipsec_in(rig, W1, 0xa00 + i, 1), 0);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 1), L1);
	/* Whoever pretends to be the server gets no more than 64 SAs. */
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(ipsec_in(rig, W1, 0xb00 + i, 1), L1);
	assert_int_equal(rig_flows(rig), 64);
	assert_int_equal(ipsec_out(rig, L1, W1, 0x101, 2), O1);
	for (uint32_t i = 0; i < 40; i++)
		ipsec_out(rig, L1 + i, W2 + i, 7, 1);
	rig_dropped(rig, DROP_TUNNELS_EXHAUSTED);
}

static void survives_a_crash(void **state)
{
	struct rig *rig = *state;

	pair(rig, L1, W1, 1);
	pair(rig, L2, W1, 2);
	pair(rig, L3, W2, 3);
	ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &(struct ike_spec){.initiator = 1, .exchange = SA_INIT});
	rig_take_over(rig);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 2), L2);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 2), L1);
	assert_int_equal(ipsec_in(rig, W2, 0xa03, 2), L3);
	assert_int_equal(ipsec_out(rig, L2, W1, 0x102, 2), O1);
	assert_int_equal(ipsec_in(rig, W2, 0xa04, 1), L3);
}

/* A first fragment waits for its turn, and the others for it. */
static void fragments_wait_with_their_first(void **state)
{
	struct rig *rig = *state;
	struct test_packet *whole = malloc(sizeof(*whole)), *piece = malloc(sizeof(*piece));

	ipsec_out(rig, L1, W1, 0x101, 1);
	packets_build(whole, &(struct packet_spec){.protocol = PROTO_ESP,
						   .source = L2,
						   .destination = W1,
						   .spi = 0x102,
						   .sequence = 1,
						   .id = 9,
						   .payload_length = 1592});
	packets_build_fragment(piece, whole, 0, 800);
	rig_send_packet(rig, SIDE_LAN, &piece->packet);
	rig_held(rig);
	packets_build_fragment(piece, whole, 800, 800);
	rig_send_packet(rig, SIDE_LAN, &piece->packet);
	rig_held(rig);
	ipsec_in(rig, W1, 0xa01, 1);
	assert_int_equal(rig->out.count, 3);
	assert_int_equal(packets_source(&rig->out.item[1].packet), O1);
	assert_int_equal(packets_source(&rig->out.item[2].packet), O1);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	free(whole);
	free(piece);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(sole_owner),
		test(those_who_start_wait_for_one_another),
		test(a_window_closes),
		test(rekeys),
		test(a_rekey_beside_a_start),
		test(one_phase_two_at_a_time),
		test(fan_out),
		test(a_wrong_pairing_is_taken_back),
		test(a_single_foreign_spi),
		test(a_stranger_who_says_he_is_the_server),
		test(an_unclear_spi_is_forgotten),
		test(paired_hosts_wait_a_second),
		test(what_was_kept_goes_together),
		test(natt_gets_no_esp),
		test(one_spi_of_two_hosts),
		test(a_server_inside),
		test(modes),
		test(expiry),
		test(limits),
		test(survives_a_crash),
		test(fragments_wait_with_their_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
