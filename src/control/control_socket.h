/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of the control socket: making and removing it, and who is at the other end of a connection.
 */
#ifndef CULVERT_CONTROL_CONTROL_SOCKET_H
#define CULVERT_CONTROL_CONTROL_SOCKET_H

#include <stdbool.h>

#include "io/socket_file.h"

struct log;

struct control_socket {
	struct socket_file file;
};

/* Listens at path, with mode 0660, owned by user (NULL: us) and that user's group. EXIT_OK, EXIT_FILE or
 * EXIT_NETWORK, after having said why. */
int control_socket_open(struct control_socket *socket, const char *path, const char *user, struct log *log);
/* Removes the file, if it is still ours, and closes the socket. */
void control_socket_close(struct control_socket *socket, struct log *log);

enum { CONTROL_PEER_TEXT = 48 };

/* "root, process 4711", "user 1000, process 4711": who the peer was when it connected. */
void control_socket_print_peer(int peer, char text[CONTROL_PEER_TEXT]);
/* The peer is root, who we are, or a member of the socket's group. */
bool control_socket_admits(const struct control_socket *socket, int peer);

#endif
