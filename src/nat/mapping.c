/* SPDX-License-Identifier: BSD-2-Clause */
/* Mappings. */
#include "nat/mapping.h"

#include <string.h>

#include "nat/pool.h"

struct mapping_match {
	const struct mapping *mapping;
	struct mapping wanted;
};

static bool match_mapping(const void *context, uint32_t index)
{
	const struct mapping_match *match = context;
	const struct mapping *mapping = &match->mapping[index], *wanted = &match->wanted;

	return mapping->host == wanted->host && mapping->inside_port == wanted->inside_port &&
	       mapping->protocol == wanted->protocol &&
	       address_equal(mapping->remote_address, wanted->remote_address) &&
	       mapping->remote_port == wanted->remote_port;
}

static uint64_t mapping_hash(const struct engine *engine, const struct mapping *mapping)
{
	uint64_t a = (uint64_t)mapping->host << 32 | address_word(mapping->remote_address);
	uint64_t b = (uint64_t)mapping->inside_port << 32 | (uint64_t)mapping->remote_port << 16 |
		     (uint64_t)mapping->protocol << 8 | 4;

	return siphash(&engine->header->hash_key, a, b);
}

/* The inside half of a mapping, with as much of the remote end as the configured dependence wants. */
static struct mapping mapping_for(const struct engine *engine, uint8_t protocol, uint32_t host, uint16_t inside_port,
				  struct address remote_address, uint16_t remote_port)
{
	struct mapping mapping = {
		.protocol = protocol,
		.host = host,
		.inside_port = inside_port,
	};

	if (engine->config.mapping != ENDPOINT_INDEPENDENT)
		mapping.remote_address = remote_address;
	if (engine->config.mapping == ADDRESS_AND_PORT_DEPENDENT)
		mapping.remote_port = remote_port;
	return mapping;
}

static uint32_t find_exactly(const struct engine *engine, const struct mapping *wanted)
{
	struct mapping_match match = {engine->mapping, *wanted};

	return table_find(&engine->mapping_table, mapping_hash(engine, wanted), match_mapping, &match);
}

uint32_t mapping_find(const struct engine *engine, uint8_t protocol, uint32_t host, uint16_t inside_port,
		      struct address remote_address, uint16_t remote_port)
{
	struct mapping wanted = mapping_for(engine, protocol, host, inside_port, remote_address, remote_port);

	return find_exactly(engine, &wanted);
}

uint32_t mapping_at(const struct outside *outside, uint8_t protocol, uint16_t outside_port)
{
	int space = port_space(protocol);

	if (space < 0)
		return NONE;
	uint32_t entry = outside->port[space][outside_port];
	return entry == 0 || (entry & PORT_RESTING) ? NONE : entry - 1;
}

static uint32_t mapping_add(struct engine *engine, const struct mapping *identity, struct outside *outside)
{
	struct arena_header *header = engine->header;
	uint32_t index = header->mapping_free;

	/* There are as many records as flows, and every mapping has a flow: one is always left here. */
	if (index != NONE)
		header->mapping_free = engine->mapping[index].first;
	else if (header->mapping_used < header->limits.flows)
		index = header->mapping_used++;
	else
		return NONE;
	struct mapping *mapping = &engine->mapping[index];
	*mapping = *identity;
	mapping->live = 0;
	mapping->first = NONE;
	table_insert(&engine->mapping_table, mapping_hash(engine, mapping), index);
	pool_take(engine, outside, (enum port_space)port_space(mapping->protocol), mapping->outside_port, index);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	mapping->live = 1;
	engine->counters->mappings++;
	count(engine, STAT_MAPPINGS_CREATED);
	return index;
}

/* The port of the forward whose target this inside endpoint is, or -1: a server keeps its public port when it calls
 * out. */
static int forward_port_of(const struct engine *engine, uint8_t protocol, struct address inside_address,
			   uint16_t inside_port)
{
	for (uint32_t i = 0; i < engine->config.forwards; i++) {
		const struct forward *forward = &engine->config.forward[i];
		uint32_t ports = (uint32_t)forward->port_last - forward->port_first;
		if (forward->protocol == protocol && address_equal(forward->to_address, inside_address) &&
		    inside_port >= forward->to_port && (uint32_t)inside_port - forward->to_port <= ports)
			return forward->port_first + (inside_port - forward->to_port);
	}
	return -1;
}

uint32_t mapping_open(struct engine *engine, uint8_t protocol, uint32_t host, uint16_t inside_port,
		      struct address remote_address, uint16_t remote_port, struct outside *outside, enum drop *why)
{
	enum port_space space = (enum port_space)port_space(protocol);
	struct mapping mapping = mapping_for(engine, protocol, host, inside_port, remote_address, remote_port);
	struct address inside_address = host_address(engine, host);
	uint64_t owner = pool_owner(engine, inside_address, inside_port);
	int port = space == SPACE_ICMP ? -1 : forward_port_of(engine, protocol, inside_address, inside_port);

	if (port < 0 || mapping_at(outside, protocol, (uint16_t)port) != NONE)
		port = pool_pick(engine, outside, space, inside_port, owner);
	if (port < 0) {
		*why = DROP_PORTS_EXHAUSTED;
		return NONE;
	}
	mapping.outside_address = outside->address;
	mapping.outside_port = (uint16_t)port;
	uint32_t index = mapping_add(engine, &mapping, outside);
	if (index == NONE)
		*why = DROP_FLOWS_EXHAUSTED;
	return index;
}

uint32_t mapping_open_forward(struct engine *engine, const struct forward *forward, uint32_t host,
			      struct outside *outside, uint16_t outside_port, enum drop *why)
{
	struct mapping mapping = {
		.protocol = forward->protocol,
		.host = host,
		.inside_port = (uint16_t)(forward->to_port + (outside_port - forward->port_first)),
		.outside_address = outside->address,
		.outside_port = outside_port,
	};
	uint32_t index = mapping_add(engine, &mapping, outside);

	if (index == NONE)
		*why = DROP_FLOWS_EXHAUSTED;
	return index;
}

void mapping_release(struct engine *engine, uint32_t index, bool closed_cleanly)
{
	struct mapping *mapping = &engine->mapping[index];

	if (mapping->first != NONE)
		return;
	mapping->live = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	table_remove(&engine->mapping_table, mapping_hash(engine, mapping), index);
	struct outside *outside = outside_find(engine, mapping->outside_address);
	if (outside)
		pool_give_back(engine, outside, (enum port_space)port_space(mapping->protocol), mapping->outside_port,
			       pool_owner(engine, host_address(engine, mapping->host), mapping->inside_port),
			       !closed_cleanly);
	mapping->first = engine->header->mapping_free;
	engine->header->mapping_free = index;
	engine->counters->mappings--;
	count(engine, STAT_MAPPINGS_CLOSED);
}

static bool mapping_is_whole(const struct engine *engine, const struct mapping *mapping, struct outside **outside)
{
	if (!mapping->live || port_space(mapping->protocol) < 0 || mapping->host >= engine->header->host_used)
		return false;
	*outside = outside_find(engine, mapping->outside_address);
	return *outside != NULL && mapping_at(*outside, mapping->protocol, mapping->outside_port) == NONE;
}

/* The process may have died while the addresses changed: what is not in the list is forgotten, ports and all, and made
 * anew when it comes back. */
static void outside_recover(struct engine *engine)
{
	struct arena_header *header = engine->header;
	bool is_listed[ADDRESSES_MAX] = {false};
	uint32_t kept = 0;

	for (uint32_t i = 0; i < header->outside_count; i++) {
		uint8_t slot = header->outside_order[i];
		if (is_listed[slot] || !address_is_set(engine->outside[slot].address))
			continue;
		is_listed[slot] = true;
		header->outside_order[kept++] = slot;
	}
	header->outside_count = kept;
	for (uint32_t i = 0; i < header->limits.addresses; i++)
		if (!is_listed[i])
			engine->outside[i].address = address_of(0);
}

void mapping_recover(struct engine *engine)
{
	struct arena_header *header = engine->header;
	struct outside *outside;

	table_clear(&engine->mapping_table);
	header->mapping_free = NONE;
	header->resting = 0;
	engine->counters->mappings = 0;
	outside_recover(engine);
	for (uint32_t i = 0; i < header->outside_count; i++) {
		outside = &engine->outside[header->outside_order[i]];
		memset(outside->taken, 0, sizeof(outside->taken));
		for (int space = 0; space < SPACES; space++)
			for (uint32_t port = 0; port < 65536; port++)
				if (outside->port[space][port] & PORT_RESTING)
					header->resting++;
				else
					outside->port[space][port] = 0;
	}
	for (uint32_t index = header->mapping_used; index-- > 0;) {
		struct mapping *mapping = &engine->mapping[index];
		if (!mapping_is_whole(engine, mapping, &outside)) {
			mapping->live = 0;
			mapping->first = header->mapping_free;
			header->mapping_free = index;
			continue;
		}
		mapping->first = NONE;
		table_insert(&engine->mapping_table, mapping_hash(engine, mapping), index);
		pool_take(engine, outside, (enum port_space)port_space(mapping->protocol), mapping->outside_port,
			  index);
		engine->counters->mappings++;
	}
}

const struct forward *forward_find(const struct engine *engine, uint8_t protocol, uint16_t outside_port)
{
	for (uint32_t i = 0; i < engine->config.forwards; i++) {
		const struct forward *forward = &engine->config.forward[i];
		if (forward->protocol == protocol && outside_port >= forward->port_first &&
		    outside_port <= forward->port_last)
			return forward;
	}
	return NULL;
}
