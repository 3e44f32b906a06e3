/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: standard error, the journal (standard error with "<N>" in front of each line), syslog(3) or a file.
 *
 * One message is one line: bytes that are not printable ASCII are written as \xNN, so a hostile name cannot forge a
 * line. A message whose format string has been used LOG_BURST times within LOG_WINDOW_S seconds is counted instead of
 * written; the count follows as "N similar messages suppressed", at the latest when the log is closed. Levels are those
 * of syslog(3).
 */
#ifndef CULVERT_OBSERVE_LOG_H
#define CULVERT_OBSERVE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

enum { LOG_BURST = 10, LOG_EVENT_BURST = 200, LOG_WINDOW_S = 10 };

struct log;

/* Hears what the log says of the router at LOG_NOTICE or above, whatever level is written: one line, printable ASCII.
 * It may not write to the log. */
typedef void log_listener(void *context, int level, const char *text);

/*
 * A log that writes to standard error, at level LOG_INFO. NULL if memory ran out.
 * Every function here accepts NULL as the log and then does nothing.
 */
struct log *log_new(void);
void log_free(struct log *log);

/*
 * target: see log_sink_open(), from when on the log never waits for its reader; "auto" is standard error in the
 * foreground. In the background warnings and errors go to standard error as well, as long as there is one. False,
 * after having said why to the log as it was, if a file cannot be opened.
 */
bool log_open(struct log *log, const char *target, bool foreground);
/* Messages go to the journal, where each has its level. */
bool log_is_journal(const struct log *log);
/* Messages above this level are not written. */
void log_set_level(struct log *log, int level);
bool log_wants(const struct log *log, int level);
/* The descriptor of the file, -1 if the target is none. */
int log_fd(const struct log *log);
/* Lines that their reader did not take, and were lost, since the start. */
uint64_t log_lost(const struct log *log);
/* Why the last line was lost; NULL: it was not. */
const char *log_problem(const struct log *log);
/* Opens the file again, if the target is a file: after somebody moved it away. */
void log_reopen(struct log *log);
/* Writes the counts of what was suppressed and is over, and of lines that were lost; to be called every few seconds. */
void log_flush(struct log *log);

/* Who hears; NULL: nobody. Events and lines that were asked for are not among it. */
void log_listen(struct log *log, log_listener *listener, void *context);

void log_write(struct log *log, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* What comes and goes, like tunnels: each line counts, so there may be LOG_EVENT_BURST of them. */
void log_event(struct log *log, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, in the shape of kernel_report (src/io/kernel.h): the context is the struct log. */
void log_report(void *log, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same without a rate limit, in the shape of config_report. */
void log_report_text(void *log, int level, const char *text);
/* A line that was asked for, like statistics: whatever the level and the rate. */
void log_line(void *log, const char *text);

#endif
