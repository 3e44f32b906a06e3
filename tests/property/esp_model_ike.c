/* SPDX-License-Identifier: BSD-2-Clause */
/* The model of IPsec: UDP flows and IKE. See esp_model.h. */
#include "esp_model.h"

#include <stdlib.h>
#include <string.h>

enum { TURN = 3000, UNHEARD = 4, UNDER_WAY = 10000, STRICT_FOR = 86400000, PATIENCE = 3, PATIENCE_MS = 3000 };
enum { MAIN_MODE = 2, AGGRESSIVE = 4, QUICK_MODE = 32, AUTH = 35, CHILD = 36 };

static const struct engine_result forwarded = {.verdict = VERDICT_FORWARDED}, held = {.verdict = VERDICT_HELD};

/* --- flows of UDP --- */

bool model_is_read(const struct model *m, uint16_t at_port)
{
	return (at_port == 500 && model_passes(m, PART_IKE)) || (at_port == 4500 && model_passes(m, PART_NATT));
}

static struct ike_flow *find_flow(struct model *m, uint32_t host, uint16_t port, uint32_t server, uint16_t at_port)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct ike_flow *f = &m->flow[i];
		if (f->live && f->host == host && f->inside_port == port && f->server == server &&
		    f->at_port == at_port)
			return f;
	}
	return NULL;
}

static bool port_is_free(const struct model *m, uint32_t outside, uint16_t port)
{
	for (uint32_t i = 0; i < FLOWS; i++)
		if (m->flow[i].live && m->outside_of[m->flow[i].host] == outside && m->flow[i].outside_port == port)
			return false;
	return true;
}

static void touch_flow(struct model *m, struct ike_flow *f)
{
	f->deadline = m->now + m->config->timeout[model_is_read(m, f->at_port) ? TIMEOUT_UDP_VPN : TIMEOUT_UDP];
}

/* --- sharing port 500 --- */

static struct ike_flow *owner_of_500(struct model *m, uint32_t server, uint32_t outside)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct ike_flow *f = &m->flow[i];
		if (f->live && f->server == server && m->outside_of[f->host] == outside && f->outside_port == 500 &&
		    f->at_port == 500)
			return f;
	}
	return NULL;
}

/* The peer of this server and outside address that the initiator's SPI tells, or PEERS. */
static uint32_t find_known(const struct model *m, uint32_t server, uint32_t outside, uint64_t initiator)
{
	for (uint32_t p = server; p < PEERS; p += SERVERS)
		for (uint32_t i = 0; i < m->peer[p].knowns; i++)
			if (m->outside_of[model_host(p)] == outside && m->peer[p].known[i] == initiator)
				return p;
	return PEERS;
}

static void learn_initiator(struct model *m, uint32_t p, uint64_t initiator)
{
	struct peer *peer = &m->peer[p];
	uint32_t known = find_known(m, model_server(p), m->outside_of[model_host(p)], initiator);

	peer->clashes |= known != p && known < PEERS;
	if (known < PEERS)
		return;
	if (peer->knowns == KNOWN)
		memmove(peer->known, peer->known + 1, --peer->knowns * sizeof(peer->known[0]));
	peer->known[peer->knowns++] = initiator;
}

static void share(struct model *m, struct peer *peer, bool shares)
{
	peer->shares = shares;
	peer->unanswered = 0;
	peer->unanswered_at = m->now;
}

/* A flow was opened. */
static void share_at_once(struct model *m, const struct ike_flow *f)
{
	struct peer *peer = &m->peer[f->host * SERVERS + f->server];

	if (model_passes(m, PART_IKE) && f->inside_port == 500 && f->outside_port != 500 && f->at_port == 500 &&
	    m->strict[f->server] > m->now && !peer->clashes)
		share(m, peer, true);
}

/* A mapping is what the flows of one inside endpoint have in common. */
static struct ike_flow *open_flow(struct model *m, uint32_t host, uint16_t port, uint32_t server, uint16_t at_port)
{
	struct ike_flow new = {.live = true, .host = host, .server = server, .inside_port = port, .at_port = at_port};
	struct ike_flow *free_one = NULL;

	new.keeps = port_is_free(m, m->outside_of[host], port);
	new.outside_port = new.keeps ? port : 0;
	for (uint32_t i = 0; i < FLOWS; i++) {
		const struct ike_flow *f = &m->flow[i];
		if (!f->live)
			free_one = &m->flow[i];
		else if (f->host == host && f->inside_port == port)
			new.outside_port = f->outside_port;
	}
	if (!free_one)
		abort();
	*free_one = new;
	touch_flow(m, free_one);
	share_at_once(m, free_one);
	return free_one;
}

/* Before a message goes out: does the peer share from now on, or no longer? */
static void decide_sharing(struct model *m, uint32_t p, struct ike_flow *f, const struct message *message)
{
	struct peer *peer = &m->peer[p];
	const struct ike_flow *owner = owner_of_500(m, f->server, m->outside_of[f->host]);

	if (f->inside_port != 500 || f->outside_port == 500 || f->at_port != 500)
		return;
	if (peer->clashes && peer->shares)
		share(m, peer, false);
	if (peer->unanswered == 0)
		peer->unanswered_at = m->now;
	bool tries = message->is_first && peer->unanswered >= PATIENCE && m->now - peer->unanswered_at >= PATIENCE_MS;
	if (peer->shares && tries)
		share(m, peer, false);
	else if (tries && !peer->clashes && (!owner || m->peer[owner->host * SERVERS + owner->server].answered))
		share(m, peer, true);
	peer->unanswered += message->is_first;
}

/* The peer that a datagram for shared port 500 is for; PEERS: nobody shares; PEERS + 1: not to be told. */
static uint32_t sharer(struct model *m, const struct message *message)
{
	const struct late *renews = &m->group[message->server][message->outside].renews;
	uint32_t count = 0, found = PEERS + 1, busy = 0, busy_one = PEERS + 1;
	bool any = false, takes[PEERS] = {false};
	const struct ike_flow *owner = owner_of_500(m, message->server, message->outside);

	for (uint32_t p = message->server; p < PEERS; p += SERVERS) {
		bool owns = owner && owner->host == model_host(p);
		if (m->outside_of[model_host(p)] != message->outside || (!m->peer[p].shares && !owns))
			continue;
		any |= m->peer[p].shares;
		count++;
		takes[p] = true;
		found = p;
	}
	if (!any)
		return PEERS;
	uint32_t known = find_known(m, message->server, message->outside, message->initiator);
	if (known < PEERS)
		return find_flow(m, model_host(known), 500, message->server, 500) ? known : PEERS + 1;
	if (count == 1)
		return found;
	for (uint32_t i = 0; i < renews->count; i++)
		if (takes[renews->peer[i]] && m->now - renews->at[i] < UNDER_WAY)
			busy++, busy_one = renews->peer[i];
	return busy == 1 ? busy_one : PEERS + 1;
}

/* --- what IKE tells --- */

static bool is_phase_2(const struct message *message)
{
	if (!message->is_ike)
		return false;
	return message->version == 1 ? message->exchange == QUICK_MODE
				     : message->exchange == AUTH || message->exchange == CHILD;
}

/* It belongs to the phase 2 of its peer that was seen last. */
static bool goes_on(const struct peer *peer, const struct message *message)
{
	enum side asks = message->is_answer ? (enum side) !message->from : message->from;

	return peer->phase2.tag && peer->phase2.id == message->id &&
	       (message->version == 1 || peer->phase2.from == asks);
}

static bool opens_phase_2(const struct peer *peer, const struct message *message)
{
	return is_phase_2(message) && !message->is_answer && !goes_on(peer, message);
}

bool model_has_turn(const struct model *m, uint32_t p)
{
	return model_is_eligible(m, p) && m->peer[p].has_turn && m->now - m->peer[p].phase2_at < TURN;
}

static bool must_wait(const struct model *m, uint32_t p)
{
	bool waits = false;

	if (!model_passes(m, PART_ESP) || !model_is_eligible(m, p))
		return false;
	for (uint32_t q = 0; q < PEERS; q++)
		waits |= q != p && model_same_group(m, p, q) && model_has_turn(m, q);
	return waits;
}

/* One at a time has it. */
static void give_turn(struct model *m, uint32_t p)
{
	for (uint32_t q = 0; q < PEERS; q++)
		m->peer[q].has_turn &= !model_same_group(m, p, q);
	m->peer[p].has_turn = true;
}

static void read_phase_2(struct model *m, struct peer *peer, const struct message *message)
{
	if (opens_phase_2(peer, message)) {
		peer->has_turn = false;
		if (++peer->unheard < UNHEARD && model_is_eligible(m, (uint32_t)(peer - m->peer)))
			give_turn(m, (uint32_t)(peer - m->peer));
		peer->phase2 = *message;
	} else if (!goes_on(peer, message) || message->from == peer->phase2_spoke) {
		return; /* of one before, or sent again */
	}
	peer->phase2_spoke = message->from;
	peer->phase2_at = m->now;
	if (message->from == SIDE_WAN) {
		peer->owed = true;
		peer->unheard = 0;
	}
}

static void read_ike(struct model *m, uint32_t p, const struct message *message)
{
	struct peer *peer = &m->peer[p];

	if (is_phase_2(message))
		read_phase_2(m, peer, message);
	const struct ike_flow *owner = owner_of_500(m, model_server(p), m->outside_of[model_host(p)]);
	bool renews = message->version == 1 ? message->exchange == MAIN_MODE || message->exchange == AGGRESSIVE
					    : message->exchange == CHILD;
	if (renews && (peer->shares || (owner && owner->host == model_host(p))))
		model_note_late(&model_group(m, p)->renews, p, m->now);
	for (uint32_t i = 0; i < SAS; i++) {
		uint64_t at_least = m->now + m->config->timeout[TIMEOUT_UDP_VPN];
		if (m->sa[i].live && m->sa[i].peer == p && model_is_paired(&m->sa[i]) && m->sa[i].deadline < at_least)
			m->sa[i].deadline = at_least;
	}
}

/* A datagram goes on. */
static void pass(struct model *m, struct ike_flow *f, const struct message *message, bool is_shared)
{
	uint32_t p = f->host * SERVERS + f->server;
	struct peer *peer = &m->peer[p];
	bool lan = message->from == SIDE_LAN, reads = model_is_read(m, f->at_port);

	if (reads && message->is_ike)
		learn_initiator(m, p, message->initiator);
	if (reads && lan && message->is_ike)
		decide_sharing(m, p, f, message);
	if (reads && message->is_ike)
		read_ike(m, p, message);
	if (lan) {
		touch_flow(m, f);
	} else if (reads && message->is_ike) {
		peer->answered = true;
		peer->unanswered = 0;
		if (peer->shares && is_shared)
			m->strict[f->server] = m->now + STRICT_FOR;
	}
	bool as_500 = lan && peer->shares && f->inside_port == 500 && f->at_port == 500;
	model_emit(m, (struct out){.to = lan ? SIDE_WAN : SIDE_LAN,
				   .host = f->host,
				   .server = f->server,
				   .outside = m->outside_of[f->host],
				   .port = as_500 ? 500
					   : lan  ? f->outside_port
						  : f->inside_port,
				   .at_port = f->at_port,
				   .flow = (uint32_t)(f - m->flow),
				   .tag = message->tag});
}

static void enqueue(struct model *m, uint32_t p)
{
	struct group *g = model_group(m, p);

	if (g->ike_queued == 0)
		g->ike_since = m->now;
	g->ike_queue[g->ike_queued++] = p;
}

static struct engine_result read_or_hold(struct model *m, struct ike_flow *f, const struct message *message,
					 bool is_shared)
{
	uint32_t p = f->host * SERVERS + f->server;
	struct peer *peer = &m->peer[p];

	if (model_is_read(m, f->at_port)) {
		peer->exists = true;
		peer->on_4500 |= f->at_port == 4500;
		if (opens_phase_2(peer, message) && must_wait(m, p)) {
			if (peer->holds[message->from])
				return model_drop(DROP_IKE_WAITS);
			if (!peer->holds[0] && !peer->holds[1])
				enqueue(m, p);
			peer->holds[message->from] = true;
			peer->held[message->from] = *message;
			m->waited++;
			return held;
		}
	}
	pass(m, f, message, is_shared);
	return forwarded;
}

/* --- datagrams --- */

static struct engine_result udp_out(struct model *m, const struct message *message)
{
	struct ike_flow *f = find_flow(m, message->host, message->port, message->server, message->at_port);

	if (!f)
		f = open_flow(m, message->host, message->port, message->server, message->at_port);
	return read_or_hold(m, f, message, false);
}

/* Whom a datagram from the WAN is for, or NULL and why nobody. */
static struct ike_flow *addressee(struct model *m, const struct message *message, bool *is_shared, enum drop *why)
{
	*is_shared = false;
	*why = DROP_UNSOLICITED;
	if (message->is_ike && message->port == 500 && message->at_port == 500 && model_passes(m, PART_IKE)) {
		uint32_t p = sharer(m, message);
		struct ike_flow *f = p < PEERS ? find_flow(m, model_host(p), 500, message->server, 500) : NULL;
		*is_shared = f != NULL;
		*why = p > PEERS ? DROP_IKE_NO_PEER : *why;
		if (f || p > PEERS)
			return f;
	}
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct ike_flow *f = &m->flow[i];
		if (!f->live || m->outside_of[f->host] != message->outside || f->outside_port != message->port)
			continue;
		*why = DROP_FILTERED;
		if (f->server == message->server && f->at_port == message->at_port)
			return f;
	}
	return NULL;
}

static struct engine_result udp_in(struct model *m, const struct message *message)
{
	bool is_shared;
	enum drop why;
	struct ike_flow *f = addressee(m, message, &is_shared, &why);

	return f ? read_or_hold(m, f, message, is_shared) : model_drop(why);
}

struct engine_result model_udp(struct model *m, const struct message *message)
{
	return message->from == SIDE_LAN ? udp_out(m, message) : udp_in(m, message);
}

/* Who has waited longest goes on. From the WAN it may be meant for somebody else by now, and then the other one may
 * have to wait again. */
static bool release_ike_of(struct model *m, struct group *g)
{
	if (!g->ike_queued || (must_wait(m, g->ike_queue[0]) && m->now - g->ike_since < TURN))
		return false;
	struct peer *first = &m->peer[g->ike_queue[0]];
	for (uint32_t q = 0; q < PEERS; q++)
		m->peer[q].has_turn &= !model_same_group(m, g->ike_queue[0], q);
	memmove(g->ike_queue, g->ike_queue + 1, --g->ike_queued * sizeof(g->ike_queue[0]));
	g->ike_since = m->now;
	for (int s = SIDES; s-- > 0;) { /* of both sides together, the server's first */
		const struct message message = first->held[s];
		if (!first->holds[s])
			continue;
		first->holds[s] = false;
		model_udp(m, &message);
	}
	return true;
}

bool model_release_ike(struct model *m)
{
	for (uint32_t i = 0; i < SERVERS * MODEL_PLACES; i++)
		if (release_ike_of(m, &m->group[i / MODEL_PLACES][i % MODEL_PLACES]))
			return true;
	return false;
}

uint64_t model_next_turn(const struct model *m)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t p = 0; p < PEERS; p++)
		for (uint32_t q = 0; q < PEERS; q++) {
			uint64_t at = m->peer[q].phase2_at + TURN;
			if ((m->peer[p].holds[0] || m->peer[p].holds[1]) && model_same_group(m, p, q) &&
			    model_has_turn(m, q) && at > m->now && at < next)
				next = at;
		}
	for (uint32_t i = 0; i < SERVERS * MODEL_PLACES; i++) {
		const struct group *g = &m->group[i / MODEL_PLACES][i % MODEL_PLACES];
		if (g->ike_queued && g->ike_since + TURN < next)
			next = g->ike_since + TURN;
	}
	return next;
}
