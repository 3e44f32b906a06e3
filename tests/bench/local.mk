# SPDX-License-Identifier: BSD-2-Clause
noinst_PROGRAMS += tests/bench/traffic
tests_bench_traffic_SOURCES = tests/bench/traffic.c
EXTRA_DIST += tests/bench/bench.py
