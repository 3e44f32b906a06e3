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

# read_results STAGE FILE...: what each test did, as lines of outcome, name and reason with tabs between, from the
# .trs files that make check and its like leave. Names in TAP are in the log, and a script gives the reason why it
# skipped or failed in the last line of its log.
read_results() {
	local name=$1
	shift
	[ -e "$1" ] || return
	awk -v stage="$name: " -v top="^$work/[a-z]*/" '/^:test-result: / {
		word = $2
		unit = FILENAME
		sub(/\.trs$/, "", unit)
		log_file = unit ".log"
		sub(top, "", unit)
		sub(/^:test-result: [A-Z]* ?/, "")
		reason = ""
		while ($0 == "" && (getline line <log_file) > 0)
			if (index(line, word ": ") == 1) {
				$0 = line
				sub(/^[A-Z]*: [^ ]* ?([0-9]+ )?(- )?/, "")
			} else if (index(line, word " ") != 1)
				reason = line
		if (at = match($0, / *# SKIP */)) {
			reason = substr($0, at + RLENGTH)
			$0 = substr($0, 1, at - 1)
		}
		unit = unit ~ /^check-/ ? "" : $0 == "" ? unit : unit " "
		print (word == "PASS" ? "pass" : word == "SKIP" ? "skip" : "fail") "\t" stage unit $0 "\t" \
			(word == "PASS" ? "" : substr(reason, 1, 300))
	}' "$@"
}

# stage NAME RESULTS COMMAND...: runs the command with its output in a log, says how long it took. RESULTS are the .trs
# files, by a pattern, or - if the stage is one test itself.
stage() {
	local name=$1 files=$2 log begin=$SECONDS code outcome=ok
	shift 2
	log=$work/$(echo "$name" | tr -c 'a-z0-9\n' -).log
	"$@" >"$log" 2>&1
	code=$?
	[ "$files" = - ] || read_results "$name" $files >>"$results"
	if [ "$code" != 0 ]; then
		outcome=FAILED
		# Whatever made the command fail is counted, even if no single test says so.
		grep -q "^fail	$name: " "$results" || record fail "$name" "exit code $code"
	elif [ "$files" = - ]; then
		record pass "$name"
	elif ! grep -q "^[a-z]*	$name: " "$results"; then
		outcome=FAILED
		record fail "$name" "it left no results"
	fi
	printf '  %-7s %-46s %4d s\n' $outcome "$name" $((SECONDS - begin))
	[ $outcome = ok ] || { echo "          $log:"; tail -n 60 "$log" | sed 's/^/          | /'; }
	return $code
}

configure_in() {
	local place=$1
	shift
	mkdir -p "$place" && cd "$place" && "$work/source/configure" --enable-werror "$@"
}

# What computes for long gets out of the way of tests that have time limits.
polite="nice -n 10"

# The programs, and what the tests in namespaces need of make check, for which they do not wait.
make_all() {
	make -C "$1" -j2 all-am tests/netns/kernel_probe tests/bench/traffic
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

# run PLACE NAME TARGET: a target whose tests say in TARGET.trs what they did.
run() {
	stage "$2" "$work/$1/$3.trs" make -C "$work/$1" "$3"
}

# Compiled faster where it is the sanitizers that make it slow; the plain build is optimised as it is installed.
quick_flags="-g -O1"

lane_namespaces() {
	build sanitizers "gcc sanitizers" CC=gcc CFLAGS="$quick_flags" --enable-sanitizers &&
		run sanitizers "namespaces" check-netns
	wait_for_build plain || return
	run plain "privileges" check-plain
	run plain "namespaces-without-offloads" check-offloads
}

run_demo() {
	CULVERTD=$work/plain/culvertd "$work/source/scripts/demo.sh"
}

lane_vpn() {
	build plain "gcc" CC=gcc || return
	stage "demo" - run_demo
	run plain "vpn" check-vpn
}

lane_check() {
	wait_for_build sanitizers &&
		stage "make check" "$work/sanitizers/*/*.trs $work/sanitizers/*/*/*.trs" \
			$polite make -C "$work/sanitizers" -j2 -k check
	wait_for_build plain || return
	stage "property test, a million packets" - $polite make -C "$work/plain" check-property
	stage "make distcheck" - $polite make -C "$work/plain" -j2 distcheck
}

lane_clang() {
	build fuzz "clang libfuzzer" CC=clang CFLAGS="$quick_flags" --enable-fuzz || return
	stage "fuzz" "$work/fuzz/tests/fuzz/*.trs" make -C "$work/fuzz" check-fuzz
	stage "lint" - $polite make -C "$work/fuzz" lint
}

# Niced more than the others, since it waits for nobody and nobody for it.
lane_fresh() {
	wait_for_build plain
	stage "minimal" "$work/plain/scripts/*.trs $work/plain/tests/fresh/*.trs" \
		nice -n 15 make -C "$work/plain" check-fresh
}

# Where CI is set, a skip that no pattern of tests/allowed-skips matches is a failure.
judge_skips() {
	local name reason pattern
	grep '^skip' "$results" | while IFS='	' read -r _ name reason; do
		while read -r pattern; do
			case $name in
			$pattern) continue 2 ;;
			esac
		done < <(sed 's/ *#.*//; /^$/d' "$root/tests/allowed-skips")
		record fail "$name" "skipped, and tests/allowed-skips does not allow it: $reason"
	done
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
	[ -z "${CI:-}" ] || judge_skips
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
