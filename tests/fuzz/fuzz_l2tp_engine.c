/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A life of L2TP in the engine: records of four bytes (what, which line, two arguments), some with raw bytes behind
 * them. They are control messages with sound headers most of the time, data, errors about it, time, reloads and
 * crashes; several clients inside, most of them with source port 1701, a server inside, servers outside that say what
 * they like from and to any port. Whatever comes, packets are conserved, what reaches an inside host comes from
 * somebody with whom it has a flow, by that flow's outside port or by the ID of one of its tunnels, and no two tunnels
 * that share a port towards one server have the same outside ID.
 */

#include "../unit/l2tp_messages.h"
#include "life.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES = 10, SERVER = 0x0a000009, TUNNELS = 12, PORT = 1701, VIEWS = 24 };

/* An inside endpoint and a server's. */
struct line {
	uint32_t inside, remote;
	uint16_t inside_port, remote_port, seen_port;
	uint16_t ns[SIDES];
};

struct l2tp_life {
	struct life life;
	struct line line[LINES];
	struct l2tp_message_bytes message;
};

static const uint8_t seed[32] = {7, 5, 6};

static void begin(struct l2tp_life *l)
{
	l->life.seed = seed;
	l->life.limits =
		(struct engine_limits){.flows = 96, .hosts = 8, .addresses = 2, .fragments = 64, .tunnels = TUNNELS};
	life_begin(&l->life, 100000, TUNNELS);
	l->life.config.forward[0] = (struct forward){PROTO_UDP, PORT, PORT, {SERVER}, PORT};
	life_start(&l->life, 1);
	for (uint32_t i = 0; i < LINES; i++)
		l->line[i] = (struct line){.inside = i == 9 ? (uint32_t)SERVER : 0x0a000002 + i % 4,
					   .inside_port = i == 5 ? 40000 : PORT,
					   .remote = i == 7 ? (uint32_t)LIFE_OUTSIDE : 0xcb007101 + i / 4 % 2,
					   .remote_port = i == 6 ? 40001 : PORT,
					   .seen_port = i == 5 ? 40000 : PORT};
}

static bool is_told_apart(const struct tunnel_view *v)
{
	return v->is_shared && v->has_inside_id && v->hint != HINT_TUNNEL_ID_HIDDEN &&
	       v->hint != HINT_SHARE_IMPOSSIBLE && v->state <= TUNNEL_IS_CONNECTED;
}

static void check_tunnels(const struct tunnel_view *view, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (is_told_apart(&view[i]) && is_told_apart(&view[k]) &&
			    view[i].outside_id == view[k].outside_id &&
			    view[i].outside_address.v4 == view[k].outside_address.v4 &&
			    view[i].remote_address.v4 == view[k].remote_address.v4)
				life_fail("two tunnels that share a port have one outside ID");
}

/* The Tunnel ID in the header of a datagram; 0 if there is none. */
static uint32_t header_id(const struct packet *p)
{
	uint16_t bits = packet_get16(p, 28);

	return (bits & 15) == 2 ? packet_get16(p, bits & 0x4000 ? 32 : 30) : 0;
}

/* A datagram came to port, and this is what an inside host gets. */
static void check_delivery(struct l2tp_life *l, const struct packet *p, uint16_t port, const struct tunnel_view *view,
			   uint32_t count)
{
	struct flow_view flow;
	uint32_t cursor = 0, inside = packets_destination(p), remote = packets_source(p);
	bool has_flow = false;

	while (engine_next_flow(l->life.engine, &cursor, l->life.now, &flow)) {
		if (flow.protocol != PROTO_UDP || flow.inside_address.v4 != inside ||
		    flow.remote_address.v4 != remote || flow.inside_port != packets_destination_port(p))
			continue;
		if (flow.outside_port == port)
			return;
		has_flow = true;
	}
	if (!has_flow)
		life_fail("a datagram went to a host that does not talk to its sender");
	for (uint32_t i = 0; i < count && port == PORT; i++)
		if (view[i].inside_address.v4 == inside && view[i].remote_address.v4 == remote &&
		    view[i].has_inside_id && view[i].inside_id == header_id(p))
			return;
	life_fail("a datagram came by another port, and its tunnel is not the host's");
}

static void look_at_output(struct l2tp_life *l, enum side from, const struct tunnel_view *view, uint32_t count)
{
	for (uint32_t i = 0; i < l->life.out.count; i++) {
		const struct emission *e = &l->life.out.item[i];
		const struct packet *p = &e->packet;
		life_check(packets_verify(p));
		if (e->to == SIDE_WAN && !life_is_outside(packets_source(p)))
			life_fail("an inside address left to the WAN");
		if (packet_get8(p, 9) != PROTO_UDP || packet_get16(p, 6) & 0x1fff)
			continue;
		packets_copy(&l->life.last, p);
		l->life.last_to = e->to;
		if (e->to == SIDE_LAN && from == SIDE_WAN && !(packet_get16(&l->life.packet.packet, 6) & 0x3fff))
			check_delivery(l, p, packets_destination_port(&l->life.packet.packet), view, count);
	}
}

static void send_packet(struct l2tp_life *l, enum side from)
{
	struct tunnel_view view[VIEWS];
	uint32_t count;

	life_process(&l->life, from);
	count = life_list_tunnels(&l->life, view, VIEWS);
	check_tunnels(view, count);
	look_at_output(l, from, view, count);
	life_look(&l->life);
}

static void send_bytes(struct l2tp_life *l, struct line *line, enum side from, uint8_t b, const uint8_t *bytes,
		       uint32_t count)
{
	bool lan = from == SIDE_LAN;
	uint16_t remote_port = b & 0x40 && !lan ? (uint16_t)(40000 + (b & 1)) : line->remote_port;

	packets_build(&l->life.packet, &(struct packet_spec){.protocol = PROTO_UDP,
							     .id = b,
							     .source = lan ? line->inside : line->remote,
							     .source_port = lan ? line->inside_port : remote_port,
							     .destination = lan ? line->remote : (uint32_t)LIFE_OUTSIDE,
							     .destination_port = lan        ? line->remote_port
										 : b & 0x80 ? PORT
											    : line->seen_port,
							     .udp_no_checksum = b & 0x10,
							     .partial = b & 0x08,
							     .payload = bytes,
							     .payload_length = count,
							     .df = !(b & 0x20)});
	send_packet(l, from);
	for (uint32_t i = 0; i < l->life.out.count && lan; i++)
		if (l->life.out.item[i].to == SIDE_WAN && l->life.out.item[i].origin == ORIGIN_BATCH)
			line->seen_port = packets_source_port(&l->life.out.item[i].packet);
}

/* A small number, or an ID that some tunnel has. */
static uint16_t some_id(struct l2tp_life *l, uint8_t choice)
{
	struct tunnel_view view[VIEWS];
	uint32_t count = life_list_tunnels(&l->life, view, VIEWS);

	if (choice & 0x80 || !count)
		return (uint16_t)((choice & 1) << 8 | (choice & 3));
	const struct tunnel_view *v = &view[(choice & 31) % count];
	return (uint16_t)(choice & 0x40 ? v->outside_id : choice & 0x20 ? v->remote_id : v->inside_id);
}

static void say(struct l2tp_life *l, struct line *line, enum side from, unsigned type, uint8_t a, uint8_t b)
{
	struct l2tp_message_bytes *m = &l->message;
	unsigned version = (a & 0x1f) == 0x1f ? 3 : 2;

	l2tp_begin(m, version, type == 1 ? 0 : some_id(l, a), b & 1, line->ns[from]++, line->ns[!from]);
	if (type)
		l2tp_add16(m, 0, type);
	if ((b & 0x0f) == 0x0f)
		l2tp_add(m, AVP_M, 0, 59, NULL, 17);
	if (type <= 4 && (b & 0x0e) == 0x0a)
		l2tp_add(m, AVP_M | AVP_H, 0, 9, NULL, 18);
	else if (type <= 4)
		l2tp_add16(m, 9, some_id(l, b ^ a));
	if (version == 3 || (b & 0x0e) == 0x0c)
		l2tp_add32(m, 61, some_id(l, b));
	if (type >= 7)
		l2tp_add16(m, 14, a);
	l2tp_add_text(m, 7, "line\n\x1b[31m");
	send_bytes(l, line, from, b & 0xf0, m->bytes, m->length);
}

static void send_data(struct l2tp_life *l, struct line *line, enum side from, uint8_t a, uint8_t b)
{
	uint8_t bytes[64] = {b & 4 ? 0x40 : 0, 2};
	uint32_t count = 16 + 8u * (b & 3u);

	l2tp_put(bytes + (b & 4 ? 4 : 2), some_id(l, a), 2);
	if (b & 4)
		l2tp_put(bytes + 2, count, 2);
	send_bytes(l, line, from, b & 0xf0, bytes, count);
}

/* A datagram in two pieces, in any order; the second may be of another one. */
static void send_pieces(struct l2tp_life *l, struct line *line, uint8_t a, uint8_t b)
{
	static struct test_packet whole;
	uint8_t bytes[64] = {0, 2};

	l2tp_put(bytes + 2, some_id(l, a), 2);
	packets_build(&whole, &(struct packet_spec){.protocol = PROTO_UDP,
						    .id = b,
						    .source = line->remote,
						    .source_port = PORT,
						    .destination = LIFE_OUTSIDE,
						    .destination_port = b & 0x80 ? PORT : line->seen_port,
						    .payload = bytes,
						    .payload_length = sizeof(bytes)});
	for (uint32_t i = 0; i < 2; i++) {
		bool first = (i == 0) == !(b & 1);
		packets_build_fragment(&l->life.packet, &whole, first ? 0 : 40, first ? 40 : 32);
		send_packet(l, SIDE_WAN);
	}
}

static void send_error(struct l2tp_life *l, uint8_t a)
{
	const struct packet *p = &l->life.last.packet;

	if (p->length < 28)
		return;
	packets_build_error(&l->life.packet, packets_destination(p), packets_source(p), 3, a % 16, a & 16 ? 1400 : 0,
			    p->data, a & 32 && p->length > 40 ? 40 : 28);
	packets_fix_transport_checksum(&l->life.packet.packet);
	send_packet(l, l->life.last_to);
}

static void change(struct l2tp_life *l, uint8_t a)
{
	uint32_t outside[2] = {LIFE_OUTSIDE, LIFE_OUTSIDE + 1};

	switch (a % 8) {
	case 0:
	case 1:
	case 2:
		l->life.config.mode[PART_L2TP] = (enum service_mode)(a % 8);
		l->life.config.filtering = (enum dependence)(a >> 4 & 1);
		l->life.config.forwards = a >> 5 & 1;
		engine_configure(l->life.engine, &l->life.config, l->life.now);
		break;
	case 3:
		packets_set_outside(l->life.engine, outside, a >> 4 & 1 ? 2 : 1, l->life.now);
		break;
	case 4:
		packets_set_outside(l->life.engine, outside + (a >> 4 & 1), 1, l->life.now);
		break;
	default: /* kill -9 */
		life_crash(&l->life);
		break;
	}
}

static void pass_time(struct l2tp_life *l, uint8_t a)
{
	static const uint32_t step[8] = {0, 1000, 31000, 60000, 120000, 299999, 300000, 86400000};

	l->life.now += step[a % 8];
	if (a & 8)
		life_expire(&l->life, NULL);
}

/* Asks, is answered and connects, as most do. */
static void dial(struct l2tp_life *l, struct line *line, uint8_t a, uint8_t b)
{
	struct l2tp_message_bytes *m = &l->message;
	uint16_t own = some_id(l, a | 0x80), theirs = some_id(l, b | 0x80), seen;

	for (int i = 0; i <= (a >> 4 & 3); i++) {
		l2tp_build_start(m, 1, 0, own, "dial");
		send_bytes(l, line, SIDE_LAN, b & 0x18, m->bytes, m->length);
	}
	if (l->life.out.count != 1)
		return;
	seen = packet_get16(&l->life.out.item[0].packet, l->life.out.item[0].packet.length - 8 - 2);
	l2tp_build_start(m, 2, seen, theirs, "server");
	send_bytes(l, line, SIDE_WAN, b & 0xd8, m->bytes, m->length);
	l2tp_begin(m, 2, theirs, 0, 1, 1);
	l2tp_add16(m, 0, 3);
	send_bytes(l, line, SIDE_LAN, b & 0x18, m->bytes, m->length);
}

/* Returns the bytes of data that were used. */
static size_t step(struct l2tp_life *l, const uint8_t *record, const uint8_t *more, size_t left)
{
	struct line *line = &l->line[record[1] % LINES];
	enum side from = (enum side)(record[1] >> 4 & 1);
	uint8_t a = record[2], b = record[3];
	size_t raw = a < left ? a : left;

	switch (record[0] & 15) {
	case 0:
	case 1:
	case 2:
		dial(l, line, a, b);
		return 0;
	case 8:
		send_bytes(l, line, from, b, more, (uint32_t)raw);
		return raw;
	case 9:
	case 10:
		send_data(l, line, from, a, b);
		return 0;
	case 11:
		send_pieces(l, line, a, b);
		return 0;
	case 12:
		send_error(l, a);
		return 0;
	case 13:
		pass_time(l, a);
		return 0;
	case 14:
		change(l, a);
		return 0;
	default:
		say(l, line, from, record[0] >> 4, a, b);
		return 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct l2tp_life life;

	begin(&life);
	for (size_t at = 0; at + 4 <= size && life.life.steps < LIFE_STEPS;) {
		const uint8_t *record = data + at;
		at += 4;
		at += step(&life, record, data + at, size - at);
	}
	life_finish(&life.life);
	return 0;
}
