/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of hosts where a verb takes an address: culvertd knows none, so they become addresses here.
 */
#ifndef CULVERT_CTL_NAMES_H
#define CULVERT_CTL_NAMES_H

#include <stdio.h>

struct ctl_options;

/* Puts an IPv4 address in the place of each name among the words. EXIT_OK, or EXIT_NOT_FOUND after having said on
 * errors which name has none. */
int names_resolve(struct ctl_options *options, FILE *errors);

#endif
