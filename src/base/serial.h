/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that wrap: TCP's sequence numbers, and times of which only the low 32 bits are kept. */
#ifndef CULVERT_BASE_SERIAL_H
#define CULVERT_BASE_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* Returns true if a comes before b and less than 2^31 lie between (RFC 1982 section 3.2). */
static inline bool serial_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif
