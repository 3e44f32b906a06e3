/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Choosing outside ports. The inside port is kept if it is free; otherwise a search starts at a place that a keyed hash
 * of the inside endpoint gives, and walks on to the next free port of the wanted class and parity. So the choice cannot
 * be predicted from outside (RFC 6056 section 3.3.3), and the same endpoint finds the port again that rests for it.
 */
#include "nat/pool.h"

enum {
	REST_SECONDS_BITS = 23,
	REST_SECONDS_MASK = (1 << REST_SECONDS_BITS) - 1,
	EXHAUSTED_MS = 1000,
	RETURN_STEPS = 16, /* so far behind the first free port, its own one is looked for */
};

enum { CLASS_LOW, CLASS_HIGH };

struct port_range {
	uint32_t first, last;
};

static struct port_range range_of(enum port_space space, int class)
{
	if (space == SPACE_ICMP)
		return (struct port_range){0, 65535};
	return class == CLASS_LOW ? (struct port_range){1, 1023} : (struct port_range){1024, 65535};
}

uint64_t pool_owner(const struct engine *engine, struct address inside_address, uint16_t inside_port)
{
	return siphash(&engine->header->hash_key, address_word(inside_address), (uint64_t)inside_port << 16 | 3);
}

/* What a resting port remembers of its owner; not 0. */
static uint8_t owner_bits(uint64_t owner)
{
	return (uint8_t)owner != 0 ? (uint8_t)owner : 1;
}

static bool rest_is_over(const struct engine *engine, uint32_t entry)
{
	uint32_t until = entry & REST_SECONDS_MASK;
	uint32_t now = (uint32_t)(engine->now_ms / 1000) & REST_SECONDS_MASK;

	/* until - now as a signed number of 23 bits */
	return (int32_t)((until - now) << (32 - REST_SECONDS_BITS)) <= 0;
}

static bool rests_for(uint32_t entry, uint64_t owner)
{
	return (entry & PORT_RESTING) && (uint8_t)((entry & ~PORT_RESTING) >> REST_SECONDS_BITS) == owner_bits(owner);
}

static bool entry_is_free(const struct engine *engine, uint32_t entry, uint64_t owner)
{
	return entry == 0 || rests_for(entry, owner) || ((entry & PORT_RESTING) && rest_is_over(engine, entry));
}

static bool port_is_reserved(const struct engine *engine, enum port_space space, uint16_t port)
{
	if (space == SPACE_ICMP)
		return false;
	return port_set_has(host_ports(engine, space), port) || port_set_has(&engine->forwarded[space], port);
}

/* Nobody has this port, and it does not rest for somebody else. */
static bool port_is_free(const struct engine *engine, const struct outside *outside, enum port_space space,
			 uint16_t port, uint64_t owner)
{
	return !port_is_reserved(engine, space, port) && entry_is_free(engine, outside->port[space][port], owner);
}

static int search(struct engine *engine, const struct outside *outside, enum port_space space, struct port_range range,
		  uint32_t step, uint32_t parity, uint64_t owner)
{
	uint32_t first = range.first + ((range.first ^ parity) & (step - 1));
	uint32_t places = (range.last - first) / step + 1;
	uint32_t start = (uint32_t)((owner >> 32) * places >> 32), left = places;
	int found = -1;

	for (uint32_t i = 0; i < places && left > 0; i++, left--) {
		uint32_t place = start + i < places ? start + i : start + i - places;
		uint16_t port = (uint16_t)(first + place * step);
		if (!port_is_free(engine, outside, space, port, owner))
			continue;
		if (rests_for(outside->port[space][port], owner))
			return port;
		if (found >= 0)
			continue;
		found = port;
		left = RETURN_STEPS;
	}
	return found;
}

/* Parity first (RFC 4787 REQ-4), then any port of the class. */
static int search_class(struct engine *engine, struct outside *outside, enum port_space space, int class,
			uint16_t inside_port, uint64_t owner)
{
	uint64_t *exhausted = &outside->exhausted[space][class];

	if (engine->now_ms < *exhausted)
		return -1;
	struct port_range range = range_of(space, class);
	int port = search(engine, outside, space, range, 2, inside_port & 1, owner);
	if (port < 0)
		port = search(engine, outside, space, range, 1, 0, owner);
	/* A full class costs a walk over all of it: not for every packet of a host that insists. */
	if (port < 0)
		*exhausted = engine->now_ms + EXHAUSTED_MS;
	return port;
}

int pool_pick(struct engine *engine, struct outside *outside, enum port_space space, uint16_t inside_port,
	      uint64_t owner)
{
	if (port_is_free(engine, outside, space, inside_port, owner)) {
		count(engine, STAT_PORT_PRESERVED);
		return inside_port;
	}
	if (space == SPACE_ICMP || inside_port >= 1024)
		return search_class(engine, outside, space, CLASS_HIGH, inside_port, owner);
	int port = search_class(engine, outside, space, CLASS_LOW, inside_port, owner);
	return port >= 0 ? port : search_class(engine, outside, space, CLASS_HIGH, inside_port, owner);
}

static bool is_taken(uint32_t entry)
{
	return entry != 0 && !(entry & PORT_RESTING);
}

static void set_entry(struct engine *engine, struct outside *outside, enum port_space space, uint32_t port,
		      uint32_t value)
{
	uint32_t *entry = &outside->port[space][port];

	outside->taken[space] -= is_taken(*entry);
	outside->taken[space] += is_taken(value);
	engine->header->resting -= (*entry & PORT_RESTING) != 0;
	engine->header->resting += (value & PORT_RESTING) != 0;
	*entry = value;
}

void pool_take(struct engine *engine, struct outside *outside, enum port_space space, uint16_t port, uint32_t mapping)
{
	set_entry(engine, outside, space, port, mapping + 1);
}

void pool_give_back(struct engine *engine, struct outside *outside, enum port_space space, uint16_t port,
		    uint64_t owner, bool rests)
{
	uint32_t value = 0;

	if (rests && engine->config.timeout[TIMEOUT_HOLD_DOWN] > 0) {
		uint64_t until = (engine->now_ms + engine->config.timeout[TIMEOUT_HOLD_DOWN] + 999) / 1000;
		value = PORT_RESTING | (uint32_t)owner_bits(owner) << REST_SECONDS_BITS |
			((uint32_t)until & REST_SECONDS_MASK);
	}
	set_entry(engine, outside, space, port, value);
	/* A port that rests is none for others: they need not look at all of them again for it. */
	if (value == 0)
		outside->exhausted[space][CLASS_LOW] = outside->exhausted[space][CLASS_HIGH] = 0;
}

void pool_sweep(struct engine *engine, struct outside *outside, enum port_space space, uint32_t from, uint32_t to)
{
	for (uint32_t port = from; port < to; port++) {
		uint32_t entry = outside->port[space][port];
		if ((entry & PORT_RESTING) && rest_is_over(engine, entry))
			pool_give_back(engine, outside, space, (uint16_t)port, 0, false);
	}
}

uint32_t engine_port_limit(const struct engine *engine, uint8_t protocol)
{
	return engine->usable_ports[protocol == PROTOCOL_TCP ? SPACE_TCP : SPACE_UDP];
}

bool engine_next_outside(const struct engine *engine, uint32_t *cursor, struct outside_view *view)
{
	const struct arena_header *header = engine->header;

	if (*cursor >= header->outside_count)
		return false;
	const struct outside *outside = &engine->outside[header->outside_order[(*cursor)++]];
	*view = (struct outside_view){
		.address = outside->address,
		.hosts = outside->hosts,
		.tcp_ports = outside->taken[SPACE_TCP],
		.udp_ports = outside->taken[SPACE_UDP],
		.icmp_identifiers = outside->taken[SPACE_ICMP],
	};
	return true;
}
