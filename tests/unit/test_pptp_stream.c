/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control connections as TCP makes them: messages cut anywhere, several in a segment, sent again with other boundaries,
 * out of order, in super-segments. Whatever the cuts, the bytes that arrive are those that whole messages give.
 */
#include "pptp_rig.h"

#include <stdlib.h>
#include <string.h>

enum { OWN = 0x4d21, THEIRS = 0x3e17, OWN2 = 0x4e00, THEIRS2 = 0x1000, TALK_MAX = 32, STREAM_MAX = 8192 };

/* A conversation: messages in turn, as they are sent and as they must arrive. */
struct said {
	enum side from;
	uint32_t length;
	uint8_t sent[MESSAGE_MAX], arrives[MESSAGE_MAX];
};

struct talk {
	uint32_t count;
	struct said said[TALK_MAX];
};

static void say(struct talk *talk, enum side from, unsigned type, uint16_t first, uint16_t second, uint16_t arrives1,
		uint16_t arrives2)
{
	struct said *said = &talk->said[talk->count++];

	said->from = from;
	said->length = message_build(said->sent, type, first, second, RESULT_CONNECTED);
	memcpy(said->arrives, said->sent, said->length);
	message_put16(said->arrives + 12, arrives1);
	message_put16(said->arrives + 14, arrives2);
}

/* All messages in all directions in which they carry something; a client inside, both kinds of calls. */
static struct talk whole_talk(uint16_t outside, uint16_t outside2)
{
	struct talk t = {0};

	say(&t, SIDE_LAN, START_REQUEST, 0x100, 0, 0x100, 0);
	say(&t, SIDE_WAN, START_REPLY, 0x100, 0, 0x100, 0);
	say(&t, SIDE_LAN, OUTGOING_REQUEST, OWN, 1, outside, 1);
	say(&t, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside, THEIRS, OWN);
	say(&t, SIDE_LAN, SET_LINK_INFO, THEIRS, 0, THEIRS, 0);
	say(&t, SIDE_WAN, SET_LINK_INFO, outside, 0, OWN, 0);
	say(&t, SIDE_LAN, ECHO_REQUEST, OWN, outside, OWN, outside);
	say(&t, SIDE_WAN, ECHO_REPLY, OWN, outside, OWN, outside);
	say(&t, SIDE_WAN, INCOMING_REQUEST, THEIRS2, 2, THEIRS2, 2);
	say(&t, SIDE_LAN, INCOMING_REPLY, OWN2, THEIRS2, outside2, THEIRS2);
	say(&t, SIDE_WAN, INCOMING_CONNECTED, outside2, 0, OWN2, 0);
	say(&t, SIDE_WAN, WAN_ERROR, outside2, 0, OWN2, 0);
	say(&t, SIDE_LAN, CLEAR_REQUEST, OWN, 0, outside, 0);
	say(&t, SIDE_WAN, DISCONNECT_NOTIFY, outside, 0, OWN, 0);
	say(&t, SIDE_LAN, CLEAR_REQUEST, OWN2, 0, outside2, 0);
	say(&t, SIDE_WAN, DISCONNECT_NOTIFY, THEIRS2, 0, THEIRS2, 0);
	say(&t, SIDE_LAN, STOP_REQUEST, 1, 0, 1, 0);
	say(&t, SIDE_WAN, STOP_REPLY, 1, 0, 1, 0);
	return t;
}

/* Another host has both IDs already, so that ours change. Returns the outside IDs that L1 gets, now and later. */
static void occupy(struct rig *rig, uint16_t outside[2])
{
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 2999, W1);

	line_call(&other, OWN, 1);
	line_call(&other, OWN2, 2);
	outside[0] = line_call(&line, OWN, 3);
	outside[1] = line_call(&line, OWN2, 4);
	assert_int_not_equal(outside[0], OWN);
	assert_int_not_equal(outside[1], OWN2);
	line_reset(&line, SIDE_LAN);
	rig_wait(rig, SECOND);
}

static void arrives(struct line *line, enum side from, const uint8_t *bytes, uint32_t count, const uint8_t *expected)
{
	uint32_t arrived;
	struct packet *p = line_send(line, from, bytes, count);

	rig_forwarded(line->rig, (enum side) !from);
	assert_non_null(p);
	const uint8_t *data = line_data(p, &arrived);
	assert_int_equal(arrived, count);
	assert_memory_equal(data, expected, count);
}

/* The conversation with message number at cut in three pieces; the second one may be empty. */
static void hold_talk(struct rig *rig, const struct talk *talk, uint16_t port, uint32_t at, uint32_t cut1,
		      uint32_t cut2)
{
	struct line line = line_to(rig, L1, port, W1);

	for (uint32_t i = 0; i < talk->count; i++) {
		const struct said *said = &talk->said[i];
		uint32_t cuts[] = {0, i == at ? cut1 : 0, i == at ? cut2 : 0, said->length};
		for (int k = 0; k < 3; k++)
			if (cuts[k + 1] > cuts[k])
				arrives(&line, said->from, said->sent + cuts[k], cuts[k + 1] - cuts[k],
					said->arrives + cuts[k]);
	}
	line_reset(&line, SIDE_LAN);
}

/* Flows of connections that were reset would fill the table. */
static struct talk fresh_rig_now_and_then(struct rig *rig, uint16_t port, const struct talk *talk)
{
	uint16_t outside[2];

	if (port % 256)
		return *talk;
	rig_restart(rig);
	occupy(rig, outside);
	return whole_talk(outside[0], outside[1]);
}

static void every_cut_of_every_message(void **state)
{
	struct rig *rig = *state;
	uint16_t outside[2], port = 3000;

	occupy(rig, outside);
	struct talk talk = whole_talk(outside[0], outside[1]);
	rig->in_haste = true;
	for (uint32_t at = 0; at < talk.count; at++)
		for (uint32_t cut = 1; cut < talk.said[at].length; cut++) {
			hold_talk(rig, &talk, port++, at, cut, cut);
			talk = fresh_rig_now_and_then(rig, port, &talk);
		}
	rig->in_haste = false;
	rig_check(rig);
	assert_int_equal(engine_counters(rig->engine)->stat[STAT_PPTP_OUT_OF_STEP], 0);
}

static void three_pieces(void **state)
{
	struct rig *rig = *state;
	uint16_t outside[2], port = 3000;

	occupy(rig, outside);
	struct talk talk = whole_talk(outside[0], outside[1]);
	rig->in_haste = true;
	for (uint32_t at = 0; at < talk.count; at++)
		for (uint32_t cut1 = 10; cut1 < 18 && cut1 < talk.said[at].length; cut1++)
			for (uint32_t cut2 = cut1 + 1; cut2 < 19 && cut2 < talk.said[at].length; cut2++) {
				hold_talk(rig, &talk, port++, at, cut1, cut2);
				talk = fresh_rig_now_and_then(rig, port, &talk);
			}
	rig->in_haste = false;
	rig_check(rig);
}

/* One byte a segment. */
static void byte_by_byte(void **state)
{
	struct rig *rig = *state;
	uint16_t outside[2];

	occupy(rig, outside);
	struct talk talk = whole_talk(outside[0], outside[1]);
	struct line line = line_to(rig, L1, 3000, W1);
	rig->in_haste = true;
	for (uint32_t i = 0; i < talk.count; i++)
		for (uint32_t k = 0; k < talk.said[i].length; k++)
			arrives(&line, talk.said[i].from, talk.said[i].sent + k, 1, talk.said[i].arrives + k);
	rig->in_haste = false;
	line_acknowledge(&line, SIDE_LAN);
}

/* All requests of one side in one stream; returns its length. */
static uint32_t requests(uint8_t *sent, uint32_t count)
{
	uint32_t length = 0;

	for (uint32_t i = 0; i < count; i++)
		length += message_build(sent + length, OUTGOING_REQUEST, (uint16_t)(OWN + i), (uint16_t)i, 0);
	return length;
}

/* The first transmission settles the value of each byte; any later one, however cut, carries the same. */
static void sent_again_with_other_boundaries(void **state)
{
	struct rig *rig = *state;
	struct test_random r = test_random_seed(77);
	static uint8_t sent[STREAM_MAX], first[STREAM_MAX];
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);
	uint32_t length = requests(sent, 20), start = line.next[SIDE_LAN], count;

	for (uint16_t i = 0; i < 20; i++)
		line_call(&other, (uint16_t)(OWN + i), i);
	for (uint32_t at = 0; at < length;) {
		uint32_t part = 1 + test_random_below(&r, 300);
		part = part < length - at ? part : length - at;
		struct packet *p = line_send(&line, SIDE_LAN, sent + at, part);
		rig_forwarded(rig, SIDE_WAN);
		memcpy(first + at, line_data(p, &count), part);
		at += part;
	}
	uint32_t changed = 0;
	for (uint32_t i = 0; i < length; i++)
		changed += first[i] != sent[i];
	assert_int_equal(changed, 20); /* the low byte of each ID, and nothing else */
	for (int round = 0; round < 2000; round++) {
		uint32_t at = test_random_below(&r, length), part = 1 + test_random_below(&r, length - at);
		part = part > 1400 ? 1400 : part;
		rig->in_haste = round % 100;
		struct packet *p = line_segment(&line, SIDE_LAN, FLAG_ACK, start + at, sent + at, part);
		rig_forwarded(rig, SIDE_WAN);
		assert_memory_equal(line_data(p, &count), first + at, part);
	}
	assert_int_equal(engine_counters(rig->engine)->stat[STAT_PPTP_CALLS], 40);
}

/* A repeated piece and a new one in one segment; the repeated one was acknowledged meanwhile, the new one was not. */
static void overlapping_segments(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint32_t length = requests(sent, 2), count;
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

	requests(sent, 9);
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
		assert_int_equal(rig->out.item[i].made, i > 0);
		assert_int_equal(packets_source(p), O1);
		assert_int_not_equal(message_get16(data + 12), OWN + i);
		assert_int_equal(message_get16(data + 14), i);
	}
	assert_int_equal(engine_counters(rig->engine)->held[SIDE_LAN], 0);
	assert_int_equal(pptp_tunnels(rig, false), 18);
}

static void out_of_order_from_outside(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint16_t outside[2];
	uint32_t count;

	occupy(rig, outside);
	struct line line = line_to(rig, L1, 3000, W1);
	assert_int_equal(line_request(&line, OWN), outside[0]);
	uint32_t start = line.next[SIDE_WAN];
	message_build(sent, START_REPLY, 0, 0, 0);
	message_build(sent + 156, OUTGOING_REPLY, THEIRS, outside[0], RESULT_CONNECTED);
	line_segment(&line, SIDE_WAN, FLAG_ACK, start + 156 + 15, sent + 156 + 15, 17); /* the ID's second half */
	rig_held(rig);
	line_segment(&line, SIDE_WAN, FLAG_ACK, start + 156, sent + 156, 15);
	rig_held(rig);
	pptp_expect_tunnel(rig, L1, OWN, TUNNEL_IS_REQUESTED, END_NOT);
	line_segment(&line, SIDE_WAN, FLAG_ACK, start, sent, 156);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(rig->out.count, 3);
	pptp_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
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

/* What connections keep can not starve the fragments of everybody else. */
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

/* 64 KiB with a partial checksum: 14 requests, an ID cut by nothing, patched without touching the partial sum. */
static void super_segments(void **state)
{
	struct rig *rig = *state;
	static uint8_t sent[65000];
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);
	uint32_t length = 0, calls = 0, count;

	rig->config.wan_mtu = rig->config.lan_mtu = 1500;
	for (uint16_t i = 0; i < 14; i++)
		line_call(&other, (uint16_t)(OWN + i), i);
	while (length + 220 < sizeof(sent)) {
		unsigned type = calls < 14 ? OUTGOING_REQUEST : 1 + calls % 6;
		if (type == STOP_REPLY)
			type = ECHO_REQUEST;
		length += message_build(sent + length, type, (uint16_t)(OWN + calls), 0, 0);
		calls++;
	}
	struct packet *p = rig_send(rig, SIDE_LAN,
				    &(struct packet_spec){.protocol = PROTO_TCP,
							  .source = L1,
							  .source_port = 3000,
							  .destination = W1,
							  .destination_port = 1723,
							  .flags = FLAG_ACK,
							  .sequence = line.next[SIDE_LAN],
							  .acknowledge = line.next[SIDE_WAN],
							  .payload = sent,
							  .payload_length = length,
							  .gso_size = 1448,
							  .df = true});
	rig_forwarded(rig, SIDE_WAN);
	assert_true(p->offload.partial);
	const uint8_t *data = line_data(p, &count);
	assert_int_equal(count, length);
	uint32_t changed = 0;
	for (uint32_t i = 0; i < length; i++)
		changed += data[i] != sent[i];
	assert_int_equal(changed, 14);
	assert_int_equal(pptp_tunnels(rig, false), 28);
	line.next[SIDE_LAN] += length;
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, message_get16(data + 12), 1, THEIRS, OWN);
}

/* Data in the SYN (RFC 7413), the SYN sent again, and the server that does not take the data. */
static void data_in_the_syn(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint16_t outside[2];
	uint32_t count;

	occupy(rig, outside);
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
			occupy(rig, outside);
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
		occupy(rig, outside);
		struct line line = line_to(rig, L1, 3000, W1);
		assert_int_equal(line_call(&line, OWN, THEIRS), outside[0]);
		if (reset)
			line_reset(&line, SIDE_WAN);
		else
			line_close(&line);
		pptp_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, reset ? END_CONTROL_RESET : END_CONTROL_CLOSED);
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
static void picked_up_in_the_middle(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	uint16_t outside[2];

	occupy(rig, outside);
	struct line line = line_plan(rig, false, L1, 3000, W1);
	requests(sent, 1);
	struct packet *p = line_send(&line, SIDE_LAN, sent + 20, 100); /* the end of something */
	rig_forwarded(rig, SIDE_WAN);
	line.outside_port = packets_source_port(p);
	line_message(&line, SIDE_WAN, ECHO_REQUEST, 1, 2, 0);
	line_send(&line, SIDE_LAN, sent, 11); /* too short for a header */
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(line_request(&line, OWN), outside[0]);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside[0], 1, THEIRS, OWN);
	line_data_passes(&line, OWN, outside[0], THEIRS);
	assert_int_equal(engine_counters(rig->engine)->stat[STAT_PPTP_OUT_OF_STEP], 0);
}

/* All IDs under the high byte are taken, so that the high byte changes, too. */
static struct line line_under_full_byte(struct rig *rig, uint16_t port)
{
	struct line other = line_to(rig, L2, port, W1);

	rig->config.host_flows = 4096;
	rig_configure(rig);
	rig->in_haste = true;
	for (uint16_t i = 0; i < 256; i++)
		line_call(&other, (uint16_t)((OWN & 0xff00) + i), (uint16_t)(0x100 + i));
	rig->in_haste = false;
	return line_to(rig, L1, port, W1);
}

static void a_cut_where_the_high_byte_is_full(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX], first;
	struct line line = line_under_full_byte(rig, 3000);
	uint32_t start = line.next[SIDE_LAN], count;

	requests(sent, 1);
	struct packet *p = line_send(&line, SIDE_LAN, sent, 13);
	rig_forwarded(rig, SIDE_WAN);
	first = line_data(p, &count)[12];
	assert_int_not_equal(first, OWN >> 8);
	rig->in_haste = true;
	for (int i = 0; i < 300; i++) { /* sent again and again: the same byte */
		p = line_segment(&line, SIDE_LAN, FLAG_ACK, start + (uint32_t)i % 13, sent + i % 13,
				 13 - (uint32_t)i % 13);
		rig_forwarded(rig, SIDE_WAN);
		assert_int_equal(line_data(p, &count)[12 - i % 13], first);
	}
	rig->in_haste = false;
	p = line_send(&line, SIDE_LAN, sent + 13, 155);
	rig_forwarded(rig, SIDE_WAN);
	uint16_t outside = (uint16_t)(first << 8 | line_data(p, &count)[0]);
	p = line_segment(&line, SIDE_LAN, FLAG_ACK, start, sent, 168);
	assert_int_equal(message_get16(line_data(p, &count) + 12), outside);
	/* the way back, and every later message, cut in the ID */
	struct talk t = {0};
	say(&t, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside, THEIRS, OWN);
	say(&t, SIDE_WAN, SET_LINK_INFO, outside, 0, OWN, 0);
	say(&t, SIDE_LAN, CLEAR_REQUEST, OWN, 0, outside, 0);
	say(&t, SIDE_WAN, DISCONNECT_NOTIFY, outside, 0, OWN, 0);
	for (uint32_t i = 0; i < t.count; i++) {
		uint32_t cut = i == 0 ? 15 : 13;
		arrives(&line, t.said[i].from, t.said[i].sent, cut, t.said[i].arrives);
		arrives(&line, t.said[i].from, t.said[i].sent + cut, t.said[i].length - cut, t.said[i].arrives + cut);
	}
	pptp_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_CLEARED);
}

/* A notification may mean either end's ID: if the halves look alike, none goes out before the other is known. */
static void a_cut_notification(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	struct line line = line_under_full_byte(rig, 3000);
	uint16_t outside = line_request(&line, OWN), theirs = (uint16_t)((outside & 0xff00) | 7);

	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, theirs, outside, 1, theirs, OWN);
	message_build(sent, DISCONNECT_NOTIFY, theirs, 0, 4);
	line_segment(&line, SIDE_WAN, FLAG_ACK, line.next[SIDE_WAN], sent, 13);
	rig_dropped(rig, DROP_PPTP_SPLIT);
	line_expect(&line, SIDE_WAN, DISCONNECT_NOTIFY, theirs, 0, 4, theirs, 0);
	pptp_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_DISCONNECTED);
}

/* Two calls whose first bytes are equal inside and differ outside. */
static void halves_that_can_not_be_told_apart(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[STREAM_MAX];
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t kept = line_call(&line, OWN, THEIRS);

	assert_int_equal(kept, OWN);
	struct line other = line_to(rig, L2, 3000, W1);
	rig->config.host_flows = 4096;
	rig_configure(rig);
	for (uint16_t i = 0; i < 256; i++)
		if (i != (OWN & 255))
			line_call(&other, (uint16_t)((OWN & 0xff00) + i), (uint16_t)(0x100 + i));
	uint16_t moved = line_call(&line, OWN + 1, THEIRS + 1);
	assert_int_not_equal(moved >> 8, OWN >> 8);
	message_build(sent, CLEAR_REQUEST, OWN + 1, 0, 0);
	line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[SIDE_LAN], sent, 13);
	rig_dropped(rig, DROP_PPTP_SPLIT);
	line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[SIDE_LAN], sent, 12); /* TCP sends it again in other pieces */
	rig_forwarded(rig, SIDE_WAN);
	line_expect(&line, SIDE_LAN, CLEAR_REQUEST, OWN + 1, 0, 0, moved, 0);
	pptp_expect_tunnel(rig, L1, OWN + 1, TUNNEL_IS_CLEARING, END_NOT);
	pptp_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
}

static void ignore(void *context, enum side to, struct packet *packet, bool made)
{
	(void)context;
	(void)to;
	(void)packet;
	(void)made;
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
	assert_int_equal(pptp_tunnels(rig, true), 1);
	assert_int_not_equal(line_call(&line, OWN, THEIRS), OWN);
}

/* More changed bytes under way than are remembered: dropped whole, and then sent again in smaller pieces. */
static void crowded(void **state)
{
	struct rig *rig = *state;
	static uint8_t sent[40 * 168];
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);
	uint32_t length = requests(sent, 40), start = line.next[SIDE_LAN], count;
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
	assert_int_equal(engine_counters(rig->engine)->stat[STAT_PPTP_CALLS], 80);
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
	occupy(rig, outside); /* 3 flows of L1: the control connection and two calls that rest */
	struct line line = line_to(rig, L1, 3000, W1);
	assert_int_equal(line_call(&line, OWN, THEIRS), outside[0]);
	line_call(&line, 0x1111, 1);
	line_call(&line, 0x1112, 2);
	uint32_t length = message_build(sent, DISCONNECT_NOTIFY, OWN, 0, 4);
	uint32_t all = length + message_build(sent + length, OUTGOING_REQUEST, 0x1113, 0, 0);
	line_segment(&line, SIDE_LAN, FLAG_ACK, line.next[SIDE_LAN], sent, all);
	rig_dropped(rig, DROP_HOST_LIMIT);
	pptp_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_DISCONNECTED);
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
		pptp_test(every_cut_of_every_message),
		pptp_test(three_pieces),
		pptp_test(byte_by_byte),
		pptp_test(sent_again_with_other_boundaries),
		pptp_test(overlapping_segments),
		pptp_test(out_of_order),
		pptp_test(out_of_order_from_outside),
		pptp_test(too_far_ahead),
		pptp_test(what_is_kept_has_a_bound),
		pptp_test(super_segments),
		pptp_test(data_in_the_syn),
		pptp_test(a_forged_syn_changes_nothing),
		pptp_test(a_new_connection_from_the_same_port),
		pptp_test(picked_up_in_the_middle),
		pptp_test(a_cut_where_the_high_byte_is_full),
		pptp_test(a_cut_notification),
		pptp_test(halves_that_can_not_be_told_apart),
		pptp_test(crowded),
		pptp_test(a_damaged_segment_says_nothing),
		pptp_test(a_drop_behind_a_message_that_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
