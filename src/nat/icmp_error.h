/* SPDX-License-Identifier: BSD-2-Clause */
/* Making ICMP errors (RFC 792, RFC 1812 section 4.3.2, RFC 5508 REQ-8 and 10). */
#ifndef CULVERT_NAT_ICMP_ERROR_H
#define CULVERT_NAT_ICMP_ERROR_H

#include "nat/state.h"

/* Sends an error about a packet, as it came, back to its source on the side it came from; does nothing where RFC 1812
 * forbids one or the rate limit is reached. from_address is the router's on that side. mtu only for fragmentation
 * needed. */
void icmp_error_send(struct engine *engine, const struct passage *passage, struct address from_address, uint8_t type,
		     uint8_t code, uint16_t mtu);

/* The two halves of it: makes the error in the engine's scratch memory, false if there must be none; and sends it. Of
 * the passage its packet, its IPv4 header and its side must be known. */
bool icmp_error_make(struct engine *engine, const struct passage *passage, struct address from_address, uint8_t type,
		     uint8_t code, uint16_t mtu, struct packet *error);
void icmp_error_emit(struct engine *engine, enum side to, struct packet *error);

#endif
