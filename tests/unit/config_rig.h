/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests of the configuration share: a configuration, and what was reported while a text was read.
 */
#ifndef CULVERT_TESTS_CONFIG_RIG_H
#define CULVERT_TESTS_CONFIG_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

/* What was reported, one finding a line, "E " or "W " in front. */
struct report {
	char text[64 * 1024];
	size_t used;
};

struct fixture {
	struct config config, again;
	struct report report;
};

/* The least that a configuration must have. */
#define LAN "[lan]\ninterface = eth1\n"

/* cmocka setup and teardown: a struct fixture. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
#define config_test(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

/* A config_report; context is the struct report. */
void fixture_collect(void *context, int level, const char *text);

/* Reads a text as the file "f"; true: it is good. */
bool fixture_parse_bytes(struct fixture *fixture, const char *text, size_t size);
bool fixture_parse(struct fixture *fixture, const char *text);

void fixture_expect_good(struct fixture *fixture, const char *text);
/* Exactly these lines are reported. */
void fixture_expect_report(struct fixture *fixture, const char *text, const char *report);
/* Among what is reported there is this. */
void fixture_expect_error(struct fixture *fixture, const char *text, const char *error);

#endif
