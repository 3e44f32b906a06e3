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

#include <culvert/verdict.h>

/* --- windows: who has just begun to send, and waits for an answer --- */

/* Milliseconds until no other peer of the group has a window that makes this one wait; 0: none has. A peer that has
 * paired ESP waits only for fresh windows, because its packets must not be held for long. */
static uint32_t others_window(const struct engine *engine, const struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_group *group = &ipsec->group[ipsec->peer[index].group];
	uint32_t length = ipsec->peer[index].paired == 0 ? IPSEC_WINDOW_MS : IPSEC_FRESH_MS, left = 0;

	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		uint32_t age = ipsec_age(engine, group->window[i].at_ms);
		if (group->window[i].peer == MODULE_NONE || group->window[i].peer == index || age >= length)
			continue;
		if (length - age > left)
			left = length - age;
	}
	return left;
}

void ipsec_esp_release(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_group *group = &ipsec->group[index];
	uint32_t next = group->wait_first;

	if (next == MODULE_NONE)
		return;
	uint32_t left = ipsec_wait_left(engine, group->wait_ms, others_window(engine, ipsec, next));
	if (left > 0 || !engine_offer(engine)->ready(engine, SERVICE_IPSEC, (uint16_t)(next + 1), SIDE_LAN)) {
		ipsec_wait(engine, ipsec, index, left);
		return;
	}
	struct ipsec_peer *peer = &ipsec->peer[next];
	group->wait_first = peer->wait_next;
	group->wait_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	peer->waits = false;
	peer->goes = true;
	/* Its window opens now, so that the next one stays where it is until the kept packets have gone. */
	ipsec_recent_add(group->window, next, (uint32_t)engine_offer(engine)->now_ms(engine));
	if (group->wait_first == MODULE_NONE)
		group->wait_last = MODULE_NONE;
	else
		ipsec_wait(engine, ipsec, index, others_window(engine, ipsec, group->wait_first));
}

/* Peers that already have a paired SA are queued first, because new peers must wait for longer windows anyway. */
static void enqueue(const struct engine *engine, struct ipsec *ipsec, struct ipsec_group *group, uint32_t index)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	bool is_alone = group->wait_first == MODULE_NONE;

	if (is_alone)
		group->queued_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	/* Once somebody has waited for a while, nobody comes before others any more. */
	bool in_front = is_alone || (peer->paired > 0 && ipsec_age(engine, group->queued_ms) < IPSEC_WINDOW_MS);
	peer->waits = true;
	peer->wait_next = in_front ? group->wait_first : MODULE_NONE;
	if (!in_front)
		ipsec->peer[group->wait_last].wait_next = index;
	if (!in_front || group->wait_first == MODULE_NONE)
		group->wait_last = index;
	if (!in_front)
		return;
	group->wait_first = index;
	group->wait_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
}

static struct engine_result wait_for_turn(struct engine *engine, struct ipsec *ipsec, uint32_t index,
					  const struct packet *packet)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];

	uint32_t kept =
		peer->kept.count < IPSEC_KEPT ? engine_offer(engine)->keep(engine, packet, SIDE_LAN) : MODULE_NONE;
	if (kept == MODULE_NONE)
		return verdict_drop(DROP_ESP_QUEUE_FULL);
	peer->kept.packet[peer->kept.count++] = kept;
	if (!peer->waits && !peer->goes)
		enqueue(engine, ipsec, group, index);
	uint32_t left = ipsec_wait_left(engine, group->wait_ms, others_window(engine, ipsec, group->wait_first));
	ipsec_wait(engine, ipsec, peer->group, left > 0 ? left : 1);
	return verdict_held();
}

/* --- from the LAN: docs/nat-behaviour.md section 11, rules O1 to O4 --- */

static uint32_t from_inside(struct engine *engine, struct ipsec *ipsec, const struct module_esp *esp,
			    struct engine_result *otherwise)
{
	enum drop why = DROP_TUNNELS_EXHAUSTED;
	uint32_t index =
		ipsec_peer_take(engine, ipsec, esp->inside_address, esp->outside_address, esp->remote_address, false);

	*otherwise = verdict_drop(why);
	if (index == MODULE_NONE)
		return MODULE_NONE;
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];
	ipsec_peer_answers(ipsec, index);
	peer->uses_esp = true;
	ipsec_peer_place(ipsec, index);
	bool is_kept = peer->goes;
	if (!is_kept && (peer->waits || others_window(engine, ipsec, index) > 0)) {
		*otherwise = wait_for_turn(engine, ipsec, index, esp->packet);
		ipsec_peer_settle(engine, ipsec, index, END_ROUTER);
		return MODULE_NONE;
	}
	uint32_t sa = ipsec_is_cautious(engine, group) ? ipsec_sa_open(engine, ipsec, index, SIDE_LAN, &why)
						       : ipsec_sa_lacking(engine, ipsec, index, SIDE_LAN, &why);
	*otherwise = verdict_drop(why);
	if (sa == MODULE_NONE) {
		ipsec_peer_settle(engine, ipsec, index, END_ROUTER);
		return MODULE_NONE;
	}
	ipsec_sa_learn(engine, ipsec, sa, SIDE_LAN, esp->spi);
	ipsec_caution(engine, group, -1);
	if (ipsec_sa_spi(engine, ipsec, sa, SIDE_WAN) == 0) {
		ipsec_recent_add(group->window, index, (uint32_t)engine_offer(engine)->now_ms(engine));
		peer->unpaired_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	} else {
		ipsec_recent_remove(group->window, index);
		ipsec_peer_up(engine, ipsec, index);
		/* What else was kept goes before those who wait for this. */
		if (!is_kept)
			ipsec_esp_release(engine, ipsec, peer->group);
	}
	return ipsec->sa[sa].flow;
}

/* --- from the WAN: the same section, "an unknown SPI" --- */

uint32_t ipsec_esp_bind(struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t spi, enum pairing pairing,
			struct engine_result *otherwise)
{
	struct ipsec_peer *peer = &ipsec->peer[index];
	struct ipsec_group *group = &ipsec->group[peer->group];
	enum drop why;
	bool is_cautious = pairing != PAIRING_REPAIRED && ipsec_is_cautious(engine, group);
	uint32_t sa = is_cautious ? ipsec_sa_open(engine, ipsec, index, SIDE_WAN, &why)
				  : ipsec_sa_lacking(engine, ipsec, index, SIDE_WAN, &why);

	*otherwise = verdict_drop(why);
	if (sa == MODULE_NONE) {
		ipsec_peer_settle(engine, ipsec, index, END_ROUTER);
		return MODULE_NONE;
	}
	ipsec_sa_learn(engine, ipsec, sa, SIDE_WAN, spi);
	ipsec_recent_add(group->bound, index, (uint32_t)engine_offer(engine)->now_ms(engine));
	ipsec->sa[sa].bound_ms = ipsec->sa[sa].doubted_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	engine_offer(engine)->sa_watch(engine, ipsec->sa[sa].flow, is_cautious || group->eligible.count > 1);
	peer->pairing = (uint8_t)pairing;
	peer->is_ambiguous = false;
	engine_offer(engine)->count(engine, STAT_ESP_PAIRED);
	if (pairing == PAIRING_GUESSED)
		engine_offer(engine)->count(engine, STAT_ESP_GUESSED);
	if (ipsec_sa_spi(engine, ipsec, sa, SIDE_LAN) != 0)
		ipsec_peer_up(engine, ipsec, index);
	uint32_t flow = ipsec->sa[sa].flow;
	if (is_cautious)
		return flow;
	ipsec_peer_owe(ipsec, index, false);
	ipsec_recent_remove(group->window, index);
	if (group->gate_peer == index)
		group->gate_peer = MODULE_NONE;
	for (uint32_t i = 0; i < IPSEC_RECENT; i++)
		if (group->unclear[i].spi == spi)
			group->unclear[i].spi = 0;
	ipsec_esp_release(engine, ipsec, peer->group);
	ipsec_ike_release(engine, ipsec, peer->group);
	return flow;
}

/* Those who could be meant by what happened lately. */
struct candidates {
	uint32_t peer[2 * IPSEC_RECENT];
	uint32_t count;
	uint32_t owed;     /* how many of them had a phase 2 lately */
	uint32_t owing;    /* the last of these */
	uint32_t fresh;    /* how many have just begun to send with a new SPI */
	uint32_t freshest; /* the last of these */
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
	struct candidates candidates = {.count = 0, .owing = MODULE_NONE, .freshest = MODULE_NONE};

	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		uint32_t index = group->owed[i].peer;
		if (index == MODULE_NONE || !ipsec->peer[index].is_owed || !ipsec->peer[index].is_eligible ||
		    ipsec_age(engine, ipsec->peer[index].turn_ms) >= IPSEC_WINDOW_MS)
			continue;
		add_candidate(&candidates, index);
		candidates.owed++;
		candidates.owing = index;
	}
	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		uint32_t index = group->window[i].peer, age = ipsec_age(engine, group->window[i].at_ms);
		if (index == MODULE_NONE || age >= IPSEC_WINDOW_MS || !ipsec->peer[index].is_eligible)
			continue;
		add_candidate(&candidates, index);
		candidates.fresh += age < IPSEC_FRESH_MS;
		candidates.freshest = age < IPSEC_FRESH_MS ? index : candidates.freshest;
	}
	return candidates;
}

/* Somebody has asked for new keys and was not answered yet, as far as we know: ESP may come before the answer. */
static bool is_asking(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_group *group)
{
	const struct ipsec_peer *peer = &ipsec->peer[group->gate_peer];

	return group->gate_peer != MODULE_NONE && peer->is_eligible && !peer->is_owed &&
	       ipsec_age(engine, peer->turn_ms) < IPSEC_WINDOW_MS;
}

static uint32_t choose(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_group *group,
		       const struct candidates *candidates, enum pairing *pairing)
{
	*pairing = PAIRING_SOLE;
	if (group->eligible.count == 1)
		return ipsec_set_only(&group->eligible);
	/* An answer comes soon after what it answers. */
	if (candidates->fresh == 1)
		return candidates->freshest;
	if (candidates->owed == 1) {
		*pairing = PAIRING_RECENCY;
		return candidates->owing;
	}
	if (candidates->count == 1)
		return candidates->peer[0];
	*pairing = PAIRING_GUESSED;
	if (candidates->count > 0 || is_asking(engine, ipsec, group))
		return MODULE_NONE;
	uint32_t only = ipsec_set_only(&group->unpaired);
	return only != MODULE_NONE || group->unpaired.count > 0 ? only : ipsec_set_only(&group->owing);
}

/* Who has waited longest for an answer. */
static uint32_t longest_unpaired(const struct engine *engine, const struct ipsec *ipsec,
				 const struct ipsec_group *group)
{
	uint32_t found = MODULE_NONE;

	/* It takes long in a large group: only if somebody is to be found. */
	if (group->unpaired.count == 0)
		return MODULE_NONE;
	for (uint32_t i = group->first_peer; i != MODULE_NONE; i = ipsec->peer[i].group_next)
		if (ipsec->peer[i].unpaired > 0 &&
		    (found == MODULE_NONE || ipsec_age(engine, ipsec->peer[i].unpaired_ms) >=
						     ipsec_age(engine, ipsec->peer[found].unpaired_ms)))
			found = i;
	return found;
}

/* The place of an SPI that is unclear already, or a free one, or NULL. Who is not heard any more is forgotten. */
static struct ipsec_unclear *unclear_find(const struct engine *engine, struct ipsec_group *group, uint32_t spi)
{
	struct ipsec_unclear *place = NULL;

	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		struct ipsec_unclear *unclear = &group->unclear[i];
		if (ipsec_age(engine, unclear->last_ms) >= IPSEC_UNHEARD_MS)
			unclear->spi = 0;
		if (unclear->spi == spi)
			return unclear;
		if (unclear->spi == 0)
			place = unclear;
	}
	return place;
}

/* It has stayed unclear for so long. */
static bool has_stayed_unclear(const struct engine *engine, struct ipsec_group *group, uint32_t spi, uint32_t for_ms)
{
	struct ipsec_unclear *unclear = unclear_find(engine, group, spi);
	uint32_t now_ms = (uint32_t)engine_offer(engine)->now_ms(engine);

	if (!unclear)
		return false;
	if (unclear->spi != spi)
		*unclear = (struct ipsec_unclear){.spi = spi, .first_ms = now_ms};
	unclear->last_ms = now_ms;
	return ipsec_age(engine, unclear->first_ms) >= for_ms;
}

static bool is_unclear(const struct engine *engine, struct ipsec_group *group, uint32_t spi)
{
	const struct ipsec_unclear *unclear = unclear_find(engine, group, spi);

	return unclear && unclear->spi == spi;
}

static void fan_out(const struct ipsec *ipsec, const struct ipsec_group *group, const struct candidates *candidates,
		    struct module_esp *esp)
{
	uint32_t most = sizeof(esp->copies) / sizeof(esp->copies[0]);

	for (uint32_t i = 0; i < candidates->count && esp->copies_count < most; i++)
		esp->copies[esp->copies_count++] = ipsec->peer[candidates->peer[i]].inside;
	/* Those who are eligible stand first. */
	for (uint32_t i = group->first_peer;
	     candidates->count == 0 && i != MODULE_NONE && ipsec->peer[i].is_eligible && esp->copies_count < most;
	     i = ipsec->peer[i].group_next)
		esp->copies[esp->copies_count++] = ipsec->peer[i].inside;
}

static uint32_t unclear(struct engine *engine, struct ipsec *ipsec, struct ipsec_group *group,
			const struct candidates *candidates, struct module_esp *esp, struct engine_result *otherwise)
{
	bool has_stayed = has_stayed_unclear(engine, group, esp->spi, IPSEC_WINDOW_MS);
	if (!ipsec_is_cautious(engine, group)) {
		uint32_t index = MODULE_NONE;
		/* Looking for it takes long in a large group: only if somebody is to be found. */
		if (has_stayed && group->unpaired.count > 0)
			index = longest_unpaired(engine, ipsec, group);
		if (index == MODULE_NONE && has_stayed_unclear(engine, group, esp->spi, IPSEC_WEAK_MS))
			index = ipsec_only_weak(engine, ipsec, group);
		if (index != MODULE_NONE)
			return ipsec_esp_bind(engine, ipsec, index, esp->spi, PAIRING_GUESSED, otherwise);
	}
	for (uint32_t i = 0; i < candidates->count; i++)
		ipsec->peer[candidates->peer[i]].is_ambiguous = true;
	*otherwise = verdict_drop(DROP_ESP_AMBIGUOUS);
	if (esp->may_fan_out) {
		fan_out(ipsec, group, candidates, esp);
		*otherwise = verdict_forwarded();
	}
	return MODULE_NONE;
}

/* A server inside that a forward names, and nobody else talks to this remote address. */
static uint32_t from_stranger(struct engine *engine, struct ipsec *ipsec, const struct module_esp *esp,
			      struct engine_result *otherwise)
{
	if (!address_is_set(esp->inside_address)) {
		*otherwise = verdict_drop(DROP_NO_OWNER);
		return MODULE_NONE;
	}
	uint32_t index = ipsec_peer_find(engine, ipsec, esp->inside_address, esp->outside_address, esp->remote_address);
	if (index == MODULE_NONE)
		index = ipsec_peer_knock(engine, ipsec, esp->inside_address, esp->outside_address, esp->remote_address);
	*otherwise = verdict_drop(DROP_TUNNELS_EXHAUSTED);
	if (index == MODULE_NONE)
		return MODULE_NONE;
	ipsec->peer[index].uses_esp = true;
	ipsec_peer_place(ipsec, index);
	return ipsec_esp_bind(engine, ipsec, index, esp->spi, PAIRING_SOLE, otherwise);
}

static struct ipsec_parted *parted_find(const struct engine *engine, struct ipsec *ipsec, const struct module_esp *esp)
{
	for (uint32_t i = 0; i < IPSEC_PARTED; i++) {
		struct ipsec_parted *parted = &ipsec->parted[i];

		if (parted->spi == esp->spi && address_equal(parted->remote, esp->remote_address) &&
		    address_equal(parted->outside, esp->outside_address) &&
		    ipsec_age(engine, parted->at_ms) < IPSEC_PARTED_MS)
			return parted;
	}
	return NULL;
}

/* An SPI that was forgotten goes to its host again as soon as that has sent something, and until then to nobody. */
static uint32_t from_parted(struct engine *engine, struct ipsec *ipsec, const struct module_esp *esp,
			    struct ipsec_parted *parted, struct engine_result *otherwise)
{
	uint32_t index = ipsec_peer_find(engine, ipsec, parted->inside, esp->outside_address, esp->remote_address);

	if (index == MODULE_NONE && address_equal(parted->inside, esp->inside_address))
		return from_stranger(engine, ipsec, esp, otherwise);
	*otherwise = verdict_drop(DROP_NO_OWNER);
	if (index == MODULE_NONE || !ipsec->peer[index].is_eligible)
		return MODULE_NONE;
	parted->spi = 0;
	return ipsec_esp_bind(engine, ipsec, index, esp->spi, PAIRING_SOLE, otherwise);
}

static uint32_t from_outside(struct engine *engine, struct ipsec *ipsec, struct module_esp *esp,
			     struct engine_result *otherwise)
{
	uint32_t index = ipsec_group_find(engine, ipsec, esp->outside_address, esp->remote_address);
	bool has_eligible = index != MODULE_NONE && ipsec->group[index].eligible.count > 0;
	struct ipsec_parted *parted = parted_find(engine, ipsec, esp);
	enum pairing pairing;

	if (parted && (has_eligible || !address_equal(parted->inside, esp->inside_address)))
		return from_parted(engine, ipsec, esp, parted, otherwise);
	if (!has_eligible)
		return from_stranger(engine, ipsec, esp, otherwise);
	struct ipsec_group *group = &ipsec->group[index];
	struct candidates candidates = find_candidates(engine, ipsec, group);
	uint32_t chosen = choose(engine, ipsec, group, &candidates, &pairing);
	/* One for each phase 2 is to be expected, as long as nobody cheats. */
	bool is_expected = chosen != MODULE_NONE && ipsec->peer[chosen].is_owed && !ipsec_is_cautious(engine, group);
	if (!is_expected && !is_unclear(engine, group, esp->spi))
		ipsec_caution(engine, group, 1);
	if (chosen != MODULE_NONE && !(pairing == PAIRING_GUESSED && ipsec_is_cautious(engine, group)))
		return ipsec_esp_bind(engine, ipsec, chosen, esp->spi, pairing, otherwise);
	return unclear(engine, ipsec, group, &candidates, esp, otherwise);
}

uint32_t ipsec_esp(struct engine *engine, void *memory, struct module_esp *esp, struct engine_result *otherwise)
{
	return esp->from == SIDE_LAN ? from_inside(engine, memory, esp, otherwise)
				     : from_outside(engine, memory, esp, otherwise);
}
