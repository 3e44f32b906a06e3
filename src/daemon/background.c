/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parent and child are joined by a pipe: one byte through it means "I forward", its end without a byte means that the
 * child has ended, and then its exit code is the parent's. Until then the child keeps standard error, so that what goes
 * wrong is seen where it was started.
 */
#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/options.h"
#include "observe/log.h"

/* Waits for the child's word; the exit code. */
static int wait_for_child(pid_t child, int fd)
{
	char byte;
	int status;
	ssize_t got;

	do {
		got = read(fd, &byte, 1);
	} while (got < 0 && errno == EINTR);
	if (got == 1)
		return EXIT_OK;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_NETWORK;
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return 128 + WTERMSIG(status);
}

int background_start(int *ready_fd, struct log *log)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_write(log, LOG_ERR, "cannot make a pipe to the background process: %s", strerror(errno));
		return EXIT_NETWORK;
	}
	child = fork();
	if (child < 0) {
		log_write(log, LOG_ERR, "cannot start the background process: %s", strerror(errno));
		close(ends[0]);
		close(ends[1]);
		return EXIT_NETWORK;
	}
	if (child > 0) {
		close(ends[1]);
		_exit(wait_for_child(child, ends[0]));
	}
	close(ends[0]);
	setsid();
	if (chdir("/") < 0)
		log_write(log, LOG_WARNING, "cannot change to /: %s", strerror(errno));
	*ready_fd = ends[1];
	return EXIT_OK;
}

void background_ready(int ready_fd)
{
	int null;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	/* The parent may have been killed meanwhile; the daemon runs on. */
	if (write(ready_fd, "", 1) < 0)
		errno = 0;
	close(ready_fd);
}
