/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engine offers to modules. */
#include "nat/offer.h"

#include "nat/call.h"
#include "nat/flow.h"
#include "nat/fragment_store.h"
#include "nat/host.h"
#include "nat/reader.h"
#include "nat/sa.h"
#include "nat/tcp.h"

enum { KEPT_SHARE = 16 /* one packet kept for so many blocks: fragments have most of the room */ };

static uint64_t now_ms(const struct engine *engine)
{
	return engine->now_ms;
}

static uint64_t next_random(struct engine *engine)
{
	return random_next(engine);
}

static uint64_t hash_of(const struct engine *engine, uint64_t a, uint64_t b)
{
	return siphash(&engine->header->hash_key, a, b);
}

static void count_one(struct engine *engine, enum statistic statistic)
{
	count(engine, statistic);
}

static void report_event(struct engine *engine, enum engine_event_kind kind, const struct tunnel_view *view)
{
	if (engine->event)
		engine->event(engine->event_context, kind, view);
}

static bool ready(struct engine *engine, enum service service, uint16_t control, enum side side)
{
	for (uint32_t i = 0; i < engine->readies; i++)
		if (engine->ready[i].service == service && engine->ready[i].control == control &&
		    engine->ready[i].side == side)
			return true;
	if (engine->readies == READY_MAX)
		return false;
	engine->ready[engine->readies].service = service;
	engine->ready[engine->readies].control = control;
	engine->ready[engine->readies++].side = side;
	return true;
}

static void wake_at(struct engine *engine, uint64_t at_ms)
{
	if (at_ms < engine->wake_ms)
		engine->wake_ms = at_ms;
}

static void view_flow(const struct engine *engine, uint32_t index, struct flow_view *view, uint32_t last_ms[SIDES])
{
	flow_view_of(engine, index, engine->now_ms, view);
	for (int side = 0; side < SIDES && last_ms; side++)
		last_ms[side] = (uint32_t)engine->now_ms - engine->track[index].call.last_ms[side];
}

static bool owns_flow(const struct engine *engine, enum service service, uint32_t index, uint16_t control,
		      uint32_t record)
{
	if (index >= engine->header->flow_used || !(engine->flow[index].flags & FLOW_LIVE))
		return false;
	const struct flow *flow = &engine->flow[index];
	if (control != 0)
		return flow->control == control && protocol_has_ports(flow->protocol) &&
		       reader_service_of(engine, index) == service;
	return (flow->flags & FLOW_BY_ID) && reader_flow_service(engine, index) == service && flow->mapping == NONE &&
	       flow->control == 0 && engine->track[index].call.record == record;
}

static void share_port(struct engine *engine, uint32_t index, uint16_t outside_port)
{
	if (outside_port == 0 || !port_is_of_host(engine, PROTOCOL_UDP, outside_port))
		engine->track[index].udp.shared_port = outside_port;
}

static uint16_t shared_port(const struct engine *engine, uint32_t index)
{
	return engine->track[index].udp.shared_port;
}

static uint32_t keep_packet(struct engine *engine, const struct packet *packet, enum side arrived)
{
	const struct arena_header *header = engine->header;

	if (header->kept[SIDE_LAN] + header->kept[SIDE_WAN] >= header->limits.fragments / KEPT_SHARE)
		return MODULE_NONE;
	uint32_t kept = fragment_store_keep(engine, packet);
	if (kept == NONE)
		return MODULE_NONE;
	engine->block[kept].side = (uint8_t)arrived;
	engine->header->kept[arrived]++;
	engine->counters->held[arrived]++;
	return kept;
}

static void drop_packet(struct engine *engine, uint32_t kept, enum drop reason)
{
	enum side side = (enum side)engine->block[kept].side;

	fragment_store_drop_kept(engine, kept);
	engine->header->kept[side]--;
	engine->counters->held[side]--;
	engine->counters->dropped[side][reason]++;
}

const struct engine_offer offer = {
	.now_ms = now_ms,
	.random = next_random,
	.hash = hash_of,
	.count = count_one,
	.report = report_event,
	.ready = ready,
	.wake_at = wake_at,
	.view_flow = view_flow,
	.owns_flow = owns_flow,
	.share_port = share_port,
	.shared_port = shared_port,
	.keep = keep_packet,
	.drop_kept = drop_packet,
	.reopen = tcp_reopen,
	.call_open = call_open,
	.call_high = call_high,
	.call_lives = call_lives,
	.call_answer = call_answer,
	.call_keep = call_keep,
	.call_end = call_end,
	.sa_open = sa_open,
	.sa_learn = sa_learn,
	.sa_forget = sa_forget,
	.sa_spi = sa_spi,
	.sa_watch = sa_watch,
	.sa_keep = sa_keep,
	.sa_close = sa_close,
	.move_host = host_move,
};
