/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which members of which kind of row people are shown, and how.
 */
#ifndef CULVERT_CTL_TABLE_KINDS_H
#define CULVERT_CTL_TABLE_KINDS_H

#include <stddef.h>

enum table_form {
	TABLE_TEXT,
	TABLE_COUNT,
	TABLE_INDEX, /* a count that grows from row to row */
	TABLE_BYTES,
	TABLE_SECONDS,
	TABLE_CLOCK,      /* NAME and microseconds, as a time of the day */
	TABLE_ENDPOINT,   /* NAME-address and NAME-port */
	TABLE_NOT_ZERO,   /* a count; a row with nothing but zeros is hidden */
	TABLE_IDENTIFIER, /* an SPI, Call ID or type of ICMP, as the protocol has it */
	TABLE_SENTENCE,   /* in the last column: in several lines, or below the row, if the terminal is narrow */
	TABLE_BELOW,      /* a sentence under the row, behind the heading, if there is one */
};

enum table_shape {
	TABLE_ROWS,
	TABLE_UPRIGHT, /* a line for each member */
	TABLE_ASIDE,   /* one line between the rows of other kinds, whose headings stay in force */
};

struct table_column {
	const char *name, *heading;
	enum table_form form;
};

struct table_kind {
	const char *kind;
	enum table_shape shape;
	struct table_column column[20]; /* and one without a name */
};

enum { TABLE_SPARED = 14 };

/* NULL for kinds that have no table of their own. */
const struct table_kind *table_kind_find(const char *name);
/* The columns that a narrow terminal is spared, in this order and with a NULL behind the last; NULL: none. */
const char *const *table_kind_spares(const char *name);

#endif
