/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L2TP as it should go: clients with ports of their own, servers that answer from or to other ports, servers inside,
 * hidden IDs and version 3, and what is shown of it all. docs/nat-behaviour.md section 12.
 */
#include "l2tp_rig.h"

#include <stdlib.h>

struct told {
	uint32_t count[3];
	struct tunnel_view last;
};

static void tell(void *context, enum engine_event_kind kind, const struct tunnel_view *view)
{
	struct told *told = context;

	told->count[kind]++;
	told->last = *view;
}

/* --- the life of a tunnel --- */

static void a_lone_client(void **state)
{
	struct rig *rig = *state;
	struct told told = {0};
	struct tunnel_view v;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 7);

	engine_on_event(rig->engine, tell, &told);
	dialer_ask(&d);
	assert_int_equal(d.seen_port, PORT);
	assert_int_equal(d.seen_id, 7);
	rig_expect_tunnel(rig, L1, 7, TUNNEL_IS_REQUESTED, END_NOT);
	dialer_ask(&d);
	assert_int_equal(rig_tunnels(rig, true), 1);
	dialer_answer(&d, 99);
	assert_int_equal(told.count[EVENT_TUNNEL_UP], 0);
	dialer_say(&d, SIDE_LAN, SCCCN, 0, 0);
	assert_int_equal(told.count[EVENT_TUNNEL_UP], 1);
	assert_int_equal(told.last.state, TUNNEL_IS_CONNECTED);
	dialer_data(&d);
	assert_true(rig_tunnel(rig, L1, 7, &v));
	assert_string_equal(v.kind, "L2TP");
	assert_string_equal(v.data, "UDP");
	assert_string_equal(v.inside_name, "dialer-m");
	assert_string_equal(v.remote_name, "server");
	assert_true(v.has_remote_id && !v.inside_is_server && !v.is_shared);
	assert_int_equal(v.remote_id, 99);
	assert_int_equal(v.outside_id, 7);
	assert_int_equal(v.hint, HINT_NONE);
	assert_int_equal(v.packets[SIDE_LAN], 2 + 1 + 4);
	assert_int_equal(v.packets[SIDE_WAN], 1 + 4);
	dialer_stop(&d, SIDE_LAN);
	rig_expect_tunnel(rig, L1, 7, TUNNEL_IS_CLEARING, END_NOT);
	assert_int_equal(told.count[EVENT_TUNNEL_DOWN], 0);
	dialer_say(&d, SIDE_WAN, 0, 0, 0); /* an acknowledgement */
	rig_expect_tunnel(rig, L1, 7, TUNNEL_IS_ENDED, END_STOPPED);
	assert_int_equal(told.count[EVENT_TUNNEL_DOWN], 1);
	assert_int_equal(told.last.end, END_STOPPED);
	rig_wait(rig, 10 * MINUTE);
	rig_expect_tunnel(rig, L1, 7, TUNNEL_IS_ENDED, END_STOPPED);
	assert_int_equal(told.count[EVENT_TUNNEL_DOWN], 1);
	assert_int_equal(rig_stat(rig, STAT_L2TP_TUNNELS), 1);
	assert_int_equal(rig_stat(rig, STAT_L2TP_TUNNELS_OPENED), 1);
	assert_int_equal(rig_stat(rig, STAT_L2TP_REWRITTEN), 0);
}

static void many_clients_with_one_id(void **state)
{
	struct rig *rig = *state;
	struct dialer d[6];

	for (uint16_t i = 0; i < 6; i++) {
		d[i] = dialer_of(rig, L1 + i, PORT, W1, 1);
		dialer_dial(&d[i], (uint16_t)(50 + i));
		assert_int_equal(d[i].seen_id, 1);
		for (uint16_t k = 0; k < i; k++)
			assert_int_not_equal(d[i].seen_port, d[k].seen_port);
	}
	assert_int_equal(d[0].seen_port, PORT);
	for (uint16_t i = 0; i < 6; i++)
		dialer_data(&d[i]);
	dialer_stop(&d[2], SIDE_WAN);
	dialer_say(&d[2], SIDE_LAN, 0, 0, 0);
	rig_expect_tunnel(rig, d[2].inside, 1, TUNNEL_IS_ENDED, END_STOPPED);
	for (uint16_t i = 0; i < 6; i++)
		dialer_data(&d[i]); /* what is late passes, too */
	assert_int_equal(rig_stat(rig, STAT_L2TP_REWRITTEN) + rig_stat(rig, STAT_L2TP_SHARED), 0);
}

static void redial_with_the_same_id(void **state)
{
	struct rig *rig = *state;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5);

	for (uint16_t i = 1; i <= 4; i++) {
		dialer_dial(&d, i);
		dialer_data(&d);
		assert_int_equal(rig_tunnels(rig, false), 1);
		assert_int_equal(rig_tunnels(rig, true), i);
		dialer_stop(&d, i % 2 ? SIDE_LAN : SIDE_WAN);
	}
	struct tunnel_view v;
	for (uint16_t i = 9; i < 12; i++) { /* the client forgets all and begins anew: the server tells */
		dialer_dial(&d, i);
		assert_true(rig_tunnel(rig, L1, 5, &v));
		assert_int_equal(v.state, TUNNEL_IS_CONNECTED);
		assert_int_equal(v.remote_id, i);
	}
	assert_int_equal(rig_stat(rig, STAT_L2TP_TUNNELS), 5);
	assert_int_equal(rig_stat(rig, STAT_L2TP_TUNNELS_OPENED), 7);
}

static void several_tunnels_of_one_flow(void **state)
{
	struct rig *rig = *state;
	struct dialer d[8];

	for (uint16_t i = 0; i < 8; i++) {
		d[i] = dialer_of(rig, L1, PORT, W1, (uint16_t)(100 + i));
		dialer_dial(&d[i], (uint16_t)(107 - i)); /* each number is an ID of both sides */
	}
	for (uint16_t i = 0; i < 8; i++)
		dialer_data(&d[i]);
	struct tunnel_view v;
	for (uint16_t i = 0; i < 8; i++) {
		assert_true(rig_tunnel(rig, L1, d[i].id, &v));
		assert_int_equal(v.packets[SIDE_LAN], 2 + 4);
		assert_int_equal(v.packets[SIDE_WAN], 1 + 4);
		assert_int_equal(v.remote_id, d[i].remote_id);
	}
	dialer_stop(&d[3], SIDE_LAN);
	dialer_data(&d[4]);
	assert_int_equal(rig_flows(rig), 1);
}

static void refused_and_taken_back(void **state)
{
	struct rig *rig = *state;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5), e = dialer_of(rig, L2, PORT, W1, 6);

	dialer_ask(&d);
	d.remote_id = 44;
	dialer_stop(&d, SIDE_WAN);
	rig_expect_tunnel(rig, L1, 5, TUNNEL_IS_CLEARING, END_NOT);
	dialer_say(&d, SIDE_LAN, 0, 0, 0);
	rig_expect_tunnel(rig, L1, 5, TUNNEL_IS_ENDED, END_REFUSED);
	dialer_ask(&e);
	dialer_stop(&e, SIDE_LAN); /* nobody hears it */
	rig_wait(rig, MINUTE);
	rig_expect_tunnel(rig, L2, 6, TUNNEL_IS_ENDED, END_CLEARED);
}

/* Sessions are counted when they are connected, once each, however often that is said. */
static void sessions(void **state)
{
	struct rig *rig = *state;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5);
	struct tunnel_view v;

	dialer_dial(&d, 6);
	for (uint16_t i = 1; i <= 3; i++) {
		assert_true(rig_tunnel(rig, L1, 5, &v));
		assert_int_equal(v.sessions, i - 1);
		dialer_say(&d, SIDE_LAN, ICRQ, 0, (uint16_t)(20 + i));
		dialer_say(&d, SIDE_WAN, ICRP, (uint16_t)(20 + i), (uint16_t)(40 + i));
		dialer_say(&d, SIDE_LAN, ICCN, (uint16_t)(40 + i), 0);
		d.ns[SIDE_LAN]--;
		dialer_say(&d, SIDE_LAN, ICCN, (uint16_t)(40 + i), 0); /* again */
		dialer_say(&d, SIDE_WAN, CDN, (uint16_t)(20 + i), (uint16_t)(40 + i));
		assert_true(rig_tunnel(rig, L1, 5, &v));
		assert_int_equal(v.sessions, i);
		assert_int_equal(v.inside_session, 20 + i);
		assert_int_equal(v.remote_session, 40 + i);
	}
}

/* --- time --- */

static void nobody_answers(void **state)
{
	struct rig *rig = *state;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5);
	struct tunnel_view v;

	for (int i = 0; i < 6; i++) {
		dialer_ask(&d);
		rig_wait(rig, 8 * SECOND);
	}
	assert_true(rig_tunnel(rig, L1, 5, &v));
	assert_int_equal(v.state, TUNNEL_IS_REQUESTED);
	assert_int_equal(v.hint, HINT_NO_ANSWER);
	rig_wait(rig, 55 * SECOND);
	rig_expect_tunnel(rig, L1, 5, TUNNEL_IS_ENDED, END_NO_ANSWER);
}

static void silence_ends_a_tunnel(void **state)
{
	struct rig *rig = *state;
	struct told told = {0};
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5), e = dialer_of(rig, L1, PORT, W1, 6);

	engine_on_event(rig->engine, tell, &told);
	dialer_dial(&d, 1);
	dialer_dial(&e, 2);
	for (int i = 0; i < 8; i++) {
		rig_wait(rig, 50 * SECOND);
		dialer_data(&e);
	}
	rig_expect_tunnel(rig, L1, 5, TUNNEL_IS_ENDED, END_SILENT);
	rig_expect_tunnel(rig, L1, 6, TUNNEL_IS_CONNECTED, END_NOT);
	rig_wait(rig, 299 * SECOND);
	rig_expect_tunnel(rig, L1, 6, TUNNEL_IS_CONNECTED, END_NOT);
	rig_wait(rig, 2 * SECOND); /* with the flow */
	rig_expect_tunnel(rig, L1, 6, TUNNEL_IS_ENDED, END_CONTROL_SILENT);
	assert_int_equal(told.count[EVENT_TUNNEL_DOWN], 2);
	assert_int_equal(rig_flows(rig), 0);
}

static void the_silent_side_is_told(void **state)
{
	struct rig *rig = *state;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5);
	struct tunnel_view v;

	dialer_dial(&d, 1);
	dialer_data(&d);
	rig_wait(rig, 11 * SECOND);
	dialer_say(&d, SIDE_LAN, HELLO, 0, 0);
	assert_true(rig_tunnel(rig, L1, 5, &v));
	assert_int_equal(v.silent, -1); /* its answer is on its way */
	dialer_say(&d, SIDE_LAN, HELLO, 0, 0);
	dialer_say(&d, SIDE_LAN, HELLO, 0, 0);
	assert_true(rig_tunnel(rig, L1, 5, &v));
	assert_int_equal(v.silent, SIDE_WAN);
	dialer_say(&d, SIDE_WAN, 0, 0, 0);
	assert_true(rig_tunnel(rig, L1, 5, &v));
	assert_int_equal(v.silent, -1);
}

/* --- servers that answer from or to another port --- */

static void from_another_port(void **state)
{
	struct rig *rig = *state;

	rig->config.filtering = ADDRESS_AND_PORT_DEPENDENT;
	rig_configure(rig);
	struct dialer other = dialer_of(rig, L2, PORT, W1, 5);
	dialer_ask(&other);
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5);
	dialer_ask(&d);
	d.remote_port = 40001;
	dialer_stray(&d, d.seen_port, 5);
	rig_dropped(rig, DROP_FILTERED); /* data does not open anything */
	struct dialer wrong = d;
	wrong.seen_id = 6;
	static struct l2tp_message_bytes m;
	l2tp_build_start(&m, SCCRP, 6, 1, "server");
	dialer_send(&wrong, SIDE_WAN, m.bytes, m.length);
	rig_dropped(rig, DROP_FILTERED);
	wrong.remote = W2;
	l2tp_build_start(&m, SCCRP, 5, 1, "server");
	dialer_send(&wrong, SIDE_WAN, m.bytes, m.length);
	rig_dropped(rig, DROP_FILTERED);
	dialer_answer(&d, 77);
	dialer_say(&d, SIDE_LAN, SCCCN, 0, 0);
	rig_expect_tunnel(rig, L1, 5, TUNNEL_IS_CONNECTED, END_NOT);
	dialer_data(&d);
	struct dialer third = d;
	third.remote_port = 40002;
	l2tp_begin(&m, 2, 5, 0, 1, 1);
	l2tp_add16(&m, 0, HELLO);
	dialer_send(&third, SIDE_WAN, m.bytes, m.length);
	rig_dropped(rig, DROP_FILTERED); /* established: ports stay as they are */
	rig_take_over(rig);
	dialer_data(&d);
	for (int i = 0; i < 4; i++) { /* the flow of the request ends, that of the tunnel goes on */
		rig_wait(rig, 100 * SECOND);
		dialer_data(&d);
	}
	assert_int_equal(rig_flows(rig), 1);
	rig_expect_tunnel(rig, L1, 5, TUNNEL_IS_CONNECTED, END_NOT);
	dialer_stop(&d, SIDE_LAN);
}

static void always_to_1701(void **state)
{
	struct rig *rig = *state;
	struct dialer first = dialer_of(rig, L1, PORT, W1, 1), d = dialer_of(rig, L2, PORT, W1, 2),
		      odd = dialer_of(rig, L3, 30000, W1, 3), same = dialer_of(rig, L3 + 1, PORT, W1, 1);

	dialer_dial(&first, 11);
	for (int round = 0; round < 2; round++) {
		dialer_ask(&d);
		assert_int_not_equal(d.seen_port, PORT);
		d.seen_port = PORT;
		dialer_answer(&d, 12);
		dialer_ask(&odd);
		assert_int_equal(odd.seen_port, 30000);
		odd.seen_port = PORT;
		dialer_answer(&odd, 13);
		dialer_stray(&odd, PORT, 3);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packets_destination(&rig->out.item[0].packet), L3);
		assert_int_equal(packets_destination_port(&rig->out.item[0].packet), 30000);
		dialer_say(&odd, SIDE_LAN, SCCCN, 0, 0);
		rig_wait(rig, 301 * SECOND); /* without the flow that owns port 1701 as well */
	}
	dialer_dial(&first, 11);
	dialer_ask(&same);
	dialer_stray(&same, PORT, 1); /* only one can be meant */
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L1);
}

/* --- servers inside --- */

static void a_server_inside(void **state)
{
	struct rig *rig = *state;
	static struct l2tp_message_bytes m;
	struct tunnel_view v;

	rig->config.forward[0] = (struct forward){PROTO_UDP, PORT, PORT, {SERVER}, PORT};
	rig->config.forwards = 1;
	rig_configure(rig);
	for (uint16_t i = 0; i < 3; i++) {
		struct dialer d = dialer_of(rig, SERVER, PORT, W1, (uint16_t)(20 + i));
		d.remote_port = (uint16_t)(PORT + i);
		l2tp_build_start(&m, SCCRQ, 0, 9, "caller");
		dialer_send(&d, SIDE_WAN, m.bytes, m.length);
		dialer_arrived(&d, SIDE_WAN, m.bytes, m.length, 0);
		assert_int_equal(rig_tunnels(rig, true), i); /* nobody knows yet whether there will be one */
		l2tp_build_start(&m, SCCRP, 9, d.id, "inner");
		dialer_send(&d, SIDE_LAN, m.bytes, m.length);
		dialer_arrived(&d, SIDE_LAN, m.bytes, m.length, 0);
		d.remote_id = 9;
		dialer_say(&d, SIDE_WAN, SCCCN, 0, 0);
		dialer_data(&d);
		assert_true(rig_tunnel(rig, SERVER, d.id, &v));
		assert_true(v.inside_is_server);
		assert_int_equal(v.state, TUNNEL_IS_CONNECTED);
		assert_string_equal(v.remote_name, "caller");
		assert_string_equal(v.inside_name, "inner");
		assert_int_equal(v.remote_id, 9);
		assert_int_equal(v.packets[SIDE_WAN], 1 + 4);
	}
	/* Clients of the same address as a server: beside them. */
	struct dialer out = dialer_of(rig, L1, PORT, W1, 20);
	dialer_dial(&out, 31);
	assert_int_not_equal(out.seen_port, PORT);
	dialer_data(&out);
}

static void between_two_inside(void **state)
{
	struct rig *rig = *state;
	static struct l2tp_message_bytes m;

	rig->config.forward[0] = (struct forward){PROTO_UDP, PORT, PORT, {SERVER}, PORT};
	rig->config.forwards = 1;
	rig_configure(rig);
	for (int again = 0; again < 8; again++) { /* no answer is no reason to share anything here */
		l2tp_build_start(&m, SCCRQ, 0, 9, "caller");
		struct packet *p = rig_send(rig, SIDE_LAN,
					    &(struct packet_spec){.protocol = PROTO_UDP,
								  .source = L1,
								  .source_port = PORT,
								  .destination = O1,
								  .destination_port = PORT,
								  .payload = m.bytes,
								  .payload_length = m.length});
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packets_destination(p), SERVER);
		assert_int_equal(packets_source(p), O1);
		assert_int_not_equal(packets_source_port(p), PORT);
	}
	rig_expect_tunnel(rig, L1, 9, TUNNEL_IS_REQUESTED, END_NOT);
	assert_int_equal(rig_stat(rig, STAT_L2TP_SHARED), 0);
}

/* --- what cannot be read, and version 3 --- */

static void a_hidden_id(void **state)
{
	struct rig *rig = *state;
	static struct l2tp_message_bytes m;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 0x1234);
	struct tunnel_view v;
	uint64_t cursor = 0;

	l2tp_begin(&m, 2, 0, 0, 0, 0);
	l2tp_add16(&m, 0, SCCRQ);
	l2tp_add_text(&m, 7, "secret");
	l2tp_add(&m, AVP_M | AVP_H, 0, 9, NULL, 18);
	for (int again = 0; again < 2; again++) {
		dialer_send(&d, SIDE_LAN, m.bytes, m.length);
		dialer_arrived(&d, SIDE_LAN, m.bytes, m.length, 0);
		assert_int_equal(rig_tunnels(rig, true), 1);
	}
	assert_true(engine_next_tunnel(rig->engine, &cursor, rig->now, &v));
	assert_false(v.has_inside_id);
	assert_string_equal(v.inside_name, "secret");
	assert_int_equal(v.inside_port, PORT);
	assert_int_equal(v.remote_port, 1701);
	assert_int_equal(v.hint, HINT_TUNNEL_ID_HIDDEN);
	dialer_answer(&d, 77); /* its header has the ID in clear */
	dialer_say(&d, SIDE_LAN, SCCCN, 0, 0);
	dialer_data(&d);
	rig_expect_tunnel(rig, L1, 0x1234, TUNNEL_IS_CONNECTED, END_NOT);
}

static void version_3(void **state)
{
	struct rig *rig = *state;
	static struct l2tp_message_bytes m;
	struct tunnel_view v;

	for (uint32_t dual = 0; dual < 2; dual++) {
		struct dialer d = dialer_of(rig, L1 + dual, PORT, W1, 7);
		uint32_t own = 0xaabb0000 + dual, theirs = 0xccdd0000 + dual;
		l2tp_begin(&m, dual ? 2 : 3, 0, 0, 0, 0);
		l2tp_add16(&m, 0, SCCRQ);
		l2tp_add_text(&m, 7, "three");
		if (dual)
			l2tp_add16(&m, 9, 7);
		l2tp_add32(&m, 61, own);
		dialer_send(&d, SIDE_LAN, m.bytes, m.length);
		dialer_arrived(&d, SIDE_LAN, m.bytes, m.length, 0);
		rig_expect_tunnel(rig, d.inside, dual ? 7 : own, TUNNEL_IS_REQUESTED, END_NOT);
		l2tp_begin(&m, 3, own, 0, 0, 1);
		l2tp_add16(&m, 0, SCCRP);
		l2tp_add32(&m, 61, theirs);
		dialer_send(&d, SIDE_WAN, m.bytes, m.length);
		dialer_arrived(&d, SIDE_WAN, m.bytes, m.length, 0);
		l2tp_begin(&m, 3, theirs, 0, 1, 1);
		l2tp_add16(&m, 0, SCCCN);
		dialer_send(&d, SIDE_LAN, m.bytes, m.length);
		dialer_arrived(&d, SIDE_LAN, m.bytes, m.length, 0);
		uint8_t data[60] = {0, 3, 0, 0, 1, 2, 3, 4};
		dialer_send(&d, SIDE_WAN, data, sizeof(data));
		dialer_arrived(&d, SIDE_WAN, data, sizeof(data), 0);
		assert_true(rig_tunnel(rig, d.inside, own, &v));
		assert_string_equal(v.kind, "L2TPv3");
		assert_int_equal(v.state, TUNNEL_IS_CONNECTED);
		assert_string_equal(v.data, "UDP");
		assert_int_equal(v.outside_id, own);
		assert_int_equal(v.remote_id, theirs);
	}
	rig_take_over(rig);
	rig_expect_tunnel(rig, L1, 0xaabb0000, TUNNEL_IS_CONNECTED, END_NOT);
}

/* Whatever is no L2TP, or cut, goes the way of all UDP. */
static void other_datagrams(void **state)
{
	struct rig *rig = *state;
	struct dialer d = dialer_of(rig, L1, PORT, W1, 5);
	static struct l2tp_message_bytes m;
	struct test_random r = test_random_seed(3);

	dialer_dial(&d, 6);
	l2tp_build_start(&m, SCCRP, 5, 9, "server");
	for (uint32_t length = 0; length <= m.length; length++)
		for (int side = 0; side < SIDES; side++) {
			dialer_send(&d, (enum side)side, m.bytes, length);
			dialer_arrived(&d, (enum side)side, m.bytes, length, 0);
		}
	for (int i = 0; i < 3000; i++) {
		uint8_t noise[64];
		uint32_t count = test_random_below(&r, sizeof(noise));
		for (uint32_t k = 0; k < count; k++)
			noise[k] = (uint8_t)test_random_next(&r);
		if (count > 1)
			noise[1] = 2;
		rig->in_haste = i % 100;
		dialer_send(&d, (enum side)(i & 1), noise, count);
		dialer_arrived(&d, (enum side)(i & 1), noise, count, 0);
	}
	dialer_data(&d);
}

/* An ICMP error is an answer. */
static void is_refused(void **state)
{
	struct rig *rig = *state;
	struct dialer d = dialer_of(rig, L1, 1701, W1, 7);
	struct test_packet *error = malloc(sizeof(*error));
	struct tunnel_view v;

	assert_non_null(error);
	dialer_ask(&d);
	packets_build_error(error, X, O1, 3, 1, 0, rig->out.item[0].packet.data, 60);
	rig_send_packet(rig, SIDE_WAN, &error->packet);
	rig_forwarded(rig, SIDE_LAN);
	free(error);
	assert_true(rig_tunnel(rig, L1, 7, &v));
	assert_int_equal(v.hint, HINT_UNREACHABLE);
	/* Once it has ended "no answer" would still be wrong. */
	rig_wait(rig, 2 * MINUTE);
	assert_true(rig_tunnel(rig, L1, 7, &v));
	assert_int_equal(v.end, END_NO_ANSWER);
	assert_int_equal(v.hint, HINT_UNREACHABLE);
	assert_int_equal(v.refusal.by.v4, X);
	assert_int_equal(v.refusal.port, 1701);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		l2tp_test(a_lone_client),
		l2tp_test(many_clients_with_one_id),
		l2tp_test(redial_with_the_same_id),
		l2tp_test(several_tunnels_of_one_flow),
		l2tp_test(refused_and_taken_back),
		l2tp_test(sessions),
		l2tp_test(nobody_answers),
		l2tp_test(silence_ends_a_tunnel),
		l2tp_test(the_silent_side_is_told),
		l2tp_test(from_another_port),
		l2tp_test(always_to_1701),
		l2tp_test(a_server_inside),
		l2tp_test(between_two_inside),
		l2tp_test(a_hidden_id),
		l2tp_test(version_3),
		l2tp_test(other_datagrams),
		l2tp_test(is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
