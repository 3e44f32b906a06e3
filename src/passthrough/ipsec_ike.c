/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IKE as it passes (RFC 7296, RFC 2409; RFC 3948 on port 4500): what its clear parts tell, whose message it is on a
 * shared port, and one phase 2 at a time where a new SPI could be meant for several hosts.
 */
#include "passthrough/ipsec.h"

#include <culvert/verdict.h>

static void note_facts(struct ipsec_peer *peer, enum side from, const struct module_datagram *read, uint32_t at,
		       const struct ike_header *header)
{
	struct ipsec_end *end = &peer->end[from];
	struct ike_facts facts;

	ike_read_clear(read->packet, at, read->length - (at - read->payload), header, &facts);
	if (!facts.is_clear)
		return;
	if (facts.natt)
		end->natt = true;
	if (facts.software != IKE_SOFTWARE_UNKNOWN)
		end->software = facts.software;
}

/* --- one phase 2 at a time --- */

/* Another peer has its turn: its phase 2 may yet lead to a new SPI. */
static bool gate_is_shut(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_group *group,
			 uint32_t index)
{
	return group->eligible.count > 1 && group->gate_peer != MODULE_NONE && group->gate_peer != index &&
	       ipsec->peer[group->gate_peer].is_eligible && ipsec->peer[index].is_eligible &&
	       ipsec_age(engine, ipsec->peer[group->gate_peer].turn_ms) < IPSEC_WINDOW_MS;
}

static uint32_t gate_left(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_group *group)
{
	return IPSEC_WINDOW_MS - ipsec_age(engine, ipsec->peer[group->gate_peer].turn_ms);
}

/* Part of the phase 2 that was seen last. Version 2 counts the requests of each side for itself. */
static bool is_under_way(const struct ipsec_peer *peer, enum side from, const struct ike_header *header)
{
	bool asked = header->version_major == 1 || ike_is_request(header);

	if (!peer->has_child || peer->child_message != header->message_id)
		return false;
	return header->version_major == 1 || (peer->child_from == from) == asked;
}

/* It opens a phase 2, or is one sent again that did. */
static bool opens(const struct ike_header *header)
{
	return header->version_major == 1 || ike_is_request(header);
}

static void ike_comes_first(const struct engine *engine, struct ipsec_group *group, uint32_t index)
{
	group->ike_first = index;
	group->ike_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
}

static struct engine_result wait_for_gate(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side from,
					  const struct module_datagram *read)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];

	if (peer->kept_ike[from] == MODULE_NONE)
		peer->kept_ike[from] = engine_offer(engine)->keep(engine, read->packet, read->arrived);
	else
		return verdict_drop(DROP_IKE_WAITS);
	if (peer->kept_ike[from] == MODULE_NONE)
		return verdict_drop(DROP_IKE_WAITS);
	if (!peer->waits_ike[SIDE_LAN] && !peer->waits_ike[SIDE_WAN]) {
		peer->ike_next = MODULE_NONE;
		if (group->ike_last != MODULE_NONE)
			ipsec->peer[group->ike_last].ike_next = index;
		else
			ike_comes_first(engine, group, index);
		group->ike_last = index;
	}
	peer->waits_ike[from] = true;
	ipsec_wait(engine, ipsec, peer->group, ipsec_wait_left(engine, group->ike_ms, gate_left(engine, ipsec, group)));
	return verdict_held();
}

void ipsec_ike_release(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_group *group = &ipsec->group[index];
	uint32_t next = group->ike_first;

	if (next == MODULE_NONE)
		return;
	uint32_t left = gate_is_shut(engine, ipsec, group, next) ? gate_left(engine, ipsec, group) : 0;
	left = ipsec_wait_left(engine, group->ike_ms, left);
	if (left > 0) {
		ipsec_wait(engine, ipsec, index, left);
		return;
	}
	struct ipsec_peer *peer = &ipsec->peer[next];
	group->gate_peer = MODULE_NONE;
	for (int side = 0; side < SIDES; side++) {
		if (!peer->waits_ike[side])
			continue;
		if (!engine_offer(engine)->ready(engine, SERVICE_IPSEC, (uint16_t)(next + 1), (enum side)side)) {
			ipsec_wait(engine, ipsec, index, 0);
			return;
		}
		peer->waits_ike[side] = false;
	}
	ike_comes_first(engine, group, peer->ike_next);
	if (group->ike_first == MODULE_NONE)
		group->ike_last = MODULE_NONE;
	if (group->ike_first != MODULE_NONE)
		ipsec_wait(engine, ipsec, index, IPSEC_WINDOW_MS);
}

/* The peer has its turn as long as its phase 2 goes on, and its server owes a new SPI once it took part in it. A
 * message sent again is no news. Who opens one after another and is never answered holds up nobody. */
static void note_child(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side from,
		       const struct ike_header *header)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];
	bool is_new = !is_under_way(peer, from, header);

	if (is_new && !opens(header))
		return;
	if (is_new) {
		peer->has_child = true;
		peer->child_message = header->message_id;
		peer->child_from = (uint8_t)from;
		if (peer->vain < IPSEC_VAIN)
			peer->vain++;
		if (peer->vain < IPSEC_VAIN && peer->is_eligible)
			group->gate_peer = index;
		else if (group->gate_peer == index)
			group->gate_peer = MODULE_NONE;
	} else if (peer->turn_from == from) {
		return;
	}
	peer->turn_from = (uint8_t)from;
	peer->turn_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	if (from == SIDE_WAN) {
		peer->vain = 0;
		ipsec_peer_owe(ipsec, index, true);
	}
	if (peer->is_owed)
		ipsec_recent_add(group->owed, index, peer->turn_ms);
}

/* The exchange may end in a new IKE SA, whose first message can come from the server with SPIs that nobody has seen. */
static bool may_renew(const struct ike_header *header)
{
	if (header->version_major == 1)
		return header->exchange == IKE_MAIN_MODE || header->exchange == IKE_AGGRESSIVE_MODE;
	return header->exchange == IKE_CREATE_CHILD_SA;
}

/* --- messages --- */

static struct engine_result read_message(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side from,
					 struct module_datagram *read, uint32_t at, const struct ike_header *header)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];

	if (ike_opens_child(header) && opens(header) && !is_under_way(peer, from, header) &&
	    gate_is_shut(engine, ipsec, group, index))
		return wait_for_gate(engine, ipsec, index, from, read);
	engine_offer(engine)->count(engine, STAT_IKE_MESSAGES);
	peer->version = header->version_major;
	peer->end[from].heard = true;
	peer->end[from].last_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	note_facts(peer, from, read, at, header);
	ipsec_peer_place(ipsec, index);
	ipsec_spi_learn(engine, ipsec, index, header->initiator_spi);
	if (from == SIDE_LAN)
		ipsec_share_sent(engine, ipsec, index, header, read->flow);
	else
		ipsec_share_heard(engine, ipsec, index, read->outside_port);
	if (ike_opens_child(header))
		note_child(engine, ipsec, index, from, header);
	if (may_renew(header) && (peer->share != SHARE_NOT || group->owner == index))
		ipsec_recent_add(group->rekey, index, (uint32_t)engine_offer(engine)->now_ms(engine));
	ipsec_esp_keep_all(engine, ipsec, index);
	return verdict_forwarded();
}

/* On a port that several hosts share, the initiator SPI says whose message it is. */
static bool find_owner(const struct engine *engine, const struct ipsec *ipsec, uint32_t *index,
		       struct module_datagram *read, const struct ike_header *header)
{
	uint32_t group = ipsec->peer[*index].group;

	if (ipsec->group[group].sharing.count == 0 || read->remote_port != IKE_PORT || read->outside_port != IKE_PORT ||
	    read->is_hairpin)
		return true;
	uint32_t owner = ipsec_share_owner(engine, ipsec, group, header);
	uint32_t flow = ipsec_share_target(engine, ipsec, owner);
	if (flow == MODULE_NONE)
		return false;
	*index = owner;
	read->flow = flow;
	return true;
}

static void count_natt_data(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side from, uint32_t length)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	engine_offer(engine)->count(engine, STAT_NATT_ESP);
	peer->natt_packets[from]++;
	peer->bytes[from] += length;
	peer->last_ms[from] = (uint32_t)engine_offer(engine)->now_ms(engine);
	if (!peer->is_up && peer->natt_packets[SIDE_LAN] > 0 && peer->natt_packets[SIDE_WAN] > 0)
		ipsec_peer_up(engine, ipsec, index);
}

/* Its ESP goes in UDP, so that its phase 2 holds up nobody any more. */
static void use_natt(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	if (ipsec->peer[index].uses_natt)
		return;
	ipsec->peer[index].uses_natt = true;
	ipsec_peer_place(ipsec, index);
	ipsec_ike_release(engine, ipsec, ipsec->peer[index].group);
}

/* Port 4500: ESP in UDP, IKE behind a marker, or a keepalive (RFC 3948 section 2). */
static struct engine_result read_natt(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side from,
				      struct module_datagram *read)
{
	struct ike_header header;

	switch (natt_classify(read->packet, read->payload, read->length)) {
	case NATT_KEEPALIVE:
		engine_offer(engine)->count(engine, STAT_NATT_KEEPALIVE);
		return verdict_forwarded();
	case NATT_ESP:
		use_natt(engine, ipsec, index);
		count_natt_data(engine, ipsec, index, from, read->length);
		return verdict_forwarded();
	case NATT_IKE:
		if (read->length < NATT_MARKER ||
		    !ike_parse(read->packet, read->payload + NATT_MARKER, read->length - NATT_MARKER, &header))
			break;
		use_natt(engine, ipsec, index);
		return read_message(engine, ipsec, index, from, read, read->payload + NATT_MARKER, &header);
	case NATT_SHORT:
		break;
	}
	engine_offer(engine)->count(engine, STAT_IKE_MALFORMED);
	return verdict_forwarded();
}

struct engine_result ipsec_ike_datagram(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side from,
					struct module_datagram *read)
{
	struct flow_view view;
	struct ike_header header;

	engine_offer(engine)->view_flow(engine, read->flow, &view, NULL);
	if ((view.inside_is_server ? view.outside_port : view.remote_port) == NATT_PORT)
		return read_natt(engine, ipsec, index, from, read);
	if (!ike_parse(read->packet, read->payload, read->length, &header)) {
		engine_offer(engine)->count(engine, STAT_IKE_MALFORMED);
		return verdict_forwarded();
	}
	if (from == SIDE_WAN && !find_owner(engine, ipsec, &index, read, &header))
		return verdict_drop(DROP_IKE_NO_PEER);
	return read_message(engine, ipsec, index, from, read, read->payload, &header);
}
