# SPDX-License-Identifier: BSD-2-Clause
# The control tool: no library, and nothing of the daemon; it shares files with the core and io. Its own library is for tests.
noinst_LIBRARIES += libculvert_ctl.a
libculvert_ctl_a_SOURCES = src/ctl/answer.c src/ctl/answer.h src/ctl/colour.h \
	src/ctl/complete.c src/ctl/complete.h src/ctl/human.c src/ctl/human.h \
	src/ctl/names.c src/ctl/names.h src/ctl/offer.c src/ctl/offer.h src/ctl/options.c src/ctl/options.h \
	src/ctl/packet_text.c src/ctl/packet_text.h src/ctl/question.c src/ctl/question.h src/ctl/row.c src/ctl/row.h src/ctl/screen.c src/ctl/screen.h \
	src/ctl/table.c src/ctl/table.h src/ctl/table_kinds.c src/ctl/table_kinds.h src/ctl/talk.c src/ctl/talk.h \
	src/ctl/top.c src/ctl/top.h src/ctl/top_frame.c src/ctl/top_view.c src/ctl/top_view.h src/ctl/verbs.c src/ctl/verbs.h \
	src/ctl/wrap.c src/ctl/wrap.h
libculvert_ctl_a_SOURCES += src/ctl/pcapng.c src/ctl/pcapng.h src/ctl/save.c src/ctl/save.h src/base/suggest.c \
	src/io/clock.c src/io/standard_files.c

bin_PROGRAMS += culvertctl
culvertctl_SOURCES = src/ctl/main.c
culvertctl_LDADD = libculvert_ctl.a

# What the shells make of "culvertctl --complete".
TESTS += tests/unit/completion.sh
dist_check_SCRIPTS += tests/unit/completion.sh
