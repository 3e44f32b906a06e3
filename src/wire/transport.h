/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the engine needs to know of TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792), GRE (RFC 2784) and ESP (RFC 4303):
 * ports or identifier, flags and sizes, read with every length checked.
 */
#ifndef CULVERT_WIRE_TRANSPORT_H
#define CULVERT_WIRE_TRANSPORT_H

#include "wire/gre.h"
#include "wire/ip.h"

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_CWR = 0x80,
	TCP_HEADER_MIN = 20,
	UDP_HEADER = 8,
	ICMP_HEADER = 8,
	/* offsets from the transport header */
	TCP_OFFSET_SEQUENCE = 4,
	TCP_OFFSET_FLAGS = 13,
	TCP_OFFSET_CHECKSUM = 16,
	UDP_OFFSET_LENGTH = 4,
	UDP_OFFSET_CHECKSUM = 6,
	ICMP_OFFSET_CHECKSUM = 2,
	ICMP_OFFSET_IDENTIFIER = 4,
	ICMP_OFFSET_MTU = 6,
};

enum icmp_type {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_REDIRECT = 5,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
	ICMP_TIMESTAMP = 13,
	ICMP_TIMESTAMP_REPLY = 14,
};
enum { ICMP_CODE_FRAGMENTATION_NEEDED = 4, ICMP_CODE_PROHIBITED = 13 };

struct tcp_segment {
	uint32_t sequence, acknowledgement;
	uint32_t length; /* in sequence space: data, SYN and FIN */
	uint16_t window;
	uint8_t flags;
	uint8_t header_length;
	int8_t window_scale; /* of a SYN; -1 if the option is not there */
};

/* RFC 4303 section 2. */
struct esp {
	uint32_t spi; /* never 0; chosen by the receiver of the packet */
	uint32_t sequence;
};

struct transport {
	uint16_t source_port, destination_port; /* ICMP queries: the identifier in both; portless: 0 */
	uint8_t icmp_type, icmp_code;
	struct tcp_segment tcp;
	struct gre gre;
	struct esp esp;
};

static inline bool protocol_has_ports(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP;
}

static inline bool icmp_is_error(uint8_t type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

static inline bool icmp_is_request(uint8_t type)
{
	return type == ICMP_ECHO || type == ICMP_TIMESTAMP;
}

static inline bool icmp_is_answer(uint8_t type)
{
	return type == ICMP_ECHO_REPLY || type == ICMP_TIMESTAMP_REPLY;
}

/* Reads the transport header of a whole packet or a first fragment; DROP_NONE or the reason. */
enum drop transport_parse(const struct packet *packet, const struct network_header *ip, struct transport *transport);

/* Reads only ports, type and identifier from the 8 bytes that every ICMP error quotes; false if they are not there. */
bool transport_parse_quoted(const struct packet *packet, uint32_t offset, uint8_t protocol,
			    struct transport *transport);

/* The checksum of a whole TCP segment is right, or left to a device. */
bool tcp_checksum_is_right(const struct packet *packet, const struct network_header *ip);

/* Gives one byte of a TCP segment another value; the checksum follows. */
void tcp_patch_byte(struct packet *packet, uint32_t offset, uint32_t at, uint8_t value);

/*
 * Gives two bytes of a UDP payload, at offset at from the start of the packet, another value; the checksum follows. A
 * datagram without a checksum stays without. Does nothing unless both bytes are in the packet and behind the header.
 */
void udp_patch16(struct packet *packet, uint32_t offset, uint32_t at, uint16_t value);

/* Lowers the MSS option of a SYN to most; true if it was higher. The checksum follows, also at odd alignment. */
bool tcp_clamp_mss(struct packet *packet, uint32_t offset, uint32_t header_length, uint16_t most);

/* Where the data of a merged packet's segments starts, from the IPv4 header; 0 if it is none, or one whose segments
 * cannot be told. The data of one segment are gso_size bytes, of the last one perhaps less. */
uint32_t transport_parts_at(const struct packet *packet, const struct network_header *ip);

/* Makes one segment or datagram of a merged packet whose data starts at header: the one whose data starts at at. The
 * part brings memory for it, of at least header + gso_size bytes; its checksum is partial, its identification counted
 * on from that of the whole. */
void transport_part(const struct packet *whole, uint32_t header, uint32_t at, struct packet *part);

/* Finishes a partial checksum in software; afterwards the packet needs no device. False if its fields point outside. */
bool transport_complete_checksum(struct packet *packet);

/* Bytes of the largest packet this becomes on the wire: headers + gso_size for packets still to be segmented. */
uint32_t transport_wire_size(const struct packet *packet, const struct network_header *ip);

#endif
