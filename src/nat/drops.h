/* SPDX-License-Identifier: BSD-2-Clause */
/* The last packets that were dropped, for people who ask why: a ring that the newest overwrites. */
#ifndef CULVERT_NAT_DROPS_H
#define CULVERT_NAT_DROPS_H

#include "nat/state.h"

/* SPI, Call ID, GRE key or ICMP type << 8 | code; 0 if it has none. */
uint32_t drops_identifier(const struct passage *passage);
void drops_note(struct engine *engine, const struct passage *passage, enum drop reason);

#endif
