#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs the fuzz target of a source for FUZZ_SECONDS (5), from the seeds of its corpus. What it finds new goes to
# corpus-NAME in the build directory, an input that breaks it to crash-* there.
name=$(basename "$1" .c)
corpus=corpus-$name seeds=$top_srcdir/tests/fuzz/corpus/$name
mkdir -p "$corpus"
[ -d "$seeds" ] || seeds=
exec "tests/fuzz/$name" -max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 -rss_limit_mb=1024 \
	-print_final_stats=1 "$corpus" $seeds
