/* SPDX-License-Identifier: BSD-2-Clause */
/* IPsec for tests: ESP and IKE messages between the rig's hosts and remotes. */
#ifndef CULVERT_TESTS_IPSEC_RIG_H
#define CULVERT_TESTS_IPSEC_RIG_H

#include "rig.h"

enum { PORT_IKE = 500, PORT_NATT = 4500 };

/* What of an IKE header matters; the body is eight bytes of nothing. */
struct ike_spec {
	uint64_t initiator, responder;
	uint8_t version; /* 0: 2 */
	uint8_t exchange;
	uint32_t message_id;
	bool response;
	bool marker;         /* four zero bytes before it */
	uint16_t clear_type; /* a first payload in clear: its type, with this body */
	const uint8_t *clear;
	uint32_t clear_length;
};

enum { SA_INIT = 34, AUTH = 35, CHILD = 36, INFORMATIONAL = 37, MAIN = 2, QUICK = 32 };

/* rig_setup() with room for 16 tunnels. */
int ipsec_rig_setup(void **state);
/* ESP through the engine; the address it came out for, or 0. */
uint32_t ipsec_out(struct rig *rig, uint32_t inside, uint32_t remote, uint32_t spi, uint32_t sequence);
uint32_t ipsec_in(struct rig *rig, uint32_t remote, uint32_t spi, uint32_t sequence);
/* An IKE datagram; what came out, or NULL. */
struct packet *ipsec_ike(struct rig *rig, enum side from, uint32_t source, uint16_t source_port, uint32_t destination,
			 uint16_t destination_port, const struct ike_spec *spec);
/* The tunnel of this pair as people see it. */
bool ipsec_tunnel(struct rig *rig, uint32_t inside, uint32_t remote, struct tunnel_view *view);

#endif
