/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnels of all modules as people see them. A module tells what it knows of its own; what follows from the
 * configuration, or from a view alone, is added here, the same for all of them. Hints arise by silence as well as by
 * packets, so they are looked for from time to time, and each is told once in the life of a tunnel.
 */
#include <culvert/module.h>

#include "nat/attempts.h"

static enum tunnel_hint hint_of(const struct tunnel_view *view)
{
	if (view->hint != HINT_NONE || view->silent != SIDE_WAN)
		return view->hint;
	return view->inside_is_server && address_is_private(view->outside_address) ? HINT_WAN_IS_PRIVATE : HINT_NONE;
}

/* What the module cannot know. */
static void complete(const struct engine *engine, struct tunnel_view *view)
{
	if (view->end == END_NOT)
		view->hint = hint_of(view);
	/* Of one that has ended only that there was no answer can be wrong. */
	if (view->end == END_NOT ? view->hint != HINT_AH_SEEN && view->hint != HINT_SPI_COLLISION
				 : view->hint == HINT_NO_ANSWER)
		attempt_view_refusal(engine, view);
	if (view->end != END_NOT)
		return;
	if (engine->config.mode[view->part] != MODE_BLOCK)
		return;
	/* Its control messages may go on, where only the data is blocked. */
	view->state = TUNNEL_IS_BLOCKED;
	view->hint = HINT_BLOCKED;
	view->refusal.by = address_of(0);
}

bool engine_next_tunnel(struct engine *engine, uint64_t *cursor, uint64_t now_ms, struct tunnel_view *view)
{
	engine->now_ms = now_ms;
	while (*cursor >> 32 < SERVICES) {
		enum service service = (enum service)(*cursor >> 32);
		uint32_t at = (uint32_t)*cursor;
		if (engine->module[service] &&
		    module_of(service)->next_tunnel(engine, engine->module[service], &at, view)) {
			*cursor = (uint64_t)service << 32 | at;
			complete(engine, view);
			return true;
		}
		*cursor = ((uint64_t)service + 1) << 32;
	}
	return false;
}

void engine_tell_hints(struct engine *engine, uint64_t *cursor, uint32_t budget, uint64_t now_ms)
{
	struct tunnel_view view;

	_Static_assert(HINTS <= 32, "a bit for each");
	for (; budget > 0 && engine_next_tunnel(engine, cursor, now_ms, &view); budget--) {
		enum service service = view.service;
		uint32_t *told = module_of(service)->told(engine->module[service], view.index);
		uint32_t bit = UINT32_C(1) << view.hint;
		if (view.end != END_NOT || view.hint == HINT_NONE || (*told & bit) != 0)
			continue;
		*told |= bit;
		engine->offer->report(engine, EVENT_TUNNEL_HINT, &view);
	}
	if (budget == 0)
		return;
	*cursor = 0;
	attempt_tell(engine);
}
