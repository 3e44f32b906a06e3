/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A test rig: one engine with a clock of its own, and a way to send a packet and look at what came out. After every
 * packet the rig asserts conservation, the engine's own check, and right checksums on everything that left. Before it
 * the engine is asked what it would do, while its memory is write-protected: it must then do just that.
 *
 * The stage: inside hosts 10.0.0.2.., router 10.0.0.1 inside and 198.51.100.1 outside, remotes 203.0.113.1...
 */
#ifndef CULVERT_TESTS_RIG_H
#define CULVERT_TESTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <culvert/explain.h>

#include "engine_check.h"
#include "packets.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND };

static const uint32_t L1 = 0x0a000002, L2 = 0x0a000003, L3 = 0x0a000004; /* inside */
static const uint32_t ROUTER = 0x0a000001, HOP = 0x0a00fffe;
static const uint32_t O1 = 0xc6336401, O2 = 0xc6336402;                 /* outside addresses */
static const uint32_t W1 = 0xcb007101, W2 = 0xcb007102, X = 0xcb0071fe; /* remotes, and a router among them */

struct rig {
	struct engine *engine;
	void *arena;
	size_t size, mapped;
	int file; /* whose pages the arena is */
	struct engine_limits limits;
	struct engine_config config;
	uint8_t seed[32];
	uint64_t now;
	struct emissions out;
	struct engine_result result;
	enum service service;      /* SERVICE_NONE, or that of all tunnels of this test */
	bool wrong_sums;           /* this test sends wrong checksums on purpose: do not verify transport sums */
	bool in_haste;             /* many packets: engine_check() and explanations take too long for each */
	uint32_t explained, asked; /* packets; explanations */
	struct test_packet packet; /* what was sent last, as it came */
	struct test_packet work;
};

/* cmocka setup and teardown; *state is the rig. Small limits; default configuration; outside address O1. */
int rig_setup(void **state);
int rig_teardown(void **state);
/* Another engine with the rig's limits and configuration as they are now. */
void rig_restart(struct rig *rig);
/* Kills the engine; another one takes over what is in its memory. */
void rig_take_over(struct rig *rig);
/* Kills the engine and maps its memory at another address; the caller makes another engine. */
void rig_move(struct rig *rig);
void rig_configure(struct rig *rig); /* the rig's configuration as it is now */
void rig_outside(struct rig *rig, uint32_t count, uint32_t first, uint32_t second);

/* Sends a packet; the emissions are in rig->out. Returns the only one, or NULL if there is none or more. */
struct packet *rig_send_packet(struct rig *rig, enum side from, const struct packet *packet);
struct packet *rig_send(struct rig *rig, enum side from, const struct packet_spec *spec);
struct packet *rig_udp(struct rig *rig, enum side from, uint32_t source, uint16_t source_port, uint32_t destination,
		       uint16_t destination_port);
struct packet *rig_tcp(struct rig *rig, enum side from, uint32_t source, uint16_t source_port, uint32_t destination,
		       uint16_t destination_port, uint8_t flags, uint32_t sequence, uint32_t acknowledge);
struct packet *rig_echo(struct rig *rig, enum side from, uint32_t source, uint32_t destination, uint8_t type,
			uint16_t id);
struct packet *rig_portless(struct rig *rig, enum side from, uint8_t protocol, uint32_t source, uint32_t destination);

/* What the engine says it would do with a packet. Fails if that needs to write to the engine's memory. */
void rig_explain(struct rig *rig, enum side from, const struct packet *packet, struct explanation *explanation);

/* Conservation, the engine's own check, and the checksums of what came out last. */
void rig_check(struct rig *rig);

/* Time passes; expiry work is done to the end. */
void rig_wait(struct rig *rig, uint64_t ms);

/* Assertions about the packet sent last. */
void rig_forwarded_(struct rig *rig, enum side to, const char *file, int line);
void rig_dropped_(struct rig *rig, enum drop reason, const char *file, int line);
#define rig_forwarded(rig, to)   rig_forwarded_(rig, to, __FILE__, __LINE__)
#define rig_dropped(rig, reason) rig_dropped_(rig, reason, __FILE__, __LINE__)
void rig_consumed(struct rig *rig);
void rig_held(struct rig *rig);

/* An outbound UDP packet that must be forwarded; returns the outside port. */
uint16_t rig_open_udp(struct rig *rig, uint32_t source, uint16_t source_port, uint32_t destination,
		      uint16_t destination_port);
/* The flow of an inside endpoint and a remote one; false if there is none. */
bool rig_flow(struct rig *rig, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
	      uint16_t remote_port, struct flow_view *view);
uint32_t rig_flows(struct rig *rig);
/* Asserts an ICMP error made by the engine about the packet sent last. */
void rig_made_error(struct rig *rig, const struct emission *e, enum side to, uint32_t source, uint8_t type,
		    uint8_t code, uint32_t rest);

#define rig_test(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

uint64_t rig_stat(const struct rig *rig, enum statistic stat);

/* The youngest tunnel of an inside end with that inside ID; false if there is none. */
bool rig_tunnel(struct rig *rig, uint32_t inside, uint32_t id, struct tunnel_view *view);
void rig_expect_tunnel(struct rig *rig, uint32_t inside, uint32_t id, enum tunnel_state state, enum tunnel_end end);
uint32_t rig_tunnels(struct rig *rig, bool ended_too);

#endif
