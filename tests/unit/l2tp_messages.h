/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L2TP messages for tests, written apart from the product: RFC 2661 sections 3.1 and 4.4, RFC 3931 sections 3.2, 4.1
 * and 5.4. A control message is begun, attributes are added to it, and it is right after each of them.
 */
#ifndef CULVERT_TESTS_L2TP_MESSAGES_H
#define CULVERT_TESTS_L2TP_MESSAGES_H

#include <stdint.h>
#include <string.h>

enum { L2TP_MESSAGE_BYTES = 65507, AVP_M = 0x8000, AVP_H = 0x4000 };

struct l2tp_message_bytes {
	uint8_t bytes[L2TP_MESSAGE_BYTES];
	uint32_t length;
};

static inline void l2tp_put(uint8_t *at, uint32_t value, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		at[i] = (uint8_t)(value >> 8 * (count - 1 - i));
}

static inline void l2tp_begin(struct l2tp_message_bytes *m, unsigned version, uint32_t tunnel, uint32_t session,
			      uint16_t ns, uint16_t nr)
{
	l2tp_put(m->bytes, 0xc800 | version, 2);
	if (version == 3) {
		l2tp_put(m->bytes + 4, tunnel, 4);
	} else {
		l2tp_put(m->bytes + 4, tunnel, 2);
		l2tp_put(m->bytes + 6, session, 2);
	}
	l2tp_put(m->bytes + 8, ns, 2);
	l2tp_put(m->bytes + 10, nr, 2);
	m->length = 12;
	l2tp_put(m->bytes + 2, m->length, 2);
}

/* bits: AVP_M, AVP_H, or 0x2000 and below, which are reserved. */
static inline void l2tp_add(struct l2tp_message_bytes *m, unsigned bits, unsigned vendor, unsigned type,
			    const void *value, uint32_t count)
{
	uint8_t *at = m->bytes + m->length;

	if (count > 1017 || m->length + 6 + count > L2TP_MESSAGE_BYTES)
		return;
	l2tp_put(at, bits | (6 + count), 2);
	l2tp_put(at + 2, vendor, 2);
	l2tp_put(at + 4, type, 2);
	if (value && count)
		memcpy(at + 6, value, count);
	else
		memset(at + 6, 0xa5, count);
	m->length += 6 + count;
	l2tp_put(m->bytes + 2, m->length, 2);
}

static inline void l2tp_add16(struct l2tp_message_bytes *m, unsigned type, uint32_t value)
{
	uint8_t bytes[2];

	l2tp_put(bytes, value, 2);
	l2tp_add(m, AVP_M, 0, type, bytes, 2);
}

static inline void l2tp_add32(struct l2tp_message_bytes *m, unsigned type, uint32_t value)
{
	uint8_t bytes[4];

	l2tp_put(bytes, value, 4);
	l2tp_add(m, AVP_M, 0, type, bytes, 4);
}

static inline void l2tp_add_text(struct l2tp_message_bytes *m, unsigned type, const char *text)
{
	l2tp_add(m, AVP_M, 0, type, text, (uint32_t)strlen(text));
}

/* What xl2tpd sends first (type 1) and answers (type 2). */
static inline void l2tp_build_start(struct l2tp_message_bytes *m, unsigned type, uint16_t peers, uint16_t own,
				    const char *host)
{
	l2tp_begin(m, 2, peers, 0, 0, type == 2);
	l2tp_add16(m, 0, type);
	l2tp_add16(m, 2, 0x0100);
	l2tp_add32(m, 3, 3);
	l2tp_add32(m, 4, 0);
	l2tp_add16(m, 6, 0x0690);
	l2tp_add_text(m, 7, host);
	l2tp_add_text(m, 8, "xelerance.com");
	l2tp_add16(m, 9, own);
	l2tp_add16(m, 10, 4);
}

#endif
