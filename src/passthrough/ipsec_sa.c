/* SPDX-License-Identifier: BSD-2-Clause */
/* The SAs of a peer: one SPI from each side, as far as they are known. */
#include "passthrough/ipsec.h"

uint32_t ipsec_sa_spi(const struct engine *engine, const struct ipsec *ipsec, uint32_t sa, enum side from)
{
	return engine_offer(engine)->sa_spi(engine, ipsec->sa[sa].flow, from);
}

/* Counts an SA in or out of those of its peer that are paired, and those that lack the inbound SPI. */
static void count_sa(struct engine *engine, struct ipsec *ipsec, uint32_t index, uint32_t change)
{
	struct ipsec_peer *peer = &ipsec->peer[ipsec->sa[index].peer];
	bool out = ipsec_sa_spi(engine, ipsec, index, SIDE_LAN) != 0,
	     in = ipsec_sa_spi(engine, ipsec, index, SIDE_WAN) != 0;

	peer->paired += out && in ? change : 0;
	peer->unpaired += out && !in ? change : 0;
}

void ipsec_sa_learn(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side from, uint32_t spi)
{
	count_sa(engine, ipsec, index, UINT32_MAX);
	if (spi != 0)
		engine_offer(engine)->sa_learn(engine, ipsec->sa[index].flow, from, spi);
	else
		engine_offer(engine)->sa_forget(engine, ipsec->sa[index].flow, from);
	count_sa(engine, ipsec, index, 1);
	ipsec_peer_place(ipsec, ipsec->sa[index].peer);
}

void ipsec_sa_enter(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	struct ipsec_sa *sa = &ipsec->sa[index];
	struct ipsec_peer *peer = &ipsec->peer[sa->peer];

	sa->previous = MODULE_NONE;
	sa->next = peer->first_sa;
	if (peer->first_sa != MODULE_NONE)
		ipsec->sa[peer->first_sa].previous = index;
	peer->first_sa = index;
	peer->sas++;
	ipsec->load[peer->load].sas += !peer->is_server;
	count_sa(engine, ipsec, index, 1);
	ipsec_peer_place(ipsec, sa->peer);
}

uint32_t ipsec_sa_last(const struct engine *engine, const struct ipsec *ipsec, uint32_t sa, enum side from)
{
	struct flow_view view;
	uint32_t last_ms[SIDES];

	engine_offer(engine)->view_flow(engine, ipsec->sa[sa].flow, &view, last_ms);
	return view.packets[from] > 0 ? last_ms[from] : UINT32_MAX;
}

void ipsec_sa_give_way(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	ipsec->sa[index].gives_way = true;
	engine_offer(engine)->sa_close(engine, ipsec->sa[index].flow);
}

/* The one whose last packet is the longest ago makes room. */
static void close_oldest(struct engine *engine, struct ipsec *ipsec, const struct ipsec_peer *peer)
{
	uint32_t oldest = peer->first_sa, age = 0;

	for (uint32_t i = peer->first_sa; i != MODULE_NONE; i = ipsec->sa[i].next) {
		uint32_t out = ipsec_sa_last(engine, ipsec, i, SIDE_LAN),
			 in = ipsec_sa_last(engine, ipsec, i, SIDE_WAN);
		uint32_t last = out < in ? out : in;
		if (last >= age) {
			age = last;
			oldest = i;
		}
	}
	ipsec_sa_give_way(engine, ipsec, oldest);
}

/* As many as one peer may have are its in any case. */
static bool host_has_its_share(const struct ipsec *ipsec, const struct ipsec_peer *peer)
{
	uint32_t share = module_share(ipsec->sas);

	return !peer->is_server && ipsec->load[peer->load].sas >= (share > IPSEC_SAS_PEER ? share : IPSEC_SAS_PEER);
}

uint32_t ipsec_sa_open(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side opened, enum drop *why)
{
	struct ipsec_peer *peer = &ipsec->peer[index];

	if (peer->sas >= IPSEC_SAS_PEER || (peer->sas > 1 && host_has_its_share(ipsec, peer)))
		close_oldest(engine, ipsec, peer);
	uint32_t at = ipsec->sa_free;
	*why = DROP_TUNNELS_EXHAUSTED;
	if (at == MODULE_NONE || host_has_its_share(ipsec, peer))
		return MODULE_NONE;
	ipsec->sa_free = ipsec->sa[at].next;
	/* This may sweep flows, and with them the last SA that the peer had. */
	peer->is_busy = true;
	uint32_t flow = engine_offer(engine)->sa_open(engine, peer->inside, peer->outside, peer->remote,
						      peer->is_server, opened, at, why);
	peer->is_busy = false;
	if (flow == MODULE_NONE) {
		ipsec->sa[at].next = ipsec->sa_free;
		ipsec->sa_free = at;
		return MODULE_NONE;
	}
	ipsec->sa[at] = (struct ipsec_sa){
		.flow = flow,
		.peer = index,
		.opened_ms = (uint32_t)engine_offer(engine)->now_ms(engine),
	};
	ipsec_sa_enter(engine, ipsec, at);
	return at;
}

static bool lives(const struct engine *engine, const struct ipsec *ipsec, uint32_t sa)
{
	struct flow_view view;

	engine_offer(engine)->view_flow(engine, ipsec->sa[sa].flow, &view, NULL);
	return (int32_t)view.expires_ms > 0;
}

/* The latest one that lacks just the SPI of this side, or a new one. */
uint32_t ipsec_sa_lacking(struct engine *engine, struct ipsec *ipsec, uint32_t index, enum side lacks, enum drop *why)
{
	enum side has = lacks == SIDE_LAN ? SIDE_WAN : SIDE_LAN;

	for (uint32_t i = ipsec->peer[index].first_sa; i != MODULE_NONE; i = ipsec->sa[i].next)
		if (ipsec_sa_spi(engine, ipsec, i, lacks) == 0 && ipsec_sa_spi(engine, ipsec, i, has) != 0 &&
		    lives(engine, ipsec, i))
			return i;
	return ipsec_sa_open(engine, ipsec, index, lacks, why);
}

void ipsec_esp_keep_all(struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	for (uint32_t i = ipsec->peer[index].first_sa; i != MODULE_NONE; i = ipsec->sa[i].next)
		engine_offer(engine)->sa_keep(engine, ipsec->sa[i].flow);
}

/* What its packets told stays with the peer. */
static void take_counts(const struct engine *engine, struct ipsec *ipsec, const struct ipsec_sa *sa)
{
	struct ipsec_peer *peer = &ipsec->peer[sa->peer];
	struct flow_view view;
	uint32_t last_ms[SIDES], now_ms = (uint32_t)engine_offer(engine)->now_ms(engine);

	engine_offer(engine)->view_flow(engine, sa->flow, &view, last_ms);
	for (int side = 0; side < SIDES; side++) {
		bool is_later = peer->packets[side] + peer->natt_packets[side] == 0 ||
				last_ms[side] < ipsec_age(engine, peer->last_ms[side]);
		if (view.packets[side] > 0 && is_later)
			peer->last_ms[side] = now_ms - last_ms[side];
		peer->packets[side] += view.packets[side];
		peer->bytes[side] += view.bytes[side];
	}
}

/* The server goes on sending: that is for this host, should it come back, and of no use to any other. */
static void remember_parted(const struct engine *engine, struct ipsec *ipsec, uint32_t index)
{
	const struct ipsec_peer *peer = &ipsec->peer[ipsec->sa[index].peer];
	uint32_t spi = ipsec_sa_spi(engine, ipsec, index, SIDE_WAN);

	if (spi == 0)
		return;
	ipsec->parted[ipsec->parted_next++ % IPSEC_PARTED] = (struct ipsec_parted){
		.spi = spi,
		.inside = peer->inside,
		.outside = peer->outside,
		.remote = peer->remote,
		.at_ms = (uint32_t)engine_offer(engine)->now_ms(engine),
	};
}

void ipsec_sa_over(struct engine *engine, void *memory, uint32_t index, enum tunnel_end why)
{
	struct ipsec *ipsec = memory;
	struct ipsec_sa *sa = &ipsec->sa[index];
	uint32_t owner = sa->peer;
	struct ipsec_peer *peer = &ipsec->peer[owner];

	take_counts(engine, ipsec, sa);
	if (why == END_ROUTER && !sa->gives_way)
		remember_parted(engine, ipsec, index);
	count_sa(engine, ipsec, index, UINT32_MAX);
	if (sa->previous != MODULE_NONE)
		ipsec->sa[sa->previous].next = sa->next;
	else
		peer->first_sa = sa->next;
	if (sa->next != MODULE_NONE)
		ipsec->sa[sa->next].previous = sa->previous;
	peer->sas--;
	ipsec->load[peer->load].sas -= !peer->is_server;
	*sa = (struct ipsec_sa){.flow = MODULE_NONE, .next = ipsec->sa_free};
	ipsec->sa_free = index;
	ipsec_peer_place(ipsec, owner);
	ipsec_peer_settle(engine, ipsec, owner, why);
}
