/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IKE messages for tests, written apart from the product: numbers as RFC 2408, RFC 3947, RFC 7296 and RFC 7383 have
 * them. A message is begun, payloads are added to it, and it is right after each of them.
 */
#ifndef CULVERT_TESTS_IKE_MESSAGES_H
#define CULVERT_TESTS_IKE_MESSAGES_H

#include <stdint.h>
#include <string.h>

enum { IKE_MESSAGE_MAX = 65507, IKE_ENCRYPTED = 1, IKE_INITIATOR = 8, IKE_RESPONSE = 32 };

enum ike_payload {
	V1_SA = 1,
	V1_KE = 4,
	V1_HASH = 8,
	V1_NONCE = 10,
	V1_N = 11,
	V1_VID = 13,
	V1_NAT_D = 20,
	V1_NAT_OA = 21,
	V2_SA = 33,
	V2_KE = 34,
	V2_NONCE = 40,
	V2_N = 41,
	V2_VID = 43,
	V2_SK = 46,
	V2_SKF = 53,
};

/* Vendor IDs with the text that RFC 3947 section 3.1 or their owners make them of. */
#define VID_RFC3947       "\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f"
#define VID_DRAFT_02N     "\x90\xcb\x80\x91\x3e\xbb\x69\x6e\x08\x63\x81\xb5\xec\x42\x7b\x1f"
#define VID_DRAFT_02      "\xcd\x60\x46\x43\x35\xdf\x21\xf8\x7c\xfd\xb2\xfc\x68\xb6\xa4\x48"
#define VID_DRAFT_03      "\x7d\x94\x19\xa6\x53\x10\xca\x6f\x2c\x17\x9d\x92\x15\x52\x9d\x56"
#define VID_DRAFT_00      "\x44\x85\x15\x2d\x18\xb6\xbb\xcd\x0b\xe8\xa8\x46\x95\x79\xdd\xcc"
#define VID_WINDOWS_10    "\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61\x00\x00\x00\x09"
#define VID_STRONGSWAN    "\x88\x2f\xe5\x6d\x6f\xd2\x0d\xbc\x22\x51\x61\x3b\x2e\xbe\x5b\xeb"
#define VID_CISCO_UNITY   "\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc\x01\x00"
#define VID_DPD           "\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00"
#define VID_FRAGMENTATION "\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3\xc0\x00\x00\x00"

struct ike_message {
	uint8_t bytes[IKE_MESSAGE_MAX];
	uint32_t length;
	uint32_t next_at; /* where the type of the next payload goes */
};

static inline void ike_put(uint8_t *at, uint64_t value, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		at[i] = (uint8_t)(value >> 8 * (count - 1 - i));
}

/* version: 1 or 2 */
static inline void ike_begin(struct ike_message *m, unsigned version, unsigned exchange, unsigned flags,
			     uint64_t initiator, uint64_t responder, uint32_t id)
{
	ike_put(m->bytes, initiator, 8);
	ike_put(m->bytes + 8, responder, 8);
	m->bytes[16] = 0;
	m->bytes[17] = (uint8_t)(version << 4);
	m->bytes[18] = (uint8_t)exchange;
	m->bytes[19] = (uint8_t)flags;
	ike_put(m->bytes + 20, id, 4);
	ike_put(m->bytes + 24, 28, 4);
	m->length = 28;
	m->next_at = 16;
}

static inline void ike_add(struct ike_message *m, unsigned type, const void *body, uint32_t count)
{
	uint8_t *at = m->bytes + m->length;

	if (m->length + 4 + count > IKE_MESSAGE_MAX)
		return;
	m->bytes[m->next_at] = (uint8_t)type;
	m->next_at = m->length;
	at[0] = at[1] = 0;
	ike_put(at + 2, 4 + count, 2);
	if (body && count)
		memcpy(at + 4, body, count);
	else
		memset(at + 4, 0x5a, count);
	m->length += 4 + count;
	ike_put(m->bytes + 24, m->length, 4);
}

/* A notify of version 1 or 2, by the version of the message, with count bytes of data. */
static inline void ike_add_notify(struct ike_message *m, unsigned notify, uint32_t count)
{
	uint8_t body[264] = {0};
	uint32_t head = 4;

	if (m->bytes[17] >> 4 == 1) {
		ike_put(body, 1, 4); /* DOI */
		body[4] = 1;
		ike_put(body + 6, notify, 2);
		head = 8;
	} else {
		ike_put(body + 2, notify, 2);
	}
	count = count < 256 ? count : 256;
	ike_add(m, head == 8 ? V1_N : V2_N, body, head + count);
}

/* The first message of a strongSwan 5.9 that speaks IKEv2. */
static inline void ike_build_sa_init(struct ike_message *m, uint64_t initiator)
{
	ike_begin(m, 2, 34, IKE_INITIATOR, initiator, 0, 0);
	ike_add(m, V2_SA, NULL, 44);
	ike_add(m, V2_KE, NULL, 36);
	ike_add(m, V2_NONCE, NULL, 32);
	ike_add_notify(m, 16388, 20);
	ike_add_notify(m, 16389, 20);
	ike_add_notify(m, 16430, 0);
	ike_add_notify(m, 16431, 8);
	ike_add_notify(m, 16406, 0);
}

/* The first message of a Windows that speaks IKEv1. */
static inline void ike_build_main_mode(struct ike_message *m, uint64_t initiator)
{
	ike_begin(m, 1, 2, 0, initiator, 0, 0);
	ike_add(m, V1_SA, NULL, 208);
	ike_add(m, V1_VID, VID_WINDOWS_10, 20);
	ike_add(m, V1_VID, VID_RFC3947, 16);
	ike_add(m, V1_VID, VID_DRAFT_02N, 16);
	ike_add(m, V1_VID, VID_FRAGMENTATION, 16);
}

#endif
