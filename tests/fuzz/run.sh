#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs one fuzz target for FUZZ_SECONDS (5), from the seeds of its corpus; what it finds new goes to corpus-NAME in
# the build directory, an input that breaks it to crash-* there.
corpus=corpus-${1##*/} seeds=$top_srcdir/tests/fuzz/corpus/${1##*/}
mkdir -p "$corpus"
[ -d "$seeds" ] || seeds=
exec "$1" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 "$corpus" $seeds
