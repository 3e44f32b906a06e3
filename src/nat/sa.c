/* SPDX-License-Identifier: BSD-2-Clause */
/* SAs of ESP as flows. */
#include "nat/sa.h"

#include <culvert/verdict.h>

#include "nat/host.h"
#include "nat/life.h"
#include "nat/mapping.h"
#include "nat/passages.h"
#include "nat/timer.h"

enum { BEHIND = 65536 /* packets out of order are never so late; RFC 4303 windows have at most some thousands */ };

/* The service that SAs belong to. */
static enum service owner(void)
{
	return service_of_part(part_claiming(PROTOCOL_ESP, 0));
}

uint32_t sa_find(struct engine *engine, const struct passage *passage, struct address outside, struct module_esp *esp,
		 struct engine_result *otherwise)
{
	bool outward = passage->from == SIDE_LAN;
	const struct forward *forward = outward ? NULL : forward_find(engine, PROTOCOL_ESP, 0);
	*esp = (struct module_esp){
		.packet = passage->packet,
		.from = passage->from,
		.inside_address = outward   ? passage->ip.source
				  : forward ? forward->to_address
					    : address_of(0),
		.outside_address = outside,
		.remote_address = outward ? passage->ip.destination : passage->ip.source,
		.spi = passage->transport.esp.spi,
		.sequence = passage->transport.esp.sequence,
		.may_fan_out = engine->config.esp_fanout && !ip_is_fragment(&passage->ip),
	};
	*otherwise = verdict_drop(DROP_NO_OWNER);
	return module_of(owner())->portless.esp(engine, engine->module[owner()], esp, otherwise);
}

bool sa_note_ah(struct engine *engine, const struct passage *passage)
{
	enum service service = service_of_part(part_claiming(PROTOCOL_AH, 0));

	return engine->module[service] &&
	       module_of(service)->portless.ah(engine, engine->module[service], passage->ip.source,
					       host_outside(engine, passage->ip.source)->address,
					       passage->ip.destination);
}

void sa_account(struct engine *engine, uint32_t index, const struct passage *passage, enum side from)
{
	struct flow *flow = &engine->flow[index];
	struct call_track *track = &engine->track[index].call;
	uint32_t sequence = passage->transport.esp.sequence;
	bool is_behind = false;

	flow->bytes[from] += passage->packet->length;
	flow->packets[from]++;
	track->last_ms[from] = (uint32_t)engine->now_ms;
	timer_touch(engine, flow);
	if (from == SIDE_WAN) {
		int32_t ahead = (int32_t)(sequence - track->sequence);
		is_behind = track->has_sequence && ahead < -BEHIND;
		if (!track->has_sequence || ahead > 0)
			track->sequence = sequence;
		track->has_sequence = true;
	}
	if (track->watched || is_behind)
		module_of(owner())->portless.sa_heard(engine, engine->module[owner()], track->record, from, is_behind);
}

/* --- what modules may ask for --- */

uint32_t sa_open(struct engine *engine, struct address inside, struct address outside, struct address remote,
		 bool is_server, enum side opened, uint32_t record, enum drop *why)
{
	struct flow flow = {
		.outside_address = outside,
		.remote_address = remote,
		.protocol = PROTOCOL_ESP,
		.flags = FLOW_SA,
		.mapping = NONE,
		.timeout = TIMEOUT_ESP_OPENING,
		.deadline = (uint32_t)(engine->now_ms + engine->config.timeout[TIMEOUT_ESP_OPENING]),
	};

	flow.flags |= (uint8_t)((is_server ? FLOW_FORWARD : 0) | (opened == SIDE_WAN ? FLOW_INBOUND : 0));
	*why = DROP_FLOWS_EXHAUSTED;
	if (!timer_has_room(engine))
		return MODULE_NONE;
	flow.host = timer_hold_host(engine, inside, flow.outside_address, why);
	if (flow.host == NONE)
		return MODULE_NONE;
	uint32_t index = timer_open_flow(engine, &flow, why);
	host_let_go(engine, flow.host);
	if (index != MODULE_NONE)
		engine->track[index].call = (struct call_track){.record = record};
	return index;
}

static void take_spi(struct engine *engine, uint32_t index, enum side from, uint32_t spi)
{
	struct flow *flow = &engine->flow[index];

	flow_take_spi(engine, index, from, spi);
	bool is_pair = flow->spi[SIDE_LAN] != 0 && flow->spi[SIDE_WAN] != 0;
	timer_set(engine, flow, is_pair ? TIMEOUT_ESP : TIMEOUT_ESP_OPENING);
	life_renew(engine, index, is_pair ? FLOW_STEADY : FLOW_OPENING);
}

void sa_learn(struct engine *engine, uint32_t index, enum side from, uint32_t spi)
{
	if (from == SIDE_WAN)
		engine->track[index].call.has_sequence = false;
	take_spi(engine, index, from, spi);
}

void sa_forget(struct engine *engine, uint32_t index, enum side from)
{
	take_spi(engine, index, from, 0);
}

uint32_t sa_spi(const struct engine *engine, uint32_t index, enum side from)
{
	return engine->flow[index].spi[from];
}

void sa_watch(struct engine *engine, uint32_t index, bool is_watched)
{
	engine->track[index].call.watched = is_watched;
}

void sa_keep(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];
	uint32_t until = (uint32_t)engine->now_ms + engine->config.timeout[TIMEOUT_UDP_VPN];

	if (flow->timeout == TIMEOUT_ESP && !is_expired(flow->deadline, engine->now_ms) &&
	    (int32_t)(until - flow->deadline) > 0)
		flow->deadline = until;
}

void sa_close(struct engine *engine, uint32_t index)
{
	life_end(engine, index);
}
