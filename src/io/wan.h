/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The WAN side of the data path: a packet socket (packet(7)) on the WAN link, in batches, with offloads.
 *
 * The kernel sees every packet that comes in here too; keeping it silent about them is the work of kernel.h.
 */
#ifndef CULVERT_IO_WAN_H
#define CULVERT_IO_WAN_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/packet.h>

#include "io/batch.h"
#include "io/kernel.h"

struct wan;

/* Called by wan_flush() for a packet that the kernel did not take. tag is what wan_queue() was given, error the errno.
 */
typedef void wan_failed(void *context, uint32_t tag, int error);

/* Opens the socket on the link with that index. ethernet: packets carry a link header, from our address mac. Returns
 * NULL with *exit_code set (3 permission, 4 network), after having reported why; the caller ends it with wan_close().
 */
struct wan *wan_open(int ifindex, bool ethernet, const uint8_t mac[6], kernel_report *report, void *context,
		     int *exit_code);
void wan_close(struct wan *wan); /* NULL is allowed */

/* Readable when there are packets; it does not block. */
int wan_fd(const struct wan *wan);

/* Fills batch with what is there. 0, or the errno: ENETDOWN when the link went down or away. */
int wan_receive(struct wan *wan, struct batch *batch);

/* Packets that the kernel threw away since the last call, because the receive buffer was full. */
uint64_t wan_take_lost(struct wan *wan);

/* False: the link has no offloads, so that only plain packets may be queued. */
bool wan_offloads(const struct wan *wan);

/*
 * Puts a packet into the queue; the BATCH_HEADROOM bytes in front of it are overwritten. Packet and memory must stay
 * until wan_flush(). mac is the link address of the next hop; links without link header do not look at it. There is
 * room for BATCH_PACKETS packets: the caller flushes when wan_queued() says so many.
 */
void wan_queue(struct wan *wan, const struct packet *packet, const uint8_t mac[6], uint32_t tag);
uint32_t wan_queued(const struct wan *wan);

/* Sends the queue, and tells of each packet that could not be sent. */
void wan_flush(struct wan *wan, wan_failed *failed, void *context);

#endif
