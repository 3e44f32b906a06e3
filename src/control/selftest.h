/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the verb selftest has behind it: checks, one for each behaviour, that send packets of hosts that nobody has
 * (RFC 2544 sets their addresses apart) through a shadow of the engine, or look at the configuration. Nothing is sent,
 * and no flow of the engine is changed. To add one: a function selftest_x() below, by its row in
 * include/culvert/requirements.def.
 */
#ifndef CULVERT_CONTROL_SELFTEST_H
#define CULVERT_CONTROL_SELFTEST_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/explain.h>

#include "control/probe.h"
#include "wire/ip.h"

struct router;

enum selftest_result {
	SELFTEST_MET = 0,
	SELFTEST_NOT_MET,
	SELFTEST_DEVIATES, /* known, and on purpose */
	SELFTEST_UNSEEN,   /* cannot be seen from here */
	SELFTEST_RESULTS,
};

/* Where a result comes from. */
enum selftest_source { SELFTEST_OBSERVED = 0, SELFTEST_CONFIGURED, SELFTEST_KNOWN };

enum selftest_level { SELFTEST_MUST = 0, SELFTEST_SHOULD };

struct finding {
	enum selftest_result result;
	enum selftest_source source;
	char value[160]; /* what was seen, why, or what would show it */
};

/* An inside host, what it has as port or identifier, and what that became. */
struct selftest_host {
	struct address address, outside;
	uint16_t port, outside_port;
};

struct bench {
	const struct router *router;
	struct engine *shadow;
	uint8_t *bytes; /* of the packet that was sent last, as it left */
	uint8_t *quote; /* of the packet that an error quotes */
	uint64_t now_ms;
	uint8_t protocol;    /* TCP, UDP or ICMP */
	enum drop obstacle;  /* what has kept a host of the test from having a flow, or DROP_NONE */
	const uint32_t *sum; /* how often there was which result of a MUST or SHOULD before */
	const char *text;    /* of the row */
};

typedef void selftest_check(struct bench *bench, struct finding *finding);

#define REQUIREMENT(rfc, requirement, level, behaviour, check, text) selftest_check selftest_##check;
#include <culvert/requirements.def>

enum {
	SELFTEST_TTL = 64,
	SELFTEST_PORT = 20001, /* the first that is tried */
	SELFTEST_REMOTE_PORT = 9,
	SELFTEST_OTHER_PORT = 10,
	SELFTEST_WAIT_MS = 10000,
	SELFTEST_HEADERS = 28, /* bytes of a packet that an error quotes */
};

/* 198.18.0.1 and those behind it; 198.19.0.1 and two more. */
static const struct address selftest_inside = {0xc6120001};
static const struct address selftest_remote = {0xc6130001}, selftest_other_remote = {0xc6130002},
			    selftest_third_remote = {0xc6130003};

/* --- packets (selftest_packets.c) --- */

/* Sends a packet of bench->protocol. */
struct explanation selftest_pass(struct bench *bench, enum side from, struct probe probe);
/* The same for a packet that stands in bench->bytes already. */
struct explanation selftest_pass_bytes(struct bench *bench, enum side from, uint32_t length);
/* A SYN, a datagram or an echo request of a host. */
struct explanation selftest_leave(struct bench *bench, const struct selftest_host *host, struct address remote,
				  uint16_t port);
/* A SYN or a datagram to the outside endpoint of a host; of ICMP an echo reply. */
struct explanation selftest_come(struct bench *bench, const struct selftest_host *host, struct address remote,
				 uint16_t port);
/* An ICMP error (type 3 code 1) that quotes what stands in bench->quote. */
struct explanation selftest_error(struct bench *bench, enum side from, struct address source,
				  struct address destination, uint32_t quoted);
/* Keeps the start of bench->bytes as a quote; returns its length. */
uint32_t selftest_quote(struct bench *bench);

/* It left to that side, and the engine did not make it. */
bool selftest_is_forwarded(const struct explanation *explanation, enum side to);
bool selftest_has_outside(const struct selftest_host *host, const struct explanation *explanation);

/* Opens a flow to selftest_remote:SELFTEST_REMOTE_PORT from a port that is kept. Ports of real flows may be in the way,
 * so several are tried. False, with an obstacle, if the host can have no flow. */
bool selftest_open(struct bench *bench, struct selftest_host *host);
/* Opens one from another host, with the same port. */
bool selftest_open_other(struct bench *bench, const struct selftest_host *host, struct selftest_host *other);
/* The same, for as many hosts as it takes until one has the same outside address: number is the first that is tried,
 * and becomes the next one. False if there is none. */
bool selftest_open_rival(struct bench *bench, const struct selftest_host *host, struct selftest_host *rival,
			 uint32_t *number);

/* --- findings --- */

void selftest_observed(struct finding *finding, bool is_met, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void selftest_configured(struct finding *finding, bool is_met, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* It deviates only if that is so; otherwise the requirement is met by configuration. */
void selftest_deviates_if(const struct bench *bench, struct finding *finding, bool is_so, const char *otherwise);
/* More than one outside address can be had; else the finding says that one is not enough. */
bool selftest_has_addresses(const struct bench *bench, struct finding *finding);

#endif
