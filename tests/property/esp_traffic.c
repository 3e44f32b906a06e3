/* SPDX-License-Identifier: BSD-2-Clause */
/* What hosts and servers of a world send: some of it makes sense. See esp_world.h. */
#include "esp_world.h"

static uint32_t some_host(struct world *w)
{
	return world_below(w, 4) ? world_below(w, w->focus_hosts) : world_below(w, HOSTS);
}

static uint32_t some_server(struct world *w)
{
	return world_below(w, 5) ? w->focus_server : world_below(w, SERVERS);
}

void world_send_esp(struct world *w, const struct message *message)
{
	uint8_t payload[24] = {(uint8_t)(message->tag >> 24), (uint8_t)(message->tag >> 16),
			       (uint8_t)(message->tag >> 8), (uint8_t)message->tag};
	bool lan = message->from == SIDE_LAN;

	world_process(w, message,
		      &(struct packet_spec){.protocol = PROTO_ESP,
					    .source = lan ? ESP_INSIDE + message->host : ESP_SERVER + message->server,
					    .destination =
						    lan ? ESP_SERVER + message->server : ESP_OUTSIDE + message->outside,
					    .df = true,
					    .spi = message->spi,
					    .sequence = message->sequence,
					    .payload = payload,
					    .payload_length = sizeof(payload)});
}

static uint32_t new_spi(struct world *w)
{
	return world_below(w, 12) ? 256 + (test_random_next(&w->r) >> 1) : 4096 + world_below(w, 4);
}

/* One that an SA of this host or through this address has; or a new one. */
static uint32_t some_spi(struct world *w, enum side from, uint32_t server, uint32_t host_or_outside)
{
	uint32_t spi = 0, seen = 0;

	if (world_below(w, 4) == 0)
		return new_spi(w);
	for (uint32_t i = 0; i < SAS; i++) {
		const struct sa *sa = &w->model.sa[i];
		uint32_t host = model_host(sa->peer);
		if (sa->live && sa->spi[from] && model_server(sa->peer) == server &&
		    (from == SIDE_LAN ? host : w->model.outside_of[host]) == host_or_outside &&
		    world_below(w, ++seen) == 0)
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
	world_send_esp(w, message);
	if (!lan && !known)
		++*strangers;
	if (lan && !known && w->model.outs && *strangers)
		--*strangers;
}

void world_esp(struct world *w)
{
	struct message message = {.from = (enum side)world_below(w, 2),
				  .host = some_host(w),
				  .server = some_server(w),
				  .outside = world_below(w, w->outsides),
				  .sequence = ++w->sequence,
				  .tag = ++w->tags};
	bool lan = message.from == SIDE_LAN;

	if (lan && w->has_natt[message.host * SERVERS + message.server] && world_below(w, 50))
		return;
	message.spi = some_spi(w, message.from, message.server, lan ? message.host : message.outside);
	uint32_t doubt = w->model.group[message.server][message.outside].doubt[world_below(w, LATE)].spi;
	if (!lan && doubt && world_below(w, 3))
		message.spi = doubt;
	if (w->is_calm)
		send_esp_calmly(w, &message);
	else
		world_send_esp(w, &message);
}

/* A server goes on with an SPI; rather with one that no client answers to. */
void world_stream(struct world *w)
{
	const struct sa *sa = NULL;

	for (uint32_t i = 0, seen = 0; i < SAS; i++) {
		const struct sa *of = &w->model.sa[i];
		bool is_likely = !of->spi[SIDE_LAN] || world_below(w, 8) == 0;
		if (of->live && of->spi[SIDE_WAN] && is_likely && world_below(w, ++seen) == 0)
			sa = of;
	}
	if (!sa)
		return;
	struct message message = {.from = SIDE_WAN,
				  .server = model_server(sa->peer),
				  .outside = w->model.outside_of[model_host(sa->peer)],
				  .spi = sa->spi[SIDE_WAN]};
	for (uint32_t i = world_below(w, 10); i < 10; i++) {
		message.sequence = ++w->sequence;
		message.tag = ++w->tags;
		world_send_esp(w, &message);
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
	world_process(w, message,
		      &(struct packet_spec){.protocol = PROTO_UDP,
					    .source = lan ? ESP_INSIDE + message->host : ESP_SERVER + message->server,
					    .source_port = lan ? message->port : message->at_port,
					    .destination =
						    lan ? ESP_SERVER + message->server : ESP_OUTSIDE + message->outside,
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
		if (g->outside_port && g->at_port && (g->live || world_below(w, 50) == 0) &&
		    world_below(w, ++seen) == 0)
			f = g;
	}
	if (f) {
		message->server = f->server;
		message->outside = w->model.outside_of[f->host];
		message->port = f->outside_port;
		message->at_port = f->at_port;
		message->host = f->host;
	}
	if (message->at_port == 500 && w->is_crowded && world_below(w, 6) == 0)
		message->port = 500;
}

/* Nobody answers what nobody asked. */
static bool is_asked(const struct world *w, const struct message *answer)
{
	const struct message *last = &w->model.peer[answer->host * SERVERS + answer->server].phase2;

	return last->from != answer->from && last->id == answer->id && last->exchange == answer->exchange;
}

void world_datagram(struct world *w)
{
	static const uint8_t exchanges[2][8] = {{2, 4, 5, 32, 32, 32, 6, 2}, {34, 34, 35, 36, 36, 35, 37, 34}};
	uint32_t port = world_below(w, 12);
	struct message message = {.from = (enum side)world_below(w, 2),
				  .host = some_host(w),
				  .server = some_server(w),
				  .outside = world_below(w, w->outsides),
				  .is_ike = world_below(w, 20) != 0,
				  .is_answer = world_below(w, 2),
				  .id = 1 + world_below(w, 6),
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
	message.exchange = exchanges[message.version - 1][is_early ? 0 : world_below(w, 8)];
	message.is_answer &= message.version == 2 && is_asked(w, &message);
	message.is_first = message.is_ike &&
			   (message.exchange == 34 || message.exchange == 2 || message.exchange == 4) &&
			   !message.is_answer && world_below(w, 8);
	message.initiator = 0x1000 + message.host * 16 + message.server * 4 + world_below(w, 2);
	if (world_below(w, 40) == 0)
		message.initiator = 0x1000 + world_below(w, 64);
	bool in_vain = message.from == SIDE_LAN && w->model.peer[message.host * SERVERS + message.server].unheard >= 2;
	if (in_vain && (message.exchange == 32 || message.exchange == 35 || message.exchange == 36))
		message.exchange = message.version == 1 ? 6 : 37;
	if (!message.is_ike)
		message.version = message.exchange = 0;
	send_udp(w, &message);
}

/* A client that nobody answers says the same again. */
void world_knock(struct world *w)
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
