/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translating ICMP errors (RFC 5508 REQ-3 to 7, RFC 3022 section 4.3): outer header and the packet quoted inside, both
 * ways. The flow is neither refreshed nor removed by one (RFC 4787 REQ-12, RFC 5382 REQ-10).
 */
#ifndef CULVERT_NAT_ICMP_QUOTE_H
#define CULVERT_NAT_ICMP_QUOTE_H

#include "nat/state.h"

struct engine_result icmp_quote_outbound(struct engine *engine, struct passage *passage);
struct engine_result icmp_quote_inbound(struct engine *engine, struct passage *passage);

#endif
