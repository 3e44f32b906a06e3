/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IKE (RFC 2408, RFC 7296) as a router sees it: the header, which is always in clear, what the first messages tell in
 * clear payloads, and the three kinds of datagrams that share UDP 4500 (RFC 3948 section 2).
 *
 * Everywhere offset is where the message starts in the packet, and length what the UDP header gives it. A packet that
 * is a first fragment may hold less: headers are read all the same, and payloads as far as they are there.
 */
#ifndef CULVERT_WIRE_IKE_H
#define CULVERT_WIRE_IKE_H

#include <culvert/packet.h>

enum {
	IKE_PORT = 500,
	NATT_PORT = 4500,
	IKE_HEADER = 28,
	NATT_MARKER = 4,  /* zero bytes before IKE on port 4500 */
	NATT_ESP_MIN = 8, /* SPI and sequence number */
};

/* The exchanges of version 1 (RFC 2408 section 3.1, RFC 2409 appendix A) and version 2 (RFC 7296 section 3.1). */
enum ike_exchange {
	IKE_MAIN_MODE = 2, /* identity protection */
	IKE_AGGRESSIVE_MODE = 4,
	IKE_INFORMATIONAL_V1 = 5,
	IKE_QUICK_MODE = 32,
	IKE_SA_INIT = 34,
	IKE_AUTH = 35,
	IKE_CREATE_CHILD_SA = 36,
	IKE_INFORMATIONAL = 37,
};

enum ike_flag {
	IKE_FLAG_ENCRYPTED = 0x01, /* version 1: all behind the header is encrypted */
	IKE_FLAG_INITIATOR = 0x08, /* version 2: from the side that started the IKE SA */
	IKE_FLAG_RESPONSE = 0x20,  /* version 2 */
};

struct ike_header {
	uint64_t initiator_spi, responder_spi; /* version 1: cookies */
	uint32_t message_id, length;           /* length: of the whole message, this header included */
	uint8_t next_payload;
	uint8_t version_major, version_minor;
	uint8_t exchange; /* enum ike_exchange, or one we have no name for */
	uint8_t flags;
};

/*
 * Reads the header. False if there are less than IKE_HEADER bytes, the initiator's SPI is 0, the major version is
 * neither 1 nor 2, or the message's own length is below the header or above length. Bytes behind the message are
 * allowed.
 */
bool ike_parse(const struct packet *packet, uint32_t offset, uint32_t length, struct ike_header *header);

/* The responder has not answered yet: its SPI is not known. */
static inline bool ike_is_initial(const struct ike_header *header)
{
	return header->responder_spi == 0;
}

/* A request of version 2. Version 1 does not tell in clear, so this is false for all its messages. */
static inline bool ike_is_request(const struct ike_header *header)
{
	return header->version_major == 2 && !(header->flags & IKE_FLAG_RESPONSE);
}

/* The exchange may create ESP or AH SAs: Quick Mode; IKE_AUTH and CREATE_CHILD_SA. */
static inline bool ike_opens_child(const struct ike_header *header)
{
	if (header->version_major == 1)
		return header->exchange == IKE_QUICK_MODE;
	return header->exchange == IKE_AUTH || header->exchange == IKE_CREATE_CHILD_SA;
}

/* Whose software it is, as far as a vendor ID tells. */
enum ike_software {
	IKE_SOFTWARE_UNKNOWN,
	IKE_SOFTWARE_WINDOWS,
	IKE_SOFTWARE_STRONGSWAN,
	IKE_SOFTWARE_LIBRESWAN,
	IKE_SOFTWARE_CISCO,
	IKE_SOFTWARES,
};

/* Notify types in clear: errors are below 16384 (RFC 2408 section 3.14.1, RFC 7296 section 3.10.1). */
enum ike_notify {
	IKE_NO_PROPOSAL_CHOSEN = 14,
	IKE_INVALID_KE_PAYLOAD = 17,
	IKE_NOTIFY_STATUS = 16384, /* from here on it is no error */
	IKE_NAT_DETECTION_SOURCE_IP = 16388,
	IKE_NAT_DETECTION_DESTINATION_IP = 16389,
	IKE_COOKIE = 16390,
	IKE_USE_TRANSPORT_MODE = 16391,
	IKE_FRAGMENTATION_SUPPORTED = 16430, /* RFC 7383 section 2.3 */
};

struct ike_facts {
	bool is_clear;      /* payloads could be read; else nothing below is known */
	bool is_malformed;  /* a length did not fit or there were too many payloads: the rest was not read */
	bool natt;          /* offers NAT traversal: a vendor ID of version 1, NAT detection of version 2 */
	bool natd;          /* sends hashes of addresses: NAT-D payload, or notifies of NAT detection */
	bool natoa;         /* an original address (RFC 3947 section 5.2), which belongs where it is encrypted */
	bool fragmentation; /* knows fragments of IKE's own */
	bool dpd;           /* dead peer detection of version 1 (RFC 3706) */
	bool cookie;        /* version 2: a notify COOKIE */
	bool transport;     /* version 2: a notify USE_TRANSPORT_MODE, which belongs where it is encrypted */
	uint16_t error;     /* the first error notify, or 0 */
	uint8_t software;   /* enum ike_software */
};

/*
 * Reads the payloads that are in clear: all of version 1 without the encryption flag, and IKE_SA_INIT of version 2.
 * At most 64 payloads are looked at. header is what ike_parse() made of the same message.
 */
void ike_read_clear(const struct packet *packet, uint32_t offset, uint32_t length, const struct ike_header *header,
		    struct ike_facts *facts);

/* "strongSwan" and so on; "unknown" if there is none. */
const char *ike_software_name(enum ike_software software);

/* What a datagram on UDP 4500 is (RFC 3948 section 2). */
enum natt_kind {
	NATT_SHORT,     /* none of these: too short, or a marker without room for IKE */
	NATT_KEEPALIVE, /* a single byte 0xff */
	NATT_IKE,       /* the message starts NATT_MARKER bytes further on; ike_parse() judges it */
	NATT_ESP,       /* SPI and sequence number, as in ESP of its own protocol */
};

enum natt_kind natt_classify(const struct packet *packet, uint32_t offset, uint32_t length);

#endif
