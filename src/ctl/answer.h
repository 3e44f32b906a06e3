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

/* What people get in the place of tables. */
enum answer_look { ANSWER_PLAIN, ANSWER_STATUS, ANSWER_METRICS };

struct answer {
	enum answer_format format;
	FILE *out;
	enum answer_look look;
	bool at_once; /* it is a stream */
	bool has_schema, has_rows;
	char schema[40]; /* of the verb, for an answer that ends before it says its own */
	char kind[32];
	char family[128]; /* of metrics: the last name */
	struct table table;
	struct screen screen;
};

void answer_start(struct answer *answer, enum answer_format format, FILE *out, enum answer_look look, bool at_once,
		  bool in_colour, uint32_t room);
/* Whose answer it is, to be called next: a document that holds an error alone has a schema as well. */
void answer_expect(struct answer *answer, const char *verb, unsigned int version);
/* The first line, a row; line is as it came. False if there is no memory. */
void answer_schema(struct answer *answer, const struct row *row, const char *line);
bool answer_add(struct answer *answer, const struct row *row, const char *line);
/* error is "" if code is 0. */
void answer_end(struct answer *answer, int code, const char *error);

#endif
