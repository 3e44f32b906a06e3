/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All sockets are looked at when the daemon starts and when the operator wants other ports. In between two cheap
 * questions are asked every few seconds: who listens, and whether the connections that are kept are still there, a few
 * of them at a time.
 */
#include "io/kernel_ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <syslog.h>

#include "io/host_ports.h"
#include "io/kernel_rules.h"

enum {
	WATCHED_AT_ONCE = 8,
	ROUNDS = 1 << 20,
	PORTS_TEXT_MAX = 512,
};

void kernel_ports_open(struct kernel_ports *ports)
{
	int error;

	ports->diag = netlink_new_diag(&error);
}

void kernel_ports_close(struct kernel_ports *ports)
{
	netlink_free(ports->diag);
}

/* --- sets --- */

static void kernel_ports_merge(struct port_set *to, const struct port_set *from)
{
	for (size_t i = 0; i < sizeof(to->bits) / sizeof(to->bits[0]); i++)
		to->bits[i] |= from->bits[i];
}

static void kernel_ports_remove(struct port_set *from, const struct port_set *which)
{
	for (size_t i = 0; i < sizeof(from->bits) / sizeof(from->bits[0]); i++)
		from->bits[i] &= ~which->bits[i];
}

/* What the operator wants goes before what was found: forwards, and above all the ports that are named. */
static void kernel_ports_settle(struct port_set *ports, const struct port_set *forwards, const struct port_set *named)
{
	kernel_ports_remove(ports, forwards);
	kernel_ports_merge(ports, named);
}

static bool kernel_ports_is_open(const struct kernel_links *links, uint32_t protocol, uint16_t port)
{
	return port_set_has(protocol == IPPROTO_TCP ? &links->open_tcp : &links->open_udp, port);
}

/* Its port stays the router's as long as it is there, unless a forward has it. */
static void kernel_ports_add_kept(struct kernel_links *links, const struct host_connection *kept,
				  const struct kernel_ports_wanted *wanted)
{
	bool tcp = kept->protocol == IPPROTO_TCP;

	links->kept[links->kepts++] = *kept;
	if (!port_set_has(tcp ? &wanted->forward_tcp : &wanted->forward_udp, kept->local_port))
		port_set_add(tcp ? &links->host_tcp : &links->host_udp, kept->local_port);
}

void kernel_ports_fill(const struct kernel_ports *ports, const struct kernel_ports_view *view,
		       struct kernel_links *links)
{
	const struct kernel_ports_wanted *wanted = view->wanted;
	struct port_set own = {0};

	links->own_first = links->own_last = 0;
	if (!kernel_rules_own_range(view->made, &links->own_first, &links->own_last))
		view->report(view->context, LOG_WARNING,
			     "cannot read net.ipv4.ip_local_port_range; the router's own connections may fail");
	for (uint32_t port = links->own_first; port && port <= links->own_last; port++)
		port_set_add(&own, (uint16_t)port);
	links->host_tcp = ports->found_tcp;
	links->host_udp = ports->found_udp;
	kernel_ports_merge(&links->host_tcp, &own);
	kernel_ports_merge(&links->host_udp, &own);
	links->open_tcp = wanted->open_all ? links->host_tcp : own;
	links->open_udp = wanted->open_all ? links->host_udp : own;
	if (!wanted->open_all)
		kernel_ports_remove(&links->open_tcp, &ports->listening_tcp);
	kernel_ports_settle(&links->host_tcp, &wanted->forward_tcp, &wanted->host_tcp);
	kernel_ports_settle(&links->host_udp, &wanted->forward_udp, &wanted->host_udp);
	kernel_ports_settle(&links->open_tcp, &wanted->forward_tcp, &wanted->host_tcp);
	kernel_ports_settle(&links->open_udp, &wanted->forward_udp, &wanted->host_udp);
	memset(links->kept, 0, sizeof(links->kept));
	links->kepts = 0;
	for (uint32_t i = 0; i < ports->kepts; i++)
		if (!kernel_ports_is_open(links, ports->kept[i].protocol, ports->kept[i].local_port))
			kernel_ports_add_kept(links, &ports->kept[i], wanted);
}

/* --- all sockets --- */

/* What the kernel answers. */
struct kernel_ports_answers {
	struct kernel_ports *ports;
	const struct kernel_links *links;
};

static void kernel_ports_take_listener(void *context, struct address address, uint16_t port)
{
	const struct kernel_ports_answers *answers = context;

	if (!address_is_set(address) || kernel_links_is_outside(answers->links, address))
		port_set_add(&answers->ports->listed, port);
}

/* Those that take both are in the list of IPv6, which comes second. */
static void kernel_ports_take_end(void *context)
{
	const struct kernel_ports_answers *answers = context;
	struct kernel_ports *ports = answers->ports;

	ports->is_listing = false;
	ports->lists_ipv6 = !ports->lists_ipv6;
	if (ports->lists_ipv6)
		return;
	ports->has_changed |= memcmp(&ports->listening_tcp, &ports->listed, sizeof(ports->listed)) != 0;
	ports->listening_tcp = ports->listed;
}

/* An answer that comes in a later round is about another one. */
static void kernel_ports_take_connection(void *context, uint32_t number, bool is_there)
{
	const struct kernel_ports_answers *answers = context;
	struct kernel_ports *ports = answers->ports;
	uint32_t at = number % HOST_CONNECTIONS_MAX;
	bool *sees = ports->kept[at].protocol == IPPROTO_TCP ? &ports->sees_tcp : &ports->sees_udp;

	if (number / HOST_CONNECTIONS_MAX != ports->round || at >= ports->kepts)
		return;
	*sees |= is_there;
	ports->gone[at] = !is_there && *sees;
}

/* Asks about some of those that are kept, forgets them if they have gone, and takes what else has been answered. */
static void kernel_ports_ask(struct kernel_ports *ports, const struct kernel_links *links, uint32_t budget)
{
	struct kernel_ports_answers answers = {.ports = ports, .links = links};
	struct netlink_sockets to = {
		.context = &answers,
		.listener = kernel_ports_take_listener,
		.end = kernel_ports_take_end,
		.connection = kernel_ports_take_connection,
	};

	ports->round = (ports->round + 1) % ROUNDS;
	memset(ports->gone, 0, sizeof(ports->gone));
	for (uint32_t i = 0; i < budget && i < ports->kepts; i++) {
		uint32_t at = ports->watched++ % ports->kepts;

		netlink_ask_connection(ports->diag, &ports->kept[at], ports->round * HOST_CONNECTIONS_MAX + at);
	}
	if (!netlink_read_sockets(ports->diag, &to))
		ports->is_listing = ports->lists_ipv6 = false;
	for (uint32_t at = ports->kepts; at-- > 0;) {
		if (!ports->gone[at])
			continue;
		ports->kept[at] = ports->kept[--ports->kepts];
		ports->has_changed = true;
	}
}

struct kernel_ports_visit {
	struct kernel_ports *ports;
	const struct kernel_links *links;
	const struct port_set *listening;
	uint32_t served; /* connections to servers of the router; they come first */
	bool starting;
};

static void kernel_ports_note_port(void *context, const struct host_socket *socket)
{
	const struct kernel_ports_visit *visit = context;
	struct kernel_ports *ports = visit->ports;
	bool tcp = socket->protocol == IPPROTO_TCP;

	if (address_is_set(socket->local) && !kernel_links_is_outside(visit->links, socket->local))
		return;
	if (visit->starting)
		port_set_add(tcp ? &ports->found_tcp : &ports->found_udp, socket->local_port);
	if (socket->is_server)
		port_set_add(tcp ? &ports->listening_tcp : &ports->unconnected_udp, socket->local_port);
}

/* Its other end is behind the WAN. */
static bool kernel_ports_comes_from_wan(const struct kernel_links *links, const struct host_socket *socket)
{
	return kernel_links_is_outside(links, socket->local) && !kernel_links_is_outside(links, socket->remote) &&
	       !kernel_links_is_inside(links, socket->remote);
}

/* Who has come to a server of ours, perhaps to administer this very router, goes before whom we have called. */
static void kernel_ports_keep(void *context, const struct host_socket *socket)
{
	struct kernel_ports_visit *visit = context;
	struct kernel_ports *ports = visit->ports;
	bool is_served = socket->protocol == IPPROTO_TCP && port_set_has(&ports->listening_tcp, socket->local_port);
	struct host_connection connection = {
		.local = socket->local,
		.remote = socket->remote,
		.local_port = socket->local_port,
		.remote_port = socket->remote_port,
		.protocol = socket->protocol,
	};

	if (!socket->is_up || kernel_ports_is_open(visit->links, socket->protocol, socket->local_port) ||
	    !kernel_ports_comes_from_wan(visit->links, socket))
		return;
	/* No rule of the kernel can name port 65535. */
	if (socket->local_port == UINT16_MAX || socket->remote_port == UINT16_MAX) {
		ports->left_out++;
		return;
	}
	if (ports->kepts == HOST_CONNECTIONS_MAX) {
		ports->left_out++;
		if (!is_served || visit->served == ports->kepts)
			return;
		ports->kepts--;
	}
	if (is_served) {
		ports->kept[ports->kepts++] = ports->kept[visit->served];
		ports->kept[visit->served++] = connection;
	} else {
		ports->kept[ports->kepts++] = connection;
	}
}

void kernel_ports_look(struct kernel_ports *ports, const struct kernel_ports_view *view, bool starting)
{
	struct kernel_links links = *view->links;
	struct kernel_ports_visit visit = {.ports = ports, .links = &links, .starting = starting};
	int error;

	memset(&ports->listening_tcp, 0, sizeof(ports->listening_tcp));
	memset(&ports->unconnected_udp, 0, sizeof(ports->unconnected_udp));
	error = host_ports_visit(kernel_ports_note_port, &visit);
	if (error)
		view->report(
			view->context, LOG_WARNING,
			"cannot read which ports the router's own sockets use (%s); connections that are up may end; list the ports in [wan] host_ports",
			strerror(-error));
	ports->kepts = ports->left_out = ports->watched = 0;
	kernel_ports_fill(ports, view, &links);
	(void)host_ports_visit(kernel_ports_keep, &visit);
	if (ports->diag)
		kernel_ports_ask(ports, &links, HOST_CONNECTIONS_MAX);
	if (ports->left_out)
		view->report(
			view->context, LOG_WARNING,
			"%u connections of the router itself end now; %u others at ports that are not open to the WAN are kept, and there is no room for more; to keep all, open their ports with [wan] host_ports",
			ports->left_out, ports->kepts);
}

/* --- what has changed since --- */

bool kernel_ports_watch(struct kernel_ports *ports, const struct kernel_links *links, bool lists)
{
	if (!ports->diag)
		return false;
	if (!ports->is_listing && !ports->lists_ipv6)
		memset(&ports->listed, 0, sizeof(ports->listed));
	if (lists && !ports->is_listing)
		ports->is_listing = netlink_ask_listeners(ports->diag, ports->lists_ipv6);
	ports->has_changed = false;
	kernel_ports_ask(ports, links, WATCHED_AT_ONCE);
	return ports->has_changed;
}

/* --- what the operator is told --- */

/* The ports of set as "TCP 22,80"; nothing if there are none. */
static void kernel_ports_append(char text[PORTS_TEXT_MAX], const char *name, const struct port_set *set)
{
	char list[SYSCTL_VALUE_MAX];
	size_t used = strlen(text);

	if (!sysctl_print_ports(set, list))
		snprintf(list, sizeof(list), "(many)");
	if (list[0])
		snprintf(text + used, PORTS_TEXT_MAX - used, "%s%s %.200s%s", used ? ", " : "", name, list,
			 strlen(list) > 200 ? "..." : "");
}

void kernel_ports_report(const struct kernel_ports *ports, const struct kernel_ports_view *view)
{
	const struct kernel_links *links = view->links;
	struct port_set tcp = ports->listening_tcp, udp = ports->unconnected_udp;
	char used[PORTS_TEXT_MAX] = "", closed[PORTS_TEXT_MAX] = "", range[SYSCTL_VALUE_MAX];

	kernel_ports_append(used, "TCP", &ports->found_tcp);
	kernel_ports_append(used, "UDP", &ports->found_udp);
	if (used[0])
		view->report(view->context, LOG_INFO, "in use by the router itself, so not for NAT: %s", used);
	kernel_ports_remove(&tcp, &links->open_tcp);
	kernel_ports_remove(&udp, &links->open_udp);
	kernel_ports_append(closed, "TCP", &tcp);
	kernel_ports_append(closed, "UDP", &udp);
	if (closed[0])
		view->report(
			view->context, LOG_NOTICE,
			"%s: in use by the router itself; not reachable from the WAN; add to [wan] host_ports what should be, and the ports at which UDP clients wait for answers",
			closed);
	if (view->wanted->open_all)
		view->report(view->context, LOG_NOTICE,
			     "[wan] host_ports = auto; all ports that the router itself uses now are open to the WAN");
	if (port_set_has(&view->wanted->host_tcp, UINT16_MAX) || port_set_has(&view->wanted->host_udp, UINT16_MAX))
		view->report(
			view->context, LOG_WARNING,
			"port 65535 cannot be reached from the WAN; the kernel's rules cannot name it; choose another port");
	if (kernel_rules_lack_range(range))
		view->report(
			view->context, LOG_NOTICE,
			"net.ipv4.ip_local_port_range cannot be set here; the ports that it names stay the router's own, and NAT has only the others; start the container with --sysctl net.ipv4.ip_local_port_range=\"%s\" for NAT to have nearly all",
			range);
}
