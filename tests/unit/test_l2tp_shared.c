/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers that answer only what comes from port 1701: several inside hosts use that port towards them, and Tunnel IDs
 * tell them apart.
 */
#include "l2tp_rig.h"

static void ask_in_vain(struct dialer *d, int times)
{
	for (int i = 0; i < times; i++) {
		dialer_ask(d);
		assert_int_not_equal(d->seen_port, PORT);
		rig_wait(d->rig, SECOND);
	}
}

/* One client that owns the port, and another that has to share it. */
static void two_clients(struct rig *rig, struct dialer *owner, struct dialer *d, uint16_t owners_id, uint16_t id)
{
	*owner = dialer_of(rig, L1, PORT, W1, owners_id);
	*d = dialer_of(rig, L2, PORT, W1, id);
	dialer_dial(owner, 500);
	assert_int_equal(owner->seen_port, PORT);
	ask_in_vain(d, 3);
	dialer_ask(d);
	assert_int_equal(d->seen_port, PORT);
	dialer_answer(d, 501);
	dialer_say(d, SIDE_LAN, SCCCN, 0, 0);
}

static void two_clients_share(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d;
	struct tunnel_view v;

	two_clients(rig, &owner, &d, 7, 8);
	assert_int_equal(d.seen_id, 8);
	for (int i = 0; i < 3; i++) {
		dialer_data(&owner);
		dialer_data(&d);
		assert_int_equal(d.seen_port, PORT);
	}
	assert_true(rig_tunnel(rig, L2, 8, &v));
	assert_true(v.is_shared);
	assert_int_equal(v.hint, HINT_PORT_SHARED);
	assert_int_equal(v.state, TUNNEL_IS_CONNECTED);
	assert_true(rig_tunnel(rig, L1, 7, &v));
	assert_false(v.is_shared);
	assert_int_equal(rig_stat(rig, STAT_L2TP_SHARED), 1);
	assert_int_equal(rig_stat(rig, STAT_L2TP_REWRITTEN), 0);
	dialer_stop(&owner, SIDE_LAN);
	dialer_say(&owner, SIDE_WAN, 0, 0, 0);
	dialer_data(&d);
	rig_wait(rig, 200 * SECOND);
	dialer_data(&d);
	rig_wait(rig, 200 * SECOND); /* the owner's flow is gone */
	dialer_data(&d);
	assert_int_equal(rig_flows(rig), 1);
}

static void equal_ids_are_translated(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d[4];

	two_clients(rig, &owner, &d[0], 1, 1);
	assert_int_not_equal(d[0].seen_id, 1);
	for (uint16_t i = 1; i < 4; i++) { /* the server is known now */
		d[i] = dialer_of(rig, L2 + i, PORT, W1, 1);
		dialer_dial(&d[i], (uint16_t)(501 + i));
		assert_int_equal(d[i].seen_port, PORT);
		for (uint16_t k = 0; k < i; k++)
			assert_int_not_equal(d[i].seen_id, d[k].seen_id);
	}
	for (uint16_t i = 0; i < 4; i++) {
		dialer_data(&d[i]);
		dialer_data(&owner);
		dialer_say(&d[i], SIDE_LAN, ICRQ, 0, 77);
		dialer_say(&d[i], SIDE_WAN, ICRP, 77, 78);
		dialer_say(&d[i], SIDE_LAN, ICCN, 78, 0);
		dialer_say(&d[i], SIDE_WAN, HELLO, 0, 0);
	}
	uint16_t before = d[1].seen_id;
	dialer_stop(&d[1], SIDE_LAN);
	dialer_say(&d[1], SIDE_WAN, 0, 0, 0);
	dialer_stop(&d[1], SIDE_LAN); /* again, because that was lost */
	dialer_say(&d[1], SIDE_WAN, 0, 0, 0);
	assert_int_equal(d[1].seen_id, before);
	dialer_stop(&d[2], SIDE_WAN);
	dialer_data(&d[3]);
	rig_take_over(rig);
	dialer_data(&owner);
	dialer_data(&d[0]);
	dialer_data(&d[3]);
	assert_true(rig_stat(rig, STAT_L2TP_REWRITTEN) > 40);
	rig_wait(rig, 100 * SECOND); /* what was drained is nobody's */
	struct dialer late = d[1];
	dialer_stray(&late, PORT, before);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L1);
}

/* The owner's next tunnel takes an ID that a host which shares the port has already. */
static void the_owner_comes_second(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d, again;

	two_clients(rig, &owner, &d, 7, 8);
	again = dialer_of(rig, L1, PORT, W1, 8);
	dialer_dial(&again, 600);
	assert_int_equal(again.seen_port, PORT);
	assert_int_not_equal(again.seen_id, 8);
	dialer_data(&again);
	dialer_data(&d);
	dialer_data(&owner);
}

/* A checksum of 0 stays 0; the rig verifies all others. */
static void without_a_checksum(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d;
	static struct l2tp_message_bytes m;

	two_clients(rig, &owner, &d, 1, 1);
	l2tp_begin(&m, 2, d.seen_id, 0, 5, 5);
	l2tp_add16(&m, 0, HELLO);
	struct packet *p = rig_send(rig, SIDE_WAN,
				    &(struct packet_spec){.protocol = PROTO_UDP,
							  .source = W1,
							  .source_port = PORT,
							  .destination = O1,
							  .destination_port = PORT,
							  .payload = m.bytes,
							  .payload_length = m.length,
							  .udp_no_checksum = true});
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L2);
	assert_int_equal(packet_get16(p, 26), 0);
	assert_int_equal(packet_get16(p, 28 + 4), 1);
}

static void fragments_of_data(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d;
	static struct test_packet whole, piece;
	static uint8_t bytes[1200] = {0, 2};

	two_clients(rig, &owner, &d, 1, 1);
	for (int odd = 0; odd < 2; odd++) {
		l2tp_put(bytes + 2, d.seen_id, 2);
		packets_build(&whole, &(struct packet_spec){.protocol = PROTO_UDP,
							    .id = (uint16_t)(77 + odd),
							    .source = W1,
							    .source_port = PORT,
							    .destination = O1,
							    .destination_port = PORT,
							    .payload = bytes,
							    .payload_length = sizeof(bytes)});
		rig->wrong_sums = true; /* of pieces there is none */
		packets_build_fragment(&piece, &whole, odd ? 800 : 0, odd ? 408 : 800);
		rig_send_packet(rig, SIDE_WAN, &piece.packet);
		if (odd)
			rig_held(rig);
		else
			rig_forwarded(rig, SIDE_LAN);
		packets_build_fragment(&piece, &whole, odd ? 0 : 800, odd ? 800 : 408);
		rig_send_packet(rig, SIDE_WAN, &piece.packet);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(rig->out.count, 1 + odd);
		for (uint32_t i = 0; i < rig->out.count; i++)
			assert_int_equal(packets_destination(&rig->out.item[i].packet), L2);
		if (odd)
			assert_int_equal(packet_get16(&rig->out.item[0].packet, 28 + 2), 1);
		rig->wrong_sums = false;
	}
}

/* An error about what left from the shared port, by the ID that is quoted; told to nobody rather than to the wrong one.
 */
static void quotes(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d[2];
	static struct test_packet sent, error;
	static const uint32_t lengths[] = {28 + 2, 28 + 8, 200, 28};

	two_clients(rig, &owner, &d[0], 1, 1);
	d[1] = d[0];
	for (int who = 0; who < 3; who++) {
		struct dialer *each = who ? &d[0] : &owner;
		if (who < 2) {
			dialer_say(each, SIDE_LAN, HELLO, 0, 0);
		} else {
			d[0] = dialer_of(rig, L3, PORT, W1, 1);
			dialer_ask(each);
		}
		packets_copy(&sent, &rig->out.item[0].packet);
		assert_int_equal(packets_source_port(&sent.packet), PORT);
		for (unsigned i = who == 2 ? 2 : 0; i < 4; i++) {
			uint32_t quote = lengths[i] < sent.packet.length ? lengths[i] : sent.packet.length;
			packets_build_error(&error, X, O1, 3, 4, 1400, sent.bytes, quote);
			struct packet *p = rig_send_packet(rig, SIDE_WAN, &error.packet);
			if (quote < 28 + 12) {
				rig_dropped(rig, DROP_ICMP_QUOTE_UNKNOWN);
				continue;
			}
			rig_forwarded(rig, SIDE_LAN);
			assert_int_equal(packets_destination(p), each->inside);
			assert_int_equal(packet_get32(p, 28 + 12), each->inside);
			assert_int_equal(packet_get16(p, 28 + 20), PORT);
		}
	}
	dialer_data(&d[1]);
	dialer_data(&owner);
}

/* An inside host's error about what came through the shared port quotes what the server has sent: to port 1701. */
static void errors_of_a_client(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d;
	static struct test_packet got, error;

	two_clients(rig, &owner, &d, 1, 2);
	dialer_say(&d, SIDE_WAN, HELLO, 0, 0);
	packets_copy(&got, &rig->out.item[0].packet);
	packets_build_error(&error, L2, W1, 3, 3, 0, got.bytes, 28 + 12);
	struct packet *p = rig_send_packet(rig, SIDE_LAN, &error.packet);
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(packet_get32(p, 28 + 16), O1);
	assert_int_equal(packet_get16(p, 28 + 22), PORT);
}

/* --- when to share, and when not --- */

static void a_server_that_is_down(void **state)
{
	struct rig *rig = *state;
	struct dialer owner = dialer_of(rig, L1, PORT, W1, 1), d = dialer_of(rig, L2, PORT, W1, 2);

	for (int i = 0; i < 10; i++) {
		dialer_ask(&owner);
		assert_int_equal(owner.seen_port, PORT);
		ask_in_vain(&d, 1); /* the owner is not answered either */
	}
	dialer_answer(&owner, 9);
	dialer_ask(&d);
	assert_int_equal(d.seen_port, PORT);
}

static void turn_by_turn(void **state)
{
	struct rig *rig = *state;
	struct dialer owner = dialer_of(rig, L1, PORT, W1, 1), d = dialer_of(rig, L2, PORT, W1, 1);

	dialer_dial(&owner, 9);
	for (int round = 0; round < 3; round++) {
		ask_in_vain(&d, 3);
		uint16_t own = d.seen_port;
		for (int i = 0; i < 3; i++) {
			dialer_ask(&d);
			assert_int_equal(d.seen_port, PORT);
			assert_int_not_equal(d.seen_id, 1);
		}
		assert_int_not_equal(own, PORT);
	}
	dialer_ask(&d);
	assert_int_not_equal(d.seen_port, PORT);
	dialer_answer(&d, 10); /* to its own port */
	dialer_say(&d, SIDE_LAN, SCCCN, 0, 0);
	dialer_data(&d);
	dialer_data(&owner);
	/* It is no strict one: the next host keeps its own port. */
	struct dialer third = dialer_of(rig, L3, PORT, W1, 1);
	dialer_dial(&third, 11);
	assert_int_not_equal(third.seen_port, PORT);
	assert_int_not_equal(third.seen_port, d.seen_port);
}

/* The owner's flow has ended; its port rests. */
static void nobody_owns_the_port(void **state)
{
	struct rig *rig = *state;
	struct dialer owner = dialer_of(rig, L1, PORT, W1, 1), d = dialer_of(rig, L2, PORT, W1, 2);

	dialer_ask(&owner);
	rig_wait(rig, 250 * SECOND);
	ask_in_vain(&d, 1);
	rig_wait(rig, 51 * SECOND);
	assert_int_equal(rig_flows(rig), 1);
	ask_in_vain(&d, 2);
	dialer_ask(&d);
	assert_int_equal(d.seen_port, PORT);
	dialer_answer(&d, 5);
	dialer_say(&d, SIDE_LAN, SCCCN, 0, 0);
	dialer_data(&d);
	dialer_stray(&d, PORT, 99);
	rig_dropped(rig, DROP_L2TP_NO_TUNNEL);
	dialer_stray(&d, PORT, 0);
	rig_dropped(rig, DROP_UNSOLICITED);
	rig_take_over(rig);
	d.seen_port = PORT;
	dialer_data(&d);
	dialer_stray(&d, PORT, 99);
	rig_dropped(rig, DROP_L2TP_NO_TUNNEL);
}

static void strict_for_a_day(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d;

	two_clients(rig, &owner, &d, 1, 2);
	rig_wait(rig, 23 * 60 * MINUTE);
	assert_int_equal(rig_flows(rig), 0);
	rig_take_over(rig);
	for (int day = 0; day < 2; day++) {
		dialer_ask(&owner);
		dialer_ask(&d);
		if (day)
			assert_int_not_equal(d.seen_port, PORT);
		else
			assert_int_equal(d.seen_port, PORT);
		rig_wait(rig, 2 * 60 * MINUTE);
	}
}

static void many_strict_servers(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d;

	rig->config.host_flows = 1000;
	rig_configure(rig);
	rig->in_haste = true;
	for (uint32_t i = 0; i < 70; i++) {
		owner = dialer_of(rig, L1, PORT, W1 + i, 1);
		d = dialer_of(rig, L2, PORT, W1 + i, 1);
		dialer_dial(&owner, 1);
		ask_in_vain(&d, 3);
		dialer_ask(&d);
		dialer_answer(&d, 2);
		rig_wait(rig, 301 * SECOND);
	}
	for (uint32_t i = 0; i < 70; i++) { /* those of the first six were forgotten */
		owner = dialer_of(rig, L1, PORT, W1 + i, 1);
		d = dialer_of(rig, L2, PORT, W1 + i, 1);
		dialer_dial(&owner, 1);
		dialer_ask(&d);
		assert_int_equal(d.seen_port == PORT, i >= 6);
		rig_wait(rig, 301 * SECOND);
	}
	rig->in_haste = false;
	rig_check(rig);
}

static void what_can_not_be_told_apart(void **state)
{
	struct rig *rig = *state;
	static struct l2tp_message_bytes m;
	struct dialer owner, d, e;

	two_clients(rig, &owner, &d, 1, 2);
	for (int kind = 0; kind < 3; kind++) { /* hidden; signed; version 3 */
		e = dialer_of(rig, L3 + (uint32_t)kind, PORT, W1, 3);
		l2tp_begin(&m, kind == 2 ? 3 : 2, 0, 0, 0, 0);
		l2tp_add16(&m, 0, SCCRQ);
		if (kind == 0)
			l2tp_add(&m, AVP_M | AVP_H, 0, 9, NULL, 18);
		if (kind == 1) {
			l2tp_add(&m, AVP_M, 0, 59, NULL, 17);
			l2tp_add16(&m, 9, 3);
		}
		if (kind == 2)
			l2tp_add32(&m, 61, 3);
		for (int i = 0; i < 8; i++) {
			dialer_send(&e, SIDE_LAN, m.bytes, m.length);
			dialer_arrived(&e, SIDE_LAN, m.bytes, m.length, 0);
			assert_int_not_equal(e.seen_port, PORT);
		}
	}
	dialer_data(&d);
	dialer_data(&owner);
}

/* A tunnel that is up stays where it is, whatever else its client asks for. */
static void not_while_in_use(void **state)
{
	struct rig *rig = *state;
	struct dialer owner = dialer_of(rig, L1, PORT, W1, 1), d = dialer_of(rig, L2, PORT, W1, 2),
		      more = dialer_of(rig, L2, PORT, W1, 3);

	dialer_dial(&owner, 9);
	dialer_dial(&d, 10);
	ask_in_vain(&more, 10);
	dialer_data(&d);
	uint16_t port = d.seen_port;
	assert_int_not_equal(port, PORT);
	assert_int_equal(port, more.seen_port);
}

/* Only those who call from port 1701 have a reason to share it. */
static void from_other_ports(void **state)
{
	struct rig *rig = *state;
	struct dialer owner = dialer_of(rig, L1, PORT, W1, 1), d = dialer_of(rig, L2, 5555, W1, 2);

	dialer_dial(&owner, 9);
	ask_in_vain(&d, 10);
	assert_int_equal(d.seen_port, 5555);
}

/* The router itself uses its port 1701. */
static void a_port_of_the_router(void **state)
{
	struct rig *rig = *state;
	struct dialer one = dialer_of(rig, L1, PORT, W1, 1), d = dialer_of(rig, L2, PORT, W1, 2);

	port_set_add(&rig->config.host_udp, PORT);
	rig_configure(rig);
	dialer_dial(&one, 9);
	assert_int_not_equal(one.seen_port, PORT);
	ask_in_vain(&d, 10);
	assert_int_equal(rig_stat(rig, STAT_L2TP_SHARED), 0);
	dialer_stray(&d, PORT, 2);
	rig_dropped(rig, DROP_NOT_OPEN);
	dialer_data(&one);
}

/* --- harm --- */

/* A server that says what it likes to whom it likes: what is for the hosts of another server never moves, and what it
 * sends goes only to hosts that talk to it. */
static void a_hostile_server(void **state)
{
	struct rig *rig = *state;
	struct dialer owner, d, victim = dialer_of(rig, L3, 40000, W2, 2);
	struct test_random r = test_random_seed(4);
	static struct l2tp_message_bytes m;

	two_clients(rig, &owner, &d, 1, 1);
	dialer_dial(&victim, 6);
	for (int i = 0; i < 6000; i++) {
		uint16_t ids[] = {1, 2, d.seen_id, 0, (uint16_t)test_random_next(&r)};
		struct dialer evil = i & 1 ? owner : d;
		evil.remote_port = test_random_one_in(&r, 4) ? 40000 : PORT;
		evil.seen_port = test_random_one_in(&r, 4) ? victim.seen_port : PORT;
		rig->in_haste = i % 50;
		l2tp_begin(&m, 2, ids[test_random_below(&r, 5)], 0, (uint16_t)test_random_next(&r), 0);
		l2tp_add16(&m, 0, 1 + test_random_below(&r, 16));
		l2tp_add16(&m, test_random_one_in(&r, 2) ? 9 : 14, ids[test_random_below(&r, 5)]);
		struct packet *p = dialer_send(&evil, SIDE_WAN, m.bytes, m.length);
		if (p && evil.seen_port == PORT)
			assert_true(packets_destination(p) == L1 || packets_destination(p) == L2);
	}
	dialer_data(&victim);
	rig_expect_tunnel(rig, L3, 2, TUNNEL_IS_CONNECTED, END_NOT);
	/* Those who talk to it are at its mercy, but for whose packets are whose. */
	dialer_stray(&d, PORT, d.seen_id);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L2);
}

static void ten_thousand(void **state)
{
	struct rig *rig = *state;
	enum { MANY = 10000 };
	static struct dialer d[MANY];

	rig->limits = (struct engine_limits){
		.flows = 2 * MANY, .hosts = MANY + 100, .addresses = 1, .fragments = 64, .tunnels = MANY};
	rig->config.inside[0].prefix = (struct prefix){{0x0a000000}, 8};
	rig_restart(rig);
	rig->in_haste = true;
	struct dialer first, second;
	two_clients(rig, &first, &second, 1, 1);
	for (uint32_t i = 0; i < MANY - 2; i++) {
		d[i] = dialer_of(rig, 0x0a000100 + i, PORT, W1, 1);
		dialer_dial(&d[i], (uint16_t)(i + 1));
		assert_int_equal(d[i].seen_port, PORT);
	}
	assert_int_equal(rig_tunnels(rig, false), MANY);
	for (uint32_t i = 0; i < MANY - 2; i += 7)
		dialer_data(&d[i]);
	rig_take_over(rig);
	for (uint32_t i = 3; i < MANY - 2; i += 7)
		dialer_data(&d[i]);
	rig->in_haste = false;
	rig_check(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		l2tp_test(two_clients_share),
		l2tp_test(equal_ids_are_translated),
		l2tp_test(the_owner_comes_second),
		l2tp_test(without_a_checksum),
		l2tp_test(fragments_of_data),
		l2tp_test(quotes),
		l2tp_test(errors_of_a_client),
		l2tp_test(a_server_that_is_down),
		l2tp_test(turn_by_turn),
		l2tp_test(nobody_owns_the_port),
		l2tp_test(strict_for_a_day),
		l2tp_test(many_strict_servers),
		l2tp_test(what_can_not_be_told_apart),
		l2tp_test(not_while_in_use),
		l2tp_test(from_other_ports),
		l2tp_test(a_port_of_the_router),
		l2tp_test(a_hostile_server),
		l2tp_test(ten_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
