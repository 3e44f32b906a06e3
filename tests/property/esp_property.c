/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * esp_property [--packets N] [--seed S] [--ike] [--verbose]: worlds of inside hosts, servers and one or two outside
 * addresses, in which everybody sends random ESP, against the naive model of esp_model.h: every packet has the fate
 * that the model says, and what waits leaves in order and when the model says so.
 *
 * Left out: IKE (with --ike it is sent, too, but there the model does not follow the text everywhere, so that make
 * check does without); sequence numbers that fall back (collisions); forwards; and which of several unpaired hosts an
 * SPI is given to that has stayed ambiguous for 3 s: any of them will do. Nothing is sent while the memory of what has
 * just ended may not be cleaned up yet.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esp_model.h"

enum { PLACES = 2, ANCHOR_PORT = 9000, STEPS = 600, SWEPT = 256 };

static const struct engine_limits limits = {
	.flows = 2000, .hosts = 16, .addresses = 2, .fragments = 512, .tunnels = 512};
static const uint32_t inside_base = 0x0a000002, server_base = 0xcb007101, outside_base = 0xc6336401;

struct world {
	struct engine *engine;
	void *arena;
	struct engine_config config;
	struct model model;
	struct test_random r;
	uint64_t now, seed, packets, emitted, bound[PAIRINGS], waited, joined, cautious, recovered;
	uint32_t outsides, tags, sequence, step;
	uint32_t focus_server, focus_hosts; /* where most of it happens for a while */
	struct emissions out;
	struct test_packet packet;
	uint32_t strangers[SERVERS]
			  [PLACES]; /* more new SPIs from the WAN than from the LAN: many make the engine cautious */
	bool is_calm;
	bool has_ike, is_crowded; /* crowded: all speak from port 500 */
	bool has_natt[PEERS];     /* what they say after the first messages goes to port 4500, and so does their ESP */
	bool verbose;
};

static void fail(const struct world *w, const char *what, uint32_t a, uint32_t b)
{
	fprintf(stderr, "esp_property: seed %" PRIu64 ", step %u, %" PRIu64 " ms: %s (%#x, %#x)\n", w->seed, w->step,
		w->now, what, a, b);
	exit(1);
}

/* What the model knows of one server, for whoever has to find out who is wrong. */
static void show_group(const struct world *w, uint32_t server)
{
	for (uint32_t p = server; p < PEERS; p += SERVERS) {
		const struct peer *peer = &w->model.peer[p];
		if (!peer->exists)
			continue;
		fprintf(stderr,
			"  host %u outside %u:%s%s%s%s%s%s%s%s, waiting %u, phase 2 -%d, unheard %u, unanswered %u;",
			model_host(p), w->model.outside_of[model_host(p)],
			peer->has_window && w->now - peer->window < 3000 ? " window" : "",
			peer->has_turn ? " turn" : "", peer->answered ? " answered" : "", peer->owed ? " owed" : "",
			peer->on_4500 ? " natt" : "", peer->sent_native ? " native" : "", peer->shares ? " shares" : "",
			peer->holds[0] || peer->holds[1] ? " holds" : "", peer->waits,
			peer->phase2_at ? (int)(w->now - peer->phase2_at) : -1, peer->unheard, peer->unanswered);
		for (uint32_t i = 0; i < SAS; i++) {
			const struct sa *sa = &w->model.sa[i];
			if (sa->live && sa->peer == p)
				fprintf(stderr, " SA %u %#x/%#x opened -%d bound -%d", sa->number, sa->spi[0],
					sa->spi[1], (int)(w->now - sa->opened),
					sa->bound ? (int)(w->now - sa->bound) : -1);
		}
		for (uint32_t i = 0; i < FLOWS; i++) {
			const struct ike_flow *f = &w->model.flow[i];
			if (f->live && f->host == model_host(p) && f->server == server)
				fprintf(stderr, " UDP %u %u", f->inside_port, f->outside_port);
		}
		fprintf(stderr, "\n");
	}
}

static uint32_t below(struct world *w, uint32_t n)
{
	return test_random_below(&w->r, n);
}

/* --- comparing --- */

static uint32_t read_tag(const struct packet *p)
{
	bool natt = packets_source_port(p) == 4500 || packets_destination_port(p) == 4500;

	return packet_get32(p, packet_get8(p, 9) == PROTO_ESP ? 28 : natt ? 60 : 56);
}

/* The outside port of a mapping is seen for the first time. */
static void learn_port(struct world *w, const struct out *out, uint16_t port)
{
	struct model *m = &w->model;
	const struct ike_flow *new = &m->flow[out->flow];

	for (uint32_t i = 0; i < FLOWS; i++) {
		struct ike_flow *f = &m->flow[i];
		if (!f->live)
			continue;
		if (f->host == new->host && f->inside_port == new->inside_port)
			f->outside_port = port;
		else if (f->outside_port == port && m->outside_of[f->host] == out->outside)
			fail(w, "two mappings have one outside port", f->host, new->host);
	}
	if ((port < 1024) != (new->inside_port < 1024))
		fail(w, "a port of another class, although there are free ones", new->inside_port, port);
}

static bool is_as_said(struct world *w, const struct packet *p, const struct out *out)
{
	bool wan = out->to == SIDE_WAN, udp = packet_get8(p, 9) == PROTO_UDP;
	uint32_t inner = wan ? packets_source(p) : packets_destination(p);
	uint32_t outer = wan ? packets_destination(p) : packets_source(p);
	uint16_t port = wan ? packets_source_port(p) : packets_destination_port(p);

	if (outer != server_base + out->server ||
	    inner != (wan ? outside_base + out->outside : inside_base + out->host))
		return false;
	if (udp && wan && out->port == 0)
		learn_port(w, out, port);
	else if (udp && port != out->port)
		return false;
	return !udp || (wan ? packets_destination_port(p) : packets_source_port(p)) == out->at_port;
}

static void show_outs(const struct world *w)
{
	for (uint32_t i = 0; i < w->out.count; i++) {
		const struct packet *p = &w->out.item[i].packet;
		fprintf(stderr, "  engine: tag %u from %#x:%u to %#x:%u\n", read_tag(p), packets_source(p),
			packets_source_port(p), packets_destination(p), packets_destination_port(p));
	}
	for (uint32_t k = 0; k < w->model.outs; k++) {
		const struct out *out = &w->model.out[k];
		fprintf(stderr, "  model: tag %u to %s, host %u server %u port %u at %u\n", out->tag,
			out->to == SIDE_LAN ? "LAN" : "WAN", out->host, out->server, out->port, out->at_port);
	}
}

/* Everything that left is what the model says, no more and no less. What waited for one another leaves in order. */
static void compare_emissions(struct world *w)
{
	struct model *m = &w->model;
	bool seen[OUTS] = {false};
	uint32_t copies = 0;

	if (w->verbose)
		show_outs(w);
	for (uint32_t i = 0; i < w->out.count; i++) {
		const struct packet *p = &w->out.item[i].packet;
		uint32_t tag = read_tag(p), k = 0;
		const char *wrong = packets_verify(p);
		if (wrong)
			fail(w, wrong, tag, 0);
		while (k < m->outs && (seen[k] || m->out[k].tag != tag || m->out[k].to != w->out.item[i].to ||
				       !is_as_said(w, p, &m->out[k])))
			k++;
		if (k == m->outs)
			fail(w, "left, but not here or not this way", packets_source(p), packets_destination(p));
		seen[k] = true;
		for (uint32_t j = 0; j < k; j++)
			if (!seen[j] && !m->out[j].is_copy && m->out[j].to == m->out[k].to &&
			    m->out[j].host == m->out[k].host && m->out[j].server == m->out[k].server &&
			    m->out[j].at_port == m->out[k].at_port)
				fail(w, "left before its turn", tag, m->out[j].tag);
	}
	for (uint32_t k = 0; k < m->outs; k++)
		copies += seen[k] && m->out[k].is_copy;
	if (copies != m->copies)
		fail(w, "another number of copies", copies, m->copies);
	for (uint32_t k = 0; k < m->outs; k++)
		if (!seen[k] && !m->out[k].is_copy)
			fail(w, "should have left to this host or server, and has not", m->out[k].host,
			     m->out[k].server);
	w->emitted += m->outs;
}

static void compare_counters(struct world *w)
{
	const struct engine_counters *c = engine_counters(w->engine);
	const char *wrong = packets_check_conservation(c);

	if (!wrong && w->packets % 64 == 0)
		wrong = engine_check(w->engine);
	if (wrong)
		fail(w, wrong, 0, 0);
	if (c->held[0] + c->held[1] != model_held(&w->model))
		fail(w, "the number of packets that wait", (uint32_t)(c->held[0] + c->held[1]), model_held(&w->model));
}

static const char *verdict_name(struct engine_result r)
{
	return r.verdict == VERDICT_FORWARDED  ? "forwarded"
	       : r.verdict == VERDICT_CONSUMED ? "consumed"
	       : r.verdict == VERDICT_HELD     ? "held"
					       : drop_name((enum drop)r.drop);
}

static void process(struct world *w, const struct message *message, const struct packet_spec *spec)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &w->out};
	struct engine_result result;

	packets_build(&w->packet, spec);
	emissions_clear(&w->out);
	if (w->verbose) {
		show_group(w, message->server);
		fprintf(stderr, "%" PRIu64 " #%u from %s, host %u server %u outside %u port %u", w->now, message->tag,
			message->from == SIDE_LAN ? "LAN" : "WAN", message->host, message->server, message->outside,
			message->port);
		if (message->port)
			fprintf(stderr, " exchange %u%s ID %u initiator %#x: ", message->exchange,
				message->is_first    ? " first"
				: message->is_answer ? " answer"
						     : "",
				message->id, (uint32_t)message->initiator);
		else
			fprintf(stderr, " SPI %#x: ", message->spi);
	}
	engine_process(w->engine, message->from, &w->packet.packet, 1, w->now, &sink, &result);
	w->model.stayed_with = w->out.count ? packets_destination(&w->out.item[0].packet) - inside_base : HOSTS;
	struct engine_result said = model_packet(&w->model, message);
	w->packets++;
	if (w->verbose)
		fprintf(stderr, "%s; model %s, %u leave\n", verdict_name(result), verdict_name(said), w->model.outs);
	if (said.drop == DROP_IKE_NO_PEER && result.drop == DROP_FILTERED)
		said = result; /* it is clear whose it is, and that it does not belong on this port */
	if (result.verdict != said.verdict || result.drop != said.drop) {
		fprintf(stderr, "esp_property: the engine says %s, the model %s\n", verdict_name(result),
			verdict_name(said));
		show_outs(w);
		fail(w, "another fate", message->tag, message->spi);
	}
	compare_emissions(w);
	compare_counters(w);
}

static void wait_for(struct world *w, uint64_t ms)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &w->out};
	uint64_t until = w->now + ms;

	while (w->now < until) {
		uint64_t at = model_next(&w->model), deadline = engine_deadline(w->engine);
		at = deadline < at ? deadline : at;
		w->now = at <= w->now ? w->now + 1 : at < until ? at : until;
		emissions_clear(&w->out);
		for (uint32_t i = 0; engine_deadline(w->engine) <= w->now; i++) {
			if (i > 100000)
				fail(w, "the engine wants to be woken again and again", 0, 0);
			engine_expire(w->engine, w->now, &sink);
		}
		model_advance(&w->model, w->now);
		if (w->verbose && (w->model.outs || w->out.count))
			fprintf(stderr, "%" PRIu64 " wakes: %u leave; model %u\n", w->now, w->out.count, w->model.outs);
		compare_emissions(w);
		compare_counters(w);
	}
}

/* The memory of what has ended is cleaned up within 250 ms. Until then its peer still counts, and nothing is sent. */
static void time_passes(struct world *w, uint64_t ms)
{
	wait_for(w, ms);
	while (w->now - w->model.ended < SWEPT)
		wait_for(w, SWEPT);
}

/* --- what is sent --- */

static uint32_t some_host(struct world *w)
{
	return below(w, 4) ? below(w, w->focus_hosts) : below(w, HOSTS);
}

static uint32_t some_server(struct world *w)
{
	return below(w, 5) ? w->focus_server : below(w, SERVERS);
}

static void send_esp(struct world *w, const struct message *message)
{
	uint8_t payload[24] = {(uint8_t)(message->tag >> 24), (uint8_t)(message->tag >> 16),
			       (uint8_t)(message->tag >> 8), (uint8_t)message->tag};
	bool lan = message->from == SIDE_LAN;

	process(w, message,
		&(struct packet_spec){.protocol = PROTO_ESP,
				      .source = lan ? inside_base + message->host : server_base + message->server,
				      .destination =
					      lan ? server_base + message->server : outside_base + message->outside,
				      .df = true,
				      .spi = message->spi,
				      .sequence = message->sequence,
				      .payload = payload,
				      .payload_length = sizeof(payload)});
}

static uint32_t new_spi(struct world *w)
{
	return below(w, 12) ? 256 + (test_random_next(&w->r) >> 1) : 4096 + below(w, 4);
}

/* One that an SA of this host or through this address has; or a new one. */
static uint32_t some_spi(struct world *w, enum side from, uint32_t server, uint32_t host_or_outside)
{
	uint32_t spi = 0, seen = 0;

	if (below(w, 4) == 0)
		return new_spi(w);
	for (uint32_t i = 0; i < SAS; i++) {
		const struct sa *sa = &w->model.sa[i];
		uint32_t host = model_host(sa->peer);
		if (sa->live && sa->spi[from] && model_server(sa->peer) == server &&
		    (from == SIDE_LAN ? host : w->model.outside_of[host]) == host_or_outside && below(w, ++seen) == 0)
			spi = sa->spi[from];
	}
	return spi ? spi : new_spi(w);
}

/* Keeps what a server sends believable: it has few new SPIs more than its clients. */
static void send_esp_calmly(struct world *w, const struct message *message)
{
	bool lan = message->from == SIDE_LAN;
	uint32_t place = lan ? w->model.outside_of[message->host] : message->outside;
	uint32_t *strangers = &w->strangers[message->server][place];
	bool known = model_sa(&w->model, message->from, message->host, message->server, place, message->spi);

	if (!lan && !known && *strangers >= 2)
		return;
	send_esp(w, message);
	if (!lan && !known)
		++*strangers;
	if (lan && !known && w->model.outs && *strangers)
		--*strangers;
}

static void esp(struct world *w)
{
	struct message message = {.from = (enum side)below(w, 2),
				  .host = some_host(w),
				  .server = some_server(w),
				  .outside = below(w, w->outsides),
				  .sequence = ++w->sequence,
				  .tag = ++w->tags};
	bool lan = message.from == SIDE_LAN;

	if (lan && w->has_natt[message.host * SERVERS + message.server] && below(w, 50))
		return;
	message.spi = some_spi(w, message.from, message.server, lan ? message.host : message.outside);
	uint32_t doubt = w->model.group[message.server][message.outside].doubt[below(w, LATE)].spi;
	if (!lan && doubt && below(w, 3))
		message.spi = doubt;
	if (w->is_calm)
		send_esp_calmly(w, &message);
	else
		send_esp(w, &message);
}

/* A server goes on with an SPI; rather with one that no client answers to. */
static void stream(struct world *w)
{
	const struct sa *sa = NULL;

	for (uint32_t i = 0, seen = 0; i < SAS; i++) {
		const struct sa *of = &w->model.sa[i];
		bool is_likely = !of->spi[SIDE_LAN] || below(w, 8) == 0;
		if (of->live && of->spi[SIDE_WAN] && is_likely && below(w, ++seen) == 0)
			sa = of;
	}
	if (!sa)
		return;
	struct message message = {.from = SIDE_WAN,
				  .server = model_server(sa->peer),
				  .outside = w->model.outside_of[model_host(sa->peer)],
				  .spi = sa->spi[SIDE_WAN]};
	for (uint32_t i = below(w, 10); i < 10; i++) {
		message.sequence = ++w->sequence;
		message.tag = ++w->tags;
		send_esp(w, &message);
	}
}

static void put(uint8_t *at, uint64_t value, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		at[i] = (uint8_t)(value >> 8 * (count - 1 - i));
}

static void send_udp(struct world *w, const struct message *message)
{
	uint32_t at = message->at_port == 4500 ? 4 : 0, length = at + 28 + 4 + 8;
	bool lan = message->from == SIDE_LAN;
	uint8_t bytes[44] = {0};

	put(bytes + at, message->is_ike ? message->initiator : 0, 8); /* 0 is nobody's */
	put(bytes + at + 8, message->is_first ? 0 : message->initiator ^ 0xffff, 8);
	bytes[at + 16] = 46;
	bytes[at + 17] = (uint8_t)(message->version << 4);
	bytes[at + 18] = message->exchange;
	bytes[at + 19] = message->version == 1 ? 1 : (lan ? 8 : 0) | (message->is_answer ? 32 : 0);
	put(bytes + at + 20, message->id, 4);
	put(bytes + at + 24, length - at, 4);
	put(bytes + at + 28, message->tag, 4);
	if (!message->is_ike && at)
		put(bytes, 0x5001 + message->id, 4); /* ESP in UDP */
	process(w, message,
		&(struct packet_spec){.protocol = PROTO_UDP,
				      .source = lan ? inside_base + message->host : server_base + message->server,
				      .source_port = lan ? message->port : message->at_port,
				      .destination =
					      lan ? server_base + message->server : outside_base + message->outside,
				      .destination_port = lan ? message->at_port : message->port,
				      .df = true,
				      .payload = bytes,
				      .payload_length = length});
}

/* To the outside port of some flow, or to shared port 500. */
static void aim(struct world *w, struct message *message)
{
	const struct ike_flow *f = NULL;

	for (uint32_t i = 0, seen = 0; i < FLOWS; i++) {
		const struct ike_flow *g = &w->model.flow[i];
		if (g->outside_port && g->at_port && (g->live || below(w, 50) == 0) && below(w, ++seen) == 0)
			f = g;
	}
	if (f) {
		message->server = f->server;
		message->outside = w->model.outside_of[f->host];
		message->port = f->outside_port;
		message->at_port = f->at_port;
		message->host = f->host;
	}
	if (message->at_port == 500 && w->is_crowded && below(w, 6) == 0)
		message->port = 500;
}

/* Nobody answers what nobody asked. */
static bool is_asked(const struct world *w, const struct message *answer)
{
	const struct message *last = &w->model.peer[answer->host * SERVERS + answer->server].phase2;

	return last->from != answer->from && last->id == answer->id && last->exchange == answer->exchange;
}

static void datagram(struct world *w)
{
	static const uint8_t exchanges[2][8] = {{2, 4, 5, 32, 32, 32, 6, 2}, {34, 34, 35, 36, 36, 35, 37, 34}};
	uint32_t port = below(w, 12);
	struct message message = {.from = (enum side)below(w, 2),
				  .host = some_host(w),
				  .server = some_server(w),
				  .outside = below(w, w->outsides),
				  .is_ike = below(w, 20) != 0,
				  .is_answer = below(w, 2),
				  .id = 1 + below(w, 6),
				  .tag = ++w->tags};

	message.port = message.at_port = port < 10 ? 500 : 4500;
	if (port == 9 || (port < 9 && !w->is_crowded))
		message.port = (uint16_t)(1025 + 2 * message.host);
	if (message.from == SIDE_WAN)
		aim(w, &message);
	message.version = (uint8_t)(1 + (message.host + message.server) % 2);
	bool has_natt = w->has_natt[message.host * SERVERS + message.server];
	bool is_early = has_natt && message.at_port == 500;
	if (!has_natt && message.at_port == 4500)
		return;
	message.exchange = exchanges[message.version - 1][is_early ? 0 : below(w, 8)];
	message.is_answer &= message.version == 2 && is_asked(w, &message);
	message.is_first = message.is_ike &&
			   (message.exchange == 34 || message.exchange == 2 || message.exchange == 4) &&
			   !message.is_answer && below(w, 8);
	message.initiator = 0x1000 + message.host * 16 + message.server * 4 + below(w, 2);
	if (below(w, 40) == 0)
		message.initiator = 0x1000 + below(w, 64);
	bool in_vain = message.from == SIDE_LAN && w->model.peer[message.host * SERVERS + message.server].unheard >= 2;
	if (in_vain && (message.exchange == 32 || message.exchange == 35 || message.exchange == 36))
		message.exchange = message.version == 1 ? 6 : 37;
	if (!message.is_ike)
		message.version = message.exchange = 0;
	send_udp(w, &message);
}

/* A client that nobody answers says the same again. */
static void knock(struct world *w)
{
	struct message message = {.from = SIDE_LAN,
				  .host = some_host(w),
				  .server = some_server(w),
				  .port = 500,
				  .at_port = 500,
				  .is_ike = true,
				  .version = 2,
				  .exchange = 34,
				  .is_first = true};

	message.initiator = 0x2000 + message.host;
	for (uint32_t i = 0; i < 4; i++) {
		message.tag = ++w->tags;
		send_udp(w, &message);
	}
}

static void pause_for_long(struct world *w)
{
	static const uint32_t pause[] = {2999,  3000,  3001,  5000,   5001,   9999,   10000,
					 15000, 29999, 30000, 299999, 300000, 400000, 4000000};

	time_passes(w, pause[below(w, 14)]);
}

/* --- a world --- */

static void start_engine(struct world *w)
{
	uint32_t outside[PLACES] = {outside_base, outside_base + 1};
	uint8_t key[32] = {(uint8_t)w->seed, (uint8_t)(w->seed >> 8), (uint8_t)(w->seed >> 16), 5};
	size_t size = engine_arena_size(&limits);

	memset(w->arena, 0, size);
	w->engine = engine_new(w->arena, size, &limits, &w->config, key, false, w->now);
	if (!w->engine)
		fail(w, "the engine did not start", 0, 0);
	engine_set_outside(w->engine, outside, w->outsides, w->now);
}

/* Every host has a flow that never ends, so that it keeps its outside address. */
static void anchor(struct world *w)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &w->out};

	for (uint32_t host = 0; host < HOSTS; host++) {
		packets_build(&w->packet, &(struct packet_spec){.protocol = PROTO_UDP,
								.source = inside_base + host,
								.source_port = (uint16_t)(ANCHOR_PORT + host),
								.destination = server_base + 200,
								.destination_port = 9,
								.payload_length = 8});
		emissions_clear(&w->out);
		engine_process(w->engine, SIDE_LAN, &w->packet.packet, 1, w->now, &sink, NULL);
		if (w->out.count != 1)
			fail(w, "an anchor was not sent", host, 0);
		w->model.outside_of[host] = packets_source(&w->out.item[0].packet) - outside_base;
	}
}

static void configure(struct world *w)
{
	engine_config_default(&w->config);
	w->config.inside[0] = (struct prefix){0x0a000000, 16};
	w->config.insides = 1;
	w->config.lan_address = 0x0a000001;
	w->config.timeout[TIMEOUT_UDP] = 604800000;
	w->config.timeout[TIMEOUT_HOLD_DOWN] = 0;
	w->config.esp_fanout = below(w, 3) == 0;
	w->config.icmp_rate = 0;
	if (below(w, 8) == 0)
		w->config.mode[PART_IKE] = MODE_PLAIN;
	if (below(w, 8) == 0)
		w->config.mode[PART_NATT] = MODE_PLAIN;
}

/* The process dies: pairs live on in the memory it leaves, what waited is lost. */
static void die_and_recover(struct world *w)
{
	uint8_t key[32] = {1};
	size_t size = engine_arena_size(&limits);

	engine_free(w->engine);
	w->engine = engine_new(w->arena, size, &limits, &w->config, key, true, w->now);
	if (!w->engine)
		fail(w, "the engine did not recover", 0, 0);
	for (uint32_t p = 0; p < PEERS; p++)
		w->model.peer[p].waits = w->model.peer[p].holds[0] = w->model.peer[p].holds[1] = 0;
	compare_counters(w);
	for (uint32_t i = 0; i < 2 * SAS; i++) {
		const struct sa *sa = &w->model.sa[i / 2];
		enum side from = (enum side)(i % 2);
		if (!sa->live || sa->deadline <= w->now || !model_is_paired(sa))
			continue;
		send_esp(w, &(struct message){.from = from,
					      .host = model_host(sa->peer),
					      .server = model_server(sa->peer),
					      .outside = w->model.outside_of[model_host(sa->peer)],
					      .spi = sa->spi[from],
					      .sequence = ++w->sequence,
					      .tag = ++w->tags});
		w->recovered++;
	}
}

static void run_world(struct world *w, uint64_t seed)
{
	w->seed = seed;
	w->r = test_random_seed(seed);
	w->now = 1000000 + test_random_next(&w->r);
	w->outsides = 1 + below(w, 2);
	w->sequence = 0;
	for (uint32_t p = 0; p < PEERS; p++)
		w->has_natt[p] = below(w, 4) == 0;
	w->is_crowded = w->has_ike && below(w, 2);
	w->is_calm = below(w, 4) != 0;
	memset(w->strangers, 0, sizeof(w->strangers));
	configure(w);
	start_engine(w);
	model_begin(&w->model, &w->config, w->now);
	anchor(w);
	for (w->step = 0; w->step < STEPS; w->step++) {
		uint32_t what = below(w, 1000);
		if (w->step % 100 == 0) {
			w->focus_server = below(w, SERVERS);
			w->focus_hosts = 1 + below(w, 3);
		}
		if (what < 450)
			esp(w);
		else if (what < 480)
			stream(w);
		else if (what < 780 && w->has_ike)
			datagram(w);
		else if (what < 800 && w->is_crowded)
			knock(w);
		else if (what < 980)
			time_passes(w, below(w, below(w, 2) ? 2000 : 50));
		else
			pause_for_long(w);
	}
	die_and_recover(w);
	for (int i = 0; i < PAIRINGS; i++)
		w->bound[i] += w->model.bound[i];
	w->waited += w->model.waited;
	w->joined += w->model.joined;
	w->cautious += w->model.cautious;
	const char *wrong = engine_check(w->engine);
	if (wrong)
		fail(w, wrong, 0, 0);
	engine_free(w->engine);
}

int main(int argc, char **argv)
{
	static const struct option option[] = {{"packets", required_argument, NULL, 'p'},
					       {"seed", required_argument, NULL, 's'},
					       {"ike", no_argument, NULL, 'i'},
					       {"verbose", no_argument, NULL, 'v'},
					       {NULL, 0, NULL, 0}};
	uint64_t packets = 25000, seed = 1, worlds = 0;
	static struct world w;

	for (int c; (c = getopt_long(argc, argv, "", option, NULL)) != -1;) {
		if (c == 'p')
			packets = strtoull(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'i')
			w.has_ike = true;
		else if (c == 'v')
			w.verbose = true;
		else
			return 1;
	}
	w.arena = aligned_alloc(64, (size_t)16 << 20);
	if (!w.arena)
		return 1;
	emissions_init(&w.out);
	for (; w.packets < packets; worlds++)
		run_world(&w, seed++);
	printf("esp_property: %" PRIu64 " packets in %" PRIu64 " worlds, %" PRIu64 " sole, %" PRIu64
	       " by recency, %" PRIu64 " guessed, %" PRIu64 " repaired, %" PRIu64 " joined, %" PRIu64
	       " groups cautious, %" PRIu64 " waited, %" PRIu64 " after a crash: no difference\n",
	       w.packets, worlds, w.bound[PAIRING_SOLE], w.bound[PAIRING_RECENCY], w.bound[PAIRING_GUESSED],
	       w.bound[PAIRING_REPAIRED], w.joined, w.cautious, w.waited, w.recovered);
	emissions_free(&w.out);
	free(w.arena);
	bool all = w.bound[PAIRING_SOLE] && w.bound[PAIRING_GUESSED] && w.bound[PAIRING_REPAIRED] && w.waited &&
		   w.joined && w.cautious && w.recovered && (w.bound[PAIRING_RECENCY] || !w.has_ike);
	if (!all)
		fprintf(stderr, "esp_property: one of these never happened, so that nothing was shown about it\n");
	return all ? 0 : 1;
}
