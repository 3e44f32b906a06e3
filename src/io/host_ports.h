/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sockets of the router itself that IPv4 packets may be meant for, from /proc/net.
 */
#ifndef CULVERT_IO_HOST_PORTS_H
#define CULVERT_IO_HOST_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/types.h>

/* Addresses and ports in host order; those that it does not have are 0. A socket in TIME_WAIT is none. */
struct host_socket {
	uint8_t protocol; /* TCP or UDP */
	bool is_server;   /* it listens; UDP: it is not connected, which may be a client's, too */
	bool is_up;       /* it is connected, or asks for it */
	struct address local, remote;
	uint16_t local_port, remote_port;
};

typedef void host_socket_visit(void *context, const struct host_socket *socket);

/* All sockets, IPv6 ones that take IPv4 included. 0 or a negative errno: what could be read has been visited then. */
int host_ports_visit(host_socket_visit *visit, void *context);

/* The same from one text in the format of /proc/net/tcp. For tests; host_ports_visit() does this with four files. */
int host_ports_read(const char *path, uint8_t protocol, host_socket_visit *visit, void *context);

#endif
