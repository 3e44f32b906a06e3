/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that the IPsec module counts, lists or sums up is counted anew here: no record is lost, every peer has a
 * reason to live, who waits is in a queue that will be looked at, and kept packets have an owner.
 */
#include "ipsec_check.h"

#include "nat/state.h"
#include "passthrough/ipsec.h"

static bool is_live(const struct ipsec *ipsec, uint32_t group, uint32_t peer)
{
	return peer < ipsec->peers && ipsec->peer[peer].live && ipsec->peer[peer].group == group;
}

static const char *check_free(const struct ipsec *ipsec)
{
	uint32_t peers = 0, last = MODULE_NONE, groups = 0, sas = 0, live = 0, live_groups = 0, used = 0;

	for (uint32_t i = ipsec->peer_first; i != MODULE_NONE; i = ipsec->peer[i].next) {
		if (i >= ipsec->peers || ipsec->peer[i].live || peers++ > ipsec->peers)
			return "the queue of free peers is broken";
		last = i;
	}
	for (uint32_t i = ipsec->group_free; i != MODULE_NONE; i = ipsec->group[i].next)
		if (i >= ipsec->peers || ipsec->group[i].live || groups++ > ipsec->peers)
			return "the list of free groups is broken";
	for (uint32_t i = ipsec->sa_free; i != MODULE_NONE; i = ipsec->sa[i].next)
		if (i >= ipsec->sas || ipsec->sa[i].flow != MODULE_NONE || sas++ > ipsec->sas)
			return "the list of free SAs is broken";
	for (uint32_t i = 0; i < ipsec->peers; i++) {
		live += ipsec->peer[i].live;
		live_groups += ipsec->group[i].live;
	}
	for (uint32_t i = 0; i < ipsec->sas; i++)
		used += ipsec->sa[i].flow != MODULE_NONE;
	if (last != ipsec->peer_last || live + peers != ipsec->peers)
		return "peers are lost";
	if (live_groups + groups != ipsec->peers)
		return "groups are lost";
	return used + sas == ipsec->sas ? NULL : "SAs are lost";
}

static bool sa_is_of(const struct engine *engine, const struct ipsec *ipsec, uint32_t index, uint32_t peer)
{
	const struct ipsec_sa *sa = &ipsec->sa[index];

	if (sa->peer != peer || sa->flow >= engine->header->flow_used)
		return false;
	const struct flow *flow = &engine->flow[sa->flow];
	return (flow->flags & FLOW_LIVE) && (flow->flags & FLOW_SA) && engine->track[sa->flow].call.record == index &&
	       address_equal(host_address(engine, flow->host), ipsec->peer[peer].inside) &&
	       address_equal(flow->outside_address, ipsec->peer[peer].outside) &&
	       address_equal(flow->remote_address, ipsec->peer[peer].remote);
}

static const char *check_sas(const struct engine *engine, const struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_peer *peer = &ipsec->peer[index];
	uint32_t count = 0, paired = 0, unpaired = 0, previous = MODULE_NONE;

	for (uint32_t i = peer->first_sa; i != MODULE_NONE; i = ipsec->sa[i].next) {
		if (i >= ipsec->sas || count++ > peer->sas || ipsec->sa[i].previous != previous ||
		    !sa_is_of(engine, ipsec, i, index))
			return "the SAs of a peer are in disorder";
		const uint32_t *spi = engine->flow[ipsec->sa[i].flow].spi;
		paired += spi[SIDE_LAN] != 0 && spi[SIDE_WAN] != 0;
		unpaired += spi[SIDE_LAN] != 0 && spi[SIDE_WAN] == 0;
		previous = i;
	}
	return count == peer->sas && paired == peer->paired && unpaired == peer->unpaired
		       ? NULL
		       : "the SAs of a peer are counted wrongly";
}

/* What keeps a peer alive; nothing may be under way between two packets. */
static const char *check_reason(const struct engine *engine, const struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_peer *peer = &ipsec->peer[index];
	bool has_reason = peer->sas > 0 || peer->waits || peer->waits_ike[0] || peer->waits_ike[1];

	for (uint32_t i = 0; i < IPSEC_FLOWS; i++) {
		if (peer->flow[i] == MODULE_NONE)
			continue;
		has_reason = true;
		if (peer->flow[i] >= engine->header->flow_used || !(engine->flow[peer->flow[i]].flags & FLOW_LIVE) ||
		    engine->flow[peer->flow[i]].control != index + 1)
			return "a peer has a flow that is none of its own";
	}
	if (!has_reason)
		return "a peer lives without a reason";
	if (peer->goes || peer->is_busy)
		return "a peer's turn is not over";
	if ((peer->kept.count > 0) != (peer->waits != 0) || peer->kept.count > IPSEC_KEPT)
		return "kept ESP of a peer that does not wait";
	for (int side = 0; side < SIDES; side++)
		if ((peer->kept_ike[side] != MODULE_NONE) != (peer->waits_ike[side] != 0))
			return "kept IKE of a peer that does not wait";
	return NULL;
}

static const char *check_names(const struct engine *engine, const struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_peer *peer = &ipsec->peer[index];

	if (ipsec_peer_find(engine, ipsec, peer->inside, peer->outside, peer->remote) != index)
		return "a peer is not found by its addresses";
	if (peer->group >= ipsec->peers || !ipsec->group[peer->group].live)
		return "a peer has no group";
	for (uint32_t i = 0; i < IPSEC_SPIS; i++)
		if (peer->spi[i] != 0 && ipsec_spi_find(engine, ipsec, peer->group, peer->spi[i]) != index)
			return "a peer is not found by its initiator SPI";
	return NULL;
}

static const char *check_recent(const struct ipsec *ipsec, uint32_t group, const struct ipsec_recent *recent)
{
	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		if (recent[i].peer == MODULE_NONE)
			continue;
		if (!is_live(ipsec, group, recent[i].peer))
			return "a group remembers a peer that is not there";
		for (uint32_t k = 0; k < i; k++)
			if (recent[k].peer == recent[i].peer)
				return "a group remembers a peer twice";
	}
	return NULL;
}

static bool set_is(const struct ipsec_set *set, const struct ipsec_set *counted)
{
	return set->count == counted->count && (set->count == 0 || set->sum == counted->sum);
}

static void add_if(struct ipsec_set *set, uint32_t peer, bool is_in)
{
	set->count += is_in;
	set->sum += is_in ? peer : 0;
}

static const char *check_members(const struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_group *group = &ipsec->group[index];
	struct ipsec_set eligible = {0}, owing = {0}, unpaired = {0}, sharing = {0};
	uint32_t count = 0, previous = MODULE_NONE;

	for (uint32_t i = group->first_peer; i != MODULE_NONE; i = ipsec->peer[i].group_next) {
		const struct ipsec_peer *peer = &ipsec->peer[i];
		if (count++ > group->peers || !is_live(ipsec, index, i) || peer->group_previous != previous)
			return "the peers of a group are in disorder";
		if (previous != MODULE_NONE && peer->is_eligible && !ipsec->peer[previous].is_eligible)
			return "an eligible peer stands behind others";
		previous = i;
		add_if(&eligible, i, peer->is_eligible);
		add_if(&owing, i, peer->is_owed && peer->is_eligible);
		add_if(&unpaired, i, peer->unpaired > 0);
		add_if(&sharing, i, peer->share != SHARE_NOT);
	}
	if (count != group->peers || previous != group->last_peer)
		return "the peers of a group are counted wrongly";
	return set_is(&group->eligible, &eligible) && set_is(&group->owing, &owing) &&
			       set_is(&group->unpaired, &unpaired) && set_is(&group->sharing, &sharing)
		       ? NULL
		       : "a set of a group is wrong";
}

static const char *check_queues(const struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_group *group = &ipsec->group[index];
	uint32_t last = MODULE_NONE, last_ike = MODULE_NONE, count = 0, waits = 0, waits_ike = 0, count_ike = 0;

	for (uint32_t i = group->wait_first; i != MODULE_NONE; i = ipsec->peer[i].wait_next) {
		if (count++ > ipsec->peers || !is_live(ipsec, index, i) || !ipsec->peer[i].waits)
			return "the queue of a group is broken";
		last = i;
	}
	for (uint32_t i = group->ike_first; i != MODULE_NONE; i = ipsec->peer[i].ike_next) {
		if (count_ike++ > ipsec->peers || !is_live(ipsec, index, i) ||
		    (!ipsec->peer[i].waits_ike[0] && !ipsec->peer[i].waits_ike[1]))
			return "the queue of a group for phase 2 is broken";
		last_ike = i;
	}
	for (uint32_t i = group->first_peer; i != MODULE_NONE; i = ipsec->peer[i].group_next) {
		waits += ipsec->peer[i].waits;
		waits_ike += ipsec->peer[i].waits_ike[0] || ipsec->peer[i].waits_ike[1];
	}
	if (last != group->wait_last || last_ike != group->ike_last || waits != count || waits_ike != count_ike)
		return "somebody waits in no queue";
	return count + count_ike == 0 || group->is_due ? NULL : "somebody waits and nobody will look";
}

static const char *check_group(const struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_group *group = &ipsec->group[index];
	const char *wrong = check_members(ipsec, index);

	if (!wrong)
		wrong = check_queues(ipsec, index);
	if (!wrong)
		wrong = check_recent(ipsec, index, group->window);
	if (!wrong)
		wrong = check_recent(ipsec, index, group->owed);
	if (!wrong)
		wrong = check_recent(ipsec, index, group->rekey);
	if (!wrong)
		wrong = check_recent(ipsec, index, group->bound);
	if (wrong)
		return wrong;
	if (group->peers == 0 && !group->is_due)
		return "a group of nobody lives";
	if ((group->owner != MODULE_NONE && !is_live(ipsec, index, group->owner)) ||
	    (group->gate_peer != MODULE_NONE && !is_live(ipsec, index, group->gate_peer)))
		return "a group's owner of a port or turn is not there";
	return NULL;
}

static const char *check_heap(const struct engine *engine, const struct ipsec *ipsec)
{
	uint32_t due = 0;

	for (uint32_t i = 0; i < ipsec->peers; i++)
		due += ipsec->group[i].live && ipsec->group[i].is_due;
	if (due != ipsec->dues)
		return "a group that waits is not in the heap";
	for (uint32_t i = 0; i < ipsec->dues; i++) {
		const struct ipsec_group *group = &ipsec->group[ipsec->due[i]];
		if (!group->live || !group->is_due || group->due_place != i)
			return "the heap of groups that wait is broken";
		if ((int32_t)(group->due_ms - ipsec->group[ipsec->due[(i - (i > 0)) / 2]].due_ms) < 0)
			return "the heap of groups that wait is in disorder";
	}
	if (ipsec->dues == 0)
		return NULL;
	return (int32_t)((uint32_t)engine->wake_ms - ipsec->group[ipsec->due[0]].due_ms) <= 0
		       ? NULL
		       : "groups wait and nobody will wake";
}

const char *ipsec_check(const struct engine *engine)
{
	const struct ipsec *ipsec = engine->module[SERVICE_IPSEC];
	uint32_t knocking = 0;
	struct ipsec_load load = {0};

	if (!ipsec)
		return NULL;
	const char *wrong = check_free(ipsec);
	for (uint32_t i = 0; i < ipsec->peers && !wrong; i++) {
		if (!ipsec->peer[i].live)
			continue;
		knocking += ipsec->peer[i].knocks;
		load.peers -= !ipsec->peer[i].is_server;
		load.sas -= ipsec->peer[i].is_server ? 0 : ipsec->peer[i].sas;
		wrong = check_names(engine, ipsec, i);
		if (!wrong)
			wrong = check_sas(engine, ipsec, i);
		if (!wrong)
			wrong = check_reason(engine, ipsec, i);
	}
	for (uint32_t i = 0; i < ipsec->peers && !wrong; i++) {
		if (ipsec->group[i].live)
			wrong = check_group(ipsec, i);
		load.peers += ipsec->load[i].peers;
		load.sas += ipsec->load[i].sas;
	}
	if (!wrong)
		wrong = check_heap(engine, ipsec);
	if (!wrong && knocking != ipsec->knocking)
		wrong = "those who only knock are counted wrongly";
	if (!wrong && (load.peers != 0 || load.sas != 0))
		wrong = "the records of inside hosts are counted wrongly";
	return wrong;
}
