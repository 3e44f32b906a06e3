/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A descriptor that does not wait, for each kind of target. O_NONBLOCK belongs to the open file description, which
 * standard error shares with whoever started the daemon; so a pipe or a terminal is opened anew by its name below
 * /proc, and a socket is asked not to wait with each line. A thread that waits in our place would need the rights and
 * the filter of system calls of the main thread, for nothing but a slow disk.
 */
#include "observe/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* Is standard error connected to the journal? It says so by naming the device and inode it gave us. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat status;
	uintmax_t device, inode;
	char *end;

	if (!stream || fstat(STDERR_FILENO, &status) < 0)
		return false;
	errno = 0;
	device = strtoumax(stream, &end, 10);
	if (errno || *end != ':')
		return false;
	inode = strtoumax(end + 1, &end, 10);
	return !errno && !*end && device == status.st_dev && inode == status.st_ino;
}

void log_sink_start(struct log_sink *sink)
{
	*sink = (struct log_sink){.fd = -1, .own_stderr = -1};
	sink->target = stderr_is_journal() ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
}

/* Only once: later the rights to do so may be gone. */
static void stop_waiting(struct log_sink *sink)
{
	struct stat status;

	if (sink->own_stderr >= 0 || sink->is_socket || sink->asks_first || fstat(STDERR_FILENO, &status) < 0)
		return;
	sink->is_socket = S_ISSOCK(status.st_mode);
	if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))
		return;
	sink->own_stderr = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	sink->asks_first = sink->own_stderr < 0;
}

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);
}

static const char *reason(void)
{
	return errno == ELOOP ? "it is a symbolic link" : strerror(errno);
}

static void set_target(struct log_sink *sink, enum log_target target, int fd, const char *path)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->target = target;
	sink->fd = fd;
	if (path != sink->path)
		snprintf(sink->path, sizeof(sink->path), "%s", path);
}

/* Connects anew when the daemon has gone and come back. */
static void connect_syslog(struct log_sink *sink)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	memcpy(address.sun_path, sink->path, strnlen(sink->path, sizeof(address.sun_path) - 1));
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error = errno;
		close(fd);
		errno = error;
		fd = -1;
	}
	set_target(sink, LOG_TARGET_SYSLOG, fd, sink->path);
}

void log_sink_open_syslog(struct log_sink *sink, const char *path)
{
	set_target(sink, LOG_TARGET_SYSLOG, -1, path);
	connect_syslog(sink);
}

const char *log_sink_open(struct log_sink *sink, const char *target, bool foreground)
{
	int fd;

	if (target[0] == '/') {
		if (sink->target == LOG_TARGET_FILE && !strcmp(target, sink->path))
			return NULL;
		fd = open_file(target);
		if (fd < 0)
			return reason();
		set_target(sink, LOG_TARGET_FILE, fd, target);
	} else if (!strcmp(target, "syslog") || !foreground) {
		log_sink_open_syslog(sink, LOG_SINK_SYSLOG);
	} else {
		set_target(sink, stderr_is_journal() ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR, -1, "");
		stop_waiting(sink);
	}
	return NULL;
}

const char *log_sink_reopen(struct log_sink *sink)
{
	int fd;

	if (sink->target != LOG_TARGET_FILE)
		return NULL;
	fd = open_file(sink->path);
	if (fd < 0)
		return reason();
	set_target(sink, LOG_TARGET_FILE, fd, sink->path);
	return NULL;
}

void log_sink_close(struct log_sink *sink)
{
	log_sink_flush(sink);
	if (sink->fd >= 0)
		close(sink->fd);
	if (sink->own_stderr >= 0)
		close(sink->own_stderr);
	sink->fd = sink->own_stderr = -1;
}

static const char *level_name(int level)
{
	static const char *const names[] = {"emergency", "alert",  "critical", "error",
					    "warning",   "notice", "info",     "debug"};

	return level >= 0 && level <= LOG_DEBUG ? names[level] : "error";
}

/* For a person at the terminal. */
static int format_plain(char line[LOG_SINK_LINE], int level, const char *text)
{
	return snprintf(line, LOG_SINK_LINE, "culvertd: %s%s%s\n", level <= LOG_WARNING ? level_name(level) : "",
			level <= LOG_WARNING ? ": " : "", text);
}

/* Returns the length. */
static size_t format_line(const struct log_sink *sink, char line[LOG_SINK_LINE], int level, const char *text)
{
	char when[32] = "";
	struct timespec now;
	struct tm parts;
	int length = 0;

	timespec_get(&now, TIME_UTC);
	switch (sink->target) {
	case LOG_TARGET_JOURNAL:
		length = snprintf(line, LOG_SINK_LINE, "<%d>%s\n", level, text);
		break;
	case LOG_TARGET_STDERR:
		length = format_plain(line, level, text);
		break;
	case LOG_TARGET_SYSLOG: /* RFC 3164 section 4.1, as syslog daemons expect it from their own host */
		if (localtime_r(&now.tv_sec, &parts))
			strftime(when, sizeof(when), "%b %e %H:%M:%S", &parts);
		length = snprintf(line, LOG_SINK_LINE, "<%d>%s culvertd[%d]: %s", LOG_DAEMON | level, when,
				  (int)getpid(), text);
		break;
	case LOG_TARGET_FILE:
		if (gmtime_r(&now.tv_sec, &parts))
			strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &parts);
		length = snprintf(line, LOG_SINK_LINE, "%s %s: %s\n", when, level_name(level), text);
		break;
	}
	return length < LOG_SINK_LINE ? (size_t)length : LOG_SINK_LINE - 1;
}

/* -1 with errno set, or how much was taken. */
static ssize_t send_syslog(struct log_sink *sink, const char *line, size_t length)
{
	ssize_t sent = sink->fd < 0 ? -1 : send(sink->fd, line, length, MSG_NOSIGNAL);

	if (sink->fd < 0 || (sent < 0 && errno != EAGAIN && errno != ENOBUFS)) {
		connect_syslog(sink);
		if (sink->fd >= 0)
			sent = send(sink->fd, line, length, MSG_NOSIGNAL);
	}
	return sent;
}

static ssize_t send_stderr(const struct log_sink *sink, const char *line, size_t length)
{
	struct pollfd asked = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (sink->is_socket)
		return send(STDERR_FILENO, line, length, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sink->own_stderr >= 0)
		return write(sink->own_stderr, line, length);
	if (sink->asks_first && poll(&asked, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(STDERR_FILENO, line, length);
}

static bool is_taken(struct log_sink *sink, int level, const char *text)
{
	char line[LOG_SINK_LINE];
	size_t length = format_line(sink, line, level, text);
	ssize_t taken;

	switch (sink->target) {
	case LOG_TARGET_SYSLOG:
		taken = send_syslog(sink, line, length);
		break;
	case LOG_TARGET_FILE:
		taken = write(sink->fd, line, length);
		break;
	default:
		taken = send_stderr(sink, line, length);
	}
	sink->error = taken == (ssize_t)length ? 0 : taken < 0 ? errno : EAGAIN;
	return !sink->error;
}

void log_sink_flush(struct log_sink *sink)
{
	char text[160];

	if (!sink->unsaid)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 " line%s of this log %s lost; its reader did not take them in time",
		 sink->unsaid, sink->unsaid == 1 ? "" : "s", sink->unsaid == 1 ? "was" : "were");
	if (is_taken(sink, LOG_WARNING, text))
		sink->unsaid = 0;
}

void log_sink_write(struct log_sink *sink, int level, const char *text)
{
	log_sink_flush(sink);
	if (!sink->unsaid && is_taken(sink, level, text))
		return;
	sink->lost++;
	sink->unsaid++;
}

void log_sink_write_stderr(int level, const char *text)
{
	char line[LOG_SINK_LINE];

	if (write(STDERR_FILENO, line, (size_t)format_plain(line, level, text)) < 0)
		errno = 0; /* nobody is left to tell */
}
