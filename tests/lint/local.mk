# SPDX-License-Identifier: BSD-2-Clause
# Rules of the house that a command can break. Each check plants violations in a copy and has to find them.
LINT_CHECKS = tests/lint/check_purity.py tests/lint/check_includes.py tests/lint/check_functions.py \
	tests/lint/check_lists.py tests/lint/check_drops.py tests/lint/check_sources.py tests/lint/check_manual.py \
	tests/lint/check_pages.py tests/lint/check_english.py tests/lint/check_blocks.py
# These depend on the version of a tool, so they are asked for: make lint.
LINT_TOOL_CHECKS = tests/lint/check_format.py tests/lint/check_tidy.py

EXTRA_DIST += tests/lint/lint.py $(LINT_CHECKS) $(LINT_TOOL_CHECKS)
TESTS += $(LINT_CHECKS)

.PHONY: lint
lint:
	@failed=; for check in $(LINT_TOOL_CHECKS); do \
		top_srcdir='$(top_srcdir)' top_builddir='$(top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
		COMPILE_FLAGS='-std=gnu11 -D_GNU_SOURCE $(LIBNL_CFLAGS) $(LIBEVENT_CFLAGS) $(INIH_CFLAGS) $(DEFS)' \
		$(PYTHON3) $(srcdir)/$$check || failed="$$failed $$check"; \
	done; test -z "$$failed" || { echo "lint failed:$$failed" >&2; exit 1; }
