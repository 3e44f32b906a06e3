/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine's rehearsal (nat/configure.c), with the facts that the kernel's side would add to the new configuration.
 */
#include "control/rehearse.h"

#include <stdlib.h>
#include <string.h>

#include "io/kernel.h"
#include "observe/tunnels.h"

struct rehearse {
	struct rehearsal *rehearsal; /* in memory */
	enum service_mode mode[PARTS];
	uint32_t flow;
	uint64_t tunnel;
	_Alignas(max_align_t) unsigned char memory[];
};

/* Keys that only a restart changes end nothing now. */
static bool fill(struct engine_config *engine, const struct config *running, const struct config *next,
		 struct kernel *kernel)
{
	struct config *merged = malloc(sizeof(*merged));
	struct kernel_ports_wanted ports;

	if (!merged)
		return false;
	*merged = *next;
	config_keep_fixed(merged, running);
	engine_config_default(engine);
	config_to_engine(merged, engine);
	config_to_ports(merged, &ports);
	kernel_rehearse_ports(kernel, &ports, &engine->host_tcp, &engine->host_udp);
	free(merged);
	return true;
}

struct rehearse *rehearse_new(const struct config *running, const struct config *next, struct kernel *kernel,
			      const struct engine *engine)
{
	struct rehearse *rehearse = calloc(1, sizeof(*rehearse) + rehearsal_size());
	struct engine_config *config = malloc(sizeof(*config));
	bool good = rehearse && config && fill(config, running, next, kernel);

	if (good) {
		rehearse->rehearsal = rehearsal_start(rehearse->memory, engine, config);
		memcpy(rehearse->mode, config->mode, sizeof(rehearse->mode));
	} else {
		free(rehearse);
		rehearse = NULL;
	}
	free(config);
	return rehearse;
}

void rehearse_free(struct rehearse *rehearse)
{
	free(rehearse);
}

bool rehearse_next_flow(struct rehearse *rehearse, uint32_t *budget, uint64_t now_ms, struct flow_view *view,
			enum flow_end *why)
{
	return rehearsal_next(rehearse->rehearsal, &rehearse->flow, budget, now_ms, view, why);
}

bool rehearse_next_tunnel(struct rehearse *rehearse, struct engine *engine, uint32_t *budget, uint64_t now_ms,
			  struct tunnel_view *view, enum flow_end *why)
{
	for (; *budget > 0; (*budget)--) {
		if (!engine_next_tunnel(engine, &rehearse->tunnel, now_ms, view))
			return false;
		*why = tunnels_would_end(view, rehearse->mode, rehearse->rehearsal);
		if (*why != FLOW_STAYS)
			return true;
	}
	return false;
}
