/* SPDX-License-Identifier: BSD-2-Clause */
/* The last packets that were dropped, for people who ask why: a ring that the newest overwrites. */
#ifndef CULVERT_NAT_DROPS_H
#define CULVERT_NAT_DROPS_H

#include "nat/state.h"

void drops_note(struct engine *engine, const struct passage *passage, enum drop reason);

#endif
