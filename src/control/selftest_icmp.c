/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of ICMP: queries, errors that pass, and errors that the router makes. */
#include <string.h>

#include "config/config.h"
#include "control/selftest.h"
#include "control/verb.h"

enum {
	SUM = 10,           /* of the IPv4 header */
	SOURCE = 12,        /* in the IPv4 header */
	QUOTED = 28,        /* where a quote begins in an error */
	TRANSPORT_SUM = 26, /* of UDP, in a quote */
	IP_HEADER = 20,
	OPTIONS = 4, /* bytes of options that are put into a quote */
	SOURCE_QUENCH = 4,
	INFORMATION_REQUEST = 15,
};

static uint32_t read32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* A flow, and its packet as it left, to be quoted. */
static bool open_quoted(struct bench *bench, struct selftest_host *host, uint32_t *length)
{
	if (!selftest_open(bench, host))
		return false;
	*length = selftest_quote(bench);
	return true;
}

static struct explanation error_inward(struct bench *bench, const struct selftest_host *host, uint32_t length)
{
	return selftest_error(bench, SIDE_WAN, selftest_third_remote, host->outside, length);
}

/* It reached the host, and quotes what the host has sent. */
static bool is_translated(const struct bench *bench, const struct explanation *error, const struct selftest_host *host)
{
	return selftest_is_forwarded(error, SIDE_LAN) && address_equal(error->output[0].destination, host->address) &&
	       read32(bench->bytes + QUOTED + SOURCE) == host->address.v4;
}

static const char *what_became(const struct explanation *error)
{
	return error->result.verdict == VERDICT_FORWARDED ? "forwarded" : drop_name((enum drop)error->result.drop);
}

void selftest_query(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	struct explanation answer = selftest_come(bench, &host, selftest_remote, 0);
	selftest_observed(finding, selftest_is_forwarded(&answer, SIDE_LAN), "the answer is %s",
			  selftest_is_forwarded(&answer, SIDE_LAN) ? "forwarded" : "dropped");
}

/* --- errors from outside --- */

void selftest_error_inward(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	uint32_t length;

	if (bench->protocol == PROTOCOL_ICMP)
		bench->protocol = PROTOCOL_UDP;
	if (!open_quoted(bench, &host, &length))
		return;
	struct explanation error = error_inward(bench, &host, length);
	bool is_met = is_translated(bench, &error, &host);
	selftest_observed(finding, is_met, "%s",
			  is_met ? "with the inside endpoint in the quote" : what_became(&error));
}

void selftest_error_of_router(struct bench *bench, struct finding *finding)
{
	selftest_error_inward(bench, finding);
	if (finding->result == SELFTEST_MET && finding->source == SELFTEST_OBSERVED)
		selftest_observed(finding, true, "an error of a router on the way is forwarded");
}

/* The flow is as old as before, and its answers still come. */
void selftest_error_ends_nothing(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	uint32_t length;

	if (!open_quoted(bench, &host, &length))
		return;
	struct explanation sent = selftest_leave(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	bench->now_ms += SELFTEST_WAIT_MS;
	struct explanation error = error_inward(bench, &host, length);
	struct explanation answer = selftest_come(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	bool is_alive = selftest_is_forwarded(&answer, SIDE_LAN);
	bool is_refreshed = error.flow.expires_ms + SELFTEST_WAIT_MS > sent.flow.expires_ms;
	selftest_observed(finding, is_alive && !is_refreshed, "after an error the flow is %s, and an answer is %s",
			  is_refreshed ? "younger" : "as old as before", is_alive ? "forwarded" : "dropped");
}

static void observe_refused(struct finding *finding, const struct explanation *error)
{
	bool is_dropped = error->result.verdict == VERDICT_DROPPED && error->outputs == 0;

	selftest_observed(finding, is_dropped, "%s", is_dropped ? "dropped" : "not dropped");
}

void selftest_error_checksum(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct packet packet;
	uint32_t length;

	bench->protocol = PROTOCOL_UDP;
	if (!open_quoted(bench, &host, &length))
		return;
	struct probe probe = {.protocol = PROTOCOL_ICMP,
			      .source = selftest_third_remote,
			      .destination = host.outside,
			      .icmp_type = 3,
			      .icmp_code = 1,
			      .ttl = SELFTEST_TTL,
			      .quote = bench->quote,
			      .quote_length = length};
	probe_build(&probe, &packet, bench->bytes);
	bench->bytes[IP_HEADER + 2] ^= 1;
	struct explanation error = selftest_pass_bytes(bench, SIDE_WAN, packet.length);
	observe_refused(finding, &error);
}

void selftest_quote_checksum(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	uint32_t length;

	bench->protocol = PROTOCOL_UDP;
	if (!open_quoted(bench, &host, &length))
		return;
	bench->quote[SUM] ^= 1;
	struct explanation error = error_inward(bench, &host, length);
	observe_refused(finding, &error);
}

void selftest_quote_transport(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	uint32_t length;

	bench->protocol = PROTOCOL_UDP;
	if (!open_quoted(bench, &host, &length))
		return;
	bench->quote[TRANSPORT_SUM] ^= 1;
	struct explanation error = error_inward(bench, &host, length);
	selftest_observed(finding, is_translated(bench, &error, &host), "an error with a wrong one: %s",
			  what_became(&error));
}

/* Options that mean nothing, with the checksum that goes with them (RFC 1624). */
static uint32_t put_options(uint8_t *quote)
{
	uint32_t sum = (uint16_t) ~(quote[SUM] << 8 | quote[SUM + 1]);

	memmove(quote + IP_HEADER + OPTIONS, quote + IP_HEADER, SELFTEST_HEADERS - IP_HEADER);
	memset(quote + IP_HEADER, 1, OPTIONS);
	quote[0]++;
	quote[3] = (uint8_t)(quote[3] + OPTIONS);
	sum += 0x0100 + OPTIONS + 2 * 0x0101;
	sum = (sum & 0xffff) + (sum >> 16);
	quote[SUM] = (uint8_t)(~sum >> 8);
	quote[SUM + 1] = (uint8_t)~sum;
	return SELFTEST_HEADERS + OPTIONS;
}

void selftest_quote_options(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	uint32_t length;

	bench->protocol = PROTOCOL_UDP;
	if (!open_quoted(bench, &host, &length))
		return;
	struct explanation error = error_inward(bench, &host, put_options(bench->quote));
	selftest_observed(finding, is_translated(bench, &error, &host), "an error with options in the quote: %s",
			  what_became(&error));
}

void selftest_error_about_nothing(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	uint32_t length;

	bench->protocol = PROTOCOL_UDP;
	if (!open_quoted(bench, &host, &length))
		return;
	bench->quote[IP_HEADER] ^= 0x40; /* another source port */
	struct explanation error = error_inward(bench, &host, length);
	bool is_forwarded = error.result.verdict == VERDICT_FORWARDED;
	selftest_observed(finding, !is_forwarded, "%s", is_forwarded ? "forwarded" : "not forwarded");
}

/* --- errors from inside --- */

/* A packet was delivered; the host answers to it with an error. */
static bool answer_with_error(struct bench *bench, struct selftest_host *host, struct explanation *error)
{
	bench->protocol = PROTOCOL_UDP;
	if (!selftest_open(bench, host))
		return false;
	bench->now_ms += SELFTEST_WAIT_MS;
	selftest_come(bench, host, selftest_remote, SELFTEST_REMOTE_PORT);
	uint32_t length = selftest_quote(bench);
	*error = selftest_error(bench, SIDE_LAN, host->address, selftest_remote, length);
	return true;
}

void selftest_error_outward(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct explanation error;

	if (!answer_with_error(bench, &host, &error))
		return;
	bool is_met = selftest_is_forwarded(&error, SIDE_WAN) && address_equal(error.output[0].source, host.outside) &&
		      read32(bench->bytes + QUOTED + SOURCE + 4) == host.outside.v4;
	selftest_observed(finding, is_met, "%s",
			  is_met ? "with the outside endpoint in the quote" : what_became(&error));
}

void selftest_outbound_error(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct explanation error;

	if (!answer_with_error(bench, &host, &error))
		return;
	struct explanation answer = selftest_come(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	uint32_t left = answer.flow.expires_ms / 1000, all = bench->router->config->timeout[TIMEOUT_UDP];
	bool is_old = left + SELFTEST_WAIT_MS / 1000 <= all;
	selftest_observed(finding, is_old, "%u s left of %u s, %u s after the last packet of the host", left, all,
			  SELFTEST_WAIT_MS / 1000);
}

/* --- errors that the router makes --- */

void selftest_refusal(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	bench->protocol = PROTOCOL_UDP;
	if (!selftest_open(bench, &host))
		return;
	struct explanation refused = selftest_pass(
		bench, SIDE_LAN,
		(struct probe){.protocol = PROTOCOL_AH, .source = host.address, .destination = selftest_remote});
	const struct explain_output *error = &refused.output[0];
	bool is_sent = refused.outputs == 1 && error->to == SIDE_LAN && error->identifier == (3 << 8 | 13);
	selftest_observed(finding, is_sent, "for AH it is %s", is_sent ? "sent" : "not sent");
}

void selftest_time_exceeded(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	bench->protocol = PROTOCOL_UDP;
	if (!selftest_open(bench, &host))
		return;
	struct explanation late = selftest_pass(bench, SIDE_WAN,
						(struct probe){.source = selftest_remote,
							       .source_port = SELFTEST_REMOTE_PORT,
							       .destination = host.outside,
							       .destination_port = host.outside_port,
							       .ttl = 1});
	bool is_sent = late.outputs == 1 && late.output[0].to == SIDE_WAN && late.output[0].identifier == 11 << 8;
	selftest_observed(finding, is_sent, "to the WAN it is %s", is_sent ? "sent" : "not sent");
}

void selftest_obsolete_types(struct bench *bench, struct finding *finding)
{
	static const uint8_t types[] = {SOURCE_QUENCH, INFORMATION_REQUEST};
	struct selftest_host host;
	bool is_met = true;

	if (!selftest_open(bench, &host))
		return;
	for (uint32_t i = 0; i < sizeof(types); i++) {
		struct explanation passed = selftest_pass(bench, SIDE_LAN,
							  (struct probe){.source = host.address,
									 .source_port = host.port,
									 .destination = selftest_remote,
									 .icmp_type = types[i]});
		is_met = is_met && passed.result.verdict == VERDICT_DROPPED && passed.outputs == 0;
	}
	selftest_observed(finding, is_met, "%s", is_met ? "dropped" : "forwarded");
}
