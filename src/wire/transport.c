/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading transport headers; docs/nat-behaviour.md section 2, steps 6 and 7. */
#include "wire/transport.h"

#include <string.h>

#include "wire/checksum.h"

enum { TCP_OPTION_END = 0, TCP_OPTION_NOP = 1, TCP_OPTION_MSS = 2, TCP_OPTION_SCALE = 3 };

/* Finds an option of the given kind and length; its offset from the start of the packet, or 0. */
static uint32_t tcp_find_option(const struct packet *packet, uint32_t at, uint32_t end, uint8_t kind, uint8_t length)
{
	while (at < end) {
		uint8_t here = packet_get8(packet, at);
		if (here == TCP_OPTION_END)
			return 0;
		if (here == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		uint8_t size = packet_get8(packet, at + 1);
		if (end - at < 2 || size < 2 || size > end - at)
			return 0;
		if (here == kind)
			return size == length ? at : 0;
		at += size;
	}
	return 0;
}

static enum drop tcp_parse(const struct packet *packet, const struct network_header *ip, struct transport *transport)
{
	uint32_t at = ip->header_length;
	struct tcp_segment *tcp = &transport->tcp;

	if (!packet_has(packet, at, TCP_HEADER_MIN))
		return DROP_TCP_MALFORMED;
	tcp->header_length = (uint8_t)((packet_get8(packet, at + 12) >> 4) * 4);
	if (tcp->header_length < TCP_HEADER_MIN || !packet_has(packet, at, tcp->header_length))
		return DROP_TCP_MALFORMED;
	tcp->flags = packet_get8(packet, at + 13);
	uint8_t flags = tcp->flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST);
	if (flags == 0 || ((flags & TCP_SYN) && (flags & (TCP_FIN | TCP_RST))))
		return DROP_TCP_FLAGS;
	tcp->sequence = packet_get32(packet, at + TCP_OFFSET_SEQUENCE);
	tcp->acknowledgement = packet_get32(packet, at + 8);
	tcp->window = packet_get16(packet, at + 14);
	tcp->length = packet->length - at - tcp->header_length + ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);
	tcp->window_scale = -1;
	if (flags & TCP_SYN) {
		uint32_t option =
			tcp_find_option(packet, at + TCP_HEADER_MIN, at + tcp->header_length, TCP_OPTION_SCALE, 3);
		if (option != 0) {
			uint8_t scale = packet_get8(packet, option + 2);
			tcp->window_scale = (int8_t)(scale > 14 ? 14 : scale);
		}
	}
	transport->source_port = packet_get16(packet, at);
	transport->destination_port = packet_get16(packet, at + 2);
	return transport->source_port == 0 || transport->destination_port == 0 ? DROP_PORT_ZERO : DROP_NONE;
}

static enum drop udp_parse(const struct packet *packet, const struct network_header *ip, struct transport *transport)
{
	uint32_t at = ip->header_length;

	if (!packet_has(packet, at, UDP_HEADER))
		return DROP_UDP_MALFORMED;
	uint16_t length = packet_get16(packet, at + UDP_OFFSET_LENGTH);
	if (length < UDP_HEADER || (!ip->mf && length > packet->length - at))
		return DROP_UDP_MALFORMED;
	transport->source_port = packet_get16(packet, at);
	transport->destination_port = packet_get16(packet, at + 2);
	return transport->source_port == 0 || transport->destination_port == 0 ? DROP_PORT_ZERO : DROP_NONE;
}

static enum drop icmp_parse(const struct packet *packet, const struct network_header *ip, struct transport *transport)
{
	uint32_t at = ip->header_length;

	if (!packet_has(packet, at, ICMP_HEADER))
		return DROP_ICMP_MALFORMED;
	if (!ip->mf && !packet->offload.partial &&
	    checksum_fold(checksum_add(0, packet->data + at, packet->length - at)) != 0xffff)
		return DROP_ICMP_CHECKSUM;
	transport->icmp_type = packet_get8(packet, at);
	transport->icmp_code = packet_get8(packet, at + 1);
	if (icmp_is_error(transport->icmp_type))
		return DROP_NONE;
	if (!icmp_is_request(transport->icmp_type) && !icmp_is_answer(transport->icmp_type))
		return DROP_ICMP_TYPE;
	transport->source_port = transport->destination_port = packet_get16(packet, at + ICMP_OFFSET_IDENTIFIER);
	return DROP_NONE;
}

static bool esp_parse(const struct packet *packet, uint32_t offset, struct esp *esp)
{
	if (!packet_has(packet, offset, 8))
		return false;
	esp->spi = packet_get32(packet, offset);
	esp->sequence = packet_get32(packet, offset + 4);
	return esp->spi != 0;
}

enum drop transport_parse(const struct packet *packet, const struct network_header *ip, struct transport *transport)
{
	transport->source_port = transport->destination_port = 0;
	switch (ip->protocol) {
	case PROTOCOL_TCP:
		return tcp_parse(packet, ip, transport);
	case PROTOCOL_UDP:
		return udp_parse(packet, ip, transport);
	case PROTOCOL_ICMP:
		return icmp_parse(packet, ip, transport);
	case PROTOCOL_GRE:
		return gre_parse(packet, ip->header_length, &transport->gre);
	case PROTOCOL_ESP:
		return esp_parse(packet, ip->header_length, &transport->esp) ? DROP_NONE : DROP_ESP_MALFORMED;
	default:
		return DROP_NONE;
	}
}

bool transport_parse_quoted(const struct packet *packet, uint32_t offset, uint8_t protocol, struct transport *transport)
{
	if (!packet_has(packet, offset, 8))
		return false;
	transport->source_port = transport->destination_port = 0;
	transport->icmp_type = 0;
	if (protocol_has_ports(protocol)) {
		transport->source_port = packet_get16(packet, offset);
		transport->destination_port = packet_get16(packet, offset + 2);
		transport->tcp.sequence = packet_get32(packet, offset + TCP_OFFSET_SEQUENCE);
	} else if (protocol == PROTOCOL_ESP) {
		return esp_parse(packet, offset, &transport->esp);
	} else if (protocol == PROTOCOL_GRE) {
		return gre_parse(packet, offset, &transport->gre) == DROP_NONE;
	} else if (protocol == PROTOCOL_ICMP) {
		transport->icmp_type = packet_get8(packet, offset);
		transport->source_port = transport->destination_port =
			packet_get16(packet, offset + ICMP_OFFSET_IDENTIFIER);
		return icmp_is_request(transport->icmp_type) || icmp_is_answer(transport->icmp_type);
	}
	return true;
}

bool tcp_checksum_is_right(const struct packet *packet, const struct network_header *ip)
{
	uint32_t at = ip->header_length, length = packet->length - at;

	if (packet->offload.partial)
		return true;
	uint64_t sum = checksum_pseudo(ip->source, ip->destination, PROTOCOL_TCP, length);
	return checksum_fold(checksum_add(sum, packet->data + at, length)) == 0xffff;
}

void tcp_patch_byte(struct packet *packet, uint32_t offset, uint32_t at, uint8_t value)
{
	uint8_t before = packet_get8(packet, at);

	packet_put8(packet, at, value);
	if (packet->offload.partial || before == value)
		return;
	bool is_high = (at - offset) % 2 == 0;
	uint32_t delta = is_high ? checksum_delta16((uint16_t)(before << 8), (uint16_t)(value << 8))
				 : checksum_delta16(before, value);
	uint16_t checksum = packet_get16(packet, offset + TCP_OFFSET_CHECKSUM);
	packet_put16(packet, offset + TCP_OFFSET_CHECKSUM, checksum_patch(checksum, delta));
}

void udp_patch16(struct packet *packet, uint32_t offset, uint32_t at, uint16_t value)
{
	uint16_t before = packet_get16(packet, at);
	uint16_t checksum = packet_get16(packet, offset + UDP_OFFSET_CHECKSUM);

	if (offset > packet->length || at < offset + UDP_HEADER || !packet_has(packet, at, 2))
		return;
	packet_put16(packet, at, value);
	/* A partial checksum covers only the pseudo-header; the device will sum the new bytes. */
	if (packet->offload.partial || checksum == 0)
		return;
	uint32_t delta = checksum_delta16(before, value);
	if ((at - offset) % 2 != 0)
		delta = checksum_swap(delta);
	checksum = checksum_patch(checksum, delta);
	/* 0 would mean that there is none (RFC 768). */
	packet_put16(packet, offset + UDP_OFFSET_CHECKSUM, checksum == 0 ? 0xffff : checksum);
}

bool tcp_clamp_mss(struct packet *packet, uint32_t offset, uint32_t header_length, uint16_t most)
{
	uint32_t option = tcp_find_option(packet, offset + TCP_HEADER_MIN, offset + header_length, TCP_OPTION_MSS, 4);

	if (option == 0)
		return false;
	uint16_t before = packet_get16(packet, option + 2);
	if (before <= most)
		return false;
	packet_put16(packet, option + 2, most);
	/* A partial checksum covers only the pseudo-header; the device will sum the new option. */
	if (packet->offload.partial)
		return true;
	uint32_t delta = checksum_delta16(before, most);
	if ((option - offset) % 2 != 0)
		delta = checksum_swap(delta);
	uint16_t checksum = packet_get16(packet, offset + TCP_OFFSET_CHECKSUM);
	packet_put16(packet, offset + TCP_OFFSET_CHECKSUM, checksum_patch(checksum, delta));
	return true;
}

uint32_t transport_parts_at(const struct packet *packet, const struct network_header *ip)
{
	uint32_t at = ip->header_length;
	bool is_tcp = packet->offload.gso_type == GSO_TCP4;

	if (packet->offload.gso_type == GSO_NONE || packet->offload.gso_size == 0 || ip_is_fragment(ip) ||
	    ip->protocol != (is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP))
		return 0;
	uint32_t header = is_tcp ? (uint32_t)(packet_get8(packet, at + 12) >> 4) * 4 : UDP_HEADER;
	if (is_tcp && header < TCP_HEADER_MIN)
		return 0;
	return at + header < packet->length ? at + header : 0;
}

/* RFC 9293: the sequence number counts bytes, and what ends the data ends it once. RFC 3168 section 6.1.2: CWR is said
 * once, by the first. */
static void part_tcp(const struct packet *whole, uint32_t tcp, uint32_t done, bool is_last, struct packet *part)
{
	uint8_t flags = packet_get8(whole, tcp + TCP_OFFSET_FLAGS);

	if (!is_last)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (done > 0)
		flags &= (uint8_t)~TCP_CWR;
	packet_put8(part, tcp + TCP_OFFSET_FLAGS, flags);
	packet_put32(part, tcp + TCP_OFFSET_SEQUENCE, packet_get32(whole, tcp + TCP_OFFSET_SEQUENCE) + done);
}

void transport_part(const struct packet *whole, uint32_t header, uint32_t at, struct packet *part)
{
	uint32_t transport = (uint32_t)(packet_get8(whole, 0) & 15) * 4, left = whole->length - at;
	uint32_t length = left < whole->offload.gso_size ? left : whole->offload.gso_size;
	uint16_t number = (uint16_t)((at - header) / whole->offload.gso_size);
	bool is_tcp = whole->offload.gso_type == GSO_TCP4;

	memcpy(part->data, whole->data, header);
	memcpy(part->data + header, whole->data + at, length);
	part->length = header + length;
	part->offload = (struct offload){
		.partial = true,
		.csum_start = (uint16_t)transport,
		.csum_offset = is_tcp ? TCP_OFFSET_CHECKSUM : UDP_OFFSET_CHECKSUM,
	};
	packet_put16(part, IP_OFFSET_TOTAL_LENGTH, (uint16_t)part->length);
	packet_put16(part, IP_OFFSET_IDENTIFICATION,
		     (uint16_t)(packet_get16(whole, IP_OFFSET_IDENTIFICATION) + number));
	packet_put16(part, IP_OFFSET_CHECKSUM, ip_header_checksum(part, 0, transport));
	if (is_tcp)
		part_tcp(whole, transport, at - header, length == left, part);
	else
		packet_put16(part, transport + UDP_OFFSET_LENGTH, (uint16_t)(UDP_HEADER + length));
	uint64_t pseudo =
		checksum_pseudo(ip_get_address(part, IP_OFFSET_SOURCE), ip_get_address(part, IP_OFFSET_DESTINATION),
				is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP, part->length - transport);
	packet_put16(part, transport + part->offload.csum_offset, checksum_fold(pseudo));
}

bool transport_complete_checksum(struct packet *packet)
{
	uint32_t start = packet->offload.csum_start;
	uint32_t field = start + packet->offload.csum_offset;

	if (!packet->offload.partial)
		return true;
	if (start > packet->length || !packet_has(packet, field, 2))
		return false;
	uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, packet->data + start, packet->length - start));
	/* 0 in a UDP header would mean that there is no checksum; the other form of zero is right for all protocols. */
	packet_put16(packet, field, sum == 0 ? 0xffff : sum);
	packet->offload.partial = false;
	return true;
}

uint32_t transport_wire_size(const struct packet *packet, const struct network_header *ip)
{
	if (packet->offload.gso_type == GSO_NONE)
		return packet->length;
	uint32_t header = ip->header_length;
	header += packet->offload.gso_type == GSO_UDP4 ? UDP_HEADER
						       : (uint32_t)(packet_get8(packet, header + 12) >> 4) * 4;
	uint32_t size = header + packet->offload.gso_size;
	return size < packet->length ? size : packet->length;
}
