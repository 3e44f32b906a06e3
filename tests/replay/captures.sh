#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Replays the captures and compares what comes out with what is expected, byte for byte. After a change on purpose:
# tests/replay/replay captures/lan-in.pcap captures/wan-in.pcap captures/lan-out.pcap captures/wan-out.pcap, and read
# the difference (tshark -r) before it is committed.
set -e
captures=$top_srcdir/tests/replay/captures
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$top_builddir/tests/replay/replay" "$captures/lan-in.pcap" "$captures/wan-in.pcap" \
	"$out/lan-out.pcap" "$out/wan-out.pcap"
for side in lan wan; do
	if ! cmp "$captures/$side-out.pcap" "$out/$side-out.pcap"; then
		echo "what leaves to the $side is not what is expected in $captures/$side-out.pcap" >&2
		exit 1
	fi
	echo "$side-out: $(wc -c <"$out/$side-out.pcap") bytes as expected"
done
