/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open() takes the lowest descriptor that is free, so /dev/null is opened until that is none of the standard ones.
 */
#include "io/standard_files.h"

#include <fcntl.h>
#include <unistd.h>

void standard_files_occupy(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}
