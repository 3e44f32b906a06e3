# SPDX-License-Identifier: BSD-2-Clause
# By name: a directory named whole would bring what is built into it, too.
EXTRA_DIST += $(wildcard $(srcdir)/tests/netns/*.py)

# For test_kernel*.py: --fail needs to stand in front of change_apply(), and waits are counted.
check_PROGRAMS += tests/netns/kernel_probe
tests_netns_kernel_probe_SOURCES = tests/netns/kernel_probe.c
tests_netns_kernel_probe_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=change_apply -Wl,--wrap=nl_recvmsgs
tests_netns_kernel_probe_LDADD = $(IO_LIBS)

# Tests with real packets, as root: make check-netns, with PYTEST_FLAGS='-k name' for some of them, or NETNS_TESTS=...
# for files. Four processes take a file and its lab at a time. The results are in check-*.trs, a line for each test.
PYTEST_FLAGS =
PYTEST = rm -f $@.trs; RESULTS='$(abs_builddir)/$@.trs' CULVERTD='$(abs_builddir)/culvertd' \
	KERNEL_PROBE='$(abs_builddir)/tests/netns/kernel_probe' PYTHONPATH='$(abs_srcdir)/tests/netns' \
	$(PYTHON3) -B -m pytest -p no:cacheprovider -p results -q -rs --durations=10
# The longest ones begin first.
LONG_TESTS = $(addprefix $(srcdir)/tests/netns/test_,kernel.py ike_port.py control.py reload.py)
NETNS_TESTS = $(LONG_TESTS) $(filter-out $(LONG_TESTS),$(wildcard $(srcdir)/tests/netns/test_*.py))
# Those in which packets count: with each of them whole, as they are on links without offloads.
PACKET_TESTS = $(addprefix $(srcdir)/tests/netns/test_,$(addsuffix .py,ike_port esp_pairing behaviour forward fragments \
	icmp mtu hostile protocols pptp esp l2tp))
# Those that need what a build with sanitizers leaves out: the filter of system calls, a culvertd as it is installed.
PLAIN_TESTS = $(addprefix $(srcdir)/tests/netns/test_,privileges.py systemd.py container.py)
CLEANFILES += check-netns.trs check-offloads.trs check-plain.trs

.PHONY: check-netns check-offloads check-plain
check-netns: all-am tests/netns/kernel_probe tests/bench/traffic
	$(PYTEST) -n 4 --dist loadfile $(PYTEST_FLAGS) $(NETNS_TESTS)
check-offloads: all-am
	OFFLOADS=off; export OFFLOADS; $(PYTEST) -n 4 --dist loadfile $(PYTEST_FLAGS) $(PACKET_TESTS)
check-plain: all-am
	$(PYTEST) -n 3 --dist loadfile $(PYTEST_FLAGS) $(PLAIN_TESTS)
