/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: what is said, at which level and how often. Where it goes: log_sink.c.
 *
 * The rate limit knows a message by its format string: the address of the literal in the caller. A small table of the
 * last ones is enough; a message that pushes another out of it only gets that one's count written earlier.
 */
#include "observe/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/text.h"
#include "io/clock.h"
#include "observe/log_sink.h"

enum { SITES = 64, LINE_MAX_BYTES = LOG_SINK_LINE - 64, WINDOW_MS = LOG_WINDOW_S * 1000 };

/* One message of the program, known by its format string. */
struct site {
	const char *format;
	uint64_t since_ms; /* start of the window */
	uint32_t count;    /* messages in this window */
	uint32_t suppressed;
	int level;
};

struct log {
	struct log_sink sink;
	int level;
	bool copy;              /* warnings go to standard error, too */
	log_listener *listener; /* NULL: nobody */
	void *listener_context;
	struct site sites[SITES];
};

struct log *log_new(void)
{
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log_sink_start(&log->sink);
	log->level = LOG_INFO;
	return log;
}

bool log_open(struct log *log, const char *target, bool foreground)
{
	const char *problem;

	if (!log)
		return true;
	/* In the background standard error is there until the start is over; then it is /dev/null. */
	log->copy = !foreground;
	problem = log_sink_open(&log->sink, target, foreground);
	if (problem)
		log_write(log, LOG_ERR, "the log file %s cannot be opened: %s", target, problem);
	return !problem;
}

bool log_is_journal(const struct log *log)
{
	return log && log->sink.target == LOG_TARGET_JOURNAL;
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
	return log && log->sink.target == LOG_TARGET_FILE ? log->sink.fd : -1;
}

void log_reopen(struct log *log)
{
	const char *problem = log ? log_sink_reopen(&log->sink) : NULL;

	if (problem)
		log_write(log, LOG_ERR, "the log file %s cannot be opened: %s", log->sink.path, problem);
}

uint64_t log_lost(const struct log *log)
{
	return log ? log->sink.lost : 0;
}

const char *log_problem(const struct log *log)
{
	if (!log || !log->sink.error)
		return NULL;
	return log->sink.error == EAGAIN ? "its reader takes no more lines" : strerror(log->sink.error);
}

/* One line, escaped by the caller. */
static void put_line(struct log *log, int level, const char *text)
{
	if (log->copy && level <= LOG_WARNING)
		log_sink_write_stderr(level, text);
	log_sink_write(&log->sink, level, text);
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

/* That of the message, or the one that has been there for longest: two messages in turn must not hide each other. */
static struct site *find_site(struct log *log, const char *format)
{
	struct site *oldest = &log->sites[0];

	for (size_t i = 0; i < SITES; i++) {
		if (log->sites[i].format == format)
			return &log->sites[i];
		if (log->sites[i].since_ms < oldest->since_ms)
			oldest = &log->sites[i];
	}
	return oldest;
}

/* True if this message may be written now. */
static bool admit(struct log *log, int level, const char *format, uint32_t burst)
{
	struct site *site = find_site(log, format);
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
			log->sites[i] = (struct site){.format = NULL};
		}
	}
	if (log)
		log_sink_flush(&log->sink);
}

void log_free(struct log *log)
{
	if (!log)
		return;
	for (size_t i = 0; i < SITES; i++)
		report_suppressed(log, &log->sites[i]);
	log_sink_close(&log->sink);
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
