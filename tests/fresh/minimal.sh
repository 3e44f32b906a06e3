#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs a command in a Debian that has its base packages and no others: what a new machine lacks is missing there, too.
#
#   tests/fresh/minimal.sh COMMAND...
#
# COMMAND is a script of this source tree, or one that this Debian has. It runs there as root, in /culvert, a copy of
# the tree. The exit code is that of COMMAND; 77, with the reason as the last line, if no such Debian can be made here.
# With FOLDER set, the Debian is FOLDER/root, stays, and the next call goes on in it.
#
# Namespaces of mounts and processes end with the command, however it ends, so nothing stays mounted and nothing runs
# on. The network is that of the caller: the command may install packages. They, and the base, are kept for the next
# run in culvert-test below XDG_CACHE_HOME or /var/cache. Where packages come from is what this machine's apt says.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
[ ! -f "$1" ] || set -- "$(realpath "--relative-to=$source" "$1")" "${@:2}"
. "$source/scripts/packages.sh"
name=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
base_days=30

skip() {
	echo "$1"
	exit 77
}

# The cache, or a folder that nobody keeps: if there can be none, or another run is using it.
choose_cache() {
	cache=${XDG_CACHE_HOME:-/var/cache}/culvert-test
	if mkdir -p "$cache" && exec 9>"$cache/lock" && flock -n 9; then
		return
	fi
	cache=$folder/cache
}

# "deb URI SUITE COMPONENT" for each source of this Debian in apt's configuration.
list_sources() {
	local format='$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)'
	apt-get indextargets --format "$format" 'Created-By: Packages' |
		awk -v name="$name" \
			'$1 == "Debian" && index($3, name) == 1 && $4 == "main" { print "deb", $2, $3, $4 }' |
		sort -u
}

make_base() {
	local sources
	need_packages mmdebstrap || skip "mmdebstrap is not installed, and apt-get could not fetch it"
	sources=$(list_sources)
	if [ -z "$sources" ]; then
		apt-get -q update
		sources=$(list_sources)
	fi
	[ -n "$sources" ] || skip "apt knows no source of Debian $name, so there can be no minimal Debian"
	apt-config dump | grep -E '^Acquire::(https?|ftp|Retries|ForceIPv[46])\b' >"$folder/apt.conf"
	# Nobody needs the files of this Debian after a power cut. Its mounts end with it, even if it is killed.
	echo "$sources" | unshare --mount --propagation private mmdebstrap --quiet --format=tar --mode=root \
		--variant=minbase --dpkgopt=force-unsafe-io --aptopt="$folder/apt.conf" "$name" "$base.new" - &&
		mv "$base.new" "$base"
}

make_root() {
	local root=$folder/root
	if [ -z "$(find "$base" -mtime "-$base_days" 2>/dev/null)" ]; then
		make_base || [ -e "$base" ] || skip "mmdebstrap could not make a minimal Debian"
	fi
	rm -rf "$root.new" && mkdir "$root.new" && tar -C "$root.new" -xf "$base" &&
		copy_source "$source" "$root.new/culvert" && mv "$root.new" "$root"
}

# In the namespaces: what a system is given by whoever starts it.
enter() {
	local root=$folder/root word kept=()
	mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount -t sysfs sysfs "$root/sys" &&
		mount --rbind /dev "$root/dev" && mount -t tmpfs -o mode=755 run "$root/run" &&
		mount --bind "$cache/archives" "$root/var/cache/apt/archives" &&
		mount --bind "$cache/lists" "$root/var/lib/apt/lists" &&
		cp -L /etc/resolv.conf /etc/hosts "$root/etc" && mkdir -p "$root/outside" || exit 5
	for word in http_proxy https_proxy no_proxy; do
		[ -z "${!word:-}" ] || kept+=("$word=${!word}")
	done
	cd "$root" && pivot_root . outside && cd /culvert && umount -l /outside || exit 5
	# The first process of a namespace hears only the signals that it asks for; with it all others end.
	trap 'exit 143' INT TERM HUP
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "${kept[@]}" "$@" &
	wait $!
	exit
}

if [ -n "${FOLDER:-}" ]; then
	folder=$FOLDER
	mkdir -p "$folder" || exit 5
else
	folder=$(mktemp -d "${TMPDIR:-/tmp}/culvert-minimal.XXXXXX") || exit 5
	trap 'rm -rf "$folder"' EXIT
fi
choose_cache
mkdir -p "$cache/archives" "$cache/lists"
base=$cache/$name.tar
[ -d "$folder/root" ] || make_root || exit 5
export folder cache
export -f enter
unshare --mount --propagation private --pid --fork --kill-child bash -c 'enter "$@"' enter "$@"
