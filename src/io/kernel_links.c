/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three dumps: links for names, state and MTU, addresses, and routes for what lies behind the LAN.
 */
#include "io/kernel_links.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

struct reading {
	const char *lan, *wan;
	struct kernel_links *links;
	struct kernel_trouble *trouble;
	struct prefix wan_prefixes[KERNEL_ADDRESSES_MAX]; /* of links->wan.addresses */
	uint32_t wan_prefix_count;
	bool wan_has_default;
};

static uint32_t kernel_links_mask(uint8_t length)
{
	return length ? UINT32_MAX << (32 - length) : 0;
}

static bool kernel_links_overlap(struct prefix a, struct prefix b)
{
	uint32_t mask = kernel_links_mask(a.length < b.length ? a.length : b.length);

	return (a.address & mask) == (b.address & mask);
}

/* Member by member: the result is compared byte by byte with an earlier one, and what lies between members must stay
 * zero. */
static void kernel_links_copy(struct prefix *to, struct prefix prefix)
{
	to->address = prefix.address;
	to->length = prefix.length;
}

static void kernel_links_keep_link(void *context, const struct netlink_link *link)
{
	struct reading *reading = context;
	struct kernel_links *links = reading->links;

	if (!strcmp(link->name, reading->lan)) {
		links->lan.ifindex = link->ifindex;
		links->lan.up = link->admin_up && link->carrier;
		links->lan.mtu = link->mtu;
	}
	if (!strcmp(link->name, reading->wan)) {
		links->wan.ifindex = link->ifindex;
		links->wan.up = link->admin_up && link->carrier;
		links->wan.ethernet = link->ethernet;
		links->wan.arp = link->arp;
		links->wan.mtu = link->mtu;
		memcpy(links->wan.mac, link->mac, sizeof(links->wan.mac));
		snprintf(links->wan.name, sizeof(links->wan.name), "%s", link->name);
	}
}

static void kernel_links_add_prefix(struct reading *reading, struct prefix prefix)
{
	struct kernel_links *links = reading->links;

	prefix.address &= kernel_links_mask(prefix.length);
	for (uint32_t i = 0; i < links->lan.prefix_count; i++)
		if (links->lan.prefixes[i].length <= prefix.length &&
		    kernel_links_overlap(links->lan.prefixes[i], prefix))
			return;
	if (links->lan.prefix_count == PREFIXES_MAX)
		reading->trouble->prefixes_left_out++;
	else
		kernel_links_copy(&links->lan.prefixes[links->lan.prefix_count++], prefix);
}

static void kernel_links_keep_address(void *context, const struct netlink_address *address)
{
	struct reading *reading = context;
	struct kernel_links *links = reading->links;
	struct prefix prefix = {address->address, address->length};

	if (address->ifindex == links->lan.ifindex) {
		if (!links->lan.address)
			links->lan.address = address->address;
		if (links->lan.address_count < KERNEL_ADDRESSES_MAX)
			links->lan.addresses[links->lan.address_count++] = address->address;
		kernel_links_add_prefix(reading, prefix);
	} else if (address->ifindex == links->wan.ifindex && !address->link_scope) {
		if (links->wan.address_count == KERNEL_ADDRESSES_MAX) {
			reading->trouble->addresses_left_out++;
			return;
		}
		reading->wan_prefixes[links->wan.address_count] = prefix;
		links->wan.addresses[links->wan.address_count++] = address->address;
	}
}

/* RFC 4787 REQ-7: a NAT whose two sides have the same addresses cannot work, so such outside addresses are not used.
 */
static void kernel_links_drop_overlaps(struct reading *reading)
{
	struct kernel_links *links = reading->links;
	struct kernel_trouble *trouble = reading->trouble;
	uint32_t kept = 0;

	reading->wan_prefix_count = 0;
	for (uint32_t i = 0; i < links->wan.address_count; i++) {
		struct prefix wan = reading->wan_prefixes[i];
		bool overlap = false;

		for (uint32_t j = 0; j < links->lan.prefix_count && !overlap; j++) {
			overlap = kernel_links_overlap(wan, links->lan.prefixes[j]);
			if (overlap && !trouble->overlap) {
				trouble->overlap = true;
				kernel_links_copy(&trouble->overlap_wan, wan);
				kernel_links_copy(&trouble->overlap_lan, links->lan.prefixes[j]);
			}
		}
		if (overlap)
			continue;
		links->wan.addresses[kept] = links->wan.addresses[i];
		reading->wan_prefixes[kept++] = wan;
	}
	memset(&links->wan.addresses[kept], 0, (links->wan.address_count - kept) * sizeof(links->wan.addresses[0]));
	links->wan.address_count = reading->wan_prefix_count = kept;
}

static void kernel_links_keep_route(void *context, const struct netlink_route *route)
{
	struct reading *reading = context;

	if (!route->to.length && !route->unreachable && route->ifindex)
		reading->trouble->lan_has_default |= route->ifindex == reading->links->lan.ifindex;
	/* 0/1 and 128/1 are a default route that beats another one without replacing it. */
	if (route->to.length <= 1 && !route->unreachable && route->ifindex)
		reading->wan_has_default |= route->ifindex == reading->links->wan.ifindex;
	if (!reading->links->lan.ifindex || route->ifindex != reading->links->lan.ifindex || route->unreachable ||
	    !route->to.length)
		return;
	for (uint32_t i = 0; i < reading->wan_prefix_count; i++)
		if (kernel_links_overlap(route->to, reading->wan_prefixes[i]))
			return;
	kernel_links_add_prefix(reading, route->to);
}

bool kernel_links_is_outside(const struct kernel_links *links, uint32_t address)
{
	for (uint32_t i = 0; i < links->wan.address_count; i++)
		if (links->wan.addresses[i] == address)
			return true;
	return false;
}

bool kernel_links_is_inside(const struct kernel_links *links, uint32_t address)
{
	for (uint32_t i = 0; i < links->lan.prefix_count; i++)
		if (prefix_has(&links->lan.prefixes[i], address))
			return true;
	return false;
}

int kernel_links_read(struct netlink *netlink, const char *lan, const char *wan, struct kernel_links *links,
		      struct kernel_trouble *trouble)
{
	struct reading reading = {.lan = lan, .wan = wan, .links = links, .trouble = trouble};
	int error;

	memset(&links->wan, 0, sizeof(links->wan));
	memset(&links->lan, 0, sizeof(links->lan));
	memset(trouble, 0, sizeof(*trouble));
	error = netlink_dump_links(netlink, kernel_links_keep_link, &reading);
	if (!error && (links->lan.ifindex || links->wan.ifindex))
		error = netlink_dump_addresses(netlink, kernel_links_keep_address, &reading);
	kernel_links_drop_overlaps(&reading);
	if (!error)
		error = netlink_dump_routes(netlink, NETLINK_TABLE_MAIN, kernel_links_keep_route, &reading);
	/* A WAN that waits for its lease has no route yet, and one without link addresses needs none. */
	trouble->swapped = trouble->lan_has_default && !reading.wan_has_default && links->wan.up &&
			   links->wan.ethernet && links->wan.address_count > 0;
	return error;
}

static const char *kernel_links_address(uint32_t address, char text[INET_ADDRSTRLEN])
{
	struct in_addr in = {htonl(address)};

	return inet_ntop(AF_INET, &in, text, INET_ADDRSTRLEN);
}

void kernel_links_report(const struct kernel_trouble *trouble, const struct kernel_request *request,
			 kernel_report *report, void *context)
{
	char lan[INET_ADDRSTRLEN], wan[INET_ADDRSTRLEN];

	if (trouble->overlap)
		report(context, LOG_ERR,
		       "the LAN %s has %s/%u and the WAN %s has %s/%u, which overlap; no NAT can tell the two sides apart; give the LAN other addresses",
		       request->lan, kernel_links_address(trouble->overlap_lan.address, lan),
		       trouble->overlap_lan.length, request->wan,
		       kernel_links_address(trouble->overlap_wan.address, wan), trouble->overlap_wan.length);
	if (trouble->swapped)
		report(context, LOG_ERR,
		       "LAN and WAN look swapped: the default route leads to %s, which is the LAN here, and none leads to the WAN, %s; exchange the two, or remove the default route of %s",
		       request->lan, request->wan, request->lan);
	else if (trouble->lan_has_default)
		report(context, LOG_WARNING,
		       "the LAN device %s has a default route; packets of the router itself may leave there and not by the WAN device %s; remove the default route of %s, unless LAN and WAN are swapped",
		       request->lan, request->wan, request->lan);
	if (trouble->addresses_left_out)
		report(context, LOG_WARNING, "%s has more than %u addresses; the last %u are not used", request->wan,
		       KERNEL_ADDRESSES_MAX, trouble->addresses_left_out);
	if (trouble->prefixes_left_out)
		report(context, LOG_WARNING,
		       "more than %u networks are behind %s; %u of them cannot be reached from the WAN", PREFIXES_MAX,
		       request->lan, trouble->prefixes_left_out);
}

struct default_route {
	int ifindex;
	uint32_t metric;
};

static void kernel_links_keep_default(void *context, const struct netlink_route *route)
{
	struct default_route *best = context;

	if (route->to.length || route->unreachable || !route->ifindex)
		return;
	if (!best->ifindex || route->metric < best->metric)
		*best = (struct default_route){route->ifindex, route->metric};
}

struct naming {
	int ifindex;
	char *name;
};

static void kernel_links_keep_name(void *context, const struct netlink_link *link)
{
	struct naming *naming = context;

	if (link->ifindex == naming->ifindex)
		snprintf(naming->name, IFNAMSIZ, "%s", link->name);
}

int kernel_links_find_default(struct netlink *netlink, char name[IFNAMSIZ])
{
	struct default_route best = {0};
	struct naming naming = {0, name};
	int error = netlink_dump_routes(netlink, NETLINK_TABLE_MAIN, kernel_links_keep_default, &best);

	name[0] = '\0';
	if (error || !best.ifindex)
		return error;
	naming.ifindex = best.ifindex;
	return netlink_dump_links(netlink, kernel_links_keep_name, &naming);
}

static void kernel_links_append_name(void *context, const struct netlink_link *link)
{
	char *text = context;
	size_t used = strlen(text);

	snprintf(text + used, KERNEL_DEVICES_TEXT_MAX - used, "%s%s", used ? ", " : "", link->name);
}

void kernel_links_list(struct netlink *netlink, char text[KERNEL_DEVICES_TEXT_MAX])
{
	text[0] = '\0';
	netlink_dump_links(netlink, kernel_links_append_name, text);
}

bool kernel_peek(const char *lan, const char *wan, struct kernel_links *links)
{
	struct kernel_trouble trouble;
	char name[IFNAMSIZ] = "";
	int error;
	struct netlink *netlink = netlink_new(&error);

	*links = (struct kernel_links){.generation = 0};
	if (!netlink)
		return false;
	if (!wan[0] && !kernel_links_find_default(netlink, name))
		wan = name;
	error = kernel_links_read(netlink, lan, wan, links, &trouble);
	netlink_free(netlink);
	return !error && links->lan.prefix_count > 0;
}

struct finding {
	const char *name;
	struct netlink_link *link;
	bool found;
};

static void kernel_links_keep_named(void *context, const struct netlink_link *link)
{
	struct finding *finding = context;

	if (strcmp(link->name, finding->name) != 0)
		return;
	*finding->link = *link;
	finding->found = true;
}

bool kernel_links_find(struct netlink *netlink, const char *name, struct netlink_link *link)
{
	struct finding finding = {name, link, false};

	return !netlink_dump_links(netlink, kernel_links_keep_named, &finding) && finding.found;
}
