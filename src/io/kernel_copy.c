/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reading goes through five stages. What it has not seen at the end of a stage is gone, unless a notification has
 * said meanwhile that it is there. If the kernel says that it changed meanwhile, pieces may be missing: then nothing is
 * taken away, and it is read again.
 *
 * Routes are in a hash table by prefix, so that looking one up costs one look for each length of prefix that there is.
 */
#include "io/kernel_copy.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "io/kernel_change.h"

enum {
	NONE = -1, /* nothing is being read */
	LINKS = 0,
	ADDRESSES,
	ROUTES,
	OUR_ROUTES,
	OUR_RULES,
	STAGES,
	TRIES = 4, /* of a reading that the kernel changed under; then it stays as it is until the next one */
	READ_MS = 10000,
	ROUTES_MIN = 64,
};

static const struct siphash_key no_secret; /* routes are no stranger's choice */

void kernel_copy_close(struct kernel_copy *copy)
{
	free(copy->links);
	free(copy->addresses);
	free(copy->routes);
	free(copy->buckets);
}

/* The items with room for one more of size bytes; NULL if memory ran out, and then what there is may be incomplete. */
static void *copy_reserve(struct kernel_copy *copy, void *items, uint32_t count, uint32_t *capacity, size_t size)
{
	uint32_t room = *capacity ? 2 * *capacity : ROUTES_MIN;
	void *more;

	if (count < *capacity)
		return items;
	more = realloc(items, room * size);
	copy->is_failed |= !more;
	if (more)
		*capacity = room;
	return more;
}

/* --- links --- */

const struct netlink_link *kernel_copy_link(const struct kernel_copy *copy, const char *name)
{
	for (uint32_t i = 0; i < copy->link_count; i++)
		if (!strcmp(copy->links[i].link.name, name))
			return &copy->links[i].link;
	return NULL;
}

const struct netlink_link *kernel_copy_device(const struct kernel_copy *copy, int ifindex)
{
	for (uint32_t i = 0; i < copy->link_count; i++)
		if (copy->links[i].link.ifindex == ifindex)
			return &copy->links[i].link;
	return NULL;
}

static bool copy_is_side(const struct kernel_copy *copy, const char *name)
{
	return !strcmp(name, copy->request->lan) || !strcmp(name, copy->request->wan);
}

static bool copy_is_device(const struct kernel_copy *copy, const char *name, int ifindex)
{
	const struct netlink_link *link = kernel_copy_link(copy, name);

	return link && link->ifindex == ifindex;
}

static bool copy_same_link(const struct netlink_link *a, const struct netlink_link *b)
{
	return !strcmp(a->name, b->name) && a->admin_up == b->admin_up && a->carrier == b->carrier &&
	       a->ethernet == b->ethernet && a->arp == b->arp && a->mtu == b->mtu &&
	       !memcmp(a->mac, b->mac, sizeof(a->mac));
}

/* now, before: NULL if it is not there. */
static void copy_link_changed(struct kernel_copy *copy, const struct netlink_link *before,
			      const struct netlink_link *now)
{
	bool is_side = (before && copy_is_side(copy, before->name)) || (now && copy_is_side(copy, now->name));
	const char *name = now ? now->name : before ? before->name : "";

	copy->links_changed |= is_side;
	copy->wan_was_away |= !strcmp(name, copy->request->wan) && (!now || !now->admin_up || !now->carrier);
	copy->ours_touched |= now && !strcmp(now->name, copy->request->tun);
	/* Its routes go and come with it. */
	copy->is_stale |= is_side && (!now || !before || now->admin_up != before->admin_up);
}

static void copy_drop_link(struct kernel_copy *copy, uint32_t at)
{
	struct netlink_link before = copy->links[at].link;

	copy->links[at] = copy->links[--copy->link_count];
	copy_link_changed(copy, &before, NULL);
}

static void copy_take_link(void *context, const struct netlink_link *link, bool is_gone)
{
	struct kernel_copy *copy = context;
	struct copied_link *links;
	struct netlink_link before;
	uint32_t at = 0;

	while (at < copy->link_count && copy->links[at].link.ifindex != link->ifindex)
		at++;
	if (is_gone) {
		if (at < copy->link_count)
			copy_drop_link(copy, at);
		return;
	}
	if (at == copy->link_count) {
		links = copy_reserve(copy, copy->links, at, &copy->link_capacity, sizeof(*links));
		if (!links)
			return;
		copy->links = links;
		copy->link_count++;
		copy->links[at] = (struct copied_link){*link, copy->round};
		copy_link_changed(copy, NULL, link);
		return;
	}
	before = copy->links[at].link;
	copy->links[at] = (struct copied_link){*link, copy->round};
	if (!copy_same_link(&before, link))
		copy_link_changed(copy, &before, link);
}

/* --- addresses --- */

static void copy_address_changed(struct kernel_copy *copy, int ifindex, bool is_gone)
{
	bool is_side =
		copy_is_device(copy, copy->request->lan, ifindex) || copy_is_device(copy, copy->request->wan, ifindex);

	copy->links_changed |= is_side;
	copy->is_stale |= is_side && is_gone; /* routes that come from it go with it */
	copy->ours_changed |= is_gone && copy_is_device(copy, copy->request->tun, ifindex);
}

static void copy_drop_address(struct kernel_copy *copy, uint32_t at)
{
	int ifindex = copy->addresses[at].address.ifindex;

	copy->address_count--;
	memmove(&copy->addresses[at], &copy->addresses[at + 1], (copy->address_count - at) * sizeof(*copy->addresses));
	copy_address_changed(copy, ifindex, true);
}

/* The kernel has those first that are not secondary, and else puts a new one last. */
static uint32_t copy_address_place(const struct kernel_copy *copy, const struct netlink_address *address)
{
	uint32_t at = copy->address_count;

	while (!address->secondary && at > 0 && copy->addresses[at - 1].address.secondary)
		at--;
	return at;
}

static void copy_take_address(void *context, const struct netlink_address *address, bool is_gone)
{
	struct kernel_copy *copy = context;
	struct copied_address *addresses;
	uint32_t at = 0;

	while (at < copy->address_count && (copy->addresses[at].address.ifindex != address->ifindex ||
					    !address_equal(copy->addresses[at].address.address, address->address) ||
					    copy->addresses[at].address.length != address->length))
		at++;
	if (at < copy->address_count && !is_gone && copy->addresses[at].address.secondary == address->secondary &&
	    copy->addresses[at].address.link_scope == address->link_scope) {
		copy->addresses[at].round = copy->round;
		return;
	}
	if (at < copy->address_count)
		copy_drop_address(copy, at);
	if (is_gone)
		return;
	addresses =
		copy_reserve(copy, copy->addresses, copy->address_count, &copy->address_capacity, sizeof(*addresses));
	if (!addresses)
		return;
	copy->addresses = addresses;
	at = copy_address_place(copy, address);
	memmove(&copy->addresses[at + 1], &copy->addresses[at], (copy->address_count - at) * sizeof(*copy->addresses));
	copy->addresses[at] = (struct copied_address){*address, copy->round};
	copy->address_count++;
	copy_address_changed(copy, address->ifindex, false);
}

/* --- routes --- */

static uint32_t copy_mask(uint8_t length)
{
	return length ? UINT32_MAX << (32 - length) : 0;
}

static uint32_t *copy_bucket(const struct kernel_copy *copy, struct address address, uint8_t length)
{
	return &copy->buckets[siphash(&no_secret, address_word(address), length) & (copy->bucket_count - 1)];
}

static bool copy_same_target(const struct netlink_route *a, const struct netlink_route *b)
{
	return address_equal(a->to.address, b->to.address) && a->to.length == b->to.length && a->metric == b->metric &&
	       a->service == b->service;
}

static bool copy_same_route(const struct netlink_route *a, const struct netlink_route *b)
{
	return copy_same_target(a, b) && a->ifindex == b->ifindex && address_equal(a->gateway, b->gateway) &&
	       a->unreachable == b->unreachable && a->usable == b->usable;
}

/* Networks behind the LAN, and default routes, are what kernel_links_read() looks at. */
static void copy_route_changed(struct kernel_copy *copy, const struct netlink_route *route)
{
	copy->route_changes++;
	copy->links_changed |= route->to.length <= 1 || copy_is_device(copy, copy->request->lan, route->ifindex);
}

/* Takes the route out that *link, a member next or a bucket, leads to. */
static void copy_drop_route(struct kernel_copy *copy, uint32_t *link)
{
	uint32_t at = *link;
	struct copied_route *gone = &copy->routes[at];

	*link = gone->next;
	gone->next = copy->free_route;
	gone->is_free = true;
	copy->free_route = at;
	copy->lengths[gone->route.to.length]--;
	copy_route_changed(copy, &gone->route);
}

static bool copy_rehash(struct kernel_copy *copy)
{
	uint32_t *buckets = malloc(copy->route_capacity * sizeof(*buckets));

	copy->is_failed |= !buckets;
	if (!buckets)
		return false;
	free(copy->buckets);
	copy->buckets = buckets;
	copy->bucket_count = copy->route_capacity;
	memset(buckets, 0xff, copy->bucket_count * sizeof(*buckets));
	for (uint32_t i = copy->route_count; i-- > 0;) {
		struct copied_route *item = &copy->routes[i];
		uint32_t *bucket = copy_bucket(copy, item->route.to.address, item->route.to.length);

		item->next = *bucket;
		*bucket = i;
	}
	return true;
}

/* UINT32_MAX if memory ran out. */
static uint32_t copy_new_route(struct kernel_copy *copy)
{
	uint32_t at = copy->free_route;
	struct copied_route *routes;

	if (at != UINT32_MAX) {
		copy->free_route = copy->routes[at].next;
		return at;
	}
	routes = copy_reserve(copy, copy->routes, copy->route_count, &copy->route_capacity, sizeof(*routes));
	if (!routes)
		return UINT32_MAX;
	copy->routes = routes;
	if (copy->bucket_count != copy->route_capacity && !copy_rehash(copy))
		return UINT32_MAX;
	return copy->route_count++;
}

/* Behind those to the same prefix, so that of equal ones the first counts. */
static void copy_add_route(struct kernel_copy *copy, const struct netlink_route *route)
{
	uint32_t at = copy_new_route(copy), *link;

	if (at == UINT32_MAX)
		return;
	link = copy_bucket(copy, route->to.address, route->to.length);
	while (*link != UINT32_MAX)
		link = &copy->routes[*link].next;
	*link = at;
	copy->routes[at] = (struct copied_route){*route, copy->round, UINT32_MAX, false};
	copy->lengths[route->to.length]++;
	copy_route_changed(copy, route);
}

/* The place that leads to the first route from *link on that is alike; where that is UINT32_MAX there is none. */
static uint32_t *copy_seek(struct kernel_copy *copy, uint32_t *link, const struct netlink_route *route,
			   bool (*is_alike)(const struct netlink_route *, const struct netlink_route *))
{
	while (*link != UINT32_MAX && !is_alike(&copy->routes[*link].route, route))
		link = &copy->routes[*link].next;
	return link;
}

static void copy_take_route(void *context, const struct netlink_route *told, bool is_gone)
{
	struct kernel_copy *copy = context;
	struct netlink_route route = *told;
	uint32_t *link;

	if (route.table == KERNEL_TABLE && route.ours) {
		copy->ours_changed |= is_gone && !copy->events.is_echo;
		copy->routes_seen += !is_gone;
	}
	if (route.table != NETLINK_TABLE_MAIN || route.to.length > 32)
		return;
	route.to.address.v4 &= copy_mask(route.to.length);
	if (!copy->bucket_count) {
		if (!is_gone)
			copy_add_route(copy, &route);
		return;
	}
	link = copy_seek(copy, copy_bucket(copy, route.to.address, route.to.length), &route, copy_same_route);
	if (is_gone && *link != UINT32_MAX)
		copy_drop_route(copy, link);
	else if (!is_gone && *link != UINT32_MAX)
		copy->routes[*link].round = copy->round;
	else if (!is_gone)
		copy_add_route(copy, &route);
}

static void copy_replace_route(void *context, const struct netlink_route *told)
{
	struct kernel_copy *copy = context;
	struct netlink_route route = *told;
	uint32_t replaced = 0;

	if (route.table != NETLINK_TABLE_MAIN || route.to.length > 32 || !copy->bucket_count)
		return;
	route.to.address.v4 &= copy_mask(route.to.length);
	for (uint32_t *link = copy_bucket(copy, route.to.address, route.to.length);; replaced++) {
		link = copy_seek(copy, link, &route, copy_same_target);
		if (*link == UINT32_MAX)
			break;
		copy_drop_route(copy, link);
	}
	copy->is_stale |= replaced > 1; /* only the first was, if they were more than one */
}

static bool copy_is_better(const struct netlink_route *route, const struct netlink_route *best)
{
	return route->usable && (!best || route->metric < best->metric);
}

const struct netlink_route *kernel_copy_exact(const struct kernel_copy *copy, int ifindex, struct prefix prefix)
{
	const struct netlink_route *best = NULL;

	for (uint32_t at = copy->lengths[prefix.length] ? *copy_bucket(copy, prefix.address, prefix.length)
							: UINT32_MAX;
	     at != UINT32_MAX; at = copy->routes[at].next) {
		const struct netlink_route *route = &copy->routes[at].route;

		if (address_equal(route->to.address, prefix.address) && route->to.length == prefix.length &&
		    (ifindex ? route->unreachable || route->ifindex == ifindex : !route->unreachable) &&
		    copy_is_better(route, best))
			best = route;
	}
	return best;
}

const struct netlink_route *kernel_copy_route(const struct kernel_copy *copy, int ifindex, struct address destination)
{
	for (int length = 32; length >= 0; length--) {
		struct prefix prefix = {{destination.v4 & copy_mask((uint8_t)length)}, (uint8_t)length};
		const struct netlink_route *best =
			copy->lengths[length] ? kernel_copy_exact(copy, ifindex, prefix) : NULL;

		if (best)
			return best;
	}
	return NULL;
}

/* --- rules --- */

/* Of ours, all count; of others, those that come first: the kernel's own one at 0, if somebody puts it back. */
static void copy_take_rule(void *context, const struct netlink_rule *rule, bool is_gone)
{
	struct kernel_copy *copy = context;
	bool is_ours = rule->owner == NETLINK_OWNER && rule->preference >= KERNEL_PREFERENCE &&
		       rule->preference <= KERNEL_PREFERENCE_LAST;

	copy->rules_seen += is_ours && !is_gone;
	if (!copy->events.is_echo)
		copy->ours_changed |= (is_ours && is_gone) || (!rule->preference && !is_gone);
}

static void copy_take_setting(void *context, int ifindex)
{
	struct kernel_copy *copy = context;

	copy->ours_touched |= ifindex <= 0 || copy_is_device(copy, copy->request->lan, ifindex) ||
			      copy_is_device(copy, copy->request->wan, ifindex) ||
			      copy_is_device(copy, copy->request->tun, ifindex);
}

/* --- reading --- */

static void copy_sweep_routes(struct kernel_copy *copy)
{
	for (uint32_t i = 0; i < copy->route_count; i++) {
		const struct copied_route *item = &copy->routes[i];
		uint32_t *link;

		if (item->is_free || item->round == copy->round)
			continue;
		link = copy_bucket(copy, item->route.to.address, item->route.to.length);
		while (*link != i)
			link = &copy->routes[*link].next;
		copy_drop_route(copy, link);
	}
}

static void copy_sweep(struct kernel_copy *copy)
{
	for (uint32_t i = copy->stage == LINKS ? copy->link_count : 0; i-- > 0;)
		if (copy->links[i].round != copy->round)
			copy_drop_link(copy, i);
	for (uint32_t i = copy->stage == ADDRESSES ? copy->address_count : 0; i-- > 0;)
		if (copy->addresses[i].round != copy->round)
			copy_drop_address(copy, i);
	if (copy->stage == ROUTES)
		copy_sweep_routes(copy);
}

/* A question that the kernel does not take ends the reading: the next one tries again. */
static void copy_ask(struct kernel_copy *copy)
{
	static const struct {
		enum netlink_kind kind;
		uint32_t table;
	} stages[STAGES] = {
		[LINKS] = {NETLINK_LINKS, 0},
		[ADDRESSES] = {NETLINK_ADDRESSES, 0},
		[ROUTES] = {NETLINK_ROUTES, NETLINK_TABLE_MAIN},
		[OUR_ROUTES] = {NETLINK_ROUTES, KERNEL_TABLE},
		[OUR_RULES] = {NETLINK_RULES, 0},
	};

	if (!netlink_start_read(copy->netlink, stages[copy->stage].kind, stages[copy->stage].table))
		copy->stage = NONE;
}

static void copy_begin(struct kernel_copy *copy)
{
	copy->is_stale = copy->is_broken = copy->is_failed = false;
	copy->rules_seen = copy->routes_seen = 0;
	copy->round++;
	copy->stage = LINKS;
	copy_ask(copy);
}

static void copy_take_end(void *context, bool is_whole)
{
	struct kernel_copy *copy = context;

	if (copy->stage == NONE)
		return;
	if (is_whole && !copy->is_failed)
		copy_sweep(copy);
	copy->is_broken |= !is_whole;
	if (++copy->stage < STAGES) {
		copy_ask(copy);
		return;
	}
	copy->stage = NONE;
	copy->is_read = !copy->is_broken;
	copy->our_rules = copy->rules_seen;
	copy->our_routes = copy->routes_seen;
	copy->tries = copy->is_broken ? copy->tries + 1 : 0;
	copy->is_stale |= copy->is_broken && copy->tries < TRIES;
}

static void copy_take_neighbour(void *context, const struct netlink_neighbour *neighbour)
{
	const struct kernel_copy *copy = context;

	if (copy->neighbour)
		copy->neighbour(copy->context, neighbour);
}

void kernel_copy_open(struct kernel_copy *copy, struct netlink *netlink, const struct kernel_request *request,
		      void (*neighbour)(void *context, const struct netlink_neighbour *neighbour), void *context)
{
	*copy = (struct kernel_copy){.netlink = netlink,
				     .request = request,
				     .free_route = UINT32_MAX,
				     .stage = NONE,
				     .neighbour = neighbour,
				     .context = context};
	copy->events = (struct netlink_events){.context = copy,
					       .link = copy_take_link,
					       .address = copy_take_address,
					       .route = copy_take_route,
					       .replaced = copy_replace_route,
					       .rule = copy_take_rule,
					       .setting = copy_take_setting,
					       .neighbour = copy_take_neighbour,
					       .read = copy_take_end};
}

void kernel_copy_start(struct kernel_copy *copy)
{
	copy->is_stale = true;
	copy->tries = 0;
	if (copy->stage == NONE)
		copy_begin(copy);
}

void kernel_copy_follow(struct kernel_copy *copy)
{
	if (!netlink_read_events(copy->netlink, &copy->events))
		copy->is_lost = copy->is_stale = true;
	if (copy->is_stale && copy->stage == NONE)
		copy_begin(copy);
}

int kernel_copy_read(struct kernel_copy *copy)
{
	struct pollfd readable = {.fd = netlink_event_fd(copy->netlink), .events = POLLIN};

	for (kernel_copy_start(copy); copy->stage != NONE; kernel_copy_follow(copy))
		if (poll(&readable, 1, READ_MS) <= 0)
			return -EIO;
	return copy->is_failed ? -ENOMEM : copy->is_broken && copy->tries < TRIES ? -EIO : 0;
}
