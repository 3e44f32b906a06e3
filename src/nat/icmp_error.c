/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors made here. */
#include "nat/icmp_error.h"

#include <string.h>

#include "nat/output.h"
#include "wire/checksum.h"

enum {
	TOS_INTERNETWORK_CONTROL = 0xc0, /* RFC 1812 section 4.3.2.5 */
	TTL_INITIAL = 64,
};

/* A bucket that holds one second's worth. Each error costs between half and one and a half, so that an outsider
 * who watches the limit learns little about what others provoke. */
static bool take_from_budget(struct engine *engine, enum side side)
{
	struct icmp_budget *budget = &engine->budget[side];
	uint64_t most = (uint64_t)engine->config.icmp_rate * 1000;
	uint64_t elapsed = engine->now_ms - budget->refilled_ms;
	uint64_t have = budget->thousandths + (elapsed > 1000 ? most : elapsed * engine->config.icmp_rate);

	budget->refilled_ms = engine->now_ms;
	budget->thousandths = (uint32_t)(have < most ? have : most);
	uint32_t cost = 500 + random_below(engine, 1001);
	if (budget->thousandths < cost) {
		count(engine, STAT_ICMP_LIMITED);
		return false;
	}
	budget->thousandths -= cost;
	return true;
}

static bool error_is_allowed(const struct passage *passage)
{
	if (passage->ip.offset != 0)
		return false;
	if (passage->ip.protocol != PROTOCOL_ICMP)
		return true;
	if (!packet_has(passage->packet, passage->ip.header_length, 1))
		return false;
	/* To RFC 1122 section 3.2.2 those two are errors as well, which are never translated. */
	uint8_t type = packet_get8(passage->packet, passage->ip.header_length);
	return !icmp_is_error(type) && type != ICMP_SOURCE_QUENCH && type != ICMP_REDIRECT;
}

bool icmp_error_make(struct engine *engine, const struct passage *passage, struct address from_address, uint8_t type,
		     uint8_t code, uint16_t mtu, struct packet *error)
{
	if (!address_is_set(from_address) || !error_is_allowed(passage) || !take_from_budget(engine, passage->from))
		return false;
	uint32_t most = output_mtu(engine, passage->from, passage->ip.source) - IP_HEADER_MIN - ICMP_HEADER;
	if (most > ICMP_QUOTE_MAX)
		most = ICMP_QUOTE_MAX;
	uint32_t quoted = passage->packet->length < most ? passage->packet->length : most;

	*error = (struct packet){.data = engine->scratch, .length = IP_HEADER_MIN + ICMP_HEADER + quoted};
	memset(error->data, 0, IP_HEADER_MIN + ICMP_HEADER);
	packet_put8(error, 0, 0x45);
	packet_put8(error, 1, TOS_INTERNETWORK_CONTROL);
	packet_put16(error, IP_OFFSET_TOTAL_LENGTH, (uint16_t)error->length);
	packet_put16(error, IP_OFFSET_IDENTIFICATION, (uint16_t)random_next(engine));
	packet_put8(error, IP_OFFSET_TTL, TTL_INITIAL);
	packet_put8(error, IP_OFFSET_PROTOCOL, PROTOCOL_ICMP);
	ip_put_address(error, IP_OFFSET_SOURCE, from_address);
	ip_put_address(error, IP_OFFSET_DESTINATION, passage->ip.source);
	packet_put16(error, IP_OFFSET_CHECKSUM, ip_header_checksum(error, 0, IP_HEADER_MIN));
	packet_put8(error, IP_HEADER_MIN, type);
	packet_put8(error, IP_HEADER_MIN + 1, code);
	packet_put16(error, IP_HEADER_MIN + ICMP_OFFSET_MTU, mtu);
	memcpy(error->data + IP_HEADER_MIN + ICMP_HEADER, passage->packet->data, quoted);
	uint64_t sum = checksum_add(0, error->data + IP_HEADER_MIN, ICMP_HEADER + quoted);
	packet_put16(error, IP_HEADER_MIN + ICMP_OFFSET_CHECKSUM, (uint16_t)~checksum_fold(sum));
	return true;
}

void icmp_error_emit(struct engine *engine, enum side to, struct packet *error)
{
	count(engine, STAT_ICMP_SENT);
	engine->sink->emit(engine->sink->context, to, to, error, ORIGIN_OWN);
}

void icmp_error_send(struct engine *engine, const struct passage *passage, struct address from_address, uint8_t type,
		     uint8_t code, uint16_t mtu)
{
	struct packet error;

	if (icmp_error_make(engine, passage, from_address, type, code, mtu, &error))
		icmp_error_emit(engine, passage->from, &error);
}
