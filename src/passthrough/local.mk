# SPDX-License-Identifier: BSD-2-Clause
libculvert_core_a_SOURCES += src/passthrough/ipsec.c src/passthrough/ipsec.h \
	src/passthrough/ipsec_doubt.c src/passthrough/ipsec_esp.c src/passthrough/ipsec_ike.c src/passthrough/ipsec_peer.c src/passthrough/ipsec_sa.c \
	src/passthrough/ipsec_share.c src/passthrough/ipsec_view.c src/passthrough/ipsec_wait.c \
	src/passthrough/pptp.c src/passthrough/pptp.h src/passthrough/pptp_call.c \
	src/passthrough/pptp_stream.c src/passthrough/pptp_stream.h src/passthrough/registry.c src/passthrough/services.c
libculvert_core_a_SOURCES += src/passthrough/l2tp.c src/passthrough/l2tp.h src/passthrough/l2tp_memory.c \
	src/passthrough/l2tp_message.c src/passthrough/l2tp_port.c src/passthrough/l2tp_tunnel.c
libculvert_core_a_SOURCES += src/passthrough/strict.c src/passthrough/strict.h
