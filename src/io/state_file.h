/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of the engine's tables, as a file in the state directory: when the process dies, whatever the reason, the
 * next one finds the flows there and goes on with them.
 *
 * The file holds for one boot, because the times in it count from there.
 */
#ifndef CULVERT_IO_STATE_FILE_H
#define CULVERT_IO_STATE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "io/kernel.h"

enum { STATE_FILE_PATH_MAX = 4096 };

struct state_file {
	void *memory; /* aligned to a page */
	size_t size;  /* of memory */
	bool left;    /* memory holds what a process of this boot with the same size left there */
	bool kept;    /* the next process will find it; false: ordinary memory */
	int fd;       /* of the file, or of memory that has none; -1: not open */
	char path[STATE_FILE_PATH_MAX];
	void *mapping;
	size_t mapping_size;
};

/* Opens or creates the file "flows" in state_dir and locks it. Where it cannot be used for want of space or rights,
 * the memory is ordinary memory, and that is reported as a warning. 0, or an exit code (4: no memory, 5: another
 * process holds the file) after having reported why; state_file_close() ends it. */
int state_file_open(struct state_file *file, const char *state_dir, size_t size, kernel_report *report, void *context);

/* The memory as it is now, to be read and written without changing the file: only pages that are written take space.
 * What is written to the memory itself meanwhile may show or not. NULL with errno set; state_file_drop_snapshot() ends
 * it. */
void *state_file_snapshot(const struct state_file *file);
void state_file_drop_snapshot(const struct state_file *file, void *snapshot);

/* forget: the file is removed, there is nothing to go on with. Otherwise it stays. */
void state_file_close(struct state_file *file, bool forget);

#endif
