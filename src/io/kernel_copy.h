/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A copy of what the kernel has: links, IPv4 addresses, and the routes of table main, of whatever device. It is read
 * once, and then follows the notifications. It is read again, a piece at a time, when the kernel may have changed
 * without saying so: routes go silently with a link or an address, and notifications may be lost.
 */
#ifndef CULVERT_IO_KERNEL_COPY_H
#define CULVERT_IO_KERNEL_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "io/kernel.h"
#include "io/netlink.h"

struct copied_link {
	struct netlink_link link;
	uint32_t round; /* of the last reading that has seen it, or what said that it is there */
};

struct copied_address {
	struct netlink_address address;
	uint32_t round;
};

struct copied_route {
	struct netlink_route route;
	uint32_t round;
	uint32_t next; /* in its bucket, or of those that are free */
	bool is_free;
};

/* Arrays without order, except that addresses come as the kernel has them. */
struct kernel_copy {
	const struct kernel_request *request;
	struct netlink *netlink;
	struct copied_link *links;
	uint32_t link_count, link_capacity;
	struct copied_address *addresses;
	uint32_t address_count, address_capacity;
	struct copied_route *routes;
	uint32_t route_count, route_capacity; /* count: with those that are free */
	uint32_t free_route;
	uint32_t *buckets, bucket_count;
	uint32_t lengths[33]; /* routes by the length of their prefix */
	/* the reading under way */
	int stage;
	uint32_t round, tries;
	bool is_broken; /* it has not seen all */
	bool is_stale;  /* there must be another one after it */
	bool is_failed; /* memory ran out */
	uint32_t rules_seen, routes_seen;
	struct netlink_events events;
	/* For who follows the copy, who sets them back. */
	uint32_t route_changes; /* grows with each change of a route */
	bool links_changed;     /* what kernel_links_read() says may be something else */
	bool ours_changed;      /* something that culvert has made is gone, or something comes before it */
	bool ours_touched;      /* a setting or the TUN has changed, perhaps by culvert */
	bool wan_was_away;      /* the WAN device was down, if only for a moment, or is another one */
	bool is_lost;           /* notifications were lost */
	bool is_read;           /* a reading is through; it found this many that are marked as culvert's */
	uint32_t our_rules, our_routes;
	void (*neighbour)(void *context, const struct netlink_neighbour *neighbour);
	void *context;
};

/* request is looked at whenever something changes. neighbour hears what is said of neighbours. */
void kernel_copy_open(struct kernel_copy *copy, struct netlink *netlink, const struct kernel_request *request,
		      void (*neighbour)(void *context, const struct netlink_neighbour *neighbour), void *context);
void kernel_copy_close(struct kernel_copy *copy);

/* Reads all, and waits for it. 0 or a negative errno. */
int kernel_copy_read(struct kernel_copy *copy);
/* Has all read again by and by, by kernel_copy_follow(). */
void kernel_copy_start(struct kernel_copy *copy);
/* Takes a bounded number of the notifications and pieces that have come. */
void kernel_copy_follow(struct kernel_copy *copy);

/* NULL if there is none. */
const struct netlink_link *kernel_copy_link(const struct kernel_copy *copy, const char *name);
const struct netlink_link *kernel_copy_device(const struct kernel_copy *copy, int ifindex);
/* The route to destination, of those through the device and those that are unreachable: of the longest prefix the one
 * with the least metric. */
const struct netlink_route *kernel_copy_route(const struct kernel_copy *copy, int ifindex, struct address destination);
/* The best route to exactly this prefix, of the same ones; 0: of those through any device. */
const struct netlink_route *kernel_copy_exact(const struct kernel_copy *copy, int ifindex, struct prefix prefix);

#endif
