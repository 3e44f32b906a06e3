/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics over HTTP: GET /metrics on a Unix socket or a loopback port, and nothing else. Part of the loop, because
 * it is made of libevent's HTTP server.
 *
 * Peers may be hostile, and packets come first: METRICS_PEERS connections at one time (others wait in the kernel), one
 * request each, METRICS_PEER_S from its first to its last byte, small headers, no body. Tunnels are counted a piece a
 * round, the text is made METRICS_PAUSE_MS after the one before at the earliest, and all who wait get the same one.
 */
#ifndef CULVERT_DAEMON_METRICS_HTTP_H
#define CULVERT_DAEMON_METRICS_HTTP_H

enum {
	METRICS_PEERS = 16,
	METRICS_PEER_S = 10,
	METRICS_HEADERS_MAX = 8192, /* bytes */
	METRICS_PAUSE_MS = 100,
};

struct loop;
struct metrics_http;
struct router;

/* Listens where the configuration says, before rights are given up; *router is copied. NULL with *exit_code EXIT_OK if
 * it says nothing; NULL after having said why, with another one, if that failed. */
struct metrics_http *metrics_http_open(struct loop *loop, const struct router *router, int *exit_code);
/* Lets go of all peers and removes the Unix socket. NULL is allowed. */
void metrics_http_close(struct metrics_http *http);

#endif
