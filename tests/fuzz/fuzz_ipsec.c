/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A life of IPsec: a byte of limits, then records of four bytes (what, between whom, two arguments), some with raw
 * bytes behind them. They are IKE, ESP, NAT traversal, errors, fragments, time, reloads, other addresses and crashes,
 * some of which spoil the memory that is taken over. Whatever comes: packets are conserved, the module's records hold
 * together, ESP reaches one host that talks to its sender, nobody's flows change for what others do, nothing waits for
 * ever, and with enough silence everything ends.
 */
#include <string.h>

#include "../unit/ike_messages.h"
#include "../unit/ipsec_check.h"
#include "life.h"
#include "nat/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	HOSTS = 6,
	REMOTES = 3,
	FLOWS_MAX = 64,
	TUNNELS_MOST = 32,
	HOST = 0x0a000002,
	SERVER_INSIDE = 0x0a000009,
	REMOTE = 0xcb007101,
};

struct ipsec_life {
	struct life life;
	bool spoilt;          /* what its flows say may be nonsense */
	uint16_t port[HOSTS]; /* the outside port each host was seen with last */
	struct flow_view flow[2][FLOWS_MAX];
	uint32_t flows[2];
	struct ike_message message;
};

static const uint8_t seed[32] = {7, 8, 9};

static void begin(struct ipsec_life *l, uint8_t limits)
{
	l->life.seed = seed;
	l->life.limits = (struct engine_limits){
		.flows = FLOWS_MAX, .hosts = 8, .addresses = 2, .fragments = 64, .tunnels = 4u << (limits & 3)};
	l->spoilt = false;
	for (uint32_t i = 0; i < HOSTS; i++)
		l->port[i] = 500;
	life_begin(&l->life, limits & 4 ? 0xfffffff0u : 100000, TUNNELS_MOST);
	life_start(&l->life, limits & 8 ? 2 : 1);
}

/* --- invariants --- */

static void list_flows(struct ipsec_life *l, uint32_t which)
{
	uint32_t cursor = 0;

	l->flows[which] = 0;
	while (l->flows[which] < FLOWS_MAX &&
	       engine_next_flow(l->life.engine, &cursor, l->life.now, &l->flow[which][l->flows[which]]))
		l->flows[which]++;
}

static bool ends_equal(const struct flow_view *a, const struct flow_view *b)
{
	return a->protocol == b->protocol && a->inside_address.v4 == b->inside_address.v4 &&
	       a->outside_address.v4 == b->outside_address.v4 && a->remote_address.v4 == b->remote_address.v4 &&
	       a->inside_port == b->inside_port && a->outside_port == b->outside_port &&
	       a->remote_port == b->remote_port;
}

static bool all_equal(const struct flow_view *a, const struct flow_view *b)
{
	return ends_equal(a, b) && a->packets[0] == b->packets[0] && a->packets[1] == b->packets[1] &&
	       a->bytes[0] == b->bytes[0] && a->bytes[1] == b->bytes[1] && a->expires_ms == b->expires_ms;
}

static uint32_t how_many(const struct ipsec_life *l, uint32_t which, const struct flow_view *like, bool all)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < l->flows[which]; i++)
		count += all ? all_equal(&l->flow[which][i], like) : ends_equal(&l->flow[which][i], like);
	return count;
}

/* Flows of others stay as they were. Those with the same remote address may get what had waited for them, but none of
 * them ends. */
static void check_others(const struct ipsec_life *l, enum side from, uint32_t source, uint32_t destination)
{
	uint32_t remote = from == SIDE_LAN ? destination : source;

	for (uint32_t i = 0; i < l->flows[0]; i++) {
		const struct flow_view *flow = &l->flow[0][i];
		if ((int32_t)flow->expires_ms <= 0 || life_is_outside(flow->remote_address.v4) ||
		    (from == SIDE_LAN && flow->inside_address.v4 == source))
			continue;
		if (flow->remote_address.v4 == remote && flow->protocol == PROTO_ESP && from == SIDE_WAN)
			continue; /* one SA more may take the place of another one of the same peer */
		bool all = flow->remote_address.v4 != remote;
		if (how_many(l, 1, flow, all) < how_many(l, 0, flow, all))
			life_fail(all ? "a flow changed for what others do" : "a flow ended for what others do");
	}
}

static bool has_tunnel(struct ipsec_life *l, uint32_t inside, uint32_t outside, uint32_t remote)
{
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t count = 0;
	bool found = false;

	while (engine_next_tunnel(l->life.engine, &cursor, l->life.now, &view)) {
		found |= view.end == END_NOT && view.service == SERVICE_IPSEC && view.inside_address.v4 == inside &&
			 view.outside_address.v4 == outside && view.remote_address.v4 == remote;
		if (++count > 8 * TUNNELS_MOST)
			life_fail("the list of tunnels does not end");
	}
	return found;
}

/* ESP for the LAN: one host, unless copies are allowed, and each talks to the sender. */
static void check_esp(struct ipsec_life *l, enum side from, uint32_t outside)
{
	uint32_t wholes = 0, to = 0, most = l->life.config.esp_fanout ? 4 : 1;
	bool several = false;

	if (l->life.config.mode[PART_ESP] != MODE_PASS)
		return;
	for (uint32_t i = 0; i < l->life.out.count; i++) {
		const struct packet *p = &l->life.out.item[i].packet;
		if (l->life.out.item[i].to != SIDE_LAN || packet_get8(p, 9) != PROTO_ESP)
			continue;
		if (from != SIDE_WAN)
			life_fail("ESP from the LAN went back to it");
		wholes += (packet_get16(p, 6) & 0x1fff) == 0;
		several |= to != 0 && to != packets_destination(p);
		to = packets_destination(p);
		if (!has_tunnel(l, to, outside, packets_source(p)))
			life_fail("ESP went to a host that does not talk to its sender");
	}
	if (wholes > most || (several && !l->life.config.esp_fanout))
		life_fail("ESP went to several hosts");
}

static void check_outputs(struct ipsec_life *l, enum side from)
{
	for (uint32_t i = 0; i < l->life.out.count; i++) {
		const struct emission *e = &l->life.out.item[i];
		uint32_t source = packets_source(&e->packet);
		life_check(packets_verify(&e->packet));
		if (e->to == SIDE_WAN && !life_is_outside(source))
			life_fail("an inside address left to the WAN");
		if (e->to == SIDE_WAN && from == SIDE_LAN && e->origin == ORIGIN_BATCH &&
		    packet_get8(&e->packet, 9) == PROTO_UDP)
			l->port[i % HOSTS] = packets_source_port(&e->packet);
		packets_copy(&l->life.last, &e->packet);
		l->life.last_to = e->to;
	}
}

static void check_engine(struct ipsec_life *l)
{
	life_check(ipsec_check(l->life.engine));
	life_look(&l->life);
}

static void send_packet(struct ipsec_life *l, enum side from)
{
	uint32_t source = packets_source(&l->life.packet.packet);
	uint32_t destination = packets_destination(&l->life.packet.packet);

	list_flows(l, 0);
	life_process(&l->life, from);
	list_flows(l, 1);
	check_outputs(l, from);
	if (!l->spoilt) {
		check_others(l, from, source, destination);
		check_esp(l, from, destination);
	}
	check_engine(l);
}

/* --- packets --- */

/* Between whom: three bits of the host, two of the remote, one of the outside address, one of the side, one to make
 * a mess. */
struct ends {
	uint32_t host, inside, remote, outside;
	enum side from;
	bool odd;
};

static struct ends ends_of(uint8_t who)
{
	uint32_t host = (who & 7u) % HOSTS;

	return (struct ends){
		.host = host,
		.inside = (who & 7) == 7 ? (uint32_t)SERVER_INSIDE : HOST + host,
		.remote = (uint32_t)REMOTE + (who >> 3 & 3) % REMOTES,
		.outside = who >> 5 & 1 ? (uint32_t)LIFE_OUTSIDE + 1 : (uint32_t)LIFE_OUTSIDE,
		.from = who >> 6 & 1 ? SIDE_WAN : SIDE_LAN,
		.odd = who >> 7 & 1,
	};
}

/* A small number, or one that some tunnel has. */
static uint32_t some_spi(struct ipsec_life *l, uint8_t choice)
{
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t which = choice & 15;

	if (choice & 0x80)
		while (engine_next_tunnel(l->life.engine, &cursor, l->life.now, &view))
			if (view.service == SERVICE_IPSEC && which-- == 0)
				return choice & 0x40 ? view.remote_id : view.inside_id;
	return 0x100u + (choice & 0x3f);
}

static void send_esp(struct ipsec_life *l, struct ends e, uint8_t a, uint8_t b)
{
	static const uint32_t sequence[4] = {1, 200000, 0x90000000, 0xffffffff};
	bool out = e.from == SIDE_LAN;

	packets_build(&l->life.packet, &(struct packet_spec){
					       .protocol = PROTO_ESP,
					       .source = out ? e.inside : e.remote,
					       .destination = out ? e.remote : e.outside,
					       .spi = some_spi(l, b),
					       .sequence = sequence[a & 3] + (a >> 2 & 7),
					       .ttl = a >> 5 == 7 ? 1 : 64,
					       .payload_length = e.odd ? 1600 : 16,
					       .df = a >> 5 == 6,
				       });
	send_packet(l, e.from);
}

static void send_udp(struct ipsec_life *l, struct ends e, uint16_t port, uint16_t other, const uint8_t *bytes,
		     uint32_t count, uint16_t merged)
{
	bool out = e.from == SIDE_LAN;

	packets_build(&l->life.packet, &(struct packet_spec){
					       .protocol = PROTO_UDP,
					       .source = out ? e.inside : e.remote,
					       .destination = out ? (e.odd ? e.outside : e.remote) : e.outside,
					       .source_port = port,
					       .destination_port = other,
					       .payload = bytes,
					       .payload_length = count,
					       .gso_size = merged,
				       });
	send_packet(l, e.from);
}

/* Ports that make sense from this side, and one that was seen. */
static void ports_of(const struct ipsec_life *l, struct ends e, uint8_t a, uint16_t *source, uint16_t *destination)
{
	uint16_t server = a & 1 ? 4500 : 500, client = a & 2 ? (uint16_t)(server + 1) : server;

	*source = e.from == SIDE_LAN ? client : server;
	*destination = e.from == SIDE_LAN ? server : a & 4 ? l->port[e.host] : client;
}

/* A message whose header makes sense; b says which one. */
static void build_ike(struct ipsec_life *l, struct ends e, uint8_t a, uint8_t b)
{
	static const uint8_t exchange[8] = {34, 35, 36, 37, 2, 32, 36, 5};
	uint64_t initiator = 0x1000u + (a >> 4 & 1 ? 7 : e.host) + 16 * (b >> 5 & 1u);
	bool v1 = exchange[b & 7] < 34;

	if ((b & 0xc7) == 0) {
		ike_build_sa_init(&l->message, initiator);
	} else if ((b & 0xc7) == 4) {
		ike_build_main_mode(&l->message, initiator);
	} else {
		ike_begin(&l->message, v1 ? 1 : 2, exchange[b & 7], a >> 5 & 1 ? IKE_RESPONSE : IKE_INITIATOR,
			  initiator, b >> 6 & 1 ? 0 : initiator + 1, b >> 3 & 3u);
		ike_add(&l->message, V2_SK, NULL, 20);
	}
}

static void send_ike(struct ipsec_life *l, struct ends e, uint8_t a, uint8_t b)
{
	uint8_t bytes[3 * 512] = {0};
	uint16_t source, destination;
	uint32_t at = a & 1 && !(a & 0x80) ? 4 : 0;

	ports_of(l, e, a, &source, &destination);
	build_ike(l, e, a, b);
	size_t length = at + l->message.length;
	if (length > 512)
		return;
	memcpy(bytes + at, l->message.bytes, l->message.length);
	if (!(a & 0x40)) {
		send_udp(l, e, source, destination, bytes, (uint32_t)length, 0);
		return;
	}
	/* merged: the second one of another exchange, and a shorter rest */
	memcpy(bytes + length, bytes, length);
	bytes[length + at + 7] ^= (uint8_t)(b >> 3);
	memcpy(bytes + 2 * length, bytes, length);
	send_udp(l, e, source, destination, bytes, (uint32_t)(2 * length + length / 2), (uint16_t)length);
}

static void send_natt(struct ipsec_life *l, struct ends e, uint8_t a, uint8_t b)
{
	uint8_t bytes[40] = {0xff};
	uint16_t source, destination;

	ports_of(l, e, a | 1, &source, &destination);
	if (b & 3) {
		ike_put(bytes, some_spi(l, b), 4);
		ike_put(bytes + 4, b, 4);
	}
	send_udp(l, e, source, destination, bytes, b & 3 ? (b & 4 ? 40 : b % 12u) : 1, 0);
}

static void send_raw(struct ipsec_life *l, struct ends e, uint8_t a, const uint8_t *bytes, uint32_t count)
{
	uint16_t source, destination;

	ports_of(l, e, a, &source, &destination);
	send_udp(l, e, source, destination, bytes, count, 0);
}

/* Pieces of a message or of ESP, in an order that b says. */
static void send_pieces(struct ipsec_life *l, struct ends e, uint8_t a, uint8_t b)
{
	static struct test_packet whole;
	bool out = e.from == SIDE_LAN, esp = a & 1;
	uint32_t first = 8u * (3 + (a >> 1 & 7u));

	build_ike(l, e, a, b);
	packets_build(&whole, &(struct packet_spec){
				      .protocol = esp ? PROTO_ESP : PROTO_UDP,
				      .source = out ? e.inside : e.remote,
				      .destination = out ? e.remote : e.outside,
				      .source_port = 500,
				      .destination_port = out ? 500 : l->port[e.host],
				      .spi = some_spi(l, b),
				      .sequence = 9,
				      .id = a >> 4 & 3u,
				      .payload = l->message.bytes,
				      .payload_length = l->message.length,
			      });
	uint32_t all = whole.packet.length - 20;
	if (first >= all)
		return;
	for (uint32_t i = 0; i < 2; i++) {
		bool is_first = (i == 0) == !(a & 0x40);
		if (i == 1 && a & 0x80)
			return;
		packets_build_fragment(&l->life.packet, &whole, is_first ? 0 : first, is_first ? first : all - first);
		send_packet(l, e.from);
	}
}

static void send_ah(struct ipsec_life *l, struct ends e)
{
	bool out = e.from == SIDE_LAN;

	packets_build(&l->life.packet, &(struct packet_spec){.protocol = PROTO_AH,
							     .source = out ? e.inside : e.remote,
							     .destination = out ? e.remote : e.outside,
							     .payload_length = 24});
	send_packet(l, e.from);
}

/* About the packet that went on last. */
static void send_error(struct ipsec_life *l, uint8_t a)
{
	const struct packet *p = &l->life.last.packet;

	if (p->length < 28)
		return;
	packets_build_error(&l->life.packet, packets_destination(p), packets_source(p), 3, a % 16, a & 16 ? 1400 : 0,
			    p->data, p->length < 48 ? p->length : 48);
	if (a & 32)
		packet_put16(&l->life.packet.packet, 28 + 22, a);
	packets_fix_transport_checksum(&l->life.packet.packet);
	send_packet(l, l->life.last_to);
}

/* --- time, changes, crashes --- */

static void pass_time(struct ipsec_life *l, uint8_t a)
{
	static const uint32_t step[16] = {0,     1,     100,   1000,   2999,   3000,   3001,    5000,
					  10000, 29999, 30000, 120000, 300000, 600000, 3600000, 7440000};
	struct engine_sink sink = {.emit = emissions_emit, .context = &l->life.out};

	l->life.now += step[a % 16];
	emissions_clear(&l->life.out);
	if (a & 16)
		life_expire(&l->life, a & 32 ? NULL : &sink);
	check_outputs(l, SIDE_LAN);
	check_engine(l);
}

static void configure(struct ipsec_life *l, uint8_t a, uint8_t b)
{
	static const enum part parts[4] = {PART_IKE, PART_NATT, PART_ESP, PART_AH};

	switch (a % 4) {
	case 0:
	case 1:
		l->life.config.mode[parts[b % 4]] = (enum service_mode)((b >> 2) % 3);
		break;
	case 2:
		l->life.config.forward[0] = (struct forward){PROTO_UDP, 500, 500, {SERVER_INSIDE}, 500};
		l->life.config.forward[1] = (struct forward){PROTO_UDP, 4500, 4500, {SERVER_INSIDE}, 4500};
		l->life.config.forward[2] = (struct forward){PROTO_ESP, 0, 0, {SERVER_INSIDE}, 0};
		l->life.config.forwards = b % 4;
		break;
	default:
		l->life.config.esp_fanout = b & 1;
		l->life.config.refresh_inbound = b & 2;
		l->life.config.filtering = (enum dependence)((b >> 2) % 3);
		l->life.config.mapping = (enum dependence)((b >> 4) % 3);
		l->life.config.host_flows = b & 64 ? 10 : 16384;
		break;
	}
	engine_configure(l->life.engine, &l->life.config, l->life.now);
}

static void spoil(struct ipsec_life *l, uint8_t a, uint8_t b)
{
	const struct engine *e = l->life.engine;
	uint8_t *ipsec = e->module[SERVICE_IPSEC];
	struct test_random r = test_random_seed((uint64_t)a << 8 | b);
	struct {
		void *at;
		size_t size;
	} const area[] = {
		{ipsec, engine_arena_size(&l->life.limits) - (size_t)(ipsec - (uint8_t *)l->life.arena)},
		{ipsec, 8192},
		{e->flow, FLOWS_MAX * sizeof(struct flow)},
		{e->track, FLOWS_MAX * sizeof(union flow_track)},
	};
	uint8_t *at = area[a % 4].at;

	l->spoilt = true;
	for (uint32_t spots = 1 + (b & 31); spots > 0; spots--) {
		uint32_t place = test_random_below(&r, (uint32_t)area[a % 4].size);
		at[place] =
			test_random_one_in(&r, 2) ? (uint8_t)test_random_below(&r, 8) : (uint8_t)test_random_next(&r);
	}
}

static void change(struct ipsec_life *l, struct ends e, uint8_t a, uint8_t b)
{
	static const uint32_t outside[3] = {LIFE_OUTSIDE, LIFE_OUTSIDE + 1, LIFE_OUTSIDE};

	switch (a >> 5) {
	case 0:
	case 1:
	case 2:
		configure(l, a, b);
		break;
	case 3:
	case 4:
		packets_set_outside(l->life.engine, e.odd ? outside + 1 : outside, b % 3, l->life.now);
		break;
	default: /* kill -9 */
		if (a >> 5 == 7)
			spoil(l, a, b);
		life_crash(&l->life);
		if (a >> 5 == 7)
			life_check(engine_check(l->life.engine));
		break;
	}
	check_engine(l);
}

/* Returns the bytes of data that were used. */
static size_t step(struct ipsec_life *l, const uint8_t *record, const uint8_t *more, size_t left)
{
	struct ends e = ends_of(record[1]);
	uint8_t a = record[2], b = record[3];
	size_t raw = b < left ? b : left;

	switch (record[0] % 16) {
	case 8:
		send_natt(l, e, a, b);
		return 0;
	case 9:
		send_raw(l, e, a, more, (uint32_t)raw);
		return raw;
	case 10:
		send_pieces(l, e, a, b);
		return 0;
	case 11:
		if (a & 1)
			send_ah(l, e);
		else
			send_error(l, a);
		return 0;
	case 12:
	case 13:
		pass_time(l, a);
		return 0;
	case 14:
		change(l, e, a, b);
		return 0;
	case 4:
	case 5:
	case 6:
	case 7:
		send_ike(l, e, a, b);
		return 0;
	default:
		send_esp(l, e, a, b);
		return 0;
	}
}

static void expire_all(struct ipsec_life *l)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &l->life.out};

	emissions_clear(&l->life.out);
	life_expire(&l->life, &sink);
}

/* Who waits goes on, fragments are given up, and after some hours nothing is left. */
static void end(struct ipsec_life *l)
{
	const struct engine_counters *counters = engine_counters(l->life.engine);
	struct tunnel_view view;
	uint64_t cursor = 0;

	for (int i = 0; i < LIFE_ROUNDS && counters->held[SIDE_LAN] + counters->held[SIDE_WAN] > 0; i++) {
		l->life.now += 3001;
		expire_all(l);
		life_check(ipsec_check(l->life.engine));
	}
	if (counters->held[SIDE_LAN] + counters->held[SIDE_WAN] > 0)
		life_fail("packets wait for ever");
	for (int i = 0; i < 2; i++) {
		l->life.now += 7440000;
		expire_all(l);
	}
	/* A spoilt deadline may be weeks away. */
	while (!l->spoilt && engine_next_tunnel(l->life.engine, &cursor, l->life.now, &view))
		if (view.end == END_NOT)
			life_fail("a tunnel does not end");
	if (!l->spoilt && counters->flows > 0)
		life_fail("a flow does not end");
	life_check(ipsec_check(l->life.engine));
	life_finish(&l->life);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ipsec_life life;

	if (size == 0)
		return 0;
	begin(&life, data[0]);
	for (size_t at = 1; at + 4 <= size && life.life.steps < LIFE_STEPS;) {
		const uint8_t *record = data + at;
		at += 4;
		at += step(&life, record, data + at, size - at);
	}
	end(&life);
	return 0;
}
