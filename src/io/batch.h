/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for the packets of one wake-up, allocated once.
 *
 * Each slot holds the largest IPv4 packet with BATCH_HEADROOM bytes in front of it. The receive functions of tun.c
 * and wan.c leave their headers there, and the send functions write theirs over them, so that a packet goes in and out
 * as one piece of memory and is never copied here. A packet that did not come from a batch must have the same headroom.
 */
#ifndef CULVERT_IO_BATCH_H
#define CULVERT_IO_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/packet.h>

enum {
	BATCH_PACKETS = 64,
	BATCH_HEADROOM = 64, /* a virtio header and a link header, and the IPv4 header starts a cache line */
};

struct batch {
	struct packet packets[BATCH_PACKETS]; /* the first count of them are valid */
	uint32_t count;
	uint32_t truncated; /* packets that did not fit a slot and are not in packets[] */
	uint32_t foreign;   /* packets whose offload the virtio header cannot express, not in packets[] */
	uint8_t *memory;
};

/* False, with errno set, if there is no memory. */
bool batch_open(struct batch *batch);
void batch_close(struct batch *batch);

/* The place of the IPv4 header in a slot, which has BATCH_HEADROOM bytes before it and PACKET_LENGTH_MAX from it on. */
uint8_t *batch_slot(const struct batch *batch, uint32_t index);

#endif
