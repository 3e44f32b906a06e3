/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Doubts about pairings: strangers who send SPIs nobody has, hosts that do not answer to what they were given, and
 * hosts that chose the same SPI.
 */
#include "passthrough/ipsec.h"

/* --- caution: somebody sends in the server's name --- */

void ipsec_caution(const struct engine *engine, struct ipsec_group *group, int step)
{
	uint32_t minutes = ipsec_age(engine, group->balance_ms) / 60000;

	if (minutes > 0) {
		int left = group->balance < 0 ? -group->balance : group->balance;
		left = minutes < (uint32_t)left ? left - (int)minutes : 0;
		group->balance = (int8_t)(group->balance < 0 ? -left : left);
		group->balance_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	}
	int balance = group->balance + step;
	if (balance >= -IPSEC_CREDIT && balance <= IPSEC_CREDIT)
		group->balance = (int8_t)balance;
	if (group->balance >= IPSEC_SUSPICIOUS) {
		group->is_cautious = true;
		group->cautious_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	}
}

bool ipsec_is_cautious(const struct engine *engine, const struct ipsec_group *group)
{
	return group->is_cautious && ipsec_age(engine, group->cautious_ms) < IPSEC_CAUTIOUS_MS;
}

/* --- pairings that a single packet made --- */

/* Nothing came after the packet that bound it: it may have been a stranger's. */
static bool is_weak(const struct engine *engine, const struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_sa *sa = &ipsec->sa[index];
	struct flow_view view;

	engine_offer(engine)->view_flow(engine, sa->flow, &view, NULL);
	return ipsec_sa_spi(engine, ipsec, index, SIDE_WAN) != 0 && view.packets[SIDE_WAN] < 2 &&
	       ipsec_age(engine, sa->bound_ms) >= IPSEC_WEAK_MS;
}

uint32_t ipsec_only_weak(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_group *group)
{
	uint32_t found = MODULE_NONE;

	for (uint32_t i = 0; i < IPSEC_RECENT; i++) {
		uint32_t index = group->bound[i].peer;
		if (index == MODULE_NONE || ipsec_age(engine, group->bound[i].at_ms) >= IPSEC_REPAIR_MS)
			continue;
		bool has_weak = false;
		for (uint32_t at = ipsec->peer[index].first_sa; at != MODULE_NONE && !has_weak; at = ipsec->sa[at].next)
			has_weak = is_weak(engine, ipsec, at);
		if (has_weak && found != MODULE_NONE)
			return MODULE_NONE;
		found = has_weak ? index : found;
	}
	return found;
}

/* --- docs/nat-behaviour.md section 11, "wrong pairings" --- */

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
		if (ipsec_sa_spi(engine, ipsec, i, SIDE_WAN) == 0 && apart < IPSEC_REPAIR_MS &&
		    apart > -IPSEC_REPAIR_MS && ipsec_age(engine, ipsec->sa[i].opened_ms) >= IPSEC_DOUBT_MS &&
		    ipsec_sa_last(engine, ipsec, i, SIDE_LAN) < IPSEC_DOUBT_MS)
			return true;
	}
	return false;
}

static bool has_sent_since(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_peer *peer,
			   uint32_t at_ms)
{
	for (uint32_t i = peer->first_sa; i != MODULE_NONE; i = ipsec->sa[i].next)
		if (ipsec_sa_last(engine, ipsec, i, SIDE_LAN) < ipsec_age(engine, at_ms))
			return true;
	return false;
}

static void repair(struct engine *engine, struct ipsec *ipsec, uint32_t sa, uint32_t to)
{
	struct engine_result otherwise;
	uint32_t spi = ipsec_sa_spi(engine, ipsec, sa, SIDE_WAN), flow = ipsec->sa[sa].flow;

	engine_offer(engine)->sa_watch(engine, flow, false);
	ipsec_sa_learn(engine, ipsec, sa, SIDE_WAN, 0);
	ipsec_esp_bind(engine, ipsec, to, spi, PAIRING_REPAIRED, &otherwise);
	engine_offer(engine)->count(engine, STAT_ESP_REPAIRED);
}

/* An inbound SPI that was bound with caution, or late, has proved to be in use: it and the outbound one of its peer are
 * a pair. */
static void join(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_sa *sa = &ipsec->sa[index];
	struct flow_view view;

	engine_offer(engine)->view_flow(engine, sa->flow, &view, NULL);
	if (ipsec_sa_spi(engine, ipsec, index, SIDE_LAN) != 0 || view.packets[SIDE_WAN] < IPSEC_IN_USE)
		return;
	for (uint32_t i = ipsec->peer[sa->peer].first_sa; i != MODULE_NONE; i = ipsec->sa[i].next) {
		uint32_t spi = ipsec_sa_spi(engine, ipsec, i, SIDE_LAN);
		if (spi == 0 || (ipsec_sa_spi(engine, ipsec, i, SIDE_WAN) != 0 && !is_weak(engine, ipsec, i)))
			continue;
		ipsec_sa_give_way(engine, ipsec, i);
		ipsec_sa_learn(engine, ipsec, index, SIDE_LAN, spi);
		ipsec_peer_up(engine, ipsec, sa->peer);
		return;
	}
}

static void doubt(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_sa *sa = &ipsec->sa[index];
	const struct ipsec_peer *peer = &ipsec->peer[sa->peer];

	join(engine, ipsec, index);
	if (ipsec_age(engine, sa->bound_ms) < IPSEC_DOUBT_MS || ipsec_age(engine, sa->doubted_ms) < 1000)
		return;
	sa->doubted_ms = (uint32_t)engine_offer(engine)->now_ms(engine);
	if (has_sent_since(engine, ipsec, peer, sa->bound_ms) ||
	    ipsec_age(engine, sa->bound_ms) > IPSEC_REPAIR_MS + IPSEC_DOUBT_MS) {
		engine_offer(engine)->sa_watch(engine, sa->flow, false);
		return;
	}
	uint32_t other = only_other_unpaired(ipsec, &ipsec->group[peer->group], sa->peer);
	if (other != MODULE_NONE && has_waited_since(engine, ipsec, other, sa->bound_ms))
		repair(engine, ipsec, index, other);
}

/* --- the same section: two hosts that chose the same SPI --- */

/* Two hosts chose one SPI. The one that has no answer is the newer one. */
static void collide(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_peer *peer = &ipsec->peer[ipsec->sa[index].peer];
	uint32_t other = only_other_unpaired(ipsec, &ipsec->group[peer->group], ipsec->sa[index].peer);

	if (other == MODULE_NONE)
		return;
	engine_offer(engine)->count(engine, STAT_ESP_SPI_COLLISION);
	if (ipsec->peer[other].collides)
		return;
	ipsec->peer[other].collides = true;
	engine_offer(engine)->move_host(engine, ipsec->peer[other].inside);
}

void ipsec_sa_heard(struct engine *engine, void *memory, uint32_t record, enum side from, bool is_behind)
{
	if (is_behind)
		collide(engine, memory, record);
	else if (from == SIDE_WAN)
		doubt(engine, memory, record);
}
