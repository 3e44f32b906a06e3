/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv4 (RFC 791): reading a header with every check, and the few fields that are changed. */
#ifndef CULVERT_WIRE_IP_H
#define CULVERT_WIRE_IP_H

#include <culvert/packet.h>
#include <culvert/types.h>

enum {
	IP_HEADER_MIN = 20,
	IP_OFFSET_TOTAL_LENGTH = 2,
	IP_OFFSET_IDENTIFICATION = 4,
	IP_OFFSET_FRAGMENT = 6,
	IP_OFFSET_TTL = 8,
	IP_OFFSET_PROTOCOL = 9,
	IP_OFFSET_CHECKSUM = 10,
	IP_OFFSET_SOURCE = 12,
	IP_OFFSET_DESTINATION = 16,
	IP_FLAG_DF = 0x4000,
	IP_FLAG_MF = 0x2000,
	IP_FRAGMENT_MASK = 0x1fff,
};

enum protocol {
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_GRE = 47,
	PROTOCOL_ESP = 50,
	PROTOCOL_AH = 51,
	PROTOCOL_L2TP = 115,
};

enum family {
	FAMILY_NONE = 0, /* no header was read, or there is none */
	FAMILY_IPV4 = 4,
};

/* What the engine needs to know of the header in front of the transport header, whichever its family. */
struct network_header {
	struct address source, destination;
	uint16_t header_length;  /* with options */
	uint16_t payload_length; /* what the header says is behind it */
	uint16_t identification;
	uint16_t offset; /* of this fragment in the payload of its datagram, in bytes */
	uint8_t family;  /* enum family */
	uint8_t protocol, hop_limit;
	bool df, mf; /* it may not be cut; more fragments follow */
};

static inline bool ip_is_fragment(const struct network_header *header)
{
	return header->mf || header->offset != 0;
}

/* All bytes from the header on. */
static inline uint32_t ip_length(const struct network_header *header)
{
	return (uint32_t)header->header_length + header->payload_length;
}

/*
 * Reads the header at the start of packet, checks lengths, checksum, options and fragment fields, and cuts the packet
 * to its total length. DROP_NONE, or the reason; then the header has a family if its fields were read. Addresses are
 * not judged.
 */
enum drop ip_parse(struct packet *packet, struct network_header *header);

/* Reads a header quoted at offset inside an ICMP error: lengths and checksum only; the quoted packet may be cut off. */
bool ip_parse_quoted(const struct packet *packet, uint32_t offset, struct network_header *header);

/* An address in a packet, at offset. */
static inline struct address ip_get_address(const struct packet *packet, uint32_t offset)
{
	return address_of(packet_get32(packet, offset));
}

static inline void ip_put_address(struct packet *packet, uint32_t offset, struct address address)
{
	packet_put32(packet, offset, address.v4);
}

/* The correct header checksum over header_length bytes at offset, whatever the field holds now. */
uint16_t ip_header_checksum(const struct packet *packet, uint32_t offset, uint32_t header_length);

/* 0/8, 127/8, 224/4, 240/4: never a host (RFC 1122 section 3.2.1.3). */
static inline bool ip_is_martian(struct address address)
{
	uint32_t top = address.v4 >> 24;
	return top == 0 || top == 127 || top >= 224;
}

#endif
