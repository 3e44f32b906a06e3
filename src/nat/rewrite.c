/* SPDX-License-Identifier: BSD-2-Clause */
/* Changing packets in place. */
#include "nat/rewrite.h"

#include "nat/flow.h"
#include "nat/output.h"
#include "nat/passages.h"

#include "wire/checksum.h"

enum { IDENT_SALT = 4 };

struct rewrite rewrite_none(const struct passage *passage)
{
	return (struct rewrite){
		.source = passage->ip.source,
		.destination = passage->ip.destination,
		.source_port = passage->transport.source_port,
		.destination_port =
			passage_is_call(passage) ? passage->transport.gre.call_id : passage->transport.destination_port,
		.identification = passage->ip.identification,
	};
}

void rewrite_own_end(const struct engine *engine, uint32_t index, enum side from, struct rewrite *to)
{
	const struct flow *flow = &engine->flow[index];

	if (from == SIDE_LAN) {
		to->source = flow->outside_address;
		to->source_port = flow_port_used(engine, index);
		return;
	}
	to->destination = host_address(engine, flow->host);
	if (flow->protocol == PROTOCOL_ICMP)
		to->source_port = flow->inside_port;
	else
		to->destination_port = flow->inside_port;
}

void rewrite_header(struct packet *packet, const struct network_header *ip, const struct rewrite *to)
{
	uint32_t delta = checksum_delta_address(ip->source, to->source) +
			 checksum_delta_address(ip->destination, to->destination) +
			 checksum_delta16(ip->identification, to->identification);

	ip_put_address(packet, IP_OFFSET_SOURCE, to->source);
	ip_put_address(packet, IP_OFFSET_DESTINATION, to->destination);
	packet_put16(packet, IP_OFFSET_IDENTIFICATION, to->identification);
	uint16_t checksum = packet_get16(packet, IP_OFFSET_CHECKSUM);
	packet_put16(packet, IP_OFFSET_CHECKSUM, checksum_patch(checksum, delta));
}

/* The partial checksum is the one we would patch; offload of an inner header leaves ours complete. */
static bool is_partial_at(const struct packet *packet, uint32_t start, uint32_t field)
{
	return packet->offload.partial && packet->offload.csum_start == start && packet->offload.csum_offset == field;
}

static void patch_checksum(struct packet *packet, uint32_t transport, uint32_t field, uint32_t addresses,
			   uint32_t ports, bool zero_is_none)
{
	uint16_t checksum = packet_get16(packet, transport + field);

	if (is_partial_at(packet, transport, field)) {
		packet_put16(packet, transport + field, checksum_patch_partial(checksum, addresses));
		return;
	}
	if (zero_is_none && checksum == 0)
		return;
	checksum = checksum_patch(checksum, addresses + ports);
	packet_put16(packet, transport + field, zero_is_none && checksum == 0 ? 0xffff : checksum);
}

void rewrite_packet(struct packet *packet, const struct network_header *ip, const struct transport *transport,
		    const struct rewrite *to)
{
	uint32_t at = ip->header_length;
	uint32_t addresses = checksum_delta_address(ip->source, to->source) +
			     checksum_delta_address(ip->destination, to->destination);
	uint32_t ports = checksum_delta16(transport->source_port, to->source_port);

	rewrite_header(packet, ip, to);
	if (ip->protocol == PROTOCOL_ICMP) {
		packet_put16(packet, at + ICMP_OFFSET_IDENTIFIER, to->source_port);
		patch_checksum(packet, at, ICMP_OFFSET_CHECKSUM, 0, ports, false);
		return;
	}
	/* No checksum of enhanced GRE covers its Call ID (RFC 2637 section 4.1). */
	if (ip->protocol == PROTOCOL_GRE && transport->gre.is_call)
		packet_put16(packet, at + GRE_OFFSET_CALL_ID, to->destination_port);
	if (!protocol_has_ports(ip->protocol))
		return;
	ports += checksum_delta16(transport->destination_port, to->destination_port);
	packet_put16(packet, at, to->source_port);
	packet_put16(packet, at + 2, to->destination_port);
	if (ip->protocol == PROTOCOL_TCP)
		patch_checksum(packet, at, TCP_OFFSET_CHECKSUM, addresses, ports, false);
	else
		patch_checksum(packet, at, UDP_OFFSET_CHECKSUM, addresses, ports, true);
}

void rewrite_mss(struct engine *engine, struct passage *passage, enum side to, struct address destination)
{
	if (!engine->config.clamp_mss || passage->ip.protocol != PROTOCOL_TCP ||
	    !(passage->transport.tcp.flags & TCP_SYN))
		return;
	uint32_t mtu = engine->config.wan_mtu;
	const uint32_t ends[] = {output_mtu(engine, passage->from, passage->ip.source),
				 output_mtu(engine, to, destination)};
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		mtu = ends[i] < mtu ? ends[i] : mtu;
	uint16_t most = (uint16_t)(mtu - IP_HEADER_MIN - TCP_HEADER_MIN);
	if (tcp_clamp_mss(passage->packet, passage->ip.header_length, passage->transport.tcp.header_length, most))
		count(engine, STAT_MSS_CLAMPED);
}

uint16_t rewrite_identification(struct engine *engine, const struct passage *passage, struct address destination)
{
	const struct packet *packet = passage->packet;

	if (passage->ip.df)
		return passage->ip.identification;
	/* A packet that the device cuts into segments uses one identification for each. */
	uint32_t segments = 1;
	if (packet->offload.gso_type != GSO_NONE && packet->offload.gso_size > 0)
		segments = packet->length / packet->offload.gso_size + 1;
	/* Keyed: who sees the identifications towards one destination does not learn those towards another one that has
	 * the same counter (RFC 7739 section 5.3). */
	uint64_t hash = siphash(&engine->header->hash_key, address_word(destination), IDENT_SALT);
	uint16_t *next = &engine->header->ident[hash >> (64 - IDENT_BITS)];
	uint16_t identification = (uint16_t)(hash + *next);
	*next = (uint16_t)(*next + segments);
	return identification;
}
