/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's flows, mappings, hosts and ports (docs/nat-behaviour.md section 3): arrays, searched from end to end.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

bool model_is_outside(const struct model *m, uint32_t address)
{
	for (uint32_t i = 0; i < m->outsides; i++)
		if (m->outside[i] == address)
			return true;
	return false;
}

bool model_in_prefix(const struct prefix *prefix, uint32_t count, uint32_t address)
{
	for (uint32_t i = 0; i < count; i++)
		if (!prefix[i].length || (prefix[i].address ^ address) >> (32 - prefix[i].length) == 0)
			return true;
	return false;
}

bool model_has_ports(uint8_t protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_ICMP;
}

const struct forward *model_forward(const struct model *m, uint8_t protocol, uint16_t port)
{
	bool ports = protocol == PROTO_TCP || protocol == PROTO_UDP;

	for (uint32_t i = 0; i < m->config.forwards; i++) {
		const struct forward *f = &m->config.forward[i];
		if (f->protocol == protocol && (!ports || (port >= f->port_first && port <= f->port_last)))
			return f;
	}
	return NULL;
}

uint16_t model_forward_port(const struct forward *forward, uint8_t protocol, uint16_t port)
{
	if (protocol == PROTO_TCP || protocol == PROTO_UDP)
		return (uint16_t)(forward->to_port + (port - forward->port_first));
	return port;
}

bool model_host_port(const struct model *m, uint8_t protocol, uint16_t port)
{
	if (protocol == PROTO_TCP)
		return port_set_has(&m->config.host_tcp, port);
	return protocol == PROTO_UDP && port_set_has(&m->config.host_udp, port);
}

struct model_flow *model_flow_inside(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
				     uint32_t remote, uint16_t remote_port)
{
	for (int i = 0; i < MODEL_FLOWS; i++) {
		struct model_flow *f = &m->flow[i];
		if (f->live && f->protocol == protocol && f->inside == inside && f->inside_port == inside_port &&
		    f->remote == remote && f->remote_port == remote_port)
			return f;
	}
	return NULL;
}

struct model_flow *model_flow_outside(struct model *m, uint8_t protocol, uint32_t outside, uint16_t outside_port,
				      uint32_t remote, uint16_t remote_port)
{
	for (int i = 0; i < MODEL_FLOWS; i++) {
		struct model_flow *f = &m->flow[i];
		if (f->live && f->protocol == protocol && f->outside == outside && f->outside_port == outside_port &&
		    f->remote == remote && f->remote_port == remote_port)
			return f;
	}
	return NULL;
}

struct model_mapping *model_mapping_outside(struct model *m, uint8_t protocol, uint32_t outside, uint16_t outside_port)
{
	for (int i = 0; i < MODEL_FLOWS; i++) {
		struct model_mapping *p = &m->mapping[i];
		if (p->live && p->protocol == protocol && p->outside == outside && p->outside_port == outside_port)
			return p;
	}
	return NULL;
}

bool model_mapping_hears(struct model *m, const struct model_mapping *mapping, uint32_t remote)
{
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (m->flow[i].live && m->flow[i].mapping >= 0 && &m->mapping[m->flow[i].mapping] == mapping &&
		    m->flow[i].remote == remote)
			return true;
	return false;
}

static struct model_host *host_find(struct model *m, uint32_t address)
{
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (m->host[i].live && m->host[i].address == address)
			return &m->host[i];
	return NULL;
}

/* The address a new host gets: that of the fewest hosts, the first of these. */
static uint32_t address_for_new_host(const struct model *m)
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

static bool any_uncertain(const struct model *m)
{
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (m->host[i].live && (m->host[i].uncertain || !m->host[i].outside))
			return true;
	return false;
}

static bool mapping_serves(const struct model_mapping *p, uint8_t protocol, uint32_t inside, uint16_t inside_port,
			   uint32_t remote, uint16_t remote_port)
{
	if (!p->live || p->protocol != protocol || p->inside != inside || p->inside_port != inside_port)
		return false;
	if (p->dependence != ENDPOINT_INDEPENDENT && p->remote != remote)
		return false;
	return p->dependence != ADDRESS_AND_PORT_DEPENDENT || p->remote_port == remote_port;
}

static struct model_mapping *mapping_inside(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
					    uint32_t remote, uint16_t remote_port)
{
	/* One that a forward made may serve outbound flows of its target as well, but need not. */
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (!m->mapping[i].by_forward &&
		    mapping_serves(&m->mapping[i], protocol, inside, inside_port, remote, remote_port))
			return &m->mapping[i];
	return NULL;
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
	if (forward && (forward->to_address != inside || model_forward_port(forward, protocol, port) != inside_port))
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
		if (f->protocol != protocol || f->to_address != inside || own < f->port_first || own > f->port_last)
			continue;
		due |= first && port_state(m, protocol, outside, (uint16_t)own, inside, inside_port) == PORT_FREE;
		first = false; /* of several forwards to one endpoint the first counts */
		*good |= own == port;
	}
	return due || *good;
}

/* Judges an outside port that the engine chose for a new mapping. */
static bool judge_port(struct model *m, uint8_t protocol, uint32_t outside, uint16_t port, uint32_t inside,
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
	struct model_host *host = host_find(m, inside);
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
		outside = host && host->outside ? host->outside : address_for_new_host(m);
	if ((host ? host->uncertain || !host->outside : m->now < m->stale || any_uncertain(m)) &&
	    claimed == DROP_OWNER_TAKEN)
		reasons |= UINT64_C(1) << DROP_OWNER_TAKEN;
	if (!model_has_ports(protocol)) {
		struct model_flow *owner = model_flow_outside(m, protocol, outside, 0, remote, 0);
		if (owner)
			reasons |= UINT64_C(1) << DROP_OWNER_TAKEN;
	} else if (claimed == DROP_PORTS_EXHAUSTED && !inbound &&
		   !mapping_inside(m, protocol, inside, inside_port, remote, remote_port) &&
		   !any_free(m, protocol, outside, inside, inside_port, TIER_NEVER)) {
		reasons |= UINT64_C(1) << DROP_PORTS_EXHAUSTED;
	}
	return reasons;
}

/* The outside endpoint the engine gave to a flow. */
static bool engine_find_flow(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
			     uint16_t remote_port, struct flow_view *view)
{
	uint32_t cursor = 0;

	while (engine_next_flow(m->engine, &cursor, m->now, view))
		if (view->protocol == protocol && view->inside_address == inside && view->inside_port == inside_port &&
		    view->remote_address == remote && view->remote_port == remote_port)
			return true;
	return false;
}

bool model_engine_has(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
		      uint16_t remote_port)
{
	struct flow_view view;

	return engine_find_flow(m, protocol, inside, inside_port, remote, remote_port, &view);
}

uint32_t model_host_outside(struct model *m, uint32_t inside)
{
	struct model_host *host = host_find(m, inside);

	return host ? host->outside : 0;
}

static uint64_t flow_timeout(const struct model *m, const struct model_flow *f)
{
	switch (f->protocol) {
	case PROTO_TCP:
		return m->config.timeout[TIMEOUT_TCP_OPENING];
	case PROTO_UDP:
		return m->config.timeout[f->remote_port == 53 ? TIMEOUT_UDP_DNS : TIMEOUT_UDP];
	case PROTO_ICMP:
		return m->config.timeout[TIMEOUT_ICMP];
	case PROTO_GRE:
		return m->config.timeout[TIMEOUT_GRE];
	case PROTO_ESP:
		return m->config.timeout[TIMEOUT_ESP];
	default:
		return m->config.timeout[TIMEOUT_OTHER];
	}
}

static struct model_mapping *mapping_new(struct model *m, const struct model_mapping *what)
{
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (!m->mapping[i].live) {
			m->mapping[i] = *what;
			m->mapping[i].live = true;
			return &m->mapping[i];
		}
	abort();
}

static struct model_flow *flow_new(struct model *m, const struct model_flow *what, struct model_mapping *mapping)
{
	struct model_host *host = host_find(m, what->inside);

	for (int i = 0; !host && i < MODEL_FLOWS; i++)
		if (!m->host[i].live) {
			host = &m->host[i];
			*host = (struct model_host){.live = true,
						    .address = what->inside,
						    .outside = what->outside,
						    .uncertain = m->now < m->stale};
		}
	if (!host)
		abort();
	host->flows++;
	for (int i = 0; i < MODEL_FLOWS; i++) {
		struct model_flow *f = &m->flow[i];
		if (f->live)
			continue;
		*f = *what;
		f->live = true;
		f->mapping = mapping ? (int)(mapping - m->mapping) : -1;
		f->touched = m->now;
		f->deadline = m->now + flow_timeout(m, f);
		if (mapping)
			mapping->flows++;
		return f;
	}
	abort();
}

struct model_flow *model_open_outbound(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
				       uint32_t remote, uint16_t remote_port)
{
	struct model_host *host = host_find(m, inside);
	uint32_t outside = host && host->outside ? host->outside : address_for_new_host(m);
	struct model_mapping *mapping = NULL;
	struct flow_view view;

	if (!engine_find_flow(m, protocol, inside, inside_port, remote, remote_port, &view)) {
		model_fail(m, "no flow was opened for %08x:%u to %08x:%u", inside, inside_port, remote, remote_port);
		return NULL;
	}
	if (model_has_ports(protocol)) {
		mapping = model_mapping_outside(m, protocol, view.outside_address, view.outside_port);
		if (mapping && !mapping_serves(mapping, protocol, inside, inside_port, remote, remote_port)) {
			model_fail(m, "the flow of %08x:%u shares outside port %u with another mapping", inside,
				   inside_port, view.outside_port);
			return NULL;
		}
		if (!mapping && mapping_inside(m, protocol, inside, inside_port, remote, remote_port)) {
			model_fail(m, "the flow of %08x:%u got outside port %u beside the mapping it has", inside,
				   inside_port, view.outside_port);
			return NULL;
		}
		if (!mapping && !judge_port(m, protocol, view.outside_address, view.outside_port, inside, inside_port))
			return NULL;
	}
	if (!mapping && view.outside_address != outside &&
	    !(host ? !host->outside || host->uncertain : m->now < m->stale || any_uncertain(m))) {
		model_fail(m, "the flow of %08x got outside address %08x, the model says %08x", inside,
			   view.outside_address, outside);
		return NULL;
	}
	if (host && !mapping && view.outside_address != host->outside) {
		host->outside = view.outside_address;
		host->uncertain = false;
	}
	if (model_has_ports(protocol) && !mapping)
		mapping = mapping_new(m, &(struct model_mapping){.protocol = protocol,
								 .inside = inside,
								 .inside_port = inside_port,
								 .outside = view.outside_address,
								 .outside_port = view.outside_port,
								 .remote = remote,
								 .remote_port = remote_port,
								 .dependence = m->config.mapping});
	return flow_new(m,
			&(struct model_flow){.protocol = protocol,
					     .inside = inside,
					     .inside_port = inside_port,
					     .outside = view.outside_address,
					     .outside_port = view.outside_port,
					     .remote = remote,
					     .remote_port = remote_port},
			mapping);
}

struct model_flow *model_open_inbound(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
				      uint32_t outside, uint16_t outside_port, uint32_t remote, uint16_t remote_port,
				      bool by_forward)
{
	struct model_mapping *mapping = NULL;

	if (model_has_ports(protocol)) {
		mapping = model_mapping_outside(m, protocol, outside, outside_port);
		if (!mapping)
			mapping = mapping_new(m, &(struct model_mapping){.protocol = protocol,
									 .inside = inside,
									 .inside_port = inside_port,
									 .outside = outside,
									 .outside_port = outside_port,
									 .remote = remote,
									 .remote_port = remote_port,
									 .by_forward = by_forward,
									 .dependence = m->config.mapping});
	}
	return flow_new(m,
			&(struct model_flow){.protocol = protocol,
					     .inside = inside,
					     .inside_port = inside_port,
					     .outside = outside,
					     .outside_port = outside_port,
					     .remote = remote,
					     .remote_port = remote_port},
			mapping);
}

static void rest_port(struct model *m, const struct model_mapping *p, uint64_t when)
{
	uint64_t hold = m->config.timeout[TIMEOUT_HOLD_DOWN];
	uint32_t kept = 0;

	for (uint32_t i = 0; i < m->rests; i++) {
		const struct model_rest *r = &m->rest[i];
		bool same =
			r->protocol == p->protocol && r->outside == p->outside && r->outside_port == p->outside_port;
		if (!same && r->perhaps > m->now)
			m->rest[kept++] = *r;
	}
	m->rests = kept;
	if (m->rests == MODEL_RESTS)
		abort();
	m->rest[m->rests++] = (struct model_rest){.protocol = p->protocol,
						  .outside = p->outside,
						  .outside_port = p->outside_port,
						  .inside = p->inside,
						  .inside_port = p->inside_port,
						  .optional = p->protocol == PROTO_TCP,
						  .surely = when + hold,
						  .perhaps = m->lazy ? UINT64_MAX : when + hold + MODEL_SWEEP};
}

void model_close(struct model *m, struct model_flow *flow, uint64_t when)
{
	struct model_host *host = host_find(m, flow->inside);

	flow->live = false;
	if (!--host->flows)
		host->live = false;
	if (flow->mapping < 0)
		return;
	struct model_mapping *mapping = &m->mapping[flow->mapping];
	if (when > mapping->last)
		mapping->last = when;
	if (--mapping->flows)
		return;
	mapping->live = false;
	rest_port(m, mapping, mapping->last);
}

void model_touch(struct model *m, struct model_flow *flow, enum side from)
{
	flow->touched = m->now;
	if (flow->protocol != PROTO_TCP && (from == SIDE_LAN || m->config.refresh_inbound))
		flow->deadline = m->now + flow_timeout(m, flow);
}

void model_see_tcp(struct judgement *j, struct model_flow *flow, enum side from)
{
	struct model_tcp *tcp = &flow->tcp[from];
	uint32_t header = (uint32_t)(packet_get8(j->p, j->ihl + 12) >> 4) * 4;
	uint8_t flags = packet_get8(j->p, j->ihl + 13);
	uint32_t sequence = packet_get32(j->p, j->ihl + 4);
	uint32_t end = sequence + (j->total - j->ihl - header) + !!(flags & FLAG_SYN) + !!(flags & FLAG_FIN);

	if (!tcp->heard)
		*tcp = (struct model_tcp){.heard = true, .odd = tcp->odd, .first = sequence, .next = end};
	/* A SYN that answers something else changes nothing (section 8), so what it carried may not count as sent. */
	tcp->syn |= !!(flags & FLAG_SYN);
	tcp->odd |= (flags & FLAG_SYN) && flow->tcp[!from].heard && !flow->tcp[!from].syn;
	uint32_t jump = sequence - tcp->next;
	if (jump + 65536 > 2 * 65536 || (flags & FLAG_RST))
		tcp->odd = true;
	if ((int32_t)(end - tcp->next) > 0)
		tcp->next = end;
	struct model_tcp *other = &flow->tcp[!from];
	other->odd |= !!(flags & FLAG_RST);
	uint32_t acknowledge = packet_get32(j->p, j->ihl + 8);
	if (!(flags & FLAG_ACK))
		return;
	if (!other->heard || other->next - acknowledge > 0x1000000) { /* never sent, or very old */
		other->odd = true;
		return;
	}
	if (!other->acked_known || (int32_t)(acknowledge - other->acked) > 0)
		other->acked = acknowledge;
	other->acked_known = true;
}

/* Does the engine's view of a flow agree with ours? TCP: its timer is adopted if it is one of the three. */
static bool judge_view(struct model *m, struct model_flow *f, const struct flow_view *view)
{
	uint64_t deadline = m->now + view->expires_ms;

	if (f->protocol == PROTO_TCP && deadline != f->deadline) {
		uint64_t timer = deadline - f->touched;
		if (timer != m->config.timeout[TIMEOUT_TCP_OPENING] &&
		    timer != m->config.timeout[TIMEOUT_TCP_ESTABLISHED] &&
		    timer != m->config.timeout[TIMEOUT_TCP_CLOSING])
			return model_fail(m, "TCP flow of %08x:%u: timer is %llu ms after its last packet", f->inside,
					  f->inside_port, (unsigned long long)timer);
		f->deadline = deadline;
	}
	if (f->loose)
		f->deadline = deadline;
	f->loose = false;
	if (deadline != f->deadline)
		return model_fail(m, "flow %u of %08x:%u to %08x:%u expires in %u ms, the model says %llu", f->protocol,
				  f->inside, f->inside_port, f->remote, f->remote_port, view->expires_ms,
				  (unsigned long long)(f->deadline - m->now));
	return true;
}

bool model_compare_flows(struct model *m)
{
	struct flow_view view;
	uint32_t cursor = 0, seen = 0, live = 0;

	while (engine_next_flow(m->engine, &cursor, m->now, &view)) {
		struct model_flow *f = model_flow_inside(m, view.protocol, view.inside_address, view.inside_port,
							 view.remote_address, view.remote_port);
		if (!f || f->outside != view.outside_address || f->outside_port != view.outside_port)
			return model_fail(
				m, "the engine has a flow %u %08x:%u <> %08x:%u <> %08x:%u that the model has not",
				view.protocol, view.inside_address, view.inside_port, view.outside_address,
				view.outside_port, view.remote_address, view.remote_port);
		if (!judge_view(m, f, &view))
			return false;
		seen++;
	}
	for (int i = 0; i < MODEL_FLOWS; i++)
		live += m->flow[i].live;
	if (seen != live)
		return model_fail(m, "the engine has %u flows, the model %u", seen, live);
	return true;
}

bool model_set_time(struct model *m, uint64_t now)
{
	if (!model_compare_flows(m))
		return false;
	m->now = now;
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (m->flow[i].live && m->flow[i].deadline <= now) {
			model_close(m, &m->flow[i], m->flow[i].deadline);
			m->stale = m->lazy ? UINT64_MAX : now + MODEL_SWEEP;
		}
	for (int i = 0; i < MODEL_SETS; i++)
		if (m->set[i].live && m->set[i].began + m->config.timeout[TIMEOUT_FRAGMENT] <= now) {
			model_set_drop_held(m, &m->set[i]);
			m->set[i].live = false;
			m->stale = m->lazy ? UINT64_MAX : now + MODEL_SWEEP;
		}
	return true;
}

bool model_claimed(uint8_t protocol, uint16_t port, enum part *part)
{
	static const struct {
		enum part part;
		uint8_t protocol;
		uint16_t port;
	} claim[] = {
#define CLAIM(name, number, at) {PART_##name, number, at},
#include <culvert/services.def>
#undef CLAIM
	};

	for (size_t i = 0; i < sizeof(claim) / sizeof(claim[0]); i++)
		/* Of GRE only the enhanced kind is PPTP's, which the grammar does not make. */
		if (protocol != PROTO_GRE && claim[i].protocol == protocol &&
		    (!claim[i].port || claim[i].port == port)) {
			*part = claim[i].part;
			return true;
		}
	return false;
}

enum fate { FATE_STAYS, FATE_EITHER, FATE_ENDS };

static bool blocked(const struct model *m, uint8_t protocol, uint16_t port)
{
	enum part part;

	return model_claimed(protocol, port, &part) && m->config.mode[part] == MODE_BLOCK;
}

static bool is_gone(const struct model *m, uint32_t address)
{
	for (uint32_t i = 0; i < m->gones; i++)
		if (m->gone[i] == address)
			return true;
	return false;
}

/* What must become of a flow under the configuration or the addresses that m has now. */
static enum fate flow_fate(const struct model *m, const struct model_flow *f, bool configured)
{
	if (!configured)
		return model_is_outside(m, f->outside) ? is_gone(m, f->remote) ? FATE_EITHER : FATE_STAYS : FATE_ENDS;
	if (f->inward && blocked(m, f->protocol, f->remote_port))
		return FATE_EITHER;
	if (blocked(m, f->protocol, f->remote_port) || model_host_port(m, f->protocol, f->outside_port))
		return FATE_ENDS;
	if (f->by_forward) {
		const struct forward *forward = model_forward(m, f->protocol, f->outside_port);
		if (!forward || forward->to_address != f->inside ||
		    model_forward_port(forward, f->protocol, f->outside_port) != f->inside_port)
			return FATE_ENDS;
	}
	/* The document does not say: the claimed port is ours. */
	if (blocked(m, f->protocol, f->outside_port))
		return FATE_EITHER;
	/* A flow beside one of a forward may share its mapping. */
	if (f->mapping >= 0 && m->mapping[f->mapping].by_forward)
		return FATE_EITHER;
	return FATE_STAYS;
}

/* Ends the flows that must end; where either is right, the engine's choice is taken. */
static bool end_flows(struct model *m, uint32_t ended, bool configured)
{
	uint32_t count = 0;

	for (int i = 0; i < MODEL_FLOWS; i++) {
		struct model_flow *f = &m->flow[i];
		struct flow_view view;
		if (!f->live)
			continue;
		enum fate fate = flow_fate(m, f, configured);
		if (fate == FATE_EITHER)
			fate = engine_find_flow(m, f->protocol, f->inside, f->inside_port, f->remote, f->remote_port,
						&view)
				       ? FATE_STAYS
				       : FATE_ENDS;
		if (fate == FATE_ENDS) {
			model_close(m, f, m->now);
			count++;
		}
	}
	if (count != ended && !(ended > count && m->now < m->stale)) /* some may have expired, unseen as yet */
		return model_fail(m, "%u flows ended, the model says %u", ended, count);
	return model_compare_flows(m);
}

bool model_configure(struct model *m, const struct engine_config *config, uint32_t ended)
{
	m->config = *config;
	m->gones = 0;
	return end_flows(m, ended, true);
}

bool model_set_outside(struct model *m, const uint32_t *addresses, uint32_t count, uint32_t ended)
{
	uint32_t before[MODEL_ADDRESSES], befores = m->outsides;

	memcpy(before, m->outside, sizeof(before));
	memcpy(m->outside, addresses, count * sizeof(*addresses));
	m->outsides = count;
	m->gones = 0;
	for (uint32_t i = 0; i < befores; i++)
		if (!model_is_outside(m, before[i]))
			m->gone[m->gones++] = before[i];
	for (uint32_t i = 0; i < m->gones; i++) {
		for (int h = 0; h < MODEL_FLOWS; h++)
			if (m->host[h].live && m->host[h].outside == m->gone[i])
				m->host[h].outside =
					0; /* still has a flow elsewhere; gets another address, whichever */
	}
	bool good = end_flows(m, ended, false);
	for (uint32_t i = 0; i < m->rests; i++) /* the ports of an address that went need not rest when it comes back */
		for (uint32_t k = 0; k < m->gones; k++)
			m->rest[i].optional |= m->rest[i].outside == m->gone[k];
	return good;
}
