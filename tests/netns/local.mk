# SPDX-License-Identifier: BSD-2-Clause
# By name: a directory named whole would bring what is built into it, too.
EXTRA_DIST += $(wildcard $(srcdir)/tests/netns/*.py)

# For test_kernel*.py: --fail needs to stand in front of change_apply().
check_PROGRAMS += tests/netns/kernel_probe
tests_netns_kernel_probe_SOURCES = tests/netns/kernel_probe.c
tests_netns_kernel_probe_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=change_apply
tests_netns_kernel_probe_LDADD = $(IO_LIBS)
