# SPDX-License-Identifier: BSD-2-Clause
# What only the build and its checks run.
check_PROGRAMS += tools/manual_lists
tools_manual_lists_SOURCES = tools/manual_lists.c
tools_manual_lists_LDADD = libculvert_daemon.a $(CORE_LIBS)

TESTS += tools/check_lists.sh
dist_check_SCRIPTS += tools/check_lists.sh

# After a change of a list in include/culvert: writes it into the pages and the sample, in the source tree.
.PHONY: update-lists
update-lists: tools/manual_lists culvertd
	for page in culvertd.8 culvertctl.8 culvert.ini.5 culvert-nat.7; do \
		tools/manual_lists $(srcdir)/man/$$page >tools/page.new && mv tools/page.new $(srcdir)/man/$$page || exit 1; \
	done
	./culvertd --print-defaults >tools/page.new && mv tools/page.new $(srcdir)/etc/culvert.ini
