/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's flows, mappings and hosts (docs/nat-behaviour.md section 3): arrays, searched from end to end.
 */
#include <stdlib.h>

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
		if (!prefix[i].length || (prefix[i].address.v4 ^ address) >> (32 - prefix[i].length) == 0)
			return true;
	return false;
}

bool model_is_inside(const struct model *m, uint32_t address)
{
	for (uint32_t i = 0; i < m->config.insides; i++)
		if (model_in_prefix(&m->config.inside[i].prefix, 1, address))
			return true;
	return false;
}

const struct inside *model_inside(const struct model *m, uint32_t address)
{
	for (uint32_t i = 0; i < m->config.insides; i++)
		if (model_in_prefix(&m->config.inside[i].prefix, 1, address))
			return &m->config.inside[i];
	return &m->config.inside[0];
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

bool model_open_port(const struct model *m, uint8_t protocol, uint16_t port)
{
	if (protocol == PROTO_TCP)
		return port_set_has(&m->config.open_tcp, port);
	return protocol == PROTO_UDP && port_set_has(&m->config.open_udp, port);
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

bool model_mapping_serves(const struct model_mapping *p, uint8_t protocol, uint32_t inside, uint16_t inside_port,
			  uint32_t remote, uint16_t remote_port)
{
	if (!p->live || p->protocol != protocol || p->inside != inside || p->inside_port != inside_port)
		return false;
	if (p->dependence != ENDPOINT_INDEPENDENT && p->remote != remote)
		return false;
	return p->dependence != ADDRESS_AND_PORT_DEPENDENT || p->remote_port == remote_port;
}

struct model_mapping *model_mapping_inside(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
					   uint32_t remote, uint16_t remote_port)
{
	/* One that a forward made may serve outbound flows of its target as well, but need not. */
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (!m->mapping[i].by_forward &&
		    model_mapping_serves(&m->mapping[i], protocol, inside, inside_port, remote, remote_port))
			return &m->mapping[i];
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

struct model_host *model_host_find(struct model *m, uint32_t address)
{
	for (int i = 0; i < MODEL_FLOWS; i++)
		if (m->host[i].live && m->host[i].address == address)
			return &m->host[i];
	return NULL;
}

bool model_engine_flow(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
		       uint16_t remote_port, struct flow_view *view)
{
	uint32_t cursor = 0;

	while (engine_next_flow(m->engine, &cursor, m->now, view))
		if (view->protocol == protocol && view->inside_address.v4 == inside &&
		    view->inside_port == inside_port && view->remote_address.v4 == remote &&
		    view->remote_port == remote_port)
			return true;
	return false;
}

bool model_engine_has(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
		      uint16_t remote_port)
{
	struct flow_view view;

	return model_engine_flow(m, protocol, inside, inside_port, remote, remote_port, &view);
}

uint32_t model_host_outside(struct model *m, uint32_t inside)
{
	struct model_host *host = model_host_find(m, inside);

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
	struct model_host *host = model_host_find(m, what->inside);

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
		f->touched = f->opened = m->now;
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
	struct model_host *host = model_host_find(m, inside);
	uint32_t outside = host && host->outside ? host->outside : model_address_for_new_host(m);
	struct model_mapping *mapping = NULL;
	struct flow_view view;

	if (!model_engine_flow(m, protocol, inside, inside_port, remote, remote_port, &view)) {
		model_fail(m, "no flow was opened for %08x:%u to %08x:%u", inside, inside_port, remote, remote_port);
		return NULL;
	}
	if (model_has_ports(protocol)) {
		mapping = model_mapping_outside(m, protocol, view.outside_address.v4, view.outside_port);
		if (mapping && !model_mapping_serves(mapping, protocol, inside, inside_port, remote, remote_port)) {
			model_fail(m, "the flow of %08x:%u shares outside port %u with another mapping", inside,
				   inside_port, view.outside_port);
			return NULL;
		}
		if (!mapping && model_mapping_inside(m, protocol, inside, inside_port, remote, remote_port)) {
			model_fail(m, "the flow of %08x:%u got outside port %u beside the mapping it has", inside,
				   inside_port, view.outside_port);
			return NULL;
		}
		if (!mapping &&
		    !model_judge_port(m, protocol, view.outside_address.v4, view.outside_port, inside, inside_port))
			return NULL;
	}
	if (!mapping && view.outside_address.v4 != outside &&
	    !(host ? !host->outside || host->uncertain : m->now < m->stale || model_any_uncertain(m))) {
		model_fail(m, "the flow of %08x got outside address %08x, the model says %08x", inside,
			   view.outside_address.v4, outside);
		return NULL;
	}
	if (host && !mapping && view.outside_address.v4 != host->outside) {
		host->outside = view.outside_address.v4;
		host->uncertain = false;
	}
	if (model_has_ports(protocol) && !mapping)
		mapping = mapping_new(m, &(struct model_mapping){.protocol = protocol,
								 .inside = inside,
								 .inside_port = inside_port,
								 .outside = view.outside_address.v4,
								 .outside_port = view.outside_port,
								 .remote = remote,
								 .remote_port = remote_port,
								 .dependence = m->config.mapping});
	return flow_new(m,
			&(struct model_flow){.protocol = protocol,
					     .inside = inside,
					     .inside_port = inside_port,
					     .outside = view.outside_address.v4,
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
	struct model_host *host = model_host_find(m, flow->inside);

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

/* Ages are told in tenths of a second. What passes need not keep the flow alive, and what is not idle has passed. */
static bool judge_age(struct model *m, const struct model_flow *f, const struct flow_view *view)
{
	uint64_t age = (m->now / 100 - f->opened / 100) * 100, idle = m->now - f->touched;

	if (view->age_ms != age)
		return model_fail(m, "flow of %08x:%u is %llu ms old, the model says %llu", f->inside, f->inside_port,
				  (unsigned long long)view->age_ms, (unsigned long long)age);
	if (view->idle_ms > age || view->idle_ms < (idle < age ? idle : age))
		return model_fail(m, "flow of %08x:%u is idle for %u ms, the model says %llu", f->inside,
				  f->inside_port, view->idle_ms, (unsigned long long)idle);
	return true;
}

/* Does the engine's view of a flow agree with ours? TCP: its timer is adopted if it is one of the three. */
static bool judge_view(struct model *m, struct model_flow *f, const struct flow_view *view)
{
	uint64_t deadline = m->now + view->expires_ms;

	if (!judge_age(m, f, view))
		return false;
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
		struct model_flow *f = model_flow_inside(m, view.protocol, view.inside_address.v4, view.inside_port,
							 view.remote_address.v4, view.remote_port);
		if (!f || f->outside != view.outside_address.v4 || f->outside_port != view.outside_port)
			return model_fail(
				m, "the engine has a flow %u %08x:%u <> %08x:%u <> %08x:%u that the model has not",
				view.protocol, view.inside_address.v4, view.inside_port, view.outside_address.v4,
				view.outside_port, view.remote_address.v4, view.remote_port);
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
		if (m->set[i].live && m->set[i].began + m->config.timeout[TIMEOUT_FRAGMENT] <= now &&
		    !(model_set_complete(&m->set[i]) && m->set[i].latest + MODEL_FINISHED > now)) {
			model_set_drop_held(m, &m->set[i]);
			m->set[i].live = false;
			m->stale = m->lazy ? UINT64_MAX : now + MODEL_SWEEP;
		}
	return true;
}
