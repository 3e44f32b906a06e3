/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ways through the engine. Each takes a packet whose IPv4 header is sound and gives its verdict. */
#ifndef CULVERT_NAT_PASSAGES_H
#define CULVERT_NAT_PASSAGES_H

#include "nat/flow.h"
#include "nat/sa.h"
#include "nat/state.h"

struct engine_result outbound_process(struct engine *engine, struct passage *passage);
struct engine_result inbound_process(struct engine *engine, struct passage *passage);

/* The key of the flow a packet would belong to, seen from the side it came from. */
struct flow_key passage_key(const struct passage *passage);
/* Reads what is behind a sound IPv4 header, as it is configured: without its module enhanced GRE is like any other,
 * and so is ESP. Inlined, since every packet comes here. */
static inline void passage_read_transport(const struct engine *engine, struct passage *passage)
{
	passage->fault = transport_parse(passage->packet, &passage->ip, &passage->transport);
	passage->is_read = true;
	if (!engine->tells_calls)
		passage->transport.gre.is_call = false;
	passage->is_sa = passage->ip.protocol == PROTOCOL_ESP && engine->tells_sas;
}
/* The packet is data of a call, and calls are ours to tell apart. */
static inline bool passage_is_call(const struct passage *passage)
{
	return passage->ip.protocol == PROTOCOL_GRE && passage->transport.gre.is_call;
}

/* Forwards a packet as it is (bypass prefixes, and what the kernel shall take as its own). */
struct engine_result passage_forward_unchanged(struct engine *engine, struct passage *passage, enum side to);
/* The reason for which a blocked service or AH is refused, or DROP_NONE. Ports count only if the transport header is
 * sound. */
enum drop passage_refusal(const struct engine *engine, const struct passage *passage);
/* Counts a packet of a flow, received from that side (of a hairpin: once for each of its two flows), and does what it
 * does to the flow's timer: outbound packets refresh, inbound ones where that is configured (RFC 4787 REQ-6), TCP and
 * calls have rules of their own. */
void passage_account(struct engine *engine, const struct passage *passage, uint32_t flow, enum side from);
bool passage_in_bypass(const struct engine *engine, struct address address);

#endif
