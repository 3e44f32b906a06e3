/* SPDX-License-Identifier: BSD-2-Clause */
/* Phases and ends of flows, and who hears of them. */
#include "nat/life.h"

#include "nat/flow.h"

static void tell(struct engine *engine, flow_event *event, uint32_t index)
{
	if (event)
		event(engine, index);
}

void life_change(struct engine *engine, uint32_t index, enum flow_phase phase)
{
	struct flow *flow = &engine->flow[index];
	bool was_steady = flow->phase == FLOW_STEADY;

	flow->phase = (unsigned)phase & 0xf;
	if (phase == FLOW_STEADY)
		tell(engine, engine->events->offered, index);
	else if (was_steady)
		tell(engine, engine->events->withdrawn, index);
}

void life_renew(struct engine *engine, uint32_t index, enum flow_phase phase)
{
	if (phase == FLOW_STEADY && engine->flow[index].phase == FLOW_STEADY)
		tell(engine, engine->events->changed, index);
	else
		life_enter(engine, index, phase);
}

void life_end(struct engine *engine, uint32_t index)
{
	life_enter(engine, index, FLOW_CLOSING);
	tell(engine, engine->events->ended, index);
	flow_remove(engine, index);
}

void life_end_noted(struct engine *engine)
{
	while (engine->expireds > 0) {
		uint32_t index = engine->expired[--engine->expireds % EXPIRED_MAX];
		const struct flow *flow = &engine->flow[index];

		/* It may have ended since, and another one may have its record. */
		if ((flow->flags & FLOW_LIVE) && is_expired(flow->deadline, engine->now_ms))
			life_end(engine, index);
	}
}
