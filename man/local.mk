# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += man/culvertd.8 man/culvertctl.8 man/culvert.ini.5 man/culvert-nat.7

check_PROGRAMS += man/lists
man_lists_SOURCES = man/lists.c
man_lists_LDADD = libculvert_daemon.a $(CORE_LIBS)

TESTS += man/check_lists.sh
dist_check_SCRIPTS += man/check_lists.sh

# After a change of a list in include/culvert: writes it into the pages and the sample, in the source tree.
.PHONY: update-lists
update-lists: man/lists culvertd src/ctl/completion
	for page in culvertd.8 culvertctl.8 culvert.ini.5 culvert-nat.7; do \
		man/lists $(srcdir)/man/$$page >man/page.new && mv man/page.new $(srcdir)/man/$$page || exit 1; \
	done
	./culvertd --print-defaults >man/page.new && mv man/page.new $(srcdir)/etc/culvert.ini
	src/ctl/completion bash >man/page.new && mv man/page.new $(srcdir)/etc/completion/culvertctl
	src/ctl/completion zsh >man/page.new && mv man/page.new $(srcdir)/etc/completion/_culvertctl
