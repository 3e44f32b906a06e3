/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A socket file outlives a process that dies, so a file that is there is asked: who refuses the connection is dead.
 */
#include "daemon/control_socket.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "daemon/log.h"

enum { QUEUE = 1024, GROUPS_MAX = 256 };

static int refuse(struct control_socket *control, const char *what, const char *why, struct log *log)
{
	log_write(log, LOG_ERR, "the control socket %s %s: %s; see [control] socket", control->path, what, why);
	if (control->fd >= 0)
		close(control->fd);
	control->fd = -1;
	return EXIT_FILE;
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
		return error && error != EAGAIN ? strerror(error) : "another culvertd serves it";
	return unlink(address->sun_path) == 0 ? NULL : strerror(errno);
}

/* Never for a moment open to more people than in the end. */
static const char *make_file(struct control_socket *control, const struct sockaddr_un *address, const char *user)
{
	const struct passwd *owner = user ? getpwnam(user) : NULL;
	mode_t before = umask(0117);
	int error = bind(control->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	struct stat status = {0};

	umask(before);
	if (error)
		return strerror(error);
	if (owner && lchown(address->sun_path, owner->pw_uid, owner->pw_gid) < 0)
		error = errno;
	else if (lstat(address->sun_path, &status) < 0 || listen(control->fd, QUEUE) < 0)
		error = errno;
	if (error) {
		unlink(address->sun_path);
		return strerror(error);
	}
	control->device = status.st_dev;
	control->inode = status.st_ino;
	control->group = status.st_gid;
	return NULL;
}

int control_socket_open(struct control_socket *control, const char *path, const char *user, struct log *log)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	const char *wrong;

	control->fd = -1;
	if (length >= sizeof(address.sun_path)) {
		log_write(log, LOG_ERR,
			  "the path of the control socket is longer than %zu bytes: give a shorter one in [control] "
			  "socket",
			  sizeof(address.sun_path) - 1);
		return EXIT_FILE;
	}
	memcpy(address.sun_path, path, length);
	memcpy(control->path, address.sun_path, sizeof(control->path));
	wrong = make_way(&address);
	if (wrong)
		return refuse(control, "can not be made", wrong, log);
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0)
		return refuse(control, "can not be made", strerror(errno), log);
	wrong = make_file(control, &address, user);
	return wrong ? refuse(control, "can not be made", wrong, log) : EXIT_OK;
}

void control_socket_close(struct control_socket *control, struct log *log)
{
	struct stat status;

	if (control->fd < 0)
		return;
	if (lstat(control->path, &status) == 0 && status.st_dev == control->device && status.st_ino == control->inode &&
	    unlink(control->path) < 0)
		log_write(log, LOG_NOTICE, "the control socket %s is left there (%s); the next start replaces it",
			  control->path, strerror(errno));
	close(control->fd);
	control->fd = -1;
}

/* The kernel says who the peer was when it connected. */
bool control_socket_admits(const struct control_socket *control, int peer)
{
	struct ucred who;
	gid_t groups[GROUPS_MAX];
	socklen_t length = sizeof(who);

	if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0)
		return false;
	if (who.uid == 0 || who.uid == geteuid() || who.gid == control->group)
		return true;
	length = sizeof(groups);
	if (getsockopt(peer, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0)
		return false;
	for (size_t i = 0; i < length / sizeof(groups[0]); i++)
		if (groups[i] == control->group)
			return true;
	return false;
}
