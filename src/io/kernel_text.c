/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes as commands of ip(8) and sysctl(8), and back. Reading is strict because a journal may have been written by
 * anybody: the words must come in the order in which they are written, the result must be a change that culvert makes,
 * and written again it must give the same text.
 */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "io/kernel_change.h"

enum { WORDS_MAX = 24, PREFIX_TEXT_MAX = ADDRESS_TEXT + 4 };

static const char *const actions[] = {
	[NETLINK_LOOKUP] = "lookup",
	[NETLINK_GOTO] = "goto",
	[NETLINK_BLACKHOLE] = "blackhole",
	[NETLINK_UNREACHABLE] = "unreachable",
};

/* sysctl(8) writes a path with dots, and then a dot of a device name as a slash. */
static void change_swap_dots(char *to, const char *from, size_t size)
{
	size_t i;

	for (i = 0; from[i] && i < size - 1; i++)
		to[i] = from[i] == '/' ? '.' : from[i] == '.' ? '/' : from[i];
	to[i] = '\0';
}

static const char *change_prefix_text(struct prefix prefix, char text[PREFIX_TEXT_MAX])
{
	char dotted[ADDRESS_TEXT];

	snprintf(text, PREFIX_TEXT_MAX, "%s/%u", address_print(prefix.address, dotted), prefix.length);
	return text;
}

static void change_print_table(FILE *out, uint32_t table)
{
	if (table == NETLINK_TABLE_LOCAL)
		fputs(" lookup local", out);
	else if (table == NETLINK_TABLE_MAIN)
		fputs(" lookup main", out);
	else
		fprintf(out, " lookup %u", table);
}

static void change_print_rule(FILE *out, const char *verb, const struct netlink_rule *rule)
{
	char text[PREFIX_TEXT_MAX];

	fprintf(out, "ip rule %s pref %u", verb, rule->preference);
	if (rule->invert)
		fputs(" not", out);
	if (rule->from.length)
		fprintf(out, " from %s", change_prefix_text(rule->from, text));
	if (rule->to.length)
		fprintf(out, " to %s", change_prefix_text(rule->to, text));
	if (rule->iif[0])
		fprintf(out, " iif %s", rule->iif);
	if (rule->protocol)
		fprintf(out, " ipproto %u", rule->protocol);
	if (rule->source_port)
		fprintf(out, " sport %u", rule->source_port);
	if (rule->port_first)
		fprintf(out, " dport %u-%u", rule->port_first, rule->port_last);
	if (rule->action == NETLINK_LOOKUP)
		change_print_table(out, rule->table);
	else
		fprintf(out, " %s", actions[rule->action]);
	if (rule->action == NETLINK_GOTO)
		fprintf(out, " %u", rule->table);
	if (rule->owner == NETLINK_OWNER)
		fprintf(out, " protocol %u", rule->owner);
}

static void change_print_route(FILE *out, const struct change *change)
{
	char text[PREFIX_TEXT_MAX];

	fputs(change->route.unreachable ? "ip route add unreachable " : "ip route add ", out);
	fputs(change->route.to.length ? change_prefix_text(change->route.to, text) : "default", out);
	if (change->device[0])
		fprintf(out, " dev %s", change->device);
	fprintf(out, " metric %u table %u proto %u", change->route.metric, change->route.table, NETLINK_OWNER);
}

static void change_print_sysctl(FILE *out, const struct change *change)
{
	char path[SYSCTL_PATH_MAX];

	change_swap_dots(path, change->sysctl.path, sizeof(path));
	fprintf(out, "sysctl -w %s='%s' # was '%s'", path, change->sysctl.value, change->sysctl.before);
}

void change_print(const struct change *change, char text[CHANGE_TEXT_MAX])
{
	FILE *out = fmemopen(text, CHANGE_TEXT_MAX, "w");
	char prefix[PREFIX_TEXT_MAX];

	text[0] = '\0';
	if (!out)
		return;
	switch (change->kind) {
	case CHANGE_SYSCTL:
		change_print_sysctl(out, change);
		break;
	case CHANGE_LINK:
		fprintf(out, "ip link set dev %s mtu %u up", change->device, change->link.mtu);
		if (change->link.mtu_before)
			fprintf(out, " # was mtu %u %s", change->link.mtu_before,
				change->link.up_before ? "up" : "down");
		break;
	case CHANGE_ADDRESS:
		fprintf(out, "ip address add %s dev %s", change_prefix_text(change->address, prefix), change->device);
		break;
	case CHANGE_ROUTE:
		change_print_route(out, change);
		break;
	case CHANGE_RULE:
		change_print_rule(out, "add", &change->rule);
		break;
	case CHANGE_RULE_GONE:
		change_print_rule(out, "del", &change->rule);
		break;
	}
	fclose(out);
	text[CHANGE_TEXT_MAX - 1] = '\0';
}

struct words {
	char *word[WORDS_MAX + 1]; /* ends with NULL */
	char **next;
};

static bool change_skip(struct words *words, const char *expected)
{
	if (!*words->next || strcmp(*words->next, expected) != 0)
		return false;
	words->next++;
	return true;
}

static uint32_t change_take_number(struct words *words)
{
	return *words->next ? (uint32_t)strtoul(*words->next++, NULL, 10) : 0;
}

static void change_take_device(struct words *words, char device[IFNAMSIZ])
{
	if (*words->next)
		snprintf(device, IFNAMSIZ, "%s", *words->next++);
}

static struct prefix change_take_prefix(struct words *words)
{
	struct prefix prefix = {0};
	struct in_addr address;
	char *slash = *words->next ? strchr(*words->next, '/') : NULL;
	unsigned long length = slash ? strtoul(slash + 1, NULL, 10) : 0;

	if (!slash || length > 32)
		return prefix;
	*slash = '\0';
	if (inet_pton(AF_INET, *words->next, &address) == 1)
		prefix = (struct prefix){{ntohl(address.s_addr)}, (uint8_t)length};
	words->next++;
	return prefix;
}

static void change_take_ports(struct words *words, struct netlink_rule *rule)
{
	const char *text = *words->next;
	uint32_t first, last;

	if (!text || !sysctl_take_number(&text, UINT16_MAX, &first) || *text++ != '-' ||
	    !sysctl_take_number(&text, UINT16_MAX, &last))
		return;
	rule->port_first = (uint16_t)first;
	rule->port_last = (uint16_t)last;
	words->next++;
}

static void change_parse_rule(struct netlink_rule *rule, struct words *words)
{
	rule->invert = change_skip(words, "not");
	if (change_skip(words, "from"))
		rule->from = change_take_prefix(words);
	if (change_skip(words, "to"))
		rule->to = change_take_prefix(words);
	if (change_skip(words, "iif"))
		change_take_device(words, rule->iif);
	if (change_skip(words, "ipproto"))
		rule->protocol = (uint8_t)change_take_number(words);
	if (change_skip(words, "sport"))
		rule->source_port = (uint16_t)change_take_number(words);
	if (change_skip(words, "dport"))
		change_take_ports(words, rule);
	if (change_skip(words, "blackhole"))
		rule->action = NETLINK_BLACKHOLE;
	else if (change_skip(words, "unreachable"))
		rule->action = NETLINK_UNREACHABLE;
	else if (change_skip(words, "goto")) {
		rule->action = NETLINK_GOTO;
		rule->table = change_take_number(words);
	} else if (change_skip(words, "lookup"))
		rule->table = change_skip(words, "local")  ? (uint32_t)NETLINK_TABLE_LOCAL
			      : change_skip(words, "main") ? (uint32_t)NETLINK_TABLE_MAIN
							   : change_take_number(words);
	if (change_skip(words, "protocol"))
		rule->owner = (uint8_t)change_take_number(words);
}

static bool change_parse_ip_rule(struct change *change, struct words *words)
{
	bool add = change_skip(words, "add");

	change->kind = add ? CHANGE_RULE : CHANGE_RULE_GONE;
	if ((!add && !change_skip(words, "del")) || !change_skip(words, "pref"))
		return false;
	change->rule.preference = change_take_number(words);
	change_parse_rule(&change->rule, words);
	if (add)
		return change->rule.owner == NETLINK_OWNER && change->rule.preference >= KERNEL_PREFERENCE &&
		       change->rule.preference <= KERNEL_PREFERENCE_LAST;
	/* Only the kernel's own first rule is ever taken away. */
	change->rule.owner = RTPROT_KERNEL;
	return !change->rule.preference && change->rule.table == NETLINK_TABLE_LOCAL;
}

static bool change_parse_ip_route(struct change *change, struct words *words)
{
	change->kind = CHANGE_ROUTE;
	if (!change_skip(words, "add"))
		return false;
	change->route.unreachable = change_skip(words, "unreachable");
	if (!change_skip(words, "default"))
		change->route.to = change_take_prefix(words);
	if (change_skip(words, "dev"))
		change_take_device(words, change->device);
	if (change_skip(words, "metric"))
		change->route.metric = change_take_number(words);
	if (change_skip(words, "table"))
		change->route.table = change_take_number(words);
	words->next += *words->next ? 1 : 0;
	words->next += *words->next ? 1 : 0; /* "proto 202": the caller compares the whole text */
	return change->route.table == KERNEL_TABLE;
}

static bool change_parse_ip(struct change *change, struct words *words)
{
	if (change_skip(words, "rule"))
		return change_parse_ip_rule(change, words);
	if (change_skip(words, "route"))
		return change_parse_ip_route(change, words);
	if (change_skip(words, "address")) {
		change->kind = CHANGE_ADDRESS;
		if (!change_skip(words, "add"))
			return false;
		change->address = change_take_prefix(words);
		if (change_skip(words, "dev"))
			change_take_device(words, change->device);
		return address_equal(change->address.address, KERNEL_HOP_ADDRESS) && change->address.length == 32;
	}
	change->kind = CHANGE_LINK;
	if (!change_skip(words, "link") || !change_skip(words, "set") || !change_skip(words, "dev"))
		return false;
	change_take_device(words, change->device);
	if (change_skip(words, "mtu"))
		change->link.mtu = change_take_number(words);
	if (!change_skip(words, "up"))
		return false;
	if (change_skip(words, "#") && change_skip(words, "was") && change_skip(words, "mtu")) {
		change->link.mtu_before = change_take_number(words);
		change->link.up_before = change_skip(words, "up");
	}
	return true;
}

/* Takes what stands between the next two quotes. */
static bool change_take_quoted(const char **text, char value[SYSCTL_VALUE_MAX])
{
	const char *begin = strchr(*text, '\''), *end = begin ? strchr(begin + 1, '\'') : NULL;

	if (!end || end - begin > SYSCTL_VALUE_MAX)
		return false;
	snprintf(value, SYSCTL_VALUE_MAX, "%.*s", (int)(end - begin - 1), begin + 1);
	*text = end + 1;
	return true;
}

static bool change_parse_sysctl(struct change *change, const char *text)
{
	char path[SYSCTL_PATH_MAX];
	size_t length = strcspn(text, "=");

	if (length >= sizeof(path))
		return false;
	snprintf(path, sizeof(path), "%.*s", (int)length, text);
	change->kind = CHANGE_SYSCTL;
	change_swap_dots(change->sysctl.path, path, sizeof(change->sysctl.path));
	return change_take_quoted(&text, change->sysctl.value) && change_take_quoted(&text, change->sysctl.before) &&
	       sysctl_is_known(change->sysctl.path, change->sysctl.value) &&
	       sysctl_is_known(change->sysctl.path, change->sysctl.before);
}

bool change_parse(struct change *change, const char *text)
{
	static const char sysctl[] = "sysctl -w ";
	char copy[CHANGE_TEXT_MAX], *rest = copy;
	struct words words = {.next = words.word};
	bool good;

	*change = (struct change){0};
	if (strlen(text) >= sizeof(copy))
		return false;
	if (!strncmp(text, sysctl, strlen(sysctl))) {
		good = change_parse_sysctl(change, text + strlen(sysctl));
	} else {
		snprintf(copy, sizeof(copy), "%s", text);
		for (int i = 0; i < WORDS_MAX && rest; i++)
			words.word[i] = strsep(&rest, " ");
		good = change_skip(&words, "ip") && change_parse_ip(change, &words);
	}
	if (!good || strchr(change->device, '/'))
		return false;
	change_print(change, copy);
	return !strcmp(copy, text);
}
