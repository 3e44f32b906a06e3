#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The completions of culvertctl, asked as the shells ask them.
file=$(cd "$top_srcdir/etc/completion" && pwd) || exit 1 # whole: one case asks in a directory of its own
command -v bash >/dev/null || { echo "bash is not there"; exit 77; }
status=0

# complete EXPECTED WORD...: the last word is the one under the cursor; "=" is a word of its own in bash.
complete() {
	expected=$1
	shift
	got=$(bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _culvertctl; echo "${COMPREPLY[*]}"' \
		"$file/culvertctl" culvertctl "$@") || status=1
	if [ "$got" != "$expected" ]; then
		echo "bash: culvertctl $*: got \"$got\", not \"$expected\"" >&2
		status=1
	fi
}

complete "mappings" ma
complete "mappings" -j ma
complete "drops" --socket /tmp/x dr
complete "host=" mappings ho
complete "tcp" mappings proto = t
complete "udp" mappings host = 10.0.0.1 proto = u
complete "pptp l2tp ipsec" tunnels service =
complete "filtered" drops --explain filt
complete "filtered" drops explain = filt
complete "tunnels" help tu
complete "ipsec ike" mode i
complete "pass plain block on off" mode pptp ""
complete "rehearse=" mode pptp off r
complete "in out" explain ""
complete "tcp" explain out t
complete "flags=" explain out tcp 10.0.0.1 10.0.0.2 f
complete "drops" show d
complete "filtered" drops filt
complete "pptp" tunnels p
complete "ended" tunnels state = e
complete "negotiating" tunnels host = 10.0.0.1 neg
complete "--explain" drops --ex
complete "--help --host" mappings --h
complete "--host" mappings --proto tcp --ho
complete "tcp" mappings --proto t
complete "tcp udp icmp gre esp ah l2tp" mappings --proto = ""
complete "" mappings --host ""
complete "tunnels hosts" top --show ""
complete "idle" mappings --sort i
complete "bytes" top sort = b
complete "bytes packets age" top --sort ""
complete "bytes packets expires age idle" mappings sort = ""
complete "bytes packets expires age idle" map sort = ""
complete "" top sort = i
complete "mappings" --host 10.0.0.1 ma
complete "mappings" --host = 10.0.0.1 ma
complete "" nothing --ex
complete "table tsv" -o t
complete "" forget 10
complete "" nothing ma

# What culvertd knows: of what this one says only names that are words for every shell are taken.
live=$(mktemp -d) || exit 1
trap 'rm -rf "$live"' EXIT
cat >"$live/culvertctl" <<'END'
#!/bin/sh
dir=${0%/*}
echo "$*" >>"$dir/asked"
case $* in
*/slow*) sleep 10 ;;
*/none*) echo "culvertctl: culvertd is not running" >&2; exit 6 ;;
*mappings*) printf '#kind\tindex\ttype\nmapping\t42\tx\nmapping\t4711\tx\n' ;;
*hosts*) printf '#kind\tname\nsum\t7\n#kind\tinternal-src-address\nhost\t10.0.0.7\nhost\t10.0.0.9\n' ;;
*tunnels*)
	printf '#kind\tid\tend\texternal-dst-address\n'
	printf 'tunnel\tpptp-17\t\t203.0.113.1\ntunnel\tl2tp-3\thung up\t203.0.113.2\n'
	printf 'tunnel\t$(touch %s/bad)\t\t`touch %s/bad`\n' "$dir" "$dir"
	printf 'tunnel\t-e\t\t203.0.113.1\ntunnel\ta b;c\t\t*\ntunnel\t\\\t\t"\n'
	;;
esac
END
chmod +x "$live/culvertctl"
PATH=$live:$PATH
complete "10.0.0.7 10.0.0.9 pptp-17" forget ""
complete "pptp-17" forget p
complete "4711" --socket /some/where forget 47
complete "pptp-17" --socket = /some/where trace pp
complete "proto= port= pptp-17" capture --host 10.0.0.7 -j p
complete "10.0.0.9" mappings host = 10.0.0.9
complete "10.0.0.7 10.0.0.9" trace --host 10
complete "203.0.113.1" tunnels remote = ""
complete "" forget --socket /none ""
begin=$(date +%s)
complete "host= remote= proto= port= service= drops= count= rate=" --socket /slow trace ""
[ $(($(date +%s) - begin)) -lt 6 ] || { echo "bash: waits too long for culvertd" >&2; status=1; }
grep -q -- "--socket /some/where -o tsv tunnels" "$live/asked" || { echo "bash: the socket is not used" >&2; status=1; }
: >"$live/asked"
complete "tunnels top trace" t
complete "explain=" drops ex
[ -s "$live/asked" ] && { echo "bash: culvertd was asked in vain" >&2; status=1; }
(cd "$live" && : >"a file.ini" && complete "asked a file.ini" rehearse a && exit $status) || status=1
[ -e "$live/bad" ] && { echo "bash: has run what culvertd said" >&2; status=1; }
# culvertd says its options itself.
printf '#!/bin/sh\nprintf "  -f, --foreground   stay\\n      --lan DEVICE   inside\\n"\n' >"$live/culvertd"
chmod +x "$live/culvertd"
for case in "--foreground --lan=" "--lan=--la" "lo=--lan lo"; do
	got=$(bash -c '. "$0"; COMP_WORDS=(culvertd $1); [[ $1 ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _culvertd culvertd; echo "${COMPREPLY[*]}"' \
		"$file/culvertd" "${case#*=}") || status=1
	[ "$got" = "${case%%=*}" ] || { echo "bash: culvertd ${case#*=}: got \"$got\"" >&2; status=1; }
done
[ $status = 0 ] && echo "bash: completes"
if command -v zsh >/dev/null; then
	zsh -n "$file/_culvertctl" || status=1
	# Its own functions are not there outside of an interactive shell: these say what they are asked.
	got=$(zsh -fc 'compadd() { shift; echo "$@" }; compset() { }; _files() { echo files }
		_arguments() { }; source "$0"
		PREFIX=proto=t; _culvertctl_argument mappings
		PREFIX=x; _culvertctl_argument tunnels
		words=(culvertctl); program=culvertctl socket=/some/where
		PREFIX=47; _culvertctl_argument forget
		words=(mode pptp x) CURRENT=3; PREFIX=x; socket= _culvertctl_argument mode
		words=(explain x) CURRENT=2; _culvertctl_argument explain
		words=(culvertctl); unset CURRENT
		PREFIX=remote=; _culvertctl_argument tunnels
		PREFIX=sort=; _culvertctl_argument top
		PREFIX=a; _culvertctl_argument rehearse
		socket=; _culvertctl_live hosts culvertctl "$socket" ""
		words=(culvertctl -j reload --c); _arguments() { print -r -- $@[-3] }; _culvertctl' \
		"$file/_culvertctl") || status=1
	if [ "$got" != "tcp udp icmp gre esp ah l2tp
 -- host= remote= service= state= pptp l2tp ipsec requested negotiating connected blocked clearing ended

 --
10.0.0.7 10.0.0.9 pptp-17 42 4711
 -- pass plain block on off
 -- in out
203.0.113.1
bytes packets age
files
10.0.0.7
10.0.0.9
--confirm=:SECONDS:_culvertctl_value confirm reload" ]; then
		echo "zsh: got \"$got\"" >&2
		status=1
	fi
else
	echo "zsh is not there: its completion is not tried"
fi
exit $status
