# SPDX-License-Identifier: BSD-2-Clause
libculvert_io_a_SOURCES += src/io/kernel.c src/io/kernel.h src/io/kernel_change.c src/io/kernel_change.h src/io/kernel_text.c
libculvert_io_a_SOURCES += src/io/kernel_copy.c src/io/kernel_copy.h
libculvert_io_a_SOURCES += src/io/kernel_links.c src/io/kernel_links.h src/io/kernel_lock.c src/io/kernel_lock.h
libculvert_io_a_SOURCES += src/io/kernel_made.c src/io/kernel_made.h src/io/kernel_rules.c src/io/kernel_rules.h
libculvert_io_a_SOURCES += src/io/kernel_ports.c src/io/kernel_ports.h
libculvert_io_a_SOURCES += src/io/netlink.c src/io/netlink.h src/io/netlink_message.h src/io/netlink_events.c src/io/netlink_link.c src/io/netlink_route.c src/io/netlink_diag.c
libculvert_io_a_SOURCES += src/io/journal.c src/io/journal.h src/io/sysctl.c src/io/sysctl.h
libculvert_io_a_SOURCES += src/io/next_hop.c src/io/next_hop.h src/io/host_ports.c src/io/host_ports.h
libculvert_io_a_SOURCES += src/io/batch.c src/io/batch.h src/io/clock.c src/io/clock.h src/io/offload.c src/io/offload.h
libculvert_io_a_SOURCES += src/io/random.c src/io/random.h src/io/tun.c src/io/tun.h src/io/wan.c src/io/wan.h
libculvert_io_a_SOURCES += src/io/standard_files.c src/io/standard_files.h src/io/state_file.c src/io/state_file.h
libculvert_io_a_SOURCES += src/io/socket_file.c src/io/socket_file.h
