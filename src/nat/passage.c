/* SPDX-License-Identifier: BSD-2-Clause */
/* What both ways through the engine share. */
#include <culvert/module.h>
#include <culvert/verdict.h>

#include "nat/call.h"
#include "nat/fragment.h"
#include "nat/host.h"
#include "nat/icmp_error.h"
#include "nat/life.h"
#include "nat/output.h"
#include "nat/passages.h"
#include "nat/reader.h"
#include "nat/sa.h"
#include "nat/tcp.h"
#include "nat/timer.h"

/* The receiver's Call ID is all that a call's packet carries; the key of other GRE is the same in both directions. */
static void take_gre_key(const struct passage *passage, struct flow_key *key)
{
	const struct gre *gre = &passage->transport.gre;

	if (gre->is_call && passage->from == SIDE_LAN) {
		key->by = BY_REMOTE_ID;
		key->remote_port = gre->call_id;
	} else if (gre->is_call) {
		key->by = BY_LOCAL_ID;
		key->local_port = gre->call_id;
	} else if (gre->has_key) {
		key->local_port = (uint16_t)(gre->key >> 16);
		key->remote_port = (uint16_t)gre->key;
	}
}

struct flow_key passage_key(const struct passage *passage)
{
	const struct network_header *ip = &passage->ip;
	const struct transport *transport = &passage->transport;
	struct flow_key key = {.protocol = ip->protocol};
	bool has_ports = protocol_has_ports(ip->protocol);

	if (passage->from == SIDE_LAN) {
		key.local = ip->source;
		key.remote = ip->destination;
		key.local_port = transport->source_port;
		key.remote_port = has_ports ? transport->destination_port : 0;
	} else {
		key.local = ip->destination;
		key.remote = ip->source;
		key.local_port = transport->destination_port;
		key.remote_port = has_ports ? transport->source_port : 0;
	}
	if (ip->protocol == PROTOCOL_GRE)
		take_gre_key(passage, &key);
	if (passage->is_sa) {
		key.by = passage->from == SIDE_LAN ? BY_REMOTE_ID : BY_LOCAL_ID;
		flow_key_take_spi(&key, transport->esp.spi);
	}
	return key;
}

bool passage_in_bypass(const struct engine *engine, struct address address)
{
	for (uint32_t i = 0; i < engine->config.bypasses; i++)
		if (prefix_has(&engine->config.bypass[i], address))
			return true;
	return false;
}

static bool is_blocked(const struct engine *engine, enum part part)
{
	return part != PART_NONE && engine->config.mode[part] == MODE_BLOCK;
}

enum drop passage_refusal(const struct engine *engine, const struct passage *passage)
{
	uint8_t protocol = passage->ip.protocol;
	enum part part = PART_NONE;

	if (protocol == PROTOCOL_AH)
		return is_blocked(engine, part_claiming(protocol, 0)) ? part_drop(part_claiming(protocol, 0))
								      : DROP_AH_UNTRANSLATABLE;
	if (!engine->any_blocked)
		return DROP_NONE;
	if (protocol == PROTOCOL_GRE && !passage->transport.gre.is_enhanced) {
		return DROP_NONE; /* only enhanced GRE is claimed */
	} else if (!protocol_has_ports(protocol)) {
		part = part_claiming(protocol, 0);
	} else if (passage->fault == DROP_NONE && passage->ip.offset == 0) {
		part = part_claiming(protocol, passage->transport.destination_port);
		if (passage->from == SIDE_WAN && !is_blocked(engine, part))
			part = part_claiming(protocol, passage->transport.source_port);
	}
	return is_blocked(engine, part) ? part_drop(part) : DROP_NONE;
}

struct engine_result passage_forward_unchanged(struct engine *engine, struct passage *passage, enum side to)
{
	bool is_for_router = outside_find(engine, passage->ip.destination) != NULL; /* there is no link between */
	uint32_t mtu = output_mtu(engine, to, passage->ip.destination);
	struct address router = {0};

	if (!is_for_router && output_is_too_big(passage->packet, &passage->ip, to, mtu)) {
		if (passage->from == SIDE_LAN)
			router = host_inside(engine, passage->ip.source)->router_address;
		else if (engine->header->outside_count > 0)
			router = engine->outside[engine->header->outside_order[0]].address;
		icmp_error_send(engine, passage, router, ICMP_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED,
				(uint16_t)mtu);
		return verdict_drop(DROP_TOO_BIG);
	}
	struct rewrite rewrite = rewrite_none(passage);
	fragment_remember(passage, &rewrite, to);
	output_send(engine, passage->packet, &passage->ip, passage->from, to, passage->origin);
	return verdict_forwarded();
}

void passage_account(struct engine *engine, const struct passage *passage, uint32_t index, enum side from)
{
	struct flow *flow = &engine->flow[index];

	if (flow->flags & FLOW_CALL) {
		call_account(engine, index, from, passage->packet->length);
		return;
	}
	if (flow->flags & FLOW_SA) {
		sa_account(engine, index, passage, from);
		return;
	}
	flow->bytes[from] += passage->packet->length;
	flow->packets[from]++;
	if (flow->protocol == PROTOCOL_TCP) {
		tcp_track(engine, index, from, &passage->transport.tcp);
		reader_follow_tcp(engine, index, from);
	} else {
		life_heard(engine, index);
		if (from == SIDE_LAN || engine->config.refresh_inbound)
			timer_touch(engine, flow);
	}
}
