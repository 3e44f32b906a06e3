/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Expiry. Touching a flow writes its deadline and nothing else; a lookup that meets an expired flow notes it.
 * What nobody looks up any more is found by a sweep over the records, a bounded piece at a time: no list, no wheel,
 * nothing to move when a deadline changes.
 */
#ifndef CULVERT_NAT_TIMER_H
#define CULVERT_NAT_TIMER_H

#include "nat/state.h"

enum { TIMER_PORT_DNS = 53 };

/* Refreshes a flow by its timer class. */
static inline void timer_touch(struct engine *engine, struct flow *flow)
{
	flow->deadline = (uint32_t)(engine->now_ms + engine->config.timeout[flow->timeout]);
}

/* Gives it another timer class, which begins now. */
static inline void timer_set(struct engine *engine, struct flow *flow, enum timeout timeout)
{
	flow->timeout = (uint8_t)timeout;
	timer_touch(engine, flow);
}

/* The timer class of a new flow; TCP has states of its own. */
static inline enum timeout timer_class(uint8_t protocol, uint16_t remote_port)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return TIMEOUT_TCP_OPENING;
	case PROTOCOL_UDP:
		return remote_port == TIMER_PORT_DNS ? TIMEOUT_UDP_DNS : TIMEOUT_UDP;
	case PROTOCOL_ICMP:
		return TIMEOUT_ICMP;
	case PROTOCOL_GRE:
		return TIMEOUT_GRE;
	case PROTOCOL_ESP:
		return TIMEOUT_ESP;
	default:
		return TIMEOUT_OTHER;
	}
}

/* One piece of the sweep: flows, resting ports, fragments. */
void timer_sweep(struct engine *engine);
/* There is a record for one more flow; sweeps before saying no. To be asked before a mapping is looked up for a new
 * flow, because the sweep may end mappings. */
bool timer_has_room(struct engine *engine);
/* host_hold(); sweeps before the inside host is refused. */
uint32_t timer_hold_host(struct engine *engine, struct address inside_address, struct address outside_address,
			 enum drop *why);
/* flow_open(), after timer_has_room(); sweeps before the inside host is refused. */
uint32_t timer_open_flow(struct engine *engine, const struct flow *identity, enum drop *why);

#endif
