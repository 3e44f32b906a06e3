/* SPDX-License-Identifier: BSD-2-Clause */
/* The model of IPsec: see esp_model.h. */
#include "esp_model.h"

#include <stdlib.h>
#include <string.h>

enum {
	WINDOW = 3000,
	RECENT = 3000,
	SILENT = 10000,
	UNSURE = 40000,
	NEAR = 30000,
	LOOK = 1000,
	STALE = 1000,
	DOUBT = 3000,
	PEER_SAS = 64
};

static const struct engine_result forwarded = {.verdict = VERDICT_FORWARDED}, held = {.verdict = VERDICT_HELD};

bool model_passes(const struct model *m, enum part part)
{
	return m->config->mode[part] == MODE_PASS;
}

bool model_same_group(const struct model *m, uint32_t a, uint32_t b)
{
	return model_server(a) == model_server(b) && m->outside_of[model_host(a)] == m->outside_of[model_host(b)];
}

/* --- peers and SAs --- */

void model_update_peers(struct model *m)
{
	for (uint32_t p = 0; p < PEERS; p++) {
		struct peer *peer = &m->peer[p];
		bool exists = peer->waits || peer->holds[0] || peer->holds[1];
		for (uint32_t i = 0; i < FLOWS; i++) {
			const struct ike_flow *f = &m->flow[i];
			exists |= f->live && f->host == model_host(p) && f->server == model_server(p) &&
				  model_is_read(m, f->at_port);
		}
		for (uint32_t i = 0; i < SAS; i++)
			exists |= m->sa[i].live && m->sa[i].peer == p;
		if (!exists)
			*peer = (struct peer){.exists = false};
		peer->exists = exists;
	}
}

struct sa *model_sa(struct model *m, enum side from, uint32_t host, uint32_t server, uint32_t outside, uint32_t spi)
{
	for (uint32_t i = 0; i < SAS; i++) {
		struct sa *sa = &m->sa[i];
		bool here = from == SIDE_LAN ? model_host(sa->peer) == host
					     : m->outside_of[model_host(sa->peer)] == outside;
		if (sa->live && here && model_server(sa->peer) == server && sa->spi[from] == spi)
			return sa;
	}
	return NULL;
}

/* The latest unpaired SA of a peer that lacks this side and has the other one. */
static struct sa *lacking(struct model *m, uint32_t peer, enum side side)
{
	struct sa *latest = NULL;

	for (uint32_t i = 0; i < SAS; i++) {
		struct sa *sa = &m->sa[i];
		if (sa->live && sa->peer == peer && !sa->spi[side] && (!latest || sa->number > latest->number))
			latest = sa;
	}
	return latest;
}

static struct sa *new_sa(struct model *m, uint32_t peer)
{
	struct sa *free_one = NULL, *silent = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < SAS; i++) {
		struct sa *sa = &m->sa[i];
		if (!sa->live)
			free_one = sa;
		count += sa->live && sa->peer == peer;
		if (sa->live && sa->peer == peer && (!silent || sa->heard < silent->heard))
			silent = sa;
	}
	if (count == PEER_SAS)
		free_one = silent;
	if (!free_one)
		abort();
	*free_one = (struct sa){.live = true, .peer = peer, .number = ++m->sas, .opened = m->now, .heard = m->now};
	m->peer[peer].exists = true;
	return free_one;
}

static void touch_sa(struct model *m, struct sa *sa)
{
	sa->heard = m->now;
	sa->deadline = m->now + m->config->timeout[model_is_paired(sa) ? TIMEOUT_ESP : TIMEOUT_ESP_OPENING];
}

bool model_is_eligible(const struct model *m, uint32_t p)
{
	const struct peer *peer = &m->peer[p];

	return peer->exists && !(peer->on_4500 && !peer->sent_native);
}

static bool has_window(const struct model *m, uint32_t p)
{
	return m->peer[p].window > m->now;
}

/* --- ESP from the LAN --- */

void model_emit(struct model *m, struct out out)
{
	if (m->outs == OUTS)
		abort();
	m->out[m->outs++] = out;
}

static void emit_esp_out(struct model *m, const struct message *message, struct sa *sa)
{
	touch_sa(m, sa);
	sa->spoke = m->now;
	m->peer[sa->peer].last_esp = ++m->moves;
	model_emit(m, (struct out){.to = SIDE_WAN,
				   .host = message->host,
				   .server = message->server,
				   .outside = m->outside_of[message->host],
				   .tag = message->tag});
}

static bool may_go(const struct model *m, uint32_t p)
{
	bool alone = true;

	for (uint32_t i = 0; i < SAS; i++)
		if (m->sa[i].live && m->sa[i].peer == p && model_is_paired(&m->sa[i]))
			return true;
	for (uint32_t q = 0; q < PEERS; q++)
		alone &= q == p || !model_same_group(m, p, q) || !has_window(m, q);
	return alone;
}

static void learn_outbound(struct model *m, uint32_t p, const struct message *message)
{
	struct sa *sa = lacking(m, p, SIDE_LAN);

	if (!sa)
		sa = new_sa(m, p);
	sa->spi[SIDE_LAN] = message->spi;
	if (!model_is_paired(sa)) {
		m->peer[p].window = m->now + WINDOW;
		m->peer[p].window_sa = sa->number;
	}
	emit_esp_out(m, message, sa);
}

struct engine_result model_esp_out(struct model *m, const struct message *message)
{
	uint32_t p = message->host * SERVERS + message->server;
	struct peer *peer = &m->peer[p];
	struct sa *sa = model_sa(m, SIDE_LAN, message->host, message->server, 0, message->spi);

	peer->sent_native = true;
	if (sa) {
		emit_esp_out(m, message, sa);
		return forwarded;
	}
	if (!peer->waits && may_go(m, p)) {
		learn_outbound(m, p, message);
		return forwarded;
	}
	if (peer->waits == WAITING)
		return model_drop(DROP_ESP_QUEUE_FULL);
	peer->waiting[peer->waits++] = *message;
	peer->exists = true;
	m->waited++;
	return held;
}

/* --- ESP from the WAN --- */

static bool is_owed_lately(const struct model *m, uint32_t p)
{
	return m->peer[p].owed && m->now - m->peer[p].phase2_at < RECENT;
}

/* The only one of these peers, or PEERS. */
static uint32_t only(const bool of[PEERS])
{
	uint32_t found = PEERS, count = 0;

	for (uint32_t p = 0; p < PEERS; p++)
		if (of[p])
			found = p, count++;
	return count == 1 ? found : PEERS;
}

static uint32_t how_many(const bool of[PEERS])
{
	uint32_t count = 0;

	for (uint32_t p = 0; p < PEERS; p++)
		count += of[p];
	return count;
}

static struct sa *bind(struct model *m, uint32_t p, const struct message *message, enum pairing how, bool had_rivals)
{
	struct peer *peer = &m->peer[p];
	struct sa *sa = lacking(m, p, SIDE_WAN);

	if (!sa)
		sa = new_sa(m, p);
	sa->spi[SIDE_WAN] = message->spi;
	sa->bound = m->now;
	sa->packets = 1;
	sa->bound_by = ++m->moves;
	sa->had_rivals = had_rivals;
	sa->pairing = how;
	touch_sa(m, sa);
	peer->owed = peer->has_turn = false;
	if (model_is_paired(sa) && peer->window_sa == sa->number)
		peer->window = 0;
	m->bound[how]++;
	return sa;
}

/* Among several: whose it is, or PEERS; u is those that may well be meant. */
static uint32_t choose(struct model *m, const bool eligible[PEERS], bool u[PEERS], enum pairing *how)
{
	bool owed_lately[PEERS], unpaired[PEERS], owed[PEERS];
	uint32_t p;

	for (p = 0; p < PEERS; p++) {
		owed_lately[p] = eligible[p] && is_owed_lately(m, p);
		u[p] = owed_lately[p] || (eligible[p] && has_window(m, p));
		unpaired[p] = eligible[p] && lacking(m, p, SIDE_WAN);
		owed[p] = eligible[p] && m->peer[p].owed;
	}
	p = only(u);
	*how = p < PEERS && !owed_lately[p] ? PAIRING_SOLE : PAIRING_RECENCY;
	if (p < PEERS)
		return p;
	if (how_many(u))
		return only(owed_lately);
	*how = PAIRING_GUESSED;
	return how_many(unpaired) ? only(unpaired) : only(owed);
}

static struct doubt *find_doubt(struct model *m, const struct message *message)
{
	for (uint32_t i = 0; i < m->doubts; i++)
		if (m->doubt[i].spi == message->spi && m->doubt[i].server == message->server &&
		    m->doubt[i].outside == message->outside)
			return &m->doubt[i];
	if (m->doubts == DOUBTS)
		abort();
	m->doubt[m->doubts] = (struct doubt){message->server, message->outside, message->spi, m->now};
	return &m->doubt[m->doubts++];
}

/* The host whose unpaired SA has waited longest, or PEERS. As it is a guess, the engine may count the time otherwise.
 */
static uint32_t longest_unpaired(struct model *m, const bool eligible[PEERS])
{
	const struct sa *oldest = NULL;

	for (uint32_t p = 0; p < PEERS; p++) {
		const struct sa *sa = eligible[p] ? lacking(m, p, SIDE_WAN) : NULL;
		if (sa && m->stayed_with == model_host(p))
			return p;
		if (sa && (!oldest || sa->opened < oldest->opened))
			oldest = sa;
	}
	return oldest ? oldest->peer : PEERS;
}

/* Among the last four peers that got an SPI lately the only one that may have got a stranger's, or PEERS. */
static uint32_t deceived(struct model *m, uint32_t server, uint32_t outside)
{
	uint64_t last[PEERS] = {0};
	bool is[PEERS] = {false};

	for (uint32_t i = 0; i < SAS; i++) {
		const struct sa *sa = &m->sa[i];
		if (!sa->live || !sa->spi[SIDE_WAN] || model_server(sa->peer) != server ||
		    m->outside_of[model_host(sa->peer)] != outside)
			continue;
		last[sa->peer] =
			sa->bound_by > last[sa->peer] && m->now - sa->bound < NEAR ? sa->bound_by : last[sa->peer];
		is[sa->peer] |= sa->packets == 1 && m->now - sa->bound >= STALE;
	}
	for (uint32_t p = 0; p < PEERS; p++) {
		uint32_t later = 0;
		for (uint32_t q = 0; q < PEERS; q++)
			later += last[q] > last[p];
		is[p] &= last[p] && later < 4;
	}
	return only(is);
}

static void emit_esp_in(struct model *m, const struct message *message, uint32_t p, bool is_copy)
{
	model_emit(m, (struct out){.to = SIDE_LAN,
				   .host = model_host(p),
				   .server = message->server,
				   .tag = message->tag,
				   .is_copy = is_copy});
}

static struct engine_result esp_in_doubt(struct model *m, const struct message *message, const bool eligible[PEERS],
					 const bool u[PEERS])
{
	struct doubt *doubt = find_doubt(m, message);
	bool is_old = m->now - doubt->since >= DOUBT && !m->may_forget;
	uint32_t p = is_old ? longest_unpaired(m, eligible) : PEERS, copies = 0;

	if (p == PEERS && m->now - doubt->since >= STALE && !m->may_forget)
		p = deceived(m, message->server, message->outside);
	if (p < PEERS) {
		bind(m, p, message, PAIRING_GUESSED, true);
		emit_esp_in(m, message, p, false);
		m->settled++;
		*doubt = m->doubt[--m->doubts];
		return forwarded;
	}
	if (!m->config->esp_fanout)
		return model_drop(DROP_ESP_AMBIGUOUS);
	for (p = 0; p < PEERS; p++)
		if (how_many(u) ? u[p] : eligible[p]) {
			emit_esp_in(m, message, p, true);
			copies++;
		}
	m->copies = copies < FAN ? copies : FAN;
	return forwarded;
}

static struct engine_result esp_in_new(struct model *m, const struct message *message)
{
	bool eligible[PEERS], u[PEERS];
	enum pairing how = PAIRING_SOLE;

	for (uint32_t p = 0; p < PEERS; p++)
		eligible[p] = model_server(p) == message->server && m->outside_of[model_host(p)] == message->outside &&
			      model_is_eligible(m, p);
	if (how_many(eligible) == 0)
		return model_drop(DROP_NO_OWNER);
	uint32_t p = only(eligible);
	if (p == PEERS)
		p = choose(m, eligible, u, &how);
	if (p == PEERS)
		return esp_in_doubt(m, message, eligible, u);
	bind(m, p, message, how, how_many(eligible) > 1);
	emit_esp_in(m, message, p, false);
	return forwarded;
}

static bool waits_for_inbound(const struct sa *sa, uint32_t peer)
{
	return sa->live && sa->peer == peer && !sa->spi[SIDE_WAN];
}

/* Another peer that this SPI was rather meant for, or PEERS. */
static uint32_t rather(struct model *m, struct sa *sa)
{
	bool other[PEERS], meant = false;
	uint64_t age = m->now - sa->bound;

	if (!sa->had_rivals || m->peer[sa->peer].last_esp > sa->bound_by || age < SILENT || age > UNSURE ||
	    m->now - sa->looked < LOOK)
		return PEERS;
	sa->looked = m->now;
	for (uint32_t p = 0; p < PEERS; p++)
		other[p] = p != sa->peer && model_same_group(m, p, sa->peer) && lacking(m, p, SIDE_WAN);
	uint32_t p = only(other);
	for (uint32_t i = 0; i < SAS; i++) {
		const struct sa *of = &m->sa[i];
		uint64_t apart = of->opened > sa->bound ? of->opened - sa->bound : sa->bound - of->opened;
		meant |= waits_for_inbound(of, p) && m->now - of->opened >= SILENT && apart <= NEAR &&
			 m->now - of->spoke <= SILENT;
	}
	return meant ? p : PEERS;
}

struct engine_result model_esp_in(struct model *m, const struct message *message)
{
	struct sa *sa = model_sa(m, SIDE_WAN, 0, message->server, message->outside, message->spi);

	if (!sa)
		return esp_in_new(m, message);
	sa->packets++;
	touch_sa(m, sa);
	emit_esp_in(m, message, sa->peer, false);
	uint32_t p = rather(m, sa);
	if (p < PEERS) { /* what comes after this packet goes there */
		sa->spi[SIDE_WAN] = 0;
		sa->live = sa->spi[SIDE_LAN] != 0;
		sa->deadline = m->now + m->config->timeout[TIMEOUT_ESP_OPENING];
		bind(m, p, message, PAIRING_REPAIRED, true);
	}
	return forwarded;
}

/* Those who may go now go, who has waited longest first. True if somebody did. */
bool model_release_esp(struct model *m)
{
	uint32_t first = PEERS;

	for (uint32_t p = 0; p < PEERS; p++)
		if (m->peer[p].waits && may_go(m, p) &&
		    (first == PEERS || m->peer[p].waiting[0].tag < m->peer[first].waiting[0].tag))
			first = p;
	if (first == PEERS)
		return false;
	struct peer *peer = &m->peer[first];
	uint32_t count = peer->waits;
	peer->waits = 0;
	for (uint32_t i = 0; i < count; i++)
		model_esp_out(m, &peer->waiting[i]);
	return true;
}

/* When the windows that somebody waits for are over. */
uint64_t model_next_window(const struct model *m)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t p = 0; p < PEERS; p++)
		for (uint32_t q = 0; q < PEERS; q++)
			if (m->peer[p].waits && model_same_group(m, p, q) && has_window(m, q) &&
			    m->peer[q].window < next)
				next = m->peer[q].window;
	return next;
}
