/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A datagram that may be IKE, of UDP port 500 or 4500: two bytes say how much of it is there (a first fragment has less
 * than UDP says), the rest is the datagram, in memory of just its size. What the readers answer is compared with what
 * the bytes say, read the obvious way; and what is read of a part must be in the whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/ike_messages.h"
#include "wire/ike.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AT = 28 };

static void fail(const char *what)
{
	fprintf(stderr, "invariant: %s\n", what);
	abort();
}

static uint64_t number(const uint8_t *at, unsigned count)
{
	uint64_t value = 0;

	while (count--)
		value = value << 8 | *at++;
	return value;
}

static bool contains(const uint8_t *bytes, size_t size, const char *vendor, size_t count)
{
	return memmem(bytes, size, vendor, count) != NULL;
}

/* What may be known of a message at all, from the bytes anywhere in it. */
static void check_facts(const uint8_t *bytes, uint32_t size, const struct ike_header *header,
			const struct ike_facts *facts)
{
	bool v1 = header->version_major == 1;
	bool any = facts->natt || facts->natd || facts->natoa || facts->fragmentation || facts->dpd || facts->cookie ||
		   facts->transport || facts->is_malformed || facts->error || facts->software;

	if (facts->is_clear != (v1 ? !(bytes[19] & 1) : bytes[18] == 34))
		fail("what is encrypted was not told apart");
	if (!facts->is_clear && any)
		fail("something was read from an encrypted message");
	if (facts->error >= 16384 || facts->software >= IKE_SOFTWARES)
		fail("an error or a software that is none");
	if ((v1 && (facts->cookie || facts->transport)) || (!v1 && facts->natoa))
		fail("a fact of the other version");
	if (v1 && facts->natt && !contains(bytes, size, VID_RFC3947, 16) && !contains(bytes, size, VID_DRAFT_02N, 16) &&
	    !contains(bytes, size, VID_DRAFT_02, 16) && !contains(bytes, size, VID_DRAFT_03, 16))
		fail("NAT traversal out of nothing");
	if (!v1 && facts->natt && !contains(bytes, size, "\x40\x04", 2) && !contains(bytes, size, "\x40\x05", 2))
		fail("NAT detection out of nothing");
	if (facts->software == IKE_SOFTWARE_WINDOWS && !contains(bytes, size, VID_WINDOWS_10, 16))
		fail("Windows out of nothing");
	if (facts->software == IKE_SOFTWARE_STRONGSWAN && !contains(bytes, size, VID_STRONGSWAN, 16))
		fail("strongSwan out of nothing");
}

static void check_part(const struct ike_facts *part, const struct ike_facts *whole)
{
	if ((part->natt && !whole->natt) || (part->natd && !whole->natd) || (part->natoa && !whole->natoa) ||
	    (part->fragmentation && !whole->fragmentation) || (part->dpd && !whole->dpd) ||
	    (part->cookie && !whole->cookie) || (part->transport && !whole->transport) ||
	    (part->error && part->error != whole->error) || (part->is_malformed && !whole->is_malformed))
		fail("a part tells more than the whole");
}

/* Reads present bytes of a datagram of size; false if it is no IKE. */
static bool read_one(const uint8_t *bytes, uint32_t present, uint32_t size, struct ike_facts *facts)
{
	struct packet packet = {.data = malloc(AT + present), .length = AT + present};
	struct ike_header header;
	uint64_t length = size >= 28 ? number(bytes + 24, 4) : 0;
	bool wanted = present >= 28 && number(bytes, 8) != 0 && (bytes[17] >> 4 == 1 || bytes[17] >> 4 == 2) &&
		      length >= 28 && length <= size;

	if (!packet.data)
		fail("no memory");
	memset(packet.data, 0, AT);
	if (present)
		memcpy(packet.data + AT, bytes, present);
	bool sound = ike_parse(&packet, AT, size, &header);
	if (sound != wanted)
		fail(wanted ? "a sound header was refused" : "a wrong header was taken");
	if (sound) {
		if (header.initiator_spi != number(bytes, 8) || header.responder_spi != number(bytes + 8, 8) ||
		    header.message_id != number(bytes + 20, 4) || header.length != length)
			fail("the header says something else");
		ike_read_clear(&packet, AT, size, &header, facts);
		check_facts(bytes, present, &header, facts);
	}
	enum natt_kind kind = natt_classify(&packet, AT, size);
	uint64_t first = present >= 4 ? number(bytes, 4) : 0;
	if ((kind == NATT_KEEPALIVE) != (size == 1 && present == 1 && bytes[0] == 0xff) ||
	    (kind == NATT_ESP) != (present >= 8 && first != 0) || (kind == NATT_IKE) != (present >= 32 && first == 0))
		fail("a datagram of port 4500 was taken for another");
	free(packet.data);
	return sound;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ike_facts whole, part;

	if (size < 2 || size - 2 > IKE_MESSAGE_MAX)
		return 0;
	uint32_t present = (uint32_t)number(data, 2), length = (uint32_t)size - 2;
	bool sound = read_one(data + 2, length, length, &whole);
	if (present < length && read_one(data + 2, present, length, &part)) {
		if (!sound)
			fail("a part was taken and the whole refused");
		check_part(&part, &whole);
	}
	/* Behind the marker of port 4500. */
	if (length > 4)
		read_one(data + 6, length - 4, length - 4, &whole);
	return 0;
}
