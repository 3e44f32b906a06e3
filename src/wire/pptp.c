/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of control messages. */
#include "wire/pptp.h"

#include <stddef.h>

enum { MESSAGE_CONTROL = 1 };
#define MAGIC_COOKIE UINT32_C(0x1a2b3c4d)

static const struct pptp_shape shapes[PPTP_MESSAGES] = {
	[PPTP_START_REQUEST] = {156, PPTP_FIELD_NONE, PPTP_FIELD_NONE},
	[PPTP_START_REPLY] = {156, PPTP_FIELD_NONE, PPTP_FIELD_NONE},
	[PPTP_STOP_REQUEST] = {16, PPTP_FIELD_NONE, PPTP_FIELD_NONE},
	[PPTP_STOP_REPLY] = {16, PPTP_FIELD_NONE, PPTP_FIELD_NONE},
	[PPTP_ECHO_REQUEST] = {16, PPTP_FIELD_NONE, PPTP_FIELD_NONE},
	[PPTP_ECHO_REPLY] = {20, PPTP_FIELD_NONE, PPTP_FIELD_NONE},
	[PPTP_OUTGOING_CALL_REQUEST] = {168, PPTP_FIELD_OWN_NEW, PPTP_FIELD_NONE},
	[PPTP_OUTGOING_CALL_REPLY] = {32, PPTP_FIELD_OWN_NEW, PPTP_FIELD_PEER},
	[PPTP_INCOMING_CALL_REQUEST] = {220, PPTP_FIELD_OWN_NEW, PPTP_FIELD_NONE},
	[PPTP_INCOMING_CALL_REPLY] = {24, PPTP_FIELD_OWN_NEW, PPTP_FIELD_PEER},
	[PPTP_INCOMING_CALL_CONNECTED] = {28, PPTP_FIELD_PEER, PPTP_FIELD_NONE},
	[PPTP_CALL_CLEAR_REQUEST] = {16, PPTP_FIELD_OWN, PPTP_FIELD_NONE},
	[PPTP_CALL_DISCONNECT_NOTIFY] = {148, PPTP_FIELD_EITHER, PPTP_FIELD_NONE},
	[PPTP_WAN_ERROR_NOTIFY] = {40, PPTP_FIELD_PEER, PPTP_FIELD_NONE},
	[PPTP_SET_LINK_INFO] = {24, PPTP_FIELD_PEER, PPTP_FIELD_NONE},
};

const struct pptp_shape *pptp_shape(uint16_t type)
{
	return type >= PPTP_START_REQUEST && type < PPTP_MESSAGES ? &shapes[type] : NULL;
}

bool pptp_header_is_sound(const uint8_t *head, uint16_t *type)
{
	uint32_t cookie = (uint32_t)pptp_get16(head + 4) << 16 | pptp_get16(head + 6);

	*type = pptp_get16(head + 8);
	const struct pptp_shape *shape = pptp_shape(*type);
	return shape && pptp_get16(head) == shape->length && pptp_get16(head + 2) == MESSAGE_CONTROL &&
	       cookie == MAGIC_COOKIE;
}
