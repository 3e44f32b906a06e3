/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening sessions: which mapping a new flow gets, and which inside endpoint a packet from outside may reach (RFC 4787
 * sections 4 and 5).
 */
#ifndef CULVERT_NAT_SESSION_H
#define CULVERT_NAT_SESSION_H

#include "nat/flow.h"
#include "nat/state.h"

/* A new flow for an outbound packet; NONE and *why if it may not have one. */
uint32_t session_open_outbound(struct engine *engine, const struct passage *passage, enum drop *why);

/* A packet that knocks at an outside endpoint. */
struct knock {
	struct outside *outside;
	struct address remote;
	uint16_t port, remote_port; /* port: outside port or identifier */
	uint8_t protocol;
	uint8_t tcp_flags;
	bool enhanced; /* enhanced GRE */
	bool hairpin;  /* from another inside host: not filtered */
};

/* Who answers the door: a mapping or a forward. */
struct target {
	uint32_t mapping; /* index or NONE */
	const struct forward *forward;
	struct address inside_address;
	uint16_t inside_port;
};

/* Finds who is to be reached. DROP_NONE, or why it may not be; then target tells whose endpoint it is, as far as it is
 * anybody's. */
enum drop session_find_target(struct engine *engine, const struct knock *knock, struct target *target);
/* Opens the flow to a target found; NONE and *why if it may not be. */
uint32_t session_open_inbound(struct engine *engine, const struct knock *knock, const struct target *target,
			      enum drop *why);

#endif
