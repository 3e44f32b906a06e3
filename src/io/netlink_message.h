/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the netlink_*.c files: sending a message and reading the answers, with libnl's types.
 */
#ifndef CULVERT_IO_NETLINK_MESSAGE_H
#define CULVERT_IO_NETLINK_MESSAGE_H

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/netlink.h"

/* Two sockets: requests waits for each answer, events never waits. */
struct netlink {
	struct nl_sock *requests, *events;
	char *buffer; /* for one datagram that is not waited for */
	size_t size;  /* of buffer */
};

/* Called for each answer that is not an error. */
typedef void netlink_parse(void *context, struct nlmsghdr *header);

/* A message with its family's header; NULL if memory ran out. */
struct nl_msg *netlink_new_message(int type, int flags, const void *header, size_t size);
/* Sends message, waits for the acknowledgement, and frees message (which may be NULL). 0 or a negative errno. */
int netlink_request(struct netlink *netlink, struct nl_msg *message, netlink_parse *parse, void *context);
/* The same for a dump. It is asked for again if the kernel changed under it; parse sees the last answer only. */
int netlink_dump(struct netlink *netlink, struct nl_msg *message, netlink_parse *parse, void *context);

/* Takes one datagram that has come to sock, and gives its messages to take, without waiting. Its size; 0 if there is
 * none; a negative errno if one was lost. */
ssize_t netlink_receive(struct netlink *netlink, struct nl_sock *sock, netlink_parse *take, void *context);

/* Addresses go over netlink in network order. */
int netlink_put_address(struct nl_msg *message, int attribute, struct address address);
struct address netlink_get_address(const struct nlattr *attribute);

/* What a message says, that it is so or is no longer. False if it is about something else. */
bool netlink_parse_link(struct nlmsghdr *header, struct netlink_link *link);
bool netlink_parse_address(struct nlmsghdr *header, struct netlink_address *address);
bool netlink_parse_neighbour(struct nlmsghdr *header, struct netlink_neighbour *neighbour);
bool netlink_parse_rule(struct nlmsghdr *header, struct netlink_rule *rule);
/* A route with several next hops is visited once for each. */
void netlink_visit_route(struct nlmsghdr *header, netlink_route_visit *visit, void *context);

#endif
