/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside hosts. */
#include "nat/host.h"

enum { NEARLY = 64 /* within so much of a limit */ };

struct host_match {
	const struct host *host;
	struct address address;
};

static bool match_host(const void *context, uint32_t index)
{
	const struct host_match *match = context;

	return address_equal(match->host[index].address, match->address);
}

static uint64_t host_hash(const struct engine *engine, struct address address)
{
	return siphash(&engine->header->hash_key, address_word(address), 2);
}

uint32_t host_find(const struct engine *engine, struct address inside_address)
{
	struct host_match match = {engine->host, inside_address};

	return table_find(&engine->host_table, host_hash(engine, inside_address), match_host, &match);
}

static struct outside *least_used(struct engine *engine)
{
	struct outside *best = NULL;

	for (uint32_t i = 0; i < engine->header->outside_count; i++) {
		struct outside *outside = &engine->outside[engine->header->outside_order[i]];
		if (!best || outside->hosts < best->hosts)
			best = outside;
	}
	return best;
}

struct outside *host_outside(struct engine *engine, struct address inside_address)
{
	uint32_t index = host_find(engine, inside_address);

	if (index == NONE)
		return least_used(engine);
	struct outside *outside = outside_find(engine, engine->host_use[index].outside_address);
	if (outside)
		return outside;
	/* Its address went away while a flow through another one lives: it is paired anew. */
	outside = least_used(engine);
	if (outside) {
		engine->host_use[index].outside_address = outside->address;
		outside->hosts++;
	}
	return outside;
}

bool host_move(struct engine *engine, struct address inside_address)
{
	uint32_t index = host_find(engine, inside_address);
	struct outside *best = NULL, *now;

	if (index == NONE)
		return false;
	for (uint32_t i = 0; i < engine->header->outside_count; i++) {
		struct outside *outside = &engine->outside[engine->header->outside_order[i]];
		if (!address_equal(outside->address, engine->host_use[index].outside_address) &&
		    (!best || outside->hosts < best->hosts))
			best = outside;
	}
	if (!best)
		return false;
	now = outside_find(engine, engine->host_use[index].outside_address);
	if (now)
		now->hosts--;
	best->hosts++;
	engine->host_use[index].outside_address = best->address;
	return true;
}

static void add_to_outside(struct engine *engine, uint32_t index, uint32_t change)
{
	struct outside *outside = outside_find(engine, engine->host_use[index].outside_address);

	if (outside)
		outside->hosts += change;
}

static void place(struct engine *engine, uint32_t index)
{
	struct host *host = &engine->host[index];

	host->inside = (uint8_t)(host_inside(engine, host->address) - engine->config.inside);
}

static uint32_t host_add(struct engine *engine, struct address inside_address, struct address outside_address)
{
	struct arena_header *header = engine->header;
	uint32_t index = header->host_free;

	if (index != NONE)
		header->host_free = engine->host_use[index].flows;
	else if (header->host_used < header->limits.hosts)
		index = header->host_used++;
	else
		return NONE;
	engine->host[index] = (struct host){.address = inside_address};
	engine->host_use[index] = (struct host_use){.outside_address = outside_address};
	place(engine, index);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	engine->host[index].live = 1;
	table_insert(&engine->host_table, host_hash(engine, inside_address), index);
	add_to_outside(engine, index, 1);
	engine->counters->hosts++;
	return index;
}

static void free_record(struct engine *engine, uint32_t index)
{
	engine->host[index].live = 0;
	engine->host_use[index].flows = engine->header->host_free;
	engine->header->host_free = index;
}

static void forget_if_idle(struct engine *engine, uint32_t index)
{
	if (engine->host_use[index].flows > 0 || engine->host[index].held > 0)
		return;
	table_remove(&engine->host_table, host_hash(engine, host_address(engine, index)), index);
	add_to_outside(engine, index, UINT32_MAX);
	engine->counters->hosts--;
	free_record(engine, index);
}

uint32_t host_hold(struct engine *engine, struct address inside_address, struct address outside_address, enum drop *why)
{
	uint32_t index = host_find(engine, inside_address);

	if (index == NONE)
		index = host_add(engine, inside_address, outside_address);
	if (index == NONE)
		*why = DROP_HOSTS_EXHAUSTED;
	else
		engine->host[index].held++;
	return index;
}

void host_let_go(struct engine *engine, uint32_t index)
{
	engine->host[index].held--;
	forget_if_idle(engine, index);
}

static bool is_over_half(uint32_t used, uint32_t all)
{
	return used >= (all < 2 ? 1 : all / 2);
}

bool host_take(struct engine *engine, const struct flow *flow, enum drop *why)
{
	const struct engine_config *config = &engine->config;
	bool is_inbound = (flow->flags & FLOW_INBOUND) != 0;
	struct host_use *use = &engine->host_use[flow->host];

	if (is_inbound && is_over_half(engine->header->inbound, engine->header->limits.flows)) {
		*why = DROP_FLOWS_EXHAUSTED;
		return false;
	}
	if (use->flows >= config->host_flows || (is_inbound && is_over_half(use->inbound, config->host_flows))) {
		*why = DROP_HOST_LIMIT;
		return false;
	}
	use->flows++;
	use->inbound += is_inbound;
	engine->header->inbound += is_inbound;
	return true;
}

bool engine_next_full_host(const struct engine *engine, uint32_t *cursor, struct full_host *host)
{
	uint32_t all = engine->config.host_flows, half = all < 2 ? 1 : all / 2;

	while (*cursor < engine->header->host_used) {
		const struct host *record = &engine->host[*cursor];
		const struct host_use *use = &engine->host_use[(*cursor)++];
		if (!record->live)
			continue;
		*host = (struct full_host){
			.address = record->address,
			.flows = use->flows,
			.inbound = use->inbound,
			.is_full = use->flows >= all - all / NEARLY,
		};
		if (host->is_full || use->inbound >= half - half / NEARLY)
			return true;
	}
	return false;
}

void host_release(struct engine *engine, const struct flow *flow)
{
	bool is_inbound = (flow->flags & FLOW_INBOUND) != 0;
	struct host_use *use = &engine->host_use[flow->host];

	use->inbound -= is_inbound;
	engine->header->inbound -= is_inbound;
	use->flows--;
	forget_if_idle(engine, flow->host);
}

void host_place_all(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->header->host_used; i++)
		place(engine, i);
}

void host_recover(struct engine *engine)
{
	struct arena_header *header = engine->header;

	table_clear(&engine->host_table);
	header->host_free = NONE;
	header->inbound = 0;
	engine->counters->hosts = 0;
	for (uint32_t index = header->host_used; index-- > 0;) {
		struct host *host = &engine->host[index];
		if (!host->live || host_find(engine, host->address) != NONE) {
			free_record(engine, index);
			continue;
		}
		engine->host_use[index] = (struct host_use){.outside_address = engine->host_use[index].outside_address};
		host->held = 0;
		place(engine, index);
		table_insert(&engine->host_table, host_hash(engine, host->address), index);
		engine->counters->hosts++;
	}
}

void host_recovered(struct engine *engine)
{
	for (uint32_t index = engine->header->host_used; index-- > 0;)
		if (engine->host[index].live)
			forget_if_idle(engine, index);
	host_recount(engine);
}

void host_recount(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->header->outside_count; i++)
		engine->outside[engine->header->outside_order[i]].hosts = 0;
	for (uint32_t i = 0; i < engine->header->host_used; i++) {
		struct outside *outside = outside_find(engine, engine->host_use[i].outside_address);
		if (engine->host[i].live && outside)
			outside->hosts++;
	}
}
