/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket that never waits. What is read comes to it between the notifications, so that both are taken in the order
 * in which the kernel said them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/netlink_message.h"

enum {
	/* The kernel makes the pieces of what is read as large as the buffer, so this is also how long a piece takes:
	 * about 250 routes, a tenth of a millisecond. It grows if there is a message that does not fit. */
	BUFFER_SIZE = 1 << 14,
	/* Read in one go, so that neither a flood of notifications nor a large table can stop the packets. */
	BYTES_AT_ONCE = 1 << 13,
};

int netlink_event_fd(const struct netlink *netlink)
{
	return nl_socket_get_fd(netlink->events);
}

/* What the kernel refused to tell or to do, as what it means for the neighbour that was asked for. */
static void netlink_take_refusal(const struct nlmsghdr *header, const struct netlink_events *events)
{
	const struct nlmsgerr *refusal = nlmsg_data(header);
	struct netlink_neighbour neighbour = {.address = address_of(header->nlmsg_seq), .is_answer = true};

	if (nlmsg_datalen(header) < (int)sizeof(*refusal) || !refusal->error)
		return;
	if (refusal->msg.nlmsg_type != RTM_GETNEIGH && refusal->msg.nlmsg_type != RTM_NEWNEIGH) {
		events->read(events->context, refusal->error == -ENOENT); /* a table that is empty does not exist */
		return;
	}
	if (refusal->msg.nlmsg_type == RTM_NEWNEIGH)
		neighbour.resolution = NETLINK_FAILED;
	events->neighbour(events->context, &neighbour);
}

static void netlink_take_end(const struct nlmsghdr *header, const struct netlink_events *events)
{
	int error = 0;

	if (nlmsg_datalen(header) >= (int)sizeof(error))
		memcpy(&error, nlmsg_data(header), sizeof(error));
	events->read(events->context, (!error || error == -ENOENT) && !(header->nlmsg_flags & NLM_F_DUMP_INTR));
}

struct route_event {
	const struct netlink_events *events;
	bool is_gone, is_replacing;
};

static void netlink_take_route(void *context, const struct netlink_route *route)
{
	struct route_event *event = context;

	if (event->is_replacing)
		event->events->replaced(event->events->context, route);
	event->is_replacing = false; /* the next one is another next hop of it */
	event->events->route(event->events->context, route, event->is_gone);
}

static void netlink_take_setting(struct nlmsghdr *header, const struct netlink_events *events)
{
	struct nlattr *attributes[NETCONFA_MAX + 1];

	if (nlmsg_parse(header, sizeof(struct netconfmsg), attributes, NETCONFA_MAX, NULL) >= 0 &&
	    attributes[NETCONFA_IFINDEX])
		events->setting(events->context, (int)nla_get_u32(attributes[NETCONFA_IFINDEX]));
}

static void netlink_take_event(const struct netlink *netlink, struct nlmsghdr *header, struct netlink_events *events)
{
	int type = header->nlmsg_type;
	struct route_event route = {events, type == RTM_DELROUTE,
				    type == RTM_NEWROUTE && (header->nlmsg_flags & NLM_F_REPLACE)};
	struct netlink_link link;
	struct netlink_address address;
	struct netlink_rule rule;
	struct netlink_neighbour neighbour;

	events->is_echo = header->nlmsg_pid == nl_socket_get_local_port(netlink->requests);
	if (type == NLMSG_ERROR)
		netlink_take_refusal(header, events);
	else if (type == NLMSG_DONE)
		netlink_take_end(header, events);
	else if (type == RTM_NEWNETCONF)
		netlink_take_setting(header, events);
	else if (netlink_parse_link(header, &link))
		events->link(events->context, &link, type == RTM_DELLINK);
	else if (netlink_parse_address(header, &address))
		events->address(events->context, &address, type == RTM_DELADDR);
	else if (netlink_parse_rule(header, &rule))
		events->rule(events->context, &rule, type == RTM_DELRULE);
	else if (netlink_parse_neighbour(header, &neighbour)) {
		neighbour.is_answer = header->nlmsg_pid == nl_socket_get_local_port(netlink->events);
		events->neighbour(events->context, &neighbour);
	} else {
		netlink_visit_route(header, netlink_take_route, &route);
	}
}

static bool netlink_grow(struct netlink *netlink, size_t size)
{
	char *buffer = size > netlink->size ? malloc(size) : NULL;

	if (buffer) {
		free(netlink->buffer);
		netlink->buffer = buffer;
		netlink->size = size;
	}
	return buffer;
}

ssize_t netlink_receive(struct netlink *netlink, struct nl_sock *sock, netlink_parse *take, void *context)
{
	struct sockaddr_nl from = {.nl_pid = 1};
	socklen_t size = sizeof(from);
	ssize_t got;
	int left;

	if (!netlink->buffer && !netlink_grow(netlink, BUFFER_SIZE))
		return -ENOMEM;
	got = recvfrom(nl_socket_get_fd(sock), netlink->buffer, netlink->size, MSG_DONTWAIT | MSG_TRUNC,
		       (struct sockaddr *)&from, &size);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if ((size_t)got > netlink->size) {
		netlink_grow(netlink, NLMSG_ALIGN((size_t)got) + BUFFER_SIZE);
		return -ENOBUFS;
	}
	left = (int)got;
	for (struct nlmsghdr *header = (struct nlmsghdr *)(void *)netlink->buffer;
	     from.nl_pid == 0 && nlmsg_ok(header, left); header = nlmsg_next(header, &left))
		take(context, header);
	return got;
}

struct event_reading {
	const struct netlink *netlink;
	struct netlink_events *events;
};

static void netlink_take_message(void *context, struct nlmsghdr *header)
{
	const struct event_reading *reading = context;

	netlink_take_event(reading->netlink, header, reading->events);
}

bool netlink_read_events(struct netlink *netlink, struct netlink_events *events)
{
	struct event_reading reading = {netlink, events};
	ssize_t got = 1;

	for (ssize_t bytes = 0; got > 0 && bytes < BYTES_AT_ONCE; bytes += got)
		got = netlink_receive(netlink, netlink->events, netlink_take_message, &reading);
	return got >= 0;
}

bool netlink_start_read(struct netlink *netlink, enum netlink_kind kind, uint32_t table)
{
	struct table_question {
		struct rtmsg route;
		struct nlattr name;
		uint32_t table;
	};
	static const struct {
		uint16_t type, size; /* size: of what follows the header of every message */
		uint8_t family;
	} kinds[] = {
		[NETLINK_LINKS] = {RTM_GETLINK, sizeof(struct ifinfomsg), AF_UNSPEC},
		[NETLINK_ADDRESSES] = {RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET},
		[NETLINK_ROUTES] = {RTM_GETROUTE, sizeof(struct table_question), AF_INET},
		[NETLINK_RULES] = {RTM_GETRULE, sizeof(struct fib_rule_hdr), AF_INET},
	};
	struct {
		struct nlmsghdr header;
		union {
			uint8_t family; /* each begins with it */
			struct ifinfomsg link;
			struct table_question route;
		};
	} question = {.link = {.ifi_family = kinds[kind].family}};

	question.header = (struct nlmsghdr){
		.nlmsg_len = NLMSG_HDRLEN + kinds[kind].size,
		.nlmsg_type = kinds[kind].type,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	};
	if (kind == NETLINK_ROUTES) {
		question.route.name = (struct nlattr){sizeof(struct nlattr) + sizeof(uint32_t), RTA_TABLE};
		question.route.table = table;
	}
	return send(nl_socket_get_fd(netlink->events), &question, question.header.nlmsg_len, MSG_DONTWAIT) >= 0;
}

void netlink_ask_neighbours(struct netlink *netlink, int ifindex, const struct netlink_ask *asks, uint32_t count)
{
	struct {
		struct nlmsghdr header;
		struct ndmsg neighbour;
		struct nlattr name;
		uint32_t address;
	} questions[NETLINK_ASKS_MAX] = {0};

	for (uint32_t i = 0; i < count; i++) {
		questions[i].header = (struct nlmsghdr){
			.nlmsg_len = sizeof(questions[i]),
			.nlmsg_type = asks[i].use ? RTM_NEWNEIGH : RTM_GETNEIGH,
			.nlmsg_flags = NLM_F_REQUEST | (asks[i].use ? NLM_F_CREATE : 0),
			.nlmsg_seq = asks[i].address.v4,
		};
		questions[i].neighbour = (struct ndmsg){
			.ndm_family = AF_INET, .ndm_ifindex = ifindex, .ndm_flags = asks[i].use ? NTF_USE : 0};
		questions[i].name.nla_len = sizeof(struct nlattr) + sizeof(uint32_t);
		questions[i].name.nla_type = NDA_DST;
		questions[i].address = htonl(asks[i].address.v4);
	}
	/* What it does not take is asked again by and by. */
	(void)send(nl_socket_get_fd(netlink->events), questions, count * sizeof(questions[0]), MSG_DONTWAIT);
}
