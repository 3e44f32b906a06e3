/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside hosts. */
#include "nat/host.h"

enum { NEARLY = 64 /* within so much of a limit */ };

struct host_match {
	const struct host *host;
	uint32_t address;
};

static bool match_host(const void *context, uint32_t index)
{
	const struct host_match *match = context;

	return match->host[index].address == match->address;
}

static uint64_t host_hash(const struct engine *engine, uint32_t address)
{
	return siphash(&engine->header->hash_key, address, 2);
}

uint32_t host_find(const struct engine *engine, uint32_t inside_address)
{
	struct host_match match = {engine->host, inside_address};

	return table_find(&engine->host_table, host_hash(engine, inside_address), match_host, &match);
}

static struct outside *least_used(struct engine *engine)
{
	struct outside *best = NULL;

	for (uint32_t i = 0; i < engine->header->outside_count; i++) {
		struct outside *outside = &engine->outside[engine->header->outside_order[i]];
		if (best == NULL || outside->hosts < best->hosts)
			best = outside;
	}
	return best;
}

struct outside *host_outside(struct engine *engine, uint32_t inside_address)
{
	uint32_t index = host_find(engine, inside_address);

	if (index == NONE)
		return least_used(engine);
	struct outside *outside = outside_find(engine, engine->host[index].outside_address);
	if (outside != NULL)
		return outside;
	/* Its address went away while a flow through another one lives: it is paired anew. */
	outside = least_used(engine);
	if (outside != NULL) {
		engine->host[index].outside_address = outside->address;
		outside->hosts++;
	}
	return outside;
}

bool host_move(struct engine *engine, uint32_t inside_address)
{
	uint32_t index = host_find(engine, inside_address);
	struct outside *best = NULL, *now;

	if (index == NONE)
		return false;
	for (uint32_t i = 0; i < engine->header->outside_count; i++) {
		struct outside *outside = &engine->outside[engine->header->outside_order[i]];
		if (outside->address != engine->host[index].outside_address &&
		    (best == NULL || outside->hosts < best->hosts))
			best = outside;
	}
	if (best == NULL)
		return false;
	now = outside_find(engine, engine->host[index].outside_address);
	if (now != NULL)
		now->hosts--;
	best->hosts++;
	engine->host[index].outside_address = best->address;
	return true;
}

static uint32_t host_add(struct engine *engine, uint32_t inside_address, uint32_t outside_address)
{
	struct arena_header *header = engine->header;
	uint32_t index = header->host_free;

	if (index != NONE)
		header->host_free = engine->host[index].flows;
	else if (header->host_used < header->limits.hosts)
		index = header->host_used++;
	else
		return NONE;
	engine->host[index] = (struct host){.address = inside_address, .outside_address = outside_address, .live = 1};
	table_insert(&engine->host_table, host_hash(engine, inside_address), index);
	struct outside *outside = outside_find(engine, outside_address);
	if (outside != NULL)
		outside->hosts++;
	engine->counters->hosts++;
	return index;
}

static bool is_over_half(uint32_t used, uint32_t all)
{
	return used >= (all < 2 ? 1 : all / 2);
}

uint32_t host_take(struct engine *engine, const struct flow *flow, enum drop *why)
{
	const struct engine_config *config = &engine->config;
	bool is_inbound = (flow->flags & FLOW_INBOUND) != 0;

	if (is_inbound && is_over_half(engine->header->inbound, engine->header->limits.flows)) {
		*why = DROP_FLOWS_EXHAUSTED;
		return NONE;
	}
	uint32_t index = host_find(engine, flow->inside_address);
	if (index == NONE)
		index = host_add(engine, flow->inside_address, flow->outside_address);
	if (index == NONE) {
		*why = DROP_HOSTS_EXHAUSTED;
		return NONE;
	}
	struct host *host = &engine->host[index];
	if (host->flows >= config->host_flows || (is_inbound && is_over_half(host->inbound, config->host_flows))) {
		*why = DROP_HOST_LIMIT;
		return NONE;
	}
	host->flows++;
	host->inbound += is_inbound;
	engine->header->inbound += is_inbound;
	return index;
}

bool engine_next_full_host(const struct engine *engine, uint32_t *cursor, struct full_host *host)
{
	uint32_t all = engine->config.host_flows, half = all < 2 ? 1 : all / 2;

	while (*cursor < engine->header->host_used) {
		const struct host *record = &engine->host[(*cursor)++];
		if (!record->live)
			continue;
		*host = (struct full_host){
			.address = record->address,
			.flows = record->flows,
			.inbound = record->inbound,
			.is_full = record->flows >= all - all / NEARLY,
		};
		if (host->is_full || record->inbound >= half - half / NEARLY)
			return true;
	}
	return false;
}

void host_release(struct engine *engine, const struct flow *flow)
{
	uint32_t index = host_find(engine, flow->inside_address);
	bool is_inbound = (flow->flags & FLOW_INBOUND) != 0;

	if (index == NONE)
		return;
	struct host *host = &engine->host[index];
	host->inbound -= is_inbound;
	engine->header->inbound -= is_inbound;
	if (--host->flows > 0)
		return;
	table_remove(&engine->host_table, host_hash(engine, host->address), index);
	struct outside *outside = outside_find(engine, host->outside_address);
	if (outside != NULL)
		outside->hosts--;
	host->live = 0;
	host->flows = engine->header->host_free;
	engine->header->host_free = index;
	engine->counters->hosts--;
}

void host_reset(struct engine *engine)
{
	table_clear(&engine->host_table);
	engine->header->host_free = NONE;
	engine->header->host_used = 0;
	engine->header->inbound = 0;
	engine->counters->hosts = 0;
	for (uint32_t i = 0; i < engine->header->outside_count; i++)
		engine->outside[engine->header->outside_order[i]].hosts = 0;
}

void host_recount(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->header->outside_count; i++)
		engine->outside[engine->header->outside_order[i]].hosts = 0;
	for (uint32_t i = 0; i < engine->header->host_used; i++) {
		struct outside *outside = outside_find(engine, engine->host[i].outside_address);
		if (engine->host[i].live && outside != NULL)
			outside->hosts++;
	}
}
