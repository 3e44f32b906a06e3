/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * getrandom(2), begun again after signals and short answers.
 */
#include "io/random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

bool random_fill(void *bytes, size_t size)
{
	uint8_t *at = bytes;

	while (size > 0) {
		ssize_t got = getrandom(at, size, 0);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			return false;
		}
		at += got;
		size -= (size_t)got;
	}
	return true;
}
