/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows of JSON: what is written is what was meant, whatever the strings hold, and however little room there is. Given
 * "--all-bytes" the program prints a row for each byte, which tests/unit/test_json_rows.py has another reader judge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/json.h"

struct row {
	struct json json;
	char text[512];
};

static void start(struct row *row, size_t size)
{
	memset(row->text, '#', sizeof(row->text));
	json_start(&row->json, row->text, size);
	json_begin(&row->json);
}

static void assert_row(struct row *row, const char *expected)
{
	size_t length = json_end(&row->json);

	assert_true(length < sizeof(row->text));
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(row->text, expected, length);
}

static void every_type_is_written(void **state)
{
	struct row row;

	(void)state;
	start(&row, sizeof(row.text));
	json_text(&row.json, "text", "plain");
	json_text(&row.json, "nothing", NULL);
	json_number(&row.json, "most", UINT64_MAX);
	json_decimal(&row.json, "part", "1.250");
	json_bool(&row.json, "yes", true);
	json_bool(&row.json, "no", false);
	json_text(&row.json, "null", NULL);
	json_address(&row.json, "address", address_of(0xc0a80102));
	assert_row(&row, "{\"text\":\"plain\",\"nothing\":null,\"most\":18446744073709551615,\"part\":1.250,"
			 "\"yes\":true,\"no\":false,\"null\":null,\"address\":\"192.168.1.2\"}\n");
	start(&row, sizeof(row.text));
	assert_row(&row, "{}\n");
}

static void strings_are_escaped(void **state)
{
	struct row row;

	(void)state;
	start(&row, sizeof(row.text));
	json_text(&row.json, "text", "a\"b\\c\nd\033[31m\177\200\377</script>");
	assert_row(&row, "{\"text\":\"a\\\"b\\\\c\\u000ad\\u001b[31m\\u007f\\u0080\\u00ff</script>\"}\n");
}

/* What does not fit is left out as a whole, and nothing is written behind the end. */
static void rows_fit_any_room(void **state)
{
	struct row row;

	(void)state;
	for (size_t size = JSON_ROW_MIN; size < 200; size++) {
		size_t length;

		start(&row, size);
		json_text(&row.json, "first", "some text");
		json_number(&row.json, "second", 7);
		json_text(&row.json, "third", "\1\2\3\4\5\6\7\b\t\n\v\f\r\016\017");
		length = json_end(&row.json);
		assert_true(length <= size);
		assert_int_equal(row.text[size], '#');
		assert_int_equal(row.text[length - 1], '\n');
		row.text[length] = '\0';
		assert_int_equal(row.json.is_cut, !strstr(row.text, "\\u000f"));
		assert_int_equal(row.json.is_cut, strstr(row.text, ",\"cut\":true}\n") != NULL);
		assert_non_null(strstr(row.text, "\"second\":7"));
	}
	/* Not even the first one fits. */
	start(&row, JSON_ROW_MIN);
	json_text(&row.json, "first", "0123456789012345678901234567890123456789012345678901234567890123456789");
	assert_row(&row, "{\"cut\":true}\n");
}

static int print_all_bytes(void)
{
	struct row row;

	for (unsigned int byte = 1; byte < 256; byte++) {
		const char text[] = {'<', (char)byte, '>', '\0'};

		start(&row, byte < 200 ? sizeof(row.text) : JSON_ROW_MIN);
		json_number(&row.json, "byte", byte);
		json_text(&row.json, "text", text);
		json_text(&row.json, "after", "what comes behind it");
		fwrite(row.text, 1, json_end(&row.json), stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_written),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(rows_fit_any_room),
	};

	if (argc == 2 && !strcmp(argv[1], "--all-bytes"))
		return print_all_bytes();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
