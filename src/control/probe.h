/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets to ask the engine about: from the words that people use for them to bytes with right checksums.
 */
#ifndef CULVERT_CONTROL_PROBE_H
#define CULVERT_CONTROL_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/packet.h>
#include <culvert/types.h>

/* What identifies a packet beside its addresses and ports. */
enum probe_id {
	PROBE_NO_ID = 0,
	PROBE_CALL_ID,   /* enhanced GRE */
	PROBE_SPI,       /* ESP, ESP in UDP port 4500, or the low half of the initiator's SPI of IKE */
	PROBE_TUNNEL_ID, /* data of L2TP version 2 */
};

/* Addresses and numbers in host byte order. */
struct probe {
	uint8_t protocol;
	struct address source, destination;
	uint16_t source_port, destination_port; /* TCP and UDP; of ICMP source_port is the identifier */
	uint8_t tcp_flags;
	uint8_t icmp_type;
	enum probe_id id_kind;
	uint32_t id;
	uint32_t length; /* of the whole packet; at least what its headers need is made */
	uint8_t ttl;
	bool df;
	uint16_t offset; /* of a fragment, a multiple of 8; 0: a whole packet, or the first of several */
	bool more;       /* fragments follow */
	uint32_t sequence, acknowledgement; /* of TCP; sequence 0 stands for 1 */
	/* an ICMP error: what it quotes, and the low half of its second word */
	uint8_t icmp_code;
	uint16_t icmp_mtu;
	const uint8_t *quote;
	uint32_t quote_length;
};

enum {
	PROBE_TCP_FIN = 1,
	PROBE_TCP_SYN = 2,
	PROBE_TCP_RST = 4,
	PROBE_TCP_PSH = 8,
	PROBE_TCP_ACK = 16,
};

/* Builds the packet in memory of PACKET_LENGTH_MAX bytes. UDP to a port of IKE, NAT traversal or L2TP has a message of
 * that protocol: the start of an exchange, unless an identifier says otherwise. */
void probe_build(const struct probe *probe, struct packet *packet, uint8_t *memory);

#endif
