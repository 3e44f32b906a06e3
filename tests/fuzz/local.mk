# SPDX-License-Identifier: BSD-2-Clause
# Built only with --enable-fuzz (clang). For a new target:
# FUZZ_TARGETS += tests/fuzz/fuzz_x
# tests_fuzz_fuzz_x_SOURCES = tests/fuzz/fuzz_x.c
# tests_fuzz_fuzz_x_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
# tests_fuzz_fuzz_x_LDADD = $(CORE_LIBS)
FUZZ_TARGETS =

FUZZ_TARGETS += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c
tests_fuzz_fuzz_config_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_config_LDADD = libculvert_daemon.a $(INIH_LIBS)

if FUZZ
noinst_PROGRAMS += $(FUZZ_TARGETS)
endif
