/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What control messages mean for the tunnels of a path (RFC 2661 section 5, RFC 3931 section 3.3). IDs in headers are
 * the receiver's, IDs in attributes the sender's own; so each ID is learned from its owner, and a hidden one from the
 * first header that carries it.
 */
#include "passthrough/l2tp.h"

#include <string.h>

#include "wire/transport.h"

/* The ID that the sender gives the tunnel, of the version the message has. */
static const struct l2tp_id *own_id(const struct l2tp_header *header, const struct l2tp_facts *facts)
{
	return header->version == 3 ? &facts->connection : &facts->tunnel;
}

static bool has_own_id(const struct l2tp_header *header, const struct l2tp_facts *facts)
{
	const struct l2tp_id *id = own_id(header, facts);

	return id->has && !id->is_hidden && id->value != 0;
}

static void take_name(char kept[L2TP_NAME_MAX], const struct l2tp_facts *facts)
{
	const struct l2tp_name *name = facts->host.text[0] ? &facts->host : &facts->vendor;

	if (name->text[0])
		memcpy(kept, name->text, L2TP_NAME_MAX);
}

/* Of what was sent again nothing is new. */
static bool is_new(struct l2tp_tunnel *tunnel, enum side from, uint16_t ns)
{
	if ((int16_t)(uint16_t)(ns - tunnel->next_ns[from]) < 0)
		return false;
	tunnel->next_ns[from] = (uint16_t)(ns + 1);
	return true;
}

static void follow_sessions(struct l2tp_tunnel *tunnel, enum side from, const struct l2tp_header *header,
			    const struct l2tp_facts *facts)
{
	const struct l2tp_id *id = header->version == 3 ? &facts->local_session : &facts->session;

	switch (facts->message) {
	case L2TP_ICCN:
	case L2TP_OCCN:
		tunnel->sessions += is_new(tunnel, from, header->ns);
		break;
	case L2TP_ICRQ:
	case L2TP_OCRQ:
	case L2TP_ICRP:
	case L2TP_OCRP:
		if (id->has && !id->is_hidden)
			*(from == SIDE_LAN ? &tunnel->inside_session : &tunnel->remote_session) = id->value;
		break;
	default:
		break;
	}
}

/* --- the end --- */

static void stop(struct engine *engine, struct l2tp_tunnel *tunnel, enum side from)
{
	if (tunnel->state != TUNNEL_REQUESTED && tunnel->state != TUNNEL_CONNECTED)
		return;
	/* Whoever says no to a request, and whoever takes it back. */
	bool is_asker = (from == SIDE_LAN) != tunnel->inside_is_server;
	tunnel->closes_as = tunnel->state == TUNNEL_CONNECTED ? END_STOPPED : is_asker ? END_CLEARED : END_REFUSED;
	tunnel->state = TUNNEL_CLOSING;
	tunnel->closed_by = (uint8_t)from;
	tunnel->changed_ms = l2tp_now(engine);
}

/* Anything but another StopCCN that comes back has heard of it. */
static void follow_stop(struct engine *engine, struct l2tp *l2tp, uint32_t index, enum side from)
{
	const struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	if (tunnel->state == TUNNEL_CLOSING && tunnel->closed_by != from)
		l2tp_tunnel_end(engine, l2tp, index, (enum tunnel_end)tunnel->closes_as);
}

/* What a message from this side does to the tunnel that it belongs to, whichever side that is. */
static void follow(struct engine *engine, struct l2tp *l2tp, uint32_t tunnel, enum side from,
		   const struct l2tp_header *header, const struct l2tp_facts *facts)
{
	struct l2tp_tunnel *record = &l2tp->tunnel[tunnel];

	if (facts->message == L2TP_STOPCCN)
		stop(engine, record, from);
	else
		follow_stop(engine, l2tp, tunnel, from);
	if (facts->message == L2TP_SCCCN)
		l2tp_tunnel_connect(engine, l2tp, tunnel);
	follow_sessions(record, from, header, facts);
}

/* --- outward --- */

/* The tunnel that an SCCRQ asks for: the same one again, or a new one. */
static uint32_t requested(struct engine *engine, struct l2tp *l2tp, uint32_t path, const struct l2tp_header *header,
			  const struct l2tp_facts *facts)
{
	bool is_known = has_own_id(header, facts);
	uint32_t id = own_id(header, facts)->value;
	uint32_t index =
		is_known ? l2tp_tunnel_by_inside(l2tp, path, header->version, id) : l2tp_tunnel_nameless(l2tp, path);

	if (index != MODULE_NONE && l2tp->tunnel[index].state >= TUNNEL_CLOSING) {
		l2tp_tunnel_end(engine, l2tp, index, (enum tunnel_end)l2tp->tunnel[index].closes_as);
		l2tp_tunnel_unlink(l2tp, index);
		index = MODULE_NONE;
	}
	if (index == MODULE_NONE) {
		index = l2tp_tunnel_open(engine, l2tp, path, header->version);
		if (index == MODULE_NONE)
			return MODULE_NONE;
		l2tp->tunnel[index].is_fixed = !is_known || facts->has_digest;
		if (is_known)
			l2tp_tunnel_name(engine, l2tp, index, id);
		if (header->version == 2 && facts->connection.has)
			l2tp->tunnel[index].connection = facts->connection.value;
	}
	if (l2tp->tunnel[index].state == TUNNEL_REQUESTED)
		l2tp->tunnel[index].changed_ms = l2tp_now(engine);
	take_name(l2tp->tunnel[index].inside_name, facts);
	return index;
}

static uint32_t ask(struct engine *engine, struct l2tp *l2tp, uint32_t path, const struct l2tp_header *header,
		    const struct l2tp_facts *facts)
{
	bool is_fixed = header->version == 3 || facts->has_digest || !has_own_id(header, facts);

	l2tp_port_asks(engine, l2tp, path, is_fixed);
	return requested(engine, l2tp, path, header, facts);
}

/* The inside end answers an SCCRQ of the remote one: from now on there is a tunnel. */
static uint32_t answer(struct engine *engine, struct l2tp *l2tp, uint32_t path, const struct l2tp_header *header,
		       const struct l2tp_facts *facts)
{
	struct l2tp_path *from = &l2tp->path[path];
	uint32_t index = requested(engine, l2tp, path, header, facts);

	if (index == MODULE_NONE)
		return MODULE_NONE;
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];
	tunnel->inside_is_server = true;
	l2tp_tunnel_answer(l2tp, index, header->tunnel);
	if (from->has_asked && from->asked_id == header->tunnel)
		memcpy(tunnel->remote_name, from->asked_name, L2TP_NAME_MAX);
	return index;
}

static void translate_own_id(struct engine *engine, const struct l2tp_tunnel *tunnel, const struct l2tp_facts *facts,
			     const struct module_datagram *datagram)
{
	if (tunnel->version != 2 || tunnel->outside_id == tunnel->inside_id || facts->tunnel.at == 0 ||
	    facts->tunnel.value != tunnel->inside_id)
		return;
	udp_patch16(datagram->packet, datagram->transport, facts->tunnel.at, (uint16_t)tunnel->outside_id);
	engine_offer(engine)->count(engine, STAT_L2TP_REWRITTEN);
}

uint32_t l2tp_message_outbound(struct engine *engine, struct l2tp *l2tp, uint32_t path, uint32_t tunnel,
			       const struct l2tp_header *header, const struct module_datagram *datagram)
{
	struct l2tp_facts facts;

	l2tp_read_control(datagram->packet, datagram->payload, header, &facts);
	if (facts.is_malformed)
		return tunnel;
	if (facts.message == L2TP_SCCRQ)
		tunnel = ask(engine, l2tp, path, header, &facts);
	else if (facts.message == L2TP_SCCRP)
		tunnel = answer(engine, l2tp, path, header, &facts);
	else if (tunnel == MODULE_NONE && facts.message == L2TP_STOPCCN && has_own_id(header, &facts))
		tunnel = l2tp_tunnel_by_inside(l2tp, path, header->version, own_id(header, &facts)->value);
	if (tunnel == MODULE_NONE)
		return MODULE_NONE;
	struct l2tp_tunnel *record = &l2tp->tunnel[tunnel];
	translate_own_id(engine, record, &facts, datagram);
	follow(engine, l2tp, tunnel, SIDE_LAN, header, &facts);
	return tunnel;
}

/* --- inward --- */

/* An SCCRP, or a StopCCN in its place. Another Tunnel ID than before: the server knows of the request only, and begins
 * anew. */
static void take_answer(struct engine *engine, struct l2tp *l2tp, uint32_t index, const struct l2tp_header *header,
			const struct l2tp_facts *facts)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	if (tunnel->state > TUNNEL_CONNECTED)
		return;
	take_name(tunnel->remote_name, facts);
	if (!has_own_id(header, facts))
		return;
	uint32_t id = own_id(header, facts)->value;
	if (tunnel->state == TUNNEL_CONNECTED && tunnel->has_remote_id && tunnel->remote_id != id) {
		l2tp_tunnel_end(engine, l2tp, index, END_CONTROL_RESET);
		tunnel->state = TUNNEL_REQUESTED;
		tunnel->end = END_NOT;
		tunnel->requested_ms = l2tp_now(engine);
		tunnel->sessions = tunnel->inside_session = tunnel->remote_session = 0;
		tunnel->hints_told = 0;
		tunnel->next_ns[SIDE_LAN] = tunnel->next_ns[SIDE_WAN] = 0;
	}
	l2tp_tunnel_answer(l2tp, index, id);
}

uint32_t l2tp_message_inbound(struct engine *engine, struct l2tp *l2tp, uint32_t path, uint32_t tunnel,
			      const struct l2tp_header *header, const struct module_datagram *datagram)
{
	struct l2tp_path *to = &l2tp->path[path];
	struct l2tp_facts facts;

	l2tp_read_control(datagram->packet, datagram->payload, header, &facts);
	if (facts.is_malformed)
		return tunnel;
	if (facts.message == L2TP_SCCRQ && header->version == 2 && has_own_id(header, &facts)) {
		to->has_asked = true;
		to->asked_id = (uint16_t)facts.tunnel.value;
		to->asked_name[0] = 0;
		take_name(to->asked_name, &facts);
	}
	if (tunnel == MODULE_NONE)
		return MODULE_NONE;
	struct l2tp_tunnel *record = &l2tp->tunnel[tunnel];
	if (facts.message == L2TP_SCCRP || (facts.message == L2TP_STOPCCN && record->state == TUNNEL_REQUESTED))
		take_answer(engine, l2tp, tunnel, header, &facts);
	follow(engine, l2tp, tunnel, SIDE_WAN, header, &facts);
	return tunnel;
}
