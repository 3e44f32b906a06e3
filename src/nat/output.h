/* SPDX-License-Identifier: BSD-2-Clause */
/* The last step of every packet: does it fit the next link, and out; docs/nat-behaviour.md section 5. */
#ifndef CULVERT_NAT_OUTPUT_H
#define CULVERT_NAT_OUTPUT_H

#include "nat/state.h"

/* The MTU of the link by which packets go to that address; on the LAN it is an inside host's. */
uint32_t output_mtu(const struct engine *engine, enum side to, struct address address);
/* The packet is larger than the next link's MTU and may not be cut. Asked before anything is changed, so that the error
 * can quote the packet as it came. */
bool output_is_too_big(const struct packet *packet, const struct network_header *ip, enum side to, uint32_t mtu);
/* Hands a packet that is not too big to the sink, cut into its segments and into fragments if it must be. from and
 * origin: see struct engine_sink. */
void output_send(struct engine *engine, struct packet *packet, const struct network_header *ip, enum side from,
		 enum side to, enum origin origin);

#endif
