/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A life of PPTP: records of four bytes (what, which connection, two arguments), some with raw bytes behind them. They
 * are control segments with sound headers and messages most of the time, data, errors about it, time, reloads and
 * crashes. Whatever comes, packets are conserved, no two calls to one remote share an outside ID, and data for the LAN
 * goes to an inside host whose call has that ID.
 */

#include "../unit/pptp_messages.h"
#include "life.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES = 8, SERVER = 0x0a000009, TUNNELS = 12 };

struct line {
	uint32_t inside, remote;
	uint16_t inside_port, outside_port, remote_port;
	uint32_t next[SIDES];
};

struct pptp_life {
	struct life life;
	struct line line[LINES];
};

static const uint8_t seed[32] = {4, 5, 6};

static void begin(struct pptp_life *l)
{
	l->life.seed = seed;
	l->life.limits =
		(struct engine_limits){.flows = 96, .hosts = 8, .addresses = 2, .fragments = 64, .tunnels = TUNNELS};
	life_begin(&l->life, 100000, TUNNELS);
	l->life.config.forward[0] = (struct forward){PROTO_TCP, 1723, 1723, {SERVER}, 1723};
	l->life.config.forwards = 1;
	life_start(&l->life, 1);
	for (uint32_t i = 0; i < LINES; i++) {
		bool server = i >= 6;
		l->line[i] = (struct line){.inside = server ? (uint32_t)SERVER : 0x0a000002 + i % 3,
					   .inside_port = server ? 1723 : (uint16_t)(3000 + i),
					   .outside_port = server ? 1723 : (uint16_t)(3000 + i),
					   .remote = i == 5 ? (uint32_t)LIFE_OUTSIDE : 0xcb007101 + i % 2,
					   .remote_port = server ? (uint16_t)(3000 + i) : 1723,
					   .next = {0xffffff00u, 0x7fffff80u}};
	}
	l->line[7].remote = LIFE_OUTSIDE; /* the other end of line 5, inside as well */
	l->line[7].remote_port = 3005;
}

static void check_tunnels(const struct tunnel_view *view, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (view[i].end == END_NOT && view[k].end == END_NOT &&
			    view[i].outside_id == view[k].outside_id &&
			    view[i].outside_address.v4 == view[k].outside_address.v4 &&
			    view[i].remote_address.v4 == view[k].remote_address.v4)
				life_fail("two calls to one remote share an outside ID");
}

/* Data for an inside host: one of its calls has this ID. */
static void check_data(const struct packet *p, const struct tunnel_view *view, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (view[i].inside_address.v4 == packets_destination(p) &&
		    view[i].remote_address.v4 == packets_source(p) && view[i].inside_id == packet_get16(p, 26))
			return;
	life_fail("data went to a host that has no such call");
}

static void send_packet(struct pptp_life *l, enum side from)
{
	struct tunnel_view view[2 * TUNNELS];
	uint32_t count = life_list_tunnels(&l->life, view, 2 * TUNNELS);
	bool plain = l->life.config.mode[PART_PPTP] == MODE_PLAIN;

	life_process(&l->life, from);
	for (uint32_t i = 0; i < l->life.out.count; i++) {
		const struct emission *e = &l->life.out.item[i];
		life_check(packets_verify(&e->packet));
		if (e->to == SIDE_WAN && !life_is_outside(packets_source(&e->packet)))
			life_fail("an inside address left to the WAN");
		if (packet_get8(&e->packet, 9) != PROTO_GRE)
			continue;
		packets_copy(&l->life.last, &e->packet);
		l->life.last_to = e->to;
		if (e->to == SIDE_LAN && !plain && (packet_get8(&e->packet, 21) & 7) == 1)
			check_data(&e->packet, view, count);
	}
	check_tunnels(view, life_list_tunnels(&l->life, view, 2 * TUNNELS));
	life_look(&l->life);
}

static void send_segment(struct pptp_life *l, struct line *line, enum side from, uint8_t flags, uint32_t sequence,
			 const uint8_t *bytes, uint32_t count)
{
	bool lan = from == SIDE_LAN;

	packets_build(&l->life.packet,
		      &(struct packet_spec){.protocol = PROTO_TCP,
					    .source = lan ? line->inside : line->remote,
					    .source_port = lan ? line->inside_port : line->remote_port,
					    .destination = lan ? line->remote : (uint32_t)LIFE_OUTSIDE,
					    .destination_port = lan ? line->remote_port : line->outside_port,
					    .flags = flags,
					    .sequence = sequence,
					    .acknowledge = line->next[!from],
					    .payload = bytes,
					    .payload_length = count,
					    .partial = count & 1,
					    .df = true});
	send_packet(l, from);
	for (uint32_t i = 0; i < l->life.out.count && lan; i++)
		if (l->life.out.item[i].to == SIDE_WAN && l->life.out.item[i].origin == ORIGIN_BATCH)
			line->outside_port = packets_source_port(&l->life.out.item[i].packet);
}

static void shake_hands(struct pptp_life *l, struct line *line)
{
	enum side client = line->inside == SERVER ? SIDE_WAN : SIDE_LAN;

	send_segment(l, line, client, FLAG_SYN, line->next[client]++, NULL, 0);
	send_segment(l, line, (enum side) !client, FLAG_SYN | FLAG_ACK, line->next[!client]++, NULL, 0);
	send_segment(l, line, client, FLAG_ACK, line->next[client], NULL, 0);
}

/* A small number, or an ID that some call has. */
static uint16_t some_id(struct pptp_life *l, uint8_t choice)
{
	struct tunnel_view view[2 * TUNNELS];
	uint32_t count = life_list_tunnels(&l->life, view, 2 * TUNNELS), which = choice & 15;

	if (choice & 0x80 || !count)
		return (uint16_t)((choice & 1) << 8 | (choice & 7));
	const struct tunnel_view *v = &view[which % count];
	return (uint16_t)(choice & 0x40 ? v->outside_id : choice & 0x20 ? v->remote_id : v->inside_id);
}

/* One to three messages; mode says whether they go whole, cut, the second piece first, or again. */
static void say(struct pptp_life *l, struct line *line, enum side from, uint8_t what, uint8_t a, uint8_t b)
{
	uint8_t bytes[3 * MESSAGE_MAX];
	uint32_t length = 0, start = line->next[from];

	for (uint32_t i = 0; i <= (what >> 5) % 3u; i++)
		length += message_build(bytes + length, (a + i) % 16, some_id(l, (uint8_t)(b + i)),
					some_id(l, (uint8_t)(a ^ b)), a & 0x10 ? 2 : 1);
	uint32_t cut = (uint32_t)(a * 7 + b) % 24;
	cut = cut < length ? cut : length;
	line->next[from] += length;
	if (what & 0x10) {
		send_segment(l, line, from, FLAG_ACK, start + cut, bytes + cut, length - cut);
		send_segment(l, line, from, FLAG_ACK, start, bytes, cut);
	} else {
		send_segment(l, line, from, FLAG_ACK, start, bytes, cut);
		send_segment(l, line, from, FLAG_ACK, start + cut / 2, bytes + cut / 2, length - cut / 2);
	}
}

static void send_data(struct pptp_life *l, const struct line *line, enum side from, uint8_t a, uint8_t b)
{
	bool lan = from == SIDE_LAN;

	packets_build(&l->life.packet, &(struct packet_spec){.protocol = PROTO_GRE,
							     .enhanced = b != 0xff,
							     .call_id = some_id(l, a),
							     .source = lan ? line->inside : line->remote,
							     .destination = lan ? line->remote : (uint32_t)LIFE_OUTSIDE,
							     .mf = b >= 0xf0 && b != 0xff,
							     .payload_length = 8u * (1 + b % 4)});
	send_packet(l, from);
}

static void send_error(struct pptp_life *l, uint8_t a)
{
	const struct packet *p = &l->life.last.packet;

	if (p->length < 28)
		return;
	packets_build_error(&l->life.packet, packets_destination(p), packets_source(p), 3, a % 16, a & 16 ? 1400 : 0,
			    p->data, 28);
	packet_put16(&l->life.packet.packet, 28 + 26, a & 32 ? some_id(l, a) : packet_get16(p, 26));
	packets_fix_transport_checksum(&l->life.packet.packet);
	send_packet(l, l->life.last_to);
}

static void change(struct pptp_life *l, uint8_t a)
{
	uint32_t outside[2] = {LIFE_OUTSIDE, LIFE_OUTSIDE + 1};

	switch (a % 8) {
	case 0:
	case 1:
	case 2:
		l->life.config.mode[PART_PPTP] = (enum service_mode)(a % 8);
		engine_configure(l->life.engine, &l->life.config, l->life.now);
		break;
	case 3:
		packets_set_outside(l->life.engine, outside, a >> 4 & 1 ? 2 : 1, l->life.now);
		break;
	case 4:
		packets_set_outside(l->life.engine, outside + 1, 1, l->life.now);
		break;
	default: /* kill -9 */
		life_crash(&l->life);
		break;
	}
}

static void pass_time(struct pptp_life *l, uint8_t a)
{
	static const uint32_t step[8] = {0, 1000, 29999, 30000, 60000, 120000, 600000, 7440000};

	l->life.now += step[a % 8];
	if (a & 8)
		life_expire(&l->life, NULL);
}

/* Returns the bytes of data that were used. */
static size_t step(struct pptp_life *l, const uint8_t *record, const uint8_t *more, size_t left)
{
	struct line *line = &l->line[record[1] % LINES];
	enum side from = (enum side)(record[1] >> 3 & 1);
	uint8_t a = record[2], b = record[3];
	size_t raw = a < left ? a : left;

	switch (record[0] & 15) {
	case 0:
		shake_hands(l, line);
		return 0;
	case 7:
		send_segment(l, line, from, a & 1 ? FLAG_RST : FLAG_FIN | FLAG_ACK, line->next[from], NULL, 0);
		line->next[from] += !(a & 1);
		return 0;
	case 8:
		send_segment(l, line, from, b & 0x80 ? FLAG_SYN : FLAG_ACK, line->next[from] + (b & 63) - 32, more,
			     (uint32_t)raw);
		line->next[from] += b & 0x40 ? (uint32_t)raw : 0;
		return raw;
	case 9:
	case 10:
	case 11:
		send_data(l, line, from, a, b);
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
	case 15:
		send_segment(l, line, from, FLAG_ACK, line->next[from], NULL, 0);
		return 0;
	default:
		say(l, line, from, record[0], a, b);
		return 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pptp_life life;

	begin(&life);
	for (size_t at = 0; at + 4 <= size && life.life.steps < LIFE_STEPS;) {
		const uint8_t *record = data + at;
		at += 4;
		at += step(&life, record, data + at, size - at);
	}
	life_finish(&life.life);
	return 0;
}
