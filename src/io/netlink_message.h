/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the netlink_*.c files: sending a message and reading the answers, with libnl's types.
 */
#ifndef CULVERT_IO_NETLINK_MESSAGE_H
#define CULVERT_IO_NETLINK_MESSAGE_H

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdint.h>

#include "io/netlink.h"

/* Called for each answer that is not an error. */
typedef void netlink_parse(void *context, struct nlmsghdr *header);

/* A message with its family's header; NULL if memory ran out. */
struct nl_msg *netlink_new_message(int type, int flags, const void *header, size_t size);
/* Sends message, waits for the acknowledgement, and frees message (which may be NULL). 0 or a negative errno. */
int netlink_request(struct netlink *netlink, struct nl_msg *message, netlink_parse *parse, void *context);
/* The same for a dump. It is asked for again if the kernel changed under it; parse sees the last answer only. */
int netlink_dump(struct netlink *netlink, struct nl_msg *message, netlink_parse *parse, void *context);

/* Addresses go over netlink in network order. */
int netlink_put_address(struct nl_msg *message, int attribute, uint32_t address);
uint32_t netlink_get_address(const struct nlattr *attribute);

/* False if the message is none, or not about an IPv4 neighbour. */
bool netlink_parse_neighbour(struct nlmsghdr *header, struct netlink_neighbour *neighbour);

#endif
