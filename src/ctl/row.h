/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A strict reader of one flat JSON object (RFC 8259) in one line, as culvertd writes them: no blanks between tokens, no
 * objects or arrays as values, nothing but printable ASCII. What it accepts is safe to be passed on as it is.
 */
#ifndef CULVERT_CTL_ROW_H
#define CULVERT_CTL_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROW_MEMBERS = 64, ROW_LINE_MAX = 16384 };

enum row_type { ROW_TEXT, ROW_NUMBER, ROW_BOOL, ROW_NULL };

/* Texts are decoded, and may hold any byte but NUL: \u0080 to \u00ff stand for these bytes, and what is above comes out
 * as '?'. Numbers and booleans are as they were written; null is "". */
struct row_member {
	const char *name, *text;
	enum row_type type;
};

struct row {
	uint32_t count;
	struct row_member member[ROW_MEMBERS];
	char memory[ROW_LINE_MAX + 2 * ROW_MEMBERS];
};

/* Reads a line of length bytes, without its newline. NULL, or what is wrong with it. */
const char *row_read(struct row *row, const char *line, size_t length);

/* NULL if there is none of that name. */
const struct row_member *row_find(const struct row *row, const char *name);
/* Its text; "" if there is none of that name. */
const char *row_text(const struct row *row, const char *name);
/* A whole number; 0 if it is none. */
uint64_t row_number(const struct row *row, const char *name);
uint64_t row_member_number(const struct row_member *member);

#endif
