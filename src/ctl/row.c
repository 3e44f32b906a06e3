/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading flat JSON objects. */
#include "ctl/row.h"

#include <string.h>

struct reader {
	const char *at, *end;
	char *out, *out_end;
};

static bool take(struct reader *reader, char byte)
{
	if (reader->at == reader->end || *reader->at != byte)
		return false;
	reader->at++;
	return true;
}

static bool put(struct reader *reader, char byte)
{
	if (reader->out == reader->out_end)
		return false;
	*reader->out++ = byte;
	return true;
}

static int hex_value(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *found;

	if (digit >= 'A' && digit <= 'F')
		digit = (char)(digit - 'A' + 'a');
	found = digit ? strchr(digits, digit) : NULL;
	return found ? (int)(found - digits) : -1;
}

/* Behind "\u". */
static bool take_unicode(struct reader *reader)
{
	int code = 0;

	for (int i = 0; i < 4; i++) {
		int value = reader->at < reader->end ? hex_value(*reader->at++) : -1;

		if (value < 0)
			return false;
		code = code * 16 + value;
	}
	return code != 0 && put(reader, code > 0xff ? '?' : (char)code);
}

/* Behind a backslash. */
static bool take_escape(struct reader *reader)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (take(reader, 'u'))
		return take_unicode(reader);
	found = reader->at < reader->end && *reader->at ? strchr(letters, *reader->at) : NULL;
	if (!found)
		return false;
	reader->at++;
	return put(reader, meanings[found - letters]);
}

static const char *take_string(struct reader *reader)
{
	const char *start = reader->out;

	if (!take(reader, '"'))
		return NULL;
	while (!take(reader, '"')) {
		if (reader->at == reader->end || *reader->at < 0x20 || *reader->at > 0x7e)
			return NULL;
		if (take(reader, '\\') ? !take_escape(reader) : !put(reader, *reader->at++))
			return NULL;
	}
	return put(reader, '\0') ? start : NULL;
}

/* At least one digit. */
static bool take_digits(struct reader *reader)
{
	const char *start = reader->at;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
		if (!put(reader, *reader->at++))
			return false;
	return reader->at > start;
}

static bool take_and_put(struct reader *reader, char byte)
{
	return take(reader, byte) && put(reader, byte);
}

static const char *take_number(struct reader *reader)
{
	const char *start = reader->out;

	(void)take_and_put(reader, '-');
	if (!take_and_put(reader, '0') && !take_digits(reader))
		return NULL;
	if (take_and_put(reader, '.') && !take_digits(reader))
		return NULL;
	if (take_and_put(reader, 'e') || take_and_put(reader, 'E')) {
		if (!take_and_put(reader, '+'))
			(void)take_and_put(reader, '-');
		if (!take_digits(reader))
			return NULL;
	}
	return put(reader, '\0') ? start : NULL;
}

static bool take_word(struct reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
		return false;
	reader->at += length;
	return true;
}

static bool take_value(struct reader *reader, struct row_member *member)
{
	if (reader->at < reader->end && *reader->at == '"') {
		member->type = ROW_TEXT;
		member->text = take_string(reader);
	} else if (take_word(reader, "true") || take_word(reader, "false")) {
		member->type = ROW_BOOL;
		member->text = reader->at[-2] == 'u' ? "true" : "false";
	} else if (take_word(reader, "null")) {
		member->type = ROW_NULL;
		member->text = "";
	} else {
		member->type = ROW_NUMBER;
		member->text = take_number(reader);
	}
	return member->text != NULL;
}

static const char *take_member(struct reader *reader, struct row *row)
{
	struct row_member *member = &row->member[row->count];

	if (row->count == ROW_MEMBERS)
		return "it has too many members";
	member->name = take_string(reader);
	if (!member->name || !take(reader, ':'))
		return "a name and a colon are missing";
	if (row_find(row, member->name))
		return "a member occurs twice";
	if (!take_value(reader, member))
		return "a value is neither a string, a number, true, false nor null";
	row->count++;
	return NULL;
}

const char *row_read(struct row *row, const char *line, size_t length)
{
	struct reader reader = {line, line + length, row->memory, row->memory + sizeof(row->memory)};
	const char *wrong;

	row->count = 0;
	if (length > ROW_LINE_MAX)
		return "it is too long";
	if (!take(&reader, '{'))
		return "it is no object";
	if (!take(&reader, '}')) {
		do {
			wrong = take_member(&reader, row);
			if (wrong)
				return wrong;
		} while (take(&reader, ','));
		if (!take(&reader, '}'))
			return "its end is missing";
	}
	return reader.at == reader.end ? NULL : "there is something after its end";
}

const struct row_member *row_find(const struct row *row, const char *name)
{
	for (uint32_t i = 0; i < row->count; i++)
		if (!strcmp(row->member[i].name, name))
			return &row->member[i];
	return NULL;
}

const char *row_text(const struct row *row, const char *name)
{
	const struct row_member *member = row_find(row, name);

	return member ? member->text : "";
}

uint64_t row_member_number(const struct row_member *member)
{
	uint64_t value = 0;

	if (!member || member->type != ROW_NUMBER)
		return 0;
	for (const char *digit = member->text; *digit; digit++) {
		if (*digit < '0' || *digit > '9' || value > (UINT64_MAX - 9) / 10)
			return 0;
		value = value * 10 + (uint64_t)(*digit - '0');
	}
	return value;
}

uint64_t row_number(const struct row *row, const char *name)
{
	return row_member_number(row_find(row, name));
}
