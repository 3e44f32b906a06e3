/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon, when links or the configuration have changed: the packet socket follows the WAN device, and the engine is
 * told the configuration and its outside addresses anew.
 */
#include "base/address.h"
#include "daemon/daemon_state.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include <culvert/exit.h>

#include "config/forward_check.h"
#include "config/options.h"
#include "daemon/loop.h"
#include "datapath/datapath.h"
#include "io/kernel.h"
#include "io/tun.h"
#include "io/wan.h"
#include "observe/log.h"

enum { AWAY_MS = 60000 };

/* The facts of the links and the configuration, as the engine wants them. A link that is away keeps its last MTU. */
void daemon_fill_engine_config(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	struct engine_config *engine = &daemon->engine_config;

	config_to_engine(&daemon->config, engine);
	engine->host_tcp = links->host_tcp;
	engine->host_udp = links->host_udp;
	engine->open_tcp = links->open_tcp;
	engine->open_udp = links->open_udp;
	memcpy(engine->kept, links->kept, sizeof(engine->kept));
	engine->kepts = links->kepts;
	engine->hop_address = links->hop_address;
	/* All entries: the first one also counts for hosts of no prefix, even if the LAN has none. */
	for (uint32_t i = 0; i < PREFIXES_MAX; i++) {
		engine->inside[i].prefix = links->lan.prefixes[i];
		engine->inside[i].router_address = links->lan.address;
		if (links->lan.mtu)
			engine->inside[i].mtu = links->lan.mtu;
	}
	engine->insides = links->lan.prefix_count;
	if (links->wan.mtu)
		engine->wan_mtu = links->wan.mtu;
}

void daemon_close_wan(struct daemon *daemon)
{
	loop_watch(daemon->loop, LOOP_WAN, -1);
	datapath_set_wan(daemon->datapath, NULL);
	wan_close(daemon->wan);
	daemon->wan = NULL;
}

int daemon_open_wan(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	int exit_code;

	daemon->wan =
		wan_open(links->wan.ifindex, links->wan.ethernet, links->wan.mac, log_report, daemon->log, &exit_code);
	if (!daemon->wan)
		return exit_code;
	daemon->wan_ifindex = links->wan.ifindex;
	daemon->wan_ethernet = links->wan.ethernet;
	memcpy(daemon->wan_mac, links->wan.mac, sizeof(daemon->wan_mac));
	datapath_set_wan(daemon->datapath, daemon->wan);
	/* What a link without offloads could not send shall not come in from the LAN. */
	if (!tun_set_offload(daemon->tun, daemon->config.offload && wan_offloads(daemon->wan))) {
		log_write(daemon->log, LOG_ERR, "cannot set the offloads of %s: %s", daemon->config.tun,
			  strerror(errno));
		return EXIT_NETWORK;
	}
	if (!loop_watch(daemon->loop, LOOP_WAN, wan_fd(daemon->wan))) {
		log_write(daemon->log, LOG_ERR, "cannot watch the packet socket: %s", strerror(errno));
		return EXIT_NETWORK;
	}
	return EXIT_OK;
}

/* The packet socket follows the WAN device: away, back under another index, another link address. What changed was
 * reported by the kernel's side already. */
static void daemon_follow_wan(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	bool same = links->wan.ifindex == daemon->wan_ifindex && links->wan.ethernet == daemon->wan_ethernet &&
		    memcmp(links->wan.mac, daemon->wan_mac, sizeof(daemon->wan_mac)) == 0;

	if (daemon->wan && !same)
		daemon_close_wan(daemon);
	if (!daemon->wan && links->wan.ifindex != 0 && daemon_open_wan(daemon) != EXIT_OK)
		daemon_close_wan(daemon); /* the next look at the links tries again */
}

/* Forwards do not let anybody in whom another NAT has turned away before. */
static void daemon_report_private(struct daemon *daemon, const struct address *addresses, uint32_t count)
{
	char text[ADDRESS_TEXT];

	for (uint32_t i = 0; i < count && daemon->config.forwards > 0; i++)
		if (address_is_private(addresses[i]))
			log_write(
				daemon->log, LOG_NOTICE,
				"%s is not a public address; if there is another NAT between this router and the Internet, it must forward the ports and protocols of the forwards to this router",
				address_print(addresses[i], text));
}

void daemon_report_forwards(struct daemon *daemon)
{
	const char *file = daemon->options->source.path;

	forward_report(&daemon->config, file ? file : "culvertd", kernel_links(daemon->kernel), log_report_text,
		       daemon->log);
}

/* Says what is remarkable about the outside addresses, when they are others than those that it was said of. */
static void daemon_report_addresses(struct daemon *daemon, const struct kernel_links *links)
{
	uint32_t count = links->wan.address_count, used = count;

	if (count == daemon->told.count &&
	    memcmp(daemon->told.address, links->wan.addresses, count * sizeof(links->wan.addresses[0])) == 0)
		return;
	daemon->told.count = count;
	memcpy(daemon->told.address, links->wan.addresses, count * sizeof(links->wan.addresses[0]));
	if (count > daemon->config.addresses) {
		log_write(daemon->log, LOG_WARNING,
			  "%s has %u addresses; only the first %u are used; see [limits] addresses", links->wan.name,
			  count, daemon->config.addresses);
		used = daemon->config.addresses;
	}
	if (count == 0)
		log_write(
			daemon->log, LOG_WARNING,
			"the WAN has no IPv4 address; nothing can be translated until it gets one; flows wait 60 s for the same one");
	daemon_report_private(daemon, links->wan.addresses, used);
}

/* A DHCP client that flushes, or a dial-in with a fixed address, takes the address away for a moment. Flows wait that
 * long for the same one. Another one ends them at once. */
static uint32_t daemon_tell_addresses(struct daemon *daemon, uint64_t now_ms)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	uint32_t count = links->wan.address_count;

	if (count > daemon->config.addresses)
		count = daemon->config.addresses;
	if (count > 0)
		daemon->away_ms = 0;
	else if (!daemon->away_ms)
		daemon->away_ms = now_ms;
	daemon->waits = count == 0 && now_ms - daemon->away_ms < AWAY_MS;
	if (daemon->waits) {
		engine_suspend_outside(daemon->engine);
		return 0;
	}
	return engine_set_outside(daemon->engine, links->wan.addresses, count, now_ms);
}

uint32_t daemon_tell_engine(struct daemon *daemon, uint64_t now_ms)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	uint32_t ended;

	daemon_fill_engine_config(daemon);
	ended = engine_configure(daemon->engine, &daemon->engine_config, now_ms);
	ended += daemon_tell_addresses(daemon, now_ms);
	if (ended)
		log_write(daemon->log, LOG_NOTICE, "%u flows ended because of the change", ended);
	daemon_report_addresses(daemon, links);
	return ended;
}

/* Says once that what goes to other networks ends here, and once that it does no longer. While the WAN is down, that is
 * what was said; while the gateway is asked, only the route is known. */
static void daemon_follow_gateway(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	char text[ADDRESS_TEXT];
	struct address gateway;
	enum next_hop hop = kernel_default_hop(daemon->kernel, &gateway);

	if (hop == NEXT_HOP_PENDING)
		hop = daemon->default_hop == NEXT_HOP_NO_ROUTE ? NEXT_HOP_KNOWN : daemon->default_hop;
	if (!links->wan.up || hop == daemon->default_hop)
		return;
	if (hop == NEXT_HOP_NO_ROUTE)
		log_write(
			daemon->log, LOG_WARNING,
			"%s has no default route; packets to other networks are dropped, and inside hosts get network unreachable; add a default route",
			links->wan.name);
	else if (hop == NEXT_HOP_SILENT)
		log_write(
			daemon->log, LOG_WARNING,
			"the gateway %s does not answer to ARP; packets through it are dropped, and inside hosts get host unreachable; check the gateway",
			address_print(gateway, text));
	else if (daemon->default_hop == NEXT_HOP_SILENT)
		log_write(daemon->log, LOG_NOTICE, "the gateway %s answers to ARP", address_print(gateway, text));
	else
		log_write(daemon->log, LOG_NOTICE, "%s has a default route again", links->wan.name);
	daemon->default_hop = hop;
}

void daemon_follow_links(struct daemon *daemon, uint64_t now_ms)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);

	bool has_waited = daemon->waits && now_ms - daemon->away_ms >= AWAY_MS;

	if (links->generation != daemon->generation || has_waited) {
		daemon->generation = links->generation;
		daemon_follow_wan(daemon);
		daemon_tell_engine(daemon, now_ms);
	} else if (!daemon->wan && links->wan.ifindex != 0) {
		daemon_follow_wan(daemon);
	}
	daemon_follow_gateway(daemon);
	notify_links(&daemon->notify, daemon->config.lan_interface, kernel_links(daemon->kernel));
	datapath_retry(daemon->datapath, now_ms);
	daemon_set_timer(daemon, now_ms);
}
