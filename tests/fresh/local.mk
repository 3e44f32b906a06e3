# SPDX-License-Identifier: BSD-2-Clause
# For scripts/test.sh: culvert on a machine that has none of its packages.
EXTRA_DIST += tests/fresh/minimal.sh tests/fresh/readme.sh
