/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where lines of the log go: standard error, the journal, syslog or a file.
 *
 * Once log_sink_open() was called nothing here waits: a line that its reader (a pipe, a terminal, the journal, the
 * syslog daemon, a full disk) does not take at once is lost and counted, and the next line that is taken follows a line
 * that says how many were lost. Lines are at most LOG_SINK_LINE bytes, which a pipe takes whole or not at all.
 */
#ifndef CULVERT_OBSERVE_LOG_SINK_H
#define CULVERT_OBSERVE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_SINK_SYSLOG "/dev/log"

enum { LOG_SINK_LINE = 1600, LOG_SINK_PATH = 256 };

enum log_target { LOG_TARGET_STDERR, LOG_TARGET_JOURNAL, LOG_TARGET_SYSLOG, LOG_TARGET_FILE };

struct log_sink {
	enum log_target target;
	int fd;                   /* of the file or of syslog; -1: none */
	int own_stderr;           /* standard error with a description of our own, so that it need not wait; -1: none */
	bool is_socket;           /* standard error is one */
	bool asks_first;          /* standard error might wait, so it is asked each time */
	char path[LOG_SINK_PATH]; /* of the file or of the socket of syslog */
	uint64_t lost;            /* lines that nobody took */
	uint64_t unsaid;          /* how many of them no line has told of yet */
	int error;                /* errno of the last line; 0: it was taken */
};

/* Standard error, or the journal if standard error leads to it. It waits for its reader until log_sink_open(). */
void log_sink_start(struct log_sink *sink);

/* target: "stderr", "syslog" or the absolute path of a file, which is created with mode 0640, appended to, and never
 * followed if it is a symbolic link. In the background (foreground false) all but a file is syslog. Returns NULL, or
 * why the file cannot be opened: then the sink is as it was. */
const char *log_sink_open(struct log_sink *sink, const char *target, bool foreground);
/* The syslog daemon that listens at a path. */
void log_sink_open_syslog(struct log_sink *sink, const char *path);
/* Opens the file again. Returns NULL if that succeeded or there is none, or why it failed: the old one stays. */
const char *log_sink_reopen(struct log_sink *sink);
void log_sink_close(struct log_sink *sink);

/* Writes a line at a level of syslog(3); text is printable and has no newline. */
void log_sink_write(struct log_sink *sink, int level, const char *text);
/* Writes a line to standard error, whatever the target, and waits for its reader. */
void log_sink_write_stderr(int level, const char *text);
/* Tries to say how many lines were lost, if that was not said yet. */
void log_sink_flush(struct log_sink *sink);

#endif
