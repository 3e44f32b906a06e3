/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several hosts on port 500 (RFC 3715 section 2.3): only for servers that answer to no other source port, because
 * initiator SPIs tell the hosts apart only as long as they are known. A server whose first messages stay without an
 * answer is tried from port 500; if it answers there, that is remembered for a day.
 */
#include "passthrough/ipsec.h"

/* A client's flow from port 500 to port 500. */
static bool is_port_flow(const struct flow_view *view)
{
	return view->remote_port == IKE_PORT && view->inside_port == IKE_PORT && !view->inside_is_server &&
	       !view->hairpin;
}

uint32_t ipsec_share_flow(const struct engine *engine, const struct ipsec *ipsec, uint32_t index)
{
	struct flow_view view;

	for (uint32_t i = 0; i < IPSEC_FLOWS; i++) {
		uint32_t flow = ipsec->peer[index].flow[i];
		if (flow == MODULE_NONE)
			continue;
		engine_offer(engine)->view_flow(engine, flow, &view, NULL);
		if (is_port_flow(&view))
			return flow;
	}
	return MODULE_NONE;
}

static void share(struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t flow, bool shall)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	peer->share = shall ? SHARE_TRIED : SHARE_NOT;
	peer->unanswered = 0;
	peer->unanswered_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	engine_offer(engine)->share_port(engine, flow, shall ? IKE_PORT : 0);
	ipsec_peer_place(ipsec, index);
	if (shall)
		engine_offer(engine)->count(engine, STAT_IKE_SHARED);
}

void ipsec_share_attach(struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t flow)
{
	struct flow_view view;

	engine_offer(engine)->view_flow(engine, flow, &view, NULL);
	if (!is_port_flow(&view))
		return;
	if (view.outside_port == IKE_PORT)
		ipsec->group[ipsec->peer[index].group].owner = index;
	else if (!ipsec->peer[index].clashes &&
		 strict_knows(&ipsec->strict, view.remote_address, engine_offer(engine)->now_ms(engine)))
		share(engine, ipsec, index, flow, true);
}

void ipsec_share_detach(struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_group *group = &ipsec->group[ipsec->peer[index].group];

	if (group->owner == index)
		group->owner = MODULE_NONE;
	ipsec->peer[index].share = SHARE_NOT;
	ipsec_peer_place(ipsec, index);
}

/* The port is worth a try: whoever has it towards this server is answered, or nobody has it. */
static bool is_worth_it(const struct ipsec *ipsec, const struct ipsec_group *group)
{
	return group->owner == MODULE_NONE || ipsec->peer[group->owner].end[SIDE_WAN].heard;
}

void ipsec_share_sent(struct engine *engine, struct ipsec *ipsec, uint32_t index, const struct ike_header *header,
		      uint32_t flow)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	const struct ipsec_group *group = &ipsec->group[peer->group];

	if (flow != ipsec_share_flow(engine, ipsec, index) || group->owner == index)
		return;
	if (peer->clashes && peer->share != SHARE_NOT)
		share(engine, ipsec, index, flow, false);
	if (!ike_is_initial(header))
		return;
	if (peer->unanswered == 0)
		peer->unanswered_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	if (peer->unanswered >= IPSEC_UNANSWERED && ipsec_age(engine, peer->unanswered_ms) >= IPSEC_PATIENCE_MS) {
		if (peer->share != SHARE_NOT)
			share(engine, ipsec, index, flow, false);
		else if (!peer->clashes && is_worth_it(ipsec, group))
			share(engine, ipsec, index, flow, true);
	}
	if (peer->unanswered < UINT8_MAX)
		peer->unanswered++;
}

void ipsec_share_heard(struct engine *engine, struct ipsec *ipsec, uint32_t index, uint16_t outside_port)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	peer->unanswered = 0;
	if (peer->share != SHARE_TRIED || outside_port != IKE_PORT)
		return;
	peer->share = SHARE_WORKS;
	strict_learn(&ipsec->strict, peer->remote, engine_offer(engine)->now_ms(engine));
}

/* Those of the port who had an exchange lately that may end in a new IKE SA: the only one, or MODULE_NONE. */
static uint32_t only_recent(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_group *group)
{
	uint32_t found = MODULE_NONE;

	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		uint32_t index = group->rekey[i].peer;
		if (index == MODULE_NONE || ipsec_age(engine, group->rekey[i].at_ms) >= IPSEC_REKEY_MS ||
		    (index != group->owner && ipsec->peer[index].share == SHARE_NOT))
			continue;
		if (found != MODULE_NONE)
			return MODULE_NONE;
		found = index;
	}
	return found;
}

uint32_t ipsec_share_owner(const struct engine *engine, const struct ipsec *ipsec, uint32_t index,
			   const struct ike_header *header)
{
	const struct ipsec_group *group = &ipsec->group[index];
	uint32_t known = ipsec_spi_find(engine, ipsec, index, header->initiator_spi);

	if (known != MODULE_NONE)
		return known;
	if (group->owner == MODULE_NONE && group->sharing.count == 1)
		return ipsec_set_only(&group->sharing);
	return only_recent(engine, ipsec, group);
}

/* At its deadline a flow is gone, even if it was not cleaned up yet. */
uint32_t ipsec_share_target(const struct engine *engine, const struct ipsec *ipsec, uint32_t owner)
{
	uint32_t flow = owner != MODULE_NONE ? ipsec_share_flow(engine, ipsec, owner) : MODULE_NONE;
	struct flow_view view;

	if (flow == MODULE_NONE)
		return MODULE_NONE;
	engine_offer(engine)->view_flow(engine, flow, &view, NULL);
	return (int32_t)view.expires_ms > 0 ? flow : MODULE_NONE;
}
