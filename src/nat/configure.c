/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes while running: another configuration, other outside addresses, and what either would end.
 *
 * Whether a flow fits a configuration is asked in one place, flow_fate(). engine_configure() closes the flows that do
 * not; a rehearsal is a second handle on the same arena with the other configuration, so that both always agree.
 * Looking at every flow takes milliseconds where there are many, and packets wait meanwhile. So a change looks at those
 * only that it may end: the special ones (flow.h), and those of ports that become the host's or that forwards had.
 */
#include "nat/configure.h"

#include <string.h>

#include <culvert/module.h>
#include <culvert/rehearsal.h>

#include "nat/flow.h"
#include "nat/fragment.h"
#include "nat/host.h"
#include "nat/life.h"
#include "nat/mapping.h"
#include "nat/passages.h"
#include "nat/reader.h"
#include "nat/sa.h"

enum { MTU_MIN = 68, FIRST_PORT = 1024 };

struct rehearsal {
	struct engine engine; /* the tables of the real one with the other configuration; nothing is ever changed */
};

/* A link of less cannot carry IPv4 (RFC 791 section 3.2), but may be asked to. */
static uint32_t sane_mtu(uint32_t mtu)
{
	return mtu < MTU_MIN ? MTU_MIN : mtu > PACKET_LENGTH_MAX ? PACKET_LENGTH_MAX : mtu;
}

static uint32_t count_usable(const struct engine *engine, enum port_space space)
{
	const uint64_t *host = host_ports(engine, space)->bits, *forwarded = engine->forwarded[space].bits;
	uint32_t usable = 0;

	for (uint32_t i = FIRST_PORT / WORD_BITS; i < 65536 / WORD_BITS; i++) {
		uint64_t taken = host[i] | forwarded[i];
		for (usable += WORD_BITS; taken != 0; taken &= taken - 1)
			usable--;
	}
	return usable;
}

void configure_adopt(struct engine *engine, const struct engine_config *config)
{
	engine->config = *config;
	for (int i = 0; i < PREFIXES_MAX; i++)
		engine->config.inside[i].mtu = sane_mtu(config->inside[i].mtu);
	engine->config.wan_mtu = sane_mtu(config->wan_mtu);
	memset(engine->forwarded, 0, sizeof(engine->forwarded));
	for (uint32_t i = 0; i < config->forwards; i++) {
		const struct forward *forward = &config->forward[i];
		int space = port_space(forward->protocol);
		for (uint32_t port = forward->port_first;
		     space >= 0 && space != SPACE_ICMP && port <= forward->port_last; port++)
			port_set_add(&engine->forwarded[space], (uint16_t)port);
	}
	for (int space = SPACE_TCP; space <= SPACE_UDP; space++)
		engine->usable_ports[space] = count_usable(engine, (enum port_space)space);
	enum part esp = part_claiming(PROTOCOL_ESP, 0);
	engine->tells_calls = config->mode[part_claiming(PROTOCOL_GRE, 0)] != MODE_PLAIN;
	engine->tells_sas = config->mode[esp] == MODE_PASS && engine->module[service_of_part(esp)];
	engine->any_blocked = false;
	for (int part = 0; part < PARTS; part++)
		engine->any_blocked |= config->mode[part] == MODE_BLOCK;
}

/* --- another configuration --- */

static bool leads_to(const struct engine *engine, uint8_t protocol, uint16_t outside_port,
		     struct address inside_address, uint16_t inside_port)
{
	bool has_ports = protocol_has_ports(protocol);
	const struct forward *forward = forward_find(engine, protocol, has_ports ? outside_port : 0);

	return forward && address_equal(forward->to_address, inside_address) &&
	       (!has_ports || inside_port == (uint16_t)(forward->to_port + (outside_port - forward->port_first)));
}

/* What the modes and forwards say of a flow. */
static enum flow_end service_fate(const struct engine *engine, const struct flow *flow)
{
	struct passage passage = {.ip = {.protocol = flow->protocol}, .from = SIDE_WAN};

	if (flow->flags & FLOW_CALL) {
		enum service_mode mode = engine->config.mode[part_claiming(flow->protocol, 0)];
		return mode == MODE_PASS ? FLOW_STAYS : mode == MODE_BLOCK ? FLOW_END_BLOCKED : FLOW_END_MODE;
	}
	passage.transport.gre.is_enhanced = (flow->flags & FLOW_ENHANCED) != 0;
	passage.transport.source_port = flow->remote_port;
	passage.transport.destination_port = flow->outside_port;
	if (!(flow->flags & FLOW_FORWARD))
		passage.transport.destination_port = 0;
	if (passage_refusal(engine, &passage) != DROP_NONE)
		return FLOW_END_BLOCKED;
	/* ESP of one host for each remote address, and ESP told apart by SPI, do not go together. */
	if (flow->protocol == PROTOCOL_ESP && ((flow->flags & FLOW_SA) != 0) != engine->tells_sas)
		return FLOW_END_MODE;
	if ((flow->flags & FLOW_FORWARD) &&
	    !leads_to(engine, flow->protocol, flow->outside_port, host_address(engine, flow->host), flow->inside_port))
		return FLOW_END_FORWARD;
	return FLOW_STAYS;
}

/* What the engine's configuration says of a flow. */
static enum flow_end flow_fate(const struct engine *engine, const struct flow *flow)
{
	bool is_ordinary = !(flow->flags & FLOW_FORWARD) && !flow_is_special(flow);
	enum flow_end fate = is_ordinary ? FLOW_STAYS : service_fate(engine, flow);

	if (fate != FLOW_STAYS)
		return fate;
	return port_is_of_host(engine, flow->protocol, flow->outside_port) ? FLOW_END_HOST_PORT : FLOW_STAYS;
}

bool configure_allows(const struct engine *engine, const struct flow *flow)
{
	enum flow_end fate = flow_fate(engine, flow);

	/* The next change ends those of a port that is, by mistake, the host's and forwarded, and hairpins from a port
	 * that would be blocked in the WAN. */
	if (fate == FLOW_END_HOST_PORT)
		return port_set_has(&engine->forwarded[port_space(flow->protocol)], flow->outside_port);
	return fate == FLOW_STAYS || (fate == FLOW_END_BLOCKED && (flow->flags & FLOW_HAIRPIN));
}

/* Ends the flow if the configuration says so. What has expired is gone already and not counted, as in a rehearsal. */
static bool judge(struct engine *engine, uint32_t index)
{
	const struct flow *flow = &engine->flow[index];

	if (!(flow->flags & FLOW_LIVE))
		return false;
	if (is_expired(flow->deadline, engine->now_ms)) {
		life_end(engine, index);
		return false;
	}
	if (flow->control != 0)
		reader_follow_mode(engine, index);
	enum flow_end fate = flow_fate(engine, flow);
	if (fate == FLOW_STAYS)
		return false;
	engine->is_blocking = fate == FLOW_END_BLOCKED;
	life_end(engine, index);
	engine->is_blocking = false;
	return true;
}

static uint32_t judge_all(struct engine *engine)
{
	uint32_t ended = 0;

	for (uint32_t i = 0; i < engine->header->flow_used; i++)
		ended += judge(engine, i);
	return ended;
}

static uint32_t judge_special(struct engine *engine)
{
	uint32_t ended = 0;

	for (uint32_t i = flow_next_special(engine, 0); i != NONE; i = flow_next_special(engine, i + 1))
		ended += judge(engine, i);
	return ended;
}

/* The ports whose flows the next configuration may end: those that become the host's, and those of forwards. */
static void ports_in_question(const struct engine *engine, const struct engine_config *next, struct port_set ports[2])
{
	const struct port_set *before[] = {&engine->config.host_tcp, &engine->config.host_udp};
	const struct port_set *host[] = {&next->host_tcp, &next->host_udp};

	for (int space = SPACE_TCP; space <= SPACE_UDP; space++)
		for (uint32_t i = 0; i < 65536 / WORD_BITS; i++)
			ports[space].bits[i] =
				(host[space]->bits[i] & ~before[space]->bits[i]) | engine->forwarded[space].bits[i];
}

/* What a port says of a mapping's flows is the same for all of them that a forward has opened, and often nothing. */
static bool port_may_end(const struct engine *engine, const struct mapping *mapping)
{
	return port_is_of_host(engine, mapping->protocol, mapping->outside_port) ||
	       !leads_to(engine, mapping->protocol, mapping->outside_port, host_address(engine, mapping->host),
			 mapping->inside_port);
}

static uint32_t judge_mapping(struct engine *engine, uint32_t mapping)
{
	uint32_t at = engine->mapping[mapping].first, last = engine->sibling[at].previous, ended = 0;

	for (;;) {
		uint32_t next = engine->sibling[at].next;
		ended += judge(engine, at);
		if (at == last)
			return ended;
		at = next;
	}
}

static uint32_t judge_port(struct engine *engine, uint8_t protocol, uint16_t port)
{
	uint32_t ended = 0;

	for (uint32_t i = 0; i < engine->header->outside_count; i++) {
		const struct outside *outside = &engine->outside[engine->header->outside_order[i]];
		uint32_t mapping = mapping_at(outside, protocol, port);
		if (mapping != NONE && port_may_end(engine, &engine->mapping[mapping]))
			ended += judge_mapping(engine, mapping);
	}
	return ended;
}

static uint32_t judge_ports(struct engine *engine, const struct port_set ports[2])
{
	static const uint8_t protocol_of_space[] = {[SPACE_TCP] = PROTOCOL_TCP, [SPACE_UDP] = PROTOCOL_UDP};
	uint32_t ended = 0;

	for (int space = SPACE_TCP; space <= SPACE_UDP; space++)
		for (uint32_t i = 0; i < 65536 / WORD_BITS; i++)
			for (uint64_t bits = ports[space].bits[i]; bits != 0; bits &= bits - 1)
				ended += judge_port(engine, protocol_of_space[space],
						    (uint16_t)(i * WORD_BITS + (uint32_t)__builtin_ctzll(bits)));
	return ended;
}

uint32_t engine_configure(struct engine *engine, const struct engine_config *config, uint64_t now_ms)
{
	struct port_set ports[2];
	uint32_t ended = 0;

	engine->now_ms = now_ms;
	ports_in_question(engine, config, ports);
	bool moved = config->insides != engine->config.insides ||
		     memcmp(config->inside, engine->config.inside, sizeof(config->inside)) != 0;
	configure_adopt(engine, config);
	if (moved)
		host_place_all(engine);
	if (engine->follows_config)
		ended = judge_special(engine) + judge_ports(engine, ports);
	else
		ended = judge_all(engine);
	engine->follows_config = true;
	return ended;
}

/* --- what it would end --- */

size_t rehearsal_size(void)
{
	return sizeof(struct rehearsal);
}

struct rehearsal *rehearsal_start(void *memory, const struct engine *engine, const struct engine_config *config)
{
	struct rehearsal *rehearsal = memory;

	memcpy(&rehearsal->engine, engine, sizeof(rehearsal->engine));
	configure_adopt(&rehearsal->engine, config);
	return rehearsal;
}

bool rehearsal_next(const struct rehearsal *rehearsal, uint32_t *cursor, uint32_t *budget, uint64_t now_ms,
		    struct flow_view *view, enum flow_end *why)
{
	const struct engine *engine = &rehearsal->engine;

	while (*budget > 0 && *cursor < engine->header->flow_used) {
		(*budget)--;
		const struct flow *flow = &engine->flow[(*cursor)++];
		if (!(flow->flags & FLOW_LIVE) || is_expired(flow->deadline, now_ms))
			continue;
		*why = flow_fate(engine, flow);
		if (*why == FLOW_STAYS)
			continue;
		flow_view_of(engine, *cursor - 1, now_ms, view);
		return true;
	}
	return false;
}

bool rehearsal_leads_to(const struct rehearsal *rehearsal, uint8_t protocol, uint16_t port,
			struct address inside_address)
{
	const struct forward *forward = forward_find(&rehearsal->engine, protocol, port);

	return forward && address_equal(forward->to_address, inside_address);
}

/* --- other addresses --- */

static bool is_listed(struct address address, const struct address *addresses, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (address_equal(addresses[i], address))
			return true;
	return false;
}

static uint32_t close_flows_without_address(struct engine *engine, const struct address *addresses, uint32_t n)
{
	uint32_t ended = 0;

	for (uint32_t i = 0; i < engine->header->flow_used; i++) {
		const struct flow *flow = &engine->flow[i];
		if (!(flow->flags & FLOW_LIVE))
			continue;
		if (is_listed(flow->outside_address, addresses, n) &&
		    (!(flow->flags & FLOW_HAIRPIN) || is_listed(flow->remote_address, addresses, n)))
			continue;
		ended += !is_expired(flow->deadline, engine->now_ms);
		life_end(engine, i);
	}
	return ended;
}

static uint8_t outside_slot(struct engine *engine, struct address address)
{
	uint32_t limit = engine->header->limits.addresses;
	uint8_t unused = 0;

	for (uint32_t i = limit; i-- > 0;) {
		if (address_equal(engine->outside[i].address, address))
			return (uint8_t)i;
		if (!address_is_set(engine->outside[i].address))
			unused = (uint8_t)i;
	}
	memset(&engine->outside[unused], 0, sizeof(engine->outside[unused]));
	engine->outside[unused].address = address;
	return unused;
}

/* These addresses in this order, and no flow is left of any other. */
static bool is_in_use(const struct engine *engine, const struct address *addresses, uint32_t n)
{
	const struct arena_header *header = engine->header;

	for (uint32_t i = 0; i < n && n == header->outside_count; i++)
		if (!address_equal(engine->outside[header->outside_order[i]].address, addresses[i]))
			return false;
	return n == header->outside_count && engine->follows_outside;
}

uint32_t engine_set_outside(struct engine *engine, const struct address *addresses, uint32_t count, uint64_t now_ms)
{
	struct arena_header *header = engine->header;

	engine->now_ms = now_ms;
	engine->is_suspended = false;
	if (count > header->limits.addresses)
		count = header->limits.addresses;
	if (is_in_use(engine, addresses, count))
		return 0;
	uint32_t ended = close_flows_without_address(engine, addresses, count);
	fragment_reset(engine);
	for (uint32_t i = 0; i < header->limits.addresses; i++) {
		struct outside *outside = &engine->outside[i];
		if (!address_is_set(outside->address) || is_listed(outside->address, addresses, count))
			continue;
		for (int space = 0; space < SPACES; space++)
			for (uint32_t port = 0; port < 65536; port++)
				header->resting -= (outside->port[space][port] & PORT_RESTING) != 0;
		outside->address = address_of(0);
	}
	/* All is ready before the first change that a process which takes over would see. */
	uint8_t order[ADDRESSES_MAX];
	uint32_t used = 0;
	for (uint32_t i = 0; i < count; i++)
		if (address_is_set(addresses[i]) && !is_listed(addresses[i], addresses, i))
			order[used++] = outside_slot(engine, addresses[i]);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy(header->outside_order, order, used);
	header->outside_count = used;
	host_recount(engine);
	engine->follows_outside = true;
	return ended;
}

void engine_suspend_outside(struct engine *engine)
{
	if (!engine->is_suspended)
		fragment_reset(engine);
	engine->is_suspended = true;
}
