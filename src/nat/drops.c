/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of dropped packets. What is nearest to a packet is looked up when somebody asks, not when it is dropped. */
#include "nat/drops.h"

#include "nat/mapping.h"

uint32_t drops_identifier(const struct passage *passage)
{
	const struct transport *transport = &passage->transport;

	switch (passage->ip.protocol) {
	case PROTOCOL_ESP:
		return transport->esp.spi;
	case PROTOCOL_GRE:
		return transport->gre.is_enhanced ? transport->gre.call_id : transport->gre.key;
	case PROTOCOL_ICMP:
		return (uint32_t)transport->icmp_type << 8 | transport->icmp_code;
	default:
		return 0;
	}
}

void drops_note(struct engine *engine, const struct passage *passage, enum drop reason)
{
	struct drop_record *record = &engine->drop[engine->drops++ % DROPS_KEPT];

	*record = (struct drop_record){
		.at_ms = engine->now_ms,
		.from = (uint8_t)passage->from,
		.reason = (uint8_t)reason,
	};
	if (passage->ip.family != FAMILY_NONE) {
		record->source = passage->ip.source;
		record->destination = passage->ip.destination;
		record->protocol = passage->ip.protocol;
		record->length = (uint16_t)ip_length(&passage->ip);
	}
	/* Of a packet whose transport header was not read, or is no good, nothing is known of ports. */
	if (!passage->is_read || passage->fault != DROP_NONE)
		return;
	record->source_port = passage->transport.source_port;
	record->destination_port = passage->transport.destination_port;
	record->identifier = drops_identifier(passage);
}

/* From the WAN the mapping that was knocked at; from the LAN any of what that host has open from this port. */
static void find_nearest(const struct engine *engine, const struct drop_record *record, struct drop_view *view)
{
	const struct outside *outside = outside_find(engine, record->destination);

	if (record->from != SIDE_WAN || !outside || port_space(record->protocol) < 0)
		return;
	uint32_t index = mapping_at(outside, record->protocol, record->destination_port);
	if (index == NONE)
		return;
	view->has_mapping = true;
	view->mapping_address = host_address(engine, engine->mapping[index].host);
	view->mapping_port = engine->mapping[index].inside_port;
}

bool engine_next_drop(const struct engine *engine, uint64_t *cursor, uint64_t now_ms, struct drop_view *view)
{
	/* The cursor counts what was shown; what was overwritten meanwhile is not shown. */
	if (*cursor == 0)
		*cursor = engine->drops + 1;
	uint64_t number = --*cursor;
	if (number == 0 || engine->drops - number >= DROPS_KEPT) {
		*cursor = 1;
		return false;
	}
	const struct drop_record *record = &engine->drop[(number - 1) % DROPS_KEPT];
	*view = (struct drop_view){
		.number = number,
		.age_ms = now_ms - record->at_ms,
		.from = (enum side)record->from,
		.reason = (enum drop)record->reason,
		.protocol = record->protocol,
		.source = record->source,
		.destination = record->destination,
		.source_port = record->source_port,
		.destination_port = record->destination_port,
		.identifier = record->identifier,
		.length = record->length,
	};
	find_nearest(engine, record, view);
	return true;
}
