/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who finds the name taken connects to it, and learns from the kernel whose it is.
 */
#include "io/kernel_lock.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAITING_MAX = 128 };

static const char lock_name[] = "\0culvertd";

static pid_t kernel_lock_ask(const struct sockaddr_un *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred holder = {0};
	socklen_t length = sizeof(holder);

	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)address, size) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &length))
		holder.pid = 0;
	close(fd);
	return holder.pid;
}

int kernel_lock_take(pid_t *holder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + sizeof(lock_name) - 1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;

	*holder = 0;
	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, lock_name, sizeof(lock_name) - 1);
	if (bind(fd, (const struct sockaddr *)&address, size)) {
		error = -errno;
		if (error == -EADDRINUSE)
			*holder = kernel_lock_ask(&address, size);
	} else if (listen(fd, WAITING_MAX)) {
		error = -errno;
	}
	if (!error)
		return fd;
	close(fd);
	return error;
}

void kernel_lock_serve(int lock)
{
	for (int i = 0; i < WAITING_MAX; i++) {
		int fd = accept4(lock, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;
		close(fd);
	}
}
