/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the running router behaves, in the words of RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP). Packets of hosts
 * that nobody has (RFC 2544 sets their addresses apart) go one after another through a shadow of the engine, and what
 * became of them is what is reported; nothing is sent, and no flow of the engine is changed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <culvert/explain.h>

#include "daemon/config.h"
#include "daemon/probe.h"
#include "daemon/verb.h"
#include "io/clock.h"
#include "io/state_file.h"

enum { ICMP = 1, TCP = 6, UDP = 17, TTL = 64, ECHO_REQUEST = 8, ECHO_REPLY = 0 };
enum { PORT_FIRST = 20001, PORT_TRIES = 64, REMOTE_PORT = 9, OTHER_PORT = 10, WAIT_MS = 10000 };
enum { HOST_FLOWS = 12 }; /* that the busier one of the two inside hosts has in the end */
enum { UDP_FLOOR = 120, TCP_OPENING_FLOOR = 240, TCP_ESTABLISHED_FLOOR = 7440, ICMP_FLOOR = 60 };

static const uint32_t inside = 0xc6120001, other_inside = 0xc6120002;                            /* 198.18.0.1, .2 */
static const uint32_t remote = 0xc6130001, other_remote = 0xc6130002, third_remote = 0xc6130003; /* 198.19.0.1 ... */

struct bench {
	struct verb *verb;
	struct engine *shadow;
	uint8_t *bytes;
	uint64_t now_ms;
	uint8_t protocol;
	const char *rfc;
	uint16_t port; /* of both inside hosts */
	uint32_t outside, other_outside;
	uint16_t outside_port, other_outside_port;
};

/* --- packets --- */

static struct explanation pass(const struct bench *bench, enum side from, struct probe probe)
{
	struct explanation explanation;
	struct packet packet;

	probe.protocol = bench->protocol;
	probe.ttl = TTL;
	probe_build(&probe, &packet, bench->bytes);
	engine_explain(bench->shadow, from, &packet, bench->now_ms, &explanation);
	return explanation;
}

static struct explanation leave(const struct bench *bench, uint32_t source, uint32_t destination, uint16_t port)
{
	return pass(bench, SIDE_LAN,
		    (struct probe){.source = source,
				   .source_port = bench->port,
				   .destination = destination,
				   .destination_port = port,
				   .tcp_flags = PROBE_TCP_SYN,
				   .icmp_type = ECHO_REQUEST});
}

static struct explanation come(const struct bench *bench, uint32_t source, uint16_t port)
{
	return pass(bench, SIDE_WAN,
		    (struct probe){.source = source,
				   .source_port = port,
				   .destination = bench->outside,
				   .destination_port = bench->outside_port,
				   .tcp_flags = PROBE_TCP_SYN});
}

static bool is_forwarded(const struct explanation *explanation, enum side to)
{
	return explanation->result.verdict == VERDICT_FORWARDED && explanation->outputs > 0 &&
	       explanation->output[0].to == to;
}

static bool has_outside(const struct bench *bench, const struct explanation *explanation)
{
	return explanation->has_flow && explanation->flow.outside_address == bench->outside &&
	       explanation->flow.outside_port == bench->outside_port;
}

/* --- rows --- */

#define EITHER "either is allowed"

static const char *met(bool is_met)
{
	return is_met ? "met" : "not met";
}

static void __attribute__((format(printf, 6, 7)))
tell(const struct bench *bench, const char *requirement, const char *behaviour, const char *result, bool is_observed,
     const char *format, ...)
{
	struct json *row = verb_row(bench->verb, "behaviour");
	char value[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(value, sizeof(value), format, arguments);
	va_end(arguments);
	json_text(row, "rfc", bench->rfc);
	json_text(row, "requirement", requirement);
	json_text(row, "behaviour", behaviour);
	json_text(row, "result", result);
	json_text(row, "value", value);
	json_text(row, "from", is_observed ? "observed" : "configuration");
	verb_send(bench->verb);
}

static void tell_timer(const struct bench *bench, const char *requirement, const char *behaviour, uint32_t seconds,
		       uint32_t least, bool is_observed)
{
	tell(bench, requirement, behaviour, met(seconds >= least), is_observed, "%u s, at least %u s", seconds, least);
}

static const char *dependence_name(enum dependence dependence)
{
	static const char *const names[] = {"endpoint-independent", "address-dependent", "address-and-port-dependent"};

	return names[dependence];
}

/* --- behaviours of UDP and TCP --- */

static void observe_mapping(const struct bench *bench)
{
	struct explanation elsewhere = leave(bench, inside, other_remote, REMOTE_PORT);
	struct explanation beside = leave(bench, inside, remote, OTHER_PORT);
	enum dependence dependence = has_outside(bench, &elsewhere) ? ENDPOINT_INDEPENDENT
				     : has_outside(bench, &beside)  ? ADDRESS_DEPENDENT
								    : ADDRESS_AND_PORT_DEPENDENT;

	tell(bench, "REQ-1", "mapping", met(dependence == ENDPOINT_INDEPENDENT), true, "%s",
	     dependence_name(dependence));
}

static void observe_filtering(const struct bench *bench, const char *requirement)
{
	struct explanation beside = come(bench, remote, OTHER_PORT + 1);
	struct explanation stranger = come(bench, third_remote, REMOTE_PORT);
	enum dependence dependence = is_forwarded(&stranger, SIDE_LAN) ? ENDPOINT_INDEPENDENT
				     : is_forwarded(&beside, SIDE_LAN) ? ADDRESS_DEPENDENT
								       : ADDRESS_AND_PORT_DEPENDENT;

	tell(bench, requirement, "filtering", met(dependence != ADDRESS_AND_PORT_DEPENDENT), true, "%s",
	     dependence_name(dependence));
}

/* Another host with the same port: another outside port, of the same class and, for UDP, parity. */
static void observe_ports(const struct bench *bench)
{
	bool is_udp = bench->protocol == UDP;
	bool is_shared = bench->outside == bench->other_outside && bench->outside_port == bench->other_outside_port;

	tell(bench, is_udp ? "4.2.1" : "7.1", "port preservation", EITHER, true, "port %u has outside port %u",
	     bench->port, bench->outside_port);
	tell(bench, is_udp ? "REQ-3" : "REQ-7", "no port overloading", met(!is_shared), true,
	     "two hosts with port %u have %u and %u", bench->port, bench->outside_port, bench->other_outside_port);
	if (!is_udp)
		return;
	tell(bench, "REQ-3b", "port range", met(bench->other_outside_port >= 1024), true, "%u has %u", bench->port,
	     bench->other_outside_port);
	tell(bench, "REQ-4", "port parity", met(bench->other_outside_port % 2 == bench->port % 2), true, "%u has %u",
	     bench->port, bench->other_outside_port);
}

static void observe_hairpinning(const struct bench *bench, const char *requirement)
{
	struct explanation turned = leave(bench, other_inside, bench->outside, bench->outside_port);
	const struct explain_output *output = &turned.output[0];
	bool is_turned = is_forwarded(&turned, SIDE_LAN) && output->destination == inside;
	bool is_outside = output->source == bench->other_outside && output->source_port == bench->other_outside_port;
	const char *value = "none";

	if (is_turned)
		value = is_outside ? "with the outside source address and port" : "with another source address or port";
	tell(bench, requirement, "hairpinning", met(is_turned && is_outside), true, "%s", value);
}

static void observe_pooling(struct bench *bench)
{
	uint16_t port = bench->port;
	struct explanation again;
	bool is_paired;

	bench->port = (uint16_t)(port + 2 * PORT_TRIES);
	again = leave(bench, inside, other_remote, REMOTE_PORT);
	bench->port = port;
	is_paired = again.has_flow && again.flow.outside_address == bench->outside;
	tell(bench, "REQ-2", "paired address pooling", met(is_paired), true, "%s for a host",
	     is_paired ? "one outside address" : "several outside addresses");
}

/* An outbound packet must begin the timer anew, an inbound one may. */
static void observe_refresh(struct bench *bench)
{
	struct explanation first = leave(bench, inside, remote, REMOTE_PORT), inbound, outbound;

	tell_timer(bench, "REQ-5", "mapping timer", first.flow.expires_ms / 1000, UDP_FLOOR, true);
	bench->now_ms += WAIT_MS;
	inbound = come(bench, remote, REMOTE_PORT);
	bench->now_ms += WAIT_MS;
	outbound = leave(bench, inside, remote, REMOTE_PORT);
	tell(bench, "REQ-6", "outbound refresh", met(outbound.flow.expires_ms >= first.flow.expires_ms), true,
	     "%u s left after %u s", outbound.flow.expires_ms / 1000, 2 * WAIT_MS / 1000);
	tell(bench, "REQ-6a", "inbound refresh", EITHER, true, "%s",
	     inbound.flow.expires_ms >= first.flow.expires_ms ? "yes" : "no");
}

/* Opens the mappings that all else is about. Ports of real hosts may be in the way, so several are tried. */
static bool open_mappings(struct bench *bench)
{
	struct explanation first, second;

	for (uint32_t i = 0; i < PORT_TRIES; i++) {
		bench->port = (uint16_t)(PORT_FIRST + 2 * i);
		first = leave(bench, inside, remote, REMOTE_PORT);
		if (!first.has_flow)
			return false;
		if (first.flow.outside_port == bench->port)
			break;
	}
	second = leave(bench, other_inside, remote, REMOTE_PORT);
	bench->outside = first.flow.outside_address;
	bench->outside_port = first.flow.outside_port;
	bench->other_outside = second.flow.outside_address;
	bench->other_outside_port = second.flow.outside_port;
	return second.has_flow;
}

static bool observe_udp(struct bench *bench)
{
	bench->protocol = UDP;
	bench->rfc = "RFC 4787";
	if (!open_mappings(bench))
		return false;
	observe_mapping(bench);
	observe_pooling(bench);
	observe_ports(bench);
	observe_refresh(bench);
	observe_filtering(bench, "REQ-8");
	observe_hairpinning(bench, "REQ-9");
	return true;
}

static bool observe_tcp(struct bench *bench)
{
	const uint32_t *timeout = bench->verb->router->config->timeout;
	struct explanation opening, both;

	bench->protocol = TCP;
	bench->rfc = "RFC 5382";
	if (!open_mappings(bench))
		return false;
	opening = leave(bench, inside, remote, REMOTE_PORT);
	observe_mapping(bench);
	both = come(bench, remote, REMOTE_PORT);
	tell(bench, "REQ-2", "simultaneous open", met(is_forwarded(&both, SIDE_LAN)), true,
	     "the SYN from outside is %s", is_forwarded(&both, SIDE_LAN) ? "forwarded" : "dropped");
	observe_filtering(bench, "REQ-3");
	tell_timer(bench, "REQ-5", "established timer", timeout[TIMEOUT_TCP_ESTABLISHED], TCP_ESTABLISHED_FLOOR, false);
	tell_timer(bench, "REQ-5", "transitory timer", opening.flow.expires_ms / 1000, TCP_OPENING_FLOOR, true);
	observe_ports(bench);
	observe_hairpinning(bench, "REQ-8");
	return true;
}

static bool observe_icmp(struct bench *bench)
{
	struct explanation query, answer;

	bench->protocol = ICMP;
	bench->rfc = "RFC 5508";
	bench->port = PORT_FIRST;
	query = leave(bench, inside, remote, 0);
	if (!query.has_flow)
		return false;
	answer = pass(bench, SIDE_WAN,
		      (struct probe){.source = remote,
				     .destination = query.flow.outside_address,
				     .source_port = query.flow.outside_port,
				     .icmp_type = ECHO_REPLY});
	tell(bench, "REQ-1", "query mapping", met(is_forwarded(&query, SIDE_WAN) && is_forwarded(&answer, SIDE_LAN)),
	     true, "the answer is %s", is_forwarded(&answer, SIDE_LAN) ? "forwarded" : "dropped");
	tell_timer(bench, "REQ-2", "query timer", query.flow.expires_ms / 1000, ICMP_FLOOR, true);
	return true;
}

/* --- the verb --- */

static enum verb_step observe(struct bench *bench)
{
	if (observe_udp(bench) && observe_tcp(bench) && observe_icmp(bench))
		return VERB_OVER;
	return verb_fail(bench->verb, EXIT_NETWORK,
			 "a packet to the WAN would be dropped, so that nothing can be observed; status says more");
}

enum verb_step verb_selftest(struct verb *verb)
{
	const struct router *router = verb->router;
	struct bench bench = {.verb = verb, .now_ms = clock_now_ms()};
	enum verb_step step;
	void *snapshot;

	if (!verb_has_no_words(verb))
		return VERB_OVER;
	if (router->config->host_flows < HOST_FLOWS)
		return verb_fail(verb, EXIT_NETWORK,
				 "[limits] host_flows is %u: the hosts of this test need %d flows, so that what is "
				 "seen would be the limit and not how the router behaves",
				 router->config->host_flows, HOST_FLOWS);
	bench.bytes = malloc(PACKET_LENGTH_MAX);
	snapshot = state_file_snapshot(router->flows);
	if (bench.bytes && snapshot)
		bench.shadow = engine_shadow(router->engine, snapshot);
	step = bench.shadow ? observe(&bench)
			    : verb_fail(verb, EXIT_NETWORK, "no memory for a copy of the tables: %s", strerror(errno));
	if (bench.shadow)
		engine_free(bench.shadow);
	if (snapshot)
		state_file_drop_snapshot(router->flows, snapshot);
	free(bench.bytes);
	return step;
}
