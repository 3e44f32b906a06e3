/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Outside ports and ICMP identifiers: which one a new mapping gets (RFC 4787 REQ-3 and 4, RFC 6056 section 4, RFC 6888
 * REQ-8).
 */
#ifndef CULVERT_NAT_POOL_H
#define CULVERT_NAT_POOL_H

#include "nat/state.h"

/* A keyed hash of an inside endpoint: where the search for its port begins, and what a resting port remembers of it. */
uint64_t pool_owner(const struct engine *engine, struct address inside_address, uint16_t inside_port);
/* Picks a port for an inside port; 0 to 65535, or -1 if there is none. Does not take it. */
int pool_pick(struct engine *engine, struct outside *outside, enum port_space space, uint16_t inside_port,
	      uint64_t owner);
void pool_take(struct engine *engine, struct outside *outside, enum port_space space, uint16_t port, uint32_t mapping);
void pool_give_back(struct engine *engine, struct outside *outside, enum port_space space, uint16_t port,
		    uint64_t owner, bool rests);
/* Frees ports of one outside address whose rest is over, from..to (exclusive). */
void pool_sweep(struct engine *engine, struct outside *outside, enum port_space space, uint32_t from, uint32_t to);

#endif
