/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the copy of what the kernel has: links for names, state and MTU, addresses, and routes for what lies behind the
 * LAN.
 */
#include "io/kernel_links.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/address.h"

struct reading {
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

	return ((a.address.v4 ^ b.address.v4) & mask) == 0;
}

static void kernel_links_keep_sides(const struct kernel_copy *copy, struct kernel_links *links)
{
	const struct netlink_link *lan = kernel_copy_link(copy, copy->request->lan);
	const struct netlink_link *wan = kernel_copy_link(copy, copy->request->wan);

	if (lan) {
		links->lan.ifindex = lan->ifindex;
		links->lan.up = lan->admin_up && lan->carrier;
		links->lan.mtu = lan->mtu;
	}
	if (wan) {
		links->wan.ifindex = wan->ifindex;
		links->wan.up = wan->admin_up && wan->carrier;
		links->wan.ethernet = wan->ethernet;
		links->wan.arp = wan->arp;
		links->wan.mtu = wan->mtu;
		memcpy(links->wan.mac, wan->mac, sizeof(links->wan.mac));
		memcpy(links->wan.name, wan->name, sizeof(links->wan.name));
	}
}

static void kernel_links_add_prefix(struct reading *reading, struct prefix prefix)
{
	struct kernel_links *links = reading->links;

	prefix.address.v4 &= kernel_links_mask(prefix.length);
	for (uint32_t i = 0; i < links->lan.prefix_count; i++)
		if (links->lan.prefixes[i].length <= prefix.length &&
		    kernel_links_overlap(links->lan.prefixes[i], prefix))
			return;
	if (links->lan.prefix_count == PREFIXES_MAX)
		reading->trouble->prefixes_left_out++;
	else
		links->lan.prefixes[links->lan.prefix_count++] = prefix;
}

static void kernel_links_keep_address(struct reading *reading, const struct netlink_address *address)
{
	struct kernel_links *links = reading->links;
	struct prefix prefix = {address->address, address->length};

	if (address->ifindex == links->lan.ifindex) {
		if (!address_is_set(links->lan.address))
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
				trouble->overlap_wan = wan;
				trouble->overlap_lan = links->lan.prefixes[j];
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

static void kernel_links_keep_route(struct reading *reading, const struct netlink_route *route)
{
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

bool kernel_links_is_outside(const struct kernel_links *links, struct address address)
{
	for (uint32_t i = 0; i < links->wan.address_count; i++)
		if (address_equal(links->wan.addresses[i], address))
			return true;
	return false;
}

bool kernel_links_is_inside(const struct kernel_links *links, struct address address)
{
	for (uint32_t i = 0; i < links->lan.prefix_count; i++)
		if (prefix_has(&links->lan.prefixes[i], address))
			return true;
	return false;
}

void kernel_links_read(const struct kernel_copy *copy, struct kernel_links *links, struct kernel_trouble *trouble)
{
	struct reading reading = {.links = links, .trouble = trouble};

	memset(&links->wan, 0, sizeof(links->wan));
	memset(&links->lan, 0, sizeof(links->lan));
	memset(trouble, 0, sizeof(*trouble));
	kernel_links_keep_sides(copy, links);
	for (uint32_t i = 0; i < copy->address_count; i++)
		kernel_links_keep_address(&reading, &copy->addresses[i].address);
	kernel_links_drop_overlaps(&reading);
	for (uint32_t i = 0; i < copy->route_count; i++)
		if (!copy->routes[i].is_free)
			kernel_links_keep_route(&reading, &copy->routes[i].route);
	/* A WAN that waits for its lease has no route yet, and one without link addresses needs none. */
	trouble->swapped = trouble->lan_has_default && !reading.wan_has_default && links->wan.up &&
			   links->wan.ethernet && links->wan.address_count > 0;
}

static bool kernel_links_same_prefix(struct prefix a, struct prefix b)
{
	return address_equal(a.address, b.address) && a.length == b.length;
}

bool kernel_links_same_wan(const struct kernel_links *a, const struct kernel_links *b)
{
	return a->wan.ifindex == b->wan.ifindex && a->wan.up == b->wan.up && a->wan.ethernet == b->wan.ethernet &&
	       a->wan.arp == b->wan.arp && a->wan.mtu == b->wan.mtu &&
	       !memcmp(a->wan.mac, b->wan.mac, sizeof(a->wan.mac)) && a->wan.address_count == b->wan.address_count &&
	       !memcmp(a->wan.addresses, b->wan.addresses, sizeof(a->wan.addresses)) &&
	       !strcmp(a->wan.name, b->wan.name);
}

static bool kernel_links_same_lan(const struct kernel_links *a, const struct kernel_links *b)
{
	for (uint32_t i = 0; i < a->lan.prefix_count; i++)
		if (!kernel_links_same_prefix(a->lan.prefixes[i], b->lan.prefixes[i]))
			return false;
	return a->lan.ifindex == b->lan.ifindex && a->lan.up == b->lan.up && a->lan.mtu == b->lan.mtu &&
	       a->lan.prefix_count == b->lan.prefix_count && address_equal(a->lan.address, b->lan.address) &&
	       a->lan.address_count == b->lan.address_count &&
	       !memcmp(a->lan.addresses, b->lan.addresses, sizeof(a->lan.addresses));
}

static bool kernel_links_same_ports(const struct port_set *a, const struct port_set *b)
{
	return !memcmp(a->bits, b->bits, sizeof(a->bits));
}

bool kernel_links_same(const struct kernel_links *a, const struct kernel_links *b)
{
	for (uint32_t i = 0; i < a->kepts && i < b->kepts; i++) {
		const struct host_connection *one = &a->kept[i], *other = &b->kept[i];

		if (!address_equal(one->local, other->local) || !address_equal(one->remote, other->remote) ||
		    one->local_port != other->local_port || one->remote_port != other->remote_port ||
		    one->protocol != other->protocol)
			return false;
	}
	return kernel_links_same_wan(a, b) && kernel_links_same_lan(a, b) && a->kepts == b->kepts &&
	       a->own_first == b->own_first && a->own_last == b->own_last &&
	       kernel_links_same_ports(&a->host_tcp, &b->host_tcp) &&
	       kernel_links_same_ports(&a->host_udp, &b->host_udp) &&
	       kernel_links_same_ports(&a->open_tcp, &b->open_tcp) &&
	       kernel_links_same_ports(&a->open_udp, &b->open_udp);
}

bool kernel_links_same_trouble(const struct kernel_trouble *a, const struct kernel_trouble *b)
{
	return a->overlap == b->overlap && kernel_links_same_prefix(a->overlap_lan, b->overlap_lan) &&
	       kernel_links_same_prefix(a->overlap_wan, b->overlap_wan) &&
	       a->addresses_left_out == b->addresses_left_out && a->prefixes_left_out == b->prefixes_left_out &&
	       a->lan_has_default == b->lan_has_default && a->swapped == b->swapped;
}

void kernel_links_report(const struct kernel_trouble *trouble, const struct kernel_request *request,
			 kernel_report *report, void *context)
{
	char lan[ADDRESS_TEXT], wan[ADDRESS_TEXT];

	if (trouble->overlap)
		report(context, LOG_ERR,
		       "the LAN %s has %s/%u and the WAN %s has %s/%u, which overlap; no NAT can tell the two sides apart; give the LAN other addresses",
		       request->lan, address_print(trouble->overlap_lan.address, lan), trouble->overlap_lan.length,
		       request->wan, address_print(trouble->overlap_wan.address, wan), trouble->overlap_wan.length);
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

const struct netlink_link *kernel_links_default(const struct kernel_copy *copy)
{
	const struct netlink_route *route = kernel_copy_exact(copy, 0, (struct prefix){0});

	return route ? kernel_copy_device(copy, route->ifindex) : NULL;
}

void kernel_links_list(const struct kernel_copy *copy, char text[KERNEL_DEVICES_TEXT_MAX])
{
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < copy->link_count && used < KERNEL_DEVICES_TEXT_MAX; i++)
		used += (size_t)snprintf(text + used, KERNEL_DEVICES_TEXT_MAX - used, "%s%s", used ? ", " : "",
					 copy->links[i].link.name);
}

void kernel_links_name_wan(const struct kernel_copy *copy, struct kernel_request *request)
{
	const struct netlink_link *link = request->wan[0] ? NULL : kernel_links_default(copy);

	if (link)
		memcpy(request->wan, link->name, sizeof(request->wan));
}

bool kernel_peek(const char *lan, const char *wan, struct kernel_links *links)
{
	struct kernel_request request = {0};
	struct kernel_copy copy;
	struct kernel_trouble trouble;
	int error;
	struct netlink *netlink = netlink_new(&error);

	*links = (struct kernel_links){.generation = 0};
	if (!netlink)
		return false;
	snprintf(request.lan, sizeof(request.lan), "%s", lan);
	snprintf(request.wan, sizeof(request.wan), "%s", wan);
	kernel_copy_open(&copy, netlink, &request, NULL, NULL);
	error = kernel_copy_read(&copy);
	kernel_links_name_wan(&copy, &request);
	kernel_links_read(&copy, links, &trouble);
	kernel_copy_close(&copy);
	netlink_free(netlink);
	return !error && links->lan.prefix_count > 0;
}
