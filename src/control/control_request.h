/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line of a peer, cut into words.
 */
#ifndef CULVERT_CONTROL_CONTROL_REQUEST_H
#define CULVERT_CONTROL_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REQUEST_LINE_MAX = 1024, REQUEST_WORDS_MAX = 17 };

struct control_request {
	char text[REQUEST_LINE_MAX];
	const char *words[REQUEST_WORDS_MAX]; /* in text */
	uint32_t count;
};

/* Words are printable ASCII, with blanks between them. NULL, or what is wrong with the line (of length bytes, without
 * its newline; a carriage return at the end does not count). */
const char *control_request_read(struct control_request *request, const char *line, size_t length);

#endif
