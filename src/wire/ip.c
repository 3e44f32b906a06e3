/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading IPv4 headers; docs/nat-behaviour.md section 1. */
#include "wire/ip.h"

#include "wire/checksum.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_LSRR = 131, OPTION_SSRR = 137 };

static bool options_acceptable(const struct packet *packet, uint32_t end)
{
	uint32_t at = IP_HEADER_MIN;

	while (at < end) {
		uint8_t type = packet_get8(packet, at);
		if (type == OPTION_END)
			return true;
		if (type == OPTION_NOP) {
			at++;
			continue;
		}
		if (type == OPTION_LSRR || type == OPTION_SSRR || at + 2 > end)
			return false;
		uint8_t length = packet_get8(packet, at + 1);
		if (length < 2 || length > end - at)
			return false;
		at += length;
	}
	return true;
}

/* False if the lengths contradict each other. */
static bool read_fields(const struct packet *packet, uint32_t at, struct network_header *header)
{
	uint16_t total_length = packet_get16(packet, at + IP_OFFSET_TOTAL_LENGTH);
	uint16_t fragment = packet_get16(packet, at + IP_OFFSET_FRAGMENT);

	header->header_length = (uint16_t)((packet_get8(packet, at) & 15) * 4);
	header->payload_length = (uint16_t)(total_length - header->header_length);
	header->identification = packet_get16(packet, at + IP_OFFSET_IDENTIFICATION);
	header->offset = (uint16_t)((fragment & IP_FRAGMENT_MASK) * 8);
	header->df = (fragment & IP_FLAG_DF) != 0;
	header->mf = (fragment & IP_FLAG_MF) != 0;
	header->hop_limit = packet_get8(packet, at + IP_OFFSET_TTL);
	header->protocol = packet_get8(packet, at + IP_OFFSET_PROTOCOL);
	header->source = ip_get_address(packet, at + IP_OFFSET_SOURCE);
	header->destination = ip_get_address(packet, at + IP_OFFSET_DESTINATION);
	header->family = header->header_length >= IP_HEADER_MIN ? FAMILY_IPV4 : FAMILY_NONE;
	return header->family != FAMILY_NONE && total_length >= header->header_length;
}

/* A first fragment must hold what is translated. RFC 1858 and RFC 3128, which are about TCP alone: the flags must not
 * come with an offset of 8. The ports and checksum of UDP are in its first 8 bytes, so there that offset is legal. */
static enum drop fragment_acceptable(const struct network_header *header)
{
	uint32_t payload = header->payload_length;

	if (header->mf && (payload == 0 || payload % 8 != 0))
		return DROP_FRAGMENT_LENGTH;
	if (header->offset + payload > PACKET_LENGTH_MAX)
		return DROP_FRAGMENT_LENGTH;
	bool is_tcp = header->protocol == PROTOCOL_TCP;
	if (is_tcp && header->offset == 8)
		return DROP_FRAGMENT_TINY;
	if (header->offset == 0 && header->mf && payload < (is_tcp ? 20u : 8u))
		return DROP_FRAGMENT_TINY;
	return DROP_NONE;
}

enum drop ip_parse(struct packet *packet, struct network_header *header)
{
	header->family = FAMILY_NONE;
	if (packet->length == 0)
		return DROP_IP_SHORT;
	if (packet->data[0] >> 4 != 4)
		return DROP_IP_VERSION;
	if (packet->length < IP_HEADER_MIN)
		return DROP_IP_SHORT;
	if (!read_fields(packet, 0, header) || ip_length(header) > packet->length)
		return DROP_IP_SHORT;
	packet->length = ip_length(header);
	if (checksum_fold(checksum_add(0, packet->data, header->header_length)) != 0xffff)
		return DROP_IP_CHECKSUM;
	if (header->header_length > IP_HEADER_MIN && !options_acceptable(packet, header->header_length))
		return DROP_IP_OPTION;
	return ip_is_fragment(header) ? fragment_acceptable(header) : DROP_NONE;
}

bool ip_parse_quoted(const struct packet *packet, uint32_t offset, struct network_header *header)
{
	if (!packet_has(packet, offset, IP_HEADER_MIN) || packet_get8(packet, offset) >> 4 != 4)
		return false;
	if (!read_fields(packet, offset, header) || !packet_has(packet, offset, header->header_length))
		return false;
	return checksum_fold(checksum_add(0, packet->data + offset, header->header_length)) == 0xffff;
}

uint16_t ip_header_checksum(const struct packet *packet, uint32_t offset, uint32_t header_length)
{
	if (!packet_has(packet, offset, header_length))
		return 0;
	uint64_t sum = checksum_add(0, packet->data + offset, header_length);
	return (uint16_t)~checksum_fold(sum + (uint16_t)~packet_get16(packet, offset + IP_OFFSET_CHECKSUM));
}
