/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of JSON. Room for the end of the row is kept from the start, so that every row can be closed.
 */
#include "control/json.h"

#include <stdio.h>
#include <string.h>

#include "base/address.h"

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

static bool json_is_plain(unsigned char byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static bool json_put_escaped(struct json *json, unsigned char byte)
{
	char escaped[8];

	if (byte == '"' || byte == '\\') {
		const char pair[] = {'\\', (char)byte};

		return json_put(json, pair, 2);
	}
	return json_put(json, escaped, (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", byte));
}

static bool json_put_string(struct json *json, const char *value)
{
	const char *end = value;

	if (!json_put(json, "\"", 1))
		return false;
	for (; *value; value = end) {
		while (json_is_plain((unsigned char)*end))
			end++;
		if (!json_put(json, value, (size_t)(end - value)))
			return false;
		if (*end && !json_put_escaped(json, (unsigned char)*end++))
			return false;
	}
	return json_put(json, "\"", 1);
}

/* The name of a member, and the comma before it. Names are our own: there is nothing in them to escape. */
static bool json_put_name(struct json *json, const char *name)
{
	return (json->used == 1 || json_put(json, ",", 1)) && json_put(json, "\"", 1) &&
	       json_put(json, name, strlen(name)) && json_put(json, "\":", 2);
}

/* Writes the digits so that they end before end; where they begin. Lists have so many numbers that printf() would be
 * most of their cost. */
static char *json_print_digits(char *end, uint64_t value)
{
	do {
		*--end = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	return end;
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
	char digits[24], *end = digits + sizeof(digits) - 1;

	*end = '\0';
	json_member(json, name, json_print_digits(end, value), false);
}

void json_decimal(struct json *json, const char *name, const char *digits)
{
	json_member(json, name, digits, false);
}

void json_bool(struct json *json, const char *name, bool value)
{
	json_member(json, name, value ? "true" : "false", false);
}

void json_address(struct json *json, const char *name, struct address address)
{
	char text[ADDRESS_TEXT];

	json_member(json, name, address_print(address, text), true);
}

void json_number_if(struct json *json, bool is_there, const char *name, uint64_t value)
{
	if (is_there)
		json_number(json, name, value);
	else
		json_text(json, name, NULL);
}

void json_endpoint(struct json *json, bool is_there, const char *name, struct address address, uint16_t port)
{
	char member[40];

	snprintf(member, sizeof(member), "%s-address", name);
	if (is_there)
		json_address(json, member, address);
	else
		json_text(json, member, NULL);
	snprintf(member, sizeof(member), "%s-port", name);
	json_number_if(json, is_there, member, port);
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
