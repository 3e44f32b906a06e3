/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sums of the data path, with links that refuse: each kind of packet leaves, waits or is refused in each way, and
 * what is counted as forwarded is what the link took. The links are played here, the engine is the real one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/datapath.h"
#include "io/batch.h"
#include "io/kernel.h"
#include "io/tun.h"
#include "io/wan.h"

#include "ipsec_rig.h"
#include "pptp_rig.h"

/* --- the links --- */

struct tun {
	uint32_t offered, taken, told; /* told: ICMP errors made here */
	uint64_t refused;              /* a bit for each packet offered, in order */
	uint8_t code;                  /* of the last error */
};

struct wan {
	uint32_t offered, taken;
	uint64_t refused;
	int error;
	bool offloads;
	struct {
		const struct packet *packet;
		struct packet copy;
		uint16_t sum; /* of its bytes, which must stay until it is sent */
		uint32_t tag;
	} queue[BATCH_PACKETS];
	uint32_t queued;
};

static struct tun tun;
static struct wan wan;
static struct kernel_links links;
static enum next_hop hop;
static struct test_packet incoming;
static bool has_incoming;

const struct kernel_links *kernel_links(const struct kernel *kernel)
{
	(void)kernel;
	return &links;
}

enum next_hop kernel_next_hop(struct kernel *kernel, struct address destination, uint8_t mac[6])
{
	(void)kernel;
	(void)destination;
	(void)mac;
	return hop;
}

void kernel_ask_next_hops(struct kernel *kernel)
{
	(void)kernel;
}

static bool receive(struct batch *batch)
{
	batch->count = has_incoming;
	batch->truncated = batch->foreign = 0;
	if (has_incoming) {
		batch->packets[0] = incoming.packet;
		batch->packets[0].data = batch_slot(batch, 0);
		memcpy(batch->packets[0].data, incoming.bytes, incoming.packet.length);
	}
	has_incoming = false;
	return true;
}

bool tun_receive(struct tun *device, struct batch *batch)
{
	(void)device;
	return receive(batch);
}

int wan_receive(struct wan *socket, struct batch *batch)
{
	(void)socket;
	receive(batch);
	return 0;
}

int tun_send(struct tun *device, const struct packet *packet)
{
	if (packet_get8(packet, 9) == PROTO_ICMP && packet_get8(packet, 20) == 3) {
		assert_null(packets_verify(packet));
		assert_int_equal(packets_source(packet), ROUTER);
		device->told++;
		device->code = packet_get8(packet, 21);
		return device->refused ? EIO : 0;
	}
	if (device->refused >> device->offered++ & 1)
		return EIO;
	device->taken++;
	return 0;
}

uint64_t tun_count_lost(const struct tun *device)
{
	(void)device;
	return 0;
}

uint64_t wan_take_lost(struct wan *socket)
{
	(void)socket;
	return 0;
}

bool wan_offloads(const struct wan *socket)
{
	return socket->offloads;
}

void wan_queue(struct wan *socket, const struct packet *packet, const uint8_t mac[6], uint32_t tag)
{
	(void)mac;
	assert_in_range(socket->queued, 0, BATCH_PACKETS - 1);
	socket->queue[socket->queued].copy = *packet;
	socket->queue[socket->queued].sum = packets_sum(packet->data, packet->length, 0);
	socket->queue[socket->queued++].tag = tag;
}

uint32_t wan_queued(const struct wan *socket)
{
	return socket->queued;
}

void wan_flush(struct wan *socket, wan_failed *failed, void *context)
{
	for (uint32_t i = 0; i < socket->queued; i++) {
		const struct packet *packet = &socket->queue[i].copy;
		assert_int_equal(packets_sum(packet->data, packet->length, 0), socket->queue[i].sum);
		if (socket->refused >> socket->offered++ & 1)
			failed(context, socket->queue[i].tag, socket->error);
		else
			socket->taken++;
	}
	socket->queued = 0;
}

/* --- kinds of packets --- */

struct stage {
	struct rig *rig;
	struct datapath *datapath;
};

static void come(struct stage *s, enum side from, const struct packet *packet)
{
	packets_copy(&incoming, packet);
	has_incoming = true;
	assert_int_equal(datapath_receive(s->datapath, from, s->rig->now), 1);
}

static const struct packet_spec datagram = {
	.protocol = PROTO_UDP,
	.source = L1,
	.source_port = 5000,
	.destination = W1,
	.destination_port = 53,
	.payload_length = 40,
};

static void come_as(struct stage *s, enum side from, const struct packet_spec *spec)
{
	packets_build(&s->rig->packet, spec);
	come(s, from, &s->rig->packet.packet);
}

static void in_place(struct stage *s)
{
	come_as(s, SIDE_LAN, &datagram);
}

static struct packet_spec with_length(uint32_t length, uint16_t gso_size)
{
	struct packet_spec spec = datagram;

	spec.payload_length = length;
	spec.gso_size = gso_size;
	return spec;
}

static void cut(struct stage *s)
{
	struct packet_spec spec = with_length(4000, 0);

	come_as(s, SIDE_LAN, &spec);
}

static void cut_segments(struct stage *s)
{
	struct packet_spec spec = with_length(3500, 2000);

	come_as(s, SIDE_LAN, &spec);
}

static void merged(struct stage *s)
{
	struct packet_spec spec = with_length(300, 100);

	spec.source_port = spec.destination_port = 500;
	come_as(s, SIDE_LAN, &spec);
}

/* Two later fragments come before the first. */
static void fragments(struct stage *s, enum side from)
{
	struct test_packet *whole = malloc(sizeof(*whole));
	struct packet_spec spec = with_length(700, 0);

	if (from == SIDE_WAN) {
		spec.destination_port = rig_open_udp(s->rig, L1, 5000, W1, 53);
		spec.source = W1, spec.source_port = 53, spec.destination = O1;
	}
	packets_build(whole, &spec);
	for (uint32_t i = 3; i > 0; i--) {
		packets_build_fragment(&s->rig->packet, whole, (i - 1) * 240, i == 3 ? 228 : 240);
		come(s, from, &s->rig->packet.packet);
	}
	free(whole);
}

static void fragments_out(struct stage *s)
{
	fragments(s, SIDE_LAN);
}

static void fragments_in(struct stage *s)
{
	fragments(s, SIDE_WAN);
}

static void inbound(struct stage *s)
{
	struct packet_spec spec = datagram;

	spec.destination_port = rig_open_udp(s->rig, L1, 5000, W1, 53);
	spec.source = W1, spec.source_port = 53, spec.destination = O1;
	come_as(s, SIDE_WAN, &spec);
}

static void hairpin(struct stage *s)
{
	struct packet_spec spec = datagram;

	spec.destination_port = rig_open_udp(s->rig, L1, 5000, W1, 53);
	spec.source = L2, spec.destination = O1;
	come_as(s, SIDE_LAN, &spec);
}

static void expire(struct stage *s)
{
	s->rig->now += 3000;
	datapath_expire(s->datapath, s->rig->now);
}

/* ESP that waited for its turn, and IKE. */
static void kept_esp(struct stage *s)
{
	assert_int_not_equal(ipsec_out(s->rig, L1, W1, 1000, 1), 0);
	assert_int_equal(ipsec_out(s->rig, L2, W1, 2000, 1), 0);
	rig_held(s->rig);
	expire(s);
}

static void kept_ike(struct stage *s)
{
	for (uint32_t host = L1; host <= L2; host++) {
		const struct ike_spec spec = {.initiator = host, .responder = 9, .exchange = AUTH, .message_id = 1};
		const struct packet *out = ipsec_ike(s->rig, SIDE_LAN, host, 500, W1, 500, &spec);
		assert_int_equal(out != NULL, host == L1);
	}
	rig_held(s->rig);
	expire(s);
}

/* PPTP messages that came too early, and the one that was missing. */
static void kept_pptp(struct stage *s)
{
	struct line line = line_to(s->rig, L1, 3000, W1);
	uint32_t start = line.next[SIDE_LAN];
	uint8_t bytes[24] = {0};

	for (uint32_t i = 2; i > 0; i--) {
		line_segment(&line, SIDE_LAN, FLAG_ACK, start + i * 8, bytes + (size_t)i * 8, 8);
		rig_held(s->rig);
	}
	come_as(s, SIDE_LAN,
		&(struct packet_spec){.protocol = PROTO_TCP,
				      .source = L1,
				      .source_port = 3000,
				      .destination = W1,
				      .destination_port = 1723,
				      .sequence = start,
				      .acknowledge = line.next[SIDE_WAN],
				      .flags = FLAG_ACK,
				      .df = true,
				      .payload = bytes,
				      .payload_length = 8});
}

/* How many packets that were received leave, each in how many pieces; what was received before them and left by
 * another way is not counted here. */
static const struct kind {
	const char *name;
	void (*send)(struct stage *stage);
	enum side from, to;
	uint32_t packets, pieces;
} kinds[] = {
	{"in place", in_place, SIDE_LAN, SIDE_WAN, 1, 1},
	{"cut into fragments", cut, SIDE_LAN, SIDE_WAN, 1, 3},
	{"cut into segments and fragments", cut_segments, SIDE_LAN, SIDE_WAN, 1, 4},
	{"part of a merged datagram", merged, SIDE_LAN, SIDE_WAN, 3, 1},
	{"released fragment", fragments_out, SIDE_LAN, SIDE_WAN, 3, 1},
	{"kept ESP", kept_esp, SIDE_LAN, SIDE_WAN, 1, 1},
	{"kept IKE", kept_ike, SIDE_LAN, SIDE_WAN, 1, 1},
	{"kept PPTP", kept_pptp, SIDE_LAN, SIDE_WAN, 3, 1},
	{"inbound", inbound, SIDE_WAN, SIDE_LAN, 1, 1},
	{"released inbound fragment", fragments_in, SIDE_WAN, SIDE_LAN, 3, 1},
	{"hairpin", hairpin, SIDE_LAN, SIDE_LAN, 1, 1},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* --- the tests --- */

static void __attribute__((format(printf, 3, 4))) say_nothing(void *context, int level, const char *format, ...)
{
	(void)context;
	(void)level;
	(void)format;
}

static void begin(struct stage *s, struct rig *rig)
{
	rig_restart(rig);
	rig->in_haste = true;
	memset(&tun, 0, sizeof(tun));
	memset(&wan, 0, sizeof(wan));
	wan.offloads = true;
	wan.error = ENOBUFS;
	hop = NEXT_HOP_KNOWN;
	links.wan.up = links.wan.ethernet = true;
	s->rig = rig;
	s->datapath = datapath_new(&tun, rig->engine, NULL, say_nothing, NULL);
	assert_non_null(s->datapath);
	datapath_set_wan(s->datapath, &wan);
}

static void end(struct stage *s)
{
	assert_null(packets_check_conservation(engine_counters(s->rig->engine)));
	assert_null(engine_check(s->rig->engine));
	datapath_free(s->datapath);
	s->datapath = NULL;
}

/* What was counted since the kind was sent: those that rig_...() sent while it was set up left the engine, too. */
static void expect(const struct stage *s, const struct kind *kind, uint32_t forwarded, enum drop reason)
{
	const struct engine_counters *c = engine_counters(s->rig->engine);
	uint64_t dropped = 0, before = c->received[kind->from] - kind->packets;

	for (int i = 1; i < DROPS; i++)
		dropped += c->dropped[kind->from][i];
	if (c->forwarded[kind->from] != before + forwarded || c->held[kind->from] != 0 ||
	    dropped != kind->packets - forwarded || dropped != c->dropped[kind->from][reason])
		fail_msg("%s: forwarded %llu of %u, not %u; held %llu; dropped %llu, for %s %llu", kind->name,
			 (unsigned long long)(c->forwarded[kind->from] - before), kind->packets, forwarded,
			 (unsigned long long)c->held[kind->from], (unsigned long long)dropped, drop_name(reason),
			 (unsigned long long)c->dropped[kind->from][reason]);
}

/* No, every, and each single packet that a device is offered. */
static void what_the_device_refuses_is_dropped(void **state)
{
	struct stage s;

	for (int k = 0; k < KINDS; k++) {
		const struct kind *kind = &kinds[k];
		uint32_t offered = kind->packets * kind->pieces;
		for (uint32_t n = 0; n < offered + 2; n++) {
			uint64_t mask = n == offered ? UINT64_MAX : n > offered ? 0 : UINT64_C(1) << n;
			uint32_t refused = n == offered ? kind->packets : n < offered;
			begin(&s, *state);
			*(kind->to == SIDE_WAN ? &wan.refused : &tun.refused) = mask;
			kind->send(&s);
			assert_int_equal(kind->to == SIDE_WAN ? wan.offered : tun.offered, offered);
			expect(&s, kind, kind->packets - refused, DROP_LINK_SEND);
			assert_int_equal(tun.told, 0); /* congestion */
			end(&s);
		}
	}
}

enum away { NO_ROUTE, SILENT, BUSY, NO_CARRIER, NO_SOCKET, DEVICE_DOWN, NO_OFFLOADS, AWAYS };

static enum drop go_away(struct stage *s, enum away how)
{
	switch (how) {
	case NO_ROUTE:
		hop = NEXT_HOP_NO_ROUTE;
		return DROP_LINK_NO_ROUTE;
	case SILENT:
		hop = NEXT_HOP_SILENT;
		return DROP_LINK_NEXT_HOP;
	case BUSY:
		hop = NEXT_HOP_BUSY;
		return DROP_LINK_NEXT_HOP;
	case NO_CARRIER:
		links.wan.up = false;
		return DROP_LINK_DOWN;
	case NO_SOCKET:
		datapath_set_wan(s->datapath, NULL);
		return DROP_LINK_DOWN;
	case DEVICE_DOWN:
		wan.refused = UINT64_MAX;
		wan.error = ENETDOWN;
		return DROP_LINK_DOWN;
	default:
		wan.offloads = false;
		return DROP_LINK_OFFLOAD;
	}
}

/* The WAN is away in each way, at once or while packets wait for their next hop. */
static void what_can_not_leave_is_dropped(void **state)
{
	struct stage s;

	for (int n = 0; n < KINDS * AWAYS * 2; n++) {
		const struct kind *kind = &kinds[n % KINDS];
		enum away how = (enum away)(n / KINDS % AWAYS);
		bool waits = n >= KINDS * AWAYS;
		if (kind->to == SIDE_LAN || how == NO_OFFLOADS || (waits && how == BUSY))
			continue; /* what waits already goes on waiting while others are asked for */
		begin(&s, *state);
		enum drop reason = waits ? DROP_NONE : go_away(&s, how);
		if (waits)
			hop = NEXT_HOP_PENDING;
		kind->send(&s);
		if (waits) {
			assert_int_equal(engine_counters(s.rig->engine)->held[kind->from], kind->packets);
			assert_null(engine_check(s.rig->engine));
			datapath_retry(s.datapath, s.rig->now + 999);
			assert_true(datapath_waits(s.datapath));
			hop = NEXT_HOP_KNOWN;
			reason = go_away(&s, how);
			datapath_retry(s.datapath, s.rig->now + 999);
			assert_false(datapath_waits(s.datapath));
		}
		expect(&s, kind, 0, reason);
		/* The sender is told unless the device itself refused or nobody was asked; of each first fragment, for
		 * others may not be quoted. */
		if (how == DEVICE_DOWN || how == BUSY)
			assert_int_equal(tun.told, 0);
		else
			assert_in_range(tun.told, 1, kind->packets * kind->pieces - (kind->pieces > 1));
		if (tun.told)
			assert_int_equal(tun.code, reason == DROP_LINK_NEXT_HOP ? 1 : 0);
		end(&s);
	}
}

/* Who is waited for answers, does not, or answers in part: a link that refuses one piece of what has waited. */
static void what_waits_is_held(void **state)
{
	struct stage s;

	for (int k = 0; k < KINDS; k++) {
		const struct kind *kind = &kinds[k];
		uint32_t offered = kind->packets * kind->pieces;
		for (uint32_t n = 0; kind->to == SIDE_WAN && n < offered + 2; n++) {
			bool answers = n <= offered;
			begin(&s, *state);
			hop = NEXT_HOP_PENDING;
			kind->send(&s);
			assert_int_equal(engine_counters(s.rig->engine)->held[kind->from], kind->packets);
			hop = answers ? NEXT_HOP_KNOWN : NEXT_HOP_PENDING;
			wan.refused = n < offered ? UINT64_C(1) << n : 0;
			datapath_retry(s.datapath, s.rig->now + 1000);
			assert_int_equal(wan.offered, answers ? offered : 0);
			expect(&s, kind,
			       !answers       ? 0
			       : n == offered ? kind->packets
					      : kind->packets - 1,
			       answers ? DROP_LINK_SEND : DROP_LINK_NEXT_HOP);
			end(&s);
		}
	}
}

/* The room is full before the last piece of a packet: it is dropped once, and its other pieces go uncounted. */
static void the_room_is_full(void **state)
{
	struct stage s;

	for (uint32_t room = 0; room <= 3; room++) {
		begin(&s, *state);
		hop = NEXT_HOP_PENDING;
		for (uint32_t i = 0; i < BATCH_PACKETS - room; i++)
			in_place(&s);
		cut(&s);
		const struct engine_counters *c = engine_counters(s.rig->engine);
		assert_int_equal(c->held[SIDE_LAN], BATCH_PACKETS - room + (room == 3));
		assert_int_equal(c->dropped[SIDE_LAN][DROP_LINK_NEXT_HOP], room < 3);
		assert_null(engine_check(s.rig->engine));
		assert_int_equal(tun.told, 0); /* it may answer yet */
		hop = NEXT_HOP_KNOWN;
		wan.refused = UINT64_C(1) << (BATCH_PACKETS - 1);
		datapath_retry(s.datapath, s.rig->now + 10);
		assert_int_equal(wan.offered, BATCH_PACKETS);
		/* the one refused: a packet of its own, or a piece of the last one */
		assert_int_equal(c->dropped[SIDE_LAN][DROP_LINK_NEXT_HOP], room < 3);
		assert_int_equal(c->dropped[SIDE_LAN][DROP_LINK_SEND], room == 0 || room == 3);
		end(&s);
	}
}

/* ICMP errors are nobody's packet: whether they leave changes no sum. */
static void errors_made_here_are_not_counted(void **state)
{
	struct packet_spec spec = with_length(2000, 0);
	struct stage s;

	spec.df = true;
	for (int refused = 0; refused < 2; refused++) {
		begin(&s, *state);
		tun.refused = refused ? UINT64_MAX : 0;
		come_as(&s, SIDE_LAN, &spec);
		assert_int_equal(tun.told, 1);
		const struct engine_counters *c = engine_counters(s.rig->engine);
		assert_int_equal(c->dropped[SIDE_LAN][DROP_TOO_BIG], 1);
		assert_int_equal(c->dropped[SIDE_LAN][DROP_LINK_SEND] + c->dropped[SIDE_WAN][DROP_LINK_SEND], 0);
		assert_int_equal(c->forwarded[SIDE_LAN], 0);
		end(&s);
	}
	/* nor are they sent about one another: an error from inside that cannot leave */
	begin(&s, *state);
	struct test_packet *quote = malloc(sizeof(*quote));
	uint16_t port = rig_open_udp(s.rig, L1, 5000, W1, 53);
	packets_copy(quote, rig_udp(s.rig, SIDE_WAN, W1, 53, O1, port));
	packets_build_error(&s.rig->packet, L1, W1, 3, 3, 0, quote->bytes, 28);
	hop = NEXT_HOP_NO_ROUTE;
	come(&s, SIDE_LAN, &s.rig->packet.packet);
	assert_int_equal(engine_counters(s.rig->engine)->dropped[SIDE_LAN][DROP_LINK_NO_ROUTE], 1);
	assert_int_equal(tun.told, 0);
	free(quote);
	end(&s);
}

/* A link without offloads takes nothing that a device would have to finish. */
static void no_offloads(void **state)
{
	struct packet_spec spec = with_length(3000, 1000);
	const struct kind kind = {"merged", NULL, SIDE_LAN, SIDE_WAN, 1, 1};
	struct stage s;

	begin(&s, *state);
	enum drop reason = go_away(&s, NO_OFFLOADS);
	come_as(&s, SIDE_LAN, &spec);
	expect(&s, &kind, 0, reason);
	assert_int_equal(tun.told, 0);
	end(&s);
}

static int setup(void **state)
{
	int error = pptp_setup(state);
	struct rig *rig = *state;

	rig->limits.tunnels = 16;
	return error;
}

#define datapath_test(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		datapath_test(what_the_device_refuses_is_dropped),
		datapath_test(what_can_not_leave_is_dropped),
		datapath_test(what_waits_is_held),
		datapath_test(the_room_is_full),
		datapath_test(errors_made_here_are_not_counted),
		datapath_test(no_offloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
