/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who uses which outside port towards a server. Each path has an outside port of its own, which nearly always is all
 * that is needed. A path that gets no answer there, and calls from port 1701 as its server may insist on, tries outside
 * port 1701 together with others; a server that answers then is remembered.
 */
#include "passthrough/l2tp.h"

enum hash_kind { HASH_GROUP = 0, HASH_PORT = 1 };

struct group_match {
	const struct l2tp_group *group;
	struct address outside, remote;
};

static bool match_group(const void *context, uint32_t index)
{
	const struct group_match *match = context;
	const struct l2tp_group *group = &match->group[index];

	return address_equal(group->outside, match->outside) && address_equal(group->remote, match->remote);
}

static uint64_t group_hash(const struct l2tp *l2tp, struct address outside, struct address remote)
{
	return l2tp_hash(l2tp, address_word(outside), address_word(remote), HASH_GROUP);
}

struct port_match {
	const struct l2tp_path *path;
	uint32_t group;
	uint16_t outside_port;
};

static bool match_port(const void *context, uint32_t index)
{
	const struct port_match *match = context;
	const struct l2tp_path *path = &match->path[index];

	return path->group == match->group && path->outside_port == match->outside_port;
}

void l2tp_take_key(struct engine *engine, struct l2tp *l2tp)
{
	if (l2tp->has_key)
		return;
	l2tp->key.word[0] = engine_offer(engine)->random(engine);
	l2tp->key.word[1] = engine_offer(engine)->random(engine);
	l2tp->has_key = true;
}

/* --- groups and paths --- */

uint32_t l2tp_group_find(const struct l2tp *l2tp, struct address outside, struct address remote)
{
	struct group_match match = {l2tp->group, outside, remote};

	return table_find(&l2tp->group_table, group_hash(l2tp, outside, remote), match_group, &match);
}

uint32_t l2tp_path_at(const struct l2tp *l2tp, uint32_t group, uint16_t outside_port)
{
	struct port_match match = {l2tp->path, group, outside_port};

	return table_find(&l2tp->port_table, l2tp_hash(l2tp, group, outside_port, HASH_PORT), match_port, &match);
}

/* There are as many groups as paths, and each has at least one: there always is a free one. */
static uint32_t take_group(struct l2tp *l2tp, struct address outside, struct address remote)
{
	uint32_t index = l2tp_group_find(l2tp, outside, remote);

	if (index != TABLE_NONE)
		return index;
	index = l2tp->group_free;
	l2tp->group_free = l2tp->group[index].sharing;
	l2tp->group[index] = (struct l2tp_group){.outside = outside, .remote = remote, .sharing = MODULE_NONE};
	table_insert(&l2tp->group_table, group_hash(l2tp, outside, remote), index);
	return index;
}

void l2tp_path_join(struct l2tp *l2tp, uint32_t index, struct address outside, struct address remote)
{
	struct l2tp_path *path = &l2tp->path[index];

	path->group = take_group(l2tp, outside, remote);
	l2tp->group[path->group].paths++;
	path->is_listed = l2tp_path_at(l2tp, path->group, path->outside_port) == TABLE_NONE;
	if (path->is_listed)
		table_insert(&l2tp->port_table, l2tp_hash(l2tp, path->group, path->outside_port, HASH_PORT), index);
}

void l2tp_path_leave(struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_path *path = &l2tp->path[index];
	struct l2tp_group *group = &l2tp->group[path->group];

	if (path->is_listed)
		table_remove(&l2tp->port_table, l2tp_hash(l2tp, path->group, path->outside_port, HASH_PORT), index);
	path->is_listed = false;
	if (--group->paths > 0)
		return;
	table_remove(&l2tp->group_table, group_hash(l2tp, group->outside, group->remote), path->group);
	group->sharing = l2tp->group_free;
	l2tp->group_free = path->group;
}

uint32_t l2tp_path_flow(const struct engine *engine, const struct l2tp_path *path, uint16_t remote_port)
{
	for (unsigned i = 0; i < path->flows; i++) {
		struct flow_view view;
		engine_offer(engine)->view_flow(engine, path->flow[i], &view, NULL);
		/* At its deadline a flow is gone, even if nobody has cleaned up yet. */
		if ((int32_t)view.expires_ms > 0 && (remote_port == 0 || view.remote_port == remote_port))
			return path->flow[i];
	}
	return MODULE_NONE;
}

/* --- sharing --- */

bool l2tp_may_share(const struct flow_view *view)
{
	return view->inside_port == L2TP_PORT && view->remote_port == L2TP_PORT && view->outside_port != L2TP_PORT &&
	       !view->inside_is_server && !view->hairpin;
}

bool l2tp_share(struct engine *engine, struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_path *path = &l2tp->path[index];
	struct l2tp_group *group = &l2tp->group[path->group];
	uint32_t flow = l2tp_path_flow(engine, path, L2TP_PORT);

	if (path->shares || flow == MODULE_NONE)
		return false;
	engine_offer(engine)->share_port(engine, flow, L2TP_PORT);
	if (engine_offer(engine)->shared_port(engine, flow) != L2TP_PORT)
		return false;
	path->shares = true;
	path->share_previous = MODULE_NONE;
	path->share_next = group->sharing;
	if (group->sharing != MODULE_NONE)
		l2tp->path[group->sharing].share_previous = index;
	group->sharing = index;
	for (uint32_t i = path->first; i != MODULE_NONE; i = l2tp->tunnel[i].next)
		l2tp_tunnel_rename(engine, l2tp, i);
	return true;
}

void l2tp_share_end(struct engine *engine, struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_path *path = &l2tp->path[index];

	if (!path->shares)
		return;
	path->shares = false;
	for (unsigned i = 0; i < path->flows; i++)
		engine_offer(engine)->share_port(engine, path->flow[i], 0);
	if (path->share_next != MODULE_NONE)
		l2tp->path[path->share_next].share_previous = path->share_previous;
	if (path->share_previous != MODULE_NONE)
		l2tp->path[path->share_previous].share_next = path->share_next;
	else
		l2tp->group[path->group].sharing = path->share_next;
}

/* What runs would break if its packets came from another port. */
static bool is_in_use(const struct l2tp *l2tp, const struct l2tp_path *path)
{
	for (uint32_t i = path->first; i != MODULE_NONE; i = l2tp->tunnel[i].next)
		if (l2tp->tunnel[i].state == TUNNEL_CONNECTED)
			return true;
	return false;
}

/* A server that does not answer to whoever owns the port answers to nobody. */
static bool is_worth_a_try(const struct l2tp *l2tp, const struct l2tp_path *path)
{
	uint32_t owner = l2tp_path_at(l2tp, path->group, L2TP_PORT);

	return owner == MODULE_NONE || l2tp->path[owner].answered;
}

void l2tp_port_asks(struct engine *engine, struct l2tp *l2tp, uint32_t index, bool is_fixed)
{
	struct l2tp_path *path = &l2tp->path[index];

	if (!is_in_use(l2tp, path)) {
		if (path->shares && (is_fixed || path->unanswered >= L2TP_PATIENCE)) {
			l2tp_share_end(engine, l2tp, index);
			path->unanswered = 0;
		} else if (path->may_share && !is_fixed && path->unanswered >= L2TP_PATIENCE &&
			   is_worth_a_try(l2tp, path) && l2tp_share(engine, l2tp, index)) {
			engine_offer(engine)->count(engine, STAT_L2TP_SHARED);
			path->unanswered = 0;
		}
	}
	if (path->unanswered < UINT8_MAX)
		path->unanswered++;
}
