/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls of a control connection: from request to end, and the translation of their IDs. The rules are those of RFC
 * 2637 section 2, both dialects of Call-Disconnect-Notify included: the RFC's own ID of the sender, and the receiver's,
 * echoed from the request.
 */
#include "passthrough/pptp.h"

/* --- finding --- */

typedef bool call_match(const struct pptp_call *call, uint16_t id);

static bool has_inside_id(const struct pptp_call *call, uint16_t id)
{
	return call->inside_id == id;
}

static bool has_outside_id(const struct pptp_call *call, uint16_t id)
{
	return call->outside_id == id;
}

static bool has_remote_id(const struct pptp_call *call, uint16_t id)
{
	return call->has_remote_id && call->remote_id == id;
}

static struct pptp_call *find(const struct pptp *pptp, uint32_t control, call_match *match, uint16_t id)
{
	for (uint32_t i = pptp->control[control].first_call; i != MODULE_NONE; i = pptp->call[i].next)
		if (match(&pptp->call[i], id))
			return &pptp->call[i];
	return NULL;
}

/* --- life --- */

static void remember_flow(struct engine *engine, struct pptp_call *call)
{
	struct flow_view flow;

	engine_offer(engine)->view_flow(engine, call->flow, &flow, call->last_ms);
	for (int side = 0; side < SIDES; side++) {
		call->bytes[side] = flow.bytes[side];
		call->packets[side] = flow.packets[side];
		call->last_ms[side] = (uint32_t)engine_offer(engine)->now_ms(engine) - call->last_ms[side];
	}
}

static void report(struct engine *engine, const struct pptp *pptp, const struct pptp_call *call,
		   enum engine_event_kind kind)
{
	struct tunnel_view view;

	pptp_call_view(engine, pptp, (uint32_t)(call - pptp->call), &view);
	engine_offer(engine)->report(engine, kind, &view);
}

static void unlink_call(struct pptp *pptp, struct pptp_call *call)
{
	struct pptp_control *control = &pptp->control[call->control];
	uint32_t index = (uint32_t)(call - pptp->call);

	for (uint32_t *link = &control->first_call; *link != MODULE_NONE; link = &pptp->call[*link].next) {
		if (*link == index) {
			*link = call->next;
			control->calls--;
			break;
		}
	}
	call->control = MODULE_NONE;
}

/* The call leaves its control connection; the record stays to be looked at until another call needs it. */
static void end_call(struct engine *engine, struct pptp *pptp, struct pptp_call *call, enum tunnel_end why)
{
	bool was_up = call->state == CALL_CONNECTED || call->state == CALL_CLEARING;

	unlink_call(pptp, call);
	call->state = CALL_ENDED;
	call->end = (uint8_t)why;
	if (call->flow != MODULE_NONE)
		engine_offer(engine)->call_end(engine, call->flow, PPTP_DRAIN_MS);
	if (was_up)
		report(engine, pptp, call, EVENT_TUNNEL_DOWN);
}

/* A free record, else the place of a call that ended and whose flow is gone. */
static uint32_t take_record(struct pptp *pptp)
{
	uint32_t index = pptp->call_free;

	if (index != MODULE_NONE) {
		pptp->call_free = pptp->call[index].next;
		if (index >= pptp->used)
			pptp->used = index + 1;
		return index;
	}
	for (uint32_t i = 0; i < pptp->calls; i++) {
		index = pptp->call_oldest;
		pptp->call_oldest = index + 1 < pptp->calls ? index + 1 : 0;
		if (pptp->call[index].state == CALL_ENDED && pptp->call[index].flow == MODULE_NONE)
			return index;
	}
	return MODULE_NONE;
}

static struct pptp_call *request_call(struct engine *engine, struct pptp *pptp, uint32_t control_index,
				      uint16_t inside_id, int high, enum drop *why)
{
	struct pptp_control *control = &pptp->control[control_index];
	struct flow_view flow;

	*why = DROP_CALL_IDS_EXHAUSTED;
	uint32_t index = control->calls < PPTP_CALLS_EACH ? take_record(pptp) : MODULE_NONE;
	if (index == MODULE_NONE)
		return NULL;
	struct pptp_call *call = &pptp->call[index];
	*call = (struct pptp_call){
		.state = CALL_REQUESTED,
		.control = control_index,
		.inside_id = inside_id,
		.requested_ms = (uint32_t)engine_offer(engine)->now_ms(engine),
	};
	call->flow = engine_offer(engine)->call_open(engine, control->flow, inside_id, high, index, PPTP_REQUEST_MS,
						     &call->outside_id, why);
	if (call->flow == MODULE_NONE) {
		call->state = CALL_FREE;
		call->next = pptp->call_free;
		pptp->call_free = index;
		return NULL;
	}
	engine_offer(engine)->view_flow(engine, control->flow, &flow, NULL);
	call->inside_address = flow.inside_address;
	call->outside_address = flow.outside_address;
	call->remote_address = flow.remote_address;
	call->inside_is_server = flow.inside_is_server;
	call->next = control->first_call;
	control->first_call = index;
	control->calls++;
	engine_offer(engine)->count(engine, STAT_PPTP_CALLS);
	return call;
}

/* --- translation --- */

static bool translate_own(struct engine *engine, struct pptp *pptp, uint32_t control, bool is_new, uint16_t value,
			  int high, uint16_t *translated, enum drop *why)
{
	struct pptp_call *call = find(pptp, control, has_inside_id, value);

	if (!call && is_new) {
		call = request_call(engine, pptp, control, value, high, why);
		if (!call)
			return false;
	}
	if (call)
		*translated = call->outside_id;
	return true;
}

/* Call-Disconnect-Notify carries the sender's own ID or echoes the receiver's. An ID that is both is the sender's,
 * unless only the call of which it is the receiver's is being cleared. */
static struct pptp_call *notified(const struct pptp *pptp, uint32_t control, enum side from, uint16_t id, bool *is_ours)
{
	struct pptp_call *ours = find(pptp, control, from == SIDE_LAN ? has_inside_id : has_outside_id, id);
	struct pptp_call *theirs = find(pptp, control, has_remote_id, id);
	struct pptp_call *own = from == SIDE_LAN ? ours : theirs, *echoed = from == SIDE_LAN ? theirs : ours;
	bool is_echo = !own || (echoed && echoed->state == CALL_CLEARING && own->state != CALL_CLEARING);
	struct pptp_call *call = is_echo ? echoed : own;

	*is_ours = call != NULL && is_echo == (from == SIDE_WAN);
	return call;
}

static void translate_notify(const struct pptp *pptp, uint32_t control, enum side from, uint16_t value,
			     uint16_t *translated)
{
	bool is_ours;
	const struct pptp_call *call = notified(pptp, control, from, value, &is_ours);

	if (is_ours)
		*translated = from == SIDE_LAN ? call->outside_id : call->inside_id;
}

bool pptp_call_translate(struct engine *engine, struct pptp *pptp, uint32_t control, enum side from,
			 enum pptp_field field, uint16_t value, int high, uint16_t *translated, enum drop *why)
{
	const struct pptp_call *call;

	*translated = value;
	if (field == PPTP_FIELD_EITHER) {
		translate_notify(pptp, control, from, value, translated);
		return true;
	}
	if (from == SIDE_LAN) {
		if (field == PPTP_FIELD_PEER)
			return true;
		return translate_own(engine, pptp, control, field == PPTP_FIELD_OWN_NEW, value, high, translated, why);
	}
	if (field == PPTP_FIELD_PEER) {
		call = find(pptp, control, has_outside_id, value);
		if (call)
			*translated = call->inside_id;
	}
	return true;
}

bool pptp_call_translate_half(struct engine *engine, const struct pptp *pptp, uint32_t control, enum side from,
			      enum pptp_field field, uint8_t value, uint8_t *translated)
{
	bool is_known = false;

	*translated = value;
	if (field != PPTP_FIELD_EITHER && (from == SIDE_LAN) == (field == PPTP_FIELD_PEER))
		return true;
	/* A call yet to be made: any high byte will do that has an ID left. */
	if (from == SIDE_LAN && field == PPTP_FIELD_OWN_NEW) {
		int high = engine_offer(engine)->call_high(engine, pptp->control[control].flow, value);
		*translated = (uint8_t)high;
		return high >= 0;
	}
	/* Nearly always the high bytes are equal, and nothing is to be done. Otherwise all calls that may be meant must
	 * agree. */
	for (uint32_t i = pptp->control[control].first_call; i != MODULE_NONE; i = pptp->call[i].next) {
		const struct pptp_call *call = &pptp->call[i];
		uint8_t before = (uint8_t)((from == SIDE_LAN ? call->inside_id : call->outside_id) >> 8);
		uint8_t after = (uint8_t)((from == SIDE_LAN ? call->outside_id : call->inside_id) >> 8);
		bool is_theirs = field == PPTP_FIELD_EITHER && call->has_remote_id && call->remote_id >> 8 == value;
		if (is_theirs && after != value && before == value)
			return false;
		if (is_theirs)
			after = value;
		else if (before != value)
			continue;
		if (is_known && after != *translated)
			return false;
		*translated = after;
		is_known = true;
	}
	return true;
}

/* --- messages --- */

static void connect_call(struct engine *engine, struct pptp *pptp, struct pptp_call *call)
{
	if (call->state != CALL_REQUESTED)
		return;
	call->state = CALL_CONNECTED;
	engine_offer(engine)->count(engine, STAT_PPTP_CALLS_OPENED);
	report(engine, pptp, call, EVENT_TUNNEL_UP);
}

/* Types 8 and 10: the answerer's own ID first, the asker's second, and whether it will be. */
static void reply(struct engine *engine, struct pptp *pptp, struct pptp_call *call, uint16_t remote_id,
		  bool is_accepted)
{
	/* An answer that comes too late is none, even if nobody has cleaned up yet. */
	if (!call || call->flow == MODULE_NONE || !engine_offer(engine)->call_lives(engine, call->flow))
		return;
	if (!is_accepted) {
		end_call(engine, pptp, call, END_REFUSED);
		return;
	}
	call->remote_id = remote_id;
	call->has_remote_id = true;
	engine_offer(engine)->call_answer(engine, call->flow, remote_id);
	engine_offer(engine)->call_keep(engine, call->flow);
	connect_call(engine, pptp, call);
}

static void clear(struct pptp_call *call)
{
	if (call)
		call->state = CALL_CLEARING;
}

static void disconnect(struct engine *engine, struct pptp *pptp, struct pptp_call *call)
{
	if (call)
		end_call(engine, pptp, call, call->state == CALL_CLEARING ? END_CLEARED : END_DISCONNECTED);
}

void pptp_call_message(struct engine *engine, struct pptp *pptp, uint32_t control, enum side from,
		       const struct pptp_stream *stream)
{
	uint16_t first = pptp_get16(stream->head + PPTP_OFFSET_FIRST),
		 second = pptp_get16(stream->head + PPTP_OFFSET_SECOND);
	bool is_accepted = stream->head[PPTP_OFFSET_RESULT] == PPTP_RESULT_CONNECTED;
	bool is_lan = from == SIDE_LAN, is_ours;

	switch (stream->type) {
	case PPTP_STOP_REPLY:
		pptp_call_end_all(engine, pptp, control, END_STOPPED);
		break;
	case PPTP_OUTGOING_CALL_REPLY:
	case PPTP_INCOMING_CALL_REPLY:
		if (is_lan)
			reply(engine, pptp, find(pptp, control, has_inside_id, first), second, is_accepted);
		else
			reply(engine, pptp, find(pptp, control, has_outside_id, second), first, is_accepted);
		break;
	case PPTP_CALL_CLEAR_REQUEST:
		clear(find(pptp, control, is_lan ? has_inside_id : has_remote_id, first));
		break;
	case PPTP_CALL_DISCONNECT_NOTIFY:
		disconnect(engine, pptp, notified(pptp, control, from, first, &is_ours));
		break;
	default:
		break;
	}
}

void pptp_call_refresh_all(struct engine *engine, struct pptp *pptp, uint32_t control)
{
	for (uint32_t i = pptp->control[control].first_call; i != MODULE_NONE; i = pptp->call[i].next)
		if (pptp->call[i].has_remote_id)
			engine_offer(engine)->call_keep(engine, pptp->call[i].flow);
}

void pptp_call_end_all(struct engine *engine, struct pptp *pptp, uint32_t control, enum tunnel_end why)
{
	while (pptp->control[control].first_call != MODULE_NONE)
		end_call(engine, pptp, &pptp->call[pptp->control[control].first_call], why);
}

void pptp_call_flow_over(struct engine *engine, struct pptp *pptp, uint32_t index, enum tunnel_end why)
{
	struct pptp_call *call = &pptp->call[index];
	bool was_answered = call->has_remote_id;

	remember_flow(engine, call);
	call->flow = MODULE_NONE;
	if (call->control != MODULE_NONE)
		end_call(engine, pptp, call, !was_answered && why == END_SILENT ? END_NO_ANSWER : why);
}

/* --- showing --- */

void pptp_call_view(struct engine *engine, const struct pptp *pptp, uint32_t index, struct tunnel_view *view)
{
	static const enum tunnel_state states[] = {
		[CALL_REQUESTED] = TUNNEL_IS_REQUESTED,
		[CALL_CONNECTED] = TUNNEL_IS_CONNECTED,
		[CALL_CLEARING] = TUNNEL_IS_CLEARING,
		[CALL_ENDED] = TUNNEL_IS_ENDED,
	};
	const struct pptp_call *call = &pptp->call[index];
	uint32_t now = (uint32_t)engine_offer(engine)->now_ms(engine);

	*view = (struct tunnel_view){
		.service = SERVICE_PPTP,
		.index = index,
		.kind = "PPTP",
		.part = PART_PPTP,
		.data = "GRE",
		.inside_address = call->inside_address,
		.outside_address = call->outside_address,
		.remote_address = call->remote_address,
		.inside_is_server = call->inside_is_server,
		.has_inside_id = true,
		.has_remote_id = call->has_remote_id,
		.inside_id = call->inside_id,
		.outside_id = call->outside_id,
		.remote_id = call->remote_id,
		.state = states[call->state],
		.end = (enum tunnel_end)call->end,
		.age_ms = now - call->requested_ms,
	};
	struct flow_view flow = {0};
	if (call->control != MODULE_NONE) {
		engine_offer(engine)->view_flow(engine, pptp->control[call->control].flow, &flow, NULL);
		view->inside_port = flow.inside_port;
		view->remote_port = flow.remote_port;
	}
	if (call->flow != MODULE_NONE)
		engine_offer(engine)->view_flow(engine, call->flow, &flow, view->last_ms);
	for (int side = 0; side < SIDES; side++) {
		bool lives = call->flow != MODULE_NONE;
		view->bytes[side] = lives ? flow.bytes[side] : call->bytes[side];
		view->packets[side] = lives ? flow.packets[side] : call->packets[side];
		if (!lives)
			view->last_ms[side] = now - call->last_ms[side];
	}
	view->silent = call->state == CALL_CONNECTED ? module_silent_side(view) : -1;
	if (view->silent == SIDE_WAN && !view->inside_is_server)
		view->hint = HINT_GRE_ONE_WAY;
}
