/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three tables: the routes, longest prefix first and then by metric, a few of them as a rule; neighbours in sets of
 * four, where the least useful one makes room; and the slots, one to a destination's hash, that save looking in the
 * other two.
 */
#include "io/next_hop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"

enum {
	SLOTS = 2048, /* powers of two */
	SETS = 256,
	WAYS = 4,
	ASK_AGAIN_MS = 1000,
	PATIENCE_MS = 4000, /* the kernel asks thrice, a second apart */
	FORGET_MS = 10000,  /* that a neighbour has failed */
};

struct hop_route {
	uint32_t address, mask, gateway, metric;
	bool reachable;
};

struct neighbour {
	uint32_t address; /* 0: free */
	uint8_t mac[6];
	uint8_t resolution; /* enum netlink_resolution */
	bool used;
	uint64_t asked_ms, unknown_ms; /* when it was last asked for; since when it is, and is not resolved */
};

struct slot {
	uint32_t destination;
	uint32_t round;
	struct neighbour *neighbour; /* NULL: no route */
};

struct next_hops {
	struct netlink *netlink;
	int ifindex;
	bool arp, has_address;
	struct hop_route *routes;
	uint32_t route_count, route_capacity;
	bool failed;    /* memory ran out while routes were read */
	uint32_t round; /* slots of an earlier round are void */
	struct slot slots[SLOTS];
	struct neighbour neighbours[SETS][WAYS];
};

struct next_hops *next_hop_new(struct netlink *netlink)
{
	struct next_hops *hops = calloc(1, sizeof(*hops));

	if (!hops)
		return NULL;
	hops->netlink = netlink;
	hops->round = 1;
	return hops;
}

void next_hop_free(struct next_hops *hops)
{
	if (hops)
		free(hops->routes);
	free(hops);
}

static void next_hop_keep_route(void *context, const struct netlink_route *route)
{
	struct next_hops *hops = context;
	struct hop_route *kept;

	if ((!route->unreachable && route->ifindex != hops->ifindex) || !route->usable)
		return;
	if (hops->route_count == hops->route_capacity) {
		uint32_t capacity = hops->route_capacity ? 2 * hops->route_capacity : 16;

		kept = realloc(hops->routes, capacity * sizeof(*kept));
		hops->failed = !kept;
		if (!kept)
			return;
		hops->routes = kept;
		hops->route_capacity = capacity;
	}
	kept = &hops->routes[hops->route_count++];
	kept->mask = route->to.length ? UINT32_MAX << (32 - route->to.length) : 0;
	kept->address = route->to.address & kept->mask;
	kept->gateway = route->gateway;
	kept->metric = route->metric;
	kept->reachable = !route->unreachable;
}

static int next_hop_compare_routes(const void *left, const void *right)
{
	const struct hop_route *a = left, *b = right;

	if (a->mask != b->mask)
		return a->mask > b->mask ? -1 : 1;
	if (a->metric != b->metric)
		return a->metric < b->metric ? -1 : 1;
	return 0;
}

int next_hop_reload(struct next_hops *hops, int ifindex, bool arp, bool has_address)
{
	int error = 0;

	if (hops->ifindex != ifindex || hops->arp != arp || hops->has_address != has_address)
		memset(hops->neighbours, 0, sizeof(hops->neighbours));
	hops->ifindex = ifindex;
	hops->arp = arp;
	hops->has_address = has_address;
	hops->route_count = 0;
	hops->failed = false;
	hops->round++;
	if (!ifindex)
		return 0;
	error = netlink_dump_routes(hops->netlink, NETLINK_TABLE_MAIN, next_hop_keep_route, hops);
	if (hops->route_count > 0)
		qsort(hops->routes, hops->route_count, sizeof(*hops->routes), next_hop_compare_routes);
	return error ? error : hops->failed ? -ENOMEM : 0;
}

static uint32_t next_hop_hash(uint32_t address)
{
	return (address * UINT32_C(0x9e3779b1)) >> 16;
}

static struct neighbour *next_hop_set(struct next_hops *hops, uint32_t address)
{
	return hops->neighbours[next_hop_hash(address) & (SETS - 1)];
}

static struct neighbour *next_hop_find_neighbour(struct next_hops *hops, uint32_t address)
{
	struct neighbour *set = next_hop_set(hops, address);

	for (int i = 0; i < WAYS; i++)
		if (set[i].address == address)
			return &set[i];
	return NULL;
}

static void next_hop_learn(struct neighbour *neighbour, const struct netlink_neighbour *from)
{
	/* Nobody has answered so far: that the kernel asks again, or has dropped the entry because its table is full,
	 * is no reason to let packets wait again. */
	if (neighbour->resolution == NETLINK_FAILED && from->resolution != NETLINK_RESOLVED)
		return;
	/* It was there a moment ago, so the next packet asks for it at once and waits: the kernel says of an entry that
	 * somebody deletes that it has failed, too. */
	if (neighbour->resolution == NETLINK_RESOLVED && from->resolution != NETLINK_RESOLVED) {
		neighbour->resolution = NETLINK_INCOMPLETE;
		neighbour->unknown_ms = clock_now_ms();
		neighbour->asked_ms = 0;
		return;
	}
	neighbour->resolution = (uint8_t)from->resolution;
	memcpy(neighbour->mac, from->mac, sizeof(neighbour->mac));
	/* The kernel "resolves" broadcast addresses of the link: nothing that a router should send to. */
	if (neighbour->resolution == NETLINK_RESOLVED && (neighbour->mac[0] & 1))
		neighbour->resolution = NETLINK_FAILED;
}

/* The kernel starts to resolve the neighbour, or confirms it; what it knows already is learned at once. A permanent
 * entry is only read: NTF_USE would make it one that can fail. */
static void next_hop_ask(struct next_hops *hops, struct neighbour *neighbour)
{
	struct netlink_neighbour found;
	uint64_t now = clock_now_ms();
	int error;

	if (neighbour->resolution == NETLINK_FAILED && now - neighbour->asked_ms >= FORGET_MS)
		neighbour->resolution = NETLINK_ABSENT;
	/* That the kernel has forgotten it long ago, when nobody wanted it, is nobody's silence. */
	if (neighbour->resolution != NETLINK_FAILED && now - neighbour->asked_ms >= PATIENCE_MS)
		neighbour->unknown_ms = now;
	neighbour->asked_ms = now;
	error = netlink_get_neighbour(hops->netlink, hops->ifindex, neighbour->address, &found);
	if (error || !found.permanent) {
		error = netlink_use_neighbour(hops->netlink, hops->ifindex, neighbour->address);
		if (!error)
			error = netlink_get_neighbour(hops->netlink, hops->ifindex, neighbour->address, &found);
	}
	if (error)
		neighbour->resolution = NETLINK_FAILED;
	else
		next_hop_learn(neighbour, &found);
}

static int next_hop_worth(const struct neighbour *neighbour)
{
	if (!neighbour->address)
		return 0;
	return 1 + (neighbour->resolution == NETLINK_RESOLVED) + 2 * neighbour->used;
}

static struct neighbour *next_hop_add_neighbour(struct next_hops *hops, uint32_t address)
{
	struct neighbour *set = next_hop_set(hops, address), *place = &set[0];

	for (int i = 1; i < WAYS; i++)
		if (next_hop_worth(&set[i]) < next_hop_worth(place))
			place = &set[i];
	if (place->address)
		hops->round++; /* slots may point to it */
	*place = (struct neighbour){.address = address, .unknown_ms = clock_now_ms()};
	next_hop_ask(hops, place);
	return place;
}

static const struct hop_route *next_hop_route(const struct next_hops *hops, uint32_t destination)
{
	for (uint32_t i = 0; i < hops->route_count; i++)
		if ((destination & hops->routes[i].mask) == hops->routes[i].address)
			return hops->routes[i].reachable ? &hops->routes[i] : NULL;
	return NULL;
}

/* The neighbour that destination is reached by; NULL if there is none. */
static struct neighbour *next_hop_resolve(struct next_hops *hops, uint32_t destination)
{
	const struct hop_route *route = next_hop_route(hops, destination);
	struct neighbour *neighbour;
	uint32_t address;

	if (!route)
		return NULL;
	address = route->gateway ? route->gateway : destination;
	if (!address)
		return NULL;
	neighbour = next_hop_find_neighbour(hops, address);
	return neighbour ? neighbour : next_hop_add_neighbour(hops, address);
}

/* A neighbour that is not resolved is asked for again and again, but packets wait for it only for a while. That it
 * has failed is judged here, too: the kernel's word can be overtaken by its asking again for the next packet, get lost
 * among other messages, or come after minutes if somebody has set it so. */
static void next_hop_pursue(struct next_hops *hops, struct neighbour *neighbour)
{
	if (clock_now_ms() - neighbour->asked_ms >= ASK_AGAIN_MS)
		next_hop_ask(hops, neighbour);
	if (neighbour->resolution != NETLINK_RESOLVED && clock_now_ms() - neighbour->unknown_ms >= PATIENCE_MS)
		neighbour->resolution = NETLINK_FAILED;
}

static enum next_hop next_hop_answer(struct next_hops *hops, struct neighbour *neighbour, uint8_t mac[6])
{
	neighbour->used = true;
	if (neighbour->resolution != NETLINK_RESOLVED)
		next_hop_pursue(hops, neighbour);
	if (neighbour->resolution == NETLINK_RESOLVED) {
		memcpy(mac, neighbour->mac, sizeof(neighbour->mac));
		return NEXT_HOP_KNOWN;
	}
	return neighbour->resolution == NETLINK_FAILED ? NEXT_HOP_SILENT : NEXT_HOP_PENDING;
}

enum next_hop next_hop_find(struct next_hops *hops, uint32_t destination, uint8_t mac[6])
{
	struct slot *slot = &hops->slots[next_hop_hash(destination) & (SLOTS - 1)];

	if (!hops->arp) {
		memset(mac, 0, 6);
		return next_hop_route(hops, destination) ? NEXT_HOP_KNOWN : NEXT_HOP_NO_ROUTE;
	}
	if (!hops->has_address)
		return NEXT_HOP_NO_ROUTE;
	if (slot->destination != destination || slot->round != hops->round) {
		slot->neighbour = next_hop_resolve(hops, destination);
		slot->destination = destination;
		slot->round = hops->round;
	}
	return slot->neighbour ? next_hop_answer(hops, slot->neighbour, mac) : NEXT_HOP_NO_ROUTE;
}

enum next_hop next_hop_peek(struct next_hops *hops, uint32_t destination)
{
	const struct hop_route *route = next_hop_route(hops, destination);
	const struct neighbour *neighbour;

	if (!route || (hops->arp && !hops->has_address))
		return NEXT_HOP_NO_ROUTE;
	neighbour = hops->arp ? next_hop_find_neighbour(hops, route->gateway ? route->gateway : destination) : NULL;
	if (!hops->arp || (neighbour && neighbour->resolution == NETLINK_RESOLVED))
		return NEXT_HOP_KNOWN;
	return neighbour && neighbour->resolution == NETLINK_FAILED ? NEXT_HOP_SILENT : NEXT_HOP_PENDING;
}

/* Two halves of the internet are as good as one whole: some VPN clients route so. */
static const struct hop_route *next_hop_default_route(const struct next_hops *hops)
{
	for (uint32_t i = 0; i < hops->route_count; i++)
		if (hops->routes[i].mask << 1 == 0 && hops->routes[i].reachable)
			return &hops->routes[i];
	return NULL;
}

enum next_hop next_hop_default(struct next_hops *hops, uint32_t *gateway)
{
	const struct hop_route *route = next_hop_default_route(hops);
	const struct neighbour *neighbour;

	*gateway = route ? route->gateway : 0;
	if (!route)
		return NEXT_HOP_NO_ROUTE;
	if (!hops->arp || !route->gateway)
		return NEXT_HOP_KNOWN;
	neighbour = next_hop_find_neighbour(hops, route->gateway);
	if (neighbour && neighbour->resolution == NETLINK_RESOLVED)
		return NEXT_HOP_KNOWN;
	return neighbour && neighbour->resolution == NETLINK_FAILED ? NEXT_HOP_SILENT : NEXT_HOP_PENDING;
}

void next_hop_update(struct next_hops *hops, const struct netlink_neighbour *neighbour)
{
	struct neighbour *known;

	if (neighbour->ifindex != hops->ifindex || !neighbour->address)
		return;
	known = next_hop_find_neighbour(hops, neighbour->address);
	if (known)
		next_hop_learn(known, neighbour);
}

static void next_hop_visit(struct next_hops *hops, bool used_only)
{
	for (int i = 0; hops->arp && hops->has_address && i < SETS; i++) {
		for (int j = 0; j < WAYS; j++) {
			struct neighbour *neighbour = &hops->neighbours[i][j];

			if (neighbour->address && (neighbour->used || !used_only))
				next_hop_ask(hops, neighbour);
			neighbour->used = false;
		}
	}
}

void next_hop_resync(struct next_hops *hops)
{
	next_hop_visit(hops, false);
}

void next_hop_refresh(struct next_hops *hops)
{
	uint32_t gateway;
	enum next_hop known = next_hop_default(hops, &gateway);
	struct neighbour *neighbour = known == NEXT_HOP_SILENT ? next_hop_find_neighbour(hops, gateway) : NULL;

	/* That a gateway answers again shall be known even if nobody sends. */
	if (neighbour)
		neighbour->used = true;
	next_hop_visit(hops, true);
}
