/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Expiry. Touching a flow writes its deadline and nothing else; a lookup that meets an expired flow closes it at once.
 * What nobody looks up any more is found by a sweep over the records, a bounded piece at a time: no list, no wheel,
 * nothing to move when a deadline changes.
 */
#ifndef CULVERT_NAT_TIMER_H
#define CULVERT_NAT_TIMER_H

#include "nat/state.h"

/* Refreshes a flow by its timer class. */
static inline void timer_touch(struct engine *engine, struct flow *flow)
{
	flow->deadline = (uint32_t)(engine->now_ms + engine->config.timeout[flow->timeout]);
}

/* The timer class of a new flow; TCP has states of its own. */
enum timeout timer_class(uint8_t protocol, uint16_t remote_port);

/* One piece of the sweep: flows, resting ports, fragments. */
void timer_sweep(struct engine *engine);
/* The same, before somebody is refused for want of room; not too often, or whoever insists would cost everybody. True
 * if it was done. */
bool timer_sweep_on_demand(struct engine *engine);

#endif
