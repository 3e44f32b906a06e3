#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs the fuzz targets of the core over their corpora.
set -e
"$top_builddir/tests/fuzz/replay_packet" "$top_srcdir/tests/fuzz/corpus/fuzz_packet"
"$top_builddir/tests/fuzz/replay_engine" "$top_srcdir/tests/fuzz/corpus/fuzz_engine"
"$top_builddir/tests/fuzz/replay_pptp" "$top_srcdir/tests/fuzz/corpus/fuzz_pptp"
"$top_builddir/tests/fuzz/replay_ike" "$top_srcdir/tests/fuzz/corpus/fuzz_ike"
"$top_builddir/tests/fuzz/replay_l2tp" "$top_srcdir/tests/fuzz/corpus/fuzz_l2tp"
"$top_builddir/tests/fuzz/replay_ipsec" "$top_srcdir/tests/fuzz/corpus/fuzz_ipsec"
"$top_builddir/tests/fuzz/replay_l2tp_engine" "$top_srcdir/tests/fuzz/corpus/fuzz_l2tp_engine"
"$top_builddir/tests/fuzz/replay_control" "$top_srcdir/tests/fuzz/corpus/fuzz_control"
