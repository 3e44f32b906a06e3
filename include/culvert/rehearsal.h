/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What another configuration would end, found out without changing anything.
 */
#ifndef CULVERT_REHEARSAL_H
#define CULVERT_REHEARSAL_H

#include <stddef.h>

#include <culvert/engine.h>
#include <culvert/views.h>

struct rehearsal;

/* Why another configuration ends a flow. */
enum flow_end {
	FLOW_STAYS = 0,
	FLOW_END_BLOCKED,   /* its service */
	FLOW_END_MODE,      /* a module finds it by what it reads, and the module is switched off or on */
	FLOW_END_FORWARD,   /* is gone, or leads elsewhere */
	FLOW_END_HOST_PORT, /* its outside port belongs to the router itself */
};
const char *flow_end_text(enum flow_end end);

/* Finds out what a configuration would end. The memory, rehearsal_size() bytes as malloc() gives them, stays the
 * caller's; the engine must outlive the rehearsal. */
size_t rehearsal_size(void);
struct rehearsal *rehearsal_start(void *memory, const struct engine *engine, const struct engine_config *config);
/* Iterates over the flows that engine_configure() would end, as engine_next_flow_within() does. */
bool rehearsal_next(const struct rehearsal *rehearsal, uint32_t *cursor, uint32_t *budget, uint64_t now_ms,
		    struct flow_view *view, enum flow_end *why);
/* Returns true if there would be a forward of this protocol and outside port (0 for protocols without ports) to this
 * inside host. */
bool rehearsal_leads_to(const struct rehearsal *rehearsal, uint8_t protocol, uint16_t port,
			struct address inside_address);

#endif
