/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small table of fixed size: a set of four places for each hash of host, remote address and service, where the one
 * that has been silent longest makes room. It is no part of the arena: after a crash it begins anew.
 */
#include "nat/attempts.h"

#include <string.h>

#include <culvert/module.h>

#include "nat/host.h"
#include "nat/reader.h"
#include "nat/sa.h"

enum { SHOWN_MS = 60000, TEN_S_MS = 10000, PATIENCE_MS = 6000 /* between the second and the fourth SYN */ };

static uint32_t set_of(const struct engine *engine, const struct attempt *like)
{
	uint64_t hash = siphash(&engine->header->hash_key, address_words(like->inside, like->remote),
				(uint64_t)like->kind << 8 | like->service);

	return (uint32_t)(hash % ATTEMPT_SETS);
}

static bool is_like(const struct attempt *attempt, const struct attempt *like)
{
	return attempt->live && address_equal(attempt->inside, like->inside) &&
	       address_equal(attempt->remote, like->remote) && attempt->kind == like->kind &&
	       attempt->service == like->service;
}

/* Counts are kept for ten seconds each. */
static void advance(struct attempt *attempt, uint64_t now_ms)
{
	uint32_t ten = (uint32_t)(now_ms / TEN_S_MS);

	if (ten - attempt->ten >= ATTEMPT_TENS)
		memset(attempt->tries, 0, sizeof(attempt->tries));
	for (uint32_t i = 1; ten - attempt->ten < ATTEMPT_TENS && i <= ten - attempt->ten; i++)
		attempt->tries[(attempt->ten + i) % ATTEMPT_TENS] = 0;
	attempt->ten = ten;
}

static void note(struct engine *engine, const struct attempt *like)
{
	struct attempt *set = engine->attempt[set_of(engine, like)], *place = &set[0];
	bool is_known = false;

	for (int i = 0; i < ATTEMPT_WAYS && !is_known; i++) {
		is_known = is_like(&set[i], like);
		if (is_known || !set[i].live || (place->live && set[i].last_ms < place->last_ms))
			place = &set[i];
	}
	struct attempt old = *place;
	*place = *like;
	place->live = true;
	place->last_ms = place->since_ms = engine->now_ms;
	place->ten = (uint32_t)(engine->now_ms / TEN_S_MS);
	if (is_known) {
		place->ten = old.ten;
		memcpy(place->tries, old.tries, sizeof(place->tries));
		if (engine->now_ms - old.last_ms < SHOWN_MS) {
			place->since_ms = old.since_ms;
			place->told = old.told;
		}
		advance(place, engine->now_ms);
	}
	uint16_t *tries = &place->tries[place->ten % ATTEMPT_TENS];
	*tries = (uint16_t)(*tries + (*tries < UINT16_MAX));
}

void attempt_note_blocked(struct engine *engine, const struct passage *passage)
{
	uint8_t protocol = passage->ip.protocol;
	uint16_t port = protocol_has_ports(protocol) ? passage->transport.destination_port : 0;
	enum part part = part_claiming(protocol, port);
	bool is_ah = protocol == PROTOCOL_AH;

	if (part == PART_NONE || (is_ah && sa_note_ah(engine, passage)))
		return;
	note(engine, &(struct attempt){
			     .inside = passage->ip.source,
			     .outside = host_outside(engine, passage->ip.source)->address,
			     .remote = passage->ip.destination,
			     .kind = is_ah ? ATTEMPT_AH : ATTEMPT_BLOCKED,
			     .service = (uint8_t)service_of_part(part),
			     .part = (uint8_t)part,
		     });
}

/* What a flow is an attempt at. False if no module reads it, and for a server inside: what its callers refuse is not
 * what people ask about. */
static bool describe(const struct engine *engine, uint32_t index, enum attempt_kind kind, struct attempt *attempt)
{
	const struct flow *flow = &engine->flow[index];
	uint16_t port = protocol_has_ports(flow->protocol) ? flow->remote_port : 0;
	enum service service = reader_flow_service(engine, index);

	*attempt = (struct attempt){
		.inside = host_address(engine, flow->host),
		.outside = flow->outside_address,
		.remote = flow->remote_address,
		.kind = (uint8_t)kind,
		.service = (uint8_t)service,
		.part = (uint8_t)part_claiming(flow->protocol, port),
	};
	return service != SERVICE_NONE && !(flow->flags & (FLOW_FORWARD | FLOW_HAIRPIN));
}

void attempt_forget_unanswered(struct engine *engine, uint32_t index)
{
	struct attempt like, *set;

	describe(engine, index, ATTEMPT_UNANSWERED, &like);
	set = engine->attempt[set_of(engine, &like)];
	for (int i = 0; i < ATTEMPT_WAYS; i++)
		if (is_like(&set[i], &like))
			set[i].live = false;
}

static void note_refusal(struct engine *engine, uint32_t index, uint8_t type, uint8_t code, struct address from)
{
	const struct flow *flow = &engine->flow[index];
	struct attempt attempt;

	if (!describe(engine, index, ATTEMPT_REFUSED, &attempt))
		return;
	attempt.refusal = (struct refusal){
		.by = from,
		.port = protocol_has_ports(flow->protocol) ? flow->remote_port : 0,
		.protocol = flow->protocol,
		.type = type,
		.code = code,
	};
	note(engine, &attempt);
	attempt_forget_unanswered(engine, index);
}

void attempt_note_error(struct engine *engine, uint32_t index, uint8_t type, uint8_t code, struct address from)
{
	bool is_refusal =
		type == ICMP_UNREACHABLE ? code != ICMP_CODE_FRAGMENTATION_NEEDED : type == ICMP_TIME_EXCEEDED;

	if (is_refusal)
		note_refusal(engine, index, type, code, from);
}

void attempt_note_reset(struct engine *engine, uint32_t index)
{
	note_refusal(engine, index, 0, 0, engine->flow[index].remote_address);
}

void attempt_note_unanswered(struct engine *engine, uint32_t index)
{
	struct attempt attempt;

	if (describe(engine, index, ATTEMPT_UNANSWERED, &attempt))
		note(engine, &attempt);
}

/* --- as people see it --- */

static enum tunnel_hint hint_of(const struct refusal *refusal)
{
	/* RFC 1812 section 5.2.7.1, RFC 792 */
	static const enum tunnel_hint of_code[] = {
		HINT_UNREACHABLE, HINT_UNREACHABLE, HINT_REFUSED,     HINT_REFUSED,
		HINT_NONE,        HINT_UNREACHABLE, HINT_UNREACHABLE, HINT_UNREACHABLE,
		HINT_UNREACHABLE, HINT_PROHIBITED,  HINT_PROHIBITED,  HINT_UNREACHABLE,
		HINT_UNREACHABLE, HINT_PROHIBITED,  HINT_PROHIBITED,  HINT_PROHIBITED,
	};

	if (refusal->type == ICMP_UNREACHABLE)
		return refusal->code < sizeof(of_code) / sizeof(of_code[0]) ? of_code[refusal->code] : HINT_UNREACHABLE;
	return refusal->type == ICMP_TIME_EXCEEDED ? HINT_UNREACHABLE : HINT_REFUSED;
}

void attempt_view_refusal(const struct engine *engine, struct tunnel_view *view)
{
	const struct attempt like = {
		.inside = view->inside_address,
		.remote = view->remote_address,
		.kind = ATTEMPT_REFUSED,
		.service = (uint8_t)view->service,
	};
	const struct attempt *set = engine->attempt[set_of(engine, &like)];
	uint64_t heard_ms = view->packets[SIDE_WAN] > 0 ? view->last_ms[SIDE_WAN] : UINT64_MAX;

	if (view->control_heard && view->control_ms < heard_ms)
		heard_ms = view->control_ms;
	for (int i = 0; i < ATTEMPT_WAYS && !view->inside_is_server; i++) {
		uint64_t age_ms = engine->now_ms - set[i].last_ms;
		if (!is_like(&set[i], &like) || age_ms > view->age_ms || age_ms >= heard_ms)
			continue;
		view->refusal = set[i].refusal;
		view->hint = hint_of(&view->refusal);
	}
}

static void view_of(const struct engine *engine, const struct attempt *attempt, struct tunnel_view *view)
{
	struct attempt now = *attempt;
	static const enum tunnel_hint hints[] = {
		[ATTEMPT_BLOCKED] = HINT_BLOCKED, [ATTEMPT_AH] = HINT_AH_SEEN, [ATTEMPT_UNANSWERED] = HINT_NO_ANSWER};
	bool is_ours = attempt->kind == ATTEMPT_BLOCKED || attempt->kind == ATTEMPT_AH;

	advance(&now, engine->now_ms);
	*view = (struct tunnel_view){
		.service = (enum service)attempt->service,
		.index = UINT32_MAX,
		.kind = service_label((enum service)attempt->service),
		.part = (enum part)attempt->part,
		.data = attempt->kind == ATTEMPT_AH ? part_label((enum part)attempt->part) : "",
		.inside_address = attempt->inside,
		.outside_address = attempt->outside,
		.remote_address = attempt->remote,
		.state = is_ours ? TUNNEL_IS_BLOCKED : TUNNEL_IS_REQUESTED,
		.hint = attempt->kind == ATTEMPT_REFUSED ? hint_of(&attempt->refusal) : hints[attempt->kind],
		.refusal = attempt->refusal,
		.age_ms = (uint32_t)(engine->now_ms - attempt->since_ms),
		.last_ms = {(uint32_t)(engine->now_ms - attempt->last_ms), 0},
		.silent = -1,
	};
	for (int i = 0; i < ATTEMPT_TENS; i++)
		view->packets[SIDE_LAN] += now.tries[i];
}

/* Who asks by datagrams has a record at its module; who asks by TCP has nothing but this. */
static bool is_shown(const struct engine *engine, const struct attempt *attempt)
{
	if (!attempt->live || engine->now_ms - attempt->last_ms >= SHOWN_MS)
		return false;
	if (attempt->kind == ATTEMPT_BLOCKED)
		return engine->config.mode[attempt->part] == MODE_BLOCK;
	if (attempt->kind == ATTEMPT_UNANSWERED)
		return attempt->last_ms - attempt->since_ms >= PATIENCE_MS;
	return attempt->kind == ATTEMPT_AH || attempt->refusal.protocol == PROTOCOL_TCP;
}

bool engine_next_attempt(struct engine *engine, uint32_t *cursor, uint64_t now_ms, struct tunnel_view *view)
{
	engine->now_ms = now_ms;
	while (*cursor < ATTEMPT_SETS * ATTEMPT_WAYS) {
		const struct attempt *attempt = &engine->attempt[*cursor / ATTEMPT_WAYS][*cursor % ATTEMPT_WAYS];
		++*cursor;
		if (!is_shown(engine, attempt))
			continue;
		view_of(engine, attempt, view);
		return true;
	}
	return false;
}

void attempt_tell(struct engine *engine)
{
	struct tunnel_view view;

	for (uint32_t i = 0; i < ATTEMPT_SETS * ATTEMPT_WAYS; i++) {
		struct attempt *attempt = &engine->attempt[i / ATTEMPT_WAYS][i % ATTEMPT_WAYS];
		if (attempt->told || !is_shown(engine, attempt))
			continue;
		attempt->told = true;
		view_of(engine, attempt, &view);
		engine->offer->report(engine, EVENT_TUNNEL_HINT, &view);
	}
}
