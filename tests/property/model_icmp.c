/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's ICMP errors (docs/nat-behaviour.md section 7).
 */
#include "model.h"

/* The packet an ICMP error quotes. */
struct quote {
	uint32_t at, transport; /* offsets in the error */
	uint8_t protocol, type; /* type: of a quoted ICMP message */
	uint32_t source, destination;
	uint16_t source_port, destination_port; /* ICMP: the identifier, and 0 for the remote's */
	uint16_t id;
};

bool model_icmp_is_error(uint8_t type)
{
	return type == 3 || type == 11 || type == 12;
}

static bool read_quote(const struct judgement *j, struct quote *q)
{
	const struct packet *p = j->p;

	q->at = j->ihl + 8;
	if (!packet_has(p, q->at, 20) || packet_get8(p, q->at) >> 4 != 4)
		return false;
	uint32_t ihl = (uint32_t)(packet_get8(p, q->at) & 15) * 4;
	q->transport = q->at + ihl;
	if (ihl < 20 || !packet_has(p, q->at, ihl + 8) || packets_sum(p->data + q->at, ihl, 0) != 0xffff)
		return false;
	if (packet_get16(p, q->at + 6) & 0x1fff)
		return false;
	q->protocol = packet_get8(p, q->at + 9);
	q->source = packet_get32(p, q->at + 12);
	q->destination = packet_get32(p, q->at + 16);
	q->source_port = q->destination_port = q->id = 0;
	q->type = packet_get8(p, q->transport);
	if (q->source != j->destination)
		return false;
	if (q->protocol == PROTO_ICMP) {
		q->id = packet_get16(p, q->transport + 4);
		return !(model_icmp_is_error(q->type) || q->type == 4 || q->type == 5);
	}
	if (q->protocol == PROTO_TCP || q->protocol == PROTO_UDP) {
		q->source_port = packet_get16(p, q->transport);
		q->destination_port = packet_get16(p, q->transport + 2);
	}
	return true;
}

static bool is_query(uint8_t type)
{
	return type == 0 || type == 8 || type == 13 || type == 14;
}

/* Writes one end of the quoted packet. */
static void put_end(struct translation *t, const struct quote *q, bool source, uint32_t address, uint16_t port)
{
	struct packet *p = &t->packet->packet;

	packet_put32(p, q->at + (source ? 12 : 16), address);
	if (q->protocol == PROTO_ICMP)
		packet_put16(p, q->transport + 4, port);
	else if (q->protocol == PROTO_TCP || q->protocol == PROTO_UDP)
		packet_put16(p, q->transport + (source ? 0 : 2), port);
}

static void begin(struct judgement *j, struct translation *t, const struct quote *q)
{
	translation_begin(j, t);
	t->quote = q->at;
	translation_add_slot(t, q->protocol, q->at, q->transport, false);
}

enum answer { SURELY_NOT, PERHAPS, SURELY };

/* Does a quoted sequence number lie in what the flow has sent and not yet had acknowledged? */
static enum answer in_window(const struct judgement *j, const struct quote *q, const struct model_flow *flow)
{
	const struct model_tcp *tcp = &flow->tcp[SIDE_LAN];
	uint32_t sequence = packet_get32(j->p, q->transport + 4);

	if (!tcp->heard || tcp->odd)
		return PERHAPS;
	uint32_t from = tcp->acked_known ? tcp->acked : tcp->first;
	if (sequence - from < tcp->next - from && tcp->next - from < 0x80000000u)
		return SURELY;
	uint32_t ahead = sequence - tcp->next, behind = tcp->first - sequence;
	if (sequence - tcp->first <= tcp->next - tcp->first)
		return PERHAPS;
	return ahead > 0x40000000u + 65536 && behind > 0x40000000u + 65536 ? SURELY_NOT : PERHAPS;
}

static bool judge_wan(struct judgement *j, const struct quote *q)
{
	uint16_t port = q->protocol == PROTO_ICMP ? q->id : q->source_port;
	struct model_flow *flow = NULL;
	struct translation t;
	bool good;

	if (q->protocol != PROTO_ICMP || is_query(q->type))
		flow = model_flow_outside(j->m, q->protocol, q->source, port, q->destination, q->destination_port);
	if (!flow) {
		bool own = (q->protocol == PROTO_ICMP && (q->type == 8 || q->type == 13)) ||
			   model_host_port(j->m, q->protocol, q->source_port);
		if (own && !model_is_outside(j->m, q->source))
			return j->result->verdict == VERDICT_CONSUMED || expect_drop(j, DROP_ICMP_QUOTE_UNKNOWN);
		return own ? expect_consumed(j) : expect_drop(j, DROP_ICMP_QUOTE_UNKNOWN);
	}
	if (q->protocol == PROTO_TCP) {
		enum answer answer = in_window(j, q, flow);
		if (answer == SURELY_NOT)
			return expect_drop(j, DROP_ICMP_QUOTE_WINDOW);
		if (answer == PERHAPS && j->result->verdict == VERDICT_DROPPED &&
		    j->result->drop == DROP_ICMP_QUOTE_WINDOW)
			return true;
	}
	if (model_ttl_out(j, &good))
		return good;
	begin(j, &t, q);
	put_end(&t, q, true, flow->inside, flow->inside_port);
	packet_put32(&t.packet->packet, 16, flow->inside);
	uint16_t mtu = packet_get16(j->p, j->ihl + 6);
	if (packet_get8(j->p, j->ihl) == 3 && packet_get8(j->p, j->ihl + 1) == 4 && mtu >= 1 && mtu < 68)
		packet_put16(&t.packet->packet, j->ihl + 6, 68);
	good = model_leave(j, &t, SIDE_LAN, true);
	translation_end(&t);
	return good;
}

static bool judge_lan(struct judgement *j, const struct quote *q)
{
	uint16_t port = q->protocol == PROTO_ICMP ? q->id : q->destination_port;
	struct model_flow *flow = NULL, *other = NULL;
	enum side to = SIDE_WAN;
	struct translation t;
	bool good;

	if (q->protocol != PROTO_ICMP || is_query(q->type))
		flow = model_flow_inside(j->m, q->protocol, q->destination, port, q->source, q->source_port);
	if (!flow)
		return expect_drop(j, DROP_ICMP_QUOTE_UNKNOWN);
	if (model_is_outside(j->m, j->destination)) {
		other = model_flow_outside(j->m, q->protocol, flow->remote, flow->remote_port, flow->outside,
					   flow->outside_port);
		if (!other)
			return expect_drop(j, DROP_ICMP_QUOTE_UNKNOWN);
		if (model_ttl_out(j, &good))
			return good;
		to = SIDE_LAN;
		j->hairpin = true;
	}
	begin(j, &t, q);
	t.id_free = !j->df;
	put_end(&t, q, false, flow->outside, flow->outside_port);
	packet_put32(&t.packet->packet, 12, flow->outside);
	if (other) {
		put_end(&t, q, true, other->inside, other->inside_port);
		packet_put32(&t.packet->packet, 16, other->inside);
	}
	good = model_leave(j, &t, to, other != NULL);
	translation_end(&t);
	return good;
}

bool model_judge_error(struct judgement *j)
{
	struct quote q;

	bool sound = read_quote(j, &q);
	if (sound && q.protocol == PROTO_ICMP &&
	    !is_query(q.type)) /* we let no such message through: either reason is right */
		return expect_drops(j, UINT64_C(1) << DROP_ICMP_QUOTE_MALFORMED | UINT64_C(1)
											  << DROP_ICMP_QUOTE_UNKNOWN);
	if (!sound)
		return expect_drop(j, DROP_ICMP_QUOTE_MALFORMED);
	return j->from == SIDE_WAN ? judge_wan(j, &q) : judge_lan(j, &q);
}
