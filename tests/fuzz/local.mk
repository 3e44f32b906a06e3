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
tests_fuzz_fuzz_config_LDADD = libculvert_daemon.a $(CORE_LIBS) $(INIH_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_control
tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz_control.c
tests_fuzz_fuzz_control_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_control_LDADD = libculvert_ctl.a libculvert_daemon.a $(CORE_LIBS)

FUZZ_LIFE = tests/fuzz/life.c tests/fuzz/life.h tests/unit/packets.c tests/unit/packets.h \
	tests/unit/engine_check.c tests/unit/engine_check.h
FUZZ_STAGE = tests/fuzz/stage.c tests/fuzz/stage.h tests/unit/packets.c tests/unit/packets.h \
	tests/unit/engine_check.c tests/unit/engine_check.h

FUZZ_TARGETS += tests/fuzz/fuzz_packet
tests_fuzz_fuzz_packet_SOURCES = tests/fuzz/fuzz_packet.c $(FUZZ_STAGE)
tests_fuzz_fuzz_packet_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_packet_LDADD = $(CORE_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_engine
tests_fuzz_fuzz_engine_SOURCES = tests/fuzz/fuzz_engine.c $(FUZZ_STAGE)
tests_fuzz_fuzz_engine_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_engine_LDADD = $(CORE_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_pptp
FUZZ_PPTP = tests/fuzz/fuzz_pptp.c tests/unit/pptp_messages.h $(FUZZ_LIFE)
tests_fuzz_fuzz_pptp_SOURCES = $(FUZZ_PPTP)
tests_fuzz_fuzz_pptp_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_pptp_LDADD = $(CORE_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_ike
FUZZ_IKE = tests/fuzz/fuzz_ike.c tests/unit/ike_messages.h
tests_fuzz_fuzz_ike_SOURCES = $(FUZZ_IKE)
tests_fuzz_fuzz_ike_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_ike_LDADD = $(CORE_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_l2tp
FUZZ_L2TP = tests/fuzz/fuzz_l2tp.c tests/unit/l2tp_messages.h tests/unit/packets.c tests/unit/packets.h
tests_fuzz_fuzz_l2tp_SOURCES = $(FUZZ_L2TP)
tests_fuzz_fuzz_l2tp_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_l2tp_LDADD = $(CORE_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_ipsec
FUZZ_IPSEC = tests/fuzz/fuzz_ipsec.c tests/unit/ike_messages.h tests/unit/ipsec_check.c tests/unit/ipsec_check.h \
	$(FUZZ_LIFE)
tests_fuzz_fuzz_ipsec_SOURCES = $(FUZZ_IPSEC)
tests_fuzz_fuzz_ipsec_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_ipsec_LDADD = $(CORE_LIBS)

FUZZ_TARGETS += tests/fuzz/fuzz_l2tp_engine
FUZZ_L2TP_ENGINE = tests/fuzz/fuzz_l2tp_engine.c tests/unit/l2tp_messages.h $(FUZZ_LIFE)
tests_fuzz_fuzz_l2tp_engine_SOURCES = $(FUZZ_L2TP_ENGINE)
tests_fuzz_fuzz_l2tp_engine_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_l2tp_engine_LDADD = $(CORE_LIBS)

# The corpus as a regression test for every compiler; tests/fuzz/seeds DIRECTORY writes seeds.
check_PROGRAMS += tests/fuzz/replay_packet tests/fuzz/replay_engine tests/fuzz/seeds
tests_fuzz_replay_packet_SOURCES = tests/fuzz/replay_main.c tests/fuzz/fuzz_packet.c $(FUZZ_STAGE)
tests_fuzz_replay_packet_LDADD = $(CORE_LIBS)
tests_fuzz_replay_engine_SOURCES = tests/fuzz/replay_main.c tests/fuzz/fuzz_engine.c $(FUZZ_STAGE)
tests_fuzz_replay_engine_LDADD = $(CORE_LIBS)
check_PROGRAMS += tests/fuzz/replay_pptp
tests_fuzz_replay_pptp_SOURCES = tests/fuzz/replay_main.c $(FUZZ_PPTP)
tests_fuzz_replay_pptp_LDADD = $(CORE_LIBS)
check_PROGRAMS += tests/fuzz/replay_ike tests/fuzz/replay_l2tp
tests_fuzz_replay_ike_SOURCES = tests/fuzz/replay_main.c $(FUZZ_IKE)
tests_fuzz_replay_ike_LDADD = $(CORE_LIBS)
tests_fuzz_replay_l2tp_SOURCES = tests/fuzz/replay_main.c $(FUZZ_L2TP)
tests_fuzz_replay_l2tp_LDADD = $(CORE_LIBS)
check_PROGRAMS += tests/fuzz/replay_ipsec
tests_fuzz_replay_ipsec_SOURCES = tests/fuzz/replay_main.c $(FUZZ_IPSEC)
tests_fuzz_replay_ipsec_LDADD = $(CORE_LIBS)
check_PROGRAMS += tests/fuzz/replay_l2tp_engine
tests_fuzz_replay_l2tp_engine_SOURCES = tests/fuzz/replay_main.c $(FUZZ_L2TP_ENGINE)
tests_fuzz_replay_l2tp_engine_LDADD = $(CORE_LIBS)
check_PROGRAMS += tests/fuzz/replay_control
tests_fuzz_replay_control_SOURCES = tests/fuzz/replay_main.c tests/fuzz/fuzz_control.c
tests_fuzz_replay_control_LDADD = libculvert_ctl.a libculvert_daemon.a $(CORE_LIBS)
tests_fuzz_seeds_SOURCES = tests/fuzz/seeds.c tests/unit/ike_messages.h tests/unit/l2tp_messages.h \
	tests/unit/packets.c tests/unit/packets.h
TESTS += tests/fuzz/corpus.sh
EXTRA_DIST += tests/fuzz/corpus.sh tests/fuzz/corpus tests/fuzz/run.sh

# Each target for FUZZ_SECONDS: make check-fuzz
.PHONY: check-fuzz
if FUZZ
noinst_PROGRAMS += $(FUZZ_TARGETS)
check-fuzz: $(FUZZ_TARGETS)
	$(MAKE) check-TESTS check_PROGRAMS= check_LIBRARIES= TESTS='$(FUZZ_TARGETS:=.c)' \
		C_LOG_COMPILER='$(SHELL) $(srcdir)/tests/fuzz/run.sh' \
		C_LOG_DRIVER='$(SHELL) $(top_srcdir)/build-aux/test-driver'
clean-local:
	rm -rf corpus-fuzz_*
else
check-fuzz:
	@echo 'fuzz targets need clang: configure with CC=clang --enable-fuzz' >&2; exit 1
endif
