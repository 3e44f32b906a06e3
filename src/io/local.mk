# SPDX-License-Identifier: BSD-2-Clause
libculvert_io_a_SOURCES += src/io/kernel.h
