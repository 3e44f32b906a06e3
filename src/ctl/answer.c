/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers as tables, documents, lines and columns. */
#include "ctl/answer.h"

#include <string.h>

void answer_start(struct answer *answer, enum answer_format format, FILE *out, enum answer_look look, bool at_once,
		  bool in_colour, uint32_t room)
{
	answer->format = format;
	answer->out = out;
	answer->look = look;
	answer->family[0] = '\0';
	answer->at_once = at_once;
	answer->has_schema = answer->has_rows = false;
	answer->kind[0] = answer->schema[0] = '\0';
	table_start(&answer->table, out, in_colour, at_once, room);
	screen_start(&answer->screen, out, in_colour, room);
}

void answer_expect(struct answer *answer, const char *verb, unsigned int version)
{
	snprintf(answer->schema, sizeof(answer->schema), "culvert.%s/%u", verb, version);
}

/* As a JSON string. */
static void print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte < 0x20 || byte > 0x7e)
			fprintf(out, "\\u%04x", byte);
		else
			fprintf(out, byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
	}
	fputc('"', out);
}

/* The beginning of a document; NULL: the daemon has not said what it is. */
static void open_document(struct answer *answer, const char *schema)
{
	if (answer->format != ANSWER_JSON || answer->has_schema)
		return;
	fputs("{\"schema\":", answer->out);
	print_string(answer->out, schema ? schema : answer->schema);
	fputs(",\"rows\":[", answer->out);
	answer->has_schema = true;
}

void answer_schema(struct answer *answer, const struct row *row, const char *line)
{
	if (answer->format == ANSWER_LINES)
		fprintf(answer->out, "%s\n", line);
	open_document(answer, row_text(row, "schema"));
	if (answer->at_once)
		fflush(answer->out);
}

/* A tab or a newline in a value would look like the end of one: control characters are written as \xNN. */
static void print_value(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		fprintf(out, byte < 0x20 || byte > 0x7e ? "\\x%02x" : "%c", byte);
	}
}

static void add_tsv(struct answer *answer, const struct row *row)
{
	if (strcmp(answer->kind, row_text(row, "kind")) != 0) {
		for (uint32_t i = 0; i < row->count; i++) {
			fputs(i == 0 ? "#" : "\t", answer->out);
			print_value(answer->out, row->member[i].name);
		}
		fputc('\n', answer->out);
		snprintf(answer->kind, sizeof(answer->kind), "%s", row_text(row, "kind"));
	}
	for (uint32_t i = 0; i < row->count; i++) {
		fputs(i == 0 ? "" : "\t", answer->out);
		print_value(answer->out, row->member[i].text);
	}
	fputc('\n', answer->out);
}

/* The text format of Prometheus, 0.0.4: what a name means stands before its first sample. */
static void add_sample(struct answer *answer, const struct row *row)
{
	const char *name = row_text(row, "name"), *labels = row_text(row, "labels");

	if (strcmp(answer->family, name) != 0) {
		fputs("# HELP ", answer->out);
		print_value(answer->out, name);
		fputc(' ', answer->out);
		print_value(answer->out, row_text(row, "help"));
		fputs("\n# TYPE ", answer->out);
		print_value(answer->out, name);
		fputc(' ', answer->out);
		print_value(answer->out, row_text(row, "type"));
		fputc('\n', answer->out);
		snprintf(answer->family, sizeof(answer->family), "%s", name);
	}
	print_value(answer->out, name);
	if (labels[0]) {
		fputc('{', answer->out);
		print_value(answer->out, labels);
		fputc('}', answer->out);
	}
	fputc(' ', answer->out);
	print_value(answer->out, row_text(row, "value"));
	fputc('\n', answer->out);
}

static bool add_for_people(struct answer *answer, const struct row *row)
{
	switch (answer->look) {
	case ANSWER_STATUS:
		return screen_add(&answer->screen, row);
	case ANSWER_METRICS:
		add_sample(answer, row);
		return true;
	default:
		return table_add(&answer->table, row);
	}
}

bool answer_add(struct answer *answer, const struct row *row, const char *line)
{
	bool good = true;

	switch (answer->format) {
	case ANSWER_TABLE:
		good = add_for_people(answer, row);
		break;
	case ANSWER_JSON:
		open_document(answer, NULL);
		fprintf(answer->out, "%s\n%s", answer->has_rows ? "," : "", line);
		break;
	case ANSWER_LINES:
		fprintf(answer->out, "%s\n", line);
		break;
	case ANSWER_TSV:
		add_tsv(answer, row);
		break;
	}
	answer->has_rows = true;
	if (answer->at_once)
		fflush(answer->out);
	return good;
}

void answer_end(struct answer *answer, int code, const char *error)
{
	if (answer->format == ANSWER_TABLE && answer->look == ANSWER_STATUS && answer->has_rows && code == 0)
		screen_end(&answer->screen);
	table_end(&answer->table);
	if (answer->format == ANSWER_TABLE && !answer->has_rows && !answer->at_once && code == 0)
		fputs("nothing to list\n", answer->out);
	if (answer->format != ANSWER_JSON)
		return;
	open_document(answer, NULL);
	fprintf(answer->out, "%s],\"code\":%d", answer->has_rows ? "\n" : "", code);
	if (code != 0) {
		fputs(",\"error\":", answer->out);
		print_string(answer->out, error);
	}
	fputs("}\n", answer->out);
}
