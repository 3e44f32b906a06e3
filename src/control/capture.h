/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look at some of the packets: as they came, as they left, and what was made of them.
 *
 * A filter chooses, a ring of CAPTURE_RING packets keeps what was chosen until it is fetched, and a rate limits how
 * much work that may be. What does not fit the ring or the rate is counted as lost; the packets themselves are never
 * touched.
 */
#ifndef CULVERT_CONTROL_CAPTURE_H
#define CULVERT_CONTROL_CAPTURE_H

#include "control/selection.h"
#include "datapath/datapath.h"

enum { CAPTURE_RING = 512, CAPTURE_SNAP_MAX = 2048, CAPTURE_COMMENT = 320, CAPTURE_DETAIL = 128 };

/* All that are set must fit, each to the packet as it came or as it left. Numbers in host byte order. */
struct capture_filter {
	bool has_host, has_remote, has_protocol, has_port;
	struct address host, remote;
	uint8_t protocol;
	uint16_t port;
	enum service service; /* SERVICE_NONE: any; by the protocols and ports that it is known for */
	bool drops_only;
	struct selection selection; /* a tunnel or a mapping */
};

/* What the headers say; ports are 0 where there are none. The identifier is the SPI of ESP and AH, the Call ID of
 * enhanced GRE, that of an ICMP query. */
struct capture_ends {
	uint8_t protocol;
	struct address source, destination;
	uint32_t identifier;
	uint16_t source_port, destination_port;
};

enum capture_event {
	CAPTURE_CAME,
	CAPTURE_LEFT,
	CAPTURE_DROPPED, /* it would have left, but the link did not take it */
};

struct capture_packet {
	uint64_t number;  /* what left has that of the packet it left because of */
	uint64_t time_us; /* since 1970 */
	enum side side;
	enum capture_event event;
	struct engine_result result;
	struct capture_ends ends;
	char detail[CAPTURE_DETAIL]; /* of ICMP: its type, and what an error quotes; else empty */
	bool has_translation;        /* it came and was forwarded: to that side, as that */
	enum side to;
	struct capture_ends after;
	uint32_t length, stored; /* bytes of the packet, and those of them that are at data */
	const uint8_t *data;
	char comment[CAPTURE_COMMENT]; /* what was translated, or why it was dropped */
};

struct capture;

/*
 * A capture that keeps the first snap bytes of a packet, and rate packets that came a second. wake is called when there
 * is something to fetch. engine, which may be NULL, is asked whose mapping a dropped packet was sent to. NULL, with
 * errno set, if there is no memory.
 */
struct capture *capture_new(const struct capture_filter *filter, uint32_t snap, uint32_t rate,
			    const struct engine *engine, void (*wake)(void *context), void *context);
void capture_free(struct capture *capture); /* NULL is allowed */

/* To be added to the data path. */
const struct datapath_tap *capture_tap(const struct capture *capture);

/* The next packet, or NULL. It is valid until the data path works again. */
const struct capture_packet *capture_fetch(struct capture *capture);
/* Packets that were lost since this was asked last: chosen and without room, or not even looked at because of the rate.
 */
uint64_t capture_take_lost(struct capture *capture);

#endif
