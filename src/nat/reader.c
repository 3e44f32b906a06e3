/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows that modules read, and the packets that modules keep. */
#include "nat/reader.h"

#include <culvert/module.h>
#include <culvert/verdict.h>

#include <string.h>

#include "nat/attempts.h"
#include "nat/fragment_store.h"
#include "nat/life.h"
#include "nat/tcp.h"
#include "nat/timer.h"

static uint16_t server_port_of(const struct flow *flow)
{
	return flow->flags & FLOW_FORWARD ? flow->outside_port : flow->remote_port;
}

static const struct module *reader_of(const struct engine *engine, enum service service)
{
	return service < SERVICES && engine->module[service] ? module_of(service) : NULL;
}

/* The service whose module reads a flow. Of those on TCP the port tells; UDP flows remember it, because a server may
 * answer from another port. After a crash that may be anything: only who reads datagrams is believed. */
static enum service service_of_flow(const struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];
	enum service service = flow->protocol == PROTOCOL_UDP
				       ? (enum service)engine->track[index].udp.service
				       : service_of_part(part_claiming(flow->protocol, server_port_of(flow)));
	const struct module *module = reader_of(engine, service);

	if (!module || (flow->protocol == PROTOCOL_UDP ? !module->datagrams.datagram : !module->stream.segment))
		return SERVICE_NONE;
	return service;
}

/* The service of the part that has this port to itself, if a module shall read it. */
static enum service service_read(const struct engine *engine, uint8_t protocol, uint16_t server_port)
{
	enum part part = part_claiming(protocol, server_port);

	if (part == PART_NONE || engine->config.mode[part] != MODE_PASS)
		return SERVICE_NONE;
	return reader_of(engine, service_of_part(part)) ? service_of_part(part) : SERVICE_NONE;
}

/* --- attaching --- */

static bool host_has_its_share(const struct engine *engine, const struct flow *flow)
{
	return !(flow->flags & FLOW_FORWARD) &&
	       engine->host_use[flow->host].controls >= module_share(engine->header->limits.tunnels);
}

static void count_control(struct engine *engine, const struct flow *flow, int change)
{
	struct host_use *use = &engine->host_use[flow->host];

	if (!(flow->flags & FLOW_FORWARD))
		use->controls = (uint16_t)(use->controls + change);
}

static void attach(struct engine *engine, uint32_t index, enum service service, bool answered)
{
	static const enum statistic unread[SERVICES] = {
#define SERVICE(name, section, label) STAT_##name##_UNREAD,
#include <culvert/services.def>
#undef SERVICE
	};
	struct flow *flow = &engine->flow[index];
	const struct module *module = reader_of(engine, service);

	if (!module)
		return;
	if (flow->protocol == PROTOCOL_UDP) {
		engine->track[index].udp.service = (uint8_t)service;
		timer_set(engine, flow, TIMEOUT_UDP_VPN);
	}
	if (host_has_its_share(engine, flow)) {
		count(engine, unread[service]);
		return;
	}
	flow->control = module->attach(engine, engine->module[service], index, answered);
	if (flow->control == 0)
		return;
	flow_mark_special(engine, index);
	count_control(engine, flow, 1);
	life_renew(engine, index, (enum flow_phase)flow->phase);
}

void reader_attach(struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	attach(engine, index, service_read(engine, flow->protocol, server_port_of(flow)), false);
}

void reader_attach_beside(struct engine *engine, uint32_t index, uint32_t sibling)
{
	if (engine->flow[sibling].control != 0)
		attach(engine, index, service_of_flow(engine, sibling), true);
}

/* --- reading --- */

/* A server inside agrees: what is read from now on is no stranger's first packet. */
static bool is_first_answer(const struct flow *flow, enum side from, const struct passage *passage)
{
	if (!(flow->flags & FLOW_FORWARD) || from != SIDE_LAN)
		return false;
	if (flow->protocol == PROTOCOL_UDP)
		return flow->packets[SIDE_LAN] == 0;
	return flow->tcp_state == TCP_STATE_OPENING &&
	       (passage->transport.tcp.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
}

static struct engine_result inspect_segment(struct engine *engine, uint32_t index, enum side from,
					    const struct passage *passage, bool is_over)
{
	const struct flow *flow = &engine->flow[index];
	const struct tcp_segment *tcp = &passage->transport.tcp;

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
		.has_syn = (tcp->flags & TCP_SYN) != 0,
		.arrived = passage->from,
	};
	enum service service = service_of_flow(engine, index);
	engine->offer->ready(engine, service, flow->control, from);
	return module_of(service)->stream.segment(engine, engine->module[service], flow->control, from, &segment);
}

static struct module_datagram datagram_of(const struct passage *passage, struct address outside, struct address remote)
{
	const struct packet *packet = passage->packet;
	uint32_t transport = passage->ip.header_length;
	bool outward = passage->from == SIDE_LAN;

	return (struct module_datagram){
		.packet = passage->packet,
		.transport = transport,
		.payload = transport + UDP_HEADER,
		.length = packet_get16(packet, transport + UDP_OFFSET_LENGTH) - UDP_HEADER,
		.flow = MODULE_NONE,
		.outside_address = outside,
		.remote_address = remote,
		.outside_port = outward ? 0 : passage->transport.destination_port,
		.remote_port = outward ? passage->transport.destination_port : passage->transport.source_port,
		.arrived = passage->from,
	};
}

static struct engine_result inspect_datagram(struct engine *engine, uint32_t *index, enum side from,
					     const struct passage *passage)
{
	const struct flow *flow = &engine->flow[*index];
	enum service service = service_of_flow(engine, *index);
	struct module_datagram datagram = datagram_of(passage, flow->outside_address, flow->remote_address);

	datagram.flow = *index;
	datagram.remote_port = flow->remote_port;
	datagram.outside_port = from == SIDE_WAN ? passage->transport.destination_port : flow->outside_port;
	datagram.is_hairpin = (flow->flags & FLOW_HAIRPIN) != 0;
	struct engine_result result =
		module_of(service)->datagrams.datagram(engine, engine->module[service], flow->control, from, &datagram);
	if (!datagram.is_hairpin)
		*index = datagram.flow;
	return result;
}

/* A connection that does not open, though it was asked for again. */
static void watch_answer(struct engine *engine, uint32_t index, enum side from, const struct tcp_segment *tcp)
{
	const struct flow *flow = &engine->flow[index];

	if (flow->tcp_state != TCP_STATE_OPENING || !(tcp->flags & (TCP_SYN | TCP_RST)))
		return;
	if (from == SIDE_WAN)
		attempt_forget_unanswered(engine, index);
	else if (flow->packets[SIDE_LAN] > 0 && flow->packets[SIDE_WAN] == 0)
		attempt_note_unanswered(engine, index);
}

struct engine_result reader_inspect(struct engine *engine, uint32_t *index, enum side from,
				    const struct passage *passage)
{
	struct flow *flow = &engine->flow[*index];
	bool is_over = tcp_is_over(flow);

	if (flow->protocol == PROTOCOL_UDP) {
		if (flow->control == 0 && flow->timeout == TIMEOUT_UDP_VPN && is_first_answer(flow, from, passage))
			attach(engine, *index, service_of_flow(engine, *index), true);
		return flow->control != 0 ? inspect_datagram(engine, index, from, passage) : verdict_forwarded();
	}
	if (flow->protocol != PROTOCOL_TCP)
		return verdict_forwarded();
	/* The same two endpoints again, see tcp_track(). */
	if (flow->control == 0 && is_over && (passage->transport.tcp.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		reader_attach(engine, *index);
	if (flow->control == 0 && is_first_answer(flow, from, passage))
		attach(engine, *index, service_read(engine, PROTOCOL_TCP, server_port_of(flow)), true);
	if (flow->control != 0)
		watch_answer(engine, *index, from, &passage->transport.tcp);
	return flow->control != 0 ? inspect_segment(engine, *index, from, passage, is_over) : verdict_forwarded();
}

uint32_t reader_claim(struct engine *engine, const struct passage *passage, enum service service)
{
	const struct module *module = reader_of(engine, service);
	struct module_datagram datagram = datagram_of(passage, passage->ip.destination, passage->ip.source);

	if (!module || !module->datagrams.claim)
		return NONE;
	return module->datagrams.claim(engine, engine->module[service], &datagram);
}

uint32_t reader_quoted(const struct engine *engine, uint32_t index, const struct passage *passage, uint32_t transport,
		       struct address outside, struct address remote)
{
	const struct packet *packet = passage->packet;
	uint16_t outside_port = packet_get16(packet, transport);
	enum service service =
		index != NONE ? reader_service_of(engine, index) : service_read(engine, PROTOCOL_UDP, outside_port);
	const struct module *module = reader_of(engine, service);
	uint16_t length = packet_get16(packet, transport + UDP_OFFSET_LENGTH);

	if (!module || !module->datagrams.quoted || length < UDP_HEADER)
		return index;
	struct module_datagram datagram = {
		.packet = passage->packet,
		.transport = transport,
		.payload = transport + UDP_HEADER,
		.length = (uint32_t)length - UDP_HEADER,
		.flow = index,
		.outside_address = outside,
		.remote_address = remote,
		.outside_port = outside_port,
		.remote_port = packet_get16(packet, transport + 2),
		.arrived = passage->from,
	};
	return module->datagrams.quoted(engine, engine->module[service], &datagram);
}

enum service reader_service_at(const struct engine *engine, uint16_t outside_port)
{
	return service_read(engine, PROTOCOL_UDP, outside_port);
}

enum service reader_service_of(const struct engine *engine, uint32_t index)
{
	return engine->flow[index].control != 0 ? service_of_flow(engine, index) : SERVICE_NONE;
}

enum service reader_flow_service(const struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	return flow->flags & FLOW_BY_ID ? service_of_part(part_claiming(flow->protocol, 0))
					: reader_service_of(engine, index);
}

/* --- the end --- */

static void end_control(struct engine *engine, uint32_t index, enum tunnel_end why)
{
	struct flow *flow = &engine->flow[index];
	enum service service = service_of_flow(engine, index);
	uint16_t control = flow->control;

	flow->control = 0;
	count_control(engine, flow, -1);
	life_renew(engine, index, (enum flow_phase)flow->phase);
	module_of(service)->control_over(engine, engine->module[service], control, index, why);
}

void reader_follow_tcp(struct engine *engine, uint32_t index, enum side from)
{
	const struct flow *flow = &engine->flow[index];

	if (flow->control == 0)
		return;
	if (flow->tcp_state == TCP_STATE_CLOSED)
		end_control(engine, index, END_CONTROL_CLOSED);
	else if (flow->tcp_state == TCP_STATE_RESET && from == SIDE_WAN && flow->packets[SIDE_WAN] == 1)
		attempt_note_reset(engine, index);
	if (flow->tcp_state == TCP_STATE_RESET)
		end_control(engine, index, END_CONTROL_RESET);
}

void reader_follow_mode(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];
	enum part part = part_claiming(flow->protocol, server_port_of(flow));

	if (flow->control == 0)
		return;
	/* A port that is no service's own belongs to a server that answers from elsewhere. */
	if (part == PART_NONE && flow->protocol == PROTOCOL_UDP)
		part = part_elsewhere(service_of_flow(engine, index));
	if (part != PART_NONE && engine->config.mode[part] == MODE_PASS)
		return;
	end_control(engine, index,
		    part != PART_NONE && engine->config.mode[part] == MODE_BLOCK ? END_BLOCKED : END_ROUTER);
	if (flow->protocol == PROTOCOL_UDP) {
		flow->timeout = (uint8_t)timer_class(PROTOCOL_UDP, flow->remote_port);
		engine->track[index].udp.shared_port = 0;
	}
}

void reader_drop_orphan(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];
	enum service service = flow->control != 0 ? service_of_flow(engine, index) : SERVICE_NONE;
	const struct module *module = reader_of(engine, service);

	if (flow->control == 0)
		return;
	if (!module || !module->knows(engine, engine->module[service], index, flow->control, 0)) {
		flow->control = 0;
		if (flow->protocol == PROTOCOL_UDP)
			engine->track[index].udp.shared_port = 0;
		return;
	}
	count_control(engine, flow, 1);
}

void reader_flow_closes(struct engine *engine, uint32_t index)
{
	bool expired = is_expired(engine->flow[index].deadline, engine->now_ms);

	end_control(engine, index, expired ? END_CONTROL_SILENT : engine->is_blocking ? END_BLOCKED : END_ROUTER);
}

/* --- packets that modules keep --- */

bool reader_next_kept(struct engine *engine, struct packet *packet, enum side *from)
{
	while (engine->readies > 0) {
		uint32_t last = engine->readies - 1;
		enum service service = engine->ready[last].service;
		uint16_t control = engine->ready[last].control;
		enum side side = engine->ready[last].side;
		const struct module *module = module_of(service);
		uint32_t kept = MODULE_NONE;
		if (module->next_kept)
			kept = module->next_kept(engine, engine->module[service], control, side);
		if (kept == MODULE_NONE) {
			/* It may have named another one that is ready now. */
			engine->readies--;
			memmove(&engine->ready[last], &engine->ready[last + 1],
				(engine->readies - last) * sizeof(engine->ready[0]));
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

void reader_wake(struct engine *engine)
{
	if (engine->now_ms < engine->wake_ms)
		return;
	engine->wake_ms = UINT64_MAX;
	for (int service = 0; service < SERVICES; service++) {
		const struct module *module = reader_of(engine, (enum service)service);
		if (module && module->wake)
			module->wake(engine, engine->module[service]);
	}
}
