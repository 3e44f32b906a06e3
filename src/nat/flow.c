/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening, finding and closing flows. */
#include "nat/flow.h"

#include <culvert/module.h>

#include "nat/host.h"
#include "nat/life.h"
#include "nat/mapping.h"
#include "nat/tcp.h"

struct flow_match {
	const struct flow *flow;
	const struct host *host;
	const struct flow_key *key;
};

uint64_t flow_hash(const struct engine *engine, const struct flow_key *key)
{
	uint64_t a = address_words(key->local, key->remote);
	uint64_t b = (uint64_t)key->local_port << 32 | (uint64_t)key->remote_port << 16 | (uint64_t)key->by << 8 |
		     key->protocol;

	return siphash(&engine->header->hash_key, a, b);
}

static uint64_t peer_hash(const struct engine *engine, uint32_t mapping, struct address remote_address)
{
	return siphash(&engine->header->hash_key, (uint64_t)mapping << 32 | address_word(remote_address), 1);
}

static inline bool ports_match(const struct flow *flow, uint16_t local_port, const struct flow_key *key)
{
	if (flow->flags & FLOW_SA)
		return key->by != BY_PORTS &&
		       flow->spi[key->by == BY_LOCAL_ID ? SIDE_WAN : SIDE_LAN] == flow_key_spi(key);
	switch (key->by) {
	case BY_PORTS:
		return local_port == key->local_port && flow->remote_port == key->remote_port &&
		       !(flow->flags & FLOW_CALL);
	case BY_LOCAL_ID:
		return (flow->flags & FLOW_CALL) && local_port == key->local_port;
	default:
		return (flow->flags & FLOW_ANSWERED) && flow->remote_port == key->remote_port;
	}
}

static bool match_outbound(const void *context, uint32_t index)
{
	const struct flow_match *match = context;
	const struct flow *flow = &match->flow[index];

	return address_equal(match->host[flow->host].address, match->key->local) &&
	       address_equal(flow->remote_address, match->key->remote) && flow->protocol == match->key->protocol &&
	       ports_match(flow, flow->inside_port, match->key);
}

static bool match_inbound(const void *context, uint32_t index)
{
	const struct flow_match *match = context;
	const struct flow *flow = &match->flow[index];

	return address_equal(flow->outside_address, match->key->local) &&
	       address_equal(flow->remote_address, match->key->remote) && flow->protocol == match->key->protocol &&
	       ports_match(flow, flow->outside_port, match->key);
}

/* False for one that has expired, which is noted. If there are too many the latest are: what was looked up last is what
 * a new flow may take the place of. */
static bool is_alive(struct engine *engine, uint32_t index)
{
	if (!is_expired(engine->flow[index].deadline, engine->now_ms))
		return true;
	engine->expired[engine->expireds++ % EXPIRED_MAX] = index;
	return false;
}

static uint32_t alive_or_none(struct engine *engine, uint32_t index)
{
	return index != NONE && is_alive(engine, index) ? index : NONE;
}

uint32_t flow_find_outbound(struct engine *engine, const struct flow_key *inside_key, uint64_t hash)
{
	struct flow_match match = {engine->flow, engine->host, inside_key};

	return alive_or_none(engine, table_find(&engine->flow_out, hash, match_outbound, &match));
}

uint32_t flow_find_inbound(struct engine *engine, const struct flow_key *outside_key, uint64_t hash)
{
	struct flow_match match = {engine->flow, engine->host, outside_key};

	return alive_or_none(engine, table_find(&engine->flow_in, hash, match_inbound, &match));
}

static struct flow_key key_at(const struct flow *flow, enum key_by by, struct address local, uint16_t local_port)
{
	struct flow_key key = {
		.local = local,
		.remote = flow->remote_address,
		.local_port = by == BY_REMOTE_ID ? 0 : local_port,
		.remote_port = by == BY_LOCAL_ID ? 0 : flow->remote_port,
		.protocol = flow->protocol,
		.by = (uint8_t)by,
	};

	if (flow->flags & FLOW_SA)
		flow_key_take_spi(&key, flow->spi[by == BY_LOCAL_ID ? SIDE_WAN : SIDE_LAN]);
	return key;
}

struct flow_key flow_inside_key(const struct engine *engine, const struct flow *flow, enum key_by by)
{
	return key_at(flow, by, host_address(engine, flow->host), flow->inside_port);
}

struct flow_key flow_outside_key(const struct flow *flow, enum key_by by)
{
	return key_at(flow, by, flow->outside_address, flow->outside_port);
}

bool flow_has_key(const struct flow *flow, enum key_by by)
{
	if (flow->flags & FLOW_SA)
		return by != BY_PORTS && flow->spi[by == BY_LOCAL_ID ? SIDE_WAN : SIDE_LAN] != 0;
	if (flow->flags & FLOW_CALL)
		return by == BY_LOCAL_ID || (by == BY_REMOTE_ID && (flow->flags & FLOW_ANSWERED));
	return by == BY_PORTS;
}

/* One kind of key, into both tables or out of them. */
static void enter_keys(struct engine *engine, uint32_t index, enum key_by by)
{
	const struct flow *flow = &engine->flow[index];
	struct flow_key inside = flow_inside_key(engine, flow, by), outside = flow_outside_key(flow, by);

	table_insert(&engine->flow_out, flow_hash(engine, &inside), index);
	table_insert(&engine->flow_in, flow_hash(engine, &outside), index);
}

static void leave_keys(struct engine *engine, uint32_t index, enum key_by by)
{
	const struct flow *flow = &engine->flow[index];
	struct flow_key inside = flow_inside_key(engine, flow, by), outside = flow_outside_key(flow, by);

	table_remove(&engine->flow_out, flow_hash(engine, &inside), index);
	table_remove(&engine->flow_in, flow_hash(engine, &outside), index);
}

/* --- the ring of flows with equal mapping and remote address --- */

struct peer_match {
	const struct flow *flow;
	uint32_t mapping;
	struct address remote_address;
};

static bool match_peer(const void *context, uint32_t index)
{
	const struct peer_match *match = context;
	const struct flow *flow = &match->flow[index];

	return flow->mapping == match->mapping && address_equal(flow->remote_address, match->remote_address);
}

static uint32_t peer_find(const struct engine *engine, uint32_t mapping, struct address remote_address)
{
	struct peer_match match = {engine->flow, mapping, remote_address};

	return table_find(&engine->peer, peer_hash(engine, mapping, remote_address), match_peer, &match);
}

static void peer_join(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];
	uint32_t first = peer_find(engine, flow->mapping, flow->remote_address);

	if (first == NONE) {
		flow->peer_next = flow->peer_previous = index;
		table_insert(&engine->peer, peer_hash(engine, flow->mapping, flow->remote_address), index);
		return;
	}
	uint32_t last = engine->flow[first].peer_previous;
	flow->peer_next = first;
	flow->peer_previous = last;
	engine->flow[first].peer_previous = index;
	engine->flow[last].peer_next = index;
}

static void peer_leave(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];
	uint64_t hash = peer_hash(engine, flow->mapping, flow->remote_address);

	if (flow->peer_next == index) {
		table_remove(&engine->peer, hash, index);
		return;
	}
	engine->flow[flow->peer_next].peer_previous = flow->peer_previous;
	engine->flow[flow->peer_previous].peer_next = flow->peer_next;
	/* If this flow stood in the table for the ring, the next one does now; otherwise nothing is found here. */
	table_replace(&engine->peer, hash, index, flow->peer_next);
}

uint32_t flow_mapping_peer(const struct engine *engine, uint32_t mapping, struct address remote_address)
{
	return peer_find(engine, mapping, remote_address);
}

bool flow_mapping_knows_peer(struct engine *engine, uint32_t mapping, struct address remote_address)
{
	uint32_t first = peer_find(engine, mapping, remote_address), index = first;

	if (first == NONE)
		return false;
	do {
		if (is_alive(engine, index))
			return true;
		index = engine->flow[index].peer_next;
	} while (index != first);
	return false;
}

/* --- the ring of all flows of a mapping --- */

static void sibling_join(struct engine *engine, uint32_t index)
{
	struct mapping *mapping = &engine->mapping[engine->flow[index].mapping];
	struct sibling *sibling = engine->sibling;

	if (mapping->first == NONE) {
		sibling[index].next = sibling[index].previous = index;
	} else {
		sibling[index].next = mapping->first;
		sibling[index].previous = sibling[mapping->first].previous;
		sibling[sibling[index].previous].next = index;
		sibling[mapping->first].previous = index;
	}
	mapping->first = index;
}

static void sibling_leave(struct engine *engine, uint32_t index)
{
	struct mapping *mapping = &engine->mapping[engine->flow[index].mapping];
	struct sibling *sibling = engine->sibling;

	if (sibling[index].next == index) {
		mapping->first = NONE;
		return;
	}
	sibling[sibling[index].next].previous = sibling[index].previous;
	sibling[sibling[index].previous].next = sibling[index].next;
	if (mapping->first == index)
		mapping->first = sibling[index].next;
}

bool flow_mapping_is_alive(struct engine *engine, uint32_t mapping)
{
	const struct mapping *record = &engine->mapping[mapping];
	uint32_t index = record->first;

	if (!record->live)
		return false;
	do {
		if (is_alive(engine, index))
			return true;
		index = engine->sibling[index].next;
	} while (index != record->first);
	return false;
}

/* --- special flows --- */

bool flow_is_special(const struct flow *flow)
{
	bool has_ports = protocol_has_ports(flow->protocol);

	if ((flow->flags & FLOW_BY_ID) || flow->control != 0 ||
	    part_claiming(flow->protocol, has_ports ? flow->remote_port : 0) != PART_NONE)
		return true;
	return (flow->flags & FLOW_FORWARD) &&
	       (!has_ports || part_claiming(flow->protocol, flow->outside_port) != PART_NONE);
}

void flow_mark_special(struct engine *engine, uint32_t index)
{
	engine->special[index / WORD_BITS] |= UINT64_C(1) << (index % WORD_BITS);
}

static void unmark_special(struct engine *engine, uint32_t index)
{
	engine->special[index / WORD_BITS] &= ~(UINT64_C(1) << (index % WORD_BITS));
}

uint32_t flow_next_special(const struct engine *engine, uint32_t index)
{
	uint32_t used = engine->header->flow_used;

	while (index < used) {
		uint64_t rest = engine->special[index / WORD_BITS] >> (index % WORD_BITS);
		if (rest != 0) {
			index += (uint32_t)__builtin_ctzll(rest);
			return index < used ? index : NONE;
		}
		index = (index / WORD_BITS + 1) * WORD_BITS;
	}
	return NONE;
}

/* --- opening and closing --- */

bool flow_has_room(const struct engine *engine)
{
	const struct arena_header *header = engine->header;

	return header->flow_free != NONE || header->flow_used < header->limits.flows;
}

static uint32_t take_record(struct engine *engine)
{
	struct arena_header *header = engine->header;
	uint32_t index = header->flow_free;

	if (index != NONE)
		header->flow_free = engine->flow[index].mapping;
	else if (header->flow_used < header->limits.flows)
		index = header->flow_used++;
	return index;
}

/* Puts a whole record into every table and ring. */
static void enter_tables(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];

	for (int by = BY_PORTS; by <= BY_REMOTE_ID; by++)
		if (flow_has_key(flow, (enum key_by)by))
			enter_keys(engine, index, (enum key_by)by);
	if (flow->mapping != NONE) {
		sibling_join(engine, index);
		peer_join(engine, index);
	}
	if (flow_is_special(flow))
		flow_mark_special(engine, index);
	else
		unmark_special(engine, index);
	engine->counters->flows++;
}

uint32_t flow_open(struct engine *engine, const struct flow *identity, enum drop *why)
{
	if (!host_take(engine, identity, why))
		return NONE;
	uint32_t index = take_record(engine);
	if (index == NONE) {
		*why = DROP_FLOWS_EXHAUSTED;
		host_release(engine, identity);
		return NONE;
	}
	struct flow *flow = &engine->flow[index];
	*flow = *identity;
	flow->flags &= (uint8_t)~FLOW_LIVE;
	engine->track[index] = (union flow_track){.tcp = {{{0}}}};
	engine->sibling[index].opened = (uint32_t)(engine->now_ms / TENTH_MS);
	enter_tables(engine, index);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	flow->flags |= FLOW_LIVE;
	count(engine, STAT_FLOWS_CREATED);
	return index;
}

void flow_answer(struct engine *engine, uint32_t index, uint16_t remote_id)
{
	struct flow *flow = &engine->flow[index];

	if (flow->flags & FLOW_ANSWERED)
		leave_keys(engine, index, BY_REMOTE_ID);
	flow->remote_port = remote_id;
	flow->flags |= FLOW_ANSWERED;
	enter_keys(engine, index, BY_REMOTE_ID);
}

void flow_forget_answer(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];

	if (!(flow->flags & FLOW_ANSWERED))
		return;
	leave_keys(engine, index, BY_REMOTE_ID);
	flow->flags &= (uint8_t)~FLOW_ANSWERED;
}

void flow_take_spi(struct engine *engine, uint32_t index, enum side from, uint32_t spi)
{
	struct flow *flow = &engine->flow[index];
	enum key_by by = from == SIDE_WAN ? BY_LOCAL_ID : BY_REMOTE_ID;

	if (flow->spi[from] != 0)
		leave_keys(engine, index, by);
	flow->spi[from] = spi;
	if (spi != 0)
		enter_keys(engine, index, by);
}

void flow_remove(struct engine *engine, uint32_t index)
{
	struct flow *flow = &engine->flow[index];

	flow->flags &= (uint8_t)~FLOW_LIVE;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	for (int by = BY_PORTS; by <= BY_REMOTE_ID; by++)
		if (flow_has_key(flow, (enum key_by)by))
			leave_keys(engine, index, (enum key_by)by);
	if (flow->mapping != NONE) {
		peer_leave(engine, index);
		sibling_leave(engine, index);
		mapping_release(engine, flow->mapping, flow->tcp_state == TCP_STATE_CLOSED);
	}
	host_release(engine, flow);
	flow->mapping = engine->header->flow_free;
	engine->header->flow_free = index;
	engine->counters->flows--;
	count(engine, STAT_FLOWS_CLOSED);
}

/* Several inside hosts may have to send from one port towards a server that answers to no other. */
uint16_t flow_port_used(const struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];
	bool is_read = flow->protocol == PROTOCOL_UDP && flow->control != 0;

	return is_read && engine->track[index].udp.shared_port != 0 ? engine->track[index].udp.shared_port
								    : flow->outside_port;
}

/* Since the last packet that kept the flow alive, as its timer tells, or a call's or an SA's memory of packets. */
static uint32_t idle_ms(const struct engine *engine, uint32_t index, uint32_t now_ms)
{
	const struct flow *flow = &engine->flow[index];
	const struct call_track *call = &engine->track[index].call;
	uint32_t left = flow->deadline - now_ms, timeout = engine->config.timeout[flow->timeout], idle = UINT32_MAX;

	if (!(flow->flags & FLOW_BY_ID))
		return left < timeout ? timeout - left : 0;
	for (int side = 0; side < SIDES; side++)
		if (flow->packets[side] != 0 && now_ms - call->last_ms[side] < idle)
			idle = now_ms - call->last_ms[side];
	return idle;
}

void flow_view_of(const struct engine *engine, uint32_t index, uint64_t now_ms, struct flow_view *view)
{
	const struct flow *flow = &engine->flow[index];
	uint32_t tenths = (uint32_t)(now_ms / TENTH_MS) - engine->sibling[index].opened;
	uint64_t age_ms = (uint64_t)tenths * TENTH_MS;
	uint32_t idle = idle_ms(engine, index, (uint32_t)now_ms);

	*view = (struct flow_view){
		.index = index,
		.protocol = flow->protocol,
		.tcp_state = flow->tcp_state,
		.hairpin = (flow->flags & FLOW_HAIRPIN) != 0,
		.inside_is_server = (flow->flags & FLOW_FORWARD) != 0,
		.inside_address = host_address(engine, flow->host),
		.outside_address = flow->outside_address,
		.remote_address = flow->remote_address,
		.inside_port = flow->inside_port,
		.outside_port = flow->outside_port,
		.remote_port = flow->remote_port,
		.bytes = {flow->bytes[SIDE_LAN], flow->bytes[SIDE_WAN]},
		.packets = {flow->packets[SIDE_LAN], flow->packets[SIDE_WAN]},
		.expires_ms = flow->deadline - (uint32_t)now_ms,
		.age_ms = age_ms,
		.idle_ms = idle < age_ms ? idle : (uint32_t)age_ms,
	};
}

/* --- recovery --- */

static bool flow_is_whole(const struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];
	bool is_tcp = flow->protocol == PROTOCOL_TCP, is_call = (flow->flags & FLOW_CALL) != 0;
	bool is_sa = (flow->flags & FLOW_SA) != 0;

	if (!(flow->flags & FLOW_LIVE) || !outside_find(engine, flow->outside_address) ||
	    flow->host >= engine->header->host_used || !engine->host[flow->host].live)
		return false;
	if (flow->timeout >= TIMEOUTS || flow->phase > FLOW_CLOSING ||
	    (is_tcp && !tcp_is_whole(flow, &engine->track[index].tcp)))
		return false;
	if ((is_call && flow->protocol != PROTOCOL_GRE) || (!is_call && (flow->flags & FLOW_ANSWERED)))
		return false;
	if (is_sa && (is_call || flow->protocol != PROTOCOL_ESP || flow->mapping != NONE))
		return false;
	if (flow->mapping == NONE)
		return port_space(flow->protocol) < 0;
	if (flow->mapping >= engine->header->mapping_used)
		return false;
	const struct mapping *mapping = &engine->mapping[flow->mapping];
	return mapping->live && mapping->protocol == flow->protocol && mapping->host == flow->host &&
	       mapping->inside_port == flow->inside_port &&
	       address_equal(mapping->outside_address, flow->outside_address) &&
	       mapping->outside_port == flow->outside_port;
}

/* One that was taken before has the same key. */
static bool flow_key_is_known(struct engine *engine, const struct flow *flow, enum key_by by)
{
	struct flow_key inside = flow_inside_key(engine, flow, by), outside = flow_outside_key(flow, by);
	struct flow_match by_inside = {engine->flow, engine->host, &inside},
			  by_outside = {engine->flow, engine->host, &outside};

	return table_find(&engine->flow_out, flow_hash(engine, &inside), match_outbound, &by_inside) != NONE ||
	       table_find(&engine->flow_in, flow_hash(engine, &outside), match_inbound, &by_outside) != NONE;
}

/* What the remote end chose may be the same for several flows; ours may not. */
static bool flow_is_known(struct engine *engine, const struct flow *flow)
{
	enum key_by by = flow->flags & FLOW_BY_ID ? BY_LOCAL_ID : BY_PORTS;

	return flow_has_key(flow, by) && flow_key_is_known(engine, flow, by);
}

uint32_t flow_recover(struct engine *engine)
{
	struct arena_header *header = engine->header;
	enum drop why;

	table_clear(&engine->flow_out);
	table_clear(&engine->flow_in);
	table_clear(&engine->peer);
	host_recover(engine);
	mapping_recover(engine);
	header->flow_free = NONE;
	engine->counters->flows = 0;
	for (uint32_t index = header->flow_used; index-- > 0;) {
		struct flow *flow = &engine->flow[index];
		if (!flow_is_whole(engine, index) || flow_is_known(engine, flow) || !host_take(engine, flow, &why)) {
			flow->flags = 0;
			flow->mapping = header->flow_free;
			header->flow_free = index;
			continue;
		}
		enter_tables(engine, index);
	}
	for (uint32_t index = 0; index < header->mapping_used; index++)
		if (engine->mapping[index].live)
			mapping_release(engine, index, false);
	host_recovered(engine);
	return engine->counters->flows;
}
