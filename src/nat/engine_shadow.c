/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second handle on the same state: what stands in the handle is copied, and what points into the arena points into
 * the copy. Nothing is recovered or checked, because the copy is exactly what the engine works with.
 */
#include <stdlib.h>

#include <culvert/explain.h>
#include <culvert/module.h>

#include "nat/arena.h"
#include "nat/life.h"

struct engine *engine_shadow(const struct engine *engine, void *arena_copy)
{
	const struct engine_limits *limits = &engine->header->limits;
	struct engine *shadow = malloc(sizeof(*shadow));

	if (!shadow)
		return NULL;
	*shadow = *engine;
	shadow->event = NULL;
	shadow->events = &events_of_modules;
	arena_lay_out(limits, shadow, arena_copy);
	for (int service = 0; service < SERVICES; service++)
		if (shadow->module[service])
			module_of((enum service)service)->place(shadow->module[service], limits);
	return shadow;
}
