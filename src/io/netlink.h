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
	struct address address;
	uint8_t length; /* of the prefix */
	bool secondary;
	bool link_scope; /* or narrower: no address that others could answer to */
};

/* A route, or one next hop of a route with several. */
struct netlink_route {
	uint32_t table, metric;
	struct prefix to;
	uint8_t service;        /* the TOS of packets that it is for; 0: any */
	int ifindex;            /* 0: none */
	struct address gateway; /* none: on the link */
	bool unreachable;       /* unreachable, prohibit, blackhole or throw */
	bool usable;            /* its gateway is one that we understand */
	bool ours;
};

typedef void netlink_route_visit(void *context, const struct netlink_route *route);

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
	struct address address;
	enum netlink_resolution resolution;
	bool permanent; /* set by the administrator: nothing to resolve */
	bool stale;     /* nobody has confirmed it of late, and the kernel will not ask as long as nobody uses it */
	bool is_answer; /* to netlink_ask_neighbours(); then also NETLINK_ABSENT, or FAILED if the kernel does not ask
			 */
	uint8_t mac[6];
};

enum { NETLINK_ASKS_MAX = 64 };

struct netlink_ask {
	struct address address;
	bool use; /* tells the kernel that it is in use: the kernel resolves or confirms it; else asks what it knows */
};

struct netlink *netlink_new(int *error); /* NULL, with *error set to a negative errno */
/* The same for questions about sockets, and for nothing else. */
struct netlink *netlink_new_diag(int *error);
void netlink_free(struct netlink *netlink);

int netlink_dump_routes(struct netlink *netlink, uint32_t table, netlink_route_visit *visit, void *context);
int netlink_dump_rules(struct netlink *netlink, void (*visit)(void *context, const struct netlink_rule *rule),
		       void *context);

/* The device called name; false if there is none. */
bool netlink_find_link(struct netlink *netlink, const char *name, struct netlink_link *link);

int netlink_set_link(struct netlink *netlink, int ifindex, uint32_t mtu, bool up);
int netlink_add_address(struct netlink *netlink, int ifindex, struct prefix address);
int netlink_delete_address(struct netlink *netlink, int ifindex, struct prefix address);
/* route: table, metric, to, and either ifindex or unreachable. */
int netlink_add_route(struct netlink *netlink, const struct netlink_route *route);
int netlink_delete_route(struct netlink *netlink, const struct netlink_route *route);
int netlink_add_rule(struct netlink *netlink, const struct netlink_rule *rule);
int netlink_delete_rule(struct netlink *netlink, const struct netlink_rule *rule);

/* What the kernel answers about sockets. It does so at once, so that what is asked may be read the next moment, without
 * waiting; a long list comes in pieces. */
struct netlink_sockets {
	void *context;
	/* A TCP socket listens and takes IPv4; address 0 is any. */
	void (*listener)(void *context, struct address address, uint16_t port);
	void (*end)(void *context); /* of the list of those */
	/* There is the connection of that number, or there is none, or the kernel cannot tell. */
	void (*connection)(void *context, uint32_t number, bool is_there);
};

/* False if the kernel did not take the question. A list at a time. Those that listen are a table of their own in the
 * kernel, so it is quick however many connections there are. */
bool netlink_ask_listeners(struct netlink *diag, bool ipv6);
/* number: less than UINT32_MAX. */
bool netlink_ask_connection(struct netlink *diag, const struct host_connection *connection, uint32_t number);
/* A bounded piece of work. False if something was lost. */
bool netlink_read_sockets(struct netlink *diag, struct netlink_sockets *to);

/* What the kernel says without being waited for: notifications, answers to what is asked below, and the pieces of what
 * is read. */
struct netlink_events {
	void *context;
	void (*link)(void *context, const struct netlink_link *link, bool is_gone);
	void (*address)(void *context, const struct netlink_address *address, bool is_gone);
	/* A route with several next hops is told of once for each. replaced: first those are gone that are for the same
	 * prefix, service and metric. */
	void (*route)(void *context, const struct netlink_route *route, bool is_gone);
	void (*replaced)(void *context, const struct netlink_route *route);
	void (*rule)(void *context, const struct netlink_rule *rule, bool is_gone);
	void (*setting)(void *context, int ifindex); /* one of /proc/sys/net/ipv4/conf; 0 or less: of all devices */
	void (*neighbour)(void *context, const struct netlink_neighbour *neighbour);
	void (*read)(void *context, bool is_whole); /* the last piece has come; whole: nothing changed meanwhile */
	bool is_echo; /* set for the calls: this is what another request of this netlink's has done */
};

int netlink_event_fd(const struct netlink *netlink);
/* A bounded piece of work, without waiting. False if something was lost, so that all is to be read again. */
bool netlink_read_events(struct netlink *netlink, struct netlink_events *events);

/* Has all of a kind read, a piece with each netlink_read_events(). One kind at a time. */
enum netlink_kind { NETLINK_LINKS, NETLINK_ADDRESSES, NETLINK_ROUTES, NETLINK_RULES };
/* table: of routes. False if the kernel did not take the question. */
bool netlink_start_read(struct netlink *netlink, enum netlink_kind kind, uint32_t table);
/* Asks for at most NETLINK_ASKS_MAX neighbours of a device in one system call, and does not wait: the answers come with
 * the events. An answer may be lost like any other event. */
void netlink_ask_neighbours(struct netlink *netlink, int ifindex, const struct netlink_ask *asks, uint32_t count);

#endif
