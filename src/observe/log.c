/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log. Each message is written with one call, so that lines of several processes do not mix.
 *
 * The rate limit knows a message by its format string: the address of the literal in the caller. A small table of the
 * last ones is enough; a message that pushes another out of it only gets that one's count written earlier.
 */
#include "observe/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/text.h"
#include "io/clock.h"

enum { SITES = 64, LINE_MAX_BYTES = 1536, PATH_MAX_BYTES = 256, WINDOW_MS = LOG_WINDOW_S * 1000 };

enum target { TARGET_STDERR, TARGET_JOURNAL, TARGET_SYSLOG, TARGET_FILE };

/* One message of the program, known by its format string. */
struct site {
	const char *format;
	uint64_t since_ms; /* start of the window */
	uint32_t count;    /* messages in this window */
	uint32_t suppressed;
	int level;
};

struct log {
	enum target target;
	int level;
	bool copy; /* warnings go to standard error, too */
	int fd;    /* of TARGET_FILE */
	char path[PATH_MAX_BYTES];
	log_listener *listener; /* NULL: nobody */
	void *listener_context;
	struct site sites[SITES];
};

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

struct log *log_new(void)
{
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->target = stderr_is_journal() ? TARGET_JOURNAL : TARGET_STDERR;
	log->level = LOG_INFO;
	log->fd = -1;
	return log;
}

static void close_target(struct log *log)
{
	if (log->target == TARGET_SYSLOG)
		closelog();
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}

static int open_file(struct log *log, const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);

	if (fd < 0)
		log_write(log, LOG_ERR, "the log file %s cannot be opened: %s", path,
			  errno == ELOOP ? "it is a symbolic link" : strerror(errno));
	return fd;
}

bool log_open(struct log *log, const char *target, bool foreground)
{
	enum target on_stderr = stderr_is_journal() ? TARGET_JOURNAL : TARGET_STDERR;
	int fd;

	if (!log)
		return true;
	/* In the background standard error is there until the start is over; then it is /dev/null. */
	log->copy = !foreground;
	if (target[0] == '/') {
		if (log->target == TARGET_FILE && !strcmp(target, log->path))
			return true;
		fd = open_file(log, target);
		if (fd < 0)
			return false;
		close_target(log);
		log->target = TARGET_FILE;
		log->fd = fd;
		snprintf(log->path, sizeof(log->path), "%s", target);
		return true;
	}
	close_target(log);
	if (!strcmp(target, "syslog") || !foreground) {
		log->target = TARGET_SYSLOG;
		openlog("culvertd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	} else {
		log->target = on_stderr;
	}
	return true;
}

bool log_is_journal(const struct log *log)
{
	return log && log->target == TARGET_JOURNAL;
}

void log_set_level(struct log *log, int level)
{
	if (log)
		log->level = level;
}

bool log_wants(const struct log *log, int level)
{
	return log && level <= log->level;
}

int log_fd(const struct log *log)
{
	return log ? log->fd : -1;
}

void log_reopen(struct log *log)
{
	int fd;

	if (!log || log->target != TARGET_FILE)
		return;
	fd = open_file(log, log->path);
	if (fd < 0)
		return; /* better the old one than none */
	close(log->fd);
	log->fd = fd;
}

static const char *level_name(int level)
{
	static const char *const names[] = {"emergency", "alert",  "critical", "error",
					    "warning",   "notice", "info",     "debug"};

	return level >= 0 && level <= LOG_DEBUG ? names[level] : "error";
}

/* A log that cannot be written must not stop the packets, and there is nobody left to tell. */
static void write_line(int fd, const char *line, size_t length)
{
	if (write(fd, line, length) < 0)
		errno = 0;
}

/* For a person at the terminal. Returns the length. */
static int format_plain(char *line, size_t size, int level, const char *text)
{
	return snprintf(line, size, "culvertd: %s%s%s\n", level <= LOG_WARNING ? level_name(level) : "",
			level <= LOG_WARNING ? ": " : "", text);
}

/* One line, escaped by the caller. */
static void put_line(struct log *log, int level, const char *text)
{
	char line[LINE_MAX_BYTES + 64], when[32] = "";
	struct timespec now;
	struct tm parts;
	int length = 0;

	if (log->copy && level <= LOG_WARNING)
		write_line(STDERR_FILENO, line, (size_t)format_plain(line, sizeof(line), level, text));
	switch (log->target) {
	case TARGET_SYSLOG:
		syslog(level, "%s", text);
		return;
	case TARGET_JOURNAL:
		length = snprintf(line, sizeof(line), "<%d>%s\n", level, text);
		break;
	case TARGET_STDERR:
		length = format_plain(line, sizeof(line), level, text);
		break;
	case TARGET_FILE:
		timespec_get(&now, TIME_UTC);
		if (gmtime_r(&now.tv_sec, &parts))
			strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &parts);
		length = snprintf(line, sizeof(line), "%s %s: %s\n", when, level_name(level), text);
		break;
	}
	write_line(log->target == TARGET_FILE ? log->fd : STDERR_FILENO, line, (size_t)length);
}

void log_listen(struct log *log, log_listener *listener, void *context)
{
	if (!log)
		return;
	log->listener = listener;
	log->listener_context = context;
}

static bool is_heard(const struct log *log, int level)
{
	return log->listener && level <= LOG_NOTICE;
}

/* One line, escaped by the caller, for the log and whoever hears it. */
static void say_line(struct log *log, int level, const char *text)
{
	if (log_wants(log, level))
		put_line(log, level, text);
	if (is_heard(log, level))
		log->listener(log->listener_context, level, text);
}

/* A format as people read it: "..." where a value would stand. */
static void name_format(char *out, size_t size, const char *format)
{
	size_t used = 0;

	for (; *format && used + sizeof("...") < size; format++) {
		if (*format != '%' || format[1] == '%') {
			out[used++] = *format;
			format += *format == '%';
			continue;
		}
		memcpy(out + used, "...", 3);
		used += 3;
		format += strcspn(format, "cdisuxX");
		if (!*format)
			break;
	}
	out[used] = '\0';
}

static void report_suppressed(struct log *log, struct site *site)
{
	char text[LINE_MAX_BYTES], name[256], escaped[256];

	if (!site->suppressed)
		return;
	name_format(name, sizeof(name), site->format);
	text_escape(escaped, sizeof(escaped), name);
	snprintf(text, sizeof(text), "%" PRIu32 " similar messages suppressed: %s", site->suppressed, escaped);
	say_line(log, site->level, text);
	site->suppressed = 0;
}

/* True if this message may be written now. */
static bool admit(struct log *log, int level, const char *format, uint32_t burst)
{
	struct site *site = &log->sites[((uintptr_t)format >> 3) * 0x9e3779b1u % SITES];
	uint64_t now = clock_now_ms();

	if (site->format != format || now - site->since_ms >= WINDOW_MS) {
		report_suppressed(log, site);
		*site = (struct site){.format = format, .since_ms = now, .level = level};
	}
	if (site->count >= burst) {
		site->suppressed++;
		return false;
	}
	site->count++;
	return true;
}

void log_flush(struct log *log)
{
	uint64_t now = clock_now_ms();

	for (size_t i = 0; log && i < SITES; i++) {
		if (log->sites[i].suppressed && now - log->sites[i].since_ms >= WINDOW_MS) {
			report_suppressed(log, &log->sites[i]);
			log->sites[i].format = NULL;
		}
	}
}

void log_free(struct log *log)
{
	if (!log)
		return;
	for (size_t i = 0; i < SITES; i++)
		report_suppressed(log, &log->sites[i]);
	close_target(log);
	free(log);
}

static void write_arguments(struct log *log, int level, const char *format, va_list arguments)
{
	char raw[LINE_MAX_BYTES], text[LINE_MAX_BYTES];
	int saved = errno;

	if (log && (log_wants(log, level) || is_heard(log, level)) && admit(log, level, format, LOG_BURST)) {
		vsnprintf(raw, sizeof(raw), format, arguments);
		text_escape(text, sizeof(text), raw);
		say_line(log, level, text);
	}
	errno = saved;
}

void log_write(struct log *log, int level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_arguments(log, level, format, arguments);
	va_end(arguments);
}

void log_event(struct log *log, int level, const char *format, ...)
{
	char raw[LINE_MAX_BYTES], text[LINE_MAX_BYTES];
	int saved = errno;
	va_list arguments;

	va_start(arguments, format);
	if (log_wants(log, level) && admit(log, level, format, LOG_EVENT_BURST)) {
		vsnprintf(raw, sizeof(raw), format, arguments);
		text_escape(text, sizeof(text), raw);
		put_line(log, level, text);
	}
	va_end(arguments);
	errno = saved;
}

void log_report(void *log, int level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_arguments(log, level, format, arguments);
	va_end(arguments);
}

void log_report_text(void *log, int level, const char *text)
{
	char escaped[LINE_MAX_BYTES];

	if (!log)
		return;
	text_escape(escaped, sizeof(escaped), text);
	say_line(log, level, escaped);
}

void log_line(void *log, const char *text)
{
	char escaped[LINE_MAX_BYTES];

	if (!log)
		return;
	text_escape(escaped, sizeof(escaped), text);
	put_line(log, LOG_NOTICE, escaped);
}
