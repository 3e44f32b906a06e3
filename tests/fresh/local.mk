# SPDX-License-Identifier: BSD-2-Clause
# culvert on a machine that has none of its packages: the demo, and what README.md says. As root: make check-fresh
FRESH_TESTS = scripts/demo.sh tests/fresh/readme.sh
EXTRA_DIST += tests/fresh/minimal.sh tests/fresh/readme.sh

.PHONY: check-fresh
check-fresh:
	$(MAKE) check-TESTS check_PROGRAMS= check_LIBRARIES= TESTS='$(FRESH_TESTS)' SH_LOG_COMPILER='$(srcdir)/tests/fresh/minimal.sh'
