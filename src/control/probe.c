/* SPDX-License-Identifier: BSD-2-Clause */
/* Building packets: the payload first, then the transport header before it with the sum over both, then IPv4. */
#include "control/probe.h"

#include <string.h>

#include "wire/checksum.h"
#include "wire/ike.h"
#include "wire/ip.h"
#include "wire/l2tp.h"
#include "wire/transport.h"

enum { IP_HEADER = IP_HEADER_MIN, TCP_HEADER = TCP_HEADER_MIN };

static uint16_t sum_of(const struct packet *packet, uint32_t from, uint64_t sum)
{
	return (uint16_t)~checksum_fold(checksum_add(sum, packet->data + from, packet->length - from));
}

static uint64_t pseudo_sum(const struct probe *probe, uint32_t length)
{
	return checksum_pseudo(probe->source, probe->destination, probe->protocol, length);
}

/* --- messages in UDP; each returns its length --- */

/* RFC 7296 section 3.1: IKE_SA_INIT of an initiator, without payloads. */
static uint32_t put_ike(struct packet *packet, uint32_t at, const struct probe *probe)
{
	packet_put32(packet, at, 0x63756c76);
	packet_put32(packet, at + 4, probe->id_kind == PROBE_SPI ? probe->id : 1);
	packet_put8(packet, at + 17, 0x20);
	packet_put8(packet, at + 18, 34);
	packet_put8(packet, at + 19, 0x08);
	packet_put32(packet, at + 24, IKE_HEADER);
	return IKE_HEADER;
}

/* RFC 3948 section 2: ESP, or IKE behind four zero bytes. */
static uint32_t put_natt(struct packet *packet, uint32_t at, const struct probe *probe)
{
	if (probe->id_kind != PROBE_SPI)
		return 4 + put_ike(packet, at + 4, probe);
	packet_put32(packet, at, probe->id);
	packet_put32(packet, at + 4, 1);
	return 40;
}

/* RFC 2661 sections 3.1 and 6.1: data, or a request for a tunnel whose Tunnel ID is 1. */
static uint32_t put_l2tp(struct packet *packet, uint32_t at, const struct probe *probe)
{
	static const uint8_t request[] = {0xc8, 0x02, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, /* header */
					  0x80, 8,    0, 0,  0, 0, 0, 1,             /* SCCRQ */
					  0x80, 8,    0, 0,  0, 9, 0, 1};            /* Assigned Tunnel ID */

	if (probe->id_kind != PROBE_TUNNEL_ID) {
		for (uint32_t i = 0; i < sizeof(request); i++)
			packet_put8(packet, at + i, request[i]);
		return sizeof(request);
	}
	packet_put16(packet, at, 0x0002);
	packet_put16(packet, at + 2, (uint16_t)probe->id);
	packet_put16(packet, at + 4, 1);
	return 6 + 40;
}

static uint32_t put_message(struct packet *packet, uint32_t at, const struct probe *probe)
{
	const uint16_t ports[2] = {probe->destination_port, probe->source_port};

	for (int i = 0; i < 2; i++) {
		if (ports[i] == IKE_PORT)
			return put_ike(packet, at, probe);
		if (ports[i] == NATT_PORT)
			return put_natt(packet, at, probe);
		if (ports[i] == L2TP_PORT)
			return put_l2tp(packet, at, probe);
	}
	return 0;
}

/* --- transport headers; each returns the length of what must be there --- */

static uint32_t put_gre(struct packet *packet, const struct probe *probe)
{
	if (probe->id_kind != PROBE_CALL_ID) {
		packet_put16(packet, IP_HEADER + 2, 0x0800);
		return 4;
	}
	/* RFC 2637 section 4.1: PPP with a key of payload length and Call ID, and a sequence number. */
	packet_put16(packet, IP_HEADER, 0x3001);
	packet_put16(packet, IP_HEADER + 2, 0x880b);
	packet_put16(packet, IP_HEADER + 4, 32);
	packet_put16(packet, IP_HEADER + 6, (uint16_t)probe->id);
	return 12 + 32;
}

static uint32_t put_tcp(struct packet *packet, const struct probe *probe)
{
	packet_put16(packet, IP_HEADER, probe->source_port);
	packet_put16(packet, IP_HEADER + 2, probe->destination_port);
	packet_put32(packet, IP_HEADER + 4, probe->sequence ? probe->sequence : 1);
	packet_put32(packet, IP_HEADER + 8, probe->acknowledgement);
	packet_put8(packet, IP_HEADER + 12, TCP_HEADER / 4 << 4);
	packet_put8(packet, IP_HEADER + 13, probe->tcp_flags);
	packet_put16(packet, IP_HEADER + 14, 65535);
	return TCP_HEADER;
}

static uint32_t put_icmp(struct packet *packet, const struct probe *probe)
{
	packet_put8(packet, IP_HEADER, probe->icmp_type);
	packet_put8(packet, IP_HEADER + 1, probe->icmp_code);
	if (probe->quote) {
		packet_put16(packet, IP_HEADER + 6, probe->icmp_mtu);
		for (uint32_t i = 0; i < probe->quote_length; i++)
			packet_put8(packet, IP_HEADER + ICMP_HEADER + i, probe->quote[i]);
	} else {
		packet_put16(packet, IP_HEADER + 4, probe->source_port);
		packet_put16(packet, IP_HEADER + 6, 1);
	}
	return ICMP_HEADER + probe->quote_length;
}

static uint32_t put_transport(struct packet *packet, const struct probe *probe)
{
	switch (probe->protocol) {
	case PROTOCOL_TCP:
		return put_tcp(packet, probe);
	case PROTOCOL_UDP:
		packet_put16(packet, IP_HEADER, probe->source_port);
		packet_put16(packet, IP_HEADER + 2, probe->destination_port);
		return UDP_HEADER + put_message(packet, IP_HEADER + UDP_HEADER, probe);
	case PROTOCOL_ICMP:
		return put_icmp(packet, probe);
	case PROTOCOL_GRE:
		return put_gre(packet, probe);
	case PROTOCOL_ESP:
		packet_put32(packet, IP_HEADER, probe->id_kind == PROBE_SPI ? probe->id : 0x1000);
		packet_put32(packet, IP_HEADER + 4, 1);
		return 8 + 16;
	default:
		return 24;
	}
}

static void put_sum(struct packet *packet, const struct probe *probe)
{
	uint32_t length = packet->length - IP_HEADER;

	if (probe->protocol == PROTOCOL_TCP) {
		packet_put16(packet, IP_HEADER + 16, sum_of(packet, IP_HEADER, pseudo_sum(probe, length)));
	} else if (probe->protocol == PROTOCOL_UDP) {
		packet_put16(packet, IP_HEADER + 4, (uint16_t)length);
		uint16_t sum = sum_of(packet, IP_HEADER, pseudo_sum(probe, length));
		packet_put16(packet, IP_HEADER + 6, sum ? sum : 0xffff);
	} else if (probe->protocol == PROTOCOL_ICMP) {
		packet_put16(packet, IP_HEADER + 2, sum_of(packet, IP_HEADER, 0));
	}
}

void probe_build(const struct probe *probe, struct packet *packet, uint8_t *memory)
{
	memset(memory, 0, PACKET_LENGTH_MAX);
	*packet = (struct packet){.data = memory, .length = PACKET_LENGTH_MAX};
	/* A later fragment has no transport header, only some bytes. */
	uint32_t least = IP_HEADER + (probe->offset == 0 ? put_transport(packet, probe) : 8);
	packet->length = probe->length > least ? probe->length : least;
	if (packet->length > PACKET_LENGTH_MAX)
		packet->length = PACKET_LENGTH_MAX;
	if (probe->offset == 0)
		put_sum(packet, probe);
	packet_put8(packet, 0, 0x45);
	packet_put16(packet, 2, (uint16_t)packet->length);
	packet_put16(packet, 4, 0x4355);
	packet_put16(packet, 6, (uint16_t)((probe->df ? 0x4000 : 0) | (probe->more ? 0x2000 : 0) | probe->offset / 8));
	packet_put8(packet, 8, probe->ttl);
	packet_put8(packet, 9, probe->protocol);
	packet_put32(packet, 12, probe->source.v4);
	packet_put32(packet, 16, probe->destination.v4);
	struct packet header = {.data = memory, .length = IP_HEADER};
	packet_put16(packet, 10, sum_of(&header, 0, 0));
}
