/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnels: finding them, their life, and how they are shown.
 *
 * A tunnel is in the list of its path, and from the moment its ID is known in a ring with all tunnels of the group that
 * have the same outside ID: clients that dial by themselves may well all choose 1. One of the ring stands in the table,
 * and it is one that shares port 1701 if there is such a one.
 */
#include "passthrough/l2tp.h"

enum { HASH_TUNNEL = 2, HASH_REMOTE = 3, ID_TRIES = 32, SWEEP_PIECE = 1024, SWEEP_MS = 1000, ALONE_MIN = 3 };

struct match {
	const struct l2tp *l2tp;
	uint32_t group, id;
};

static bool match_tunnel(const void *context, uint32_t index)
{
	const struct match *match = context;
	const struct l2tp_tunnel *tunnel = &match->l2tp->tunnel[index];

	return tunnel->outside_id == match->id && match->l2tp->path[tunnel->path].group == match->group;
}

static bool match_remote(const void *context, uint32_t index)
{
	const struct match *match = context;
	const struct l2tp_tunnel *tunnel = &match->l2tp->tunnel[index];

	return tunnel->remote_id == match->id && match->l2tp->path[tunnel->path].group == match->group;
}

static uint32_t ring_find(const struct l2tp *l2tp, uint32_t group, uint32_t id)
{
	struct match match = {l2tp, group, id};

	return table_find(&l2tp->tunnel_table, l2tp_hash(l2tp, group, id, HASH_TUNNEL), match_tunnel, &match);
}

static uint64_t ring_hash(const struct l2tp *l2tp, const struct l2tp_tunnel *tunnel)
{
	return l2tp_hash(l2tp, l2tp->path[tunnel->path].group, tunnel->outside_id, HASH_TUNNEL);
}

static bool is_in_ring(const struct l2tp_tunnel *tunnel)
{
	return tunnel->version == 2 && tunnel->has_inside_id && tunnel->path != MODULE_NONE;
}

/* A server that gives an ID again has forgotten the tunnel that had it. */
static void enter_remote(struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];
	uint32_t group = l2tp->path[tunnel->path].group;

	if (!tunnel->has_remote_id || tunnel->version != 2)
		return;
	uint64_t hash = l2tp_hash(l2tp, group, tunnel->remote_id, HASH_REMOTE);
	uint32_t other = l2tp_tunnel_of_remote(l2tp, group, tunnel->remote_id);
	if (other == MODULE_NONE) {
		table_insert(&l2tp->remote_table, hash, index);
	} else {
		table_replace(&l2tp->remote_table, hash, other, index);
		l2tp->tunnel[other].is_listed = false;
	}
	tunnel->is_listed = true;
}

static void leave_remote(struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	if (tunnel->is_listed)
		table_remove(&l2tp->remote_table,
			     l2tp_hash(l2tp, l2tp->path[tunnel->path].group, tunnel->remote_id, HASH_REMOTE), index);
	tunnel->is_listed = false;
}

uint32_t l2tp_tunnel_of_remote(const struct l2tp *l2tp, uint32_t group, uint32_t remote_id)
{
	struct match match = {l2tp, group, remote_id};

	return table_find(&l2tp->remote_table, l2tp_hash(l2tp, group, remote_id, HASH_REMOTE), match_remote, &match);
}

void l2tp_tunnel_answer(struct l2tp *l2tp, uint32_t index, uint32_t remote_id)
{
	leave_remote(l2tp, index);
	l2tp->tunnel[index].remote_id = remote_id;
	l2tp->tunnel[index].has_remote_id = true;
	enter_remote(l2tp, index);
}

void l2tp_tunnel_enter(struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	if (!tunnel->is_listed)
		enter_remote(l2tp, index);
	if (!is_in_ring(tunnel))
		return;
	uint64_t hash = ring_hash(l2tp, tunnel);
	uint32_t head = ring_find(l2tp, l2tp->path[tunnel->path].group, tunnel->outside_id);
	if (head == TABLE_NONE) {
		tunnel->same_next = tunnel->same_previous = index;
		table_insert(&l2tp->tunnel_table, hash, index);
		return;
	}
	struct l2tp_tunnel *first = &l2tp->tunnel[head];
	tunnel->same_next = head;
	tunnel->same_previous = first->same_previous;
	l2tp->tunnel[first->same_previous].same_next = index;
	first->same_previous = index;
	if (l2tp->path[tunnel->path].shares)
		table_replace(&l2tp->tunnel_table, hash, head, index);
}

void l2tp_tunnel_leave(struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	leave_remote(l2tp, index);
	if (!is_in_ring(tunnel))
		return;
	uint64_t hash = ring_hash(l2tp, tunnel);
	if (tunnel->same_next == index) {
		table_remove(&l2tp->tunnel_table, hash, index);
		return;
	}
	l2tp->tunnel[tunnel->same_next].same_previous = tunnel->same_previous;
	l2tp->tunnel[tunnel->same_previous].same_next = tunnel->same_next;
	/* Only if it is the one that stands in the table. */
	table_replace(&l2tp->tunnel_table, hash, index, tunnel->same_next);
}

/* --- finding --- */

uint32_t l2tp_tunnel_by_inside(const struct l2tp *l2tp, uint32_t path, uint8_t version, uint32_t id)
{
	for (uint32_t i = l2tp->path[path].first; i != MODULE_NONE; i = l2tp->tunnel[i].next) {
		const struct l2tp_tunnel *tunnel = &l2tp->tunnel[i];
		if (tunnel->inside_id == id && tunnel->has_inside_id && tunnel->version == version)
			return i;
	}
	return MODULE_NONE;
}

uint32_t l2tp_tunnel_by_outside(const struct l2tp *l2tp, uint32_t path, uint8_t version, uint32_t id)
{
	for (uint32_t i = l2tp->path[path].first; i != MODULE_NONE; i = l2tp->tunnel[i].next) {
		const struct l2tp_tunnel *tunnel = &l2tp->tunnel[i];
		if (tunnel->outside_id == id && tunnel->has_inside_id && tunnel->version == version)
			return i;
	}
	return MODULE_NONE;
}

uint32_t l2tp_tunnel_by_remote(const struct l2tp *l2tp, uint32_t path, uint8_t version, uint32_t id)
{
	for (uint32_t i = l2tp->path[path].first; i != MODULE_NONE; i = l2tp->tunnel[i].next) {
		const struct l2tp_tunnel *tunnel = &l2tp->tunnel[i];
		if (tunnel->remote_id == id && tunnel->has_remote_id && tunnel->version == version)
			return i;
	}
	return MODULE_NONE;
}

uint32_t l2tp_tunnel_nameless(const struct l2tp *l2tp, uint32_t path)
{
	for (uint32_t i = l2tp->path[path].first; i != MODULE_NONE; i = l2tp->tunnel[i].next)
		if (!l2tp->tunnel[i].has_inside_id && l2tp->tunnel[i].state == TUNNEL_REQUESTED)
			return i;
	return MODULE_NONE;
}

uint32_t l2tp_tunnel_of_group(const struct l2tp *l2tp, uint32_t group, uint32_t outside_id)
{
	uint32_t head = ring_find(l2tp, group, outside_id);

	if (head == TABLE_NONE)
		return MODULE_NONE;
	bool is_sure = l2tp->tunnel[head].same_next == head || l2tp->path[l2tp->tunnel[head].path].shares;
	return is_sure ? head : MODULE_NONE;
}

/* --- records --- */

void l2tp_tunnel_give_back(struct l2tp *l2tp, uint32_t index)
{
	l2tp->tunnel[index].next = MODULE_NONE;
	if (l2tp->idle_first == MODULE_NONE)
		l2tp->idle_first = index;
	else
		l2tp->tunnel[l2tp->idle_last].next = index;
	l2tp->idle_last = index;
}

void l2tp_tunnel_unlink(struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];
	struct l2tp_path *path = &l2tp->path[tunnel->path];

	l2tp_tunnel_leave(l2tp, index);
	uint32_t *link = &path->first;
	while (*link != index)
		link = &l2tp->tunnel[*link].next;
	*link = tunnel->next;
	l2tp->linked--;
	l2tp->extra -= --path->tunnels > 0;
	tunnel->path = MODULE_NONE;
	l2tp_tunnel_give_back(l2tp, index);
}

static void unlink_ended(struct l2tp *l2tp, const struct l2tp_path *path)
{
	for (uint32_t i = path->first, next; i != MODULE_NONE; i = next) {
		next = l2tp->tunnel[i].next;
		if (l2tp->tunnel[i].state == TUNNEL_ENDED)
			l2tp_tunnel_unlink(l2tp, i);
	}
}

/* Half of the records are for the first tunnel of each path, so that nobody's many take it away. */
static bool has_room(const struct l2tp *l2tp, const struct l2tp_path *path)
{
	return path->tunnels == 0 || (path->tunnels < L2TP_TUNNELS_EACH && l2tp->extra < l2tp->paths);
}

uint32_t l2tp_tunnel_open(struct engine *engine, struct l2tp *l2tp, uint32_t path_index, uint8_t version)
{
	struct l2tp_path *path = &l2tp->path[path_index];
	const struct l2tp_group *group = &l2tp->group[path->group];

	if (!has_room(l2tp, path))
		unlink_ended(l2tp, path);
	if (!has_room(l2tp, path) || l2tp->idle_first == MODULE_NONE) {
		engine_offer(engine)->count(engine, STAT_L2TP_UNREAD);
		return MODULE_NONE;
	}
	uint32_t index = l2tp->idle_first;
	l2tp->idle_first = l2tp->tunnel[index].next;
	if (index >= l2tp->used)
		l2tp->used = index + 1;
	l2tp->tunnel[index] = (struct l2tp_tunnel){
		.next = path->first,
		.path = path_index,
		.state = TUNNEL_REQUESTED,
		.version = version,
		.requested_ms = l2tp_now(engine),
		.changed_ms = l2tp_now(engine),
		.inside_is_server = path->is_server,
		.inside_address = path->inside_address,
		.outside_address = group->outside,
		.remote_address = group->remote,
	};
	path->first = index;
	l2tp->extra += path->tunnels++ > 0;
	if (l2tp->linked++ == 0)
		engine_offer(engine)->wake_at(engine, engine_offer(engine)->now_ms(engine) + SWEEP_MS);
	engine_offer(engine)->count(engine, STAT_L2TP_TUNNELS);
	return index;
}

/* --- outside IDs --- */

/* Where several hosts use one port, no two tunnels may have the same outside ID. */
static void choose_outside_id(struct engine *engine, const struct l2tp *l2tp, struct l2tp_tunnel *tunnel)
{
	const struct l2tp_path *path = &l2tp->path[tunnel->path];
	bool is_shared =
		path->shares || (path->outside_port == L2TP_PORT && l2tp->group[path->group].sharing != MODULE_NONE);

	tunnel->outside_id = tunnel->inside_id;
	if (!is_shared || tunnel->version != 2 || tunnel->is_fixed)
		return;
	for (int tries = 0; ring_find(l2tp, path->group, tunnel->outside_id) != TABLE_NONE; tries++) {
		if (tries == ID_TRIES) {
			tunnel->outside_id = tunnel->inside_id;
			return;
		}
		do
			tunnel->outside_id = (uint16_t)engine_offer(engine)->random(engine);
		while (tunnel->outside_id == 0);
	}
}

void l2tp_tunnel_name(struct engine *engine, struct l2tp *l2tp, uint32_t index, uint32_t inside_id)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	tunnel->inside_id = inside_id;
	choose_outside_id(engine, l2tp, tunnel);
	tunnel->has_inside_id = true;
	l2tp_tunnel_enter(l2tp, index);
}

void l2tp_tunnel_rename(struct engine *engine, struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	if (!is_in_ring(tunnel))
		return;
	l2tp_tunnel_leave(l2tp, index);
	if (tunnel->state == TUNNEL_REQUESTED)
		choose_outside_id(engine, l2tp, tunnel);
	l2tp_tunnel_enter(l2tp, index);
}

/* --- life --- */

static void report(struct engine *engine, const struct l2tp *l2tp, uint32_t index, enum engine_event_kind kind)
{
	struct tunnel_view view;

	l2tp_tunnel_view(engine, l2tp, index, &view);
	engine_offer(engine)->report(engine, kind, &view);
}

void l2tp_tunnel_connect(struct engine *engine, struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];

	if (tunnel->state != TUNNEL_REQUESTED)
		return;
	tunnel->state = TUNNEL_CONNECTED;
	tunnel->changed_ms = l2tp_now(engine);
	engine_offer(engine)->count(engine, STAT_L2TP_TUNNELS_OPENED);
	report(engine, l2tp, index, EVENT_TUNNEL_UP);
}

void l2tp_tunnel_end(struct engine *engine, struct l2tp *l2tp, uint32_t index, enum tunnel_end why)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];
	bool was_up = tunnel->state == TUNNEL_CONNECTED ||
		      (tunnel->state == TUNNEL_CLOSING && tunnel->closes_as == END_STOPPED);

	if (tunnel->state == TUNNEL_ENDED)
		return;
	tunnel->is_shared = l2tp->path[tunnel->path].shares;
	tunnel->state = TUNNEL_ENDED;
	tunnel->end = (uint8_t)why;
	tunnel->changed_ms = l2tp_now(engine);
	if (was_up)
		report(engine, l2tp, index, EVENT_TUNNEL_DOWN);
}

void l2tp_tunnel_account(struct engine *engine, struct l2tp_tunnel *tunnel, enum side from, uint32_t bytes)
{
	tunnel->bytes[from] += bytes;
	tunnel->packets[from]++;
	tunnel->last_ms[from] = l2tp_now(engine);
	tunnel->alone[from] = (uint8_t)(tunnel->alone[from] + (tunnel->alone[from] < UINT8_MAX));
	tunnel->alone[!from] = 0;
}

static uint32_t silence_ms(const struct l2tp_tunnel *tunnel, uint32_t now)
{
	uint32_t silent = now - tunnel->changed_ms;

	for (int side = 0; side < SIDES; side++)
		if (tunnel->packets[side] > 0 && now - tunnel->last_ms[side] < silent)
			silent = now - tunnel->last_ms[side];
	return silent;
}

static void sweep_one(struct engine *engine, struct l2tp *l2tp, uint32_t index)
{
	struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];
	uint32_t now = l2tp_now(engine);

	switch (tunnel->state) {
	case TUNNEL_REQUESTED:
		if (now - tunnel->changed_ms >= L2TP_REQUEST_MS)
			l2tp_tunnel_end(engine, l2tp, index, END_NO_ANSWER);
		break;
	case TUNNEL_CONNECTED:
		if (silence_ms(tunnel, now) >= L2TP_IDLE_MS)
			l2tp_tunnel_end(engine, l2tp, index, END_SILENT);
		break;
	case TUNNEL_CLOSING:
		if (silence_ms(tunnel, now) >= L2TP_DRAIN_MS)
			l2tp_tunnel_end(engine, l2tp, index, (enum tunnel_end)tunnel->closes_as);
		break;
	default:
		if (tunnel->path != MODULE_NONE && silence_ms(tunnel, now) >= L2TP_DRAIN_MS)
			l2tp_tunnel_unlink(l2tp, index);
		break;
	}
}

void l2tp_tunnel_sweep(struct engine *engine, struct l2tp *l2tp)
{
	if (l2tp->linked == 0)
		return;
	engine_offer(engine)->wake_at(engine, engine_offer(engine)->now_ms(engine) + SWEEP_MS);
	for (uint32_t i = 0; i < SWEEP_PIECE && i < l2tp->tunnels; i++) {
		if (l2tp->sweep >= l2tp->tunnels)
			l2tp->sweep = 0;
		uint32_t index = l2tp->sweep++;
		if (l2tp->tunnel[index].path != MODULE_NONE)
			sweep_one(engine, l2tp, index);
	}
}

/* --- showing --- */

/* The other side must have said several things since. */
static int silent_side(const struct l2tp_tunnel *tunnel, const struct tunnel_view *view)
{
	int side = tunnel->state == TUNNEL_CONNECTED ? module_silent_side(view) : -1;

	return side >= 0 && tunnel->alone[!side] >= ALONE_MIN ? side : -1;
}

static enum tunnel_hint hint_of(const struct l2tp *l2tp, const struct l2tp_tunnel *tunnel, uint32_t age_ms)
{
	const struct l2tp_path *path = tunnel->path != MODULE_NONE ? &l2tp->path[tunnel->path] : NULL;
	bool is_waiting = tunnel->state == TUNNEL_REQUESTED && tunnel->packets[SIDE_WAN] == 0;

	if (tunnel->is_fixed)
		return path && is_waiting && path->unanswered >= L2TP_PATIENCE && path->may_share
			       ? HINT_SHARE_IMPOSSIBLE
			       : HINT_TUNNEL_ID_HIDDEN;
	if ((is_waiting && age_ms >= MODULE_SILENT_MS) || tunnel->end == END_NO_ANSWER)
		return HINT_NO_ANSWER;
	return path && path->shares && tunnel->state == TUNNEL_CONNECTED ? HINT_PORT_SHARED : HINT_NONE;
}

static void view_ports(const struct engine *engine, const struct l2tp_path *path, struct tunnel_view *view)
{
	uint32_t flow = l2tp_path_flow(engine, path, 0);
	struct flow_view ports;

	if (flow == MODULE_NONE)
		return;
	engine_offer(engine)->view_flow(engine, flow, &ports, NULL);
	view->inside_port = ports.inside_port;
	view->remote_port = ports.remote_port;
}

void l2tp_tunnel_view(const struct engine *engine, const struct l2tp *l2tp, uint32_t index, struct tunnel_view *view)
{
	static const enum tunnel_state states[] = {
		[TUNNEL_REQUESTED] = TUNNEL_IS_REQUESTED,
		[TUNNEL_CONNECTED] = TUNNEL_IS_CONNECTED,
		[TUNNEL_CLOSING] = TUNNEL_IS_CLEARING,
		[TUNNEL_ENDED] = TUNNEL_IS_ENDED,
	};
	const struct l2tp_tunnel *tunnel = &l2tp->tunnel[index];
	bool has_path = tunnel->path != MODULE_NONE && tunnel->state != TUNNEL_ENDED;
	uint32_t now = l2tp_now(engine);

	*view = (struct tunnel_view){
		.service = SERVICE_L2TP,
		.index = index,
		.kind = tunnel->version == 3 ? "L2TPv3" : "L2TP",
		.part = PART_L2TP,
		.data = tunnel->has_data ? "UDP" : "",
		.inside_address = tunnel->inside_address,
		.outside_address = tunnel->outside_address,
		.remote_address = tunnel->remote_address,
		.inside_is_server = tunnel->inside_is_server,
		.has_inside_id = tunnel->has_inside_id,
		.has_remote_id = tunnel->has_remote_id,
		.inside_id = tunnel->inside_id,
		.outside_id = tunnel->outside_id,
		.remote_id = tunnel->remote_id,
		.state = states[tunnel->state],
		.inside_name = tunnel->inside_name[0] ? tunnel->inside_name : NULL,
		.remote_name = tunnel->remote_name[0] ? tunnel->remote_name : NULL,
		.is_shared = has_path ? l2tp->path[tunnel->path].shares : tunnel->is_shared,
		.sessions = tunnel->sessions,
		.inside_session = tunnel->inside_session,
		.remote_session = tunnel->remote_session,
		.hint = hint_of(l2tp, tunnel, now - tunnel->requested_ms),
		.end = (enum tunnel_end)tunnel->end,
		.age_ms = now - tunnel->requested_ms,
	};
	for (int side = 0; side < SIDES; side++) {
		view->bytes[side] = tunnel->bytes[side];
		view->packets[side] = tunnel->packets[side];
		view->last_ms[side] = now - tunnel->last_ms[side];
	}
	view->silent = silent_side(tunnel, view);
	if (has_path)
		view_ports(engine, &l2tp->path[tunnel->path], view);
}
