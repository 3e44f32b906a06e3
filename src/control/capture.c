/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet that came, and what leaves because of it, are written into the ring behind its end. Only with the verdict
 * it is known whether the filter wants them: then the end moves behind them, or they are overwritten by the next. So
 * nothing is copied twice, and what can be told beforehand (protocol, remote address) saves the first copy as well.
 */
#include "control/capture.h"

#include <stdlib.h>
#include <string.h>

#include <culvert/module.h>

#include "control/capture_text.h"
#include "io/clock.h"
#include "wire/ip.h"
#include "wire/transport.h"

enum state {
	IDLE,     /* between packets */
	LOOKING,  /* came() has written a packet down */
	SKIPPING, /* it is not wanted */
};

struct capture {
	struct datapath_tap tap;
	struct capture_filter filter;
	const struct engine *engine;
	void (*wake)(void *context);
	void *context;
	uint32_t snap, rate;
	uint64_t tokens_ms; /* a packet costs 1000; at most a second's worth is saved */
	uint64_t filled_ms; /* when they were counted last */
	uint64_t number, lost;
	enum state state;
	uint32_t first, count; /* in the ring, chosen */
	uint32_t pending;      /* behind them, of the packet under way */
	struct capture_packet packet[CAPTURE_RING];
	uint8_t bytes[]; /* snap for each */
};

static struct capture_packet *capture_pending(struct capture *capture, uint32_t index)
{
	return &capture->packet[(capture->first + capture->count + index) % CAPTURE_RING];
}

/* --- the filter --- */

static bool is_of_service(const struct capture_ends *ends, enum service service)
{
	bool has_ports = protocol_has_ports(ends->protocol);

	return service_of_part(part_claiming(ends->protocol, has_ports ? ends->source_port : 0)) == service ||
	       service_of_part(part_claiming(ends->protocol, has_ports ? ends->destination_port : 0)) == service;
}

/* The same address on both sides. */
static struct address remote_of(const struct selection *selection)
{
	return selection->what == SELECTED_TUNNEL ? selection->tunnel.remote_address : selection->flow.remote_address;
}

/* What is never translated and so can be told before it is known what becomes of the packet. */
static bool may_be_wanted(const struct capture_filter *filter, const struct capture_ends *ends)
{
	if (filter->has_remote && !address_equal(filter->remote, ends->source) &&
	    !address_equal(filter->remote, ends->destination))
		return false;
	if (filter->selection.what != SELECTED_ALL && !address_equal(remote_of(&filter->selection), ends->source) &&
	    !address_equal(remote_of(&filter->selection), ends->destination))
		return false;
	return !filter->has_protocol || filter->protocol == ends->protocol;
}

/* Inside it is known best whose packet it is; outside only that may be seen which was dropped. */
static bool is_selected(struct capture *capture)
{
	enum side judged = SIDE_WAN;

	for (uint32_t i = 0; i < capture->pending; i++)
		if (capture_pending(capture, i)->side == SIDE_LAN)
			judged = SIDE_LAN;
	for (uint32_t i = 0; i < capture->pending; i++) {
		const struct capture_packet *packet = capture_pending(capture, i);

		if (packet->side == judged && selection_has_packet(&capture->filter.selection, &packet->ends, judged))
			return true;
	}
	return false;
}

/* The rest. Each part of the filter must fit one of the forms of the packet. */
static bool is_wanted(struct capture *capture, struct address mapping_address)
{
	const struct capture_filter *filter = &capture->filter;
	bool host = !filter->has_host || address_equal(filter->host, mapping_address);
	bool port = !filter->has_port, service = filter->service == SERVICE_NONE, has_drop = !filter->drops_only;

	for (uint32_t i = 0; i < capture->pending; i++) {
		const struct capture_packet *packet = capture_pending(capture, i);
		const struct capture_ends *ends = &packet->ends;

		has_drop = has_drop || packet->result.drop != DROP_NONE;
		host = host || address_equal(ends->source, filter->host) ||
		       address_equal(ends->destination, filter->host);
		port = port || ends->source_port == filter->port || ends->destination_port == filter->port;
		service = service || is_of_service(ends, filter->service);
	}
	return host && port && service && has_drop && is_selected(capture);
}

/* --- the rate --- */

static bool has_token(struct capture *capture)
{
	uint64_t now_ms = clock_now_ms(), most = (uint64_t)capture->rate * 1000;

	capture->tokens_ms += (now_ms - capture->filled_ms) * capture->rate;
	if (capture->tokens_ms > most)
		capture->tokens_ms = most;
	capture->filled_ms = now_ms;
	return capture->tokens_ms >= 1000;
}

/* --- what the data path tells --- */

/* Writes a packet down behind the end of the ring. */
static void capture_note(struct capture *capture, enum side side, enum capture_event event, enum drop link,
			 const struct packet *packet, const struct capture_ends *ends)
{
	struct capture_packet *record = capture_pending(capture, capture->pending);
	size_t slot = (size_t)(record - capture->packet);
	uint8_t *bytes = capture->bytes + slot * capture->snap;

	if (capture->count + capture->pending == CAPTURE_RING) {
		capture->lost++;
		return;
	}
	capture->pending++;
	record->number = capture->number;
	record->time_us = clock_unix_us();
	record->side = side;
	record->event = event;
	record->result.verdict = event == CAPTURE_DROPPED ? VERDICT_DROPPED : VERDICT_FORWARDED;
	record->result.drop = (uint8_t)link;
	record->ends = *ends;
	record->length = packet->length;
	record->stored = packet->length < capture->snap ? packet->length : capture->snap;
	record->data = bytes;
	record->has_translation = false;
	capture_text_detail(packet, ends, record->detail);
	record->comment[0] = '\0';
	memcpy(bytes, packet->data, record->stored);
}

static void capture_choose(struct capture *capture)
{
	capture->count += capture->pending;
	capture->tokens_ms -= capture->tokens_ms < 1000 ? capture->tokens_ms : 1000;
	capture->wake(capture->context);
}

static void capture_came(void *context, enum side from, const struct packet *packet)
{
	struct capture *capture = context;
	struct capture_ends ends;

	capture->number++;
	capture->state = SKIPPING;
	capture_text_read(packet, &ends);
	if (!may_be_wanted(&capture->filter, &ends))
		return;
	if (!has_token(capture) || capture->count == CAPTURE_RING) {
		capture->lost++;
		return;
	}
	capture->state = LOOKING;
	capture_note(capture, from, CAPTURE_CAME, DROP_NONE, packet, &ends);
}

static void capture_left(void *context, enum side to, const struct packet *packet, enum drop link)
{
	struct capture *capture = context;
	enum capture_event event = link == DROP_NONE ? CAPTURE_LEFT : CAPTURE_DROPPED;
	struct capture_ends ends;

	if (capture->state == SKIPPING)
		return;
	capture_text_read(packet, &ends);
	capture_note(capture, to, event, link, packet, &ends);
	if (capture->state == LOOKING || capture->pending == 0)
		return;
	/* It had waited: what came is long gone. */
	capture_text_waited(capture_pending(capture, 0));
	if (may_be_wanted(&capture->filter, &ends) && is_wanted(capture, address_of(0)))
		capture_choose(capture);
	capture->pending = 0;
}

/* The inside host whose mapping a packet that was just dropped was sent to, if there is one. Drops of the data path
 * are none of the engine's. */
static struct address mapping_of_last_drop(const struct capture *capture, enum drop reason)
{
	uint64_t cursor = 0;
	struct drop_view view;

	if (!capture->engine || !engine_next_drop(capture->engine, &cursor, clock_now_ms(), &view))
		return address_of(0);
	return view.reason == reason && view.has_mapping ? view.mapping_address : address_of(0);
}

/* Of the packet under way everything is known. */
static void capture_finish(struct capture *capture, struct engine_result result)
{
	struct capture_packet *came = capture_pending(capture, 0);
	const struct capture_packet *left = NULL;
	struct address mapping = {0};

	if (result.verdict == VERDICT_DROPPED)
		mapping = mapping_of_last_drop(capture, (enum drop)result.drop);
	for (uint32_t i = 0; i < capture->pending; i++)
		if (capture_pending(capture, i)->event != CAPTURE_DROPPED)
			capture_pending(capture, i)->result = result;
	if (!is_wanted(capture, mapping))
		return;
	if (capture->pending > 1)
		left = capture_pending(capture, 1);
	if (left && left->event == CAPTURE_LEFT && result.verdict == VERDICT_FORWARDED) {
		came->has_translation = true;
		came->to = left->side;
		came->after = left->ends;
	}
	for (uint32_t i = 0; i < capture->pending; i++)
		capture_text_comment(capture_pending(capture, i), came, left, mapping);
	capture_choose(capture);
}

static void capture_judged(void *context, struct engine_result result)
{
	struct capture *capture = context;

	if (capture->state == LOOKING)
		capture_finish(capture, result);
	capture->pending = 0;
	capture->state = IDLE;
}

struct capture *capture_new(const struct capture_filter *filter, uint32_t snap, uint32_t rate,
			    const struct engine *engine, void (*wake)(void *context), void *context)
{
	struct capture *capture = calloc(1, sizeof(*capture) + (size_t)CAPTURE_RING * snap);

	if (!capture)
		return NULL;
	capture->tap = (struct datapath_tap){
		.context = capture,
		.came = capture_came,
		.left = capture_left,
		.judged = capture_judged,
	};
	capture->filter = *filter;
	capture->engine = engine;
	capture->wake = wake;
	capture->context = context;
	capture->snap = snap;
	capture->rate = rate;
	capture->tokens_ms = (uint64_t)rate * 1000;
	capture->filled_ms = clock_now_ms();
	return capture;
}

void capture_free(struct capture *capture)
{
	free(capture);
}

const struct datapath_tap *capture_tap(const struct capture *capture)
{
	return &capture->tap;
}

const struct capture_packet *capture_fetch(struct capture *capture)
{
	const struct capture_packet *packet = &capture->packet[capture->first];

	if (capture->count == 0)
		return NULL;
	capture->first = (capture->first + 1) % CAPTURE_RING;
	capture->count--;
	return packet;
}

uint64_t capture_take_lost(struct capture *capture)
{
	uint64_t lost = capture->lost;

	capture->lost = 0;
	return lost;
}
