/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What inside hosts try in vain: VPNs that a mode blocks, AH, and what a remote end refuses by ICMP or a reset. Only
 * sentences are made of it, never a decision about a packet, because anybody may forge such an error.
 */
#ifndef CULVERT_NAT_ATTEMPTS_H
#define CULVERT_NAT_ATTEMPTS_H

#include "nat/state.h"

/* A packet from the LAN that is refused by a mode, or because it is AH. */
void attempt_note_blocked(struct engine *engine, const struct passage *passage);
/* An ICMP error (type and code) from an address about a packet of this flow; of a flow that no module reads nothing is
 * noted, nor of errors that are no refusal. */
void attempt_note_error(struct engine *engine, uint32_t flow, uint8_t type, uint8_t code, struct address from);
/* The same for a control connection that was reset before the remote end had said anything else. */
void attempt_note_reset(struct engine *engine, uint32_t flow);
/* A control connection over TCP: asked for once more without an answer, and answered. */
void attempt_note_unanswered(struct engine *engine, uint32_t flow);
void attempt_forget_unanswered(struct engine *engine, uint32_t flow);
/* Tells view what the remote end has refused since the tunnel was requested and since it was last heard. */
void attempt_view_refusal(const struct engine *engine, struct tunnel_view *view);
/* Tells of each attempt that was not yet told of. */
void attempt_tell(struct engine *engine);

#endif
