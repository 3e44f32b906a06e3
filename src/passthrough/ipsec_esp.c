/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pairing: an SPI that comes from outside for the first time has to be given to the right one of the hosts that talk
 * ESP to that server (RFC 3715 section 2.1 (f)).
 *
 * As few as possible are left to choose from: hosts that start wait for one another (their first packets are held), and
 * so do exchanges of IKE that lead to new SPIs. What is still not clear is not guessed but dropped for some seconds;
 * and a pairing whose host does not answer is taken back.
 */
#include "passthrough/ipsec.h"

static struct engine_result drop(enum drop reason)
{
	return (struct engine_result){VERDICT_DROPPED, (uint8_t)reason};
}

/* --- SAs of a peer --- */

static uint32_t spi_of(const struct engine *engine, const struct ipsec *ipsec, uint32_t sa, enum side from)
{
	return module_sa_spi(engine, ipsec->sa[sa].flow, from);
}

/* Counts an SA in or out of those of its peer that are paired, and those that lack the inbound SPI. */
static void count_sa(struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t change)
{
	struct ipsec_peer *peer = &ipsec->peer[ipsec->sa[index].peer];
	bool out = spi_of(engine, ipsec, index, SIDE_LAN) != 0, in = spi_of(engine, ipsec, index, SIDE_WAN) != 0;

	peer->paired += out && in ? change : 0;
	peer->unpaired += out && !in ? change : 0;
}

static void learn(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side from, uint32_t spi)
{
	count_sa(engine, ipsec, index, UINT32_MAX);
	if (spi != 0)
		module_sa_learn(engine, ipsec->sa[index].flow, from, spi);
	else
		module_sa_forget(engine, ipsec->sa[index].flow, from);
	count_sa(engine, ipsec, index, 1);
	ipsec_peer_place(ipsec, ipsec->sa[index].peer);
}

void ipsec_sa_enter(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_sa *sa = &ipsec->sa[index];
	struct ipsec_peer *peer = &ipsec->peer[sa->peer];

	sa->previous = MODULE_NONE;
	sa->next = peer->first_sa;
	if (peer->first_sa != MODULE_NONE)
		ipsec->sa[peer->first_sa].previous = index;
	peer->first_sa = index;
	peer->sas++;
	count_sa(engine, ipsec, index, 1);
	ipsec_peer_place(ipsec, sa->peer);
}

static uint32_t last_heard(const struct engine *engine, const struct ipsec *ipsec, uint32_t sa, enum side from)
{
	struct flow_view view;
	uint32_t last_ms[SIDES];

	module_view_flow(engine, ipsec->sa[sa].flow, &view, last_ms);
	return view.packets[from] > 0 ? last_ms[from] : UINT32_MAX;
}

/* The one whose last packet is the longest ago makes room. */
static void close_oldest(struct engine *engine, struct ipsec *ipsec, const struct ipsec_peer *peer)
{
	uint32_t oldest = peer->first_sa, age = 0;

	for (uint32_t i = peer->first_sa; i != MODULE_NONE; i = ipsec->sa[i].next) {
		uint32_t out = last_heard(engine, ipsec, i, SIDE_LAN), in = last_heard(engine, ipsec, i, SIDE_WAN);
		uint32_t last = out < in ? out : in;
		if (last >= age) {
			age = last;
			oldest = i;
		}
	}
	module_sa_close(engine, ipsec->sa[oldest].flow);
}

static uint32_t open_sa(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side opened, enum drop *why)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	if (peer->sas >= IPSEC_SAS_PEER)
		close_oldest(engine, ipsec, peer);
	uint32_t at = ipsec->sa_free;
	*why = DROP_TUNNELS_EXHAUSTED;
	if (at == MODULE_NONE)
		return MODULE_NONE;
	ipsec->sa_free = ipsec->sa[at].next;
	/* This may sweep flows, and with them the last SA that the peer had. */
	peer->is_busy = true;
	uint32_t flow =
		module_sa_open(engine, peer->inside, peer->outside, peer->remote, peer->is_server, opened, at, why);
	peer->is_busy = false;
	if (flow == MODULE_NONE) {
		ipsec->sa[at].next = ipsec->sa_free;
		ipsec->sa_free = at;
		return MODULE_NONE;
	}
	ipsec->sa[at] = (struct ipsec_sa){
		.flow = flow,
		.peer = index,
		.opened_ms = (uint32_t)module_now_ms(engine),
	};
	ipsec_sa_enter(engine, ipsec, at);
	return at;
}

static bool lives(const struct engine *engine, const struct ipsec *ipsec, uint32_t sa)
{
	struct flow_view view;

	module_view_flow(engine, ipsec->sa[sa].flow, &view, NULL);
	return (int32_t)view.expires_ms > 0;
}

/* The latest one that lacks just the SPI of this side, or a new one. */
static uint32_t sa_lacking(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side lacks, enum drop *why)
{
	enum side has = lacks == SIDE_LAN ? SIDE_WAN : SIDE_LAN;

	for (uint32_t i = ipsec->peer[index].first_sa; i != MODULE_NONE; i = ipsec->sa[i].next)
		if (spi_of(engine, ipsec, i, lacks) == 0 && spi_of(engine, ipsec, i, has) != 0 &&
		    lives(engine, ipsec, i))
			return i;
	return open_sa(engine, ipsec, index, lacks, why);
}

void ipsec_esp_keep_all(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	for (uint32_t i = ipsec->peer[index].first_sa; i != MODULE_NONE; i = ipsec->sa[i].next)
		module_sa_keep(engine, ipsec->sa[i].flow);
}

/* What its packets told stays with the peer. */
static void take_counts(const struct engine *engine, struct ipsec *ipsec, const struct ipsec_sa *sa)
{
	struct ipsec_peer *peer = &ipsec->peer[sa->peer];
	struct flow_view view;
	uint32_t last_ms[SIDES], now_ms = (uint32_t)module_now_ms(engine);

	module_view_flow(engine, sa->flow, &view, last_ms);
	for (int side = 0; side < SIDES; side++) {
		bool is_later = peer->packets[side] + peer->natt_packets[side] == 0 ||
				last_ms[side] < ipsec_age(engine, peer->last_ms[side]);
		if (view.packets[side] > 0 && is_later)
			peer->last_ms[side] = now_ms - last_ms[side];
		peer->packets[side] += view.packets[side];
		peer->bytes[side] += view.bytes[side];
	}
}

void ipsec_sa_over(struct engine *engine, void *memory, uint32_t index, enum tunnel_end why)
{
	struct ipsec *ipsec = memory;
	struct ipsec_sa *sa = &ipsec->sa[index];
	uint32_t owner = sa->peer;
	struct ipsec_peer *peer = &ipsec->peer[owner];

	take_counts(engine, ipsec, sa);
	count_sa(engine, ipsec, index, UINT32_MAX);
	if (sa->previous != MODULE_NONE)
		ipsec->sa[sa->previous].next = sa->next;
	else
		peer->first_sa = sa->next;
	if (sa->next != MODULE_NONE)
		ipsec->sa[sa->next].previous = sa->previous;
	peer->sas--;
	*sa = (struct ipsec_sa){.flow = MODULE_NONE, .next = ipsec->sa_free};
	ipsec->sa_free = index;
	ipsec_peer_place(ipsec, owner);
	ipsec_peer_settle(engine, ipsec, owner, why);
}

/* --- windows: who has just begun to send, and waits for an answer --- */

static bool has_window(const struct engine *engine, const struct ipsec_group *group, uint32_t index)
{
	for (uint32_t i = 0; i < IPSEC_RECENT; i++)
		if (group->window[i].peer == index && ipsec_age(engine, group->window[i].at_ms) < IPSEC_WINDOW_MS)
			return true;
	return false;
}

/* Milliseconds until no other peer of the group has a window; 0: none has. */
static uint32_t others_window(const struct engine *engine, const struct ipsec_group *group, uint32_t index)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		uint32_t age = ipsec_age(engine, group->window[i].at_ms);
		if (group->window[i].peer == MODULE_NONE || group->window[i].peer == index || age >= IPSEC_WINDOW_MS)
			continue;
		if (IPSEC_WINDOW_MS - age > left)
			left = IPSEC_WINDOW_MS - age;
	}
	return left;
}

void ipsec_esp_release(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_group *group = &ipsec->group[index];
	uint32_t next = group->wait_first;

	if (next == MODULE_NONE)
		return;
	uint32_t left = others_window(engine, group, next);
	if (left > 0) {
		ipsec_wait(engine, ipsec, index, left);
		return;
	}
	struct ipsec_peer *peer = &ipsec->peer[next];
	group->wait_first = peer->wait_next;
	if (group->wait_first == MODULE_NONE)
		group->wait_last = MODULE_NONE;
	else
		ipsec_wait(engine, ipsec, index, IPSEC_WINDOW_MS);
	peer->waits = false;
	peer->goes = true;
	/* Its window opens now, so that the next one stays where it is until the kept packets have gone. */
	ipsec_recent_add(group->window, next, (uint32_t)module_now_ms(engine));
	module_ready(engine, SERVICE_IPSEC, (uint16_t)(next + 1), SIDE_LAN);
}

static struct engine_result wait_for_turn(struct engine *engine, struct ipsec *ipsec, uint32_t index,
					  const struct packet *packet)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];

	uint32_t kept = peer->kept.count < IPSEC_KEPT ? module_keep(engine, packet, SIDE_LAN) : MODULE_NONE;
	if (kept == MODULE_NONE)
		return drop(DROP_ESP_QUEUE_FULL);
	peer->kept.packet[peer->kept.count++] = kept;
	if (!peer->waits && !peer->goes) {
		peer->waits = true;
		peer->wait_next = MODULE_NONE;
		if (group->wait_last != MODULE_NONE)
			ipsec->peer[group->wait_last].wait_next = index;
		else
			group->wait_first = index;
		group->wait_last = index;
	}
	uint32_t left = others_window(engine, group, group->wait_first);
	ipsec_wait(engine, ipsec, peer->group, left > 0 ? left : 1);
	return (struct engine_result){VERDICT_HELD, DROP_NONE};
}

/* --- from the LAN: rules O1 to O4 --- */

static uint32_t from_inside(struct engine *engine, struct ipsec *ipsec, const struct module_esp *esp,
			    struct engine_result *otherwise)
{
	enum drop why = DROP_TUNNELS_EXHAUSTED;
	uint32_t index =
		ipsec_peer_take(engine, ipsec, esp->inside_address, esp->outside_address, esp->remote_address, false);

	*otherwise = drop(why);
	if (index == MODULE_NONE)
		return MODULE_NONE;
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];
	peer->uses_esp = true;
	ipsec_peer_place(ipsec, index);
	bool is_kept = peer->goes;
	if (!is_kept && (peer->waits || (peer->paired == 0 && others_window(engine, group, index) > 0))) {
		*otherwise = wait_for_turn(engine, ipsec, index, esp->packet);
		ipsec_peer_settle(engine, ipsec, index, END_ROUTER);
		return MODULE_NONE;
	}
	uint32_t sa = sa_lacking(engine, ipsec, index, SIDE_LAN, &why);
	*otherwise = drop(why);
	if (sa == MODULE_NONE) {
		peer->goes = peer->goes && peer->kept.count > 0;
		ipsec_peer_settle(engine, ipsec, index, END_ROUTER);
		return MODULE_NONE;
	}
	learn(engine, ipsec, sa, SIDE_LAN, esp->spi);
	peer->goes = peer->goes && peer->kept.count > 0;
	if (spi_of(engine, ipsec, sa, SIDE_WAN) == 0) {
		ipsec_recent_add(group->window, index, (uint32_t)module_now_ms(engine));
		peer->unpaired_ms = (uint32_t)module_now_ms(engine);
	} else {
		ipsec_recent_remove(group->window, index);
		ipsec_peer_up(engine, ipsec, index);
		ipsec_esp_release(engine, ipsec, peer->group);
	}
	return ipsec->sa[sa].flow;
}

/* --- from the WAN: rules I1 to I5 --- */

static uint32_t bind(struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t spi, enum pairing pairing,
		     struct engine_result *otherwise)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];
	enum drop why;
	uint32_t sa = sa_lacking(engine, ipsec, index, SIDE_WAN, &why);

	*otherwise = drop(why);
	if (sa == MODULE_NONE) {
		ipsec_peer_settle(engine, ipsec, index, END_ROUTER);
		return MODULE_NONE;
	}
	learn(engine, ipsec, sa, SIDE_WAN, spi);
	ipsec->sa[sa].bound_ms = ipsec->sa[sa].doubted_ms = (uint32_t)module_now_ms(engine);
	module_sa_watch(engine, ipsec->sa[sa].flow, group->eligible.count > 1);
	peer->pairing = (uint8_t)pairing;
	peer->is_ambiguous = false;
	module_count(engine, STAT_ESP_PAIRED);
	if (pairing == PAIRING_GUESSED)
		module_count(engine, STAT_ESP_GUESSED);
	if (spi_of(engine, ipsec, sa, SIDE_LAN) != 0)
		ipsec_peer_up(engine, ipsec, index);
	ipsec_peer_owe(ipsec, index, false);
	ipsec_recent_remove(group->window, index);
	if (group->gate_peer == index)
		group->gate_peer = MODULE_NONE;
	if (group->unclear_spi == spi)
		group->unclear_spi = 0;
	uint32_t flow = ipsec->sa[sa].flow;
	ipsec_esp_release(engine, ipsec, peer->group);
	ipsec_ike_release(engine, ipsec, peer->group);
	return flow;
}

/* Those who could be meant by what happened lately. */
struct candidates {
	uint32_t peer[2 * IPSEC_RECENT];
	uint32_t count;
	uint32_t owed;  /* how many of them had a phase 2 lately */
	uint32_t owing; /* the last of these */
};

static void add_candidate(struct candidates *candidates, uint32_t index)
{
	for (uint32_t i = 0; i < candidates->count; i++)
		if (candidates->peer[i] == index)
			return;
	candidates->peer[candidates->count++] = index;
}

static struct candidates find_candidates(const struct engine *engine, const struct ipsec *ipsec,
					 const struct ipsec_group *group)
{
	struct candidates candidates = {.count = 0, .owing = MODULE_NONE};

	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		uint32_t index = group->child[i].peer;
		if (index == MODULE_NONE || !ipsec->peer[index].is_owed || !ipsec->peer[index].is_eligible ||
		    ipsec_age(engine, ipsec->peer[index].turn_ms) >= IPSEC_WINDOW_MS)
			continue;
		add_candidate(&candidates, index);
		candidates.owed++;
		candidates.owing = index;
	}
	for (uint32_t i = 0; i < IPSEC_RECENT; i++)
		if (group->window[i].peer != MODULE_NONE && has_window(engine, group, group->window[i].peer))
			add_candidate(&candidates, group->window[i].peer);
	return candidates;
}

static uint32_t choose(const struct ipsec_group *group, const struct candidates *candidates, enum pairing *pairing)
{
	*pairing = PAIRING_SOLE;
	if (group->eligible.count == 1)
		return ipsec_set_only(&group->eligible);
	if (candidates->owed == 1) {
		*pairing = PAIRING_RECENCY;
		return candidates->owing;
	}
	if (candidates->count == 1)
		return candidates->peer[0];
	*pairing = PAIRING_GUESSED;
	if (candidates->count > 0)
		return MODULE_NONE;
	uint32_t only = ipsec_set_only(&group->unpaired);
	return only != MODULE_NONE || group->unpaired.count > 0 ? only : ipsec_set_only(&group->owed);
}

/* Who has waited longest for an answer. */
static uint32_t longest_unpaired(const struct engine *engine, const struct ipsec *ipsec,
				 const struct ipsec_group *group)
{
	uint32_t found = MODULE_NONE;

	for (uint32_t i = group->first_peer; i != MODULE_NONE; i = ipsec->peer[i].group_next)
		if (ipsec->peer[i].unpaired > 0 &&
		    (found == MODULE_NONE ||
		     ipsec_age(engine, ipsec->peer[i].unpaired_ms) > ipsec_age(engine, ipsec->peer[found].unpaired_ms)))
			found = i;
	return found;
}

/* An SPI that stays unclear for some seconds; one at a time is looked at. */
static bool has_stayed_unclear(const struct engine *engine, struct ipsec_group *group, uint32_t spi)
{
	uint32_t now_ms = (uint32_t)module_now_ms(engine);

	if (group->unclear_spi != spi) {
		if (group->unclear_spi != 0 && ipsec_age(engine, group->unclear_last_ms) < IPSEC_UNHEARD_MS)
			return false;
		group->unclear_spi = spi;
		group->unclear_ms = now_ms;
	}
	group->unclear_last_ms = now_ms;
	return ipsec_age(engine, group->unclear_ms) >= IPSEC_WINDOW_MS;
}

static void fan_out(const struct ipsec *ipsec, const struct ipsec_group *group, const struct candidates *candidates,
		    struct module_esp *esp)
{
	uint32_t most = sizeof esp->copies / sizeof esp->copies[0];

	for (uint32_t i = 0; i < candidates->count && esp->copies_count < most; i++)
		esp->copies[esp->copies_count++] = ipsec->peer[candidates->peer[i]].inside;
	for (uint32_t i = group->first_peer; candidates->count == 0 && i != MODULE_NONE && esp->copies_count < most;
	     i = ipsec->peer[i].group_next)
		if (ipsec->peer[i].is_eligible)
			esp->copies[esp->copies_count++] = ipsec->peer[i].inside;
}

static uint32_t unclear(struct engine *engine, struct ipsec *ipsec, struct ipsec_group *group,
			const struct candidates *candidates, struct module_esp *esp, struct engine_result *otherwise)
{
	if (has_stayed_unclear(engine, group, esp->spi)) {
		uint32_t index = longest_unpaired(engine, ipsec, group);
		if (index != MODULE_NONE)
			return bind(engine, ipsec, index, esp->spi, PAIRING_GUESSED, otherwise);
	}
	for (uint32_t i = 0; i < candidates->count; i++)
		ipsec->peer[candidates->peer[i]].is_ambiguous = true;
	*otherwise = drop(DROP_ESP_AMBIGUOUS);
	if (esp->may_fan_out) {
		fan_out(ipsec, group, candidates, esp);
		*otherwise = (struct engine_result){VERDICT_FORWARDED, DROP_NONE};
	}
	return MODULE_NONE;
}

/* A server inside that a forward names, and nobody else talks to this remote address. */
static uint32_t from_stranger(struct engine *engine, struct ipsec *ipsec, const struct module_esp *esp,
			      struct engine_result *otherwise)
{
	if (esp->inside_address == 0) {
		*otherwise = drop(DROP_NO_OWNER);
		return MODULE_NONE;
	}
	uint32_t index =
		ipsec_peer_take(engine, ipsec, esp->inside_address, esp->outside_address, esp->remote_address, true);
	*otherwise = drop(DROP_TUNNELS_EXHAUSTED);
	if (index == MODULE_NONE)
		return MODULE_NONE;
	ipsec->peer[index].uses_esp = true;
	ipsec_peer_place(ipsec, index);
	return bind(engine, ipsec, index, esp->spi, PAIRING_SOLE, otherwise);
}

static uint32_t from_outside(struct engine *engine, struct ipsec *ipsec, struct module_esp *esp,
			     struct engine_result *otherwise)
{
	uint32_t index = ipsec_group_find(engine, ipsec, esp->outside_address, esp->remote_address);
	enum pairing pairing;

	if (index == MODULE_NONE || ipsec->group[index].eligible.count == 0)
		return from_stranger(engine, ipsec, esp, otherwise);
	struct ipsec_group *group = &ipsec->group[index];
	struct candidates candidates = find_candidates(engine, ipsec, group);
	uint32_t chosen = choose(group, &candidates, &pairing);
	if (chosen != MODULE_NONE)
		return bind(engine, ipsec, chosen, esp->spi, pairing, otherwise);
	return unclear(engine, ipsec, group, &candidates, esp, otherwise);
}

uint32_t ipsec_esp(struct engine *engine, void *memory, struct module_esp *esp, struct engine_result *otherwise)
{
	return esp->from == SIDE_LAN ? from_inside(engine, memory, esp, otherwise)
				     : from_outside(engine, memory, esp, otherwise);
}

/* --- wrong pairings: rules B1 and C1 --- */

/* The only other peer that lacks an inbound SPI, or MODULE_NONE. */
static uint32_t only_other_unpaired(const struct ipsec *ipsec, const struct ipsec_group *group, uint32_t index)
{
	uint32_t count = group->unpaired.count, other = group->unpaired.sum;

	if (ipsec->peer[index].is_unpaired) {
		count--;
		other -= index;
	}
	return count == 1 ? other : MODULE_NONE;
}

/* It still sends, was opened at the time of the pairing in doubt, and has had an answer no sooner than that. */
static bool has_waited_since(const struct engine *engine, const struct ipsec *ipsec, uint32_t index, uint32_t bound_ms)
{
	for (uint32_t i = ipsec->peer[index].first_sa; i != MODULE_NONE; i = ipsec->sa[i].next) {
		int32_t apart = (int32_t)(ipsec->sa[i].opened_ms - bound_ms);
		if (spi_of(engine, ipsec, i, SIDE_WAN) == 0 && apart < IPSEC_REPAIR_MS && apart > -IPSEC_REPAIR_MS &&
		    ipsec_age(engine, ipsec->sa[i].opened_ms) >= IPSEC_DOUBT_MS &&
		    last_heard(engine, ipsec, i, SIDE_LAN) < IPSEC_DOUBT_MS)
			return true;
	}
	return false;
}

static bool has_sent_since(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_peer *peer,
			   uint32_t at_ms)
{
	for (uint32_t i = peer->first_sa; i != MODULE_NONE; i = ipsec->sa[i].next)
		if (last_heard(engine, ipsec, i, SIDE_LAN) < ipsec_age(engine, at_ms))
			return true;
	return false;
}

static void repair(struct engine *engine, struct ipsec *ipsec, uint32_t sa, uint32_t to)
{
	struct engine_result otherwise;
	uint32_t spi = spi_of(engine, ipsec, sa, SIDE_WAN), flow = ipsec->sa[sa].flow;

	module_sa_watch(engine, flow, false);
	learn(engine, ipsec, sa, SIDE_WAN, 0);
	bind(engine, ipsec, to, spi, PAIRING_REPAIRED, &otherwise);
	module_count(engine, STAT_ESP_REPAIRED);
}

static void doubt(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_sa *sa = &ipsec->sa[index];
	const struct ipsec_peer *peer = &ipsec->peer[sa->peer];

	if (ipsec_age(engine, sa->bound_ms) < IPSEC_DOUBT_MS || ipsec_age(engine, sa->doubted_ms) < 1000)
		return;
	sa->doubted_ms = (uint32_t)module_now_ms(engine);
	if (has_sent_since(engine, ipsec, peer, sa->bound_ms) ||
	    ipsec_age(engine, sa->bound_ms) > IPSEC_REPAIR_MS + IPSEC_DOUBT_MS) {
		module_sa_watch(engine, sa->flow, false);
		return;
	}
	uint32_t other = only_other_unpaired(ipsec, &ipsec->group[peer->group], sa->peer);
	if (other != MODULE_NONE && has_waited_since(engine, ipsec, other, sa->bound_ms))
		repair(engine, ipsec, index, other);
}

/* Two hosts chose one SPI. The one that has no answer is the newer one. */
static void collide(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_peer *peer = &ipsec->peer[ipsec->sa[index].peer];
	uint32_t other = only_other_unpaired(ipsec, &ipsec->group[peer->group], ipsec->sa[index].peer);

	if (other == MODULE_NONE)
		return;
	module_count(engine, STAT_ESP_SPI_COLLISION);
	if (ipsec->peer[other].collides)
		return;
	ipsec->peer[other].collides = true;
	module_move_host(engine, ipsec->peer[other].inside);
}

void ipsec_sa_heard(struct engine *engine, void *memory, uint32_t record, enum side from, bool is_behind)
{
	if (is_behind)
		collide(engine, memory, record);
	else if (from == SIDE_WAN)
		doubt(engine, memory, record);
}
