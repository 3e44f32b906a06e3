/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One batch serves both directions, because it is empty again before the next one is received: its memory stays in the
 * cache. Packets that the engine changed in place go out from where they came in. What the engine made is copied: to
 * the LAN it is written at once, to the WAN it stays in the slot of its place in the queue. Packets for a next hop that
 * the kernel does not know yet wait in slots of their own.
 *
 * What leaves is not always what was received: a packet may leave in pieces, and what the engine makes was never
 * received. So each packet that is sent has a tag, which says whose fate its own decides: when the link refuses one
 * piece, the packet that was received is dropped, once.
 */
#include "datapath/datapath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "io/batch.h"
#include "io/kernel.h"
#include "io/tun.h"
#include "io/wan.h"

enum {
	WAIT_MS = 1000, /* that long a packet waits for its next hop */
	/* offsets in the IPv4 header, RFC 791 section 3.1 */
	FRAGMENT = 6,
	FRAGMENT_OFFSET = 0x1fff,
	DESTINATION = 16,
	/* What the queue to the WAN remembers of a packet. */
	TAG_FROM_WAN = 1,
	TAG_OWN = 2,          /* no packet that was received stands behind it, or it has been counted as dropped */
	TAG_COPY = 4,         /* its memory is the engine's */
	TAG_NUMBER_SHIFT = 3, /* equal numbers: pieces of one packet; 0: there is but one piece */
	TAG_NUMBERS = 1 << 29,
	LOST = 64,
	NOTICES = 16, /* packets of one wake-up whose senders are told that they did not get farther */
};

/* The beginning of a packet that did not get farther, for the ICMP error that quotes it. */
struct notice {
	enum unreachable code;
	uint32_t length;
	uint8_t bytes[ICMP_QUOTE_MAX];
};

struct datapath {
	struct tun *tun;
	struct wan *wan;
	struct engine *engine;
	struct kernel *kernel;
	kernel_report *report;
	void *reporting;
	struct engine_sink sink;
	enum side from;       /* of the batch that is in the engine, for the taps */
	uint64_t now_ms;      /* of this wake-up */
	struct batch batch;   /* what was received */
	struct batch made;    /* copies of what the engine made, by place in the queue to the WAN */
	struct batch waiting; /* the first waiting.count packets wait; the data of the others are free slots */
	uint64_t wait_until[BATCH_PACKETS];
	uint32_t wait_tag[BATCH_PACKETS];
	uint32_t number;     /* of the packet emitted last that may have more pieces */
	uint32_t lost[LOST]; /* numbers of which a piece was lost, so that the packet was counted as dropped */
	struct notice notice[NOTICES];
	uint32_t notices;
	struct datapath_counters counters;
	const struct datapath_tap *tap[DATAPATH_TAPS];
	uint32_t taps;
	/* for the taps */
	enum drop link_drop;       /* why what was emitted last did not leave */
	bool has_waited;           /* it was put aside */
	struct engine_result fate; /* of the packet under way, if the engine forwards it */
};

/* --- whose packet it was --- */

static uint32_t datapath_tag(struct datapath *datapath, enum side from, enum origin origin)
{
	uint32_t tag = from == SIDE_WAN ? TAG_FROM_WAN : 0;

	if (origin == ORIGIN_BATCH)
		return tag;
	if (origin == ORIGIN_OWN)
		return tag | TAG_COPY | TAG_OWN;
	if (origin == ORIGIN_COPY)
		datapath->number = datapath->number + 1 < TAG_NUMBERS ? datapath->number + 1 : 1;
	return tag | TAG_COPY | datapath->number << TAG_NUMBER_SHIFT;
}

static enum side datapath_side(uint32_t tag)
{
	return tag & TAG_FROM_WAN ? SIDE_WAN : SIDE_LAN;
}

static bool datapath_is_counted(const struct datapath *datapath, uint32_t tag)
{
	uint32_t number = tag >> TAG_NUMBER_SHIFT;

	return !(tag & TAG_OWN) && (!number || datapath->lost[number % LOST] != number);
}

/* Another piece of the packet waits, so that it is counted as held. */
static bool datapath_piece_waits(const struct datapath *datapath, uint32_t tag)
{
	for (uint32_t i = 0; tag >> TAG_NUMBER_SHIFT && i < datapath->waiting.count; i++)
		if (datapath->wait_tag[i] == tag)
			return true;
	return false;
}

static void datapath_drop(struct datapath *datapath, uint32_t tag, enum drop reason, enum counted before)
{
	uint32_t number = tag >> TAG_NUMBER_SHIFT;

	datapath->link_drop = reason;
	if (!datapath_is_counted(datapath, tag))
		return;
	if (datapath_piece_waits(datapath, tag))
		before = COUNTED_HELD;
	engine_count_drop(datapath->engine, datapath_side(tag), reason, before);
	if (!number)
		return;
	/* Its other pieces may still leave, but nothing more is counted. */
	datapath->lost[number % LOST] = number;
	for (uint32_t i = 0; i < datapath->waiting.count; i++)
		if (datapath->wait_tag[i] == tag)
			datapath->wait_tag[i] |= TAG_OWN;
}

/* The sender is told when the batch is through: the engine is at work now. Congestion is not told of. */
static void datapath_drop_undeliverable(struct datapath *datapath, const struct packet *packet, uint32_t tag,
					enum drop reason, enum counted before)
{
	struct notice *notice = &datapath->notice[datapath->notices];

	datapath_drop(datapath, tag, reason, before);
	if (tag & (TAG_OWN | TAG_FROM_WAN) || reason == DROP_LINK_OFFLOAD || datapath->notices == NOTICES ||
	    packet_get16(packet, FRAGMENT) & FRAGMENT_OFFSET)
		return; /* no error is made of a later fragment, RFC 1812 section 4.3.2.7 */
	datapath->notices++;
	notice->code = reason == DROP_LINK_NEXT_HOP ? UNREACHABLE_HOST : UNREACHABLE_NET;
	notice->length = packet->length < ICMP_QUOTE_MAX ? packet->length : ICMP_QUOTE_MAX;
	memcpy(notice->bytes, packet->data, notice->length);
}

static void datapath_tell_senders(struct datapath *datapath)
{
	for (uint32_t i = 0; i < datapath->notices; i++) {
		struct notice *notice = &datapath->notice[i];
		struct packet packet = {.data = notice->bytes, .length = notice->length};

		engine_undeliverable(datapath->engine, &packet, notice->code, datapath->now_ms, &datapath->sink);
	}
	datapath->notices = 0;
}

/* --- out --- */

static void datapath_refused(void *context, uint32_t tag, int error)
{
	struct datapath *datapath = context;

	datapath->counters.refused[SIDE_WAN]++;
	if (error == ENETDOWN || error == ENXIO) {
		datapath_drop(datapath, tag, DROP_LINK_DOWN, COUNTED_FORWARDED);
		return;
	}
	/* A full queue of the WAN is congestion, which is every day's business. */
	if (error != EAGAIN && error != ENOBUFS)
		datapath->report(datapath->reporting, LOG_WARNING, "the kernel refused a packet to the WAN: %s",
				 strerror(error));
	datapath_drop(datapath, tag, DROP_LINK_SEND, COUNTED_FORWARDED);
}

static void datapath_copy(struct packet *copy, uint8_t *slot, const struct packet *packet)
{
	*copy = *packet;
	copy->data = slot;
	memcpy(slot, packet->data, packet->length);
}

static void datapath_wait(struct datapath *datapath, const struct packet *packet, uint32_t tag)
{
	struct batch *waiting = &datapath->waiting;
	uint32_t place = waiting->count;

	if (place == BATCH_PACKETS) {
		datapath_drop(datapath, tag, DROP_LINK_NEXT_HOP, COUNTED_FORWARDED);
		return;
	}
	if (datapath_is_counted(datapath, tag) && !datapath_piece_waits(datapath, tag))
		engine_count_wait(datapath->engine, datapath_side(tag), false);
	datapath_copy(&waiting->packets[place], waiting->packets[place].data, packet);
	datapath->wait_until[place] = datapath->now_ms + WAIT_MS;
	datapath->wait_tag[place] = tag;
	waiting->count++;
	datapath->counters.waited++;
	datapath->has_waited = true;
}

/* Why the WAN as it is now cannot have the packet, which may have waited while it became another link. */
static enum drop datapath_refusal(const struct datapath *datapath, const struct packet *packet)
{
	if (!datapath->wan || !kernel_links(datapath->kernel)->wan.up)
		return DROP_LINK_DOWN;
	if (!wan_offloads(datapath->wan) && (packet->offload.partial || packet->offload.gso_type != GSO_NONE))
		return DROP_LINK_OFFLOAD;
	return DROP_NONE;
}

static void datapath_emit_wan(struct datapath *datapath, const struct packet *packet, uint32_t tag)
{
	uint8_t mac[6] = {0};
	enum drop refusal = datapath_refusal(datapath, packet);
	struct packet copy;

	if (refusal != DROP_NONE) {
		datapath_drop_undeliverable(datapath, packet, tag, refusal, COUNTED_FORWARDED);
		return;
	}
	if (kernel_links(datapath->kernel)->wan.ethernet) {
		switch (kernel_next_hop(datapath->kernel, address_of(packet_get32(packet, DESTINATION)), mac)) {
		case NEXT_HOP_KNOWN:
			break;
		case NEXT_HOP_PENDING:
			datapath_wait(datapath, packet, tag);
			return;
		case NEXT_HOP_BUSY:
			datapath_drop(datapath, tag, DROP_LINK_NEXT_HOP, COUNTED_FORWARDED);
			return;
		case NEXT_HOP_SILENT:
			datapath_drop_undeliverable(datapath, packet, tag, DROP_LINK_NEXT_HOP, COUNTED_FORWARDED);
			return;
		case NEXT_HOP_NO_ROUTE:
			datapath_drop_undeliverable(datapath, packet, tag, DROP_LINK_NO_ROUTE, COUNTED_FORWARDED);
			return;
		}
	}
	if (tag & TAG_COPY) {
		datapath_copy(&copy, batch_slot(&datapath->made, wan_queued(datapath->wan)), packet);
		packet = &copy;
	}
	datapath->counters.sent_bytes[SIDE_WAN] += packet->length;
	wan_queue(datapath->wan, packet, mac, tag);
	if (wan_queued(datapath->wan) == BATCH_PACKETS)
		wan_flush(datapath->wan, datapath_refused, datapath);
}

static void datapath_emit_lan(struct datapath *datapath, const struct packet *packet, uint32_t tag)
{
	uint32_t free_slot = datapath->wan ? wan_queued(datapath->wan) : 0;
	struct packet copy;
	int error;

	if (tag & TAG_COPY) {
		datapath_copy(&copy, batch_slot(&datapath->made, free_slot), packet);
		packet = &copy;
	}
	error = tun_send(datapath->tun, packet);
	if (!error) {
		datapath->counters.sent_bytes[SIDE_LAN] += packet->length;
		return;
	}
	datapath->counters.refused[SIDE_LAN]++;
	datapath->report(datapath->reporting, LOG_WARNING, "the kernel refused a packet to the LAN: %s",
			 strerror(error));
	datapath_drop(datapath, tag, DROP_LINK_SEND, COUNTED_FORWARDED);
}

static void datapath_flush(struct datapath *datapath)
{
	if (datapath->wan)
		wan_flush(datapath->wan, datapath_refused, datapath);
}

static void datapath_tell_left(struct datapath *datapath, enum side to, const struct packet *packet)
{
	for (uint32_t i = 0; i < datapath->taps; i++)
		datapath->tap[i]->left(datapath->tap[i]->context, to, packet, datapath->link_drop);
}

/* Only who has sent it knows what became of it. */
static void datapath_tell_emitted(struct datapath *datapath, enum side to, const struct packet *packet, bool is_copy)
{
	datapath_flush(datapath);
	if (!datapath->has_waited && (is_copy || datapath->link_drop == DROP_NONE)) {
		datapath_tell_left(datapath, to, packet);
		return;
	}
	if (is_copy)
		return; /* it waits, and is told of when it leaves */
	datapath->fate.verdict = datapath->has_waited ? VERDICT_HELD : VERDICT_DROPPED;
	datapath->fate.drop = (uint8_t)datapath->link_drop;
}

static void datapath_emit(void *context, enum side from, enum side to, struct packet *packet, enum origin origin)
{
	struct datapath *datapath = context;
	uint32_t tag = datapath_tag(datapath, from, origin);

	datapath->link_drop = DROP_NONE;
	datapath->has_waited = false;
	if (to == SIDE_WAN)
		datapath_emit_wan(datapath, packet, tag);
	else
		datapath_emit_lan(datapath, packet, tag);
	if (datapath->taps > 0)
		datapath_tell_emitted(datapath, to, packet, origin != ORIGIN_BATCH);
}

struct datapath *datapath_new(struct tun *tun, struct engine *engine, struct kernel *kernel, kernel_report *report,
			      void *context)
{
	struct datapath *datapath = calloc(1, sizeof(*datapath));

	if (!datapath)
		return NULL;
	if (!batch_open(&datapath->batch) || !batch_open(&datapath->made) || !batch_open(&datapath->waiting)) {
		datapath_free(datapath);
		return NULL;
	}
	for (uint32_t i = 0; i < BATCH_PACKETS; i++)
		datapath->waiting.packets[i].data = batch_slot(&datapath->waiting, i);
	datapath->tun = tun;
	datapath->engine = engine;
	datapath->kernel = kernel;
	datapath->report = report;
	datapath->reporting = context;
	datapath->sink.emit = datapath_emit;
	datapath->sink.context = datapath;
	return datapath;
}

void datapath_free(struct datapath *datapath)
{
	if (!datapath)
		return;
	batch_close(&datapath->batch);
	batch_close(&datapath->made);
	batch_close(&datapath->waiting);
	free(datapath);
}

void datapath_set_wan(struct datapath *datapath, struct wan *wan)
{
	if (datapath->wan)
		datapath->counters.lost[SIDE_WAN] += wan_take_lost(datapath->wan);
	datapath->wan = wan;
}

bool datapath_add_tap(struct datapath *datapath, const struct datapath_tap *tap)
{
	if (datapath->taps == DATAPATH_TAPS)
		return false;
	datapath->tap[datapath->taps++] = tap;
	return true;
}

void datapath_remove_tap(struct datapath *datapath, const struct datapath_tap *tap)
{
	for (uint32_t i = 0; i < datapath->taps; i++) {
		if (datapath->tap[i] != tap)
			continue;
		datapath->tap[i] = datapath->tap[--datapath->taps];
		return;
	}
}

/* One by one, so that it is known whose verdict it is and what left because of which packet. */
static void datapath_process_tapped(struct datapath *datapath, struct batch *batch)
{
	struct engine_result result;

	for (uint32_t i = 0; i < batch->count; i++) {
		for (uint32_t j = 0; j < datapath->taps; j++)
			datapath->tap[j]->came(datapath->tap[j]->context, datapath->from, &batch->packets[i]);
		datapath->fate = (struct engine_result){.verdict = VERDICT_FORWARDED, .drop = DROP_NONE};
		engine_process(datapath->engine, datapath->from, &batch->packets[i], 1, datapath->now_ms,
			       &datapath->sink, &result);
		datapath_tell_senders(datapath);
		if (result.verdict == VERDICT_FORWARDED)
			result = datapath->fate;
		for (uint32_t j = 0; j < datapath->taps; j++)
			datapath->tap[j]->judged(datapath->tap[j]->context, result);
	}
}

static int datapath_fill(struct datapath *datapath, enum side from)
{
	if (from == SIDE_LAN)
		return tun_receive(datapath->tun, &datapath->batch) ? 0 : ENODEV;
	return wan_receive(datapath->wan, &datapath->batch);
}

int datapath_receive(struct datapath *datapath, enum side from, uint64_t now_ms)
{
	struct batch *batch = &datapath->batch;
	int error = datapath_fill(datapath, from);

	if (error) {
		if (error == EAGAIN || error == EINTR)
			return 0;
		datapath->counters.receive_errors[from]++;
		return -error;
	}
	for (uint32_t i = 0; i < batch->truncated; i++)
		engine_count_drop(datapath->engine, from, DROP_LINK_TRUNCATED, COUNTED_NOT);
	for (uint32_t i = 0; i < batch->foreign; i++)
		engine_count_drop(datapath->engine, from, DROP_LINK_OFFLOAD, COUNTED_NOT);
	if (batch->count == 0)
		return 0;
	datapath->counters.batches[from]++;
	datapath->from = from;
	datapath->now_ms = now_ms;
	if (datapath->taps > 0)
		datapath_process_tapped(datapath, batch);
	else
		engine_process(datapath->engine, from, batch->packets, batch->count, now_ms, &datapath->sink, NULL);
	datapath_flush(datapath);
	datapath_tell_senders(datapath);
	kernel_ask_next_hops(datapath->kernel);
	return (int)batch->count;
}

void datapath_expire(struct datapath *datapath, uint64_t now_ms)
{
	datapath->now_ms = now_ms;
	engine_expire(datapath->engine, now_ms, &datapath->sink);
	datapath_flush(datapath);
	datapath_tell_senders(datapath);
	kernel_ask_next_hops(datapath->kernel);
}

/* Sends a packet that waited, or drops it: its place is free. */
static void datapath_end_wait(struct datapath *datapath, const struct packet *packet, uint32_t tag, enum drop reason,
			      const uint8_t mac[6])
{
	datapath->link_drop = DROP_NONE;
	if (reason != DROP_NONE) {
		datapath_drop_undeliverable(datapath, packet, tag, reason, COUNTED_HELD);
	} else {
		if (datapath_is_counted(datapath, tag) && !datapath_piece_waits(datapath, tag))
			engine_count_wait(datapath->engine, datapath_side(tag), true);
		wan_queue(datapath->wan, packet, mac, tag);
	}
	if (datapath->taps > 0) {
		datapath_flush(datapath);
		datapath_tell_left(datapath, SIDE_WAN, packet);
	}
}

/* What is to be done with a packet that waits: true if it has to go on waiting. */
static bool datapath_retry_one(struct datapath *datapath, uint32_t place)
{
	const struct packet *packet = &datapath->waiting.packets[place];
	uint32_t tag = datapath->wait_tag[place];
	enum drop reason = datapath_refusal(datapath, packet);
	uint8_t mac[6] = {0};

	if (reason == DROP_NONE) {
		switch (kernel_next_hop(datapath->kernel, address_of(packet_get32(packet, DESTINATION)), mac)) {
		case NEXT_HOP_KNOWN:
			break;
		case NEXT_HOP_PENDING:
		case NEXT_HOP_BUSY:
			if (datapath->now_ms < datapath->wait_until[place])
				return true;
			reason = DROP_LINK_NEXT_HOP;
			break;
		case NEXT_HOP_SILENT:
			reason = DROP_LINK_NEXT_HOP;
			break;
		case NEXT_HOP_NO_ROUTE:
			reason = DROP_LINK_NO_ROUTE;
			break;
		}
	}
	datapath->wait_tag[place] = TAG_OWN; /* this one does not wait any more */
	datapath_end_wait(datapath, packet, tag, reason, mac);
	return false;
}

void datapath_retry(struct datapath *datapath, uint64_t now_ms)
{
	struct batch *waiting = &datapath->waiting;
	uint32_t kept = 0;

	datapath->now_ms = now_ms;
	for (uint32_t i = 0; i < waiting->count; i++) {
		if (!datapath_retry_one(datapath, i))
			continue;
		/* Those that stay move up in their order, and the slots in between change places with them. */
		struct packet stays = waiting->packets[i];
		uint32_t tag = datapath->wait_tag[i];

		waiting->packets[i] = waiting->packets[kept];
		waiting->packets[kept] = stays;
		datapath->wait_until[kept] = datapath->wait_until[i];
		datapath->wait_tag[i] = TAG_OWN;
		datapath->wait_tag[kept] = tag;
		kept++;
	}
	waiting->count = kept;
	datapath_flush(datapath);
	datapath_tell_senders(datapath);
	kernel_ask_next_hops(datapath->kernel);
}

bool datapath_waits(const struct datapath *datapath)
{
	return datapath->waiting.count > 0;
}

uint64_t datapath_batches(const struct datapath *datapath)
{
	return datapath->counters.batches[SIDE_LAN] + datapath->counters.batches[SIDE_WAN];
}

const struct datapath_counters *datapath_counters(struct datapath *datapath)
{
	datapath->counters.lost[SIDE_LAN] = tun_count_lost(datapath->tun);
	if (datapath->wan)
		datapath->counters.lost[SIDE_WAN] += wan_take_lost(datapath->wan);
	return &datapath->counters;
}
