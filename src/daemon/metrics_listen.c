/* SPDX-License-Identifier: BSD-2-Clause */
/* A socket file outlives a process that dies, so a file that is there is asked: who refuses the connection is dead. */
#include "daemon/metrics_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "daemon/log.h"
#include "daemon/text.h"

enum { QUEUE = 64 };

static int refuse(struct metrics_listener *listener, const char *text, const char *why, int exit_code, struct log *log)
{
	log_write(log, LOG_ERR, "metrics can not be served at %s: %s; see [metrics] listen", text, why);
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	return exit_code;
}

/* NULL if nothing is in the way of a new socket, else what it is. */
static const char *make_way(const struct sockaddr_un *address)
{
	struct stat status;
	int fd, error;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? NULL : strerror(errno);
	if (!S_ISSOCK(status.st_mode))
		return "something that is not a socket is in its place";
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return strerror(errno);
	error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	close(fd);
	if (error != ECONNREFUSED)
		return error && error != EAGAIN ? strerror(error) : "another process serves it";
	return unlink(address->sun_path) == 0 ? NULL : strerror(errno);
}

/* Never for a moment open to more people than in the end. */
static const char *make_file(struct metrics_listener *listener, const struct sockaddr_un *address, const char *user)
{
	const struct passwd *owner = user ? getpwnam(user) : NULL;
	mode_t before = umask(0117);
	int error = bind(listener->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	struct stat status = {0};

	umask(before);
	if (error)
		return strerror(error);
	if (owner && lchown(address->sun_path, owner->pw_uid, owner->pw_gid) < 0)
		error = errno;
	else if (lstat(address->sun_path, &status) < 0)
		error = errno;
	if (error) {
		unlink(address->sun_path);
		return strerror(error);
	}
	listener->device = status.st_dev;
	listener->inode = status.st_ino;
	memcpy(listener->path, address->sun_path, sizeof(listener->path));
	return NULL;
}

static const char *open_file(struct metrics_listener *listener, const char *path, const char *user)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	const char *wrong;

	if (length >= sizeof(address.sun_path))
		return "the path is too long";
	memcpy(address.sun_path, path, length);
	wrong = make_way(&address);
	if (wrong)
		return wrong;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return listener->fd < 0 ? strerror(errno) : make_file(listener, &address, user);
}

static const char *open_port(struct metrics_listener *listener, const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	uint32_t host;
	uint16_t port;
	int on = 1;

	if (!text_endpoint(text, &host, &port))
		return "that is no address and port";
	address.sin_addr.s_addr = htonl(host);
	address.sin_port = htons(port);
	listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0 || setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(listener->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return strerror(errno);
	return NULL;
}

int metrics_listen_open(struct metrics_listener *listener, const char *text, const char *user, struct log *log)
{
	bool is_file = strncmp(text, "unix:", 5) == 0;
	const char *wrong;

	*listener = (struct metrics_listener){.fd = -1};
	wrong = is_file ? open_file(listener, text + 5, user) : open_port(listener, text);
	if (!wrong && listen(listener->fd, QUEUE) < 0)
		wrong = strerror(errno);
	return wrong ? refuse(listener, text, wrong, is_file ? EXIT_FILE : EXIT_NETWORK, log) : EXIT_OK;
}

void metrics_listen_close(struct metrics_listener *listener)
{
	struct stat status;

	if (listener->fd < 0)
		return;
	/* One that can not be removed is replaced by the next start. */
	if (listener->path[0] && lstat(listener->path, &status) == 0 && status.st_dev == listener->device &&
	    status.st_ino == listener->inode && unlink(listener->path) < 0)
		errno = 0;
	close(listener->fd);
	listener->fd = -1;
}
