/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The invariants, written out: conservation; every output has right sums if the input had; no two inside endpoints
 * share an outside one; what reaches the LAN goes to the owner of the outside endpoint it came to; a packet from
 * outside never opens anything that neither a mapping nor a forward allows; no packet takes a flow away.
 */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOWS = 128 };

static const uint32_t INSIDE = 0x0a000002, OUTSIDE = 0xc6336401, REMOTE = 0xcb007101;

static void fail(const char *what)
{
	fprintf(stderr, "invariant: %s\n", what);
	abort();
}

void stage_begin(struct stage *s)
{
	struct engine_limits limits = {.flows = FLOWS, .hosts = 8, .addresses = 2, .fragments = 16};
	uint32_t outside[2] = {OUTSIDE, OUTSIDE + 1};
	uint8_t seed[32] = {1, 2, 3};

	struct emissions out =
		s->out; /* memory stays from one life to the next: mapping it anew costs more than the engine */
	void *arena = s->arena;
	uint32_t lives = s->lives;

	memset(s, 0, sizeof(*s));
	s->out = out;
	s->arena = arena;
	s->lives = lives;
	s->now = 100000;
	engine_config_default(&s->config);
	s->config.inside[0].prefix = (struct prefix){{0x0a000000}, 24};
	s->config.insides = 1;
	s->config.inside[0].router_address.v4 = 0x0a000001;
	s->config.hop_address.v4 = 0x0a00fffe;
	s->config.wan_mtu = 1400;
	s->config.bypass[0] = (struct prefix){{0xc0000200}, 24};
	s->config.bypasses = 1;
	s->config.forward[0] = (struct forward){PROTO_TCP, 8000, 8003, {INSIDE}, 80};
	s->config.forward[1] = (struct forward){PROTO_GRE, 0, 0, {INSIDE + 1}, 0};
	s->config.forwards = 2;
	port_set_add(&s->config.host_tcp, 22);
	port_set_add(&s->config.host_udp, 53);
	s->config.open_tcp = s->config.host_tcp;
	size_t size = engine_arena_size(&limits);
	if (!s->arena)
		s->arena = aligned_alloc(64, (size + 63) / 64 * 64);
	if (!s->arena)
		fail("no memory");
	s->engine = engine_new(s->arena, size, &limits, &s->config, seed, false, s->now);
	if (!s->engine)
		fail("the engine did not start");
	packets_set_outside(s->engine, outside, 2, s->now);
	if (!s->out.memory)
		emissions_init(&s->out);
}

void stage_end(struct stage *s)
{
	/* It takes longer than all the rest: after every eighth life; the first of a process is one, so a lone input is
	 * checked. */
	const char *wrong = s->lives++ % 8 ? NULL : engine_check(s->engine);

	if (wrong)
		fail(wrong);
	engine_free(s->engine);
}

/* The flows there are; returns how many. */
static uint32_t list_flows(struct stage *s, struct flow_view *views)
{
	uint32_t cursor = 0, count = 0;

	while (count < FLOWS && engine_next_flow(s->engine, &cursor, s->now, &views[count]))
		count++;
	return count;
}

static bool same_flow(const struct flow_view *a, const struct flow_view *b)
{
	return a->protocol == b->protocol && a->inside_address.v4 == b->inside_address.v4 &&
	       a->inside_port == b->inside_port && a->outside_address.v4 == b->outside_address.v4 &&
	       a->outside_port == b->outside_port && a->remote_address.v4 == b->remote_address.v4 &&
	       a->remote_port == b->remote_port;
}

/* One outside endpoint, one inside endpoint. */
static void check_endpoints(const struct flow_view *views, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < i; k++) {
			const struct flow_view *a = &views[i], *b = &views[k];
			if (a->protocol != b->protocol || a->outside_address.v4 != b->outside_address.v4 ||
			    a->outside_port != b->outside_port)
				continue;
			bool ports = a->protocol == PROTO_TCP || a->protocol == PROTO_UDP || a->protocol == PROTO_ICMP;
			if (!ports && a->remote_address.v4 != b->remote_address.v4)
				continue;
			if (a->inside_address.v4 != b->inside_address.v4 || a->inside_port != b->inside_port)
				fail("two inside endpoints share an outside one");
		}
}

/* A packet from outside may open a flow only where a mapping or a forward is. */
static void check_opened(const struct stage *s, enum side from, const struct flow_view *before, uint32_t count,
			 const struct flow_view *opened)
{
	if (from == SIDE_LAN)
		return;
	for (uint32_t i = 0; i < s->config.forwards; i++) {
		const struct forward *f = &s->config.forward[i];
		/* Of protocols without ports a forward takes all; GRE's key stands where ports do. */
		bool takes_all = f->port_last == 0;
		if (f->protocol == opened->protocol && f->to_address.v4 == opened->inside_address.v4 &&
		    (takes_all || (opened->outside_port >= f->port_first && opened->outside_port <= f->port_last)))
			return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (before[i].protocol == opened->protocol &&
		    before[i].outside_address.v4 == opened->outside_address.v4 &&
		    before[i].outside_port == opened->outside_port &&
		    before[i].inside_address.v4 == opened->inside_address.v4 &&
		    before[i].inside_port == opened->inside_port)
			return;
	fail("a packet from outside opened a flow where neither mapping nor forward is");
}

static void check_flows(struct stage *s, enum side from, const struct flow_view *before, uint32_t befores)
{
	static struct flow_view after[FLOWS];
	uint32_t afters = list_flows(s, after), lost = 0;

	check_endpoints(after, afters);
	for (uint32_t i = 0; i < befores; i++) {
		bool found = false;
		for (uint32_t k = 0; k < afters && !found; k++)
			found = same_flow(&before[i], &after[k]);
		lost += !found;
		if (!found && before[i].protocol != PROTO_TCP) /* a closed TCP flow may give way to a clash */
			fail("a packet took a flow away");
	}
	for (uint32_t i = 0; i < afters; i++) {
		bool found = false;
		for (uint32_t k = 0; k < befores && !found; k++)
			found = same_flow(&after[i], &before[k]);
		if (!found)
			check_opened(s, from, before, befores, &after[i]);
	}
	if (lost > 1)
		fail("a packet took several flows away");
}

static void check_outputs(struct stage *s, enum side from, const struct packet *came, bool came_right)
{
	for (uint32_t i = 0; i < s->out.count; i++) {
		const struct emission *e = &s->out.item[i];
		const char *wrong = packets_verify_ip(&e->packet);
		if (!wrong && came_right)
			wrong = packets_verify(&e->packet);
		if (wrong)
			fail(wrong);
		bool bypass = packets_source(came) >> 8 == 0xc00002 || packets_destination(came) >> 8 == 0xc00002;
		if (e->to == SIDE_WAN && e->origin == ORIGIN_BATCH && !bypass &&
		    packets_source(&e->packet) >> 1 != OUTSIDE >> 1 && packets_source(&e->packet) != OUTSIDE + 1)
			fail("an inside address left to the WAN");
		if (e->to == SIDE_LAN && from == SIDE_WAN && packets_destination(&e->packet) >> 8 != 0x0a0000)
			fail("a packet for no inside host went to the LAN");
		if (e->origin == ORIGIN_BATCH && (packet_get8(&e->packet, 1) != packet_get8(came, 1) ||
						  packet_get8(&e->packet, 8) != packet_get8(came, 8)))
			fail("type of service or time to live changed");
	}
}

void stage_send(struct stage *s, enum side from, const struct packet *packet)
{
	static struct flow_view before[FLOWS];
	struct engine_sink sink = {.emit = emissions_emit, .context = &s->out};
	struct packet fed = *packet;
	struct engine_result result = {0xff, 0xff};
	uint32_t befores = list_flows(s, before);
	bool right = !packets_verify(packet);

	fed.data = malloc(packet->length ? packet->length : 1); /* memory behind it is poisoned */
	if (!fed.data)
		fail("no memory");
	memcpy(fed.data, packet->data, packet->length);
	emissions_clear(&s->out);
	engine_process(s->engine, from, &fed, 1, s->now, &sink, &result);
	free(fed.data);
	if (result.verdict > VERDICT_DROPPED || result.drop >= DROPS ||
	    (result.verdict == VERDICT_DROPPED) != (result.drop != 0))
		fail("the verdict is none");
	if (result.verdict == VERDICT_FORWARDED && !s->out.count)
		fail("forwarded, but nothing came out");
	const char *wrong = packets_check_conservation(engine_counters(s->engine));
	if (wrong)
		fail(wrong);
	check_outputs(s, from, packet, right);
	check_flows(s, from, before, befores);
	if (++s->steps % 64 == 0 && (wrong = engine_check(s->engine)))
		fail(wrong);
}

void stage_wait(struct stage *s, uint64_t ms)
{
	s->now += ms;
	for (int i = 0; i < 64 && engine_deadline(s->engine) <= s->now; i++)
		engine_expire(s->engine, s->now, NULL);
}

void stage_populate(struct stage *s)
{
	static const uint8_t protocol[] = {PROTO_UDP, PROTO_TCP, PROTO_ICMP, PROTO_GRE, PROTO_ESP};
	struct test_packet *p = malloc(sizeof(*p));

	if (!p)
		fail("no memory");
	for (uint32_t i = 0; i < 10; i++) {
		packets_build(p, &(struct packet_spec){.protocol = protocol[i % 5],
						       .source = INSIDE + i / 5,
						       .source_port = 5000,
						       .destination = REMOTE + i / 5,
						       .destination_port = 80,
						       .flags = FLAG_SYN,
						       .sequence = 100,
						       .icmp_type = 8,
						       .spi = 7,
						       .payload_length = 20});
		stage_send(s, SIDE_LAN, &p->packet);
	}
	packets_build(p, &(struct packet_spec){.protocol = PROTO_TCP,
					       .source = REMOTE,
					       .source_port = 80,
					       .destination = OUTSIDE,
					       .destination_port = 5000,
					       .flags = FLAG_SYN | FLAG_ACK,
					       .sequence = 500,
					       .acknowledge = 101});
	stage_send(s, SIDE_WAN, &p->packet);
	free(p);
}
