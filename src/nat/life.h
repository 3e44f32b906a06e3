/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a flow after flow_open(): the phases it goes through, and its end. Whoever must know of them, modules
 * today, is told here and nowhere else (struct flow_events).
 *
 * opening: not every end has been heard, or not every identifier is known. steady: both ends have agreed, and what a
 * packet needs is known from the flow alone. closing: one end has begun to end it.
 */
#ifndef CULVERT_NAT_LIFE_H
#define CULVERT_NAT_LIFE_H

#include "nat/state.h"

enum flow_phase { FLOW_OPENING = 0, FLOW_STEADY, FLOW_CLOSING };

/* What modules hear. The shadow of an engine tells them, and nobody else. */
extern const struct flow_events events_of_modules;

/* Another phase, or the same one, which nobody hears of. */
void life_change(struct engine *engine, uint32_t index, enum flow_phase phase);
static inline void life_enter(struct engine *engine, uint32_t index, enum flow_phase phase)
{
	if (engine->flow[index].phase != phase)
		life_change(engine, index, phase);
}
/* Both ends have been heard: a flow without a state machine of its own is steady. */
static inline void life_heard(struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	if (flow->phase == FLOW_OPENING && flow->packets[SIDE_LAN] != 0 && flow->packets[SIDE_WAN] != 0)
		life_change(engine, index, FLOW_STEADY);
}
/* The same when what its packets carry, or who reads them, is another from now on. */
void life_renew(struct engine *engine, uint32_t index, enum flow_phase phase);
/* Ends it: all are told while it is still whole, then it is removed. */
void life_end(struct engine *engine, uint32_t index);
/* Ends the expired flows that lookups have met. To be called after each packet, and before somebody looks for a place
 * that one of them may still have. */
void life_end_noted(struct engine *engine);

#endif
