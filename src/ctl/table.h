/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows as aligned columns. Widths are those of the first TABLE_AHEAD rows of a kind, so that any number of rows passes
 * through; each kind has its columns in one list in table.c, and rows of other kinds are shown with all their members.
 */
#ifndef CULVERT_CTL_TABLE_H
#define CULVERT_CTL_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/row.h"

enum { TABLE_COLUMNS = ROW_MEMBERS, TABLE_AHEAD = 256, TABLE_BELOWS = 2 };

struct table_line {
	char *cell[TABLE_COLUMNS];
	char *below[TABLE_BELOWS]; /* NULL, or a sentence in a line of its own */
};

struct table {
	FILE *out;
	bool in_colour, at_once; /* at once: each row goes out as it comes */
	bool in_detail;          /* a row was asked for by its name: a line for each member, if there is such a table */
	uint32_t room;           /* columns of the terminal; 0: as wide as it comes */
	char kind[32];
	const struct table_kind *layout; /* NULL: all members */
	uint32_t columns, lines;
	struct {
		char *heading;
		uint32_t width, usual; /* of the rows; at most, if the kind says so */
		bool is_right, is_sentence, is_hidden;
		bool is_port; /* hidden unless the endpoint before it is */
	} column[TABLE_COLUMNS];
	struct table_line line[TABLE_AHEAD];
	bool has_heading; /* the headings were printed */
	bool is_below;    /* the sentences of the last column stand below their rows */
	bool has_rows;    /* something was printed at all */
	uint64_t told;    /* the packet that came and whose leaving was told with that */
	uint64_t hidden;  /* rows that say nothing but zeros */
};

void table_start(struct table *table, FILE *out, bool in_colour, bool at_once, uint32_t room);
/* False if there is no memory. */
bool table_add(struct table *table, const struct row *row);
/* Prints what was held back, and frees everything. */
void table_end(struct table *table);

#endif
