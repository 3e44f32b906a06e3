/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The changes that have been made to the kernel: bringing them to what is wanted, keeping them so, taking them back,
 * and a journal of it all.
 */
#ifndef CULVERT_IO_KERNEL_MADE_H
#define CULVERT_IO_KERNEL_MADE_H

#include <stdbool.h>

#include "io/journal.h"
#include "io/kernel.h"
#include "io/kernel_change.h"

struct kernel_made {
	struct netlink *netlink;
	kernel_report *report;
	void *context;
	struct journal journal;
	struct change_list list; /* in the order in which they were made */
};

/* Opens the journal and takes over what an earlier run left: from the journal, or, should that be lost, what bears our
 * mark in the kernel. 0 or an exit code, after having reported why. */
int kernel_made_open(struct kernel_made *made, const char *state_dir, bool create);
void kernel_made_close(struct kernel_made *made);

/*
 * Makes what is wanted and not there, in order, then takes back what is no longer wanted, in reverse order. wanted is
 * emptied. When starting, the first failure is the end: 0 or an exit code, and everything is taken back. Later on
 * failures are reported, and tried again by the next call.
 */
int kernel_made_reconcile(struct kernel_made *made, struct change_list *wanted, bool starting);

/* Takes back everything, in reverse order, and removes the journal. 0 or an exit code; goes on after a failure, and
 * keeps what failed in the journal. */
int kernel_made_undo(struct kernel_made *made);

/* The exit code for a negative errno. */
int kernel_made_exit_code(int error);

#endif
