/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows known by identifiers: what calls and SAs have in common, and the calls themselves. */
#include "nat/call.h"

#include <culvert/module.h>

#include "nat/life.h"
#include "nat/timer.h"

enum {
	ID_SAME_HIGH = 256,      /* Call IDs that share a high byte */
	ID_SAME_HIGH_TRIES = 24, /* of them that are tried; more would cost time where the byte is full */
	ID_STRIDE = 91,          /* odd, so that all are met */
	ID_TRIES = 4096,         /* random ones tried after that */
};

void call_drop_orphan(struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	if (!(flow->flags & FLOW_BY_ID))
		return;
	enum service service = service_of_part(part_claiming(flow->protocol, 0));
	if (!module_of(service)->knows(engine, engine->module[service], index, 0, engine->track[index].call.record))
		flow_remove(engine, index);
}

void call_flow_closes(struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];
	const struct call_track *track = &engine->track[index].call;
	enum service service = service_of_part(part_claiming(flow->protocol, 0));
	enum tunnel_end why = is_expired(flow->deadline, engine->now_ms) ? END_SILENT
			      : engine->is_blocking                      ? END_BLOCKED
									 : END_ROUTER;

	module_of(service)->portless.over(engine, engine->module[service], track->record, track->ended ? END_NOT : why);
}

/* --- data of calls --- */

bool call_passes(const struct engine *engine, uint32_t index)
{
	const struct call_track *track = &engine->track[index].call;

	return !track->ended || !is_expired(track->drain_ms, engine->now_ms);
}

void call_account(struct engine *engine, uint32_t index, enum side from, uint32_t length)
{
	struct flow *flow = &engine->flow[index];
	struct call_track *track = &engine->track[index].call;

	flow->bytes[from] += length;
	flow->packets[from]++;
	track->last_ms[from] = (uint32_t)engine->now_ms;
	/* Data that comes before the answer does not make the wait for it longer. */
	if (!track->ended && (flow->flags & FLOW_ANSWERED))
		timer_touch(engine, flow);
}

/* --- what modules may ask for --- */

/* A call that has ended and rests keeps its ID for its own inside end only. */
static bool id_is_free(struct engine *engine, const struct flow *control, uint16_t outside_id)
{
	struct flow_key key = {
		.local = control->outside_address,
		.remote = control->remote_address,
		.local_port = outside_id,
		.protocol = PROTOCOL_GRE,
		.by = BY_LOCAL_ID,
	};

	return flow_find_inbound(engine, &key, flow_hash(engine, &key)) == NONE;
}

/* The same host dials again with the same ID: it gets the outside ID it had. -1 if there was none. */
static int take_back(struct engine *engine, const struct flow *control, uint16_t inside_id)
{
	struct flow_key key = {
		.local = host_address(engine, control->host),
		.remote = control->remote_address,
		.local_port = inside_id,
		.protocol = PROTOCOL_GRE,
		.by = BY_LOCAL_ID,
	};
	uint32_t index = flow_find_outbound(engine, &key, flow_hash(engine, &key));

	if (index == NONE || !engine->track[index].call.ended ||
	    !address_equal(engine->flow[index].outside_address, control->outside_address))
		return -1;
	uint16_t outside_id = engine->flow[index].outside_port;
	life_end(engine, index);
	return outside_id;
}

/* A free ID under a high byte, or -1. */
static int pick_under(struct engine *engine, const struct flow *control, uint8_t high, uint32_t tries)
{
	uint32_t start = random_below(engine, ID_SAME_HIGH);

	for (uint32_t i = 0; i < tries; i++) {
		uint16_t id = (uint16_t)((uint32_t)high << 8 | (start + i * ID_STRIDE) % ID_SAME_HIGH);
		if (id != 0 && id_is_free(engine, control, id))
			return id;
	}
	return -1;
}

/* The low byte alone changes if that is possible: a Call ID cut in two by a segment's end can then be sent on at once.
 */
static int pick_id(struct engine *engine, const struct flow *control, uint16_t inside_id, int high)
{
	int had = take_back(engine, control, inside_id);

	if (had >= 0 && (high < 0 || had >> 8 == high))
		return had;
	if ((high < 0 || inside_id >> 8 == high) && id_is_free(engine, control, inside_id))
		return inside_id;
	int id = high < 0 ? pick_under(engine, control, (uint8_t)(inside_id >> 8), ID_SAME_HIGH_TRIES)
			  : pick_under(engine, control, (uint8_t)high, ID_SAME_HIGH);
	if (id >= 0 || high >= 0)
		return id;
	for (uint32_t i = 0; i < ID_TRIES; i++) {
		id = (int)(1 + random_below(engine, 65535));
		if (id_is_free(engine, control, (uint16_t)id))
			return id;
	}
	return -1;
}

int call_high(struct engine *engine, uint32_t control_flow, uint8_t wanted)
{
	uint32_t start = random_below(engine, 256);

	if (pick_under(engine, &engine->flow[control_flow], wanted, ID_SAME_HIGH) >= 0)
		return wanted;
	for (uint32_t i = 0; i < 256; i++) {
		uint8_t high = (uint8_t)(start + i);
		if (pick_under(engine, &engine->flow[control_flow], high, ID_SAME_HIGH) >= 0)
			return high;
	}
	return -1;
}

uint32_t call_open(struct engine *engine, uint32_t control_flow, uint16_t inside_id, int high, uint32_t record,
		   uint32_t request_ms, uint16_t *outside_id, enum drop *why)
{
	*why = DROP_FLOWS_EXHAUSTED;
	if (!timer_has_room(engine))
		return MODULE_NONE;
	const struct flow *control = &engine->flow[control_flow];
	int id = pick_id(engine, control, inside_id, high);
	if (id < 0) {
		*why = DROP_CALL_IDS_EXHAUSTED;
		return MODULE_NONE;
	}
	struct flow flow = {
		.host = control->host,
		.outside_address = control->outside_address,
		.remote_address = control->remote_address,
		.inside_port = inside_id,
		.outside_port = (uint16_t)id,
		.protocol = PROTOCOL_GRE,
		.flags = FLOW_CALL | (control->flags & (FLOW_HAIRPIN | FLOW_FORWARD)),
		.mapping = NONE,
		.timeout = TIMEOUT_GRE_CALL,
		.deadline = (uint32_t)(engine->now_ms + request_ms),
	};
	uint32_t index = timer_open_flow(engine, &flow, why);
	if (index == NONE)
		return MODULE_NONE;
	engine->track[index].call = (struct call_track){.record = record};
	*outside_id = (uint16_t)id;
	return index;
}

static void forget_answer(struct engine *engine, uint32_t index)
{
	flow_forget_answer(engine, index);
	life_enter(engine, index, engine->track[index].call.ended ? FLOW_CLOSING : FLOW_OPENING);
}

/* Remote ends use their IDs again at once: what carries this one belongs to the new call from now on, not to one that
 * has ended and lingers. A call of the same inside host gives way in any state, because the remote end knows it no
 * more; one of another host that lives is told apart by its host. */
static void free_remote_id(struct engine *engine, const struct flow *call, uint16_t remote_id)
{
	struct flow_key key = {
		.local = host_address(engine, call->host),
		.remote = call->remote_address,
		.remote_port = remote_id,
		.protocol = PROTOCOL_GRE,
		.by = BY_REMOTE_ID,
	};
	uint32_t index = flow_find_outbound(engine, &key, flow_hash(engine, &key));

	if (index != NONE)
		forget_answer(engine, index);
	key.local = call->outside_address;
	index = flow_find_inbound(engine, &key, flow_hash(engine, &key));
	if (index != NONE && engine->track[index].call.ended)
		forget_answer(engine, index);
}

bool call_lives(struct engine *engine, uint32_t call_flow)
{
	if (!is_expired(engine->flow[call_flow].deadline, engine->now_ms))
		return true;
	life_end(engine, call_flow);
	return false;
}

void call_answer(struct engine *engine, uint32_t call_flow, uint16_t remote_id)
{
	free_remote_id(engine, &engine->flow[call_flow], remote_id);
	flow_answer(engine, call_flow, remote_id);
	life_renew(engine, call_flow, FLOW_STEADY);
}

void call_keep(struct engine *engine, uint32_t call_flow)
{
	struct flow *flow = &engine->flow[call_flow];

	/* An expired call must not be revived just because it has not been swept yet. */
	if (!is_expired(flow->deadline, engine->now_ms))
		timer_touch(engine, flow);
}

void call_end(struct engine *engine, uint32_t call_flow, uint32_t drain_ms)
{
	struct call_track *track = &engine->track[call_flow].call;

	track->ended = true;
	life_enter(engine, call_flow, FLOW_CLOSING);
	track->drain_ms = (uint32_t)(engine->now_ms + drain_ms);
	engine->flow[call_flow].deadline = track->drain_ms + engine->config.timeout[TIMEOUT_HOLD_DOWN];
}
