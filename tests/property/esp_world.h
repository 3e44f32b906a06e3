/* SPDX-License-Identifier: BSD-2-Clause */
/* A world of esp_property.c: an engine, the model beside it, and who takes part. */
#ifndef CULVERT_TESTS_ESP_WORLD_H
#define CULVERT_TESTS_ESP_WORLD_H

#include "esp_model.h"

static const uint32_t ESP_INSIDE = 0x0a000002, ESP_SERVER = 0xcb007101, ESP_OUTSIDE = 0xc6336401;

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
	/* how many more new SPIs came from the WAN than from the LAN: many make the engine cautious */
	uint32_t strangers[SERVERS][MODEL_PLACES];
	bool is_calm;
	bool has_ike, is_crowded; /* crowded: all speak from port 500 */
	bool has_natt[PEERS];     /* what they say after the first messages goes to port 4500, and so does their ESP */
	bool verbose;
};

static inline uint32_t world_below(struct world *w, uint32_t n)
{
	return test_random_below(&w->r, n);
}

/* --- esp_compare.c --- */

/* Says what is wrong, and ends the program. */
_Noreturn void world_fail(const struct world *w, const char *what, uint32_t a, uint32_t b);
/* The packet has in the engine the fate that the model says. */
void world_process(struct world *w, const struct message *message, const struct packet_spec *spec);
/* So many milliseconds pass, and a few more if something ended: until its memory is cleaned up its peer still counts,
 * so that nothing is sent. */
void world_time_passes(struct world *w, uint64_t ms);
void world_compare_counters(struct world *w);

/* --- esp_traffic.c --- */

void world_send_esp(struct world *w, const struct message *message);
/* One step of those who send. */
void world_esp(struct world *w);
/* A server goes on with an SPI. */
void world_stream(struct world *w);
void world_datagram(struct world *w);
/* A client that nobody answers says the same again. */
void world_knock(struct world *w);

#endif
