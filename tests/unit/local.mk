# SPDX-License-Identifier: BSD-2-Clause
# One program a unit: link $(CORE_LIBS), $(IO_LIBS) or $(DAEMON_LIBS), whichever is the least that serves.
UNIT_TESTS =

# For a new test:
# UNIT_TESTS += tests/unit/test_x
# tests_unit_test_x_SOURCES = tests/unit/test_x.c
# tests_unit_test_x_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_config
CONFIG_RIG = tests/unit/config_rig.c tests/unit/config_rig.h
tests_unit_test_config_SOURCES = tests/unit/test_config.c $(CONFIG_RIG)
tests_unit_test_config_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_config_errors
tests_unit_test_config_errors_SOURCES = tests/unit/test_config_errors.c $(CONFIG_RIG)
tests_unit_test_config_errors_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_config_edit
tests_unit_test_config_edit_SOURCES = tests/unit/test_config_edit.c
tests_unit_test_config_edit_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_capture
tests_unit_test_capture_SOURCES = tests/unit/test_capture.c
tests_unit_test_capture_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_selection
tests_unit_test_selection_SOURCES = tests/unit/test_selection.c
tests_unit_test_selection_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_selection_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_pcapng
tests_unit_test_pcapng_SOURCES = tests/unit/test_pcapng.c
tests_unit_test_pcapng_LDADD = libculvert_ctl.a $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_json
tests_unit_test_json_SOURCES = tests/unit/test_json.c
tests_unit_test_json_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/unit/test_json_rows.py

UNIT_TESTS += tests/unit/test_control_request
tests_unit_test_control_request_SOURCES = tests/unit/test_control_request.c
tests_unit_test_control_request_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_ctl
tests_unit_test_ctl_SOURCES = tests/unit/test_ctl.c
tests_unit_test_ctl_LDADD = libculvert_ctl.a $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_ctl_packet
tests_unit_test_ctl_packet_SOURCES = tests/unit/test_ctl_packet.c
tests_unit_test_ctl_packet_LDADD = libculvert_ctl.a $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_ctl_options
tests_unit_test_ctl_options_SOURCES = tests/unit/test_ctl_options.c
tests_unit_test_ctl_options_LDADD = libculvert_ctl.a $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_top
tests_unit_test_top_SOURCES = tests/unit/test_top.c
tests_unit_test_top_LDADD = libculvert_ctl.a libculvert_daemon.a $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_log_sink
tests_unit_test_log_sink_SOURCES = tests/unit/test_log_sink.c
tests_unit_test_log_sink_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_log_sink_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_log
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_metrics
tests_unit_test_metrics_SOURCES = tests/unit/test_metrics.c
tests_unit_test_metrics_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_lines
tests_unit_test_lines_SOURCES = tests/unit/test_lines.c tests/unit/lines_rig.c tests/unit/lines_rig.h \
	tests/unit/steady_clock.c
tests_unit_test_lines_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_lines_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_notify
tests_unit_test_notify_SOURCES = tests/unit/test_notify.c
tests_unit_test_notify_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_options
tests_unit_test_options_SOURCES = tests/unit/test_options.c
tests_unit_test_options_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_quota
tests_unit_test_quota_SOURCES = tests/unit/test_quota.c $(RIG)
tests_unit_test_quota_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_statistics
tests_unit_test_statistics_SOURCES = tests/unit/test_statistics.c
tests_unit_test_statistics_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_text
tests_unit_test_text_SOURCES = tests/unit/test_text.c
tests_unit_test_text_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_tunnel_text
tests_unit_test_tunnel_text_SOURCES = tests/unit/test_tunnel_text.c
tests_unit_test_tunnel_text_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_tunnel_text_fields
tests_unit_test_tunnel_text_fields_SOURCES = tests/unit/test_tunnel_text_fields.c
tests_unit_test_tunnel_text_fields_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_offload
tests_unit_test_offload_SOURCES = tests/unit/test_offload.c
tests_unit_test_offload_LDADD = $(IO_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_state_file
tests_unit_test_state_file_SOURCES = tests/unit/test_state_file.c
tests_unit_test_state_file_LDADD = $(IO_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_io_text
tests_unit_test_io_text_SOURCES = tests/unit/test_io_text.c
tests_unit_test_io_text_LDADD = $(IO_LIBS) $(CMOCKA_LIBS)

# The engine, through engine.h alone.
RIG = tests/unit/rig.c tests/unit/rig.h tests/unit/packets.c tests/unit/packets.h

IPSEC_RIG = tests/unit/ipsec_rig.c tests/unit/ipsec_rig.h $(RIG)

UNIT_TESTS += tests/unit/test_ipsec_esp
tests_unit_test_ipsec_esp_SOURCES = tests/unit/test_ipsec_esp.c $(IPSEC_RIG)
tests_unit_test_ipsec_esp_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_ipsec_hostile
tests_unit_test_ipsec_hostile_SOURCES = tests/unit/test_ipsec_hostile.c tests/unit/ipsec_check.c \
	tests/unit/ipsec_check.h $(IPSEC_RIG)
tests_unit_test_ipsec_hostile_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_ipsec_ike
tests_unit_test_ipsec_ike_SOURCES = tests/unit/test_ipsec_ike.c $(IPSEC_RIG)
tests_unit_test_ipsec_ike_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_ipsec_turn
tests_unit_test_ipsec_turn_SOURCES = tests/unit/test_ipsec_turn.c tests/unit/ipsec_check.c tests/unit/ipsec_check.h \
	$(IPSEC_RIG)
tests_unit_test_ipsec_turn_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ipsec_turn_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_ipsec_forget
tests_unit_test_ipsec_forget_SOURCES = tests/unit/test_ipsec_forget.c tests/unit/ipsec_check.c \
	tests/unit/ipsec_check.h $(IPSEC_RIG)
tests_unit_test_ipsec_forget_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ipsec_forget_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_drops
tests_unit_test_engine_drops_SOURCES = tests/unit/test_engine_drops.c $(RIG)
tests_unit_test_engine_drops_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_explain
tests_unit_test_explain_SOURCES = tests/unit/test_explain.c $(RIG)
tests_unit_test_explain_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_mapping
tests_unit_test_engine_mapping_SOURCES = tests/unit/test_engine_mapping.c $(RIG)
tests_unit_test_engine_mapping_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_ports
tests_unit_test_engine_ports_SOURCES = tests/unit/test_engine_ports.c $(RIG)
tests_unit_test_engine_ports_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_timer
tests_unit_test_engine_timer_SOURCES = tests/unit/test_engine_timer.c $(RIG)
tests_unit_test_engine_timer_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_tcp
tests_unit_test_engine_tcp_SOURCES = tests/unit/test_engine_tcp.c $(RIG)
tests_unit_test_engine_tcp_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_icmp
tests_unit_test_engine_icmp_SOURCES = tests/unit/test_engine_icmp.c $(RIG)
tests_unit_test_engine_icmp_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_fragment
tests_unit_test_engine_fragment_SOURCES = tests/unit/test_engine_fragment.c $(RIG)
tests_unit_test_engine_fragment_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_merged
tests_unit_test_engine_merged_SOURCES = tests/unit/test_engine_merged.c $(RIG)
tests_unit_test_engine_merged_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_packet
tests_unit_test_engine_packet_SOURCES = tests/unit/test_engine_packet.c $(RIG)
tests_unit_test_engine_packet_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_recover
tests_unit_test_engine_recover_SOURCES = tests/unit/test_engine_recover.c $(RIG)
tests_unit_test_engine_recover_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_configure
tests_unit_test_engine_configure_SOURCES = tests/unit/test_engine_configure.c tests/unit/ipsec_rig.c \
	tests/unit/ipsec_rig.h tests/unit/pptp_rig.c tests/unit/pptp_rig.h tests/unit/pptp_messages.h $(RIG)
tests_unit_test_engine_configure_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_attempts
tests_unit_test_engine_attempts_SOURCES = tests/unit/test_engine_attempts.c tests/unit/ipsec_rig.c \
	tests/unit/ipsec_rig.h tests/unit/pptp_rig.c tests/unit/pptp_rig.h tests/unit/pptp_messages.h $(RIG)
tests_unit_test_engine_attempts_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_attempts_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/test_engine_tunnels
tests_unit_test_engine_tunnels_SOURCES = tests/unit/test_engine_tunnels.c tests/unit/ipsec_rig.c \
	tests/unit/ipsec_rig.h tests/unit/pptp_rig.c tests/unit/pptp_rig.h tests/unit/pptp_messages.h $(RIG)
tests_unit_test_engine_tunnels_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_engine_tunnels_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_wire_checksum
tests_unit_test_wire_checksum_SOURCES = tests/unit/test_wire_checksum.c tests/unit/packets.c tests/unit/packets.h
tests_unit_test_wire_checksum_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_wire_ike
tests_unit_test_wire_ike_SOURCES = tests/unit/test_wire_ike.c tests/unit/ike_messages.h tests/unit/packets.h
tests_unit_test_wire_ike_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_wire_l2tp
tests_unit_test_wire_l2tp_SOURCES = tests/unit/test_wire_l2tp.c tests/unit/l2tp_messages.h tests/unit/packets.h
tests_unit_test_wire_l2tp_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_wire_udp
tests_unit_test_wire_udp_SOURCES = tests/unit/test_wire_udp.c tests/unit/packets.c tests/unit/packets.h
tests_unit_test_wire_udp_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

# PPTP: control connections and calls.
PPTP_RIG = $(RIG) tests/unit/pptp_rig.c tests/unit/pptp_rig.h tests/unit/pptp_messages.h

UNIT_TESTS += tests/unit/test_datapath
tests_unit_test_datapath_SOURCES = tests/unit/test_datapath.c $(PPTP_RIG) tests/unit/ipsec_rig.c \
	tests/unit/ipsec_rig.h
tests_unit_test_datapath_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_datapath_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_pptp_messages
tests_unit_test_pptp_messages_SOURCES = tests/unit/test_pptp_messages.c $(PPTP_RIG)
tests_unit_test_pptp_messages_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_pptp_stream
PPTP_TALK = tests/unit/pptp_talk.c tests/unit/pptp_talk.h $(PPTP_RIG)
tests_unit_test_pptp_stream_SOURCES = tests/unit/test_pptp_stream.c $(PPTP_TALK)
tests_unit_test_pptp_stream_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_pptp_order
tests_unit_test_pptp_order_SOURCES = tests/unit/test_pptp_order.c $(PPTP_TALK)
tests_unit_test_pptp_order_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_pptp_call
tests_unit_test_pptp_call_SOURCES = tests/unit/test_pptp_call.c $(PPTP_RIG)
tests_unit_test_pptp_call_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_pptp_limits
tests_unit_test_pptp_limits_SOURCES = tests/unit/test_pptp_limits.c $(PPTP_RIG)
tests_unit_test_pptp_limits_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_engine_spoilt
tests_unit_test_engine_spoilt_SOURCES = tests/unit/test_engine_spoilt.c tests/unit/ipsec_check.c \
	tests/unit/ipsec_check.h tests/unit/ipsec_rig.c tests/unit/ipsec_rig.h $(PPTP_RIG)
tests_unit_test_engine_spoilt_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_pptp_addresses
tests_unit_test_pptp_addresses_SOURCES = tests/unit/test_pptp_addresses.c $(PPTP_RIG)
tests_unit_test_pptp_addresses_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

# L2TP: flows, tunnels and shared ports.
L2TP_RIG = $(RIG) tests/unit/l2tp_rig.c tests/unit/l2tp_rig.h tests/unit/l2tp_messages.h

UNIT_TESTS += tests/unit/test_l2tp
tests_unit_test_l2tp_SOURCES = tests/unit/test_l2tp.c $(L2TP_RIG)
tests_unit_test_l2tp_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_l2tp_shared
tests_unit_test_l2tp_shared_SOURCES = tests/unit/test_l2tp_shared.c $(L2TP_RIG)
tests_unit_test_l2tp_shared_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/test_l2tp_limits
tests_unit_test_l2tp_limits_SOURCES = tests/unit/test_l2tp_limits.c $(L2TP_RIG)
tests_unit_test_l2tp_limits_LDADD = $(CORE_LIBS) $(CMOCKA_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS) tests/unit/test_json_rows.py
endif
