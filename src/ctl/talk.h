/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request to culvertd, and its answer line by line.
 */
#ifndef CULVERT_CTL_TALK_H
#define CULVERT_CTL_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ctl/row.h"

enum { TALK_PATIENCE_S = 10, TALK_STOPPED = -1 };

struct talk {
	int fd;
	const char *path;
	FILE *errors;
	size_t used, taken; /* bytes in the buffer, and those of them that are done with */
	char buffer[2 * ROW_LINE_MAX];
};

/* Connects and sends a line of words. An exit code, after having said on errors what is wrong. */
int talk_start(struct talk *talk, const char *path, const char *const *words, size_t count, bool is_stream,
	       FILE *errors);
/* Sends what the answer has asked for. Whether it came, the answer says. */
void talk_send(const struct talk *talk, const char *bytes, size_t size);
/* From now on a first SIGINT, SIGTERM, SIGHUP or SIGALRM ends the answer early, and a pipe that nobody reads is an
 * error of whoever writes. For one talk of a process at a time. */
void talk_stop_at_signals(const struct talk *talk);
/* The next line: read into *row and, as it came, in *line without its newline. EXIT_OK, TALK_STOPPED
 * when a signal came and all that had come before it was given, or another exit code after having said why; *line stays
 * good until the next call. */
int talk_next(struct talk *talk, struct row *row, const char **line);
/* A whole line is there already, so that talk_next() does not wait. */
bool talk_has_line(const struct talk *talk);
void talk_end(struct talk *talk);

#endif
