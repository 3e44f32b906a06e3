/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is true of the LAN and the WAN link, read from the kernel.
 */
#ifndef CULVERT_IO_KERNEL_LINKS_H
#define CULVERT_IO_KERNEL_LINKS_H

#include <stdbool.h>
#include <stddef.h>

#include "io/kernel.h"
#include "io/kernel_copy.h"

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
 * prefixes are those of its addresses and of the routes through it, but for routes that hold a prefix of the WAN.
 */
void kernel_links_read(const struct kernel_copy *copy, struct kernel_links *links, struct kernel_trouble *trouble);

/* Whether they say the same; generations aside. */
bool kernel_links_same_wan(const struct kernel_links *a, const struct kernel_links *b);
bool kernel_links_same(const struct kernel_links *a, const struct kernel_links *b);
bool kernel_links_same_trouble(const struct kernel_trouble *a, const struct kernel_trouble *b);

/* Says what is wrong, and what to do about it. */
void kernel_links_report(const struct kernel_trouble *trouble, const struct kernel_request *request,
			 kernel_report *report, void *context);

/* The device of the best default route in table main; NULL if there is none. */
const struct netlink_link *kernel_links_default(const struct kernel_copy *copy);

/* Names the WAN, unless the request names it: the device of the default route. "" if there is none. */
void kernel_links_name_wan(const struct kernel_copy *copy, struct kernel_request *request);

/* The names of all devices, for people: "eth0, eth1". */
void kernel_links_list(const struct kernel_copy *copy, char text[KERNEL_DEVICES_TEXT_MAX]);

#endif
