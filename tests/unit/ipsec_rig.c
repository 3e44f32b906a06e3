/* SPDX-License-Identifier: BSD-2-Clause */
/* IPsec for tests. */
#include "ipsec_rig.h"

#include <string.h>

int ipsec_rig_setup(void **state)
{
	struct rig *rig;

	rig_setup(state);
	rig = *state;
	rig->limits.tunnels = 16;
	rig_restart(rig);
	return 0;
}

static uint32_t send_esp(struct rig *rig, enum side from, uint32_t source, uint32_t destination, uint32_t spi,
			 uint32_t sequence)
{
	struct packet *out = rig_send(rig, from,
				      &(struct packet_spec){
					      .protocol = PROTO_ESP,
					      .source = source,
					      .destination = destination,
					      .spi = spi,
					      .sequence = sequence,
					      .payload_length = 64,
				      });

	if (!out || rig->result.verdict != VERDICT_FORWARDED)
		return 0;
	assert_int_equal(packet_get32(out, packets_ihl(out)), spi);
	assert_int_equal(packet_get32(out, packets_ihl(out) + 4), sequence);
	return from == SIDE_LAN ? packets_source(out) : packets_destination(out);
}

uint32_t ipsec_out(struct rig *rig, uint32_t inside, uint32_t remote, uint32_t spi, uint32_t sequence)
{
	return send_esp(rig, SIDE_LAN, inside, remote, spi, sequence);
}

uint32_t ipsec_in(struct rig *rig, uint32_t remote, uint32_t spi, uint32_t sequence)
{
	return send_esp(rig, SIDE_WAN, remote, O1, spi, sequence);
}

static void put(uint8_t *at, uint64_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

struct packet *ipsec_ike(struct rig *rig, enum side from, uint32_t source, uint16_t source_port, uint32_t destination,
			 uint16_t destination_port, const struct ike_spec *spec)
{
	uint8_t bytes[256] = {0};
	uint32_t at = spec->marker ? 4 : 0;
	uint8_t version = spec->version == 1 ? 0x10 : 0x20;
	uint32_t body = spec->clear ? 4 + spec->clear_length : 8;

	put(bytes + at, spec->initiator, 8);
	put(bytes + at + 8, spec->responder, 8);
	bytes[at + 16] = spec->clear ? (uint8_t)spec->clear_type : 46;
	bytes[at + 17] = version;
	bytes[at + 18] = spec->exchange;
	bytes[at + 19] = spec->response ? 0x20 : 0;
	put(bytes + at + 20, spec->message_id, 4);
	put(bytes + at + 24, 28 + body, 4);
	if (spec->clear) {
		put(bytes + at + 30, body, 2);
		memcpy(bytes + at + 32, spec->clear, spec->clear_length);
	}
	return rig_send(rig, from,
			&(struct packet_spec){
				.protocol = PROTO_UDP,
				.source = source,
				.source_port = source_port,
				.destination = destination,
				.destination_port = destination_port,
				.payload = bytes,
				.payload_length = at + 28 + body,
			});
}

bool ipsec_tunnel(struct rig *rig, uint32_t inside, uint32_t remote, struct tunnel_view *view)
{
	uint64_t cursor = 0;

	while (engine_next_tunnel(rig->engine, &cursor, rig->now, view))
		if (view->service == SERVICE_IPSEC && view->inside_address.v4 == inside &&
		    view->remote_address.v4 == remote && view->end == END_NOT)
			return true;
	return false;
}
