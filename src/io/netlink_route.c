/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPv4 routes, and the policy rules that choose among their tables.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>

#include "io/netlink_message.h"

struct route_visit {
	uint32_t table;
	netlink_route_visit *visit;
	void *context;
};

struct rule_visit {
	void (*visit)(void *context, const struct netlink_rule *rule);
	void *context;
};

static void netlink_visit_next_hops(struct netlink_route *route, struct nlattr *attribute, netlink_route_visit *visit,
				    void *context)
{
	struct rtnexthop *hop = nla_data(attribute);
	int left = nla_len(attribute);

	while (left >= (int)sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left) {
		struct nlattr *attributes[RTA_MAX + 1];
		int size = hop->rtnh_len - (int)sizeof(*hop);

		if (nla_parse(attributes, RTA_MAX, (struct nlattr *)(void *)(hop + 1), size, NULL) < 0)
			return;
		route->ifindex = hop->rtnh_ifindex;
		route->gateway = netlink_get_address(attributes[RTA_GATEWAY]);
		route->usable = !attributes[RTA_VIA];
		visit(context, route);
		left -= (int)NLMSG_ALIGN(hop->rtnh_len);
		hop = (struct rtnexthop *)(void *)((char *)hop + NLMSG_ALIGN(hop->rtnh_len));
	}
}

void netlink_visit_route(struct nlmsghdr *header, netlink_route_visit *visit, void *context)
{
	const struct rtmsg *info = nlmsg_data(header);
	struct nlattr *attributes[RTA_MAX + 1];
	struct netlink_route route = {0};

	if ((header->nlmsg_type != RTM_NEWROUTE && header->nlmsg_type != RTM_DELROUTE) ||
	    nlmsg_parse(header, sizeof(*info), attributes, RTA_MAX, NULL) < 0 || info->rtm_family != AF_INET ||
	    (info->rtm_flags & RTM_F_CLONED))
		return;
	route.table = attributes[RTA_TABLE] ? nla_get_u32(attributes[RTA_TABLE]) : info->rtm_table;
	route.to.address = netlink_get_address(attributes[RTA_DST]);
	route.to.length = info->rtm_dst_len;
	route.metric = attributes[RTA_PRIORITY] ? nla_get_u32(attributes[RTA_PRIORITY]) : 0;
	route.service = info->rtm_tos;
	route.ours = info->rtm_protocol == NETLINK_OWNER;
	route.unreachable = info->rtm_type != RTN_UNICAST;
	route.usable = !attributes[RTA_VIA];
	if (attributes[RTA_MULTIPATH]) {
		netlink_visit_next_hops(&route, attributes[RTA_MULTIPATH], visit, context);
		return;
	}
	route.ifindex = attributes[RTA_OIF] ? (int)nla_get_u32(attributes[RTA_OIF]) : 0;
	route.gateway = netlink_get_address(attributes[RTA_GATEWAY]);
	visit(context, &route);
}

static void netlink_keep_table(void *context, const struct netlink_route *route)
{
	const struct route_visit *to = context;

	if (route->table == to->table)
		to->visit(to->context, route);
}

static void netlink_parse_route(void *context, struct nlmsghdr *header)
{
	netlink_visit_route(header, netlink_keep_table, context);
}

int netlink_dump_routes(struct netlink *netlink, uint32_t table, netlink_route_visit *visit, void *context)
{
	struct rtmsg info = {.rtm_family = AF_INET};
	struct route_visit to = {table, visit, context};
	struct nl_msg *message = netlink_new_message(RTM_GETROUTE, NLM_F_DUMP, &info, sizeof(info));
	int result;

	if (message && nla_put_u32(message, RTA_TABLE, table) < 0) {
		nlmsg_free(message);
		message = NULL;
	}
	result = netlink_dump(netlink, message, netlink_parse_route, &to);
	return result == -ENOENT ? 0 : result; /* a table that is empty does not exist */
}

static int netlink_change_route(struct netlink *netlink, int type, int flags, const struct netlink_route *route)
{
	struct rtmsg info = {
		.rtm_family = AF_INET,
		.rtm_dst_len = route->to.length,
		.rtm_table = route->table < 256 ? (uint8_t)route->table : RT_TABLE_UNSPEC,
		.rtm_protocol = NETLINK_OWNER,
		.rtm_scope = route->unreachable ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = route->unreachable ? RTN_UNREACHABLE : RTN_UNICAST,
	};
	struct nl_msg *message = netlink_new_message(type, flags, &info, sizeof(info));
	int failed = 0;

	if (!message)
		return -ENOMEM;
	if (route->to.length)
		failed |= netlink_put_address(message, RTA_DST, route->to.address);
	failed |= nla_put_u32(message, RTA_TABLE, route->table);
	failed |= nla_put_u32(message, RTA_PRIORITY, route->metric);
	if (route->ifindex)
		failed |= nla_put_u32(message, RTA_OIF, (uint32_t)route->ifindex);
	if (failed) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	return netlink_request(netlink, message, NULL, NULL);
}

int netlink_add_route(struct netlink *netlink, const struct netlink_route *route)
{
	return netlink_change_route(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
}

int netlink_delete_route(struct netlink *netlink, const struct netlink_route *route)
{
	return netlink_change_route(netlink, RTM_DELROUTE, 0, route);
}

static struct fib_rule_port_range netlink_get_ports(struct nlattr *attribute)
{
	struct fib_rule_port_range range = {0};

	if (attribute && nla_len(attribute) == sizeof(range))
		memcpy(&range, nla_data(attribute), sizeof(range));
	return range;
}

bool netlink_parse_rule(struct nlmsghdr *header, struct netlink_rule *rule)
{
	const struct fib_rule_hdr *info = nlmsg_data(header);
	struct nlattr *attributes[FRA_MAX + 1];

	if ((header->nlmsg_type != RTM_NEWRULE && header->nlmsg_type != RTM_DELRULE) ||
	    nlmsg_parse(header, sizeof(*info), attributes, FRA_MAX, NULL) < 0 || info->family != AF_INET)
		return false;
	*rule = (struct netlink_rule){0};
	rule->preference = attributes[FRA_PRIORITY] ? nla_get_u32(attributes[FRA_PRIORITY]) : 0;
	rule->from = (struct prefix){netlink_get_address(attributes[FRA_SRC]), info->src_len};
	rule->to = (struct prefix){netlink_get_address(attributes[FRA_DST]), info->dst_len};
	if (attributes[FRA_IIFNAME])
		nla_strlcpy(rule->iif, attributes[FRA_IIFNAME], sizeof(rule->iif));
	if (attributes[FRA_IP_PROTO])
		rule->protocol = nla_get_u8(attributes[FRA_IP_PROTO]);
	rule->source_port = netlink_get_ports(attributes[FRA_SPORT_RANGE]).start;
	rule->port_first = netlink_get_ports(attributes[FRA_DPORT_RANGE]).start;
	rule->port_last = netlink_get_ports(attributes[FRA_DPORT_RANGE]).end;
	rule->invert = info->flags & FIB_RULE_INVERT;
	rule->action = info->action == FR_ACT_GOTO          ? NETLINK_GOTO
		       : info->action == FR_ACT_BLACKHOLE   ? NETLINK_BLACKHOLE
		       : info->action == FR_ACT_UNREACHABLE ? NETLINK_UNREACHABLE
							    : NETLINK_LOOKUP;
	if (info->action == FR_ACT_TO_TBL)
		rule->table = attributes[FRA_TABLE] ? nla_get_u32(attributes[FRA_TABLE]) : info->table;
	if (info->action == FR_ACT_GOTO && attributes[FRA_GOTO])
		rule->table = nla_get_u32(attributes[FRA_GOTO]);
	if (attributes[FRA_PROTOCOL])
		rule->owner = nla_get_u8(attributes[FRA_PROTOCOL]);
	return true;
}

static void netlink_visit_rule(void *context, struct nlmsghdr *header)
{
	const struct rule_visit *to = context;
	struct netlink_rule rule;

	if (netlink_parse_rule(header, &rule))
		to->visit(to->context, &rule);
}

int netlink_dump_rules(struct netlink *netlink, void (*visit)(void *context, const struct netlink_rule *rule),
		       void *context)
{
	struct fib_rule_hdr info = {.family = AF_INET};
	struct rule_visit to = {visit, context};

	return netlink_dump(netlink, netlink_new_message(RTM_GETRULE, NLM_F_DUMP, &info, sizeof(info)),
			    netlink_visit_rule, &to);
}

static int netlink_put_rule(struct nl_msg *message, const struct netlink_rule *rule)
{
	struct fib_rule_port_range range = {rule->port_first, rule->port_last};
	struct fib_rule_port_range source = {rule->source_port, rule->source_port};
	int failed = nla_put_u32(message, FRA_PRIORITY, rule->preference);

	if (rule->from.length)
		failed |= netlink_put_address(message, FRA_SRC, rule->from.address);
	if (rule->to.length)
		failed |= netlink_put_address(message, FRA_DST, rule->to.address);
	if (rule->iif[0])
		failed |= nla_put_string(message, FRA_IIFNAME, rule->iif);
	if (rule->protocol)
		failed |= nla_put_u8(message, FRA_IP_PROTO, rule->protocol);
	if (rule->source_port)
		failed |= nla_put(message, FRA_SPORT_RANGE, sizeof(source), &source);
	if (rule->port_first)
		failed |= nla_put(message, FRA_DPORT_RANGE, sizeof(range), &range);
	if (rule->action == NETLINK_LOOKUP)
		failed |= nla_put_u32(message, FRA_TABLE, rule->table);
	if (rule->action == NETLINK_GOTO)
		failed |= nla_put_u32(message, FRA_GOTO, rule->table);
	if (rule->owner)
		failed |= nla_put_u8(message, FRA_PROTOCOL, rule->owner);
	return failed;
}

static int netlink_change_rule(struct netlink *netlink, int type, int flags, const struct netlink_rule *rule)
{
	static const uint8_t actions[] = {
		[NETLINK_LOOKUP] = FR_ACT_TO_TBL,
		[NETLINK_GOTO] = FR_ACT_GOTO,
		[NETLINK_BLACKHOLE] = FR_ACT_BLACKHOLE,
		[NETLINK_UNREACHABLE] = FR_ACT_UNREACHABLE,
	};
	struct fib_rule_hdr info = {
		.family = AF_INET,
		.dst_len = rule->to.length,
		.src_len = rule->from.length,
		.table = rule->action == NETLINK_LOOKUP && rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_UNSPEC,
		.action = actions[rule->action],
		.flags = rule->invert ? FIB_RULE_INVERT : 0,
	};
	struct nl_msg *message = netlink_new_message(type, flags, &info, sizeof(info));

	if (message && netlink_put_rule(message, rule)) {
		nlmsg_free(message);
		message = NULL;
	}
	return netlink_request(netlink, message, NULL, NULL);
}

int netlink_add_rule(struct netlink *netlink, const struct netlink_rule *rule)
{
	return netlink_change_rule(netlink, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int netlink_delete_rule(struct netlink *netlink, const struct netlink_rule *rule)
{
	return netlink_change_rule(netlink, RTM_DELRULE, 0, rule);
}
