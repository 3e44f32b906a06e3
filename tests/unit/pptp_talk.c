/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conversations of the tests of PPTP's streams.
 */
#include "pptp_talk.h"

#include <string.h>

void talk_say(struct talk *talk, enum side from, unsigned type, uint16_t first, uint16_t second, uint16_t arrives1,
	      uint16_t arrives2)
{
	struct said *said = &talk->said[talk->count++];

	said->from = from;
	said->length = message_build(said->sent, type, first, second, RESULT_CONNECTED);
	memcpy(said->arrives, said->sent, said->length);
	message_put16(said->arrives + 12, arrives1);
	message_put16(said->arrives + 14, arrives2);
}

struct talk talk_whole(uint16_t outside, uint16_t outside2)
{
	struct talk t = {0};

	talk_say(&t, SIDE_LAN, START_REQUEST, 0x100, 0, 0x100, 0);
	talk_say(&t, SIDE_WAN, START_REPLY, 0x100, 0, 0x100, 0);
	talk_say(&t, SIDE_LAN, OUTGOING_REQUEST, OWN, 1, outside, 1);
	talk_say(&t, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside, THEIRS, OWN);
	talk_say(&t, SIDE_LAN, SET_LINK_INFO, THEIRS, 0, THEIRS, 0);
	talk_say(&t, SIDE_WAN, SET_LINK_INFO, outside, 0, OWN, 0);
	talk_say(&t, SIDE_LAN, ECHO_REQUEST, OWN, outside, OWN, outside);
	talk_say(&t, SIDE_WAN, ECHO_REPLY, OWN, outside, OWN, outside);
	talk_say(&t, SIDE_WAN, INCOMING_REQUEST, THEIRS2, 2, THEIRS2, 2);
	talk_say(&t, SIDE_LAN, INCOMING_REPLY, OWN2, THEIRS2, outside2, THEIRS2);
	talk_say(&t, SIDE_WAN, INCOMING_CONNECTED, outside2, 0, OWN2, 0);
	talk_say(&t, SIDE_WAN, WAN_ERROR, outside2, 0, OWN2, 0);
	talk_say(&t, SIDE_LAN, CLEAR_REQUEST, OWN, 0, outside, 0);
	talk_say(&t, SIDE_WAN, DISCONNECT_NOTIFY, outside, 0, OWN, 0);
	talk_say(&t, SIDE_LAN, CLEAR_REQUEST, OWN2, 0, outside2, 0);
	talk_say(&t, SIDE_WAN, DISCONNECT_NOTIFY, THEIRS2, 0, THEIRS2, 0);
	talk_say(&t, SIDE_LAN, STOP_REQUEST, 1, 0, 1, 0);
	talk_say(&t, SIDE_WAN, STOP_REPLY, 1, 0, 1, 0);
	return t;
}

void talk_occupy(struct rig *rig, uint16_t outside[2])
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

void talk_arrives(struct line *line, enum side from, const uint8_t *bytes, uint32_t count, const uint8_t *expected)
{
	uint32_t arrived;
	struct packet *p = line_send(line, from, bytes, count);

	rig_forwarded(line->rig, (enum side) !from);
	assert_non_null(p);
	const uint8_t *data = line_data(p, &arrived);
	assert_int_equal(arrived, count);
	assert_memory_equal(data, expected, count);
}

uint32_t talk_requests(uint8_t *sent, uint32_t count)
{
	uint32_t length = 0;

	for (uint32_t i = 0; i < count; i++)
		length += message_build(sent + length, OUTGOING_REQUEST, (uint16_t)(OWN + i), (uint16_t)i, 0);
	return length;
}
