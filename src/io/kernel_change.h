/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One change to the kernel's configuration, as data. The same data is applied, undone, compared, printed as the command
 * a person would type (--dry-run), and written to and read from the journal, which is made of those commands.
 */
#ifndef CULVERT_IO_KERNEL_CHANGE_H
#define CULVERT_IO_KERNEL_CHANGE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/netlink.h"
#include "io/sysctl.h"

enum {
	/* Rules take preferences 100 to 112, see kernel_rules.c. */
	KERNEL_PREFERENCE = 100,
	KERNEL_PREFERENCE_LAST = 112,
	KERNEL_TABLE = 2747,
	CHANGE_TEXT_MAX = 2 * SYSCTL_VALUE_MAX + SYSCTL_PATH_MAX + 64,
};

/* The IPv4 dummy address (RFC 7600): the TUN's own, never seen on a wire. */
#define KERNEL_HOP_ADDRESS address_of(UINT32_C(0xc0000008))

enum change_kind { CHANGE_SYSCTL, CHANGE_LINK, CHANGE_ADDRESS, CHANGE_ROUTE, CHANGE_RULE, CHANGE_RULE_GONE };

struct change {
	enum change_kind kind;
	bool optional; /* culvert works without it */
	bool once;     /* made at start, and then left to whoever else changes it */
	char device[IFNAMSIZ];
	union {
		struct {
			char path[SYSCTL_PATH_MAX];
			char value[SYSCTL_VALUE_MAX], before[SYSCTL_VALUE_MAX];
		} sysctl;
		struct {
			uint32_t mtu, mtu_before; /* mtu_before 0: not known */
			bool up_before;
		} link;
		struct prefix address;
		struct netlink_route route; /* its ifindex stands for device, and is looked up when it is needed */
		struct netlink_rule rule;
	};
};

struct change_list {
	struct change *items;
	uint32_t count, capacity;
};

enum change_result {
	CHANGE_DONE = 0,
	CHANGE_NOTHING, /* it was so already */
	CHANGE_FOREIGN, /* undo: somebody else has changed it since; left alone */
};

/* The next free item of list, zeroed; NULL if memory ran out. */
struct change *change_list_add(struct change_list *list);
void change_list_free(struct change_list *list);
/* Makes room for count items in all; false if memory ran out. */
bool change_list_reserve(struct change_list *list, uint32_t count);
/* The item about the same thing, whatever value it gives it, or NULL. Looks first at index near: like lists are
 * compared a lot. */
struct change *change_list_find(const struct change_list *list, const struct change *change, uint32_t near);

/* An enum change_result or a negative errno. */
int change_apply(const struct change *change, struct netlink *netlink);
int change_undo(const struct change *change, struct netlink *netlink);

/* The command, without a newline; with what was there before as a comment, where that is needed to undo it. */
void change_print(const struct change *change, char text[CHANGE_TEXT_MAX]);
/* The exact inverse. False for any text that change_print() would not write of one of culvert's own changes. */
bool change_parse(struct change *change, const char *text);

#endif
