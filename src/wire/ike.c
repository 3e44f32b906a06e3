/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading IKE: each payload of a message says which kind the next one is and how long it is itself; the walk goes
 * forward by at least the four bytes of such a header and ends at the message's own length.
 */
#include "wire/ike.h"

#include <stddef.h>
#include <string.h>

enum {
	PAYLOADS_MAX = 64,
	PAYLOAD_HEADER = 4,
	/* version 1; NAT traversal had other numbers in its drafts 1 to 3 and 4 to 8 */
	V1_NOTIFY = 11,
	V1_VENDOR = 13,
	V1_NATD_DRAFT8 = 15,
	V1_NATOA_DRAFT8 = 16,
	V1_NATD = 20,
	V1_NATOA = 21,
	V1_NATD_DRAFT3 = 130,
	V1_NATOA_DRAFT3 = 131,
	V1_FRAGMENT = 132, /* no RFC has it, Windows and Cisco's software do */
	/* version 2 */
	V2_NOTIFY = 41,
	V2_VENDOR = 43,
	V2_ENCRYPTED = 46,
	V2_ENCRYPTED_FRAGMENT = 53,
	/* offsets in a notify's body */
	V1_NOTIFY_TYPE = 6,
	V2_NOTIFY_TYPE = 2,
};

enum vendor_meaning { MEANS_NATT, MEANS_FRAGMENTATION, MEANS_DPD, MEANS_SOFTWARE };

/*
 * What begins like this is that vendor ID; versions may follow. Most are MD5 sums: of "RFC 3947", of the names of its
 * drafts, of "FRAGMENTATION", "MS NT5 ISAKMPOAKLEY", "strongSwan" and "CISCO-UNITY". Drafts 0 and 1 are not there:
 * they kept ESP on port 500.
 */
static const struct vendor {
	uint8_t length;
	uint8_t meaning;  /* enum vendor_meaning */
	uint8_t software; /* enum ike_software */
	char bytes[17];
} vendors[] = {
	{16, MEANS_NATT, 0, "\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f"},
	{16, MEANS_NATT, 0, "\x90\xcb\x80\x91\x3e\xbb\x69\x6e\x08\x63\x81\xb5\xec\x42\x7b\x1f"}, /* 2, with a newline */
	{16, MEANS_NATT, 0, "\xcd\x60\x46\x43\x35\xdf\x21\xf8\x7c\xfd\xb2\xfc\x68\xb6\xa4\x48"}, /* 2 */
	{16, MEANS_NATT, 0, "\x7d\x94\x19\xa6\x53\x10\xca\x6f\x2c\x17\x9d\x92\x15\x52\x9d\x56"}, /* 3 */
	{16, MEANS_FRAGMENTATION, 0, "\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3"},
	{14, MEANS_DPD, 0, "\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57"},
	{16, MEANS_SOFTWARE, IKE_SOFTWARE_WINDOWS, "\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61"},
	{16, MEANS_SOFTWARE, IKE_SOFTWARE_STRONGSWAN,
	 "\x88\x2f\xe5\x6d\x6f\xd2\x0d\xbc\x22\x51\x61\x3b\x2e\xbe\x5b\xeb"},
	{13, MEANS_SOFTWARE, IKE_SOFTWARE_LIBRESWAN, "OE-Libreswan-"},
	{14, MEANS_SOFTWARE, IKE_SOFTWARE_CISCO, "\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc"},
	{5, MEANS_SOFTWARE, IKE_SOFTWARE_CISCO, "CISCO"},
};

bool ike_parse(const struct packet *packet, uint32_t offset, uint32_t length, struct ike_header *header)
{
	if (!packet_has(packet, offset, IKE_HEADER))
		return false;
	uint8_t version = packet_get8(packet, offset + 17);
	*header = (struct ike_header){
		.initiator_spi = (uint64_t)packet_get32(packet, offset) << 32 | packet_get32(packet, offset + 4),
		.responder_spi = (uint64_t)packet_get32(packet, offset + 8) << 32 | packet_get32(packet, offset + 12),
		.next_payload = packet_get8(packet, offset + 16),
		.version_major = version >> 4,
		.version_minor = version & 15,
		.exchange = packet_get8(packet, offset + 18),
		.flags = packet_get8(packet, offset + 19),
		.message_id = packet_get32(packet, offset + 20),
		.length = packet_get32(packet, offset + 24),
	};
	return header->initiator_spi != 0 && (header->version_major == 1 || header->version_major == 2) &&
	       header->length >= IKE_HEADER && header->length <= length;
}

/* Only of version 1 do vendor IDs tell what a peer can do; version 2 has notifies for that. */
static void read_vendor(const struct packet *packet, bool v1, uint32_t at, uint32_t count, struct ike_facts *facts)
{
	const struct vendor *vendor = NULL;

	for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]) && !vendor; i++)
		if (vendors[i].length <= count && memcmp(packet->data + at, vendors[i].bytes, vendors[i].length) == 0)
			vendor = &vendors[i];
	if (!vendor || (!v1 && vendor->meaning != MEANS_SOFTWARE))
		return;
	switch ((enum vendor_meaning)vendor->meaning) {
	case MEANS_NATT:
		facts->natt = true;
		break;
	case MEANS_FRAGMENTATION:
		facts->fragmentation = true;
		break;
	case MEANS_DPD:
		facts->dpd = true;
		break;
	case MEANS_SOFTWARE:
		/* Others claim Cisco's too, to get its extensions: it counts only if there is no better one. */
		if (facts->software == IKE_SOFTWARE_UNKNOWN || facts->software == IKE_SOFTWARE_CISCO)
			facts->software = vendor->software;
		break;
	}
}

static void note_error(uint16_t type, struct ike_facts *facts)
{
	if (type < IKE_NOTIFY_STATUS && facts->error == 0)
		facts->error = type;
}

static void read_v1(const struct packet *packet, uint8_t type, uint32_t at, uint32_t count, struct ike_facts *facts)
{
	switch (type) {
	case V1_NOTIFY:
		if (count >= V1_NOTIFY_TYPE + 2)
			note_error(packet_get16(packet, at + V1_NOTIFY_TYPE), facts);
		break;
	case V1_VENDOR:
		read_vendor(packet, true, at, count, facts);
		break;
	case V1_NATD:
	case V1_NATD_DRAFT8:
	case V1_NATD_DRAFT3:
		facts->natd = true;
		break;
	case V1_NATOA:
	case V1_NATOA_DRAFT8:
	case V1_NATOA_DRAFT3:
		facts->natoa = true;
		break;
	case V1_FRAGMENT:
		facts->fragmentation = true;
		break;
	default:
		break;
	}
}

static void read_v2_notify(uint16_t type, struct ike_facts *facts)
{
	switch (type) {
	case IKE_NAT_DETECTION_SOURCE_IP:
	case IKE_NAT_DETECTION_DESTINATION_IP:
		facts->natt = facts->natd = true;
		break;
	case IKE_COOKIE:
		facts->cookie = true;
		break;
	case IKE_USE_TRANSPORT_MODE:
		facts->transport = true;
		break;
	case IKE_FRAGMENTATION_SUPPORTED:
		facts->fragmentation = true;
		break;
	default:
		note_error(type, facts);
		break;
	}
}

static void read_v2(const struct packet *packet, uint8_t type, uint32_t at, uint32_t count, struct ike_facts *facts)
{
	if (type == V2_VENDOR)
		read_vendor(packet, false, at, count, facts);
	else if (type == V2_NOTIFY && count >= V2_NOTIFY_TYPE + 2)
		read_v2_notify(packet_get16(packet, at + V2_NOTIFY_TYPE), facts);
}

void ike_read_clear(const struct packet *packet, uint32_t offset, uint32_t length, const struct ike_header *header,
		    struct ike_facts *facts)
{
	bool v1 = header->version_major == 1;
	uint8_t type = header->next_payload;

	*facts = (struct ike_facts){.is_clear = v1 ? !(header->flags & IKE_FLAG_ENCRYPTED)
						   : header->exchange == IKE_SA_INIT};
	if (!facts->is_clear || !packet_has(packet, offset, IKE_HEADER) || header->length < IKE_HEADER ||
	    header->length > length)
		return;
	uint32_t at = offset + IKE_HEADER, left = header->length - IKE_HEADER;
	for (uint32_t i = 0; type != 0; i++) {
		/* What follows the type of these is the first of the payloads inside. */
		if (!v1 && (type == V2_ENCRYPTED || type == V2_ENCRYPTED_FRAGMENT))
			return;
		if (i == PAYLOADS_MAX || left < PAYLOAD_HEADER) {
			facts->is_malformed = true;
			return;
		}
		if (!packet_has(packet, at, PAYLOAD_HEADER))
			return; /* in a later fragment */
		uint32_t size = packet_get16(packet, at + 2);
		if (size < PAYLOAD_HEADER || size > left) {
			facts->is_malformed = true;
			return;
		}
		if (!packet_has(packet, at, size))
			return;
		if (v1)
			read_v1(packet, type, at + PAYLOAD_HEADER, size - PAYLOAD_HEADER, facts);
		else
			read_v2(packet, type, at + PAYLOAD_HEADER, size - PAYLOAD_HEADER, facts);
		type = packet_get8(packet, at);
		at += size;
		left -= size;
	}
}

const char *ike_software_name(enum ike_software software)
{
	static const char *const names[IKE_SOFTWARES] = {
		[IKE_SOFTWARE_UNKNOWN] = "unknown",       [IKE_SOFTWARE_WINDOWS] = "Windows",
		[IKE_SOFTWARE_STRONGSWAN] = "strongSwan", [IKE_SOFTWARE_LIBRESWAN] = "Libreswan",
		[IKE_SOFTWARE_CISCO] = "Cisco",
	};

	return software < IKE_SOFTWARES ? names[software] : names[IKE_SOFTWARE_UNKNOWN];
}

enum natt_kind natt_classify(const struct packet *packet, uint32_t offset, uint32_t length)
{
	if (length == 1 && packet_get8(packet, offset) == 0xff)
		return NATT_KEEPALIVE;
	if (length < NATT_ESP_MIN || !packet_has(packet, offset, NATT_ESP_MIN))
		return NATT_SHORT;
	if (packet_get32(packet, offset) != 0)
		return NATT_ESP;
	return length >= NATT_MARKER + IKE_HEADER && packet_has(packet, offset, NATT_MARKER + IKE_HEADER) ? NATT_IKE
													  : NATT_SHORT;
}
