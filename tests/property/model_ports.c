/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which outside address and port a new flow may get, and for which reasons it must be refused
 * (docs/nat-behaviour.md section 3).
 */
#include "model.h"

uint32_t model_address_for_new_host(const struct model *m)
{
	uint32_t best = 0, fewest = UINT32_MAX;

	for (uint32_t a = 0; a < m->outsides; a++) {
		uint32_t users = 0;
		for (int i = 0; i < MODEL_FLOWS; i++)
			users += m->host[i].live && m->host[i].outside == m->outside[a];
		if (users < fewest) {
			fewest = users;
			best = m->outside[a];
		}
	}
	return best;
}

bool model_any_uncertain(const struct model *m)
{
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (m->host[i].live && (m->host[i].uncertain || !m->host[i].outside))
			return true;
	return false;
}

enum port_state { PORT_FREE, PORT_OPTIONAL, PORT_RESTS, PORT_TAKEN };

static enum port_state port_state(struct model *m, uint8_t protocol, uint32_t outside, uint16_t port, uint32_t inside,
				  uint16_t inside_port)
{
	if (model_host_port(m, protocol, port))
		return PORT_TAKEN;
	if (!port && protocol != PROTO_ICMP)
		return PORT_TAKEN;
	if (model_mapping_outside(m, protocol, outside, port))
		return PORT_TAKEN;
	const struct forward *forward = protocol == PROTO_ICMP ? NULL : model_forward(m, protocol, port);
	if (forward && (forward->to_address.v4 != inside || model_forward_port(forward, protocol, port) != inside_port))
		return PORT_TAKEN;
	for (uint32_t i = 0; i < m->rests; i++) {
		const struct model_rest *r = &m->rest[i];
		if (r->protocol != protocol || r->outside != outside || r->outside_port != port || r->perhaps <= m->now)
			continue;
		if (m->now >= r->surely || r->optional || r->inside == inside)
			return PORT_OPTIONAL;
		return PORT_RESTS;
	}
	return port ? PORT_FREE : PORT_OPTIONAL;
}

enum { TIER_PARITY, TIER_CLASS, TIER_OTHER, TIER_NEVER };

static int port_tier(uint8_t protocol, uint16_t port, uint16_t inside_port)
{
	if (protocol == PROTO_ICMP) /* identifiers have no class */
		return (port & 1) == (inside_port & 1) ? TIER_PARITY : TIER_CLASS;
	bool low = port < 1024, inside_low = inside_port < 1024;

	if (low == inside_low)
		return (port & 1) == (inside_port & 1) ? TIER_PARITY : TIER_CLASS;
	return inside_low ? TIER_OTHER : TIER_NEVER;
}

/* Is a port of a tier below limit surely free? */
static bool any_free(struct model *m, uint8_t protocol, uint32_t outside, uint32_t inside, uint16_t inside_port,
		     int limit)
{
	for (uint32_t port = 1; port < 65536; port++)
		if (port_tier(protocol, (uint16_t)port, inside_port) < limit &&
		    port_state(m, protocol, outside, (uint16_t)port, inside, inside_port) == PORT_FREE)
			return true;
	return false;
}

/* The target of forwards gets the port of one of them, if one is free. True if so; *good tells whether this is one. */
static bool forward_port_due(struct model *m, uint8_t protocol, uint32_t outside, uint16_t port, uint32_t inside,
			     uint16_t inside_port, bool *good)
{
	bool due = false, first = true;

	*good = false;
	for (uint32_t i = 0; protocol != PROTO_ICMP && i < m->config.forwards; i++) {
		const struct forward *f = &m->config.forward[i];
		uint32_t own = (uint32_t)f->port_first + inside_port - f->to_port;
		if (f->protocol != protocol || f->to_address.v4 != inside || own < f->port_first || own > f->port_last)
			continue;
		due |= first && port_state(m, protocol, outside, (uint16_t)own, inside, inside_port) == PORT_FREE;
		first = false; /* of several forwards to one endpoint the first counts */
		*good |= own == port;
	}
	return due || *good;
}

bool model_judge_port(struct model *m, uint8_t protocol, uint32_t outside, uint16_t port, uint32_t inside,
		      uint16_t inside_port)
{
	enum port_state state = port_state(m, protocol, outside, port, inside, inside_port);
	if (state == PORT_TAKEN)
		return model_fail(m, "outside port %u for inside port %u was not free", port, inside_port);
	/* The engine remembers in a few bits only whom a port rests for: a stranger may be taken for its owner, but
	 * rarely. */
	m->strangers += state == PORT_RESTS;
	m->rested +=
		state != PORT_RESTS && port_state(m, protocol, outside, inside_port, inside, inside_port) == PORT_RESTS;
	bool good;
	if (forward_port_due(m, protocol, outside, port, inside, inside_port, &good))
		return good ? true
			    : model_fail(m, "outside port %u, though a forward's port leads to %u", port, inside_port);
	if (port == inside_port)
		return true;
	if (port_state(m, protocol, outside, inside_port, inside, inside_port) == PORT_FREE)
		return model_fail(m, "outside port %u, though the inside port %u was free", port, inside_port);
	int tier = port_tier(protocol, port, inside_port);
	if (tier == TIER_NEVER)
		return model_fail(m, "outside port %u below 1024 for inside port %u", port, inside_port);
	if (tier > 0 && any_free(m, protocol, outside, inside, inside_port, tier))
		return model_fail(m, "outside port %u for inside port %u, though one of its class or parity was free",
				  port, inside_port);
	return true;
}

static uint32_t half(uint32_t all)
{
	return all < 2 ? 1 : all / 2;
}

/* Live flows that remote ends opened, of one inside host or of all (0). */
static uint32_t opened_by_others(const struct model *m, uint32_t inside)
{
	uint32_t flows = 0;

	for (int i = 0; i < MODEL_FLOWS; i++)
		flows += m->flow[i].live && m->flow[i].from_outside && (!inside || m->flow[i].inside == inside);
	return flows;
}

uint64_t model_refusals(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
			uint16_t remote_port, uint32_t outside, enum drop claimed)
{
	struct model_host *host = model_host_find(m, inside);
	uint32_t flows = 0, hosts = 0;
	uint64_t reasons = 0;

	for (int i = 0; i < MODEL_FLOWS; i++) {
		flows += m->flow[i].live;
		hosts += m->host[i].live;
	}
	if (flows >= m->limits.flows)
		reasons |= UINT64_C(1) << DROP_FLOWS_EXHAUSTED;
	if (host && host->flows >= m->config.host_flows)
		reasons |= UINT64_C(1) << DROP_HOST_LIMIT;
	if (outside && opened_by_others(m, 0) >= half(m->limits.flows))
		reasons |= UINT64_C(1) << DROP_FLOWS_EXHAUSTED;
	if (outside && opened_by_others(m, inside) >= half(m->config.host_flows))
		reasons |= UINT64_C(1) << DROP_HOST_LIMIT;
	if (m->now < m->stale && ((!host && claimed == DROP_HOSTS_EXHAUSTED) || claimed == DROP_HOST_LIMIT ||
				  claimed == DROP_FLOWS_EXHAUSTED || (!outside && claimed == DROP_PORTS_EXHAUSTED)))
		reasons |= UINT64_C(1) << claimed;
	if (!host && hosts >= m->limits.hosts)
		reasons |= UINT64_C(1) << DROP_HOSTS_EXHAUSTED;
	bool inbound = outside != 0;
	if (!inbound)
		outside = host && host->outside ? host->outside : model_address_for_new_host(m);
	if ((host ? host->uncertain || !host->outside : m->now < m->stale || model_any_uncertain(m)) &&
	    claimed == DROP_OWNER_TAKEN)
		reasons |= UINT64_C(1) << DROP_OWNER_TAKEN;
	if (!model_has_ports(protocol)) {
		struct model_flow *owner = model_flow_outside(m, protocol, outside, 0, remote, 0);
		if (owner)
			reasons |= UINT64_C(1) << DROP_OWNER_TAKEN;
	} else if (claimed == DROP_PORTS_EXHAUSTED && !inbound &&
		   !model_mapping_inside(m, protocol, inside, inside_port, remote, remote_port) &&
		   !any_free(m, protocol, outside, inside, inside_port, TIER_NEVER)) {
		reasons |= UINT64_C(1) << DROP_PORTS_EXHAUSTED;
	}
	return reasons;
}
