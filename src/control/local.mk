# SPDX-License-Identifier: BSD-2-Clause
# The control socket and its verbs.
libculvert_daemon_a_SOURCES += src/control/answer.c src/control/capture.c src/control/capture.h \
	src/control/capture_text.c src/control/capture_text.h src/control/control.c src/control/control.h \
	src/control/control_request.c src/control/control_request.h src/control/control_socket.c \
	src/control/control_socket.h src/control/json.c src/control/json.h src/control/lines.c src/control/lines.h \
	src/control/probe.c src/control/probe.h src/control/ranking.c src/control/ranking.h src/control/rehearse.c \
	src/control/rehearse.h src/control/reload.c src/control/reload.h src/control/selection.c src/control/selection.h \
	src/control/selftest.h src/control/selftest_config.c src/control/selftest_flow.c src/control/selftest_icmp.c \
	src/control/selftest_mapping.c src/control/selftest_packets.c src/control/verb.c src/control/verb.h \
	src/control/verb_capture.c src/control/verb_drops.c src/control/verb_explain.c src/control/verb_forget.c \
	src/control/verb_mappings.c src/control/verb_metrics.c src/control/verb_reload.c src/control/verb_selftest.c \
	src/control/verb_status.c src/control/verb_top.c src/control/verb_tunnels.c
