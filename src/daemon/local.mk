# SPDX-License-Identifier: BSD-2-Clause
# Life: start, loop, events, rights.
libculvert_daemon_a_SOURCES += src/daemon/background.c src/daemon/background.h src/daemon/daemon.c \
	src/daemon/daemon.h src/daemon/daemon_events.c src/daemon/daemon_links.c src/daemon/daemon_state.h \
	src/daemon/loop.c src/daemon/loop.h src/daemon/pidfile.c src/daemon/pidfile.h src/daemon/privileges.c \
	src/daemon/privileges.h src/daemon/privileges_filter.c

sbin_PROGRAMS += culvertd
culvertd_SOURCES = src/daemon/main.c
culvertd_LDADD = $(DAEMON_LIBS)
