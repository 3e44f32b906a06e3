# SPDX-License-Identifier: BSD-2-Clause
# Packets between the two devices and the engine.
libculvert_daemon_a_SOURCES += src/datapath/datapath.c src/datapath/datapath.h
