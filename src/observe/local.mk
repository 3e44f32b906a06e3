# SPDX-License-Identifier: BSD-2-Clause
# What the operator hears of the router: log, metrics, notices to systemd.
libculvert_daemon_a_SOURCES += src/observe/drop_rates.c src/observe/drop_rates.h src/observe/log.c src/observe/log.h src/observe/log_sink.c src/observe/log_sink.h \
	src/observe/metrics.c src/observe/metrics.h src/observe/metrics_http.c src/observe/metrics_http.h \
	src/observe/metrics_listen.c src/observe/metrics_listen.h src/observe/notify.c src/observe/notify.h \
	src/observe/quota.c src/observe/quota.h src/observe/statistics.c src/observe/statistics.h src/observe/tunnel_text.c \
	src/observe/tunnel_text.h src/observe/tunnel_text_fields.c
