/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests of PPTP need beside the rig: control connections ("lines") that know their sequence numbers, calls, and
 * enhanced GRE. Bytes of messages are checked on the way: nothing but a Call ID may change.
 */
#ifndef CULVERT_TESTS_PPTP_RIG_H
#define CULVERT_TESTS_PPTP_RIG_H

#include "pptp_messages.h"
#include "rig.h"

struct line {
	struct rig *rig;
	bool server_inside; /* behind a forward; the client is the remote end then */
	uint32_t inside, outside, remote;
	uint16_t inside_port, outside_port, remote_port;
	uint32_t next[SIDES]; /* sequence number of the next byte from each side */
};

/* cmocka setup: a rig with room for tunnels, and port 1723 forwarded to SERVER. */
int pptp_setup(void **state);
#define pptp_test(name) cmocka_unit_test_setup_teardown(name, pptp_setup, rig_teardown)

static const uint32_t SERVER = 0x0a000009;

/* TCP's three packets. The client's port is port; with server_inside the inside end is SERVER. */
struct line line_to(struct rig *rig, uint32_t inside, uint16_t port, uint32_t remote);
struct line line_from(struct rig *rig, uint32_t remote, uint16_t port);
/* As above, but nothing is sent yet. */
struct line line_plan(struct rig *rig, bool server_inside, uint32_t inside, uint16_t port, uint32_t remote);
void line_shake_hands(struct line *line);

/* A segment at any place; nothing is counted. */
struct packet *line_segment(struct line *line, enum side from, uint8_t flags, uint32_t sequence, const uint8_t *bytes,
			    uint32_t count);
/* The next bytes of the stream. */
struct packet *line_send(struct line *line, enum side from, const uint8_t *bytes, uint32_t count);
/* Acknowledges all that was sent to this side. */
void line_acknowledge(struct line *line, enum side from);
/* The data of a TCP packet. */
uint8_t *line_data(const struct packet *packet, uint32_t *count);

/* Sends a whole message, asserts that it arrives and that only its IDs change; the arrived message. */
const uint8_t *line_message(struct line *line, enum side from, unsigned type, uint16_t first, uint16_t second,
			    uint8_t result);
/* The same, and asserts both fields as they arrive. */
void line_expect(struct line *line, enum side from, unsigned type, uint16_t first, uint16_t second, uint8_t result,
		 uint16_t arrived_first, uint16_t arrived_second);
void line_reset(struct line *line, enum side from);
void line_close(struct line *line); /* FIN both ways */

/* An outgoing call (types 7 and 8), whoever is inside; the outside Call ID. */
uint16_t line_call(struct line *line, uint16_t inside_id, uint16_t remote_id);
/* Only the request. */
uint16_t line_request(struct line *line, uint16_t inside_id);

struct packet *pptp_gre(struct rig *rig, enum side from, uint32_t source, uint32_t destination, uint16_t call_id);
/* Data passes both ways, to the right ends with the right IDs. */
void line_data_passes(struct line *line, uint16_t inside_id, uint16_t outside_id, uint16_t remote_id);
void line_data_refused(struct line *line, uint16_t outside_id, uint16_t remote_id);

#endif
