/* SPDX-License-Identifier: BSD-2-Clause */
/* Columns. */
#include "ctl/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/colour.h"
#include "ctl/human.h"
#include "ctl/packet_text.h"
#include "ctl/table_kinds.h"
#include "ctl/wrap.h"

enum {
	INDEX_WIDTH = 7,       /* the engine has at most 2^22 flows */
	ENDPOINT_WIDTH = 21,   /* 255.255.255.255:65535 */
	IDENTIFIER_WIDTH = 14, /* SPI 0x01234567 */
	PORT_WIDTH = 7,        /* as wide as OUTSIDE */
	SENTENCE_WIDTH = 24,   /* what a sentence in the last column should have */
	BELOW = 4,             /* columns that what stands under a row is further in */
};

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
		snprintf(text, sizeof(text), "%.40s", row_text(row, address)[0] ? row_text(row, address) : "-");
	return human_escape(text);
}

/* The port alone, of an endpoint that has one. */
static char *cell_port(const struct row *row, const char *name)
{
	char port[48], text[24];
	uint64_t number;

	snprintf(port, sizeof(port), "%s-port", name);
	number = row_number(row, port);
	snprintf(text, sizeof(text), number ? ":%" PRIu64 : "-", number);
	return strdup(text);
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

/* What stands in the place of ports. */
static char *cell_identifier(const struct row *row, const char *name)
{
	const char *protocol = row_text(row, "protocol-name");
	uint64_t number = row_number(row, name);
	char text[40] = "-";

	if (!strcmp(protocol, "esp") || (!strcmp(protocol, "ah") && number))
		snprintf(text, sizeof(text), "SPI 0x%08" PRIx64, number);
	else if (!strcmp(protocol, "gre"))
		snprintf(text, sizeof(text), "call %" PRIu64, number);
	else if (!strcmp(protocol, "icmp"))
		snprintf(text, sizeof(text), "type %" PRIu64 "/%" PRIu64, number >> 8 & 255, number & 255);
	return strdup(text);
}

/* A new string; NULL if there is no memory. A member that is not there is NULL. */
static char *cell_make(const struct row_member *member, enum table_form form)
{
	char text[HUMAN_MAX];

	if (!member || member->type == ROW_NULL)
		return strdup("-");
	if (form == TABLE_BYTES && member->type == ROW_NUMBER)
		human_bytes(text, row_member_number(member));
	else if (form == TABLE_SECONDS && member->type == ROW_NUMBER)
		human_seconds(text, row_member_number(member));
	else if (member->type == ROW_BOOL)
		snprintf(text, sizeof(text), "%s",
			 !strcmp(member->text, "true") ? "yes" : (form == TABLE_YES ? "-" : "no"));
	else
		return human_escape(member->text);
	return strdup(text);
}

/* A sentence behind its heading; empty if there is none. */
static char *cell_below(const struct row *row, const struct table_column *column)
{
	const char *text = row_text(row, column->name);
	char *whole = NULL, *shown;

	if (!text[0])
		return strdup("");
	if (asprintf(&whole, "%s%s", column->heading, text) < 0)
		return NULL;
	shown = human_escape(whole);
	free(whole);
	return shown;
}

/* Control characters of a text that was made of an answer are made visible. */
static char *escape_and_free(char *text)
{
	char *shown = text ? human_escape(text) : NULL;

	free(text);
	return shown;
}

static char *cell_of_column(const struct row *row, const struct table_column *column)
{
	if (column->form == TABLE_ENDPOINT)
		return cell_endpoint(row, column->name);
	if (column->form == TABLE_PORT)
		return cell_port(row, column->name);
	if (column->form == TABLE_DATA)
		return row_text(row, "data")[0] ? cell_make(row_find(row, column->name), TABLE_BYTES) : strdup("-");
	if (column->form == TABLE_WAY)
		return escape_and_free(packet_text_way(row));
	if (column->form == TABLE_PACKET)
		return escape_and_free(packet_text_sentence(row));
	if (column->form == TABLE_CLOCK)
		return cell_clock(row, column->name);
	if (column->form == TABLE_IDENTIFIER)
		return cell_identifier(row, column->name);
	if (column->form == TABLE_BELOW)
		return cell_below(row, column);
	return cell_make(row_find(row, column->name), column->form);
}

/* Of a member that no list knows. */
static enum table_form form_of(const struct row_member *member)
{
	if (member->type != ROW_NUMBER)
		return TABLE_TEXT;
	return strstr(member->name, "bytes") ? TABLE_BYTES : TABLE_COUNT;
}

/* --- printing --- */

static void line_free(struct table *table, struct table_line *line)
{
	for (uint32_t i = 0; i < table->columns; i++)
		free(line->cell[i]);
	for (uint32_t i = 0; i < TABLE_BELOWS; i++)
		free(line->below[i]);
	memset(line, 0, sizeof(*line));
}

static uint32_t first_column(const struct table *table)
{
	uint32_t column = 0;

	while (column + 1 < table->columns && table->column[column].is_hidden)
		column++;
	return column;
}

static uint32_t last_column(const struct table *table)
{
	uint32_t column = table->columns;

	while (column > 1 && table->column[column - 1].is_hidden)
		column--;
	return column - 1;
}

/* Columns of the terminal to the left of a cell. */
static uint32_t left_of(const struct table *table, uint32_t column)
{
	uint32_t width = 0;

	for (uint32_t i = 0; i < column; i++)
		width += table->column[i].is_hidden ? 0 : table->column[i].width + 2;
	return width;
}

/* The last column is as wide as it comes. */
static void print_cell(const struct table *table, uint32_t column, const char *text, const char *colour)
{
	int width = (int)table->column[column].width;

	if (table->column[column].is_hidden)
		return;
	fputs(column == first_column(table) ? "" : "  ", table->out);
	fputs(colour_on(table->in_colour, colour), table->out);
	if (table->column[column].is_right)
		fprintf(table->out, "%*s", width, text);
	else if (table->column[column].is_sentence)
		wrap_print(table->out, text, left_of(table, column), left_of(table, column), table->room);
	else if (column == last_column(table))
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

/* --- narrow terminals --- */

/* As wide as the rows are that will be printed, or as they usually are at most; of a sentence its beginning counts. */
static uint32_t width_of(const struct table *table, bool usual)
{
	uint32_t width = 0;

	for (uint32_t i = 0; i < table->columns; i++) {
		uint32_t own = usual ? table->column[i].usual : table->column[i].width;

		if (table->column[i].is_hidden)
			continue;
		if (table->column[i].is_sentence && !usual && (own > SENTENCE_WIDTH || table->at_once))
			own = SENTENCE_WIDTH;
		width += own + (width > 0 ? 2 : 0);
	}
	return width;
}

/* Nothing stands in any of the rows that are there. */
static bool is_empty(const struct table *table, uint32_t column)
{
	for (uint32_t i = 0; i < table->lines; i++)
		if (strcmp(table->line[i].cell[column], "-") != 0)
			return false;
	return true;
}

/* An endpoint has its port in its place, at first. */
static void hide(struct table *table, const char *name)
{
	uint32_t at = 0, port = TABLE_COLUMNS, whole = TABLE_COLUMNS;

	for (const struct table_column *column = table->layout->column; column->name; column++) {
		if (!strcmp(column->name, name))
			*(column->form == TABLE_PORT ? &port : &whole) = at;
		at += column->form != TABLE_BELOW;
	}
	if (whole == TABLE_COLUMNS)
		return;
	if (port < TABLE_COLUMNS)
		table->column[port].is_hidden = table->column[whole].is_hidden;
	table->column[whole].is_hidden = true;
}

/* Leaves out what is needed least: columns that a list names, judged by what their rows usually are, so that they are
 * the same ones in the next call. For kinds that are not judged so, columns in which nothing stands go before them; a
 * stream shows one row at a time, and what is empty in the first may not be in the next. */
static void fit(struct table *table)
{
	const char *const *names = table_kind_spares(table->kind);
	bool usual = table->columns > 0 && table->column[0].usual > 0;

	for (uint32_t i = table->columns; i > 1 && !usual && !table->at_once && width_of(table, false) > table->room;
	     i--)
		if (is_empty(table, i - 1))
			table->column[i - 1].is_hidden = true;
	for (uint32_t i = 0; names && names[i]; i++)
		if (width_of(table, false) > table->room || (usual && width_of(table, true) > table->room))
			hide(table, names[i]);
	if (table->columns > 1 && table->column[table->columns - 1].is_sentence && width_of(table, false) > table->room)
		table->is_below = table->column[table->columns - 1].is_hidden = true;
}

/* The port stands in the place of the endpoint. */
static bool has_port(const struct table *table, uint32_t column)
{
	return column + 1 < table->columns && table->column[column + 1].is_port && !table->column[column + 1].is_hidden;
}

static void name_hidden(const struct table *table)
{
	char text[512] = "no room for: ";
	size_t begin = strlen(text), used = begin;

	for (uint32_t i = 0; i < table->columns; i++) {
		if (!table->column[i].is_hidden || !table->has_heading || table->column[i].is_port ||
		    (table->is_below && table->column[i].is_sentence))
			continue;
		snprintf(text + used, sizeof(text) - used, "%s%s%s", used > begin ? ", " : "", table->column[i].heading,
			 has_port(table, i) ? " ADDRESS" : "");
		used = strlen(text);
	}
	if (used == begin)
		return;
	snprintf(text + used, sizeof(text) - used, " (| less -S shows them)");
	wrap_print(table->out, text, 0, BELOW, table->room);
	fputc('\n', table->out);
}

/* Of a list that goes on: those that come have larger ones. */
static void widen(struct table *table)
{
	bool has_index = table->layout && table->layout->column[0].form == TABLE_INDEX;

	for (uint32_t i = 0; i < table->columns; i++)
		if (table->column[i].width < table->column[i].usual)
			table->column[i].width = table->column[i].usual;
	if (has_index && table->column[0].width < INDEX_WIDTH)
		table->column[0].width = INDEX_WIDTH;
}

static void print_below(const struct table *table, const char *text, const char *colour)
{
	if (!text || !text[0])
		return;
	fprintf(table->out, "%*s%s", BELOW, "", colour_on(table->in_colour, colour));
	wrap_print(table->out, text, BELOW, BELOW, table->room);
	fprintf(table->out, "%s\n", colour_off(table->in_colour, colour));
}

static void print_line(const struct table *table, const struct table_line *line)
{
	for (uint32_t column = 0; column < table->columns; column++)
		print_cell(table, column, line->cell[column], NULL);
	fputc('\n', table->out);
	if (table->is_below)
		print_below(table, line->cell[table->columns - 1], NULL);
	for (uint32_t i = 0; i < TABLE_BELOWS; i++)
		print_below(table, line->below[i], COLOUR_YELLOW);
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
	if (table->lines == TABLE_AHEAD || table->at_once)
		widen(table);
	if (table->lines > 0 && !table->has_heading) {
		if (table->room)
			fit(table);
		print_headings(table);
	}
	for (uint32_t i = 0; i < table->lines; i++) {
		print_line(table, &table->line[i]);
		line_free(table, &table->line[i]);
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
	if (table->hidden && table->has_heading)
		fprintf(table->out, "and %" PRIu64 " more that stand at 0\n", table->hidden);
	else if (table->hidden) /* only the reasons for drops have columns that hide rows */
		fputs("no packet was dropped\n", table->out);
	name_hidden(table);
	for (uint32_t i = 0; i < table->columns; i++)
		free(table->column[i].heading);
	memset(table->column, 0, sizeof(table->column));
	table->columns = 0;
	table->hidden = 0;
	table->has_heading = table->is_below = false;
}

/* --- rows --- */

static bool add_column(struct table *table, const char *name, const char *heading, enum table_form form)
{
	table->column[table->columns].heading = human_escape(heading);
	if (!table->column[table->columns].heading)
		return false;
	table->column[table->columns].width = (uint32_t)strlen(table->column[table->columns].heading);
	table->column[table->columns].is_right = form == TABLE_COUNT || form == TABLE_INDEX || form == TABLE_BYTES ||
						 form == TABLE_DATA || form == TABLE_NOT_ZERO;
	table->column[table->columns].is_sentence = form == TABLE_SENTENCE || form == TABLE_PACKET;
	table->column[table->columns].is_port = table->column[table->columns].is_hidden = form == TABLE_PORT;
	table->column[table->columns].usual = form == TABLE_PORT ? PORT_WIDTH : table_kind_width(table->kind, name);
	if (table->at_once && form == TABLE_ENDPOINT)
		table->column[table->columns].width = ENDPOINT_WIDTH;
	if (table->at_once && form == TABLE_IDENTIFIER)
		table->column[table->columns].width = IDENTIFIER_WIDTH;
	table->columns++;
	return true;
}

static bool table_begin_kind(struct table *table, const struct row *row)
{
	table_finish_kind(table);
	snprintf(table->kind, sizeof(table->kind), "%s", row_text(row, "kind"));
	table->layout = table->in_detail ? table_kind_find_detail(table->kind) : NULL;
	if (!table->layout)
		table->layout = table_kind_find(table->kind);
	if (!table->layout) {
		for (uint32_t i = 1; i < row->count; i++)
			if (!add_column(table, row->member[i].name, row->member[i].name, form_of(&row->member[i])))
				return false;
		return true;
	}
	for (const struct table_column *column = table->layout->column; column->name; column++)
		if (column->form != TABLE_BELOW && !add_column(table, column->name, column->heading, column->form))
			return false;
	return true;
}

static bool fill_line(struct table *table, struct table_line *line, const struct row *row)
{
	uint32_t at = 0, below = 0;

	if (!table->layout) {
		for (; at < table->columns; at++) {
			const struct row_member *member = at + 1 < row->count ? &row->member[at + 1] : NULL;

			line->cell[at] = cell_make(member, member ? form_of(member) : TABLE_TEXT);
			if (!line->cell[at])
				return false;
		}
		return true;
	}
	for (const struct table_column *column = table->layout->column; column->name; column++) {
		char *cell = cell_of_column(row, column);

		if (!cell)
			return false;
		if (column->form == TABLE_BELOW)
			line->below[below++] = cell;
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
		if (column->form != TABLE_NOT_ZERO)
			continue;
		if (row_number(row, column->name) != 0)
			return false;
		zeros++;
	}
	return zeros > 0;
}

static bool print_upright(struct table *table, const struct row *row)
{
	if (table->has_rows)
		fputc('\n', table->out);
	table->has_rows = true;
	for (const struct table_column *column = table->layout->column; column->name; column++) {
		char *cell = cell_of_column(row, column);

		if (!cell)
			return false;
		if (cell[0] && strcmp(cell, "-") != 0) { /* there is something to say */
			fprintf(table->out, "%s%s%s: ", colour_on(table->in_colour, COLOUR_BOLD), column->heading,
				colour_off(table->in_colour, COLOUR_BOLD));
			wrap_print(table->out, cell, strlen(column->heading) + 2, BELOW, table->room);
			fputc('\n', table->out);
		}
		free(cell);
	}
	return true;
}

/* The first member, a colon, and what there is of the others. */
static bool print_aside(struct table *table, const struct table_kind *layout, const struct row *row)
{
	char *name = cell_of_column(row, &layout->column[0]), *cell = name;

	table_print(table);
	if (!name)
		return false;
	fprintf(table->out, "%s:", name);
	for (const struct table_column *column = layout->column + 1; column->name; column++) {
		if (!row_find(row, column->name))
			continue;
		cell = cell_of_column(row, column);
		if (!cell)
			break;
		fputc(' ', table->out);
		wrap_print(table->out, cell, strlen(name) + 2, BELOW, table->room);
		fprintf(table->out, "%s%s", column->heading[0] ? " " : "", column->heading);
		free(cell);
	}
	free(name);
	fputc('\n', table->out);
	table->has_rows = true;
	return cell != NULL;
}

bool table_add(struct table *table, const struct row *row)
{
	if (strcmp(table->kind, row_text(row, "kind")) != 0) {
		const struct table_kind *layout = table_kind_find(row_text(row, "kind"));

		if (layout && layout->shape == TABLE_ASIDE)
			return print_aside(table, layout, row);
		if (!table_begin_kind(table, row))
			return false;
	}
	if (table->layout && table->layout->shape == TABLE_UPRIGHT)
		return print_upright(table, row);
	if (table->at_once && !strcmp(table->kind, "seen") && packet_text_is_told(row, &table->told))
		return true;
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

void table_start(struct table *table, FILE *out, bool in_colour, bool at_once, uint32_t room)
{
	*table = (struct table){.out = out, .in_colour = in_colour, .at_once = at_once, .room = room};
}

void table_end(struct table *table)
{
	table_finish_kind(table);
}
