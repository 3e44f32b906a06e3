/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP states; the rules are section 8 of docs/nat-behaviour.md. */
#include "nat/tcp.h"

#include "base/serial.h"
#include "nat/life.h"
#include "nat/timer.h"

enum {
	SCALE_UNKNOWN = 14,      /* the widest a window can be: what a side whose SYN was not seen may have agreed on */
	BACKWARD_WINDOW = 66000, /* how far back a retransmission is believed */
};

bool tcp_is_whole(const struct flow *flow, const struct tcp_track *track)
{
	return flow->tcp_state <= TCP_STATE_RESET && track->end[SIDE_LAN].scale <= SCALE_UNKNOWN &&
	       track->end[SIDE_WAN].scale <= SCALE_UNKNOWN;
}

static uint32_t window_of(const struct tcp_end *end)
{
	return (uint32_t)end->window << end->scale;
}

/* Windows are scaled only if both SYNs carry the option (RFC 7323 section 2.2). */
static void agree_on_scale(struct tcp_end *one, struct tcp_end *other)
{
	if (!(one->flags & other->flags & TCP_END_SYN))
		return;
	if ((one->flags & TCP_END_UNSCALED) || (other->flags & TCP_END_UNSCALED))
		one->scale = other->scale = 0;
}

static bool is_in_window(const struct tcp_end *receiver, const struct tcp_segment *segment)
{
	if (!(receiver->flags & TCP_END_ACKED))
		return true;
	uint32_t window = window_of(receiver);
	uint32_t backward = window > BACKWARD_WINDOW ? window : BACKWARD_WINDOW;
	uint32_t end = segment->sequence + segment->length;

	return !serial_before(receiver->acked + window, segment->sequence) &&
	       !serial_before(end, receiver->acked - backward);
}

bool tcp_is_in_flight(const struct tcp_track *track, enum side sender, uint32_t sequence)
{
	const struct tcp_end *from = &track->end[sender], *to = &track->end[!sender];

	if (!(from->flags & TCP_END_HEARD) || serial_before(from->next, sequence))
		return false;
	uint32_t window = window_of(to);
	uint32_t backward = window > BACKWARD_WINDOW ? window : BACKWARD_WINDOW;
	uint32_t acked = to->flags & TCP_END_ACKED ? to->acked : from->next;
	return !serial_before(sequence, acked - backward);
}

static void learn(struct tcp_end *sender, const struct tcp_segment *segment)
{
	uint32_t end = segment->sequence + segment->length;

	if (!(sender->flags & TCP_END_HEARD) || serial_before(sender->next, end))
		sender->next = end;
	if (segment->flags & TCP_SYN) {
		sender->flags |= TCP_END_SYN;
		sender->scale = segment->window_scale < 0 ? 0 : (uint8_t)segment->window_scale;
		if (segment->window_scale < 0)
			sender->flags |= TCP_END_UNSCALED;
	} else if (!(sender->flags & TCP_END_SYN)) {
		sender->scale = SCALE_UNKNOWN;
	}
	if (segment->flags & TCP_ACK) {
		if (!(sender->flags & TCP_END_ACKED) || serial_before(sender->acked, segment->acknowledgement))
			sender->acked = segment->acknowledgement;
		sender->window = segment->window;
		sender->flags |= TCP_END_ACKED;
	}
	sender->flags |= TCP_END_HEARD;
}

/* An exact RST only: anything else may be a stranger's guess, or provokes a challenge ACK (RFC 5961 section 3). */
static bool reset_counts(const struct flow *flow, const struct tcp_end *sender, const struct tcp_end *receiver,
			 const struct tcp_segment *segment)
{
	if (flow->tcp_state == TCP_STATE_HALF_CLOSED || flow->tcp_state == TCP_STATE_CLOSED)
		return is_in_window(receiver, segment);
	if ((sender->flags & TCP_END_HEARD) && segment->sequence == sender->next)
		return true;
	if (receiver->flags & TCP_END_ACKED)
		return segment->sequence == receiver->acked;
	return (segment->flags & TCP_ACK) && (receiver->flags & TCP_END_HEARD) &&
	       segment->acknowledgement == receiver->next;
}

/* What comes from the WAN must answer what the LAN has sent before it makes a flow long-lived. */
static bool is_plausible(const struct tcp_track *track, enum side from, const struct tcp_segment *segment)
{
	const struct tcp_end *inside = &track->end[SIDE_LAN];

	if (from == SIDE_LAN || (segment->flags & TCP_SYN) || !(inside->flags & TCP_END_HEARD))
		return true;
	return (segment->flags & TCP_ACK) && !serial_before(inside->next, segment->acknowledgement);
}

static void enter(struct engine *engine, uint32_t index, enum tcp_state state)
{
	static const struct {
		enum timeout timeout;
		enum flow_phase phase;
	} is[] = {
		[TCP_STATE_OPENING] = {TIMEOUT_TCP_OPENING, FLOW_OPENING},
		[TCP_STATE_ESTABLISHED] = {TIMEOUT_TCP_ESTABLISHED, FLOW_STEADY},
		[TCP_STATE_HALF_CLOSED] = {TIMEOUT_TCP_ESTABLISHED, FLOW_CLOSING},
		[TCP_STATE_CLOSED] = {TIMEOUT_TCP_CLOSING, FLOW_CLOSING},
		[TCP_STATE_RESET] = {TIMEOUT_TCP_CLOSING, FLOW_CLOSING},
	};
	struct flow *flow = &engine->flow[index];

	flow->tcp_state = (unsigned)state & 0xf;
	timer_set(engine, flow, is[state].timeout);
	life_enter(engine, index, is[state].phase);
}

static enum tcp_state next_state(const struct flow *flow, const struct tcp_track *track)
{
	bool lan_fin = track->end[SIDE_LAN].flags & TCP_END_FIN, wan_fin = track->end[SIDE_WAN].flags & TCP_END_FIN;

	if (lan_fin && wan_fin)
		return TCP_STATE_CLOSED;
	if (lan_fin || wan_fin)
		return TCP_STATE_HALF_CLOSED;
	if ((track->end[SIDE_LAN].flags & TCP_END_HEARD) && (track->end[SIDE_WAN].flags & TCP_END_HEARD))
		return TCP_STATE_ESTABLISHED;
	return (enum tcp_state)flow->tcp_state;
}

void tcp_reopen(struct engine *engine, uint32_t index)
{
	engine->track[index].tcp = (struct tcp_track){0};
	engine->flow[index].tcp_state = TCP_STATE_OPENING;
}

void tcp_track(struct engine *engine, uint32_t index, enum side from, const struct tcp_segment *segment)
{
	struct flow *flow = &engine->flow[index];
	struct tcp_track *track = &engine->track[index].tcp;
	struct tcp_end *sender = &track->end[from], *receiver = &track->end[!from];
	bool is_over = tcp_is_over(flow);

	if (flow->tcp_state == TCP_STATE_NONE)
		flow->tcp_state = TCP_STATE_OPENING;
	if (segment->flags & TCP_RST) {
		if (flow->tcp_state != TCP_STATE_RESET && reset_counts(flow, sender, receiver, segment))
			enter(engine, index, TCP_STATE_RESET);
		return;
	}
	if (is_over && (segment->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		tcp_reopen(engine, index);
		is_over = false;
	}
	/* A SYN in the middle of a connection is answered by a challenge ACK; it tells nothing. */
	bool is_known = flow->tcp_state != TCP_STATE_OPENING && (segment->flags & TCP_SYN);
	if (is_known || !is_in_window(receiver, segment) || !is_plausible(track, from, segment)) {
		/* Whatever an inside host sends beyond its window may be quoted by an error. */
		uint32_t end = segment->sequence + segment->length;
		if (from == SIDE_LAN && (sender->flags & TCP_END_HEARD) && serial_before(sender->next, end))
			sender->next = end;
		if (!is_over)
			enter(engine, index, (enum tcp_state)flow->tcp_state);
		return;
	}
	learn(sender, segment);
	agree_on_scale(sender, receiver);
	if (segment->flags & TCP_FIN)
		sender->flags |= TCP_END_FIN;
	enum tcp_state state = next_state(flow, track);
	/* In closed the timer runs from the second FIN on; a reset connection that speaks again was not reset. */
	if (state == TCP_STATE_CLOSED && flow->tcp_state == TCP_STATE_CLOSED)
		return;
	enter(engine, index, state);
}
