/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration that an engine works by. engine_configure(), engine_set_outside() and rehearsals are there as well.
 */
#ifndef CULVERT_NAT_CONFIGURE_H
#define CULVERT_NAT_CONFIGURE_H

#include "nat/state.h"

/* Makes a copy of the configuration the engine's own, with what is derived of it; flows stay as they are. */
void configure_adopt(struct engine *engine, const struct engine_config *config);

/* The flow is one that the configuration allows. For tests: all are, once engine_configure() was called. */
bool configure_allows(const struct engine *engine, const struct flow *flow);

#endif
