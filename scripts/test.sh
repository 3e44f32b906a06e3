#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs every test of culvert. On Debian 12 as root nothing else is needed: scripts/test.sh
#
# Five lanes run side by side. Two have packets, and mostly wait for them: the tests in network namespaces, several
# files at one time, with a daemon that gcc built with the sanitizers, then some of them again without offloads and
# sanitizers; and calls with VPN software through a daemon without sanitizers. The other three compute, with what the
# first two leave of the processors: make check with the sanitizers, a million packets against a model and a
# distribution; clang's build with its fuzz targets and linters; and the demo and README.md in a Debian that has only
# its base packages. Everything happens in a copy of the tree; packages are kept below XDG_CACHE_HOME or /var/cache.
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
# the single tests of the stage did, or is - if the stage is one test itself, which says in its last line
# why it skipped if its exit code is 77.
stage() {
	local name=$1 collect=$2 log begin=$SECONDS code
	shift 2
	log=$work/$(echo "$name" | tr -c 'a-z0-9\n' -).log
	"$@" >"$log" 2>&1
	code=$?
	if [ "$collect" = - ]; then
		case $code in
		0) record pass "$name" ;;
		77) record skip "$name" "$(tail -n 1 "$log")" ;;
		*) record fail "$name" "exit code $code" ;;
		esac
	elif ! $collect >>"$results" 2>>"$log"; then
		record fail "$name" "its results cannot be read"
	elif [ $code != 0 ]; then
		# Whatever made the command fail is counted, even if no single test says so.
		grep -q "^fail	$name: " "$results" || record fail "$name" "exit code $code"
	fi
	if [ $code = 0 ]; then
		printf '  ok      %-46s %4d s\n' "$name" $((SECONDS - begin))
	elif [ $code = 77 ] && [ "$collect" = - ]; then
		printf '  skipped %-46s %4d s\n' "$name" $((SECONDS - begin))
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

# What computes for long gets out of the way of tests that have time limits.
polite="nice -n 10"
# Tests that wait for packets and timers: four processes of pytest, each with a file and its lab at a time.
together="-n 4 --dist loadfile"

# pytest_collected ID TESTS...: what is to be run is written down first, and collect.py misses what did not.
pytest_collected() {
	local id=$1 pytest="/usr/bin/python3 -B -m pytest -p no:cacheprovider -q"
	shift
	$pytest --collect-only "$@" >"$work/$id.list" || { cat "$work/$id.list"; return 1; }
	$pytest -rs --durations=10 --junitxml="$work/$id.xml" "$@"
}

# run_pytest STAGE ID CULVERTD TESTS...
run_pytest() {
	local name=$1 id=$2 program=$3
	shift 3
	CULVERTD=$program KERNEL_PROBE=${program%/*}/tests/netns/kernel_probe PYTHONDONTWRITEBYTECODE=1 \
		stage "$name" "collect pytest $work/$id.xml $name $work/$id.list" pytest_collected "$id" "$@"
}

# Those in which it is packets that count: with each of them whole, as they are on links without offloads.
run_without_offloads() {
	local tests=$work/source/tests/netns name names=
	for name in ike_port esp_pairing behaviour forward fragments icmp mtu hostile protocols pptp esp l2tp; do
		names="$names $tests/test_$name.py"
	done
	OFFLOADS=off run_pytest "namespaces-without-offloads" offloads "$1" $together $names
}

make_property_test() {
	$polite make -C "$1" -j2 tests/property/property_test &&
		$polite "$1/tests/property/property_test" --packets 1000000
}

# These are part of make check, for which the tests in namespaces do not wait.
make_all() {
	make -C "$1" -j2 all && make -C "$1" -j2 tests/netns/kernel_probe tests/bench/traffic
}

# build PLACE NAME OPTIONS...: configures and makes in a directory of its own, for every lane that waits for it.
build() {
	local place=$work/$1 name=$2
	shift 2
	stage "build $name: configure" - configure_in "$place" "$@" &&
		stage "build $name: make" - make_all "$place" && touch "$place.built"
	touch "$place.done"
	[ -e "$place.built" ]
}

# wait_for_build PLACE: false if there is no build to come.
wait_for_build() {
	while [ ! -e "$work/$1.done" ]; do
		sleep 1
	done
	[ -e "$work/$1.built" ]
}

lane_namespaces() {
	local tests=$work/source/tests/netns
	local longest="$tests/test_ike_port.py $tests/test_control.py $tests/test_reload.py" # so they begin first
	build sanitizers "gcc sanitizers" CC=gcc --enable-sanitizers &&
		run_pytest "namespaces" netns "$work/sanitizers/culvertd" $together $longest "$tests"
	wait_for_build plain || return
	# The filter of system calls is not in a build with sanitizers.
	run_pytest "privileges" privileges "$work/plain/culvertd" "$tests/test_privileges.py" \
		"$tests/test_systemd.py" "$tests/test_container.py"
	run_without_offloads "$work/plain/culvertd"
}

run_demo() {
	CULVERTD=$work/plain/culvertd "$work/source/scripts/demo.sh"
}

lane_vpn() {
	build plain "gcc" CC=gcc || return
	stage "demo" - run_demo
	run_pytest "vpn" vpn "$work/plain/culvertd" "$work/source/tests/vpn"
}

lane_check() {
	wait_for_build sanitizers &&
		stage "make check" "collect check $work/sanitizers" $polite make -C "$work/sanitizers" -j2 -k check
	wait_for_build plain || return
	stage "property test, a million packets" - make_property_test "$work/plain"
	stage "make distcheck" - $polite make -C "$work/plain" -j2 distcheck
}

lane_clang() {
	local target found=
	build fuzz "clang libfuzzer" CC=clang --enable-fuzz || return
	for target in "$work"/fuzz/tests/fuzz/fuzz_*; do
		if [ -f "$target" ] && [ -x "$target" ]; then
			found=1
			stage "fuzz ${target##*/}" - fuzz_one "$target"
		fi
	done
	[ -n "$found" ] || record fail "fuzz" "no fuzz target was built"
	stage "lint" - $polite make -C "$work/fuzz" lint
}

# A Debian that has nothing, where scripts/demo.sh and README.md must bring all they need. Niced more than the others,
# since it waits for nobody and nobody for it.
lane_fresh() {
	local minimal="nice -n 15 $work/source/tests/fresh/minimal.sh"
	stage "demo in a minimal Debian" - $minimal "$work/minimal-demo" "$work/source" scripts/demo.sh
	rm -rf "$work/minimal-demo"
	stage "README in a minimal Debian, part of in-tree check" - \
		$minimal "$work/minimal-readme" "$work/source" tests/fresh/readme.sh
	rm -rf "$work/minimal-readme"
}

run_all() {
	echo "culvert: every test, working in $work"
	copy_source "$root" "$work/source" || exit 5
	cd "$work/source" || exit 5
	if stage "autoreconf" - autoreconf -fi; then
		set -m
		for lane in namespaces vpn check clang fresh; do
			lane_$lane &
			lanes="$lanes $!"
		done
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
