# SPDX-License-Identifier: BSD-2-Clause
EXTRA_DIST += tests/vpn

# Calls with VPN software (docs/vpn-room.md), as root.
CLEANFILES += check-vpn.trs
.PHONY: check-vpn
check-vpn: all-am
	$(PYTEST) $(PYTEST_FLAGS) $(srcdir)/tests/vpn
