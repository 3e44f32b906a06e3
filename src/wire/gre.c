/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading GRE headers. */
#include "wire/gre.h"

enum {
	GRE_FLAG_CHECKSUM = 0x8000,
	GRE_FLAG_ROUTING = 0x4000,
	GRE_FLAG_KEY = 0x2000,
	GRE_VERSION_MASK = 0x0007,
	/* Of the first word of a call's packet only the sequence and acknowledgement bits are free (RFC 2637
	   section 4.1). */
	CALL_FIXED_BITS = (int)0xef7fffff,
	CALL_FIRST_WORD = 0x2001880b,
	GRE_PROTOCOL_PPP = 0x880b,
	GRE_PROTOCOL_EOIP = 0x6400,
	EOIP_HEADER = 8, /* 2001 6400, the length, and the tunnel's ID, the same in both directions */
	EOIP_OFFSET_TUNNEL_ID = 6,
};

/* Version 1 is PPTP's, but others have borrowed it: what is not PPP is nobody's call. */
static enum drop gre_parse_other(const struct packet *packet, uint32_t offset, uint32_t word, struct gre *gre)
{
	if ((uint16_t)word != GRE_PROTOCOL_EOIP)
		return DROP_NONE;
	if (!packet_has(packet, offset, EOIP_HEADER))
		return DROP_GRE_MALFORMED;
	gre->has_key = true;
	gre->key = packet_get16(packet, offset + EOIP_OFFSET_TUNNEL_ID);
	return DROP_NONE;
}

enum drop gre_parse(const struct packet *packet, uint32_t offset, struct gre *gre)
{
	*gre = (struct gre){.is_call = false};
	if (!packet_has(packet, offset, 4))
		return DROP_GRE_MALFORMED;
	uint32_t word = packet_get32(packet, offset);
	uint16_t flags = (uint16_t)(word >> 16);
	if ((flags & GRE_VERSION_MASK) == 1 && (uint16_t)word != GRE_PROTOCOL_PPP)
		return gre_parse_other(packet, offset, word, gre);
	if ((flags & GRE_VERSION_MASK) == 1) {
		if (!packet_has(packet, offset, GRE_CALL_HEADER) ||
		    (word & (uint32_t)CALL_FIXED_BITS) != CALL_FIRST_WORD)
			return DROP_GRE_MALFORMED;
		gre->is_enhanced = gre->is_call = true;
		gre->call_id = packet_get16(packet, offset + GRE_OFFSET_CALL_ID);
		return DROP_NONE;
	}
	if ((flags & GRE_VERSION_MASK) != 0)
		return DROP_GRE_MALFORMED;
	if (flags & GRE_FLAG_KEY) {
		/* A checksum or routing stands before the key and takes four bytes. */
		uint32_t at = offset + (flags & (GRE_FLAG_CHECKSUM | GRE_FLAG_ROUTING) ? 8 : 4);
		if (!packet_has(packet, at, 4))
			return DROP_GRE_MALFORMED;
		gre->has_key = true;
		gre->key = packet_get32(packet, at);
	}
	return DROP_NONE;
}
