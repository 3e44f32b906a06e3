/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups in which somebody waits, in a binary heap by the time when they have to be looked at: with thousands of them
 * only those whose time has come cost anything.
 */
#include "passthrough/ipsec.h"

#include "base/heap.h"
#include "base/serial.h"

static bool is_before(void *context, uint32_t a, uint32_t b)
{
	const struct ipsec *ipsec = context;

	return serial_before(ipsec->group[ipsec->due[a]].due_ms, ipsec->group[ipsec->due[b]].due_ms);
}

static void put(struct ipsec *ipsec, uint32_t place, uint32_t group)
{
	ipsec->due[place] = group;
	ipsec->group[group].due_place = place;
}

static void swap(void *context, uint32_t a, uint32_t b)
{
	struct ipsec *ipsec = context;
	uint32_t kept = ipsec->due[a];

	put(ipsec, a, ipsec->due[b]);
	put(ipsec, b, kept);
}

static uint32_t take_first(struct ipsec *ipsec)
{
	uint32_t first = ipsec->due[0];

	put(ipsec, 0, ipsec->due[--ipsec->dues]);
	heap_sink(ipsec->dues, is_before, swap, ipsec);
	ipsec->group[first].is_due = false;
	return first;
}

void ipsec_wait(struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t in_ms)
{
	struct ipsec_group *group = &ipsec->group[index];
	uint32_t now_ms = (uint32_t)engine_offer(engine)->now_ms(engine);

	if (!group->is_due || serial_before(now_ms + in_ms, group->due_ms)) {
		group->due_ms = now_ms + in_ms;
		if (!group->is_due)
			put(ipsec, ipsec->dues++, index);
		heap_rise(group->due_place, is_before, swap, ipsec);
		group->is_due = true;
	}
	engine_offer(engine)->wake_at(engine, engine_offer(engine)->now_ms(engine) + in_ms);
}

uint32_t ipsec_wait_left(const struct engine *engine, uint32_t first_ms, uint32_t left)
{
	uint32_t waited = ipsec_age(engine, first_ms), most = waited < IPSEC_WINDOW_MS ? IPSEC_WINDOW_MS - waited : 0;

	return left < most ? left : most;
}

/* How long it is until the first group's time has come. */
static uint32_t first_left(const struct engine *engine, const struct ipsec *ipsec)
{
	uint32_t left = ipsec->group[ipsec->due[0]].due_ms - (uint32_t)engine_offer(engine)->now_ms(engine);

	return (int32_t)left > 0 ? left : 0;
}

uint32_t ipsec_wait_take(const struct engine *engine, struct ipsec *ipsec)
{
	uint32_t index = MODULE_NONE;

	while (ipsec->dues > 0 && first_left(engine, ipsec) == 0) {
		uint32_t first = take_first(ipsec);
		ipsec->group[first].is_due = true; /* it must not be freed meanwhile */
		ipsec->group[first].next = index;
		index = first;
	}
	return index;
}

void ipsec_wait_go_on(struct engine *engine, const struct ipsec *ipsec)
{
	if (ipsec->dues > 0)
		engine_offer(engine)->wake_at(engine, engine_offer(engine)->now_ms(engine) + first_left(engine, ipsec));
}
