/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions about the sockets of this network namespace (sock_diag(7)).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "io/netlink_message.h"

enum {
	BYTES_AT_ONCE = 1 << 15, /* some 300 sockets */
	LISTENERS = UINT32_MAX,  /* the sequence number of a list */
};

/* The IPv4 address of an endpoint, or 0 for any; false if it has none. */
static bool netlink_diag_address(uint8_t family, const __be32 words[4], struct address *address)
{
	if (family == AF_INET) {
		*address = address_of(ntohl(words[0]));
		return true;
	}
	*address = address_of(ntohl(words[3]));
	return !words[0] && !words[1] && (words[2] == htonl(0xffff) || (!words[2] && !words[3]));
}

static bool netlink_ask_diag(struct netlink *diag, const struct inet_diag_req_v2 *request, uint32_t sequence)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} question = {.request = *request};

	question.header = (struct nlmsghdr){
		.nlmsg_len = sizeof(question),
		.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlmsg_flags = NLM_F_REQUEST | (sequence == LISTENERS ? NLM_F_DUMP : 0),
		.nlmsg_seq = sequence,
	};
	return send(nl_socket_get_fd(diag->requests), &question, sizeof(question), MSG_DONTWAIT) >= 0;
}

bool netlink_ask_listeners(struct netlink *diag, bool ipv6)
{
	struct inet_diag_req_v2 request = {
		.sdiag_family = ipv6 ? AF_INET6 : AF_INET,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1 << TCP_LISTEN,
	};

	return netlink_ask_diag(diag, &request, LISTENERS);
}

bool netlink_ask_connection(struct netlink *diag, const struct host_connection *connection, uint32_t number)
{
	struct inet_diag_req_v2 request = {
		.sdiag_family = AF_INET,
		.sdiag_protocol = (uint8_t)connection->protocol,
		.idiag_states = UINT32_MAX,
		.id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
	};
	/* The kernel looks a UDP socket up as if the request were a packet to it. */
	bool swapped = connection->protocol == IPPROTO_UDP;

	request.id.idiag_src[0] = htonl((swapped ? connection->remote : connection->local).v4);
	request.id.idiag_dst[0] = htonl((swapped ? connection->local : connection->remote).v4);
	request.id.idiag_sport = htons(swapped ? connection->remote_port : connection->local_port);
	request.id.idiag_dport = htons(swapped ? connection->local_port : connection->remote_port);
	return netlink_ask_diag(diag, &request, number);
}

static void netlink_take_socket(const struct netlink_sockets *to, const struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = nlmsg_data(header);
	uint8_t state = message->idiag_state;
	struct address address;

	/* Where a connection has gone, the socket that listens at its port is found. */
	if (header->nlmsg_seq != LISTENERS)
		to->connection(to->context, header->nlmsg_seq,
			       state != TCP_LISTEN && state != TCP_CLOSE && state != TCP_TIME_WAIT);
	else if (state == TCP_LISTEN && netlink_diag_address(message->idiag_family, message->id.idiag_src, &address))
		to->listener(to->context, address, ntohs(message->id.idiag_sport));
}

static void netlink_take_diag(void *context, struct nlmsghdr *header)
{
	const struct netlink_sockets *to = context;
	const struct nlmsgerr *refusal = nlmsg_data(header);
	bool is_list = header->nlmsg_seq == LISTENERS;

	if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY && nlmsg_datalen(header) >= (int)sizeof(struct inet_diag_msg))
		netlink_take_socket(to, header);
	else if (is_list && (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR))
		to->end(to->context); /* an error: a kernel without IPv6 */
	else if (header->nlmsg_type == NLMSG_ERROR && nlmsg_datalen(header) >= (int)sizeof(*refusal) &&
		 refusal->error == -ENOENT)
		to->connection(to->context, header->nlmsg_seq, false);
}

bool netlink_read_sockets(struct netlink *diag, struct netlink_sockets *to)
{
	ssize_t got = 1;

	for (ssize_t bytes = 0; got > 0 && bytes < BYTES_AT_ONCE; bytes += got)
		got = netlink_receive(diag, diag->requests, netlink_take_diag, to);
	return got >= 0;
}
