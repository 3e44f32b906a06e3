/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Explanations. The packet goes the way of all packets through the shadow; what is told of it is read from the counters
 * before and after, from what came out, and from the flow that the packet belongs to now.
 */
#include <culvert/explain.h>
#include <culvert/module.h>

#include "nat/drops.h"
#include "nat/flow.h"
#include "nat/mapping.h"
#include "nat/output.h"
#include "nat/passages.h"
#include "nat/reader.h"

struct watch {
	struct explanation *explanation;
	struct passage out; /* the first packet that left, read; out.packet is NULL if there was none */
	struct packet packet;
	uint32_t quote; /* where the quote of an ICMP error stands in it, or 0 */
	struct network_header quoted;
	struct transport inner;
};

static const struct {
	const char *name, *meaning;
} rule_text[RULES] = {
#define RULE(name, text, meaning) [RULE_##name] = {text, meaning},
#include <culvert/rules.def>
#undef RULE
};

const char *rule_name(enum rule rule)
{
	return rule < RULES ? rule_text[rule].name : "unknown";
}

const char *rule_meaning(enum rule rule)
{
	return rule < RULES ? rule_text[rule].meaning : "";
}

/* Reads a packet as the engine does. False if nothing can be said of ports or identifiers. */
static bool read_packet(const struct engine *engine, struct passage *passage, enum side from, struct packet *packet)
{
	*passage = (struct passage){.packet = packet, .from = from};
	if (ip_parse(packet, &passage->ip) != DROP_NONE || passage->ip.offset != 0)
		return false;
	passage_read_transport(engine, passage);
	return passage->fault == DROP_NONE;
}

static void read_quote(struct watch *watch)
{
	const struct passage *out = &watch->out;
	uint32_t at = (uint32_t)out->ip.header_length + ICMP_HEADER;

	if (out->ip.protocol != PROTOCOL_ICMP || !icmp_is_error(out->transport.icmp_type))
		return;
	if (ip_parse_quoted(out->packet, at, &watch->quoted) &&
	    transport_parse_quoted(out->packet, at + watch->quoted.header_length, watch->quoted.protocol,
				   &watch->inner))
		watch->quote = at;
}

static void emit(void *context, enum side from, enum side to, struct packet *packet, enum origin origin)
{
	struct watch *watch = context;
	struct explanation *explanation = watch->explanation;
	struct passage passage = {.packet = packet};
	bool has_ports = ip_parse(packet, &passage.ip) == DROP_NONE && passage.ip.offset == 0 &&
			 transport_parse(packet, &passage.ip, &passage.transport) == DROP_NONE;

	(void)from;
	if (explanation->outputs == 0 && has_ports) {
		watch->out = passage;
		watch->out.from = to;
		read_quote(watch);
	}
	if (explanation->outputs < EXPLAIN_OUTPUTS)
		explanation->output[explanation->outputs] = (struct explain_output){
			.to = to,
			.made = origin == ORIGIN_OWN,
			.protocol = passage.ip.protocol,
			.ttl = passage.ip.hop_limit,
			.source = passage.ip.source,
			.destination = passage.ip.destination,
			.identifier = has_ports ? drops_identifier(&passage) : 0,
			.source_port = has_ports ? passage.transport.source_port : 0,
			.destination_port = has_ports ? passage.transport.destination_port : 0,
			.length = (uint16_t)ip_length(&passage.ip),
			.offset = passage.ip.offset,
		};
	explanation->outputs++;
}

/* --- whose packet it was --- */

static uint32_t flow_inside(struct engine *engine, uint8_t protocol, struct address inside, uint16_t inside_port,
			    struct address remote, uint16_t remote_port)
{
	struct flow_key key = {
		.protocol = protocol,
		.local = inside,
		.local_port = inside_port,
		.remote = remote,
		.remote_port = protocol_has_ports(protocol) ? remote_port : 0,
	};

	return flow_find_outbound(engine, &key, flow_hash(engine, &key));
}

static uint32_t flow_outside(struct engine *engine, const struct flow_key *key)
{
	return flow_find_inbound(engine, key, flow_hash(engine, key));
}

/* An error goes the way of the packet that it quotes; the quote that left has the addresses of the side it went to. */
static uint32_t flow_of_quote(struct engine *engine, const struct watch *watch)
{
	const struct network_header *quoted = &watch->quoted;
	const struct transport *inner = &watch->inner;

	if (watch->quote == 0 || port_space(quoted->protocol) < 0)
		return NONE;
	if (watch->out.from == SIDE_LAN)
		return flow_inside(engine, quoted->protocol, quoted->source, inner->source_port, quoted->destination,
				   inner->destination_port);
	struct flow_key key = {
		.protocol = quoted->protocol,
		.local = quoted->destination,
		.local_port = inner->destination_port,
		.remote = quoted->source,
		.remote_port = protocol_has_ports(quoted->protocol) ? inner->source_port : 0,
	};
	return flow_outside(engine, &key);
}

/* From the WAN a module may have chosen the flow, so that what left says more than what came. */
static uint32_t flow_of(struct engine *engine, const struct passage *passage, const struct watch *watch,
			const struct engine_result *result)
{
	const struct passage *out = &watch->out;

	if (passage->ip.protocol == PROTOCOL_ICMP && icmp_is_error(passage->transport.icmp_type))
		return result->verdict == VERDICT_FORWARDED ? flow_of_quote(engine, watch) : NONE;
	if (passage->from == SIDE_WAN && result->verdict == VERDICT_FORWARDED && out->packet &&
	    protocol_has_ports(passage->ip.protocol))
		return flow_inside(engine, passage->ip.protocol, out->ip.destination, out->transport.destination_port,
				   out->ip.source, out->transport.source_port);
	struct flow_key key = passage_key(passage);
	if (passage->from == SIDE_LAN)
		return flow_find_outbound(engine, &key, flow_hash(engine, &key));
	return flow_outside(engine, &key);
}

static uint16_t shared_port_of(const struct flow *flow, const struct passage *passage, const struct watch *watch)
{
	bool leaves = passage->from == SIDE_LAN && watch->out.packet && watch->out.from == SIDE_WAN;
	uint16_t port = leaves ? watch->out.transport.source_port : passage->transport.destination_port;

	if (flow->protocol != PROTOCOL_UDP || passage->ip.protocol != PROTOCOL_UDP || flow->control == 0 ||
	    (passage->from == SIDE_LAN && !leaves))
		return 0;
	return port != flow->outside_port ? port : 0;
}

static void tell_flow(const struct engine *engine, uint32_t index, const struct engine_counters *before,
		      struct explanation *explanation)
{
	const struct flow *flow = &engine->flow[index];
	const uint64_t *now = engine->counters->stat, *then = before->stat;

	explanation->has_flow = true;
	flow_view_of(engine, index, engine->now_ms, &explanation->flow);
	explanation->flow_is_new = now[STAT_FLOWS_CREATED] != then[STAT_FLOWS_CREATED] &&
				   flow->packets[SIDE_LAN] + flow->packets[SIDE_WAN] <= 1;
	explanation->mapping_is_new = explanation->flow_is_new && flow->mapping != NONE &&
				      now[STAT_MAPPINGS_CREATED] != then[STAT_MAPPINGS_CREATED];
	explanation->reader = reader_flow_service(engine, index);
	if (!(flow->flags & FLOW_FORWARD))
		return;
	const struct forward *forward =
		forward_find(engine, flow->protocol, protocol_has_ports(flow->protocol) ? flow->outside_port : 0);
	if (forward)
		explanation->forward = (uint32_t)(forward - engine->config.forward);
}

/* --- by what, and why --- */

static enum part part_of(const struct passage *passage, const struct explanation *explanation)
{
	uint8_t protocol = passage->ip.protocol;
	enum part part;

	if (protocol == PROTOCOL_GRE && !passage->transport.gre.is_enhanced)
		return PART_NONE;
	if (!protocol_has_ports(protocol))
		return part_claiming(protocol, 0);
	part = part_claiming(protocol, passage->transport.destination_port);
	if (part == PART_NONE && (passage->from == SIDE_WAN || explanation->flow.inside_is_server))
		part = part_claiming(protocol, passage->transport.source_port);
	return part;
}

static enum rule rule_of_flow(const struct explanation *explanation)
{
	if (!explanation->flow_is_new)
		return RULE_FLOW;
	if (explanation->flow.inside_is_server && explanation->forward != FORWARDS_MAX)
		return RULE_FORWARD;
	if (port_space(explanation->flow.protocol) < 0)
		return RULE_PORTLESS;
	return explanation->mapping_is_new ? RULE_NEW_MAPPING : RULE_MAPPING;
}

static enum rule rule_of(const struct engine *engine, const struct passage *passage,
			 const struct engine_counters *before, const struct explanation *explanation)
{
	const uint64_t *now = engine->counters->stat, *then = before->stat;

	switch (explanation->result.verdict) {
	case VERDICT_FORWARDED:
		break;
	case VERDICT_CONSUMED:
		return RULE_ROUTER;
	case VERDICT_HELD:
		return RULE_HELD;
	default:
		return RULE_NONE;
	}
	if (now[STAT_BYPASSED] != then[STAT_BYPASSED])
		return RULE_BYPASS;
	if (passage->ip.offset != 0)
		return RULE_FRAGMENT;
	if (passage->ip.protocol == PROTOCOL_ICMP && icmp_is_error(passage->transport.icmp_type))
		return RULE_ICMP_ERROR;
	if (now[STAT_HAIRPINNED] != then[STAT_HAIRPINNED])
		return RULE_HAIRPIN;
	if (explanation->outputs > 0 && explanation->output[0].to == SIDE_LAN &&
	    outside_find(engine, explanation->output[0].destination) != NULL)
		return RULE_ROUTER;
	if (explanation->has_flow)
		return rule_of_flow(explanation);
	return passage->ip.protocol == PROTOCOL_ESP ? RULE_COPIES : RULE_NONE;
}

static void tell_nearest(const struct engine *engine, struct explanation *explanation)
{
	struct drop_view view;
	uint64_t cursor = 0;

	if (explanation->result.verdict != VERDICT_DROPPED || !engine_next_drop(engine, &cursor, engine->now_ms, &view))
		return;
	explanation->has_nearest = view.has_mapping;
	explanation->nearest_address = view.mapping_address;
	explanation->nearest_port = view.mapping_port;
}

void engine_explain(struct engine *shadow, enum side from, struct packet *packet, uint64_t now_ms,
		    struct explanation *explanation)
{
	const struct engine_counters before = *shadow->counters;
	struct watch watch = {.explanation = explanation};
	const struct engine_sink sink = {.emit = emit, .context = &watch};
	struct passage passage;

	*explanation = (struct explanation){
		.forward = FORWARDS_MAX,
		.part = PART_NONE,
		.reader = SERVICE_NONE,
	};
	shadow->now_ms = now_ms;
	bool is_readable = read_packet(shadow, &passage, from, packet);
	engine_process(shadow, from, packet, 1, now_ms, &sink, &explanation->result);
	if (is_readable) {
		uint32_t index = flow_of(shadow, &passage, &watch, &explanation->result);
		if (index != NONE) {
			tell_flow(shadow, index, &before, explanation);
			explanation->shared_port = shared_port_of(&shadow->flow[index], &passage, &watch);
		}
		explanation->part = part_of(&passage, explanation);
	}
	if (explanation->part != PART_NONE)
		explanation->mode = shadow->config.mode[explanation->part];
	explanation->rule = rule_of(shadow, &passage, &before, explanation);
	explanation->is_hairpin = explanation->rule == RULE_HAIRPIN || explanation->flow.hairpin;
	/* What left about a packet that was dropped is an error, and went back. */
	bool left = explanation->outputs > 0 && explanation->result.verdict != VERDICT_DROPPED;
	bool goes_to_lan = left ? explanation->output[0].to == SIDE_LAN : from == SIDE_WAN;
	explanation->mtu = output_mtu(shadow, goes_to_lan ? SIDE_LAN : SIDE_WAN,
				      left ? explanation->output[0].destination : explanation->flow.inside_address);
	tell_nearest(shadow, explanation);
}
