/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model of pptp_property: a list of calls, and a translator of whole messages.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pptp_world.h"

void world_fail(const struct world *w, const char *what, uint32_t a, uint32_t b)
{
	fprintf(stderr, "pptp_property: seed %llu, packet %llu: %s (%#x, %#x)\n", (unsigned long long)w->seed,
		(unsigned long long)w->packets, what, a, b);
	exit(1);
}

uint32_t world_below(struct world *w, uint32_t n)
{
	return test_random_below(&w->r, n);
}

/* --- the list of calls --- */

bool model_call_lives(const struct call *c)
{
	return c->state == REQUESTED || c->state == CONNECTED || c->state == CLEARING;
}

static struct call *call_find(struct world *w, const struct line *l, int by, uint16_t id)
{
	for (uint32_t i = 0; i < CALLS; i++) {
		struct call *c = &w->call[i];
		uint16_t has = by == 0 ? c->inside_id : by == 1 ? c->outside_id : c->remote_id;
		if (model_call_lives(c) && c->line == l->number && has == id && (by < 2 || c->has_remote))
			return c;
	}
	return NULL;
}

void model_call_end(struct world *w, struct call *c)
{
	c->state = ENDED;
	c->until = w->now + 30000;
}

void world_wait(struct world *w, uint64_t ms)
{
	w->now += ms;
	for (uint32_t i = 0; i < CALLS; i++) {
		struct call *c = &w->call[i];
		if ((model_call_lives(c) && !c->has_remote && w->now >= c->until) ||
		    (c->state == ENDED && w->now >= c->until + 120000))
			c->state = FREE;
	}
	engine_expire(w->engine, w->now, NULL); /* few flows: one sweep sees all */
}

/* Calls to the same server in which a new one may find its ID: the one that goes on with it, or a free place. */
struct places {
	struct call *mine, *free;
	bool inside_free, ambiguous;
};

static struct places call_places(struct world *w, const struct line *l, uint16_t inside_id, uint16_t outside_id)
{
	struct places places = {.inside_free = true};

	for (uint32_t i = 0; i < CALLS; i++) {
		struct call *c = &w->call[i];
		if (c->state == FREE)
			places.free = c;
		if (c->state == FREE || c->remote != l->remote)
			continue;
		places.inside_free &= c->outside_id != inside_id;
		if (c->inside != l->inside || c->inside_id != inside_id)
			continue;
		places.ambiguous |= places.mine || c->state != ENDED;
		if (c->state == ENDED && (!places.mine || c->outside_id == outside_id))
			places.mine = c;
	}
	return places;
}

static void call_judge_id(struct world *w, const struct line *l, const struct places *places, uint16_t inside_id,
			  uint16_t outside_id)
{
	const struct call *mine = places->mine;

	for (uint32_t i = 0; i < CALLS; i++) {
		const struct call *c = &w->call[i];
		if (c->state != FREE && c->remote == l->remote && c->outside_id == outside_id && c != mine)
			world_fail(w, "two calls to one server have the same outside ID", inside_id, outside_id);
	}
	if (mine && mine->outside_id != outside_id && !places->ambiguous)
		world_fail(w, "who dials again with the same ID gets another one", mine->outside_id, outside_id);
	if (!mine && places->inside_free && outside_id != inside_id)
		world_fail(w, "the ID was free and changed", inside_id, outside_id);
	if (outside_id >> 8 != inside_id >> 8)
		world_fail(w, "the high byte changed", inside_id, outside_id);
	if (outside_id == 0 && inside_id != 0)
		world_fail(w, "0 was given", inside_id, outside_id);
}

static void call_new(struct world *w, const struct line *l, uint16_t inside_id, uint16_t outside_id)
{
	struct places places = call_places(w, l, inside_id, outside_id);
	bool goes_on = places.mine && places.mine->outside_id == outside_id;
	struct call *slot = goes_on ? places.mine : places.free;

	call_judge_id(w, l, &places, inside_id, outside_id);
	if (!slot)
		world_fail(w, "the model has no room", 0, 0);
	*slot = (struct call){.state = REQUESTED,
			      .line = l->number,
			      .inside = l->inside,
			      .remote = l->remote,
			      .inside_id = inside_id,
			      .outside_id = outside_id,
			      .until = w->now + 60000};
	w->calls_made++;
	w->changed_ids += inside_id != outside_id;
}

/* --- the translator of whole messages --- */

/* The call a notification means: the sender's own ID, unless only the echoed one is being cleared. */
static struct call *call_notified(struct world *w, const struct line *l, enum side from, uint16_t id, bool *ours)
{
	struct call *inside = call_find(w, l, from == SIDE_LAN ? 0 : 1, id), *remote = call_find(w, l, 2, id);
	struct call *own = from == SIDE_LAN ? inside : remote, *echo = from == SIDE_LAN ? remote : inside;
	bool is_echo = !own || (echo && echo->state == CLEARING && own->state != CLEARING);

	*ours = is_echo == (from == SIDE_WAN) && (is_echo ? echo : own) != NULL;
	return is_echo ? echo : own;
}

uint16_t message_translate(struct world *w, const struct line *l, enum side from, enum whose whose, uint16_t value,
			   uint16_t went_out)
{
	struct call *c = NULL;
	bool ours;

	switch (whose) {
	case SENDERS_NEW:
		if (from == SIDE_WAN)
			return value;
		c = call_find(w, l, 0, value);
		if (!c)
			call_new(w, l, value, went_out);
		return c ? c->outside_id : went_out;
	case SENDERS:
		c = from == SIDE_LAN ? call_find(w, l, 0, value) : NULL;
		return c ? c->outside_id : value;
	case RECEIVERS:
		c = from == SIDE_WAN ? call_find(w, l, 1, value) : NULL;
		return c ? c->inside_id : value;
	case EITHERS:
		c = call_notified(w, l, from, value, &ours);
		if (!ours)
			return value;
		return from == SIDE_LAN ? c->outside_id : c->inside_id;
	default:
		return value;
	}
}

/* A remote ID that is used again belongs to the new call at once. */
static void call_answer(struct world *w, struct call *c, uint16_t remote_id)
{
	for (uint32_t i = 0; i < CALLS; i++) {
		struct call *other = &w->call[i];
		if (other->state != FREE && other->remote == c->remote && other->remote_id == remote_id &&
		    (other->inside == c->inside || other->state == ENDED))
			other->answered = false;
	}
	c->has_remote = c->answered = true;
	c->remote_id = remote_id;
	c->state = c->state == REQUESTED ? CONNECTED : c->state;
}

void message_take_effect(struct world *w, const struct line *l, enum side from, const uint8_t *m)
{
	uint16_t first = message_get16(m + 12), second = message_get16(m + 14);
	bool lan = from == SIDE_LAN, ours;
	struct call *c = NULL;

	switch (message_get16(m + 8)) {
	case STOP_REPLY:
		for (uint32_t i = 0; i < CALLS; i++)
			if (model_call_lives(&w->call[i]) && w->call[i].line == l->number)
				model_call_end(w, &w->call[i]);
		break;
	case OUTGOING_REPLY:
	case INCOMING_REPLY:
		c = lan ? call_find(w, l, 0, first) : call_find(w, l, 1, second);
		if (c && m[16] != RESULT_CONNECTED) {
			model_call_end(w, c);
		} else if (c) {
			call_answer(w, c, lan ? second : first);
		}
		break;
	case CLEAR_REQUEST:
		c = call_find(w, l, lan ? 0 : 2, first);
		if (c)
			c->state = CLEARING;
		break;
	case DISCONNECT_NOTIFY:
		c = call_notified(w, l, from, first, &ours);
		if (c)
			model_call_end(w, c);
		break;
	default:
		break;
	}
}

const struct call *call_owner(const struct world *w, enum side from, uint32_t inside, uint32_t remote, uint16_t id)
{
	const struct call *owner = NULL;

	for (uint32_t i = 0; i < CALLS; i++) {
		const struct call *c = &w->call[i];
		bool passes = model_call_lives(c) || (c->state == ENDED && w->now < c->until);
		bool named = from == SIDE_LAN ? c->inside == inside && c->answered && c->remote_id == id
					      : c->outside_id == id;
		if (passes && named && c->remote == remote)
			owner = c;
	}
	return owner;
}
