/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal: the changes that are about to be, or have been, made to the kernel, so that they can be undone after any
 * kind of end. One file for each network namespace in the state directory, written anew before each batch of changes.
 *
 * It is text: a line that says for which boot and namespace it holds, then one command a line. A journal of another
 * boot describes nothing that still exists, and is removed; one that culvert could not have written is refused.
 */
#ifndef CULVERT_IO_JOURNAL_H
#define CULVERT_IO_JOURNAL_H

#include <stdbool.h>

#include "io/kernel.h"
#include "io/kernel_change.h"

struct journal {
	int directory;    /* the state directory, or -1 */
	char name[64];    /* of the file in it */
	char header[128]; /* its first line, with the newline */
	const char *path; /* of the state directory, for messages; kept by the caller */
};

/* 0 or an exit code, after having reported why. With create the directory is made if it is missing. */
int journal_open(struct journal *journal, const char *state_dir, bool create, kernel_report *report, void *context);
void journal_close(struct journal *journal);

/* Appends what the journal says to list; nothing if there is no journal. 0 or an exit code (5), after having reported
 * why. */
int journal_read(struct journal *journal, struct change_list *list, kernel_report *report, void *context);
/* Replaces the journal by the two lists, first the one, then the other; removes it if both are empty. 0 or a negative
 * errno. */
int journal_write(struct journal *journal, const struct change_list *first, const struct change_list *second);

#endif
