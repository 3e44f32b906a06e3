/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two netlink sockets. One is for requests, and waits for each answer: changes of ours, and what is read at the start.
 * The other one never waits: notifications come to it, and the answers to questions that are asked while packets flow.
 */
#include "io/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "io/netlink_message.h"

enum {
	RECEIVE_BUFFER = 1 << 20,
	/* A dump is repeated when the kernel changed under it; a table that changes all the time is taken as it comes.
	 */
	DUMP_TRIES = 4,
};

struct answer {
	netlink_parse *parse;
	void *context;
	uint32_t sequence;
	int error; /* negative errno the kernel sent */
	bool done;
};

static int netlink_valid_callback(struct nl_msg *message, void *context)
{
	struct answer *answer = context;

	if (answer->parse)
		answer->parse(answer->context, nlmsg_hdr(message));
	return NL_OK;
}

/* The answer to a request that was given up must not be taken for the answer to this one. */
static int netlink_sequence_callback(struct nl_msg *message, void *context)
{
	const struct answer *answer = context;

	return nlmsg_hdr(message)->nlmsg_seq == answer->sequence ? NL_OK : NL_SKIP;
}

static int netlink_done_callback(struct nl_msg *message, void *context)
{
	struct answer *answer = context;
	const struct nlmsghdr *header = nlmsg_hdr(message);
	int error;

	/* A dump that failed says so at its end. */
	if (header->nlmsg_type == NLMSG_DONE && nlmsg_datalen(header) >= (int)sizeof(error)) {
		memcpy(&error, nlmsg_data(header), sizeof(error));
		answer->error = error < 0 ? error : 0;
	}
	answer->done = true;
	return NL_STOP;
}

static int netlink_error_callback(struct sockaddr_nl *from, struct nlmsgerr *error, void *context)
{
	struct answer *answer = context;

	(void)from;
	answer->error = error->error;
	answer->done = true;
	return NL_STOP;
}

/* libnl has error numbers of its own; only these can come from a socket rather than from the kernel's answer. */
static int netlink_to_errno(int error)
{
	switch (-error) {
	case NLE_AGAIN:
		return -EAGAIN;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
		return -EPERM;
	case NLE_DUMP_INTR:
		return -EINTR;
	default:
		return -EIO;
	}
}

struct nl_msg *netlink_new_message(int type, int flags, const void *header, size_t size)
{
	struct nl_msg *message = nlmsg_alloc_simple(type, flags);

	if (message && nlmsg_append(message, (void *)(uintptr_t)header, size, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

static int netlink_exchange(struct netlink *netlink, struct nl_msg *message, struct answer *answer)
{
	struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
	int result = -ENOMEM;

	if (!callbacks)
		return result;
	nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, netlink_valid_callback, answer);
	nl_cb_set(callbacks, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, netlink_sequence_callback, answer);
	nl_cb_set(callbacks, NL_CB_ACK, NL_CB_CUSTOM, netlink_done_callback, answer);
	nl_cb_set(callbacks, NL_CB_FINISH, NL_CB_CUSTOM, netlink_done_callback, answer);
	nl_cb_err(callbacks, NL_CB_CUSTOM, netlink_error_callback, answer);
	result = nl_send_auto(netlink->requests, message);
	answer->sequence = nlmsg_hdr(message)->nlmsg_seq;
	while (result >= 0 && !answer->done)
		result = nl_recvmsgs(netlink->requests, callbacks);
	nl_cb_put(callbacks);
	if (answer->error)
		return answer->error;
	return result < 0 ? netlink_to_errno(result) : 0;
}

int netlink_request(struct netlink *netlink, struct nl_msg *message, netlink_parse *parse, void *context)
{
	struct answer answer = {.parse = parse, .context = context};
	int result;

	if (!message)
		return -ENOMEM;
	result = netlink_exchange(netlink, message, &answer);
	nlmsg_free(message);
	return result;
}

/* The messages of a dump, one behind the other, each aligned. */
struct dump {
	char *data;
	size_t used, size;
	bool failed;
};

static void netlink_keep_message(void *context, struct nlmsghdr *header)
{
	struct dump *dump = context;
	size_t length = NLMSG_ALIGN(header->nlmsg_len);

	if (dump->failed)
		return;
	if (length > dump->size - dump->used) {
		size_t size = 2 * (dump->size + length) + RECEIVE_BUFFER / 64;
		char *data = realloc(dump->data, size);

		dump->failed = !data;
		if (!data)
			return;
		dump->data = data;
		dump->size = size;
	}
	memcpy(dump->data + dump->used, header, header->nlmsg_len);
	dump->used += length;
}

int netlink_dump(struct netlink *netlink, struct nl_msg *message, netlink_parse *parse, void *context)
{
	struct dump dump = {0};
	int result = -ENOMEM;

	for (int i = 0; message && i < DUMP_TRIES; i++) {
		struct answer answer = {.parse = netlink_keep_message, .context = &dump};

		dump.used = 0;
		nlmsg_hdr(message)->nlmsg_seq = NL_AUTO_SEQ;
		result = netlink_exchange(netlink, message, &answer);
		if (result != -EINTR)
			break;
	}
	nlmsg_free(message);
	if (result == -EINTR)
		result = 0;
	if (dump.failed)
		result = -ENOMEM;
	for (size_t at = 0; !result && at < dump.used;) {
		struct nlmsghdr *header = (struct nlmsghdr *)(void *)(dump.data + at);

		at += NLMSG_ALIGN(header->nlmsg_len);
		parse(context, header);
	}
	free(dump.data);
	return result;
}

int netlink_put_address(struct nl_msg *message, int attribute, struct address address)
{
	return nla_put_u32(message, attribute, htonl(address.v4));
}

struct address netlink_get_address(const struct nlattr *attribute)
{
	bool is_there = attribute && nla_len(attribute) == sizeof(uint32_t);

	return address_of(is_there ? ntohl(nla_get_u32(attribute)) : 0);
}

static struct nl_sock *netlink_connect(int protocol, int *error)
{
	struct nl_sock *sock = nl_socket_alloc();
	int on = 1;

	*error = -ENOMEM;
	if (!sock)
		return NULL;
	*error = nl_connect(sock, protocol);
	if (*error < 0) {
		*error = errno ? -errno : -EIO;
		nl_socket_free(sock);
		return NULL;
	}
	nl_socket_set_buffer_size(sock, RECEIVE_BUFFER, 0);
	/* Lets the kernel filter dumps. An old kernel does not know it, and then we filter alone. */
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return sock;
}

static int netlink_subscribe(struct nl_sock *sock)
{
	int result;

	result = nl_socket_add_memberships(sock, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE,
					   RTNLGRP_IPV4_RULE, RTNLGRP_IPV4_NETCONF, RTNLGRP_NEIGH, 0);
	if (!result)
		result = nl_socket_set_nonblocking(sock);
	return result ? -EIO : 0;
}

static struct netlink *netlink_new_requests(int protocol, int *error)
{
	/* The kernel never keeps anybody waiting; should it, better an error than a daemon that hangs. */
	struct timeval limit = {.tv_sec = 10};
	struct netlink *netlink = calloc(1, sizeof(*netlink));

	*error = -ENOMEM;
	if (!netlink)
		return NULL;
	netlink->requests = netlink_connect(protocol, error);
	if (netlink->requests) {
		setsockopt(nl_socket_get_fd(netlink->requests), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		return netlink;
	}
	netlink_free(netlink);
	return NULL;
}

struct netlink *netlink_new_diag(int *error)
{
	return netlink_new_requests(NETLINK_SOCK_DIAG, error);
}

struct netlink *netlink_new(int *error)
{
	struct netlink *netlink = netlink_new_requests(NETLINK_ROUTE, error);

	if (!netlink)
		return NULL;
	netlink->events = netlink_connect(NETLINK_ROUTE, error);
	if (netlink->events)
		*error = netlink_subscribe(netlink->events);
	if (*error) {
		netlink_free(netlink);
		return NULL;
	}
	return netlink;
}

void netlink_free(struct netlink *netlink)
{
	if (!netlink)
		return;
	nl_socket_free(netlink->requests);
	nl_socket_free(netlink->events);
	free(netlink->buffer);
	free(netlink);
}
