# SPDX-License-Identifier: BSD-2-Clause
libculvert_daemon_a_SOURCES += src/daemon/datapath.c src/daemon/datapath.h src/daemon/loop.c src/daemon/loop.h \
	src/daemon/daemon.c src/daemon/daemon.h src/daemon/daemon_events.c src/daemon/daemon_links.c src/daemon/daemon_state.h
libculvert_daemon_a_SOURCES += src/daemon/background.c src/daemon/background.h src/daemon/log.c src/daemon/log.h \
	src/daemon/options.c src/daemon/options.h src/daemon/pidfile.c src/daemon/pidfile.h src/daemon/privileges.c \
	src/daemon/privileges.h src/daemon/privileges_filter.c \
	src/daemon/statistics.c src/daemon/statistics.h src/daemon/text.c src/daemon/text.h src/daemon/tunnels.c src/daemon/tunnels.h
libculvert_daemon_a_SOURCES += src/daemon/config.c src/daemon/config.h src/daemon/config_check.c src/daemon/config_guess.c \
	src/daemon/config_guess.h src/daemon/config_keys.c \
	src/daemon/config_keys.h src/daemon/config_parse.c src/daemon/config_print.c src/daemon/config_values.c \
	src/daemon/forward_check.c src/daemon/forward_check.h src/daemon/quota.c src/daemon/quota.h
libculvert_daemon_a_SOURCES += src/daemon/metrics.c src/daemon/metrics.h src/daemon/metrics_http.c \
	src/daemon/metrics_http.h src/daemon/metrics_listen.c src/daemon/metrics_listen.h src/daemon/notify.c \
	src/daemon/notify.h src/daemon/tunnels_fields.c
libculvert_daemon_a_SOURCES += src/daemon/control.c src/daemon/control.h src/daemon/control_request.c \
	src/daemon/control_request.h src/daemon/control_socket.c src/daemon/control_socket.h src/daemon/socket_file.c src/daemon/socket_file.h src/daemon/json.c \
	src/daemon/json.h src/daemon/loop_lines.c src/daemon/loop_lines.h src/daemon/verb.c src/daemon/verb.h \
	src/daemon/ranking.c src/daemon/ranking.h src/daemon/verb_drops.c src/daemon/verb_mappings.c src/daemon/verb_status.c \
	src/daemon/selftest.h src/daemon/selftest_config.c src/daemon/selftest_flow.c src/daemon/selftest_icmp.c \
	src/daemon/selftest_mapping.c src/daemon/selftest_packets.c src/daemon/verb_metrics.c src/daemon/verb_selftest.c src/daemon/verb_top.c src/daemon/verb_tunnels.c
libculvert_daemon_a_SOURCES += src/daemon/drop_rates.c src/daemon/drop_rates.h src/daemon/probe.c \
	src/daemon/probe.h src/daemon/verb_explain.c
libculvert_daemon_a_SOURCES += src/daemon/config_change.c src/daemon/config_edit.c src/daemon/config_edit.h \
	src/daemon/rehearse.c src/daemon/rehearse.h src/daemon/reload.c src/daemon/reload.h src/daemon/verb_reload.c
libculvert_daemon_a_SOURCES += src/daemon/capture.c src/daemon/capture.h src/daemon/capture_text.c \
	src/daemon/capture_text.h src/daemon/selection.c src/daemon/selection.h src/daemon/verb_capture.c \
	src/daemon/verb_forget.c

sbin_PROGRAMS += culvertd
culvertd_SOURCES = src/daemon/main.c
culvertd_LDADD = $(DAEMON_LIBS)
