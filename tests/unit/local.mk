# SPDX-License-Identifier: BSD-2-Clause
# One program a unit: link $(CORE_LIBS), $(IO_LIBS) or $(DAEMON_LIBS), whichever is the least that serves.
UNIT_TESTS =

# For a new test:
# UNIT_TESTS += tests/unit/test_x
# tests_unit_test_x_SOURCES = tests/unit/test_x.c
# tests_unit_test_x_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
# tests_unit_test_x_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif
