/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading IKE: good and bad headers, what each payload tells, every message cut at every byte and with every bit
 * flipped. Messages lie in memory of just their size, so that a sanitizer sees a read too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ike_messages.h"
#include "packets.h"
#include "wire/ike.h"

enum { AT = 28 }; /* where UDP's payload starts */
#define SPI_I UINT64_C(0x1122334455667788)
#define SPI_R UINT64_C(0x99aabbccddeeff01)

static struct ike_message message;

/* A packet whose payload is count of the bytes; free its data. */
static struct packet place(const uint8_t *bytes, uint32_t count)
{
	struct packet packet = {.data = malloc(AT + count), .length = AT + count};

	assert_non_null(packet.data);
	memset(packet.data, 0xee, AT);
	if (count)
		memcpy(packet.data + AT, bytes, count);
	return packet;
}

/* Reads count bytes of a datagram that says it has length; false if the header is refused. */
static bool read_message(const uint8_t *bytes, uint32_t count, uint32_t length, struct ike_header *header,
			 struct ike_facts *facts)
{
	struct packet packet = place(bytes, count);
	bool sound = ike_parse(&packet, AT, length, header);

	if (sound)
		ike_read_clear(&packet, AT, length, header, facts);
	free(packet.data);
	return sound;
}

static struct ike_facts facts_of_message(void)
{
	struct ike_header header;
	struct ike_facts facts;

	assert_true(read_message(message.bytes, message.length, message.length, &header, &facts));
	return facts;
}

static void a_header_is_read_whole(void **state)
{
	struct ike_header header;
	struct ike_facts facts;

	(void)state;
	ike_begin(&message, 2, 36, IKE_INITIATOR | IKE_RESPONSE, SPI_I, SPI_R, 0x01020304);
	ike_add(&message, V2_SK, NULL, 60);
	message.bytes[17] |= 1;
	assert_true(read_message(message.bytes, message.length, message.length, &header, &facts));
	assert_true(header.initiator_spi == SPI_I && header.responder_spi == SPI_R);
	assert_int_equal(header.next_payload, V2_SK);
	assert_int_equal(header.version_major, 2);
	assert_int_equal(header.version_minor, 1);
	assert_int_equal(header.exchange, IKE_CREATE_CHILD_SA);
	assert_int_equal(header.flags, IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE);
	assert_int_equal(header.message_id, 0x01020304);
	assert_int_equal(header.length, 28 + 64);
}

static void headers_are_refused_for_one_wrong_thing(void **state)
{
	static const struct {
		const char *what;
		uint8_t at, count;
		uint64_t value;
		uint32_t length; /* UDP's, beside 28 + 24 */
		bool sound;
	} cases[] = {
		{"as it was", 17, 1, 0x20, 0, true},
		{"bytes behind the message", 24, 4, 28 + 20, 0, true},
		{"only a header", 24, 4, 28, 0, true},
		{"a responder's SPI", 8, 8, SPI_R, 0, true},
		{"version 1", 17, 1, 0x10, 0, true},
		{"version 2.15", 17, 1, 0x2f, 0, true},
		{"an exchange without a name", 18, 1, 240, 0, true},
		{"half an initiator's SPI", 0, 4, 0, 0, true},
		{"the other half of it", 4, 4, 0, 0, true},
		{"no initiator's SPI", 0, 8, 0, 0, false},
		{"version 0", 17, 1, 0x02, 0, false},
		{"version 3", 17, 1, 0x30, 0, false},
		{"version 15", 17, 1, 0xf1, 0, false},
		{"length 0", 24, 4, 0, 0, false},
		{"length 27", 24, 4, 27, 0, false},
		{"length one more than there is", 24, 4, 28 + 25, 0, false},
		{"length with the sign bit", 24, 4, 0x80000034, 0, false},
		{"the greatest length", 24, 4, 0xffffffff, 0, false},
		{"a datagram without room", 24, 4, 28, 27, false},
		{"an empty datagram", 24, 4, 28, UINT32_MAX, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ike_header header;
		struct ike_facts facts;
		ike_begin(&message, 2, 34, IKE_INITIATOR, SPI_I, 0, 0);
		ike_add(&message, V2_NONCE, NULL, 20);
		ike_put(message.bytes + cases[i].at, cases[i].value, cases[i].count);
		uint32_t length = cases[i].length == 0 ? 28 + 24 : cases[i].length == UINT32_MAX ? 0 : cases[i].length;
		if (read_message(message.bytes, length, length, &header, &facts) != cases[i].sound)
			fail_msg("%s", cases[i].what);
	}
}

static void exchanges_are_told_apart_by_version(void **state)
{
	static const struct {
		uint8_t version, exchange, flags;
		bool opens, request;
	} cases[] = {
		{1, 2, 0, false, false},  {1, 4, 0, false, false},   {1, 5, 1, false, false},
		{1, 32, 1, true, false},  {1, 35, 1, false, false},  {1, 36, 1, false, false},
		{2, 34, 8, false, true},  {2, 35, 8, true, true},    {2, 36, 0, true, true},
		{2, 37, 8, false, true},  {2, 32, 8, false, true},   {2, 35, 8 | 32, true, false},
		{2, 36, 32, true, false}, {2, 34, 32, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ike_header header = {
			.version_major = cases[i].version, .exchange = cases[i].exchange, .flags = cases[i].flags};
		assert_int_equal(ike_opens_child(&header), cases[i].opens);
		assert_int_equal(ike_is_request(&header), cases[i].request);
		assert_true(ike_is_initial(&header));
		header.responder_spi = 1;
		assert_false(ike_is_initial(&header));
	}
}

struct vendor_case {
	const char *bytes;
	uint8_t count;
	bool natt, fragmentation, dpd;
	enum ike_software software;
};

/* Both versions send vendor IDs, under different numbers; what version 2 can do, its notifies say. */
static void vendor_ids_tell_what_they_mean(void **state)
{
	static const struct vendor_case cases[] = {
		{VID_RFC3947, 16, true, false, false, IKE_SOFTWARE_UNKNOWN},
		{VID_DRAFT_02N, 16, true, false, false, IKE_SOFTWARE_UNKNOWN},
		{VID_DRAFT_02, 16, true, false, false, IKE_SOFTWARE_UNKNOWN},
		{VID_DRAFT_03, 16, true, false, false, IKE_SOFTWARE_UNKNOWN},
		{VID_DRAFT_00, 16, false, false, false, IKE_SOFTWARE_UNKNOWN},
		{VID_RFC3947, 15, false, false, false, IKE_SOFTWARE_UNKNOWN},
		{VID_FRAGMENTATION, 16, false, true, false, IKE_SOFTWARE_UNKNOWN},
		{VID_FRAGMENTATION, 20, false, true, false, IKE_SOFTWARE_UNKNOWN},
		{VID_DPD, 16, false, false, true, IKE_SOFTWARE_UNKNOWN},
		{VID_WINDOWS_10, 20, false, false, false, IKE_SOFTWARE_WINDOWS},
		{VID_WINDOWS_10, 15, false, false, false, IKE_SOFTWARE_UNKNOWN},
		{VID_STRONGSWAN, 16, false, false, false, IKE_SOFTWARE_STRONGSWAN},
		{"OE-Libreswan-4.10", 17, false, false, false, IKE_SOFTWARE_LIBRESWAN},
		{"OE-Libreswan", 12, false, false, false, IKE_SOFTWARE_UNKNOWN},
		{VID_CISCO_UNITY, 16, false, false, false, IKE_SOFTWARE_CISCO},
		{"CISCO-DELETE-REASON", 19, false, false, false, IKE_SOFTWARE_CISCO},
		{"", 0, false, false, false, IKE_SOFTWARE_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const struct vendor_case *c = &cases[i / 2];
		ike_begin(&message, 1 + i % 2, i % 2 ? 34 : 2, 0, SPI_I, 0, 0);
		ike_add(&message, i % 2 ? V2_SA : V1_SA, NULL, 40);
		ike_add(&message, i % 2 ? V2_VID : V1_VID, c->bytes, c->count);
		ike_add(&message, i % 2 ? V1_VID : V2_VID, VID_STRONGSWAN, 16); /* the other version's number */
		struct ike_facts facts = facts_of_message();
		bool v1 = i % 2 == 0;
		if (facts.natt != (v1 && c->natt) || facts.fragmentation != (v1 && c->fragmentation) ||
		    facts.dpd != (v1 && c->dpd) || facts.software != c->software || facts.is_malformed ||
		    !facts.is_clear)
			fail_msg("vendor ID %zu, version %zu", i / 2, 1 + i % 2);
	}
}

static void claims_of_ciscos_extensions_do_not_hide_who_it_is(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		ike_begin(&message, 1, 4, 0, SPI_I, 0, 0);
		ike_add(&message, V1_VID, first ? VID_STRONGSWAN : VID_CISCO_UNITY, 16);
		ike_add(&message, V1_VID, first ? VID_CISCO_UNITY : VID_STRONGSWAN, 16);
		assert_int_equal(facts_of_message().software, IKE_SOFTWARE_STRONGSWAN);
	}
	assert_string_equal(ike_software_name(IKE_SOFTWARE_STRONGSWAN), "strongSwan");
	assert_string_equal(ike_software_name(IKE_SOFTWARE_UNKNOWN), "unknown");
	assert_string_equal(ike_software_name(IKE_SOFTWARES), "unknown");
	for (enum ike_software s = IKE_SOFTWARE_WINDOWS; s < IKE_SOFTWARES; s++)
		assert_string_not_equal(ike_software_name(s), "unknown");
}

static void the_first_messages_tell_of_nat_traversal(void **state)
{
	static const uint8_t natd[] = {20, 15, 130}, natoa[] = {21, 16, 131};

	(void)state;
	ike_build_sa_init(&message, SPI_I);
	struct ike_facts facts = facts_of_message();
	assert_true(facts.natt && facts.natd && facts.fragmentation && facts.is_clear && !facts.is_malformed);
	assert_false(facts.cookie || facts.transport || facts.natoa || facts.dpd);
	assert_int_equal(facts.error, 0);
	ike_build_main_mode(&message, SPI_I);
	facts = facts_of_message();
	assert_true(facts.natt && facts.fragmentation && !facts.natd && !facts.is_malformed);
	assert_int_equal(facts.software, IKE_SOFTWARE_WINDOWS);
	for (int i = 0; i < 3; i++) {
		ike_begin(&message, 1, 2, 0, SPI_I, SPI_R, 0);
		ike_add(&message, V1_KE, NULL, 128);
		ike_add(&message, natd[i], NULL, 20);
		facts = facts_of_message();
		assert_true(facts.natd && !facts.natoa && !facts.natt);
		ike_begin(&message, 1, 2, 0, SPI_I, SPI_R, 0);
		ike_add(&message, natoa[i], NULL, 8);
		facts = facts_of_message();
		assert_true(facts.natoa && !facts.natd);
	}
	ike_begin(&message, 1, 2, 0, SPI_I, SPI_R, 0);
	ike_add(&message, 132, NULL, 500);
	assert_true(facts_of_message().fragmentation);
}

static void notifies_are_errors_or_facts(void **state)
{
	(void)state;
	for (unsigned version = 1; version <= 2; version++)
		for (unsigned type = 0; type < 65536; type += type < 64 || (type > 16380 && type < 16440) ? 1 : 61) {
			ike_begin(&message, version, version == 1 ? 5 : 34, IKE_RESPONSE, SPI_I, SPI_R, 0);
			ike_add_notify(&message, type, 3);
			ike_add_notify(&message, 29, 0);
			struct ike_facts facts = facts_of_message();
			assert_false(facts.is_malformed);
			assert_int_equal(facts.error, type > 0 && type < 16384 ? type : 29);
			assert_int_equal(facts.natt, version == 2 && (type == 16388 || type == 16389));
			assert_int_equal(facts.natd, facts.natt);
			assert_int_equal(facts.cookie, version == 2 && type == 16390);
			assert_int_equal(facts.transport, version == 2 && type == 16391);
			assert_int_equal(facts.fragmentation, version == 2 && type == 16430);
		}
	/* Notifies too short for a type. */
	for (uint32_t count = 0; count < 8; count++) {
		ike_begin(&message, 1, 5, 0, SPI_I, SPI_R, 0);
		ike_add(&message, V1_N, "\0\0\0\0\0\0\0\16", count);
		ike_add(&message, V1_HASH, NULL, 20); /* its first byte says what comes next */
		ike_add(&message, V1_VID, NULL, 16);
		assert_int_equal(facts_of_message().error, 0);
		ike_begin(&message, 2, 34, 0, SPI_I, SPI_R, 0);
		ike_add(&message, V2_N, "\0\0\0\16\0\0\0", count < 4 ? count : 3);
		ike_add(&message, V2_NONCE, NULL, 20);
		ike_add(&message, V2_VID, NULL, 16);
		assert_int_equal(facts_of_message().error, 0);
	}
}

static void what_is_encrypted_is_not_read(void **state)
{
	static const struct {
		uint8_t version, exchange, flags;
		bool clear;
	} cases[] = {
		{1, 2, 0, true},   {1, 2, 1, false},  {1, 32, 1, false}, {1, 5, 0, true},   {2, 34, 8, true},
		{2, 35, 8, false}, {2, 36, 8, false}, {2, 37, 8, false}, {2, 43, 8, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool v1 = cases[i].version == 1;
		ike_begin(&message, cases[i].version, cases[i].exchange, cases[i].flags, SPI_I, SPI_R, 1);
		ike_add(&message, v1 ? V1_VID : V2_VID, VID_STRONGSWAN, 16);
		struct ike_facts facts = facts_of_message();
		assert_int_equal(facts.is_clear, cases[i].clear);
		assert_int_equal(facts.software, cases[i].clear ? IKE_SOFTWARE_STRONGSWAN : IKE_SOFTWARE_UNKNOWN);
	}
	/* Behind an encrypted payload nothing is in clear, whatever its header says. */
	for (int i = 0; i < 2; i++) {
		ike_begin(&message, 2, 34, 0, SPI_I, SPI_R, 1);
		ike_add(&message, i ? V2_SK : V2_SKF, NULL, 16);
		ike_add(&message, V2_VID, VID_STRONGSWAN, 16);
		struct ike_facts facts = facts_of_message();
		assert_true(facts.is_clear && !facts.is_malformed);
		assert_int_equal(facts.software, IKE_SOFTWARE_UNKNOWN);
	}
}

static void wrong_lengths_end_the_walk(void **state)
{
	(void)state;
	for (uint32_t size = 0; size < 70; size++) {
		ike_begin(&message, 2, 34, 0, SPI_I, 0, 0);
		ike_add(&message, V2_VID, VID_STRONGSWAN, 16);
		ike_add(&message, V2_N, NULL, 40);
		ike_put(message.bytes + 28 + 20 + 2, size, 2); /* of the second */
		struct ike_facts facts = facts_of_message();
		assert_int_equal(facts.is_malformed, size < 4 || size > 44);
		assert_int_equal(facts.software, IKE_SOFTWARE_STRONGSWAN);
	}
	/* The last one says that another follows, and there are too few bytes for it. */
	for (uint32_t more = 0; more < 4; more++) {
		ike_begin(&message, 2, 34, 0, SPI_I, 0, 0);
		ike_add(&message, V2_NONCE, NULL, 16);
		message.bytes[28] = V2_VID;
		message.length += more;
		ike_put(message.bytes + 24, message.length, 4);
		assert_true(facts_of_message().is_malformed);
	}
	/* Bytes behind the last one are padding. */
	ike_begin(&message, 1, 2, 0, SPI_I, 0, 0);
	ike_add(&message, V1_VID, VID_RFC3947, 16);
	message.length += 3;
	ike_put(message.bytes + 24, message.length, 4);
	assert_false(facts_of_message().is_malformed);
	/* Nothing is called the first payload. */
	ike_begin(&message, 1, 2, 0, SPI_I, 0, 0);
	assert_false(facts_of_message().is_malformed);
}

static void at_most_64_payloads_are_read(void **state)
{
	(void)state;
	for (int count = 63; count <= 66; count++) {
		ike_begin(&message, 1, 2, 0, SPI_I, 0, 0);
		for (int i = 1; i < count; i++)
			ike_add(&message, V1_VID, NULL, 0);
		ike_add(&message, V1_VID, VID_STRONGSWAN, 16);
		struct ike_facts facts = facts_of_message();
		assert_int_equal(facts.is_malformed, count > 64);
		assert_int_equal(facts.software, count > 64 ? IKE_SOFTWARE_UNKNOWN : IKE_SOFTWARE_STRONGSWAN);
	}
	/* 64 KiB, in one payload and in as many as fit. */
	ike_begin(&message, 2, 34, 0, SPI_I, 0, 0);
	ike_add(&message, V2_KE, NULL, IKE_MESSAGE_MAX - 28 - 4 - 20);
	ike_add(&message, V2_VID, VID_STRONGSWAN, 16);
	assert_int_equal(message.length, IKE_MESSAGE_MAX);
	assert_int_equal(facts_of_message().software, IKE_SOFTWARE_STRONGSWAN);
	ike_begin(&message, 2, 34, 0, SPI_I, 0, 0);
	while (message.length + 4 <= IKE_MESSAGE_MAX)
		ike_add(&message, V2_VID, NULL, 0);
	assert_true(facts_of_message().is_malformed);
}

/* Each fact of part is one of whole. */
static void assert_no_more(const struct ike_facts *part, const struct ike_facts *whole)
{
	assert_false(part->natt && !whole->natt);
	assert_false(part->natd && !whole->natd);
	assert_false(part->fragmentation && !whole->fragmentation);
	assert_false(part->cookie && !whole->cookie);
	assert_true(part->error == 0 || part->error == whole->error);
	assert_true(part->software == IKE_SOFTWARE_UNKNOWN || part->software == whole->software);
}

static void build_rich(unsigned version)
{
	if (version == 1)
		ike_build_main_mode(&message, SPI_I);
	else
		ike_build_sa_init(&message, SPI_I);
	ike_add_notify(&message, 14, 0);
}

static void messages_cut_at_any_byte_are_refused_or_read_in_part(void **state)
{
	(void)state;
	for (unsigned version = 1; version <= 2; version++) {
		struct ike_header header;
		struct ike_facts facts, whole;
		build_rich(version);
		assert_true(read_message(message.bytes, message.length, message.length, &header, &whole));
		assert_int_equal(whole.error, 14);
		for (uint32_t count = 0; count < message.length; count++) {
			assert_false(read_message(message.bytes, count, count, &header, &facts));
			assert_false(read_message(message.bytes, message.length, count, &header, &facts));
			/* A first fragment: the datagram has it all. */
			bool sound = read_message(message.bytes, count, message.length, &header, &facts);
			assert_int_equal(sound, count >= 28);
			if (!sound)
				continue;
			assert_false(facts.is_malformed);
			assert_no_more(&facts, &whole);
			/* And one that says it ends there. */
			static struct ike_message cut;
			cut = message;
			ike_put(cut.bytes + 24, count, 4);
			assert_true(read_message(cut.bytes, count, count, &header, &facts));
			assert_no_more(&facts, &whole);
			assert_true(facts.is_malformed);
		}
	}
}

static void any_bit_may_be_wrong(void **state)
{
	uint32_t refused = 0, malformed = 0;

	(void)state;
	for (unsigned version = 1; version <= 2; version++) {
		build_rich(version);
		for (uint32_t bit = 0; bit < message.length * 8; bit++) {
			struct ike_header header;
			struct ike_facts facts;
			message.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			bool sound = read_message(message.bytes, message.length, message.length, &header, &facts);
			message.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refused += !sound;
			malformed += sound && facts.is_malformed;
			assert_true(sound || (bit / 8 >= 17 && bit / 8 < 28));
			if (sound)
				assert_true(facts.software < IKE_SOFTWARES && facts.error < 16384);
		}
	}
	assert_true(refused > 20 && malformed > 20);
}

static void port_4500_carries_three_kinds(void **state)
{
	static const struct {
		const char *what;
		const char *bytes;
		uint32_t count, length; /* what is there, what UDP says */
		enum natt_kind kind;
	} cases[] = {
		{"nothing", "", 0, 0, NATT_SHORT},
		{"a keepalive", "\xff", 1, 1, NATT_KEEPALIVE},
		{"another byte", "\xfe", 1, 1, NATT_SHORT},
		{"a zero byte", "\0", 1, 1, NATT_SHORT},
		{"two bytes", "\xff\xff", 2, 2, NATT_SHORT},
		{"a marker", "\0\0\0\0", 4, 4, NATT_SHORT},
		{"half of ESP", "\1\2\3\4\0\0\0", 7, 7, NATT_SHORT},
		{"ESP", "\1\2\3\4\0\0\0\1", 8, 8, NATT_ESP},
		{"the same, and UDP ends before", "\1\2\3\4\0\0\0\1", 8, 7, NATT_SHORT},
		{"ESP like keepalives", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 8, NATT_ESP},
		{"ESP with the lowest SPI", "\0\0\0\1\0\0\0\0zz", 10, 10, NATT_ESP},
		{"a first fragment of ESP", "\1\2\3\4\0\0\0\1", 8, 1400, NATT_ESP},
		{"a first fragment with too little", "\1\2\3\4", 4, 1400, NATT_SHORT},
		{"a marker and too little",
		 "\0\0\0\0"
		 "abcdefghijklmnopqrstuvwxyz0",
		 31, 31, NATT_SHORT},
		{"a marker and a header",
		 "\0\0\0\0"
		 "abcdefghijklmnopqrstuvwxyz01",
		 32, 32, NATT_IKE},
		{"the same, and UDP ends before",
		 "\0\0\0\0"
		 "abcdefghijklmnopqrstuvwxyz01",
		 32, 31, NATT_SHORT},
		{"a marker in a fragment with too little",
		 "\0\0\0\0"
		 "abcd",
		 8, 1400, NATT_SHORT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet packet = place((const uint8_t *)cases[i].bytes, cases[i].count);
		if (natt_classify(&packet, AT, cases[i].length) != cases[i].kind)
			fail_msg("%s", cases[i].what);
		free(packet.data);
	}
	/* IKE behind the marker is read from there. */
	struct ike_header header;
	uint8_t bytes[4 + 28] = {0};
	ike_begin(&message, 2, 35, 8, SPI_I, SPI_R, 1);
	memcpy(bytes + 4, message.bytes, 28);
	struct packet packet = place(bytes, sizeof(bytes));
	assert_int_equal(natt_classify(&packet, AT, sizeof(bytes)), NATT_IKE);
	assert_true(ike_parse(&packet, AT + NATT_MARKER, sizeof(bytes) - NATT_MARKER, &header));
	assert_true(header.initiator_spi == SPI_I);
	free(packet.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_read_whole),
		cmocka_unit_test(headers_are_refused_for_one_wrong_thing),
		cmocka_unit_test(exchanges_are_told_apart_by_version),
		cmocka_unit_test(vendor_ids_tell_what_they_mean),
		cmocka_unit_test(claims_of_ciscos_extensions_do_not_hide_who_it_is),
		cmocka_unit_test(the_first_messages_tell_of_nat_traversal),
		cmocka_unit_test(notifies_are_errors_or_facts),
		cmocka_unit_test(what_is_encrypted_is_not_read),
		cmocka_unit_test(wrong_lengths_end_the_walk),
		cmocka_unit_test(at_most_64_payloads_are_read),
		cmocka_unit_test(messages_cut_at_any_byte_are_refused_or_read_in_part),
		cmocka_unit_test(any_bit_may_be_wrong),
		cmocka_unit_test(port_4500_carries_three_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
