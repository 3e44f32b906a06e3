/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strings: escaping, guesses, numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/suggest.h"
#include "base/address.h"
#include "config/text.h"

static void escapes(void **state)
{
	char out[64], small[8];

	(void)state;
	text_escape(out, sizeof(out), "plain \"text\" <svg onload=x>");
	assert_string_equal(out, "plain \"text\" <svg onload=x>");
	text_escape(out, sizeof(out), "a\nb\x1b[0m\x7f\xff\t");
	assert_string_equal(out, "a\\x0ab\\x1b[0m\\x7f\\xff\\x09");
	text_escape(small, sizeof(small), "12345678");
	assert_string_equal(small, "1234...");
	text_escape(small, sizeof(small), "\n\n");
	assert_string_equal(small, "\\x0a...");
}

/* Whatever the size and the text, the result ends inside. */
static void escapes_into_any_size(void **state)
{
	char text[40];

	(void)state;
	for (size_t size = 8; size < 60; size++) {
		for (size_t length = 0; length < sizeof(text); length++) {
			char *out = malloc(size);

			assert_non_null(out);
			for (size_t i = 0; i < length; i++)
				text[i] = i % 3 == size % 3 ? '\n' : 'x';
			text[length] = '\0';
			text_escape(out, size, text);
			assert_true(strlen(out) < size);
			free(out);
		}
	}
}

static void measures_distance(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned int distance;
	} cases[] = {
		{"", "", 0},         {"lan", "lan", 0},     {"LAN", "lan", 0}, {"lan", "wan", 1},
		{"lan", "lann", 1},  {"lan", "an", 1},      {"aln", "lan", 1}, {"interfce", "interface", 1},
		{"", "ab", 2},       {"ab", "", 2},         {"abc", "", 3},    {"tpc", "tcp", 1},
		{"abcd", "badc", 2}, {"kitten", "mit", 3},  {"ca", "abc", 3},  {"flow", "flows", 1},
		{"xyz", "abc", 3},   {"interface", "x", 3},
	};
	char word[65], longer[65];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(suggest_distance(cases[i].a, cases[i].b), cases[i].distance);
		assert_int_equal(suggest_distance(cases[i].b, cases[i].a), cases[i].distance);
	}
	memset(word, 'x', 64);
	memset(longer, 'x', 64);
	word[63] = longer[64] = '\0';
	assert_int_equal(suggest_distance(word, word), 0);
	assert_int_equal(suggest_distance(longer, longer), 3);
}

static void suggests(void **state)
{
	static const char *const words[] = {"lan", "wan", "nat", "timeouts", "ipsec"};

	(void)state;
	assert_string_equal(suggest_word("timeuots", words, 5), "timeouts");
	assert_string_equal(suggest_word("ipsek", words, 5), "ipsec");
	assert_string_equal(suggest_word("nat", words, 5), "nat");
	assert_null(suggest_word("forward", words, 5));
	assert_null(suggest_word("xy", words, 5)); /* two letters off a word of three say nothing */
	assert_null(suggest_word("lan", words, 0));
}

static void makes_sentences(void **state)
{
	char out[32];

	(void)state;
	text_sentence(out, sizeof(out), "ends here");
	assert_string_equal(out, "Ends here.");
	text_sentence(out, sizeof(out), "TCP is. Fine.");
	assert_string_equal(out, "TCP is. Fine.");
	text_sentence(out, sizeof(out), "");
	assert_string_equal(out, ".");
}

static void reads_numbers(void **state)
{
	uint32_t value = 77;

	(void)state;
	assert_true(text_number("0", 10, &value));
	assert_int_equal(value, 0);
	assert_true(text_number("4294967295", UINT32_MAX, &value));
	assert_int_equal(value, UINT32_MAX);
	assert_true(text_number("00010", 10, &value));
	assert_int_equal(value, 10);
	assert_false(text_number("4294967296", UINT32_MAX, &value));
	assert_false(text_number("18446744073709551616", UINT32_MAX, &value));
	assert_false(text_number("11", 10, &value));
	assert_false(text_number("", 10, &value));
	assert_false(text_number(" 1", 10, &value));
	assert_false(text_number("+1", 10, &value));
	assert_false(text_number("-1", 10, &value));
	assert_false(text_number("1x", 10, &value));
	assert_int_equal(value, 10);
}

static void prints_what_it_reads(void **state)
{
	static const char *const texts[] = {"0.0.0.0", "9.10.99.100", "1.199.200.249", "255.255.255.255", "10.0.0.109"};
	char text[ADDRESS_TEXT];
	struct address address;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(text_address(texts[i], &address));
		assert_string_equal(address_print(address, text), texts[i]);
	}
}

static void reads_addresses(void **state)
{
	struct address address;
	uint16_t port;

	(void)state;
	assert_true(text_address("192.168.77.11", &address));
	assert_int_equal(address.v4, 0xc0a84d0b);
	assert_false(text_address("192.168.77", &address));
	assert_false(text_address("192.168.77.256", &address));
	assert_false(text_address("0x7f.1", &address));
	assert_false(text_address("1.2.3.4 ", &address));
	assert_false(text_address("", &address));
	assert_true(text_endpoint("127.0.0.1:9437", &address, &port));
	assert_int_equal(address.v4, 0x7f000001);
	assert_int_equal(port, 9437);
	assert_true(text_endpoint("255.255.255.255:65535", &address, &port));
	assert_int_equal(port, 65535);
	assert_false(text_endpoint("127.0.0.1", &address, &port));
	assert_false(text_endpoint("127.0.0.1:", &address, &port));
	assert_false(text_endpoint("127.0.0.1:0", &address, &port));
	assert_false(text_endpoint("127.0.0.1:65536", &address, &port));
	assert_false(text_endpoint("127.0.0.1:80 ", &address, &port));
	assert_false(text_endpoint("127.0.0.1.:80", &address, &port));
	assert_false(text_endpoint("1127.00000.00000.1:80", &address, &port));
	assert_false(text_endpoint(":80", &address, &port));
	assert_false(text_endpoint("", &address, &port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes),
		cmocka_unit_test(escapes_into_any_size),
		cmocka_unit_test(measures_distance),
		cmocka_unit_test(suggests),
		cmocka_unit_test(makes_sentences),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(prints_what_it_reads),
		cmocka_unit_test(reads_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
