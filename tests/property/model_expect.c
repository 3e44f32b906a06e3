/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must have come out: verdicts, packets compared byte for byte, errors made by the engine.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

bool model_fail(struct model *m, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(m->error, sizeof(m->error), format, arguments);
	va_end(arguments);
	return false;
}

static const char *verdict_name(uint8_t verdict)
{
	static const char *const name[] = {"forwarded", "consumed", "held", "dropped"};

	return verdict < 4 ? name[verdict] : "not a verdict";
}

static bool wrong_verdict(struct judgement *j, const char *expected)
{
	return model_fail(j->m, "the verdict is %s (%s), the model says %s", verdict_name(j->result->verdict),
			  j->result->drop < DROPS ? drop_name(j->result->drop) : "not a reason", expected);
}

bool expect_drops(struct judgement *j, uint64_t reasons)
{
	if (!j->result) /* it was held: its own verdict was given before */
		return true;
	if (j->result->verdict == VERDICT_DROPPED && j->result->drop < DROPS && (reasons >> j->result->drop & 1))
		return true;
	char text[200] = "dropped for";
	size_t used = strlen(text);
	for (int reason = 1; reason < DROPS; reason++)
		if ((reasons >> reason & 1) && used < sizeof(text) - 40)
			used += (size_t)snprintf(text + used, sizeof(text) - used, " %s", drop_name((enum drop)reason));
	return wrong_verdict(j, text);
}

bool expect_drop(struct judgement *j, enum drop reason)
{
	return expect_drops(j, UINT64_C(1) << reason);
}

bool expect_consumed(struct judgement *j)
{
	return j->result->verdict == VERDICT_CONSUMED && j->result->drop == DROP_NONE ? true
										      : wrong_verdict(j, "consumed");
}

static struct emission *take(struct judgement *j)
{
	if (*j->taken >= j->out->count) {
		model_fail(j->m, "a packet is missing in the output");
		return NULL;
	}
	return &j->out->item[(*j->taken)++];
}

/* Errors are never made about ICMP errors and later fragments (sections 7 and RFC 1122 3.2.2). */
static bool may_make_error(const struct judgement *j)
{
	uint8_t type = packet_get8(j->p, j->ihl);

	if (!j->m->config.icmp_rate || j->offset)
		return false;
	return j->protocol != PROTO_ICMP || !(type == 3 || type == 4 || type == 5 || type == 11 || type == 12);
}

bool expect_made_error(struct judgement *j, enum side to, uint32_t source, uint8_t type, uint8_t code, uint32_t rest)
{
	if (!may_make_error(j))
		return true;
	struct emission *item = take(j);
	if (!item)
		return false;
	struct packet *e = &item->packet;
	uint32_t quote = j->total < 548 ? j->total : 548;
	const char *wrong = packets_verify(e);
	if (wrong)
		return model_fail(j->m, "ICMP error made here: %s", wrong);
	if (item->to != to || item->origin != ORIGIN_OWN)
		return model_fail(j->m, "ICMP error made here: wrong side, or not marked as made");
	if (e->length != 28 + quote)
		return model_fail(j->m, "ICMP error made here: %u bytes, the model says %u", e->length, 28 + quote);
	if (e->data[0] != 0x45 || e->data[9] != PROTO_ICMP || e->data[1] != 0xc0 || e->data[8] < 32 ||
	    packet_get16(e, 6) & 0xbfff)
		return model_fail(j->m, "ICMP error made here: a field of the IPv4 header is wrong");
	if (packets_source(e) != source || packets_destination(e) != j->source)
		return model_fail(j->m, "ICMP error made here: from %08x to %08x, the model says from %08x to %08x",
				  packets_source(e), packets_destination(e), source, j->source);
	if (e->data[20] != type || e->data[21] != code || packet_get32(e, 24) != rest)
		return model_fail(j->m, "ICMP error made here: type %u code %u rest %08x, the model says %u %u %08x",
				  e->data[20], e->data[21], packet_get32(e, 24), type, code, rest);
	if (memcmp(e->data + 28, j->p->data, quote))
		return model_fail(j->m, "ICMP error made here: it does not quote the packet as it came");
	if (e->offload.partial || e->offload.gso_type)
		return model_fail(j->m, "ICMP error made here: it asks for offloads");
	return true;
}

void translation_add_slot(struct translation *t, uint8_t protocol, uint32_t ip, uint32_t transport, bool partial)
{
	uint32_t at = protocol == PROTO_TCP ? 16 : protocol == PROTO_UDP ? 6 : 2;

	if (protocol != PROTO_TCP && protocol != PROTO_UDP && protocol != PROTO_ICMP)
		return;
	if (!packet_has(&t->packet->packet, transport + at, 2) || t->slots == TRANSLATION_SLOTS)
		return;
	t->slot[t->slots++] = (struct checksum_slot){.at = transport + at,
						     .from = transport,
						     .addresses = protocol == PROTO_ICMP ? 0 : ip + 12,
						     .udp = protocol == PROTO_UDP,
						     .partial = partial};
}

void translation_begin(struct judgement *j, struct translation *t)
{
	memset(t, 0, sizeof(*t));
	t->packet = malloc(sizeof(*t->packet));
	if (!t->packet)
		abort();
	packets_copy(t->packet, j->p);
	if (!j->offset)
		translation_add_slot(t, j->protocol, 0, j->ihl, j->p->offload.partial);
}

void translation_end(struct translation *t)
{
	free(t->packet);
	t->packet = NULL;
}

/* The sum that patching must keep, modulo 65535. */
static uint32_t slot_sum(const struct packet *p, const struct checksum_slot *slot)
{
	if (slot->partial) {
		uint32_t pseudo = packets_sum(p->data + slot->addresses, 8, 0);
		return (packet_get16(p, slot->at) + 65535u - pseudo) % 65535;
	}
	uint32_t sum = packets_sum(p->data + slot->from, p->length - slot->from, 0);
	if (slot->addresses)
		sum += packets_sum(p->data + slot->addresses, 8, 0);
	return sum % 65535;
}

static bool judge_slot(struct judgement *j, const struct translation *t, const struct packet *out, uint32_t index)
{
	const struct checksum_slot *slot = &t->slot[index];
	/* the packet as it came has the same layout */
	uint16_t before = packet_get16(j->p, slot->at), after = packet_get16(out, slot->at);

	if (slot->udp && !slot->partial && !before)
		return after ? model_fail(j->m, "a UDP checksum of 0 became %04x", after) : true;
	if (slot->udp && !slot->partial && !after)
		return model_fail(j->m, "a UDP checksum became 0");
	struct packet came = *j->p;
	if (slot_sum(&came, slot) != slot_sum(out, slot))
		return model_fail(j->m, "checksum at %u: %04x became %04x, which does not follow the change", slot->at,
				  before, after);
	return true;
}

/* The identification of a translated datagram must not come again soon for the same destination. */
static bool judge_id(struct judgement *j, const struct packet *out)
{
	struct model *m = j->m;
	uint16_t id = packet_get16(out, 4);
	uint32_t destination = packets_destination(out);

	if (j->hairpin && id == packet_get16(j->p, 4)) /* it stays inside: both are right */
		return true;
	for (uint32_t i = 0; i < MODEL_IDS; i++)
		if (i < m->recent_ids && m->recent_id[i].destination == destination && m->recent_id[i].id == id)
			return model_fail(m, "identification %u was used for this destination a moment ago", id);
	m->recent_id[m->recent_ids++ % MODEL_IDS].destination = destination;
	m->recent_id[(m->recent_ids - 1) % MODEL_IDS].id = id;
	return true;
}

/* Compares one whole packet that left with the translation. */
static bool judge_bytes(struct judgement *j, struct translation *t, struct packet *out)
{
	struct packet *want = &t->packet->packet;
	const char *wrong = packets_verify_ip(out);

	if (wrong)
		return model_fail(j->m, "output: %s", wrong);
	if (out->length != want->length)
		return model_fail(j->m, "output: %u bytes, the model says %u", out->length, want->length);
	if (out->offload.gso_type != want->offload.gso_type || out->offload.gso_size != want->offload.gso_size ||
	    out->offload.partial != want->offload.partial ||
	    (want->offload.partial && (out->offload.csum_start != want->offload.csum_start ||
				       out->offload.csum_offset != want->offload.csum_offset)))
		return model_fail(j->m, "output: the offloads are not those of the packet that came");
	memcpy(want->data + 10, out->data + 10, 2);
	if (t->id_free)
		memcpy(want->data + 4, out->data + 4, 2);
	for (uint32_t i = 0; i < t->slots; i++)
		memcpy(want->data + t->slot[i].at, out->data + t->slot[i].at, 2);
	if (t->quote) {
		memcpy(want->data + t->quote + 10, out->data + t->quote + 10, 2);
		if (packets_sum(out->data + t->quote, (out->data[t->quote] & 15u) * 4, 0) != 0xffff)
			return model_fail(j->m, "output: the checksum of the quoted header is wrong");
	}
	for (uint32_t i = 0; i < want->length; i++)
		if (want->data[i] != out->data[i])
			return model_fail(j->m, "output: byte %u is %02x, the model says %02x", i, out->data[i],
					  want->data[i]);
	for (uint32_t i = 0; i < t->slots; i++)
		if (!judge_slot(j, t, out, i))
			return false;
	return t->id_free ? judge_id(j, out) : true;
}

/* Takes the fragments made of one packet and puts them together again. The first one stands for the packet that came,
 * unless that has left pieces before. */
static bool gather(struct judgement *j, struct translation *t, enum side to, struct test_packet *whole)
{
	struct packet *want = &t->packet->packet;
	uint32_t payload = want->length - j->ihl, got = 0, mtu = j->m->config.wan_mtu;
	uint32_t first = packet_get16(want, 6) & 0x1fff;
	bool more = packet_get16(want, 6) & 0x2000;

	packets_copy(whole, want);
	while (got < payload) {
		struct emission *item = take(j);
		if (!item)
			return false;
		struct packet *f = &item->packet;
		uint32_t ihl = packets_ihl(f);
		if (packets_verify_ip(f))
			return model_fail(j->m, "fragment made here: %s", packets_verify_ip(f));
		if (item->to != to || item->from != j->from ||
		    item->origin != (got || t->is_further ? ORIGIN_PIECE : ORIGIN_COPY) || f->offload.partial ||
		    f->offload.gso_type)
			return model_fail(j->m, "fragment made here: wrong side or origin, or with offloads");
		uint32_t room = (mtu - ihl) / 8 * 8, length = f->length - ihl;
		bool last = got + length == payload;
		if (f->length > mtu || (got && ihl > j->ihl) || (!got && ihl != j->ihl))
			return model_fail(
				j->m, "fragment made here: larger than the MTU, or its header has the wrong length");
		if (got + length > payload || (!last && length != room))
			return model_fail(j->m, "fragment made here: %u bytes of payload where %u fit", length, room);
		uint16_t flags = (uint16_t)((!last || more ? 0x2000u : 0) | (first + got / 8));
		if (packet_get16(f, 6) != flags)
			return model_fail(j->m, "fragment made here: flags and offset %04x, the model says %04x",
					  packet_get16(f, 6), flags);
		if (got && packet_get16(f, 4) != packet_get16(&whole->packet, 4))
			return model_fail(j->m, "fragment made here: another identification than the first one's");
		memcpy(whole->bytes + 4, f->data + 4, 2);
		if (f->data[1] != want->data[1] || memcmp(f->data + 8, want->data + 8, 2) ||
		    memcmp(f->data + 12, want->data + 12, 8))
			return model_fail(j->m, "fragment made here: its header is not the packet's");
		memcpy(whole->bytes + j->ihl + got, f->data + ihl, length);
		got += length;
	}
	packets_fix_ip_checksum(whole->bytes);
	return true;
}

static bool judge_fragments(struct judgement *j, struct translation *t, enum side to, uint16_t *id)
{
	struct test_packet *whole = malloc(sizeof(*whole));
	bool good = whole && gather(j, t, to, whole);

	if (good && t->packet->packet.offload.partial) {
		/* the sum was completed: nothing to follow, it must simply be right */
		memset(&whole->packet.offload, 0, sizeof(whole->packet.offload));
		memset(&t->packet->packet.offload, 0, sizeof(t->packet->packet.offload));
		t->slots = 0;
		memcpy(t->packet->bytes + j->ihl + (j->protocol == PROTO_TCP ? 16 : 6),
		       whole->bytes + j->ihl + (j->protocol == PROTO_TCP ? 16 : 6), 2);
		if (packets_verify(&whole->packet))
			good = model_fail(j->m, "fragments made here: the completed checksum is wrong");
	}
	good = good && judge_bytes(j, t, &whole->packet);
	if (good && id)
		*id = packet_get16(&whole->packet, 4);
	free(whole);
	return good;
}

static uint32_t wire_size(const struct judgement *j)
{
	uint32_t header = j->protocol == PROTO_TCP ? (uint32_t)(packet_get8(j->p, j->ihl + 12) >> 4) * 4 : 8;

	return j->p->offload.gso_type ? j->ihl + header + j->p->offload.gso_size : j->total;
}

/* A segment that needs no cutting: its checksum was made here, so there is nothing to follow. */
static bool judge_segment(struct judgement *j, struct translation *t, enum side to, uint16_t *id)
{
	struct emission *item = take(j);
	uint32_t at = j->ihl + (j->protocol == PROTO_TCP ? 16 : 6);

	if (!item)
		return false;
	if (item->to != to || item->from != j->from || item->origin != (t->is_further ? ORIGIN_PIECE : ORIGIN_COPY))
		return model_fail(j->m, "segment made here: wrong side or origin");
	if (packets_verify(&item->packet))
		return model_fail(j->m, "segment made here: %s", packets_verify(&item->packet));
	memcpy(t->packet->bytes + at, item->packet.data + at, 2);
	*id = packet_get16(&item->packet, 4);
	return judge_bytes(j, t, &item->packet);
}

/* Each segment of a merged packet leaves as a packet of its own, the larger ones in fragments. */
static bool judge_segments(struct judgement *j, const struct translation *t, enum side to, uint16_t *id)
{
	const struct packet *whole = &t->packet->packet;
	uint32_t size = whole->offload.gso_size, header = wire_size(j) - size, left = whole->length - header;
	struct test_packet *packet = malloc(sizeof(*packet));
	bool good = packet != NULL, is_tcp = j->protocol == PROTO_TCP;
	uint16_t own = 0, first = 0;

	for (uint32_t n = 0; good && left; n++) {
		struct translation part = {.packet = packet, .id_free = t->id_free, .is_further = n > 0};
		uint32_t length = left < size ? left : size;
		struct packet *p = &packet->packet;
		memcpy(packet->bytes, whole->data, header);
		memcpy(packet->bytes + header, whole->data + header + n * size, length);
		*p = (struct packet){.data = packet->bytes, .length = header + length, .offload = whole->offload};
		p->offload.gso_type = GSO_NONE;
		p->offload.gso_size = 0;
		left -= length;
		packet_put16(p, 2, (uint16_t)p->length);
		packet_put16(p, 4, (uint16_t)(packet_get16(whole, 4) + n));
		if (is_tcp) {
			packet_put32(p, j->ihl + 4, packet_get32(whole, j->ihl + 4) + n * size);
			if (left)
				p->data[j->ihl + 13] &= (uint8_t) ~(FLAG_FIN | FLAG_PSH);
			if (n)
				p->data[j->ihl + 13] &= (uint8_t)~FLAG_CWR;
		} else {
			packet_put16(p, j->ihl + 4, (uint16_t)(8 + length));
		}
		packets_fix_ip_checksum(packet->bytes);
		good = p->length > j->m->config.wan_mtu ? judge_fragments(j, &part, to, &own)
							: judge_segment(j, &part, to, &own);
		first = n ? first : own;
		if (good && own != (uint16_t)(first + n))
			good = model_fail(j->m, "segment made here: identification %u where %u is next", own,
					  (uint16_t)(first + n));
	}
	free(packet);
	if (id)
		*id = first;
	return good;
}

static uint32_t mtu_towards(const struct judgement *j, enum side to, uint32_t destination)
{
	return to == SIDE_LAN ? model_inside(j->m, destination)->mtu : j->m->config.wan_mtu;
}

bool expect_too_big(struct judgement *j, enum side to, uint32_t destination, bool *good)
{
	uint32_t mtu = mtu_towards(j, to, destination);
	uint32_t source = model_inside(j->m, j->source)->router_address.v4;

	if (j->for_router || wire_size(j) <= mtu || !j->df)
		return false;
	*good = expect_drop(j, DROP_TOO_BIG);
	if (!*good || (j->from == SIDE_WAN && !j->m->outsides))
		return true;
	if (j->from == SIDE_WAN)
		source = model_is_outside(j->m, j->destination) ? j->destination : j->m->outside[0];
	*good = expect_made_error(j, j->from, source, 3, 4, mtu);
	return true;
}

bool expect_leaves(struct judgement *j, struct translation *t, enum side to, bool *forwarded, uint16_t *id)
{
	uint32_t destination = packets_destination(&t->packet->packet);
	uint32_t mtu = mtu_towards(j, to, destination);
	bool good;

	*forwarded = false;
	if (expect_too_big(j, to, destination, &good))
		return good;
	*forwarded = true;
	if (j->result && (j->result->verdict != VERDICT_FORWARDED || j->result->drop != DROP_NONE))
		return wrong_verdict(j, to == SIDE_LAN ? "forwarded to the LAN" : "forwarded to the WAN");
	if (wire_size(j) > mtu && to == SIDE_WAN)
		return j->p->offload.gso_type ? judge_segments(j, t, to, id) : judge_fragments(j, t, to, id);
	struct emission *item = take(j);
	if (!item)
		return false;
	if (item->to != to || item->from != j->from || item->origin != (t->made ? ORIGIN_COPY : ORIGIN_BATCH))
		return model_fail(j->m, "output: %s, origin %u of side %u; the model says otherwise",
				  item->to == SIDE_LAN ? "LAN" : "WAN", item->origin, item->from);
	if (id)
		*id = packet_get16(&item->packet, 4);
	return judge_bytes(j, t, &item->packet);
}
