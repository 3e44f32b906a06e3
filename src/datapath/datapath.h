/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data path: packets from the TUN device through the engine to the WAN's packet socket, and back.
 *
 * It works in batches: what one call received has been sent, put aside for its next hop, or dropped and counted when
 * the call returns. Nothing is allocated per packet.
 */
#ifndef CULVERT_DATAPATH_DATAPATH_H
#define CULVERT_DATAPATH_DATAPATH_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/engine.h>

#include "io/kernel.h"

struct datapath;
struct tun;
struct wan;

/* What the data path counts beside the engine. */
struct datapath_counters {
	uint64_t batches[SIDES];    /* wake-ups that brought packets from that side */
	uint64_t refused[SIDES];    /* packets to that side which the kernel did not take */
	uint64_t sent_bytes[SIDES]; /* of IPv4, handed to the link of that side */
	uint64_t waited;            /* packets put aside until the next hop was known */
	uint64_t receive_errors[SIDES];
	uint64_t lost[SIDES]; /* packets from that side that the kernel threw away because we were too slow */
};

/*
 * Who looks on. For each packet came() is told of it before anything in it is changed, then left() of what leaves
 * because of it, then judged() of what became of it: also if the link refused it, or if it waits for its next hop,
 * which is VERDICT_HELD. What leaves later than its packet came (held fragments, ESP that waited for its turn, what
 * waited for its next hop) is told by left() alone. link is why the link did not take what would have left, or
 * DROP_NONE. Packets are valid during the call only.
 */
struct datapath_tap {
	void *context;
	void (*came)(void *context, enum side from, const struct packet *packet);
	void (*left)(void *context, enum side to, const struct packet *packet, enum drop link);
	void (*judged)(void *context, struct engine_result result);
};

enum { DATAPATH_TAPS = 4 };

/* Everything is the caller's and must outlive the data path; report is called with context. NULL, with errno set, if
 * there is no memory. */
struct datapath *datapath_new(struct tun *tun, struct engine *engine, struct kernel *kernel, kernel_report *report,
			      void *context);
void datapath_free(struct datapath *datapath); /* NULL is allowed */

/* The packet socket, or NULL while the WAN is away: what would go there is then dropped as link_down. */
void datapath_set_wan(struct datapath *datapath, struct wan *wan);

/* *tap stays the caller's until it is removed. False if there are DATAPATH_TAPS already. While there is one, engine and
 * links get packets one by one. */
bool datapath_add_tap(struct datapath *datapath, const struct datapath_tap *tap);
void datapath_remove_tap(struct datapath *datapath, const struct datapath_tap *tap);

/* Takes one batch from that side through the engine. Returns the number of packets, 0 if there were none, or minus the
 * errno if the TUN is gone (side LAN) or the WAN went down. */
int datapath_receive(struct datapath *datapath, enum side from, uint64_t now_ms);

/* Has the engine do what is due, see engine_expire(). */
void datapath_expire(struct datapath *datapath, uint64_t now_ms);

/* Tries the packets again that wait for their next hop; to be called when the kernel's neighbours changed, and every
 * now and then. */
void datapath_retry(struct datapath *datapath, uint64_t now_ms);
/* Are there such packets? */
bool datapath_waits(const struct datapath *datapath);

/* How many batches there were from both sides. */
uint64_t datapath_batches(const struct datapath *datapath);
/* Asks the kernel for what it knows, so not for every packet. */
const struct datapath_counters *datapath_counters(struct datapath *datapath);

#endif
