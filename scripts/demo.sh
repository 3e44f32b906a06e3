#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Builds culvert and shows it at work between network namespaces with real kernel stacks. Run as root on Debian 12.
#
#   scripts/demo.sh              shows, then removes everything
#   scripts/demo.sh --keep       leaves the namespaces and the daemon for a look around
#   scripts/demo.sh --remove ID  removes what --keep left
#
#   lan1 192.168.77.11 ─┐                                                    ┌─ isp ── server 203.0.113.80
#                       ├─ lan0 192.168.77.1 [router] wan0 198.51.100.2 ─────┤       (web, names)
#   lan2 192.168.77.12 ─┘                                                    198.51.100.1
#
# Nothing outside these namespaces changes, apart from packages that are missing. CULVERTD=PATH uses a program that
# is built already, and the culvertctl beside it.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/packages.sh"

hosts="lan1 lan2 router isp server"
keep=
id=$$
failed=0
case "${1:-}" in
"") ;;
--keep) keep=1 ;;
--remove)
	id=${2:-}
	if ! [[ "$id" =~ ^[0-9]+$ ]] || [ ! -d "/run/culvert-demo-$id" ]; then
		echo "usage: scripts/demo.sh --remove ID; there is: $(cd /run && echo culvert-demo-*)" >&2
		exit 7
	fi
	;;
*)
	sed -n 's/^#   scripts/usage: scripts/p' "$0" >&2
	exit 1
	;;
esac
if [ "$(id -u)" != 0 ]; then
	echo "scripts/demo.sh makes network namespaces: run it as root" >&2
	exit 3
fi
work=/run/culvert-demo-$id

space() { echo "cvdemo$id-$1"; }
in_space() {
	local name
	name=$(space "$1")
	shift
	ip netns exec "$name" "$@"
}

remove() {
	trap '' INT TERM HUP
	local pid name
	# The daemon first, so that it can take back what it set up. Only processes of this demo stand in the file.
	while read -r pid; do
		kill -TERM "$pid" 2>/dev/null
		for _ in $(seq 50); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null
	done 2>/dev/null <"$work/pids"
	for name in $hosts; do
		ip netns delete "$(space "$name")" 2>/dev/null
	done
	# What was built is elsewhere, since programs do not run from /run everywhere.
	[ -f "$work/built" ] && rm -rf "$(cat "$work/built")"
	rm -rf "$work"
}

if [ "${1:-}" = --remove ]; then
	remove
	echo "removed demo $id"
	exit 0
fi
if [ ! -c /dev/net/tun ]; then
	echo "/dev/net/tun is missing: modprobe tun, or start the container with --device /dev/net/tun" >&2
	exit 4
fi

mkdir -m 0755 "$work" || exit 5
trap remove EXIT
trap 'exit 130' INT TERM HUP

title() { printf '\n== %s\n' "$*"; }

# check SENTENCE PATTERN COMMAND...: shows the command and its output; fine if the output matches.
check() {
	local sentence=$1 pattern=$2 output
	shift 2
	printf '\n%s\n   %s# %s\n' "$sentence" "$1" "${*:2}"
	output=$(in_space "$@" 2>&1 </dev/null)
	echo "$output" | sed 's/^/   | /'
	if echo "$output" | grep -Eq -e "$pattern"; then
		echo "   ok"
	else
		echo "   FAILED: expected $pattern"
		failed=$((failed + 1))
	fi
}

build() {
	local place
	need_packages $BUILD_PACKAGES || return 4
	place=$(mktemp -d "${TMPDIR:-/tmp}/culvert-demo.XXXXXX") && echo "$place" >"$work/built" || return 5
	copy_source "$root" "$place/source" &&
		(cd "$place/source" && autoreconf -fi && mkdir "$place/build" && cd "$place/build" &&
			../source/configure && make -j2) >"$work/build.log" 2>&1 || {
		tail -n 40 "$work/build.log" >&2
		return 5
	}
	CULVERTD=$place/build/culvertd
}

make_spaces() {
	local name
	for name in $hosts; do
		ip netns add "$(space "$name")" && in_space "$name" ip link set lo up || return 4
	done
	# The LAN: two hosts on a bridge of the router.
	in_space router ip link add lan0 type bridge forward_delay 0 || return 4
	for name in lan1 lan2; do
		in_space router ip link add "$name" type veth peer name eth0 netns "$(space "$name")" &&
			in_space router ip link set "$name" master lan0 up &&
			in_space "$name" ip address add "192.168.77.1${name#lan}/24" dev eth0 &&
			in_space "$name" ip link set eth0 up &&
			in_space "$name" ip route add default via 192.168.77.1 || return 4
	done
	in_space router ip address add 192.168.77.1/24 dev lan0 && in_space router ip link set lan0 up || return 4
	# The WAN: the router's provider, and a server behind it.
	in_space router ip link add wan0 type veth peer name customer netns "$(space isp)" &&
		in_space isp ip link add hosting type veth peer name eth0 netns "$(space server)" &&
		in_space router ip address add 198.51.100.2/24 dev wan0 && in_space router ip link set wan0 up &&
		in_space isp ip address add 198.51.100.1/24 dev customer && in_space isp ip link set customer up &&
		in_space isp ip address add 203.0.113.1/24 dev hosting && in_space isp ip link set hosting up &&
		in_space isp sysctl -q -w net.ipv4.ip_forward=1 &&
		in_space server ip address add 203.0.113.80/24 dev eth0 && in_space server ip link set eth0 up &&
		in_space server ip route add default via 203.0.113.1 &&
		in_space router ip route add default via 198.51.100.1 || return 4
}

# start_in HOST LOG COMMAND...: in the background; its process id goes to the head of the list, daemon last started.
start_in() {
	local host=$1 log=$2
	shift 2
	ip netns exec "$(space "$host")" "$@" </dev/null >"$work/$log" 2>&1 &
	started=$!
	echo "$started" >"$work/pids.new"
	cat "$work/pids" >>"$work/pids.new" 2>/dev/null
	mv "$work/pids.new" "$work/pids"
}

# wait_for LOG PATTERN: until the log says so, ten seconds at most.
wait_for() {
	for _ in $(seq 100); do
		grep -Eq -e "$2" "$work/$1" 2>/dev/null && return 0
		sleep 0.1
	done
	echo "$1 did not say $2 within 10 s:" >&2
	cat "$work/$1" >&2
	return 8
}

start_servers() {
	# A web server that says who asked.
	cat >"$work/web.py" <<-'END'
		import http.server, socket, sys
		class Page(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        text = "hello %s port %d, this is %s\n" % (*self.client_address, sys.argv[1])
		        self.send_response(200)
		        self.send_header("Content-Length", str(len(text)))
		        self.end_headers()
		        self.wfile.write(text.encode())
		    def log_message(self, *words):
		        pass
		with http.server.HTTPServer(("", 80), Page) as server:
		    print("ready", flush=True)
		    server.serve_forever()
	END
	start_in server web.log python3 "$work/web.py" "the server" && wait_for web.log ready &&
		start_in lan2 web2.log python3 "$work/web.py" lan2 && wait_for web2.log ready &&
		start_in server names.log dnsmasq --keep-in-foreground --log-facility=- --conf-file=/dev/null \
			--no-resolv --no-hosts --user=root --pid-file= --address=/www.example.test/203.0.113.80 &&
		wait_for names.log 'started'
}

need_packages $DEMO_PACKAGES || exit 4
if [ -z "${CULVERTD:-}" ]; then
	title "building culvert"
	build || exit
fi
culvertctl=$(dirname "$CULVERTD")/culvertctl
for program in "$CULVERTD" "$culvertctl"; do
	if [ ! -x "$program" ]; then
		echo "$program is missing: run make in the build directory that CULVERTD names" >&2
		exit 5
	fi
done
"$CULVERTD" --version || exit

title "namespaces: lan1 and lan2 behind router, server behind isp"
make_spaces && start_servers || exit
cat >"$work/culvert.ini" <<'END'
[lan]
interface = lan0

[wan]
interface = wan0

[forward:web]
protocol = tcp
port = 8080
to = 192.168.77.12:80
END
echo "culvert.ini:"
sed 's/^/   | /' "$work/culvert.ini"
start_in router culvertd.log "$CULVERTD" -c "$work/culvert.ini" -f --state-dir "$work/state"
daemon=$started
wait_for culvertd.log 'forward' || exit
sed 's/^/   | /' "$work/culvertd.log"

title "what a host behind culvert sees"
check "lan1 pings the server:" ' 0% packet loss' lan1 ping -n -c 3 -i 0.2 -W 2 203.0.113.80
check "lan2 fetches a page; the server sees the router's outside address, not lan2's:" 'hello 198\.51\.100\.2 ' \
	lan2 curl -sS -m 5 http://203.0.113.80/
check "lan1 resolves a name:" '^203\.0\.113\.80$' lan1 dig +short +time=3 +tries=1 @203.0.113.80 www.example.test
check "lan1 traces the route; culvert is one hop:" '^ *3 +203\.0\.113\.80' \
	lan1 traceroute -n -q 1 -w 2 -m 5 203.0.113.80
check "the server reaches lan2 through the forwarded port, and lan2 sees who it is:" 'hello 203\.0\.113\.80 .* lan2' \
	server curl -sS -m 5 http://198.51.100.2:8080/
check "lan1 reaches lan2 by the outside address (hairpinning):" 'hello 198\.51\.100\.2 .* lan2' \
	lan1 curl -sS -m 5 http://198.51.100.2:8080/
check "the server cannot reach anything else; the kernel stays silent, culvert counts it:" 'timed out|Timeout' \
	server curl -sS -m 1 http://198.51.100.2:8081/
check "the kernel of the router does none of this: it has no nftables rules:" '^rules: 0$' \
	router sh -c 'echo "rules: $(nft list ruleset | wc -l)"'

title "what culvertctl says"
ctl="$culvertctl --socket $work/state/control.sock"
# Its words are words: no quotes.
# shellcheck disable=SC2086
check "the status on one screen:" 'WAN .*: up' router $ctl
# shellcheck disable=SC2086
check "the flows of lan2:" '192\.168\.77\.12:80 +198\.51\.100\.2:8080' router $ctl mappings --host 192.168.77.12
# shellcheck disable=SC2086
check "why packets were dropped:" 'FROM WAN' router $ctl drops

title "culvertd's statistics (kill -USR1)"
lines=$(wc -l <"$work/culvertd.log")
# ip netns exec becomes the program it starts, so the process id is the daemon's.
kill -USR1 "$daemon"
sleep 0.5
tail -n +$((lines + 1)) "$work/culvertd.log" | sed 's/^/   | /'
if ! tail -n +$((lines + 1)) "$work/culvertd.log" | grep -q .; then
	echo "   FAILED: no statistics in the log"
	failed=$((failed + 1))
fi

if [ -n "$keep" ]; then
	trap - EXIT
	title "left running, as asked"
	for name in $hosts; do
		echo "   ip netns exec $(space "$name") bash"
	done
	echo "   its log:   $work/culvertd.log"
	echo "   ask it:    $ctl"
	echo "   remove it: scripts/demo.sh --remove $id"
else
	title "stopping"
	kill -TERM "$daemon"
	wait "$daemon"
	code=$?
	tail -n 1 "$work/culvertd.log" | sed 's/^/   | /'
	echo "   culvertd ended with $code"
	[ $code = 0 ] || failed=$((failed + 1))
	remains=$(in_space router ip rule show | grep -vcE '^(0|32766|32767):')
	echo "   routing rules it left behind: $remains"
	[ "$remains" = 0 ] || failed=$((failed + 1))
fi
[ $failed = 0 ] && echo "everything worked" || echo "$failed things did not work"
[ $failed = 0 ]
