/* SPDX-License-Identifier: BSD-2-Clause */
/* Where everything stands in the arena. */
#ifndef CULVERT_NAT_ARENA_H
#define CULVERT_NAT_ARENA_H

#include "nat/state.h"

/* Bytes needed; 0 if a limit is out of range. With an engine, also sets its pointers into arena. */
size_t arena_lay_out(const struct engine_limits *limits, struct engine *engine, uint8_t *arena);
/* Makes an empty arena. */
void arena_init(struct engine *engine, const struct engine_limits *limits, const uint8_t seed[32]);
/* The arena was left by an engine of this very build and these limits. */
bool arena_is_ours(const struct engine *engine, const struct engine_limits *limits);

#endif
