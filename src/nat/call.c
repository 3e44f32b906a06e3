/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls, and the engine's half of the module contract. */
#include "nat/call.h"

#include <culvert/module.h>

#include "nat/fragment_store.h"
#include "nat/host.h"
#include "nat/tcp.h"
#include "nat/timer.h"
#include "nat/verdict.h"

enum {
	ID_SAME_HIGH = 256,      /* Call IDs that share a high byte */
	ID_SAME_HIGH_TRIES = 24, /* of them that are tried; more would cost time where the byte is full */
	ID_STRIDE = 91,          /* odd, so that all are met */
	ID_TRIES = 4096,         /* random ones tried after that */
	KEPT_SHARE = 16,         /* one packet kept for so many blocks: fragments have most of the room */
};

static uint16_t server_port_of(const struct flow *flow)
{
	return flow->flags & FLOW_FORWARD ? flow->outside_port : flow->remote_port;
}

/* Only one service has a module that reads TCP: its port decides. */
static enum service service_of_flow(const struct flow *flow)
{
	return flow->flags & FLOW_CALL ? SERVICE_PPTP : service_claiming(flow->protocol, server_port_of(flow));
}

/* --- control connections --- */

/* One inside host may not have every record: a quarter stays for the others. Callers of a server inside are no hosts of
 * ours. */
static bool host_has_its_share(const struct engine *engine, const struct flow *flow)
{
	uint32_t tunnels = engine->header->limits.tunnels;
	uint32_t host = host_find(engine, flow->inside_address);

	return !(flow->flags & FLOW_FORWARD) && host != NONE && engine->host[host].controls >= tunnels - tunnels / 4;
}

static void count_control(struct engine *engine, const struct flow *flow, int change)
{
	uint32_t host = host_find(engine, flow->inside_address);

	if (host != NONE && !(flow->flags & FLOW_FORWARD))
		engine->host[host].controls = (uint16_t)(engine->host[host].controls + change);
}

static void attach(struct engine *engine, uint32_t index, uint16_t server_port, bool answered)
{
	struct flow *flow = &engine->flow[index];
	enum service service = service_claiming(PROTOCOL_TCP, server_port);

	if (service == SERVICE_NONE || engine->config.service[service] != MODE_PASS)
		return;
	const struct module *module = module_of(service);
	if (module == NULL || engine->module[service] == NULL)
		return;
	if (host_has_its_share(engine, flow)) {
		count(engine, STAT_PPTP_UNREAD);
		return;
	}
	flow->control = module->attach(engine, engine->module[service], index, answered);
	if (flow->control != 0)
		count_control(engine, flow, 1);
}

void call_attach(struct engine *engine, uint32_t index, uint16_t server_port)
{
	attach(engine, index, server_port, false);
}

struct engine_result call_inspect(struct engine *engine, uint32_t index, enum side from, const struct passage *passage)
{
	struct flow *flow = &engine->flow[index];

	if (flow->protocol != PROTOCOL_TCP)
		return verdict_forwarded();
	const struct tcp_segment *tcp = &passage->transport.tcp;
	bool is_over = flow->tcp_state == TCP_STATE_CLOSED || flow->tcp_state == TCP_STATE_RESET;
	/* The same two endpoints again, see tcp_track(). */
	if (flow->control == 0 && is_over && (tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		attach(engine, index, server_port_of(flow), false);
	/* A server inside agrees: what is read from now on is no stranger's SYN. */
	bool is_answer = (flow->flags & FLOW_FORWARD) && from == SIDE_LAN && flow->tcp_state == TCP_STATE_OPENING &&
			 (tcp->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
	if (flow->control == 0 && is_answer)
		attach(engine, index, server_port_of(flow), true);
	if (flow->control == 0)
		return verdict_forwarded();
	/* Its receiver will throw it away: what it says was never said. */
	if (!tcp_checksum_is_right(passage->packet, &passage->ip))
		return verdict_forwarded();
	/* A SYN in the middle of a connection means nothing. */
	bool is_start = (tcp->flags & TCP_SYN) &&
			(is_over || flow->tcp_state == TCP_STATE_NONE || flow->tcp_state == TCP_STATE_OPENING);
	uint32_t payload = (uint32_t)passage->ip.header_length + tcp->header_length;
	struct module_segment segment = {
		.packet = passage->packet,
		.transport = passage->ip.header_length,
		.payload = payload,
		.length = passage->packet->length - payload,
		.sequence = tcp->sequence + ((tcp->flags & TCP_SYN) != 0),
		.acknowledgement = tcp->acknowledgement,
		.has_acknowledgement = (tcp->flags & TCP_ACK) != 0,
		.starts = is_start,
		.arrived = passage->from,
	};
	enum service service = service_of_flow(flow);
	if (engine->readies < sizeof engine->ready / sizeof engine->ready[0]) {
		engine->ready[engine->readies].service = service;
		engine->ready[engine->readies].control = flow->control;
		engine->ready[engine->readies++].side = from;
	}
	return module_of(service)->inspect(engine, engine->module[service], flow->control, from, &segment);
}

static void end_control(struct engine *engine, uint32_t index, enum tunnel_end why)
{
	struct flow *flow = &engine->flow[index];
	enum service service = service_of_flow(flow);
	uint16_t control = flow->control;

	flow->control = 0;
	count_control(engine, flow, -1);
	module_of(service)->control_over(engine, engine->module[service], control, why);
}

void call_follow_control(struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	if (flow->control == 0)
		return;
	if (flow->tcp_state == TCP_STATE_CLOSED)
		end_control(engine, index, END_CONTROL_CLOSED);
	else if (flow->tcp_state == TCP_STATE_RESET)
		end_control(engine, index, END_CONTROL_RESET);
}

void call_follow_mode(struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	if (flow->control != 0 && engine->config.service[service_of_flow(flow)] != MODE_PASS)
		end_control(engine, index, END_ROUTER);
}

void call_drop_orphan(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];
	const struct module *module = module_of(SERVICE_PPTP);

	if (flow->control != 0 && !module->knows(engine->module[SERVICE_PPTP], index, flow->control, 0))
		flow->control = 0;
	else if (flow->control != 0)
		count_control(engine, flow, 1);
	if ((flow->flags & FLOW_CALL) &&
	    !module->knows(engine->module[SERVICE_PPTP], index, 0, engine->track[index].call.record))
		flow_close_orphan(engine, index);
}

void call_flow_closes(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];
	bool expired = is_expired(flow->deadline, engine->now_ms);

	if (flow->control != 0)
		end_control(engine, index, expired ? END_CONTROL_SILENT : END_ROUTER);
	if (flow->flags & FLOW_CALL) {
		const struct call_track *track = &engine->track[index].call;
		enum tunnel_end why = expired ? END_SILENT : END_ROUTER;
		module_of(SERVICE_PPTP)
			->call_over(engine, engine->module[SERVICE_PPTP], track->record, track->ended ? END_NOT : why);
	}
}

bool call_next_kept(struct engine *engine, struct packet *packet, enum side *from)
{
	while (engine->readies > 0) {
		enum service service = engine->ready[engine->readies - 1].service;
		uint16_t control = engine->ready[engine->readies - 1].control;
		enum side side = engine->ready[engine->readies - 1].side;
		uint32_t kept = module_of(service)->next_kept(engine->module[service], control, side);
		if (kept == MODULE_NONE) {
			engine->readies--;
			continue;
		}
		*from = (enum side)engine->block[kept].side;
		fragment_store_take_kept(engine, kept, packet);
		engine->header->kept[*from]--;
		engine->counters->held[*from]--;
		return true;
	}
	return false;
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

uint64_t module_now_ms(const struct engine *engine)
{
	return engine->now_ms;
}

void module_count(struct engine *engine, enum statistic statistic)
{
	count(engine, statistic);
}

void module_report(struct engine *engine, enum engine_event_kind kind, const struct tunnel_view *view)
{
	if (engine->event != NULL)
		engine->event(engine->event_context, kind, view);
}

void module_view_flow(const struct engine *engine, uint32_t index, struct flow_view *view, uint32_t last_ms[SIDES])
{
	flow_view_of(&engine->flow[index], engine->now_ms, view);
	for (int side = 0; side < SIDES && last_ms != NULL; side++)
		last_ms[side] = (uint32_t)engine->now_ms - engine->track[index].call.last_ms[side];
}

bool module_owns_flow(const struct engine *engine, uint32_t index, uint16_t control, uint32_t record)
{
	if (index >= engine->header->flow_used || !(engine->flow[index].flags & FLOW_LIVE))
		return false;
	const struct flow *flow = &engine->flow[index];
	if (control != 0)
		return flow->control == control && flow->protocol == PROTOCOL_TCP && !(flow->flags & FLOW_CALL) &&
		       service_of_flow(flow) != SERVICE_NONE;
	return (flow->flags & FLOW_CALL) && flow->protocol == PROTOCOL_GRE && flow->mapping == NONE &&
	       flow->control == 0 && engine->track[index].call.record == record;
}

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
		.local = control->inside_address,
		.remote = control->remote_address,
		.local_port = inside_id,
		.protocol = PROTOCOL_GRE,
		.by = BY_LOCAL_ID,
	};
	uint32_t index = flow_find_outbound(engine, &key, flow_hash(engine, &key));

	if (index == NONE || !engine->track[index].call.ended ||
	    engine->flow[index].outside_address != control->outside_address)
		return -1;
	uint16_t outside_id = engine->flow[index].outside_port;
	flow_close(engine, index);
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

int module_call_high(struct engine *engine, uint32_t control_flow, uint8_t wanted)
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

uint32_t module_call_open(struct engine *engine, uint32_t control_flow, uint16_t inside_id, int high, uint32_t record,
			  uint32_t request_ms, uint16_t *outside_id, enum drop *why)
{
	*why = DROP_FLOWS_EXHAUSTED;
	if (!flow_has_room(engine))
		return MODULE_NONE;
	const struct flow *control = &engine->flow[control_flow];
	int id = pick_id(engine, control, inside_id, high);
	if (id < 0) {
		*why = DROP_CALL_IDS_EXHAUSTED;
		return MODULE_NONE;
	}
	struct flow flow = {
		.inside_address = control->inside_address,
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
	uint32_t index = flow_open(engine, &flow, why);
	if (index == NONE)
		return MODULE_NONE;
	engine->track[index].call = (struct call_track){.record = record};
	*outside_id = (uint16_t)id;
	return index;
}

/* Remote ends use their IDs again at once: what carries this one belongs to the new call from now on, not to one that
 * has ended and lingers. A call of the same inside host gives way in any state, because the remote end knows it no
 * more; one of another host that lives is told apart by its host. */
static void free_remote_id(struct engine *engine, const struct flow *call, uint16_t remote_id)
{
	struct flow_key key = {
		.local = call->inside_address,
		.remote = call->remote_address,
		.remote_port = remote_id,
		.protocol = PROTOCOL_GRE,
		.by = BY_REMOTE_ID,
	};
	uint32_t index = flow_find_outbound(engine, &key, flow_hash(engine, &key));

	if (index != NONE)
		flow_forget_answer(engine, index);
	key.local = call->outside_address;
	index = flow_find_inbound(engine, &key, flow_hash(engine, &key));
	if (index != NONE && engine->track[index].call.ended)
		flow_forget_answer(engine, index);
}

bool module_call_lives(struct engine *engine, uint32_t call_flow)
{
	if (!is_expired(engine->flow[call_flow].deadline, engine->now_ms))
		return true;
	flow_close(engine, call_flow);
	return false;
}

void module_call_answer(struct engine *engine, uint32_t call_flow, uint16_t remote_id)
{
	free_remote_id(engine, &engine->flow[call_flow], remote_id);
	flow_answer(engine, call_flow, remote_id);
}

void module_call_keep(struct engine *engine, uint32_t call_flow)
{
	struct flow *flow = &engine->flow[call_flow];

	/* What is over does not live again because its memory was not cleaned up yet. */
	if (!is_expired(flow->deadline, engine->now_ms))
		timer_touch(engine, flow);
}

void module_call_end(struct engine *engine, uint32_t call_flow, uint32_t drain_ms)
{
	struct call_track *track = &engine->track[call_flow].call;

	track->ended = true;
	track->drain_ms = (uint32_t)(engine->now_ms + drain_ms);
	engine->flow[call_flow].deadline = track->drain_ms + engine->config.timeout[TIMEOUT_HOLD_DOWN];
}

uint32_t module_keep(struct engine *engine, const struct packet *packet, enum side arrived)
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

void module_drop_kept(struct engine *engine, uint32_t kept, enum drop reason)
{
	enum side side = (enum side)engine->block[kept].side;

	fragment_store_drop_kept(engine, kept);
	engine->header->kept[side]--;
	engine->counters->held[side]--;
	engine->counters->dropped[side][reason]++;
}
