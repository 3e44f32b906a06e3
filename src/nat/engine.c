/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine's front: batches in, one verdict a packet, and the counters that must add up.
 *
 * A batch is walked three times: headers are parsed and hash buckets fetched, then flows, then each packet goes its
 * way (outbound.c, inbound.c), and a few packets ahead hosts are fetched. The first two walks change nothing; they only
 * hide the memory's latency.
 */
#include <stdlib.h>

#include <culvert/module.h>
#include <culvert/verdict.h>

#include "nat/arena.h"
#include "nat/call.h"
#include "nat/configure.h"
#include "nat/drops.h"
#include "nat/flow.h"
#include "nat/fragment.h"
#include "nat/fragment_store.h"
#include "nat/host.h"
#include "nat/life.h"
#include "nat/mapping.h"
#include "nat/offer.h"
#include "nat/passages.h"
#include "nat/reader.h"
#include "nat/tcp.h"
#include "nat/timer.h"

enum { AHEAD = 4 /* so many packets before a packet's turn its host is fetched */ };

static enum drop addresses_acceptable(const struct network_header *ip)
{
	if (ip_is_martian(ip->source))
		return DROP_SOURCE_MARTIAN;
	return ip_is_martian(ip->destination) ? DROP_DESTINATION_MARTIAN : DROP_NONE;
}

/* Reads the headers. The reason, if the packet cannot go on; faults of the transport header are judged later. */
static enum drop prepare(struct engine *engine, struct passage *passage, enum side from, struct packet *packet)
{
	passage->packet = packet;
	passage->from = from;
	passage->set = NULL;
	passage->origin = ORIGIN_BATCH;
	passage->is_read = false;
	passage->fault = DROP_NONE;
	passage->is_kept = passage->is_sa = false;
	passage->transport.gre.is_call = passage->transport.gre.is_enhanced = false;
	enum drop drop = ip_parse(packet, &passage->ip);
	if (drop == DROP_NONE)
		drop = addresses_acceptable(&passage->ip);
	if (drop != DROP_NONE || passage->ip.offset != 0)
		return drop;
	passage_read_transport(engine, passage);
	if (passage->fault == DROP_NONE) {
		passage->key = passage_key(passage);
		passage->hash = flow_hash(engine, &passage->key);
		table_prefetch(from == SIDE_LAN ? &engine->flow_out : &engine->flow_in, passage->hash);
	}
	return DROP_NONE;
}

/* Returns the index of the flow that it probably belongs to, or 0. Inlined by force: a function that only prefetches
 * looks pure to the compiler, and calls of it would vanish. */
static inline __attribute__((always_inline)) uint32_t prefetch_record(const struct engine *engine,
								      const struct passage *passage)
{
	if (passage->ip.offset != 0 || passage->fault != DROP_NONE)
		return 0;
	const struct table *table = passage->from == SIDE_LAN ? &engine->flow_out : &engine->flow_in;
	uint32_t index = table_candidate(table, passage->hash);
	if (index == NONE)
		return 0;
	__builtin_prefetch(&engine->flow[index], 1);
	if (passage->ip.protocol == PROTOCOL_TCP || passage->is_sa || passage->transport.gre.is_call)
		__builtin_prefetch(&engine->track[index], 1);
	return index;
}

static void count_verdict(struct engine *engine, const struct passage *passage, struct engine_result result)
{
	struct engine_counters *counters = engine->counters;
	enum side from = passage->from;

	switch (result.verdict) {
	case VERDICT_FORWARDED:
		counters->forwarded[from]++;
		break;
	case VERDICT_CONSUMED:
		counters->consumed[from]++;
		break;
	case VERDICT_HELD: /* counted where it is held */
		break;
	default:
		counters->dropped[from][result.drop]++;
		drops_note(engine, passage, (enum drop)result.drop);
		break;
	}
}

static struct engine_result process_one(struct engine *engine, struct passage *passage, enum drop drop)
{
	if (drop != DROP_NONE)
		return verdict_drop(drop);
	return passage->from == SIDE_LAN ? outbound_process(engine, passage) : inbound_process(engine, passage);
}

/* Packets that a module kept go the way of all packets once their turn has come; they were received before. */
static void process_kept(struct engine *engine)
{
	struct packet packet;
	struct passage passage;
	enum side from;

	while (reader_next_kept(engine, &packet, &from)) {
		enum drop drop = prepare(engine, &passage, from, &packet);
		passage.origin = ORIGIN_COPY;
		passage.is_kept = true;
		count_verdict(engine, &passage, process_one(engine, &passage, drop));
	}
}

/* Datagrams that were merged may belong to several inside hosts when a module tells them apart: each goes its own way,
 * and is counted as a packet. */
static bool is_to_part(const struct engine *engine, const struct passage *passage)
{
	if (passage->packet->offload.gso_type != GSO_UDP4 || passage->fault != DROP_NONE ||
	    transport_parts_at(passage->packet, &passage->ip) == 0)
		return false;
	enum part part = part_sharing(PROTOCOL_UDP, passage->transport.source_port);
	if (part == PART_NONE)
		part = part_sharing(PROTOCOL_UDP, passage->transport.destination_port);
	return part != PART_NONE && engine->config.mode[part] == MODE_PASS;
}

static struct engine_result process_parts(struct engine *engine, enum side from, const struct passage *merged)
{
	struct engine_result result = {VERDICT_FORWARDED, DROP_NONE};
	const struct packet *whole = merged->packet;
	uint32_t header = transport_parts_at(whole, &merged->ip), size = whole->offload.gso_size;

	for (uint32_t at = header; at < whole->length; at += size) {
		struct packet part = {.data = engine->parted};
		struct passage passage;
		transport_part(whole, header, at, &part);
		engine->counters->received[from] += at > header;
		enum drop drop = prepare(engine, &passage, from, &part);
		passage.origin = ORIGIN_COPY;
		result = process_one(engine, &passage, drop);
		count_verdict(engine, &passage, result);
	}
	return result;
}

static void process_batch(struct engine *engine, enum side from, struct packet *packets, uint32_t n,
			  struct engine_result *results)
{
	struct passage passage[BATCH_MAX];
	enum drop drop[BATCH_MAX];
	uint32_t likely[BATCH_MAX];

	for (uint32_t i = 0; i < n; i++) {
		engine->counters->received[from]++;
		drop[i] = prepare(engine, &passage[i], from, &packets[i]);
		engine->counters->bytes[from] += packets[i].length;
	}
	for (uint32_t i = 0; i < n; i++)
		likely[i] = drop[i] == DROP_NONE ? prefetch_record(engine, &passage[i]) : 0;
	for (uint32_t i = 0; i < n; i++) {
		struct engine_result result;
		/* Its flow has arrived by now. */
		if (i + AHEAD < n)
			__builtin_prefetch(&engine->host[engine->flow[likely[i + AHEAD]].host]);
		if (drop[i] == DROP_NONE && is_to_part(engine, &passage[i])) {
			result = process_parts(engine, from, &passage[i]);
		} else {
			result = process_one(engine, &passage[i], drop[i]);
			count_verdict(engine, &passage[i], result);
		}
		if (results)
			results[i] = result;
		if (engine->readies > 0)
			process_kept(engine);
		if (engine->expireds > 0)
			life_end_noted(engine);
	}
}

void engine_process(struct engine *engine, enum side from, struct packet *packets, uint32_t count, uint64_t now_ms,
		    const struct engine_sink *sink, struct engine_result *results)
{
	engine->now_ms = now_ms;
	engine->sink = sink;
	for (uint32_t at = 0; at < count; at += BATCH_MAX) {
		uint32_t part = count - at < BATCH_MAX ? count - at : BATCH_MAX;
		process_batch(engine, from, packets + at, part, results ? results + at : NULL);
	}
	engine->sink = NULL;
}

void engine_expire(struct engine *engine, uint64_t now_ms, const struct engine_sink *sink)
{
	engine->now_ms = now_ms;
	engine->sink = sink;
	timer_sweep(engine);
	/* Without a sink, what waits goes on waiting. */
	if (sink) {
		reader_wake(engine);
		if (engine->readies > 0)
			process_kept(engine);
	}
	life_end_noted(engine);
	engine->sink = NULL;
}

/* --- life --- */

static void tell_modules(struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	if (flow->control != 0)
		reader_flow_closes(engine, index);
	if (flow->flags & FLOW_BY_ID)
		call_flow_closes(engine, index);
}

/* Packets whose fate a dying process never counted are taken back, so that the sums hold. */
static void recover_counters(struct engine *engine)
{
	struct engine_counters *counters = engine->counters;

	for (int side = 0; side < SIDES; side++) {
		uint64_t sum = counters->forwarded[side] + counters->consumed[side];
		counters->dropped[side][DROP_FRAGMENT_TIMEOUT] += counters->held[side];
		counters->held[side] = 0;
		counters->dropped[side][DROP_NONE] = 0;
		for (int reason = 1; reason < DROPS; reason++)
			sum += counters->dropped[side][reason];
		counters->received[side] = sum;
	}
}

static void recover_modules(struct engine *engine, const struct engine_limits *limits)
{
	for (int service = 0; service < SERVICES; service++)
		if (engine->module[service])
			module_of((enum service)service)->recover(engine, engine->module[service], limits);
	for (uint32_t i = 0; i < engine->header->flow_used; i++) {
		if (engine->flow[i].flags & FLOW_LIVE)
			reader_drop_orphan(engine, i);
		if (engine->flow[i].flags & FLOW_LIVE)
			call_drop_orphan(engine, i);
	}
}

/* No sweep ran while the daemon was down. Expired flows are closed now, or modules would choose among hosts that are
 * gone. */
static void close_expired(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->header->flow_used; i++)
		if ((engine->flow[i].flags & FLOW_LIVE) && is_expired(engine->flow[i].deadline, engine->now_ms))
			life_end(engine, i);
}

const struct flow_events events_of_modules = {.ended = tell_modules};

struct engine *engine_new(void *arena, size_t size, const struct engine_limits *limits,
			  const struct engine_config *config, const uint8_t seed[32], bool recover, uint64_t now_ms)
{
	size_t needed = engine_arena_size(limits);

	if (needed == 0 || size < needed)
		return NULL;
	struct engine *engine = calloc(1, sizeof(*engine));
	if (!engine)
		return NULL;
	arena_lay_out(limits, engine, arena);
	engine->now_ms = now_ms;
	engine->wake_ms = UINT64_MAX;
	engine->events = &events_of_modules;
	engine->offer = &offer;
	configure_adopt(engine, config);
	if (!recover) {
		arena_init(engine, limits, seed);
	} else if (arena_is_ours(engine, limits)) {
		fragment_store_init(engine);
		flow_recover(engine);
		recover_modules(engine, limits);
		close_expired(engine);
		recover_counters(engine);
	} else {
		free(engine);
		return NULL;
	}
	engine->counters->arena_bytes = needed;
	return engine;
}

void engine_free(struct engine *engine)
{
	free(engine);
}

size_t engine_arena_size(const struct engine_limits *limits)
{
	return arena_lay_out(limits, NULL, NULL);
}

/* --- looking in --- */

const struct engine_counters *engine_counters(const struct engine *engine)
{
	return engine->counters;
}

void engine_count_drop(struct engine *engine, enum side from, enum drop reason, enum counted before)
{
	if (before == COUNTED_HELD)
		engine_count_wait(engine, from, true);
	if (before == COUNTED_NOT)
		engine->counters->received[from]++;
	else
		engine->counters->forwarded[from]--;
	engine->counters->dropped[from][reason]++;
}

void engine_count_wait(struct engine *engine, enum side from, bool is_over)
{
	uint32_t change = is_over ? UINT32_MAX : 1;

	engine->waiting[from] += change;
	engine->counters->held[from] += is_over ? UINT64_MAX : 1;
	engine->counters->forwarded[from] -= is_over ? UINT64_MAX : 1;
}

bool engine_next_flow_within(const struct engine *engine, uint32_t *cursor, uint32_t *budget, uint64_t now_ms,
			     struct flow_view *view)
{
	while ((*cursor < engine->header->flow_used) && (*budget > 0)) {
		(*budget)--;
		const struct flow *flow = &engine->flow[(*cursor)++];
		if (!(flow->flags & FLOW_LIVE) || is_expired(flow->deadline, now_ms))
			continue;
		flow_view_of(engine, *cursor - 1, now_ms, view);
		return true;
	}
	return false;
}

bool engine_next_flow(const struct engine *engine, uint32_t *cursor, uint64_t now_ms, struct flow_view *view)
{
	uint32_t budget = UINT32_MAX;

	return engine_next_flow_within(engine, cursor, &budget, now_ms, view);
}

bool engine_forget_flow(struct engine *engine, uint32_t index, uint64_t now_ms)
{
	engine->now_ms = now_ms;
	if (index >= engine->header->flow_used || !(engine->flow[index].flags & FLOW_LIVE))
		return false;
	life_end(engine, index);
	return true;
}

void engine_on_event(struct engine *engine, engine_event *event, void *context)
{
	engine->event = event;
	engine->event_context = context;
}
