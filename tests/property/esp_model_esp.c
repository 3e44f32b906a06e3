/* SPDX-License-Identifier: BSD-2-Clause */
/* The model of IPsec: ESP from both sides, and who waits. See esp_model.h. */
#include "esp_model.h"

#include <stdlib.h>
#include <string.h>

enum {
	WINDOW = 3000,
	FRESH = 1000,
	RECENT = 3000,
	SILENT = 10000,
	UNSURE = 40000,
	NEAR = 30000,
	LOOK = 1000,
	STALE = 1000,
	DOUBT = 3000,
	UNHEARD = 5000,
	CREDIT = 8,
	SUSPICIOUS = 3,
	MINUTE = 60000,
	IN_USE = 8
};

static const struct engine_result forwarded = {.verdict = VERDICT_FORWARDED}, held = {.verdict = VERDICT_HELD};

/* The latest unpaired SA of a peer that lacks this side and has the other one. */
static struct sa *lacking(struct model *m, uint32_t peer, enum side side)
{
	struct sa *latest = NULL;

	for (uint32_t i = 0; i < SAS; i++) {
		struct sa *sa = &m->sa[i];
		if (sa->live && sa->peer == peer && !sa->spi[side] && sa->spi[!side] &&
		    (!latest || sa->number > latest->number))
			latest = sa;
	}
	return latest;
}

/* Its window is open, and was opened so lately. */
static bool has_window(const struct model *m, uint32_t p, uint32_t lately)
{
	return m->peer[p].has_window && m->now - m->peer[p].window < lately;
}

static void open_window(struct model *m, uint32_t p)
{
	m->peer[p].has_window = true;
	m->peer[p].window = m->now;
}

/* --- caution --- */

static bool is_cautious(const struct model *m, uint32_t p)
{
	const struct group *g = &m->group[model_server(p)][m->outside_of[model_host(p)]];

	return g->is_cautious && m->now - g->cautious < MINUTE;
}

static void new_spi(struct model *m, uint32_t server, uint32_t outside, int step)
{
	struct group *g = &m->group[server][outside];

	if (!g->has_moved) {
		g->has_moved = true;
		g->moved = m->now;
	}
	if (m->now - g->moved >= MINUTE) {
		for (uint64_t i = (m->now - g->moved) / MINUTE; i && g->balance; i--)
			g->balance += g->balance < 0 ? 1 : -1;
		g->moved = m->now;
	}
	if (abs(g->balance + step) <= CREDIT)
		g->balance += step;
	if (g->balance >= SUSPICIOUS) {
		m->cautious += !g->is_cautious;
		g->is_cautious = true;
		g->cautious = m->now;
	}
}

/* --- ESP from the LAN --- */

static void emit_esp_out(struct model *m, const struct message *message, struct sa *sa)
{
	model_touch_sa(m, sa);
	sa->spoke = m->now;
	model_emit(m, (struct out){.to = SIDE_WAN,
				   .host = message->host,
				   .server = message->server,
				   .outside = m->outside_of[message->host],
				   .tag = message->tag});
}

static bool has_paired(const struct model *m, uint32_t p)
{
	for (uint32_t i = 0; i < SAS; i++)
		if (m->sa[i].live && m->sa[i].peer == p && model_is_paired(&m->sa[i]))
			return true;
	return false;
}

/* How long it takes until nobody else's window keeps this one waiting. */
static uint64_t others_window(const struct model *m, uint32_t p)
{
	uint32_t length = has_paired(m, p) ? FRESH : WINDOW;
	uint64_t left = 0;

	for (uint32_t q = 0; q < PEERS; q++) {
		if (q == p || !model_same_group(m, p, q) || !has_window(m, q, length))
			continue;
		uint64_t its = m->peer[q].window + length - m->now;
		left = its > left ? its : left;
	}
	return left;
}

static void learn_outbound(struct model *m, uint32_t p, const struct message *message)
{
	struct sa *sa = is_cautious(m, p) ? NULL : lacking(m, p, SIDE_LAN);

	if (!sa)
		sa = model_new_sa(m, p);
	sa->spi[SIDE_LAN] = message->spi;
	new_spi(m, message->server, m->outside_of[message->host], -1);
	if (model_is_paired(sa))
		m->peer[p].has_window = false;
	else
		open_window(m, p);
	emit_esp_out(m, message, sa);
}

/* Who has paired ESP comes before the others, but they do not wait for ever. */
static void enqueue(struct model *m, uint32_t p)
{
	struct group *g = model_group(m, p);

	if (g->queued == 0)
		g->some_since = m->now;
	uint32_t at = has_paired(m, p) && m->now - g->some_since < WINDOW ? 0 : g->queued;

	memmove(&g->queue[at + 1], &g->queue[at], (g->queued - at) * sizeof(g->queue[0]));
	g->queue[at] = p;
	g->queued++;
	g->first_since = at ? g->first_since : m->now;
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
	if (!peer->waits && others_window(m, p) == 0) {
		learn_outbound(m, p, message);
		return forwarded;
	}
	if (peer->waits == WAITING)
		return model_drop(DROP_ESP_QUEUE_FULL);
	if (peer->waits == 0)
		enqueue(m, p);
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

/* The first of them. */
static uint32_t any_of(const bool of[PEERS])
{
	uint32_t p = 0;

	while (!of[p])
		p++;
	return p;
}

static uint32_t how_many(const bool of[PEERS])
{
	uint32_t count = 0;

	for (uint32_t p = 0; p < PEERS; p++)
		count += of[p];
	return count;
}

static uint32_t count_eligible(const struct model *m, uint32_t like)
{
	uint32_t count = 0;

	for (uint32_t p = 0; p < PEERS; p++)
		count += model_same_group(m, p, like) && model_is_eligible(m, p);
	return count;
}

static struct sa *bind_spi(struct model *m, uint32_t p, const struct message *message, enum pairing how)
{
	struct peer *peer = &m->peer[p];
	struct group *g = model_group(m, p);
	bool careful = how != PAIRING_REPAIRED && is_cautious(m, p);
	struct sa *sa = careful ? NULL : lacking(m, p, SIDE_WAN);

	if (!sa)
		sa = model_new_sa(m, p);
	sa->spi[SIDE_WAN] = message->spi;
	sa->bound = sa->looked = m->now;
	sa->is_watched = careful || count_eligible(m, p) > 1;
	sa->pairing = how;
	model_touch_sa(m, sa);
	m->bound[how]++;
	model_note_late(&g->got, p, m->now);
	if (careful)
		return sa;
	peer->owed = peer->has_turn = peer->has_window = false;
	for (uint32_t i = 0; i < LATE; i++)
		if (g->doubt[i].spi == message->spi)
			g->doubt[i].spi = 0;
	return sa;
}

/* Somebody has asked for new keys and was not answered: ESP may come before the answer. */
static bool is_asking(const struct model *m, const bool eligible[PEERS])
{
	for (uint32_t p = 0; p < PEERS; p++)
		if (eligible[p] && model_has_turn(m, p) && !m->peer[p].owed)
			return true;
	return false;
}

/* Among several: whose it is, or PEERS; u is those that may well be meant. */
static uint32_t choose(struct model *m, const bool eligible[PEERS], bool u[PEERS], enum pairing *how)
{
	bool owed_lately[PEERS], unpaired[PEERS], owed[PEERS], fresh[PEERS];
	uint32_t p;

	for (p = 0; p < PEERS; p++) {
		owed_lately[p] = eligible[p] && is_owed_lately(m, p);
		u[p] = owed_lately[p] || (eligible[p] && has_window(m, p, WINDOW));
		fresh[p] = eligible[p] && has_window(m, p, FRESH);
		unpaired[p] = eligible[p] && lacking(m, p, SIDE_WAN);
		owed[p] = eligible[p] && m->peer[p].owed;
	}
	*how = PAIRING_SOLE;
	if (how_many(fresh) == 1)
		return only(fresh);
	p = only(u);
	if (p < PEERS && !owed_lately[p])
		return p;
	*how = PAIRING_RECENCY;
	if (p < PEERS || how_many(u))
		return only(owed_lately);
	*how = PAIRING_GUESSED;
	if (is_asking(m, eligible))
		return PEERS;
	return how_many(unpaired) ? only(unpaired) : only(owed);
}

/* The place of one that is remembered, or NULL. */
static struct doubt *find_doubt(struct model *m, const struct message *message)
{
	struct doubt *doubt = m->group[message->server][message->outside].doubt;

	for (uint32_t i = 0; i < LATE; i++) {
		if (doubt[i].spi && m->now - doubt[i].last >= UNHEARD)
			doubt[i].spi = 0;
		if (doubt[i].spi == message->spi)
			return &doubt[i];
	}
	return NULL;
}

/* For how long it has been ambiguous; 0 if it is not remembered. */
static uint64_t remember_doubt(struct model *m, const struct message *message)
{
	struct doubt *doubt = find_doubt(m, message), *place = m->group[message->server][message->outside].doubt;

	for (uint32_t i = 0; i < LATE && !doubt; i++)
		if (!place[i].spi) {
			doubt = &place[i];
			*doubt = (struct doubt){.spi = message->spi, .since = m->now};
		}
	if (!doubt)
		return 0;
	doubt->last = m->now;
	return m->now - doubt->since;
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

/* An SPI that a single packet bound may be a stranger's. */
static bool is_weak(const struct model *m, const struct sa *sa)
{
	return sa->spi[SIDE_WAN] && sa->packets < 2 && m->now - sa->bound >= STALE;
}

/* Among the last four peers that got an SPI lately the only one that may have got a stranger's, or PEERS. */
static uint32_t deceived(struct model *m, uint32_t server, uint32_t outside)
{
	const struct late *got = &m->group[server][outside].got;
	bool is[PEERS] = {false};

	for (uint32_t i = 0; i < got->count; i++)
		for (uint32_t k = 0; k < SAS && m->now - got->at[i] < NEAR; k++)
			is[got->peer[i]] |= m->sa[k].live && m->sa[k].peer == got->peer[i] && is_weak(m, &m->sa[k]);
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
	uint64_t since = remember_doubt(m, message);
	bool is_careful = is_cautious(m, any_of(eligible));
	uint32_t p = since >= DOUBT && !is_careful ? longest_unpaired(m, eligible) : PEERS, copies = 0;

	if (p == PEERS && since >= STALE && !is_careful)
		p = deceived(m, message->server, message->outside);
	if (p < PEERS) {
		bind_spi(m, p, message, PAIRING_GUESSED)->packets++;
		emit_esp_in(m, message, p, false);
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
	uint32_t p = only(eligible), like = any_of(eligible);
	for (uint32_t q = 0; q < PEERS; q++)
		u[q] = false;
	if (p == PEERS)
		p = choose(m, eligible, u, &how);
	bool is_expected = p < PEERS && m->peer[p].owed && !is_cautious(m, like);
	if (!is_expected && !find_doubt(m, message))
		new_spi(m, message->server, message->outside, 1);
	if (p == PEERS || (how == PAIRING_GUESSED && is_cautious(m, like)))
		return esp_in_doubt(m, message, eligible, u);
	bind_spi(m, p, message, how)->packets++;
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

	if (age < SILENT || m->now - sa->looked < LOOK)
		return PEERS;
	for (uint32_t i = 0; i < SAS; i++)
		sa->is_watched &= !(m->sa[i].live && m->sa[i].peer == sa->peer && m->sa[i].spoke > sa->bound);
	sa->is_watched &= age <= UNSURE;
	if (!sa->is_watched)
		return PEERS;
	sa->looked = m->now;
	for (uint32_t p = 0; p < PEERS; p++)
		other[p] = p != sa->peer && model_same_group(m, p, sa->peer) && lacking(m, p, SIDE_WAN);
	uint32_t p = only(other);
	for (uint32_t i = 0; i < SAS; i++) {
		const struct sa *of = &m->sa[i];
		uint64_t apart = of->opened > sa->bound ? of->opened - sa->bound : sa->bound - of->opened;
		meant |= waits_for_inbound(of, p) && m->now - of->opened >= SILENT && apart < NEAR &&
			 m->now - of->spoke < SILENT;
	}
	return meant ? p : PEERS;
}

/* An inbound SPI that is alone and in use gets the outbound one of its peer that has none, or a stranger's. */
static void join(struct model *m, struct sa *sa)
{
	struct sa *other = NULL;

	if (sa->spi[SIDE_LAN] || sa->packets < IN_USE)
		return;
	for (uint32_t i = 0; i < SAS; i++) {
		struct sa *of = &m->sa[i];
		if (of->live && of->peer == sa->peer && of->spi[SIDE_LAN] && (!of->spi[SIDE_WAN] || is_weak(m, of)) &&
		    (!other || of->number > other->number))
			other = of;
	}
	if (!other)
		return;
	other->live = false;
	sa->spi[SIDE_LAN] = other->spi[SIDE_LAN];
	model_touch_sa(m, sa);
	m->joined++;
}

struct engine_result model_esp_in(struct model *m, const struct message *message)
{
	struct sa *sa = model_sa(m, SIDE_WAN, 0, message->server, message->outside, message->spi);

	if (!sa)
		return esp_in_new(m, message);
	sa->packets++;
	model_touch_sa(m, sa);
	emit_esp_in(m, message, sa->peer, false);
	if (!sa->is_watched)
		return forwarded;
	join(m, sa);
	uint32_t p = rather(m, sa);
	if (p < PEERS) { /* what comes after this packet goes there */
		sa->spi[SIDE_WAN] = 0;
		sa->is_watched = false;
		sa->live = sa->spi[SIDE_LAN] != 0;
		model_touch_sa(m, sa);
		bind_spi(m, p, message, PAIRING_REPAIRED);
	}
	return forwarded;
}

/* How long the first of those who wait has to. */
static uint64_t first_waits(const struct model *m, const struct group *g)
{
	uint64_t left = others_window(m, g->queue[0]), age = m->now - g->first_since;
	uint64_t most = age < WINDOW ? WINDOW - age : 0;

	return left < most ? left : most;
}

/* The first one of those who wait goes, with all that it has. */
static void let_go(struct model *m, struct group *g)
{
	uint32_t p = g->queue[0], count = m->peer[p].waits;

	memmove(g->queue, g->queue + 1, --g->queued * sizeof(g->queue[0]));
	g->first_since = m->now;
	open_window(m, p);
	m->peer[p].waits = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct message message = m->peer[p].waiting[i];
		struct sa *sa = model_sa(m, SIDE_LAN, message.host, message.server, 0, message.spi);
		if (sa)
			emit_esp_out(m, &message, sa);
		else
			learn_outbound(m, p, &message);
	}
}

/* True if somebody went. */
bool model_release_esp(struct model *m)
{
	for (uint32_t i = 0; i < SERVERS * MODEL_PLACES; i++) {
		struct group *g = &m->group[i / MODEL_PLACES][i % MODEL_PLACES];
		if (!g->queued || first_waits(m, g) > 0)
			continue;
		let_go(m, g);
		return true;
	}
	return false;
}

/* When somebody who waits may go. */
uint64_t model_next_window(const struct model *m)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < SERVERS * MODEL_PLACES; i++) {
		const struct group *g = &m->group[i / MODEL_PLACES][i % MODEL_PLACES];
		uint64_t at = g->queued ? m->now + first_waits(m, g) : next;
		next = at < next ? at : next;
	}
	return next;
}
