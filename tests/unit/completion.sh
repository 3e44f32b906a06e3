#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The completions of culvertctl, asked as the shells ask them.
file=$(cd "$top_srcdir/etc/completion" && pwd) || exit 1
command -v bash >/dev/null || { echo "bash is not there"; exit 77; }
"$PYTHON3" -c "" 2>/dev/null || { echo "python3 is not there"; exit 77; }
status=0
program=$(cd "$top_builddir" && pwd)/culvertctl || exit 1

# Something like a culvertd, one for each socket: of what it says only names that are words for every shell are taken.
live=$(mktemp -d) || exit 1
"$PYTHON3" - "$live" <<'END' &
import os, pathlib, select, socket, sys, time

room = pathlib.Path(sys.argv[1])
bad = f"$(touch {room}/bad)"
ANSWERS = {
    "mappings": [{"index": 42}, {"index": 4711}],
    "top": [{"kind": "sum", "name": "7"}, {"internal-src-address": "10.0.0.7"}, {"internal-src-address": "10.0.0.9"}],
    "tunnels": [{"id": "pptp-17", "end": "", "external-dst-address": "203.0.113.1"},
                {"id": "l2tp-3", "end": "hung up", "external-dst-address": "203.0.113.2"},
                {"id": bad, "external-dst-address": f"`touch {room}/bad`"}, {"id": "-e"}, {"id": "a b;c"}, {"id": "*"}],
}


def as_text(row):
    return "{" + ",".join(f'"{key}":' + (str(value) if isinstance(value, int) else f'"{value}"')
                          for key, value in row.items()) + "}\n"


doors = {}
for name in ("live", "slow"):
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(room / name))
    door.listen()
    doors[door] = name
kept = []
(room / "ready").touch()
while os.getppid() != 1 and room.exists():
    for door in select.select(list(doors), [], [], 1)[0]:
        peer = door.accept()[0]
        request = peer.recv(1000).decode()
        with open(room / "asked", "a", encoding="ascii") as asked:
            asked.write(request)
        kept = [*kept, peer][-9:]
        if doors[door] == "live":
            peer.sendall("".join(map(as_text, [*ANSWERS[request.split()[0]], {"code": 0, "error": ""}])).encode())
            peer.close()
END
server=$!
trap 'kill $server; rm -rf "$live"' EXIT
for try in $(seq 100); do
	[ -e "$live/ready" ] && break
	sleep 0.1
done
at="--socket $live/live"

# complete EXPECTED LINE: LINE is what stands behind the name, up to the cursor. In [] is what readline is told to do.
complete() {
	got=$(bash -c 'compopt() { options+=" $2"; }; . "$0"; COMP_LINE="culvertctl $2"; COMP_POINT=${#COMP_LINE}
		_culvertctl "$1"; echo "${COMPREPLY[*]}${options:+ [${options# }]}"' \
		"$file/culvertctl" "$program" "$2") || status=1
	if [ "$got" != "$1" ]; then
		echo "bash: culvertctl $2: got \"$got\", not \"$1\"" >&2
		status=1
	fi
}

complete "mappings" "ma"
complete "mappings" "-j ma"
complete "drops" "--socket /tmp/x dr"
complete "host= [nospace]" "mappings ho"
complete "tcp" "mappings proto=t"
complete "udp" "mappings host=10.0.0.1 proto=u"
complete "pptp l2tp ipsec" "tunnels service="
complete "filtered" "drops --explain filt"
complete "filtered" "drops explain=filt"
complete "tunnels" "help tu"
complete "ipsec ike" "mode i"
complete "pass plain block on off" "mode pptp "
complete "rehearse= [nospace]" "mode pptp off r"
complete "in out" "explain "
complete "tcp" "explain out t"
complete "flags= [nospace]" "explain out tcp 10.0.0.1 10.0.0.2 f"
complete "drops" "show d"
complete "filtered" "drops filt"
complete "pptp" "tunnels p"
complete "ended" "tunnels state=e"
complete "negotiating" "tunnels host=10.0.0.1 neg"
complete "--explain" "drops --ex"
complete "--help --host" "mappings --h"
complete "--host" "mappings --proto tcp --ho"
complete "tcp" "mappings --proto t"
complete "tcp udp icmp gre esp ah l2tp" "mappings --proto="
complete "" "mappings --host "
complete "tunnels hosts" "top --show "
complete "idle" "mappings --sort i"
complete "bytes" "top sort=b"
complete "bytes packets age" "top --sort "
complete "bytes packets expires age idle" "mappings sort="
complete "bytes packets expires age idle" "map sort="
complete "" "top sort=i"
complete "mappings" "--host 10.0.0.1 ma"
complete "mappings" "--host=10.0.0.1 ma"
complete "" "nothing --ex"
complete "table tsv" "-o t"
complete "" "forget 10"
complete "" "nothing ma"

# What culvertd knows.
complete "10.0.0.7 10.0.0.9 pptp-17" "$at forget "
complete "pptp-17" "$at forget p"
complete "4711" "$at forget 47"
complete "pptp-17" "--socket=$live/live trace pp"
complete "proto= port= pptp-17 [nospace]" "$at capture --host 10.0.0.7 -j p"
complete "10.0.0.9" "$at mappings host=10.0.0.9"
complete "10.0.0.7 10.0.0.9" "$at trace --host 10"
complete "203.0.113.1" "$at tunnels remote="
complete "" "--socket $live/none forget "
begin=$(date +%s)
complete "host= remote= proto= port= service= drops= count= rate= [nospace]" "--socket $live/slow trace "
[ $(($(date +%s) - begin)) -lt 6 ] || { echo "bash: waits too long for culvertd" >&2; status=1; }
grep -q "^tunnels$" "$live/asked" || { echo "bash: culvertd was not asked" >&2; status=1; }
: >"$live/asked"
complete "tunnels top trace" "$at t"
complete "explain= [nospace]" "$at drops ex"
complete "--help" "$at forget --h"
[ -s "$live/asked" ] && { echo "bash: culvertd was asked in vain" >&2; status=1; }
complete " [default]" "rehearse a"
complete " [default]" "capture -w "
complete " [default]" "capture --write=/tmp/a"
[ -e "$live/bad" ] && { echo "bash: has run what culvertd said" >&2; status=1; }
# culvertd says its options itself.
printf '#!/bin/sh\nprintf "  -f, --foreground   stay\\n      --lan DEVICE   inside\\n"\n' >"$live/culvertd"
chmod +x "$live/culvertd"
PATH=$live:$PATH
for case in "--foreground --lan=" "--lan=--la" "lo=--lan lo"; do
	got=$(bash -c '. "$0"; COMP_WORDS=(culvertd $1); [[ $1 ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _culvertd culvertd; echo "${COMPREPLY[*]}"' \
		"$file/culvertd" "${case#*=}") || status=1
	[ "$got" = "${case%%=*}" ] || { echo "bash: culvertd ${case#*=}: got \"$got\"" >&2; status=1; }
done
[ $status = 0 ] && echo "bash: completes"
if command -v zsh >/dev/null; then
	# Its own functions are not there outside of an interactive shell: these say what they are asked.
	for case in "mappings proto=t" "-o t" "$at forget " "rehearse a" "conf" "mode pptp off r" \
		"$at tunnels remote="; do
		zsh -fc 'compset() { }; _files() { echo files }; _describe() { print -r -- "$lines | $keys." }
			words=("$1" ${(s: :)2}); PREFIX=$words[-1]; [[ $2 == *" " ]] && words+=("") PREFIX=
			CURRENT=$#words; source "$0"' "$file/_culvertctl" "$program" "$case" || status=1
	done >"$live/zsh"
	diff - "$live/zsh" <<-END || status=1
		proto=tcp | .
		table tsv | .
		10.0.0.7 10.0.0.9 pptp-17 | .
		files
		confirm:keeps the configuration that is on trial | .
		 | rehearse=.
		remote=203.0.113.1 | .
	END
else
	echo "zsh is not there: its completion is not tried"
fi
if command -v fish >/dev/null; then
	for case in "mappings proto=t" "-o t" "$at forget " "rehearse $live/rea" "conf" "mode pptp off r"; do
		HOME=$live PATH=${program%/*}:$PATH fish --no-config -c \
			'source $argv[1]; complete -C "culvertctl $argv[2]"' "$file/culvertctl.fish" "$case" || status=1
	done >"$live/fish"
	diff - "$live/fish" <<-END || status=1
		proto=tcp
		table
		tsv
		10.0.0.7
		10.0.0.9
		pptp-17
		$live/ready
		confirm	keeps the configuration that is on trial
		rehearse=
	END
else
	echo "fish is not there: its completion is not tried"
fi
exit $status
