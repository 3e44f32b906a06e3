/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segments of control connections that come twice, too early, damaged or where nobody expects them; young connections,
 * and those that are picked up in the middle. What the receiver reads is what was read here.
 */
#include "pptp_talk.h"

/* A repeated piece and a new one in one segment; the repeated one was acknowledged meanwhile, the new one was not. */
static void overlapping_segments(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint32_t length = talk_requests(sent, 2), count;
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);
	uint32_t start = line.next[SIDE_LAN];

	line_call(&other, OWN, 1);
	line_call(&other, OWN + 1, 1);
	struct packet *p = line_send(&line, SIDE_LAN, sent, 100);
	uint16_t first = message_get16(line_data(p, &count) + 12);
	assert_int_not_equal(first, OWN);
	line.next[SIDE_LAN] = start + 50; /* the server acknowledges a part without the ID's end */
	line_acknowledge(&line, SIDE_WAN);
	line.next[SIDE_LAN] = start + 13; /* and, out of order, only half of the ID */
	line_acknowledge(&line, SIDE_WAN);
	p = line_segment(&line, SIDE_LAN, FLAG_ACK, start + 50, sent + 50, length - 50);
	rig_forwarded(rig, SIDE_WAN);
	assert_int_not_equal(message_get16(line_data(p, &count) + 168 - 50 + 12), OWN + 1);
	assert_int_equal(message_get16(line_data(p, &count) + 168 - 50 + 14), 1);
}

/* Held until the gap is filled, then in order and translated. */
static void out_of_order(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);
	uint32_t start = line.next[SIDE_LAN], count;

	talk_requests(sent, 9);
	for (uint16_t i = 0; i < 9; i++)
		line_call(&other, (uint16_t)(OWN + i), i);
	for (uint32_t i = 8; i >= 1; i--) {
		line_segment(&line, SIDE_LAN, FLAG_ACK, start + i * 168, sent + (size_t)i * 168, 168);
		rig_held(rig);
	}
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 8);
	line_segment(&line, SIDE_LAN, FLAG_ACK, start + 9 * 168, sent, 16); /* a ninth has no room */
	rig_dropped(rig, DROP_PPTP_AHEAD);
	line_segment(&line, SIDE_LAN, FLAG_ACK, start, sent, 168);
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(rig->out.count, 9);
	for (uint32_t i = 0; i < 9; i++) {
		const struct packet *p = &rig->out.item[i].packet;
		const uint8_t *data = line_data(p, &count);
		assert_int_equal(count, 168);
		assert_int_equal(packet_get32(p, 24), start + i * 168);
		assert_int_equal(rig->out.item[i].origin, i > 0 ? ORIGIN_COPY : ORIGIN_BATCH);
		assert_int_equal(packets_source(p), O1);
		assert_int_not_equal(message_get16(data + 12), OWN + i);
		assert_int_equal(message_get16(data + 14), i);
	}
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	assert_int_equal(rig_tunnels(rig, false), 18);
}

static void out_of_order_from_outside(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint16_t outside[2];
	uint32_t count;

	talk_occupy(rig, outside);
	struct line line = line_to(rig, L1, 3000, W1);
	assert_int_equal(line_request(&line, OWN), outside[0]);
	uint32_t start = line.next[SIDE_WAN];
	message_build(sent, START_REPLY, 0, 0, 0);
	message_build(sent + 156, OUTGOING_REPLY, THEIRS, outside[0], RESULT_CONNECTED);
	line_segment(&line, SIDE_WAN, FLAG_ACK, start + 156 + 15, sent + 156 + 15, 17); /* the ID's second half */
	rig_held(rig);
	line_segment(&line, SIDE_WAN, FLAG_ACK, start + 156, sent + 156, 15);
	rig_held(rig);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_REQUESTED, END_NOT);
	line_segment(&line, SIDE_WAN, FLAG_ACK, start, sent, 156);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(rig->out.count, 3);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	for (uint32_t i = 1; i < 3; i++) { /* in which order they leave is TCP's business */
		const struct packet *p = &rig->out.item[i].packet;
		uint32_t at = packet_get32(p, 24) - start;
		const uint8_t *data = line_data(p, &count);
		assert_int_equal(at == 156 ? data[14] : data[0], at == 156 ? OWN >> 8 : OWN & 255);
	}
}

static void too_far_ahead(void **state)
{
	struct rig *rig = *state;
	static uint8_t sent[20000];
	struct line line = line_to(rig, L1, 3000, W1);
	uint32_t start = line.next[SIDE_LAN];

	line_segment(&line, SIDE_LAN, FLAG_ACK, start + 16385, sent, 16);
	rig_dropped(rig, DROP_PPTP_AHEAD);
	line_segment(&line, SIDE_LAN, FLAG_ACK, start + 16384, sent, 16);
	rig_held(rig);
	line_reset(&line, SIDE_LAN);
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	assert_int_equal(engine_counters(rig->engine)->dropped[SIDE_LAN][DROP_PPTP_AHEAD], 2);
}

/* What connections keep cannot starve the fragments of everybody else. */
static void what_is_kept_has_a_bound(void **state)
{
	struct rig *rig = *state;
	static uint8_t sent[1400];
	static struct test_packet whole, piece;

	for (uint16_t i = 0; i < 200; i++) {
		struct line line = line_to(rig, L1, (uint16_t)(3000 + i), W1);
		rig->in_haste = true;
		for (uint32_t k = 0; k < 8; k++) {
			line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[SIDE_LAN] + 1 + k * 1400, sent, 1400);
			line_segment(&line, SIDE_WAN, FLAG_ACK, line.next[SIDE_WAN] + 1 + k * 1400, sent, 1400);
		}
	}
	rig->in_haste = false;
	rig_check(rig);
	packets_build(&whole, &(struct packet_spec){.protocol = PROTO_UDP,
						    .source = L2,
						    .source_port = 5000,
						    .destination = W1,
						    .destination_port = 6000,
						    .id = 99,
						    .payload_length = 2000});
	packets_build_fragment(&piece, &whole, 1024, 984);
	rig_send_packet(rig, SIDE_LAN, &piece.packet);
	rig_held(rig);
}

/* Data in the SYN (RFC 7413), the SYN sent again, and the server that does not take the data. */
static void data_in_the_syn(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint16_t outside[2];
	uint32_t count;

	talk_occupy(rig, outside);
	struct line line = line_plan(rig, false, L1, 3000, W1);
	uint32_t start = line.next[SIDE_LAN];
	message_build(sent, START_REQUEST, 0, 0, 0);
	message_build(sent + 156, OUTGOING_REQUEST, OWN, 1, 0);
	for (int again = 0; again < 2; again++) {
		struct packet *p = line_segment(&line, SIDE_LAN, FLAG_SYN, start, sent, 156 + 13);
		rig_forwarded(rig, SIDE_WAN);
		line.outside_port = packets_source_port(p);
		assert_int_equal(line_data(p, &count)[156 + 12], outside[0] >> 8);
	}
	line_segment(&line, SIDE_LAN, FLAG_SYN, start, NULL, 0); /* without the data */
	rig_forwarded(rig, SIDE_WAN);
	line.next[SIDE_LAN] = start + 1;
	line_segment(&line, SIDE_WAN, FLAG_SYN | FLAG_ACK, line.next[SIDE_WAN]++, NULL, 0);
	rig_forwarded(rig, SIDE_LAN);
	struct packet *p = line_send(&line, SIDE_LAN, sent, 156 + 168); /* all of it again */
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(message_get16(line_data(p, &count) + 156 + 12), outside[0]);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside[0], 1, THEIRS, OWN);
	line_data_passes(&line, OWN, outside[0], THEIRS);
}

/* A SYN in the middle changes nothing for TCP; it must not for the reader either, or a blind forger stops it. */
static void a_forged_syn_changes_nothing(void **state)
{
	struct rig *rig = *state;
	uint16_t outside[2];

	for (int from = 0; from < SIDES; from++)
		for (int ack = 0; ack < 2; ack++) {
			rig_restart(rig);
			talk_occupy(rig, outside);
			struct line line = line_to(rig, L1, 3000, W1);
			line_message(&line, SIDE_LAN, START_REQUEST, 0, 0, 0);
			line_message(&line, SIDE_WAN, START_REPLY, 0, 0, 0);
			line_segment(&line, (enum side)from, (uint8_t)(FLAG_SYN | (ack ? FLAG_ACK : 0)),
				     line.next[from] + 1000000, NULL, 0);
			assert_int_equal(line_request(&line, OWN), outside[0]);
			line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside[0], 1, THEIRS, OWN);
			line_data_passes(&line, OWN, outside[0], THEIRS);
		}
}

/* The same four-tuple again, while the old connection's flow lingers. */
static void a_new_connection_from_the_same_port(void **state)
{
	struct rig *rig = *state;
	uint16_t outside[2];

	for (int reset = 0; reset < 2; reset++) {
		rig_restart(rig);
		talk_occupy(rig, outside);
		struct line line = line_to(rig, L1, 3000, W1);
		assert_int_equal(line_call(&line, OWN, THEIRS), outside[0]);
		if (reset)
			line_reset(&line, SIDE_WAN);
		else
			line_close(&line);
		rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, reset ? END_CONTROL_RESET : END_CONTROL_CLOSED);
		rig_wait(rig, 5 * SECOND);
		struct line again = line_plan(rig, false, L1, 3000, W1);
		again.next[SIDE_LAN] = 0x12345678;
		again.next[SIDE_WAN] = 0x87654321;
		line_shake_hands(&again);
		line_message(&again, SIDE_LAN, START_REQUEST, 0, 0, 0);
		assert_int_equal(line_call(&again, OWN, THEIRS + 1), outside[0]);
		line_data_passes(&again, OWN, outside[0], THEIRS + 1);
	}
}

/* The start was not seen: read from the first segment that starts with a message. */
/* The client loses its power and dials from the same port, and the server has given up meanwhile. */
static void a_new_connection_after_a_power_cut(void **state)
{
	static const uint32_t starts[] = {0x40000000, 0xc0000000};
	struct rig *rig = *state;

	for (int server_inside = 0; server_inside < 2; server_inside++)
		for (int i = 0; i < 4; i++) {
			uint16_t port = (uint16_t)(3000 + i);
			uint32_t inside = server_inside ? SERVER : L1;
			struct line line = server_inside ? line_from(rig, W1, port) : line_to(rig, L1, port, W1);
			uint16_t old = line_call(&line, (uint16_t)(OWN + i), THEIRS);

			if (i >= 2) { /* the server has closed its end */
				line_segment(&line, server_inside ? SIDE_LAN : SIDE_WAN, FLAG_FIN | FLAG_ACK,
					     line.next[server_inside ? SIDE_LAN : SIDE_WAN]++, NULL, 0);
				rig_forwarded(rig, server_inside ? SIDE_WAN : SIDE_LAN);
			}
			line.next[SIDE_LAN] += starts[i & 1];
			line.next[SIDE_WAN] += 0x12345678;
			line_shake_hands(&line);
			rig_expect_tunnel(rig, inside, (uint32_t)(OWN + i), TUNNEL_IS_ENDED, END_CONTROL_RESET);
			uint16_t outside = line_call(&line, (uint16_t)(OWN + 100 + i), THEIRS);
			line_data_passes(&line, (uint16_t)(OWN + 100 + i), outside, THEIRS);
			assert_int_not_equal(outside, old);
			line_close(&line);
			rig_expect_tunnel(rig, inside, (uint32_t)(OWN + 100 + i), TUNNEL_IS_ENDED, END_CONTROL_CLOSED);
		}
	assert_int_equal(rig_stat(rig, STAT_PPTP_OUT_OF_STEP), 0);
}

/* Whoever has the connection answers a SYN with a challenge ACK, and no other SYN is an answer. */
static void a_syn_that_is_not_answered_begins_nothing(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1), forged = line;
	uint16_t outside = line_call(&line, OWN, THEIRS);

	for (int from = SIDE_LAN; from <= SIDE_WAN; from++) {
		forged.next[from] = line.next[from] + 0x50000000;
		line_segment(&forged, (enum side)from, FLAG_SYN, forged.next[from]++, NULL, 0);
		rig_forwarded(rig, (enum side) !from);
		line_acknowledge(&line, (enum side) !from);
		/* its own SYN again, and one that acknowledges something else */
		line_segment(&forged, (enum side)from, FLAG_SYN | FLAG_ACK, forged.next[from], NULL, 0);
		forged.next[from]++;
		line_segment(&forged, (enum side) !from, FLAG_SYN | FLAG_ACK, line.next[!from] + 0x60000000, NULL, 0);
		line_data_passes(&line, OWN, outside, THEIRS);
	}
	line_call(&line, OWN + 1, THEIRS + 1);
}

static void picked_up_in_the_middle(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint16_t outside[2];

	talk_occupy(rig, outside);
	struct line line = line_plan(rig, false, L1, 3000, W1);
	talk_requests(sent, 1);
	struct packet *p = line_send(&line, SIDE_LAN, sent + 20, 100); /* the end of something */
	rig_forwarded(rig, SIDE_WAN);
	line.outside_port = packets_source_port(p);
	line_message(&line, SIDE_WAN, ECHO_REQUEST, 1, 2, 0);
	line_send(&line, SIDE_LAN, sent, 11); /* too short for a header */
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(line_request(&line, OWN), outside[0]);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside[0], 1, THEIRS, OWN);
	line_data_passes(&line, OWN, outside[0], THEIRS);
	assert_int_equal(rig_stat(rig, STAT_PPTP_OUT_OF_STEP), 0);
}

/* More changed bytes under way than are remembered: dropped whole, and then sent again in smaller pieces. */
static void crowded(void **state)
{
	struct rig *rig = *state;
	static uint8_t sent[40 * 168];
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);
	uint32_t length = talk_requests(sent, 40), start = line.next[SIDE_LAN], count;
	uint16_t outside[40];

	rig->config.wan_mtu = 9000;
	rig_configure(rig);
	for (uint16_t i = 0; i < 40; i++)
		line_call(&other, (uint16_t)(OWN + i), i);
	line_segment(&line, SIDE_LAN, FLAG_ACK, start, sent, length);
	rig_dropped(rig, DROP_PPTP_CROWDED);
	for (uint32_t i = 0; i < 40; i++) {
		struct packet *p = line_send(&line, SIDE_LAN, sent + (size_t)i * 168, 168);
		if (i == 32) { /* until the server acknowledges */
			rig_dropped(rig, DROP_PPTP_CROWDED);
			line.next[SIDE_LAN] -= 168;
			line_acknowledge(&line, SIDE_WAN);
			p = line_send(&line, SIDE_LAN, sent + (size_t)i * 168, 168);
		}
		rig_forwarded(rig, SIDE_WAN);
		outside[i] = message_get16(line_data(p, &count) + 12);
		assert_int_not_equal(outside[i], OWN + i);
	}
	for (uint16_t i = 0; i < 40; i++) {
		line_expect(&line, SIDE_WAN, OUTGOING_REPLY, (uint16_t)(THEIRS + i), outside[i], 1,
			    (uint16_t)(THEIRS + i), (uint16_t)(OWN + i));
		line_acknowledge(&line, SIDE_LAN);
	}
	assert_int_equal(rig_stat(rig, STAT_PPTP_CALLS), 80);
}

static void ignore(void *context, enum side from, enum side to, struct packet *packet, enum origin origin)
{
	(void)context;
	(void)to;
	(void)packet;
	(void)from;
	(void)origin;
}

/* Damaged on the way: the receiver throws it away, so it was never said. What TCP sends again is what counts. */
static void a_damaged_segment_says_nothing(void **state)
{
	struct rig *rig = *state;
	struct line other = line_to(rig, L2, 3000, W1), line = line_to(rig, L1, 3000, W1);
	static struct test_packet damaged;
	uint8_t bytes[MESSAGE_MAX];

	line_call(&other, OWN, THEIRS);
	uint32_t length = message_build(bytes, OUTGOING_REQUEST, OWN - 1, 1, 0);
	packets_build(&damaged, &(struct packet_spec){.protocol = PROTO_TCP,
						      .source = L1,
						      .source_port = 3000,
						      .destination = W1,
						      .destination_port = 1723,
						      .flags = FLAG_ACK,
						      .sequence = line.next[SIDE_LAN],
						      .acknowledge = line.next[SIDE_WAN],
						      .payload = bytes,
						      .payload_length = length,
						      .df = true});
	packet_put8(&damaged.packet, 40 + 150, 0x55);
	engine_process(rig->engine, SIDE_LAN, &damaged.packet, 1, rig->now, &(struct engine_sink){ignore, NULL}, NULL);
	assert_int_equal(rig_tunnels(rig, true), 1);
	assert_int_not_equal(line_call(&line, OWN, THEIRS), OWN);
}

/* A segment that is dropped for its last message: what its first one did has been done, and is sent again alike. */
static void a_drop_behind_a_message_that_counts(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint16_t outside[2];
	uint32_t count;

	rig->config.host_flows = 6;
	rig->config.forwards = 0;
	rig_configure(rig);
	talk_occupy(rig, outside); /* 3 flows of L1: the control connection and two calls that rest */
	struct line line = line_to(rig, L1, 3000, W1);
	assert_int_equal(line_call(&line, OWN, THEIRS), outside[0]);
	line_call(&line, 0x1111, 1);
	line_call(&line, 0x1112, 2);
	uint32_t length = message_build(sent, DISCONNECT_NOTIFY, OWN, 0, 4);
	uint32_t all = length + message_build(sent + length, OUTGOING_REQUEST, 0x1113, 0, 0);
	line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[SIDE_LAN], sent, all);
	rig_dropped(rig, DROP_HOST_LIMIT);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_DISCONNECTED);
	rig->config.host_flows = 100;
	rig_configure(rig);
	struct packet *p = line_send(&line, SIDE_LAN, sent, all);
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(message_get16(line_data(p, &count) + 12), outside[0]);
	assert_int_equal(message_get16(line_data(p, &count) + length + 12), 0x1113);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pptp_test(overlapping_segments),
		pptp_test(out_of_order),
		pptp_test(out_of_order_from_outside),
		pptp_test(too_far_ahead),
		pptp_test(what_is_kept_has_a_bound),
		pptp_test(data_in_the_syn),
		pptp_test(a_forged_syn_changes_nothing),
		pptp_test(a_new_connection_from_the_same_port),
		pptp_test(a_new_connection_after_a_power_cut),
		pptp_test(a_syn_that_is_not_answered_begins_nothing),
		pptp_test(picked_up_in_the_middle),
		pptp_test(crowded),
		pptp_test(a_damaged_segment_says_nothing),
		pptp_test(a_drop_behind_a_message_that_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
