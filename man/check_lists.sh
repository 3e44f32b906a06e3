#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The lists in the manual pages, and the sample configuration, are what the program says they are.
set -u
status=0
for page in culvertd.8 culvert.ini.5; do
	if ! "$top_builddir/man/lists" "$top_srcdir/man/$page" | diff -u "$top_srcdir/man/$page" -; then
		echo "man/$page: a list is out of date: make update-lists" >&2
		status=1
	fi
done
if ! "$top_builddir/culvertd" --print-defaults | diff -u "$top_srcdir/etc/culvert.ini" -; then
	echo "etc/culvert.ini: out of date: make update-lists" >&2
	status=1
fi
if ! "$top_builddir/culvertd" --check "$top_srcdir/etc/culvert.ini"; then
	echo "etc/culvert.ini: not a good configuration" >&2
	status=1
fi
exit $status
