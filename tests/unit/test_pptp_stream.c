/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control connections as TCP makes them: messages cut anywhere, several in a segment, sent again with other boundaries,
 * in super-segments. Whatever the cuts, the bytes that arrive are those that whole messages give.
 */
#include "pptp_talk.h"

#include <string.h>

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
				talk_arrives(&line, said->from, said->sent + cuts[k], cuts[k + 1] - cuts[k],
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
	talk_occupy(rig, outside);
	return talk_whole(outside[0], outside[1]);
}

static void every_cut_of_every_message(void **state)
{
	struct rig *rig = *state;
	uint16_t outside[2], port = 3000;

	talk_occupy(rig, outside);
	struct talk talk = talk_whole(outside[0], outside[1]);
	rig->in_haste = true;
	for (uint32_t at = 0; at < talk.count; at++)
		for (uint32_t cut = 1; cut < talk.said[at].length; cut++) {
			hold_talk(rig, &talk, port++, at, cut, cut);
			talk = fresh_rig_now_and_then(rig, port, &talk);
		}
	rig->in_haste = false;
	rig_check(rig);
	assert_int_equal(rig_stat(rig, STAT_PPTP_OUT_OF_STEP), 0);
}

static void three_pieces(void **state)
{
	struct rig *rig = *state;
	uint16_t outside[2], port = 3000;

	talk_occupy(rig, outside);
	struct talk talk = talk_whole(outside[0], outside[1]);
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

	talk_occupy(rig, outside);
	struct talk talk = talk_whole(outside[0], outside[1]);
	struct line line = line_to(rig, L1, 3000, W1);
	rig->in_haste = true;
	for (uint32_t i = 0; i < talk.count; i++)
		for (uint32_t k = 0; k < talk.said[i].length; k++)
			talk_arrives(&line, talk.said[i].from, talk.said[i].sent + k, 1, talk.said[i].arrives + k);
	rig->in_haste = false;
	line_acknowledge(&line, SIDE_LAN);
}

/* The first transmission settles the value of each byte; any later one, however cut, carries the same. */
static void sent_again_with_other_boundaries(void **state)
{
	struct rig *rig = *state;
	struct test_random r = test_random_seed(77);
	static uint8_t sent[STREAM_MAX], first[STREAM_MAX];
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);
	uint32_t length = talk_requests(sent, 20), start = line.next[SIDE_LAN], count;

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
	assert_int_equal(rig_stat(rig, STAT_PPTP_CALLS), 40);
}

/* 64 KiB with a partial checksum: 14 requests, an ID cut by nothing, patched without touching the partial sum. */
static void super_segments(void **state)
{
	struct rig *rig = *state;
	static uint8_t sent[65000];
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);
	uint32_t length = 0, calls = 0, count;

	rig->config.wan_mtu = rig->config.inside[0].mtu = 1500;
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
	assert_int_equal(rig_tunnels(rig, false), 28);
	line.next[SIDE_LAN] += length;
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, message_get16(data + 12), 1, THEIRS, OWN);
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

	talk_requests(sent, 1);
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
	talk_say(&t, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside, THEIRS, OWN);
	talk_say(&t, SIDE_WAN, SET_LINK_INFO, outside, 0, OWN, 0);
	talk_say(&t, SIDE_LAN, CLEAR_REQUEST, OWN, 0, outside, 0);
	talk_say(&t, SIDE_WAN, DISCONNECT_NOTIFY, outside, 0, OWN, 0);
	for (uint32_t i = 0; i < t.count; i++) {
		uint32_t cut = i == 0 ? 15 : 13;
		talk_arrives(&line, t.said[i].from, t.said[i].sent, cut, t.said[i].arrives);
		talk_arrives(&line, t.said[i].from, t.said[i].sent + cut, t.said[i].length - cut,
			     t.said[i].arrives + cut);
	}
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_CLEARED);
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
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_DISCONNECTED);
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
	rig_expect_tunnel(rig, L1, OWN + 1, TUNNEL_IS_CLEARING, END_NOT);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pptp_test(every_cut_of_every_message),
		pptp_test(three_pieces),
		pptp_test(byte_by_byte),
		pptp_test(sent_again_with_other_boundaries),
		pptp_test(super_segments),
		pptp_test(a_cut_where_the_high_byte_is_full),
		pptp_test(a_cut_notification),
		pptp_test(halves_that_can_not_be_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
