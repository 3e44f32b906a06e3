/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flat JSON objects, one a line (RFC 8259), written straight into memory of the caller: no tree, no allocation.
 *
 * A row is valid by construction: it is pure printable ASCII whatever the strings hold, and a member that does not fit
 * is left out as a whole, with "cut":true at the end to say so. Names are constants of the program: letters, digits and
 * dashes.
 */
#ifndef CULVERT_CONTROL_JSON_H
#define CULVERT_CONTROL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <culvert/types.h>

enum { JSON_ROW_MIN = 64 };

struct json {
	char *text;
	size_t size, used;
	bool is_cut;
};

/* Rows go to text, of size bytes (at least JSON_ROW_MIN), which stays the caller's. */
void json_start(struct json *json, char *text, size_t size);

/* A new row; what stood in the memory is gone. */
void json_begin(struct json *json);
/* A string; bytes that are not printable ASCII become \u00XX. NULL is written as null. */
void json_text(struct json *json, const char *name, const char *value);
void json_number(struct json *json, const char *name, uint64_t value);
/* A number that stands there already: digits, which may have a decimal point among them. */
void json_decimal(struct json *json, const char *name, const char *digits);
void json_bool(struct json *json, const char *name, bool value);
/* An address as a string. */
void json_address(struct json *json, const char *name, struct address address);
/* A number, or null. */
void json_number_if(struct json *json, bool is_there, const char *name, uint64_t value);
/* NAME-address and NAME-port, or both null; names have at most 30 letters. */
void json_endpoint(struct json *json, bool is_there, const char *name, struct address address, uint16_t port);
/* Closes the row, with a newline. Returns its length; it is not terminated by a NUL. */
size_t json_end(struct json *json);

#endif
