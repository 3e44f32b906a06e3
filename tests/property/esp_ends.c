/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients and a server of IPsec in virtual time: see esp_ends.h. */
#include "esp_ends.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum what {
	STARTS,   /* a client begins */
	SPEAKS,   /* an end sends ESP */
	ARRIVES,  /* a packet gets to side: SIDE_LAN is the client's end, SIDE_WAN the server's */
	RETURNS,  /* a packet of the server gets to the engine */
	REPEATS,  /* an IKE request has had no answer in time */
	SWITCHES, /* an end sends with the newest SA from now on */
	DELETES,  /* who rekeyed deletes the SA before */
	REKEYS,
	ASKS, /* dead peer detection */
	ATTACKS,
};

enum { INIT = 34, AUTH = 35, CHILD = 36, INFORM = 37, MAIN_MODE = 2, INFORM_V1 = 5, QUICK_MODE = 32 };
enum { MAGIC = 0x5ea1ed00, BOGUS = 0x0badbeef };

static uint32_t below(struct ends *e, uint32_t n)
{
	return test_random_below(&e->r, n);
}

/* --- the heap of events --- */

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void plan(struct ends *e, uint64_t in_ms, struct event event)
{
	uint32_t i = e->events++;

	if (e->events > ENDS_EVENTS)
		abort(); /* the heap has room for all that can be under way */
	event.at = e->now + in_ms;
	event.order = e->orders++;
	for (; i && is_before(&event, &e->event[(i - 1) / 2]); i = (i - 1) / 2)
		e->event[i] = e->event[(i - 1) / 2];
	e->event[i] = event;
}

static struct event take_first(struct ends *e)
{
	struct event first = e->event[0], last = e->event[--e->events];
	uint32_t i = 0;

	for (uint32_t next; (next = 2 * i + 1) < e->events; i = next) {
		if (next + 1 < e->events && is_before(&e->event[next + 1], &e->event[next]))
			next++;
		if (is_before(&last, &e->event[next]))
			break;
		e->event[i] = e->event[next];
	}
	e->event[i] = last;
	return first;
}

/* --- through the engine --- */

static void tell(const struct ends *e, const char *what, const struct note *n, uint32_t a, uint32_t b)
{
	if (e->verbose)
		fprintf(stderr, "%8" PRIu64 " %s client %u from %s exchange %u part %u child %u: %#x %#x\n",
			e->now - e->start, what, n->client, n->from == SIDE_LAN ? "LAN" : "WAN", n->exchange, n->part,
			n->child, a, b);
}

static struct note read_note(const struct packet *p)
{
	struct note note = {0};
	uint32_t at = packet_get8(p, 9) == PROTO_ESP ? 28 : 20 + 8 + 28;

	if (packet_has(p, at, sizeof(note)))
		memcpy(&note, p->data + at, sizeof(note));
	return note;
}

static void emitted_to_client(struct ends *e, const struct packet *p, const struct note *n)
{
	uint32_t to = packets_destination(p) - ENDS_INSIDE;

	if (n->magic == BOGUS) {
		e->count->bogus++;
		return;
	}
	if (to == n->client) {
		plan(e, 1, (struct event){.what = ARRIVES, .client = n->client, .side = SIDE_LAN, .note = *n});
		return;
	}
	e->count->wrong++;
	e->count->wrong_spis += n->spi != e->last_wrong_spi;
	e->last_wrong_spi = n->spi;
	tell(e, "WENT ASTRAY", n, to, n->spi);
}

/* What came out travels on. */
static void carry(struct ends *e)
{
	for (uint32_t i = 0; i < e->out.count; i++) {
		const struct packet *p = &e->out.item[i].packet;
		struct note n = read_note(p);
		if (e->out.item[i].to == SIDE_LAN) {
			emitted_to_client(e, p, &n);
			continue;
		}
		if (packets_source(p) != ENDS_OUTSIDE || n.magic != MAGIC)
			abort(); /* one outside address, and nobody else speaks */
		plan(e, e->client[n.client].up_ms + below(e, e->jitter_ms + 1),
		     (struct event){.what = ARRIVES,
				    .client = n.client,
				    .side = SIDE_WAN,
				    .port = n.exchange ? packets_source_port(p) : 0,
				    .note = n});
	}
	emissions_clear(&e->out);
}

static void process(struct ends *e, enum side from, const struct packet_spec *spec, const struct note *n)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &e->out};
	struct engine_result result;

	packets_build(&e->packet, spec);
	engine_process(e->engine, from, &e->packet.packet, 1, e->now, &sink, &result);
	e->count->packets++;
	e->count->held += result.verdict == VERDICT_HELD;
	if (result.verdict == VERDICT_HELD)
		tell(e, "held", n, n->spi, 0);
	else if (n->exchange)
		tell(e, "passes", n, n->spi, 0);
	if (result.verdict == VERDICT_DROPPED && n->magic == MAGIC) {
		e->count->dropped[result.drop]++;
		e->count->early_drops += !n->exchange && e->now - e->start < e->scenario->paired_ms;
		tell(e, drop_name((enum drop)result.drop), n, n->spi, 0);
	}
	carry(e);
}

static void let_engine_wake(struct ends *e, uint64_t until)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &e->out};

	for (uint64_t at; (at = engine_deadline(e->engine)) <= until;) {
		e->now = at > e->now ? at : e->now;
		engine_expire(e->engine, e->now, &sink);
		carry(e);
	}
}

/* --- ESP --- */

static struct child *child_of(struct client *c, uint32_t number)
{
	struct child *child = &c->child[number % ENDS_CHILDREN];

	return number && child->number == number ? child : NULL;
}

static void send_esp(struct ends *e, enum side from, uint32_t who, uint32_t spi, uint32_t sequence,
		     const struct note *n)
{
	bool lan = from == SIDE_LAN;

	process(e, from,
		&(struct packet_spec){.protocol = PROTO_ESP,
				      .source = lan ? ENDS_INSIDE + who : ENDS_SERVER,
				      .destination = lan ? ENDS_SERVER : ENDS_OUTSIDE,
				      .df = true,
				      .spi = spi,
				      .sequence = sequence,
				      .payload = (const uint8_t *)n,
				      .payload_length = sizeof(*n)},
		n);
}

/* What the server sends takes its time to the engine. */
static void travel_back(struct ends *e, const struct note *n, uint32_t sequence)
{
	plan(e, e->client[n->client].down_ms + below(e, e->jitter_ms + 1),
	     (struct event){.what = RETURNS, .client = n->client, .id = sequence, .note = *n});
}

static void speak(struct ends *e, const struct event *event)
{
	enum side from = (enum side)event->side;
	struct client *c = &e->client[event->client];
	struct child *child = child_of(c, c->current[from]);

	plan(e, 20 + below(e, 981), *event);
	if (!child)
		return;
	struct note n = {.magic = MAGIC,
			 .client = event->client,
			 .from = event->side,
			 .child = child->number,
			 .spi = child->spi[from]};
	e->count->esp[from]++;
	if (++child->sequence[from] == 1)
		tell(e, "uses", &n, n.spi, 0);
	if (from == SIDE_LAN)
		send_esp(e, from, event->client, n.spi, child->sequence[from], &n);
	else
		travel_back(e, &n, child->sequence[from]);
}

static void attack(struct ends *e, const struct event *event)
{
	struct note n = {.magic = BOGUS, .from = SIDE_WAN};

	plan(e, 50 + below(e, 451), *event);
	send_esp(e, SIDE_WAN, 0, 256 + (test_random_next(&e->r) >> 1), 1 + below(e, 1000), &n);
}

/* --- IKE --- */

static uint8_t exchange_type(const struct ends *e, uint8_t type)
{
	if (e->scenario->ike == 2)
		return type;
	return type == INIT ? MAIN_MODE : type == INFORM ? INFORM_V1 : QUICK_MODE;
}

static void send_ike(struct ends *e, const struct note *n)
{
	const struct client *c = &e->client[n->client];
	bool lan = n->from == SIDE_LAN, first = n->exchange == INIT && n->part == 0, v2 = e->scenario->ike == 2;
	uint8_t bytes[28 + sizeof(*n)];

	for (int i = 0; i < 16; i++)
		bytes[i] = (uint8_t)(i >= 8 && first ? 0 : c->ike_spi[i / 8] >> 8 * (7 - i % 8));
	bytes[16] = n->exchange == INIT ? 33 : 46;
	bytes[17] = v2 ? 0x20 : 0x10;
	bytes[18] = exchange_type(e, n->exchange);
	bytes[19] = (uint8_t)(v2 ? (lan ? 8 : 0) | (n->part ? 32 : 0) : n->exchange != INIT);
	/* Version 1 has a random ID for each exchange, and 0 in phase 1. */
	uint32_t id = v2 ? n->id : n->exchange == INIT ? 0u : (n->id + 1) * 2654435761u + n->from;
	for (int i = 0; i < 4; i++) {
		bytes[20 + i] = (uint8_t)(id >> 8 * (3 - i));
		bytes[24 + i] = (uint8_t)(sizeof(bytes) >> 8 * (3 - i));
	}
	memcpy(bytes + 28, n, sizeof(*n));
	process(e, lan ? SIDE_LAN : SIDE_WAN,
		&(struct packet_spec){.protocol = PROTO_UDP,
				      .source = lan ? ENDS_INSIDE + n->client : ENDS_SERVER,
				      .source_port = 500,
				      .destination = lan ? ENDS_SERVER : ENDS_OUTSIDE,
				      .destination_port = lan ? 500 : c->outside_port,
				      .df = true,
				      .payload = bytes,
				      .payload_length = sizeof(bytes)},
		n);
}

static void say(struct ends *e, const struct note *n)
{
	if (n->from == SIDE_LAN)
		send_ike(e, n);
	else
		travel_back(e, n, 0);
}

/* What an end asks, the first time or again. */
static void send_request(struct ends *e, uint32_t who, enum side from, const struct exchange *x)
{
	const struct child *child = child_of(&e->client[who], x->child);

	say(e, &(struct note){.magic = MAGIC,
			      .client = (uint8_t)who,
			      .exchange = x->type,
			      .from = (uint8_t)from,
			      .id = x->id,
			      .child = x->child,
			      .spi = child ? child->spi[!from] : 0});
}

static void ask(struct ends *e, uint32_t who, enum side from, uint8_t type, uint32_t child)
{
	struct client *c = &e->client[who];
	struct exchange *x = c->exchange[from];

	for (uint32_t i = 0; i < ENDS_EXCHANGES && x->under_way; i++)
		x++;
	if (x == c->exchange[from] + ENDS_EXCHANGES)
		return; /* too many questions without an answer */
	*x = (struct exchange){true, type, c->next_id[from]++, child, e->retransmit_ms};
	plan(e, x->timeout,
	     (struct event){.what = REPEATS, .client = (uint8_t)who, .side = (uint8_t)from, .id = x->id});
	send_request(e, who, from, x);
}

static void repeat(struct ends *e, const struct event *event)
{
	for (uint32_t i = 0; i < ENDS_EXCHANGES; i++) {
		struct exchange *x = &e->client[event->client].exchange[event->side][i];
		if (!x->under_way || x->id != event->id)
			continue;
		x->timeout *= 2;
		plan(e, x->timeout, *event);
		send_request(e, event->client, (enum side)event->side, x);
	}
}

static struct child *new_child(struct ends *e, uint32_t who)
{
	struct client *c = &e->client[who];
	struct child *child = &c->child[++c->children % ENDS_CHILDREN];

	*child = (struct child){.number = c->children};
	for (int side = 0; side < SIDES; side++)
		child->spi[side] = 256 + (test_random_next(&e->r) >> 1) * 2 + (side == SIDE_LAN);
	return child;
}

/* An end has the new SA: it may send with it at once or keep to the old one for a while. */
static void has_child(struct ends *e, uint32_t who, enum side end, struct child *child)
{
	if (child->known[end])
		return;
	child->known[end] = true;
	plan(e, child->number == 1 || below(e, 2) ? 0 : below(e, 1000),
	     (struct event){.what = SWITCHES, .client = (uint8_t)who, .side = (uint8_t)end, .id = child->number});
}

static void switch_to(struct ends *e, const struct event *event)
{
	struct client *c = &e->client[event->client];

	if (child_of(c, event->id) && c->current[event->side] < event->id)
		c->current[event->side] = event->id;
}

static void rekey(struct ends *e, const struct event *event)
{
	struct client *c = &e->client[event->client];
	enum side from = (enum side)below(e, 2);

	plan(e, e->life_ms * 9 / 10 + below(e, e->life_ms / 10), *event);
	if (c->rekeying || !c->current[SIDE_LAN] || !c->current[SIDE_WAN])
		return;
	c->rekeying = true;
	e->count->rekeys++;
	ask(e, event->client, from, CHILD, new_child(e, event->client)->number);
}

static void delete_old(struct ends *e, const struct event *event)
{
	e->client[event->client].rekeying = false;
	ask(e, event->client, (enum side)event->side, INFORM, event->id);
}

static void forget_child(struct client *c, uint32_t number, enum side end)
{
	struct child *child = child_of(c, number);

	if (child)
		child->known[end] = false;
}

static void answered(struct ends *e, enum side end, const struct note *n)
{
	struct client *c = &e->client[n->client];
	struct child *child = child_of(c, n->child);
	struct exchange *x = c->exchange[end];

	for (uint32_t i = 0; i < ENDS_EXCHANGES && !(x->under_way && x->id == n->id); i++)
		x++;
	if (x == c->exchange[end] + ENDS_EXCHANGES)
		return;
	x->under_way = false;
	if (n->exchange == INIT)
		ask(e, n->client, SIDE_LAN, AUTH, new_child(e, n->client)->number);
	if (n->exchange == INFORM && n->child)
		forget_child(c, n->child, end);
	if ((n->exchange != AUTH && n->exchange != CHILD) || !child)
		return;
	has_child(e, n->client, end, child);
	if (n->exchange == CHILD)
		plan(e, 1000 + below(e, 4000),
		     (struct event){
			     .what = DELETES, .client = n->client, .side = (uint8_t)end, .id = child->number - 1});
	if (e->scenario->ike == 1) {
		struct note third = *n;
		third.part = 2;
		third.from = (uint8_t)end;
		say(e, &third);
	}
}

static void asked(struct ends *e, enum side end, const struct note *n)
{
	struct client *c = &e->client[n->client];
	struct child *child = child_of(c, n->child);
	struct note answer = *n;

	if ((n->exchange == AUTH || n->exchange == CHILD) && child)
		has_child(e, n->client, end, child);
	if (n->exchange == INFORM && n->child)
		forget_child(c, n->child, end);
	answer.part = 1;
	answer.from = (uint8_t)end;
	say(e, &answer);
}

static void arrive(struct ends *e, const struct event *event)
{
	const struct note *n = &event->note;
	struct client *c = &e->client[event->client];
	enum side end = (enum side)event->side;

	if (end == SIDE_WAN && n->exchange)
		c->outside_port = event->port;
	if (n->exchange && n->part == 0) {
		asked(e, end, n);
	} else if (n->exchange && n->part == 1) {
		answered(e, end, n);
	} else if (!n->exchange) {
		c->heard[!end]++;
		if (!e->scenario->ike && end == SIDE_WAN) /* typed in: the server answers whom it has heard */
			c->current[SIDE_WAN] = n->child;
	}
}

/* --- a world --- */

static void starts(struct ends *e, const struct event *event)
{
	struct client *c = &e->client[event->client];
	bool mute = e->scenario->mute_client && event->client == 0;

	c->ike_spi[0] = (uint64_t)test_random_next(&e->r) << 32 | 1;
	c->ike_spi[1] = (uint64_t)test_random_next(&e->r) << 32 | 2;
	if (!mute)
		plan(e, 20, (struct event){.what = SPEAKS, .client = event->client, .side = SIDE_LAN});
	if (!mute || !e->scenario->mute_server)
		plan(e, 20, (struct event){.what = SPEAKS, .client = event->client, .side = SIDE_WAN});
	if (!e->scenario->ike) {
		c->current[SIDE_LAN] = new_child(e, event->client)->number;
		return;
	}
	ask(e, event->client, SIDE_LAN, INIT, 0);
	plan(e, 60000, (struct event){.what = ASKS, .client = event->client});
	plan(e, e->life_ms * 9 / 10 + below(e, e->life_ms / 10),
	     (struct event){.what = REKEYS, .client = event->client});
}

void ends_begin(struct ends *e, const struct scenario *scenario, uint64_t seed, struct ends_count *count)
{
	static const struct engine_limits limits = {
		.flows = 1024, .hosts = 16, .addresses = 1, .fragments = 256, .tunnels = 256};
	static const uint32_t retransmit[] = {500, 1000, 2000, 4000};
	uint32_t outside = ENDS_OUTSIDE;
	uint8_t key[32] = {(uint8_t)seed, (uint8_t)(seed >> 8), (uint8_t)(seed >> 16), 9};
	struct engine_config config;

	e->scenario = scenario;
	e->seed = seed;
	e->count = count;
	e->r = test_random_seed(seed);
	e->now = e->start = 1000000 + test_random_next(&e->r);
	e->events = 0;
	e->orders = 0;
	e->life_ms = 120000 + below(e, 480000);
	e->retransmit_ms = retransmit[below(e, 4)];
	e->jitter_ms = below(e, 2) * 3;
	memset(e->client, 0, sizeof(e->client));
	engine_config_default(&config);
	config.inside[0].prefix = (struct prefix){{0x0a000000}, 16};
	config.insides = 1;
	config.inside[0].router_address.v4 = 0x0a000001;
	memset(e->arena, 0, engine_arena_size(&limits));
	e->engine = engine_new(e->arena, engine_arena_size(&limits), &limits, &config, key, false, e->now);
	if (!e->engine)
		abort();
	packets_set_outside(e->engine, &outside, 1, e->now);
	for (uint32_t i = 0; i < scenario->clients; i++) {
		e->client[i].up_ms = 5 + below(e, 76);
		e->client[i].down_ms = 5 + below(e, 76);
		plan(e, below(e, 21), (struct event){.what = STARTS, .client = (uint8_t)i});
	}
	if (scenario->attacked)
		plan(e, 10, (struct event){.what = ATTACKS});
}

static void happen(struct ends *e, const struct event *event)
{
	switch ((enum what)event->what) {
	case STARTS:
		starts(e, event);
		break;
	case SPEAKS:
		speak(e, event);
		break;
	case ARRIVES:
		arrive(e, event);
		break;
	case RETURNS:
		if (event->note.exchange)
			send_ike(e, &event->note);
		else
			send_esp(e, SIDE_WAN, 0, event->note.spi, event->id, &event->note);
		break;
	case REPEATS:
		repeat(e, event);
		break;
	case SWITCHES:
		switch_to(e, event);
		break;
	case DELETES:
		delete_old(e, event);
		break;
	case REKEYS:
		rekey(e, event);
		break;
	case ASKS:
		plan(e, 60000, *event);
		ask(e, event->client, SIDE_LAN, INFORM, 0);
		break;
	case ATTACKS:
		attack(e, event);
		break;
	}
}

void ends_run(struct ends *e, uint64_t ms)
{
	uint64_t until = e->now + ms;

	while (e->events && e->event[0].at <= until) {
		let_engine_wake(e, e->event[0].at);
		struct event event = take_first(e); /* perhaps one that the waking made */
		e->now = event.at;
		happen(e, &event);
	}
	let_engine_wake(e, until);
	e->now = until;
}

bool ends_all_paired(const struct ends *e)
{
	for (uint32_t i = 0; i < e->scenario->clients; i++) {
		bool mute = i == 0 && e->scenario->mute_client;
		if ((!mute && !e->client[i].heard[SIDE_LAN]) ||
		    (!(mute && e->scenario->mute_server) && !e->client[i].heard[SIDE_WAN]))
			return false;
	}
	return true;
}

const char *ends_end(struct ends *e)
{
	const char *wrong = engine_check(e->engine);

	if (!wrong)
		wrong = packets_check_conservation(engine_counters(e->engine));
	engine_free(e->engine);
	return wrong;
}
