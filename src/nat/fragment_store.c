/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets and blocks. */
#include "nat/fragment_store.h"

#include <string.h>

/* That long the copies of a finished datagram's fragments are known: networks deliver twice at once or nearly so, and
 * nobody may use an identification again so soon (RFC 791 section 3.2). */
enum { FINISHED_MS = 250 };

uint32_t fragment_store_sets(const struct engine *engine)
{
	return engine->header->limits.fragments / BLOCKS_PER_SET;
}

void fragment_store_init(struct engine *engine)
{
	struct arena_header *header = engine->header;
	uint32_t sets = fragment_store_sets(engine), blocks = header->limits.fragments;

	for (uint32_t i = 0; i < sets; i++) {
		engine->set[i].state = SET_FREE;
		engine->set[i].next = i + 1 < sets ? i + 1 : NONE;
	}
	for (uint32_t i = 0; i < blocks; i++)
		engine->block[i].next = i + 1 < blocks ? i + 1 : NONE;
	for (uint32_t i = 0; i < SET_CHAINS; i++)
		header->set_chain[i] = NONE;
	header->set_free = sets > 0 ? 0 : NONE;
	header->block_free = blocks > 0 ? 0 : NONE;
	header->sets_used = 0;
	header->kept[SIDE_LAN] = header->kept[SIDE_WAN] = 0;
}

static uint64_t hash_of(const struct engine *engine, struct address source, struct address destination,
			uint16_t identification, uint8_t protocol, uint8_t side)
{
	uint64_t b = (uint64_t)identification << 32 | (uint64_t)protocol << 24 | (uint64_t)side << 16 | 5;

	return siphash(&engine->header->hash_key, address_words(source, destination), b);
}

static uint64_t hash_of_passage(const struct engine *engine, const struct passage *passage)
{
	const struct network_header *ip = &passage->ip;

	return hash_of(engine, ip->source, ip->destination, ip->identification, ip->protocol, (uint8_t)passage->from);
}

static uint64_t hash_of_set(const struct engine *engine, const struct fragment_set *set)
{
	return hash_of(engine, set->source, set->destination, set->identification, set->protocol, set->side);
}

static uint32_t *chain_of_set(struct engine *engine, const struct fragment_set *set)
{
	return &engine->header->set_chain[hash_of_set(engine, set) % SET_CHAINS];
}

bool fragment_store_has_finished(const struct engine *engine, const struct passage *passage)
{
	uint64_t hash = hash_of_passage(engine, passage);
	const struct finished_set *finished = &engine->header->finished_set[hash % FINISHED_SETS];

	/* Nobody clears a place, and 25 days later its time would seem to come again. */
	bool is_recent = finished->until - (uint32_t)engine->now_ms <= FINISHED_MS;
	return finished->tag == (uint32_t)(hash >> 32) && is_recent && !is_expired(finished->until, engine->now_ms);
}

void fragment_store_finish_set(struct engine *engine, struct fragment_set *set)
{
	uint64_t hash = hash_of_set(engine, set);

	engine->header->finished_set[hash % FINISHED_SETS] = (struct finished_set){
		.tag = (uint32_t)(hash >> 32),
		.until = (uint32_t)(engine->now_ms + FINISHED_MS),
	};
	fragment_store_free_set(engine, set);
}

void fragment_store_drop_held(struct engine *engine, struct fragment_set *set, enum drop reason)
{
	while (set->held != NONE) {
		fragment_store_pop(engine, set);
		engine->counters->held[set->side]--;
		engine->counters->dropped[set->side][reason]++;
	}
}

struct fragment_set *fragment_store_find(struct engine *engine, const struct passage *passage)
{
	const struct network_header *ip = &passage->ip;
	uint32_t index = engine->header->set_chain[hash_of_passage(engine, passage) % SET_CHAINS];

	while (index != NONE) {
		struct fragment_set *set = &engine->set[index];
		if (address_equal(set->source, ip->source) && address_equal(set->destination, ip->destination) &&
		    set->identification == ip->identification && set->protocol == ip->protocol &&
		    set->side == passage->from) {
			if (!is_expired(set->deadline, engine->now_ms))
				return set;
			fragment_store_drop_held(engine, set, DROP_FRAGMENT_TIMEOUT);
			fragment_store_free_set(engine, set);
			return NULL;
		}
		index = set->next;
	}
	return NULL;
}

/* Waiting sets go first: what has been translated is worth more than what may never come. */
static void evict_one(struct engine *engine)
{
	uint32_t sets = fragment_store_sets(engine);

	if (sets == 0)
		return;
	uint32_t start = random_below(engine, sets), victim = start;
	for (uint32_t i = 0; i < sets; i++) {
		uint32_t index = (start + i) % sets;
		if (engine->set[index].state == SET_WAITING) {
			victim = index;
			break;
		}
	}
	fragment_store_drop_held(engine, &engine->set[victim], DROP_FRAGMENT_LIMIT);
	fragment_store_free_set(engine, &engine->set[victim]);
}

struct fragment_set *fragment_store_new_set(struct engine *engine, const struct passage *passage)
{
	struct arena_header *header = engine->header;
	const struct network_header *ip = &passage->ip;
	uint32_t wait = engine->config.timeout[TIMEOUT_FRAGMENT];

	if (header->set_free == NONE)
		evict_one(engine);
	uint32_t index = header->set_free;
	if (index == NONE)
		return NULL;
	struct fragment_set *set = &engine->set[index];
	header->set_free = set->next;
	header->sets_used++;
	if (header->sets_used > fragment_store_sets(engine) / 2)
		wait /= 2;
	*set = (struct fragment_set){
		.source = ip->source,
		.destination = ip->destination,
		.identification = ip->identification,
		.protocol = ip->protocol,
		.side = (uint8_t)passage->from,
		.state = SET_WAITING,
		.deadline = (uint32_t)(engine->now_ms + wait),
		.held = NONE,
	};
	uint32_t *chain = chain_of_set(engine, set);
	set->next = *chain;
	*chain = index;
	return set;
}

void fragment_store_free_set(struct engine *engine, struct fragment_set *set)
{
	struct arena_header *header = engine->header;
	uint32_t index = (uint32_t)(set - engine->set);

	for (uint32_t *link = chain_of_set(engine, set); *link != NONE; link = &engine->set[*link].next) {
		if (*link == index) {
			*link = set->next;
			break;
		}
	}
	set->state = SET_FREE;
	set->next = header->set_free;
	header->set_free = index;
	header->sets_used--;
}

static void free_blocks(struct engine *engine, uint32_t first)
{
	while (first != NONE) {
		uint32_t next = engine->block[first].next;
		engine->block[first].next = engine->header->block_free;
		engine->header->block_free = first;
		first = next;
	}
}

/* Copies the bytes into a chain of blocks; NONE if there are too few. */
static uint32_t copy_to_blocks(struct engine *engine, const struct packet *packet)
{
	struct arena_header *header = engine->header;
	uint32_t first = NONE, *link = &first;

	for (uint32_t at = 0; at < packet->length;) {
		uint32_t index = header->block_free;
		if (index == NONE) {
			*link = NONE;
			free_blocks(engine, first);
			return NONE;
		}
		struct block *block = &engine->block[index];
		uint32_t part = packet->length - at < BLOCK_SIZE ? packet->length - at : BLOCK_SIZE;
		header->block_free = block->next;
		memcpy(block->data, packet->data + at, part);
		block->next = NONE;
		*link = index;
		link = &block->next;
		at += part;
	}
	return first;
}

bool fragment_store_push(struct engine *engine, struct fragment_set *set, const struct packet *packet, uint32_t offset)
{
	uint32_t index = copy_to_blocks(engine, packet);

	if (index == NONE)
		return false;
	struct block *block = &engine->block[index];
	block->length = packet->length;
	block->offset = offset;
	uint32_t *link = &set->held;
	while (*link != NONE && engine->block[*link].offset < offset)
		link = &engine->block[*link].next_held;
	block->next_held = *link;
	*link = index;
	set->held_count++;
	return true;
}

bool fragment_store_holds(const struct engine *engine, const struct fragment_set *set, const struct packet *packet,
			  uint32_t header_length, uint32_t offset)
{
	const uint8_t *bytes = packet->data + header_length;
	uint32_t index = set->held;

	while (index != NONE && engine->block[index].offset != offset)
		index = engine->block[index].next_held;
	if (index == NONE)
		return false;
	const struct block *block = &engine->block[index];
	uint32_t at = (block->data[0] & 15u) * 4, left = block->length - at;
	if (left != packet->length - header_length)
		return false;
	while (left > 0) {
		uint32_t part = left < BLOCK_SIZE - at ? left : BLOCK_SIZE - at;
		if (memcmp(block->data + at, bytes, part) != 0)
			return false;
		bytes += part;
		left -= part;
		at = 0;
		if (left > 0)
			block = &engine->block[block->next];
	}
	return true;
}

/* The bytes of a chain of blocks in one piece. */
static void join_blocks(struct engine *engine, uint32_t first, struct packet *packet)
{
	const struct block *block = &engine->block[first];
	uint32_t length = block->length;

	*packet = (struct packet){.data = engine->joined, .length = length};
	for (uint32_t at = 0; at < length;) {
		uint32_t part = length - at < BLOCK_SIZE ? length - at : BLOCK_SIZE;
		memcpy(engine->joined + at, block->data, part);
		at += part;
		if (at < length)
			block = &engine->block[block->next];
	}
}

void fragment_store_first(struct engine *engine, const struct fragment_set *set, struct packet *packet)
{
	struct block *block = &engine->block[set->held];

	if (block->length > BLOCK_SIZE)
		join_blocks(engine, set->held, packet);
	else
		*packet = (struct packet){.data = block->data, .length = block->length};
}

uint32_t fragment_store_keep(struct engine *engine, const struct packet *packet)
{
	uint32_t first = copy_to_blocks(engine, packet);

	if (first == NONE)
		return NONE;
	engine->block[first].length = packet->length;
	engine->block[first].offload = packet->offload;
	return first;
}

void fragment_store_take_kept(struct engine *engine, uint32_t kept, struct packet *packet)
{
	join_blocks(engine, kept, packet);
	packet->offload = engine->block[kept].offload;
	free_blocks(engine, kept);
}

void fragment_store_drop_kept(struct engine *engine, uint32_t kept)
{
	free_blocks(engine, kept);
}

void fragment_store_pop(struct engine *engine, struct fragment_set *set)
{
	uint32_t index = set->held;

	set->held = engine->block[index].next_held;
	set->held_count--;
	free_blocks(engine, index);
}
