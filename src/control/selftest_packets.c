/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending packets through the shadow, and flows to begin with. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <culvert/packet.h>

#include "control/selftest.h"
#include "control/verb.h"
#include "io/kernel.h"

enum { ECHO_REQUEST = 8, ECHO_REPLY = 0, UNREACHABLE = 3, HOST_UNREACHABLE = 1, PORT_TRIES = 64, RIVALS = 200 };

/* What keeps a host of the test from having a flow says nothing about how the router behaves. */
static void note_obstacle(struct bench *bench, const struct engine_result *result)
{
	switch (result->verdict == VERDICT_DROPPED ? result->drop : DROP_NONE) {
	case DROP_NO_OUTSIDE_ADDRESS:
	case DROP_HOST_LIMIT:
	case DROP_HOSTS_EXHAUSTED:
	case DROP_FLOWS_EXHAUSTED:
	case DROP_PORTS_EXHAUSTED:
		bench->obstacle = (enum drop)result->drop;
		break;
	default:
		break;
	}
}

struct explanation selftest_pass_bytes(struct bench *bench, enum side from, uint32_t length)
{
	struct packet packet = {.data = bench->bytes, .length = length};
	struct explanation explanation;

	engine_explain(bench->shadow, from, &packet, bench->now_ms, &explanation);
	note_obstacle(bench, &explanation.result);
	return explanation;
}

struct explanation selftest_pass(struct bench *bench, enum side from, struct probe probe)
{
	struct packet packet;

	if (!probe.protocol)
		probe.protocol = bench->protocol;
	if (!probe.ttl)
		probe.ttl = SELFTEST_TTL;
	probe_build(&probe, &packet, bench->bytes);
	return selftest_pass_bytes(bench, from, packet.length);
}

struct explanation selftest_leave(struct bench *bench, const struct selftest_host *host, struct address remote,
				  uint16_t port)
{
	return selftest_pass(bench, SIDE_LAN,
			     (struct probe){.source = host->address,
					    .source_port = host->port,
					    .destination = remote,
					    .destination_port = port,
					    .tcp_flags = PROBE_TCP_SYN,
					    .icmp_type = ECHO_REQUEST});
}

struct explanation selftest_come(struct bench *bench, const struct selftest_host *host, struct address remote,
				 uint16_t port)
{
	bool is_icmp = bench->protocol == PROTOCOL_ICMP;

	return selftest_pass(bench, SIDE_WAN,
			     (struct probe){.source = remote,
					    .source_port = is_icmp ? host->outside_port : port,
					    .destination = host->outside,
					    .destination_port = host->outside_port,
					    .tcp_flags = PROBE_TCP_SYN,
					    .icmp_type = ECHO_REPLY});
}

struct explanation selftest_error(struct bench *bench, enum side from, struct address source,
				  struct address destination, uint32_t quoted)
{
	return selftest_pass(bench, from,
			     (struct probe){.protocol = PROTOCOL_ICMP,
					    .source = source,
					    .destination = destination,
					    .icmp_type = UNREACHABLE,
					    .icmp_code = HOST_UNREACHABLE,
					    .quote = bench->quote,
					    .quote_length = quoted});
}

uint32_t selftest_quote(struct bench *bench)
{
	memcpy(bench->quote, bench->bytes, SELFTEST_HEADERS);
	return SELFTEST_HEADERS;
}

bool selftest_is_forwarded(const struct explanation *explanation, enum side to)
{
	return explanation->result.verdict == VERDICT_FORWARDED && explanation->outputs > 0 &&
	       explanation->output[0].to == to;
}

bool selftest_has_outside(const struct selftest_host *host, const struct explanation *explanation)
{
	return explanation->has_flow && address_equal(explanation->flow.outside_address, host->outside) &&
	       explanation->flow.outside_port == host->outside_port;
}

static bool take_outside(struct selftest_host *host, const struct explanation *explanation)
{
	host->outside = explanation->flow.outside_address;
	host->outside_port = explanation->flow.outside_port;
	return explanation->has_flow;
}

bool selftest_open(struct bench *bench, struct selftest_host *host)
{
	*host = (struct selftest_host){.address = selftest_inside};
	for (uint32_t i = 0; i < PORT_TRIES; i++) {
		host->port = (uint16_t)(SELFTEST_PORT + 2 * i);
		struct explanation first = selftest_leave(bench, host, selftest_remote, SELFTEST_REMOTE_PORT);
		if (!take_outside(host, &first))
			return false;
		if (host->outside_port == host->port)
			break;
	}
	return true;
}

static bool open_number(struct bench *bench, const struct selftest_host *host, struct selftest_host *other,
			uint32_t number)
{
	*other = (struct selftest_host){.address = address_of(selftest_inside.v4 + number), .port = host->port};
	struct explanation opened = selftest_leave(bench, other, selftest_remote, SELFTEST_REMOTE_PORT);
	return take_outside(other, &opened);
}

bool selftest_open_other(struct bench *bench, const struct selftest_host *host, struct selftest_host *other)
{
	return open_number(bench, host, other, 1);
}

bool selftest_open_rival(struct bench *bench, const struct selftest_host *host, struct selftest_host *rival,
			 uint32_t *number)
{
	while (*number < RIVALS) {
		if (!open_number(bench, host, rival, (*number)++))
			return false;
		if (address_equal(rival->outside, host->outside))
			return true;
	}
	return false;
}

/* --- findings --- */

static void __attribute__((format(printf, 4, 0)))
write_finding(struct finding *finding, enum selftest_result result, enum selftest_source source, const char *format,
	      va_list arguments)
{
	finding->result = result;
	finding->source = source;
	vsnprintf(finding->value, sizeof(finding->value), format, arguments);
}

void selftest_observed(struct finding *finding, bool is_met, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_finding(finding, is_met ? SELFTEST_MET : SELFTEST_NOT_MET, SELFTEST_OBSERVED, format, arguments);
	va_end(arguments);
}

void selftest_configured(struct finding *finding, bool is_met, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_finding(finding, is_met ? SELFTEST_MET : SELFTEST_NOT_MET, SELFTEST_CONFIGURED, format, arguments);
	va_end(arguments);
}

void selftest_deviates(struct bench *bench, struct finding *finding)
{
	selftest_configured(finding, true, "%s", bench->text);
	finding->result = SELFTEST_DEVIATES;
	finding->source = SELFTEST_KNOWN;
}

void selftest_unseen(struct bench *bench, struct finding *finding)
{
	selftest_configured(finding, true, "would show it: %s", bench->text);
	finding->result = SELFTEST_UNSEEN;
	finding->source = SELFTEST_KNOWN;
}

void selftest_deviates_if(const struct bench *bench, struct finding *finding, bool is_so, const char *otherwise)
{
	selftest_configured(finding, true, "%s", is_so ? bench->text : otherwise);
	finding->result = is_so ? SELFTEST_DEVIATES : SELFTEST_MET;
}

bool selftest_has_addresses(const struct bench *bench, struct finding *finding)
{
	if (kernel_links(bench->router->kernel)->wan.address_count > 1)
		return true;
	selftest_configured(finding, true, "there is one outside address; would show it: a second one");
	finding->result = SELFTEST_UNSEEN;
	finding->source = SELFTEST_KNOWN;
	return false;
}
