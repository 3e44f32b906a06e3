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

#include "io/netlink_message.h"

struct listener_visit {
	void (*visit)(void *context, uint32_t address, uint16_t port);
	void *context;
};

/* The IPv4 address of an endpoint, or 0 for any; false if it has none. */
static bool netlink_diag_address(uint8_t family, const __be32 words[4], uint32_t *address)
{
	if (family == AF_INET) {
		*address = ntohl(words[0]);
		return true;
	}
	*address = ntohl(words[3]);
	return !words[0] && !words[1] && (words[2] == htonl(0xffff) || (!words[2] && !words[3]));
}

static void netlink_parse_listener(void *context, struct nlmsghdr *header)
{
	const struct listener_visit *to = context;
	const struct inet_diag_msg *message = nlmsg_data(header);
	uint32_t address;

	if (nlmsg_datalen(header) >= (int)sizeof(*message) && message->idiag_state == TCP_LISTEN &&
	    netlink_diag_address(message->idiag_family, message->id.idiag_src, &address))
		to->visit(to->context, address, ntohs(message->id.idiag_sport));
}

int netlink_dump_listeners(struct netlink *diag, void (*visit)(void *context, uint32_t address, uint16_t port),
			   void *context)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct listener_visit to = {visit, context};
	int result = 0;

	for (size_t i = 0; i < sizeof(families) && !result; i++) {
		struct inet_diag_req_v2 request = {
			.sdiag_family = families[i],
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1 << TCP_LISTEN,
		};

		result = netlink_dump(diag,
				      netlink_new_message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof(request)),
				      netlink_parse_listener, &to);
		if (families[i] == AF_INET6 && result == -ENOENT)
			result = 0; /* a kernel without IPv6 */
	}
	return result;
}

static void netlink_keep_state(void *context, struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = nlmsg_data(header);
	uint8_t *state = context;

	if (nlmsg_datalen(header) >= (int)sizeof(*message))
		*state = message->idiag_state;
}

int netlink_find_connection(struct netlink *diag, const struct host_connection *connection)
{
	struct inet_diag_req_v2 request = {
		.sdiag_family = AF_INET,
		.sdiag_protocol = (uint8_t)connection->protocol,
		.idiag_states = UINT32_MAX,
		.id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
	};
	/* The kernel looks a UDP socket up as if the request were a packet to it. */
	bool swapped = connection->protocol == IPPROTO_UDP;
	uint8_t state = 0;
	int error;

	request.id.idiag_src[0] = htonl(swapped ? connection->remote : connection->local);
	request.id.idiag_dst[0] = htonl(swapped ? connection->local : connection->remote);
	request.id.idiag_sport = htons(swapped ? connection->remote_port : connection->local_port);
	request.id.idiag_dport = htons(swapped ? connection->local_port : connection->remote_port);
	error = netlink_request(diag, netlink_new_message(SOCK_DIAG_BY_FAMILY, 0, &request, sizeof(request)),
				netlink_keep_state, &state);
	if (error)
		return error;
	/* Where the connection has gone, the socket that listens at its port is found. */
	return state == TCP_LISTEN || state == TCP_CLOSE || state == TCP_TIME_WAIT ? -ENOENT : 0;
}
