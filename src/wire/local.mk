# SPDX-License-Identifier: BSD-2-Clause
libculvert_core_a_SOURCES += src/wire/checksum.c src/wire/checksum.h src/wire/gre.c src/wire/gre.h src/wire/ike.c \
	src/wire/ike.h src/wire/ip.c src/wire/ip.h src/wire/l2tp.c src/wire/l2tp.h src/wire/pptp.c src/wire/pptp.h \
	src/wire/transport.c src/wire/transport.h
