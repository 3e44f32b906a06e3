/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of a Unix socket that listens. It outlives a process that dies, so a file that is there is asked: who
 * refuses the connection is dead, and its file is replaced.
 */
#ifndef CULVERT_IO_SOCKET_FILE_H
#define CULVERT_IO_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

struct socket_file {
	int fd; /* -1: none */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	dev_t device;
	ino_t inode;
	gid_t group;
};

/* A non-blocking socket that listens at path, which must fit, with mode 0660, owned by user (NULL: us) and that user's
 * group. NULL, or why not; nothing is open then. owner names who else may have it, for that text. */
const char *socket_file_open(struct socket_file *file, const char *path, const char *user, int queue,
			     const char *owner);
/* Removes the file, if it is still ours, and closes the socket. False, with errno set, if the file had to stay. */
bool socket_file_close(struct socket_file *file);

#endif
