/* SPDX-License-Identifier: BSD-2-Clause */
/* Changing addresses, ports and identification of a packet, with every checksum that covers them (RFC 3022 section 4).
 */
#ifndef CULVERT_NAT_REWRITE_H
#define CULVERT_NAT_REWRITE_H

#include "nat/state.h"

/* What the packet shall carry; start from rewrite_none() and change what changes. */
struct rewrite {
	struct address source, destination;
	uint16_t source_port, destination_port; /* ICMP queries: source_port is the identifier; calls: destination_port
						   is the Call ID */
	uint16_t identification;
};

struct rewrite rewrite_none(const struct passage *passage);
/* What a packet of the flow from that side carries of our end when it leaves: the outside endpoint as its source, or
 * the inside one as its destination. The remote end stays as it came. */
void rewrite_own_end(const struct engine *engine, uint32_t flow, enum side from, struct rewrite *to);
/* A whole packet or a first fragment. */
void rewrite_packet(struct packet *packet, const struct network_header *ip, const struct transport *transport,
		    const struct rewrite *to);
/* A later fragment: the IPv4 header only. */
void rewrite_header(struct packet *packet, const struct network_header *ip, const struct rewrite *to);
/* Lowers the MSS of a SYN to what fits both links, if configured; destination as the packet leaves, on side to. */
void rewrite_mss(struct engine *engine, struct passage *passage, enum side to, struct address destination);
/* The identification a packet with DF clear gets on its way out: unique towards its destination for as long as 65536
 * packets last (RFC 6864 section 5.3.1, RFC 7857 section 10). */
uint16_t rewrite_identification(struct engine *engine, const struct passage *passage, struct address destination);

#endif
