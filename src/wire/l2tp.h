/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L2TP over UDP: version 2 (RFC 2661) and version 3 (RFC 3931 section 4.1.2). Headers of control and data messages,
 * and the attributes (AVPs) of control messages that name tunnels and hosts.
 *
 * Everywhere offset is where the message starts in the packet, and length what the UDP header gives it. A packet that
 * is a first fragment may hold less: headers are read all the same, and attributes as far as they are there.
 *
 * The IDs in a header are those that the receiver has assigned. The ones in attributes are the sender's own.
 */
#ifndef CULVERT_WIRE_L2TP_H
#define CULVERT_WIRE_L2TP_H

#include <culvert/packet.h>

enum { L2TP_PORT = 1701, L2TP_NAME_MAX = 64 };

/* Control messages (RFC 2661 section 3.2; RFC 3931 section 3.1 adds the last one). */
enum l2tp_message {
	L2TP_SCCRQ = 1,
	L2TP_SCCRP = 2,
	L2TP_SCCCN = 3,
	L2TP_STOPCCN = 4,
	L2TP_HELLO = 6,
	L2TP_OCRQ = 7,
	L2TP_OCRP = 8,
	L2TP_OCCN = 9,
	L2TP_ICRQ = 10,
	L2TP_ICRP = 11,
	L2TP_ICCN = 12,
	L2TP_CDN = 14,
	L2TP_WEN = 15,
	L2TP_SLI = 16,
	L2TP_ACK = 20,
};

struct l2tp_header {
	uint8_t version; /* 2 or 3 */
	bool is_control;
	bool has_sequence;       /* ns and nr count; always so in control messages */
	uint32_t tunnel;         /* Tunnel ID; version 3: Control Connection ID, and 0 in data */
	uint32_t session;        /* Session ID; version 3: 0 in control messages */
	uint32_t tunnel_at;      /* where the tunnel's ID stands in the packet, 0 if nowhere: 2 bytes, version 3: 4 */
	uint16_t ns, nr;         /* sequence numbers */
	uint32_t header_length;  /* padding of the offset field included; version 3: without the cookie of data */
	uint32_t payload_length; /* what follows the header; 0 in a control message: it only acknowledges (ZLB) */
};

/*
 * Reads a header. False if it does not fit into length or the packet, the version is neither 2 nor 3, a control
 * message lacks length or sequence numbers or has offset or priority (RFC 2661 section 3.1), or a length field is
 * above length or below the header. Bytes behind the message are allowed.
 */
bool l2tp_parse(const struct packet *packet, uint32_t offset, uint32_t length, struct l2tp_header *header);

/* A zero-length body: the message does nothing but acknowledge (RFC 2661 section 5.8). */
static inline bool l2tp_is_zlb(const struct l2tp_header *header)
{
	return header->is_control && header->payload_length == 0;
}

/* An ID that an attribute assigns. */
struct l2tp_id {
	bool has;       /* the attribute is there */
	bool is_hidden; /* and encrypted (RFC 2661 section 4.3): value and at are 0 */
	uint32_t value;
	uint32_t at; /* where the value stands in the packet: 2 bytes, those of version 3 take 4 */
};

struct l2tp_name {
	bool has, is_hidden;
	char text[L2TP_NAME_MAX]; /* only printable ASCII is kept; ends with NUL; cut if it is long */
};

struct l2tp_facts {
	bool is_malformed;      /* a length did not fit, an ID came twice, too many attributes: the rest was not read */
	uint16_t message;       /* enum l2tp_message, or one we have no name for; 0 if it was not to be seen */
	bool has_result;        /* result and error count; StopCCN and CDN have them */
	uint16_t result;        /* why it ended (RFC 2661 section 4.4.2) */
	uint16_t error;         /* more about it, 0 if there is nothing */
	bool has_digest;        /* Message Digest (version 3): no byte of the message may be changed */
	struct l2tp_id tunnel;  /* Assigned Tunnel ID (9) */
	struct l2tp_id session; /* Assigned Session ID (14) */
	struct l2tp_id connection;     /* version 3: Assigned Control Connection ID (61) */
	struct l2tp_id local_session;  /* version 3: Local Session ID (63), the sender's own */
	struct l2tp_id remote_session; /* version 3: Remote Session ID (64), the receiver's or 0 */
	struct l2tp_name host, vendor; /* Host Name (7), Vendor Name (8) */
};

/*
 * Reads the attributes of a control message, at most 64 of them; for data all facts are empty. Both versions'
 * attributes are looked for in both: an SCCRQ may serve version 2 and 3 at once (RFC 3931 section 4.7.3). header is
 * what l2tp_parse() made of the same message.
 */
void l2tp_read_control(const struct packet *packet, uint32_t offset, const struct l2tp_header *header,
		       struct l2tp_facts *facts);

#endif
