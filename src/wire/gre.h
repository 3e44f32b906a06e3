/* SPDX-License-Identifier: BSD-2-Clause */
/* GRE: version 0 with its optional key (RFC 2784, RFC 2890), the enhanced version 1 of PPTP (RFC 2637 section 4.1),
 * and what else goes by version 1, such as MikroTik's EoIP. */
#ifndef CULVERT_WIRE_GRE_H
#define CULVERT_WIRE_GRE_H

#include "wire/ip.h"

enum {
	GRE_OFFSET_CALL_ID = 6,
	GRE_CALL_HEADER = 8, /* up to and including the Call ID: as much as an ICMP error quotes */
};

struct gre {
	bool is_enhanced; /* version 1 with PPP: PPTP's */
	bool is_call;     /* enhanced, and to be told apart by call_id */
	bool has_key;     /* version 0 with a key, or EoIP, whose tunnel ID is in its place */
	uint16_t call_id; /* the one assigned by the receiver of the packet */
	uint32_t key;
};

/* Reads the header at offset; DROP_NONE or the reason. */
enum drop gre_parse(const struct packet *packet, uint32_t offset, struct gre *gre);

#endif
