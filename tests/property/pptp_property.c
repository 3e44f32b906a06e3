/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pptp_property [--packets N] [--seed S]: random control connections of several clients and servers, chopped, repeated
 * and reordered, against a naive model: a list of calls, and a translator of whole messages.
 *
 * The model learns from the engine only which outside ID a new call got, and judges it. Whatever is sent on first must
 * be what the translator says, and must be the same whenever it is sent again; nothing is sent on before all in front
 * of it was. Data goes to the call that owns its ID, or is dropped.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pptp_world.h"

/* Bytes went on for the first time. */
static void read_byte(struct world *w, struct line *l, enum side from)
{
	struct stream *s = &l->stream[from];
	uint32_t at = s->read - s->message, length;
	const uint8_t *m = s->sent + s->message;

	s->read++;
	length = at >= 10 ? message_length(message_get16(m + 8)) : 16;
	if (at < 12 || at >= 16) {
		if (s->out[s->read - 1] != m[at])
			world_fail(w, "a byte that is no ID changed", at, message_get16(m + 8));
	} else if (at % 2 == 1) {
		uint16_t went_out = message_get16(s->out + s->read - 2), value = message_get16(m + at - 1);
		uint16_t right =
			message_translate(w, l, from, message_field(message_get16(m + 8), at - 1), value, went_out);
		if (went_out != right)
			world_fail(w, "an ID is translated wrongly", (uint32_t)from << 16 | went_out, right);
		s->changed += right != value;
	}
	if (at >= 15 && (at == 17 || (at == 15 && length == 16)))
		message_take_effect(w, l, from, m);
	if (at >= 15 && at + 1 == length)
		s->message = s->read;
}

static void judge_segment(struct world *w, struct line *l, enum side from, const struct packet *p)
{
	struct stream *s = &l->stream[from];
	uint32_t header = 20 + (uint32_t)(packet_get8(p, 32) >> 4) * 4, count = p->length - header;
	uint32_t at = packet_get32(p, 24) - s->first_sequence;

	if (at > s->read && count)
		world_fail(w, "a segment went on before its turn", at, s->read);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t byte = p->data[header + i];
		if (at + i >= s->read) {
			s->out[s->read] = byte;
			read_byte(w, l, from);
		} else if (at + i >= s->acked && s->out[at + i] != byte) {
			world_fail(w, "a byte was sent again with another value", at + i, byte);
		}
	}
}

/* --- the wire --- */

static void process(struct world *w, enum side from, const struct packet_spec *spec)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &w->out};

	packets_build(&w->packet, spec);
	emissions_clear(&w->out);
	engine_process(w->engine, from, &w->packet.packet, 1, w->now, &sink, &w->result);
	w->packets++;
	const char *wrong = packets_check_conservation(engine_counters(w->engine));
	if (!wrong && w->packets % 512 == 0)
		wrong = engine_check(w->engine);
	for (uint32_t i = 0; !wrong && i < w->out.count; i++)
		wrong = packets_verify(&w->out.item[i].packet);
	if (wrong)
		world_fail(w, wrong, 0, 0);
}

/* A segment of a line; at counts from the first byte of data. */
static void segment(struct world *w, struct line *l, enum side from, uint8_t flags, uint32_t at, uint32_t count)
{
	struct stream *s = &l->stream[from], *other = &l->stream[!from];
	bool lan = from == SIDE_LAN;

	if ((flags & FLAG_ACK) && !(flags & FLAG_SYN)) {
		other->acked = other->read;
		other->changed = 0;
	}
	process(w, from,
		&(struct packet_spec){.protocol = PROTO_TCP,
				      .source = lan ? l->inside : l->remote,
				      .source_port = lan ? l->inside_port : l->remote_port,
				      .destination = lan ? l->remote : OUTSIDE,
				      .destination_port = lan ? l->remote_port : l->outside_port,
				      .flags = flags,
				      .sequence = s->first_sequence + at - ((flags & FLAG_SYN) != 0),
				      .acknowledge = other->first_sequence + other->read,
				      .payload = s->sent + at,
				      .payload_length = count,
				      .partial = count && world_below(w, 2),
				      .df = true});
	if (w->result.verdict == VERDICT_DROPPED && w->result.drop != DROP_PPTP_AHEAD)
		world_fail(w, drop_name((enum drop)w->result.drop), at, count);
	if ((w->result.verdict == VERDICT_FORWARDED) != (at <= s->read || !count))
		world_fail(w, "a segment in its turn was not sent on, or one ahead was", at, s->read);
	for (uint32_t i = 0; i < w->out.count; i++) {
		const struct packet *p = &w->out.item[i].packet;
		if (w->out.item[i].to != (enum side) !from || packets_destination(p) != (lan ? l->remote : l->inside) ||
		    packets_destination_port(p) != (lan ? l->remote_port : l->inside_port))
			world_fail(w, "a segment went astray", packets_destination(p), 0);
		if ((flags & FLAG_SYN) && lan)
			l->outside_port = packets_source_port(p);
		judge_segment(w, l, from, p);
	}
	if (at + count > s->tried)
		s->tried = at + count;
}

static void open_line(struct world *w, struct line *l)
{
	uint32_t n = ++w->lines_made;

	memset(l, 0, sizeof(*l));
	l->number = n;
	l->server_inside = world_below(w, 3) == 0;
	l->inside = l->server_inside ? SERVER : 0x0a000002 + world_below(w, 4);
	l->remote = 0xcb007101 + world_below(w, 2);
	l->inside_port = l->server_inside ? 1723 : (uint16_t)(1024 + n % 60000);
	l->outside_port = 1723;
	l->remote_port = l->server_inside ? (uint16_t)(1024 + n % 60000) : 1723;
	for (int side = 0; side < SIDES; side++)
		l->stream[side].first_sequence = test_random_next(&w->r);
	enum side client = l->server_inside ? SIDE_WAN : SIDE_LAN;
	segment(w, l, client, FLAG_SYN, 0, 0);
	segment(w, l, (enum side) !client, FLAG_SYN | FLAG_ACK, 0, 0);
	segment(w, l, client, FLAG_ACK, 0, 0);
}

static void close_line(struct world *w, struct line *l)
{
	segment(w, l, (enum side)world_below(w, 2), FLAG_RST, 0,
		0); /* exact only if nothing was said: else in FIN below */
	for (int side = 0; side < SIDES; side++)
		segment(w, l, (enum side)side, FLAG_FIN | FLAG_ACK, l->stream[side].read, 0);
	for (uint32_t i = 0; i < CALLS; i++)
		if (model_call_lives(&w->call[i]) && w->call[i].line == l->number)
			model_call_end(w, &w->call[i]);
}

/* Sends what is there: in order mostly, or a piece again, or a piece ahead. */
static void transmit(struct world *w, struct line *l, enum side from)
{
	struct stream *s = &l->stream[from];
	uint32_t at = s->read, count = 1 + world_below(w, world_below(w, 3) ? 400 : 20);

	if (s->changed > 8)
		segment(w, l, (enum side) !from, FLAG_ACK, l->stream[!from].read, 0);
	switch (world_below(w, 5)) {
	case 0:
		at = s->acked + world_below(w, s->read - s->acked + 1);
		break;
	case 1:
		at += world_below(w, 300);
		break;
	default:
		break;
	}
	if (at >= s->written)
		return;
	segment(w, l, from, FLAG_ACK, at, count < s->written - at ? count : s->written - at);
}

static void flush(struct world *w, struct line *l)
{
	for (int side = 0; side < SIDES; side++)
		while (l->stream[side].read < l->stream[side].written) {
			uint32_t left = l->stream[side].written - l->stream[side].read;
			segment(w, l, (enum side) !side, FLAG_ACK, l->stream[!side].read, 0);
			segment(w, l, (enum side)side, FLAG_ACK, l->stream[side].read, left < 1000 ? left : 1000);
		}
}

/* --- what the ends say --- */

static uint16_t some_id(struct world *w, const struct line *l, enum side from, enum whose whose)
{
	const struct call *c = &w->call[world_below(w, CALLS)];

	for (uint32_t i = 0; i < CALLS && (!model_call_lives(c) || c->line != l->number); i++)
		c = &w->call[world_below(w, CALLS)];
	bool own = whose == SENDERS || whose == SENDERS_NEW || (whose == EITHERS && world_below(w, 2));
	if (whose == SENDERS_NEW && from == SIDE_WAN)
		return w->next_remote_id++;
	if (whose == SENDERS_NEW && world_below(w, 8)) /* few, so that they collide */
		return world_below(w, 4) ? (uint16_t)(0x4d00 + world_below(w, 6)) : (uint16_t)world_below(w, 3);
	if (c->state == FREE || world_below(w, 12) == 0)
		return (uint16_t)test_random_next(&w->r);
	if (from == SIDE_LAN)
		return own ? c->inside_id : c->remote_id;
	return own ? c->remote_id : c->outside_id;
}

static void say(struct world *w, struct line *l, enum side from)
{
	static const uint8_t often[] = {OUTGOING_REQUEST, OUTGOING_REPLY, OUTGOING_REQUEST, OUTGOING_REPLY};
	struct stream *s = &l->stream[from];
	unsigned type = world_below(w, 3) ? often[world_below(w, 4)] : 1 + world_below(w, 15);
	uint32_t calls = 0;

	for (uint32_t i = 0; i < CALLS; i++)
		calls += model_call_lives(&w->call[i]) && w->call[i].line == l->number;
	if (type == STOP_REPLY && world_below(w, 4))
		type = ECHO_REPLY;
	if (calls > LINE_CALLS && message_field(type, 12) == SENDERS_NEW)
		type = DISCONNECT_NOTIFY;
	if (s->written + MESSAGE_MAX > STREAM)
		return;
	uint16_t first = some_id(w, l, from, message_field(type, 12));
	uint16_t second = some_id(w, l, from, message_field(type, 14));
	if (from == SIDE_LAN && message_field(type, 14) == RECEIVERS)
		second = w->next_remote_id++; /* a client outside, like a server there, has no ID twice */
	s->written +=
		message_build(s->sent + s->written, type, first, second, world_below(w, 8) ? RESULT_CONNECTED : 2);
}

/* --- data --- */

static void judge_data(struct world *w, enum side from, uint32_t remote, uint16_t id, const struct call *owner)
{
	bool lan = from == SIDE_LAN;

	if (w->result.verdict != VERDICT_FORWARDED || w->out.count != 1)
		world_fail(w, drop_name((enum drop)w->result.drop), id, from);
	const struct packet *p = &w->out.item[0].packet;
	if (packets_source(p) != (lan ? OUTSIDE : remote) || packets_destination(p) != (lan ? remote : owner->inside))
		world_fail(w, "data went astray", packets_destination(p), id);
	if (packet_get16(p, 26) != (lan ? id : owner->inside_id))
		world_fail(w, "data has a wrong Call ID", packet_get16(p, 26), owner->inside_id);
	if (packet_get32(p, 20) != 0x2001880b || memcmp(p->data + 28, w->packet.bytes + 28, p->length - 28) != 0)
		world_fail(w, "data changed", id, 0);
}

static void data(struct world *w)
{
	const struct call *c = &w->call[world_below(w, CALLS)], *owner;
	enum side from = (enum side)world_below(w, 2);
	uint32_t inside = 0x0a000002 + world_below(w, 4), remote = 0xcb007101 + world_below(w, 2);
	uint16_t id = (uint16_t)(0x4d00 + world_below(w, 8));

	for (uint32_t i = 0; i < 8 && c->state == FREE; i++)
		c = &w->call[world_below(w, CALLS)];
	if (c->state != FREE && world_below(w, 6)) {
		inside = c->inside;
		remote = c->remote;
		id = from == SIDE_LAN ? c->remote_id : c->outside_id;
	}
	owner = call_owner(w, from, inside, remote, id);
	process(w, from,
		&(struct packet_spec){.protocol = PROTO_GRE,
				      .enhanced = true,
				      .call_id = id,
				      .source = from == SIDE_LAN ? inside : remote,
				      .destination = from == SIDE_LAN ? remote : OUTSIDE,
				      .payload_length = 1 + world_below(w, 60)});
	if (owner)
		judge_data(w, from, remote, id, owner);
	else if (w->result.verdict != VERDICT_DROPPED || w->result.drop != DROP_GRE_NO_CALL)
		world_fail(w, "data of no call was not dropped for it", id, from);
}

/* --- a world --- */

/* Calls that nobody speaks for would end by silence, which has its own tests: everybody sends a message. */
static void long_pause(struct world *w)
{
	static const uint32_t pause[] = {29999, 30000, 59999, 60000, 119999, 150000, 200000};

	for (uint32_t i = 0; i < LINES; i++)
		flush(w, &w->line[i]);
	world_wait(w, pause[world_below(w, 7)]);
	for (uint32_t i = 0; i < LINES; i++) {
		struct stream *s = &w->line[i].stream[SIDE_LAN];
		if (s->written + MESSAGE_MAX < STREAM)
			s->written += message_build(s->sent + s->written, ECHO_REQUEST, 1, 2, 0);
		else
			close_line(w, &w->line[i]), open_line(w, &w->line[i]);
		flush(w, &w->line[i]);
	}
}

static void run_world(struct world *w, uint64_t seed)
{
	static const struct engine_limits limits = {
		.flows = 1000, .hosts = 16, .addresses = 1, .fragments = 512, .tunnels = 512};
	uint32_t outside = OUTSIDE;
	uint8_t key[32] = {(uint8_t)seed, (uint8_t)(seed >> 8), 7};
	size_t size = engine_arena_size(&limits);

	w->seed = seed;
	w->r = test_random_seed(seed);
	w->now = 5000 + test_random_next(&w->r);
	memset(w->call, 0, sizeof(w->call));
	w->next_remote_id = (uint16_t)test_random_next(&w->r);
	engine_config_default(&w->config);
	w->config.inside[0].prefix = (struct prefix){{0x0a000000}, 16};
	w->config.insides = 1;
	w->config.inside[0].router_address.v4 = 0x0a000001;
	w->config.forward[0] = (struct forward){PROTO_TCP, 1723, 1723, {SERVER}, 1723};
	w->config.forwards = 1;
	memset(w->arena, 0, size);
	w->engine = engine_new(w->arena, size, &limits, &w->config, key, false, w->now);
	if (!w->engine)
		world_fail(w, "the engine did not start", 0, 0);
	packets_set_outside(w->engine, &outside, 1, w->now);
	for (uint32_t i = 0; i < LINES; i++)
		open_line(w, &w->line[i]);
	for (uint32_t step = 0; step < 3000; step++) {
		struct line *l = &w->line[world_below(w, LINES)];
		enum side from = (enum side)world_below(w, 2);
		uint32_t what = world_below(w, 1000);
		if (what < 250)
			say(w, l, from);
		else if (what < 700)
			transmit(w, l, from);
		else if (what < 980)
			data(w);
		else if (what < 990)
			world_wait(w, world_below(w, 2000));
		else if (what < 994)
			long_pause(w);
		if (what == 999 || l->stream[0].written + MESSAGE_MAX > STREAM ||
		    l->stream[1].written + MESSAGE_MAX > STREAM) {
			flush(w, l);
			close_line(w, l);
			open_line(w, l);
		}
	}
	for (uint32_t i = 0; i < LINES; i++)
		flush(w, &w->line[i]);
	const struct engine_counters *counters = engine_counters(w->engine);
	const char *wrong = engine_check(w->engine);
	if (wrong || counters->stat[STAT_PPTP_OUT_OF_STEP])
		world_fail(w, wrong ? wrong : "a stream was not understood", 0, 0);
	engine_free(w->engine);
}

int main(int argc, char **argv)
{
	static const struct option option[] = {
		{"packets", required_argument, NULL, 'p'}, {"seed", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	uint64_t packets = 100000, seed = 1, worlds = 0;
	static struct world w;

	for (int c; (c = getopt_long(argc, argv, "", option, NULL)) != -1;) {
		if (c == 'p')
			packets = strtoull(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 1;
	}
	w.arena = aligned_alloc(64, (size_t)16 << 20);
	if (!w.arena)
		return 1;
	emissions_init(&w.out);
	for (; w.packets < packets; worlds++)
		run_world(&w, seed++);
	printf("1..1\nok 1 - %llu packets in %llu worlds, %llu calls, %llu with another ID: no difference\n",
	       (unsigned long long)w.packets, (unsigned long long)worlds, (unsigned long long)w.calls_made,
	       (unsigned long long)w.changed_ids);
	emissions_free(&w.out);
	free(w.arena);
	return w.calls_made && w.changed_ids ? 0 : 1;
}
