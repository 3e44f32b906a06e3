/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of the kind "seen" in words. */
#include "ctl/packet_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_of(const struct row *row, const char *name, const char *value)
{
	return !strcmp(row_text(row, name), value);
}

bool packet_text_is_told(const struct row *row, uint64_t *told)
{
	uint64_t number = row_number(row, "number");

	if (is_of(row, "event", "came")) {
		*told = row_text(row, "to-side")[0] ? number : 0;
		return false;
	}
	if (*told == 0 || *told != number || !is_of(row, "event", "left"))
		return false;
	*told = 0; /* further ones, as pieces and copies, are told */
	return true;
}

char *packet_text_way(const struct row *row)
{
	const char *side = row_text(row, "side"), *to = row_text(row, "to-side");
	char *text = NULL;

	if (!is_of(row, "event", "came"))
		return asprintf(&text, "->%.8s", side) < 0 ? NULL : text;
	if (!to[0])
		to = is_of(row, "verdict", "consumed") ? "here" : (is_of(row, "verdict", "held") ? "held" : "drop");
	return asprintf(&text, "%.8s->%.8s", side, to) < 0 ? NULL : text;
}

static void print_end(FILE *out, const struct row *row, const char *prefix, const char *end)
{
	char name[48];
	uint64_t port;

	snprintf(name, sizeof(name), "%s%s-address", prefix, end);
	fputs(row_text(row, name), out);
	snprintf(name, sizeof(name), "%s%s-port", prefix, end);
	port = row_number(row, name);
	if (port)
		fprintf(out, ":%" PRIu64, port);
}

static bool has_changed(const struct row *row, const char *end)
{
	static const char *const parts[] = {"address", "port"};
	char before[48], after[48];

	for (size_t i = 0; i < 2; i++) {
		snprintf(before, sizeof(before), "%s-%s", end, parts[i]);
		snprintf(after, sizeof(after), "after-%s-%s", end, parts[i]);
		if (strcmp(row_text(row, before), row_text(row, after)) != 0)
			return true;
	}
	return false;
}

/* The identifier in the words of its protocol; 0 is none. */
static void print_identifier(FILE *out, const struct row *row, const char *name)
{
	uint64_t number = row_number(row, name);

	if (number == 0)
		return;
	if (is_of(row, "protocol-name", "esp") || is_of(row, "protocol-name", "ah"))
		fprintf(out, " SPI 0x%08" PRIx64, number);
	else
		fprintf(out, " %s %" PRIu64, is_of(row, "protocol-name", "gre") ? "call" : "id", number);
}

static void print_translation(FILE *out, const struct row *row)
{
	if (has_changed(row, "src")) {
		fputs(" as ", out);
		print_end(out, row, "after-", "src");
	}
	if (has_changed(row, "dst")) {
		fputs(" to ", out);
		print_end(out, row, "after-", "dst");
	}
	if (row_number(row, "identifier") != row_number(row, "after-identifier")) {
		fputs(",", out);
		print_identifier(out, row, "after-identifier");
	}
}

char *packet_text_sentence(const struct row *row)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool failed;

	if (!out)
		return NULL;
	print_end(out, row, "", "src");
	fputs(" -> ", out);
	print_end(out, row, "", "dst");
	print_identifier(out, row, "identifier");
	if (row_text(row, "to-side")[0])
		print_translation(out, row);
	if (row_text(row, "detail")[0])
		fprintf(out, ": %s", row_text(row, "detail"));
	if (!row_text(row, "to-side")[0])
		fprintf(out, "; %s", row_text(row, "comment"));
	failed = ferror(out) != 0;
	if (fclose(out) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}
