/* SPDX-License-Identifier: BSD-2-Clause */
/* The sweep. */
#include "nat/timer.h"

#include "nat/flow.h"
#include "nat/fragment.h"
#include "nat/pool.h"

enum {
	SWEEP_INTERVAL_MS = 250,
	SWEEP_PIECES = 32, /* the whole table is seen in so many sweeps: 8 seconds */
	SWEEP_PIECE_MIN = 1024,
	SWEEP_CLOSE_MAX = 1024, /* flows closed in one piece: well under a millisecond */
	SWEEP_AGAIN_MS = 5,
	SWEEP_DEMAND_MS = 10, /* at most so often on behalf of somebody who was about to be refused */
	SWEEP_PORTS = 8192,
	PORT_DNS = 53,
};

enum timeout timer_class(uint8_t protocol, uint16_t remote_port)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return TIMEOUT_TCP_OPENING;
	case PROTOCOL_UDP:
		return remote_port == PORT_DNS ? TIMEOUT_UDP_DNS : TIMEOUT_UDP;
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
			flow_close(engine, index);
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
	struct outside *outside = &engine->outside[header->outside_order[plane / SPACES]];
	pool_sweep(engine, outside, (enum port_space)(plane % SPACES), from, from + SWEEP_PORTS);
	header->sweep_port += SWEEP_PORTS;
}

void timer_sweep(struct engine *engine)
{
	bool is_more = sweep_flows(engine);

	sweep_ports(engine);
	fragment_expire(engine);
	engine->header->sweep_at = engine->now_ms + (is_more ? SWEEP_AGAIN_MS : SWEEP_INTERVAL_MS);
}

bool timer_sweep_on_demand(struct engine *engine)
{
	if (engine->now_ms < engine->demand_at)
		return false;
	engine->demand_at = engine->now_ms + SWEEP_DEMAND_MS;
	timer_sweep(engine);
	return true;
}

uint64_t engine_deadline(const struct engine *engine)
{
	const struct arena_header *header = engine->header;

	if (engine->counters->flows == 0 && header->resting == 0 && header->sets_used == 0)
		return engine->wake_ms;
	return engine->wake_ms < header->sweep_at ? engine->wake_ms : header->sweep_at;
}
