/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mappings: the tie between an inside endpoint and an outside port (RFC 4787 section 4). One outside port never has two
 * mappings. A mapping lives exactly as long as it has flows.
 */
#ifndef CULVERT_NAT_MAPPING_H
#define CULVERT_NAT_MAPPING_H

#include "nat/state.h"

/* The mapping of a host's endpoint towards a remote one, by the configured dependence; NONE if there is none. */
uint32_t mapping_find(const struct engine *engine, uint8_t protocol, uint32_t host, uint16_t inside_port,
		      struct address remote_address, uint16_t remote_port);
/* The mapping that owns an outside port, or NONE. */
uint32_t mapping_at(const struct outside *outside, uint8_t protocol, uint16_t outside_port);
/* Opens a dynamic mapping for an outbound flow; picks the port. The host is held. NONE and *why if refused. */
uint32_t mapping_open(struct engine *engine, uint8_t protocol, uint32_t host, uint16_t inside_port,
		      struct address remote_address, uint16_t remote_port, struct outside *outside, enum drop *why);
/* Opens the mapping of a static forward to that host at exactly this port. The host is held. NONE and *why if the port
 * is taken. */
uint32_t mapping_open_forward(struct engine *engine, const struct forward *forward, uint32_t host,
			      struct outside *outside, uint16_t outside_port, enum drop *why);
/* Gives the outside port back if no flow is left; it rests unless the last flow was seen to close. */
void mapping_release(struct engine *engine, uint32_t index, bool closed_cleanly);
/* Rebuilds table and ports from the records; no mapping then has a flow. */
void mapping_recover(struct engine *engine);

/* The forward that an outside port belongs to, or NULL; its target port is to_port + (port - port_first). */
const struct forward *forward_find(const struct engine *engine, uint8_t protocol, uint16_t outside_port);

#endif
