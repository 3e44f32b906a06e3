/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens in a world: packets of all kinds, mostly sensible and 1 in 10 spoilt.
 */
#include <string.h>

#include "world.h"

static uint32_t below(struct test_random *r, uint32_t n)
{
	return test_random_below(r, n);
}

static bool one_in(struct test_random *r, uint32_t n)
{
	return test_random_one_in(r, n);
}

/* --- packets --- */

static uint32_t random_inside(struct test_random *r)
{
	return one_in(r, 60) ? 0x0a630001 : 0x0a000002 + below(r, 5);
}

static uint32_t random_remote(struct test_random *r)
{
	return 0xcb007101 + below(r, 4); /* 203.0.113.x */
}

static uint16_t random_port(struct test_random *r)
{
	static const uint16_t port[] = {500, 501,  1023, 1024, 4500, 1701, 1723,
					53,  5000, 5001, 5002, 5003, 5004, 40000};

	return one_in(r, 12) ? (uint16_t)test_random_next(r) : port[below(r, 14)];
}

static uint8_t random_protocol(struct test_random *r)
{
	static const uint8_t protocol[] = {PROTO_TCP, PROTO_TCP,  PROTO_TCP,  PROTO_UDP, PROTO_UDP, PROTO_UDP,
					   PROTO_UDP, PROTO_ICMP, PROTO_ICMP, PROTO_GRE, PROTO_ESP, PROTO_L2TP};

	return one_in(r, 50) ? (uint8_t)test_random_next(r) : protocol[below(r, 12)];
}

static uint32_t random_length(struct test_random *r)
{
	switch (below(r, 16)) {
	case 0:
		return 1200 + below(r, 400);
	case 1:
		return below(r, 2) ? 1600 + below(r, 1500) : 1452 + below(r, 40);
	case 2:
		return 0;
	default:
		return below(r, 100);
	}
}

static const uint8_t OPTIONS_ROUTE_RECORD[] = {7, 7, 4, 0, 0, 0, 0, 0};
static const uint8_t OPTIONS_MIXED[] = {1, 1, 0x94, 4, 0, 0, 7, 3, 4, 0, 0, 0};
static const uint8_t OPTIONS_SOURCE_ROUTE[] = {1, 131, 7, 4, 1, 2, 3, 4};
static const uint8_t TCP_OPTIONS_SYN[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
static const uint8_t TCP_OPTIONS_ODD[] = {1, 2, 4, 0x23, 0x28, 0, 0, 0};
static const uint8_t TCP_OPTIONS_BAD[] = {2, 3, 9, 2, 40, 1, 1, 1};

/* The IPv4 part: mostly plain. */
static void random_ip(struct test_random *r, struct packet_spec *s)
{
	s->id = (uint16_t)test_random_next(r);
	s->df = one_in(r, 2);
	s->tos = one_in(r, 4) ? (uint8_t)test_random_next(r) : 0;
	if (one_in(r, 25)) {
		s->ttl = (uint8_t)below(r, 3);
		s->ttl_zero = true;
	}
	if (!one_in(r, 25))
		return;
	switch (below(r, 3)) {
	case 0:
		s->ip_options = OPTIONS_ROUTE_RECORD, s->ip_options_length = sizeof(OPTIONS_ROUTE_RECORD);
		break;
	case 1:
		s->ip_options = OPTIONS_MIXED, s->ip_options_length = sizeof(OPTIONS_MIXED);
		break;
	default:
		s->ip_options = OPTIONS_SOURCE_ROUTE, s->ip_options_length = sizeof(OPTIONS_SOURCE_ROUTE);
		break;
	}
}

static void random_tcp(struct test_random *r, struct packet_spec *s, const struct model_flow *flow, enum side from)
{
	const struct model_tcp *own = flow ? &flow->tcp[from] : NULL, *other = flow ? &flow->tcp[!from] : NULL;

	s->sequence = own && own->heard ? own->next : test_random_next(r);
	s->acknowledge = other && other->heard ? other->next : 0;
	s->flags = other && other->heard ? FLAG_ACK : 0;
	if (!own || !own->heard || one_in(r, 30)) {
		s->flags |= FLAG_SYN;
		switch (below(r, 4)) {
		case 0:
			s->tcp_options = TCP_OPTIONS_SYN, s->tcp_options_length = sizeof(TCP_OPTIONS_SYN);
			break;
		case 1:
			s->tcp_options = TCP_OPTIONS_ODD, s->tcp_options_length = sizeof(TCP_OPTIONS_ODD);
			break;
		case 2:
			s->tcp_options = TCP_OPTIONS_BAD, s->tcp_options_length = sizeof(TCP_OPTIONS_BAD);
			break;
		default:
			break;
		}
		s->payload_length = one_in(r, 10) ? s->payload_length : 0;
	} else if (one_in(r, 10)) {
		s->flags |= FLAG_FIN | FLAG_ACK;
	} else if (one_in(r, 14)) {
		s->flags = FLAG_RST | (one_in(r, 2) ? FLAG_ACK : 0);
	} else {
		s->flags |= FLAG_ACK | (one_in(r, 3) ? FLAG_PSH : 0);
	}
	if (one_in(r, 25))
		s->flags = (uint8_t)test_random_next(r);
	if (one_in(r, 25))
		s->sequence += one_in(r, 2) ? test_random_next(r) : below(r, 3000) - 1500u;
	s->window = (uint16_t)(1 + below(r, 65535));
}

static void random_offload(struct test_random *r, struct packet_spec *s)
{
	if (s->protocol != PROTO_TCP && s->protocol != PROTO_UDP)
		return;
	if (one_in(r, 4))
		s->partial = true;
	if (one_in(r, 40) && !(s->flags & FLAG_SYN)) {
		s->gso_size = (uint16_t)(one_in(r, 4) ? 1480 : 1200 + below(r, 200));
		s->payload_length = one_in(r, 4) ? 30000 + below(r, 34000) : s->gso_size + below(r, 4000);
	}
}

/* From one endpoint to another, as flow (if there is one) would have it. */
static void build_plain(struct test_random *r, struct packet_spec *s, const struct model_flow *flow, enum side from,
			struct test_packet *out)
{
	random_ip(r, s);
	s->payload_length = random_length(r);
	s->sequence = test_random_next(r);
	s->spi = one_in(r, 30) ? 0 : 1 + test_random_next(r) % 1000;
	if (s->protocol == PROTO_ICMP && one_in(r, 40))
		s->icmp_type = (uint8_t)test_random_next(r);
	if (s->protocol == PROTO_TCP)
		random_tcp(r, s, flow, from);
	s->udp_no_checksum = one_in(r, 10);
	random_offload(r, s);
	packets_build(out, s);
}

static uint8_t random_query(struct test_random *r, bool answer)
{
	return (uint8_t)(one_in(r, 8) ? (answer ? 14 : 13) : (answer ? 0 : 8));
}

static void make_lan_new(struct test_random *r, struct test_packet *out)
{
	struct packet_spec s = {.protocol = random_protocol(r),
				.source = random_inside(r),
				.destination = random_remote(r),
				.source_port = random_port(r),
				.destination_port = random_port(r),
				.icmp_type = random_query(r, one_in(r, 10))};

	build_plain(r, &s, NULL, SIDE_LAN, out);
}

static const struct model_flow *random_flow(struct world *w, struct test_random *r)
{
	uint32_t start = below(r, MODEL_FLOWS);

	for (uint32_t i = 0; i < MODEL_FLOWS; i++)
		if (w->model->flow[(start + i) % MODEL_FLOWS].live)
			return &w->model->flow[(start + i) % MODEL_FLOWS];
	return NULL;
}

static bool make_in_flow(struct world *w, struct test_random *r, enum side from, struct test_packet *out)
{
	const struct model_flow *f = random_flow(w, r);
	struct packet_spec s;

	if (!f)
		return false;
	if (from == SIDE_LAN)
		s = (struct packet_spec){.protocol = f->protocol,
					 .source = f->inside,
					 .source_port = f->inside_port,
					 .destination = f->remote,
					 .destination_port = f->remote_port};
	else
		s = (struct packet_spec){.protocol = f->protocol,
					 .source = f->remote,
					 .source_port = f->remote_port,
					 .destination = f->outside,
					 .destination_port = f->outside_port};
	if (f->protocol == PROTO_ICMP) {
		s.source_port = from == SIDE_LAN ? f->inside_port : f->outside_port;
		s.icmp_type = random_query(r, (from == SIDE_WAN) != one_in(r, 8));
	}
	build_plain(r, &s, f, from, out);
	return true;
}

static const struct model_mapping *random_mapping(struct world *w, struct test_random *r)
{
	uint32_t start = below(r, MODEL_FLOWS);

	for (uint32_t i = 0; i < MODEL_FLOWS; i++)
		if (w->model->mapping[(start + i) % MODEL_FLOWS].live)
			return &w->model->mapping[(start + i) % MODEL_FLOWS];
	return NULL;
}

static bool random_called(struct world *w, struct test_random *r, struct packet_spec *s)
{
	const struct model_mapping *m = random_mapping(w, r);

	if (!w->model->outsides)
		return false;
	s->destination = w->model->outside[below(r, w->model->outsides)];
	if (m && one_in(r, 2)) {
		s->protocol = m->protocol;
		s->destination = m->outside;
		s->destination_port = m->outside_port;
	} else if (w->config.forwards && one_in(r, 2)) {
		const struct forward *f = &w->config.forward[below(r, w->config.forwards)];
		s->protocol = f->protocol;
		s->destination_port = (uint16_t)(f->port_first + below(r, 1u + f->port_last - f->port_first));
	}
	return true;
}

static bool make_from_wan(struct world *w, struct test_random *r, bool random, struct test_packet *out)
{
	struct packet_spec s = {.protocol = random_protocol(r),
				.source = random_remote(r),
				.source_port = random_port(r),
				.destination_port = random_port(r),
				.icmp_type = random_query(r, one_in(r, 3))};

	if (!random_called(w, r, &s) && !random)
		return false;
	if (random && one_in(r, 3)) {
		const uint32_t odd[] = {0x7f000001,
					0x00000001,
					0xe0000001,
					0xf0000001,
					0xffffffff,
					0x0a000003,
					w->model->outsides ? w->model->outside[0] : 1};
		*(one_in(r, 2) ? &s.source : &s.destination) = odd[below(r, 7)];
	}
	if (s.protocol == PROTO_ICMP)
		s.source_port = s.destination_port;
	build_plain(r, &s, NULL, SIDE_WAN, out);
	return true;
}

static bool make_hairpin(struct world *w, struct test_random *r, struct test_packet *out)
{
	struct packet_spec s = {.protocol = random_protocol(r),
				.source = random_inside(r),
				.source_port = random_port(r),
				.destination_port = random_port(r),
				.icmp_type = 8};
	const struct model_mapping *own = random_mapping(w, r);

	if (!random_called(w, r, &s))
		return false;
	if (own && own->protocol == s.protocol && one_in(r, 2)) {
		s.source = own->inside;
		s.source_port = own->inside_port;
	}
	if (s.protocol == PROTO_ICMP) {
		s.source_port = s.destination_port;
		s.icmp_type = random_query(r, one_in(r, 2));
	}
	build_plain(r, &s, NULL, SIDE_LAN, out);
	return true;
}

static bool make_error(struct world *w, struct test_random *r, enum side from, struct test_packet *out)
{
	static const uint8_t type[] = {3, 3, 3, 3, 11, 12};
	static const uint32_t rest[] = {0, 1, 67, 68, 500, 1400, 0x12340000};
	uint32_t kept = w->recents[from] < WORLD_RECENT ? w->recents[from] : WORLD_RECENT;

	if (!kept)
		return false;
	uint32_t index = below(r, kept);
	const uint8_t *quoted = w->recent[from][index].bytes;
	uint32_t length = w->recent[from][index].length;
	uint32_t quote = one_in(r, 2) ? 28 : length;
	struct packet q = {.data = w->recent[from][index].bytes, .length = length};
	uint32_t source = from == SIDE_LAN ? (one_in(r, 4) ? w->config.hop_address.v4 : packets_destination(&q))
			  : one_in(r, 2)   ? packets_destination(&q)
					   : random_remote(r);
	uint8_t chosen = type[below(r, 6)];
	packets_build_error(out, source, packets_source(&q), chosen, (uint8_t)(chosen == 3 ? below(r, 6) : 0),
			    rest[below(r, 7)], quoted, quote < length ? quote : length);
	if (one_in(r, 20)) {
		packet_put8(&out->packet, 28 + below(r, 28), (uint8_t)test_random_next(r));
		packets_fix_transport_checksum(&out->packet);
	}
	return true;
}

/* --- fragments --- */

static void cut_datagram(struct test_random *r, struct datagram *d)
{
	uint32_t payload = d->whole.packet.length - packets_ihl(&d->whole.packet), at = 0;

	d->pieces = 0;
	d->sent = 0;
	while (at < payload && d->pieces < 16) {
		/* UDP may begin with 8 bytes, and some networks cut so small. */
		uint32_t length = one_in(r, at ? 20 : 6) ? 8 : (24 + below(r, 700)) / 8 * 8;
		if (d->pieces == 15 || length > payload - at)
			length = payload - at;
		if (length > 1400)
			length = 1400;
		d->cut[d->pieces] = at;
		d->length[d->pieces++] = length;
		at += length;
	}
	if (one_in(r, 2))
		return;
	for (uint32_t i = d->pieces; i > 1; i--) {
		uint32_t k = below(r, i), cut = d->cut[i - 1], length = d->length[i - 1];
		d->cut[i - 1] = d->cut[k], d->length[i - 1] = d->length[k];
		d->cut[k] = cut, d->length[k] = length;
	}
}

static bool new_datagram(struct world *w, struct test_random *r, struct datagram *d)
{
	struct packet_spec s = {.protocol = random_protocol(r),
				.source_port = random_port(r),
				.destination_port = random_port(r),
				.icmp_type = 8,
				.df = one_in(r, 4),
				.id = ++w->next_id,
				.sequence = 1,
				.spi = 7,
				.flags = FLAG_ACK,
				.payload_length = 60 + below(r, 3000),
				.udp_no_checksum = one_in(r, 4)};
	const struct model_flow *f = random_flow(w, r);

	d->from = one_in(r, 2) ? SIDE_LAN : SIDE_WAN;
	if (f && !one_in(r, 4)) {
		bool out = d->from == SIDE_LAN;
		s.protocol = f->protocol;
		s.source = out ? f->inside : f->remote;
		s.source_port =
			out || f->protocol == PROTO_ICMP ? (out ? f->inside_port : f->outside_port) : f->remote_port;
		s.destination = out ? f->remote : f->outside;
		s.destination_port = out ? f->remote_port : f->outside_port;
		s.icmp_type = out ? 8 : 0;
	} else if (d->from == SIDE_LAN) {
		s.source = random_inside(r);
		s.destination = random_remote(r);
	} else if (w->model->outsides) {
		s.source = random_remote(r);
		s.destination = w->model->outside[0];
	} else {
		return false;
	}
	if (one_in(r, 12)) {
		s.ttl = 1;
	}
	packets_build(&d->whole, &s);
	cut_datagram(r, d);
	d->live = true;
	return true;
}

static bool make_fragment(struct world *w, struct test_random *r, enum side *from, struct test_packet *out)
{
	struct datagram *d = &w->datagram[below(r, WORLD_DATAGRAMS)];

	if (!d->live && !new_datagram(w, r, d))
		return false;
	uint32_t at = d->cut[d->sent], length = d->length[d->sent];
	*from = d->from;
	if (one_in(r, 40) && length > 16) /* overlap: a little more than its share */
		at = at >= 8 ? at - 8 : at;
	packets_build_fragment(out, &d->whole, at, length);
	if (one_in(r, 12)) {
		out->bytes[8] = 1;
		packets_fix_ip_checksum(out->bytes);
	}
	if (one_in(r, 60)) /* a copy, but not quite */
		out->bytes[out->packet.length - 1] ^= 1;
	if (!one_in(r, 12)) /* else it comes again */
		d->sent++;
	if (d->sent < d->pieces && one_in(r, 40))
		d->sent++; /* lost */
	else if (d->sent > 1 && one_in(r, 20))
		d->sent -= 1 + below(r, d->sent - 1); /* some come again, perhaps when all have gone on */
	d->live = d->sent < d->pieces;
	return true;
}

static void make_bypass(struct test_random *r, enum side *from, struct test_packet *out)
{
	uint32_t far = 0xc0000200 + below(r, 3);
	struct packet_spec s = {.protocol = random_protocol(r),
				.source_port = random_port(r),
				.destination_port = random_port(r),
				.icmp_type = 8};

	*from = one_in(r, 2) ? SIDE_LAN : SIDE_WAN;
	s.source = *from == SIDE_LAN ? random_inside(r) : far;
	s.destination = *from == SIDE_LAN ? far : random_inside(r);
	build_plain(r, &s, NULL, *from, out);
}

/* Spoils some bytes; the sums are made good again more often than not, so that it goes deeper. */
static void spoil(struct test_random *r, struct test_packet *out)
{
	struct packet *p = &out->packet;

	if (p->offload.partial || !p->length)
		return;
	for (uint32_t i = 1 + below(r, 3); i; i--)
		p->data[below(r, p->length < 64 ? p->length : 64)] = (uint8_t)test_random_next(r);
	if (one_in(r, 4)) { /* padding */
		uint32_t more = below(r, 40);
		if (p->length + more <= PACKET_LENGTH_MAX) {
			memset(p->data + p->length, 0xa5, more);
			p->length += more;
		}
	} else if (one_in(r, 4)) {
		p->length = below(r, p->length);
	}
	if (one_in(r, 5) || p->length < 20 || packets_ihl(p) > p->length)
		return;
	packets_fix_ip_checksum(p->data);
	if (!one_in(r, 4) && packets_ihl(p) >= 20 && packet_get16(p, 2) >= packets_ihl(p))
		packets_fix_transport_checksum(p);
}

/* GRE with a key, and the enhanced kind, are tested with the calls. */
static bool is_special_gre(const struct packet *p, uint32_t at)
{
	return packet_get8(p, at + 9) == PROTO_GRE && (packet_get16(p, at + 6) & 0x1fff) == 0 &&
	       (packet_get16(p, at + (packet_get8(p, at) & 15u) * 4) & 0x2007) != 0;
}

/* Gaps of the document: an error about a hairpinned query, which has no flow at the called end; a hairpinned query
 * where a forward claims ICMP. */
static bool unspecified(const struct world *w, enum side from, const struct packet *p)
{
	uint32_t ihl = packets_ihl(p), inner = ihl + 8;

	if (is_special_gre(p, 0))
		return true;
	if (packet_get8(p, 9) == PROTO_ICMP && model_icmp_is_error(packet_get8(p, ihl)) && is_special_gre(p, inner))
		return true;
	uint32_t quote = packets_ihl(p) + 8;

	if (from == SIDE_LAN && p->length >= 28 && p->data[9] == PROTO_ICMP &&
	    model_is_outside(w->model, packets_destination(p)) && model_forward(w->model, PROTO_ICMP, 0))
		return true;
	return from == SIDE_LAN && p->length >= quote + 20 && p->data[9] == PROTO_ICMP &&
	       model_icmp_is_error(packet_get8(p, quote - 8)) && packet_get8(p, quote + 9) == PROTO_ICMP &&
	       model_is_outside(w->model, packet_get32(p, quote + 12));
}

bool grammar_packet(struct world *w, struct test_random *r, uint8_t kind, enum side *from, struct test_packet *out)
{
	bool made = true;

	*from = SIDE_LAN;
	switch (kind) {
	case EVENT_LAN_NEW:
		make_lan_new(r, out);
		break;
	case EVENT_LAN_FLOW:
		made = make_in_flow(w, r, SIDE_LAN, out);
		break;
	case EVENT_HAIRPIN:
		made = make_hairpin(w, r, out);
		break;
	case EVENT_LAN_ERROR:
		made = make_error(w, r, SIDE_LAN, out);
		break;
	case EVENT_FRAGMENT:
		made = make_fragment(w, r, from, out);
		break;
	case EVENT_BYPASS:
		make_bypass(r, from, out);
		break;
	default:
		*from = SIDE_WAN;
		break;
	}
	switch (kind) {
	case EVENT_WAN_FLOW:
		made = make_in_flow(w, r, SIDE_WAN, out);
		break;
	case EVENT_WAN_MAPPING:
		made = make_from_wan(w, r, false, out);
		break;
	case EVENT_WAN_RANDOM:
		made = make_from_wan(w, r, true, out);
		break;
	case EVENT_WAN_ERROR:
		made = make_error(w, r, SIDE_WAN, out);
		break;
	default:
		break;
	}
	if (!made)
		return false;
	if (one_in(r, 10))
		spoil(r, out);
	return !unspecified(w, *from, &out->packet);
}
