/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rights: what culvertd needs to start, and giving up the rest once it runs.
 */
#ifndef CULVERT_DAEMON_PRIVILEGES_H
#define CULVERT_DAEMON_PRIVILEGES_H

#include <stdbool.h>

struct log;

/* Looks for CAP_NET_ADMIN, CAP_NET_RAW and /dev/net/tun (and, with a user to change to, CAP_SETUID and CAP_SETGID), and
 * says what is missing and how to get it. EXIT_OK, EXIT_PERMISSION, or EXIT_USAGE for a user that does not exist. */
int privileges_check(const char *user, struct log *log);

/* Creates the state directory (mode 0755) if it is not there and gives it to user. EXIT_OK or EXIT_FILE. */
int privileges_prepare_directory(const char *path, const char *user, struct log *log);

/*
 * To be called once everything is open: becomes user (if not NULL), keeps CAP_NET_ADMIN and CAP_NET_RAW only, and sees
 * to it that no program started from here can gain more. EXIT_OK or EXIT_PERMISSION; the process must not go on after a
 * failure.
 */
int privileges_drop(const char *user, struct log *log);

/* The last step of privileges_drop(): the system calls that a running daemon does not make fail from now on. Where the
 * kernel or the build has no filter for them, a warning or nothing. */
void privileges_filter_calls(struct log *log);
/* Was culvertd built with such a filter? */
bool privileges_have_filter(void);

#endif
