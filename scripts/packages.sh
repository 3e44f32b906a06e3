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

# copy_source FROM TO: the tree without what a build or git leaves in it, so that the checkout stays as it is.
copy_source() {
	mkdir -p "$2" &&
		tar -C "$1" --exclude=./.git --exclude='./build*' --exclude=./autom4te.cache --exclude=./configure \
			--exclude=./aclocal.m4 --exclude=./Makefile.in --exclude=__pycache__ \
			--exclude=.pytest_cache -cf - . |
		tar -C "$2" -xf -
}
