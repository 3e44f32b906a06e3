/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics over HTTP: GET /metrics on a Unix socket or a loopback port, and nothing else. It is made of libevent's
 * HTTP server.
 *
 * Peers may be hostile, and packets come first: METRICS_PEERS connections at one time (others wait in the kernel), one
 * request each, METRICS_PEER_S from its first to its last byte, small headers, no body. Tunnels are counted a piece a
 * round, the text is made METRICS_PAUSE_MS after the one before at the earliest, and all who wait get the same one.
 */
#ifndef CULVERT_OBSERVE_METRICS_HTTP_H
#define CULVERT_OBSERVE_METRICS_HTTP_H

#include <stddef.h>

enum {
	METRICS_PEERS = 16,
	METRICS_PEER_S = 10,
	METRICS_HEADERS_MAX = 8192, /* bytes */
	METRICS_PAUSE_MS = 100,
};

struct config;
struct engine;
struct event_base;
struct log;
struct metrics_census;
struct metrics_http;

/* Where the metrics come from. */
struct metrics_source {
	struct engine *engine;
	void *context;
	/* The page, to be freed, and its length; NULL if there is no memory. */
	char *(*text)(void *context, const struct metrics_census *census, size_t *length);
};

/* Listens where the configuration says, before rights are given up; user (NULL: nobody else) is who the Unix socket is
 * given to, *source is copied, base is libevent's. NULL with *exit_code EXIT_OK if the configuration says nothing; NULL
 * after having said why, with another one, if that failed. */
struct metrics_http *metrics_http_open(struct event_base *base, const struct metrics_source *source,
				       const struct config *config, const char *user, struct log *log, int *exit_code);
/* Lets go of all peers and removes the Unix socket. NULL is allowed. */
void metrics_http_close(struct metrics_http *http);

#endif
