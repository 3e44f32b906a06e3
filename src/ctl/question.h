/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A question to the person before something ends that may matter to others.
 */
#ifndef CULVERT_CTL_QUESTION_H
#define CULVERT_CTL_QUESTION_H

#include <stdbool.h>

#include "ctl/row.h"
#include "ctl/talk.h"

struct ctl_options;

/* Has culvertd rehearse the change of a mode, and asks if a tunnel would end by it. False: the person does not want it.
 * True without a question if none would, if culvertd refuses, which it does again then, with --yes, or if nobody is
 * there to be asked: the standard input or error is no terminal. talk and row are used up. */
bool question_allows(const struct ctl_options *options, struct talk *talk, struct row *row);

#endif
