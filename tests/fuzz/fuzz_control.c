/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both readers of the control socket on any bytes: the words of a request, and the flat objects of an answer. What the
 * writer makes of what was read, the reader reads as the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_request.h"
#include "control/json.h"
#include "ctl/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const char *line, size_t length)
{
	static struct control_request request;
	const char *end = request.text + sizeof(request.text);

	if (control_request_read(&request, line, length))
		return;
	if (request.count == 0 || request.count > REQUEST_WORDS_MAX)
		abort();
	for (uint32_t i = 0; i < request.count; i++) {
		const char *word = request.words[i];

		if (word < request.text || word >= end || !memchr(word, '\0', (size_t)(end - word)) || !*word)
			abort();
		for (; *word; word++)
			if (*word < 0x21 || *word > 0x7e)
				abort();
	}
}

/* The writer takes names as they are, since they are constants of the program. */
static bool is_plain(const char *name)
{
	for (; *name; name++)
		if (*name < 0x20 || *name > 0x7e || *name == '"' || *name == '\\')
			return false;
	return true;
}

static void check_row(const char *line, size_t length)
{
	static struct row row, again;
	static char text[4 * ROW_LINE_MAX + 64];
	struct json json;

	if (row_read(&row, line, length))
		return;
	json_start(&json, text, sizeof(text));
	json_begin(&json);
	for (uint32_t i = 0; i < row.count; i++) {
		const struct row_member *member = &row.member[i];

		if (row_find(&row, member->name) != member)
			abort();
		if (!is_plain(member->name))
			return;
		if (member->type == ROW_NULL)
			json_text(&json, member->name, NULL);
		else if (member->type == ROW_BOOL)
			json_bool(&json, member->name, !strcmp(member->text, "true"));
		else if (member->type == ROW_NUMBER)
			json_number(&json, member->name, row_member_number(member));
		else
			json_text(&json, member->name, member->text);
	}
	length = json_end(&json) - 1;
	if (json.is_cut || length > ROW_LINE_MAX)
		return;
	if (row_read(&again, text, length) || again.count != row.count)
		abort();
	for (uint32_t i = 0; i < row.count; i++)
		if (strcmp(row.member[i].name, again.member[i].name) != 0 ||
		    (row.member[i].type == ROW_TEXT && strcmp(row.member[i].text, again.member[i].text) != 0))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_request((const char *)data, size);
	check_row((const char *)data, size);
	return 0;
}
