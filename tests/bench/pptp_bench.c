/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of engine_bench about PPTP: as many clients as calls, one server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/pptp_messages.h"
#include "bench.h"

enum { CALLS = 10000, PPTP_SERVER = 0xcb007101, FIRST_PORT = 10000 };

struct pptp_bench {
	struct bench bench;
	bool equal_ids;
	uint16_t outside_id[CALLS];
	uint16_t *learn; /* where the Call IDs of what comes out go */
};

static void learn_id(void *context, enum side from, enum side to, struct packet *packet, enum origin origin)
{
	struct pptp_bench *b = context;

	count_emission(&b->bench, from, to, packet, origin);
	if (b->learn)
		*b->learn++ = message_get16(packet->data + 40 + 12);
}

enum pptp_packet { PPTP_SYN, PPTP_SYN_ACK, PPTP_REQUEST, PPTP_REPLY, DATA_OUT, DATA_IN, UDP_OUT, UDP_IN, PPTP_PACKETS };

static void build_pptp(const struct pptp_bench *b, struct test_packet *p, enum pptp_packet what, uint32_t i)
{
	bool lan = what % 2 == 0, udp = what >= UDP_OUT, data = what == DATA_OUT || what == DATA_IN;
	uint16_t inside_id = b->equal_ids ? 0x4d21 : (uint16_t)(i * 40503u);
	uint32_t inside = 0x0a000002 + i;
	uint16_t port = (uint16_t)(FIRST_PORT + i), server_port = udp ? 4433 : 1723;
	uint8_t message[MESSAGE_MAX];
	uint32_t length = 0;

	if (what == PPTP_REQUEST)
		length = message_build(message, OUTGOING_REQUEST, inside_id, (uint16_t)i, 0);
	if (what == PPTP_REPLY)
		length = message_build(message, OUTGOING_REPLY, (uint16_t)(i + 1), b->outside_id[i], RESULT_CONNECTED);
	packets_build(p, &(struct packet_spec){.protocol = data  ? PROTO_GRE
							   : udp ? PROTO_UDP
								 : PROTO_TCP,
					       .source = lan ? inside : (uint32_t)PPTP_SERVER,
					       .source_port = lan ? port : server_port,
					       .destination = lan ? (uint32_t)PPTP_SERVER : 0xc6336401,
					       .destination_port = lan ? server_port : port,
					       .flags = what == PPTP_SYN       ? FLAG_SYN
							: what == PPTP_SYN_ACK ? FLAG_SYN | FLAG_ACK
									       : FLAG_ACK,
					       .sequence = what > PPTP_SYN_ACK,
					       .acknowledge = what == PPTP_REPLY ? 169 : 1,
					       .enhanced = data,
					       .call_id = lan ? (uint16_t)(i + 1) : b->outside_id[i],
					       .df = true,
					       .payload = length ? message : NULL,
					       .payload_length = length        ? length
								 : udp || data ? 64
									       : 0});
}

/* One packet of each call in batches, in order or at random; nanoseconds each. */
static double all_calls(struct pptp_bench *b, enum pptp_packet what, struct test_random *r)
{
	static struct test_packet one;
	static uint8_t bytes[BATCH][256];
	struct packet packet[BATCH];
	struct engine_sink sink = {learn_id, b};
	uint64_t spent = 0, before = b->bench.emitted;

	b->learn = what == PPTP_REQUEST ? b->outside_id : NULL;
	for (uint32_t done = 0; done < CALLS;) {
		uint32_t n = CALLS - done < BATCH ? CALLS - done : BATCH;
		for (uint32_t k = 0; k < n; k++) {
			build_pptp(b, &one, what, r ? test_random_below(r, CALLS) : done + k);
			memcpy(bytes[k], one.bytes, one.packet.length);
			packet[k] = (struct packet){.data = bytes[k], .length = one.packet.length};
		}
		uint64_t start = nanoseconds();
		engine_process(b->bench.engine, what % 2 ? SIDE_WAN : SIDE_LAN, packet, n, b->bench.now, &sink, NULL);
		spent += nanoseconds() - start;
		done += n;
	}
	if (b->bench.emitted - before != CALLS) {
		fprintf(stderr, "engine_bench: PPTP, packet %d: %llu of %u came out\n", what,
			(unsigned long long)(b->bench.emitted - before), CALLS);
		exit(1);
	}
	return (double)spent / CALLS;
}

/* All calls, opened in a new engine; nanoseconds each. */
static double open_calls(struct pptp_bench *b)
{
	const struct engine_limits limits = {
		.flows = 4 * CALLS, .hosts = CALLS + 64, .addresses = 1, .fragments = 64, .tunnels = CALLS};

	bench_begin(&b->bench, &limits, 1);
	all_calls(b, PPTP_SYN, NULL);
	all_calls(b, PPTP_SYN_ACK, NULL);
	double ns = all_calls(b, PPTP_REQUEST, NULL);
	return ns + all_calls(b, PPTP_REPLY, NULL);
}

/* The best of several rounds, because others use the machine, too. */
int measure_pptp(bool equal_ids, int rounds)
{
	static struct pptp_bench b;
	struct test_random r = test_random_seed(7);
	double best[PPTP_PACKETS];

	b.equal_ids = equal_ids;
	double open = open_calls(&b);
	for (int again = 0; again < 4; again++) {
		bench_end(&b.bench);
		double ns = open_calls(&b);
		open = ns < open ? ns : open;
	}
	all_calls(&b, UDP_OUT, NULL);
	for (int what = DATA_OUT; what < PPTP_PACKETS; what++)
		best[what] = 1e9;
	for (int round = 0; round < rounds; round++)
		for (int what = DATA_OUT; what < PPTP_PACKETS; what++) {
			double ns = all_calls(&b, (enum pptp_packet)what, &r);
			best[what] = ns < best[what] ? ns : best[what];
		}
	uint64_t opened = engine_counters(b.bench.engine)->stat[STAT_PPTP_CALLS_OPENED];
	bench_end(&b.bench);
	double ratio = (best[DATA_OUT] + best[DATA_IN]) / (best[UDP_OUT] + best[UDP_IN]);
	printf("%d calls to one PPTP server, %s Call IDs: opening one takes %.0f ns (required: at most 5000)\n", CALLS,
	       equal_ids ? "equal" : "different", open);
	printf("  data out and in %.1f and %.1f ns, UDP %.1f and %.1f ns: %.2f times UDP (required: at most 1.3)\n",
	       best[DATA_OUT], best[DATA_IN], best[UDP_OUT], best[UDP_IN], ratio);
	if (opened == CALLS && open <= 5000 && ratio <= 1.3)
		return 0;
	fprintf(stderr, "engine_bench: PPTP: too slow, or only %llu calls\n", (unsigned long long)opened);
	return 1;
}
