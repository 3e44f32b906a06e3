/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's fragments (docs/nat-behaviour.md section 6): every piece of every datagram is remembered.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"

static struct model_set *set_find(struct judgement *j)
{
	uint16_t id = packet_get16(j->p, 4);

	for (int i = 0; i < MODEL_SETS; i++) {
		struct model_set *s = &j->m->set[i];
		if (s->live && s->from == j->from && s->source == j->source && s->destination == j->destination &&
		    s->protocol == j->protocol && s->id == id)
			return s;
	}
	return NULL;
}

static struct model_set *set_get(struct judgement *j)
{
	struct model_set *s = set_find(j);

	for (int i = 0; !s && i < MODEL_SETS; i++)
		if (!j->m->set[i].live) {
			s = &j->m->set[i];
			*s = (struct model_set){.live = true,
						.from = j->from,
						.source = j->source,
						.destination = j->destination,
						.protocol = j->protocol,
						.id = packet_get16(j->p, 4),
						.began = j->m->now};
		}
	if (!s)
		abort();
	return s;
}

void model_set_drop_held(struct model *m, struct model_set *set)
{
	for (uint32_t i = 0; i < set->pieces; i++)
		if (set->piece[i].held) {
			free(set->piece[i].held);
			set->piece[i].held = NULL;
			m->held[set->from]--;
		}
}

static void add_piece(struct judgement *j, struct model_set *s, bool hold)
{
	if (s->pieces == MODEL_PIECES)
		abort();
	struct model_piece *piece = &s->piece[s->pieces++];
	*piece = (struct model_piece){.from = j->offset, .to = j->offset + j->total - j->ihl};
	s->latest = j->m->now;
	if (!j->mf)
		s->end = piece->to;
	if (!hold)
		return;
	piece->held = malloc(sizeof(*piece->held));
	if (!piece->held)
		abort();
	packets_copy(piece->held, j->p);
	j->m->held[j->from]++;
}

static bool overlaps(const struct judgement *j, const struct model_set *s)
{
	uint32_t to = j->offset + j->total - j->ihl;
	bool beyond = s->end && (to > s->end || !j->mf); /* behind the last one, or a second last one */

	for (uint32_t i = 0; i < s->pieces; i++)
		beyond |= !j->mf && s->piece[i].to > to;
	if (beyond && j->result->drop == DROP_FRAGMENT_OVERLAP)
		return true; /* the document does not say; both are right */
	for (uint32_t i = 0; i < s->pieces; i++)
		if (j->offset < s->piece[i].to && to > s->piece[i].from)
			return true;
	return false;
}

/* The network delivered it twice. While a set waits, what came before is still there to be compared. */
static bool is_copy(const struct judgement *j, const struct model_set *s)
{
	uint32_t length = j->total - j->ihl, to = j->offset + length;
	bool has_come = true, is_end_alike = j->mf ? !s->end || to < s->end : s->end == to;

	for (uint32_t at = j->offset; at < to && has_come; at += 8) {
		has_come = false;
		for (uint32_t i = 0; i < s->pieces; i++)
			has_come |= s->piece[i].from <= at && (at + 8 < to ? at + 8 : to) <= s->piece[i].to;
	}
	if (s->state == SET_WAITING && j->offset) {
		has_come = false;
		for (uint32_t i = 0; i < s->pieces; i++) {
			const struct test_packet *held = s->piece[i].held;
			has_come |= held && s->piece[i].from == j->offset && s->piece[i].to == to &&
				    !memcmp(held->bytes + packets_ihl(&held->packet), j->p->data + j->ihl, length);
		}
	}
	return length && has_come && is_end_alike;
}

/* A later fragment follows the translation of its first. */
static bool judge_later(struct judgement *j, struct model_set *s, bool was_held)
{
	struct translation t;
	bool good;

	if (s->inbound && model_ttl_out(j, &good))
		return good;
	j->for_router = s->new_destination == j->destination && model_is_outside(j->m, j->destination);
	translation_begin(j, &t);
	t.made = was_held;
	packet_put32(&t.packet->packet, 12, s->new_source);
	packet_put32(&t.packet->packet, 16, s->new_destination);
	packet_put16(&t.packet->packet, 4, s->new_id);
	good = model_leave(j, &t, s->to, false);
	translation_end(&t);
	return good;
}

/* All of the datagram has gone on: the engine may have forgotten the set, so that its identification can serve again.
 */
bool model_set_complete(const struct model_set *s)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < s->pieces; i++)
		sum += s->piece[i].to - s->piece[i].from;
	return s->state != SET_WAITING && s->state != SET_POISONED && s->end && sum == s->end;
}

bool model_judge_fragment(struct judgement *j, bool *good)
{
	struct model_set *s = set_get(j);
	uint64_t overlap = UINT64_C(1) << DROP_FRAGMENT_OVERLAP;

	if (model_set_complete(s) && !(s->state == SET_REFUSED && j->result->drop == DROP_FRAGMENT_REFUSED)) {
		/* For a moment whatever has its identification is a copy; another datagram may have taken its place in
		 * that memory. */
		if (j->result->drop == DROP_FRAGMENT_DUPLICATE && j->m->now < s->latest + MODEL_FINISHED) {
			*good = expect_drop(j, DROP_FRAGMENT_DUPLICATE);
			return false;
		}
		s->live = false;
		s = set_get(j);
	}
	if (s->state != SET_POISONED && s->state != SET_REFUSED && is_copy(j, s)) {
		*good = s->state == SET_CONSUMED ? expect_consumed(j) : expect_drop(j, DROP_FRAGMENT_DUPLICATE);
		return false;
	}
	if (s->state == SET_POISONED || overlaps(j, s)) {
		if (s->state == SET_REFUSED)
			overlap |= UINT64_C(1) << DROP_FRAGMENT_REFUSED;
		else if (s->state == SET_WAITING)
			model_set_drop_held(j->m, s);
		s->state = s->state == SET_REFUSED ? SET_REFUSED : SET_POISONED;
		*good = expect_drops(j, overlap);
		return false;
	}
	if (!j->offset) {
		add_piece(j, s, false);
		j->set = s;
		if (s->state == SET_WAITING)
			return true;
		*good = expect_drop(j, DROP_FRAGMENT_REFUSED);
		return false;
	}
	add_piece(j, s, s->state == SET_WAITING);
	switch (s->state) {
	case SET_WAITING:
		*good = j->result->verdict == VERDICT_HELD
				? true
				: model_fail(j->m,
					     "a fragment whose first one has not come was not held (verdict %u, %s)",
					     j->result->verdict, drop_name(j->result->drop));
		break;
	case SET_FORWARDED:
		*good = judge_later(j, s, false);
		break;
	case SET_CONSUMED:
		*good = expect_consumed(j);
		break;
	default:
		*good = expect_drop(j, DROP_FRAGMENT_REFUSED);
		break;
	}
	return false;
}

static int by_offset(const void *a, const void *b)
{
	const struct model_piece *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

bool model_release(struct judgement *j)
{
	struct model_set *s = j->set;
	bool good = true;

	s->state = j->fate;
	if (s->state != SET_FORWARDED) {
		model_set_drop_held(j->m, s);
		return true;
	}
	qsort(s->piece, s->pieces, sizeof(s->piece[0]), by_offset);
	for (uint32_t i = 0; good && i < s->pieces; i++) {
		struct test_packet *held = s->piece[i].held;
		if (!held)
			continue;
		struct judgement later = *j;
		later.as_came = held;
		later.p = &held->packet;
		later.result = NULL;
		later.set = NULL;
		later.ihl = packets_ihl(later.p);
		later.total = packet_get16(later.p, 2);
		later.offset = s->piece[i].from;
		later.df = packet_get16(later.p, 6) & 0x4000;
		later.mf = packet_get16(later.p, 6) & 0x2000;
		good = judge_later(&later, s, true);
	}
	model_set_drop_held(j->m, s);
	return good;
}
