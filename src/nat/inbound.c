/* SPDX-License-Identifier: BSD-2-Clause */
/* From the WAN: docs/nat-behaviour.md section 4. */
#include <string.h>

#include <culvert/verdict.h>

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

static struct engine_result deliver(struct engine *engine, struct passage *passage, uint32_t index)
{
	struct address outside = engine->flow[index].outside_address;

	if (passage->ip.hop_limit <= 1) {
		icmp_error_send(engine, passage, outside, ICMP_TIME_EXCEEDED, 0, 0);
		return verdict_drop(DROP_IP_TTL);
	}
	uint32_t mtu = engine->config.inside[engine->host[engine->flow[index].host].inside].mtu;
	if (output_is_too_big(passage->packet, &passage->ip, SIDE_LAN, mtu)) {
		icmp_error_send(engine, passage, outside, ICMP_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED,
				(uint16_t)mtu);
		return verdict_drop(DROP_TOO_BIG);
	}
	struct engine_result inspected = reader_inspect(engine, &index, SIDE_WAN, passage);
	if (inspected.verdict != VERDICT_FORWARDED)
		return inspected;
	struct rewrite rewrite = rewrite_none(passage);
	rewrite_own_end(engine, index, SIDE_WAN, &rewrite);
	passage_account(engine, passage, index, SIDE_WAN);
	rewrite_packet(passage->packet, &passage->ip, &passage->transport, &rewrite);
	rewrite_mss(engine, passage, SIDE_LAN, rewrite.destination);
	fragment_remember(passage, &rewrite, SIDE_LAN);
	output_send(engine, passage->packet, &passage->ip, passage->from, SIDE_LAN, passage->origin);
	return verdict_forwarded();
}

/* An inside host's query is answered to it; a query from outside is for the router, unless a forward took it. */
static bool icmp_fits_flow(const struct passage *passage, const struct flow *flow)
{
	if (passage->ip.protocol != PROTOCOL_ICMP)
		return true;
	return icmp_is_request(passage->transport.icmp_type) == ((flow->flags & FLOW_FORWARD) != 0);
}

static bool is_of_host_connection(const struct engine *engine, const struct passage *passage)
{
	for (uint32_t i = 0; i < engine->config.kepts; i++) {
		const struct host_connection *kept = &engine->config.kept[i];
		if (address_equal(kept->remote, passage->ip.source) &&
		    address_equal(kept->local, passage->ip.destination) &&
		    kept->remote_port == passage->transport.source_port &&
		    kept->local_port == passage->transport.destination_port && kept->protocol == passage->ip.protocol)
			return true;
	}
	return false;
}

static bool is_for_the_router(const struct engine *engine, const struct passage *passage)
{
	uint16_t port = passage->transport.destination_port;

	switch (passage->ip.protocol) {
	case PROTOCOL_TCP:
		return port_set_has(&engine->config.open_tcp, port) || is_of_host_connection(engine, passage);
	case PROTOCOL_UDP:
		return port_set_has(&engine->config.open_udp, port) || is_of_host_connection(engine, passage);
	case PROTOCOL_ICMP:
		return icmp_is_answer(passage->transport.icmp_type) || !forward_find(engine, PROTOCOL_ICMP, 0);
	default:
		return false;
	}
}

/* The kernel has a copy of its own of each whole packet. Of fragments of TCP and UDP it has none: the guard's rules see
 * no ports in them. So it is given them by the TUN. */
static struct engine_result leave_to_router(struct engine *engine, struct passage *passage)
{
	if (!passage->set || !protocol_has_ports(passage->ip.protocol))
		return verdict_consumed();
	return passage_forward_unchanged(engine, passage, SIDE_LAN);
}

/* A datagram that a module knows more about than its ports say, for a port that inside hosts share or from a server
 * that answers from another port. NONE if it is none. */
static uint32_t find_claimed(struct engine *engine, const struct passage *passage, const struct knock *knock)
{
	enum service service = reader_service_at(engine, knock->port);
	uint32_t mapping = mapping_at(knock->outside, PROTOCOL_UDP, knock->port), sibling = NONE;

	if (service == SERVICE_NONE && mapping != NONE && flow_mapping_is_alive(engine, mapping)) {
		sibling = flow_mapping_peer(engine, mapping, knock->remote);
		service = sibling != NONE ? reader_service_of(engine, sibling) : SERVICE_NONE;
	}
	uint32_t claimed = service != SERVICE_NONE ? reader_claim(engine, passage, service) : NONE;
	if (claimed == NONE || engine->flow[claimed].outside_port != knock->port)
		return claimed;
	/* Another port of the server: a flow of its own, whatever the filtering rule says. */
	struct target target = {
		.mapping = engine->flow[claimed].mapping,
		.inside_address = host_address(engine, engine->flow[claimed].host),
		.inside_port = engine->flow[claimed].inside_port,
	};
	enum drop why;
	return session_open_inbound(engine, knock, &target, &why);
}

static struct engine_result knock_at(struct engine *engine, struct passage *passage, struct outside *outside)
{
	const struct flow_key *key = &passage->key;
	struct knock knock = {
		.outside = outside,
		.port = key->local_port,
		.remote = key->remote,
		.remote_port = key->remote_port,
		.protocol = key->protocol,
		.tcp_flags = passage->transport.tcp.flags,
		.enhanced = passage->ip.protocol == PROTOCOL_GRE && passage->transport.gre.is_enhanced,
	};
	struct target target;

	if (port_is_of_host(engine, knock.protocol, knock.port) && !forward_find(engine, knock.protocol, knock.port))
		return verdict_drop(DROP_NOT_OPEN);
	if (knock.protocol == PROTOCOL_UDP) {
		uint32_t claimed = find_claimed(engine, passage, &knock);
		if (claimed != NONE)
			return deliver(engine, passage, claimed);
	}
	enum drop why = session_find_target(engine, &knock, &target);
	if (why != DROP_NONE)
		return verdict_drop(why);
	uint32_t index = session_open_inbound(engine, &knock, &target, &why);
	return index == NONE ? verdict_drop(why) : deliver(engine, passage, index);
}

/* A copy to each of them: the wrong ones do not know the SPI. */
static struct engine_result fan_out(struct engine *engine, struct passage *passage, const struct module_esp *esp)
{
	if (passage->ip.hop_limit <= 1)
		return verdict_drop(DROP_IP_TTL);
	for (uint32_t i = 0; i < esp->copies_count; i++)
		if (output_is_too_big(passage->packet, &passage->ip, SIDE_LAN,
				      output_mtu(engine, SIDE_LAN, esp->copies[i])))
			return verdict_drop(DROP_TOO_BIG);
	for (uint32_t i = 0; i < esp->copies_count; i++) {
		struct packet copy = {.data = engine->parted, .length = passage->packet->length};
		struct rewrite rewrite = rewrite_none(passage);
		memcpy(copy.data, passage->packet->data, copy.length);
		rewrite.destination = esp->copies[i];
		rewrite_header(&copy, &passage->ip, &rewrite);
		output_send(engine, &copy, &passage->ip, passage->from, SIDE_LAN, i == 0 ? ORIGIN_COPY : ORIGIN_OWN);
	}
	return verdict_forwarded();
}

static struct engine_result deliver_esp(struct engine *engine, struct passage *passage, uint32_t index,
					struct address outside)
{
	struct engine_result otherwise;
	struct module_esp esp;

	if (index == NONE)
		index = sa_find(engine, passage, outside, &esp, &otherwise);
	if (index != NONE)
		return deliver(engine, passage, index);
	return otherwise.verdict == VERDICT_FORWARDED ? fan_out(engine, passage, &esp) : otherwise;
}

static struct engine_result translate(struct engine *engine, struct passage *passage, struct outside *outside)
{
	if (passage->fault != DROP_NONE)
		return verdict_drop(passage->fault);
	if (passage->ip.protocol == PROTOCOL_ICMP && icmp_is_error(passage->transport.icmp_type))
		return icmp_quote_inbound(engine, passage);
	uint32_t index = flow_find_inbound(engine, &passage->key, passage->hash);
	if (passage_is_call(passage))
		return index != NONE && call_passes(engine, index) ? deliver(engine, passage, index)
								   : verdict_drop(DROP_GRE_NO_CALL);
	if (passage->is_sa)
		return deliver_esp(engine, passage, index, outside->address);
	if (index != NONE && icmp_fits_flow(passage, &engine->flow[index]))
		return deliver(engine, passage, index);
	if (is_for_the_router(engine, passage))
		return leave_to_router(engine, passage);
	return knock_at(engine, passage, outside);
}

struct engine_result inbound_process(struct engine *engine, struct passage *passage)
{
	const struct network_header *ip = &passage->ip;
	struct engine_result result;

	if (outside_find(engine, ip->source))
		return verdict_drop(DROP_SOURCE_IS_OURS);
	if (inside_find(engine, ip->source))
		return verdict_drop(DROP_SOURCE_IS_INSIDE);
	struct outside *outside = outside_find(engine, ip->destination);
	if (!outside || engine->is_suspended) {
		if (!inside_find(engine, ip->destination) || !passage_in_bypass(engine, ip->source))
			return verdict_drop(DROP_NOT_FOR_US);
		count(engine, STAT_BYPASSED);
		return passage_forward_unchanged(engine, passage, SIDE_LAN);
	}
	enum drop refusal = passage_refusal(engine, passage);
	if (refusal != DROP_NONE && !protocol_has_ports(passage->ip.protocol))
		return verdict_drop(refusal);
	if (ip_is_fragment(ip) && fragment_arrive(engine, passage, &result))
		return result;
	result = refusal != DROP_NONE ? verdict_drop(refusal) : translate(engine, passage, outside);
	fragment_settle(engine, passage, result);
	return result;
}
