/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests of L2TP need beside the rig: dialers, each an inside end and a server with one tunnel, that say control
 * messages and data and assert what arrives at the other side. Bytes are checked on the way: nothing but a Tunnel ID
 * may change.
 */
#ifndef CULVERT_TESTS_L2TP_RIG_H
#define CULVERT_TESTS_L2TP_RIG_H

#include "l2tp_messages.h"
#include "rig.h"

enum {
	PORT = 1701,
	SCCRQ = 1,
	SCCRP = 2,
	SCCCN = 3,
	STOPCCN = 4,
	HELLO = 6,
	ICRQ = 10,
	ICRP = 11,
	ICCN = 12,
	CDN = 14
};

static const uint32_t SERVER = 0x0a000009;

struct dialer {
	struct rig *rig;
	uint32_t inside, remote;
	uint16_t inside_port, remote_port; /* remote_port: which port of the server talks */
	uint16_t seen_port;                /* from which the server got the last datagram */
	uint16_t id, remote_id;
	uint16_t seen_id; /* the Tunnel ID that the server was told */
	uint16_t ns[SIDES];
};

/* cmocka setup: a rig with room for tunnels. */
int l2tp_setup(void **state);
#define l2tp_test(name) cmocka_unit_test_setup_teardown(name, l2tp_setup, rig_teardown)

struct dialer dialer_of(struct rig *rig, uint32_t inside, uint16_t port, uint32_t remote, uint16_t id);

/* A message goes from one side to the other; nothing is asserted. The server sends to seen_port. */
struct packet *dialer_send(struct dialer *d, enum side from, const uint8_t *bytes, uint32_t count);
/* Asserts that it arrived at the right end, changed in no byte but at offset (an ID, 2 bytes; 0: in none). */
void dialer_arrived(struct dialer *d, enum side from, const uint8_t *bytes, uint32_t count, uint32_t offset);

/* A control message of the tunnel with the number type, Session ID session, and (not 0) an assigned session. */
void dialer_say(struct dialer *d, enum side from, unsigned type, uint16_t session, uint16_t assigned);
void dialer_stop(struct dialer *d, enum side from);
/* SCCRQ: seen_port and seen_id are what the server sees. SCCRP, then SCCCN. */
void dialer_ask(struct dialer *d);
void dialer_answer(struct dialer *d, uint16_t remote_id);
void dialer_dial(struct dialer *d, uint16_t remote_id);
/* Data both ways, in several shapes of header. */
void dialer_data(struct dialer *d);
/* A datagram of the server to our port with a Tunnel ID, data. */
struct packet *dialer_stray(struct dialer *d, uint16_t port, uint16_t tunnel);

#endif
