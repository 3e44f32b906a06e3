/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading L2TP: headers with every choice of bits, attributes good and bad, every message cut at every byte and with
 * every bit flipped. Messages lie in memory of just their size, so that a sanitizer sees a read too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "l2tp_messages.h"
#include "packets.h"
#include "wire/l2tp.h"

enum { AT = 28 }; /* where UDP's payload starts */

static struct l2tp_message_bytes message;

/* Reads count bytes of a datagram that says it has length; false if the header is refused. */
static bool read_message(const uint8_t *bytes, uint32_t count, uint32_t length, struct l2tp_header *header,
			 struct l2tp_facts *facts)
{
	struct packet packet = {.data = malloc(AT + count), .length = AT + count};

	assert_non_null(packet.data);
	memset(packet.data, 0xee, AT);
	if (count)
		memcpy(packet.data + AT, bytes, count);
	bool sound = l2tp_parse(&packet, AT, length, header);
	if (sound)
		l2tp_read_control(&packet, AT, header, facts);
	free(packet.data);
	return sound;
}

static struct l2tp_facts facts_of_message(void)
{
	struct l2tp_header header;
	struct l2tp_facts facts;

	assert_true(read_message(message.bytes, message.length, message.length, &header, &facts));
	return facts;
}

/* A header of version 2 by its bits, from the drawing in RFC 2661 section 3.1; its length. */
static uint32_t build_v2(uint8_t *bytes, unsigned bits, uint16_t length, uint16_t padding)
{
	uint32_t at = 2;

	l2tp_put(bytes, bits | 2, 2);
	if (bits & 0x4000) {
		l2tp_put(bytes + at, length, 2);
		at += 2;
	}
	l2tp_put(bytes + at, 0x1234, 2);
	l2tp_put(bytes + at + 2, 0x5678, 2);
	at += 4;
	if (bits & 0x0800) {
		l2tp_put(bytes + at, 0x9abc, 2);
		l2tp_put(bytes + at + 2, 0xdef0, 2);
		at += 4;
	}
	if (bits & 0x0200) {
		l2tp_put(bytes + at, padding, 2);
		at += 2 + padding;
	}
	return at;
}

static void every_choice_of_bits_is_read_or_refused(void **state)
{
	(void)state;
	/* All of T L x x S x O P, with all reserved bits 0 or 1. */
	for (unsigned i = 0; i < 512; i++) {
		unsigned bits = (i & 255) << 8 | (i & 256 ? 0x00f0 : 0);
		bool control = bits & 0x8000, sound = !control || (bits & 0xcb00) == 0xc800;
		uint8_t bytes[64] = {0};
		struct l2tp_header h;
		struct l2tp_facts facts;
		uint32_t header = build_v2(bytes, bits, 40, 3);
		bool has_length = bits & 0x4000, has_sequence = bits & 0x0800;
		assert_int_equal(read_message(bytes, 50, 50, &h, &facts), sound);
		if (!sound)
			continue;
		assert_int_equal(h.version, 2);
		assert_int_equal(h.is_control, control);
		assert_int_equal(h.tunnel, 0x1234);
		assert_int_equal(h.session, 0x5678);
		assert_int_equal(h.tunnel_at, AT + (has_length ? 4 : 2));
		assert_int_equal(h.has_sequence, has_sequence);
		assert_int_equal(h.ns, has_sequence ? 0x9abc : 0);
		assert_int_equal(h.nr, has_sequence ? 0xdef0 : 0);
		assert_int_equal(h.header_length, header);
		assert_int_equal(h.payload_length, (has_length ? 40 : 50) - header);
		assert_false(l2tp_is_zlb(&h));
	}
}

static void lengths_of_headers_are_checked(void **state)
{
	static const struct {
		const char *what;
		unsigned bits;
		uint16_t field, padding; /* the length field, the offset size */
		uint32_t length;
		bool sound;
	} cases[] = {
		{"data, nothing optional", 0, 0, 0, 6, true},
		{"data, one byte short", 0, 0, 0, 5, false},
		{"data with all fields", 0x4b00, 14, 0, 14, true},
		{"data with all fields, a byte short", 0x4b00, 13, 0, 13, false},
		{"length below the header", 0x4b00, 13, 0, 14, false},
		{"length 0", 0x4000, 0, 0, 8, false},
		{"length of the bare header", 0x4000, 8, 0, 20, true},
		{"length one above the datagram", 0x4000, 21, 0, 20, false},
		{"length of a control message one above", 0xc800, 21, 0, 20, false},
		{"length of a control message below it", 0xc800, 11, 0, 20, false},
		{"ZLB", 0xc800, 12, 0, 12, true},
		{"ZLB with bytes behind", 0xc800, 12, 0, 40, true},
		{"a ZLB cut", 0xc800, 12, 0, 11, false},
		{"offset size as long as all", 0x0200, 0, 32, 40, true},
		{"offset size one more", 0x0200, 0, 33, 40, false},
		{"offset size above the length field", 0x4200, 20, 11, 40, false},
		{"offset size up to the length field", 0x4200, 20, 10, 40, true},
		{"the greatest offset size", 0x0200, 0, 0xffff, 40, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t bytes[64] = {0};
		struct l2tp_header h;
		struct l2tp_facts facts;
		uint16_t pad = cases[i].padding;
		build_v2(bytes, cases[i].bits, cases[i].field, 0);
		if (cases[i].bits & 0x0200)
			l2tp_put(bytes + build_v2(bytes, cases[i].bits, cases[i].field, 0) - 2, pad, 2);
		if (read_message(bytes, cases[i].length, cases[i].length, &h, &facts) != cases[i].sound ||
		    read_message(bytes, sizeof(bytes), cases[i].length, &h, &facts) != cases[i].sound)
			fail_msg("%s", cases[i].what);
		if (cases[i].sound && (cases[i].bits & 0x8000) && !l2tp_is_zlb(&h))
			fail_msg("%s: no ZLB", cases[i].what);
	}
}

static void only_versions_2_and_3_are_read(void **state)
{
	struct l2tp_header h;
	struct l2tp_facts facts;

	(void)state;
	for (unsigned version = 0; version < 16; version++)
		for (int control = 0; control < 2; control++) {
			l2tp_begin(&message, 2, 7, 0, 0, 0);
			l2tp_put(message.bytes, (control ? 0xc800 : 0) | version, 2);
			assert_int_equal(read_message(message.bytes, 12, 12, &h, &facts), version == 2 || version == 3);
		}
}

static void version_3_has_its_own_headers(void **state)
{
	struct l2tp_header h;
	struct l2tp_facts facts;
	static const uint8_t data[20] = {0, 3, 0, 0, 0xde, 0xad, 0xbe, 0xef};

	(void)state;
	l2tp_begin(&message, 3, 0xcafe1234, 0, 0x0102, 0x0304);
	l2tp_add16(&message, 0, 6);
	assert_true(read_message(message.bytes, message.length, message.length, &h, &facts));
	assert_true(h.version == 3 && h.is_control && h.has_sequence);
	assert_int_equal(h.tunnel, 0xcafe1234);
	assert_int_equal(h.tunnel_at, AT + 4);
	assert_int_equal(h.session, 0);
	assert_int_equal(h.ns, 0x0102);
	assert_int_equal(h.nr, 0x0304);
	assert_int_equal(h.header_length, 12);
	assert_int_equal(h.payload_length, 8);
	assert_int_equal(facts.message, L2TP_HELLO);
	/* Without length or sequence numbers it is none; the bits of offset and priority mean nothing. */
	for (unsigned bits = 0; bits < 256; bits++) {
		l2tp_put(message.bytes, 0x8003 | (bits & 127) << 8, 2);
		bool sound = (bits & 0x48) == 0x48;
		assert_int_equal(read_message(message.bytes, message.length, message.length, &h, &facts), sound);
	}
	l2tp_put(message.bytes, 0xc803, 2);
	for (uint32_t field = 0; field < 30; field++) {
		l2tp_put(message.bytes + 2, field, 2);
		assert_int_equal(read_message(message.bytes, message.length, message.length, &h, &facts),
				 field >= 12 && field <= 20);
	}
	for (uint32_t count = 0; count <= sizeof(data); count++) {
		/* What is behind UDP's end does not count. */
		assert_int_equal(read_message(data, sizeof(data), count, &h, &facts), count >= 8);
		assert_int_equal(read_message(data, count, count, &h, &facts), count >= 8);
		if (count < 8)
			continue;
		assert_true(h.version == 3 && !h.is_control && !h.has_sequence && h.tunnel == 0 && h.tunnel_at == 0);
		assert_true(h.session == 0xdeadbeef && h.header_length == 8 && h.payload_length == count - 8);
	}
}

static void a_start_names_tunnel_and_hosts(void **state)
{
	(void)state;
	l2tp_build_start(&message, L2TP_SCCRQ, 0, 0xabcd, "laptop");
	struct l2tp_facts f = facts_of_message();
	assert_false(f.is_malformed || f.has_digest || f.has_result || f.session.has || f.connection.has);
	assert_int_equal(f.message, L2TP_SCCRQ);
	assert_true(f.tunnel.has && !f.tunnel.is_hidden);
	assert_int_equal(f.tunnel.value, 0xabcd);
	assert_int_equal(message.bytes[f.tunnel.at - AT] << 8 | message.bytes[f.tunnel.at - AT + 1], 0xabcd);
	assert_string_equal(f.host.text, "laptop");
	assert_string_equal(f.vendor.text, "xelerance.com");
	assert_true(f.host.has && f.vendor.has && !f.host.is_hidden);
}

static void sessions_results_and_digests_are_read(void **state)
{
	(void)state;
	l2tp_begin(&message, 2, 7, 9, 3, 4);
	l2tp_add16(&message, 0, L2TP_CDN);
	l2tp_add(&message, AVP_M, 0, 1, "\0\3\0\6no money", 12);
	l2tp_add16(&message, 14, 0x2468);
	struct l2tp_facts f = facts_of_message();
	assert_true(f.message == L2TP_CDN && f.has_result && f.result == 3 && f.error == 6);
	assert_true(f.session.has && f.session.value == 0x2468 && !f.tunnel.has && !f.is_malformed);
	for (uint32_t count = 0; count < 6; count++) {
		l2tp_begin(&message, 2, 7, 0, 3, 4);
		l2tp_add16(&message, 0, L2TP_STOPCCN);
		l2tp_add(&message, AVP_M, 0, 1, "\0\2\0\1x", count);
		l2tp_add_text(&message, 8, "behind");
		f = facts_of_message();
		assert_int_equal(f.is_malformed, count < 2);
		assert_int_equal(f.has_result, count >= 2);
		assert_int_equal(f.result, count >= 2 ? 2 : 0);
		assert_int_equal(f.error, count >= 4 ? 1 : 0);
	}
	l2tp_begin(&message, 3, 0, 0, 0, 0);
	l2tp_add16(&message, 0, L2TP_ICRQ);
	l2tp_add(&message, 0, 0, 59, NULL, 17);
	l2tp_add32(&message, 61, 0x11223344);
	l2tp_add32(&message, 63, 0x55667788);
	l2tp_add32(&message, 64, 0x99aabbcc);
	f = facts_of_message();
	assert_true(f.has_digest && !f.is_malformed && f.connection.value == 0x11223344);
	assert_true(f.local_session.value == 0x55667788 && f.remote_session.value == 0x99aabbcc);
	/* The digest had an odd length: so has the place of what follows. */
	assert_int_equal((f.connection.at - AT) % 2, 1);
	assert_int_equal(message.bytes[f.connection.at - AT], 0x11);
	/* A start that serves both versions (RFC 3931 section 4.7.3). */
	l2tp_build_start(&message, L2TP_SCCRQ, 0, 0x1357, "both");
	l2tp_add32(&message, 61, 0x10203040);
	f = facts_of_message();
	assert_true(f.tunnel.value == 0x1357 && f.connection.value == 0x10203040 && !f.is_malformed);
}

static void hidden_attributes_are_seen_but_not_read(void **state)
{
	(void)state;
	l2tp_begin(&message, 2, 0, 0, 0, 0);
	l2tp_add16(&message, 0, L2TP_SCCRQ);
	l2tp_add(&message, AVP_M, 0, 36, "random", 6);
	l2tp_add(&message, AVP_M | AVP_H, 0, 7, "abcd", 4);
	l2tp_add(&message, AVP_M | AVP_H, 0, 9, "\x01\x02\x03\x04\x05\x06", 6);
	l2tp_add(&message, AVP_M | AVP_H, 0, 14, "\x01\x02", 2);
	l2tp_add(&message, AVP_M | AVP_H, 0, 1, "\x01\x02", 2);
	struct l2tp_facts f = facts_of_message();
	assert_false(f.is_malformed || f.has_result);
	assert_true(f.host.has && f.host.is_hidden && f.host.text[0] == '\0');
	assert_true(f.tunnel.has && f.tunnel.is_hidden && f.tunnel.value == 0 && f.tunnel.at == 0);
	assert_true(f.session.has && f.session.is_hidden && f.session.value == 0);
	/* A hidden message type cannot be. */
	l2tp_begin(&message, 2, 0, 0, 0, 0);
	l2tp_add(&message, AVP_M | AVP_H, 0, 0, "\0\1", 2);
	assert_int_equal(facts_of_message().message, 0);
}

static void strange_attributes_are_stepped_over(void **state)
{
	static const unsigned reserved[] = {0x2000, 0x1000, 0x0800, 0x0400};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		l2tp_begin(&message, 2, 0, 0, 0, 0);
		l2tp_add16(&message, 0, L2TP_SCCRQ);
		l2tp_add(&message, AVP_M | reserved[i], 0, 9, "\1\1", 2);
		l2tp_add(&message, AVP_M, 311, 9, "\2\2", 2);
		l2tp_add(&message, AVP_M, 0x0100, 7, "other", 5);
		l2tp_add16(&message, 9, 0x0303);
		struct l2tp_facts f = facts_of_message();
		assert_true(!f.is_malformed && f.tunnel.value == 0x0303 && !f.host.has);
	}
}

static void what_comes_twice_or_in_the_wrong_size_is_malformed(void **state)
{
	static const struct {
		uint16_t type;
		uint8_t size;
		bool strict;
	} ids[] = {{9, 2, true},  {14, 2, true}, {61, 4, true}, {63, 4, true},
		   {64, 4, true}, {0, 2, true},  {7, 5, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		for (uint32_t times = 1; times <= 2; times++) {
			l2tp_begin(&message, 2, 0, 0, 0, 0);
			l2tp_add16(&message, 0, L2TP_SCCRQ);
			for (uint32_t k = 0; k < times; k++)
				l2tp_add(&message, AVP_M, 0, ids[i].type, "abcde", ids[i].size);
			bool bad = ids[i].strict && (times == 2 || ids[i].type == 0);
			assert_int_equal(facts_of_message().is_malformed, bad);
		}
		for (uint32_t size = 0; size < 8 && ids[i].type != 0 && ids[i].type != 7; size++) {
			l2tp_begin(&message, 2, 0, 0, 0, 0);
			l2tp_add16(&message, 0, L2TP_SCCRQ);
			l2tp_add(&message, AVP_M, 0, ids[i].type, "abcdefgh", size);
			l2tp_add_text(&message, 7, "behind");
			struct l2tp_facts f = facts_of_message();
			assert_int_equal(f.is_malformed, size != ids[i].size);
			assert_int_equal(f.host.has, size == ids[i].size);
			bool has = f.tunnel.has || f.session.has || f.connection.has || f.local_session.has ||
				   f.remote_session.has;
			assert_int_equal(has, size == ids[i].size);
		}
	}
	/* The message type stands first and has two bytes. */
	l2tp_begin(&message, 2, 0, 0, 0, 0);
	l2tp_add16(&message, 9, 5);
	assert_int_equal(facts_of_message().message, 0);
	l2tp_begin(&message, 2, 0, 0, 0, 0);
	l2tp_add(&message, AVP_M, 0, 0, "\0\1\0", 3);
	assert_int_equal(facts_of_message().message, 0);
}

static void names_are_kept_short_and_printable(void **state)
{
	static char name[1017];

	(void)state;
	for (uint32_t count = 0; count <= sizeof(name); count += count < 70 ? 1 : 947) {
		memset(name, 'n', sizeof(name));
		l2tp_begin(&message, 2, 0, 0, 0, 0);
		l2tp_add16(&message, 0, L2TP_SCCRQ);
		l2tp_add(&message, AVP_M, 0, 7, name, count);
		struct l2tp_facts f = facts_of_message();
		assert_true(f.host.has && !f.is_malformed);
		assert_int_equal(strlen(f.host.text), count < L2TP_NAME_MAX - 1 ? count : L2TP_NAME_MAX - 1);
	}
	for (int c = 0; c < 256; c++) {
		char text[4] = {'a', (char)c, 'z', 0};
		char want[4] = {'a', 'z', 0, 0};
		if (c >= 32 && c < 127)
			memcpy(want, text, 3);
		l2tp_begin(&message, 2, 0, 0, 0, 0);
		l2tp_add16(&message, 0, L2TP_SCCRQ);
		l2tp_add(&message, AVP_M, 0, 8, text, 3);
		assert_string_equal(facts_of_message().vendor.text, want);
	}
}

static void wrong_lengths_and_too_many_end_the_walk(void **state)
{
	(void)state;
	for (uint32_t size = 0; size < 64; size++) {
		l2tp_begin(&message, 2, 0, 0, 0, 0);
		l2tp_add16(&message, 0, L2TP_SCCRQ);
		l2tp_add16(&message, 9, 77);
		l2tp_add(&message, 0, 0, 4, NULL, 20);
		l2tp_put(message.bytes + 12 + 8 + 8, size, 2);
		struct l2tp_facts f = facts_of_message();
		/* A smaller one leaves a rest that makes no attribute. */
		assert_int_equal(f.is_malformed, size != 26);
		assert_int_equal(f.tunnel.value, 77);
	}
	for (uint32_t size = 0; size <= 8; size++) {
		l2tp_begin(&message, 2, 0, 0, 0, 0);
		l2tp_add16(&message, 0, L2TP_SCCRQ);
		l2tp_add(&message, 0, 0, 7, "ab", 2);
		l2tp_put(message.bytes + 12 + 8, size, 2);
		struct l2tp_facts f = facts_of_message();
		assert_int_equal(f.host.has, size >= 6);
		assert_int_equal(f.is_malformed, size != 8);
		assert_string_equal(f.host.text, size == 8 ? "ab" : size == 7 ? "a" : "");
	}
	for (int count = 63; count <= 66; count++) {
		l2tp_begin(&message, 2, 0, 0, 0, 0);
		l2tp_add16(&message, 0, L2TP_SCCRQ);
		for (int i = 2; i < count; i++)
			l2tp_add(&message, 0, 0, 4, NULL, 0);
		l2tp_add16(&message, 9, 77);
		struct l2tp_facts f = facts_of_message();
		assert_int_equal(f.is_malformed, count > 64);
		assert_int_equal(f.tunnel.has, count <= 64);
	}
	/* As much as a datagram holds. */
	l2tp_begin(&message, 2, 0, 0, 0, 0);
	l2tp_add16(&message, 0, L2TP_SCCRQ);
	while (message.length + 6 <= L2TP_MESSAGE_BYTES)
		l2tp_add(&message, 0, 0, 4, NULL, 0);
	assert_true(facts_of_message().is_malformed);
	l2tp_begin(&message, 2, 0, 0, 0, 0);
	l2tp_add16(&message, 0, L2TP_SCCRQ);
	for (int i = 0; i < 63; i++)
		l2tp_add(&message, 0, 0, 4, NULL, 1017);
	assert_int_equal(message.length, 12 + 8 + 63 * 1023);
	assert_false(facts_of_message().is_malformed);
}

static void data_has_no_attributes(void **state)
{
	static uint8_t bytes[64];
	struct l2tp_header h;
	struct l2tp_facts f;

	(void)state;
	l2tp_build_start(&message, L2TP_SCCRQ, 0, 5, "x");
	memcpy(bytes, message.bytes, sizeof(bytes));
	bytes[0] = 0x48;
	l2tp_put(bytes + 2, sizeof(bytes), 2);
	assert_true(read_message(bytes, sizeof(bytes), sizeof(bytes), &h, &f));
	assert_false(h.is_control || l2tp_is_zlb(&h) || f.tunnel.has || f.is_malformed);
	assert_int_equal(f.message, 0);
}

static void messages_cut_at_any_byte_are_refused_or_read_in_part(void **state)
{
	static struct l2tp_message_bytes cut;
	struct l2tp_header h;
	struct l2tp_facts f;

	(void)state;
	l2tp_build_start(&message, L2TP_SCCRP, 9, 0xabcd, "server");
	for (uint32_t count = 0; count < message.length; count++) {
		assert_false(read_message(message.bytes, count, count, &h, &f));
		/* A first fragment: the datagram has it all. */
		bool sound = read_message(message.bytes, count, message.length, &h, &f);
		assert_int_equal(sound, count >= 12);
		if (!sound)
			continue;
		assert_false(f.is_malformed);
		assert_int_equal(f.message, count >= 20 ? L2TP_SCCRP : 0);
		assert_true(!f.tunnel.has || f.tunnel.value == 0xabcd);
		assert_true(!f.host.has || strcmp(f.host.text, "server") == 0);
		bool had_tunnel = f.tunnel.has;
		/* And one that says it ends there: malformed, but between two attributes. */
		cut = message;
		l2tp_put(cut.bytes + 2, count, 2);
		assert_true(read_message(cut.bytes, count, count, &h, &f));
		assert_int_equal(f.tunnel.has, had_tunnel);
		assert_int_equal(l2tp_is_zlb(&h), count == 12);
	}
}

static void any_bit_may_be_wrong(void **state)
{
	uint32_t refused = 0, malformed = 0;

	(void)state;
	l2tp_build_start(&message, L2TP_SCCRQ, 0, 0xabcd, "client");
	for (uint32_t bit = 0; bit < message.length * 8; bit++) {
		struct l2tp_header h;
		struct l2tp_facts f;
		message.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		bool sound = read_message(message.bytes, message.length, message.length, &h, &f);
		message.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused += !sound;
		assert_true(sound || bit / 8 < 4);
		if (!sound)
			continue;
		malformed += f.is_malformed;
		assert_true(h.header_length + h.payload_length <= message.length);
		assert_true(f.host.text[L2TP_NAME_MAX - 1] == '\0');
	}
	assert_true(refused > 5 && malformed > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_choice_of_bits_is_read_or_refused),
		cmocka_unit_test(lengths_of_headers_are_checked),
		cmocka_unit_test(only_versions_2_and_3_are_read),
		cmocka_unit_test(version_3_has_its_own_headers),
		cmocka_unit_test(a_start_names_tunnel_and_hosts),
		cmocka_unit_test(sessions_results_and_digests_are_read),
		cmocka_unit_test(hidden_attributes_are_seen_but_not_read),
		cmocka_unit_test(strange_attributes_are_stepped_over),
		cmocka_unit_test(what_comes_twice_or_in_the_wrong_size_is_malformed),
		cmocka_unit_test(names_are_kept_short_and_printable),
		cmocka_unit_test(wrong_lengths_and_too_many_end_the_walk),
		cmocka_unit_test(data_has_no_attributes),
		cmocka_unit_test(messages_cut_at_any_byte_are_refused_or_read_in_part),
		cmocka_unit_test(any_bit_may_be_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
