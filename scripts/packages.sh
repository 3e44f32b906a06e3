# SPDX-License-Identifier: BSD-2-Clause
# For the scripts beside it: the Debian packages that building and testing need, installed when they are missing.
# Sourced, not run.

BUILD_PACKAGES="autoconf automake gcc libc6-dev make pkg-config libevent-dev libnl-3-dev libnl-route-3-dev
	libinih-dev libcap-ng-dev libseccomp-dev"
DEMO_PACKAGES="iproute2 iputils-ping traceroute curl dnsmasq-base bind9-dnsutils nftables python3
	procps"
TEST_PACKAGES="clang llvm libclang-rt-dev clang-format clang-tidy libcmocka-dev mandoc python3 python3-pytest
	python3-pytest-xdist python3-scapy iproute2 iputils-ping traceroute curl dnsmasq-base bind9-dnsutils nftables
	iperf3 tcpdump tshark socat ethtool conntrack procps tmux util-linux xz-utils"

# need_packages NAME...: makes sure of them; asks nothing, and touches nothing if all are there.
need_packages() {
	local missing="" package
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
		echo "packages are missing:$missing" >&2
		echo "as root on Debian: apt-get install$missing" >&2
		return 1
	fi
	echo "installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	# A machine with fresh package lists does not fetch them again; an old or empty one does.
	apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing >/dev/null 2>&1 && return 0
	apt-get -q -o DPkg::Lock::Timeout=300 update >/dev/null &&
		apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing >/dev/null
}

# copy_source FROM TO: the tree without what git, autoreconf, a build in the tree or a test leaves in it, so that the
# checkout stays as it is. An executable file without a dot in its name is a program that was built.
copy_source() {
	local made="-path ./configure -o -path ./aclocal.m4 -o -path ./Makefile.in -o -path ./Makefile
		-o -path ./config.status -o -name .dirstamp -o -name *.[ao] -o -name *.log -o -name *.trs"
	mkdir -p "$2" && (
		set -f # the patterns are for find
		cd "$1" && find . \( -path ./.git -o -path ./build* -o -path ./autom4te.cache -o -path ./culvert-* \
			-o -name .deps -o -name __pycache__ -o -name .pytest_cache \) -prune -o \( $made \) -o \
			-type f -perm -u+x ! -name *.* ! -path ./.ci/* -o -type f -print0
	) | tar -C "$1" --null --no-recursion -T - -cf - | tar -C "$2" -xf -
}
