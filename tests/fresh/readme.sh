#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What README.md tells somebody with a new machine, done word by word in a minimal Debian (minimal.sh): the packages,
# the build in the source tree, the installation, and a router that is started, looked at and stopped. Then a part of
# make check in that tree, and that the tree can still be copied and built elsewhere.
set -eu
. scripts/packages.sh

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# block FILE WORDS: the fenced block of FILE whose first line begins with WORDS.
block() {
	awk -v words="$2" '
		/^```/ { if (!inside) { first = 1 } else { shown = 0 }; inside = !inside; next }
		inside && first { first = 0; shown = index($0, words) == 1 }
		inside && shown { print; found = 1 }
		END { exit !found }' "$1" || fail "$1 has no block that begins with $2"
}

# wait_until LINE: until a line for the shell succeeds, ten seconds at most.
wait_until() {
	for _ in $(seq 100); do
		eval "$1" && return
		sleep 0.1
	done
	fail "not within 10 s: $1"
}

copy_source . /tmp/source
block README.md "apt-get install" >/tmp/block
[ "$(tail -n 1 /tmp/block)" = "culvertd --lan eth1" ] || fail "the block of README.md does not end with the start"

echo "== packages, build and installation as README.md says"
head -n -1 /tmp/block >/tmp/install
DEBIAN_FRONTEND=noninteractive sh -eux /tmp/install
built=$(find . -type f -perm -u+x ! -name '*.*' ! -path './.ci/*' ! -path './build-aux/*' ! -path ./configure |
	sort | xargs)
[ "$built" = "./culvertctl ./culvertd" ] || fail "make alone built $built"

for name in $(grep -o '](\S*)' README.md | tr -d '()]' | grep -v :); do
	[ -e "/usr/share/doc/culvert/$name" ] || fail "README.md names $name, which is not installed"
done

echo "== a machine with two network cards"
need_packages iproute2 iputils-ping procps
for name in router isp host; do
	ip netns add $name
	ip -n $name link set lo up
done
ip -n router link add eth0 type veth peer name eth0 netns isp
ip -n router link add eth1 type veth peer name eth0 netns host
ip -n router address add 198.51.100.2/24 dev eth0
ip -n router address add 192.168.77.1/24 dev eth1
ip -n isp address add 198.51.100.1/24 dev eth0
ip -n host address add 192.168.77.11/24 dev eth0
for name in router isp host; do
	ip -n $name link set eth0 up
done
ip -n router link set eth1 up
ip -n router route add default via 198.51.100.1
ip -n host route add default via 192.168.77.1
rules=$(ip -n router rule)
router="ip netns exec router"

$router culvertd --lan eth1 --dry-run >/tmp/plan
grep -q '^ip rule add' /tmp/plan || fail "--dry-run prints no rule"
[ "$(ip -n router rule)" = "$rules" ] || fail "--dry-run changed the rules"
$router sh -ec "$(tail -n 1 /tmp/block)"
$router culvertctl | tee /tmp/status
grep -q '198\.51\.100\.2' /tmp/status || fail "culvertctl does not show the outside address"
ip netns exec host ping -n -c 3 -i 0.2 -W 5 198.51.100.1
pkill -TERM -x culvertd
wait_until '! pgrep -x culvertd >/dev/null'
[ "$(ip -n router rule)" = "$rules" ] || fail "culvertd left rules behind"

echo "== make check in the tree: a part of it"
need_packages libcmocka-dev python3 mandoc
./configure --enable-werror
make check \
	check_PROGRAMS="tools/manual_lists tests/replay/replay tests/unit/test_log tests/unit/test_json" \
	check_LIBRARIES= \
	TESTS="tools/check_lists.sh tests/replay/captures.sh tests/unit/completion.sh tests/unit/test_log
		tests/unit/test_json tests/unit/test_json_rows.py tests/lint/lint.py"

echo "== what was built in the tree stays there"
copy_source . /tmp/copy
diff -r /tmp/source /tmp/copy || fail "the copy is not the source (scripts/packages.sh, copy_source)"
make distclean
diff -r -x configure -x aclocal.m4 -x Makefile.in -x build-aux -x autom4te.cache -x .deps /tmp/source . ||
	fail "make distclean leaves something behind"
