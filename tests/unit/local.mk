# SPDX-License-Identifier: BSD-2-Clause
# Most unit tests are linked into one program, tests/unit/units, and run one by one: a line here for a new one.
UNIT_PARTS =
UNIT_PARTS += tests/unit/test_capture.c
UNIT_PARTS += tests/unit/test_config.c
UNIT_PARTS += tests/unit/test_config_errors.c
UNIT_PARTS += tests/unit/test_control_request.c
UNIT_PARTS += tests/unit/test_engine_attempts.c
UNIT_PARTS += tests/unit/test_engine_configure.c
UNIT_PARTS += tests/unit/test_engine_drops.c
UNIT_PARTS += tests/unit/test_engine_fragment.c
UNIT_PARTS += tests/unit/test_engine_icmp.c
UNIT_PARTS += tests/unit/test_engine_life.c
UNIT_PARTS += tests/unit/test_engine_mapping.c
UNIT_PARTS += tests/unit/test_engine_merged.c
UNIT_PARTS += tests/unit/test_engine_packet.c
UNIT_PARTS += tests/unit/test_engine_ports.c
UNIT_PARTS += tests/unit/test_engine_recover.c
UNIT_PARTS += tests/unit/test_engine_spoilt.c
UNIT_PARTS += tests/unit/test_engine_tcp.c
UNIT_PARTS += tests/unit/test_engine_timer.c
UNIT_PARTS += tests/unit/test_engine_tunnels.c
UNIT_PARTS += tests/unit/test_explain.c
UNIT_PARTS += tests/unit/test_io_text.c
UNIT_PARTS += tests/unit/test_ipsec_esp.c
UNIT_PARTS += tests/unit/test_ipsec_forget.c
UNIT_PARTS += tests/unit/test_ipsec_hostile.c
UNIT_PARTS += tests/unit/test_ipsec_ike.c
UNIT_PARTS += tests/unit/test_ipsec_turn.c
UNIT_PARTS += tests/unit/test_l2tp.c
UNIT_PARTS += tests/unit/test_l2tp_limits.c
UNIT_PARTS += tests/unit/test_l2tp_shared.c
UNIT_PARTS += tests/unit/test_log_sink.c
UNIT_PARTS += tests/unit/test_metrics.c
UNIT_PARTS += tests/unit/test_notify.c
UNIT_PARTS += tests/unit/test_offload.c
UNIT_PARTS += tests/unit/test_options.c
UNIT_PARTS += tests/unit/test_pptp_addresses.c
UNIT_PARTS += tests/unit/test_pptp_call.c
UNIT_PARTS += tests/unit/test_pptp_limits.c
UNIT_PARTS += tests/unit/test_pptp_messages.c
UNIT_PARTS += tests/unit/test_pptp_order.c
UNIT_PARTS += tests/unit/test_pptp_stream.c
UNIT_PARTS += tests/unit/test_selection.c
UNIT_PARTS += tests/unit/test_state_file.c
UNIT_PARTS += tests/unit/test_statistics.c
UNIT_PARTS += tests/unit/test_text.c
UNIT_PARTS += tests/unit/test_tunnel_text.c
UNIT_PARTS += tests/unit/test_tunnel_text_fields.c
UNIT_PARTS += tests/unit/test_wire_checksum.c
UNIT_PARTS += tests/unit/test_wire_ike.c
UNIT_PARTS += tests/unit/test_wire_l2tp.c
UNIT_PARTS += tests/unit/test_wire_udp.c

# What several of them use: stages for the engine, for each VPN protocol and for configurations.
UNIT_RIGS = tests/unit/librigs.a
tests_unit_librigs_a_SOURCES = tests/unit/units.c tests/unit/part.h \
	tests/unit/config_rig.c tests/unit/config_rig.h tests/unit/engine_check.c tests/unit/engine_check.h \
	tests/unit/ike_messages.h \
	tests/unit/ipsec_check.c tests/unit/ipsec_check.h tests/unit/ipsec_rig.c tests/unit/ipsec_rig.h \
	tests/unit/l2tp_messages.h tests/unit/l2tp_rig.c tests/unit/l2tp_rig.h tests/unit/packets.c tests/unit/packets.h \
	tests/unit/pptp_messages.h tests/unit/pptp_rig.c tests/unit/pptp_rig.h tests/unit/pptp_talk.c \
	tests/unit/pptp_talk.h tests/unit/rig.c tests/unit/rig.h

tests_unit_units_SOURCES = $(UNIT_PARTS)
tests_unit_units_CPPFLAGS = $(AM_CPPFLAGS) -include $(top_srcdir)/tests/unit/part.h
tests_unit_units_LDADD = $(UNIT_RIGS) $(DAEMON_LIBS) $(CMOCKA_LIBS)

# Programs of their own: they have something in the place of a part of culvert, or arguments, or are of culvertctl.
UNITS_ALONE =

UNITS_ALONE += tests/unit/test_datapath
tests_unit_test_datapath_SOURCES = tests/unit/test_datapath.c
tests_unit_test_datapath_LDADD = $(UNIT_RIGS) $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNITS_ALONE += tests/unit/test_json
tests_unit_test_json_SOURCES = tests/unit/test_json.c
tests_unit_test_json_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/unit/test_json_rows.py

UNITS_ALONE += tests/unit/test_log
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNITS_ALONE += tests/unit/test_lines
tests_unit_test_lines_SOURCES = tests/unit/test_lines.c tests/unit/lines_rig.c tests/unit/lines_rig.h \
	tests/unit/steady_clock.c
tests_unit_test_lines_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNITS_ALONE += tests/unit/test_quota
tests_unit_test_quota_SOURCES = tests/unit/test_quota.c
tests_unit_test_quota_LDADD = $(UNIT_RIGS) $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNITS_ALONE += tests/unit/test_ctl
tests_unit_test_ctl_SOURCES = tests/unit/test_ctl.c
tests_unit_test_ctl_LDADD = libculvert_ctl.a $(CMOCKA_LIBS)

UNITS_ALONE += tests/unit/test_ctl_options
tests_unit_test_ctl_options_SOURCES = tests/unit/test_ctl_options.c
tests_unit_test_ctl_options_LDADD = libculvert_ctl.a $(CMOCKA_LIBS)

UNITS_ALONE += tests/unit/test_ctl_packet
tests_unit_test_ctl_packet_SOURCES = tests/unit/test_ctl_packet.c
tests_unit_test_ctl_packet_LDADD = libculvert_ctl.a $(CMOCKA_LIBS)

UNITS_ALONE += tests/unit/test_pcapng
tests_unit_test_pcapng_SOURCES = tests/unit/test_pcapng.c
tests_unit_test_pcapng_LDADD = libculvert_ctl.a $(CMOCKA_LIBS)

UNITS_ALONE += tests/unit/test_top
tests_unit_test_top_SOURCES = tests/unit/test_top.c
tests_unit_test_top_LDADD = libculvert_ctl.a libculvert_daemon.a $(CORE_LIBS) $(CMOCKA_LIBS)

if HAVE_CMOCKA
check_LIBRARIES += $(UNIT_RIGS)
check_PROGRAMS += tests/unit/units $(UNITS_ALONE)
TESTS += $(UNIT_PARTS) $(UNITS_ALONE) tests/unit/test_json_rows.py
endif

# What one waits for after each edit: builds, runs the unit tests or QUICK_TESTS on all processors, says how long it took.
QUICK_TESTS = $(UNIT_PARTS) $(UNITS_ALONE)
CLEANFILES += quick.log
.PHONY: quick
quick:
	@begin=$$(date +%s); $(AM_TESTS_ENVIRONMENT) \
	$(MAKE) -j$$(nproc) all-am tests/unit/units $(UNITS_ALONE) >quick.log 2>&1 || { cat quick.log; exit 1; }; \
	for test in $(QUICK_TESTS); do case $$test in *.c) echo "tests/unit/units $$test" ;; *) echo $$test ;; esac; done | \
		xargs -P$$(nproc) -L1 sh -c 'out=$$("$$@" 2>&1) || out="$$out$$(printf "\\nnot ok - %s" "$$*")"; echo "$$out"' - >quick.log; \
	times >>quick.log; grep -B20 '^not ok' quick.log; \
	echo "make quick: $$(grep -c '^ok' quick.log) passed, $$(grep -c '^not ok - ' quick.log) programs failed in" \
		"$$(($$(date +%s) - begin)) s; of the processors, user and system: $$(tail -n 1 quick.log)"; \
	! grep -q '^not ok' quick.log
