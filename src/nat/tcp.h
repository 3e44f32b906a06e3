/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP connection tracking for timers only (RFC 7857 section 2, RFC 6146 section 3.5.2): which state a flow is in, and
 * whether a segment lies in its receiver's window. Nothing is dropped here; a segment out of window changes no state,
 * so that a stranger who guesses cannot shorten a timer.
 */
#ifndef CULVERT_NAT_TCP_H
#define CULVERT_NAT_TCP_H

#include "nat/state.h"

enum tcp_state {
	TCP_STATE_NONE = 0, /* not TCP */
	TCP_STATE_OPENING,  /* not yet heard from both sides */
	TCP_STATE_ESTABLISHED,
	TCP_STATE_HALF_CLOSED, /* one side has sent its FIN */
	TCP_STATE_CLOSED,      /* both have */
	TCP_STATE_RESET,       /* an exact RST was seen; other segments revive it */
};

enum tcp_end_flag {
	TCP_END_HEARD = 1, /* a segment of this side was taken */
	TCP_END_ACKED = 2, /* it carried an ACK: acked and window are valid */
	TCP_END_SYN = 4,   /* its SYN was seen: scale is known */
	TCP_END_FIN = 8,
	TCP_END_UNSCALED = 16, /* its SYN had no window scale option */
};

static inline bool tcp_is_over(const struct flow *flow)
{
	return flow->tcp_state == TCP_STATE_CLOSED || flow->tcp_state == TCP_STATE_RESET;
}

/* Takes a segment of the flow at index into account; sets state, timer class and deadline. */
void tcp_track(struct engine *engine, uint32_t index, enum side from, const struct tcp_segment *segment);

/* The same two endpoints begin anew: what was known of their segments is forgotten. */
void tcp_reopen(struct engine *engine, uint32_t index);

/* State and windows are such as tcp_track() makes: for flows that another process left. */
bool tcp_is_whole(const struct flow *flow, const struct tcp_track *track);

/* A segment with this sequence number can have been sent by that side and still be on its way (for quotes in ICMP
 * errors). */
bool tcp_is_in_flight(const struct tcp_track *track, enum side sender, uint32_t sequence);

#endif
