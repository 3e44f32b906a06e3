# SPDX-License-Identifier: BSD-2-Clause
# Rules of the house that a command can break. Each check plants violations in a copy and has to find them.
EXTRA_DIST += tests/lint/lint.py tests/lint/check_purity.py tests/lint/check_layers.py tests/lint/check_functions.py \
	tests/lint/check_lists.py tests/lint/check_drops.py tests/lint/check_sources.py tests/lint/check_manual.py \
	tests/lint/check_pages.py tests/lint/check_english.py tests/lint/check_blocks.py \
	tests/lint/check_format.py tests/lint/check_tidy.py
TESTS += tests/lint/lint.py
LINT = top_srcdir='$(top_srcdir)' top_builddir='$(top_builddir)' NM='$(NM)' CC='$(CC)' $(PYTHON3) -B $(srcdir)/tests/lint

.PHONY: lint layers
# These depend on the version of a tool, so they are asked for.
lint:
	COMPILE_FLAGS='-std=gnu11 -D_GNU_SOURCE $(LIBNL_CFLAGS) $(LIBEVENT_CFLAGS) $(INIH_CFLAGS) $(DEFS)' \
		$(LINT)/lint.py check_format check_tidy
# The layers, and the cycles of objects that need each other.
layers: all-am
	@$(LINT)/check_layers.py
