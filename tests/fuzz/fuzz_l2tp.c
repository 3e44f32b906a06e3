/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A datagram that may be L2TP: two bytes say how much of it is there (a first fragment has less than UDP says), the
 * rest is the datagram, in memory of just its size. What the readers answer is compared with what the bytes say; what
 * is read of a part must be in the whole; and an ID that is changed in place is read as changed, under a right
 * checksum.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/l2tp_messages.h"
#include "../unit/packets.h"
#include "wire/l2tp.h"
#include "wire/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AT = 28, UDP_AT = 20 };

static void fail(const char *what)
{
	fprintf(stderr, "invariant: %s\n", what);
	abort();
}

static uint32_t number(const uint8_t *at, unsigned count)
{
	uint32_t value = 0;

	while (count--)
		value = value << 8 | *at++;
	return value;
}

static void check_header(const uint8_t *bytes, uint32_t size, const struct l2tp_header *h)
{
	uint32_t width = h->version == 3 ? 4 : 2;

	if (h->version != (bytes[1] & 15) || h->is_control != (bytes[0] >> 7))
		fail("version or type are others");
	if (h->header_length + h->payload_length > size)
		fail("the message is longer than the datagram");
	if (h->is_control && (!h->has_sequence || number(bytes + 2, 2) != h->header_length + h->payload_length))
		fail("a control message without length or sequence numbers");
	if ((h->tunnel_at == 0) != (h->version == 3 && !h->is_control))
		fail("the tunnel's ID is where there is none, or nowhere");
	if (h->tunnel_at && (h->tunnel_at < AT + 2 || h->tunnel_at + width > AT + h->header_length ||
			     number(bytes + h->tunnel_at - AT, width) != h->tunnel))
		fail("the tunnel's ID is not where it is said to be");
}

static void check_id(const uint8_t *bytes, uint32_t present, const struct l2tp_id *id, unsigned width)
{
	if ((id->is_hidden && !id->has) || ((!id->has || id->is_hidden) && (id->at || id->value)))
		fail("an ID that is not to be read");
	if (id->has && !id->is_hidden &&
	    (id->at < AT + 12 || id->at + width > AT + present || number(bytes + id->at - AT, width) != id->value))
		fail("an ID is not where it is said to be");
}

static void check_name(const struct l2tp_name *name)
{
	size_t length = strnlen(name->text, L2TP_NAME_MAX);

	if (length == L2TP_NAME_MAX || ((!name->has || name->is_hidden) && length))
		fail("a name without an end, or one that is hidden");
	for (size_t i = 0; i < length; i++)
		if (name->text[i] < ' ' || name->text[i] > '~')
			fail("a name that cannot be printed");
}

static void check_facts(const uint8_t *bytes, uint32_t present, const struct l2tp_header *h, const struct l2tp_facts *f)
{
	check_id(bytes, present, &f->tunnel, 2);
	check_id(bytes, present, &f->session, 2);
	check_id(bytes, present, &f->connection, 4);
	check_id(bytes, present, &f->local_session, 4);
	check_id(bytes, present, &f->remote_session, 4);
	check_name(&f->host);
	check_name(&f->vendor);
	if ((!h->is_control || l2tp_is_zlb(h)) && (f->is_malformed || f->message || f->tunnel.has || f->host.has))
		fail("attributes where there are none");
}

static bool is_same_id(const struct l2tp_id *a, const struct l2tp_id *b)
{
	return a->has == b->has && a->is_hidden == b->is_hidden && a->value == b->value && a->at == b->at;
}

static void check_part(const struct l2tp_facts *part, const struct l2tp_facts *whole)
{
	if ((part->message && part->message != whole->message) || (part->is_malformed && !whole->is_malformed) ||
	    (part->has_digest && !whole->has_digest) || (part->has_result && part->result != whole->result) ||
	    (part->tunnel.has && !is_same_id(&part->tunnel, &whole->tunnel)) ||
	    (part->session.has && !is_same_id(&part->session, &whole->session)) ||
	    (part->host.has && strcmp(part->host.text, whole->host.text) != 0))
		fail("a part tells more than the whole");
}

/* Reads present bytes of a datagram of size; false if it is no L2TP. */
static bool read_one(const uint8_t *bytes, uint32_t present, uint32_t size, struct l2tp_header *h, struct l2tp_facts *f)
{
	struct packet packet = {.data = malloc(AT + present), .length = AT + present};

	if (!packet.data)
		fail("no memory");
	memset(packet.data, 0, AT);
	if (present)
		memcpy(packet.data + AT, bytes, present);
	bool sound = l2tp_parse(&packet, AT, size, h);
	if (sound) {
		check_header(bytes, size, h);
		l2tp_read_control(&packet, AT, h, f);
		check_facts(bytes, present, h, f);
	}
	free(packet.data);
	return sound;
}

/* Changes the IDs of version 2 in a real datagram and reads them again. */
static void change_ids(const uint8_t *bytes, uint32_t size, const struct l2tp_header *h, const struct l2tp_facts *f)
{
	static struct test_packet packet;
	struct l2tp_header again;
	struct l2tp_facts facts;
	uint16_t tunnel = (uint16_t)(h->tunnel ^ size), assigned = (uint16_t)(f->tunnel.value + size);

	packets_build(&packet, &(struct packet_spec){.protocol = PROTO_UDP,
						     .source = 0x0a000002,
						     .source_port = 1701,
						     .destination = 0xcb007101,
						     .destination_port = 1701,
						     .payload = bytes,
						     .payload_length = size,
						     .partial = size % 8 == 1,
						     .udp_no_checksum = size % 8 == 2});
	udp_patch16(&packet.packet, UDP_AT, h->tunnel_at, tunnel);
	if (f->tunnel.at)
		udp_patch16(&packet.packet, UDP_AT, f->tunnel.at, assigned);
	const char *wrong = packets_verify(&packet.packet);
	if (wrong)
		fail(wrong);
	if (!l2tp_parse(&packet.packet, AT, size, &again) || again.tunnel != tunnel)
		fail("the tunnel's ID was not changed");
	l2tp_read_control(&packet.packet, AT, &again, &facts);
	if (f->tunnel.at && facts.tunnel.value != assigned)
		fail("the assigned ID was not changed");
	if (facts.message != f->message || facts.is_malformed != f->is_malformed ||
	    strcmp(facts.host.text, f->host.text) != 0)
		fail("something else was changed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct l2tp_header header, part_header;
	struct l2tp_facts facts, part;

	if (size < 2 || size - 2 > L2TP_MESSAGE_BYTES)
		return 0;
	uint32_t present = number(data, 2), length = (uint32_t)size - 2;
	bool sound = read_one(data + 2, length, length, &header, &facts);
	if (present < length && read_one(data + 2, present, length, &part_header, &part)) {
		if (!sound)
			fail("a part was taken and the whole refused");
		check_part(&part, &facts);
	}
	if (sound && header.version == 2)
		change_ids(data + 2, length, &header, &facts);
	return 0;
}
