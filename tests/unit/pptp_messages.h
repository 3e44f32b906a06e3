/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PPTP control messages for tests, written apart from the product: lengths and fields as RFC 2637 section 2 has them.
 */
#ifndef CULVERT_TESTS_PPTP_MESSAGES_H
#define CULVERT_TESTS_PPTP_MESSAGES_H

#include <stdint.h>

enum {
	START_REQUEST = 1,
	START_REPLY,
	STOP_REQUEST,
	STOP_REPLY,
	ECHO_REQUEST,
	ECHO_REPLY,
	OUTGOING_REQUEST,
	OUTGOING_REPLY,
	INCOMING_REQUEST,
	INCOMING_REPLY,
	INCOMING_CONNECTED,
	CLEAR_REQUEST,
	DISCONNECT_NOTIFY,
	WAN_ERROR,
	SET_LINK_INFO,
	MESSAGE_TYPES,
};

enum { MESSAGE_MAX = 220, RESULT_CONNECTED = 1, RESULT_REFUSED = 2 };

/* Whose Call ID a field holds: of the sender, of the receiver, of either; NEW may open a call. */
enum whose { NOBODYS, SENDERS_NEW, SENDERS, RECEIVERS, EITHERS };

static inline uint32_t message_length(unsigned type)
{
	static const uint8_t length[MESSAGE_TYPES] = {0,  156, 156, 16, 16, 16,  20, 168,
						      32, 220, 24,  28, 16, 148, 40, 24};

	return length[type];
}

static inline enum whose message_field(unsigned type, unsigned offset)
{
	switch (type) {
	case OUTGOING_REQUEST:
	case INCOMING_REQUEST:
		return offset == 12 ? SENDERS_NEW : NOBODYS;
	case OUTGOING_REPLY:
	case INCOMING_REPLY:
		return offset == 12 ? SENDERS_NEW : RECEIVERS;
	case CLEAR_REQUEST:
		return offset == 12 ? SENDERS : NOBODYS;
	case DISCONNECT_NOTIFY:
		return offset == 12 ? EITHERS : NOBODYS;
	case INCOMING_CONNECTED:
	case WAN_ERROR:
	case SET_LINK_INFO:
		return offset == 12 ? RECEIVERS : NOBODYS;
	default:
		return NOBODYS;
	}
}

static inline uint16_t message_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void message_put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Writes MESSAGE_MAX bytes at most; first and second stand at 12 and 14, result at 16 if the message is that long. */
static inline uint32_t message_build(uint8_t *out, unsigned type, uint16_t first, uint16_t second, uint8_t result)
{
	uint32_t length = message_length(type);

	for (uint32_t i = 0; i < length; i++)
		out[i] = (uint8_t)(i * 13 + type);
	message_put16(out, length);
	message_put16(out + 2, 1);
	message_put16(out + 4, 0x1a2b);
	message_put16(out + 6, 0x3c4d);
	message_put16(out + 8, type);
	message_put16(out + 10, 0);
	message_put16(out + 12, first);
	message_put16(out + 14, second);
	if (length > 16)
		out[16] = result;
	return length;
}

#endif
