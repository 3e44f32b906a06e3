/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control connections: every segment is read in order, translated, and sent on; what comes too early is kept for
 * its turn. A segment that cannot be translated to its end is dropped whole: TCP sends it again, and reading goes on
 * where it stopped.
 */
#include "passthrough/pptp.h"

#include <culvert/verdict.h>

#include "base/serial.h"
#include "wire/transport.h"

/* --- memory --- */

static uint32_t calls_for(const struct engine_limits *limits)
{
	return limits->tunnels * 2;
}

static size_t pptp_memory_size(const struct engine_limits *limits)
{
	if (limits->tunnels == 0)
		return 0;
	return sizeof(struct pptp) + limits->tunnels * sizeof(struct pptp_control) +
	       calls_for(limits) * sizeof(struct pptp_call);
}

static void set_pointers(struct pptp *pptp)
{
	/* Calls first: they need the wider alignment. */
	pptp->call = (struct pptp_call *)(void *)(pptp + 1);
	pptp->control = (struct pptp_control *)(void *)(pptp->call + pptp->calls);
}

static void pptp_place(void *memory, const struct engine_limits *limits)
{
	(void)limits; /* they are in the memory */
	set_pointers(memory);
}

static void pptp_start(void *memory, const struct engine_limits *limits)
{
	struct pptp *pptp = memory;

	*pptp = (struct pptp){.controls = limits->tunnels, .calls = calls_for(limits)};
	set_pointers(pptp);
	for (uint32_t i = 0; i < pptp->controls; i++)
		pptp->control[i] = (struct pptp_control){.flow = i + 1 < pptp->controls ? i + 1 : MODULE_NONE};
	for (uint32_t i = 0; i < pptp->calls; i++)
		pptp->call[i] = (struct pptp_call){
			.next = i + 1 < pptp->calls ? i + 1 : MODULE_NONE,
			.flow = MODULE_NONE,
			.control = MODULE_NONE,
		};
}

/* Streams are searched for their next message, but one that was no PPTP is none now; what was kept is lost. */
static void recover_controls(struct engine *engine, struct pptp *pptp)
{
	for (uint32_t i = pptp->controls; i-- > 0;) {
		struct pptp_control *control = &pptp->control[i];
		struct pptp_control old = *control;
		bool keeps = old.live &&
			     engine_offer(engine)->owns_flow(engine, SERVICE_PPTP, old.flow, (uint16_t)(i + 1), 0);
		*control = (struct pptp_control){
			.live = keeps,
			.flow = keeps ? old.flow : pptp->control_free,
			.first_call = MODULE_NONE,
		};
		for (int side = 0; keeps && side < SIDES; side++) {
			if (old.stream[side].state == PPTP_STREAM_OUT_OF_STEP) {
				control->stream[side].state = PPTP_STREAM_OUT_OF_STEP;
				control->told_lost = true;
			}
		}
		if (!keeps)
			pptp->control_free = i;
	}
}

static bool call_is_whole(struct engine *engine, const struct pptp_call *call, uint32_t index)
{
	return call->state > CALL_FREE && call->state <= CALL_ENDED && call->end < ENDS &&
	       (call->end == END_NOT) == (call->state != CALL_ENDED) &&
	       engine_offer(engine)->owns_flow(engine, SERVICE_PPTP, call->flow, 0, index);
}

/* Lists are made anew from the records; what was counted in them is not believed. */
static void pptp_recover(struct engine *engine, void *memory, const struct engine_limits *limits)
{
	struct pptp *pptp = memory;

	*pptp = (struct pptp){
		.controls = limits->tunnels,
		.calls = calls_for(limits),
		.used = calls_for(limits),
		.control_free = MODULE_NONE,
		.call_free = MODULE_NONE,
	};
	set_pointers(pptp);
	recover_controls(engine, pptp);
	for (uint32_t i = pptp->calls; i-- > 0;) {
		struct pptp_call *call = &pptp->call[i];
		bool keeps = call_is_whole(engine, call, i);
		bool has_control = keeps && call->state != CALL_ENDED && call->control < pptp->controls &&
				   pptp->control[call->control].live;
		if (!keeps) {
			*call = (struct pptp_call){
				.next = pptp->call_free, .flow = MODULE_NONE, .control = MODULE_NONE};
			pptp->call_free = i;
		} else if (has_control) {
			call->next = pptp->control[call->control].first_call;
			pptp->control[call->control].first_call = i;
			pptp->control[call->control].calls++;
		} else if (call->state != CALL_ENDED) {
			call->state = CALL_ENDED;
			call->end = END_ROUTER;
			call->control = MODULE_NONE;
			engine_offer(engine)->call_end(engine, call->flow, PPTP_DRAIN_MS);
		}
	}
}

static bool pptp_knows(const struct engine *engine, const void *memory, uint32_t flow, uint16_t control,
		       uint32_t record)
{
	const struct pptp *pptp = memory;

	(void)engine;
	if (!pptp)
		return false;
	if (control != 0)
		return control <= pptp->controls && pptp->control[control - 1u].live &&
		       pptp->control[control - 1u].flow == flow;
	return record < pptp->calls && pptp->call[record].state != CALL_FREE && pptp->call[record].flow == flow;
}

/* Strangers who only send SYNs may have a quarter of the records. */
static uint16_t pptp_attach(struct engine *engine, void *memory, uint32_t flow, bool answered)
{
	struct pptp *pptp = memory;
	uint32_t index = pptp->control_free;
	struct flow_view view;

	engine_offer(engine)->view_flow(engine, flow, &view, NULL);
	bool knocks = view.inside_is_server && !answered;
	if (knocks && pptp->knocking >= module_quarter(pptp->controls))
		return 0;
	if (index == MODULE_NONE) {
		engine_offer(engine)->count(engine, STAT_PPTP_UNREAD);
		return 0;
	}
	pptp->control_free = pptp->control[index].flow;
	pptp->control[index] = (struct pptp_control){
		.live = true,
		.knocks = knocks,
		.flow = flow,
		.first_call = MODULE_NONE,
	};
	pptp->knocking += knocks;
	engine_offer(engine)->count(engine, STAT_PPTP_CONTROLS);
	return (uint16_t)(index + 1);
}

static void stop_knocking(struct pptp *pptp, struct pptp_control *control)
{
	pptp->knocking -= control->knocks;
	control->knocks = 0;
}

/* --- reading --- */

/* Writes the remembered values of all bytes that lie in this segment. */
static void apply_patches(struct engine *engine, const struct pptp_stream *stream, const struct module_segment *segment)
{
	bool changed = false;

	for (unsigned i = 0; i < stream->patches; i++) {
		uint32_t at = stream->patch[i].sequence - segment->sequence;
		if (at >= segment->length)
			continue;
		tcp_patch_byte(segment->packet, segment->transport, segment->payload + at, stream->patch[i].value);
		changed = true;
	}
	if (changed)
		engine_offer(engine)->count(engine, STAT_PPTP_PATCHED);
}

static enum drop remember_field(struct pptp_stream *stream, uint32_t sequence, uint16_t value, uint16_t translated)
{
	bool fits = true;

	if (value >> 8 != translated >> 8)
		fits = pptp_stream_remember(stream, sequence, (uint8_t)(translated >> 8));
	if ((value & 255) != (translated & 255))
		fits = fits && pptp_stream_remember(stream, sequence + 1, (uint8_t)translated);
	return fits ? DROP_NONE : DROP_PPTP_CROWDED;
}

static enum pptp_field field_at(const struct pptp_stream *stream, uint32_t offset)
{
	const struct pptp_shape *shape = pptp_shape(stream->type);

	return (enum pptp_field)(offset == PPTP_OFFSET_FIRST ? shape->first : shape->second);
}

static enum drop field_complete(struct engine *engine, struct pptp *pptp, uint32_t control, enum side from,
				uint32_t offset)
{
	struct pptp_stream *stream = &pptp->control[control].stream[from];
	uint16_t value = pptp_get16(stream->head + offset), translated;
	uint32_t sequence = stream->next - 2;
	enum drop why = DROP_NONE;

	if (!pptp_call_translate(engine, pptp, control, from, field_at(stream, offset), value,
				 stream->half ? stream->sent_half : -1, &translated, &why))
		return why;
	/* Its first byte went out with an earlier segment: what it was then is final. */
	if (stream->half && stream->sent_half != translated >> 8)
		return DROP_PPTP_SPLIT;
	stream->half = false;
	return remember_field(stream, sequence, value, translated);
}

static enum drop field_half(struct engine *engine, struct pptp *pptp, uint32_t control, enum side from, uint32_t offset)
{
	struct pptp_stream *stream = &pptp->control[control].stream[from];
	uint8_t value = stream->head[offset], translated;

	if (stream->half)
		return DROP_NONE; /* it has gone out already: this segment brought nothing new */
	if (!pptp_call_translate_half(engine, pptp, control, from, field_at(stream, offset), value, &translated))
		return DROP_PPTP_SPLIT;
	stream->half = true;
	stream->sent_half = translated;
	if (translated == value)
		return DROP_NONE;
	return pptp_stream_remember(stream, stream->next - 1, translated) ? DROP_NONE : DROP_PPTP_CROWDED;
}

/* Reads what is new in a segment. If something cannot be translated, the stream stands in front of it: what came
 * before is done, and stays as it was translated. */
static enum drop read_new(struct engine *engine, struct pptp *pptp, uint32_t control, enum side from,
			  const struct module_segment *segment)
{
	struct pptp_stream *stream = &pptp->control[control].stream[from];
	uint32_t used = stream->next - segment->sequence, offset = 0;
	const uint8_t *bytes = segment->packet->data + segment->payload;
	struct pptp_stream saved = *stream;
	enum drop reason = DROP_NONE;

	for (;; saved = *stream) {
		switch (pptp_stream_read(stream, bytes, segment->length, &used, &offset)) {
		case PPTP_STOP_FIELD:
			reason = field_complete(engine, pptp, control, from, offset);
			if (reason == DROP_NONE)
				break;
			*stream = saved;
			return reason;
		case PPTP_STOP_HALF:
			reason = field_half(engine, pptp, control, from, offset);
			if (reason != DROP_NONE)
				*stream = saved;
			return reason;
		case PPTP_STOP_MESSAGE:
			pptp_call_message(engine, pptp, control, from, stream);
			break;
		default:
			return DROP_NONE;
		}
	}
}

static void tell_lost(struct engine *engine, struct pptp_control *control)
{
	struct tunnel_view view = {.service = SERVICE_PPTP, .part = PART_PPTP, .state = TUNNEL_STATES, .silent = -1};
	struct flow_view flow;

	if (control->told_lost)
		return;
	control->told_lost = true;
	engine_offer(engine)->count(engine, STAT_PPTP_OUT_OF_STEP);
	engine_offer(engine)->view_flow(engine, control->flow, &flow, NULL);
	view.inside_address = flow.inside_address;
	view.outside_address = flow.outside_address;
	view.remote_address = flow.remote_address;
	view.index = MODULE_NONE; /* it is no call */
	engine_offer(engine)->report(engine, EVENT_NOT_UNDERSTOOD, &view);
}

/* Ahead of its turn: kept, if it is not too far ahead. */
static struct engine_result keep(struct engine *engine, struct pptp_control *control, enum side from,
				 const struct module_segment *segment)
{
	uint8_t *count = &control->kept_count[from];
	bool is_near = segment->sequence - control->stream[from].next <= PPTP_KEPT_BYTES;

	if (*count == PPTP_KEPT || segment->packet->length > PPTP_KEPT_BYTES || !is_near)
		return verdict_drop(DROP_PPTP_AHEAD);
	uint32_t packet = engine_offer(engine)->keep(engine, segment->packet, segment->arrived);
	if (packet == MODULE_NONE)
		return verdict_drop(DROP_PPTP_AHEAD);
	control->kept[from][(*count)++] = (struct pptp_kept){segment->sequence, packet};
	return verdict_held();
}

static void note_acknowledgement(struct pptp_control *control, enum side from, const struct module_segment *segment)
{
	struct pptp_stream *other = &control->stream[!from];

	/* Nobody can acknowledge what was not read. */
	if (segment->has_acknowledgement && other->started && !serial_before(other->next, segment->acknowledgement))
		pptp_stream_acknowledge(other, segment->acknowledgement);
}

static void drop_kept(struct engine *engine, struct pptp_control *control)
{
	for (int side = 0; side < SIDES; side++)
		while (control->kept_count[side] > 0)
			engine_offer(engine)->drop_kept(engine, control->kept[side][--control->kept_count[side]].packet,
							DROP_PPTP_AHEAD);
}

/*
 * A SYN in the middle of a connection means nothing: whoever has the connection answers with a challenge ACK (RFC 5961
 * section 4). But an end that lost its power has nothing, and the other one may have given up since. If it answers
 * with a SYN that acknowledges the first one, both ends begin anew, and the calls of before are over.
 */
static void begin_anew(struct engine *engine, struct pptp *pptp, uint32_t index, enum side from,
		       const struct module_segment *segment)
{
	struct pptp_control *control = &pptp->control[index];

	if (!segment->has_acknowledgement) {
		control->asks_anew = true;
		control->asker = (uint8_t)from;
		control->anew = segment->sequence;
		return;
	}
	if (!control->asks_anew || control->asker == (uint8_t)from || segment->acknowledgement != control->anew)
		return;
	pptp_call_end_all(engine, pptp, index, END_CONTROL_RESET);
	drop_kept(engine, control);
	pptp_stream_start(&control->stream[!from], control->anew);
	pptp_stream_start(&control->stream[from], segment->sequence);
	control->asks_anew = control->told_lost = false;
	engine_offer(engine)->reopen(engine, control->flow);
}

static struct engine_result pptp_inspect(struct engine *engine, void *memory, uint16_t number, enum side from,
					 const struct module_segment *segment)
{
	struct pptp *pptp = memory;
	uint32_t index = number - 1u;
	struct pptp_control *control = &pptp->control[index];
	struct pptp_stream *stream = &control->stream[from];

	if (segment->starts) {
		pptp_stream_start(stream, segment->sequence);
		/* Whoever answers a SYN says where the other stream starts, if that was not read. */
		if (segment->has_acknowledgement && !control->stream[!from].started)
			pptp_stream_start(&control->stream[!from], segment->acknowledgement);
		if (from == SIDE_LAN)
			stop_knocking(pptp, control);
	}
	if (segment->has_syn && !segment->starts)
		begin_anew(engine, pptp, index, from, segment);
	note_acknowledgement(control, from, segment);
	if (segment->length == 0)
		return verdict_forwarded();
	if (stream->state == PPTP_STREAM_SEARCHING)
		pptp_stream_search(stream, segment->sequence, segment->packet->data + segment->payload,
				   segment->length);
	if (stream->state == PPTP_STREAM_IN_STEP) {
		if (serial_before(stream->next, segment->sequence))
			return keep(engine, control, from, segment);
		enum drop reason = read_new(engine, pptp, index, from, segment);
		if (reason != DROP_NONE)
			return verdict_drop(reason);
		if (stream->state == PPTP_STREAM_OUT_OF_STEP)
			tell_lost(engine, control);
	}
	uint32_t now = (uint32_t)engine_offer(engine)->now_ms(engine);
	if (now - control->refreshed_ms >= 1000) {
		control->refreshed_ms = now;
		pptp_call_refresh_all(engine, pptp, index);
	}
	apply_patches(engine, stream, segment);
	return verdict_forwarded();
}

static uint32_t pptp_next_kept(struct engine *engine, void *memory, uint16_t number, enum side from)
{
	struct pptp *pptp = memory;
	struct pptp_control *control = &pptp->control[number - 1u];
	const struct pptp_stream *stream = &control->stream[from];

	(void)engine;
	for (unsigned i = 0; i < control->kept_count[from]; i++) {
		struct pptp_kept kept = control->kept[from][i];
		if (stream->state == PPTP_STREAM_IN_STEP && serial_before(stream->next, kept.sequence))
			continue;
		control->kept[from][i] = control->kept[from][--control->kept_count[from]];
		return kept.packet;
	}
	return MODULE_NONE;
}

static void pptp_control_over(struct engine *engine, void *memory, uint16_t number, uint32_t flow, enum tunnel_end why)
{
	struct pptp *pptp = memory;
	uint32_t index = number - 1u;
	struct pptp_control *control = &pptp->control[index];

	(void)flow;
	pptp_call_end_all(engine, pptp, index, why);
	drop_kept(engine, control);
	stop_knocking(pptp, control);
	control->live = false;
	control->flow = pptp->control_free;
	pptp->control_free = index;
}

static void pptp_call_over(struct engine *engine, void *memory, uint32_t record, enum tunnel_end why)
{
	pptp_call_flow_over(engine, memory, record, why);
}

static bool pptp_next_tunnel(struct engine *engine, const void *memory, uint32_t *cursor, struct tunnel_view *view)
{
	const struct pptp *pptp = memory;

	while (*cursor < pptp->used) {
		uint32_t index = (*cursor)++;
		if (pptp->call[index].state == CALL_FREE)
			continue;
		pptp_call_view(engine, pptp, index, view);
		return true;
	}
	return false;
}

static uint32_t *pptp_told(void *memory, uint32_t tunnel)
{
	struct pptp *pptp = memory;

	return &pptp->call[tunnel].hints_told;
}

const struct module pptp_module = {
	.memory_size = pptp_memory_size,
	.start = pptp_start,
	.place = pptp_place,
	.recover = pptp_recover,
	.knows = pptp_knows,
	.attach = pptp_attach,
	.next_kept = pptp_next_kept,
	.control_over = pptp_control_over,
	.next_tunnel = pptp_next_tunnel,
	.told = pptp_told,
	.stream = {.segment = pptp_inspect},
	.portless = {.over = pptp_call_over},
};
