/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of JSON. Room for the end of the row is kept from the start, so that every row can be closed.
 */
#include "daemon/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char end_whole[] = "}\n", end_cut[] = "\"cut\":true}\n";

/* Of the text, without a NUL: the longer end, and a comma in front of it. */
enum { END_ROOM = sizeof(end_cut) };

void json_start(struct json *json, char *text, size_t size)
{
	json->text = text;
	json->size = size;
	json_begin(json);
}

void json_begin(struct json *json)
{
	json->text[0] = '{';
	json->used = 1;
	json->is_cut = false;
}

static bool json_put(struct json *json, const char *bytes, size_t length)
{
	if (json->size - END_ROOM - json->used < length)
		return false;
	memcpy(json->text + json->used, bytes, length);
	json->used += length;
	return true;
}

static bool json_put_byte(struct json *json, unsigned char byte)
{
	char escaped[8];

	if (byte == '"' || byte == '\\') {
		const char pair[] = {'\\', (char)byte};

		return json_put(json, pair, 2);
	}
	if (byte >= 0x20 && byte < 0x7f)
		return json_put(json, (const char *)&byte, 1);
	return json_put(json, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", byte));
}

static bool json_put_string(struct json *json, const char *value)
{
	if (!json_put(json, "\"", 1))
		return false;
	for (; *value; value++)
		if (!json_put_byte(json, (unsigned char)*value))
			return false;
	return json_put(json, "\"", 1);
}

/* The name of a member, and the comma before it. */
static bool json_put_name(struct json *json, const char *name)
{
	return (json->used == 1 || json_put(json, ",", 1)) && json_put_string(json, name) && json_put(json, ":", 1);
}

/* A member whose value is written as it is, or (is_text) as a string. */
static void json_member(struct json *json, const char *name, const char *value, bool is_text)
{
	size_t before = json->used;

	if (json_put_name(json, name) &&
	    (is_text ? json_put_string(json, value) : json_put(json, value, strlen(value))))
		return;
	json->used = before;
	json->is_cut = true;
}

void json_text(struct json *json, const char *name, const char *value)
{
	json_member(json, name, value ? value : "null", value != NULL);
}

void json_number(struct json *json, const char *name, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	json_member(json, name, digits, false);
}

void json_decimal(struct json *json, const char *name, const char *digits)
{
	json_member(json, name, digits, false);
}

void json_bool(struct json *json, const char *name, bool value)
{
	json_member(json, name, value ? "true" : "false", false);
}

void json_null(struct json *json, const char *name)
{
	json_member(json, name, "null", false);
}

void json_address(struct json *json, const char *name, uint32_t address)
{
	char text[16];

	snprintf(text, sizeof(text), "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
		 address & 255);
	json_member(json, name, text, true);
}

size_t json_end(struct json *json)
{
	const char *end = json->is_cut ? end_cut : end_whole;
	size_t length = strlen(end);

	if (json->is_cut && json->used > 1)
		json->text[json->used++] = ',';
	memcpy(json->text + json->used, end, length);
	json->used += length;
	return json->used;
}
