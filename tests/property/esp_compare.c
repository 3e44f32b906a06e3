/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine and the model side by side: every packet has one fate in both. See esp_world.h. */
#include "esp_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SWEPT = 256 };

void world_fail(const struct world *w, const char *what, uint32_t a, uint32_t b)
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
			world_fail(w, "two mappings have one outside port", f->host, new->host);
	}
	if ((port < 1024) != (new->inside_port < 1024))
		world_fail(w, "a port of another class, although there are free ones", new->inside_port, port);
}

static bool is_as_said(struct world *w, const struct packet *p, const struct out *out)
{
	bool wan = out->to == SIDE_WAN, udp = packet_get8(p, 9) == PROTO_UDP;
	uint32_t inner = wan ? packets_source(p) : packets_destination(p);
	uint32_t outer = wan ? packets_destination(p) : packets_source(p);
	uint16_t port = wan ? packets_source_port(p) : packets_destination_port(p);

	if (outer != ESP_SERVER + out->server || inner != (wan ? ESP_OUTSIDE + out->outside : ESP_INSIDE + out->host))
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
			world_fail(w, wrong, tag, 0);
		while (k < m->outs && (seen[k] || m->out[k].tag != tag || m->out[k].to != w->out.item[i].to ||
				       !is_as_said(w, p, &m->out[k])))
			k++;
		if (k == m->outs)
			world_fail(w, "left, but not here or not this way", packets_source(p), packets_destination(p));
		seen[k] = true;
		for (uint32_t j = 0; j < k; j++)
			if (!seen[j] && !m->out[j].is_copy && m->out[j].to == m->out[k].to &&
			    m->out[j].host == m->out[k].host && m->out[j].server == m->out[k].server &&
			    m->out[j].at_port == m->out[k].at_port)
				world_fail(w, "left before its turn", tag, m->out[j].tag);
	}
	for (uint32_t k = 0; k < m->outs; k++)
		copies += seen[k] && m->out[k].is_copy;
	if (copies != m->copies)
		world_fail(w, "another number of copies", copies, m->copies);
	for (uint32_t k = 0; k < m->outs; k++)
		if (!seen[k] && !m->out[k].is_copy)
			world_fail(w, "should have left to this host or server, and has not", m->out[k].host,
				   m->out[k].server);
	w->emitted += m->outs;
}

void world_compare_counters(struct world *w)
{
	const struct engine_counters *c = engine_counters(w->engine);
	const char *wrong = packets_check_conservation(c);

	if (!wrong && w->packets % 64 == 0)
		wrong = engine_check(w->engine);
	if (wrong)
		world_fail(w, wrong, 0, 0);
	if (c->held[0] + c->held[1] != model_held(&w->model))
		world_fail(w, "the number of packets that wait", (uint32_t)(c->held[0] + c->held[1]),
			   model_held(&w->model));
}

static const char *verdict_name(struct engine_result r)
{
	return r.verdict == VERDICT_FORWARDED  ? "forwarded"
	       : r.verdict == VERDICT_CONSUMED ? "consumed"
	       : r.verdict == VERDICT_HELD     ? "held"
					       : drop_name((enum drop)r.drop);
}

void world_process(struct world *w, const struct message *message, const struct packet_spec *spec)
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
	w->model.stayed_with = w->out.count ? packets_destination(&w->out.item[0].packet) - ESP_INSIDE : HOSTS;
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
		world_fail(w, "another fate", message->tag, message->spi);
	}
	compare_emissions(w);
	world_compare_counters(w);
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
		bool is_clean = false;
		for (uint32_t i = 0; engine_deadline(w->engine) <= w->now; i++) {
			if (i > 100000)
				world_fail(w, "the engine wants to be woken again and again", 0, 0);
			engine_expire(w->engine, w->now, &sink);
			is_clean = true;
		}
		model_advance(&w->model, w->now);
		if (is_clean)
			model_clean_up(&w->model);
		if (w->verbose && (w->model.outs || w->out.count))
			fprintf(stderr, "%" PRIu64 " wakes: %u leave; model %u\n", w->now, w->out.count, w->model.outs);
		compare_emissions(w);
		world_compare_counters(w);
	}
}

void world_time_passes(struct world *w, uint64_t ms)
{
	wait_for(w, ms);
	for (uint32_t i = 0; model_has_expired(&w->model); i++) {
		if (i > 2)
			world_fail(w, "what has ended is not cleaned up", 0, 0);
		wait_for(w, SWEPT);
	}
}
