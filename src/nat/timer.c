/* SPDX-License-Identifier: BSD-2-Clause */
/* The sweep. */
#include "nat/timer.h"

#include "nat/flow.h"
#include "nat/fragment.h"
#include "nat/host.h"
#include "nat/life.h"
#include "nat/pool.h"

enum {
	SWEEP_INTERVAL_MS = 250,
	SWEEP_PIECES = 32, /* the whole table is seen in so many sweeps: 8 seconds */
	SWEEP_PIECE_MIN = 1024,
	SWEEP_CLOSE_MAX = 1024, /* flows closed in one piece: well under a millisecond */
	SWEEP_AGAIN_MS = 5,
	SWEEP_DEMAND_MS = 10, /* at most so often on behalf of somebody who was about to be refused */
	SWEEP_PORTS = 8192,
};

/* True if there was more to close than one piece may. */
static bool sweep_flows(struct engine *engine)
{
	struct arena_header *header = engine->header;
	uint32_t piece = header->flow_used / SWEEP_PIECES;
	uint32_t closed = 0;

	if (piece < SWEEP_PIECE_MIN)
		piece = SWEEP_PIECE_MIN;
	for (uint32_t i = 0; i < piece && i < header->flow_used && closed < SWEEP_CLOSE_MAX; i++) {
		if (header->sweep_flow >= header->flow_used)
			header->sweep_flow = 0;
		uint32_t index = header->sweep_flow++;
		struct flow *flow = &engine->flow[index];
		if ((flow->flags & FLOW_LIVE) && is_expired(flow->deadline, engine->now_ms)) {
			life_end(engine, index);
			closed++;
		}
	}
	return closed == SWEEP_CLOSE_MAX;
}

/* sweep_port counts through all ports of all spaces of all outside addresses. */
static void sweep_ports(struct engine *engine)
{
	struct arena_header *header = engine->header;
	uint32_t all = header->outside_count * SPACES * 65536;

	if (header->resting == 0 || all == 0)
		return;
	if (header->sweep_port >= all)
		header->sweep_port = 0;
	uint32_t plane = header->sweep_port / 65536, from = header->sweep_port % 65536;
	/* Not beyond the last port, wherever a process that died has left off. */
	uint32_t count = from + SWEEP_PORTS < 65536 ? SWEEP_PORTS : 65536 - from;
	struct outside *outside = &engine->outside[header->outside_order[plane / SPACES]];
	pool_sweep(engine, outside, (enum port_space)(plane % SPACES), from, from + count);
	header->sweep_port += count;
}

void timer_sweep(struct engine *engine)
{
	bool is_more = sweep_flows(engine);

	sweep_ports(engine);
	fragment_expire(engine);
	engine->header->sweep_at = engine->now_ms + (is_more ? SWEEP_AGAIN_MS : SWEEP_INTERVAL_MS);
}

/* Not too often, or whoever insists would cost everybody. True if it was done. */
static bool sweep_on_demand(struct engine *engine)
{
	if (engine->now_ms < engine->demand_at)
		return false;
	engine->demand_at = engine->now_ms + SWEEP_DEMAND_MS;
	timer_sweep(engine);
	return true;
}

bool timer_has_room(struct engine *engine)
{
	life_end_noted(engine);
	return flow_has_room(engine) || (sweep_on_demand(engine) && flow_has_room(engine));
}

uint32_t timer_open_flow(struct engine *engine, const struct flow *identity, enum drop *why)
{
	/* None that has expired keeps a key that this one has. */
	life_end_noted(engine);
	uint32_t index = flow_open(engine, identity, why);

	if (index == NONE && sweep_on_demand(engine))
		index = flow_open(engine, identity, why);
	return index;
}

uint32_t timer_hold_host(struct engine *engine, struct address inside_address, struct address outside_address,
			 enum drop *why)
{
	uint32_t index = host_hold(engine, inside_address, outside_address, why);

	if (index == NONE && sweep_on_demand(engine))
		index = host_hold(engine, inside_address, outside_address, why);
	return index;
}

uint64_t engine_deadline(const struct engine *engine)
{
	const struct arena_header *header = engine->header;

	if (engine->counters->flows == 0 && header->resting == 0 && header->sets_used == 0)
		return engine->wake_ms;
	return engine->wake_ms < header->sweep_at ? engine->wake_ms : header->sweep_at;
}
