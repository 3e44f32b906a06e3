/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One culvertd for each network namespace. The lock is the name of an abstract Unix socket: names of these belong to
 * the network namespace, wherever the state directory is, and vanish with the process.
 */
#ifndef CULVERT_IO_KERNEL_LOCK_H
#define CULVERT_IO_KERNEL_LOCK_H

#include <sys/types.h>

/* A descriptor that holds the lock until it is closed, or a negative errno. -EADDRINUSE: *holder is the process that
 * has it, or 0 if that could not be found out. */
int kernel_lock_take(pid_t *holder);
/* Turns away those who asked who holds the lock; to be called now and then. */
void kernel_lock_serve(int lock);

#endif
