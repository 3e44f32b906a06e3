/* SPDX-License-Identifier: BSD-2-Clause */
/* clang-format off */
/*
 * The list of changes, in order. OUT is each outside address, HOP the TUN's own, PREFIX what is reached through the
 * LAN, T our table.
 *
 *   100  iif TUN to OUT lookup local        what the engine leaves to the router itself (ping, fragments)
 *        iif LAN to OUT ... lookup local    the router's own ports
 *   101  iif LAN to OUT lookup T            hairpins
 *   102  not iif WAN goto 106               the guard below is for packets from the WAN only
 *   103  from REMOTE to OUT iif WAN ...     connections of the router that were up at the start
 *          lookup local
 *   104  iif WAN to OUT ... lookup local    ICMP and those of the router's own ports that are open to the WAN
 *   105  iif WAN ... blackhole              all else, each protocol by its number
 *   106  lookup local                       stands in for preference 0, which is removed last
 *   107  iif WAN blackhole                  nothing is forwarded from the WAN, whatever its sysctl says
 *   108  iif LAN to PREFIX lookup main      inside to inside
 *   109  iif LAN lookup T                   all that goes out
 *   110  from HOP iif lo lookup T           ICMP errors the kernel made about packets from the TUN
 *   111  iif TUN to PREFIX lookup main      what comes in
 *   112  iif TUN unreachable                never out of the WAN untranslated
 *
 * The guard names protocols one by one because the kernel asks the rules about ARP requests, too, as packets of
 * protocol 0: a rule for any protocol would stop the router from answering ARP. Only what the LAN owns is hidden from
 * the WAN altogether. A rule with ports does not match fragments, so the kernel has none of what is for the router's
 * own ports: the engine gives it those by the TUN.
 *
 * Rules of one preference must differ in what they name and not in whether they name it: the kernel takes a rule that
 * names no protocol for the same as any that does, and does not add it.
 *
 * Table T has a default route to the TUN and behind it an unreachable one, which stays when the TUN goes away with the
 * daemon. The policy is made before forwarding is switched on, and taken away after forwarding is switched off.
 */
/* clang-format on */
#include "io/kernel_rules.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum {
	TO_ROUTER = KERNEL_PREFERENCE,
	LAN_TO_OUTSIDE,
	NOT_FROM_WAN,
	KEPT,
	HOST,
	GUARD,
	LOCAL,
	NOT_FORWARDED,
	LAN_TO_LAN,
	LAN_OUT,
	HOP_OUT,
	TUN_TO_LAN,
	TUN_END,
	/* The router's own connections get the ports above the NAT's. A range of a rule cannot hold 65535. */
	OWN_FIRST = 64512,
	OWN_LAST = 65534,
	SYSTEM_PORTS = 1024, /* never given to connections, so not worth reserving */
	METRIC_TUN = 1,
	MTU_MIN = 68, /* of a TUN device */
	MTU_MAX = 65535,
	PROTOCOLS = 256,
};

static const char port_range[] = "net/ipv4/ip_local_port_range";
static const char reserved_ports[] = "net/ipv4/ip_local_reserved_ports";

struct builder {
	struct change_list *list;
	const struct kernel_facts *facts;
	bool failed;
};

static struct change *kernel_rules_add(struct builder *to, enum change_kind kind)
{
	struct change *change = change_list_add(to->list);

	if (change)
		change->kind = kind;
	else
		to->failed = true;
	return change;
}

static void kernel_rules_rule(struct builder *to, struct netlink_rule rule, const char *iif)
{
	struct change *change = kernel_rules_add(to, CHANGE_RULE);

	if (!change)
		return;
	change->rule = rule;
	change->rule.owner = NETLINK_OWNER;
	if (iif)
		snprintf(change->rule.iif, sizeof(change->rule.iif), "%s", iif);
}

/* How a sysctl is set: flags of kernel_rules_sysctl(). */
enum { OPTIONAL = 1, ONCE = 2 };

/* Wants path to have value. Nothing to do, and nothing to undo, where somebody else has already given it that value. */
static void kernel_rules_sysctl(struct builder *to, const char *path, const char *value, int flags)
{
	struct change wanted = {.kind = CHANGE_SYSCTL}, *change;
	const struct change *made;
	int error = 0;

	snprintf(wanted.sysctl.path, sizeof(wanted.sysctl.path), "%s", path);
	snprintf(wanted.sysctl.value, sizeof(wanted.sysctl.value), "%s", value);
	made = change_list_find(to->facts->made, &wanted, 0);
	if (made)
		snprintf(wanted.sysctl.before, sizeof(wanted.sysctl.before), "%s", made->sysctl.before);
	else
		error = sysctl_read(path, wanted.sysctl.before);
	if (!made && !error && !strcmp(wanted.sysctl.before, value))
		return;
	wanted.optional = flags & OPTIONAL;
	wanted.once = flags & ONCE;
	change = kernel_rules_add(to, CHANGE_SYSCTL);
	if (change)
		*change = wanted;
}

static void kernel_rules_device_sysctl(struct builder *to, const char *family, const char *device, const char *key,
				       const char *value, int flags)
{
	char path[SYSCTL_PATH_MAX];

	snprintf(path, sizeof(path), "net/%s/conf/%s/%s", family, device, key);
	kernel_rules_sysctl(to, path, value, flags);
}

/* That of the WAN, so that the kernel answers for packets that are too big; while there is no WAN, as it is. */
static uint32_t kernel_rules_choose_mtu(const struct kernel_facts *facts)
{
	uint32_t mtu = facts->links->wan.ifindex ? facts->links->wan.mtu : facts->tun_mtu_before;

	return mtu < MTU_MIN ? MTU_MIN : mtu > MTU_MAX ? MTU_MAX : mtu;
}

static void kernel_rules_build_tun(struct builder *to)
{
	const struct kernel_facts *facts = to->facts;
	struct change *change;

	kernel_rules_device_sysctl(to, "ipv6", facts->tun, "disable_ipv6", "1", OPTIONAL);
	/* The kernel looks up where an answer would go. To a remote host and to a hairpin's outside address that is the
	 * TUN, but the engine's ICMP errors come from the router's LAN address: loose, and accept_local. */
	kernel_rules_device_sysctl(to, "ipv4", facts->tun, "rp_filter", "2", 0);
	kernel_rules_device_sysctl(to, "ipv4", facts->tun, "accept_local", "1", 0);
	change = kernel_rules_add(to, CHANGE_LINK);
	if (change) {
		snprintf(change->device, sizeof(change->device), "%s", facts->tun);
		change->link.mtu = kernel_rules_choose_mtu(facts);
		change->link.mtu_before = facts->tun_mtu_before;
		change->link.up_before = facts->tun_up_before;
	}
	change = kernel_rules_add(to, CHANGE_ADDRESS);
	if (change) {
		snprintf(change->device, sizeof(change->device), "%s", facts->tun);
		change->address = (struct prefix){facts->links->hop_address, 32};
	}
}

static void kernel_rules_route(struct builder *to, const char *device, uint32_t metric)
{
	struct change *change = kernel_rules_add(to, CHANGE_ROUTE);

	if (!change)
		return;
	change->route = (struct netlink_route){.table = KERNEL_TABLE, .metric = metric, .unreachable = !device};
	if (device)
		snprintf(change->device, sizeof(change->device), "%s", device);
}

static void kernel_rules_build_ports(struct builder *to, uint32_t preference, const char *iif, struct address outside,
				     uint8_t protocol, const struct port_set *ports)
{
	struct netlink_rule rule = {
		.preference = preference,
		.to = {outside, 32},
		.protocol = protocol,
		.table = NETLINK_TABLE_LOCAL,
	};

	for (uint32_t first = 1; first <= OWN_LAST; first++) {
		uint32_t last = first;

		if (!port_set_has(ports, (uint16_t)first))
			continue;
		while (last < OWN_LAST && port_set_has(ports, (uint16_t)(last + 1)))
			last++;
		rule.port_first = (uint16_t)first;
		rule.port_last = (uint16_t)last;
		kernel_rules_rule(to, rule, iif);
		first = last;
	}
}

static void kernel_rules_build_outside(struct builder *to, struct address outside)
{
	const struct kernel_facts *facts = to->facts;
	struct prefix address = {outside, 32};

	kernel_rules_rule(to,
			  (struct netlink_rule){.preference = TO_ROUTER, .to = address, .table = NETLINK_TABLE_LOCAL},
			  facts->tun);
	/* Not by the TUN: the kernel does not forward a packet that has a socket already (early demultiplexing). */
	kernel_rules_build_ports(to, TO_ROUTER, facts->lan, outside, IPPROTO_TCP, &facts->links->host_tcp);
	kernel_rules_build_ports(to, TO_ROUTER, facts->lan, outside, IPPROTO_UDP, &facts->links->host_udp);
	kernel_rules_rule(to, (struct netlink_rule){.preference = LAN_TO_OUTSIDE, .to = address, .table = KERNEL_TABLE},
			  facts->lan);
	kernel_rules_rule(
		to,
		(struct netlink_rule){
			.preference = HOST, .to = address, .protocol = IPPROTO_ICMP, .table = NETLINK_TABLE_LOCAL},
		facts->wan);
	kernel_rules_build_ports(to, HOST, facts->wan, outside, IPPROTO_TCP, &facts->links->open_tcp);
	kernel_rules_build_ports(to, HOST, facts->wan, outside, IPPROTO_UDP, &facts->links->open_udp);
}

static void kernel_rules_build_kept(struct builder *to)
{
	const struct kernel_facts *facts = to->facts;

	for (uint32_t i = 0; i < facts->links->kepts; i++) {
		const struct host_connection *kept = &facts->links->kept[i];

		kernel_rules_rule(to,
				  (struct netlink_rule){
					  .preference = KEPT,
					  .from = {kept->remote, 32},
					  .to = {kept->local, 32},
					  .protocol = (uint8_t)kept->protocol,
					  .source_port = kept->remote_port,
					  .port_first = kept->local_port,
					  .port_last = kept->local_port,
					  .table = NETLINK_TABLE_LOCAL,
				  },
				  facts->wan);
	}
}

static void kernel_rules_blackhole(struct builder *to, struct prefix hidden, uint8_t protocol)
{
	kernel_rules_rule(to,
			  (struct netlink_rule){
				  .preference = GUARD, .to = hidden, .protocol = protocol, .action = NETLINK_BLACKHOLE},
			  to->facts->wan);
}

/* The protocols that carry traffic come first: the kernel walks the rules for every packet from the WAN. */
static void kernel_rules_build_guard(struct builder *to)
{
	static const uint8_t busy[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ESP, IPPROTO_GRE};
	const struct kernel_links *links = to->facts->links;
	const struct prefix any = {0};

	for (size_t i = 0; i < sizeof(busy); i++)
		kernel_rules_blackhole(to, any, busy[i]);
	kernel_rules_blackhole(to, (struct prefix){links->hop_address, 32}, 0);
	for (uint32_t i = 0; i < links->lan.prefix_count; i++)
		kernel_rules_blackhole(to, links->lan.prefixes[i], 0);
	for (uint32_t protocol = 1; protocol < PROTOCOLS; protocol++)
		if (!memchr(busy, (int)protocol, sizeof(busy)))
			kernel_rules_blackhole(to, any, (uint8_t)protocol);
}

static void kernel_rules_build_lan(struct builder *to)
{
	const struct kernel_facts *facts = to->facts;
	const struct kernel_links *links = facts->links;

	for (uint32_t i = 0; i < links->lan.prefix_count; i++) {
		struct netlink_rule rule = {.to = links->lan.prefixes[i], .table = NETLINK_TABLE_MAIN};

		rule.preference = LAN_TO_LAN;
		kernel_rules_rule(to, rule, facts->lan);
		rule.preference = TUN_TO_LAN;
		kernel_rules_rule(to, rule, facts->tun);
	}
	kernel_rules_rule(to, (struct netlink_rule){.preference = LAN_OUT, .table = KERNEL_TABLE}, facts->lan);
	kernel_rules_rule(
		to,
		(struct netlink_rule){.preference = HOP_OUT, .from = {links->hop_address, 32}, .table = KERNEL_TABLE},
		"lo");
	kernel_rules_rule(to, (struct netlink_rule){.preference = TUN_END, .action = NETLINK_UNREACHABLE}, facts->tun);
}

static void kernel_rules_build_rules(struct builder *to)
{
	const struct kernel_facts *facts = to->facts;
	struct change *change;

	/* Inside first, so that a packet finds either the old way or the whole new one. */
	kernel_rules_rule(to, (struct netlink_rule){.preference = LOCAL, .table = NETLINK_TABLE_LOCAL}, NULL);
	kernel_rules_build_lan(to);
	kernel_rules_rule(to, (struct netlink_rule){.preference = NOT_FORWARDED, .action = NETLINK_BLACKHOLE},
			  facts->wan);
	for (uint32_t i = 0; i < facts->links->wan.address_count; i++)
		kernel_rules_build_outside(to, facts->links->wan.addresses[i]);
	kernel_rules_build_kept(to);
	kernel_rules_rule(to,
			  (struct netlink_rule){
				  .preference = NOT_FROM_WAN, .invert = true, .action = NETLINK_GOTO, .table = LOCAL},
			  facts->wan);
	kernel_rules_build_guard(to);
	change = kernel_rules_add(to, CHANGE_RULE_GONE);
	if (change)
		change->rule = (struct netlink_rule){.table = NETLINK_TABLE_LOCAL, .owner = RTPROT_KERNEL};
}

static bool kernel_rules_was_made(const struct kernel_facts *facts, const char *path)
{
	struct change change = {.kind = CHANGE_SYSCTL};

	snprintf(change.sysctl.path, sizeof(change.sysctl.path), "%s", path);
	return change_list_find(facts->made, &change, 0) != NULL;
}

/* Inside hosts may not speak for others: strict, unless somebody has already chosen a reverse path filter. */
static void kernel_rules_build_reverse_path(struct builder *to)
{
	char path[SYSCTL_PATH_MAX], all[SYSCTL_VALUE_MAX], own[SYSCTL_VALUE_MAX];

	snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", to->facts->lan);
	if (!kernel_rules_was_made(to->facts, path) && !sysctl_read("net/ipv4/conf/all/rp_filter", all) &&
	    !sysctl_read(path, own) && (strcmp(all, "0") != 0 || strcmp(own, "0") != 0))
		return;
	kernel_rules_sysctl(to, path, "1", OPTIONAL);
}

static void kernel_rules_build_own_ports(struct builder *to)
{
	char now[SYSCTL_VALUE_MAX], value[SYSCTL_VALUE_MAX];
	struct port_set reserved = {0};

	snprintf(value, sizeof(value), "%u %u", OWN_FIRST, OWN_LAST);
	if (kernel_rules_was_made(to->facts, port_range) || sysctl_is_writable(port_range))
		kernel_rules_sysctl(to, port_range, value, OPTIONAL | ONCE);
	if (sysctl_read(reserved_ports, now) || !sysctl_parse_ports(now, &reserved))
		return;
	for (uint32_t port = SYSTEM_PORTS; port < OWN_FIRST; port++)
		port_set_add(&reserved, (uint16_t)port);
	if (sysctl_print_ports(&reserved, value) &&
	    (kernel_rules_was_made(to->facts, reserved_ports) || strcmp(now, value) != 0) &&
	    sysctl_is_writable(reserved_ports))
		kernel_rules_sysctl(to, reserved_ports, value, OPTIONAL | ONCE);
}

bool kernel_rules_own_range(const struct change_list *made, uint32_t *first, uint32_t *last)
{
	const struct kernel_facts facts = {.made = made};
	char now[SYSCTL_VALUE_MAX];

	*first = OWN_FIRST;
	*last = OWN_LAST;
	if (!kernel_rules_was_made(&facts, port_range) && sysctl_is_writable(port_range))
		return true;
	return !sysctl_read(port_range, now) && sysctl_parse_range(now, first, last);
}

bool kernel_rules_lack_range(char wanted[SYSCTL_VALUE_MAX])
{
	char now[SYSCTL_VALUE_MAX];

	snprintf(wanted, SYSCTL_VALUE_MAX, "%u %u", OWN_FIRST, OWN_LAST);
	return !sysctl_is_writable(port_range) && (sysctl_read(port_range, now) || strcmp(now, wanted) != 0);
}

bool kernel_rules_build(struct change_list *list, const struct kernel_facts *facts)
{
	struct builder to = {list, facts, false};

	kernel_rules_build_tun(&to);
	kernel_rules_route(&to, NULL, UINT32_MAX);
	kernel_rules_build_own_ports(&to);
	kernel_rules_build_rules(&to);
	kernel_rules_route(&to, facts->tun, METRIC_TUN);
	/* The kernel's errors about packets from the TUN then come from HOP, and those about packets from the LAN from
	 * the LAN's address. */
	kernel_rules_sysctl(&to, "net/ipv4/icmp_errors_use_inbound_ifaddr", "1", 0);
	kernel_rules_build_reverse_path(&to);
	if (facts->links->wan.ifindex)
		kernel_rules_device_sysctl(&to, "ipv4", facts->wan, "forwarding", "0", OPTIONAL);
	kernel_rules_device_sysctl(&to, "ipv4", facts->tun, "forwarding", "1", 0);
	kernel_rules_device_sysctl(&to, "ipv4", facts->lan, "forwarding", "1", 0);
	return !to.failed;
}
