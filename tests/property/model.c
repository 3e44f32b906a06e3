/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's packet rules: docs/nat-behaviour.md sections 1, 2 and 4, step by step.
 */
#include <stdlib.h>

#include "model.h"

struct model *model_new(const struct engine_limits *limits, const struct engine_config *config, uint64_t now)
{
	struct model *m = calloc(1, sizeof(*m));

	if (!m || !(m->rest = calloc(MODEL_RESTS, sizeof(*m->rest))))
		abort();
	m->limits = *limits;
	m->config = *config;
	m->now = now;
	return m;
}

void model_free(struct model *m)
{
	for (int i = 0; i < MODEL_SETS; i++)
		if (m->set[i].live)
			model_set_drop_held(m, &m->set[i]);
	free(m->rest);
	free(m);
}

/* --- flows --- */

static void will_see(struct judgement *j, struct model_flow *flow, enum side side)
{
	j->seen[j->seens].flow = flow;
	j->seen[j->seens++].side = side;
}

/* A packet dropped for its size or time to live may have opened its flow, or not. */
static bool may_be_unopened(const struct judgement *j)
{
	return j->result->verdict == VERDICT_DROPPED &&
	       (j->result->drop == DROP_TOO_BIG || j->result->drop == DROP_IP_TTL);
}

static const uint64_t CAPACITY = UINT64_C(1) << DROP_FLOWS_EXHAUSTED | UINT64_C(1) << DROP_HOST_LIMIT |
				 UINT64_C(1) << DROP_HOSTS_EXHAUSTED | UINT64_C(1) << DROP_PORTS_EXHAUSTED |
				 UINT64_C(1) << DROP_OWNER_TAKEN;

/* A flow could not be opened: the inside sender is told (RFC 5508 REQ-8). */
static bool expect_refused(struct judgement *j, uint64_t reasons)
{
	if (!expect_drops(j, reasons))
		return false;
	if (j->from != SIDE_LAN || !(CAPACITY >> j->result->drop & 1))
		return true;
	return expect_made_error(j, SIDE_LAN, model_inside(j->m, j->source)->router_address.v4, 3, 13, 0);
}

static uint16_t inside_port(const struct judgement *j)
{
	return j->protocol == PROTO_ICMP      ? packets_icmp_id(j->p)
	       : model_has_ports(j->protocol) ? packets_source_port(j->p)
					      : 0;
}

static uint16_t called_port(const struct judgement *j)
{
	return j->protocol == PROTO_ICMP      ? packets_icmp_id(j->p)
	       : model_has_ports(j->protocol) ? packets_destination_port(j->p)
					      : 0;
}

static bool is_icmp_answer(const struct judgement *j)
{
	uint8_t type = packet_get8(j->p, j->ihl);

	return j->protocol == PROTO_ICMP && (type == 0 || type == 14);
}

/* The sender's own flow: found or opened. NULL: judged, *good says how. */
static struct model_flow *own_flow(struct judgement *j, struct model_flow *unopened, bool *good)
{
	uint16_t remote_port = j->protocol == PROTO_ICMP ? 0 : called_port(j);
	struct model_flow *flow =
		model_flow_inside(j->m, j->protocol, j->source, inside_port(j), j->destination, remote_port);

	if (is_icmp_answer(j) && (!flow || !flow->inward)) {
		*good = expect_drop(j, DROP_ICMP_NO_FLOW);
		return NULL;
	}
	if (!flow) {
		if (j->protocol == PROTO_TCP && (packet_get8(j->p, j->ihl + 13) & FLAG_RST)) {
			*good = expect_drop(j, DROP_TCP_NO_FLOW);
			return NULL;
		}
		uint64_t reasons = model_refusals(j->m, j->protocol, j->source, inside_port(j), j->destination,
						  remote_port, 0, (enum drop)j->result->drop);
		if (reasons && j->m->now < j->m->stale &&
		    model_engine_has(j->m, j->protocol, j->source, inside_port(j), j->destination, remote_port))
			reasons = 0; /* the model does not know what is not yet cleaned up; or the called end's flow was
					refused */
		if (reasons) {
			*good = expect_refused(j, reasons);
			return NULL;
		}
		if (may_be_unopened(j) &&
		    !model_engine_has(j->m, j->protocol, j->source, inside_port(j), j->destination, remote_port))
			return unopened;
		flow = model_open_outbound(j->m, j->protocol, j->source, inside_port(j), j->destination, remote_port);
		*good = flow != NULL;
		if (!flow)
			return NULL;
	}
	will_see(j, flow, SIDE_LAN);
	return flow;
}

/* Who lets a packet from outside open a flow: a mapping whose filter it passes, or a forward. */
struct invitation {
	struct model_mapping *mapping; /* of the called port; NULL: none */
	const struct forward *forward;
	uint16_t to_port;
	bool by_forward;
};

static bool mapping_invites(const struct judgement *j, const struct model_mapping *mapping, uint32_t remote,
			    uint16_t remote_port)
{
	struct model *m = j->m;

	if (j->hairpin)
		return true;
	if (mapping->dependence != ENDPOINT_INDEPENDENT && mapping->remote != remote)
		return false;
	if (mapping->dependence == ADDRESS_AND_PORT_DEPENDENT && mapping->remote_port != remote_port)
		return false;
	return m->config.filtering == ENDPOINT_INDEPENDENT ||
	       (m->config.filtering == ADDRESS_DEPENDENT && model_mapping_hears(m, mapping, remote));
}

/* Section 4 steps 7 and 8. False: the packet was judged, *good says how. */
static bool invited(struct judgement *j, uint16_t port, uint32_t remote, uint16_t remote_port,
		    struct invitation *invitation, bool *good)
{
	struct model_mapping *mapping =
		model_has_ports(j->protocol) ? model_mapping_outside(j->m, j->protocol, j->destination, port) : NULL;
	const struct forward *forward = model_forward(j->m, j->protocol, port);
	uint16_t to_port = forward ? model_forward_port(forward, j->protocol, port) : 0;
	uint8_t flags = j->protocol == PROTO_TCP ? packet_get8(j->p, j->ihl + 13) : FLAG_SYN;
	bool by_mapping = mapping && mapping_invites(j, mapping, remote, remote_port);
	bool by_forward =
		forward && (!mapping || (mapping->inside == forward->to_address.v4 && mapping->inside_port == to_port));

	if (mapping && !by_mapping && !by_forward) {
		*good = expect_drop(j, DROP_FILTERED);
		return false;
	}
	by_forward = by_forward && !(flags & FLAG_RST);
	by_mapping = by_mapping && (flags & FLAG_SYN) && (j->protocol != PROTO_TCP || !(flags & FLAG_ACK));
	if (!by_mapping && !by_forward) {
		*good = expect_drop(j, j->hairpin && !mapping && !forward ? DROP_HAIRPIN_NO_TARGET
				       : !j->hairpin && model_host_port(j->m, j->protocol, port) ? DROP_NOT_OPEN
				       : model_has_ports(j->protocol)                            ? DROP_UNSOLICITED
												 : DROP_NO_OWNER);
		return false;
	}
	*invitation = (struct invitation){mapping, forward, to_port, by_forward};
	return true;
}

/* Section 4 steps 7 to 9: opens a flow for a packet from outside, or judges its drop. */
static struct model_flow *open_from_outside(struct judgement *j, uint16_t port, uint32_t remote, uint16_t remote_port,
					    struct model_flow *unopened, bool *good)
{
	struct model *m = j->m;
	struct invitation by;

	if (!invited(j, port, remote, remote_port, &by, good))
		return NULL;
	uint32_t inside = by.mapping ? by.mapping->inside : by.forward->to_address.v4;
	uint16_t at = by.mapping ? by.mapping->inside_port : by.to_port;
	struct model_flow *clash = model_flow_inside(m, j->protocol, inside, at, remote, remote_port);
	/* What gives way leaves its place, also in its host's share. */
	if (clash && j->protocol == PROTO_TCP && j->result->verdict == VERDICT_FORWARDED) {
		model_close(m, clash, m->now);
		clash = NULL;
	}
	uint64_t reasons = model_refusals(m, j->protocol, inside, at, remote, remote_port, j->destination,
					  (enum drop)j->result->drop);
	if (clash && (j->protocol != PROTO_TCP || j->result->drop == DROP_FLOW_CLASH))
		reasons |= UINT64_C(1)
			   << DROP_FLOW_CLASH; /* TCP in state closed or reset gives way, which only the engine knows */
	if (reasons) {
		*good = expect_refused(j, reasons);
		return NULL;
	}
	if (clash)
		model_close(m, clash, m->now);
	if (may_be_unopened(j) && !model_engine_has(m, j->protocol, inside, at, remote, remote_port)) {
		*unopened = (struct model_flow){.inside = inside, .inside_port = at};
		return unopened;
	}
	struct model_flow *flow = model_open_inbound(m, j->protocol, inside, at, j->destination, port, remote,
						     remote_port, by.by_forward);
	flow->by_forward = by.by_forward;
	flow->inward = by.by_forward || j->hairpin;
	flow->from_outside = true;
	return flow;
}

/* A packet of a connection of the router itself that goes on at a port that is not open. */
static bool is_kept(const struct judgement *j, uint16_t port, uint32_t remote, uint16_t remote_port)
{
	for (uint32_t i = 0; i < j->m->config.kepts; i++) {
		const struct host_connection *kept = &j->m->config.kept[i];
		if (kept->protocol == j->protocol && kept->local.v4 == j->destination && kept->local_port == port &&
		    kept->remote.v4 == remote && kept->remote_port == remote_port)
			return true;
	}
	return false;
}

/* Section 4 steps 5 to 10. NULL: judged. */
static struct model_flow *called_flow(struct judgement *j, uint32_t remote, uint16_t remote_port,
				      struct model_flow *unopened, bool *good)
{
	uint16_t port = called_port(j);
	struct model_flow *flow = model_flow_outside(j->m, j->protocol, j->destination, port, remote, remote_port);

	if (flow && j->protocol == PROTO_ICMP && flow->inward == is_icmp_answer(j))
		flow = NULL;
	if (!flow && !j->hairpin) {
		bool consumed = model_open_port(j->m, j->protocol, port) || is_kept(j, port, remote, remote_port);
		if (j->protocol == PROTO_ICMP)
			consumed = is_icmp_answer(j) || !model_forward(j->m, PROTO_ICMP, 0);
		if (consumed && j->set && j->protocol != PROTO_ICMP) { /* the kernel has no fragments of its own */
			*good = model_leave_unchanged(j, SIDE_LAN);
			return NULL;
		}
		if (consumed) {
			j->fate = SET_CONSUMED;
			*good = expect_consumed(j);
			return NULL;
		}
	}
	if (!flow)
		flow = open_from_outside(j, port, remote, remote_port, unopened, good);
	if (!flow)
		return NULL;
	if (flow != unopened)
		will_see(j, flow, SIDE_WAN);
	return model_ttl_out(j, good) ? NULL : flow;
}

/* --- section 4, hairpin --- */

/* Is there a flow, mapping or forward that would take this packet? */
static bool hairpin_has_target(struct judgement *j)
{
	uint16_t port = called_port(j);
	struct model_mapping *mapping = model_mapping_outside(j->m, j->protocol, j->destination, port);
	const struct forward *forward = model_forward(j->m, j->protocol, port);
	struct model_flow *own = model_flow_inside(j->m, j->protocol, j->source, inside_port(j), j->destination, port);
	uint8_t flags = packet_get8(j->p, j->ihl + 13);

	if (j->protocol != PROTO_TCP)
		return model_has_ports(j->protocol) && (mapping || (forward && j->protocol == PROTO_UDP));
	if (own && model_flow_outside(j->m, PROTO_TCP, j->destination, port, own->outside, own->outside_port))
		return true;
	if (mapping && (flags & FLAG_SYN) && !(flags & FLAG_ACK))
		return true;
	if (!forward || (flags & FLAG_RST))
		return false;
	return !mapping || (mapping->inside == forward->to_address.v4 &&
			    mapping->inside_port == model_forward_port(forward, PROTO_TCP, port));
}

/* The inside address that a hairpin goes to, or 0. */
static uint32_t hairpin_called(const struct judgement *j)
{
	const struct forward *forward = model_forward(j->m, j->protocol, called_port(j));
	const struct model_mapping *mapping = model_mapping_outside(j->m, j->protocol, j->destination, called_port(j));

	return mapping ? mapping->inside : forward ? forward->to_address.v4 : 0;
}

/* A query to another inside host's identifier: it keeps the caller's outside identifier, and the answer finds it by
 * that. */
static bool judge_hairpin_query(struct judgement *j, struct model_flow *own)
{
	struct model_mapping *called = model_mapping_outside(j->m, PROTO_ICMP, j->destination, called_port(j));
	struct translation t;

	translation_begin(j, &t);
	model_translate_source(j, &t, own);
	packet_put32(&t.packet->packet, 16, called->inside);
	bool good = model_leave(j, &t, SIDE_LAN, true);
	translation_end(&t);
	return good;
}

static bool judge_hairpin_answer(struct judgement *j)
{
	struct model_flow *caller = NULL;
	struct translation t;
	bool good;

	/* the caller's flow to one of our addresses; if there are several, the output tells which was meant */
	for (uint32_t i = 0; i < j->m->outsides; i++) {
		struct model_flow *f =
			model_flow_outside(j->m, PROTO_ICMP, j->destination, called_port(j), j->m->outside[i], 0);
		if (f && (!caller || (j->out->count > *j->taken &&
				      packets_source(&j->out->item[*j->taken].packet) == j->m->outside[i])))
			caller = f;
	}
	uint32_t own = model_host_outside(j->m, j->source);
	if (caller && own != caller->remote && j->result->drop == DROP_ICMP_NO_FLOW)
		return expect_drop(j, DROP_ICMP_NO_FLOW); /* not from the address that was called */
	if (!caller)
		return expect_drop(j, DROP_ICMP_NO_FLOW);
	if (model_ttl_out(j, &good))
		return good;
	will_see(j, caller, SIDE_WAN);
	caller->loose = true;
	translation_begin(j, &t);
	packet_put32(&t.packet->packet, 12, caller->remote);
	t.id_free = !j->df;
	model_translate_destination(j, &t, caller);
	good = model_leave(j, &t, SIDE_LAN, true);
	translation_end(&t);
	return good;
}

static bool judge_hairpin(struct judgement *j)
{
	struct model_flow unopened_own, unopened_called;
	struct translation t;
	bool good;

	j->hairpin = true;
	if ((j->protocol == PROTO_ICMP && !is_icmp_answer(j) && !hairpin_has_target(j)) ||
	    model_host_port(j->m, j->protocol, called_port(j)))
		return model_leave_unchanged(j, SIDE_LAN);
	if (!j->m->config.hairpinning)
		return expect_drop(j, DROP_HAIRPIN_OFF);
	if (is_icmp_answer(j))
		return judge_hairpin_answer(j);
	bool target = hairpin_has_target(j);
	if (!target && j->result->drop == DROP_TOO_BIG && expect_too_big(j, SIDE_LAN, hairpin_called(j), &good))
		return good; /* both apply; the document gives no order */
	if (!target && j->result->drop == DROP_IP_TTL && model_ttl_out(j, &good))
		return good;
	if (!target)
		return expect_drops(j, UINT64_C(1) << DROP_HAIRPIN_NO_TARGET | UINT64_C(1) << DROP_UNSOLICITED);
	if (model_ttl_out(j, &good) || expect_too_big(j, SIDE_LAN, hairpin_called(j), &good))
		return good;
	struct model_flow *own = own_flow(j, &unopened_own, &good);
	if (!own)
		return good;
	if (j->protocol == PROTO_ICMP)
		return judge_hairpin_query(j, own);
	struct model_flow *called = called_flow(j, own->outside, own->outside_port, &unopened_called, &good);
	if (!called)
		return good;
	translation_begin(j, &t);
	model_translate_source(j, &t, own);
	model_translate_destination(j, &t, called);
	good = model_leave(j, &t, SIDE_LAN, true);
	translation_end(&t);
	return good;
}

/* --- sections 2 and 4 --- */

static bool judge_outbound(struct judgement *j)
{
	enum drop reason = j->protocol == PROTO_ICMP ? model_check_icmp(j) : model_check_transport(j);
	struct model_flow unopened = {0};
	struct translation t;
	bool good;

	if (reason)
		return expect_drop(j, reason);
	uint64_t claims = model_check_claims(j);
	if (claims)
		return model_expect_blocked(j, claims);
	if (j->protocol == PROTO_ICMP && model_icmp_is_error(packet_get8(j->p, j->ihl)))
		return model_judge_error(j);
	if (model_is_outside(j->m, j->destination))
		return judge_hairpin(j);
	struct model_flow *flow = own_flow(j, &unopened, &good);
	if (!flow)
		return good;
	translation_begin(j, &t);
	model_translate_source(j, &t, flow);
	good = model_leave(j, &t, SIDE_WAN, false);
	translation_end(&t);
	return good;
}

static bool judge_inbound(struct judgement *j)
{
	enum drop reason = j->protocol == PROTO_ICMP ? model_check_icmp(j) : model_check_transport(j);
	struct model_flow unopened = {0};
	struct translation t;
	bool good;

	if (reason)
		return expect_drop(j, reason);
	uint64_t claims = model_check_claims(j);
	if (claims)
		return model_expect_blocked(j, claims);
	if (j->protocol == PROTO_ICMP && model_icmp_is_error(packet_get8(j->p, j->ihl)))
		return model_judge_error(j);
	uint16_t remote_port = j->protocol == PROTO_TCP || j->protocol == PROTO_UDP ? packets_source_port(j->p) : 0;
	struct model_flow *flow = called_flow(j, j->source, remote_port, &unopened, &good);
	if (!flow)
		return good;
	translation_begin(j, &t);
	model_translate_destination(j, &t, flow);
	good = model_leave(j, &t, SIDE_LAN, true);
	translation_end(&t);
	return good;
}

static bool judge(struct judgement *j)
{
	const struct engine_config *config = &j->m->config;
	enum drop reason = model_check_ip(j);
	bool good;

	if (reason)
		return expect_drop(j, reason);
	if (model_is_outside(j->m, j->source))
		return expect_drop(j, DROP_SOURCE_IS_OURS);
	if (j->from == SIDE_LAN) {
		if (model_in_prefix(config->bypass, config->bypasses, j->destination) &&
		    !model_is_outside(j->m, j->destination))
			return model_leave_unchanged(j, SIDE_WAN);
		if (!j->m->outsides)
			return expect_drop(j, DROP_NO_OUTSIDE_ADDRESS) &&
			       expect_made_error(j, SIDE_LAN, model_inside(j->m, j->source)->router_address.v4, 3, 0,
						 0);
	} else {
		if (model_is_inside(j->m, j->source))
			return expect_drop(j, DROP_SOURCE_IS_INSIDE);
		if (!model_is_outside(j->m, j->destination)) {
			if (model_in_prefix(config->bypass, config->bypasses, j->source) &&
			    model_is_inside(j->m, j->destination))
				return model_leave_unchanged(j, SIDE_LAN);
			return expect_drop(j, DROP_NOT_FOR_US);
		}
	}
	uint64_t claims = j->protocol == PROTO_TCP || j->protocol == PROTO_UDP ? 0 : model_check_claims(j);
	if (claims)
		return model_expect_blocked(j, claims);
	if ((j->mf || j->offset) && !model_judge_fragment(j, &good))
		return good;
	j->fate = SET_REFUSED;
	good = j->from == SIDE_LAN ? judge_outbound(j) : judge_inbound(j);
	return good && j->set ? model_release(j) : good;
}

const char *model_judge(struct model *m, enum side from, const struct packet *as_came,
			const struct engine_result *result, struct emissions *out, uint32_t *taken)
{
	struct test_packet *copy = malloc(sizeof(*copy));
	struct judgement j = {.m = m, .from = from, .as_came = copy, .result = result, .out = out, .taken = taken};

	if (!copy)
		abort();
	packets_copy(copy, as_came);
	j.p = &copy->packet;
	bool good = judge(&j);
	free(copy);
	return good ? NULL : m->error;
}
