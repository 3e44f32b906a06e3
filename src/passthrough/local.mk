# SPDX-License-Identifier: BSD-2-Clause
libculvert_core_a_SOURCES += src/passthrough/registry.c
