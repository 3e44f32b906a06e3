/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pid file: holds our process number and a lock that ends with the process.
 */
#ifndef CULVERT_DAEMON_PIDFILE_H
#define CULVERT_DAEMON_PIDFILE_H

struct log;

struct pidfile {
	int fd; /* -1: none */
	const char *path;
};

/* Creates and locks path, which is kept by the caller, and writes our process number. Symbolic links are not followed.
 * EXIT_OK, or EXIT_FILE after having said why (if another process holds it: which). */
int pidfile_open(struct pidfile *pidfile, const char *path, struct log *log);
/* Removes the file, or empties it where we may no longer remove it. */
void pidfile_close(struct pidfile *pidfile);

#endif
