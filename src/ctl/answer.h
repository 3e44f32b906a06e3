/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An answer in one of four forms.
 */
#ifndef CULVERT_CTL_ANSWER_H
#define CULVERT_CTL_ANSWER_H

#include <stdbool.h>
#include <stdio.h>

#include "ctl/row.h"
#include "ctl/screen.h"
#include "ctl/table.h"

enum answer_format {
	ANSWER_TABLE, /* for people */
	ANSWER_JSON,  /* one document: {"schema":"...","rows":[...],"code":0} */
	ANSWER_LINES, /* the schema and the rows as they come, one a line */
	ANSWER_TSV,   /* "#" and the names, then values between tabs; new names when rows of another kind begin */
};

struct answer {
	enum answer_format format;
	FILE *out;
	bool is_status; /* of the verb status */
	bool at_once;   /* it is a stream */
	bool has_schema, has_rows;
	char kind[32];
	struct table table;
	struct screen screen;
};

void answer_start(struct answer *answer, enum answer_format format, FILE *out, bool is_status, bool at_once,
		  bool in_colour);
/* The first line, a row; line is as it came. False if there is no memory. */
void answer_schema(struct answer *answer, const struct row *row, const char *line);
bool answer_add(struct answer *answer, const struct row *row, const char *line);
/* error is "" if code is 0. */
void answer_end(struct answer *answer, int code, const char *error);

#endif
