/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Going into the background: the parent waits until the child forwards packets, and exits with the child's code if it
 * never does.
 */
#ifndef CULVERT_DAEMON_BACKGROUND_H
#define CULVERT_DAEMON_BACKGROUND_H

struct log;

/* Forks. 0 in the child, with *ready_fd for background_ready(); an exit code if there is no child. The parent does not
 * return. */
int background_start(int *ready_fd, struct log *log);

/* Tells the parent that all is well and lets go of the terminal. Nothing happens for -1. To be called once. */
void background_ready(int ready_fd);

#endif
