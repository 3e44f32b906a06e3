/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A life of PPTP: records of four bytes (what, which connection, two arguments), some with raw bytes behind them. They
 * are control segments with sound headers and messages most of the time, data, errors about it, time, reloads and
 * crashes. Whatever comes, packets are conserved, no two calls to one remote share an outside ID, and data for the LAN
 * goes to an inside host whose call has that ID.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/packets.h"
#include "../unit/pptp_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES = 8, STEPS = 400, SERVER = 0x0a000009, OUTSIDE = 0xc6336401, TUNNELS = 12 };

struct line {
	uint32_t inside, remote;
	uint16_t inside_port, outside_port, remote_port;
	uint32_t next[SIDES];
};

struct life {
	struct engine *engine;
	struct engine_limits limits;
	struct engine_config config;
	uint64_t now;
	uint32_t steps, lives;
	struct line line[LINES];
	struct emissions out;
	struct test_packet packet, last_data; /* the data that went on last */
	enum side last_to;
	void *arena;
	size_t size;
};

static const uint8_t seed[32] = {4, 5, 6};

static void fail(const char *what)
{
	fprintf(stderr, "invariant: %s\n", what);
	abort();
}

static void begin(struct life *l)
{
	uint32_t outside = OUTSIDE;

	l->limits =
		(struct engine_limits){.flows = 96, .hosts = 8, .addresses = 2, .fragments = 64, .tunnels = TUNNELS};
	l->now = 100000;
	l->steps = 0;
	l->last_data.packet.length = 0;
	engine_config_default(&l->config);
	l->config.inside[0] = (struct prefix){0x0a000000, 24};
	l->config.insides = 1;
	l->config.lan_address = 0x0a000001;
	l->config.forward[0] = (struct forward){PROTO_TCP, 1723, 1723, SERVER, 1723};
	l->config.forwards = 1;
	if (!l->arena) {
		l->size = engine_arena_size(&l->limits);
		l->arena = aligned_alloc(64, (l->size + 63) / 64 * 64);
		emissions_init(&l->out);
	}
	if (!l->arena)
		fail("no memory");
	l->engine = engine_new(l->arena, l->size, &l->limits, &l->config, seed, false, l->now);
	if (!l->engine)
		fail("the engine did not start");
	engine_set_outside(l->engine, &outside, 1, l->now);
	for (uint32_t i = 0; i < LINES; i++) {
		bool server = i >= 6;
		l->line[i] = (struct line){.inside = server ? (uint32_t)SERVER : 0x0a000002 + i % 3,
					   .inside_port = server ? 1723 : (uint16_t)(3000 + i),
					   .outside_port = server ? 1723 : (uint16_t)(3000 + i),
					   .remote = i == 5 ? (uint32_t)OUTSIDE : 0xcb007101 + i % 2,
					   .remote_port = server ? (uint16_t)(3000 + i) : 1723,
					   .next = {0xffffff00u, 0x7fffff80u}};
	}
	l->line[7].remote = OUTSIDE; /* the other end of line 5, inside as well */
	l->line[7].remote_port = 3005;
}

static uint32_t tunnels(struct life *l, struct tunnel_view *view)
{
	uint64_t cursor = 0;
	uint32_t count = 0;

	while (count < 2 * TUNNELS && engine_next_tunnel(l->engine, &cursor, l->now, &view[count]))
		count++;
	return count;
}

static void check_tunnels(const struct tunnel_view *view, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (view[i].end == END_NOT && view[k].end == END_NOT &&
			    view[i].outside_id == view[k].outside_id &&
			    view[i].outside_address == view[k].outside_address &&
			    view[i].remote_address == view[k].remote_address)
				fail("two calls to one remote share an outside ID");
}

/* Data for an inside host: one of its calls has this ID. */
static void check_data(const struct packet *p, const struct tunnel_view *view, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (view[i].inside_address == packets_destination(p) && view[i].remote_address == packets_source(p) &&
		    view[i].inside_id == packet_get16(p, 26))
			return;
	fail("data went to a host that has no such call");
}

static void send_packet(struct life *l, enum side from)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &l->out};
	struct tunnel_view view[2 * TUNNELS];
	struct engine_result result = {0xff, 0xff};
	struct packet fed = l->packet.packet;
	bool plain = l->config.mode[PART_PPTP] == MODE_PLAIN;

	fed.data = malloc(fed.length ? fed.length : 1); /* memory behind it is poisoned */
	if (!fed.data)
		fail("no memory");
	memcpy(fed.data, l->packet.bytes, fed.length);
	emissions_clear(&l->out);
	uint32_t count = tunnels(l, view);
	engine_process(l->engine, from, &fed, 1, l->now, &sink, &result);
	free(fed.data);
	if (result.verdict > VERDICT_DROPPED || result.drop >= DROPS ||
	    (result.verdict == VERDICT_DROPPED) != (result.drop != 0))
		fail("the verdict is none");
	const char *wrong = packets_check_conservation(engine_counters(l->engine));
	for (uint32_t i = 0; !wrong && i < l->out.count; i++) {
		const struct emission *e = &l->out.item[i];
		wrong = packets_verify(&e->packet);
		if (e->to == SIDE_WAN && packets_source(&e->packet) >> 1 != OUTSIDE >> 1 &&
		    packets_source(&e->packet) != OUTSIDE + 1)
			fail("an inside address left to the WAN");
		if (packet_get8(&e->packet, 9) != PROTO_GRE)
			continue;
		packets_copy(&l->last_data, &e->packet);
		l->last_to = e->to;
		if (e->to == SIDE_LAN && !plain && (packet_get8(&e->packet, 21) & 7) == 1)
			check_data(&e->packet, view, count);
	}
	check_tunnels(view, tunnels(l, view));
	if (!wrong && ++l->steps % 128 == 0)
		wrong = engine_check(l->engine);
	if (wrong)
		fail(wrong);
}

static void send_segment(struct life *l, struct line *line, enum side from, uint8_t flags, uint32_t sequence,
			 const uint8_t *bytes, uint32_t count)
{
	bool lan = from == SIDE_LAN;

	packets_build(&l->packet,
		      &(struct packet_spec){.protocol = PROTO_TCP,
					    .source = lan ? line->inside : line->remote,
					    .source_port = lan ? line->inside_port : line->remote_port,
					    .destination = lan ? line->remote : (uint32_t)OUTSIDE,
					    .destination_port = lan ? line->remote_port : line->outside_port,
					    .flags = flags,
					    .sequence = sequence,
					    .acknowledge = line->next[!from],
					    .payload = bytes,
					    .payload_length = count,
					    .partial = count & 1,
					    .df = true});
	send_packet(l, from);
	for (uint32_t i = 0; i < l->out.count && lan; i++)
		if (l->out.item[i].to == SIDE_WAN && !l->out.item[i].made)
			line->outside_port = packets_source_port(&l->out.item[i].packet);
}

static void shake_hands(struct life *l, struct line *line)
{
	enum side client = line->inside == SERVER ? SIDE_WAN : SIDE_LAN;

	send_segment(l, line, client, FLAG_SYN, line->next[client]++, NULL, 0);
	send_segment(l, line, (enum side) !client, FLAG_SYN | FLAG_ACK, line->next[!client]++, NULL, 0);
	send_segment(l, line, client, FLAG_ACK, line->next[client], NULL, 0);
}

/* A small number, or an ID that some call has. */
static uint16_t some_id(struct life *l, uint8_t choice)
{
	struct tunnel_view view[2 * TUNNELS];
	uint32_t count = tunnels(l, view), which = choice & 15;

	if (choice & 0x80 || !count)
		return (uint16_t)((choice & 1) << 8 | (choice & 7));
	const struct tunnel_view *v = &view[which % count];
	return (uint16_t)(choice & 0x40 ? v->outside_id : choice & 0x20 ? v->remote_id : v->inside_id);
}

/* One to three messages; mode says whether they go whole, cut, the second piece first, or again. */
static void say(struct life *l, struct line *line, enum side from, uint8_t what, uint8_t a, uint8_t b)
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

static void send_data(struct life *l, const struct line *line, enum side from, uint8_t a, uint8_t b)
{
	bool lan = from == SIDE_LAN;

	packets_build(&l->packet, &(struct packet_spec){.protocol = PROTO_GRE,
							.enhanced = b != 0xff,
							.call_id = some_id(l, a),
							.source = lan ? line->inside : line->remote,
							.destination = lan ? line->remote : (uint32_t)OUTSIDE,
							.mf = b >= 0xf0 && b != 0xff,
							.payload_length = 8u * (1 + b % 4)});
	send_packet(l, from);
}

static void send_error(struct life *l, uint8_t a)
{
	const struct packet *p = &l->last_data.packet;

	if (p->length < 28)
		return;
	packets_build_error(&l->packet, packets_destination(p), packets_source(p), 3, a % 16, a & 16 ? 1400 : 0,
			    p->data, 28);
	packet_put16(&l->packet.packet, 28 + 26, a & 32 ? some_id(l, a) : packet_get16(p, 26));
	packets_fix_transport_checksum(&l->packet.packet);
	send_packet(l, l->last_to);
}

static void change(struct life *l, uint8_t a)
{
	uint32_t outside[2] = {OUTSIDE, OUTSIDE + 1};

	switch (a % 8) {
	case 0:
	case 1:
	case 2:
		l->config.mode[PART_PPTP] = (enum service_mode)(a % 8);
		engine_configure(l->engine, &l->config, l->now);
		break;
	case 3:
		engine_set_outside(l->engine, outside, a >> 4 & 1 ? 2 : 1, l->now);
		break;
	case 4:
		engine_set_outside(l->engine, outside + 1, 1, l->now);
		break;
	default: /* kill -9 */
		engine_free(l->engine);
		l->engine = engine_new(l->arena, l->size, &l->limits, &l->config, seed, true, l->now);
		if (!l->engine)
			fail("an arena of ours was refused");
		break;
	}
}

static void pass_time(struct life *l, uint8_t a)
{
	static const uint32_t step[8] = {0, 1000, 29999, 30000, 60000, 120000, 600000, 7440000};

	l->now += step[a % 8];
	for (int i = 0; i < 64 && (a & 8) && engine_deadline(l->engine) <= l->now; i++)
		engine_expire(l->engine, l->now, NULL);
}

/* Returns the bytes of data that were used. */
static size_t step(struct life *l, const uint8_t *record, const uint8_t *more, size_t left)
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
	static struct life life;

	begin(&life);
	for (size_t at = 0; at + 4 <= size && life.steps < STEPS;) {
		const uint8_t *record = data + at;
		at += 4;
		at += step(&life, record, data + at, size - at);
	}
	/* It takes longer than all the rest: not after every life, but after the first of a process. */
	const char *wrong = life.lives++ % 8 ? NULL : engine_check(life.engine);
	if (wrong)
		fail(wrong);
	engine_free(life.engine);
	return 0;
}
