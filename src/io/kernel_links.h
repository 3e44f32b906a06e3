/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is true of the LAN and the WAN link, read from the kernel.
 */
#ifndef CULVERT_IO_KERNEL_LINKS_H
#define CULVERT_IO_KERNEL_LINKS_H

#include <stdbool.h>
#include <stddef.h>

#include "io/kernel.h"
#include "io/netlink.h"

enum { KERNEL_DEVICES_TEXT_MAX = 256 };

/* Things that are wrong, for the caller to complain about. */
struct kernel_trouble {
	bool overlap; /* an outside address left out because its prefix is the LAN's, too */
	struct prefix overlap_lan, overlap_wan;
	uint32_t addresses_left_out, prefixes_left_out; /* there was no room for them */
	bool lan_has_default;                           /* a default route leads to the LAN: the two may be swapped */
	bool swapped;                                   /* and none to the WAN, which could have one */
};

/*
 * Fills in links->wan and links->lan and leaves the rest alone. A device that is not there has index 0. The LAN's
 * prefixes are those of its addresses and of the routes through it, but for routes that hold a prefix of the WAN. 0 or
 * a negative errno.
 */
int kernel_links_read(struct netlink *netlink, const char *lan, const char *wan, struct kernel_links *links,
		      struct kernel_trouble *trouble);

/* Says what is wrong, and what to do about it. */
void kernel_links_report(const struct kernel_trouble *trouble, const struct kernel_request *request,
			 kernel_report *report, void *context);

/* The device of the best default route in table main; "" if there is none. 0 or a negative errno. */
int kernel_links_find_default(struct netlink *netlink, char name[IFNAMSIZ]);

/* The names of all devices, for people: "eth0, eth1". */
void kernel_links_list(struct netlink *netlink, char text[KERNEL_DEVICES_TEXT_MAX]);

/* The state of one device. False if there is none of that name. */
bool kernel_links_find(struct netlink *netlink, const char *name, struct netlink_link *link);

#endif
