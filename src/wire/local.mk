# SPDX-License-Identifier: BSD-2-Clause
libculvert_core_a_SOURCES += src/wire/checksum.c src/wire/checksum.h src/wire/ip.c src/wire/ip.h \
	src/wire/transport.c src/wire/transport.h
