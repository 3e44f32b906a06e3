/* SPDX-License-Identifier: BSD-2-Clause */
/* The arena: a header, then arrays one behind the other, each on a cache line of its own. */
#include "nat/arena.h"

#include <string.h>

#include <culvert/module.h>

#include "base/layout.h"
#include "nat/fragment_store.h"

enum { ARENA_VERSION = 14 };
#define ARENA_MAGIC UINT64_C(0x63756c7665727401) /* "culvert" and 1 */

/* Changes whenever a record does: an arena of another build is not taken over. */
static uint32_t layout_of(const struct engine_limits *limits)
{
	const uint64_t sizes[] = {
		sizeof(struct arena_header),
		sizeof(struct flow),
		sizeof(union flow_track),
		sizeof(struct sibling),
		sizeof(struct mapping),
		sizeof(struct host),
		sizeof(struct host_use),
		sizeof(struct outside),
		sizeof(struct fragment_set),
		sizeof(struct block),
		sizeof(struct table_bucket),
		limits->flows,
		limits->hosts,
		limits->addresses,
		limits->fragments,
		limits->tunnels,
		TIMEOUTS,
		DROPS,
	};
	struct siphash_key key = {{ARENA_VERSION, STATS}};
	uint64_t hash = 0;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		hash = siphash(&key, hash, sizes[i]);
	for (int service = 0; service < SERVICES; service++)
		if (module_of((enum service)service))
			hash = siphash(&key, hash, module_of((enum service)service)->memory_size(limits));
	return (uint32_t)hash;
}

size_t arena_lay_out(const struct engine_limits *limits, struct engine *engine, uint8_t *arena)
{
	struct table unused;
	size_t used = 0;

	if (limits->flows == 0 || limits->flows > MAX_FLOWS || limits->hosts == 0 || limits->hosts > MAX_HOSTS ||
	    limits->addresses == 0 || limits->addresses > ADDRESSES_MAX || limits->fragments > MAX_FRAGMENTS ||
	    limits->tunnels > MAX_TUNNELS)
		return 0;
	struct arena_header *header = layout_take(arena, &used, sizeof(struct arena_header));
	struct flow *flow = layout_take(arena, &used, (size_t)limits->flows * sizeof(struct flow));
	union flow_track *track = layout_take(arena, &used, (size_t)limits->flows * sizeof(union flow_track));
	struct sibling *sibling = layout_take(arena, &used, (size_t)limits->flows * sizeof(struct sibling));
	uint64_t *special =
		layout_take(arena, &used, ((size_t)limits->flows + WORD_BITS - 1) / WORD_BITS * sizeof(uint64_t));
	struct mapping *mapping = layout_take(arena, &used, (size_t)limits->flows * sizeof(struct mapping));
	struct host *host = layout_take(arena, &used, (size_t)limits->hosts * sizeof(struct host));
	struct host_use *host_use = layout_take(arena, &used, (size_t)limits->hosts * sizeof(struct host_use));
	struct outside *outside = layout_take(arena, &used, (size_t)limits->addresses * sizeof(struct outside));
	struct fragment_set *set =
		layout_take(arena, &used, (size_t)(limits->fragments / BLOCKS_PER_SET) * sizeof(struct fragment_set));
	struct block *block = layout_take(arena, &used, (size_t)limits->fragments * sizeof(struct block));
	/* A call or an SA stands twice in each table. */
	uint32_t keys = limits->flows + (2 + SAS_EACH) * limits->tunnels;
	layout_take_table(engine ? &engine->flow_out : &unused, keys, arena, &used);
	layout_take_table(engine ? &engine->flow_in : &unused, keys, arena, &used);
	layout_take_table(engine ? &engine->peer : &unused, limits->flows, arena, &used);
	layout_take_table(engine ? &engine->mapping_table : &unused, limits->flows, arena, &used);
	layout_take_table(engine ? &engine->host_table : &unused, limits->hosts, arena, &used);
	for (int service = 0; service < SERVICES; service++) {
		const struct module *module = module_of((enum service)service);
		size_t size = module ? module->memory_size(limits) : 0;
		void *memory = layout_take(arena, &used, size);
		if (engine)
			engine->module[service] = size > 0 ? memory : NULL;
	}
	if (engine) {
		engine->header = header;
		engine->counters = &engine->header->counters;
		engine->flow = flow;
		engine->track = track;
		engine->sibling = sibling;
		engine->special = special;
		engine->mapping = mapping;
		engine->host = host;
		engine->host_use = host_use;
		engine->outside = outside;
		engine->set = set;
		engine->block = block;
	}
	return used;
}

void arena_init(struct engine *engine, const struct engine_limits *limits, const uint8_t seed[32])
{
	struct arena_header *header = engine->header;

	memset(header, 0, sizeof(*header));
	header->limits = *limits;
	header->flow_free = header->mapping_free = header->host_free = NONE;
	memcpy(&header->hash_key, seed, 16);
	memcpy(&header->random_key, seed + 16, 16);
	for (unsigned i = 0; i < IDENTS; i++)
		header->ident[i] = (uint16_t)random_next(engine);
	table_clear(&engine->flow_out);
	table_clear(&engine->flow_in);
	table_clear(&engine->peer);
	table_clear(&engine->mapping_table);
	table_clear(&engine->host_table);
	for (uint32_t i = 0; i < limits->addresses; i++)
		engine->outside[i].address = address_of(0);
	fragment_store_init(engine);
	for (int service = 0; service < SERVICES; service++)
		if (engine->module[service])
			module_of((enum service)service)->start(engine->module[service], limits);
	header->version = ARENA_VERSION;
	header->layout = layout_of(limits);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	header->magic = ARENA_MAGIC;
}

bool arena_is_ours(const struct engine *engine, const struct engine_limits *limits)
{
	const struct arena_header *header = engine->header;

	if (header->magic != ARENA_MAGIC || header->version != ARENA_VERSION || header->layout != layout_of(limits) ||
	    memcmp(&header->limits, limits, sizeof(*limits)) != 0)
		return false;
	if (header->flow_used > limits->flows || header->mapping_used > limits->flows ||
	    header->host_used > limits->hosts || header->outside_count > limits->addresses)
		return false;
	for (uint32_t i = 0; i < header->outside_count; i++)
		if (header->outside_order[i] >= limits->addresses)
			return false;
	return true;
}
