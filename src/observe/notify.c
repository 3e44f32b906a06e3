/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each message is one datagram of NAME=VALUE lines. It is sent to the address each time, so that a manager that was
 * started anew at the same place hears it as well, and never waited for.
 */
#include "observe/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "config/text.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "observe/log.h"

/* "/path", or "@name" for the abstract namespace. */
static bool read_address(struct notify *notify, const char *text)
{
	size_t length = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || length < 2 || length >= sizeof(notify->address.sun_path))
		return false;
	notify->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(notify->address.sun_path, text, length);
	if (text[0] == '@')
		notify->address.sun_path[0] = '\0';
	/* A path has its final NUL in the address, an abstract name ends with it. */
	notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (text[0] == '/'));
	return true;
}

/* False if text is no number from 1 to high. */
static bool read_number(const char *text, uint64_t high, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoumax(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && !errno && *number >= 1 && *number <= high;
}

/* The manager's watchdog, if it is for this process; half of its time, as sd_watchdog_enabled(3) advises. */
static void read_watchdog(struct notify *notify, struct log *log)
{
	const char *time = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
	uint64_t us, pid;

	if (!time)
		return;
	if (process && read_number(process, INT32_MAX, &pid) && pid != (uint64_t)getpid())
		return;
	if (!read_number(time, UINT64_MAX / 2, &us) || (process && !read_number(process, INT32_MAX, &pid))) {
		log_write(log, LOG_WARNING,
			  "WATCHDOG_USEC or WATCHDOG_PID is not a number; the watchdog gets no signal");
		return;
	}
	notify->watchdog_ms = us / 2000 ? us / 2000 : 1;
}

void notify_open(struct notify *notify, struct log *log)
{
	const char *text = getenv("NOTIFY_SOCKET");

	*notify = (struct notify){.fd = -1};
	if (!text || !text[0])
		return;
	if (!read_address(notify, text)) {
		log_write(
			log, LOG_WARNING,
			"NOTIFY_SOCKET is neither an absolute path nor @NAME, or is too long; the service manager gets no message");
		return;
	}
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify->fd < 0) {
		log_write(log, LOG_WARNING, "cannot make a socket to the service manager: %s", strerror(errno));
		return;
	}
	read_watchdog(notify, log);
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

/* A manager that does not listen is no reason to stop, and the log is where it looks next. */
static void tell(struct notify *notify, const char *message)
{
	if (notify->fd >= 0 && sendto(notify->fd, message, strlen(message), MSG_NOSIGNAL,
				      (const struct sockaddr *)&notify->address, notify->length) < 0)
		errno = 0;
}

void notify_ready(struct notify *notify)
{
	tell(notify, "READY=1\n");
}

/* The time shows the manager that this is the reload it has asked for; it counts microseconds of the same clock. */
void notify_reloading(struct notify *notify)
{
	char message[64];

	snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n", clock_now_us());
	tell(notify, message);
}

void notify_stopping(struct notify *notify)
{
	tell(notify, "STOPPING=1\n");
}

void notify_alive(struct notify *notify)
{
	tell(notify, "WATCHDOG=1\n");
}

void notify_status(struct notify *notify, const char *text)
{
	char status[NOTIFY_STATUS_MAX], message[NOTIFY_STATUS_MAX + 16];

	text_escape(status, sizeof(status), text);
	if (!strcmp(status, notify->status))
		return;
	memcpy(notify->status, status, sizeof(status));
	snprintf(message, sizeof(message), "STATUS=%s\n", status);
	tell(notify, message);
}

void notify_links(struct notify *notify, const char *lan, const struct kernel_links *links)
{
	char text[NOTIFY_STATUS_MAX], address[ADDRESS_TEXT];

	if (links->wan.ifindex == 0)
		snprintf(text, sizeof(text), "waiting for the WAN device to come back");
	else if (!links->wan.up)
		snprintf(text, sizeof(text), "waiting for the WAN device %s: it is down or has no carrier",
			 links->wan.name);
	else if (links->wan.address_count == 0)
		snprintf(text, sizeof(text), "waiting for an IPv4 address of the WAN device %s", links->wan.name);
	else
		snprintf(text, sizeof(text), "forwarding %s -> %s (%s)%s", lan, links->wan.name,
			 address_print(links->wan.addresses[0], address),
			 links->lan.up ? "" : "; the LAN device is down or has no carrier");
	notify_status(notify, text);
}
