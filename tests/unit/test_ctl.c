/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of culvertctl: reading rows, units, verbs and what they begin with, tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/human.h"
#include "ctl/row.h"
#include "ctl/table.h"
#include "ctl/wrap.h"
#include "ctl/verbs.h"

static struct row row;

static const char *read(const char *line)
{
	return row_read(&row, line, strlen(line));
}

static void rows_are_read(void **state)
{
	(void)state;
	assert_null(read("{}"));
	assert_int_equal(row.count, 0);
	assert_null(
		read("{\"kind\":\"drop\",\"n\":18446744073709551615,\"t\":true,\"f\":false,\"z\":null,\"e\":\"\"}"));
	assert_int_equal(row.count, 6);
	assert_string_equal(row_text(&row, "kind"), "drop");
	assert_int_equal(row_find(&row, "kind")->type, ROW_TEXT);
	assert_int_equal(row_number(&row, "n"), 0); /* one below the largest is the largest that is read */
	assert_string_equal(row_text(&row, "n"), "18446744073709551615");
	assert_string_equal(row_text(&row, "t"), "true");
	assert_int_equal(row_find(&row, "f")->type, ROW_BOOL);
	assert_string_equal(row_text(&row, "f"), "false");
	assert_int_equal(row_find(&row, "z")->type, ROW_NULL);
	assert_string_equal(row_text(&row, "z"), "");
	assert_null(row_find(&row, "missing"));
	assert_string_equal(row_text(&row, "missing"), "");
	assert_null(read("{\"a\\u0062\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u001b\\u00ff\\u20ac\"}"));
	assert_string_equal(row_text(&row, "ab"), "\"\\/\b\f\n\r\t\033\377?");
	assert_null(read("{\"a\":-0.5e+09,\"b\":0,\"c\":1E5}"));
	assert_string_equal(row_text(&row, "a"), "-0.5e+09");
	assert_int_equal(row_number(&row, "a"), 0);
}

static void bad_rows_are_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"{",
		"}",
		"[]",
		"null",
		"{} ",
		" {}",
		"{}{}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{,\"a\":1}",
		"{\"a\" :1}",
		"{\"a\":1 }",
		"{a:1}",
		"{\"a\":1,\"a\":2}",
		"{\"a\":{}}",
		"{\"a\":[1]}",
		"{\"a\":01}",
		"{\"a\":-}",
		"{\"a\":1.}",
		"{\"a\":.5}",
		"{\"a\":1e}",
		"{\"a\":+1}",
		"{\"a\":True}",
		"{\"a\":nul}",
		"{\"a\":\"}",
		"{\"a\":\"\\\"}",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u00\"}",
		"{\"a\":\"\\u00g0\"}",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":\"\033\"}",
		"{\"a\":\"\t\"}",
		"{\"a\":\"\177\"}",
		"{\"a\":\"\303\274\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!read(rows[i]))
			fail_msg("taken: %s", rows[i]);
	assert_non_null(row_read(&row, "{\"a\":\"\0\"}", 9));
	/* As it ends in the middle of anything. */
	for (size_t length = 0; length < 26; length++)
		assert_non_null(row_read(&row, "{\"a\":\"\\u0041\",\"b\":-1.5e7}", length < 25 ? length : 26));
}

static void rows_have_limits(void **state)
{
	static char line[2 * ROW_LINE_MAX];
	size_t used = 0;

	(void)state;
	for (int members = 1; members <= ROW_MEMBERS + 1; members++) {
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%c\"%d\":0", members == 1 ? '{' : ',',
					 members);
		line[used] = '}';
		line[used + 1] = '\0';
		assert_int_equal(!read(line), members <= ROW_MEMBERS);
	}
	memset(line, 'x', sizeof(line));
	memcpy(line, "{\"a\":\"", 6);
	memcpy(line + ROW_LINE_MAX - 2, "\"}", 2);
	assert_null(row_read(&row, line, ROW_LINE_MAX));
	memcpy(line + ROW_LINE_MAX - 2, "x\"}", 3);
	assert_non_null(row_read(&row, line, ROW_LINE_MAX + 1));
}

static void values_are_made_readable(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} bytes[] = {{0, "0 B"},           {1023, "1023 B"},        {1024, "1.0 KiB"},
		     {1536, "1.5 KiB"},    {10240, "10 KiB"},       {1048575, "1023 KiB"},
		     {1048576, "1.0 MiB"}, {5368709120, "5.0 GiB"}, {UINT64_MAX, "15 EiB"}},
	  seconds[] = {{0, "0 s"},        {59, "59 s"},         {60, "1 m 0 s"},    {3599, "59 m 59 s"},
		       {7500, "2 h 5 m"}, {86399, "23 h 59 m"}, {90000, "1 d 1 h"}, {864000, "10 d 0 h"}};
	static const struct {
		uint64_t count;
		const char *text;
	} counts[] = {{0, "0"},
		      {99999999, "99999999"},
		      {100000000, "100 M"},
		      {999999999999, "999999 M"},
		      {1000000000000, "1000 G"},
		      {UINT64_MAX, "18446 P"}};
	char out[HUMAN_MAX], *escaped;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		human_bytes(out, bytes[i].bytes);
		assert_string_equal(out, bytes[i].text);
	}
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		human_seconds(out, seconds[i].bytes);
		assert_string_equal(out, seconds[i].text);
	}
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		human_count(out, counts[i].count);
		assert_string_equal(out, counts[i].text);
	}
	escaped = human_escape("a\033[31m\n\377\177");
	assert_string_equal(escaped, "a\\x1b[31m\\x0a\\xff\\x7f");
	free(escaped);
}

static void verbs_may_be_abbreviated(void **state)
{
	char *said = NULL;
	size_t size = 0;
	FILE *errors = open_memstream(&said, &size);

	(void)state;
	assert_non_null(errors);
	assert_string_equal(verbs_find("status", errors)->name, "status");
	assert_string_equal(verbs_find("map", errors)->name, "mappings");
	fflush(errors);
	assert_int_equal(size, 0);
	assert_null(verbs_find("", errors));
	assert_null(verbs_find("mappingss", errors));
	assert_null(verbs_find("\033", errors));
	fclose(errors);
	assert_non_null(strstr(said, "mappingss is not a verb; did you mean mappings?\n"));
	assert_non_null(strstr(said, "\\x1b is not a verb: "));
	assert_null(strchr(said, '\033'));
	free(said);
}

/* A whole verb is itself, also where another one begins like it; two that begin alike are named. */
static void abbreviations_are_never_guessed(void **state)
{
	(void)state;
	for (size_t i = 0; i < verb_count; i++) {
		for (size_t length = 1; length <= strlen(verb_texts[i].name); length++) {
			const struct verb_text *found;
			char word[32], *said = NULL;
			size_t size = 0, candidates = 0;
			FILE *errors = open_memstream(&said, &size);

			assert_non_null(errors);
			snprintf(word, sizeof(word), "%.*s", (int)length, verb_texts[i].name);
			for (size_t j = 0; j < verb_count; j++)
				candidates += !strncmp(verb_texts[j].name, word, length);
			found = verbs_find(word, errors);
			fclose(errors);
			if (candidates == 1 || word[length] == verb_texts[i].name[length])
				assert_ptr_equal(found, &verb_texts[i]);
			else
				assert_true(!found && strstr(said, verb_texts[i].name));
			free(said);
		}
	}
}

static void tables_hold_hostile_values(void **state)
{
	static const char *const lines[] = {
		("{\"kind\":\"tunnel\",\"type\":\"PPTP\",\"internal-src-address\":\"10.0.0.1\","
		 "\"state\":\"\\u001b[2J\",\"data\":\"GRE\",\"bytes-out\":2048,\"age\":61,\"hint-text\":"
		 "\"look\\u0007\"}"),
		"{\"kind\":\"tunnel\",\"type\":1,\"internal-src-address\":null,\"state\":true,\"bytes-out\":\"x\"}",
		"{\"kind\":\"new\",\"na\\u001bme\":\"\\u009b31m\",\"some-bytes\":1024}",
		"{\"kind\":\"drop\",\"reason\":\"zero\",\"packets-lan\":0,\"packets-wan\":0,\"meaning\":\"m\"}",
		"{\"kind\":\"drop\",\"reason\":\"one\",\"packets-lan\":0,\"packets-wan\":1,\"meaning\":\"m\"}",
	};
	struct table *table = calloc(1, sizeof(*table));
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(table);
	assert_non_null(out);
	table_start(table, out, false, false, 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_null(read(lines[i]));
		assert_true(table_add(table, &row));
	}
	table_end(table);
	fclose(out);
	for (size_t i = 0; i < size; i++)
		assert_true(text[i] == '\n' || (text[i] >= 0x20 && text[i] < 0x7f));
	assert_non_null(strstr(text, "\\x1b[2J"));
	assert_non_null(strstr(text, "2.0 KiB"));
	assert_non_null(strstr(text, "1 m 1 s"));
	assert_non_null(strstr(text, "    look\\x07\n"));
	assert_non_null(strstr(text, "na\\x1bme"));
	assert_non_null(strstr(text, "\\x9b31m"));
	assert_non_null(strstr(text, "one"));
	assert_null(strstr(text, "zero "));
	assert_non_null(strstr(text, "and 1 more that stand at 0"));
	free(text);
	free(table);
}

/* 100,000 rows pass through, and the columns stay where they were in the first. */
static void long_tables_stream(void **state)
{
	static const char form[] = "{\"kind\":\"mapping\",\"index\":%u,\"protocol-name\":\"udp\"}";
	struct table *table = calloc(1, sizeof(*table));
	char line[128], *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(table);
	assert_non_null(out);
	table_start(table, out, false, false, 0);
	for (uint32_t i = 0; i < 100000; i++) {
		snprintf(line, sizeof(line), form, i);
		assert_null(read(line));
		assert_true(table_add(table, &row));
		assert_true(table->lines <= TABLE_AHEAD);
	}
	table_end(table);
	fclose(out);
	assert_ptr_equal(strstr(text, "PROTO "), text + strlen("  INDEX  "));
	assert_non_null(strstr(text, "\n      0  udp "));
	assert_non_null(strstr(text, "\n  99999  udp "));
	free(text);
	free(table);
}

static const char a_tunnel[] =
	"{\"kind\":\"tunnel\",\"id\":\"ipsec-117\",\"type\":\"IPsec\",\"state\":\"negotiating\",\"end\":\"the client "
	"closed it\",\"data\":\"ESP in UDP\",\"internal-src-address\":\"192.168.177.111\",\"external-src-address\":"
	"\"198.51.100.222\",\"external-dst-address\":\"203.0.113.111\",\"internal-id\":\"0x12345678\",\"external-id\":"
	"\"0x12345678\",\"remote-id\":\"0x12345678\",\"age\":61,\"bytes-out\":2048,\"bytes-in\":2048,\"silent-side\":"
	"null,"
	"\"shared-port\":false,\"nat-traversal-remote\":true,\"hint-text\":null}";

/* The widest line of a table of three such rows in a terminal of so many columns; text is what it prints, to be freed.
 */
static size_t print_rows(const char *line, bool in_detail, uint32_t room, char **text)
{
	struct table *table = calloc(1, sizeof(*table));
	size_t size = 0, widest = 0;
	FILE *out = open_memstream(text, &size);

	assert_non_null(table);
	assert_non_null(out);
	table_start(table, out, false, false, room);
	table->in_detail = in_detail;
	for (int i = 0; i < 3; i++) {
		assert_null(read(line));
		assert_true(table_add(table, &row));
	}
	table_end(table);
	fclose(out);
	free(table);
	for (const char *at = *text; *at; at += strspn(at, "\n")) {
		size_t length = strcspn(at, "\n");

		widest = length > widest ? length : widest;
		at += length;
	}
	return widest;
}

/* What wrap_print() makes of a text, to be freed. */
static char *wrapped(const char *words, size_t column, size_t indent, size_t width)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	wrap_print(out, words, column, indent, width);
	fclose(out);
	return text;
}

static void sentences_are_wrapped(void **state)
{
	static const struct {
		const char *words;
		size_t column, indent, width;
		const char *text;
	} cases[] = {
		{"one two three", 0, 0, 0, "one two three"},
		{"one two three", 0, 0, 13, "one two three"},
		{"one two three", 0, 0, 12, "one two\nthree"},
		{"one two three", 0, 2, 7, "one two\n  three"},
		{"one two three", 6, 2, 9, "one\n  two\n  three"},
		{"one two three", 7, 2, 9, "\n  one two\n  three"},
		{"averylongword two", 0, 2, 5, "averylongword\n  two"},
		{"a averylongword", 0, 2, 5, "a\n  averylongword"},
		{"averylongword", 4, 4, 5, "averylongword"},
		{"a  b", 0, 0, 4, "a  b"},
		{"", 9, 2, 5, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = wrapped(cases[i].words, cases[i].column, cases[i].indent, cases[i].width);

		assert_string_equal(text, cases[i].text);
		free(text);
	}
}

/* Sentences at the end of a row get what is left of a line, or lines of their own. */
static void sentences_fit_the_terminal(void **state)
{
	static const char line[] = "{\"kind\":\"drop\",\"reason\":\"gre_no_call\",\"packets-lan\":0,\"packets-wan\":1,"
				   "\"packets-last-minute\":1,\"meaning\":\"data of no call that is known here\"}";
	static const struct {
		uint32_t room;
		const char *text;
	} cases[] = {
		{0, "gre_no_call         0         1            1  data of no call that is known here\n"},
		{90, "gre_no_call         0         1            1  data of no call that is known here\n"},
		{72, "gre_no_call         0         1            1  data of no call that is\n"
		     "                                              known here\n"},
		{60, "gre_no_call         0         1            1\n    data of no call that is known here\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct table *table = calloc(1, sizeof(*table));
		char *text = NULL;
		size_t size = 0;
		FILE *out = open_memstream(&text, &size);

		assert_non_null(table);
		assert_non_null(out);
		table_start(table, out, false, false, cases[i].room);
		assert_null(read(line));
		assert_true(table_add(table, &row));
		table_end(table);
		fclose(out);
		assert_non_null(strchr(text, '\n'));
		assert_string_equal(strchr(text, '\n') + 1, cases[i].text);
		free(text);
		free(table);
	}
}

/* An SPI as tunnels shows it, a Call ID, and the type of an ICMP message instead of numbers without a name. */
static void identifiers_have_names(void **state)
{
	static const struct {
		const char *protocol;
		unsigned int identifier;
		const char *text;
	} cases[] = {{"esp", 0xc0ffee01, "SPI 0xc0ffee01"},
		     {"gre", 513, "call 513"},
		     {"icmp", 769, "type 3/1"},
		     {"tcp", 0, "-"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct table *table = calloc(1, sizeof(*table));
		char *text = NULL, line[200], cell[40];
		size_t size = 0;
		FILE *out = open_memstream(&text, &size);

		assert_non_null(table);
		assert_non_null(out);
		snprintf(line, sizeof(line), "{\"kind\":\"packet\",\"protocol-name\":\"%s\",\"identifier\":%u}",
			 cases[i].protocol, cases[i].identifier);
		snprintf(cell, sizeof(cell), "  %s  ", cases[i].text);
		table_start(table, out, false, false, 0);
		assert_null(read(line));
		assert_true(table_add(table, &row));
		table_end(table);
		fclose(out);
		assert_non_null(strstr(text, cell));
		free(text);
		free(table);
	}
}

/* A stream of several kinds has its headings once. */
static void messages_stand_between_rows(void **state)
{
	static const char event[] = "{\"kind\":\"event\",\"event\":\"up\",\"id\":\"pptp-1\"}";
	static const char message[] = "{\"kind\":\"message\",\"severity\":\"warning\",\"time\":1,"
				      "\"text\":\"wan0: down\\u001b, and what is said of it is long\"}";
	static const char *const lines[] = {
		message, event, message, event, "{\"kind\":\"lost\",\"events\":7}", event, message,
	};
	struct table *table = calloc(1, sizeof(*table));
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int starts[4] = {0};

	(void)state;
	assert_non_null(table);
	assert_non_null(out);
	table_start(table, out, false, true, 40);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_null(read(lines[i]));
		assert_true(table_add(table, &row));
	}
	table_end(table);
	fclose(out);
	assert_memory_equal(text, "warning: wan0: down\\x1b, and what is\n    said of it is long\n\nEVENT", 62);
	for (const char *at = text; *at; at += strcspn(at, "\n") + 1) {
		starts[0] += !strncmp(at, "EVENT  ", 7);
		starts[1] += !strncmp(at, "warning: wan0", 13);
		starts[2] += !strncmp(at, "up     pptp-1", 13);
		starts[3] += !strncmp(at, "lost: 7 events\n", 15);
	}
	assert_int_equal(starts[0], 1);
	assert_int_equal(starts[1], 3);
	assert_int_equal(starts[2], 3);
	assert_int_equal(starts[3], 1);
	free(text);
	free(table);
}

static void narrow_terminals_are_spared_columns(void **state)
{
	char *text;

	(void)state;
	assert_true(print_rows(a_tunnel, false, 0, &text) > 120);
	assert_non_null(strstr(text, "OUTSIDE ID"));
	assert_non_null(strstr(text, "LAST IN"));
	assert_non_null(strstr(text, "\n    why it ended: the client closed it\n"));
	assert_null(strstr(text, "no room for"));
	free(text);
	for (uint32_t room = 60; room <= 120; room += 20) {
		assert_in_range(print_rows(a_tunnel, false, room, &text), 1, room);
		assert_memory_equal(text, "ID       ", 9);
		assert_non_null(strstr(text, "\nipsec-117  "));
		assert_non_null(strstr(text, "\nno room for: "));
		assert_non_null(strstr(text, "\n    why it ended: the client closed it\n"));
		assert_non_null(strstr(text, "203.0.113.111"));
		free(text);
	}
	/* Whatever is done, there is no terminal for this: it wraps. */
	assert_true(print_rows(a_tunnel, false, 5, &text) > 5);
	free(text);
}

/* What one looks for is there at every width, and in the next call as well, whatever the rows hold. */
static void columns_stay_the_same(void **state)
{
	static const char *const rows[] = {
		("{\"kind\":\"mapping\",\"index\":65535,\"protocol-name\":\"tcp\",\"internal-src-address\":"
		 "\"192.168.177.111\",\"internal-src-port\":40000,\"external-src-address\":\"198.151.100.122\","
		 "\"external-src-port\":40001,\"external-dst-address\":\"203.100.113.111\",\"external-dst-port\":"
		 "50000,\"state\":\"established\",\"bytes-out\":1047552,\"bytes-in\":0,\"age\":3599,\"idle\":3599,"
		 "\"lifetime\":3599}"),
		("{\"kind\":\"mapping\",\"index\":1,\"protocol-name\":\"udp\",\"internal-src-address\":\"10.0.0.1\","
		 "\"internal-src-port\":1,\"external-src-address\":\"198.51.100.2\",\"external-src-port\":40001,"
		 "\"external-dst-address\":\"9.9.9.9\",\"external-dst-port\":5,\"state\":null,\"bytes-out\":1,"
		 "\"bytes-in\":0,\"age\":3,\"idle\":3,\"lifetime\":3}"),
		a_tunnel,
		("{\"kind\":\"tunnel\",\"id\":\"pptp-1\",\"type\":\"PPTP\",\"state\":\"ended\",\"data\":null,"
		 "\"internal-src-address\":\"10.0.0.1\",\"external-src-address\":\"9.9.9.9\","
		 "\"external-dst-address\":\"8.8.8.8\",\"bytes-out\":0,\"bytes-in\":0}"),
	};
	static const struct {
		uint32_t room;
		const char *mappings, *tunnels; /* the headings */
	} cases[] = {
		{60, "INSIDE REMOTE STATE", "ID INSIDE REMOTE STATE"},
		{80, "INDEX PROTO INSIDE OUTSIDE REMOTE STATE", "ID TYPE INSIDE REMOTE STATE DATA"},
		{100, "INDEX PROTO INSIDE OUTSIDE REMOTE STATE", "ID TYPE INSIDE REMOTE STATE DATA OUT IN"},
		{120, "INDEX PROTO INSIDE OUTSIDE REMOTE STATE OUT IN",
		 "ID TYPE INSIDE REMOTE STATE DATA OUT IN AGE SILENT"},
		{140, "INDEX PROTO INSIDE OUTSIDE REMOTE STATE OUT IN AGE EXPIRES", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t j = 0; j < 4; j++) {
			const char *expected = j < 2 ? cases[i].mappings : cases[i].tunnels;
			char *text, seen[200] = "", *rest, *at;

			assert_in_range(print_rows(rows[j], false, cases[i].room, &text), 1, cases[i].room);
			rest = strdup(text);
			rest[strcspn(rest, "\n")] = '\0';
			for (char *word = strtok_r(rest, " ", &at); word; word = strtok_r(NULL, " ", &at))
				snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s%s", seen[0] ? " " : "",
					 word);
			if (expected)
				assert_string_equal(seen, expected);
			/* the port alone where the address has no room */
			if (j == 0)
				assert_true((strstr(text, "  :40001  ") != NULL) == (cases[i].room == 80));
			free(rest);
			free(text);
		}
	}
}

/* One tunnel as a block of lines, in any terminal. */
static void details_are_lines(void **state)
{
	char *text;

	(void)state;
	assert_in_range(print_rows(a_tunnel, true, 60, &text), 1, 60);
	assert_memory_equal(text, "tunnel: ipsec-117\ntype: IPsec\nstate: negotiating\n", 49);
	assert_non_null(strstr(text, "\ninside: 192.168.177.111\n"));
	assert_non_null(strstr(text, "\nremote ID: 0x12345678\n"));
	assert_non_null(strstr(text, "\nNAT traversal offered outside: yes\n"));
	assert_null(strstr(text, "shares its outside port"));
	assert_null(strstr(text, "silent"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_read),
		cmocka_unit_test(bad_rows_are_refused),
		cmocka_unit_test(rows_have_limits),
		cmocka_unit_test(values_are_made_readable),
		cmocka_unit_test(verbs_may_be_abbreviated),
		cmocka_unit_test(abbreviations_are_never_guessed),
		cmocka_unit_test(tables_hold_hostile_values),
		cmocka_unit_test(long_tables_stream),
		cmocka_unit_test(sentences_are_wrapped),
		cmocka_unit_test(sentences_fit_the_terminal),
		cmocka_unit_test(identifiers_have_names),
		cmocka_unit_test(messages_stand_between_rows),
		cmocka_unit_test(narrow_terminals_are_spared_columns),
		cmocka_unit_test(columns_stay_the_same),
		cmocka_unit_test(details_are_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
