/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a configuration would change and end if it were there now.
 */
#ifndef CULVERT_CONTROL_REHEARSE_H
#define CULVERT_CONTROL_REHEARSE_H

#include <culvert/rehearsal.h>

#include "config/config.h"

struct kernel;
struct rehearse;

/* Compares next, which is copied, with the running configuration. NULL: no memory. */
struct rehearse *rehearse_new(const struct config *running, const struct config *next, struct kernel *kernel,
			      const struct engine *engine);
void rehearse_free(struct rehearse *rehearse); /* NULL is allowed */

/* The flows and then the tunnels that would end, as rehearsal_next() and engine_next_tunnel() go. */
bool rehearse_next_flow(struct rehearse *rehearse, uint32_t *budget, uint64_t now_ms, struct flow_view *view,
			enum flow_end *why);
bool rehearse_next_tunnel(struct rehearse *rehearse, struct engine *engine, uint32_t *budget, uint64_t now_ms,
			  struct tunnel_view *view, enum flow_end *why);

/* Tunnels that live and end when a part that carries them gets this mode instead of pass. */
uint32_t rehearse_count_lost(struct engine *engine, uint64_t now_ms, enum part part, enum service_mode mode);

#endif
