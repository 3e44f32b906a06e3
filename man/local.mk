# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += man/culvertd.8 man/culvert.ini.5

check_PROGRAMS += man/lists
man_lists_SOURCES = man/lists.c
man_lists_LDADD = libculvert_daemon.a

TESTS += man/check_lists.sh
dist_check_SCRIPTS += man/check_lists.sh
