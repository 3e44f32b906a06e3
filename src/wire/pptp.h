/* SPDX-License-Identifier: BSD-2-Clause */
/* The control messages of PPTP (RFC 2637 section 2): which there are, how long, and whose Call ID stands where. */
#ifndef CULVERT_WIRE_PPTP_H
#define CULVERT_WIRE_PPTP_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PPTP_HEADER = 12,
	PPTP_HEAD = 18, /* header, both fields that may hold Call IDs, and the result code */
	PPTP_OFFSET_FIRST = 12,
	PPTP_OFFSET_SECOND = 14,
	PPTP_OFFSET_RESULT = 16,
	PPTP_RESULT_CONNECTED = 1,
};

enum pptp_message {
	PPTP_START_REQUEST = 1,
	PPTP_START_REPLY,
	PPTP_STOP_REQUEST,
	PPTP_STOP_REPLY,
	PPTP_ECHO_REQUEST,
	PPTP_ECHO_REPLY,
	PPTP_OUTGOING_CALL_REQUEST,
	PPTP_OUTGOING_CALL_REPLY,
	PPTP_INCOMING_CALL_REQUEST,
	PPTP_INCOMING_CALL_REPLY,
	PPTP_INCOMING_CALL_CONNECTED,
	PPTP_CALL_CLEAR_REQUEST,
	PPTP_CALL_DISCONNECT_NOTIFY,
	PPTP_WAN_ERROR_NOTIFY,
	PPTP_SET_LINK_INFO,
	PPTP_MESSAGES,
};

/* What a field of a message holds. */
enum pptp_field {
	PPTP_FIELD_NONE,
	PPTP_FIELD_OWN_NEW, /* the sender's own Call ID, for a new call */
	PPTP_FIELD_OWN,     /* the sender's own Call ID */
	PPTP_FIELD_PEER,    /* the Call ID that the receiver has assigned */
	PPTP_FIELD_EITHER,  /* Call-Disconnect-Notify: the sender's own by the RFC, the receiver's by habit */
};

struct pptp_shape {
	uint16_t length;
	uint8_t first, second; /* enum pptp_field: at 12 and at 14 */
};

/* The shape of a message, or NULL if there is no such type. */
const struct pptp_shape *pptp_shape(uint16_t type);

/* A sound header: length of the type, message type 1, the magic cookie. head holds at least PPTP_HEADER bytes. Sets
 * *type. */
bool pptp_header_is_sound(const uint8_t *head, uint16_t *type);

static inline uint16_t pptp_get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

#endif
