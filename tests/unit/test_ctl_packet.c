/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets as people see them in a trace: one row each, whatever becomes of them, in terminals of several widths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/row.h"
#include "ctl/table.h"

#define CAME "{\"kind\":\"seen\",\"number\":7,\"time\":1,\"microseconds\":2,\"side\":\"lan\",\"event\":\"came\","
#define LEFT "{\"kind\":\"seen\",\"number\":7,\"time\":1,\"microseconds\":2,\"side\":\"wan\",\"event\":\"left\","
#define UDP                                                                                               \
	"\"protocol-name\":\"udp\",\"src-address\":\"192.168.77.12\",\"src-port\":40000,\"dst-address\":" \
	"\"203.0.113.10\",\"dst-port\":443,\"identifier\":0,\"bytes\":48,"
#define AS                                                                                                            \
	"\"to-side\":\"wan\",\"after-src-address\":\"198.51.100.20\",\"after-src-port\":40001,\"after-dst-address\":" \
	"\"203.0.113.10\",\"after-dst-port\":443,\"after-identifier\":0}"
#define AS_NOTHING "\"to-side\":null,\"after-src-address\":null}"

/* What these rows look like, without the time; text is to be freed. */
static char *trace(const char *const *lines, uint32_t room)
{
	struct table *table = calloc(1, sizeof(*table));
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct row row;

	assert_non_null(table);
	assert_non_null(out);
	table_start(table, out, false, true, room);
	for (; *lines; lines++) {
		assert_null(row_read(&row, *lines, strlen(*lines)));
		assert_true(table_add(table, &row));
	}
	table_end(table);
	fclose(out);
	free(table);
	return text;
}

static void a_packet_is_one_row(void **state)
{
	static const struct {
		const char *lines[4], *text;
	} cases[] = {
		{{CAME "\"verdict\":\"forwarded\"," UDP AS, LEFT "\"verdict\":\"forwarded\"," UDP AS_NOTHING},
		 "lan->wan   udp    192.168.77.12:40000 -> 203.0.113.10:443 as 198.51.100.20:40001\n"},
		/* a second one that left is another piece of it */
		{{CAME "\"verdict\":\"forwarded\"," UDP AS, LEFT "\"verdict\":\"forwarded\"," UDP AS_NOTHING,
		  LEFT "\"verdict\":\"forwarded\",\"comment\":\"more\"," UDP AS_NOTHING},
		 "lan->wan   udp    192.168.77.12:40000 -> 203.0.113.10:443 as 198.51.100.20:40001\n"
		 "->wan      udp    192.168.77.12:40000 -> 203.0.113.10:443; more\n"},
		{{CAME "\"verdict\":\"dropped\",\"comment\":\"dropped x: why\"," UDP AS_NOTHING,
		  LEFT "\"verdict\":\"dropped\",\"comment\":\"made here\"," UDP AS_NOTHING},
		 "lan->drop  udp    192.168.77.12:40000 -> 203.0.113.10:443; dropped x: why\n"
		 "->wan      udp    192.168.77.12:40000 -> 203.0.113.10:443; made here\n"},
		{{CAME "\"verdict\":\"consumed\",\"comment\":\"mine\"," UDP AS_NOTHING},
		 "lan->here  udp    192.168.77.12:40000 -> 203.0.113.10:443; mine\n"},
		{{CAME
		  "\"verdict\":\"forwarded\",\"protocol-name\":\"icmp\",\"src-address\":\"203.0.113.10\",\"dst-"
		  "address\":"
		  "\"198.51.100.20\",\"identifier\":0,\"detail\":\"port unreachable (3/3) of udp a -> b\",\"to-side\":"
		  "\"lan\",\"after-src-address\":\"203.0.113.10\",\"after-dst-address\":\"192.168.77.12\"}"},
		 "lan->lan   icmp   203.0.113.10 -> 198.51.100.20 to 192.168.77.12: port unreachable (3/3) of udp a -> "
		 "b\n"},
		{{CAME "\"verdict\":\"forwarded\",\"protocol-name\":\"gre\",\"src-address\":\"a\",\"dst-address\":"
		       "\"b\\u001b\","
		       "\"identifier\":513,\"to-side\":\"wan\",\"after-src-address\":\"c\",\"after-dst-address\":"
		       "\"b\\u001b\","
		       "\"after-identifier\":514}"},
		 "lan->wan   gre    a -> b\\x1b call 513 as c, call 514\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = trace(cases[i].lines, 0), *at = strchr(text, '\n') + 1, seen[500] = "";

		assert_memory_equal(text, "TIME             WAY        PROTO  BYTES  PACKET\n", 49);
		for (; *at; at += strcspn(at, "\n") + 1) /* without TIME and BYTES */
			snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%.18s%.*s\n", at + 17,
				 (int)strcspn(at + 42, "\n"), at + 42);
		assert_string_equal(seen, cases[i].text);
		free(text);
	}
}

static void it_fits_the_terminal(void **state)
{
	static const char *const lines[] = {CAME "\"verdict\":\"forwarded\"," UDP AS, NULL};
	static const struct {
		uint32_t room;
		const char *headings;
	} cases[] = {{60, "WAY        PROTO  PACKET\n"},
		     {80, "WAY        PROTO  PACKET\n"},
		     {100, "TIME             WAY        PROTO  PACKET\n"},
		     {120, "TIME             WAY        PROTO  BYTES  PACKET\n"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = trace(lines, cases[i].room), *at = strchr(text, '\n') + 1;

		assert_memory_equal(text, cases[i].headings, strlen(cases[i].headings));
		assert_true(strcspn(at, "\n") <= cases[i].room);
		assert_true((strstr(at, "-> 203.0.113.10:443 as 198.51.100.20:40001\n") != NULL) ==
			    (cases[i].room >= 80));
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_is_one_row),
		cmocka_unit_test(it_fits_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
