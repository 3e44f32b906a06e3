/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The router on one screen. Tunnels are counted over as many turns as it takes; the rest is said in the last one.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <culvert/module.h>

#include "base/address.h"
#include "config/config.h"
#include "config/forward_check.h"
#include "control/reload.h"
#include "control/verb.h"
#include "datapath/datapath.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "io/sysctl.h"
#include "observe/drop_rates.h"
#include "observe/log.h"
#include "observe/quota.h"
#include "observe/tunnel_text.h"

enum {
	NEARLY_FULL_PERCENT = 80,
	TUNNELS_A_TURN = 1024,
	FULL_HOSTS_SHOWN = 4,
	SILENCE_PACKETS = 20, /* in a minute; of fewer nothing follows */
	SILENCE_PERCENT = 90,
};

struct status {
	uint64_t cursor;
	uint32_t tunnels[SERVICES][TUNNEL_STATES];
	uint32_t silent, hinted; /* hinted: of those that are not silent */
};

static void count_tunnel(struct status *status, const struct tunnel_view *view)
{
	status->tunnels[view->service][view->state]++;
	if (view->end != END_NOT)
		return;
	status->silent += view->silent >= 0;
	status->hinted += view->silent < 0 && view->hint != HINT_NONE;
}

static void send_daemon(struct verb *verb)
{
	const struct engine_counters *counters = engine_counters(verb->router->engine);
	const struct config *config = verb->router->config;
	struct json *row = verb_row(verb, "daemon");

	json_text(row, "version", PACKAGE_VERSION);
	json_number(row, "process", (uint64_t)getpid());
	json_number(row, "uptime", (clock_now_ms() - verb->router->started_ms) / 1000);
	json_number(row, "flows", counters->flows);
	json_number(row, "flows-limit", config->flows);
	json_number(row, "mappings", counters->mappings);
	json_number(row, "hosts", counters->hosts);
	json_number(row, "hosts-limit", config->hosts);
	json_number(row, "memory-bytes", counters->arena_bytes);
	verb_send(verb);
}

static void send_interface(struct verb *verb, enum side side, const char *name, bool is_up, uint32_t mtu)
{
	struct json *row = verb_row(verb, "interface");

	json_text(row, "side", side_name((enum side)side));
	json_text(row, "name", name);
	json_text(row, "state", is_up ? "up" : "down");
	json_number(row, "mtu", mtu);
	verb_send(verb);
}

static void send_address(struct verb *verb, enum side side, struct address address)
{
	struct json *row = verb_row(verb, "address");

	json_text(row, "side", side_name((enum side)side));
	json_address(row, "address", address);
	verb_send(verb);
}

static void send_links(struct verb *verb, const struct kernel_links *links)
{
	send_interface(verb, SIDE_LAN, verb->router->config->lan_interface, links->lan.up, links->lan.mtu);
	if (address_is_set(links->lan.address))
		send_address(verb, SIDE_LAN, links->lan.address);
	send_interface(verb, SIDE_WAN, links->wan.name, links->wan.up, links->wan.mtu);
	for (uint32_t i = 0; i < links->wan.address_count; i++)
		send_address(verb, SIDE_WAN, links->wan.addresses[i]);
}

/* Those of one protocol that the operator has opened, or that were in use when all of these are open: beside the ports
 * that answers to the router itself come to. */
static void add_open_ports(struct json *row, const char *name, const struct port_set *open,
			   const struct port_set *named, const struct kernel_links *links)
{
	struct port_set ports = *open;
	char text[SYSCTL_VALUE_MAX];

	for (uint32_t port = links->own_first; port && port <= links->own_last; port++)
		if (!port_set_has(named, (uint16_t)port))
			port_set_remove(&ports, (uint16_t)port);
	json_text(row, name, sysctl_print_ports(&ports, text) ? text : "many");
}

static void send_open(struct verb *verb, const struct kernel_links *links)
{
	const struct config *config = verb->router->config;
	struct json *row = verb_row(verb, "open");
	char answers[32] = "";

	if (links->own_first)
		snprintf(answers, sizeof(answers), "%u-%u", links->own_first, links->own_last);
	add_open_ports(row, "tcp", &links->open_tcp, &config->host_tcp, links);
	add_open_ports(row, "udp", &links->open_udp, &config->host_udp, links);
	json_text(row, "answers", answers);
	json_number(row, "kept", links->kepts);
	json_text(row, "in-use-at-start", config->host_auto ? "open" : "closed");
	verb_send(verb);
}

static uint64_t sum_of_drops(const struct engine_counters *counters, int side)
{
	uint64_t sum = 0;

	for (int i = DROP_NONE + 1; i < DROPS; i++)
		sum += counters->dropped[side][i];
	return sum;
}

static void send_traffic(struct verb *verb, const struct datapath_counters *datapath)
{
	const struct engine_counters *counters = engine_counters(verb->router->engine);

	for (int side = 0; side < SIDES; side++) {
		struct json *row = verb_row(verb, "traffic");

		json_text(row, "side", side_name((enum side)side));
		json_number(row, "packets", counters->received[side]);
		json_number(row, "bytes", counters->bytes[side]);
		json_number(row, "forwarded", counters->forwarded[side]);
		json_number(row, "consumed", counters->consumed[side]);
		json_number(row, "held", counters->held[side]);
		json_number(row, "dropped", sum_of_drops(counters, side));
		json_number(row, "lost-before", datapath->lost[side]);
		verb_send(verb);
	}
}

static void send_services(struct verb *verb, const struct status *status)
{
	for (int service = 0; service < SERVICES; service++) {
		struct json *row = verb_row(verb, "service");

		json_text(row, "service", service_name((enum service)service));
		json_text(row, "mode", service_mode_name(verb->router->config->service[service]));
		for (int i = 0; i < TUNNEL_STATES; i++)
			json_number(row, tunnel_state_name((enum tunnel_state)i), status->tunnels[service][i]);
		verb_send(verb);
	}
}

static void warn(struct verb *verb, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void warn(struct verb *verb, const char *name, const char *format, ...)
{
	struct json *row = verb_row(verb, "warning");
	char text[RELOAD_PROBLEM + 160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	json_text(row, "warning", name);
	json_text(row, "text", text);
	verb_send(verb);
}

/* Where what goes to other networks ends. A WAN that is down has no routes, and says so itself. */
static void warn_of_gateway(struct verb *verb, const struct kernel_links *links)
{
	char text[ADDRESS_TEXT];
	struct address gateway;
	enum next_hop hop = kernel_default_hop(verb->router->kernel, &gateway);

	if (!links->wan.up)
		return;
	if (hop == NEXT_HOP_NO_ROUTE)
		warn(verb, "no-default-route",
		     "there is no default route through %s; inside hosts get network unreachable; add one",
		     links->wan.name);
	if (hop == NEXT_HOP_SILENT)
		warn(verb, "gateway-silent",
		     "the gateway %s does not answer to ARP; inside hosts get host unreachable; check the gateway",
		     address_print(gateway, text));
}

static void warn_of_links(struct verb *verb, const struct kernel_links *links)
{
	if (links->wan.ifindex == 0)
		warn(verb, "wan-gone", "the WAN device is gone; nothing is forwarded until it is back");
	else if (!links->wan.up)
		warn(verb, "wan-down", "the WAN device %s is down or has no carrier", links->wan.name);
	if (!links->lan.up)
		warn(verb, "lan-down", "the LAN device %s is down, gone or has no carrier",
		     verb->router->config->lan_interface);
	if (links->wan.address_count == 0)
		warn(verb, "no-outside-address",
		     "the WAN has no IPv4 address; nothing can be translated until it gets one");
	else if (verb->router->config->forwards > 0 && address_is_private(links->wan.addresses[0]))
		warn(verb, "outside-address-private",
		     "the outside address is not a public one; remote hosts reach forwards only if the NAT in front of this router forwards as well");
}

/* The first one, and how many there are. */
static void warn_of_forwards(struct verb *verb, const struct kernel_links *links)
{
	const struct config *config = verb->router->config;
	char first[FORWARD_PROBLEM], problem[FORWARD_PROBLEM], more[48] = "";
	uint32_t count = 0;

	for (uint32_t i = 0; i < config->forwards; i++)
		count += forward_problem(&config->forward[i], config, links, count == 0 ? first : problem);
	if (count > 1)
		snprintf(more, sizeof(more), " (%u forwards in all)", count);
	if (count)
		warn(verb, "forward-leads-nowhere", "%s%s", first, more);
	for (uint32_t i = 0; i < config->forwards; i++)
		if (forward_takes_own_ports(&config->forward[i], links, problem)) {
			warn(verb, "forward-takes-own-ports", "%s", problem);
			break;
		}
}

static bool is_nearly_full(uint32_t used, uint32_t limit)
{
	return (uint64_t)used * 100 >= (uint64_t)limit * NEARLY_FULL_PERCENT;
}

static void warn_of_ports(struct verb *verb)
{
	struct outside_view outside;
	char address[ADDRESS_TEXT];
	uint32_t cursor = 0;

	while (engine_next_outside(verb->router->engine, &cursor, &outside)) {
		const uint32_t used[] = {outside.tcp_ports, outside.udp_ports};

		for (int i = 0; i < 2; i++) {
			uint32_t limit = engine_port_limit(verb->router->engine, i ? IPPROTO_UDP : IPPROTO_TCP);
			const char *protocol = i ? "UDP" : "TCP";

			address_print(outside.address, address);
			if (limit == 0)
				warn(verb, "ports-nearly-full",
				     "forwards and the router have all %s ports of %s; other inside hosts get none; forward fewer",
				     protocol, address);
			else if (is_nearly_full(used[i], limit))
				warn(verb, "ports-nearly-full",
				     "%u of %u %s ports of %s are in use; give the WAN device another address", used[i],
				     limit, protocol, address);
		}
	}
}

static void warn_of_limits(struct verb *verb, const struct datapath_counters *datapath)
{
	const struct engine_counters *counters = engine_counters(verb->router->engine);
	const struct config *config = verb->router->config;

	if (is_nearly_full(counters->flows, config->flows))
		warn(verb, "flows-nearly-full", "%u of %u flows are in use; raise [limits] flows", counters->flows,
		     config->flows);
	if (is_nearly_full(counters->hosts, config->hosts))
		warn(verb, "hosts-nearly-full", "%u of %u inside hosts are in use; raise [limits] hosts",
		     counters->hosts, config->hosts);
	warn_of_ports(verb);
	for (int side = 0; side < SIDES; side++) {
		uint64_t sum = counters->forwarded[side] + counters->consumed[side] + counters->held[side];

		if (sum + sum_of_drops(counters, side) != counters->received[side])
			warn(verb, "sums-wrong",
			     "the counts of the packets from the %s do not add up; please report it",
			     side_name((enum side)side));
		if (datapath->lost[side])
			warn(verb, "packets-lost",
			     "the kernel lost %llu packets from the %s before culvertd read them; the machine is too slow or too busy",
			     (unsigned long long)datapath->lost[side], side_name((enum side)side));
	}
}

/* Hosts that have used up their share; one after another, as many as fit a screen. */
static void warn_of_full_hosts(struct verb *verb, uint64_t now_ms)
{
	const struct router *router = verb->router;
	char text[QUOTA_TEXT];
	struct full_host host;
	uint32_t cursor = 0;

	if (drop_rates_last_minute(router->drop_rates, engine_counters(router->engine), DROP_HOST_LIMIT, now_ms) == 0)
		return;
	for (int i = 0; i < FULL_HOSTS_SHOWN && engine_next_full_host(router->engine, &cursor, &host); i++) {
		quota_describe(&host, router->config->host_flows, text);
		warn(verb, "host-limit", "%s", text);
	}
}

/* What inside hosts want and cannot have, because something is used up. */
static void warn_of_shortage(struct verb *verb, uint64_t now_ms)
{
	static const enum drop reasons[] = {DROP_PORTS_EXHAUSTED,   DROP_FLOWS_EXHAUSTED,    DROP_HOSTS_EXHAUSTED,
					    DROP_TUNNELS_EXHAUSTED, DROP_CALL_IDS_EXHAUSTED, DROP_OWNER_TAKEN};
	const struct router *router = verb->router;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		uint64_t packets = drop_rates_of_side(router->drop_rates, engine_counters(router->engine), SIDE_LAN,
						      reasons[i], now_ms);

		if (packets)
			warn(verb, "used-up",
			     "%" PRIu64 " packet%s of inside hosts had to be dropped in the last minute as %s: %s; %s",
			     packets, packets == 1 ? "" : "s", drop_name(reasons[i]), drop_meaning(reasons[i]),
			     drop_advice(reasons[i]));
	}
}

/* The LAN is cut off, whatever for. */
static void warn_of_silence(struct verb *verb, uint64_t now_ms)
{
	const struct drop_rates *rates = verb->router->drop_rates;
	const struct engine_counters *counters = engine_counters(verb->router->engine);
	uint64_t received = drop_rates_of_side(rates, counters, SIDE_LAN, DROP_NONE, now_ms), dropped = 0, most = 0;
	enum drop worst = DROP_NONE;

	for (int reason = DROP_NONE + 1; reason < DROPS; reason++) {
		uint64_t packets = drop_rates_of_side(rates, counters, SIDE_LAN, (enum drop)reason, now_ms);

		dropped += packets;
		if (packets <= most)
			continue;
		most = packets;
		worst = (enum drop)reason;
	}
	if (received >= SILENCE_PACKETS && dropped * 100 >= received * SILENCE_PERCENT)
		warn(verb, "lan-cut-off",
		     "%" PRIu64 " of %" PRIu64
		     " packets from the LAN were dropped in the last minute, most of them as %s: %s; %s",
		     dropped, received, drop_name(worst), drop_meaning(worst), drop_advice(worst));
}

/* Packets of one part of a service that a mode has refused in the last minute. */
struct refused {
	uint32_t hosts, most;
	struct address host; /* with the most tries */
};

static void warn_of_part(struct verb *verb, enum part part, const struct refused *refused)
{
	enum service service = service_of_part(part);
	bool has_own = verb->router->config->part[part] == PART_MODE_BLOCK, is_part = part_has_key(part);
	char address[ADDRESS_TEXT], others[48] = "";

	if (refused->hosts > 1)
		snprintf(others, sizeof(others), ", and so have %u other hosts", refused->hosts - 1);
	warn(verb, "blocked-is-tried",
	     "%s%s%s%s is blocked by [%s] %s, and %s has tried it %u time%s in the last minute%s; culvertctl mode %s pass allows it",
	     service_label(service), is_part ? " (" : "", is_part ? part_label(part) : "", is_part ? ")" : "",
	     service_name(service), has_own ? part_key(part) : "mode", address_print(refused->host, address),
	     refused->most, refused->most == 1 ? "" : "s", others, has_own ? part_name(part) : service_name(service));
}

/* What nobody has a record of, because it was refused at once. */
static void warn_of_attempts(struct verb *verb, struct status *status)
{
	struct refused refused[PARTS] = {{0}};
	struct tunnel_view view;
	uint32_t cursor = 0;

	while (engine_next_attempt(verb->router->engine, &cursor, clock_now_ms(), &view)) {
		struct refused *part;

		if (view.hint != HINT_BLOCKED) {
			status->hinted++;
			continue;
		}
		part = &refused[view.part];
		part->hosts++;
		if (view.packets[SIDE_LAN] < part->most)
			continue;
		part->most = view.packets[SIDE_LAN];
		part->host = view.inside_address;
	}
	for (int part = 0; part < PARTS; part++)
		if (refused[part].hosts)
			warn_of_part(verb, (enum part)part, &refused[part]);
}

static void warn_of_tunnels(struct verb *verb, const struct status *status)
{
	if (status->silent)
		warn(verb, "tunnels-silent", "%u tunnels get nothing from one side; culvertctl tunnels says why",
		     status->silent);
	if (status->hinted)
		warn(verb, "tunnels-hints", "%u tunnel%s a problem: culvertctl tunnels says which", status->hinted,
		     status->hinted == 1 ? " has" : "s have");
}

/* What a person who has just come would not know: the file says something else than what is in force. */
static void warn_of_configuration(struct verb *verb, uint64_t now_ms)
{
	uint32_t left_s = reload_trial_left_s(verb->router->reload, now_ms);
	const char *problem = reload_problem(verb->router->reload);

	if (left_s)
		warn(verb, "configuration-on-trial",
		     "the configuration is on trial; the previous one comes back in %u s; culvertctl confirm keeps it",
		     left_s);
	if (problem[0])
		warn(verb, "configuration-not-in-force",
		     "the configuration file is not in force since the last reload: %s", problem);
}

/* The log does not wait for its reader. */
static void warn_of_log(struct verb *verb)
{
	const char *problem = log_problem(verb->router->log);

	if (problem)
		warn(verb, "log-lines-lost",
		     "the log cannot be written: %s; %" PRIu64
		     " lines were lost since the start; see where [log] target or standard error leads to",
		     problem, log_lost(verb->router->log));
}

enum verb_step verb_status(struct verb *verb)
{
	const struct kernel_links *links = kernel_links(verb->router->kernel);
	struct status *status = verb_memory(verb, sizeof(*status));
	uint64_t now_ms = clock_now_ms();
	const struct datapath_counters *datapath;
	struct tunnel_view view;

	if (verb->is_first && !verb_has_no_words(verb))
		return VERB_OVER;
	for (uint32_t i = 0; engine_next_tunnel(verb->router->engine, &status->cursor, now_ms, &view);) {
		count_tunnel(status, &view);
		if (++i == TUNNELS_A_TURN)
			return VERB_AGAIN;
	}
	datapath = datapath_counters(verb->router->datapath);
	send_daemon(verb);
	send_links(verb, links);
	send_open(verb, links);
	send_traffic(verb, datapath);
	send_services(verb, status);
	warn_of_configuration(verb, now_ms);
	warn_of_log(verb);
	warn_of_links(verb, links);
	warn_of_gateway(verb, links);
	warn_of_forwards(verb, links);
	warn_of_limits(verb, datapath);
	warn_of_full_hosts(verb, now_ms);
	warn_of_shortage(verb, now_ms);
	warn_of_silence(verb, now_ms);
	warn_of_attempts(verb, status);
	warn_of_tunnels(verb, status);
	return VERB_OVER;
}
