/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors passing through; docs/nat-behaviour.md section 7. */
#include "nat/icmp_quote.h"

#include <culvert/verdict.h>

#include "nat/attempts.h"
#include "nat/flow.h"
#include "nat/fragment.h"
#include "nat/host.h"
#include "nat/icmp_error.h"
#include "nat/output.h"
#include "nat/reader.h"
#include "nat/rewrite.h"
#include "nat/sa.h"
#include "nat/tcp.h"
#include "wire/checksum.h"

enum { QUOTE_WORDS_MIN = 32 };

/* The packet quoted in an error. */
struct quote {
	uint32_t at;        /* of its IPv4 header */
	uint32_t transport; /* of its transport header */
	uint32_t end;       /* where what was quoted ends: the rest is padding or extensions (RFC 4884) */
	struct network_header ip;
	struct transport ports;
};

static enum drop quote_parse(const struct engine *engine, struct passage *passage, struct quote *quote)
{
	struct packet *packet = passage->packet;
	uint32_t icmp = passage->ip.header_length;

	if (!transport_complete_checksum(packet))
		return DROP_ICMP_MALFORMED;
	quote->at = icmp + ICMP_HEADER;
	if (!ip_parse_quoted(packet, quote->at, &quote->ip) || quote->ip.offset != 0)
		return DROP_ICMP_QUOTE_MALFORMED;
	quote->transport = quote->at + quote->ip.header_length;
	quote->end = quote->at + ip_length(&quote->ip);
	uint32_t words = packet_get8(packet, icmp + 5);
	/* Shorter ones than RFC 4884 section 4 allows are somebody's other use of that byte. */
	if (words >= QUOTE_WORDS_MIN && quote->at + words * 4 < quote->end)
		quote->end = quote->at + words * 4;
	if (packet->length < quote->end)
		quote->end = packet->length;
	if (!address_equal(quote->ip.source, passage->ip.destination) ||
	    !transport_parse_quoted(packet, quote->transport, quote->ip.protocol, &quote->ports))
		return DROP_ICMP_QUOTE_MALFORMED;
	if (!engine->tells_calls)
		quote->ports.gre.is_call = false;
	return DROP_NONE;
}

/* Writes a word and gives the delta for the checksum around it. */
static uint32_t put16(struct packet *packet, uint32_t at, uint16_t value)
{
	uint32_t delta = checksum_delta16(packet_get16(packet, at), value);

	packet_put16(packet, at, value);
	return delta;
}

/* The quoted transport checksum, where it was quoted at all. UDP without one stays without. */
static uint32_t patch_quoted_checksum(struct packet *packet, const struct quote *quote, uint32_t addresses,
				      uint32_t ports)
{
	uint32_t field;

	switch (quote->ip.protocol) {
	case PROTOCOL_TCP:
		field = TCP_OFFSET_CHECKSUM;
		break;
	case PROTOCOL_UDP:
		field = UDP_OFFSET_CHECKSUM;
		break;
	case PROTOCOL_ICMP:
		field = ICMP_OFFSET_CHECKSUM;
		addresses = 0;
		break;
	default:
		return 0;
	}
	uint32_t at = quote->transport + field;
	if (at + 2 > quote->end)
		return 0;
	uint16_t before = packet_get16(packet, at);
	if (quote->ip.protocol == PROTOCOL_UDP && before == 0)
		return 0;
	uint16_t after = checksum_patch(before, addresses + ports);
	return put16(packet, at, quote->ip.protocol == PROTOCOL_UDP && after == 0 ? 0xffff : after);
}

/* Gives one endpoint of the quoted packet another address and port, and patches the error's own checksum. */
static void rewrite_quote(struct passage *passage, const struct quote *quote, bool source, struct address address,
			  uint16_t port)
{
	struct packet *packet = passage->packet;
	uint32_t at = quote->at + (source ? IP_OFFSET_SOURCE : IP_OFFSET_DESTINATION);
	uint32_t addresses = checksum_delta_address(ip_get_address(packet, at), address);
	uint32_t ports = 0;

	ip_put_address(packet, at, address);
	uint32_t delta = addresses;
	uint16_t header = packet_get16(packet, quote->at + IP_OFFSET_CHECKSUM);
	delta += put16(packet, quote->at + IP_OFFSET_CHECKSUM, checksum_patch(header, addresses));
	if (protocol_has_ports(quote->ip.protocol))
		ports = put16(packet, quote->transport + (source ? 0 : 2), port);
	else if (quote->ip.protocol == PROTOCOL_ICMP)
		ports = put16(packet, quote->transport + ICMP_OFFSET_IDENTIFIER, port);
	else if (quote->ip.protocol == PROTOCOL_GRE && quote->ports.gre.is_call && !source)
		ports = put16(packet, quote->transport + GRE_OFFSET_CALL_ID, port);
	delta += ports;
	delta += patch_quoted_checksum(packet, quote, addresses, ports);
	uint32_t field = passage->ip.header_length + ICMP_OFFSET_CHECKSUM;
	packet_put16(packet, field, checksum_patch(packet_get16(packet, field), delta));
}

static void take_identifier(const struct engine *engine, const struct quote *quote, struct flow_key *key,
			    enum key_by by)
{
	const struct gre *gre = &quote->ports.gre;

	if (quote->ip.protocol == PROTOCOL_ESP && engine->tells_sas) {
		key->by = (uint8_t)by;
		flow_key_take_spi(key, quote->ports.esp.spi);
	}
	if (quote->ip.protocol != PROTOCOL_GRE)
		return;
	if (gre->is_call) {
		key->by = (uint8_t)by;
		*(by == BY_LOCAL_ID ? &key->local_port : &key->remote_port) = gre->call_id;
	} else if (gre->has_key) {
		key->local_port = (uint16_t)(gre->key >> 16);
		key->remote_port = (uint16_t)gre->key;
	}
}

static uint32_t flow_of_quote_inbound(struct engine *engine, const struct quote *quote)
{
	struct flow_key key = {
		.local = quote->ip.source,
		.local_port = quote->ports.source_port,
		.remote = quote->ip.destination,
		.remote_port = protocol_has_ports(quote->ip.protocol) ? quote->ports.destination_port : 0,
		.protocol = quote->ip.protocol,
	};

	/* A packet we sent carries the Call ID or SPI of the remote end. */
	take_identifier(engine, quote, &key, BY_REMOTE_ID);
	return flow_find_inbound(engine, &key, flow_hash(engine, &key));
}

static uint32_t flow_of_quote_outbound(struct engine *engine, const struct quote *quote)
{
	struct flow_key key = {
		.local = quote->ip.destination,
		.local_port = quote->ports.destination_port,
		.remote = quote->ip.source,
		.remote_port = protocol_has_ports(quote->ip.protocol) ? quote->ports.source_port : 0,
		.protocol = quote->ip.protocol,
	};

	/* A packet we delivered carries the Call ID or SPI of the inside end. */
	take_identifier(engine, quote, &key, BY_LOCAL_ID);
	return flow_find_outbound(engine, &key, flow_hash(engine, &key));
}

/* The router's own packets come back as errors, too. */
static bool quote_is_of_host(const struct engine *engine, const struct quote *quote)
{
	switch (quote->ip.protocol) {
	case PROTOCOL_TCP:
	case PROTOCOL_UDP:
		return port_is_of_host(engine, quote->ip.protocol, quote->ports.source_port);
	case PROTOCOL_ICMP:
		return icmp_is_request(quote->ports.icmp_type);
	default:
		return false;
	}
}

/* An off-path attacker may lower the path MTU or break a connection with errors: not without knowing what was sent. */
static enum drop error_is_credible(const struct engine *engine, const struct quote *quote, uint32_t flow)
{
	if (quote->ip.protocol == PROTOCOL_TCP &&
	    !tcp_is_in_flight(&engine->track[flow].tcp, SIDE_LAN, quote->ports.tcp.sequence))
		return DROP_ICMP_QUOTE_WINDOW;
	return DROP_NONE;
}

/* Fragmentation needed goes on (RFC 5508 REQ-4): whether a small MTU is believed, the inside host decides, which has a
 * floor of its own. Only an MTU that no link can have is raised to the least that each has; 0 says that it is not told
 * (RFC 1191 section 4). */
static void raise_mtu(struct passage *passage)
{
	uint32_t icmp = passage->ip.header_length;
	uint16_t mtu = packet_get16(passage->packet, icmp + ICMP_OFFSET_MTU);

	if (passage->transport.icmp_type != ICMP_UNREACHABLE ||
	    passage->transport.icmp_code != ICMP_CODE_FRAGMENTATION_NEEDED || mtu == 0 || mtu >= MTU_FLOOR)
		return;
	uint32_t delta = put16(passage->packet, icmp + ICMP_OFFSET_MTU, MTU_FLOOR);
	uint16_t checksum = packet_get16(passage->packet, icmp + ICMP_OFFSET_CHECKSUM);
	packet_put16(passage->packet, icmp + ICMP_OFFSET_CHECKSUM, checksum_patch(checksum, delta));
}

static struct engine_result send_error(struct engine *engine, struct passage *passage, const struct rewrite *rewrite,
				       enum side to)
{
	uint32_t mtu = output_mtu(engine, to, rewrite->destination);

	if (output_is_too_big(passage->packet, &passage->ip, to, mtu))
		return verdict_drop(DROP_TOO_BIG);
	rewrite_header(passage->packet, &passage->ip, rewrite);
	fragment_remember(passage, rewrite, to);
	count(engine, STAT_ICMP_TRANSLATED);
	output_send(engine, passage->packet, &passage->ip, passage->from, to, passage->origin);
	return verdict_forwarded();
}

struct engine_result icmp_quote_inbound(struct engine *engine, struct passage *passage)
{
	struct quote quote;
	enum drop drop = quote_parse(engine, passage, &quote);

	if (drop != DROP_NONE)
		return verdict_drop(drop);
	uint32_t index = flow_of_quote_inbound(engine, &quote);
	if (quote.ip.protocol == PROTOCOL_UDP)
		index = reader_quoted(engine, index, passage, quote.transport, quote.ip.source, quote.ip.destination);
	if (index == NONE || (engine->flow[index].flags & FLOW_HAIRPIN))
		return quote_is_of_host(engine, &quote) ? verdict_consumed() : verdict_drop(DROP_ICMP_QUOTE_UNKNOWN);
	drop = error_is_credible(engine, &quote, index);
	if (drop != DROP_NONE)
		return verdict_drop(drop);
	if (passage->ip.hop_limit <= 1)
		return verdict_drop(DROP_IP_TTL);
	attempt_note_error(engine, index, passage->transport.icmp_type, passage->transport.icmp_code,
			   passage->ip.source);
	const struct flow *flow = &engine->flow[index];
	struct rewrite rewrite = rewrite_none(passage);
	rewrite.destination = host_address(engine, flow->host);
	rewrite_quote(passage, &quote, true, rewrite.destination, flow->inside_port);
	raise_mtu(passage);
	return send_error(engine, passage, &rewrite, SIDE_LAN);
}

/* The quote as it was seen by another inside host, between two outside endpoints. */
static struct engine_result turn_error(struct engine *engine, struct passage *passage, const struct quote *quote,
				       struct address called_address, uint16_t called_port, uint32_t sender_index)
{
	const struct flow *sender = &engine->flow[sender_index];
	struct rewrite rewrite = rewrite_none(passage);

	rewrite_quote(passage, quote, false, called_address, called_port);
	rewrite.source = called_address;
	rewrite.destination = host_address(engine, sender->host);
	rewrite_quote(passage, quote, true, rewrite.destination, sender->inside_port);
	count(engine, STAT_HAIRPINNED);
	return send_error(engine, passage, &rewrite, SIDE_LAN);
}

/* A hairpinned query gave the called host no flow: only the caller's own flow knows of it. */
static struct engine_result hairpinned_query_error(struct engine *engine, struct passage *passage,
						   const struct quote *quote)
{
	if (quote->ip.protocol != PROTOCOL_ICMP || !outside_find(engine, quote->ip.source))
		return verdict_drop(DROP_ICMP_QUOTE_UNKNOWN);
	struct quote turned = *quote;
	turned.ip.destination = host_outside(engine, quote->ip.destination)->address;
	uint32_t caller = flow_of_quote_inbound(engine, &turned);
	if (caller == NONE)
		return verdict_drop(DROP_ICMP_QUOTE_UNKNOWN);
	return turn_error(engine, passage, quote, turned.ip.destination, quote->ports.source_port, caller);
}

/* Servers read enhanced GRE by raw sockets, and a kernel tells all of those that talk to an address when that address
 * says unreachable. But one host's hang-up is no news of the others. What a path MTU needs goes on. */
static bool speaks_for_all_calls(const struct transport *transport)
{
	return transport->icmp_type == ICMP_UNREACHABLE && transport->icmp_code != ICMP_CODE_FRAGMENTATION_NEEDED;
}

struct engine_result icmp_quote_outbound(struct engine *engine, struct passage *passage)
{
	struct quote quote;
	enum drop drop = quote_parse(engine, passage, &quote);

	if (drop != DROP_NONE)
		return verdict_drop(drop);
	uint32_t index = flow_of_quote_outbound(engine, &quote);
	if (index == NONE)
		return hairpinned_query_error(engine, passage, &quote);
	const struct flow *flow = &engine->flow[index];
	if ((flow->flags & FLOW_CALL) && speaks_for_all_calls(&passage->transport))
		return verdict_drop(DROP_ICMP_OTHER_CALLS);
	if (!(flow->flags & FLOW_HAIRPIN)) {
		struct rewrite rewrite = rewrite_none(passage);
		rewrite.source = flow->outside_address;
		rewrite.identification = rewrite_identification(engine, passage, passage->ip.destination);
		rewrite_quote(passage, &quote, false, flow->outside_address, flow_port_used(engine, index));
		return send_error(engine, passage, &rewrite, SIDE_WAN);
	}
	struct quote turned = quote;
	turned.ip.destination = flow->outside_address;
	turned.ports.destination_port = turned.ports.gre.call_id = flow->outside_port;
	uint32_t caller = flow_of_quote_inbound(engine, &turned);
	if (caller == NONE)
		return verdict_drop(DROP_ICMP_QUOTE_UNKNOWN);
	return turn_error(engine, passage, &quote, flow->outside_address, flow->outside_port, caller);
}

/* --- what did not leave --- */

/* Turns the error about a packet as it left into one about it as it came, for the inside host that sent it. */
static bool translate_own(struct engine *engine, struct packet *error)
{
	struct passage passage = {.packet = error, .from = SIDE_WAN};
	struct quote quote;

	if (ip_parse(error, &passage.ip) != DROP_NONE || quote_parse(engine, &passage, &quote) != DROP_NONE)
		return false;
	uint32_t index = flow_of_quote_inbound(engine, &quote);
	if (quote.ip.protocol == PROTOCOL_UDP)
		index = reader_quoted(engine, index, &passage, quote.transport, quote.ip.source, quote.ip.destination);
	if (index == NONE || (engine->flow[index].flags & FLOW_HAIRPIN))
		return false;
	struct rewrite rewrite = rewrite_none(&passage);
	rewrite.destination = host_address(engine, engine->flow[index].host);
	rewrite_quote(&passage, &quote, true, rewrite.destination, engine->flow[index].inside_port);
	rewrite_header(error, &passage.ip, &rewrite);
	return true;
}

void engine_undeliverable(struct engine *engine, const struct packet *packet, enum unreachable code, uint64_t now_ms,
			  const struct engine_sink *sink)
{
	struct packet left = *packet, error;
	struct passage passage = {.packet = &left, .from = SIDE_LAN};

	engine->now_ms = now_ms;
	engine->sink = sink;
	if (ip_parse_quoted(&left, 0, &passage.ip)) {
		bool is_inside = inside_find(engine, passage.ip.source) != NULL;
		struct address router = host_inside(engine, passage.ip.source)->router_address;
		/* A source that is inside is that of a destination which is not translated. */
		if ((is_inside || outside_find(engine, passage.ip.source)) &&
		    icmp_error_make(engine, &passage, router, ICMP_UNREACHABLE, (uint8_t)code, 0, &error) &&
		    (is_inside || translate_own(engine, &error)))
			icmp_error_emit(engine, SIDE_LAN, &error);
	}
	engine->sink = NULL;
}
