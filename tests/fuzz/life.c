/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine of a life of a VPN service, and the invariants that hold for all of them.
 */
#include "life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void life_fail(const char *what)
{
	fprintf(stderr, "invariant: %s\n", what);
	abort();
}

void life_check(const char *wrong)
{
	if (wrong)
		life_fail(wrong);
}

bool life_is_outside(uint32_t address)
{
	return address == LIFE_OUTSIDE || address == LIFE_OUTSIDE + 1;
}

void life_begin(struct life *l, uint64_t now, uint32_t tunnels_most)
{
	struct engine_limits most = l->limits;

	l->now = now;
	l->steps = 0;
	l->last.packet.length = 0;
	engine_config_default(&l->config);
	l->config.inside[0].prefix = (struct prefix){{0x0a000000}, 24};
	l->config.insides = 1;
	l->config.inside[0].router_address.v4 = 0x0a000001;
	if (l->arena)
		return;
	most.tunnels = tunnels_most;
	l->size = engine_arena_size(&most);
	l->arena = aligned_alloc(64, (l->size + 63) / 64 * 64);
	if (!l->arena)
		life_fail("no memory");
	emissions_init(&l->out);
}

void life_start(struct life *l, uint32_t outsides)
{
	static const uint32_t outside[2] = {LIFE_OUTSIDE, LIFE_OUTSIDE + 1};

	l->engine = engine_new(l->arena, l->size, &l->limits, &l->config, l->seed, false, l->now);
	if (!l->engine)
		life_fail("the engine did not start");
	packets_set_outside(l->engine, outside, outsides, l->now);
}

void life_crash(struct life *l)
{
	engine_free(l->engine);
	l->engine = engine_new(l->arena, l->size, &l->limits, &l->config, l->seed, true, l->now);
	if (!l->engine)
		life_fail("an arena of ours was refused");
}

void life_finish(struct life *l)
{
	/* It takes longer than all the rest: not after every life, but after the first of a process. */
	if (l->lives++ % 8 == 0)
		life_check(engine_check(l->engine));
	engine_free(l->engine);
}

void life_process(struct life *l, enum side from)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &l->out};
	struct engine_result result = {0xff, 0xff};
	struct packet fed = l->packet.packet;

	fed.data = malloc(fed.length ? fed.length : 1); /* memory behind it is poisoned */
	if (!fed.data)
		life_fail("no memory");
	memcpy(fed.data, l->packet.bytes, fed.length);
	emissions_clear(&l->out);
	engine_process(l->engine, from, &fed, 1, l->now, &sink, &result);
	free(fed.data);
	if (result.verdict > VERDICT_DROPPED || result.drop >= DROPS ||
	    (result.verdict == VERDICT_DROPPED) != (result.drop != 0))
		life_fail("the verdict is none");
}

void life_look(struct life *l)
{
	life_check(packets_check_conservation(engine_counters(l->engine)));
	if (++l->steps % 128 == 0)
		life_check(engine_check(l->engine));
}

void life_expire(struct life *l, struct engine_sink *sink)
{
	for (int i = 0; i < LIFE_ROUNDS && engine_deadline(l->engine) <= l->now; i++)
		engine_expire(l->engine, l->now, sink);
}

uint32_t life_list_tunnels(struct life *l, struct tunnel_view *view, uint32_t most)
{
	uint64_t cursor = 0;
	uint32_t count = 0;

	while (count < most && engine_next_tunnel(l->engine, &cursor, l->now, &view[count]))
		count++;
	return count;
}
