/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet as it crosses the layers: bytes that start at the IPv4 header, and the offload facts the kernel
 * handed over beside them. The memory belongs to whoever called; nobody below keeps a pointer to it.
 *
 * All reads and writes of packet bytes go through the checked accessors here. They take an offset from the
 * first byte of the IPv4 header and fail closed: a read outside the packet gives 0, a write outside does
 * nothing. Parsers ask packet_has() first, so these answers are a second fence and not a way of working.
 * Byte order exists only here: everything outside is in host order.
 */
#ifndef CULVERT_PACKET_H
#define CULVERT_PACKET_H

#include <stdbool.h>
#include <stdint.h>

enum { PACKET_LENGTH_MAX = 65535 };

/* What segmentation the device still has to do; the values say nothing about the kernel's own numbers. */
enum gso_type {
	GSO_NONE = 0,
	GSO_TCP4,
	GSO_UDP4, /* UDP segmentation (USO): each gso_size bytes of payload become a datagram of their own */
};

struct offload {
	uint8_t gso_type;     /* enum gso_type */
	bool partial;         /* the transport checksum holds only the pseudo-header sum */
	uint16_t gso_size;    /* payload bytes of each segment, if gso_type is set */
	uint16_t csum_start;  /* where the sum starts, from the IPv4 header, if partial */
	uint16_t csum_offset; /* where the sum is stored, from csum_start, if partial */
};

struct packet {
	uint8_t *data;   /* first byte of the IPv4 header */
	uint32_t length; /* bytes at data; may exceed the IPv4 total length by link padding */
	struct offload offload;
};

static inline bool packet_has(const struct packet *packet, uint32_t offset, uint32_t count)
{
	return offset <= packet->length && count <= packet->length - offset;
}

static inline uint8_t packet_get8(const struct packet *packet, uint32_t offset)
{
	return packet_has(packet, offset, 1) ? packet->data[offset] : 0;
}

static inline uint16_t packet_get16(const struct packet *packet, uint32_t offset)
{
	if (!packet_has(packet, offset, 2))
		return 0;
	return (uint16_t)(packet->data[offset] << 8 | packet->data[offset + 1]);
}

static inline uint32_t packet_get32(const struct packet *packet, uint32_t offset)
{
	if (!packet_has(packet, offset, 4))
		return 0;
	return (uint32_t)packet->data[offset] << 24 | (uint32_t)packet->data[offset + 1] << 16 |
	       (uint32_t)packet->data[offset + 2] << 8 | packet->data[offset + 3];
}

static inline void packet_put8(struct packet *packet, uint32_t offset, uint8_t value)
{
	if (packet_has(packet, offset, 1))
		packet->data[offset] = value;
}

static inline void packet_put16(struct packet *packet, uint32_t offset, uint16_t value)
{
	if (!packet_has(packet, offset, 2))
		return;
	packet->data[offset] = (uint8_t)(value >> 8);
	packet->data[offset + 1] = (uint8_t)value;
}

static inline void packet_put32(struct packet *packet, uint32_t offset, uint32_t value)
{
	if (!packet_has(packet, offset, 4))
		return;
	packet->data[offset] = (uint8_t)(value >> 24);
	packet->data[offset + 1] = (uint8_t)(value >> 16);
	packet->data[offset + 2] = (uint8_t)(value >> 8);
	packet->data[offset + 3] = (uint8_t)value;
}

#endif
