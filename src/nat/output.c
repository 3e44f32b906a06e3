/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes, fragmentation (RFC 791 section 3.2), and the sink. */
#include "nat/output.h"

#include <string.h>

#include "nat/host.h"
#include "wire/checksum.h"

uint32_t output_mtu(const struct engine *engine, enum side to, struct address address)
{
	return to == SIDE_LAN ? host_inside(engine, address)->mtu : engine->config.wan_mtu;
}

bool output_is_too_big(const struct packet *packet, const struct network_header *ip, enum side to, uint32_t mtu)
{
	if (transport_wire_size(packet, ip) <= mtu)
		return false;
	/* What may be cut is cut here on its way to the WAN, and by the kernel on its way from the TUN to the LAN. Of a
	 * merged packet its segments must be known for that. */
	return ip->df ||
	       (to == SIDE_WAN && packet->offload.gso_type != GSO_NONE && transport_parts_at(packet, ip) == 0);
}

/* Where a packet goes and what it stands for: of a packet that is cut only the first piece does not say so. */
struct way {
	enum side from, to;
	enum origin origin;
};

static void emit(struct engine *engine, struct packet *packet, struct way *way)
{
	engine->sink->emit(engine->sink->context, way->from, way->to, packet, way->origin);
	if (way->origin == ORIGIN_COPY)
		way->origin = ORIGIN_PIECE;
}

/* Copies the header for a later fragment: only options that say so are copied (RFC 791 section 3.1). Returns its
 * length. */
static uint32_t copy_later_header(uint8_t *to, const uint8_t *from, uint32_t header_length)
{
	uint32_t length = IP_HEADER_MIN;
	uint32_t at = IP_HEADER_MIN;

	memcpy(to, from, IP_HEADER_MIN);
	while (at < header_length && from[at] != 0) {
		uint32_t size = from[at] == 1 || at + 1 >= header_length ? 1 : from[at + 1];
		if (size == 0 || size > header_length - at)
			break;
		if (from[at] & 0x80) {
			memcpy(to + length, from + at, size);
			length += size;
		}
		at += size;
	}
	while (length % 4 != 0)
		to[length++] = 0;
	to[0] = (uint8_t)(0x40 | length / 4);
	return length;
}

static void send_piece(struct engine *engine, uint32_t header_length, uint32_t payload, uint32_t offset, bool more,
		       struct way *way)
{
	struct packet piece = {.data = engine->scratch, .length = header_length + payload};

	packet_put16(&piece, IP_OFFSET_TOTAL_LENGTH, (uint16_t)piece.length);
	packet_put16(&piece, IP_OFFSET_FRAGMENT, (uint16_t)(offset / 8 | (more ? IP_FLAG_MF : 0)));
	packet_put16(&piece, IP_OFFSET_CHECKSUM, ip_header_checksum(&piece, 0, header_length));
	count(engine, STAT_FRAGMENTS_MADE);
	emit(engine, &piece, way);
}

static void send_fragments(struct engine *engine, struct packet *packet, const struct network_header *ip,
			   struct way *way)
{
	uint32_t end = packet->length;
	uint32_t header_length = ip->header_length;

	transport_complete_checksum(packet);
	memcpy(engine->scratch, packet->data, header_length);
	for (uint32_t at = ip->header_length; at < end;) {
		/* An MTU of at least 68 leaves 8 bytes behind the largest header (RFC 791). */
		uint32_t room = (engine->config.wan_mtu - header_length) & ~7u;
		uint32_t payload = end - at < room ? end - at : room;
		uint32_t offset = ip->offset + (at - ip->header_length);
		memcpy(engine->scratch + header_length, packet->data + at, payload);
		send_piece(engine, header_length, payload, offset, ip->mf || at + payload < end, way);
		if (at == ip->header_length)
			header_length = copy_later_header(engine->scratch, packet->data, ip->header_length);
		at += payload;
	}
}

/* Each segment of a merged packet goes as a packet of its own, and in fragments if it must. */
static void send_segments(struct engine *engine, const struct packet *whole, const struct network_header *ip,
			  struct way *way)
{
	uint32_t header = transport_parts_at(whole, ip);

	for (uint32_t at = header; at < whole->length; at += whole->offload.gso_size) {
		struct packet segment = {.data = engine->parted};
		transport_part(whole, header, at, &segment);
		if (segment.length > engine->config.wan_mtu)
			send_fragments(engine, &segment, ip, way);
		else
			emit(engine, &segment, way);
	}
}

void output_send(struct engine *engine, struct packet *packet, const struct network_header *ip, enum side from,
		 enum side to, enum origin origin)
{
	struct way way = {from, to, origin};

	if (to == SIDE_LAN || transport_wire_size(packet, ip) <= engine->config.wan_mtu) {
		emit(engine, packet, &way);
		return;
	}
	way.origin = origin == ORIGIN_BATCH ? ORIGIN_COPY : origin;
	if (packet->offload.gso_type != GSO_NONE)
		send_segments(engine, packet, ip, &way);
	else
		send_fragments(engine, packet, ip, &way);
}
