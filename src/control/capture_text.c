/* SPDX-License-Identifier: BSD-2-Clause */
/* Headers as far as they are translated (RFC 791, 768, 9293, 792, 2637 section 4.1, 4303, 4302), and sentences. */
#include "control/capture_text.h"

#include <inttypes.h>

#include "base/address.h"
#include "config/text.h"
#include "control/verb.h"

static uint32_t read_identifier(const struct packet *packet, uint32_t at, uint8_t protocol)
{
	uint8_t type = packet_get8(packet, at);

	switch (protocol) {
	case PROTOCOL_ICMP: /* queries and their answers */
		return type == 0 || type == 8 || type == 13 || type == 14 ? packet_get16(packet, at + 4) : 0;
	case PROTOCOL_GRE: /* version 1 with a key */
		return (packet_get16(packet, at) & 0x2007) == 0x2001 ? packet_get16(packet, at + 6) : 0;
	case PROTOCOL_ESP:
		return packet_get32(packet, at);
	case PROTOCOL_AH:
		return packet_get32(packet, at + 4);
	default:
		return 0;
	}
}

void capture_text_read(const struct packet *packet, struct capture_ends *ends)
{
	uint32_t at = (packet_get8(packet, 0) & 15U) * 4;

	*ends = (struct capture_ends){0};
	if (packet_get8(packet, 0) >> 4 != 4 || at < 20)
		return;
	ends->protocol = packet_get8(packet, 9);
	ends->source = address_of(packet_get32(packet, 12));
	ends->destination = address_of(packet_get32(packet, 16));
	if ((packet_get16(packet, 6) & 0x1fff) != 0)
		return; /* a later fragment */
	ends->identifier = read_identifier(packet, at, ends->protocol);
	if (ends->protocol != PROTOCOL_TCP && ends->protocol != PROTOCOL_UDP)
		return;
	ends->source_port = packet_get16(packet, at);
	ends->destination_port = packet_get16(packet, at + 2);
}

static void append_end(char *text, size_t size, struct address address, uint16_t port)
{
	char dotted[ADDRESS_TEXT];

	text_append(text, size, "%s", address_print(address, dotted));
	if (port)
		text_append(text, size, ":%u", port);
}

static void add_end(char comment[CAPTURE_COMMENT], struct address address, uint16_t port)
{
	append_end(comment, CAPTURE_COMMENT, address, port);
}

/* --- ICMP (RFC 792, RFC 1191, RFC 1812) --- */

/* NULL: it has no name of its own. */
static const char *unreachable_name(uint8_t code)
{
	static const char *const names[] = {
		"network unreachable",      "host unreachable",       "protocol unreachable",
		"port unreachable",         "fragmentation needed",   "source route failed",
		[9] = "network prohibited", [10] = "host prohibited", [13] = "administratively prohibited"};

	return code < sizeof(names) / sizeof(names[0]) ? names[code] : NULL;
}

static const char *icmp_name(uint8_t type, uint8_t code)
{
	static const char *const names[] = {
		[0] = "echo reply",     [4] = "source quench",      [5] = "redirect",   [8] = "echo request",
		[11] = "time exceeded", [12] = "parameter problem", [13] = "timestamp", [14] = "timestamp reply"};

	if (type == 3)
		return unreachable_name(code);
	return type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

/* The packet that the sender of an error has seen. */
static void add_quote(const struct packet *packet, uint32_t at, char detail[CAPTURE_DETAIL])
{
	uint32_t header = (packet_get8(packet, at) & 15U) * 4;
	uint8_t protocol = packet_get8(packet, at + 9);
	bool has_ports = (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) && header >= 20 &&
			 (packet_get16(packet, at + 6) & 0x1fff) == 0 && at + header + 4 <= packet->length;
	char memory[8];

	if (packet_get8(packet, at) >> 4 != 4 || at + 20 > packet->length)
		return;
	text_append(detail, CAPTURE_DETAIL, " of %s ", verb_protocol_name(protocol, memory));
	append_end(detail, CAPTURE_DETAIL, address_of(packet_get32(packet, at + 12)),
		   has_ports ? packet_get16(packet, at + header) : 0);
	text_append(detail, CAPTURE_DETAIL, " -> ");
	append_end(detail, CAPTURE_DETAIL, address_of(packet_get32(packet, at + 16)),
		   has_ports ? packet_get16(packet, at + header + 2) : 0);
}

void capture_text_detail(const struct packet *packet, const struct capture_ends *ends, char detail[CAPTURE_DETAIL])
{
	uint32_t at = (packet_get8(packet, 0) & 15U) * 4;
	uint8_t type = packet_get8(packet, at), code = packet_get8(packet, at + 1);
	const char *name = icmp_name(type, code);

	detail[0] = '\0';
	if (ends->protocol != PROTOCOL_ICMP || (packet_get16(packet, 6) & 0x1fff) != 0 || at + 8 > packet->length)
		return;
	text_append(detail, CAPTURE_DETAIL, "%s", name ? name : "type");
	if (type == 3 && code == 4)
		text_append(detail, CAPTURE_DETAIL, ", MTU %u", packet_get16(packet, at + 6));
	if (!name || type == 3 || type == 5 || type == 11)
		text_append(detail, CAPTURE_DETAIL, " (%u/%u)", type, code);
	if (type == 3 || type == 4 || type == 5 || type == 11 || type == 12)
		add_quote(packet, at + 8, detail);
}

/* --- comments --- */

static void add_translation(char comment[CAPTURE_COMMENT], const struct capture_ends *before,
			    const struct capture_ends *after)
{
	const char *between = ": ";

	if (!address_equal(before->source, after->source) || before->source_port != after->source_port) {
		text_append(comment, CAPTURE_COMMENT, "%ssource ", between);
		add_end(comment, before->source, before->source_port);
		text_append(comment, CAPTURE_COMMENT, " -> ");
		add_end(comment, after->source, after->source_port);
		between = ", ";
	}
	if (!address_equal(before->destination, after->destination) ||
	    before->destination_port != after->destination_port) {
		text_append(comment, CAPTURE_COMMENT, "%sdestination ", between);
		add_end(comment, before->destination, before->destination_port);
		text_append(comment, CAPTURE_COMMENT, " -> ");
		add_end(comment, after->destination, after->destination_port);
		between = ", ";
	}
	if (before->identifier != after->identifier) {
		text_append(comment, CAPTURE_COMMENT, "%s%s %" PRIu32 " -> %" PRIu32, between,
			    before->protocol == PROTOCOL_GRE ? "Call ID" : "identifier", before->identifier,
			    after->identifier);
		between = ", ";
	}
	if (between[0] == ':')
		text_append(comment, CAPTURE_COMMENT, " as it is");
}

static void add_drop(char comment[CAPTURE_COMMENT], enum drop reason, struct address mapping)
{
	text_append(comment, CAPTURE_COMMENT, "dropped %s: %s", drop_name(reason), drop_meaning(reason));
	if (!address_is_set(mapping))
		return;
	text_append(comment, CAPTURE_COMMENT, "; sent to a mapping of ");
	add_end(comment, mapping, 0);
}

void capture_text_comment(struct capture_packet *packet, const struct capture_packet *came,
			  const struct capture_packet *left, struct address mapping)
{
	char *comment = packet->comment;
	bool is_result = packet->result.verdict == VERDICT_FORWARDED;

	comment[0] = '\0';
	if (packet->event == CAPTURE_DROPPED) {
		text_append(comment, CAPTURE_COMMENT, "because of packet %" PRIu64 ": ", came->number);
		add_drop(comment, (enum drop)packet->result.drop, address_of(0));
		return;
	}
	if (packet->event == CAPTURE_LEFT && !is_result) {
		text_append(comment, CAPTURE_COMMENT, "made by the router because of packet %" PRIu64, came->number);
		return;
	}
	switch ((enum verdict)packet->result.verdict) {
	case VERDICT_FORWARDED:
		text_append(comment, CAPTURE_COMMENT, "forwarded");
		if (packet->event == CAPTURE_LEFT)
			add_translation(comment, &came->ends, &packet->ends);
		else if (left)
			add_translation(comment, &came->ends, &left->ends);
		break;
	case VERDICT_CONSUMED:
		text_append(comment, CAPTURE_COMMENT, left ? "answered by the router" : "for the router itself");
		break;
	case VERDICT_HELD:
		text_append(comment, CAPTURE_COMMENT, "held: it waits, and is forwarded or dropped later");
		break;
	case VERDICT_DROPPED:
		add_drop(comment, (enum drop)packet->result.drop, mapping);
		break;
	}
}

void capture_text_waited(struct capture_packet *packet)
{
	packet->comment[0] = '\0';
	if (packet->event == CAPTURE_DROPPED) {
		add_drop(packet->comment, (enum drop)packet->result.drop, address_of(0));
		text_append(packet->comment, CAPTURE_COMMENT, "; it had waited");
		return;
	}
	text_append(packet->comment, CAPTURE_COMMENT, "forwarded: it had waited for its turn");
}
