/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world at work: events are fed to the engine and judged by the model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <culvert/rehearsal.h>

#include "world.h"

static const char *const EVENT_NAME[EVENTS] = {
	[EVENT_LAN_NEW] = "lan-new",         [EVENT_LAN_FLOW] = "lan-flow",     [EVENT_WAN_FLOW] = "wan-flow",
	[EVENT_WAN_MAPPING] = "wan-mapping", [EVENT_WAN_RANDOM] = "wan-random", [EVENT_HAIRPIN] = "hairpin",
	[EVENT_WAN_ERROR] = "wan-error",     [EVENT_LAN_ERROR] = "lan-error",   [EVENT_FRAGMENT] = "fragment",
	[EVENT_BYPASS] = "bypass",           [EVENT_BATCH] = "batch",           [EVENT_TIME] = "time",
	[EVENT_CONFIGURE] = "configure",     [EVENT_OUTSIDE] = "outside",
};

static const char *event_name(uint8_t kind)
{
	return kind < EVENTS ? EVENT_NAME[kind] : "?";
}

struct event world_event(struct test_random *r)
{
	static const uint8_t weight[EVENTS] = {
		[EVENT_LAN_NEW] = 18,   [EVENT_LAN_FLOW] = 14, [EVENT_WAN_FLOW] = 16, [EVENT_WAN_MAPPING] = 8,
		[EVENT_WAN_RANDOM] = 4, [EVENT_HAIRPIN] = 7,   [EVENT_WAN_ERROR] = 6, [EVENT_LAN_ERROR] = 5,
		[EVENT_FRAGMENT] = 12,  [EVENT_BYPASS] = 2,    [EVENT_BATCH] = 3,     [EVENT_TIME] = 4,
		[EVENT_CONFIGURE] = 1,  [EVENT_OUTSIDE] = 1};
	uint32_t pick = test_random_below(r, 101);
	uint8_t kind = 0;

	while (kind < EVENTS - 1 && pick >= weight[kind])
		pick -= weight[kind++];
	return (struct event){.kind = kind, .seed = (uint64_t)test_random_next(r) << 32 | test_random_next(r)};
}

static void show_config(const struct world *w)
{
	const struct engine_config *c = &w->config;

	printf("  world: mapping %d filtering %d hairpinning %d refresh_inbound %d modes %d %d %d %d %d %d limits %u "
	       "flows %u "
	       "hosts %u a host, MTU %u %u %u, hold-down %u%s\n",
	       c->mapping, c->filtering, c->hairpinning, c->refresh_inbound, c->mode[0], c->mode[1], c->mode[2],
	       c->mode[3], c->mode[4], c->mode[5], w->limits.flows, w->limits.hosts, c->host_flows, c->inside[0].mtu,
	       c->insides == 2 ? c->inside[1].mtu : 0, c->wan_mtu, c->timeout[TIMEOUT_HOLD_DOWN],
	       w->lazy ? ", lazy" : "");
	for (uint32_t i = 0; i < c->forwards; i++)
		printf("    forward %u %u-%u to %08x:%u\n", c->forward[i].protocol, c->forward[i].port_first,
		       c->forward[i].port_last, c->forward[i].to_address.v4, c->forward[i].to_port);
	for (uint32_t i = 0; i < w->model->outsides; i++)
		printf("    outside %08x\n", w->model->outside[i]);
}

void world_begin(struct world *w, uint64_t seed, bool verbose)
{
	struct test_random r = test_random_seed(seed);
	uint32_t address[WORLD_ADDRESSES];
	uint8_t key[32];

	memset(w, 0, sizeof(*w));
	w->verbose = verbose;
	w->now = 1000 + test_random_below(&r, 100000);
	grammar_config(&r, &w->limits, &w->config);
	w->lazy = test_random_one_in(&r, 3);
	w->eager_compare = test_random_one_in(&r, 8);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)test_random_next(&r);
	size_t size = engine_arena_size(&w->limits);
	w->arena = aligned_alloc(64, (size + 63) / 64 * 64);
	if (!w->arena)
		abort();
	w->engine = engine_new(w->arena, size, &w->limits, &w->config, key, false, w->now);
	if (!w->engine)
		abort();
	emissions_init(&w->out);
	w->model = model_new(&w->limits, &w->config, w->now);
	w->model->engine = w->engine;
	w->model->lazy = w->lazy;
	uint32_t count = grammar_outside(&r, address);
	if (!count)
		count = 1, address[0] = 0xc6336401;
	packets_set_outside(w->engine, address, count, w->now);
	model_set_outside(w->model, address, count, 0);
	if (verbose)
		show_config(w);
}

void world_end(struct world *w)
{
	engine_free(w->engine);
	free(w->arena);
	model_free(w->model);
	emissions_free(&w->out);
}

static void remember(struct world *w, uint32_t from)
{
	for (uint32_t i = from; i < w->out.count; i++) {
		const struct emission *e = &w->out.item[i];
		enum side to = e->to;
		uint32_t slot = w->recents[to] % WORLD_RECENT;
		if (e->packet.length > PACKET_LENGTH_MAX || e->packet.length < 28)
			continue;
		uint32_t length = e->packet.length < WORLD_QUOTE ? e->packet.length : WORLD_QUOTE;
		memcpy(w->recent[to][slot].bytes, e->packet.data, length);
		w->recent[to][slot].length = length;
		w->recents[to]++;
	}
}

static void show_packet(const char *what, const struct packet *p)
{
	printf("    %s %u bytes%s%s", what, p->length, p->offload.partial ? " partial" : "",
	       p->offload.gso_type ? " gso" : "");
	if (p->offload.gso_type)
		printf(" %u", p->offload.gso_size);
	for (uint32_t i = 0; i < p->length && i < 72; i++)
		printf("%s%02x", i % 4 ? "" : " ", p->data[i]);
	printf("\n");
}

static const char *check_counters(struct world *w)
{
	const struct engine_counters *c = engine_counters(w->engine);
	const char *wrong = packets_check_conservation(c);

	if (wrong)
		return wrong;
	if (w->now < w->model->stale || w->lazy)
		return NULL;
	for (int side = 0; side < SIDES; side++)
		if (c->held[side] != w->model->held[side]) {
			model_fail(w->model, "%llu fragments are held for side %d, the model says %llu",
				   (unsigned long long)c->held[side], side, (unsigned long long)w->model->held[side]);
			return w->model->error;
		}
	uint32_t flows = 0, mappings = 0, hosts = 0;
	for (int i = 0; i < MODEL_FLOWS; i++) {
		flows += w->model->flow[i].live;
		mappings += w->model->mapping[i].live;
		hosts += w->model->host[i].live;
	}
	if (c->flows != flows || c->mappings != mappings || c->hosts != hosts) {
		model_fail(w->model, "gauges: %u flows, %u mappings, %u hosts; the model says %u, %u, %u", c->flows,
			   c->mappings, c->hosts, flows, mappings, hosts);
		return w->model->error;
	}
	return NULL;
}

/* Feeds packets of one side in one call and judges them one after the other. Each lies in memory of exactly its size.
 */
static const char *process(struct world *w, enum side from, struct test_packet *const *batch, uint32_t count)
{
	struct packet packet[WORLD_BATCH];
	struct engine_result result[WORLD_BATCH];
	struct engine_sink sink = {.emit = emissions_emit, .context = &w->out};
	const char *wrong = NULL;
	uint32_t taken = 0;

	emissions_clear(&w->out);
	for (uint32_t i = 0; i < count; i++) {
		packet[i] = batch[i]->packet;
		packet[i].data = malloc(packet[i].length ? packet[i].length : 1);
		if (!packet[i].data)
			abort();
		memcpy(packet[i].data, batch[i]->bytes, packet[i].length);
		memset(&result[i], 0xff, sizeof(result[i]));
	}
	engine_process(w->engine, from, packet, count, w->now, &sink, result);
	w->packets += count;
	for (uint32_t i = 0; i < count; i++)
		free(packet[i].data);
	for (uint32_t i = 0; !wrong && i < count; i++) {
		if (w->verbose) {
			show_packet(from == SIDE_LAN ? "from the LAN:" : "from the WAN:", &batch[i]->packet);
			printf("    verdict %u %s\n", result[i].verdict,
			       result[i].drop < DROPS ? drop_name(result[i].drop) : "?");
		}
		wrong = model_judge(w->model, from, &batch[i]->packet, &result[i], &w->out, &taken);
	}
	for (uint32_t i = 0; w->verbose && i < w->out.count; i++)
		show_packet(w->out.item[i].to == SIDE_LAN ? "to the LAN:" : "to the WAN:", &w->out.item[i].packet);
	if (!wrong && taken != w->out.count)
		wrong = "more packets came out than the model says";
	remember(w, 0);
	return wrong;
}

static const char *run_packet(struct world *w, struct test_random *r, uint8_t kind)
{
	static _Thread_local struct test_packet packet; /* 64 KiB: too much for a stack */
	struct test_packet *batch[1] = {&packet};
	enum side from;

	return grammar_packet(w, r, kind, &from, &packet) ? process(w, from, batch, 1) : NULL;
}

static const char *run_batch(struct world *w, struct test_random *r)
{
	static const uint8_t kinds[SIDES][4] = {{EVENT_LAN_NEW, EVENT_LAN_FLOW, EVENT_HAIRPIN, EVENT_LAN_ERROR},
						{EVENT_WAN_FLOW, EVENT_WAN_MAPPING, EVENT_WAN_RANDOM, EVENT_WAN_ERROR}};
	enum side side = test_random_one_in(r, 2) ? SIDE_LAN : SIDE_WAN, from;
	struct test_packet *batch[WORLD_BATCH];
	uint32_t count = 0;

	for (uint32_t i = 2 + test_random_below(r, WORLD_BATCH - 2); i; i--) {
		batch[count] = malloc(sizeof(struct test_packet));
		if (!batch[count])
			abort();
		if (grammar_packet(w, r, kinds[side][test_random_below(r, 4)], &from, batch[count]))
			count++;
		else
			free(batch[count]);
	}
	const char *wrong = process(w, side, batch, count);
	while (count)
		free(batch[--count]);
	return wrong;
}

static const char *run_time(struct world *w, struct test_random *r)
{
	uint64_t now = grammar_time(w, r);

	if (w->verbose)
		printf("    time %llu -> %llu\n", (unsigned long long)w->now, (unsigned long long)now);
	uint64_t before = w->now;
	w->now = now;
	if (!model_set_time(w->model, now))
		return w->model->error;
	for (int i = 0; !w->lazy && engine_deadline(w->engine) <= now; i++) {
		if (i == 100000)
			return "engine_expire() does not come to an end";
		uint64_t due = engine_deadline(w->engine); /* as a data path with a timer would call it */
		engine_expire(w->engine, due > before ? due : before, NULL);
	}
	return model_compare_flows(w->model) ? NULL : w->model->error;
}

/* How many flows a configuration would end, asked of each flow. */
static uint32_t rehearse(const struct world *w, const struct engine_config *config)
{
	struct rehearsal *rehearsal = rehearsal_start(malloc(rehearsal_size()), w->engine, config);
	uint32_t cursor = 0, budget = UINT32_MAX, count = 0;
	struct flow_view view;
	enum flow_end why;

	while (rehearsal_next(rehearsal, &cursor, &budget, w->now, &view, &why))
		count++;
	free(rehearsal);
	return count;
}

static const char *run_configure(struct world *w, struct test_random *r, bool outside)
{
	uint32_t address[WORLD_ADDRESSES];
	bool good;

	if (outside) {
		uint32_t count = grammar_outside(r, address);
		uint32_t ended = packets_set_outside(w->engine, address, count, w->now);
		good = model_set_outside(w->model, address, count, ended);
	} else {
		struct engine_config config;
		grammar_change_config(w, r, &config);
		uint32_t rehearsed = rehearse(w, &config);
		uint32_t ended = engine_configure(w->engine, &config, w->now);
		w->config = config;
		good = model_configure(w->model, &config, ended);
		if (good && rehearsed != ended)
			return "a change ends other flows than its rehearsal says";
	}
	if (w->verbose)
		show_config(w);
	/* The engine may let go of what it holds: the translations of the sets have changed. */
	for (int side = 0; side < SIDES; side++)
		if (w->model->held[side] && !engine_counters(w->engine)->held[side])
			for (int i = 0; i < MODEL_SETS; i++)
				if (w->model->set[i].live && w->model->set[i].from == (enum side)side) {
					model_set_drop_held(w->model, &w->model->set[i]);
					w->model->set[i].live = false;
				}
	/* What becomes of datagrams half-way through is not written: they do not go on. */
	for (int i = 0; i < WORLD_DATAGRAMS; i++)
		w->datagram[i].live = false;
	return good ? NULL : w->model->error;
}

const char *world_run(struct world *w, const struct event *event)
{
	struct test_random r = test_random_seed(event->seed);
	const char *wrong;

	if (w->verbose)
		printf("  %s seed %016llx at %llu\n", event_name(event->kind), (unsigned long long)event->seed,
		       (unsigned long long)w->now);
	switch (event->kind) {
	case EVENT_BATCH:
		wrong = run_batch(w, &r);
		break;
	case EVENT_TIME:
		wrong = run_time(w, &r);
		break;
	case EVENT_CONFIGURE:
		wrong = run_configure(w, &r, false);
		break;
	case EVENT_OUTSIDE:
		wrong = run_configure(w, &r, true);
		break;
	default:
		wrong = run_packet(w, &r, event->kind);
		break;
	}
	if (!wrong && (w->verbose || w->eager_compare) && !model_compare_flows(w->model))
		wrong = w->model->error;
	return wrong ? wrong : check_counters(w);
}
