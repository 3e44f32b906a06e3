/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon: puts the parts together, runs until it is told to stop, and takes them apart again.
 */
#ifndef CULVERT_DAEMON_DAEMON_H
#define CULVERT_DAEMON_DAEMON_H

struct config;
struct options;

/* Starts, forwards packets until SIGTERM or SIGINT, and undoes every change to the kernel. Returns an exit code of
 * options.h. When a step of the start fails, those before it are undone. */
int daemon_run(const struct config *config, const struct options *options);

#endif
