/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live screen.
 */
#ifndef CULVERT_CTL_TOP_H
#define CULVERT_CTL_TOP_H

#include "ctl/options.h"

/* Shows it until somebody quits; the terminal is then as it was before. An exit code, after having said on standard
 * error what is wrong: EXIT_USAGE without a terminal, and those of a request that failed. A signal that ends it ends
 * the process. */
int top_run(const struct ctl_options *options);

#endif
