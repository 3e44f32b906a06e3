/* SPDX-License-Identifier: BSD-2-Clause */
/* The model of IPsec: peers, groups, SAs and time. See esp_model.h. */
#include "esp_model.h"

#include <stdlib.h>
#include <string.h>

enum { PEER_SAS = 64 };

bool model_passes(const struct model *m, enum part part)
{
	return m->config->mode[part] == MODE_PASS;
}

bool model_same_group(const struct model *m, uint32_t a, uint32_t b)
{
	return model_server(a) == model_server(b) && m->outside_of[model_host(a)] == m->outside_of[model_host(b)];
}

struct group *model_group(struct model *m, uint32_t p)
{
	return &m->group[model_server(p)][m->outside_of[model_host(p)]];
}

/* --- peers and SAs --- */

static void keep_late(struct late *late, bool (*stays)(const void *context, uint32_t peer), const void *context)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < late->count; i++) {
		if (!stays(context, late->peer[i]))
			continue;
		late->peer[left] = late->peer[i];
		late->at[left++] = late->at[i];
	}
	late->count = left;
}

static bool is_another(const void *context, uint32_t peer)
{
	return peer != *(const uint32_t *)context;
}

static bool exists(const void *context, uint32_t peer)
{
	const struct model *m = context;

	return m->peer[peer].exists;
}

void model_note_late(struct late *late, uint32_t peer, uint64_t now)
{
	keep_late(late, is_another, &peer);
	if (late->count == LATE)
		keep_late(late, is_another, &late->peer[0]);
	late->peer[late->count] = peer;
	late->at[late->count++] = now;
}

/* Who has ended is not remembered, and a group without peers remembers nothing. */
static void update_group(struct model *m, uint32_t server, uint32_t outside)
{
	struct group *g = &m->group[server][outside];
	bool any = false;

	for (uint32_t p = server; p < PEERS; p += SERVERS)
		any |= m->peer[p].exists && m->outside_of[model_host(p)] == outside;
	keep_late(&g->got, exists, m);
	keep_late(&g->renews, exists, m);
	if (!any)
		*g = (struct group){.queued = 0};
}

static void update_peers(struct model *m)
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
	for (uint32_t i = 0; i < SERVERS * MODEL_PLACES; i++)
		update_group(m, i / MODEL_PLACES, i % MODEL_PLACES);
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

struct sa *model_new_sa(struct model *m, uint32_t peer)
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

void model_touch_sa(struct model *m, struct sa *sa)
{
	sa->heard = m->now;
	sa->deadline = m->now + m->config->timeout[model_is_paired(sa) ? TIMEOUT_ESP : TIMEOUT_ESP_OPENING];
}

bool model_is_eligible(const struct model *m, uint32_t p)
{
	const struct peer *peer = &m->peer[p];

	return peer->exists && !(peer->on_4500 && !peer->sent_native);
}

void model_emit(struct model *m, struct out out)
{
	if (m->outs == OUTS)
		abort();
	m->out[m->outs++] = out;
}

/* --- time --- */

static void release_all(struct model *m)
{
	while (model_release_esp(m) || model_release_ike(m))
		;
}

bool model_has_expired(const struct model *m)
{
	bool any = false;

	for (uint32_t i = 0; i < SAS; i++)
		any |= m->sa[i].live && m->sa[i].deadline <= m->now;
	for (uint32_t i = 0; i < FLOWS; i++)
		any |= m->flow[i].live && m->flow[i].deadline <= m->now;
	return any;
}

void model_clean_up(struct model *m)
{
	if (!model_has_expired(m))
		return;
	for (uint32_t i = 0; i < SAS; i++)
		m->sa[i].live &= m->sa[i].deadline > m->now;
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct ike_flow *f = &m->flow[i];
		if (!f->live || f->deadline > m->now)
			continue;
		f->live = false;
		if (f->inside_port == 500 && f->at_port == 500)
			m->peer[f->host * SERVERS + f->server].shares = false;
	}
	update_peers(m);
	release_all(m);
}

struct engine_result model_packet(struct model *m, const struct message *message)
{
	struct engine_result result;

	m->outs = m->copies = 0;
	if (message->port)
		result = model_udp(m, message);
	else
		result = message->from == SIDE_LAN ? model_esp_out(m, message) : model_esp_in(m, message);
	update_peers(m);
	release_all(m);
	return result;
}

uint64_t model_next(const struct model *m)
{
	uint64_t window = model_next_window(m), turn = model_next_turn(m);

	return window < turn ? window : turn;
}

void model_advance(struct model *m, uint64_t now)
{
	m->outs = m->copies = 0;
	m->now = now;
	release_all(m);
}

uint32_t model_held(const struct model *m)
{
	uint32_t count = 0;

	for (uint32_t p = 0; p < PEERS; p++)
		count += m->peer[p].waits + m->peer[p].holds[0] + m->peer[p].holds[1];
	return count;
}

void model_begin(struct model *m, const struct engine_config *config, uint64_t now)
{
	memset(m, 0, sizeof(*m));
	m->config = config;
	m->now = now;
}
