/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records: arrays one behind the other, each on a cache line of its own. After a crash lists, tables and counts are
 * made anew; of a record only what stands in it is believed, and only if it fits the engine's flows.
 */
#include "passthrough/l2tp.h"

#include "base/layout.h"
#include "wire/ip.h"

enum { TUNNELS_A_PATH = 2 };

/* l2tp may be NULL to learn how much it is. */
static size_t place(struct l2tp *l2tp, const struct engine_limits *limits)
{
	struct l2tp unused, *to = l2tp ? l2tp : &unused;
	uint8_t *memory = (uint8_t *)l2tp;
	size_t used = 0;

	to->paths = limits->tunnels;
	to->tunnels = limits->tunnels * TUNNELS_A_PATH;
	layout_take(memory, &used, sizeof(*l2tp));
	to->path = layout_take(memory, &used, to->paths * sizeof(*to->path));
	to->group = layout_take(memory, &used, to->paths * sizeof(*to->group));
	to->tunnel = layout_take(memory, &used, to->tunnels * sizeof(*to->tunnel));
	layout_take_table(&to->tunnel_table, to->tunnels, memory, &used);
	layout_take_table(&to->remote_table, to->tunnels, memory, &used);
	layout_take_table(&to->group_table, to->paths, memory, &used);
	layout_take_table(&to->port_table, to->paths, memory, &used);
	return used;
}

size_t l2tp_memory_size(const struct engine_limits *limits)
{
	return limits->tunnels > 0 ? place(NULL, limits) : 0;
}

void l2tp_place(void *memory, const struct engine_limits *limits)
{
	place(memory, limits);
}

/* Numbers and pointers; tables are empty then, and so are all lists. */
static void lay_out(struct l2tp *l2tp, const struct engine_limits *limits)
{
	place(l2tp, limits);
	table_clear(&l2tp->tunnel_table);
	table_clear(&l2tp->remote_table);
	table_clear(&l2tp->group_table);
	table_clear(&l2tp->port_table);
	l2tp->path_free = l2tp->idle_first = l2tp->idle_last = MODULE_NONE;
	for (uint32_t i = 0; i < l2tp->paths; i++)
		l2tp->group[i] = (struct l2tp_group){.sharing = i + 1 < l2tp->paths ? i + 1 : MODULE_NONE};
}

void l2tp_start(void *memory, const struct engine_limits *limits)
{
	struct l2tp *l2tp = memory;

	*l2tp = (struct l2tp){.paths = 0};
	lay_out(l2tp, limits);
	for (uint32_t i = l2tp->paths; i-- > 0;) {
		l2tp->path[i] = (struct l2tp_path){.flow = {l2tp->path_free}};
		l2tp->path_free = i;
	}
	for (uint32_t i = 0; i < l2tp->tunnels; i++) {
		l2tp->tunnel[i] = (struct l2tp_tunnel){.path = MODULE_NONE};
		l2tp_tunnel_give_back(l2tp, i);
	}
}

/* --- recovery --- */

/* Flows of one path have all but the remote port in common. */
static bool fits(const struct flow_view *one, const struct flow_view *other)
{
	return other->protocol == PROTOCOL_UDP && address_equal(one->inside_address, other->inside_address) &&
	       one->inside_port == other->inside_port && address_equal(one->outside_address, other->outside_address) &&
	       one->outside_port == other->outside_port && address_equal(one->remote_address, other->remote_address) &&
	       one->inside_is_server == other->inside_is_server;
}

/* Those of old's flows that the engine has, too. Each belongs to one path, but may stand here twice. */
static uint8_t recover_flows(const struct engine *engine, const struct l2tp_path *old, uint32_t index,
			     struct l2tp_path *path, struct flow_view *first)
{
	uint8_t flows = 0;

	for (unsigned i = 0; i < old->flows && i < L2TP_FLOWS; i++) {
		struct flow_view view;
		bool is_double = false;
		for (unsigned k = 0; k < flows; k++)
			is_double |= path->flow[k] == old->flow[i];
		if (is_double ||
		    !engine_offer(engine)->owns_flow(engine, SERVICE_L2TP, old->flow[i], (uint16_t)(index + 1), 0))
			continue;
		engine_offer(engine)->view_flow(engine, old->flow[i], &view, NULL);
		if (!fits(flows == 0 ? &view : first, &view))
			continue;
		if (flows == 0)
			*first = view;
		path->flow[flows++] = old->flow[i];
	}
	return flows;
}

static void recover_path(struct engine *engine, struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_path *path = &l2tp->path[index], old = *path;
	struct flow_view view;

	*path = (struct l2tp_path){.first = MODULE_NONE};
	path->flows = old.live ? recover_flows(engine, &old, index, path, &view) : 0;
	if (path->flows == 0) {
		path->flow[0] = l2tp->path_free;
		l2tp->path_free = index;
		return;
	}
	path->live = true;
	path->inside_address = view.inside_address;
	path->outside_port = view.outside_port;
	path->is_server = view.inside_is_server;
	path->answered = old.answered != 0;
	l2tp_path_join(l2tp, index, view.outside_address, view.remote_address);
	bool shared = false;
	for (unsigned i = 0; i < path->flows; i++) {
		engine_offer(engine)->view_flow(engine, path->flow[i], &view, NULL);
		path->may_share |= l2tp_may_share(&view);
		shared |= engine_offer(engine)->shared_port(engine, path->flow[i]) == L2TP_PORT;
		engine_offer(engine)->share_port(engine, path->flow[i], 0);
	}
	if (shared && path->may_share)
		l2tp_share(engine, l2tp, index);
}

static bool is_whole(const struct l2tp_tunnel *tunnel)
{
	bool is_narrow =
		tunnel->inside_id <= UINT16_MAX && tunnel->outside_id <= UINT16_MAX && tunnel->remote_id <= UINT16_MAX;

	return tunnel->state > TUNNEL_FREE && tunnel->state <= TUNNEL_ENDED && tunnel->end < ENDS &&
	       (tunnel->end == END_NOT) == (tunnel->state != TUNNEL_ENDED) && tunnel->closes_as < ENDS &&
	       (tunnel->state != TUNNEL_CLOSING || tunnel->closes_as != END_NOT) && tunnel->closed_by < SIDES &&
	       ((tunnel->version == 2 && is_narrow) || tunnel->version == 3);
}

/* Only what can be printed, up to an end. */
static void recover_name(char name[L2TP_NAME_MAX])
{
	uint32_t i = 0;

	while (i < L2TP_NAME_MAX - 1 && name[i] >= ' ' && name[i] <= '~')
		i++;
	name[i] = 0;
}

static bool has_place(const struct l2tp *l2tp, const struct l2tp_tunnel *tunnel)
{
	if (tunnel->path >= l2tp->paths || !l2tp->path[tunnel->path].live)
		return false;
	const struct l2tp_path *path = &l2tp->path[tunnel->path];
	return path->tunnels < L2TP_TUNNELS_EACH && (path->tunnels == 0 || l2tp->extra < l2tp->paths);
}

static void recover_tunnel(struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	if (!is_whole(tunnel)) {
		*tunnel = (struct l2tp_tunnel){.path = MODULE_NONE};
		return;
	}
	tunnel->is_listed = false;
	recover_name(tunnel->inside_name);
	recover_name(tunnel->remote_name);
	if (!has_place(l2tp, tunnel)) {
		tunnel->path = MODULE_NONE;
		if (tunnel->state != TUNNEL_ENDED)
			tunnel->end = END_ROUTER;
		tunnel->state = TUNNEL_ENDED;
		return;
	}
	struct l2tp_path *path = &l2tp->path[tunnel->path];
	const struct l2tp_group *group = &l2tp->group[path->group];
	tunnel->inside_address = path->inside_address;
	tunnel->outside_address = group->outside;
	tunnel->remote_address = group->remote;
	tunnel->next = path->first;
	path->first = index;
	l2tp->extra += path->tunnels++ > 0;
	l2tp->linked++;
	l2tp_tunnel_enter(l2tp, index);
}

void l2tp_recover(struct engine *engine, void *memory, const struct engine_limits *limits)
{
	struct l2tp *l2tp = memory;
	struct l2tp old = *l2tp;

	*l2tp = (struct l2tp){.paths = 0};
	l2tp->strict = old.strict;
	strict_recover(&l2tp->strict, engine_offer(engine)->now_ms(engine));
	lay_out(l2tp, limits);
	l2tp_take_key(engine, l2tp);
	for (uint32_t i = l2tp->paths; i-- > 0;)
		recover_path(engine, l2tp, i);
	l2tp->used = l2tp->tunnels;
	for (uint32_t i = l2tp->tunnels; i-- > 0;)
		recover_tunnel(l2tp, i);
	/* Those that nobody wants to look at go first. */
	for (int ended = 0; ended < 2; ended++)
		for (uint32_t i = 0; i < l2tp->tunnels; i++)
			if (l2tp->tunnel[i].path == MODULE_NONE && (l2tp->tunnel[i].state == TUNNEL_ENDED) == ended)
				l2tp_tunnel_give_back(l2tp, i);
	if (l2tp->linked > 0)
		engine_offer(engine)->wake_at(engine, engine_offer(engine)->now_ms(engine));
}
