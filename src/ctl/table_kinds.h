/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which members of which kind of row people are shown, and how.
 */
#ifndef CULVERT_CTL_TABLE_KINDS_H
#define CULVERT_CTL_TABLE_KINDS_H

#include <stddef.h>
#include <stdint.h>

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
	TABLE_PORT,       /* NAME-port alone, where there is no room for the endpoint of the same name */
	TABLE_DATA,       /* bytes of a tunnel, none of which are seen while it has no data */
	TABLE_YES,        /* only said if it is true */
	TABLE_WAY,        /* the sides of a packet */
	TABLE_PACKET,     /* a sentence about it */
	TABLE_SENTENCE,   /* in the last column: in several lines, or below the row, if the terminal is narrow */
	TABLE_BELOW,      /* a sentence under the row, behind the heading, if there is one */
};

enum table_shape {
	TABLE_ROWS,
	TABLE_UPRIGHT, /* a line for each member */
	TABLE_ASIDE,   /* one line between the rows of other kinds, whose headings stay in force */
};

enum { TABLE_KIND_COLUMNS = 28, TABLE_SPARED = 14 };

struct table_column {
	const char *name, *heading;
	enum table_form form;
};

struct table_kind {
	const char *kind;
	enum table_shape shape;
	struct table_column column[TABLE_KIND_COLUMNS + 1]; /* behind the last there is one without a name */
};

/* NULL for kinds that have no table of their own. */
const struct table_kind *table_kind_find(const char *name);
/* The same for a row that was asked for alone: a line for each member. */
const struct table_kind *table_kind_find_detail(const char *name);
/* The columns that a narrow terminal is spared, in this order and with a NULL behind the last; NULL: none. */
const char *const *table_kind_spares(const char *name);
/* How wide a column of this kind usually is at most. Which columns there is room for is judged by that, so that it does
 * not change from call to call; 0: the kind is judged by what stands in the rows. */
uint32_t table_kind_width(const char *kind, const char *column);

#endif
