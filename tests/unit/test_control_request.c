/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of requests, and lines that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/control_request.h"

static void words_are_cut(void **state)
{
	static const struct {
		const char *line;
		const char *words[4];
	} rows[] = {
		{"status", {"status"}},
		{"  mappings  host=10.0.0.1 ", {"mappings", "host=10.0.0.1"}},
		{"a b c\r", {"a", "b", "c"}},
		{"~!", {"~!"}},
	};
	struct control_request request;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t count = 0;

		assert_null(control_request_read(&request, rows[i].line, strlen(rows[i].line)));
		for (; rows[i].words[count]; count++) {
			assert_true(count < request.count);
			assert_string_equal(request.words[count], rows[i].words[count]);
		}
		assert_int_equal(request.count, count);
	}
}

static void bad_lines_are_named(void **state)
{
	static const struct {
		const char *line;
		size_t length;
		const char *wrong;
	} rows[] = {
		{"", 0, "empty"},
		{"   \r", 4, "empty"},
		{"\r", 1, "empty"},
		{"a\0b", 3, "printable"},
		{"a\tb", 3, "printable"},
		{"a\rb", 3, "printable"},
		{"\200", 1, "printable"},
		{"a\177", 2, "printable"},
		{"1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8", 35, "more words"},
	};
	struct control_request request;
	char line[REQUEST_LINE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *wrong = control_request_read(&request, rows[i].line, rows[i].length);

		assert_non_null(wrong);
		assert_non_null(strstr(wrong, rows[i].wrong));
	}
	memset(line, 'x', sizeof(line));
	assert_null(control_request_read(&request, line, sizeof(line) - 1));
	assert_int_equal(strlen(request.words[0]), sizeof(line) - 1);
	assert_non_null(control_request_read(&request, line, sizeof(line)));
	/* As many words as there may be. */
	assert_null(control_request_read(&request, "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7", 33));
	assert_int_equal(request.count, REQUEST_WORDS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_cut),
		cmocka_unit_test(bad_lines_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
