/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients inside and a server outside that speak IPsec through an engine, in virtual time: each has a path of its own
 * length, agrees on SAs by IKE in clear headers and sealed bodies (or has them typed in), sends ESP at random moments
 * and rekeys. The ends know what is right: every packet carries, where the engine cannot know to look, whose it is.
 */
#ifndef CULVERT_TESTS_ESP_ENDS_H
#define CULVERT_TESTS_ESP_ENDS_H

#include "../unit/engine_check.h"
#include "../unit/packets.h"

enum { ENDS_CLIENTS = 10, ENDS_CHILDREN = 8, ENDS_EXCHANGES = 4, ENDS_EVENTS = 4096 };
static const uint32_t ENDS_SERVER = 0xcb007101, ENDS_OUTSIDE = 0xc6336401, ENDS_INSIDE = 0x0a000002;

struct scenario {
	const char *name;
	uint32_t clients;
	uint32_t ike;          /* version 1 or 2; 0: the SAs are typed in, the server answers whom it has heard */
	bool mute_client;      /* the first client sends no ESP */
	bool mute_server;      /* and the server none to it */
	bool attacked;         /* somebody sends ESP with random SPIs as the server */
	uint32_t paired_ms;    /* everybody has heard of everybody after this time */
	uint32_t lost_percent; /* of what the server sends so much may be lost; nothing must go astray if this is 0 */
	uint32_t
		ambiguous; /* of so many packets of the server one may be dropped because it is not clear whose it is */
};

/* What a packet carries sealed. */
struct note {
	uint32_t magic;
	uint8_t client, exchange; /* exchange: 0 for ESP */
	uint8_t part;             /* 0 request, 1 answer, 2 the third message of Quick Mode */
	uint8_t from;             /* enum side */
	uint32_t id, child, spi;
};

struct child {
	uint32_t number;
	uint32_t spi[SIDES]; /* in the packets from that side */
	uint32_t sequence[SIDES];
	bool known[SIDES]; /* that end has it whole and takes what comes */
};

struct exchange {
	bool under_way;
	uint8_t type;
	uint32_t id, child, timeout;
};

struct client {
	uint32_t up_ms, down_ms; /* between engine and server */
	uint64_t ike_spi[2];     /* initiator, responder */
	uint16_t outside_port;   /* as the server sees it */
	uint32_t children;       /* made so far */
	struct child child[ENDS_CHILDREN];
	uint32_t current[SIDES]; /* number of the child that end sends with; 0: none */
	struct exchange exchange[SIDES][ENDS_EXCHANGES];
	uint32_t next_id[SIDES];
	uint64_t heard[SIDES]; /* packets of ESP that arrived right, from that side */
	bool rekeying;
};

struct event {
	uint64_t at, order;
	uint8_t what, client, side;
	uint16_t port;
	uint32_t id;
	struct note note;
};

/* Counted over all worlds of a scenario. */
struct ends_count {
	uint64_t packets, esp[SIDES], held, wrong, wrong_spis, bogus, dropped[DROPS], early_drops, rekeys;
};

struct ends {
	struct engine *engine;
	void *arena;
	const struct scenario *scenario;
	struct test_random r;
	uint64_t now, start, orders, seed;
	uint32_t life_ms, retransmit_ms, jitter_ms;
	struct client client[ENDS_CLIENTS];
	struct event event[ENDS_EVENTS]; /* a heap */
	uint32_t events;
	uint32_t last_wrong_spi;
	struct emissions out;
	struct test_packet packet;
	struct ends_count *count;
	bool verbose;
};

/* A world from a seed. */
void ends_begin(struct ends *e, const struct scenario *scenario, uint64_t seed, struct ends_count *count);
/* Lets so much time pass. */
void ends_run(struct ends *e, uint64_t ms);
/* NULL, or what is wrong with the engine. */
const char *ends_end(struct ends *e);
/* Everybody who speaks has been heard. */
bool ends_all_paired(const struct ends *e);

#endif
