# SPDX-License-Identifier: BSD-2-Clause
libculvert_daemon_a_SOURCES += src/daemon/datapath.c src/daemon/datapath.h src/daemon/loop.c src/daemon/loop.h

# With main.c in place:
# sbin_PROGRAMS += culvertd
# culvertd_SOURCES = src/daemon/main.c
# culvertd_LDADD = $(DAEMON_LIBS)
