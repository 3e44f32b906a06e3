/* SPDX-License-Identifier: BSD-2-Clause */
/* Every table against every other one: what must be true between two packets. */
#include "engine_check.h"

#include "nat/configure.h"
#include "nat/flow.h"
#include "nat/fragment_store.h"
#include "nat/host.h"
#include "nat/mapping.h"

static const char *check_mapping_of(const struct engine *engine, const struct flow *flow)
{
	if (flow->mapping == NONE)
		return port_space(flow->protocol) < 0 ? NULL : "a flow with ports has no mapping";
	if (flow->mapping >= engine->header->mapping_used || !engine->mapping[flow->mapping].live)
		return "a flow's mapping is not live";
	const struct mapping *mapping = &engine->mapping[flow->mapping];
	if (mapping->protocol != flow->protocol || mapping->host != flow->host ||
	    mapping->inside_port != flow->inside_port ||
	    !address_equal(mapping->outside_address, flow->outside_address) ||
	    mapping->outside_port != flow->outside_port)
		return "a flow and its mapping disagree";
	return NULL;
}

static bool match_index(const void *context, uint32_t index)
{
	return *(const uint32_t *)context == index;
}

static bool is_in_tables(const struct engine *engine, uint32_t index, enum key_by by)
{
	struct flow_key key = flow_inside_key(engine, &engine->flow[index], by);

	if (table_find(&engine->flow_out, flow_hash(engine, &key), match_index, &index) == NONE)
		return false;
	key = flow_outside_key(&engine->flow[index], by);
	return table_find(&engine->flow_in, flow_hash(engine, &key), match_index, &index) != NONE;
}

static const char *check_flow(const struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	if (flow->host >= engine->header->host_used || !engine->host[flow->host].live)
		return "a flow's host is not live";
	for (int by = BY_PORTS; by <= BY_REMOTE_ID; by++)
		if (flow_has_key(flow, (enum key_by)by) && !is_in_tables(engine, index, (enum key_by)by))
			return "a flow is not found by its key";
	if (!outside_find(engine, flow->outside_address))
		return "a flow's outside address is not ours";
	if (flow_is_special(flow) && flow_next_special(engine, index) != index)
		return "a special flow is not marked";
	if (engine->follows_config && !is_expired(flow->deadline, engine->now_ms) && !configure_allows(engine, flow))
		return "a flow was not ended with a change of the configuration";
	if (flow->mapping != NONE && engine->sibling[engine->sibling[index].next].previous != index)
		return "the ring of a mapping's flows is broken";
	if (flow->mapping != NONE && engine->flow[flow->peer_next].peer_previous != index)
		return "the ring of flows to one peer is broken";
	return check_mapping_of(engine, flow);
}

static const char *check_flows(const struct engine *engine)
{
	uint32_t live = 0, idle = 0;

	for (uint32_t i = 0; i < engine->header->flow_used; i++) {
		if (!(engine->flow[i].flags & FLOW_LIVE))
			continue;
		live++;
		const char *wrong = check_flow(engine, i);
		if (wrong)
			return wrong;
	}
	for (uint32_t i = engine->header->flow_free; i != NONE && idle <= engine->header->flow_used;
	     i = engine->flow[i].mapping)
		idle++;
	if (live != engine->counters->flows)
		return "the number of flows is wrong";
	return live + idle == engine->header->flow_used ? NULL : "flow records are lost";
}

static const char *check_mappings(const struct engine *engine)
{
	uint32_t live = 0, siblings = 0;

	for (uint32_t i = 0; i < engine->header->mapping_used; i++) {
		const struct mapping *mapping = &engine->mapping[i];
		if (!mapping->live)
			continue;
		live++;
		const struct outside *outside = outside_find(engine, mapping->outside_address);
		if (!outside)
			return "a mapping's outside address is not ours";
		if (mapping_at(outside, mapping->protocol, mapping->outside_port) != i)
			return "a mapping does not own its outside port";
		if (mapping->first == NONE)
			return "a mapping has no flow";
		uint32_t at = mapping->first;
		do {
			if (engine->flow[at].mapping != i || ++siblings > engine->counters->flows)
				return "the ring of a mapping holds a foreign flow";
			at = engine->sibling[at].next;
		} while (at != mapping->first);
	}
	return live == engine->counters->mappings ? NULL : "the number of mappings is wrong";
}

static const char *check_ports(const struct engine *engine)
{
	uint32_t taken = 0, resting = 0;

	for (uint32_t i = 0; i < engine->header->outside_count; i++) {
		const struct outside *outside = &engine->outside[engine->header->outside_order[i]];
		for (int space = 0; space < SPACES; space++) {
			uint32_t here = 0;
			for (uint32_t port = 0; port < 65536; port++) {
				bool rests = (outside->port[space][port] & PORT_RESTING) != 0;
				resting += rests;
				here += outside->port[space][port] != 0 && !rests;
			}
			if (here != outside->taken[space])
				return "the number of ports taken of an outside address is wrong";
			taken += here;
		}
	}
	if (resting != engine->header->resting)
		return "the number of resting ports is wrong";
	return taken == engine->counters->mappings ? NULL : "an outside port is taken by no mapping";
}

static const char *check_hosts(const struct engine *engine)
{
	uint32_t live = 0;
	uint64_t flows = 0, inbound = 0;

	for (uint32_t i = 0; i < engine->header->host_used; i++) {
		const struct host *host = &engine->host[i];
		const struct host_use *use = &engine->host_use[i];
		if (!host->live)
			continue;
		live++;
		flows += use->flows;
		inbound += use->inbound;
		if (host_find(engine, host->address) != i)
			return "a host is not found by its address";
		if (use->flows == 0 || host->held != 0)
			return "a host without a flow is not forgotten";
		if (host_inside(engine, host->address) != &engine->config.inside[host->inside])
			return "a host is not where its network is";
	}
	if (live != engine->counters->hosts)
		return "the number of hosts is wrong";
	if (inbound != engine->header->inbound)
		return "hosts disagree about flows opened by remote ends";
	return flows == engine->counters->flows ? NULL : "hosts and flows disagree";
}

static const char *check_fragments(const struct engine *engine)
{
	uint64_t held[SIDES] = {engine->header->kept[SIDE_LAN] + engine->waiting[SIDE_LAN],
				engine->header->kept[SIDE_WAN] + engine->waiting[SIDE_WAN]};
	uint32_t used = 0;

	for (uint32_t i = 0; i < fragment_store_sets(engine); i++) {
		const struct fragment_set *set = &engine->set[i];
		if (set->state == SET_FREE)
			continue;
		used++;
		held[set->side] += set->held_count;
		if (set->state != SET_WAITING && set->held_count > 0)
			return "a set whose fate is known still holds fragments";
	}
	if (used != engine->header->sets_used)
		return "the number of fragment sets is wrong";
	if (held[SIDE_LAN] != engine->counters->held[SIDE_LAN] || held[SIDE_WAN] != engine->counters->held[SIDE_WAN])
		return "the number of held fragments is wrong";
	return NULL;
}

static const char *check_sums(const struct engine *engine)
{
	const struct engine_counters *counters = engine->counters;

	for (int side = 0; side < SIDES; side++) {
		uint64_t sum = counters->forwarded[side] + counters->consumed[side] + counters->held[side];
		for (int reason = 1; reason < DROPS; reason++)
			sum += counters->dropped[side][reason];
		if (sum != counters->received[side])
			return "received is not forwarded + consumed + held + dropped";
	}
	return NULL;
}

const char *engine_check(const struct engine *engine)
{
	static const char *(*const checks[])(const struct engine *) = {
		check_sums, check_flows, check_mappings, check_hosts, check_fragments, check_ports,
	};

	for (unsigned i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const char *wrong = checks[i](engine);
		if (wrong)
			return wrong;
	}
	return NULL;
}
