/* SPDX-License-Identifier: BSD-2-Clause */
/* Units, and bytes that a terminal must not see. */
#include "ctl/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void human_bytes(char out[HUMAN_MAX], uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t whole = bytes, tenths = 0;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(out, HUMAN_MAX, "%" PRIu64 " B", bytes);
		return;
	}
	for (; whole >= 1024 && unit < sizeof(units) / sizeof(units[0]); unit++) {
		tenths = whole % 1024 * 10 / 1024;
		whole /= 1024;
	}
	if (whole < 10)
		snprintf(out, HUMAN_MAX, "%" PRIu64 ".%" PRIu64 " %s", whole, tenths, units[unit - 1]);
	else
		snprintf(out, HUMAN_MAX, "%" PRIu64 " %s", whole, units[unit - 1]);
}

void human_count(char out[HUMAN_MAX], uint64_t count)
{
	static const char units[] = "MGTP";
	uint64_t whole = count / 1000000;
	size_t unit = 0;

	if (count < 100000000) {
		snprintf(out, HUMAN_MAX, "%" PRIu64, count);
		return;
	}
	for (; whole >= 1000000; unit++)
		whole /= 1000;
	snprintf(out, HUMAN_MAX, "%" PRIu64 " %c", whole, units[unit]);
}

void human_seconds(char out[HUMAN_MAX], uint64_t seconds)
{
	static const struct {
		uint64_t size;
		char name, smaller;
		uint64_t smaller_size;
	} units[] = {{86400, 'd', 'h', 3600}, {3600, 'h', 'm', 60}, {60, 'm', 's', 1}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (seconds < units[i].size)
			continue;
		snprintf(out, HUMAN_MAX, "%" PRIu64 " %c %" PRIu64 " %c", seconds / units[i].size, units[i].name,
			 seconds % units[i].size / units[i].smaller_size, units[i].smaller);
		return;
	}
	snprintf(out, HUMAN_MAX, "%" PRIu64 " s", seconds);
}

char *human_escape(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	char *out = malloc(strlen(text) * 4 + 1), *next = out;

	for (; out && *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte >= 0x20 && byte < 0x7f) {
			*next++ = (char)byte;
			continue;
		}
		*next++ = '\\';
		*next++ = 'x';
		*next++ = digits[byte >> 4];
		*next++ = digits[byte & 15];
	}
	if (out)
		*next = '\0';
	return out;
}
