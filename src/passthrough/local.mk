# SPDX-License-Identifier: BSD-2-Clause
libculvert_core_a_SOURCES += src/passthrough/pptp.c src/passthrough/pptp.h src/passthrough/pptp_call.c \
	src/passthrough/pptp_stream.c src/passthrough/pptp_stream.h src/passthrough/registry.c
