/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of timers, states of TCP, sizes and fragments. */
#include <stdio.h>

#include "config/config.h"
#include "control/selftest.h"
#include "control/verb.h"
#include "io/kernel.h"

enum {
	UDP_FLOOR = 120,
	UDP_DEFAULT = 300,
	TCP_TRANSITORY = 240,
	TCP_ESTABLISHED = 7440,
	QUERY_FLOOR = 60,
	FIRST_PIECE = 64, /* payload of a first fragment */
	ERROR_MAX = 576,
};

static uint32_t timeout_of(const struct bench *bench, enum timeout timeout)
{
	return bench->router->config->timeout[timeout];
}

static void judge_timer(struct finding *finding, uint32_t expires_ms, uint32_t least)
{
	selftest_observed(finding, expires_ms / 1000 >= least, "%u s, at least %u s", expires_ms / 1000, least);
}

/* The timer of a flow that was opened just now. */
static void observe_timer(struct bench *bench, struct finding *finding, uint32_t least)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	struct explanation again = selftest_leave(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	judge_timer(finding, again.flow.expires_ms, least);
}

void selftest_udp_timer(struct bench *bench, struct finding *finding)
{
	observe_timer(bench, finding, UDP_FLOOR);
}

void selftest_transitory_timer(struct bench *bench, struct finding *finding)
{
	observe_timer(bench, finding, TCP_TRANSITORY);
}

void selftest_query_timer(struct bench *bench, struct finding *finding)
{
	observe_timer(bench, finding, QUERY_FLOOR);
}

void selftest_udp_default(struct bench *bench, struct finding *finding)
{
	struct config standard;

	config_default(&standard);
	selftest_configured(finding, standard.timeout[TIMEOUT_UDP] >= UDP_DEFAULT, "%u s by default, %u s here",
			    standard.timeout[TIMEOUT_UDP], timeout_of(bench, TIMEOUT_UDP));
}

void selftest_query_timer_is_set(struct bench *bench, struct finding *finding)
{
	selftest_configured(finding, true, "[timeouts] icmp = %u", timeout_of(bench, TIMEOUT_ICMP));
}

void selftest_tcp_timers(struct bench *bench, struct finding *finding)
{
	uint32_t opening = timeout_of(bench, TIMEOUT_TCP_OPENING), closing = timeout_of(bench, TIMEOUT_TCP_CLOSING);

	selftest_configured(finding, opening >= TCP_TRANSITORY && closing >= TCP_TRANSITORY,
			    "[timeouts] tcp_opening = %u, tcp_closing = %u", opening, closing);
}

void selftest_outbound_refresh(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	struct explanation first = selftest_leave(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	bench->now_ms += SELFTEST_WAIT_MS;
	struct explanation later = selftest_leave(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	selftest_observed(finding, later.flow.expires_ms >= first.flow.expires_ms, "%u s left after %u s",
			  later.flow.expires_ms / 1000, SELFTEST_WAIT_MS / 1000);
}

void selftest_inbound_refresh(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	bool is_set = bench->router->config->refresh_inbound;
	struct explanation first = selftest_leave(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	bench->now_ms += SELFTEST_WAIT_MS;
	struct explanation inbound = selftest_come(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	bool does = inbound.flow.expires_ms >= first.flow.expires_ms;
	selftest_observed(finding, is_set == does, "refresh_inbound = %s, and an inbound packet %s",
			  is_set ? "yes" : "no", does ? "refreshes" : "does not refresh");
}

/* --- TCP --- */

static struct explanation segment(struct bench *bench, const struct selftest_host *host, enum side from, uint8_t flags,
				  uint32_t sequence, uint32_t acknowledgement)
{
	struct probe probe = {.tcp_flags = flags, .sequence = sequence, .acknowledgement = acknowledgement};

	if (from == SIDE_LAN) {
		probe.source = host->address;
		probe.source_port = host->port;
		probe.destination = selftest_remote;
		probe.destination_port = SELFTEST_REMOTE_PORT;
	} else {
		probe.source = selftest_remote;
		probe.source_port = SELFTEST_REMOTE_PORT;
		probe.destination = host->outside;
		probe.destination_port = host->outside_port;
	}
	return selftest_pass(bench, from, probe);
}

/* From SYN to the last ACK; what became of that. */
static bool connect_host(struct bench *bench, struct selftest_host *host, struct explanation *last)
{
	bench->protocol = PROTOCOL_TCP;
	if (!selftest_open(bench, host))
		return false;
	struct explanation answer = segment(bench, host, SIDE_WAN, PROBE_TCP_SYN | PROBE_TCP_ACK, 1, 2);
	*last = segment(bench, host, SIDE_LAN, PROBE_TCP_ACK, 2, 2);
	if (!selftest_is_forwarded(&answer, SIDE_LAN))
		last->outputs = 0;
	return true;
}

void selftest_handshake(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct explanation last;

	if (!connect_host(bench, &host, &last))
		return;
	bool is_forwarded = selftest_is_forwarded(&last, SIDE_WAN);
	selftest_observed(finding, is_forwarded, "SYN, SYN and ACK, ACK are %s",
			  is_forwarded ? "forwarded" : "not all forwarded");
}

void selftest_simultaneous_open(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	struct explanation other = selftest_come(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	selftest_observed(finding, selftest_is_forwarded(&other, SIDE_LAN), "the SYN from outside is %s",
			  selftest_is_forwarded(&other, SIDE_LAN) ? "forwarded" : "dropped");
}

void selftest_unsolicited_syn(struct bench *bench, struct finding *finding)
{
	struct selftest_host host, nobody;

	if (!selftest_open(bench, &host))
		return;
	nobody = host;
	nobody.outside_port = (uint16_t)(host.outside_port + 1);
	struct explanation syn = selftest_come(bench, &nobody, selftest_remote, SELFTEST_REMOTE_PORT);
	selftest_observed(finding, syn.outputs == 0, "%s", syn.outputs == 0 ? "it is dropped in silence" : "answered");
}

void selftest_established_timer(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct explanation last;

	if (connect_host(bench, &host, &last))
		judge_timer(finding, last.flow.expires_ms, TCP_ESTABLISHED);
}

void selftest_tcp_states(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct explanation last;

	if (!connect_host(bench, &host, &last))
		return;
	uint32_t up = last.flow.expires_ms / 1000;
	segment(bench, &host, SIDE_LAN, PROBE_TCP_FIN | PROBE_TCP_ACK, 2, 2);
	last = segment(bench, &host, SIDE_WAN, PROBE_TCP_FIN | PROBE_TCP_ACK, 2, 3);
	uint32_t down = last.flow.expires_ms / 1000;
	selftest_observed(finding,
			  up == timeout_of(bench, TIMEOUT_TCP_ESTABLISHED) &&
				  down == timeout_of(bench, TIMEOUT_TCP_CLOSING),
			  "%u s once it is established, %u s once both sides have closed", up, down);
}

static bool reset(struct bench *bench, struct explanation *last)
{
	struct selftest_host host;

	if (!connect_host(bench, &host, last))
		return false;
	*last = segment(bench, &host, SIDE_WAN, PROBE_TCP_RST | PROBE_TCP_ACK, 2, 2);
	return true;
}

void selftest_reset_passes_on(struct bench *bench, struct finding *finding)
{
	struct explanation last;

	if (reset(bench, &last))
		selftest_observed(finding, selftest_is_forwarded(&last, SIDE_LAN), "it is %s",
				  selftest_is_forwarded(&last, SIDE_LAN) ? "forwarded" : "dropped");
}

void selftest_reset_timer(struct bench *bench, struct finding *finding)
{
	struct explanation last;

	if (reset(bench, &last))
		judge_timer(finding, last.flow.expires_ms, TCP_TRANSITORY);
}

/* --- sizes and fragments --- */

static struct explanation leave_large(struct bench *bench, const struct selftest_host *host, bool df)
{
	uint32_t length = kernel_links(bench->router->kernel)->wan.mtu + 100;

	return selftest_pass(bench, SIDE_LAN,
			     (struct probe){.source = host->address,
					    .source_port = host->port,
					    .destination = selftest_remote,
					    .destination_port = SELFTEST_REMOTE_PORT,
					    .length = length,
					    .df = df});
}

void selftest_too_big(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	struct explanation large = leave_large(bench, &host, true);
	const struct explain_output *error = &large.output[0];
	bool is_sent = large.outputs == 1 && error->to == SIDE_LAN && error->protocol == PROTOCOL_ICMP &&
		       error->identifier == (3 << 8 | 4) && address_equal(error->destination, host.address);
	selftest_observed(finding, is_sent, "%s, MTU %u", is_sent ? "sent" : "not sent", large.mtu);
}

void selftest_cut(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	struct explanation large = leave_large(bench, &host, false);
	bool is_cut = selftest_is_forwarded(&large, SIDE_WAN) && large.outputs > 1;
	for (uint32_t i = 1; i < large.outputs && i < EXPLAIN_OUTPUTS; i++)
		is_cut = is_cut && large.output[i].offset > large.output[i - 1].offset;
	selftest_observed(finding, is_cut, is_cut ? "%u fragments, in order" : "%u packets", large.outputs);
}

void selftest_error_size(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	bench->protocol = PROTOCOL_UDP;
	if (!selftest_open(bench, &host))
		return;
	struct explanation large = leave_large(bench, &host, true);
	if (large.outputs > 0)
		selftest_observed(finding, large.output[0].length <= ERROR_MAX,
				  "%u bytes; at most %u errors a second and side", large.output[0].length,
				  bench->router->config->icmp_rate);
	else
		selftest_configured(finding, true, "no error is made: icmp_rate = %u",
				    bench->router->config->icmp_rate);
}

void selftest_fragments(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct probe piece = {.source = selftest_remote, .source_port = SELFTEST_REMOTE_PORT};

	if (!selftest_open(bench, &host))
		return;
	piece.destination = host.outside;
	piece.destination_port = host.outside_port;
	piece.length = SELFTEST_HEADERS;
	piece.offset = FIRST_PIECE;
	struct explanation later = selftest_pass(bench, SIDE_WAN, piece);
	piece.length = 20 + FIRST_PIECE;
	piece.offset = 0;
	piece.more = true;
	struct explanation first = selftest_pass(bench, SIDE_WAN, piece);
	bool is_met =
		later.result.verdict == VERDICT_HELD && selftest_is_forwarded(&first, SIDE_LAN) && first.outputs == 2;
	selftest_observed(finding, is_met, "a fragment that comes before the first one is %s",
			  is_met ? "held, and forwarded behind it" : "lost");
}

/* --- identification of IPv4 --- */

enum { IDENTIFICATION = 4, FRAGMENT_BITS = 6, DF = 0x4000 };

static uint16_t read16(const struct bench *bench, uint32_t at)
{
	return (uint16_t)(bench->bytes[at] << 8 | bench->bytes[at + 1]);
}

/* Two hosts send with one identification to one destination. */
void selftest_identification(struct bench *bench, struct finding *finding)
{
	struct selftest_host host, rival;
	uint32_t number = 1;

	if (!selftest_open(bench, &host))
		return;
	uint16_t first = read16(bench, IDENTIFICATION);
	if (!selftest_open_rival(bench, &host, &rival, &number))
		return;
	uint16_t second = read16(bench, IDENTIFICATION);
	selftest_observed(finding, first != second, "two hosts with one identification have %u and %u", first, second);
}

void selftest_atomic(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	struct explanation left = selftest_pass(bench, SIDE_LAN,
						(struct probe){.source = host.address,
							       .source_port = host.port,
							       .destination = selftest_remote,
							       .destination_port = SELFTEST_REMOTE_PORT,
							       .df = true});
	bool has_df = selftest_is_forwarded(&left, SIDE_WAN) && (read16(bench, FRAGMENT_BITS) & DF);
	selftest_observed(finding, has_df, "DF is %s", has_df ? "set as before" : "lost");
}
