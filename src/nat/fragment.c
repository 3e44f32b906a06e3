/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a set: waiting (held fragments, no first one yet), then translated, consumed or refused, then free. */
#include "nat/fragment.h"

#include "nat/fragment_store.h"
#include "nat/output.h"

static void refuse(struct engine *engine, struct fragment_set *set, enum drop held, enum drop later)
{
	fragment_store_drop_held(engine, set, held);
	set->state = SET_REFUSED;
	set->drop = (uint8_t)later;
}

static void end_set(struct engine *engine, struct fragment_set *set, enum drop reason)
{
	fragment_store_drop_held(engine, set, reason);
	fragment_store_free_set(engine, set);
}

/* Adds the fragment's range; false if it overlaps one that came before. Neighbouring ranges become one. */
static bool add_range(struct fragment_set *set, uint32_t from, uint32_t to, bool *too_many)
{
	for (unsigned i = 0; i < set->ranges; i++)
		if (from < set->range[i].to && set->range[i].from < to)
			return false;
	for (unsigned i = 0; i < set->ranges; i++) {
		if (set->range[i].to != from && set->range[i].from != to)
			continue;
		from = set->range[i].from < from ? set->range[i].from : from;
		to = set->range[i].to > to ? set->range[i].to : to;
		set->range[i] = set->range[--set->ranges];
		i = (unsigned)-1; /* the wider range may touch another one; there are ever fewer */
	}
	*too_many = set->ranges == SET_RANGES;
	if (*too_many)
		return true;
	set->range[set->ranges].from = (uint16_t)from;
	set->range[set->ranges].to = (uint16_t)to;
	set->ranges++;
	return true;
}

/* The network delivered it twice: nothing of it is new, and it says the same of the datagram's end. As long as the
 * bytes of what came before are here, they must be the same. A copy is not passed on, so that what the receiver gets
 * never overlaps, whatever the copy says. */
static bool is_copy(const struct engine *engine, const struct fragment_set *set, const struct passage *passage,
		    uint32_t to)
{
	const struct network_header *ip = &passage->ip;
	uint32_t from = ip->offset;
	bool has_come = false;

	for (unsigned i = 0; i < set->ranges; i++)
		has_come |= set->range[i].from <= from && to <= set->range[i].to;
	if (!has_come || (ip->mf ? set->complete_known && to >= set->end : !set->complete_known || to != set->end))
		return false;
	return set->state != SET_WAITING || from == 0 ||
	       fragment_store_holds(engine, set, passage->packet, ip->header_length, from);
}

/* Does anything of the datagram contradict that it ends there? */
static bool end_is_wrong(const struct fragment_set *set, uint32_t end)
{
	if (set->complete_known)
		return true;
	for (unsigned i = 0; i < set->ranges; i++)
		if (set->range[i].to > end)
			return true;
	return false;
}

static bool is_complete(const struct fragment_set *set)
{
	return set->complete_known && set->ranges == 1 && set->range[0].from == 0 && set->range[0].to >= set->end;
}

/* Sends a fragment the way of its first one; its verdict. */
static enum drop send_later(struct engine *engine, const struct fragment_set *set, struct packet *packet,
			    const struct network_header *ip, enum origin origin)
{
	struct rewrite rewrite = {
		.source = set->new_source,
		.destination = set->new_destination,
		.identification = set->new_identification,
	};

	/* Untranslated fragments are for the router or bypassed: their time to live is not decremented here. Between
	 * here and the router there is no link. */
	bool is_translated = !address_equal(set->new_destination, set->destination);
	bool is_for_router = !is_translated && outside_find(engine, set->destination);
	if (set->to == SIDE_LAN && is_translated && ip->hop_limit <= 1)
		return DROP_IP_TTL;
	uint32_t mtu = output_mtu(engine, (enum side)set->to, set->new_destination);
	if (!is_for_router && output_is_too_big(packet, ip, (enum side)set->to, mtu))
		return DROP_TOO_BIG;
	rewrite_header(packet, ip, &rewrite);
	output_send(engine, packet, ip, (enum side)set->side, (enum side)set->to, origin);
	return DROP_NONE;
}

static void release_held(struct engine *engine, struct fragment_set *set)
{
	struct engine_counters *counters = engine->counters;

	while (set->held != NONE) {
		struct packet packet;
		struct network_header ip;
		fragment_store_first(engine, set, &packet);
		enum drop drop = ip_parse(&packet, &ip);
		if (drop == DROP_NONE)
			drop = send_later(engine, set, &packet, &ip, ORIGIN_COPY);
		fragment_store_pop(engine, set);
		counters->held[set->side]--;
		if (drop == DROP_NONE) {
			counters->forwarded[set->side]++;
			count(engine, STAT_FRAGMENTS_RELEASED);
		} else {
			counters->dropped[set->side][drop]++;
		}
	}
}

static struct engine_result later_fragment(struct engine *engine, struct passage *passage, struct fragment_set *set)
{
	enum drop drop;

	switch (set->state) {
	case SET_CONSUMED:
		return (struct engine_result){VERDICT_CONSUMED, DROP_NONE};
	case SET_TRANSLATED:
		drop = send_later(engine, set, passage->packet, &passage->ip, passage->origin);
		return (struct engine_result){drop == DROP_NONE ? VERDICT_FORWARDED : VERDICT_DROPPED, (uint8_t)drop};
	default:
		if (set->held_count >= SET_HELD_MAX ||
		    !fragment_store_push(engine, set, passage->packet, passage->ip.offset))
			return (struct engine_result){VERDICT_DROPPED, DROP_FRAGMENT_LIMIT};
		engine->counters->held[set->side]++;
		return (struct engine_result){VERDICT_HELD, DROP_NONE};
	}
}

static bool is_first_here(const struct fragment_set *set)
{
	for (uint32_t i = 0; i < set->ranges; i++)
		if (set->range[i].from == 0)
			return true;
	return false;
}

bool fragment_arrive(struct engine *engine, struct passage *passage, struct engine_result *result)
{
	const struct network_header *ip = &passage->ip;
	struct fragment_set *set = fragment_store_find(engine, passage);
	uint32_t from = ip->offset, to = ip->offset + passage->packet->length - ip->header_length;
	bool too_many = false;

	*result = (struct engine_result){VERDICT_DROPPED, DROP_FRAGMENT_LIMIT};
	if (!set) {
		if (fragment_store_has_finished(engine, passage)) {
			result->drop = DROP_FRAGMENT_DUPLICATE;
			return true;
		}
		set = fragment_store_new_set(engine, passage);
		if (!set)
			return true;
	}
	if (set->state == SET_REFUSED) {
		result->drop = set->drop;
		return true;
	}
	if (passage->is_kept && ip->offset == 0 && set->state == SET_WAITING && is_first_here(set)) {
		passage->set = set; /* its place was taken when it came */
		return false;
	}
	if (is_copy(engine, set, passage, to)) {
		*result = set->state == SET_CONSUMED ? (struct engine_result){VERDICT_CONSUMED, DROP_NONE}
						     : (struct engine_result){VERDICT_DROPPED, DROP_FRAGMENT_DUPLICATE};
		return true;
	}
	bool is_wrong = ip->mf ? set->complete_known && to > set->end : end_is_wrong(set, to);
	if (is_wrong || !add_range(set, from, to, &too_many)) {
		refuse(engine, set, DROP_FRAGMENT_OVERLAP, DROP_FRAGMENT_OVERLAP);
		result->drop = DROP_FRAGMENT_OVERLAP;
		return true;
	}
	if (too_many)
		return true;
	if (!ip->mf) {
		set->complete_known = true;
		set->end = to;
	}
	if (ip->offset == 0) {
		passage->set = set;
		return false;
	}
	*result = later_fragment(engine, passage, set);
	if (is_complete(set) && set->state != SET_WAITING)
		fragment_store_finish_set(engine, set);
	return true;
}

void fragment_remember(struct passage *passage, const struct rewrite *rewrite, enum side to)
{
	struct fragment_set *set = passage->set;

	if (!set)
		return;
	set->new_source = rewrite->source;
	set->new_destination = rewrite->destination;
	set->new_identification = rewrite->identification;
	set->to = (uint8_t)to;
}

void fragment_settle(struct engine *engine, struct passage *passage, struct engine_result result)
{
	struct fragment_set *set = passage->set;

	if (!set)
		return;
	passage->set = NULL;
	switch (result.verdict) {
	case VERDICT_FORWARDED:
		set->state = SET_TRANSLATED;
		release_held(engine, set);
		break;
	case VERDICT_CONSUMED:
		set->state = SET_CONSUMED;
		while (set->held != NONE) {
			fragment_store_pop(engine, set);
			engine->counters->held[set->side]--;
			engine->counters->consumed[set->side]++;
		}
		break;
	case VERDICT_HELD:
		return; /* a module keeps it: the others wait until it comes again */
	default:
		refuse(engine, set, DROP_FRAGMENT_REFUSED, DROP_FRAGMENT_REFUSED);
		break;
	}
	if (is_complete(set))
		fragment_store_finish_set(engine, set);
}

void fragment_expire(struct engine *engine)
{
	uint32_t left = engine->header->sets_used;

	for (uint32_t i = 0; left > 0 && i < fragment_store_sets(engine); i++) {
		struct fragment_set *set = &engine->set[i];
		if (set->state == SET_FREE)
			continue;
		left--;
		if (is_expired(set->deadline, engine->now_ms))
			end_set(engine, set, DROP_FRAGMENT_TIMEOUT);
	}
}

void fragment_reset(struct engine *engine)
{
	for (uint32_t i = 0; i < fragment_store_sets(engine); i++)
		if (engine->set[i].state != SET_FREE)
			end_set(engine, &engine->set[i], DROP_FRAGMENT_TIMEOUT);
}
