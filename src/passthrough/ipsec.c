/* SPDX-License-Identifier: BSD-2-Clause */
/* The module: its memory, and what the engine tells it about flows and packets that were kept. */
#include "passthrough/ipsec.h"

#include <string.h>

#include "base/layout.h"

/* --- memory --- */

/* Records one behind the other; ipsec may be NULL to learn how much it is. */
static size_t lay_out(struct ipsec *ipsec, const struct engine_limits *limits)
{
	struct ipsec unused, *to = ipsec ? ipsec : &unused;
	uint8_t *memory = (uint8_t *)ipsec;
	size_t used = 0;

	layout_take(memory, &used, sizeof(*ipsec));
	to->peers = limits->tunnels;
	to->sas = limits->tunnels * IPSEC_SAS_EACH;
	to->peer = layout_take(memory, &used, to->peers * sizeof(*to->peer));
	to->group = layout_take(memory, &used, to->peers * sizeof(*to->group));
	to->sa = layout_take(memory, &used, to->sas * sizeof(*to->sa));
	to->load = layout_take(memory, &used, to->peers * sizeof(*to->load));
	to->due = layout_take(memory, &used, to->peers * sizeof(*to->due));
	layout_take_table(&to->by_pair, to->peers, memory, &used);
	layout_take_table(&to->by_group, to->peers, memory, &used);
	layout_take_table(&to->by_spi, to->peers * IPSEC_SPIS, memory, &used);
	return used;
}

static size_t memory_size(const struct engine_limits *limits)
{
	return limits->tunnels > 0 ? lay_out(NULL, limits) : 0;
}

static void place(void *memory, const struct engine_limits *limits)
{
	lay_out(memory, limits);
}

/* With empty tables and counts, which are made from the records. */
static void lay_out_anew(struct ipsec *ipsec, const struct engine_limits *limits)
{
	lay_out(ipsec, limits);
	table_clear(&ipsec->by_pair);
	table_clear(&ipsec->by_group);
	table_clear(&ipsec->by_spi);
	memset(ipsec->load, 0, ipsec->peers * sizeof(*ipsec->load));
	ipsec->knocking = 0;
	ipsec->dues = 0;
	ipsec->used = 0;
}

static void start(void *memory, const struct engine_limits *limits)
{
	struct ipsec *ipsec = memory;

	lay_out_anew(ipsec, limits);
	memset(&ipsec->strict, 0, sizeof(ipsec->strict));
	memset(ipsec->parted, 0, sizeof(ipsec->parted));
	ipsec->parted_next = 0;
	for (uint32_t i = 0; i < ipsec->peers; i++) {
		uint32_t next = i + 1 < ipsec->peers ? i + 1 : MODULE_NONE;
		ipsec->peer[i] = (struct ipsec_peer){.next = next};
		ipsec->group[i] = (struct ipsec_group){.next = next};
	}
	for (uint32_t i = 0; i < ipsec->sas; i++)
		ipsec->sa[i] = (struct ipsec_sa){
			.flow = MODULE_NONE,
			.next = i + 1 < ipsec->sas ? i + 1 : MODULE_NONE,
		};
	ipsec->peer_first = ipsec->group_free = ipsec->sa_free = 0;
	ipsec->peer_last = ipsec->peers - 1;
}

/* --- after a crash: what the engine's flows do not confirm is forgotten --- */

static bool flow_is_of(const struct engine *engine, const struct ipsec_peer *peer, uint32_t flow)
{
	struct flow_view view;

	engine_offer(engine)->view_flow(engine, flow, &view, NULL);
	return address_equal(view.inside_address, peer->inside) && address_equal(view.outside_address, peer->outside) &&
	       address_equal(view.remote_address, peer->remote);
}

/* What stays of a peer: its ends, flows and facts; nobody waits and nothing is under way. */
static void recover_peer(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_peer *peer = &ipsec->peer[index], old = *peer;
	bool has_any = false;

	*peer = (struct ipsec_peer){
		.inside = old.inside,
		.outside = old.outside,
		.remote = old.remote,
		.is_server = old.is_server != 0,
		.knocks = 0,
		.next = MODULE_NONE,
		.first_sa = MODULE_NONE,
		.version = old.version,
		.end = {old.end[0], old.end[1]},
		.uses_natt = old.uses_natt != 0,
		.uses_esp = old.uses_esp != 0,
		.wait_next = MODULE_NONE,
		.ike_next = MODULE_NONE,
		.kept_ike = {MODULE_NONE, MODULE_NONE},
		.is_up = old.is_up != 0,
		.pairing = old.pairing < PAIRINGS ? old.pairing : PAIRING_NONE,
		.started_ms = old.started_ms,
		.last_ms = {old.last_ms[0], old.last_ms[1]},
		.packets = {old.packets[0], old.packets[1]},
		.natt_packets = {old.natt_packets[0], old.natt_packets[1]},
		.bytes = {old.bytes[0], old.bytes[1]},
		.hints_told = old.hints_told,
	};
	for (uint32_t i = 0; i < IPSEC_FLOWS; i++) {
		bool is_ours =
			old.live &&
			engine_offer(engine)->owns_flow(engine, SERVICE_IPSEC, old.flow[i], (uint16_t)(index + 1), 0) &&
			flow_is_of(engine, peer, old.flow[i]);
		for (uint32_t j = 0; j < i && is_ours; j++)
			is_ours = peer->flow[j] != old.flow[i];
		peer->flow[i] = is_ours ? old.flow[i] : MODULE_NONE;
		has_any |= is_ours;
	}
	peer->live = has_any && ipsec_peer_find(engine, ipsec, old.inside, old.outside, old.remote) == MODULE_NONE;
	if (!peer->live)
		return;
	peer->is_known = true;
	ipsec_peer_enter(engine, ipsec, index);
	for (uint32_t i = 0; i < IPSEC_SPIS; i++)
		if (old.spi[i] != 0)
			ipsec_spi_learn(engine, ipsec, index, old.spi[i]);
}

/* A peer may have had SAs only; it lives as long as they do. */
static bool revive_for_sa(struct engine *engine, struct ipsec *ipsec, uint32_t sa)
{
	const struct ipsec_sa *old = &ipsec->sa[sa];

	if (old->peer >= ipsec->peers || !engine_offer(engine)->owns_flow(engine, SERVICE_IPSEC, old->flow, 0, sa))
		return false;
	struct ipsec_peer *peer = &ipsec->peer[old->peer];
	if (!flow_is_of(engine, peer, old->flow))
		return false;
	if (peer->live)
		return true;
	if (ipsec_peer_find(engine, ipsec, peer->inside, peer->outside, peer->remote) != MODULE_NONE)
		return false;
	peer->live = peer->is_known = true;
	ipsec_peer_enter(engine, ipsec, old->peer);
	return true;
}

static void recover_sharing(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	for (uint32_t i = 0; i < IPSEC_FLOWS; i++) {
		if (peer->flow[i] == MODULE_NONE)
			continue;
		bool shares = engine_offer(engine)->shared_port(engine, peer->flow[i]) == IKE_PORT;
		engine_offer(engine)->share_port(engine, peer->flow[i], 0);
		ipsec_share_attach(engine, ipsec, index, peer->flow[i]);
		if (shares && ipsec_share_flow(engine, ipsec, index) == peer->flow[i]) {
			engine_offer(engine)->share_port(engine, peer->flow[i], IKE_PORT);
			peer->share = SHARE_TRIED;
		}
	}
	ipsec_peer_place(ipsec, index);
}

static void recover(struct engine *engine, void *memory, const struct engine_limits *limits)
{
	struct ipsec *ipsec = memory;

	lay_out_anew(ipsec, limits);
	ipsec->peer_first = ipsec->peer_last = ipsec->sa_free = MODULE_NONE;
	ipsec->group_free = 0;
	ipsec->used = ipsec->peers;
	for (uint32_t i = 0; i < ipsec->peers; i++)
		ipsec->group[i] = (struct ipsec_group){.next = i + 1 < ipsec->peers ? i + 1 : MODULE_NONE};
	strict_recover(&ipsec->strict, engine_offer(engine)->now_ms(engine));
	for (uint32_t i = 0; i < ipsec->peers; i++)
		recover_peer(engine, ipsec, i);
	for (uint32_t i = ipsec->sas; i-- > 0;) {
		if (revive_for_sa(engine, ipsec, i)) {
			ipsec_sa_enter(engine, ipsec, i);
		} else {
			ipsec->sa[i] = (struct ipsec_sa){.flow = MODULE_NONE, .next = ipsec->sa_free};
			ipsec->sa_free = i;
		}
	}
	for (uint32_t i = ipsec->peers; i-- > 0;) {
		if (ipsec->peer[i].live) {
			recover_sharing(engine, ipsec, i);
			continue;
		}
		ipsec->peer[i].next = ipsec->peer_first;
		ipsec->peer_first = i;
		if (ipsec->peer_last == MODULE_NONE)
			ipsec->peer_last = i;
	}
}

static bool knows(const struct engine *engine, const void *memory, uint32_t flow, uint16_t control, uint32_t record)
{
	const struct ipsec *ipsec = memory;

	(void)engine;
	if (!ipsec)
		return false;
	if (control == 0)
		return record < ipsec->sas && ipsec->sa[record].flow == flow;
	for (uint32_t i = 0; control <= ipsec->peers && i < IPSEC_FLOWS; i++)
		if (ipsec->peer[control - 1u].live && ipsec->peer[control - 1u].flow[i] == flow)
			return true;
	return false;
}

/* --- flows of UDP 500 and 4500 --- */

static uint16_t attach(struct engine *engine, void *memory, uint32_t flow, bool answered)
{
	struct ipsec *ipsec = memory;
	struct flow_view view;

	engine_offer(engine)->view_flow(engine, flow, &view, NULL);
	uint32_t index = ipsec_peer_find(engine, ipsec, view.inside_address, view.outside_address, view.remote_address);
	if (index == MODULE_NONE && view.inside_is_server && !answered)
		index = ipsec_peer_knock(engine, ipsec, view.inside_address, view.outside_address, view.remote_address);
	else if (index == MODULE_NONE)
		index = ipsec_peer_take(engine, ipsec, view.inside_address, view.outside_address, view.remote_address,
					view.inside_is_server);
	for (uint32_t i = 0; index != MODULE_NONE && i < IPSEC_FLOWS; i++) {
		struct ipsec_peer *peer = &ipsec->peer[index];
		if (peer->flow[i] != MODULE_NONE)
			continue;
		peer->flow[i] = flow;
		ipsec_share_attach(engine, ipsec, index, flow);
		return (uint16_t)(index + 1);
	}
	engine_offer(engine)->count(engine, STAT_IPSEC_UNREAD);
	return 0;
}

static void control_over(struct engine *engine, void *memory, uint16_t control, uint32_t flow, enum tunnel_end why)
{
	struct ipsec *ipsec = memory;
	struct ipsec_peer *peer = &ipsec->peer[control - 1u];

	if (ipsec_share_flow(engine, ipsec, control - 1u) == flow)
		ipsec_share_detach(ipsec, control - 1u);
	for (uint32_t i = 0; i < IPSEC_FLOWS; i++)
		if (peer->flow[i] == flow)
			peer->flow[i] = MODULE_NONE;
	ipsec_peer_settle(engine, ipsec, control - 1u, why);
}

static struct engine_result datagram(struct engine *engine, void *memory, uint16_t control, enum side from,
				     struct module_datagram *read)
{
	struct ipsec *ipsec = memory;

	if (from == SIDE_LAN)
		ipsec_peer_answers(ipsec, control - 1u);
	return ipsec_ike_datagram(engine, ipsec, control - 1u, from, read);
}

/* Somebody shares port 500, and no flow of the owner's is there any more to be asked. */
static uint32_t claim(struct engine *engine, void *memory, const struct module_datagram *read)
{
	const struct ipsec *ipsec = memory;
	uint32_t group = ipsec_group_find(engine, ipsec, read->outside_address, read->remote_address);
	struct ike_header header;

	if (read->remote_port != IKE_PORT || read->outside_port != IKE_PORT || group == MODULE_NONE ||
	    ipsec->group[group].sharing.count == 0 || !ike_parse(read->packet, read->payload, read->length, &header))
		return MODULE_NONE;
	return ipsec_share_target(engine, ipsec, ipsec_share_owner(engine, ipsec, group, &header));
}

/* The initiator SPI stands first in every message; without it nobody is told. */
static uint32_t quoted(const struct engine *engine, const void *memory, const struct module_datagram *read)
{
	const struct ipsec *ipsec = memory;
	uint32_t group = ipsec_group_find(engine, ipsec, read->outside_address, read->remote_address);

	if (read->remote_port != IKE_PORT || read->outside_port != IKE_PORT || group == MODULE_NONE ||
	    ipsec->group[group].sharing.count == 0)
		return read->flow;
	uint64_t spi = (uint64_t)packet_get32(read->packet, read->payload) << 32 |
		       packet_get32(read->packet, read->payload + 4);
	return ipsec_share_target(engine, ipsec, ipsec_spi_find(engine, ipsec, group, spi));
}

static bool ah(struct engine *engine, void *memory, struct address inside, struct address outside,
	       struct address remote)
{
	struct ipsec *ipsec = memory;
	uint32_t index = ipsec_peer_find(engine, ipsec, inside, outside, remote);

	if (index != MODULE_NONE)
		ipsec->peer[index].sent_ah = true;
	return index != MODULE_NONE;
}

/* --- packets that go on --- */

/* Whoever has nothing more to send on has had its turn. What was kept may have met a refusal before it came back to
 * this module, so that a peer can end here, too. */
static uint32_t next_kept(struct engine *engine, void *memory, uint16_t control, enum side from)
{
	struct ipsec *ipsec = memory;
	struct ipsec_peer *peer = &ipsec->peer[control - 1u];
	uint32_t kept = peer->kept_ike[from];

	if (kept != MODULE_NONE && !peer->waits_ike[from]) {
		peer->kept_ike[from] = MODULE_NONE;
		return kept;
	}
	if (from == SIDE_LAN && peer->goes && peer->kept.count > 0) {
		kept = peer->kept.packet[0];
		peer->kept.count--;
		memmove(&peer->kept.packet[0], &peer->kept.packet[1], peer->kept.count * sizeof(peer->kept.packet[0]));
		return kept;
	}
	if (from == SIDE_LAN && peer->goes) {
		peer->goes = false;
		ipsec_esp_release(engine, ipsec, peer->group);
	}
	/* Perhaps no phase 2 came of it, so that nobody has the turn. */
	if (peer->kept_ike[SIDE_LAN] == MODULE_NONE && peer->kept_ike[SIDE_WAN] == MODULE_NONE)
		ipsec_ike_release(engine, ipsec, peer->group);
	ipsec_peer_settle(engine, ipsec, control - 1u, END_ROUTER);
	return MODULE_NONE;
}

static bool next_tunnel(struct engine *engine, const void *memory, uint32_t *cursor, struct tunnel_view *view)
{
	const struct ipsec *ipsec = memory;

	while (*cursor < ipsec->used) {
		uint32_t index = (*cursor)++;
		if (!ipsec->peer[index].is_known)
			continue;
		ipsec_view(engine, ipsec, index, view);
		return true;
	}
	return false;
}

static uint32_t *told(void *memory, uint32_t tunnel)
{
	struct ipsec *ipsec = memory;

	return &ipsec->peer[tunnel].hints_told;
}

static void wake(struct engine *engine, void *memory)
{
	struct ipsec *ipsec = memory;

	/* Each is looked at once: whoever finds no room among those that are ready comes back at the same moment. */
	for (uint32_t index = ipsec_wait_take(engine, ipsec), next; index != MODULE_NONE; index = next) {
		next = ipsec->group[index].next;
		ipsec->group[index].is_due = false;
		ipsec_esp_release(engine, ipsec, index);
		ipsec_ike_release(engine, ipsec, index);
		ipsec_group_settle(engine, ipsec, index);
	}
	ipsec_wait_go_on(engine, ipsec);
}

const struct module ipsec_module = {
	.memory_size = memory_size,
	.start = start,
	.place = place,
	.recover = recover,
	.knows = knows,
	.attach = attach,
	.next_kept = next_kept,
	.wake = wake,
	.control_over = control_over,
	.next_tunnel = next_tunnel,
	.told = told,
	.datagrams = {.datagram = datagram, .claim = claim, .quoted = quoted},
	.portless = {.over = ipsec_sa_over, .esp = ipsec_esp, .ah = ah, .sa_heard = ipsec_sa_heard},
};
