/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows (sessions): finding, opening and closing them.
 *
 * A flow stands in two tables, by its inside and by its outside key. Flows of one mapping to one remote address form a
 * ring, whose one entry in the peer table answers "has this mapping been in touch with that address" (address-dependent
 * filtering).
 */
#ifndef CULVERT_NAT_FLOW_H
#define CULVERT_NAT_FLOW_H

#include "nat/state.h"

/* An SPI has 32 bits and takes the place of both ports. */
static inline void flow_key_take_spi(struct flow_key *key, uint32_t spi)
{
	key->local_port = (uint16_t)(spi >> 16);
	key->remote_port = (uint16_t)spi;
}

static inline uint32_t flow_key_spi(const struct flow_key *key)
{
	return (uint32_t)key->local_port << 16 | key->remote_port;
}

uint64_t flow_hash(const struct engine *engine, const struct flow_key *key);

/* The keys of a flow, and whether it is known by such a one. */
struct flow_key flow_inside_key(const struct engine *engine, const struct flow *flow, enum key_by by);
struct flow_key flow_outside_key(const struct flow *flow, enum key_by by);
bool flow_has_key(const struct flow *flow, enum key_by by);

/* The live flow, or NONE: at its deadline it is gone (RFC 4787 REQ-5). A lookup changes nothing; an expired flow that
 * it meets is noted, and ended by life_end_noted(). */
uint32_t flow_find_outbound(struct engine *engine, const struct flow_key *inside_key, uint64_t hash);
uint32_t flow_find_inbound(struct engine *engine, const struct flow_key *outside_key, uint64_t hash);

/* There is a record for one more flow. See timer_has_room(). */
bool flow_has_room(const struct engine *engine);
/* Opens a flow of a host that is held or has flows, and of a mapping that is alive (NONE for protocols without ports).
 * NONE and *why if a limit forbids it. See
 * timer_open_flow(). */
uint32_t flow_open(struct engine *engine, const struct flow *identity, enum drop *why);
/* A call's remote Call ID became known. */
void flow_answer(struct engine *engine, uint32_t index, uint16_t remote_id);
/* The remote Call ID belongs to another call now; the flow is known by its own ID only. */
void flow_forget_answer(struct engine *engine, uint32_t index);
/* An SA is known by this SPI in what comes from that side; 0: no longer by any. */
void flow_take_spi(struct engine *engine, uint32_t index, enum side from, uint32_t spi);
/* Takes a flow out of every table, and its mapping with it if it was the last one. Nobody is told, see life_end(). */
void flow_remove(struct engine *engine, uint32_t index);

/* The mapping has a flow that lives. */
bool flow_mapping_is_alive(struct engine *engine, uint32_t mapping);
/* A live flow of this mapping with that remote address exists (RFC 4787 section 5, address-dependent). */
bool flow_mapping_knows_peer(struct engine *engine, uint32_t mapping, struct address remote_address);

/*
 * A flow is special if another mode of a service may end or change it: a service claims it, or a module reads it; and
 * if another forward may, but no port leads to it. Few are, and a bit for each record finds them among a million in
 * microseconds.
 */
bool flow_is_special(const struct flow *flow);
/* A module reads it from now on. */
void flow_mark_special(struct engine *engine, uint32_t index);
/* The first special flow from this index on, or NONE. */
uint32_t flow_next_special(const struct engine *engine, uint32_t index);

/* A flow of this mapping with that remote address, expired ones among them, or NONE. */
uint32_t flow_mapping_peer(const struct engine *engine, uint32_t mapping, struct address remote_address);

/* The outside port that the flow's packets carry. */
uint16_t flow_port_used(const struct engine *engine, uint32_t index);

/* A flow as people see it. */
void flow_view_of(const struct engine *engine, uint32_t index, uint64_t now_ms, struct flow_view *view);

/* Rebuilds every table from the records of a process that died; returns the flows that were kept. */
uint32_t flow_recover(struct engine *engine);

#endif
