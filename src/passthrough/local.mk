# SPDX-License-Identifier: BSD-2-Clause
libculvert_core_a_SOURCES += src/passthrough/ipsec.c src/passthrough/ipsec.h \
	src/passthrough/ipsec_esp.c src/passthrough/ipsec_ike.c src/passthrough/ipsec_peer.c \
	src/passthrough/ipsec_share.c src/passthrough/ipsec_view.c \
	src/passthrough/pptp.c src/passthrough/pptp.h src/passthrough/pptp_call.c \
	src/passthrough/pptp_stream.c src/passthrough/pptp_stream.h src/passthrough/registry.c
