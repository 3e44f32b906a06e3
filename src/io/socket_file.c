/* SPDX-License-Identifier: BSD-2-Clause */
/* Making and removing the file of a Unix socket. */
#include "io/socket_file.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* NULL if nothing is in the way of a new socket, else what it is. */
static const char *make_way(const struct sockaddr_un *address, const char *owner)
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
		return error && error != EAGAIN ? strerror(error) : owner;
	return unlink(address->sun_path) == 0 ? NULL : strerror(errno);
}

/* Never for a moment open to more people than in the end. */
static const char *make_file(struct socket_file *file, const struct sockaddr_un *address, const char *user, int queue)
{
	const struct passwd *owner = user ? getpwnam(user) : NULL;
	mode_t before = umask(0117);
	int error = bind(file->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	struct stat status = {0};

	umask(before);
	if (error)
		return strerror(error);
	if (owner && lchown(address->sun_path, owner->pw_uid, owner->pw_gid) < 0)
		error = errno;
	else if (lstat(address->sun_path, &status) < 0 || listen(file->fd, queue) < 0)
		error = errno;
	if (error) {
		unlink(address->sun_path);
		return strerror(error);
	}
	file->device = status.st_dev;
	file->inode = status.st_ino;
	file->group = status.st_gid;
	return NULL;
}

const char *socket_file_open(struct socket_file *file, const char *path, const char *user, int queue, const char *owner)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	const char *wrong;

	*file = (struct socket_file){.fd = -1};
	if (length >= sizeof(address.sun_path))
		return "the path is too long";
	memcpy(address.sun_path, path, length);
	memcpy(file->path, address.sun_path, sizeof(file->path));
	wrong = make_way(&address, owner);
	if (wrong)
		return wrong;
	file->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	wrong = file->fd < 0 ? strerror(errno) : make_file(file, &address, user, queue);
	if (wrong && file->fd >= 0) {
		close(file->fd);
		file->fd = -1;
	}
	return wrong;
}

bool socket_file_close(struct socket_file *file)
{
	struct stat status;
	int error = 0;

	if (file->fd < 0)
		return true;
	if (lstat(file->path, &status) == 0 && status.st_dev == file->device && status.st_ino == file->inode &&
	    unlink(file->path) < 0)
		error = errno;
	close(file->fd);
	file->fd = -1;
	errno = error;
	return error == 0;
}
