/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows without a mapping that are known by identifiers and belong to a record of a module: calls of enhanced GRE (RFC
 * 2637) and SAs of ESP (sa.h); see struct flow_key.
 */
#ifndef CULVERT_NAT_CALL_H
#define CULVERT_NAT_CALL_H

#include "nat/flow.h"
#include "nat/state.h"

/* After a recovery: a call or SA that its module does not know any more ends. */
void call_drop_orphan(struct engine *engine, uint32_t flow);
/* A call or SA is about to be closed. */
void call_flow_closes(struct engine *engine, uint32_t flow);

/* Data of this call may pass. */
bool call_passes(const struct engine *engine, uint32_t flow);
/* Counts a packet of a call and refreshes it. */
void call_account(struct engine *engine, uint32_t flow, enum side from, uint32_t length);

/* For modules, see <culvert/module.h>. */
uint32_t call_open(struct engine *engine, uint32_t control_flow, uint16_t inside_id, int high, uint32_t record,
		   uint32_t request_ms, uint16_t *outside_id, enum drop *why);
int call_high(struct engine *engine, uint32_t control_flow, uint8_t wanted);
bool call_lives(struct engine *engine, uint32_t call_flow);
void call_answer(struct engine *engine, uint32_t call_flow, uint16_t remote_id);
void call_keep(struct engine *engine, uint32_t call_flow);
void call_end(struct engine *engine, uint32_t call_flow, uint32_t drain_ms);

#endif
