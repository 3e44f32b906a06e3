/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is wrong with a configuration although each key by itself is right: devices that are the same, forwards that are
 * not complete, want the same port, or want one of the router's own; modes that leave half a VPN working.
 */
#include "config/config_keys.h"
#include "wire/ip.h"

#include <inttypes.h>
#include <string.h>

#include <culvert/module.h>

enum {
	SSH_PORT = 22,
	PORT_HIGH = 1024,       /* the first one that hosts choose for their own use */
	PORTS_LEFT_MIN = 16384, /* fewer are soon used up */
};

/* One forward of the engine and the section it comes from. */
struct claim {
	struct forward forward;
	const struct config_forward *section;
};

static bool has_ports(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP;
}

/* Where a key of the file is; 0 if it is not there. */
static uint32_t line_of(const struct findings *findings, const char *section, const char *name)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++)
		if (!strcmp(config_keys[i].section, section) && !strcmp(config_keys[i].name, name))
			return findings->key_line[i];
	return 0;
}

uint32_t config_forward_expand(const struct config_forward *forward, struct forward out[FORWARD_EXPANDS_MAX])
{
	uint32_t count = 0;

	_Static_assert((int)SERVICE_CLAIMS <= (int)FORWARD_EXPANDS_MAX, "every service fits");
	for (size_t i = 0; i < SERVICE_CLAIMS && forward->service != SERVICE_NONE; i++) {
		if (service_of_part(service_claims[i].part) == forward->service &&
		    service_claims[i].how != CLAIM_REFUSED)
			out[count++] = (struct forward){.protocol = service_claims[i].protocol,
							.port_first = service_claims[i].port,
							.port_last = service_claims[i].port,
							.to_address = forward->to_address,
							.to_port = service_claims[i].port};
	}
	for (size_t i = 0; i < 2 && forward->service == SERVICE_NONE; i++) {
		if (forward->protocols[i])
			out[count++] =
				(struct forward){.protocol = forward->protocols[i],
						 .port_first = forward->port_first,
						 .port_last = forward->port_last,
						 .to_address = forward->to_address,
						 .to_port = forward->to_port ? forward->to_port : forward->port_first};
	}
	return count;
}

static void check_devices(const struct config *config, const struct config_source *source, struct findings *findings)
{
	const char *lan = config->lan_interface, *wan = config->wan_interface;

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		if (findings->bad[i] && config_keys[i].type == KEY_INTERFACE)
			return;
	}
	if (!lan[0] && findings->is_absent)
		findings_command_error(
			findings,
			"the LAN device is missing: there is no %s; give --lan DEVICE, or make that file with interface = DEVICE in section [lan]",
			source->path);
	else if (!lan[0])
		findings_error(findings, 0, "the LAN device is missing: write interface = DEVICE in section [lan]%s",
			       source->path ? ", or give --lan DEVICE" : " of a file, or give --lan DEVICE");
	if (!config->tun[0])
		findings_error(findings, 0, "[lan] tun is empty: the TUN device needs a name");
	if (lan[0] && !strcmp(lan, wan) && source->lan && source->wan)
		findings_command_error(findings,
				       "%s is the device of both LAN and WAN; name another one with --wan DEVICE", lan);
	else if (lan[0] && !strcmp(lan, wan))
		findings_error(findings, source->wan ? 0 : line_of(findings, "wan", "interface"),
			       "%s is the device of both LAN and WAN; name another one with %s", lan,
			       source->wan ? "--wan DEVICE" : "interface = DEVICE in section [wan]");
	if (config->tun[0] && (!strcmp(config->tun, lan) || !strcmp(config->tun, wan)))
		findings_error(findings, 0, "%s is the TUN device and cannot be the LAN or WAN device as well",
			       config->tun);
}

/* True if the section says one complete thing. */
static bool check_forward(const struct config_forward *forward, struct findings *findings)
{
	const char *problem = NULL;
	bool protocol = forward->protocols[0] != 0, port = forward->port_first != 0;

	if (forward->bad)
		return false;
	if (forward->service != SERVICE_NONE) {
		if (protocol || port)
			problem = "service replaces protocol and port; remove one of them";
		else if (forward->to_port)
			problem = "a service keeps its own ports; write to = ADDRESS";
	} else if (!protocol) {
		problem = port ? "protocol is missing; write protocol = tcp, udp or tcp+udp"
			       : "service is missing, or protocol and port";
	} else if (!has_ports(forward->protocols[0])) {
		if (port || forward->to_port)
			problem = "this protocol has no ports";
	} else if (!port) {
		problem = "port is missing";
	} else if (forward->to_port && forward->to_port + (forward->port_last - forward->port_first) > 65535) {
		problem = "the range of inside ports goes beyond 65535";
	}
	if (problem)
		findings_error(findings, forward->line, "[forward:%s] %s", forward->name, problem);
	if (!address_is_set(forward->to_address))
		findings_error(findings, forward->line, "[forward:%s] to is missing; write to = ADDRESS",
			       forward->name);
	return !problem && address_is_set(forward->to_address);
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP ? "TCP" : "UDP";
}

/* One of the router's own ports lies in the range of a forward. */
static void report_host_port(const struct claim *claim, uint32_t port, const char *owner, struct findings *findings)
{
	const struct forward *forward = &claim->forward;
	char instead[80] = "";

	if (forward->port_first < port && port < forward->port_last)
		snprintf(instead, sizeof(instead),
			 "; write two sections, with port = %u-%" PRIu32 " and port = %" PRIu32 "-%u",
			 forward->port_first, port - 1, port + 1, forward->port_last);
	else if (forward->port_first < forward->port_last)
		snprintf(instead, sizeof(instead), "; write port = %u-%u",
			 forward->port_first + (forward->port_first == port),
			 forward->port_last - (forward->port_last == port));
	findings_error(findings, claim->section->line, "[forward:%s] %s port %" PRIu32 " %s%s", claim->section->name,
		       protocol_name(forward->protocol), port, owner, instead);
}

static void check_host_ports(const struct config *config, const struct claim *claim, struct findings *findings)
{
	const struct forward *forward = &claim->forward;
	const struct port_set *set = forward->protocol == PROTOCOL_TCP ? &config->host_tcp : &config->host_udp;

	if (!has_ports(forward->protocol))
		return;
	for (uint32_t port = forward->port_first; port <= forward->port_last; port++) {
		if (port_set_has(set, (uint16_t)port)) {
			report_host_port(claim, port, "belongs to the router itself by [wan] host_ports", findings);
			return;
		}
		if (forward->protocol == PROTOCOL_UDP && port == DHCP_CLIENT_PORT) {
			report_host_port(claim, port, "always belongs to the router itself, for DHCP", findings);
			return;
		}
	}
}

/* What forwards own, no other inside host can use; and the router itself finds its own ports among the rest. */
static void check_ports_left(const struct config *config, struct findings *findings)
{
	struct port_set ports[2];
	static const char *const names[2] = {"TCP", "UDP"};

	if (config->forwards == 0)
		return;
	config_forwarded_ports(config, &ports[0], &ports[1]);
	for (int i = 0; i < 2; i++) {
		const struct port_set *host = i == 0 ? &config->host_tcp : &config->host_udp;
		uint32_t left = 0, forwarded = 0;

		for (uint32_t word = PORT_HIGH / 64; word < 65536 / 64; word++) {
			forwarded += (uint32_t)__builtin_popcountll(ports[i].bits[word]);
			left += (uint32_t)__builtin_popcountll(~ports[i].bits[word] & ~host->bits[word]);
		}
		if (forwarded > 0 && left < PORTS_LEFT_MIN)
			findings_warn(
				findings, 0,
				"the forwards leave %" PRIu32
				" of %d %s ports above %d to all other inside hosts and to the router itself; forward smaller ranges",
				left, OUTSIDE_PORTS, names[i], PORT_HIGH - 1);
	}
}

/* True if there was something to report. */
static bool check_overlap(const struct claim *first, const struct claim *second, struct findings *findings)
{
	const struct forward *a = &first->forward, *b = &second->forward;
	uint16_t from = a->port_first > b->port_first ? a->port_first : b->port_first;
	char line[300];

	if (a->protocol != b->protocol || a->port_first > b->port_last || b->port_first > a->port_last)
		return false;
	findings_line(findings, second->section->line, first->section->line, line, sizeof(line));
	if (has_ports(a->protocol))
		findings_error(findings, second->section->line,
			       "[forward:%s] and [forward:%s] of %s both want %s port %u", second->section->name,
			       first->section->name, line, protocol_name(a->protocol), from);
	else
		findings_error(findings, second->section->line,
			       "[forward:%s] and [forward:%s] of %s both want IP protocol %u", second->section->name,
			       first->section->name, line, a->protocol);
	return true;
}

/* --- modes --- */

static bool is_blocked(const struct config *config, enum part part)
{
	return config_mode_of(config, part) == MODE_BLOCK;
}

/* Each part of the service that claims traffic is blocked. */
static bool is_blocked_whole(const struct config *config, enum service service)
{
	for (int part = 0; part < PARTS; part++)
		if (part != PART_AH && service_of_part((enum part)part) == service &&
		    !is_blocked(config, (enum part)part))
			return false;
	return true;
}

/* A forward lets nothing in that its service's modes refuse. */
static void check_forward_modes(const struct config *config, const struct config_forward *section,
				struct findings *findings)
{
	static const char *const traffic[PARTS] = {
		[PART_PPTP] = "",
		[PART_L2TP] = "",
		[PART_IKE] = "IKE on UDP port 500",
		[PART_NATT] = "NAT traversal on UDP port 4500, which most clients need,",
		[PART_ESP] = "ESP",
	};
	struct forward expanded[FORWARD_EXPANDS_MAX];
	uint32_t count = config_forward_expand(section, expanded);

	if (section->service != SERVICE_NONE && is_blocked_whole(config, section->service)) {
		findings_warn(findings, section->line, "[forward:%s] does nothing while [%s] mode = block",
			      section->name, service_name(section->service));
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		enum part part = part_claiming(expanded[i].protocol, expanded[i].port_first);

		/* Blocking PPTP refuses enhanced GRE only. */
		if (expanded[i].port_first != expanded[i].port_last || part == PART_NONE ||
		    expanded[i].protocol == PROTOCOL_GRE || !is_blocked(config, part))
			continue;
		if (section->service != SERVICE_NONE)
			findings_warn(findings, section->line, "[forward:%s] lets no %s in while [%s] %s = block",
				      section->name, traffic[part], service_name(service_of_part(part)),
				      part_key(part));
		else
			findings_warn(findings, section->line, "[forward:%s] does nothing while [%s] %s = block",
				      section->name, service_name(service_of_part(part)), part_key(part));
	}
}

/* L2TP in IPsec comes out of it only behind the server's own IPsec. */
static void check_open_l2tp(const struct config *config, const struct config_forward *l2tp, struct findings *findings)
{
	for (uint32_t i = 0; l2tp->service == SERVICE_L2TP && i < config->forwards; i++)
		if (config->forward[i].service == SERVICE_IPSEC &&
		    address_equal(config->forward[i].to_address, l2tp->to_address))
			findings_warn(
				findings, l2tp->line,
				"[forward:%s] lets in L2TP without encryption; L2TP in IPsec needs only [forward:%s]",
				l2tp->name, config->forward[i].name);
}

static uint32_t line_of_part(const struct findings *findings, const char *name)
{
	uint32_t line = line_of(findings, "ipsec", name);

	return line ? line : line_of(findings, "ipsec", "mode");
}

/* Modes that say something other than they seem to. */
static void check_modes(const struct config *config, struct findings *findings)
{
	bool ike = !is_blocked(config, PART_IKE), natt = !is_blocked(config, PART_NATT),
	     esp = !is_blocked(config, PART_ESP);

	if (!ike && (natt || esp))
		findings_warn(
			findings, line_of_part(findings, "ike"),
			"[ipsec] ike = block: nearly all of IPsec starts with IKE on UDP port 500 and will not work; to refuse IPsec, write mode = block");
	if (ike && !natt)
		findings_warn(
			findings, line_of_part(findings, "natt"),
			"[ipsec] natt = block: behind a NAT, nearly every IPsec client continues on UDP port 4500 and will get stuck; to refuse IPsec, write mode = block");
	if ((config->part[PART_AH] == PART_MODE_PASS || config->part[PART_AH] == PART_MODE_PLAIN) && !config->bypasses)
		findings_warn(
			findings, line_of(findings, "ipsec", "ah"),
			"[ipsec] ah has no effect: AH cannot pass a NAT, only reach destinations in [nat] bypass, and there are none");
	if (config->esp_fanout && config_mode_of(config, PART_ESP) != MODE_PASS)
		findings_warn(findings, line_of(findings, "ipsec", "esp_fanout"),
			      "[ipsec] esp_fanout does nothing unless ESP is in mode pass");
	if (!config->tunnels && line_of(findings, "limits", "tunnels"))
		findings_warn(findings, line_of(findings, "limits", "tunnels"),
			      "[limits] tunnels = 0: PPTP, L2TP and IPsec get no help, whatever their modes");
}

/* The limit of a host is there for the others. */
static void check_limits(const struct config *config, struct findings *findings)
{
	uint32_t line = line_of(findings, "limits", "host_flows");

	if (line && config->host_flows > config->flows)
		findings_warn(findings, line,
			      "[limits] host_flows = %" PRIu32 " is more than flows = %" PRIu32
			      ": one inside host can take the place of all others; write a lower host_flows",
			      config->host_flows, config->flows);
}

/* --- forwards that want the same --- */

static void check_forwards(const struct config *config, struct findings *findings)
{
	struct claim claims[FORWARDS_MAX];
	struct forward expanded[FORWARD_EXPANDS_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < config->forwards; i++) {
		const struct config_forward *section = &config->forward[i];
		const struct config_forward *reported = NULL;
		uint32_t more;

		if (!check_forward(section, findings))
			continue;
		check_forward_modes(config, section, findings);
		check_open_l2tp(config, section, findings);
		more = config_forward_expand(section, expanded);
		if (count + more > FORWARDS_MAX) {
			findings_error(findings, section->line,
				       "more than %d forwards (a service counts for each of its protocols)",
				       FORWARDS_MAX);
			return;
		}
		for (uint32_t j = 0; j < more; j++) {
			claims[count + j] = (struct claim){.forward = expanded[j], .section = section};
			check_host_ports(config, &claims[count + j], findings);
			for (uint32_t k = 0; k < count; k++) {
				if (claims[k].section != reported &&
				    check_overlap(&claims[k], &claims[count + j], findings))
					reported = claims[k].section;
			}
		}
		count += more;
	}
}

/* Nobody has asked for the default, but somebody has for the forward. */
void config_yield_defaults(struct config *config, struct findings *findings)
{
	struct forward expanded[FORWARD_EXPANDS_MAX];

	if (line_of(findings, "wan", "host_ports"))
		return;
	for (uint32_t i = 0; i < config->forwards; i++) {
		uint32_t count = config_forward_expand(&config->forward[i], expanded);

		for (uint32_t j = 0; j < count; j++) {
			if (expanded[j].protocol != PROTOCOL_TCP || expanded[j].port_first > SSH_PORT ||
			    expanded[j].port_last < SSH_PORT || !port_set_has(&config->host_tcp, SSH_PORT))
				continue;
			config->host_tcp = (struct port_set){0};
			findings_warn(
				findings, config->forward[i].line,
				"[forward:%s] takes TCP port 22; the WAN no longer reaches ssh on the router itself; to confirm that, write host_ports = in section [wan]",
				config->forward[i].name);
		}
	}
}

void config_check(const struct config *config, const struct config_source *source, struct findings *findings)
{
	check_devices(config, source, findings);
	check_modes(config, findings);
	check_limits(config, findings);
	check_forwards(config, findings);
	check_ports_left(config, findings);
}
