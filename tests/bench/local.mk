# SPDX-License-Identifier: BSD-2-Clause
# Built by make check, so that they keep building; scripts/bench.sh makes them by name and runs them.
check_PROGRAMS += tests/bench/traffic tests/bench/engine_bench
tests_bench_traffic_SOURCES = tests/bench/traffic.c
tests_bench_engine_bench_SOURCES = tests/bench/engine_bench.c tests/bench/bench.h tests/bench/esp_bench.c \
	tests/bench/l2tp_bench.c tests/bench/pptp_bench.c \
	tests/unit/packets.c tests/unit/packets.h \
	tests/unit/l2tp_messages.h tests/unit/pptp_messages.h
tests_bench_engine_bench_LDADD = $(CORE_LIBS)
EXTRA_DIST += tests/bench/bench.py tests/bench/links.py tests/bench/watched.py
