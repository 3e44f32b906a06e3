# SPDX-License-Identifier: BSD-2-Clause
libculvert_core_a_SOURCES += src/base/address.c src/base/address.h src/base/suggest.c src/base/suggest.h src/base/table.c src/base/table.h src/base/siphash.h \
	src/base/heap.h src/base/layout.h src/base/serial.h
