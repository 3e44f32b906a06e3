/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop: who wants to be called when what happens.
 */
#ifndef CULVERT_DAEMON_LOOP_H
#define CULVERT_DAEMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

enum loop_source { LOOP_LAN, LOOP_WAN, LOOP_KERNEL, LOOP_SOURCES };

/* Called with context. A source is asked about again as long as it is readable, and sources take turns: a handler does
 * a bounded piece of work and returns. */
struct loop_handlers {
	void *context;
	void (*readable)(void *context, enum loop_source source);
	void (*signalled)(void *context, int number); /* TERM, INT, HUP, USR1 or USR2 */
	void (*ticked)(void *context);                /* every LOOP_TICK_MS */
	void (*expired)(void *context);               /* when the time of loop_set_timer() is over */
	void (*beat)(void *context);                  /* every time of loop_set_beat() */
};

enum { LOOP_TICK_MS = 2000 };

struct loop;

/* NULL, with errno set, if there is no memory or no epoll. Blocks no signal and leaves all others alone. */
struct loop *loop_new(const struct loop_handlers *handlers);
void loop_free(struct loop *loop); /* NULL is allowed */

/* Watches fd for that source from now on, in place of what it watched before; -1: nothing. False if that failed. */
bool loop_watch(struct loop *loop, enum loop_source source, int fd);

/* Calls expired() once, after that many milliseconds; forgets the time set before. UINT64_MAX: not at all. */
void loop_set_timer(struct loop *loop, uint64_t delay_ms);

/* Calls beat() every that many milliseconds from now on, at least 1. False if there is no memory. */
bool loop_set_beat(struct loop *loop, uint64_t interval_ms);

/* Runs until loop_stop(). False if waiting itself failed. */
bool loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* libevent's own handle, for those who serve sockets. */
struct event_base;
struct event_base *loop_base(struct loop *loop);

/* For the version line. */
const char *loop_library_version(void);

#endif
