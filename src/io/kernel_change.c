/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making a change and taking it back. Both may be repeated: what is there already, or gone already, is no error.
 */
#include "io/kernel_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool change_list_reserve(struct change_list *list, uint32_t count)
{
	struct change *items;

	if (count <= list->capacity)
		return true;
	items = realloc(list->items, count * sizeof(*items));
	if (!items)
		return false;
	list->items = items;
	list->capacity = count;
	return true;
}

struct change *change_list_add(struct change_list *list)
{
	if (list->count == list->capacity && !change_list_reserve(list, list->capacity ? 2 * list->capacity : 64))
		return NULL;
	memset(&list->items[list->count], 0, sizeof(*list->items));
	return &list->items[list->count++];
}

void change_list_free(struct change_list *list)
{
	free(list->items);
	*list = (struct change_list){0};
}

static bool change_same_prefix(struct prefix a, struct prefix b)
{
	return address_equal(a.address, b.address) && a.length == b.length;
}

static bool change_same_rule(const struct netlink_rule *a, const struct netlink_rule *b)
{
	return a->preference == b->preference && change_same_prefix(a->from, b->from) &&
	       change_same_prefix(a->to, b->to) && !strcmp(a->iif, b->iif) && a->protocol == b->protocol &&
	       a->source_port == b->source_port && a->port_first == b->port_first && a->port_last == b->port_last &&
	       a->invert == b->invert && a->action == b->action && a->table == b->table;
}

static bool change_is_same(const struct change *a, const struct change *b)
{
	if (a->kind != b->kind || strcmp(a->device, b->device) != 0)
		return false;
	switch (a->kind) {
	case CHANGE_SYSCTL:
		return !strcmp(a->sysctl.path, b->sysctl.path);
	case CHANGE_LINK:
		return true;
	case CHANGE_ADDRESS:
		return change_same_prefix(a->address, b->address);
	case CHANGE_ROUTE:
		return a->route.table == b->route.table && a->route.metric == b->route.metric &&
		       a->route.unreachable == b->route.unreachable && change_same_prefix(a->route.to, b->route.to);
	case CHANGE_RULE:
	case CHANGE_RULE_GONE:
		return change_same_rule(&a->rule, &b->rule);
	}
	return false;
}

struct change *change_list_find(const struct change_list *list, const struct change *change, uint32_t near)
{
	for (uint32_t i = 0; i < list->count; i++) {
		struct change *item = &list->items[(near + i) % list->count];

		if (change_is_same(item, change))
			return item;
	}
	return NULL;
}

/* What a request says of something that is as wanted already. */
static int change_judge(int error, int already)
{
	return error == already ? CHANGE_NOTHING : error;
}

static int change_write_sysctl(const char *path, const char *value)
{
	char now[SYSCTL_VALUE_MAX];

	if (!sysctl_read(path, now) && !strcmp(now, value))
		return CHANGE_NOTHING;
	return sysctl_write(path, value);
}

static int change_set_link(struct netlink *netlink, const struct netlink_link *link, uint32_t mtu, bool up)
{
	return link->mtu == mtu && link->admin_up == up ? CHANGE_NOTHING
							: netlink_set_link(netlink, link->ifindex, mtu, up);
}

int change_apply(const struct change *change, struct netlink *netlink)
{
	struct netlink_link link = {0};
	struct netlink_route route;
	struct netlink_rule rule;

	if (change->device[0] && !netlink_find_link(netlink, change->device, &link))
		return -ENODEV;
	switch (change->kind) {
	case CHANGE_SYSCTL:
		return change_write_sysctl(change->sysctl.path, change->sysctl.value);
	case CHANGE_LINK:
		return change_set_link(netlink, &link, change->link.mtu, true);
	case CHANGE_ADDRESS:
		return change_judge(netlink_add_address(netlink, link.ifindex, change->address), -EEXIST);
	case CHANGE_ROUTE:
		route = change->route;
		route.ifindex = link.ifindex;
		return change_judge(netlink_add_route(netlink, &route), -EEXIST);
	case CHANGE_RULE:
		return change_judge(netlink_add_rule(netlink, &change->rule), -EEXIST);
	case CHANGE_RULE_GONE:
		rule = change->rule;
		rule.owner = 0; /* whoever made it */
		return change_judge(netlink_delete_rule(netlink, &rule), -ENOENT);
	}
	return -EINVAL;
}

static int change_undo_sysctl(const struct change *change)
{
	char now[SYSCTL_VALUE_MAX];
	int error = sysctl_read(change->sysctl.path, now);

	if (error)
		return error == -ENOENT ? CHANGE_NOTHING : error; /* gone with its device */
	if (!strcmp(now, change->sysctl.before))
		return CHANGE_NOTHING;
	if (strcmp(now, change->sysctl.value) != 0)
		return CHANGE_FOREIGN;
	return sysctl_write(change->sysctl.path, change->sysctl.before);
}

int change_undo(const struct change *change, struct netlink *netlink)
{
	struct netlink_link link = {0};
	struct netlink_route route;

	if (change->device[0] && !netlink_find_link(netlink, change->device, &link))
		return CHANGE_NOTHING;
	switch (change->kind) {
	case CHANGE_SYSCTL:
		return change_undo_sysctl(change);
	case CHANGE_LINK:
		return change->link.mtu_before
			       ? change_set_link(netlink, &link, change->link.mtu_before, change->link.up_before)
			       : CHANGE_NOTHING;
	case CHANGE_ADDRESS:
		return change_judge(netlink_delete_address(netlink, link.ifindex, change->address), -EADDRNOTAVAIL);
	case CHANGE_ROUTE:
		route = change->route;
		route.ifindex = link.ifindex;
		return change_judge(netlink_delete_route(netlink, &route), -ESRCH);
	case CHANGE_RULE:
		return change_judge(netlink_delete_rule(netlink, &change->rule), -ENOENT);
	case CHANGE_RULE_GONE:
		return change_judge(netlink_add_rule(netlink, &change->rule), -EEXIST);
	}
	return -EINVAL;
}
