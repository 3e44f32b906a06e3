/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket on which metrics are asked for.
 */
#ifndef CULVERT_OBSERVE_METRICS_LISTEN_H
#define CULVERT_OBSERVE_METRICS_LISTEN_H

#include "io/socket_file.h"

struct log;

struct metrics_listener {
	struct socket_file file; /* of a port only its fd counts */
};

/* A non-blocking socket that listens where [metrics] listen says, "unix:/PATH" or "ADDRESS:PORT"; a Unix socket has
 * mode 0660 and is owned by user (NULL: us) and that user's group. What a dead process left is replaced. EXIT_OK,
 * EXIT_FILE or EXIT_NETWORK, after having said why. */
int metrics_listen_open(struct metrics_listener *listener, const char *text, const char *user, struct log *log);
/* Removes the file, if it is still ours, and closes the socket. */
void metrics_listen_close(struct metrics_listener *listener);

#endif
