/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads texts from memory of exactly their size and keeps what is reported, one finding a line.
 */
#include "config_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

void fixture_collect(void *context, int level, const char *text)
{
	struct report *report = context;
	int length = snprintf(report->text + report->used, sizeof(report->text) - report->used, "%s %s\n",
			      level == LOG_ERR       ? "E"
			      : level == LOG_WARNING ? "W"
						     : "N",
			      text);

	assert_true(length > 0 && (size_t)length < sizeof(report->text) - report->used);
	report->used += (size_t)length;
	for (const char *c = text; *c; c++)
		assert_true(*c >= 0x20 && *c < 0x7f);
}

int fixture_set_up(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

int fixture_tear_down(void **state)
{
	free(*state);
	return 0;
}

bool fixture_parse_bytes(struct fixture *fixture, const char *text, size_t size)
{
	/* A copy of exactly that size, so that the address sanitizer sees a read behind it. */
	char *copy = malloc(size ? size : 1);
	const struct config_source source = {.path = "f"};
	bool good;

	assert_non_null(copy);
	memcpy(copy, text, size);
	fixture->report.used = 0;
	fixture->report.text[0] = '\0';
	good = config_parse(&fixture->config, "f", copy, size, &source, fixture_collect, &fixture->report);
	free(copy);
	return good;
}

bool fixture_parse(struct fixture *fixture, const char *text)
{
	return fixture_parse_bytes(fixture, text, strlen(text));
}

void fixture_expect_good(struct fixture *fixture, const char *text)
{
	if (!fixture_parse(fixture, text))
		fail_msg("refused:\n%s%s", text, fixture->report.text);
}

void fixture_expect_report(struct fixture *fixture, const char *text, const char *report)
{
	fixture_parse(fixture, text);
	assert_string_equal(fixture->report.text, report);
}

void fixture_expect_error(struct fixture *fixture, const char *text, const char *error)
{
	assert_false(fixture_parse(fixture, text));
	if (!strstr(fixture->report.text, error))
		fail_msg("\n%s\ngave:\n%snot: %s", text, fixture->report.text, error);
}
