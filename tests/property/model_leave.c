/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the model's packets leave: translated, clamped, or unchanged (docs/nat-behaviour.md section 5).
 */
#include "model.h"

bool model_leave(struct judgement *j, struct translation *t, enum side to, bool inbound)
{
	bool forwarded;
	uint16_t id = 0;
	uint32_t source = packets_source(&t->packet->packet), destination = packets_destination(&t->packet->packet);

	if (!expect_leaves(j, t, to, &forwarded, &id))
		return false;
	j->fate = forwarded ? SET_FORWARDED : SET_REFUSED;
	for (uint32_t i = 0; i < j->seens; i++) {
		struct model_flow *flow = j->seen[i].flow;
		if (forwarded)
			model_touch(j->m, flow, j->seen[i].side);
		if (forwarded && j->protocol == PROTO_TCP)
			model_see_tcp(j, flow, j->seen[i].side);
		else
			flow->tcp[j->seen[i].side].odd = true;
	}
	if (!j->set)
		return true;
	j->set->to = to;
	j->set->inbound = inbound;
	j->set->new_source = source;
	j->set->new_destination = destination;
	j->set->new_id = id;
	return true;
}

bool model_leave_unchanged(struct judgement *j, enum side to)
{
	struct translation t;

	translation_begin(j, &t);
	j->for_router = model_is_outside(j->m, j->destination);
	bool good = model_leave(j, &t, to, false);
	translation_end(&t);
	return good;
}

bool model_ttl_out(struct judgement *j, bool *good)
{
	if (packet_get8(j->p, 8) > 1)
		return false;
	uint32_t source = j->from == SIDE_LAN ? model_inside(j->m, j->source)->router_address.v4 : j->destination;
	*good = expect_drop(j, DROP_IP_TTL) && expect_made_error(j, j->from, source, 11, 0, 0);
	return true;
}

/* To what fits the WAN and the network of the inside host at one end. */
static void clamp_mss(struct judgement *j, struct packet *p, uint32_t host)
{
	uint32_t lan_mtu = model_inside(j->m, host)->mtu, wan_mtu = j->m->config.wan_mtu;
	uint32_t mtu = lan_mtu < wan_mtu ? lan_mtu : wan_mtu;
	uint32_t end = j->ihl + (uint32_t)(packet_get8(p, j->ihl + 12) >> 4) * 4;

	if (j->protocol != PROTO_TCP || j->offset || !j->m->config.clamp_mss ||
	    !(packet_get8(p, j->ihl + 13) & FLAG_SYN))
		return;
	for (uint32_t at = j->ihl + 20; at < end;) {
		uint8_t kind = packet_get8(p, at), length = packet_get8(p, at + 1);
		if (kind == 0)
			return;
		if (kind == 1) {
			at++;
			continue;
		}
		if (at + 1 >= end || length < 2 || at + length > end)
			return;
		if (kind == 2 && length == 4 && packet_get16(p, at + 2) > mtu - 40)
			packet_put16(p, at + 2, (uint16_t)(mtu - 40));
		at += length;
	}
}

static void put_port(struct judgement *j, struct packet *p, bool source, uint16_t port)
{
	if (j->protocol == PROTO_ICMP)
		packet_put16(p, j->ihl + 4, port);
	else if (j->protocol == PROTO_TCP || j->protocol == PROTO_UDP)
		packet_put16(p, j->ihl + (source ? 0 : 2), port);
}

void model_translate_source(struct judgement *j, struct translation *t, const struct model_flow *flow)
{
	struct packet *p = &t->packet->packet;

	packet_put32(p, 12, flow->outside);
	put_port(j, p, true, flow->outside_port);
	t->id_free = !j->df;
	clamp_mss(j, p, flow->inside);
}

void model_translate_destination(struct judgement *j, struct translation *t, const struct model_flow *flow)
{
	struct packet *p = &t->packet->packet;

	packet_put32(p, 16, flow->inside);
	put_port(j, p, false, flow->inside_port);
	clamp_mss(j, p, flow->inside);
}
