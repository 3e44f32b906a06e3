/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two tables: neighbours in sets of eight, and the slots, one to a destination's hash, that save looking in the routes.
 *
 * Who has answered once is known, and no stranger takes its place or its turn: a question about somebody who has not
 * is worth a token. An answer gives the token back, silence costs it, so a host that tries a whole network in vain gets
 * few questions asked, and the kernel's own table, which forgets anybody when it is full, does not fill.
 *
 * A question goes in two steps: first what the kernel knows, then, if it is to ask the neighbour, that it do so. An
 * entry that somebody has made permanent is only read: to use it would make it one that can fail.
 */
#include "io/next_hop.h"

#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "io/clock.h"
#include "io/random.h"

enum {
	SLOTS = 2048, /* powers of two */
	SETS = 512,
	WAYS = 8,
	ASK_AGAIN_MS = 1000,
	PATIENCE_MS = 4000, /* the kernel asks thrice, a second apart */
	FORGET_MS = 10000,  /* that a neighbour has failed */
	USED_TICKS = 2,
	/* Of questions about strangers. What the kernel forgets only after 15 seconds or so stays below its gc_thresh2,
	 * which is 512. */
	TOKENS = 128,
	TOKEN_MS = 100,
};

struct neighbour {
	struct address address; /* none: free */
	uint8_t mac[6];
	uint8_t resolution; /* enum netlink_resolution */
	bool is_known;      /* it has answered, or is a gateway */
	bool is_stale;      /* to be confirmed when it is used next */
	bool is_told_of;    /* the kernel has heard that it is in use, since it was last asked for */
	uint32_t used_tick;
	uint64_t asked_ms, unknown_ms; /* when it was last asked for; since when it is, and is not resolved */
};

struct slot {
	struct address destination;
	uint32_t changes;            /* of routes; after more of them it is void */
	struct address hop;          /* none: no route */
	bool is_gateway;             /* of hop */
	struct neighbour *neighbour; /* NULL, or whose place it was */
};

struct next_hops {
	struct netlink *netlink;
	const struct kernel_copy *copy;
	int ifindex;
	bool arp, is_up, has_address;
	uint32_t tick;
	struct siphash_key key;
	uint32_t tokens;
	uint64_t filled_ms; /* when tokens was counted last */
	struct netlink_ask asks[NETLINK_ASKS_MAX];
	uint32_t ask_count;
	struct slot slots[SLOTS];
	struct neighbour neighbours[SETS][WAYS];
};

struct next_hops *next_hop_new(struct netlink *netlink, const struct kernel_copy *copy)
{
	struct next_hops *hops = calloc(1, sizeof(*hops));

	if (!hops || !random_fill(&hops->key, sizeof(hops->key))) {
		free(hops);
		return NULL;
	}
	hops->netlink = netlink;
	hops->copy = copy;
	hops->tick = USED_TICKS;
	hops->tokens = TOKENS;
	return hops;
}

void next_hop_free(struct next_hops *hops)
{
	free(hops);
}

void next_hop_follow(struct next_hops *hops, const struct kernel_links *links, bool was_away)
{
	bool has_address = links->wan.address_count > 0;

	if (!was_away && hops->ifindex == links->wan.ifindex && hops->arp == links->wan.arp &&
	    hops->is_up == links->wan.up && hops->has_address == has_address)
		return;
	hops->ifindex = links->wan.ifindex;
	hops->arp = links->wan.arp;
	hops->is_up = links->wan.up;
	hops->has_address = has_address;
	hops->ask_count = 0;
	memset(hops->neighbours, 0, sizeof(hops->neighbours));
	memset(hops->slots, 0, sizeof(hops->slots));
}

/* --- neighbours --- */

static uint64_t next_hop_hash(const struct next_hops *hops, struct address address)
{
	return siphash(&hops->key, address_word(address), 0);
}

static struct neighbour *next_hop_set(struct next_hops *hops, struct address address)
{
	return hops->neighbours[next_hop_hash(hops, address) % SETS];
}

static struct neighbour *next_hop_find_neighbour(struct next_hops *hops, struct address address)
{
	struct neighbour *set = next_hop_set(hops, address);

	for (int i = 0; i < WAYS; i++)
		if (address_equal(set[i].address, address))
			return &set[i];
	return NULL;
}

static bool next_hop_take_token(struct next_hops *hops, uint64_t now_ms)
{
	uint64_t fresh = (now_ms - hops->filled_ms) / TOKEN_MS;

	if (fresh > 0) {
		hops->tokens = fresh < TOKENS - hops->tokens ? hops->tokens + (uint32_t)fresh : TOKENS;
		hops->filled_ms = now_ms;
	}
	if (!hops->tokens)
		return false;
	hops->tokens--;
	return true;
}

static void next_hop_give_token(struct next_hops *hops)
{
	hops->tokens += hops->tokens < TOKENS;
}

static bool next_hop_put_ask(struct next_hops *hops, struct address address, bool use)
{
	if (hops->ask_count == NETLINK_ASKS_MAX)
		return false;
	hops->asks[hops->ask_count++] = (struct netlink_ask){address, use};
	return true;
}

/* A question that there is no room for is asked when the next packet comes. */
static void next_hop_want(struct next_hops *hops, struct neighbour *neighbour, uint64_t now_ms)
{
	if (!next_hop_put_ask(hops, neighbour->address, false))
		return;
	if (neighbour->resolution == NETLINK_FAILED && now_ms - neighbour->asked_ms >= FORGET_MS)
		neighbour->resolution = NETLINK_ABSENT;
	/* That the kernel has forgotten it long ago, when nobody wanted it, is nobody's silence. */
	if (neighbour->resolution != NETLINK_FAILED && now_ms - neighbour->asked_ms >= PATIENCE_MS)
		neighbour->unknown_ms = now_ms;
	neighbour->asked_ms = now_ms;
	neighbour->is_told_of = false;
}

static bool next_hop_is_used(const struct next_hops *hops, const struct neighbour *neighbour)
{
	return hops->tick - neighbour->used_tick < USED_TICKS;
}

/* The place for a newcomer: a free one, that of a stranger, the one asked for longest ago, or that of one who is not
 * in use. NULL: all are in use. */
static struct neighbour *next_hop_make_room(struct next_hops *hops, struct address address)
{
	struct neighbour *set = next_hop_set(hops, address), *place = NULL;

	for (int i = 0; i < WAYS; i++) {
		struct neighbour *other = &set[i];

		if (!address_is_set(other->address))
			return other;
		if (other->is_known && next_hop_is_used(hops, other))
			continue;
		if (!place || place->is_known > other->is_known ||
		    (place->is_known == other->is_known && place->asked_ms > other->asked_ms))
			place = other;
	}
	return place;
}

/* NULL if so many others are being asked for that this one is not. */
static struct neighbour *next_hop_add_neighbour(struct next_hops *hops, struct address address, bool is_gateway)
{
	struct neighbour *place = next_hop_make_room(hops, address);
	uint64_t now_ms = clock_now_ms();

	if (!place || (!is_gateway && !next_hop_take_token(hops, now_ms)))
		return NULL;
	*place = (struct neighbour){.address = address, .is_known = is_gateway, .unknown_ms = now_ms};
	next_hop_want(hops, place, now_ms);
	return place;
}

static void next_hop_learn_mac(struct next_hops *hops, struct neighbour *neighbour,
			       const struct netlink_neighbour *from)
{
	if (!neighbour->is_known)
		next_hop_give_token(hops);
	neighbour->is_known = true;
	neighbour->resolution = NETLINK_RESOLVED;
	neighbour->is_stale = from->stale;
	memcpy(neighbour->mac, from->mac, sizeof(neighbour->mac));
}

static void next_hop_learn(struct next_hops *hops, struct neighbour *neighbour, const struct netlink_neighbour *from)
{
	enum netlink_resolution news = from->resolution;

	/* The kernel "resolves" broadcast addresses of the link: nothing that a router should send to. */
	if (news == NETLINK_RESOLVED && (from->mac[0] & 1))
		news = NETLINK_FAILED;
	if (news == NETLINK_RESOLVED) {
		next_hop_learn_mac(hops, neighbour, from);
		return;
	}
	/* Nobody has answered so far: that the kernel asks again, or has dropped the entry because its table is full,
	 * is no reason to let packets wait again. */
	if (neighbour->resolution == NETLINK_FAILED)
		return;
	/* That the kernel drops an entry to make room says nothing about the neighbour: it is used, and asked for. */
	if (neighbour->resolution == NETLINK_RESOLVED && (news == NETLINK_ABSENT || from->is_answer)) {
		neighbour->is_stale = true;
		return;
	}
	/* It was there a moment ago, so the next packet asks for it at once and waits: the kernel says of an entry that
	 * somebody deletes that it has failed, too. */
	if (neighbour->resolution == NETLINK_RESOLVED) {
		neighbour->resolution = NETLINK_INCOMPLETE;
		neighbour->unknown_ms = clock_now_ms();
		neighbour->asked_ms = 0;
		return;
	}
	neighbour->resolution = (uint8_t)news;
}

/* The second step of a question, and what came of it: of some addresses the kernel knows at once. */
static void next_hop_use(struct next_hops *hops, struct neighbour *neighbour, const struct netlink_neighbour *answer)
{
	bool is_at_work = answer->resolution == NETLINK_RESOLVED && !answer->stale;

	if (answer->permanent || is_at_work || answer->resolution == NETLINK_INCOMPLETE || neighbour->is_told_of ||
	    !next_hop_put_ask(hops, neighbour->address, true))
		return;
	neighbour->is_told_of = true;
	neighbour->is_stale = false;
	next_hop_put_ask(hops, neighbour->address, false);
}

void next_hop_update(struct next_hops *hops, const struct netlink_neighbour *from)
{
	bool is_refused = from->is_answer && !from->ifindex && from->resolution == NETLINK_FAILED;
	struct neighbour *neighbour;

	if ((!from->is_answer && from->ifindex != hops->ifindex) || !address_is_set(from->address))
		return;
	neighbour = next_hop_find_neighbour(hops, from->address);
	if (!neighbour)
		return;
	next_hop_learn(hops, neighbour, from);
	if (from->is_answer && !is_refused)
		next_hop_use(hops, neighbour, from);
}

/* --- destinations --- */

static const struct netlink_route *next_hop_route(const struct next_hops *hops, struct address destination)
{
	const struct netlink_route *route =
		hops->is_up ? kernel_copy_route(hops->copy, hops->ifindex, destination) : NULL;

	return route && !route->unreachable ? route : NULL;
}

/* A neighbour that is not resolved is asked for again and again, but packets wait for it only for a while. That it
 * has failed is judged here, too: the kernel's word can be overtaken by its asking again for the next packet, get lost
 * among other messages, or come after minutes if somebody has set it so. */
static void next_hop_pursue(struct next_hops *hops, struct neighbour *neighbour)
{
	uint64_t now_ms = clock_now_ms();

	if (now_ms - neighbour->asked_ms >= ASK_AGAIN_MS && (neighbour->is_known || next_hop_take_token(hops, now_ms)))
		next_hop_want(hops, neighbour, now_ms);
	if (neighbour->resolution != NETLINK_RESOLVED && now_ms - neighbour->unknown_ms >= PATIENCE_MS)
		neighbour->resolution = NETLINK_FAILED;
}

static enum next_hop next_hop_answer(struct next_hops *hops, struct neighbour *neighbour, uint8_t mac[6])
{
	neighbour->used_tick = hops->tick;
	if (neighbour->resolution != NETLINK_RESOLVED || neighbour->is_stale)
		next_hop_pursue(hops, neighbour);
	if (neighbour->resolution == NETLINK_RESOLVED) {
		memcpy(mac, neighbour->mac, sizeof(neighbour->mac));
		return NEXT_HOP_KNOWN;
	}
	return neighbour->resolution == NETLINK_FAILED ? NEXT_HOP_SILENT : NEXT_HOP_PENDING;
}

static void next_hop_fill_slot(struct next_hops *hops, struct slot *slot, struct address destination)
{
	const struct netlink_route *route = next_hop_route(hops, destination);

	slot->is_gateway = route && address_is_set(route->gateway);
	slot->hop = !route ? address_of(0) : slot->is_gateway ? route->gateway : destination;
	slot->neighbour = NULL;
	slot->destination = destination;
	slot->changes = hops->copy->route_changes;
}

enum next_hop next_hop_find(struct next_hops *hops, struct address destination, uint8_t mac[6])
{
	struct slot *slot = &hops->slots[next_hop_hash(hops, destination) % SLOTS];

	if (!hops->arp) {
		memset(mac, 0, 6);
		return next_hop_route(hops, destination) ? NEXT_HOP_KNOWN : NEXT_HOP_NO_ROUTE;
	}
	if (!hops->is_up || !hops->has_address)
		return NEXT_HOP_NO_ROUTE;
	if (!address_equal(slot->destination, destination) || slot->changes != hops->copy->route_changes)
		next_hop_fill_slot(hops, slot, destination);
	if (!address_is_set(slot->hop))
		return NEXT_HOP_NO_ROUTE;
	if (!slot->neighbour || !address_equal(slot->neighbour->address, slot->hop)) {
		slot->neighbour = next_hop_find_neighbour(hops, slot->hop);
		if (!slot->neighbour)
			slot->neighbour = next_hop_add_neighbour(hops, slot->hop, slot->is_gateway);
		if (slot->neighbour && slot->is_gateway)
			slot->neighbour->is_known = true;
	}
	return slot->neighbour ? next_hop_answer(hops, slot->neighbour, mac) : NEXT_HOP_BUSY;
}

/* What is known of an address on the link, without asking. */
static enum next_hop next_hop_state(struct next_hops *hops, struct address address)
{
	const struct neighbour *neighbour = next_hop_find_neighbour(hops, address);

	if (neighbour && neighbour->resolution == NETLINK_RESOLVED)
		return NEXT_HOP_KNOWN;
	return neighbour && neighbour->resolution == NETLINK_FAILED ? NEXT_HOP_SILENT : NEXT_HOP_PENDING;
}

enum next_hop next_hop_peek(struct next_hops *hops, struct address destination)
{
	const struct netlink_route *route = next_hop_route(hops, destination);

	if (!route || (hops->arp && !hops->has_address))
		return NEXT_HOP_NO_ROUTE;
	return hops->arp ? next_hop_state(hops, address_is_set(route->gateway) ? route->gateway : destination)
			 : NEXT_HOP_KNOWN;
}

/* Two halves of the internet are as good as one whole: some VPN clients route so. */
static const struct netlink_route *next_hop_default_route(const struct next_hops *hops)
{
	static const struct prefix defaults[] = {{{0}, 1}, {{UINT32_C(1) << 31}, 1}, {{0}, 0}};

	for (size_t i = 0; hops->is_up && i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		const struct netlink_route *route = kernel_copy_exact(hops->copy, hops->ifindex, defaults[i]);

		if (route && !route->unreachable)
			return route;
	}
	return NULL;
}

enum next_hop next_hop_default(struct next_hops *hops, struct address *gateway)
{
	const struct netlink_route *route = next_hop_default_route(hops);

	*gateway = route ? route->gateway : address_of(0);
	if (!route)
		return NEXT_HOP_NO_ROUTE;
	if (!hops->arp || !address_is_set(route->gateway))
		return NEXT_HOP_KNOWN;
	return next_hop_state(hops, route->gateway);
}

void next_hop_resync(struct next_hops *hops)
{
	for (int i = 0; i < SETS * WAYS; i++)
		hops->neighbours[i / WAYS][i % WAYS].is_stale = true;
}

void next_hop_refresh(struct next_hops *hops)
{
	struct address gateway;
	uint8_t mac[6];

	hops->tick++;
	/* That a gateway answers again shall be known even if nobody sends. */
	if (next_hop_default(hops, &gateway) == NEXT_HOP_SILENT)
		next_hop_find(hops, gateway, mac);
}

void next_hop_ask(struct next_hops *hops)
{
	if (hops->ask_count > 0)
		netlink_ask_neighbours(hops->netlink, hops->ifindex, hops->asks, hops->ask_count);
	hops->ask_count = 0;
}
