#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs every test of culvert. On Debian 12 as root nothing else is needed: scripts/test.sh
#
# Three lanes run side by side. One builds with gcc and the sanitizers, runs make check, then the tests in network
# namespaces with that daemon. Another builds without sanitizers, calls through that daemon with VPN software, whose
# machines mostly wait for one another, and makes a distribution. The third builds with clang and libFuzzer, runs the
# fuzz targets and the linters, then the namespaces again without offloads. Everything happens in a copy of the tree.
#
#   FUZZ_SECONDS=N  how long each fuzz target runs (5)
#   CI=1            a skipped test fails unless tests/allowed-skips lists it
#   KEEP=1          keep the working directory even if all is well
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/packages.sh"
fuzz_seconds=${FUZZ_SECONDS:-5}

if [ "$(id -u)" != 0 ]; then
	echo "scripts/test.sh makes network namespaces: run it as root" >&2
	exit 3
fi
if [ ! -c /dev/net/tun ]; then
	echo "/dev/net/tun is missing: modprobe tun, or start the container with --device /dev/net/tun" >&2
	exit 4
fi
started=$SECONDS
need_packages $BUILD_PACKAGES $TEST_PACKAGES || exit 4

work=$(mktemp -d "${TMPDIR:-/tmp}/culvert-test.XXXXXX") || exit 5
chmod 755 "$work" # some tests run programs as users who are not root
results=$work/results
: >"$results"
lanes=
stop_lanes() {
	for lane in $lanes; do
		kill -TERM -- "-$lane" 2>/dev/null
	done
	wait
	rm -rf "$work"
	exit 130
}
trap stop_lanes INT TERM HUP

# record pass|fail|skip NAME REASON
record() {
	printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$results"
}

# stage NAME COLLECT COMMAND...: runs the command with its output in a log, says how long it took. COLLECT reads what
# the single tests of the stage did, or is - if the stage is one test itself.
stage() {
	local name=$1 collect=$2 log begin=$SECONDS code
	shift 2
	log=$work/$(echo "$name" | tr -c 'a-z0-9\n' -).log
	"$@" >"$log" 2>&1
	code=$?
	if [ "$collect" = - ]; then
		if [ $code = 0 ]; then record pass "$name"; else record fail "$name" "exit code $code"; fi
	elif ! $collect >>"$results" 2>>"$log"; then
		record fail "$name" "its results can not be read"
	elif [ $code != 0 ]; then
		# Whatever made the command fail is counted, even if no single test says so.
		grep -q "^fail	$name: " "$results" || record fail "$name" "exit code $code"
	fi
	if [ $code = 0 ]; then
		printf '  ok      %-46s %4d s\n' "$name" $((SECONDS - begin))
	else
		printf '  FAILED  %-46s %4d s   %s\n' "$name" $((SECONDS - begin)) "$log"
		tail -n 60 "$log" | sed 's/^/          | /'
	fi
	return $code
}

configure_in() {
	local place=$1
	shift
	mkdir -p "$place" && cd "$place" && "$work/source/configure" --enable-werror "$@"
}

fuzz_one() {
	local target=$1 corpus=$work/corpus-${1##*/} seeds=$work/source/tests/fuzz/corpus/${1##*/}
	mkdir -p "$corpus"
	[ -d "$seeds" ] || seeds=
	"$target" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix="$work/" "$corpus" $seeds
}

collect() {
	/usr/bin/python3 "$work/source/scripts/collect.py" "$@"
}

# run_pytest STAGE ID CULVERTD TESTS...
run_pytest() {
	local name=$1 id=$2 program=$3
	shift 3
	stage "$name" "collect pytest $work/$id.xml $name" \
		env CULVERTD="$program" PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider -q \
		-rs --durations=10 --junitxml="$work/$id.xml" "$@"
}

# Those in which it is packets that count: with each of them whole, as they are on links without offloads.
run_without_offloads() {
	local tests=$work/source/tests/netns name names=
	for name in behaviour forward fragments icmp mtu hostile protocols pptp esp esp_pairing ike_port l2tp; do
		names="$names $tests/test_$name.py"
	done
	OFFLOADS=off run_pytest "namespaces-without-offloads" offloads "$1" $names
}

make_property_test() {
	make -C "$1" -j2 tests/property/property_test && "$1/tests/property/property_test" --packets 1000000
}

lane_sanitizers() {
	local build=$work/sanitizers
	stage "build gcc sanitizers: configure" - configure_in "$build" CC=gcc --enable-sanitizers || return
	stage "build gcc sanitizers: make" - make -C "$build" -j2 all || return
	stage "make check" "collect check $build" make -C "$build" -j2 -k check
	run_pytest "namespaces" netns "$build/culvertd" "$work/source/tests/netns"
}

lane_plain() {
	local plain=$work/plain
	stage "build gcc: configure" - configure_in "$plain" CC=gcc &&
		stage "build gcc: make" - make -C "$plain" -j2 all && touch "$work/plain.built"
	touch "$work/plain.done"
	[ -e "$work/plain.built" ] || return
	run_pytest "vpn" vpn "$plain/culvertd" "$work/source/tests/vpn"
	stage "property test, a million packets" - make_property_test "$plain"
	stage "make distcheck" - make -C "$plain" -j2 distcheck
}

lane_clang() {
	local build=$work/fuzz plain=$work/plain target found=
	stage "build clang libfuzzer: configure" - configure_in "$build" CC=clang --enable-fuzz &&
		stage "build clang libfuzzer: make" - make -C "$build" -j2 all && {
		for target in "$build"/tests/fuzz/fuzz_*; do
			if [ -f "$target" ] && [ -x "$target" ]; then
				found=1
				stage "fuzz ${target##*/}" - fuzz_one "$target"
			fi
		done
		[ -n "$found" ] || record fail "fuzz" "no fuzz target was built"
		stage "lint" - make -C "$build" lint
	}
	while [ ! -e "$work/plain.done" ]; do
		sleep 1
	done
	[ -e "$work/plain.built" ] || return
	# The filter of system calls is not in a build with sanitizers, and the unit allows no more.
	run_pytest "privileges" privileges "$plain/culvertd" "$work/source/tests/netns/test_privileges.py" \
		"$work/source/tests/netns/test_systemd.py"
	run_without_offloads "$plain/culvertd"
}

run_all() {
	echo "culvert: every test, working in $work"
	copy_source "$root" "$work/source" || exit 5
	cd "$work/source" || exit 5
	if stage "autoreconf" - autoreconf -fi; then
		set -m
		lane_sanitizers &
		lanes=$!
		lane_plain &
		lanes="$lanes $!"
		lane_clang &
		lanes="$lanes $!"
		set +m
		wait $lanes
	fi

	if grep -q '^skip' "$results"; then
		echo "skipped:"
		sed -n 's/^skip\t\([^\t]*\)\t\(.*\)/  \1: \2/p' "$results"
	fi
	if [ -n "${CI:-}" ]; then
		collect judge "$results" "$root/tests/allowed-skips" || exit 5
	fi
	passed=$(grep -c '^pass' "$results")
	failed=$(grep -c '^fail' "$results")
	skipped=$(grep -c '^skip' "$results")
	if [ "$failed" != 0 ]; then
		echo "failed:"
		sed -n 's/^fail\t\([^\t]*\)\t\(.*\)/  \1: \2/p' "$results"
		echo "logs are in $work"
	elif [ -z "${KEEP:-}" ]; then
		cd / && rm -rf "$work"
	fi
	echo "it took $((SECONDS - started)) s"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}

# On one line, so that an edit of this file does not reach a run that is under way.
run_all; exit
