/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Next hops on the WAN: the kernel's routes of that device say which neighbour, its neighbour table which MAC address.
 *
 * Looked up for every packet, so nothing here waits or makes a system call, except next_hop_ask(): what is not known is
 * noted, and asked when the packets at hand are through; the answer comes with the kernel's notifications. The kernel
 * does not see our packets, so it is told which neighbours are in use when it doubts them; else it would forget them.
 */
#ifndef CULVERT_IO_NEXT_HOP_H
#define CULVERT_IO_NEXT_HOP_H

#include <stdbool.h>
#include <stdint.h>

#include "io/kernel.h"
#include "io/kernel_copy.h"
#include "io/netlink.h"

struct next_hops;

/* NULL if memory ran out. copy: where the routes are. */
struct next_hops *next_hop_new(struct netlink *netlink, const struct kernel_copy *copy);
void next_hop_free(struct next_hops *hops);

/* Goes by this device from now on, and forgets all neighbours if it is another one, not as it was, or was_away. Until
 * it is up and has an address there is no next hop: the kernel is not made to ask for one, for without an address it
 * would do so in the name of the address that it has on the LAN. */
void next_hop_follow(struct next_hops *hops, const struct kernel_links *links, bool was_away);
/* Notifications were lost: the neighbours in use are asked for again. */
void next_hop_resync(struct next_hops *hops);
/* A notification, or an answer. */
void next_hop_update(struct next_hops *hops, const struct netlink_neighbour *from);
/* To be called every LOOP_TICK_MS: who was not used since the last but one call may give way to others. */
void next_hop_refresh(struct next_hops *hops);
/* Asks the kernel what has been noted: one system call at most, and none if there is nothing to ask. */
void next_hop_ask(struct next_hops *hops);

/* What next_hop_find() would say, as far as that is known without asking anybody. */
enum next_hop next_hop_peek(struct next_hops *hops, struct address destination);
/* The same for the gateway of the best default route; *gateway is 0 if it has none. */
enum next_hop next_hop_default(struct next_hops *hops, struct address *gateway);
enum next_hop next_hop_find(struct next_hops *hops, struct address destination, uint8_t mac[6]);

#endif
