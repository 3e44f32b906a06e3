/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is said on a control connection: messages as they are sent and as they must arrive.
 */
#ifndef CULVERT_TESTS_PPTP_TALK_H
#define CULVERT_TESTS_PPTP_TALK_H

#include "pptp_rig.h"

enum { OWN = 0x4d21, THEIRS = 0x3e17, OWN2 = 0x4e00, THEIRS2 = 0x1000, TALK_MAX = 32, STREAM_MAX = 8192 };

struct said {
	enum side from;
	uint32_t length;
	uint8_t sent[MESSAGE_MAX], arrives[MESSAGE_MAX];
};

struct talk {
	uint32_t count;
	struct said said[TALK_MAX];
};

/* Adds a message to a conversation. */
void talk_say(struct talk *talk, enum side from, unsigned type, uint16_t first, uint16_t second, uint16_t arrives1,
	      uint16_t arrives2);
/* All messages in all directions in which they carry something; a client inside, both kinds of calls. */
struct talk talk_whole(uint16_t outside, uint16_t outside2);
/* Count requests of one side in one stream; returns its length. */
uint32_t talk_requests(uint8_t *sent, uint32_t count);

/* Another host has both IDs already, so that ours change. Returns the outside IDs that L1 gets, now and later. */
void talk_occupy(struct rig *rig, uint16_t outside[2]);
/* Sends bytes, and asserts what arrives. */
void talk_arrives(struct line *line, enum side from, const uint8_t *bytes, uint32_t count, const uint8_t *expected);

#endif
