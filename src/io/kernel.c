/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of things: look at the links, take the lock, take over what a crash left, make the changes; then follow the
 * links and see to it that the changes stay; at the end take them back. What is changed stands in kernel_rules.c, how
 * in kernel_made.c.
 */
#include "io/kernel.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "base/address.h"
#include "io/clock.h"
#include "io/kernel_copy.h"
#include "io/kernel_links.h"
#include "io/kernel_lock.h"
#include "io/kernel_made.h"
#include "io/kernel_ports.h"
#include "io/kernel_rules.h"
#include "io/netlink.h"
#include "io/next_hop.h"

enum {
	/* Somebody who undoes our changes as soon as they are made is not answered more often than this. */
	REPAIR_MS = 1000,
	READ_TICKS = 300, /* ten minutes: all is read again, against what is not known to go wrong */
	ADDRESSES_TEXT_MAX = 256,
};

struct kernel {
	struct kernel_request request;
	char *state_dir;
	kernel_report *report;
	void *context;
	struct netlink *netlink;
	struct kernel_copy copy;
	struct next_hops *hops;
	struct kernel_links links;
	struct kernel_trouble trouble;
	struct kernel_ports ports;
	struct kernel_made made;
	int lock;
	bool set_up;
	uint64_t repaired_ms;
	uint32_t tick, checked; /* checked: which change of ours is looked at next */
};

static int kernel_complain_of_device(struct kernel *kernel, const char *side, const char *name, int code)
{
	char devices[KERNEL_DEVICES_TEXT_MAX];

	kernel_links_list(&kernel->copy, devices);
	kernel->report(kernel->context, LOG_ERR, "the %s device %s does not exist; the devices are: %s", side, name,
		       devices);
	return code;
}

/* The WAN's name: as asked for, or the device of the default route. */
static int kernel_choose_wan(struct kernel *kernel)
{
	kernel_links_name_wan(&kernel->copy, &kernel->request);
	if (!kernel->request.wan[0]) {
		kernel->report(
			kernel->context, LOG_ERR,
			"there is no default route, so the WAN device is not known; name it: [wan] interface, or --wan");
		return EXIT_NETWORK;
	}
	if (!strcmp(kernel->request.wan, kernel->request.lan)) {
		kernel->report(
			kernel->context, LOG_ERR,
			"the default route leads to %s, which is the LAN here; if LAN and WAN are swapped, name the other device with --lan; else name the WAN with --wan, and remove the default route from %s",
			kernel->request.lan, kernel->request.lan);
		return EXIT_NETWORK;
	}
	return 0;
}

static int kernel_check_links(struct kernel *kernel)
{
	const struct kernel_links *links = &kernel->links;

	if (!links->lan.ifindex)
		return kernel_complain_of_device(kernel, "LAN", kernel->request.lan, EXIT_NETWORK);
	if (!links->wan.ifindex)
		return kernel_complain_of_device(kernel, "WAN", kernel->request.wan, EXIT_NETWORK);
	if (!address_is_set(links->lan.address)) {
		kernel->report(
			kernel->context, LOG_ERR,
			"the LAN device %s has no IPv4 address; give it the router's own, as in: ip address add 192.168.77.1/24 dev %s",
			kernel->request.lan, kernel->request.lan);
		return EXIT_NETWORK;
	}
	kernel_links_report(&kernel->trouble, &kernel->request, kernel->report, kernel->context);
	return kernel->trouble.overlap || kernel->trouble.swapped ? EXIT_NETWORK : 0;
}

static struct kernel_ports_view kernel_ports_of(const struct kernel *kernel)
{
	return (struct kernel_ports_view){
		.wanted = &kernel->request.ports,
		.links = &kernel->links,
		.made = &kernel->made.list,
		.report = kernel->report,
		.context = kernel->context,
	};
}

static void kernel_collect_ports(struct kernel *kernel, struct kernel_links *links)
{
	struct kernel_ports_view view = kernel_ports_of(kernel);

	kernel_ports_fill(&kernel->ports, &view, links);
}

void kernel_rehearse_ports(struct kernel *kernel, const struct kernel_ports_wanted *wanted, struct port_set *host_tcp,
			   struct port_set *host_udp)
{
	struct kernel_ports_view view = kernel_ports_of(kernel);
	struct kernel_links links = kernel->links;

	view.wanted = wanted;
	kernel_ports_fill(&kernel->ports, &view, &links);
	*host_tcp = links.host_tcp;
	*host_udp = links.host_udp;
}

static int kernel_look(struct kernel *kernel)
{
	struct kernel_ports_view view;
	int error = kernel_copy_read(&kernel->copy), code;

	if (error) {
		kernel->report(kernel->context, LOG_ERR, "cannot read links, addresses, routes and rules: %s",
			       strerror(-error));
		return kernel_made_exit_code(error);
	}
	code = kernel_choose_wan(kernel);
	if (code)
		return code;
	kernel_links_read(&kernel->copy, &kernel->links, &kernel->trouble);
	kernel_collect_ports(kernel, &kernel->links);
	code = kernel_check_links(kernel);
	if (code)
		return code;
	view = kernel_ports_of(kernel);
	kernel_ports_look(&kernel->ports, &view, true);
	kernel_collect_ports(kernel, &kernel->links);
	next_hop_follow(kernel->hops, &kernel->links, true);
	kernel->copy.links_changed = kernel->copy.is_read = kernel->copy.ours_changed = false;
	return 0;
}

static void kernel_update_neighbour(void *context, const struct netlink_neighbour *neighbour)
{
	struct kernel *kernel = context;

	next_hop_update(kernel->hops, neighbour);
}

static bool kernel_prepare(struct kernel *kernel, const struct kernel_request *request)
{
	int error;

	kernel->state_dir = strdup(request->state_dir);
	kernel->netlink = netlink_new(&error);
	if (!kernel->netlink) {
		kernel->report(kernel->context, LOG_ERR, "cannot open a netlink socket: %s", strerror(-error));
		return false;
	}
	kernel->made.netlink = kernel->netlink;
	kernel_copy_open(&kernel->copy, kernel->netlink, &kernel->request, kernel_update_neighbour, kernel);
	kernel_ports_open(&kernel->ports);
	kernel->hops = next_hop_new(kernel->netlink, &kernel->copy);
	if (kernel->state_dir && kernel->hops)
		return true;
	kernel->report(kernel->context, LOG_ERR, "out of memory");
	return false;
}

struct kernel *kernel_open(const struct kernel_request *request, kernel_report *report, void *context, int *exit_code)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));

	*exit_code = EXIT_NETWORK;
	if (!kernel) {
		report(context, LOG_ERR, "out of memory");
		return NULL;
	}
	kernel->request = *request;
	kernel->report = report;
	kernel->context = context;
	kernel->lock = -1;
	kernel->made.report = report;
	kernel->made.context = context;
	kernel->made.journal.directory = -1;
	kernel->links.hop_address = KERNEL_HOP_ADDRESS;
	if (kernel_prepare(kernel, request)) {
		*exit_code = kernel_look(kernel);
		if (!*exit_code)
			return kernel;
	}
	kernel_close(kernel);
	return NULL;
}

void kernel_close(struct kernel *kernel)
{
	if (!kernel)
		return;
	kernel_made_close(&kernel->made);
	next_hop_free(kernel->hops);
	kernel_copy_close(&kernel->copy);
	kernel_ports_close(&kernel->ports);
	netlink_free(kernel->netlink);
	if (kernel->lock >= 0)
		close(kernel->lock);
	free(kernel->state_dir);
	free(kernel);
}

/* 0, or EXIT_PERMISSION after having said so. */
static int kernel_check_rights(kernel_report *report, void *context)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (!syscall(SYS_capget, &header, data) && (data[0].effective & (1U << CAP_NET_ADMIN)))
		return 0;
	report(context, LOG_ERR,
	       "changing links, rules and /proc/sys needs the capability CAP_NET_ADMIN; run as root, or in a container with that capability");
	return EXIT_PERMISSION;
}

/* The descriptor of the lock, or a negative exit code after having said why. */
static int kernel_take_lock(kernel_report *report, void *context)
{
	pid_t holder;
	int lock = kernel_lock_take(&holder);

	if (lock >= 0)
		return lock;
	if (lock == -EADDRINUSE && !holder)
		report(context, LOG_ERR, "culvertd already runs in this network namespace; stop it first");
	else if (lock == -EADDRINUSE)
		report(context, LOG_ERR,
		       "culvertd already runs in this network namespace, as process %d; stop it first", (int)holder);
	else
		report(context, LOG_ERR, "cannot take the lock: %s", strerror(-lock));
	return -EXIT_NETWORK;
}

static struct kernel_facts kernel_facts_of(const struct kernel *kernel)
{
	return (struct kernel_facts){
		.lan = kernel->request.lan,
		.wan = kernel->request.wan,
		.tun = kernel->request.tun,
		.links = &kernel->links,
		.made = &kernel->made.list,
	};
}

static int kernel_reconcile(struct kernel *kernel, bool starting)
{
	struct change_list wanted = {0};
	struct netlink_link tun = {0};
	struct kernel_facts facts = kernel_facts_of(kernel);

	if (netlink_find_link(kernel->netlink, kernel->request.tun, &tun)) {
		facts.tun_mtu_before = tun.mtu;
		facts.tun_up_before = tun.admin_up;
	} else if (starting) {
		return kernel_complain_of_device(kernel, "TUN", kernel->request.tun, EXIT_NETWORK);
	}
	if (!kernel_rules_build(&wanted, &facts)) {
		change_list_free(&wanted);
		kernel->report(kernel->context, LOG_ERR, "out of memory");
		return EXIT_NETWORK;
	}
	return kernel_made_reconcile(&kernel->made, &wanted, starting);
}

static void kernel_report_rule(void *context, const struct netlink_rule *rule)
{
	struct kernel *kernel = context;

	if (rule->preference && rule->preference <= KERNEL_PREFERENCE_LAST && rule->owner != NETLINK_OWNER)
		kernel->report(
			kernel->context, LOG_WARNING,
			"a rule that is not culvert's has preference %u; it comes before or between the rules of culvert, %u to %u, and may lead packets past culvertd; give it a higher preference",
			rule->preference, KERNEL_PREFERENCE, KERNEL_PREFERENCE_LAST);
}

int kernel_claim(struct kernel *kernel)
{
	int code = kernel_check_rights(kernel->report, kernel->context);

	if (code || kernel->lock >= 0)
		return code;
	kernel->lock = kernel_take_lock(kernel->report, kernel->context);
	return kernel->lock < 0 ? -kernel->lock : 0;
}

int kernel_setup(struct kernel *kernel)
{
	struct kernel_ports_view view = kernel_ports_of(kernel);
	int code = kernel_claim(kernel), error;

	if (code)
		return code;
	code = kernel_made_open(&kernel->made, kernel->state_dir, true);
	if (code)
		return code;
	if (kernel->made.list.count)
		kernel->report(kernel->context, LOG_NOTICE,
			       "an earlier culvertd ended without undoing its %u changes; this one takes them over",
			       kernel->made.list.count);
	error = netlink_dump_rules(kernel->netlink, kernel_report_rule, kernel);
	if (error)
		kernel->report(
			kernel->context, LOG_WARNING,
			"cannot read the rules of other programs (%s); they may come before the rules of culvert",
			strerror(-error));
	code = kernel_reconcile(kernel, true);
	kernel->set_up = !code;
	if (code)
		return code;
	/* From now on the range of ports is what the kernel says it is. */
	kernel_collect_ports(kernel, &kernel->links);
	kernel_ports_report(&kernel->ports, &view);
	return 0;
}

int kernel_print_plan(struct kernel *kernel, FILE *out)
{
	struct change_list wanted = {0};
	struct kernel_facts facts = kernel_facts_of(kernel);
	char text[CHANGE_TEXT_MAX];
	bool good = kernel_rules_build(&wanted, &facts);

	fprintf(out, "ip tuntap add dev %s mode tun vnet_hdr\n", kernel->request.tun);
	for (uint32_t i = 0; i < wanted.count; i++) {
		change_print(&wanted.items[i], text);
		fprintf(out, "%s\n", text);
	}
	change_list_free(&wanted);
	if (good && !ferror(out))
		return 0;
	kernel->report(kernel->context, LOG_ERR, "cannot print the plan");
	return EXIT_FILE;
}

int kernel_undo(struct kernel *kernel)
{
	if (!kernel->set_up)
		return 0;
	kernel->set_up = false;
	return kernel_made_undo(&kernel->made);
}

static int kernel_clean(struct kernel_made *made, const char *state_dir)
{
	int code = kernel_made_open(made, state_dir, false);
	uint32_t count = made->list.count;

	if (code)
		return code;
	if (!count) {
		made->report(made->context, LOG_NOTICE, "there is nothing to clean up");
		return 0;
	}
	code = kernel_made_undo(made);
	if (!code)
		made->report(made->context, LOG_NOTICE, "undid the %u changes of an earlier culvertd", count);
	return code;
}

int kernel_cleanup(const char *state_dir, kernel_report *report, void *context)
{
	struct kernel_made made = {.report = report, .context = context, .journal = {.directory = -1}};
	int code = kernel_check_rights(report, context), lock, error;

	if (code)
		return code;
	lock = kernel_take_lock(report, context);
	if (lock < 0)
		return -lock;
	made.netlink = netlink_new(&error);
	if (made.netlink) {
		code = kernel_clean(&made, state_dir);
	} else {
		report(context, LOG_ERR, "cannot open a netlink socket: %s", strerror(-error));
		code = EXIT_NETWORK;
	}
	kernel_made_close(&made);
	netlink_free(made.netlink);
	close(lock);
	return code;
}

const struct kernel_links *kernel_links(const struct kernel *kernel)
{
	return &kernel->links;
}

int kernel_event_fd(const struct kernel *kernel)
{
	return netlink_event_fd(kernel->netlink);
}

static const char *kernel_state_text(int ifindex, bool is_up)
{
	if (!ifindex)
		return "gone";
	return is_up ? "up" : "down";
}

static void kernel_report_addresses(struct kernel *kernel)
{
	const struct kernel_links *links = &kernel->links;
	char text[ADDRESSES_TEXT_MAX] = "", address[ADDRESS_TEXT];
	size_t used = 0;

	for (uint32_t i = 0; i < links->wan.address_count && used + (size_t)2 * ADDRESS_TEXT < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used ? ", " : "",
					 address_print(links->wan.addresses[i], address));
	kernel->report(kernel->context, LOG_NOTICE, "%s: %s, MTU %u, addresses %s", kernel->request.wan,
		       kernel_state_text(links->wan.ifindex, links->wan.up), links->wan.mtu, used ? text : "none");
}

static void kernel_report_lan(struct kernel *kernel)
{
	const struct kernel_links *links = &kernel->links;
	char address[ADDRESS_TEXT];

	kernel->report(kernel->context, LOG_NOTICE, "%s: %s, MTU %u, address %s", kernel->request.lan,
		       kernel_state_text(links->lan.ifindex, links->lan.up), links->lan.mtu,
		       address_is_set(links->lan.address) ? address_print(links->lan.address, address) : "none");
}

static void kernel_look_at_links(struct kernel *kernel, struct kernel_links *links)
{
	struct kernel_trouble before = kernel->trouble;

	kernel->copy.links_changed = false;
	kernel_links_read(&kernel->copy, links, &kernel->trouble);
	/* Only a start is refused for that: while it runs, a lease may bring the address before the route. */
	kernel->trouble.swapped &= !kernel->set_up;
	if (!kernel_links_same_trouble(&before, &kernel->trouble))
		kernel_links_report(&kernel->trouble, &kernel->request, kernel->report, kernel->context);
}

/* What follows from links, addresses and routes that have changed, and from ports. */
static void kernel_look_again(struct kernel *kernel)
{
	struct kernel_links links = kernel->links, before = kernel->links;

	if (kernel->copy.links_changed)
		kernel_look_at_links(kernel, &links);
	kernel_collect_ports(kernel, &links);
	next_hop_follow(kernel->hops, &links, kernel->copy.wan_was_away);
	kernel->copy.wan_was_away = false;
	if (kernel_links_same(&links, &before))
		return;
	kernel->links = links;
	kernel->links.generation++;
	if (!kernel_links_same_wan(&links, &before))
		kernel_report_addresses(kernel);
	if (links.lan.ifindex != before.lan.ifindex || links.lan.up != before.lan.up ||
	    links.lan.mtu != before.lan.mtu || !address_equal(links.lan.address, before.lan.address))
		kernel_report_lan(kernel);
	if (kernel->set_up)
		kernel_reconcile(kernel, false);
}

/* Whether a reading of the kernel has found all rules and routes that are ours. */
static bool kernel_has_all(const struct kernel *kernel)
{
	uint32_t rules = 0, routes = 0;

	for (uint32_t i = 0; i < kernel->made.list.count; i++) {
		rules += kernel->made.list.items[i].kind == CHANGE_RULE;
		routes += kernel->made.list.items[i].kind == CHANGE_ROUTE;
	}
	return rules == kernel->copy.our_rules && routes == kernel->copy.our_routes;
}

static bool kernel_is_so(const struct kernel *kernel, const struct change *change)
{
	const struct netlink_link *tun;
	char now[SYSCTL_VALUE_MAX];

	if (change->kind == CHANGE_SYSCTL && !change->once)
		return sysctl_read(change->sysctl.path, now) || !strcmp(now, change->sysctl.value);
	tun = change->kind == CHANGE_LINK ? kernel_copy_link(&kernel->copy, change->device) : NULL;
	return !tun || (tun->admin_up && tun->mtu == change->link.mtu);
}

/* Looks at the TUN and at the settings of ours in /proc/sys, or at the next few of them. */
static bool kernel_check_settings(struct kernel *kernel, uint32_t budget)
{
	const struct change_list *list = &kernel->made.list;

	for (uint32_t i = 0; i < list->count && budget > 0; i++) {
		const struct change *change = &list->items[kernel->checked++ % list->count];

		if (!kernel_is_so(kernel, change))
			return false;
		budget -= change->kind == CHANGE_SYSCTL;
	}
	return true;
}

static void kernel_repair(struct kernel *kernel)
{
	kernel->copy.ours_changed = false;
	kernel->repaired_ms = clock_now_ms();
	if (kernel->set_up)
		kernel_reconcile(kernel, false);
}

void kernel_read_events(struct kernel *kernel)
{
	struct kernel_copy *copy = &kernel->copy;

	kernel_copy_follow(copy);
	if (copy->is_lost)
		next_hop_resync(kernel->hops);
	copy->is_lost = false;
	if (copy->links_changed)
		kernel_look_again(kernel);
	if (copy->ours_touched)
		copy->ours_changed |= !kernel_check_settings(kernel, UINT32_MAX);
	if (copy->is_read)
		copy->ours_changed |= !kernel_has_all(kernel);
	copy->ours_touched = copy->is_read = false;
	if (copy->ours_changed && clock_now_ms() - kernel->repaired_ms >= REPAIR_MS)
		kernel_repair(kernel);
	next_hop_ask(kernel->hops);
}

void kernel_set_ports(struct kernel *kernel, const struct kernel_ports_wanted *wanted)
{
	struct kernel_ports_view view = kernel_ports_of(kernel);

	if (!memcmp(wanted, &kernel->request.ports, sizeof(*wanted)))
		return;
	kernel->request.ports = *wanted;
	kernel_ports_look(&kernel->ports, &view, false);
	kernel_collect_ports(kernel, &kernel->links);
	kernel_ports_report(&kernel->ports, &view);
	kernel->links.generation++;
	if (kernel->set_up)
		kernel_reconcile(kernel, false);
}

/* Whether the kernel gives other ports to the router's own connections than it did. */
static bool kernel_has_other_range(const struct kernel *kernel)
{
	uint32_t first, last;

	return kernel_rules_own_range(&kernel->made.list, &first, &last) &&
	       (first != kernel->links.own_first || last != kernel->links.own_last);
}

/* Listeners and settings in turn: the kernel walks a large table for a list of few listeners. */
void kernel_refresh(struct kernel *kernel)
{
	bool lists = kernel->tick % 2 == 0;
	bool changed = kernel_ports_watch(&kernel->ports, &kernel->links, lists);

	if (kernel->lock >= 0)
		kernel_lock_serve(kernel->lock);
	if (changed || kernel->copy.links_changed || (!lists && kernel_has_other_range(kernel)))
		kernel_look_again(kernel);
	if (kernel->copy.ours_changed || (!lists && !kernel_check_settings(kernel, 1)))
		kernel_repair(kernel);
	if (++kernel->tick % READ_TICKS == 0)
		kernel_copy_start(&kernel->copy);
	next_hop_refresh(kernel->hops);
	next_hop_ask(kernel->hops);
}

enum next_hop kernel_next_hop(struct kernel *kernel, struct address destination, uint8_t mac[6])
{
	return next_hop_find(kernel->hops, destination, mac);
}

void kernel_ask_next_hops(struct kernel *kernel)
{
	next_hop_ask(kernel->hops);
}

/* A link without link addresses takes every packet: nobody asks for the next hop, see datapath.c. */
enum next_hop kernel_default_hop(struct kernel *kernel, struct address *gateway)
{
	*gateway = address_of(0);
	return kernel->links.wan.ethernet ? next_hop_default(kernel->hops, gateway) : NEXT_HOP_KNOWN;
}

enum next_hop kernel_peek_next_hop(struct kernel *kernel, struct address destination)
{
	return kernel->links.wan.ethernet ? next_hop_peek(kernel->hops, destination) : NEXT_HOP_KNOWN;
}

const char *kernel_default_wan(const struct kernel *kernel)
{
	const struct netlink_link *link = kernel_links_default(&kernel->copy);

	return link ? link->name : "";
}
