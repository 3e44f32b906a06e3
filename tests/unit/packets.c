/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets for tests: see packets.h. Sums are always taken in full, the slow and obvious way.
 */
#include "packets.h"

#include <stdlib.h>
#include <string.h>

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

uint16_t packets_sum(const uint8_t *bytes, size_t length, uint32_t initial)
{
	uint64_t sum = initial;

	for (size_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	if (length & 1)
		sum += (uint32_t)bytes[length - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t packets_pseudo_sum(uint32_t source, uint32_t destination, uint8_t protocol, uint32_t length)
{
	uint8_t header[12];

	put32(header, source);
	put32(header + 4, destination);
	header[8] = 0;
	header[9] = protocol;
	put16(header + 10, length);
	return packets_sum(header, sizeof(header), 0);
}

void packets_fix_ip_checksum(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, (uint16_t)~packets_sum(ip, (size_t)(ip[0] & 15) * 4, 0));
}

/* Where the transport checksum of a protocol lies in its header; 0 if it has none. */
static uint32_t checksum_offset(uint8_t protocol)
{
	switch (protocol) {
	case PROTO_TCP:
		return 16;
	case PROTO_UDP:
		return 6;
	case PROTO_ICMP:
		return 2;
	default:
		return 0;
	}
}

static uint32_t total_length(const struct packet *packet)
{
	return packet_get16(packet, 2);
}

void packets_fix_transport_checksum(struct packet *packet)
{
	uint32_t ihl = packets_ihl(packet), total = total_length(packet);
	uint8_t protocol = packet_get8(packet, 9);
	uint32_t at = ihl + checksum_offset(protocol);
	uint32_t initial = 0;

	if (at == ihl || total > packet->length || total < at + 2 || packet->offload.partial)
		return;
	if (protocol != PROTO_ICMP)
		initial =
			packets_pseudo_sum(packets_source(packet), packets_destination(packet), protocol, total - ihl);
	packet_put16(packet, at, 0);
	uint16_t sum = (uint16_t)~packets_sum(packet->data + ihl, total - ihl, initial);
	if (protocol == PROTO_UDP && sum == 0)
		sum = 0xffff;
	packet_put16(packet, at, sum);
}

/* Writes the transport header at at and returns its length. */
static uint32_t build_transport(uint8_t *at, const struct packet_spec *spec, uint32_t payload_length)
{
	switch (spec->protocol) {
	case PROTO_TCP:
		put16(at, spec->source_port);
		put16(at + 2, spec->destination_port);
		put32(at + 4, spec->sequence);
		put32(at + 8, spec->acknowledge);
		at[12] = (uint8_t)((5 + spec->tcp_options_length / 4) << 4);
		at[13] = spec->flags;
		put16(at + 14, spec->window ? spec->window : 64240);
		put32(at + 16, 0);
		if (spec->tcp_options_length)
			memcpy(at + 20, spec->tcp_options, spec->tcp_options_length);
		return 20u + spec->tcp_options_length;
	case PROTO_UDP:
		put16(at, spec->source_port);
		put16(at + 2, spec->destination_port);
		put16(at + 4, 8 + payload_length);
		put16(at + 6, 0);
		return 8;
	case PROTO_ICMP:
		at[0] = spec->icmp_type;
		at[1] = spec->icmp_code;
		put16(at + 2, 0);
		if (spec->icmp_type == 3 || spec->icmp_type == 11 || spec->icmp_type == 12)
			put32(at + 4, spec->icmp_rest);
		else
			put32(at + 4, (uint32_t)spec->source_port << 16 | (spec->sequence & 0xffff));
		return 8;
	case PROTO_GRE:
		if (spec->enhanced) {
			put16(at, 0x2001);
			put16(at + 2, 0x880b);
			put16(at + 4, (uint16_t)spec->payload_length);
			put16(at + 6, spec->call_id);
			return 8;
		}
		put16(at, 0);
		put16(at + 2, 0x0800);
		return 4;
	case PROTO_ESP:
		put32(at, spec->spi);
		put32(at + 4, spec->sequence);
		return 8;
	default:
		return 0;
	}
}

static void build_offload(struct test_packet *out, const struct packet_spec *spec, uint32_t ihl, uint32_t header)
{
	struct packet *packet = &out->packet;
	uint32_t offset = checksum_offset(spec->protocol), total = packet->length;

	if (spec->gso_size) {
		packet->offload.gso_type = spec->protocol == PROTO_TCP ? GSO_TCP4 : GSO_UDP4;
		packet->offload.gso_size = spec->gso_size;
	}
	if ((spec->partial || spec->gso_size) && offset && spec->protocol != PROTO_ICMP && header) {
		packet->offload.partial = true;
		packet->offload.csum_start = (uint16_t)ihl;
		packet->offload.csum_offset = (uint16_t)offset;
		packet_put16(packet, ihl + offset,
			     packets_pseudo_sum(spec->source, spec->destination, spec->protocol, total - ihl));
	} else if (!(spec->protocol == PROTO_UDP && spec->udp_no_checksum) && header) {
		packets_fix_transport_checksum(packet);
	}
}

void packets_build(struct test_packet *out, const struct packet_spec *spec)
{
	uint32_t ihl = 20u + spec->ip_options_length;
	uint8_t *ip = out->bytes;
	uint32_t header = 0;

	memset(&out->packet, 0, sizeof(out->packet));
	out->packet.data = ip;
	memset(ip, 0, ihl);
	ip[0] = (uint8_t)(0x40 | ihl / 4);
	ip[1] = spec->tos;
	put16(ip + 4, spec->id);
	put16(ip + 6, (spec->df ? 0x4000u : 0) | (spec->mf ? 0x2000u : 0) | spec->fragment_offset / 8u);
	ip[8] = spec->ttl ? spec->ttl : spec->ttl_zero ? 0 : 64;
	ip[9] = spec->protocol;
	put32(ip + 12, spec->source);
	put32(ip + 16, spec->destination);
	if (spec->ip_options_length)
		memcpy(ip + 20, spec->ip_options, spec->ip_options_length);
	if (!spec->fragment_offset)
		header = build_transport(ip + ihl, spec, spec->payload_length);
	uint32_t room = PACKET_LENGTH_MAX - ihl - header;
	uint32_t payload_length = spec->payload_length < room ? spec->payload_length : room;
	for (uint32_t i = 0; i < payload_length; i++)
		ip[ihl + header + i] = spec->payload ? spec->payload[i] : (uint8_t)(i * 7 + spec->id + 1);
	out->packet.length = ihl + header + payload_length;
	put16(ip + 2, out->packet.length);
	packets_fix_ip_checksum(ip);
	build_offload(out, spec, ihl, header);
}

void packets_build_error(struct test_packet *out, uint32_t source, uint32_t destination, uint8_t type, uint8_t code,
			 uint32_t rest, const uint8_t *quote, uint32_t quote_length)
{
	packets_build(out, &(struct packet_spec){.protocol = PROTO_ICMP,
						 .source = source,
						 .destination = destination,
						 .icmp_type = type,
						 .icmp_code = code,
						 .icmp_rest = rest,
						 .payload = quote,
						 .payload_length = quote_length,
						 .tos = 0xc0});
	if (type != 3 && type != 11 && type != 12) {
		packet_put32(&out->packet, 24, rest);
		packets_fix_transport_checksum(&out->packet);
	}
}

void packets_build_fragment(struct test_packet *out, const struct test_packet *whole, uint32_t offset, uint32_t length)
{
	uint32_t ihl = packets_ihl(&whole->packet);
	uint32_t payload = whole->packet.length - ihl;

	if (offset > payload)
		offset = payload;
	if (length > payload - offset)
		length = payload - offset;
	memset(&out->packet, 0, sizeof(out->packet));
	out->packet.data = out->bytes;
	memcpy(out->bytes, whole->bytes, ihl);
	memcpy(out->bytes + ihl, whole->bytes + ihl + offset, length);
	out->packet.length = ihl + length;
	put16(out->bytes + 2, ihl + length);
	uint32_t flags = packet_get16(&whole->packet, 6) & 0xc000u;
	put16(out->bytes + 6, flags | (offset + length < payload ? 0x2000u : 0) | offset / 8);
	packets_fix_ip_checksum(out->bytes);
}

void packets_copy(struct test_packet *out, const struct packet *packet)
{
	out->packet = *packet;
	out->packet.data = out->bytes;
	memcpy(out->bytes, packet->data, packet->length <= PACKETS_CAPACITY ? packet->length : PACKETS_CAPACITY);
}

const char *packets_verify_ip(const struct packet *packet)
{
	uint32_t ihl = packets_ihl(packet);

	if (packet->length < 20 || packet->data[0] >> 4 != 4 || ihl < 20 || ihl > packet->length)
		return "the IPv4 header does not hold together";
	if (total_length(packet) != packet->length)
		return "the IPv4 total length is not the packet's length";
	if (packets_sum(packet->data, ihl, 0) != 0xffff)
		return "the IPv4 header checksum is wrong";
	return NULL;
}

const char *packets_verify(const struct packet *packet)
{
	const char *wrong = packets_verify_ip(packet);
	if (wrong)
		return wrong;
	uint32_t ihl = packets_ihl(packet);
	uint32_t length = packet->length - ihl;
	uint8_t protocol = packet_get8(packet, 9);
	uint32_t offset = checksum_offset(protocol);
	if (packet_get16(packet, 6) & 0x3fff || !offset || length < offset + 2)
		return NULL;
	uint16_t pseudo = protocol == PROTO_ICMP ? 0
						 : packets_pseudo_sum(packets_source(packet),
								      packets_destination(packet), protocol, length);
	uint16_t stored = packet_get16(packet, ihl + offset);
	if (packet->offload.partial) {
		if (packet->offload.csum_start != ihl || packet->offload.csum_offset != offset)
			return "the partial checksum's place is wrong";
		return stored % 65535 == pseudo % 65535 ? NULL : "the partial checksum is not the pseudo-header's sum";
	}
	if (protocol == PROTO_UDP && !stored)
		return NULL;
	if (packets_sum(packet->data + ihl, length, pseudo) != 0xffff)
		return "the transport checksum is wrong";
	return NULL;
}

void emissions_init(struct emissions *emissions)
{
	memset(emissions, 0, sizeof(*emissions));
	emissions->size = (size_t)8 << 20;
	emissions->memory = malloc(emissions->size);
	emissions->capacity = 8192;
	emissions->item = calloc(emissions->capacity, sizeof(*emissions->item));
	if (!emissions->memory || !emissions->item)
		abort();
}

void emissions_clear(struct emissions *emissions)
{
	emissions->count = 0;
	emissions->used = 0;
}

void emissions_free(struct emissions *emissions)
{
	free(emissions->memory);
	free(emissions->item);
	memset(emissions, 0, sizeof(*emissions));
}

void emissions_emit(void *context, enum side from, enum side to, struct packet *packet, enum origin origin)
{
	struct emissions *emissions = context;

	if (emissions->count == emissions->capacity || packet->length > emissions->size - emissions->used)
		abort(); /* a test that emits this much must clear in between */
	struct emission *item = &emissions->item[emissions->count++];
	item->to = to;
	item->from = from;
	item->origin = origin;
	item->packet = *packet;
	item->packet.data = emissions->memory + emissions->used;
	if (packet->length)
		memcpy(item->packet.data, packet->data, packet->length);
	emissions->used += packet->length;
}

const char *packets_check_conservation(const struct engine_counters *counters)
{
	for (int side = 0; side < SIDES; side++) {
		uint64_t sum = counters->forwarded[side] + counters->consumed[side] + counters->held[side];

		for (int reason = 1; reason < DROPS; reason++)
			sum += counters->dropped[side][reason];
		if (counters->dropped[side][DROP_NONE])
			return "packets were counted as dropped for no reason";
		if (sum != counters->received[side])
			return side == SIDE_LAN ? "LAN: received is not forwarded + consumed + held + dropped"
						: "WAN: received is not forwarded + consumed + held + dropped";
	}
	return NULL;
}
