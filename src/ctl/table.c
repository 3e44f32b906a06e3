/* SPDX-License-Identifier: BSD-2-Clause */
/* Columns. */
#include "ctl/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/colour.h"
#include "ctl/human.h"

enum form {
	TEXT,
	COUNT,
	INDEX, /* a count that grows from row to row */
	BYTES,
	SECONDS,
	CLOCK,    /* NAME and microseconds, as a time of the day */
	ENDPOINT, /* NAME-address and NAME-port */
	NOT_ZERO, /* a count; a row with nothing but zeros is hidden */
	BELOW,    /* a sentence under the row, if there is one */
};

enum { INDEX_WIDTH = 7 /* the engine has at most 2^22 flows */ };

struct table_column {
	const char *name, *heading;
	enum form form;
};

struct table_kind {
	const char *kind;
	bool upright;                   /* a line for each member */
	struct table_column column[20]; /* and one without a name */
};

static const struct table_kind kinds[] = {
	{"mapping",
	 false,
	 {{"index", "INDEX", INDEX},
	  {"protocol-name", "PROTOCOL", TEXT},
	  {"internal-src", "INSIDE", ENDPOINT},
	  {"external-src", "OUTSIDE", ENDPOINT},
	  {"external-dst", "REMOTE", ENDPOINT},
	  {"state", "STATE", TEXT},
	  {"bytes-out", "OUT", BYTES},
	  {"bytes-in", "IN", BYTES},
	  {"lifetime", "EXPIRES", SECONDS}}},
	{"tunnel",
	 false,
	 {{"id", "ID", TEXT},
	  {"type", "TYPE", TEXT},
	  {"internal-src", "INSIDE", ENDPOINT},
	  {"external-src", "OUTSIDE", ENDPOINT},
	  {"external-dst", "REMOTE", ENDPOINT},
	  {"state", "STATE", TEXT},
	  {"end", "ENDED BY", TEXT},
	  {"data", "DATA", TEXT},
	  {"internal-id", "INSIDE ID", TEXT},
	  {"remote-id", "REMOTE ID", TEXT},
	  {"age", "AGE", SECONDS},
	  {"bytes-out", "OUT", BYTES},
	  {"bytes-in", "IN", BYTES},
	  {"silent-side", "SILENT", TEXT},
	  {"hint-text", NULL, BELOW}}},
	{"event",
	 false,
	 {{"event", "EVENT", TEXT},
	  {"id", "ID", TEXT},
	  {"type", "TYPE", TEXT},
	  {"internal-src", "INSIDE", ENDPOINT},
	  {"external-dst", "REMOTE", ENDPOINT},
	  {"state", "STATE", TEXT},
	  {"end", "ENDED BY", TEXT},
	  {"age", "AGE", SECONDS},
	  {"bytes-out", "OUT", BYTES},
	  {"bytes-in", "IN", BYTES},
	  {"hint-text", NULL, BELOW}}},
	{"drop",
	 false,
	 {{"reason", "REASON", TEXT},
	  {"packets-lan", "FROM LAN", NOT_ZERO},
	  {"packets-wan", "FROM WAN", NOT_ZERO},
	  {"packets-last-minute", "LAST MINUTE", COUNT},
	  {"meaning", "MEANING", TEXT}}},
	{"explanation",
	 true,
	 {{"reason", "reason", TEXT},
	  {"packets-lan", "packets from the LAN", COUNT},
	  {"packets-wan", "packets from the WAN", COUNT},
	  {"packets-last-minute", "in the last minute", COUNT},
	  {"meaning", "what it means", TEXT},
	  {"advice", "what to do", TEXT}}},
	{"behaviour",
	 false,
	 {{"rfc", "RFC", TEXT},
	  {"requirement", "REQUIREMENT", TEXT},
	  {"behaviour", "BEHAVIOUR", TEXT},
	  {"result", "RESULT", TEXT},
	  {"value", "VALUE", TEXT},
	  {"from", "FROM", TEXT}}},
	{"finding", false, {{"severity", "SEVERITY", TEXT}, {"text", "FINDING", TEXT}}},
	{"reloaded",
	 true,
	 {{"flows-ended", "flows that ended", COUNT}, {"confirm-within", "on trial: confirm within", SECONDS}}},
	{"confirmed", true, {{"configuration", "the configuration", TEXT}}},
	{"change",
	 false,
	 {{"section", "SECTION", TEXT},
	  {"key", "KEY", TEXT},
	  {"before", "BEFORE", TEXT},
	  {"after", "AFTER", TEXT},
	  {"needs-restart", "RESTART", TEXT}}},
	{"ending-flow",
	 false,
	 {{"protocol-name", "PROTOCOL", TEXT},
	  {"internal-src", "INSIDE", ENDPOINT},
	  {"external-src", "OUTSIDE", ENDPOINT},
	  {"external-dst", "REMOTE", ENDPOINT},
	  {"reason", "WOULD END BECAUSE", TEXT}}},
	{"ending-tunnel",
	 false,
	 {{"id", "ID", TEXT},
	  {"type", "TYPE", TEXT},
	  {"internal-src", "INSIDE", ENDPOINT},
	  {"external-src", "OUTSIDE", ENDPOINT},
	  {"external-dst", "REMOTE", ENDPOINT},
	  {"state", "STATE", TEXT},
	  {"age", "AGE", SECONDS},
	  {"reason", "WOULD END BECAUSE", TEXT}}},
	{"rehearsed",
	 true,
	 {{"changes", "changes", COUNT},
	  {"changes-that-need-a-restart", "that need a restart", COUNT},
	  {"flows-that-end", "flows that would end", COUNT},
	  {"tunnels-that-end", "tunnels that would end", COUNT}}},
	{"dropped",
	 false,
	 {{"age", "AGE", SECONDS},
	  {"from", "FROM", TEXT},
	  {"reason", "REASON", TEXT},
	  {"protocol-name", "PROTOCOL", TEXT},
	  {"src", "SOURCE", ENDPOINT},
	  {"dst", "DESTINATION", ENDPOINT},
	  {"identifier", "IDENTIFIER", COUNT},
	  {"bytes", "BYTES", COUNT},
	  {"nearest-src", "NEAREST", ENDPOINT}}},
	{"verdict",
	 true,
	 {{"verdict", "verdict", TEXT},
	  {"reason", "reason", TEXT},
	  {"meaning", "what it means", TEXT},
	  {"advice", "what to do", TEXT},
	  {"rule-meaning", "how", TEXT},
	  {"flow", "flow", TEXT},
	  {"index", "its index", COUNT},
	  {"mapping", "mapping", TEXT},
	  {"internal-src", "inside", ENDPOINT},
	  {"external-src", "outside", ENDPOINT},
	  {"external-dst", "remote", ENDPOINT},
	  {"shared-port", "shared port", COUNT},
	  {"forward", "forward", TEXT},
	  {"part", "part of a VPN", TEXT},
	  {"mode", "its mode", TEXT},
	  {"module", "read as", TEXT},
	  {"nearest-src", "nearest mapping", ENDPOINT}}},
	{"packet",
	 false,
	 {{"to", "TO", TEXT},
	  {"protocol-name", "PROTOCOL", TEXT},
	  {"src", "SOURCE", ENDPOINT},
	  {"dst", "DESTINATION", ENDPOINT},
	  {"identifier", "IDENTIFIER", COUNT},
	  {"bytes", "BYTES", COUNT},
	  {"offset", "OFFSET", COUNT},
	  {"ttl", "TTL", COUNT}}},
	{"seen",
	 false,
	 {{"time", "TIME", CLOCK},
	  {"number", "PACKET", COUNT},
	  {"event", "EVENT", TEXT},
	  {"side", "SIDE", TEXT},
	  {"protocol-name", "PROTOCOL", TEXT},
	  {"src", "SOURCE", ENDPOINT},
	  {"dst", "DESTINATION", ENDPOINT},
	  {"bytes", "BYTES", COUNT},
	  {"comment", "WHAT", TEXT}}},
	{"forgotten",
	 true,
	 {{"internal-src-address", "inside host", TEXT},
	  {"id", "tunnel", TEXT},
	  {"index", "mapping", COUNT},
	  {"flows", "flows that ended", COUNT}}},
};

static const struct table_kind *kind_find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].kind, name))
			return &kinds[i];
	return NULL;
}

/* --- cells --- */

static char *cell_endpoint(const struct row *row, const char *name)
{
	char address[48], port[48], text[64];
	uint64_t number;

	snprintf(address, sizeof(address), "%s-address", name);
	snprintf(port, sizeof(port), "%s-port", name);
	number = row_number(row, port);
	if (number)
		snprintf(text, sizeof(text), "%.40s:%" PRIu64, row_text(row, address), number);
	else
		snprintf(text, sizeof(text), "%.40s", row_text(row, address));
	return human_escape(text);
}

static char *cell_clock(const struct row *row, const char *name)
{
	time_t seconds = (time_t)row_number(row, name);
	unsigned int microseconds = (unsigned int)(row_number(row, "microseconds") % 1000000);
	char text[32] = "-";
	struct tm day;

	if (localtime_r(&seconds, &day))
		snprintf(text, sizeof(text), "%02d:%02d:%02d.%06u", day.tm_hour, day.tm_min, day.tm_sec, microseconds);
	return strdup(text);
}

/* A new string; NULL if there is no memory. A member that is not there is NULL. */
static char *cell_make(const struct row_member *member, enum form form)
{
	char text[HUMAN_MAX];

	if (!member || member->type == ROW_NULL)
		return strdup(form == BELOW ? "" : "-");
	if (form == BYTES && member->type == ROW_NUMBER)
		human_bytes(text, row_member_number(member));
	else if (form == SECONDS && member->type == ROW_NUMBER)
		human_seconds(text, row_member_number(member));
	else
		return human_escape(member->text);
	return strdup(text);
}

static char *cell_of_column(const struct row *row, const struct table_column *column)
{
	if (column->form == ENDPOINT)
		return cell_endpoint(row, column->name);
	if (column->form == CLOCK)
		return cell_clock(row, column->name);
	return cell_make(row_find(row, column->name), column->form);
}

/* Of a member that no list knows. */
static enum form form_of(const struct row_member *member)
{
	if (member->type != ROW_NUMBER)
		return TEXT;
	return strstr(member->name, "bytes") ? BYTES : COUNT;
}

/* --- printing --- */

static void line_free(struct table *table, struct table_line *line)
{
	for (uint32_t i = 0; i < table->columns; i++)
		free(line->cell[i]);
	free(line->below);
	memset(line, 0, sizeof(*line));
}

/* The last column is as wide as it comes. */
static void print_cell(const struct table *table, uint32_t column, const char *text, const char *colour)
{
	const char *between = column == 0 ? "" : "  ";
	int width = (int)table->column[column].width;

	fputs(between, table->out);
	fputs(colour_on(table->in_colour, colour), table->out);
	if (table->column[column].is_right)
		fprintf(table->out, "%*s", width, text);
	else if (column + 1 == table->columns)
		fputs(text, table->out);
	else
		fprintf(table->out, "%-*s", width, text);
	fputs(colour_off(table->in_colour, colour), table->out);
}

static void print_headings(struct table *table)
{
	if (table->has_rows)
		fputc('\n', table->out);
	for (uint32_t i = 0; i < table->columns; i++)
		print_cell(table, i, table->column[i].heading, COLOUR_BOLD);
	fputc('\n', table->out);
	table->has_heading = true;
}

/* Of a list that goes on: those that come have larger ones. */
static void widen_index(struct table *table)
{
	bool has_index = table->layout && table->layout->column[0].form == INDEX;

	if (has_index && table->column[0].width < INDEX_WIDTH)
		table->column[0].width = INDEX_WIDTH;
}

static void table_print(struct table *table)
{
	for (uint32_t i = 0; i < table->lines; i++) {
		for (uint32_t column = 0; column < table->columns; column++) {
			uint32_t width = (uint32_t)strlen(table->line[i].cell[column]);

			if (width > table->column[column].width)
				table->column[column].width = width;
		}
	}
	if (table->lines == TABLE_AHEAD)
		widen_index(table);
	if (table->lines > 0 && !table->has_heading)
		print_headings(table);
	for (uint32_t i = 0; i < table->lines; i++) {
		struct table_line *line = &table->line[i];

		for (uint32_t column = 0; column < table->columns; column++)
			print_cell(table, column, line->cell[column], NULL);
		fputc('\n', table->out);
		if (line->below && line->below[0])
			fprintf(table->out, "    %s%s%s\n", colour_on(table->in_colour, COLOUR_YELLOW), line->below,
				colour_off(table->in_colour, COLOUR_YELLOW));
		line_free(table, line);
		table->has_rows = true;
	}
	table->lines = 0;
	if (table->at_once)
		fflush(table->out);
}

/* The end of the rows of one kind. */
static void table_finish_kind(struct table *table)
{
	table_print(table);
	if (table->hidden)
		fprintf(table->out, "%s%" PRIu64 " with nothing but zeros\n",
			table->has_heading ? "and " : "nothing was counted: ", table->hidden);
	for (uint32_t i = 0; i < table->columns; i++)
		free(table->column[i].heading);
	memset(table->column, 0, sizeof(table->column));
	table->columns = 0;
	table->hidden = 0;
	table->has_heading = false;
}

/* --- rows --- */

static bool add_column(struct table *table, const char *heading, enum form form)
{
	table->column[table->columns].heading = human_escape(heading);
	if (!table->column[table->columns].heading)
		return false;
	table->column[table->columns].width = (uint32_t)strlen(table->column[table->columns].heading);
	table->column[table->columns].is_right = form == COUNT || form == INDEX || form == BYTES || form == NOT_ZERO;
	table->columns++;
	return true;
}

static bool table_begin_kind(struct table *table, const struct row *row)
{
	table_finish_kind(table);
	snprintf(table->kind, sizeof(table->kind), "%s", row_text(row, "kind"));
	table->layout = kind_find(table->kind);
	if (!table->layout) {
		for (uint32_t i = 1; i < row->count; i++)
			if (!add_column(table, row->member[i].name, form_of(&row->member[i])))
				return false;
		return true;
	}
	for (const struct table_column *column = table->layout->column; column->name; column++)
		if (column->form != BELOW && !add_column(table, column->heading, column->form))
			return false;
	return true;
}

static bool fill_line(struct table *table, struct table_line *line, const struct row *row)
{
	uint32_t at = 0;

	if (!table->layout) {
		for (; at < table->columns; at++) {
			const struct row_member *member = at + 1 < row->count ? &row->member[at + 1] : NULL;

			line->cell[at] = cell_make(member, member ? form_of(member) : TEXT);
			if (!line->cell[at])
				return false;
		}
		return true;
	}
	for (const struct table_column *column = table->layout->column; column->name; column++) {
		char *cell = cell_of_column(row, column);

		if (!cell)
			return false;
		if (column->form == BELOW)
			line->below = cell;
		else
			line->cell[at++] = cell;
	}
	return true;
}

/* Has only columns of NOT_ZERO that are zero. */
static bool is_nothing(const struct table *table, const struct row *row)
{
	uint32_t zeros = 0;

	for (const struct table_column *column = table->layout ? table->layout->column : NULL; column && column->name;
	     column++) {
		if (column->form != NOT_ZERO)
			continue;
		if (row_number(row, column->name) != 0)
			return false;
		zeros++;
	}
	return zeros > 0;
}

static bool print_upright(const struct table *table, const struct row *row)
{
	for (const struct table_column *column = table->layout->column; column->name; column++) {
		char *cell = cell_of_column(row, column);

		if (!cell)
			return false;
		if (cell[0] && strcmp(cell, "-") != 0) /* there is something to say */
			fprintf(table->out, "%s%s%s: %s\n", colour_on(table->in_colour, COLOUR_BOLD), column->heading,
				colour_off(table->in_colour, COLOUR_BOLD), cell);
		free(cell);
	}
	return true;
}

bool table_add(struct table *table, const struct row *row)
{
	if (strcmp(table->kind, row_text(row, "kind")) != 0 && !table_begin_kind(table, row))
		return false;
	if (table->layout && table->layout->upright)
		return print_upright(table, row);
	if (is_nothing(table, row)) {
		table->hidden++;
		return true;
	}
	if (table->lines == TABLE_AHEAD)
		table_print(table);
	if (!fill_line(table, &table->line[table->lines], row)) {
		line_free(table, &table->line[table->lines]);
		return false;
	}
	table->lines++;
	if (table->at_once)
		table_print(table);
	return true;
}

void table_start(struct table *table, FILE *out, bool in_colour, bool at_once)
{
	*table = (struct table){.out = out, .in_colour = in_colour, .at_once = at_once};
}

void table_end(struct table *table)
{
	table_finish_kind(table);
}
