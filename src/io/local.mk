# SPDX-License-Identifier: BSD-2-Clause
libculvert_io_a_SOURCES += src/io/kernel.h
libculvert_io_a_SOURCES += src/io/batch.c src/io/batch.h src/io/clock.c src/io/clock.h src/io/offload.c src/io/offload.h
libculvert_io_a_SOURCES += src/io/random.c src/io/random.h src/io/tun.c src/io/tun.h src/io/wan.c src/io/wan.h
