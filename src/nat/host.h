/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside hosts: where each one is, which outside address it has (paired pooling, RFC 4787 REQ-2) and how many flows
 * (RFC 6888 REQ-4). A host is known for as long as it has a flow.
 */
#ifndef CULVERT_NAT_HOST_H
#define CULVERT_NAT_HOST_H

#include "nat/state.h"

/* The network of an inside host. One of no prefix is behind another router and counts among the first network's. */
static inline const struct inside *host_inside(const struct engine *engine, struct address inside_address)
{
	const struct inside *inside = NULL;

	if (engine->config.insides > 1)
		inside = inside_find(engine, inside_address);
	return inside ? inside : &engine->config.inside[0];
}

uint32_t host_find(const struct engine *engine, struct address inside_address);
/* The outside address this host has, else the least used one. NULL if there is none. */
struct outside *host_outside(struct engine *engine, struct address inside_address);
/* The host, made known with that outside address if it is new, for somebody who opens a flow: it stays until
 * host_let_go(), and then for as long as it has a flow. NONE and *why if there is no record left. See
 * timer_hold_host(). */
uint32_t host_hold(struct engine *engine, struct address inside_address, struct address outside_address,
		   enum drop *why);
void host_let_go(struct engine *engine, uint32_t index);
/* Counts one more flow of its host. Strangers must not use up what the host and others need: flows opened by remote
 * ends get half of host_flows, and half of the flow table. False and *why if there are too many. */
bool host_take(struct engine *engine, const struct flow *flow, enum drop *why);
/* The flow is over. */
void host_release(struct engine *engine, const struct flow *flow);
/* Finds the network of each host anew: the configuration has changed. */
void host_place_all(struct engine *engine);
/* Rebuilds the table from the records of a process that died; no host then has a flow. */
void host_recover(struct engine *engine);
/* Forgets the hosts that were not given a flow again, and counts the others. */
void host_recovered(struct engine *engine);
/* Counts anew how many hosts each outside address has: addresses came or went. */
void host_recount(struct engine *engine);

/* Pairs an inside host with another outside address; its flows stay where they are. False if there is no other. */
bool host_move(struct engine *engine, struct address inside_address);

#endif
