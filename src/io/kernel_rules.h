/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What culvert wants of the kernel, as a list of changes: computed from facts, without touching anything.
 */
#ifndef CULVERT_IO_KERNEL_RULES_H
#define CULVERT_IO_KERNEL_RULES_H

#include <stdbool.h>

#include "io/kernel.h"
#include "io/kernel_change.h"

struct kernel_facts {
	const char *lan, *wan, *tun;
	const struct kernel_links *links;
	uint32_t tun_mtu_before; /* 0: there is no TUN yet */
	bool tun_up_before;
	const struct change_list *made; /* changes of ours: where they say what was before them, that counts */
};

/* Appends the changes to list, in the order in which they are to be made. False if memory ran out. */
bool kernel_rules_build(struct change_list *list, const struct kernel_facts *facts);

/* The ports that the kernel gives to the router's own connections: ours, if the range can be set, else as it is. made
 * as above. False if the kernel's range could not be read. */
bool kernel_rules_own_range(const struct change_list *made, uint32_t *first, uint32_t *last);

/* The range of ports that the router's own connections should get. True if it is another one and cannot be set. */
bool kernel_rules_lack_range(char wanted[SYSCTL_VALUE_MAX]);

#endif
