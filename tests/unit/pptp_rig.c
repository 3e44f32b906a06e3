/* SPDX-License-Identifier: BSD-2-Clause */
/* See pptp_rig.h. Streams start just below 2^32, so that every test sees sequence numbers wrap. */
#include "pptp_rig.h"

enum { PORT = 1723 };

int pptp_setup(void **state)
{
	if (rig_setup(state))
		return -1;
	struct rig *rig = *state;
	rig->service = SERVICE_PPTP;
	rig->limits.tunnels = 512;
	rig->config.forward[0] = (struct forward){PROTO_TCP, PORT, PORT, {SERVER}, PORT};
	rig->config.forwards = 1;
	rig_restart(rig);
	return 0;
}

struct line line_plan(struct rig *rig, bool server_inside, uint32_t inside, uint16_t port, uint32_t remote)
{
	return (struct line){
		.rig = rig,
		.server_inside = server_inside,
		.inside = inside,
		.outside = O1,
		.remote = remote,
		.inside_port = server_inside ? PORT : port,
		.outside_port = server_inside ? PORT : port,
		.remote_port = server_inside ? port : PORT,
		.next = {0xfffffff0, 0xffffff70},
	};
}

void line_shake_hands(struct line *line)
{
	enum side client = line->server_inside ? SIDE_WAN : SIDE_LAN;
	struct packet *p = line_segment(line, client, FLAG_SYN, line->next[client]++, NULL, 0);

	assert_non_null(p);
	rig_forwarded(line->rig, (enum side) !client);
	if (!line->server_inside)
		line->outside_port = packets_source_port(p);
	line_segment(line, (enum side) !client, FLAG_SYN | FLAG_ACK, line->next[!client]++, NULL, 0);
	rig_forwarded(line->rig, client);
	line_acknowledge(line, client);
}

struct line line_to(struct rig *rig, uint32_t inside, uint16_t port, uint32_t remote)
{
	struct line line = line_plan(rig, false, inside, port, remote);

	line_shake_hands(&line);
	return line;
}

struct line line_from(struct rig *rig, uint32_t remote, uint16_t port)
{
	struct line line = line_plan(rig, true, SERVER, port, remote);

	line_shake_hands(&line);
	return line;
}

struct packet *line_segment(struct line *line, enum side from, uint8_t flags, uint32_t sequence, const uint8_t *bytes,
			    uint32_t count)
{
	bool lan = from == SIDE_LAN;

	return rig_send(line->rig, from,
			&(struct packet_spec){.protocol = PROTO_TCP,
					      .source = lan ? line->inside : line->remote,
					      .source_port = lan ? line->inside_port : line->remote_port,
					      .destination = lan ? line->remote : line->outside,
					      .destination_port = lan ? line->remote_port : line->outside_port,
					      .flags = flags,
					      .sequence = sequence,
					      .acknowledge = line->next[!from],
					      .payload = bytes,
					      .payload_length = count,
					      .df = true});
}

struct packet *line_send(struct line *line, enum side from, const uint8_t *bytes, uint32_t count)
{
	uint32_t sequence = line->next[from];

	line->next[from] += count;
	return line_segment(line, from, FLAG_ACK | FLAG_PSH, sequence, bytes, count);
}

void line_acknowledge(struct line *line, enum side from)
{
	line_segment(line, from, FLAG_ACK, line->next[from], NULL, 0);
	rig_forwarded(line->rig, (enum side) !from);
}

uint8_t *line_data(const struct packet *packet, uint32_t *count)
{
	uint32_t at = packets_ihl(packet);

	at += (uint32_t)(packet_get8(packet, at + 12) >> 4) * 4;
	*count = packet->length - at;
	return packet->data + at;
}

const uint8_t *line_message(struct line *line, enum side from, unsigned type, uint16_t first, uint16_t second,
			    uint8_t result)
{
	uint8_t bytes[MESSAGE_MAX];
	uint32_t length = message_build(bytes, type, first, second, result), count;
	struct packet *p = line_send(line, from, bytes, length);

	rig_forwarded(line->rig, (enum side) !from);
	assert_non_null(p);
	const uint8_t *arrived = line_data(p, &count);
	assert_int_equal(count, length);
	assert_memory_equal(arrived, bytes, 12);
	if (length > 16)
		assert_memory_equal(arrived + 16, bytes + 16, length - 16);
	return arrived;
}

void line_expect(struct line *line, enum side from, unsigned type, uint16_t first, uint16_t second, uint8_t result,
		 uint16_t arrived_first, uint16_t arrived_second)
{
	const uint8_t *arrived = line_message(line, from, type, first, second, result);

	assert_int_equal(message_get16(arrived + 12), arrived_first);
	assert_int_equal(message_get16(arrived + 14), arrived_second);
}

void line_reset(struct line *line, enum side from)
{
	line_segment(line, from, FLAG_RST, line->next[from], NULL, 0);
	rig_forwarded(line->rig, (enum side) !from);
}

void line_close(struct line *line)
{
	line_segment(line, SIDE_LAN, FLAG_FIN | FLAG_ACK, line->next[SIDE_LAN]++, NULL, 0);
	rig_forwarded(line->rig, SIDE_WAN);
	line_segment(line, SIDE_WAN, FLAG_FIN | FLAG_ACK, line->next[SIDE_WAN]++, NULL, 0);
	rig_forwarded(line->rig, SIDE_LAN);
}

uint16_t line_request(struct line *line, uint16_t inside_id)
{
	const uint8_t *arrived = line_message(line, SIDE_LAN, line->server_inside ? INCOMING_REQUEST : OUTGOING_REQUEST,
					      inside_id, 0x7177, 0);

	assert_int_equal(message_get16(arrived + 14), 0x7177);
	return message_get16(arrived + 12);
}

uint16_t line_call(struct line *line, uint16_t inside_id, uint16_t remote_id)
{
	if (!line->server_inside) {
		uint16_t outside_id = line_request(line, inside_id);
		line_expect(line, SIDE_WAN, OUTGOING_REPLY, remote_id, outside_id, RESULT_CONNECTED, remote_id,
			    inside_id);
		return outside_id;
	}
	line_expect(line, SIDE_WAN, OUTGOING_REQUEST, remote_id, 0x7177, 0, remote_id, 0x7177);
	const uint8_t *arrived = line_message(line, SIDE_LAN, OUTGOING_REPLY, inside_id, remote_id, RESULT_CONNECTED);
	assert_int_equal(message_get16(arrived + 14), remote_id);
	return message_get16(arrived + 12);
}

struct packet *pptp_gre(struct rig *rig, enum side from, uint32_t source, uint32_t destination, uint16_t call_id)
{
	return rig_send(rig, from,
			&(struct packet_spec){.protocol = PROTO_GRE,
					      .enhanced = true,
					      .call_id = call_id,
					      .source = source,
					      .destination = destination,
					      .payload_length = 40});
}

void line_data_passes(struct line *line, uint16_t inside_id, uint16_t outside_id, uint16_t remote_id)
{
	struct rig *rig = line->rig;
	struct packet *p = pptp_gre(rig, SIDE_LAN, line->inside, line->remote, remote_id);

	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(packets_source(p), line->outside);
	assert_int_equal(packets_destination(p), line->remote);
	assert_int_equal(packet_get16(p, 26), remote_id);
	assert_memory_equal(p->data + 20, rig->packet.bytes + 20, 48);
	p = pptp_gre(rig, SIDE_WAN, line->remote, line->outside, outside_id);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_source(p), line->remote);
	assert_int_equal(packets_destination(p), line->inside);
	assert_int_equal(packet_get16(p, 26), inside_id);
	assert_memory_equal(p->data + 20, rig->packet.bytes + 20, 6);
	assert_memory_equal(p->data + 28, rig->packet.bytes + 28, 40);
}

void line_data_refused(struct line *line, uint16_t outside_id, uint16_t remote_id)
{
	pptp_gre(line->rig, SIDE_LAN, line->inside, line->remote, remote_id);
	rig_dropped(line->rig, DROP_GRE_NO_CALL);
	pptp_gre(line->rig, SIDE_WAN, line->remote, line->outside, outside_id);
	rig_dropped(line->rig, DROP_GRE_NO_CALL);
}
