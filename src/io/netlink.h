/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links, addresses, routes, rules and neighbours of the kernel as plain data, over libnl.
 *
 * Addresses, ports and prefixes are in host byte order. Functions that return int give 0 or a negative errno.
 * A dump calls visit once for each object, in the kernel's order.
 */
#ifndef CULVERT_IO_NETLINK_H
#define CULVERT_IO_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <culvert/types.h>

enum {
	/* Marks the rules and routes that are ours, as "protocol 202" of ip(8). */
	NETLINK_OWNER = 202,
	NETLINK_TABLE_MAIN = 254,
	NETLINK_TABLE_LOCAL = 255,
};

struct netlink;

struct netlink_link {
	int ifindex;
	char name[IFNAMSIZ];
	bool admin_up, carrier;
	bool ethernet; /* has a link header with MAC addresses */
	bool arp;      /* resolves its neighbours */
	uint8_t mac[6];
	uint32_t mtu;
};

struct netlink_address {
	int ifindex;
	uint32_t address;
	uint8_t length; /* of the prefix */
	bool secondary;
	bool link_scope; /* or narrower: no address that others could answer to */
};

/* A route, or one next hop of a route with several. */
struct netlink_route {
	uint32_t table, metric;
	struct prefix to;
	int ifindex;      /* 0: none */
	uint32_t gateway; /* 0: on the link */
	bool unreachable; /* unreachable, prohibit, blackhole or throw */
	bool usable;      /* its link is up, and its gateway one that we understand */
	bool ours;
};

enum netlink_action { NETLINK_LOOKUP, NETLINK_GOTO, NETLINK_BLACKHOLE, NETLINK_UNREACHABLE };

/* A policy rule. Members that are 0 or empty match anything. */
struct netlink_rule {
	uint32_t preference;
	bool invert; /* matches what the selectors do not */
	struct prefix from, to;
	char iif[IFNAMSIZ];
	uint8_t protocol;
	uint16_t source_port;
	uint16_t port_first, port_last; /* destination ports */
	enum netlink_action action;
	uint32_t table; /* of NETLINK_LOOKUP; of NETLINK_GOTO the preference to go on with */
	uint8_t owner;  /* "protocol" of ip(8) */
};

enum netlink_resolution { NETLINK_ABSENT, NETLINK_INCOMPLETE, NETLINK_RESOLVED, NETLINK_FAILED };

struct netlink_neighbour {
	int ifindex;
	uint32_t address;
	enum netlink_resolution resolution;
	bool permanent; /* set by the administrator: nothing to resolve */
	bool stale;     /* nobody has confirmed it of late, and the kernel will not ask as long as nobody uses it */
	bool is_answer; /* to netlink_ask_neighbours(); then also NETLINK_ABSENT, or FAILED if the kernel does not ask
			 */
	uint8_t mac[6];
};

enum { NETLINK_ASKS_MAX = 64 };

struct netlink_ask {
	uint32_t address;
	bool use; /* tells the kernel that it is in use: the kernel resolves or confirms it; else asks what it knows */
};

struct netlink *netlink_new(int *error); /* NULL, with *error set to a negative errno */
/* The same for questions about sockets, and for nothing else. */
struct netlink *netlink_new_diag(int *error);
void netlink_free(struct netlink *netlink);

int netlink_dump_links(struct netlink *netlink, void (*visit)(void *context, const struct netlink_link *link),
		       void *context);
int netlink_dump_addresses(struct netlink *netlink, void (*visit)(void *context, const struct netlink_address *address),
			   void *context);
int netlink_dump_routes(struct netlink *netlink, uint32_t table,
			void (*visit)(void *context, const struct netlink_route *route), void *context);
int netlink_dump_rules(struct netlink *netlink, void (*visit)(void *context, const struct netlink_rule *rule),
		       void *context);

/* The index of the device called name, or 0. */
int netlink_find_link(struct netlink *netlink, const char *name);

int netlink_set_link(struct netlink *netlink, int ifindex, uint32_t mtu, bool up);
int netlink_add_address(struct netlink *netlink, int ifindex, struct prefix address);
int netlink_delete_address(struct netlink *netlink, int ifindex, struct prefix address);
/* route: table, metric, to, and either ifindex or unreachable. */
int netlink_add_route(struct netlink *netlink, const struct netlink_route *route);
int netlink_delete_route(struct netlink *netlink, const struct netlink_route *route);
int netlink_add_rule(struct netlink *netlink, const struct netlink_rule *rule);
int netlink_delete_rule(struct netlink *netlink, const struct netlink_rule *rule);

/* TCP sockets that listen and take IPv4; address 0 is any. A table of its own in the kernel, so it is quick however
 * many connections there are. */
int netlink_dump_listeners(struct netlink *diag, void (*visit)(void *context, uint32_t address, uint16_t port),
			   void *context);
/* Looks for the socket of a connection. -ENOENT: there is none, or the kernel cannot tell. */
int netlink_find_connection(struct netlink *diag, const struct host_connection *connection);

/* What netlink_read_events() saw. */
struct netlink_events {
	bool changed; /* links, addresses, routes or rules: look again */
	bool rules;   /* among them, rules */
	bool lost;    /* notifications were lost: look again at everything */
	void (*neighbour)(void *context, const struct netlink_neighbour *neighbour);
	void *context;
};

int netlink_event_fd(const struct netlink *netlink);
void netlink_read_events(struct netlink *netlink, struct netlink_events *events);
/* Asks for at most NETLINK_ASKS_MAX neighbours of a device in one system call, and does not wait: the answers come with
 * the events. An answer may be lost like any other event. */
void netlink_ask_neighbours(struct netlink *netlink, int ifindex, const struct netlink_ask *asks, uint32_t count);

#endif
