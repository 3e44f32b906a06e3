/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers and their groups: finding, making and ending them, and the sets that say how many could be meant. */
#include "passthrough/ipsec.h"

struct pair {
	const struct ipsec *ipsec;
	struct address inside, outside, remote;
};

static uint64_t pair_hash(const struct engine *engine, struct address inside, struct address outside,
			  struct address remote)
{
	return engine_offer(engine)->hash(engine, address_words(outside, remote), address_word(inside));
}

static bool match_pair(const void *context, uint32_t index)
{
	const struct pair *pair = context;
	const struct ipsec_peer *peer = &pair->ipsec->peer[index];

	return address_equal(peer->inside, pair->inside) && address_equal(peer->outside, pair->outside) &&
	       address_equal(peer->remote, pair->remote);
}

static bool match_group(const void *context, uint32_t index)
{
	const struct pair *pair = context;
	const struct ipsec_group *group = &pair->ipsec->group[index];

	return address_equal(group->outside, pair->outside) && address_equal(group->remote, pair->remote);
}

uint32_t ipsec_peer_find(const struct engine *engine, const struct ipsec *ipsec, struct address inside,
			 struct address outside, struct address remote)
{
	struct pair pair = {ipsec, inside, outside, remote};

	return table_find(&ipsec->by_pair, pair_hash(engine, inside, outside, remote), match_pair, &pair);
}

uint32_t ipsec_group_find(const struct engine *engine, const struct ipsec *ipsec, struct address outside,
			  struct address remote)
{
	struct pair pair = {ipsec, address_of(0), outside, remote};

	return table_find(&ipsec->by_group, pair_hash(engine, address_of(0), outside, remote), match_group, &pair);
}

/* --- sets --- */

uint32_t ipsec_set_only(const struct ipsec_set *set)
{
	return set->count == 1 ? set->sum : MODULE_NONE;
}

/* The list of a group: whoever is eligible in front, the others behind, so that it is found without looking at all. */
static void leave_list(struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];

	if (peer->group_previous != MODULE_NONE)
		ipsec->peer[peer->group_previous].group_next = peer->group_next;
	else
		group->first_peer = peer->group_next;
	if (peer->group_next != MODULE_NONE)
		ipsec->peer[peer->group_next].group_previous = peer->group_previous;
	else
		group->last_peer = peer->group_previous;
}

static void enter_list(struct ipsec *ipsec, uint32_t index, bool in_front)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];

	peer->group_previous = in_front ? MODULE_NONE : group->last_peer;
	peer->group_next = in_front ? group->first_peer : MODULE_NONE;
	if (peer->group_previous != MODULE_NONE)
		ipsec->peer[peer->group_previous].group_next = index;
	else
		group->first_peer = index;
	if (peer->group_next != MODULE_NONE)
		ipsec->peer[peer->group_next].group_previous = index;
	else
		group->last_peer = index;
}

static void set_follow(struct ipsec_set *set, uint32_t peer, uint8_t *is_in, bool shall_be)
{
	if ((*is_in != 0) == shall_be)
		return;
	*is_in = shall_be;
	set->count += shall_be ? 1 : UINT32_MAX;
	set->sum += shall_be ? peer : 0 - peer;
}

void ipsec_peer_place(struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];

	/* Port 4500 carries ESP as well. What both ends offer in clear proves nothing: some are told to go without. */
	bool is_eligible = peer->live && (!peer->uses_natt || peer->uses_esp);
	if (is_eligible != (peer->is_eligible != 0)) {
		leave_list(ipsec, index);
		enter_list(ipsec, index, is_eligible);
	}
	set_follow(&group->eligible, index, &peer->is_eligible, is_eligible);
	set_follow(&group->owing, index, &peer->is_owing, peer->is_eligible && peer->is_owed);
	set_follow(&group->unpaired, index, &peer->is_unpaired, peer->live && peer->unpaired > 0);
	set_follow(&group->sharing, index, &peer->is_sharing, peer->live && peer->share != SHARE_NOT);
}

void ipsec_peer_owe(struct ipsec *ipsec, uint32_t index, bool is_owed)
{
	ipsec->peer[index].is_owed = is_owed;
	ipsec_peer_place(ipsec, index);
}

void ipsec_recent_remove(struct ipsec_recent *recent, uint32_t peer)
{
	for (uint32_t i = 0; i < IPSEC_RECENT; i++)
		if (recent[i].peer == peer)
			recent[i].peer = MODULE_NONE;
}

void ipsec_recent_add(struct ipsec_recent *recent, uint32_t peer, uint32_t now_ms)
{
	uint32_t place = 0;

	ipsec_recent_remove(recent, peer);
	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		if (recent[i].peer == MODULE_NONE) {
			place = i;
			break;
		}
		if (now_ms - recent[i].at_ms > now_ms - recent[place].at_ms)
			place = i;
	}
	recent[place] = (struct ipsec_recent){peer, now_ms};
}

/* --- groups --- */

static uint32_t group_take(const struct engine *engine, struct ipsec *ipsec, struct address outside,
			   struct address remote)
{
	uint32_t index = ipsec_group_find(engine, ipsec, outside, remote);

	if (index != MODULE_NONE)
		return index;
	index = ipsec->group_free; /* there are as many groups as peers */
	struct ipsec_group *group = &ipsec->group[index];
	ipsec->group_free = group->next;
	*group = (struct ipsec_group){
		.outside = outside,
		.remote = remote,
		.live = true,
		.next = MODULE_NONE,
		.first_peer = MODULE_NONE,
		.last_peer = MODULE_NONE,
		.owner = MODULE_NONE,
		.gate_peer = MODULE_NONE,
		.wait_first = MODULE_NONE,
		.wait_last = MODULE_NONE,
		.ike_first = MODULE_NONE,
		.ike_last = MODULE_NONE,
	};
	for (uint32_t i = 0; i < IPSEC_RECENT; i++)
		group->window[i].peer = group->owed[i].peer = group->rekey[i].peer = group->bound[i].peer = MODULE_NONE;
	table_insert(&ipsec->by_group, pair_hash(engine, address_of(0), outside, remote), index);
	return index;
}

void ipsec_group_settle(const struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_group *group = &ipsec->group[index];

	/* One in which somebody waited is looked at first, see wake() in ipsec.c. */
	if (group->peers > 0 || group->is_due || !group->live)
		return;
	table_remove(&ipsec->by_group, pair_hash(engine, address_of(0), group->outside, group->remote), index);
	group->live = false;
	group->next = ipsec->group_free;
	ipsec->group_free = index;
}

/* --- peers --- */

static uint32_t load_of(const struct engine *engine, const struct ipsec *ipsec, struct address inside)
{
	return (uint32_t)(engine_offer(engine)->hash(engine, address_word(inside), 6) % ipsec->peers);
}

void ipsec_peer_enter(const struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	peer->group = group_take(engine, ipsec, peer->outside, peer->remote);
	ipsec->group[peer->group].peers++;
	enter_list(ipsec, index, false);
	peer->load = load_of(engine, ipsec, peer->inside);
	ipsec->load[peer->load].peers += !peer->is_server;
	table_insert(&ipsec->by_pair, pair_hash(engine, peer->inside, peer->outside, peer->remote), index);
	ipsec_peer_place(ipsec, index);
}

uint32_t ipsec_peer_take(struct engine *engine, struct ipsec *ipsec, struct address inside, struct address outside,
			 struct address remote, bool is_server)
{
	uint32_t index = ipsec_peer_find(engine, ipsec, inside, outside, remote);

	if (index != MODULE_NONE || ipsec->peer_first == MODULE_NONE)
		return index;
	if (!is_server && ipsec->load[load_of(engine, ipsec, inside)].peers >= module_share(ipsec->peers))
		return MODULE_NONE;
	index = ipsec->peer_first;
	struct ipsec_peer *peer = &ipsec->peer[index];
	ipsec->peer_first = peer->next;
	if (index >= ipsec->used)
		ipsec->used = index + 1;
	if (ipsec->peer_first == MODULE_NONE)
		ipsec->peer_last = MODULE_NONE;
	*peer = (struct ipsec_peer){
		.inside = inside,
		.outside = outside,
		.remote = remote,
		.live = true,
		.is_known = true,
		.is_server = is_server,
		.next = MODULE_NONE,
		.first_sa = MODULE_NONE,
		.wait_next = MODULE_NONE,
		.ike_next = MODULE_NONE,
		.kept_ike = {MODULE_NONE, MODULE_NONE},
		.started_ms = (uint32_t)engine_offer(engine)->now_ms(engine),
	};
	for (uint32_t i = 0; i < IPSEC_FLOWS; i++)
		peer->flow[i] = MODULE_NONE;
	ipsec_peer_enter(engine, ipsec, index);
	engine_offer(engine)->count(engine, STAT_IPSEC_PEERS);
	return index;
}

uint32_t ipsec_peer_knock(struct engine *engine, struct ipsec *ipsec, struct address inside, struct address outside,
			  struct address remote)
{
	uint32_t index = MODULE_NONE;

	if (ipsec->knocking < module_quarter(ipsec->peers))
		index = ipsec_peer_take(engine, ipsec, inside, outside, remote, true);
	if (index == MODULE_NONE)
		return MODULE_NONE;
	ipsec->peer[index].knocks = true;
	ipsec->knocking++;
	return index;
}

void ipsec_peer_answers(struct ipsec *ipsec, uint32_t index)
{
	if (!ipsec->peer[index].knocks)
		return;
	ipsec->peer[index].knocks = false;
	ipsec->knocking--;
}

void ipsec_peer_up(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct tunnel_view view;

	if (ipsec->peer[index].is_up)
		return;
	ipsec->peer[index].is_up = true;
	ipsec_view(engine, ipsec, index, &view);
	engine_offer(engine)->report(engine, EVENT_TUNNEL_UP, &view);
}

static bool has_flow(const struct ipsec_peer *peer)
{
	for (uint32_t i = 0; i < IPSEC_FLOWS; i++)
		if (peer->flow[i] != MODULE_NONE)
			return true;
	return false;
}

static void leave_spis(const struct engine *engine, struct ipsec *ipsec, uint32_t index);

/* It is shown as ended until its record is needed again. */
static void end(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum tunnel_end why)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];
	struct tunnel_view view;

	leave_spis(engine, ipsec, index);
	table_remove(&ipsec->by_pair, pair_hash(engine, peer->inside, peer->outside, peer->remote), index);
	peer->live = false;
	peer->share = SHARE_NOT;
	ipsec_peer_place(ipsec, index);
	ipsec_recent_remove(group->window, index);
	ipsec_recent_remove(group->owed, index);
	ipsec_recent_remove(group->rekey, index);
	ipsec_recent_remove(group->bound, index);
	if (group->owner == index)
		group->owner = MODULE_NONE;
	if (group->gate_peer == index)
		group->gate_peer = MODULE_NONE;
	leave_list(ipsec, index);
	group->peers--;
	ipsec->load[peer->load].peers -= !peer->is_server;
	if (group->wait_first != MODULE_NONE || group->ike_first != MODULE_NONE)
		ipsec_wait(engine, ipsec, peer->group, 0); /* perhaps for this one */
	ipsec_group_settle(engine, ipsec, peer->group);
	if (peer->knocks)
		ipsec->knocking--;
	peer->why = (uint8_t)why;
	peer->next = MODULE_NONE;
	if (ipsec->peer_last != MODULE_NONE)
		ipsec->peer[ipsec->peer_last].next = index;
	else
		ipsec->peer_first = index;
	ipsec->peer_last = index;
	if (!peer->is_up)
		return;
	ipsec_view(engine, ipsec, index, &view);
	engine_offer(engine)->report(engine, EVENT_TUNNEL_DOWN, &view);
}

void ipsec_peer_settle(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum tunnel_end why)
{
	const struct ipsec_peer *peer = &ipsec->peer[index];

	if (peer->live && !peer->is_busy && !has_flow(peer) && peer->sas == 0 && !peer->waits && !peer->goes &&
	    peer->kept_ike[SIDE_LAN] == MODULE_NONE && peer->kept_ike[SIDE_WAN] == MODULE_NONE)
		end(engine, ipsec, index, why);
}

/* --- initiator SPIs --- */

struct spi_match {
	const struct ipsec *ipsec;
	uint32_t group;
	uint64_t spi;
};

static uint64_t spi_hash(const struct engine *engine, const struct ipsec_group *group, uint64_t spi)
{
	return engine_offer(engine)->hash(engine, address_words(group->outside, group->remote), spi);
}

static bool match_spi(const void *context, uint32_t index)
{
	const struct spi_match *match = context;
	const struct ipsec_peer *peer = &match->ipsec->peer[index / IPSEC_SPIS];

	return peer->group == match->group && peer->spi[index % IPSEC_SPIS] == match->spi;
}

uint32_t ipsec_spi_find(const struct engine *engine, const struct ipsec *ipsec, uint32_t group, uint64_t spi)
{
	struct spi_match match = {ipsec, group, spi};
	uint32_t index = table_find(&ipsec->by_spi, spi_hash(engine, &ipsec->group[group], spi), match_spi, &match);

	return index != TABLE_NONE ? index / IPSEC_SPIS : MODULE_NONE;
}

static void enter_spi(const struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t place)
{
	const struct ipsec_peer *peer = &ipsec->peer[index];

	table_insert(&ipsec->by_spi, spi_hash(engine, &ipsec->group[peer->group], peer->spi[place]),
		     index * IPSEC_SPIS + place);
}

static void leave_spi(const struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t place)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	if (peer->spi[place] != 0)
		table_remove(&ipsec->by_spi, spi_hash(engine, &ipsec->group[peer->group], peer->spi[place]),
			     index * IPSEC_SPIS + place);
	peer->spi[place] = 0;
}

static void leave_spis(const struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	for (uint32_t i = 0; i < IPSEC_SPIS; i++)
		leave_spi(engine, ipsec, index, i);
}

void ipsec_spi_learn(const struct engine *engine, struct ipsec *ipsec, uint32_t index, uint64_t spi)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	for (uint32_t i = 0; i < IPSEC_SPIS; i++)
		if (peer->spi[i] == spi)
			return;
	if (ipsec_spi_find(engine, ipsec, peer->group, spi) != MODULE_NONE) {
		peer->clashes = true;
		return;
	}
	uint32_t place = peer->spi_next;
	peer->spi_next = (uint8_t)((place + 1) % IPSEC_SPIS);
	leave_spi(engine, ipsec, index, place);
	peer->spi[place] = spi;
	enter_spi(engine, ipsec, index, place);
}
