#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The completions of culvertctl, asked as the shells ask them.
file=$top_srcdir/etc/completion
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
complete "out" explain ou
complete "--explain" drops --ex
complete "--help --host" mappings --h
complete "--host" mappings --proto tcp --ho
complete "tcp" mappings --proto t
complete "tcp udp icmp gre esp ah l2tp" mappings --proto = ""
complete "" mappings --host ""
complete "tunnels hosts" top --show ""
complete "mappings" --host 10.0.0.1 ma
complete "mappings" --host = 10.0.0.1 ma
complete "" nothing --ex
complete "table tsv" -o t
complete "" forget 10
complete "" nothing ma
[ $status = 0 ] && echo "bash: completes"
if command -v zsh >/dev/null; then
	zsh -n "$file/_culvertctl" || status=1
	# Its own functions are not there outside of an interactive shell: these say what they are asked.
	got=$(zsh -fc 'compadd() { shift; echo "$@" }; compset() { }; _arguments() { }; source "$0"
		PREFIX=proto=t; _culvertctl_argument mappings
		PREFIX=x; _culvertctl_argument tunnels
		words=(culvertctl -j reload --c); _arguments() { print -r -- $@[-3] }; _culvertctl' \
		"$file/_culvertctl") || status=1
	if [ "$got" != "tcp udp icmp gre esp ah l2tp
 -- host= remote= service=
--confirm=:SECONDS:_culvertctl_value confirm" ]; then
		echo "zsh: got \"$got\"" >&2
		status=1
	fi
else
	echo "zsh is not there: its completion is not tried"
fi
exit $status
