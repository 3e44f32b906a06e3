/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which ports of the outside addresses are the router's own, and which of those the WAN may reach.
 *
 * Own are the ports that the operator names, those that the router's own connections get, and those that had a socket
 * at the start. Open are the ones that the operator names and, so that answers arrive, those of connections, but not
 * where a TCP socket listens. A connection that is up at the start goes on at any port.
 */
#ifndef CULVERT_IO_KERNEL_PORTS_H
#define CULVERT_IO_KERNEL_PORTS_H

#include <stdbool.h>

#include "io/kernel.h"
#include "io/kernel_change.h"

struct kernel_ports {
	struct netlink *diag;                 /* NULL: what changes behind us is not seen */
	struct port_set found_tcp, found_udp; /* in use at the start */
	struct port_set listening_tcp;        /* now */
	struct port_set unconnected_udp;      /* when all was looked at last */
	struct host_connection kept[HOST_CONNECTIONS_MAX];
	uint32_t kepts;
	bool sees_tcp, sees_udp; /* diag has found one of them, so it can tell when one has gone */
	uint32_t left_out;       /* connections that there was no room for */
	uint32_t watched;        /* which one is looked at next */
	uint32_t round;          /* of questions about them */
	bool gone[HOST_CONNECTIONS_MAX];
	bool is_listing; /* the kernel is being asked who listens */
	bool lists_ipv6;
	struct port_set listed; /* what it has said so far */
	bool has_changed;       /* listening_tcp, or who is kept */
};

/* Says what cannot be read, and goes without. made as in kernel_rules.h. */
struct kernel_ports_view {
	const struct kernel_ports_wanted *wanted;
	const struct kernel_links *links;
	const struct change_list *made;
	kernel_report *report;
	void *context;
};

/* Opens what kernel_ports_watch() needs. */
void kernel_ports_open(struct kernel_ports *ports);
void kernel_ports_close(struct kernel_ports *ports);

/* Looks at all sockets: those that listen, and the connections that are up. starting: the ports in use become ours. */
void kernel_ports_look(struct kernel_ports *ports, const struct kernel_ports_view *view, bool starting);
/* Looks quickly at some of what may have changed since, with lists also at who listens. True if something has. */
bool kernel_ports_watch(struct kernel_ports *ports, const struct kernel_links *links, bool lists);
/* Fills in the members of *links that are about ports. */
void kernel_ports_fill(const struct kernel_ports *ports, const struct kernel_ports_view *view,
		       struct kernel_links *links);
/* Tells the operator what is closed now, and why. */
void kernel_ports_report(const struct kernel_ports *ports, const struct kernel_ports_view *view);

#endif
