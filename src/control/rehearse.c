/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine's rehearsal (nat/configure.c), with the facts that the kernel's side would add to the new configuration.
 */
#include "control/rehearse.h"

#include <stdlib.h>
#include <string.h>

#include <culvert/module.h>

#include "io/kernel.h"

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

/* Without its module everything that was told apart by anything but addresses and ports ends. */
static bool needs_module(const struct tunnel_view *view)
{
	return view->part == PART_PPTP || view->part == PART_ESP || (view->is_shared && view->part != PART_NATT);
}

static bool is_lost(const struct tunnel_view *view, enum service_mode mode)
{
	return mode == MODE_BLOCK || (mode == MODE_PLAIN && needs_module(view));
}

uint32_t rehearse_count_lost(struct engine *engine, uint64_t now_ms, enum part part, enum service_mode mode)
{
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t count = 0;

	while (mode != MODE_PASS && engine_next_tunnel(engine, &cursor, now_ms, &view))
		count += view.end == END_NOT && view.part == part && is_lost(&view, mode);
	return count;
}

/* Of a server inside: the forward that its part needs is there. */
static bool is_let_in(const struct tunnel_view *view, const struct rehearsal *rehearsal)
{
	/* the first one is what its control messages, or else its data, come by */
	for (size_t i = 0; i < SERVICE_CLAIMS; i++)
		if (service_claims[i].part == view->part)
			return rehearsal_leads_to(rehearsal, service_claims[i].protocol, service_claims[i].port,
						  view->inside_address);
	return true;
}

static enum flow_end would_end(const struct tunnel_view *view, const enum service_mode mode[PARTS],
			       const struct rehearsal *rehearsal)
{
	if (view->end != END_NOT)
		return FLOW_STAYS;
	if (is_lost(view, mode[view->part]))
		return mode[view->part] == MODE_BLOCK ? FLOW_END_BLOCKED : FLOW_END_MODE;
	return view->inside_is_server && !is_let_in(view, rehearsal) ? FLOW_END_FORWARD : FLOW_STAYS;
}

bool rehearse_next_tunnel(struct rehearse *rehearse, struct engine *engine, uint32_t *budget, uint64_t now_ms,
			  struct tunnel_view *view, enum flow_end *why)
{
	for (; *budget > 0; (*budget)--) {
		if (!engine_next_tunnel(engine, &rehearse->tunnel, now_ms, view))
			return false;
		*why = would_end(view, rehearse->mode, rehearse->rehearsal);
		if (*why != FLOW_STAYS)
			return true;
	}
	return false;
}
