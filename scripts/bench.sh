#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Measures culvertd beside the kernel's own NAT, in one run on one topology of network namespaces. Run as root on
# Debian 12.
#
#   scripts/bench.sh [--seconds N] [--repeats N] [--only NAME,...] [--offload no] [--json FILE]
#   scripts/bench.sh watched [--loads NAME,...] [--only NAME,...] ...
#   scripts/bench.sh links [--seconds N] [--repeats N] [--only NAME,...]
#
# The second form measures what it costs the packets that somebody looks: lists of 100,000 mappings, traces, metrics;
# tests/bench/watched.py says how. Its exit code is 1 if that is too much. The third form measures what neighbours that
# nobody has, and large tables that change, do to others (tests/bench/links.py).
#
# Nothing outside these namespaces changes, apart from packages that are missing. CULVERTD=PATH uses a program that
# is built already; the programs of tests/bench are then looked for beside it.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/packages.sh"

if [ "$(id -u)" != 0 ]; then
	echo "scripts/bench.sh makes network namespaces: run it as root" >&2
	exit 3
fi

program=bench.py
case ${1:-} in
watched | links)
	program=$1.py
	shift
	;;
esac

place=$(mktemp -d "${TMPDIR:-/tmp}/culvert-bench.XXXXXX") || exit 5
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT TERM HUP

need_packages $BUILD_PACKAGES iproute2 nftables iperf3 python3 || exit 4
if [ -z "${CULVERTD:-}" ]; then
	copy_source "$root" "$place/source" &&
		(cd "$place/source" && autoreconf -fi && mkdir "$place/build" && cd "$place/build" &&
			../source/configure &&
			make -j2 culvertd culvertctl tests/bench/traffic \
				tests/bench/engine_bench) >"$place/build.log" 2>&1 || {
		tail -n 40 "$place/build.log" >&2
		exit 5
	}
	CULVERTD=$place/build/culvertd
fi

tools=$(dirname "$CULVERTD")/tests/bench
for tool in traffic engine_bench; do
	if [ ! -x "$tools/$tool" ]; then
		echo "$tools/$tool is missing: make tests/bench/$tool in the build directory of CULVERTD" >&2
		exit 7
	fi
done

/usr/bin/python3 "$root/tests/bench/$program" --culvertd "$CULVERTD" --tools "$tools" --work "$place" "$@"
