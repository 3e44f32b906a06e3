/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading L2TP. Bits in the first word of a header say which fields it has; attributes of control messages follow each
 * other by their lengths, which are at least those of their own headers, so a walk always goes forward.
 */
#include "wire/l2tp.h"

#include <stddef.h>

enum {
	BIT_TYPE = 0x8000, /* a control message */
	BIT_LENGTH = 0x4000,
	BIT_SEQUENCE = 0x0800,
	BIT_OFFSET = 0x0200,
	BIT_PRIORITY = 0x0100,
	VERSION_MASK = 0x000f,
	V2_HEADER_MIN = 6,
	V3_CONTROL_HEADER = 12,
	V3_DATA_HEADER = 8,
};

enum {
	AVPS_MAX = 64,
	AVP_HEADER = 6,
	AVP_LENGTH_MASK = 0x03ff,
	AVP_RESERVED = 0x3c00,
	AVP_HIDDEN = 0x4000,
	AVP_MESSAGE_TYPE = 0,
	AVP_RESULT_CODE = 1,
	AVP_HOST_NAME = 7,
	AVP_VENDOR_NAME = 8,
	AVP_TUNNEL = 9,
	AVP_SESSION = 14,
	AVP_DIGEST = 59,
	AVP_CONNECTION = 61,
	AVP_LOCAL_SESSION = 63,
	AVP_REMOTE_SESSION = 64,
};

/* An attribute, wholly in the packet. */
struct avp {
	uint32_t at, count; /* its value */
	uint16_t type;
	bool is_hidden;
};

static bool parse_v2(const struct packet *packet, uint32_t offset, uint32_t length, uint16_t bits,
		     struct l2tp_header *header)
{
	uint16_t wanted = BIT_TYPE | BIT_LENGTH | BIT_SEQUENCE;
	uint32_t tunnel_at = offset + (bits & BIT_LENGTH ? 4 : 2);
	uint32_t fixed = V2_HEADER_MIN;

	if ((bits & BIT_TYPE) && (bits & (wanted | BIT_OFFSET | BIT_PRIORITY)) != wanted)
		return false;
	fixed += bits & BIT_LENGTH ? 2 : 0;
	fixed += bits & BIT_SEQUENCE ? 4 : 0;
	fixed += bits & BIT_OFFSET ? 2 : 0;
	if (!packet_has(packet, offset, fixed))
		return false;
	uint32_t whole = bits & BIT_LENGTH ? packet_get16(packet, offset + 2) : length;
	*header = (struct l2tp_header){
		.version = 2,
		.is_control = (bits & BIT_TYPE) != 0,
		.has_sequence = (bits & BIT_SEQUENCE) != 0,
		.tunnel = packet_get16(packet, tunnel_at),
		.session = packet_get16(packet, tunnel_at + 2),
		.tunnel_at = tunnel_at,
		.ns = bits & BIT_SEQUENCE ? packet_get16(packet, tunnel_at + 4) : 0,
		.nr = bits & BIT_SEQUENCE ? packet_get16(packet, tunnel_at + 6) : 0,
		.header_length = fixed + (bits & BIT_OFFSET ? packet_get16(packet, offset + fixed - 2) : 0),
	};
	if (whole > length || header->header_length > whole)
		return false;
	header->payload_length = whole - header->header_length;
	return true;
}

static bool parse_v3(const struct packet *packet, uint32_t offset, uint32_t length, uint16_t bits,
		     struct l2tp_header *header)
{
	bool is_control = (bits & BIT_TYPE) != 0;
	uint32_t fixed = is_control ? V3_CONTROL_HEADER : V3_DATA_HEADER;

	if (fixed > length || !packet_has(packet, offset, fixed))
		return false;
	*header = (struct l2tp_header){.version = 3, .is_control = is_control, .header_length = fixed};
	if (!is_control) {
		header->session = packet_get32(packet, offset + 4);
		header->payload_length = length - fixed;
		return true;
	}
	uint32_t whole = packet_get16(packet, offset + 2);
	if (!(bits & BIT_LENGTH) || !(bits & BIT_SEQUENCE) || whole > length || whole < fixed)
		return false;
	header->has_sequence = true;
	header->tunnel_at = offset + 4;
	header->tunnel = packet_get32(packet, offset + 4);
	header->ns = packet_get16(packet, offset + 8);
	header->nr = packet_get16(packet, offset + 10);
	header->payload_length = whole - fixed;
	return true;
}

bool l2tp_parse(const struct packet *packet, uint32_t offset, uint32_t length, struct l2tp_header *header)
{
	if (length < 2 || !packet_has(packet, offset, 2))
		return false;
	uint16_t bits = packet_get16(packet, offset);
	switch (bits & VERSION_MASK) {
	case 2:
		return parse_v2(packet, offset, length, bits, header);
	case 3:
		return parse_v3(packet, offset, length, bits, header);
	default:
		return false;
	}
}

/* False if the attribute came before or has another size. */
static bool read_id(const struct packet *packet, const struct avp *avp, uint32_t size, struct l2tp_id *id)
{
	if (id->has || (!avp->is_hidden && avp->count != size))
		return false;
	id->has = true;
	id->is_hidden = avp->is_hidden;
	if (avp->is_hidden)
		return true;
	id->at = avp->at;
	id->value = size == 2 ? packet_get16(packet, avp->at) : packet_get32(packet, avp->at);
	return true;
}

static void read_name(const struct packet *packet, const struct avp *avp, struct l2tp_name *name)
{
	uint32_t used = 0;

	if (name->has)
		return;
	name->has = true;
	name->is_hidden = avp->is_hidden;
	for (uint32_t i = 0; i < avp->count && used < L2TP_NAME_MAX - 1 && !avp->is_hidden; i++) {
		uint8_t c = packet_get8(packet, avp->at + i);
		if (c >= ' ' && c <= '~')
			name->text[used++] = (char)c;
	}
	name->text[used] = '\0';
}

static bool read_result(const struct packet *packet, const struct avp *avp, struct l2tp_facts *facts)
{
	if (avp->is_hidden || facts->has_result)
		return true;
	if (avp->count < 2)
		return false;
	facts->has_result = true;
	facts->result = packet_get16(packet, avp->at);
	facts->error = avp->count >= 4 ? packet_get16(packet, avp->at + 2) : 0;
	return true;
}

/* False if the attribute is malformed. */
static bool read_avp(const struct packet *packet, const struct avp *avp, bool is_first, struct l2tp_facts *facts)
{
	switch (avp->type) {
	case AVP_MESSAGE_TYPE: /* stands first (RFC 2661 section 4.4.1) */
		if (is_first && !avp->is_hidden && avp->count == 2)
			facts->message = packet_get16(packet, avp->at);
		return is_first;
	case AVP_RESULT_CODE:
		return read_result(packet, avp, facts);
	case AVP_HOST_NAME:
		read_name(packet, avp, &facts->host);
		return true;
	case AVP_VENDOR_NAME:
		read_name(packet, avp, &facts->vendor);
		return true;
	case AVP_TUNNEL:
		return read_id(packet, avp, 2, &facts->tunnel);
	case AVP_SESSION:
		return read_id(packet, avp, 2, &facts->session);
	case AVP_DIGEST:
		facts->has_digest = true;
		return true;
	case AVP_CONNECTION:
		return read_id(packet, avp, 4, &facts->connection);
	case AVP_LOCAL_SESSION:
		return read_id(packet, avp, 4, &facts->local_session);
	case AVP_REMOTE_SESSION:
		return read_id(packet, avp, 4, &facts->remote_session);
	default:
		return true;
	}
}

void l2tp_read_control(const struct packet *packet, uint32_t offset, const struct l2tp_header *header,
		       struct l2tp_facts *facts)
{
	*facts = (struct l2tp_facts){.message = 0};
	if (!header->is_control || !packet_has(packet, offset, header->header_length))
		return;
	uint32_t at = offset + header->header_length, left = header->payload_length;
	for (uint32_t i = 0; left > 0; i++) {
		if (i == AVPS_MAX || left < AVP_HEADER) {
			facts->is_malformed = true;
			return;
		}
		if (!packet_has(packet, at, AVP_HEADER))
			return; /* in a later fragment */
		uint16_t bits = packet_get16(packet, at);
		uint32_t size = bits & AVP_LENGTH_MASK;
		if (size < AVP_HEADER || size > left) {
			facts->is_malformed = true;
			return;
		}
		if (!packet_has(packet, at, size))
			return;
		struct avp avp = {at + AVP_HEADER, size - AVP_HEADER, packet_get16(packet, at + 4),
				  (bits & AVP_HIDDEN) != 0};
		/* A vendor's own attribute, or one with a reserved bit, is not the one we know (RFC 2661 section 4.1).
		 */
		bool is_known = packet_get16(packet, at + 2) == 0 && !(bits & AVP_RESERVED);
		if (is_known && !read_avp(packet, &avp, i == 0, facts)) {
			facts->is_malformed = true;
			return;
		}
		at += size;
		left -= size;
	}
}
