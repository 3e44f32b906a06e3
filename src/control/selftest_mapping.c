/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of mappings, ports, filters and hairpinning. */
#include "control/selftest.h"

enum { LOW_PORT = 601, ANY_PORT = 1024, RANDOM_HOSTS = 24, NEAR = 64, SPREAD = 16384, HAIRPIN_HOST = 1 };

static const char *dependence_name(enum dependence dependence)
{
	static const char *const names[] = {"endpoint-independent", "address-dependent", "address-and-port-dependent"};

	return names[dependence];
}

void selftest_mapping(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	struct explanation elsewhere = selftest_leave(bench, &host, selftest_other_remote, SELFTEST_REMOTE_PORT);
	struct explanation beside = selftest_leave(bench, &host, selftest_remote, SELFTEST_OTHER_PORT);
	enum dependence dependence = selftest_has_outside(&host, &elsewhere) ? ENDPOINT_INDEPENDENT
				     : selftest_has_outside(&host, &beside)  ? ADDRESS_DEPENDENT
									     : ADDRESS_AND_PORT_DEPENDENT;
	selftest_observed(finding, dependence == ENDPOINT_INDEPENDENT, "%s", dependence_name(dependence));
}

/* Whom a mapping lets in, besides the remote endpoint that its host has sent to. */
static enum dependence observe_filter(struct bench *bench, const struct selftest_host *host)
{
	struct explanation beside = selftest_come(bench, host, selftest_remote, SELFTEST_OTHER_PORT + 1);
	struct explanation stranger = selftest_come(bench, host, selftest_third_remote, SELFTEST_REMOTE_PORT);

	return selftest_is_forwarded(&stranger, SIDE_LAN) ? ENDPOINT_INDEPENDENT
	       : selftest_is_forwarded(&beside, SIDE_LAN) ? ADDRESS_DEPENDENT
							  : ADDRESS_AND_PORT_DEPENDENT;
}

void selftest_filtering(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	enum dependence dependence = observe_filter(bench, &host);
	selftest_observed(finding, dependence != ADDRESS_AND_PORT_DEPENDENT, "%s", dependence_name(dependence));
}

void selftest_cgn_filtering(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	enum dependence dependence = observe_filter(bench, &host);
	selftest_observed(finding, dependence == ENDPOINT_INDEPENDENT, "%s", dependence_name(dependence));
	if (dependence != ADDRESS_DEPENDENT)
		return;
	selftest_observed(finding, true, "%s", bench->text);
	finding->result = SELFTEST_DEVIATES;
}

void selftest_pooling(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_has_addresses(bench, finding) || !selftest_open(bench, &host))
		return;
	struct selftest_host again = host;
	again.port = (uint16_t)(host.port + 1000);
	struct explanation other = selftest_leave(bench, &again, selftest_other_remote, SELFTEST_REMOTE_PORT);
	bool is_paired = other.has_flow && address_equal(other.flow.outside_address, host.outside);
	selftest_observed(finding, is_paired, "%s for a host",
			  is_paired ? "one outside address" : "several outside addresses");
}

void selftest_pooling_of_protocols(struct bench *bench, struct finding *finding)
{
	struct selftest_host udp, tcp;

	if (!selftest_has_addresses(bench, finding) || !selftest_open(bench, &udp))
		return;
	bench->protocol = PROTOCOL_TCP;
	if (!selftest_open(bench, &tcp))
		return;
	selftest_observed(finding, address_equal(udp.outside, tcp.outside),
			  "UDP and TCP of a host have %s outside address%s",
			  address_equal(udp.outside, tcp.outside) ? "one" : "another",
			  address_equal(udp.outside, tcp.outside) ? "" : "es");
}

/* --- ports --- */

/* Two hosts with one port behind one outside address. */
static bool open_two(struct bench *bench, struct selftest_host *host, struct selftest_host *rival)
{
	uint32_t number = 1;

	return selftest_open(bench, host) && selftest_open_rival(bench, host, rival, &number);
}

void selftest_overloading(struct bench *bench, struct finding *finding)
{
	struct selftest_host host, rival;

	if (open_two(bench, &host, &rival))
		selftest_observed(finding, host.outside_port != rival.outside_port,
				  "two hosts with port %u have %u and %u", host.port, host.outside_port,
				  rival.outside_port);
}

void selftest_high_port(struct bench *bench, struct finding *finding)
{
	struct selftest_host host, rival;

	if (open_two(bench, &host, &rival))
		selftest_observed(finding, rival.outside_port >= ANY_PORT, "%u has %u", rival.port, rival.outside_port);
}

void selftest_low_port(struct bench *bench, struct finding *finding)
{
	struct selftest_host host = {.address = selftest_inside, .port = LOW_PORT};
	struct explanation opened = selftest_leave(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);

	if (opened.has_flow)
		selftest_observed(finding, opened.flow.outside_port < ANY_PORT, "%u has %u", host.port,
				  opened.flow.outside_port);
}

void selftest_parity(struct bench *bench, struct finding *finding)
{
	struct selftest_host host, rival;

	if (open_two(bench, &host, &rival))
		selftest_observed(finding, rival.outside_port % 2 == host.port % 2, "%u has %u", rival.port,
				  rival.outside_port);
}

struct ports {
	uint32_t count, least, most, near; /* near: how often one was close to the one before */
};

static bool open_many(struct bench *bench, struct selftest_host *host, struct ports *ports)
{
	struct selftest_host rival;
	uint32_t number = 1, before = 0;

	*ports = (struct ports){.least = UINT16_MAX};
	if (!selftest_open(bench, host))
		return false;
	while (ports->count < RANDOM_HOSTS && selftest_open_rival(bench, host, &rival, &number)) {
		uint32_t port = rival.outside_port, apart = port > before ? port - before : before - port;
		ports->near += apart <= NEAR;
		ports->least = port < ports->least ? port : ports->least;
		ports->most = port > ports->most ? port : ports->most;
		ports->count++;
		before = port;
	}
	return ports->count > 0;
}

void selftest_random_ports(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct ports ports;

	if (open_many(bench, &host, &ports))
		selftest_observed(finding, ports.near <= ports.count / 4,
				  "a port is kept if it is free; %u hosts that wanted one other port: %s", ports.count,
				  ports.near <= ports.count / 4 ? "no order is seen" : "one close to the other");
}

void selftest_port_range(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;
	struct ports ports;

	if (open_many(bench, &host, &ports))
		selftest_observed(finding, ports.most - ports.least > SPREAD, "%u ports between %u and %u", ports.count,
				  ports.least, ports.most);
}

/* A mapping of UDP is none of TCP: a SYN to it is for nobody. */
void selftest_protocols_apart(struct bench *bench, struct finding *finding)
{
	struct selftest_host host;

	if (!selftest_open(bench, &host))
		return;
	bench->protocol = PROTOCOL_TCP;
	struct explanation other = selftest_come(bench, &host, selftest_remote, SELFTEST_REMOTE_PORT);
	selftest_observed(finding, !selftest_is_forwarded(&other, SIDE_LAN), "TCP to a port of UDP is %s",
			  selftest_is_forwarded(&other, SIDE_LAN) ? "forwarded" : "not forwarded");
}

/* --- hairpinning --- */

static bool open_hairpin(struct bench *bench, struct selftest_host *called, struct selftest_host *caller,
			 struct explanation *turned)
{
	if (!selftest_open(bench, called) || !selftest_open_other(bench, called, caller))
		return false;
	*turned = selftest_leave(bench, caller, called->outside, called->outside_port);
	return true;
}

static bool has_arrived(const struct explanation *turned)
{
	return selftest_is_forwarded(turned, SIDE_LAN) && address_equal(turned->output[0].destination, selftest_inside);
}

void selftest_hairpinning(struct bench *bench, struct finding *finding)
{
	struct selftest_host called, caller;
	struct explanation turned;

	if (open_hairpin(bench, &called, &caller, &turned))
		selftest_observed(finding, has_arrived(&turned), "%s",
				  has_arrived(&turned) ? "an inside host reaches another one" : "none");
}

void selftest_hairpin_source(struct bench *bench, struct finding *finding)
{
	struct selftest_host called, caller;
	struct explanation turned;

	if (!open_hairpin(bench, &called, &caller, &turned))
		return;
	const struct explain_output *output = &turned.output[0];
	bool is_outside = address_equal(output->source, caller.outside) && output->source_port == caller.outside_port;
	const char *value = "none";
	if (has_arrived(&turned))
		value = is_outside ? "with the outside source address and port" : "with another source address or port";
	selftest_observed(finding, has_arrived(&turned) && is_outside, "%s", value);
}

/* The called host answers to what it got with an error; that must find its way back. */
void selftest_hairpinned_error(struct bench *bench, struct finding *finding)
{
	struct selftest_host called, caller;
	struct explanation turned;

	bench->protocol = PROTOCOL_UDP;
	if (!open_hairpin(bench, &called, &caller, &turned))
		return;
	if (!has_arrived(&turned)) {
		selftest_observed(finding, false, "no packet is hairpinned");
		return;
	}
	uint32_t quoted = selftest_quote(bench);
	struct explanation error = selftest_error(bench, SIDE_LAN, called.address, caller.outside, quoted);
	bool is_back =
		selftest_is_forwarded(&error, SIDE_LAN) && address_equal(error.output[0].destination, caller.address);
	selftest_observed(finding, is_back, "an error of the called host %s the caller",
			  is_back ? "reaches" : "does not reach");
}

void selftest_hairpinned_query(struct bench *bench, struct finding *finding)
{
	struct selftest_host called, caller;
	struct explanation query;

	bench->protocol = PROTOCOL_ICMP;
	if (!selftest_open(bench, &called) || !selftest_open_other(bench, &called, &caller))
		return;
	/* The identifier says who is called, so the caller sends that one. */
	caller.port = called.outside_port;
	query = selftest_leave(bench, &caller, called.outside, 0);
	selftest_observed(finding, has_arrived(&query), "a query to the outside identifier of a host %s it",
			  has_arrived(&query) ? "reaches" : "does not reach");
}
