/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hooks: flows become paths, and each datagram is given to whom it is for. docs/nat-behaviour.md section 12.
 */
#include "passthrough/l2tp.h"

#include <culvert/verdict.h>

#include "wire/transport.h"

/* --- paths --- */

static bool l2tp_knows(const struct engine *engine, const void *memory, uint32_t flow, uint16_t control,
		       uint32_t record)
{
	const struct l2tp *l2tp = memory;

	(void)engine;
	(void)record;
	if (!l2tp || control == 0 || control > l2tp->paths || !l2tp->path[control - 1u].live)
		return false;
	const struct l2tp_path *path = &l2tp->path[control - 1u];
	for (unsigned i = 0; i < path->flows; i++)
		if (path->flow[i] == flow)
			return true;
	return false;
}

/* A client's other flow to the same server, which answers from another port. */
static uint32_t path_beside(const struct l2tp *l2tp, const struct flow_view *view)
{
	uint32_t group = l2tp_group_find(l2tp, view->outside_address, view->remote_address);
	uint32_t index = group != TABLE_NONE ? l2tp_path_at(l2tp, group, view->outside_port) : TABLE_NONE;

	if (index == TABLE_NONE || view->inside_is_server || l2tp->path[index].is_server ||
	    !address_equal(l2tp->path[index].inside_address, view->inside_address))
		return MODULE_NONE;
	return index;
}

static uint32_t open_path(struct engine *engine, struct l2tp *l2tp, uint32_t flow, const struct flow_view *view,
			  bool knocks)
{
	uint32_t index = l2tp->path_free;

	if (knocks && l2tp->knocking >= module_quarter(l2tp->paths))
		return MODULE_NONE;
	if (index == MODULE_NONE) {
		engine_offer(engine)->count(engine, STAT_L2TP_UNREAD);
		return MODULE_NONE;
	}
	struct l2tp_path *path = &l2tp->path[index];
	l2tp->path_free = path->flow[0];
	*path = (struct l2tp_path){
		.flow = {flow},
		.flows = 1,
		.live = true,
		.inside_address = view->inside_address,
		.outside_port = view->outside_port,
		.first = MODULE_NONE,
		.is_server = view->inside_is_server,
		.knocks = knocks,
	};
	l2tp->knocking += knocks;
	l2tp_path_join(l2tp, index, view->outside_address, view->remote_address);
	return index;
}

static uint16_t l2tp_attach(struct engine *engine, void *memory, uint32_t flow, bool answered)
{
	struct l2tp *l2tp = memory;
	struct flow_view view;

	l2tp_take_key(engine, l2tp);
	engine_offer(engine)->view_flow(engine, flow, &view, NULL);
	uint32_t index = path_beside(l2tp, &view);
	/* Whoever sends in the server's name from many ports gets no more records by that. */
	if (index != MODULE_NONE && l2tp->path[index].flows == L2TP_FLOWS)
		return 0;
	if (index != MODULE_NONE)
		l2tp->path[index].flow[l2tp->path[index].flows++] = flow;
	else
		index = open_path(engine, l2tp, flow, &view, view.inside_is_server && !answered);
	if (index == MODULE_NONE)
		return 0;
	struct l2tp_path *path = &l2tp->path[index];
	path->may_share |= l2tp_may_share(&view);
	if (path->may_share && path->first == MODULE_NONE &&
	    strict_knows(&l2tp->strict, view.remote_address, engine_offer(engine)->now_ms(engine)) &&
	    l2tp_share(engine, l2tp, index))
		engine_offer(engine)->count(engine, STAT_L2TP_SHARED);
	return (uint16_t)(index + 1);
}

static void stop_knocking(struct l2tp *l2tp, struct l2tp_path *path)
{
	l2tp->knocking -= path->knocks;
	path->knocks = 0;
}

static void l2tp_control_over(struct engine *engine, void *memory, uint16_t number, uint32_t flow, enum tunnel_end why)
{
	struct l2tp *l2tp = memory;
	uint32_t index = number - 1u;
	struct l2tp_path *path = &l2tp->path[index];

	for (unsigned i = 0; i < path->flows; i++) {
		if (path->flow[i] != flow)
			continue;
		path->flow[i] = path->flow[--path->flows];
		break;
	}
	if (path->flows > 0)
		return;
	while (path->first != MODULE_NONE) {
		uint32_t tunnel = path->first;
		l2tp_tunnel_end(engine, l2tp, tunnel, why);
		l2tp_tunnel_unlink(l2tp, tunnel);
	}
	l2tp_share_end(engine, l2tp, index);
	l2tp_path_leave(l2tp, index);
	stop_knocking(l2tp, path);
	path->live = false;
	path->flow[0] = l2tp->path_free;
	l2tp->path_free = index;
}

/* --- datagrams --- */

/* From a server's port 1701 to ours, which several hosts may use towards it. */
static bool is_on_shared_port(const struct module_datagram *datagram)
{
	return !datagram->is_hairpin && datagram->outside_port == L2TP_PORT &&
	       packet_get16(datagram->packet, datagram->transport) == L2TP_PORT;
}

static bool is_over(const struct l2tp *l2tp, uint32_t tunnel)
{
	return tunnel == MODULE_NONE || l2tp->tunnel[tunnel].state == TUNNEL_ENDED;
}

/* The tunnel that an inbound datagram names, perhaps of another path, which *path and the datagram's flow are then.
 * False if it is nobody's. */
static bool find_receiver(struct engine *engine, struct l2tp *l2tp, uint32_t *path, uint32_t *tunnel,
			  const struct l2tp_header *header, struct module_datagram *datagram)
{
	*tunnel = l2tp_tunnel_by_outside(l2tp, *path, header->version, header->tunnel);
	if (!is_over(l2tp, *tunnel) || header->version != 2 || header->tunnel == 0 || !is_on_shared_port(datagram))
		return true;
	uint32_t other = l2tp_tunnel_of_group(l2tp, l2tp->path[*path].group, header->tunnel);
	uint32_t flow = MODULE_NONE;
	if (other != MODULE_NONE && (*tunnel == MODULE_NONE || !is_over(l2tp, other)))
		flow = l2tp_path_flow(engine, &l2tp->path[l2tp->tunnel[other].path], 0);
	if (flow != MODULE_NONE) {
		*tunnel = other;
		*path = l2tp->tunnel[other].path;
		datagram->flow = flow;
		return true;
	}
	return *tunnel != MODULE_NONE || l2tp->path[*path].outside_port == L2TP_PORT;
}

/* A hidden ID is read from the first header that carries it; an SCCRQ for both versions may be answered in version 3.
 */
static uint32_t find_by_answer(struct engine *engine, struct l2tp *l2tp, uint32_t path,
			       const struct l2tp_header *header)
{
	uint32_t index = l2tp_tunnel_nameless(l2tp, path);

	if (header->tunnel == 0)
		return MODULE_NONE;
	if (index != MODULE_NONE && l2tp->tunnel[index].version == header->version) {
		l2tp_tunnel_name(engine, l2tp, index, header->tunnel);
		return index;
	}
	if (header->version != 3)
		return MODULE_NONE;
	for (index = l2tp->path[path].first; index != MODULE_NONE; index = l2tp->tunnel[index].next) {
		struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];
		if (tunnel->state != TUNNEL_REQUESTED || tunnel->connection != header->tunnel)
			continue;
		l2tp_tunnel_leave(l2tp, index);
		tunnel->version = 3;
		tunnel->inside_id = tunnel->outside_id = header->tunnel;
		return index;
	}
	return MODULE_NONE;
}

/* Data of version 3 names sessions only. */
static uint32_t find_version_3(const struct l2tp *l2tp, uint32_t path)
{
	for (uint32_t i = l2tp->path[path].first; i != MODULE_NONE; i = l2tp->tunnel[i].next)
		if (l2tp->tunnel[i].version == 3 && l2tp->tunnel[i].state == TUNNEL_CONNECTED)
			return i;
	return MODULE_NONE;
}

static void note_data(struct engine *engine, struct l2tp *l2tp, uint32_t index, enum side from,
		      const struct l2tp_header *header, const struct module_datagram *datagram)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	l2tp_tunnel_account(engine, tunnel, from, datagram->packet->length);
	if (!header->is_control)
		tunnel->has_data = true;
}

/* The sender knows one of the path's Tunnel IDs; anybody could send what does not. */
static void note_answer(const struct engine *engine, struct l2tp *l2tp, struct l2tp_path *path,
			const struct module_datagram *datagram)
{
	path->answered = true;
	path->unanswered = 0;
	if (path->shares && is_on_shared_port(datagram))
		strict_learn(&l2tp->strict, datagram->remote_address, engine_offer(engine)->now_ms(engine));
}

static struct engine_result inbound(struct engine *engine, struct l2tp *l2tp, uint32_t path,
				    const struct l2tp_header *header, struct module_datagram *datagram)
{
	uint32_t tunnel = MODULE_NONE;

	if (header->version == 3 && !header->is_control)
		tunnel = find_version_3(l2tp, path);
	else if (!find_receiver(engine, l2tp, &path, &tunnel, header, datagram))
		return verdict_drop(DROP_L2TP_NO_TUNNEL);
	if (tunnel == MODULE_NONE && header->is_control)
		tunnel = find_by_answer(engine, l2tp, path, header);
	if (tunnel != MODULE_NONE && header->is_control)
		note_answer(engine, l2tp, &l2tp->path[path], datagram);
	if (header->is_control)
		tunnel = l2tp_message_inbound(engine, l2tp, path, tunnel, header, datagram);
	if (tunnel == MODULE_NONE)
		return verdict_forwarded();
	const struct l2tp_tunnel *record = &l2tp->tunnel[tunnel];
	if (record->version == 2 && header->tunnel == record->outside_id && record->inside_id != record->outside_id) {
		udp_patch16(datagram->packet, datagram->transport, header->tunnel_at, (uint16_t)record->inside_id);
		engine_offer(engine)->count(engine, STAT_L2TP_REWRITTEN);
	}
	note_data(engine, l2tp, tunnel, SIDE_WAN, header, datagram);
	return verdict_forwarded();
}

static struct engine_result outbound(struct engine *engine, struct l2tp *l2tp, uint32_t path,
				     const struct l2tp_header *header, const struct module_datagram *datagram)
{
	uint32_t tunnel = header->version == 3 && !header->is_control
				  ? find_version_3(l2tp, path)
				  : l2tp_tunnel_by_remote(l2tp, path, header->version, header->tunnel);

	stop_knocking(l2tp, &l2tp->path[path]);
	if (header->is_control)
		tunnel = l2tp_message_outbound(engine, l2tp, path, tunnel, header, datagram);
	if (tunnel != MODULE_NONE)
		note_data(engine, l2tp, tunnel, SIDE_LAN, header, datagram);
	return verdict_forwarded();
}

static struct engine_result l2tp_datagram(struct engine *engine, void *memory, uint16_t number, enum side from,
					  struct module_datagram *datagram)
{
	struct l2tp *l2tp = memory;
	struct l2tp_header header;

	if (!l2tp_parse(datagram->packet, datagram->payload, datagram->length, &header))
		return verdict_forwarded();
	return from == SIDE_WAN ? inbound(engine, l2tp, number - 1u, &header, datagram)
				: outbound(engine, l2tp, number - 1u, &header, datagram);
}

/* --- datagrams of no flow --- */

/* To the shared port: by Tunnel ID. One that is nobody's is shown to a path that shares the port, to be dropped. */
static uint32_t claim_shared(struct engine *engine, const struct l2tp *l2tp, uint32_t group,
			     const struct l2tp_header *header)
{
	uint32_t tunnel = l2tp_tunnel_of_group(l2tp, group, header->tunnel);
	uint32_t path = tunnel != MODULE_NONE ? l2tp->tunnel[tunnel].path : l2tp->group[group].sharing;

	/* A server inside has its forward. */
	if (path == MODULE_NONE || l2tp->path[path].is_server)
		return MODULE_NONE;
	return l2tp_path_flow(engine, &l2tp->path[path], 0);
}

/* From another port of the server: the answer to an SCCRQ, as its Tunnel ID says. */
static uint32_t claim_answer(struct engine *engine, const struct l2tp *l2tp, uint32_t group, uint16_t outside_port,
			     const struct l2tp_header *header)
{
	uint32_t path = l2tp_path_at(l2tp, group, outside_port);

	if (path == TABLE_NONE || l2tp->path[path].is_server || !header->is_control)
		return MODULE_NONE;
	uint32_t tunnel = l2tp_tunnel_by_outside(l2tp, path, 2, header->tunnel);
	if (tunnel == MODULE_NONE || l2tp->tunnel[tunnel].state != TUNNEL_REQUESTED)
		return MODULE_NONE;
	return l2tp_path_flow(engine, &l2tp->path[path], 0);
}

static uint32_t l2tp_claim(struct engine *engine, void *memory, const struct module_datagram *datagram)
{
	const struct l2tp *l2tp = memory;
	struct l2tp_header header;
	uint32_t group = l2tp_group_find(l2tp, datagram->outside_address, datagram->remote_address);

	if (group == TABLE_NONE || !l2tp_parse(datagram->packet, datagram->payload, datagram->length, &header) ||
	    header.version != 2 || header.tunnel == 0)
		return MODULE_NONE;
	if (datagram->remote_port == L2TP_PORT && datagram->outside_port == L2TP_PORT)
		return claim_shared(engine, l2tp, group, &header);
	return claim_answer(engine, l2tp, group, datagram->outside_port, &header);
}

/* --- errors about datagrams --- */

/* What we sent has the server's ID in its header, or asks for a tunnel with our own. */
static uint32_t quoted_tunnel(const struct l2tp *l2tp, uint32_t group, const struct l2tp_header *header,
			      const struct module_datagram *datagram)
{
	struct l2tp_facts facts;

	if (header->version != 2)
		return MODULE_NONE;
	if (header->tunnel != 0)
		return l2tp_tunnel_of_remote(l2tp, group, header->tunnel);
	l2tp_read_control(datagram->packet, datagram->payload, header, &facts);
	return facts.tunnel.at != 0 ? l2tp_tunnel_of_group(l2tp, group, facts.tunnel.value) : MODULE_NONE;
}

static uint32_t l2tp_quoted(const struct engine *engine, const void *memory, const struct module_datagram *datagram)
{
	const struct l2tp *l2tp = memory;
	struct l2tp_header header;
	uint32_t group = l2tp_group_find(l2tp, datagram->outside_address, datagram->remote_address);

	if (datagram->remote_port != L2TP_PORT || datagram->outside_port != L2TP_PORT || group == TABLE_NONE ||
	    l2tp->group[group].sharing == MODULE_NONE)
		return datagram->flow;
	uint32_t tunnel = MODULE_NONE;
	if (l2tp_parse(datagram->packet, datagram->payload, datagram->length, &header))
		tunnel = quoted_tunnel(l2tp, group, &header, datagram);
	if (tunnel == MODULE_NONE)
		return MODULE_NONE;
	return l2tp_path_flow(engine, &l2tp->path[l2tp->tunnel[tunnel].path], L2TP_PORT);
}

/* --- the rest --- */

static void l2tp_wake(struct engine *engine, void *memory)
{
	l2tp_tunnel_sweep(engine, memory);
}

static bool l2tp_next_tunnel(struct engine *engine, const void *memory, uint32_t *cursor, struct tunnel_view *view)
{
	const struct l2tp *l2tp = memory;

	while (*cursor < l2tp->used) {
		uint32_t index = (*cursor)++;
		if (l2tp->tunnel[index].state == TUNNEL_FREE)
			continue;
		l2tp_tunnel_view(engine, l2tp, index, view);
		return true;
	}
	return false;
}

static uint32_t *l2tp_told(void *memory, uint32_t tunnel)
{
	struct l2tp *l2tp = memory;

	return &l2tp->tunnel[tunnel].hints_told;
}

const struct module l2tp_module = {
	.memory_size = l2tp_memory_size,
	.start = l2tp_start,
	.place = l2tp_place,
	.recover = l2tp_recover,
	.knows = l2tp_knows,
	.attach = l2tp_attach,
	.wake = l2tp_wake,
	.control_over = l2tp_control_over,
	.next_tunnel = l2tp_next_tunnel,
	.told = l2tp_told,
	.datagrams = {.datagram = l2tp_datagram, .claim = l2tp_claim, .quoted = l2tp_quoted},
};
