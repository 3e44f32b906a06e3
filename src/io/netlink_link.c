/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links, their IPv4 addresses and their neighbours.
 */
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stddef.h>
#include <string.h>

#include "io/netlink_message.h"

bool netlink_parse_link(struct nlmsghdr *header, struct netlink_link *link)
{
	const struct ifinfomsg *info = nlmsg_data(header);
	struct nlattr *attributes[IFLA_MAX + 1];

	/* Ports of a bridge have a family of their own, and what is only news of a wireless link has no MTU. */
	if ((header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK) ||
	    nlmsg_parse(header, sizeof(*info), attributes, IFLA_MAX, NULL) < 0 || info->ifi_family != AF_UNSPEC ||
	    !attributes[IFLA_IFNAME] || !attributes[IFLA_MTU])
		return false;
	*link = (struct netlink_link){.ifindex = info->ifi_index, .mtu = nla_get_u32(attributes[IFLA_MTU])};
	nla_strlcpy(link->name, attributes[IFLA_IFNAME], sizeof(link->name));
	link->admin_up = info->ifi_flags & IFF_UP;
	link->carrier = info->ifi_flags & IFF_RUNNING;
	link->ethernet = info->ifi_type == ARPHRD_ETHER;
	link->arp = link->ethernet && !(info->ifi_flags & (IFF_NOARP | IFF_LOOPBACK));
	if (attributes[IFLA_ADDRESS] && nla_len(attributes[IFLA_ADDRESS]) == sizeof(link->mac))
		memcpy(link->mac, nla_data(attributes[IFLA_ADDRESS]), sizeof(link->mac));
	return true;
}

static void netlink_keep_link(void *context, struct nlmsghdr *header)
{
	netlink_parse_link(header, context);
}

bool netlink_find_link(struct netlink *netlink, const char *name, struct netlink_link *link)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct nl_msg *message = netlink_new_message(RTM_GETLINK, 0, &info, sizeof(info));

	*link = (struct netlink_link){0};
	if (message && nla_put_string(message, IFLA_IFNAME, name) < 0) {
		nlmsg_free(message);
		return false;
	}
	return !netlink_request(netlink, message, netlink_keep_link, link) && link->ifindex;
}

int netlink_set_link(struct netlink *netlink, int ifindex, uint32_t mtu, bool up)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex, .ifi_change = IFF_UP};
	struct nl_msg *message;

	info.ifi_flags = up ? IFF_UP : 0;
	message = netlink_new_message(RTM_NEWLINK, 0, &info, sizeof(info));
	if (message && nla_put_u32(message, IFLA_MTU, mtu) < 0) {
		nlmsg_free(message);
		message = NULL;
	}
	return netlink_request(netlink, message, NULL, NULL);
}

bool netlink_parse_address(struct nlmsghdr *header, struct netlink_address *address)
{
	const struct ifaddrmsg *info = nlmsg_data(header);
	struct nlattr *attributes[IFA_MAX + 1];

	if ((header->nlmsg_type != RTM_NEWADDR && header->nlmsg_type != RTM_DELADDR) ||
	    nlmsg_parse(header, sizeof(*info), attributes, IFA_MAX, NULL) < 0 || info->ifa_family != AF_INET ||
	    !attributes[IFA_LOCAL])
		return false;
	*address = (struct netlink_address){
		.ifindex = (int)info->ifa_index,
		.address = netlink_get_address(attributes[IFA_LOCAL]),
		.length = info->ifa_prefixlen,
		.secondary = info->ifa_flags & IFA_F_SECONDARY,
		.link_scope = info->ifa_scope >= RT_SCOPE_LINK,
	};
	return true;
}

static int netlink_change_address(struct netlink *netlink, int type, int flags, int ifindex, struct prefix address)
{
	struct ifaddrmsg info = {
		.ifa_family = AF_INET, .ifa_prefixlen = address.length, .ifa_index = (uint32_t)ifindex};
	struct nl_msg *message = netlink_new_message(type, flags, &info, sizeof(info));

	if (message && (netlink_put_address(message, IFA_LOCAL, address.address) < 0 ||
			netlink_put_address(message, IFA_ADDRESS, address.address) < 0)) {
		nlmsg_free(message);
		message = NULL;
	}
	return netlink_request(netlink, message, NULL, NULL);
}

int netlink_add_address(struct netlink *netlink, int ifindex, struct prefix address)
{
	return netlink_change_address(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, address);
}

int netlink_delete_address(struct netlink *netlink, int ifindex, struct prefix address)
{
	return netlink_change_address(netlink, RTM_DELADDR, 0, ifindex, address);
}

static enum netlink_resolution netlink_judge_neighbour(uint16_t state, bool has_mac)
{
	if (state & NUD_FAILED)
		return NETLINK_FAILED;
	if (has_mac && (state & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)))
		return NETLINK_RESOLVED;
	return NETLINK_INCOMPLETE;
}

bool netlink_parse_neighbour(struct nlmsghdr *header, struct netlink_neighbour *neighbour)
{
	const struct ndmsg *info = nlmsg_data(header);
	struct nlattr *attributes[NDA_MAX + 1];
	bool has_mac;

	if ((header->nlmsg_type != RTM_NEWNEIGH && header->nlmsg_type != RTM_DELNEIGH) ||
	    nlmsg_parse(header, sizeof(*info), attributes, NDA_MAX, NULL) < 0 || info->ndm_family != AF_INET ||
	    !attributes[NDA_DST])
		return false;
	*neighbour = (struct netlink_neighbour){.ifindex = info->ndm_ifindex};
	neighbour->address = netlink_get_address(attributes[NDA_DST]);
	has_mac = attributes[NDA_LLADDR] && nla_len(attributes[NDA_LLADDR]) == sizeof(neighbour->mac);
	if (has_mac)
		memcpy(neighbour->mac, nla_data(attributes[NDA_LLADDR]), sizeof(neighbour->mac));
	if (header->nlmsg_type == RTM_NEWNEIGH)
		neighbour->resolution = netlink_judge_neighbour(info->ndm_state, has_mac);
	neighbour->permanent = info->ndm_state & (NUD_PERMANENT | NUD_NOARP);
	neighbour->stale = info->ndm_state & NUD_STALE;
	return true;
}
