/* SPDX-License-Identifier: BSD-2-Clause */
/* What people see of a peer, and what the evidence says about it. */
#include "passthrough/ipsec.h"

static void add_sas(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_peer *peer,
		    struct tunnel_view *view)
{
	for (uint32_t i = peer->first_sa; peer->live && i != MODULE_NONE; i = ipsec->sa[i].next) {
		struct flow_view flow;
		uint32_t last_ms[SIDES];
		engine_offer(engine)->view_flow(engine, ipsec->sa[i].flow, &flow, last_ms);
		for (int side = 0; side < SIDES; side++) {
			if (flow.packets[side] > 0 && (view->packets[side] == 0 || last_ms[side] < view->last_ms[side]))
				view->last_ms[side] = last_ms[side];
			view->packets[side] += flow.packets[side];
			view->bytes[side] += flow.bytes[side];
		}
	}
}

/* SPIs of the latest SA: each end has chosen the one that the other end sends with. */
static void add_spis(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_peer *peer,
		     struct tunnel_view *view)
{
	if (!peer->live || peer->first_sa == MODULE_NONE)
		return;
	uint32_t flow = ipsec->sa[peer->first_sa].flow;
	view->inside_id = view->outside_id = engine_offer(engine)->sa_spi(engine, flow, SIDE_WAN);
	view->remote_id = engine_offer(engine)->sa_spi(engine, flow, SIDE_LAN);
	view->has_inside_id = view->inside_id != 0;
	view->has_remote_id = view->remote_id != 0;
}

static enum tunnel_state state_of(const struct ipsec_peer *peer)
{
	if (!peer->live)
		return TUNNEL_IS_ENDED;
	if (peer->is_up)
		return TUNNEL_IS_CONNECTED;
	return peer->end[SIDE_LAN].heard && peer->end[SIDE_WAN].heard ? TUNNEL_IS_NEGOTIATING : TUNNEL_IS_REQUESTED;
}

/* This one fell silent just when another host's data with the same server began. */
static bool fell_silent_for_another(const struct engine *engine, const struct ipsec *ipsec,
				    const struct ipsec_peer *peer, const struct tunnel_view *view)
{
	uint32_t looked = 0;

	if (peer->natt_packets[SIDE_WAN] == 0 || view->silent != SIDE_WAN)
		return false;
	for (uint32_t i = ipsec->group[peer->group].first_peer; i != MODULE_NONE && looked < 64;
	     i = ipsec->peer[i].group_next, looked++) {
		const struct ipsec_peer *other = &ipsec->peer[i];
		if (other != peer && other->natt_packets[SIDE_WAN] > 0 &&
		    ipsec_age(engine, other->started_ms) < view->age_ms &&
		    ipsec_age(engine, other->last_ms[SIDE_WAN]) < view->last_ms[SIDE_WAN])
			return true;
	}
	return false;
}

static enum tunnel_hint hint_of_server(const struct ipsec_peer *peer, const struct tunnel_view *view)
{
	if (peer->is_up || view->age_ms < MODULE_SILENT_MS)
		return HINT_NONE;
	if (peer->end[SIDE_LAN].software == IKE_SOFTWARE_WINDOWS && peer->end[SIDE_LAN].heard)
		return HINT_WINDOWS_SERVER;
	return address_is_private(peer->outside) ? HINT_WAN_IS_PRIVATE : HINT_NONE;
}

/* Messages of the host that owns port 500 are not counted, and trying that port begins the count anew. */
static bool has_asked_in_vain(const struct ipsec_peer *peer, const struct tunnel_view *view)
{
	return peer->unanswered >= IPSEC_UNANSWERED ||
	       (view->age_ms >= MODULE_SILENT_MS && view->packets[SIDE_WAN] == 0);
}

/* IKE goes on to port 4500 once both ends know of a NAT (RFC 7296 section 2.23): nothing has ever come back there. */
static bool has_no_natt(const struct engine *engine, const struct ipsec_peer *peer)
{
	bool has_asked = false;

	for (uint32_t i = 0; i < IPSEC_FLOWS; i++) {
		struct flow_view flow;
		if (peer->flow[i] == MODULE_NONE)
			continue;
		engine_offer(engine)->view_flow(engine, peer->flow[i], &flow, NULL);
		if (flow.remote_port != NATT_PORT)
			continue;
		if (flow.packets[SIDE_WAN] > 0)
			return false;
		has_asked |= flow.packets[SIDE_LAN] > 1 && flow.age_ms >= MODULE_SILENT_MS;
	}
	return has_asked;
}

static enum tunnel_hint hint_of(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_peer *peer,
				const struct tunnel_view *view)
{
	const struct ipsec_end *client = &peer->end[SIDE_LAN], *server = &peer->end[SIDE_WAN];

	if (peer->collides)
		return HINT_SPI_COLLISION;
	if (peer->sent_ah)
		return HINT_AH_SEEN;
	if (peer->is_server)
		return hint_of_server(peer, view);
	if (client->heard && !server->heard && has_asked_in_vain(peer, view))
		return peer->clashes ? HINT_SHARE_IMPOSSIBLE : HINT_NO_ANSWER;
	if (!peer->is_up && server->heard && has_no_natt(engine, peer))
		return HINT_NATT_FILTERED;
	if (peer->is_ambiguous)
		return HINT_AMBIGUOUS;
	if (fell_silent_for_another(engine, ipsec, peer, view))
		return HINT_TRANSPORT_CLASH;
	if (peer->uses_esp && view->silent == SIDE_WAN)
		return client->heard && client->natt != server->natt ? HINT_NATT_ONE_END : HINT_ESP_ONE_WAY;
	return peer->share == SHARE_WORKS ? HINT_PORT_SHARED : HINT_NONE;
}

static const char *name_of(const struct ipsec_end *end)
{
	return end->software != IKE_SOFTWARE_UNKNOWN ? ike_software_name((enum ike_software)end->software) : NULL;
}

/* What its data goes by, or what may come to that. */
static enum part part_of(const struct ipsec_peer *peer)
{
	if (peer->uses_esp)
		return PART_ESP;
	return peer->natt_packets[SIDE_LAN] + peer->natt_packets[SIDE_WAN] > 0 ? PART_NATT : PART_IKE;
}

void ipsec_view(const struct engine *engine, const struct ipsec *ipsec, uint32_t index, struct tunnel_view *view)
{
	static const char *const names[PARTS] = {[PART_IKE] = "", [PART_NATT] = "ESP in UDP", [PART_ESP] = "ESP"};
	const struct ipsec_peer *peer = &ipsec->peer[index];

	*view = (struct tunnel_view){
		.service = SERVICE_IPSEC,
		.index = index,
		.kind = "IPsec",
		.part = part_of(peer),
		.data = names[part_of(peer)],
		.inside_address = peer->inside,
		.outside_address = peer->outside,
		.remote_address = peer->remote,
		.inside_is_server = peer->is_server != 0,
		.state = state_of(peer),
		.inside_name = name_of(&peer->end[SIDE_LAN]),
		.remote_name = name_of(&peer->end[SIDE_WAN]),
		.is_shared = peer->share != SHARE_NOT,
		.ike_version = peer->version,
		.natt_inside = peer->end[SIDE_LAN].natt != 0,
		.natt_remote = peer->end[SIDE_WAN].natt != 0,
		.pairing = (enum pairing)peer->pairing,
		.end = (enum tunnel_end)peer->why,
		.age_ms = ipsec_age(engine, peer->started_ms),
		.control_heard = peer->end[SIDE_WAN].heard != 0,
		.control_ms = ipsec_age(engine, peer->end[SIDE_WAN].last_ms),
	};
	for (int side = 0; side < SIDES; side++) {
		view->packets[side] = peer->packets[side] + peer->natt_packets[side];
		view->bytes[side] = peer->bytes[side];
		view->last_ms[side] = ipsec_age(engine, peer->last_ms[side]);
	}
	add_sas(engine, ipsec, peer, view);
	add_spis(engine, ipsec, peer, view);
	view->silent = peer->live ? module_silent_side(view) : -1;
	view->hint = peer->live ? hint_of(engine, ipsec, peer, view) : HINT_NONE;
}
