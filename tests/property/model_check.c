/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's first looks at a packet: what is wrong with its headers, and what a blocked service claims
 * (docs/nat-behaviour.md sections 1, 2 and 4).
 */
#include "model.h"

/* --- section 1 --- */

static enum drop check_options(const struct judgement *j)
{
	for (uint32_t at = 20; at < j->ihl;) {
		uint8_t kind = packet_get8(j->p, at);
		if (kind == 0)
			break;
		if (kind == 1) {
			at++;
			continue;
		}
		if (at + 1 >= j->ihl || packet_get8(j->p, at + 1) < 2 || at + packet_get8(j->p, at + 1) > j->ihl)
			return DROP_IP_OPTION;
		if (kind == 131 || kind == 137)
			return DROP_IP_OPTION;
		at += packet_get8(j->p, at + 1);
	}
	return DROP_NONE;
}

static enum drop check_fragment(const struct judgement *j)
{
	uint32_t payload = j->total - j->ihl;

	if ((j->mf && (payload % 8 || !payload)) || j->offset + payload > 65535)
		return DROP_FRAGMENT_LENGTH;
	if (j->offset == 8 && j->protocol == PROTO_TCP)
		return DROP_FRAGMENT_TINY;
	if (!j->offset && j->mf && payload < (j->protocol == PROTO_TCP ? 20 : 8))
		return DROP_FRAGMENT_TINY;
	return DROP_NONE;
}

static bool martian(uint32_t address)
{
	uint32_t top = address >> 24;

	return top == 0 || top == 127 || top >= 224;
}

enum drop model_check_ip(struct judgement *j)
{
	struct packet *p = j->p;

	if (!p->length)
		return DROP_IP_SHORT;
	if (p->data[0] >> 4 != 4)
		return DROP_IP_VERSION;
	j->ihl = packets_ihl(p);
	j->total = packet_get16(p, 2);
	if (p->length < 20 || j->ihl < 20 || j->ihl > p->length || j->total < j->ihl || j->total > p->length)
		return DROP_IP_SHORT;
	p->length = j->total;
	if (packets_sum(p->data, j->ihl, 0) != 0xffff)
		return DROP_IP_CHECKSUM;
	enum drop reason = check_options(j);
	if (reason)
		return reason;
	j->df = packet_get16(p, 6) & 0x4000;
	j->mf = packet_get16(p, 6) & 0x2000;
	j->offset = (packet_get16(p, 6) & 0x1fffu) * 8;
	j->protocol = p->data[9];
	j->source = packets_source(p);
	j->destination = packets_destination(p);
	reason = check_fragment(j);
	if (reason)
		return reason;
	if (martian(j->source))
		return DROP_SOURCE_MARTIAN;
	return martian(j->destination) ? DROP_DESTINATION_MARTIAN : DROP_NONE;
}

/* --- transport checks, 2.6 and 2.7 --- */

static enum drop check_tcp(const struct judgement *j)
{
	uint32_t payload = j->total - j->ihl;
	uint32_t header = (uint32_t)(packet_get8(j->p, j->ihl + 12) >> 4) * 4;
	uint8_t flags = packet_get8(j->p, j->ihl + 13);

	if (payload < 20 || header < 20 || header > payload)
		return DROP_TCP_MALFORMED;
	if (!(flags & (FLAG_SYN | FLAG_ACK | FLAG_FIN | FLAG_RST)) ||
	    ((flags & FLAG_SYN) && (flags & (FLAG_FIN | FLAG_RST))))
		return DROP_TCP_FLAGS;
	return DROP_NONE;
}

enum drop model_check_transport(const struct judgement *j)
{
	uint32_t payload = j->total - j->ihl;
	enum drop reason = DROP_NONE;

	switch (j->protocol) {
	case PROTO_TCP:
		reason = check_tcp(j);
		break;
	case PROTO_UDP: {
		uint16_t length = packet_get16(j->p, j->ihl + 4);
		if (payload < 8 || length < 8 || (!j->mf && length > payload))
			return DROP_UDP_MALFORMED;
		break;
	}
	case PROTO_GRE:
		return payload < 4 ? DROP_GRE_MALFORMED : DROP_NONE;
	case PROTO_ESP:
		return payload < 8 || !packet_get32(j->p, j->ihl) ? DROP_ESP_MALFORMED : DROP_NONE;
	default:
		return DROP_NONE;
	}
	if (reason)
		return reason;
	return packets_source_port(j->p) && packets_destination_port(j->p) ? DROP_NONE : DROP_PORT_ZERO;
}

enum drop model_check_icmp(const struct judgement *j)
{
	uint8_t type = packet_get8(j->p, j->ihl);

	if (j->total - j->ihl < 8)
		return DROP_ICMP_MALFORMED;
	if (!j->mf && !j->p->offload.partial && packets_sum(j->p->data + j->ihl, j->total - j->ihl, 0) != 0xffff)
		return DROP_ICMP_CHECKSUM;
	if (model_icmp_is_error(type) || type == 0 || type == 8 || type == 13 || type == 14)
		return DROP_NONE;
	return DROP_ICMP_TYPE;
}

static enum drop blocked_reason(enum part part)
{
	static const enum drop reason[PARTS] = {
		[PART_PPTP] = DROP_PPTP_BLOCKED,  [PART_L2TP] = DROP_L2TP_BLOCKED, [PART_IKE] = DROP_IPSEC_BLOCKED,
		[PART_NATT] = DROP_IPSEC_BLOCKED, [PART_ESP] = DROP_IPSEC_BLOCKED, [PART_AH] = DROP_IPSEC_BLOCKED,
	};

	return reason[part];
}

uint64_t model_check_claims(const struct judgement *j)
{
	bool ports = j->protocol == PROTO_TCP || j->protocol == PROTO_UDP;
	uint16_t candidate[2] = {packets_destination_port(j->p), packets_source_port(j->p)};
	uint64_t reasons = 0;
	enum part part;

	if (j->protocol == PROTO_AH)
		return UINT64_C(1) << (j->m->config.mode[PART_AH] == MODE_BLOCK ? blocked_reason(PART_AH)
										: DROP_AH_UNTRANSLATABLE);
	if (ports && (j->offset || model_check_transport(j)))
		return 0;
	for (int i = 0; i < (j->from == SIDE_WAN ? 2 : 1); i++)
		if (model_claimed(j->protocol, candidate[i], &part) && j->m->config.mode[part] == MODE_BLOCK)
			reasons |= UINT64_C(1) << blocked_reason(part);
	return reasons;
}

bool model_expect_blocked(struct judgement *j, uint64_t reasons)
{
	if (!expect_drops(j, reasons))
		return false;
	return j->from == SIDE_WAN ||
	       expect_made_error(j, SIDE_LAN, model_inside(j->m, j->source)->router_address.v4, 3, 13, 0);
}
