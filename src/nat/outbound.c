/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the LAN: docs/nat-behaviour.md section 2, and hairpins (RFC 4787 REQ-9), which go out as far as their outside
 * source and come straight back in.
 */
#include <culvert/verdict.h>

#include "nat/attempts.h"
#include "nat/call.h"
#include "nat/fragment.h"
#include "nat/host.h"
#include "nat/icmp_error.h"
#include "nat/icmp_quote.h"
#include "nat/mapping.h"
#include "nat/output.h"
#include "nat/passages.h"
#include "nat/reader.h"
#include "nat/rewrite.h"
#include "nat/sa.h"
#include "nat/session.h"

/* An error about the packet to its sender, from the router of the sender's network. */
static void answer(struct engine *engine, const struct passage *passage, uint8_t type, uint8_t code, uint32_t mtu)
{
	struct address router = host_inside(engine, passage->ip.source)->router_address;

	icmp_error_send(engine, passage, router, type, code, (uint16_t)mtu);
}

/* Refused by rule or for want of room: the sender is told at once (RFC 5508 REQ-8). */
static struct engine_result refuse(struct engine *engine, const struct passage *passage, enum drop reason)
{
	answer(engine, passage, ICMP_UNREACHABLE, ICMP_CODE_PROHIBITED, 0);
	return verdict_drop(reason);
}

static bool is_refusal(enum drop reason)
{
	return reason == DROP_PORTS_EXHAUSTED || reason == DROP_FLOWS_EXHAUSTED || reason == DROP_HOST_LIMIT ||
	       reason == DROP_HOSTS_EXHAUSTED || reason == DROP_OWNER_TAKEN;
}

static uint32_t find_or_open(struct engine *engine, const struct passage *passage, enum drop *why)
{
	uint32_t index = flow_find_outbound(engine, &passage->key, passage->hash);

	if (index != NONE && passage->ip.protocol == PROTOCOL_ICMP && icmp_is_answer(passage->transport.icmp_type) &&
	    !(engine->flow[index].flags & FLOW_FORWARD)) {
		*why = DROP_ICMP_NO_FLOW;
		return NONE;
	}
	return index != NONE ? index : session_open_outbound(engine, passage, why);
}

/* Data of a call is never a reason to open anything: its control connection does that. */
static uint32_t find_call(struct engine *engine, const struct passage *passage, enum drop *why)
{
	uint32_t index = flow_find_outbound(engine, &passage->key, passage->hash);

	if (index != NONE && call_passes(engine, index))
		return index;
	*why = DROP_GRE_NO_CALL;
	return NONE;
}

static struct engine_result too_big(struct engine *engine, const struct passage *passage, uint32_t mtu)
{
	answer(engine, passage, ICMP_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, mtu);
	return verdict_drop(DROP_TOO_BIG);
}

static struct engine_result send_out(struct engine *engine, struct passage *passage, uint32_t index)
{
	if (output_is_too_big(passage->packet, &passage->ip, SIDE_WAN, engine->config.wan_mtu))
		return too_big(engine, passage, engine->config.wan_mtu);
	struct engine_result inspected = reader_inspect(engine, &index, SIDE_LAN, passage);
	if (inspected.verdict != VERDICT_FORWARDED)
		return inspected;
	passage_account(engine, passage, index, SIDE_LAN);
	struct rewrite rewrite = rewrite_none(passage);
	rewrite_own_end(engine, index, SIDE_LAN, &rewrite);
	rewrite.identification = rewrite_identification(engine, passage, passage->ip.destination);
	rewrite_packet(passage->packet, &passage->ip, &passage->transport, &rewrite);
	rewrite_mss(engine, passage, SIDE_WAN, rewrite.destination);
	fragment_remember(passage, &rewrite, SIDE_WAN);
	output_send(engine, passage->packet, &passage->ip, passage->from, SIDE_WAN, passage->origin);
	return verdict_forwarded();
}

/* --- hairpins --- */

/* The kernel takes these as its own when they come back from the TUN. */
static bool is_for_the_router(struct engine *engine, const struct passage *passage, const struct outside *outside)
{
	uint16_t port = passage->transport.destination_port;
	uint32_t mapping;

	switch (passage->ip.protocol) {
	case PROTOCOL_TCP:
	case PROTOCOL_UDP:
		return port_is_of_host(engine, passage->ip.protocol, port);
	case PROTOCOL_ICMP:
		mapping = mapping_at(outside, PROTOCOL_ICMP, port);
		return icmp_is_request(passage->transport.icmp_type) &&
		       (mapping == NONE || !flow_mapping_is_alive(engine, mapping)) &&
		       !forward_find(engine, PROTOCOL_ICMP, 0);
	default:
		return false;
	}
}

/* Time to live and size of the whole way are judged before anything is changed. */
static struct engine_result hairpin_fits(struct engine *engine, const struct passage *passage, struct address called)
{
	uint32_t mtu = output_mtu(engine, SIDE_LAN, called);

	if (passage->ip.hop_limit <= 1) {
		answer(engine, passage, ICMP_TIME_EXCEEDED, 0, 0);
		return verdict_drop(DROP_IP_TTL);
	}
	if (output_is_too_big(passage->packet, &passage->ip, SIDE_LAN, mtu))
		return too_big(engine, passage, mtu);
	return verdict_forwarded();
}

static struct engine_result turn_round(struct engine *engine, struct passage *passage, struct rewrite *rewrite)
{
	rewrite_packet(passage->packet, &passage->ip, &passage->transport, rewrite);
	rewrite_mss(engine, passage, SIDE_LAN, rewrite->destination);
	fragment_remember(passage, rewrite, SIDE_LAN);
	count(engine, STAT_HAIRPINNED);
	output_send(engine, passage->packet, &passage->ip, passage->from, SIDE_LAN, passage->origin);
	return verdict_forwarded();
}

/* A query has one identifier: the called host sees the caller's outside one, and answers to it (RFC 7857 section 12).
 */
static struct engine_result hairpin_query(struct engine *engine, struct passage *passage, const struct target *target)
{
	enum drop why;
	struct engine_result fits = hairpin_fits(engine, passage, target->inside_address);

	if (fits.verdict != VERDICT_FORWARDED)
		return fits;
	uint32_t index = find_or_open(engine, passage, &why);
	if (index == NONE)
		return is_refusal(why) ? refuse(engine, passage, why) : verdict_drop(why);
	passage_account(engine, passage, index, SIDE_LAN);
	struct rewrite rewrite = rewrite_none(passage);
	rewrite_own_end(engine, index, SIDE_LAN, &rewrite);
	rewrite.destination = target->inside_address;
	return turn_round(engine, passage, &rewrite);
}

static struct engine_result hairpin_answer(struct engine *engine, struct passage *passage, struct outside *outside)
{
	struct flow_key key = {
		.local = outside->address,
		.local_port = passage->transport.source_port,
		.remote = host_outside(engine, passage->ip.source)->address,
		.protocol = PROTOCOL_ICMP,
	};
	uint32_t index = flow_find_inbound(engine, &key, flow_hash(engine, &key));

	if (index == NONE)
		return verdict_drop(DROP_ICMP_NO_FLOW);
	struct flow *flow = &engine->flow[index];
	struct engine_result fits = hairpin_fits(engine, passage, host_address(engine, flow->host));
	if (fits.verdict != VERDICT_FORWARDED)
		return fits;
	passage_account(engine, passage, index, SIDE_WAN);
	struct rewrite rewrite = rewrite_none(passage);
	rewrite.source = flow->remote_address;
	rewrite_own_end(engine, index, SIDE_WAN, &rewrite);
	return turn_round(engine, passage, &rewrite);
}

/* The flow of the called host towards the caller's outside endpoint. */
static uint32_t find_or_open_called(struct engine *engine, const struct flow *caller, struct knock *knock,
				    enum drop *why)
{
	struct flow_key key = {
		.local = knock->outside->address,
		.local_port = knock->port,
		.remote = caller->outside_address,
		.remote_port = caller->outside_port,
		.protocol = caller->protocol,
	};
	struct target target;
	uint32_t index = flow_find_inbound(engine, &key, flow_hash(engine, &key));

	if (index != NONE)
		return index;
	knock->remote = key.remote;
	knock->remote_port = key.remote_port;
	*why = session_find_target(engine, knock, &target);
	return *why == DROP_NONE ? session_open_inbound(engine, knock, &target, why) : NONE;
}

static bool is_called_already(struct engine *engine, const struct passage *passage)
{
	uint32_t index = flow_find_outbound(engine, &passage->key, passage->hash);

	return index != NONE;
}

static struct engine_result hairpin_session(struct engine *engine, struct passage *passage, struct knock *knock,
					    const struct target *target)
{
	enum drop why = DROP_NONE;
	struct engine_result fits = hairpin_fits(engine, passage, target->inside_address);

	if (fits.verdict != VERDICT_FORWARDED)
		return fits;
	uint32_t index = find_or_open(engine, passage, &why);
	if (index == NONE)
		return is_refusal(why) ? refuse(engine, passage, why) : verdict_drop(why);
	struct flow caller = engine->flow[index];
	uint32_t called = find_or_open_called(engine, &caller, knock, &why);
	if (called == NONE)
		return is_refusal(why) ? refuse(engine, passage, why)
				       : verdict_drop(why == DROP_UNSOLICITED ? DROP_HAIRPIN_NO_TARGET : why);
	struct engine_result inspected = reader_inspect(engine, &index, SIDE_LAN, passage);
	if (inspected.verdict == VERDICT_FORWARDED)
		inspected = reader_inspect(engine, &called, SIDE_WAN, passage);
	if (inspected.verdict != VERDICT_FORWARDED)
		return inspected;
	passage_account(engine, passage, index, SIDE_LAN);
	passage_account(engine, passage, called, SIDE_WAN);
	struct rewrite rewrite = rewrite_none(passage);
	rewrite_own_end(engine, called, SIDE_WAN, &rewrite);
	rewrite.source = caller.outside_address;
	rewrite.source_port = caller.outside_port; /* by which the called one's flow knows it */
	return turn_round(engine, passage, &rewrite);
}

/* Both halves of a call that runs between two inside hosts, in one pass. */
static struct engine_result hairpin_call(struct engine *engine, struct passage *passage, const struct outside *outside)
{
	enum drop why;
	uint32_t caller = find_call(engine, passage, &why);

	if (caller == NONE)
		return verdict_drop(why);
	struct flow_key key = {
		.local = outside->address,
		.remote = engine->flow[caller].outside_address,
		.local_port = passage->transport.gre.call_id,
		.protocol = PROTOCOL_GRE,
		.by = BY_LOCAL_ID,
	};
	uint32_t called = flow_find_inbound(engine, &key, flow_hash(engine, &key));
	if (called == NONE || !call_passes(engine, called))
		return verdict_drop(DROP_GRE_NO_CALL);
	struct engine_result fits = hairpin_fits(engine, passage, host_address(engine, engine->flow[called].host));
	if (fits.verdict != VERDICT_FORWARDED)
		return fits;
	passage_account(engine, passage, caller, SIDE_LAN);
	passage_account(engine, passage, called, SIDE_WAN);
	struct rewrite rewrite = rewrite_none(passage);
	rewrite_own_end(engine, caller, SIDE_LAN, &rewrite);
	rewrite_own_end(engine, called, SIDE_WAN, &rewrite);
	return turn_round(engine, passage, &rewrite);
}

static struct engine_result hairpin(struct engine *engine, struct passage *passage, struct outside *outside)
{
	struct target target;
	struct knock knock = {
		.outside = outside,
		.port = passage->transport.destination_port,
		.protocol = passage->ip.protocol,
		.tcp_flags = passage->transport.tcp.flags,
		.hairpin = true,
	};

	if (is_for_the_router(engine, passage, outside))
		return passage_forward_unchanged(engine, passage, SIDE_LAN);
	if (!engine->config.hairpinning)
		return verdict_drop(DROP_HAIRPIN_OFF);
	if (passage_is_call(passage))
		return hairpin_call(engine, passage, outside);
	if (port_space(passage->ip.protocol) < 0)
		return verdict_drop(DROP_HAIRPIN_NO_TARGET);
	if (passage->ip.protocol == PROTOCOL_ICMP && icmp_is_answer(passage->transport.icmp_type))
		return hairpin_answer(engine, passage, outside);
	/* A conversation under way needs no target; a new one is opened only if somebody is there to be called. */
	if (session_find_target(engine, &knock, &target) != DROP_NONE &&
	    (passage->ip.protocol == PROTOCOL_ICMP || !is_called_already(engine, passage)))
		return verdict_drop(DROP_HAIRPIN_NO_TARGET);
	if (passage->ip.protocol == PROTOCOL_ICMP)
		return hairpin_query(engine, passage, &target);
	return hairpin_session(engine, passage, &knock, &target);
}

static struct engine_result send_esp(struct engine *engine, struct passage *passage)
{
	struct engine_result otherwise;
	struct module_esp esp;
	uint32_t index = flow_find_outbound(engine, &passage->key, passage->hash);

	if (index == NONE)
		index = sa_find(engine, passage, host_outside(engine, passage->ip.source)->address, &esp, &otherwise);
	if (index != NONE)
		return send_out(engine, passage, index);
	return otherwise.verdict == VERDICT_DROPPED && is_refusal((enum drop)otherwise.drop)
		       ? refuse(engine, passage, (enum drop)otherwise.drop)
		       : otherwise;
}

static struct engine_result translate(struct engine *engine, struct passage *passage, struct outside *to_us)
{
	enum drop why = DROP_NONE;

	if (passage->fault != DROP_NONE)
		return verdict_drop(passage->fault);
	if (passage->ip.protocol == PROTOCOL_ICMP && icmp_is_error(passage->transport.icmp_type))
		return icmp_quote_outbound(engine, passage);
	if (to_us)
		return hairpin(engine, passage, to_us);
	if (passage->is_sa)
		return send_esp(engine, passage);
	uint32_t index =
		passage_is_call(passage) ? find_call(engine, passage, &why) : find_or_open(engine, passage, &why);
	if (index == NONE)
		return is_refusal(why) ? refuse(engine, passage, why) : verdict_drop(why);
	return send_out(engine, passage, index);
}

struct engine_result outbound_process(struct engine *engine, struct passage *passage)
{
	struct engine_result result;
	struct outside *to_us = outside_find(engine, passage->ip.destination);

	if (outside_find(engine, passage->ip.source))
		return verdict_drop(DROP_SOURCE_IS_OURS);
	if (!to_us && passage_in_bypass(engine, passage->ip.destination)) {
		count(engine, STAT_BYPASSED);
		return passage_forward_unchanged(engine, passage, SIDE_WAN);
	}
	if (engine->header->outside_count == 0 || engine->is_suspended) {
		answer(engine, passage, ICMP_UNREACHABLE, UNREACHABLE_NET, 0);
		return verdict_drop(DROP_NO_OUTSIDE_ADDRESS);
	}
	enum drop refusal = passage_refusal(engine, passage);
	if (refusal != DROP_NONE)
		attempt_note_blocked(engine, passage);
	if (refusal != DROP_NONE && !protocol_has_ports(passage->ip.protocol))
		return refuse(engine, passage, refusal);
	if (ip_is_fragment(&passage->ip) && fragment_arrive(engine, passage, &result))
		return result;
	result = refusal != DROP_NONE ? refuse(engine, passage, refusal) : translate(engine, passage, to_us);
	fragment_settle(engine, passage, result);
	return result;
}
