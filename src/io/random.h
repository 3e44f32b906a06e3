/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system's random source: the seed of an engine, and nothing per packet.
 */
#ifndef CULVERT_IO_RANDOM_H
#define CULVERT_IO_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* Fills size bytes; waits until the kernel's generator is seeded. False, with errno set, if the kernel refuses. */
bool random_fill(void *bytes, size_t size);

#endif
