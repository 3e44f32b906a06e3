/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the engine and the modules: control connections that are read, and the calls they open (RFC 2637). A call is
 * a flow without a mapping, known by Call IDs; see struct flow_key.
 */
#ifndef CULVERT_NAT_CALL_H
#define CULVERT_NAT_CALL_H

#include "nat/flow.h"
#include "nat/state.h"

/* Has a module read a new TCP flow if its service wants that. server_port: of the end that was called. */
void call_attach(struct engine *engine, uint32_t flow, uint16_t server_port);
/* Shows a segment of a flow to its module. Anything but VERDICT_FORWARDED is the packet's verdict. */
struct engine_result call_inspect(struct engine *engine, uint32_t flow, enum side from, const struct passage *passage);
/* The control connection may have ended by what was just tracked. */
void call_follow_control(struct engine *engine, uint32_t flow);
/* The next packet that a module kept and whose turn has come; its bytes are in scratch memory. False if there is none.
 */
bool call_next_kept(struct engine *engine, struct packet *packet, enum side *from);

/* A reload may have changed what is read: stops reading where mode is no longer pass. */
void call_follow_mode(struct engine *engine, uint32_t flow);
/* After a recovery: a control connection or call that its module does not know any more. */
void call_drop_orphan(struct engine *engine, uint32_t flow);

/* Data of this call may pass. */
bool call_passes(const struct engine *engine, uint32_t flow);
/* Counts a packet of a call and refreshes it. */
void call_account(struct engine *engine, uint32_t flow, enum side from, uint32_t length);
/* A control connection or call is about to be closed. */
void call_flow_closes(struct engine *engine, uint32_t flow);

#endif
