# SPDX-License-Identifier: BSD-2-Clause
# Captures in, captures out, compared byte for byte.
check_PROGRAMS += tests/replay/replay
tests_replay_replay_SOURCES = tests/replay/replay.c tests/unit/packets.c tests/unit/packets.h \
	tests/unit/engine_check.c tests/unit/engine_check.h
tests_replay_replay_LDADD = $(CORE_LIBS)
TESTS += tests/replay/captures.sh
EXTRA_DIST += tests/replay/captures.sh tests/replay/make_captures.py tests/replay/captures
