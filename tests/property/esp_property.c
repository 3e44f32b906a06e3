/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * esp_property [--packets N] [--seed S] [--verbose]: worlds of inside hosts, servers and one or two outside addresses,
 * in which everybody sends random ESP and in most of them random IKE as well, against the naive model of esp_model.h:
 * every packet has the fate that the model says, and what waits leaves in order and when the model says so.
 *
 * Left out: sequence numbers that fall back (collisions); forwards; and which of several unpaired hosts an SPI is given
 * to that has stayed ambiguous for 3 s: any of them will do. Nothing is sent while the memory of what has just ended
 * may not be cleaned up yet.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esp_world.h"

enum { ANCHOR_PORT = 9000, STEPS = 600 };

static const struct engine_limits limits = {
	.flows = 2000, .hosts = 16, .addresses = 2, .fragments = 512, .tunnels = 512};

static void pause_for_long(struct world *w)
{
	static const uint32_t pause[] = {2999,  3000,  3001,  5000,   5001,   9999,   10000,
					 15000, 29999, 30000, 299999, 300000, 400000, 4000000};

	world_time_passes(w, pause[world_below(w, 14)]);
}

static void start_engine(struct world *w)
{
	uint32_t outside[MODEL_PLACES] = {ESP_OUTSIDE, ESP_OUTSIDE + 1};
	uint8_t key[32] = {(uint8_t)w->seed, (uint8_t)(w->seed >> 8), (uint8_t)(w->seed >> 16), 5};
	size_t size = engine_arena_size(&limits);

	memset(w->arena, 0, size);
	w->engine = engine_new(w->arena, size, &limits, &w->config, key, false, w->now);
	if (!w->engine)
		world_fail(w, "the engine did not start", 0, 0);
	packets_set_outside(w->engine, outside, w->outsides, w->now);
}

/* Every host has a flow that never ends, so that it keeps its outside address. */
static void anchor(struct world *w)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &w->out};

	for (uint32_t host = 0; host < HOSTS; host++) {
		packets_build(&w->packet, &(struct packet_spec){.protocol = PROTO_UDP,
								.source = ESP_INSIDE + host,
								.source_port = (uint16_t)(ANCHOR_PORT + host),
								.destination = ESP_SERVER + 200,
								.destination_port = 9,
								.payload_length = 8});
		emissions_clear(&w->out);
		engine_process(w->engine, SIDE_LAN, &w->packet.packet, 1, w->now, &sink, NULL);
		if (w->out.count != 1)
			world_fail(w, "an anchor was not sent", host, 0);
		w->model.outside_of[host] = packets_source(&w->out.item[0].packet) - ESP_OUTSIDE;
	}
}

static void configure(struct world *w)
{
	engine_config_default(&w->config);
	w->config.inside[0].prefix = (struct prefix){{0x0a000000}, 16};
	w->config.insides = 1;
	w->config.inside[0].router_address.v4 = 0x0a000001;
	w->config.timeout[TIMEOUT_UDP] = 604800000;
	w->config.timeout[TIMEOUT_HOLD_DOWN] = 0;
	w->config.esp_fanout = world_below(w, 3) == 0;
	w->config.icmp_rate = 0;
	if (world_below(w, 8) == 0)
		w->config.mode[PART_IKE] = MODE_PLAIN;
	if (world_below(w, 8) == 0)
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
		world_fail(w, "the engine did not recover", 0, 0);
	for (uint32_t p = 0; p < PEERS; p++)
		w->model.peer[p].waits = w->model.peer[p].holds[0] = w->model.peer[p].holds[1] = 0;
	world_compare_counters(w);
	for (uint32_t i = 0; i < 2 * SAS; i++) {
		const struct sa *sa = &w->model.sa[i / 2];
		enum side from = (enum side)(i % 2);
		if (!sa->live || sa->deadline <= w->now || !model_is_paired(sa))
			continue;
		world_send_esp(w, &(struct message){.from = from,
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
	w->outsides = 1 + world_below(w, 2);
	w->sequence = 0;
	for (uint32_t p = 0; p < PEERS; p++)
		w->has_natt[p] = world_below(w, 4) == 0;
	w->has_ike = world_below(w, 4) != 0;
	w->is_crowded = w->has_ike && world_below(w, 2);
	w->is_calm = world_below(w, 4) != 0;
	memset(w->strangers, 0, sizeof(w->strangers));
	configure(w);
	start_engine(w);
	model_begin(&w->model, &w->config, w->now);
	anchor(w);
	for (w->step = 0; w->step < STEPS; w->step++) {
		uint32_t what = world_below(w, 1000);
		if (w->step % 100 == 0) {
			w->focus_server = world_below(w, SERVERS);
			w->focus_hosts = 1 + world_below(w, 3);
		}
		if (what < 450)
			world_esp(w);
		else if (what < 480)
			world_stream(w);
		else if (what < 780 && w->has_ike)
			world_datagram(w);
		else if (what < 800 && w->is_crowded)
			world_knock(w);
		else if (what < 980)
			world_time_passes(w, world_below(w, world_below(w, 2) ? 2000 : 50));
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
		world_fail(w, wrong, 0, 0);
	engine_free(w->engine);
}

int main(int argc, char **argv)
{
	static const struct option option[] = {{"packets", required_argument, NULL, 'p'},
					       {"seed", required_argument, NULL, 's'},
					       {"verbose", no_argument, NULL, 'v'},
					       {NULL, 0, NULL, 0}};
	uint64_t packets = 40000, seed = 1, worlds = 0;
	static struct world w;

	for (int c; (c = getopt_long(argc, argv, "", option, NULL)) != -1;) {
		if (c == 'p')
			packets = strtoull(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
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
	printf("1..1\nok 1 - %" PRIu64 " packets in %" PRIu64 " worlds, %" PRIu64 " sole, %" PRIu64
	       " by recency, %" PRIu64 " guessed, %" PRIu64 " repaired, %" PRIu64 " joined, %" PRIu64
	       " groups cautious, %" PRIu64 " waited, %" PRIu64 " after a crash: no difference\n",
	       w.packets, worlds, w.bound[PAIRING_SOLE], w.bound[PAIRING_RECENCY], w.bound[PAIRING_GUESSED],
	       w.bound[PAIRING_REPAIRED], w.joined, w.cautious, w.waited, w.recovered);
	emissions_free(&w.out);
	free(w.arena);
	bool all = w.bound[PAIRING_SOLE] && w.bound[PAIRING_GUESSED] && w.bound[PAIRING_REPAIRED] && w.waited &&
		   w.joined && w.cautious && w.recovered && w.bound[PAIRING_RECENCY];
	if (!all)
		fprintf(stderr, "esp_property: one of these never happened, so that nothing was shown about it\n");
	return all ? 0 : 1;
}
