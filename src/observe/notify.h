/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the service manager is told: the protocol of sd_notify(3), spoken without its library. Everything here does
 * nothing if the daemon was not started by one ($NOTIFY_SOCKET).
 */
#ifndef CULVERT_OBSERVE_NOTIFY_H
#define CULVERT_OBSERVE_NOTIFY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { NOTIFY_STATUS_MAX = 256 };

struct kernel_links;
struct log;

struct notify {
	int fd; /* -1: nobody listens */
	struct sockaddr_un address;
	socklen_t length;
	uint64_t watchdog_ms;           /* how often it wants to hear notify_alive(); 0: not at all */
	char status[NOTIFY_STATUS_MAX]; /* that was told last */
};

/* Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. What is wrong with them is a warning, never the end. */
void notify_open(struct notify *notify, struct log *log);
void notify_close(struct notify *notify);

/* The start or a reload is over. */
void notify_ready(struct notify *notify);
/* A reload begins. */
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify);
void notify_alive(struct notify *notify);
/* One line for people about what goes on; told if it is another one than the last time. */
void notify_status(struct notify *notify, const char *text);
/* The same, made of the links: the first thing that keeps packets from being forwarded, or that they are. */
void notify_links(struct notify *notify, const char *lan, const struct kernel_links *links);

#endif
