/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening sessions; docs/nat-behaviour.md section 3 and section 4, steps 7 and 8. */
#include "nat/session.h"

#include "nat/host.h"
#include "nat/life.h"
#include "nat/mapping.h"
#include "nat/passages.h"
#include "nat/reader.h"
#include "nat/tcp.h"
#include "nat/timer.h"

static struct flow new_flow(const struct engine *engine, uint8_t protocol, struct address remote, uint16_t remote_port)
{
	struct flow flow = {
		.protocol = protocol,
		.remote_address = remote,
		.remote_port = remote_port,
		.mapping = NONE,
		.timeout = (uint8_t)timer_class(protocol, remote_port),
	};

	flow.deadline = (uint32_t)(engine->now_ms + engine->config.timeout[flow.timeout]);
	if (outside_find(engine, remote))
		flow.flags |= FLOW_HAIRPIN;
	return flow;
}

static void take_endpoints(struct flow *flow, const struct engine *engine, uint32_t mapping)
{
	const struct mapping *from = &engine->mapping[mapping];

	flow->mapping = mapping;
	flow->host = from->host;
	flow->inside_port = from->inside_port;
	flow->outside_address = from->outside_address;
	flow->outside_port = from->outside_port;
}

/* Opens the flow, and gives back a mapping that was made for it if that fails. */
static uint32_t open_or_release(struct engine *engine, const struct flow *flow, enum drop *why)
{
	uint32_t index = timer_open_flow(engine, flow, why);

	if (index == NONE && flow->mapping != NONE)
		mapping_release(engine, flow->mapping, true);
	return index;
}

/* One owner for each protocol, outside and remote address: without ports nothing else tells hosts apart. */
static uint32_t open_portless(struct engine *engine, struct flow *flow, enum drop *why)
{
	struct flow_key key = {
		.local = flow->outside_address,
		.remote = flow->remote_address,
		.local_port = flow->outside_port,
		.remote_port = flow->remote_port,
		.protocol = flow->protocol,
	};

	if (flow_find_inbound(engine, &key, flow_hash(engine, &key)) != NONE) {
		*why = DROP_OWNER_TAKEN;
		return NONE;
	}
	return timer_open_flow(engine, flow, why);
}

/* A mapping without a flow that lives ends before another one may take its place. */
static bool mapping_stays(struct engine *engine, uint32_t mapping)
{
	/* Each turn closes an expired flow of it or ends the loop. */
	while (engine->mapping[mapping].live) {
		life_end_noted(engine);
		if (flow_mapping_is_alive(engine, mapping))
			return true;
		life_end_noted(engine);
	}
	return false;
}

static uint32_t mapping_for_outbound(struct engine *engine, const struct passage *passage, const struct flow *flow,
				     struct outside *outside, enum drop *why)
{
	const struct network_header *ip = &passage->ip;
	uint16_t port = passage->transport.source_port;
	uint32_t mapping = mapping_find(engine, ip->protocol, flow->host, port, ip->destination, flow->remote_port);

	if (mapping != NONE && mapping_stays(engine, mapping))
		return mapping;
	/* Whoever holds the wanted port may have expired without anybody having noticed. */
	mapping = mapping_at(outside, ip->protocol, port);
	if (mapping != NONE)
		mapping_stays(engine, mapping);
	return mapping_open(engine, ip->protocol, flow->host, port, ip->destination, flow->remote_port, outside, why);
}

/* The host of the flow is held. */
static uint32_t open_outbound(struct engine *engine, const struct passage *passage, struct flow *flow,
			      struct outside *outside, enum drop *why)
{
	if (port_space(flow->protocol) < 0) {
		flow->outside_address = outside->address;
		/* The key of GRE, which is the same everywhere, stands in the place of ports. */
		flow->inside_port = flow->outside_port = passage->key.local_port;
		if (flow->protocol == PROTOCOL_GRE && passage->transport.gre.is_enhanced)
			flow->flags |= FLOW_ENHANCED;
		return open_portless(engine, flow, why);
	}
	uint32_t mapping = mapping_for_outbound(engine, passage, flow, outside, why);
	if (mapping == NONE)
		return NONE;
	take_endpoints(flow, engine, mapping);
	return open_or_release(engine, flow, why);
}

uint32_t session_open_outbound(struct engine *engine, const struct passage *passage, enum drop *why)
{
	const struct network_header *ip = &passage->ip;
	struct flow flow = new_flow(engine, ip->protocol, ip->destination, passage->key.remote_port);

	if (ip->protocol == PROTOCOL_TCP && (passage->transport.tcp.flags & TCP_RST)) {
		*why = DROP_TCP_NO_FLOW;
		return NONE;
	}
	if (ip->protocol == PROTOCOL_ICMP && !icmp_is_request(passage->transport.icmp_type)) {
		*why = DROP_ICMP_NO_FLOW;
		return NONE;
	}
	if (!timer_has_room(engine)) {
		*why = DROP_FLOWS_EXHAUSTED;
		return NONE;
	}
	struct outside *outside = host_outside(engine, ip->source);
	flow.host = timer_hold_host(engine, ip->source, outside->address, why);
	if (flow.host == NONE)
		return NONE;
	uint32_t index = open_outbound(engine, passage, &flow, outside, why);
	host_let_go(engine, flow.host);
	if (index != NONE && flow.mapping != NONE)
		reader_attach(engine, index);
	return index;
}

/* RFC 4787 section 5: does the filtering rule accept this sender? */
static bool filter_accepts(struct engine *engine, const struct knock *knock, uint32_t index)
{
	const struct mapping *mapping = &engine->mapping[index];

	if (knock->hairpin)
		return true;
	if ((address_is_set(mapping->remote_address) && !address_equal(mapping->remote_address, knock->remote)) ||
	    (mapping->remote_port != 0 && mapping->remote_port != knock->remote_port))
		return false;
	switch (engine->config.filtering) {
	case ENDPOINT_INDEPENDENT:
		return true;
	case ADDRESS_DEPENDENT:
		return flow_mapping_knows_peer(engine, index, knock->remote);
	default:
		return false; /* an exact flow would have been found */
	}
}

static enum drop find_mapping(struct engine *engine, const struct knock *knock, uint32_t mapping, struct target *target)
{
	target->mapping = mapping;
	target->inside_address = host_address(engine, engine->mapping[mapping].host);
	target->inside_port = engine->mapping[mapping].inside_port;
	if (!filter_accepts(engine, knock, mapping))
		return DROP_FILTERED;
	if (knock->protocol == PROTOCOL_TCP && (knock->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return DROP_UNSOLICITED;
	return DROP_NONE;
}

enum drop session_find_target(struct engine *engine, const struct knock *knock, struct target *target)
{
	uint32_t mapping = mapping_at(knock->outside, knock->protocol, knock->port);
	const struct forward *forward =
		forward_find(engine, knock->protocol, protocol_has_ports(knock->protocol) ? knock->port : 0);

	*target = (struct target){.mapping = NONE};
	if (mapping != NONE && flow_mapping_is_alive(engine, mapping)) {
		/* A forward's own mapping is open to everybody, as the forward is. */
		const struct mapping *there = &engine->mapping[mapping];
		if (!forward || !address_equal(host_address(engine, there->host), forward->to_address) ||
		    there->inside_port != (uint16_t)(forward->to_port + (knock->port - forward->port_first)))
			return find_mapping(engine, knock, mapping, target);
		target->mapping = mapping;
	}
	if (!forward)
		return port_space(knock->protocol) < 0 ? DROP_NO_OWNER : DROP_UNSOLICITED;
	target->forward = forward;
	target->inside_address = forward->to_address;
	target->inside_port = (uint16_t)(forward->to_port + (knock->port - forward->port_first));
	return knock->protocol == PROTOCOL_TCP && (knock->tcp_flags & TCP_RST) ? DROP_UNSOLICITED : DROP_NONE;
}

/* An inside endpoint cannot have two flows with one remote endpoint: its answers would not tell them apart. */
static bool clash_gives_way(struct engine *engine, const struct knock *knock, const struct target *target)
{
	struct flow_key key = {
		.local = target->inside_address,
		.remote = knock->remote,
		.local_port = port_space(knock->protocol) < 0 ? knock->port : target->inside_port,
		.remote_port = knock->remote_port,
		.protocol = knock->protocol,
	};
	uint32_t index = flow_find_outbound(engine, &key, flow_hash(engine, &key));

	if (index == NONE)
		return true;
	if (!tcp_is_over(&engine->flow[index]))
		return false;
	life_end(engine, index);
	return true;
}

/* The host of the flow is held. */
static uint32_t open_inbound(struct engine *engine, const struct knock *knock, const struct target *target,
			     uint32_t mapping, struct flow *flow, enum drop *why)
{
	if (port_space(knock->protocol) < 0) {
		flow->outside_address = knock->outside->address;
		flow->inside_port = flow->outside_port = knock->port;
		if (knock->enhanced)
			flow->flags |= FLOW_ENHANCED;
		return open_portless(engine, flow, why);
	}
	if (mapping == NONE)
		mapping = mapping_open_forward(engine, target->forward, flow->host, knock->outside, knock->port, why);
	if (mapping == NONE)
		return NONE;
	take_endpoints(flow, engine, mapping);
	return open_or_release(engine, flow, why);
}

uint32_t session_open_inbound(struct engine *engine, const struct knock *knock, const struct target *target,
			      enum drop *why)
{
	struct flow flow = new_flow(engine, knock->protocol, knock->remote, knock->remote_port);
	flow.flags |= FLOW_INBOUND;
	uint32_t mapping = target->mapping;

	*why = DROP_FLOWS_EXHAUSTED;
	if (!timer_has_room(engine))
		return NONE;
	*why = DROP_FLOW_CLASH;
	if (!clash_gives_way(engine, knock, target))
		return NONE;
	if (target->forward)
		flow.flags |= FLOW_FORWARD;
	if (mapping != NONE && !engine->mapping[mapping].live)
		mapping = NONE;
	if (mapping == NONE && !target->forward) {
		*why = DROP_UNSOLICITED;
		return NONE;
	}
	flow.host = timer_hold_host(engine, target->inside_address, knock->outside->address, why);
	if (flow.host == NONE)
		return NONE;
	uint32_t sibling = NONE;
	if (mapping != NONE && knock->protocol == PROTOCOL_UDP)
		sibling = flow_mapping_peer(engine, mapping, knock->remote);
	uint32_t index = open_inbound(engine, knock, target, mapping, &flow, why);
	host_let_go(engine, flow.host);
	if (index != NONE && (flow.flags & FLOW_FORWARD))
		reader_attach(engine, index);
	else if (index != NONE && sibling != NONE)
		reader_attach_beside(engine, index, sibling);
	return index;
}
