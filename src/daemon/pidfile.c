/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pid file. The lock is the truth, the number in it is for people: a file that nobody locks is a leftover and is
 * taken over.
 */
#include "daemon/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/options.h"
#include "observe/log.h"

enum { TRIES = 3 };

/* Says who holds the lock. */
static void report_holder(int fd, const char *path, struct log *log)
{
	char text[16] = "";
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	text[got > 0 ? got : 0] = '\0';
	text[strspn(text, "0123456789")] = '\0';
	if (text[0])
		log_write(log, LOG_ERR, "culvertd is running already: process %s holds %s", text, path);
	else
		log_write(log, LOG_ERR, "culvertd is running already: another process holds %s", path);
}

/* True if path still names the file behind fd: its last owner may have removed it while we waited for nothing. */
static bool still_there(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
	       ours.st_ino == named.st_ino;
}

/* An open and locked fd, -1 after having said why not. */
static int open_locked(const char *path, struct log *log)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644);
		struct stat status;

		if (fd < 0) {
			log_write(log, LOG_ERR, "cannot open the pid file %s: %s", path,
				  errno == ELOOP ? "it is a symbolic link" : strerror(errno));
			return -1;
		}
		if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
			log_write(log, LOG_ERR, "the pid file %s is not a regular file", path);
		} else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK)
				report_holder(fd, path, log);
			else
				log_write(log, LOG_ERR, "cannot lock the pid file %s: %s", path, strerror(errno));
		} else if (still_there(fd, path)) {
			return fd;
		} else {
			close(fd);
			continue;
		}
		close(fd);
		return -1;
	}
	log_write(log, LOG_ERR, "the pid file %s is removed each time it is made", path);
	return -1;
}

int pidfile_open(struct pidfile *pidfile, const char *path, struct log *log)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	pidfile->path = path;
	pidfile->fd = open_locked(path, log);
	if (pidfile->fd < 0)
		return EXIT_FILE;
	if (ftruncate(pidfile->fd, 0) == 0 && pwrite(pidfile->fd, text, (size_t)length, 0) == length)
		return EXIT_OK;
	log_write(log, LOG_ERR, "cannot write the pid file %s: %s", path, strerror(errno));
	pidfile_close(pidfile);
	return EXIT_FILE;
}

void pidfile_close(struct pidfile *pidfile)
{
	if (pidfile->fd < 0)
		return;
	if (unlink(pidfile->path) < 0 && ftruncate(pidfile->fd, 0) < 0)
		errno = 0; /* a leftover without a lock is taken over by the next start */
	close(pidfile->fd);
	pidfile->fd = -1;
}
