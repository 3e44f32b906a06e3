#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The lists in the manual pages, and the sample configurations, are what the program says they are.
set -u
status=0
for page in culvertd.8 culvertctl.8 culvert.ini.5 culvert-nat.7; do
	if ! "$top_builddir/tools/manual_lists" "$top_srcdir/man/$page" | diff -u "$top_srcdir/man/$page" -; then
		echo "man/$page: a list is out of date: make update-lists" >&2
		status=1
	fi
done
if ! "$top_builddir/culvertd" --print-defaults | diff -u "$top_srcdir/etc/culvert.ini" -; then
	echo "etc/culvert.ini: out of date: make update-lists" >&2
	status=1
fi
for sample in culvert.ini culvert-strict.ini; do
	if ! findings=$("$top_builddir/culvertd" --check "$top_srcdir/etc/$sample" 2>&1) ||
		[ "$(printf '%s\n' "$findings" | wc -l)" -ne 1 ]; then
		printf '%s\n%s\n' "$findings" "etc/$sample: not a good configuration" >&2
		status=1
	fi
done
blocked=$("$top_builddir/culvertd" -c "$top_srcdir/etc/culvert-strict.ini" --print-config | grep -c '^mode = block$')
if [ "$blocked" -ne 3 ]; then
	echo "etc/culvert-strict.ini: blocks $blocked of the 3 services" >&2
	status=1
fi
exit $status
