/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ports that sockets of the router itself use, from /proc/net: they must not be given to mappings, and their
 * packets must reach the kernel.
 */
#ifndef CULVERT_IO_HOST_PORTS_H
#define CULVERT_IO_HOST_PORTS_H

#include <stdint.h>

#include <culvert/engine.h>

/* Adds the local ports of sockets that listen or are connected on any address, or on one of addresses (host order),
 * IPv6 sockets that take IPv4 included. 0 or a negative errno: what could be read has been added then. */
int host_ports_find(const uint32_t *addresses, uint32_t count, struct port_set *tcp, struct port_set *udp);

/* The same from one text in the format of /proc/net/tcp. For tests; host_ports_find() does this with four files. */
int host_ports_read(const char *path, const uint32_t *addresses, uint32_t count, struct port_set *ports);

#endif
