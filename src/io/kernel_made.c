/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal is written before the changes: it may name some that were never made, never the other way round. Undoing
 * what was not made does nothing.
 */
#include "io/kernel_made.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <culvert/exit.h>

enum { SETTINGS_TEXT_MAX = 512 };

int kernel_made_exit_code(int error)
{
	return error == -EPERM || error == -EACCES ? EXIT_PERMISSION : EXIT_NETWORK;
}

/* How to help oneself after a failure. */
static const char *kernel_made_advise(const struct change *change, int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		return "; this needs CAP_NET_ADMIN in the user namespace that owns this network namespace";
	case -ENOENT:
		return change->kind == CHANGE_SYSCTL ? "; this kernel does not have that setting" : "";
	case -ENODEV:
		return "; the device is not there";
	default:
		return "";
	}
}

static void kernel_made_complain(const struct kernel_made *made, int level, const char *what,
				 const struct change *change, int error)
{
	char text[CHANGE_TEXT_MAX];

	change_print(change, text);
	made->report(made->context, level, "%s: %s: %s%s", what, text, strerror(-error),
		     kernel_made_advise(change, error));
}

static bool kernel_made_append(struct change_list *list, const struct change *change)
{
	struct change *copy = change_list_add(list);

	if (copy)
		*copy = *change;
	return copy != NULL;
}

struct adoption {
	struct change_list *list;
	bool local; /* the rule that stands in for the kernel's own first one was there */
};

static void kernel_made_adopt_rule(void *context, const struct netlink_rule *rule)
{
	struct adoption *adoption = context;
	struct change change = {.kind = CHANGE_RULE, .rule = *rule};

	if (rule->owner != NETLINK_OWNER || rule->preference < KERNEL_PREFERENCE ||
	    rule->preference > KERNEL_PREFERENCE_LAST)
		return;
	if (rule->action == NETLINK_LOOKUP && rule->table == NETLINK_TABLE_LOCAL && !rule->iif[0])
		adoption->local = true;
	if (!change_list_find(adoption->list, &change, 0))
		kernel_made_append(adoption->list, &change);
}

/* The route to the TUN went away with it. */
static void kernel_made_adopt_route(void *context, const struct netlink_route *route)
{
	struct adoption *adoption = context;
	struct change change = {.kind = CHANGE_ROUTE, .route = *route};

	if (route->ours && route->unreachable && !change_list_find(adoption->list, &change, 0))
		kernel_made_append(adoption->list, &change);
}

static int kernel_made_adopt_marked(struct kernel_made *made)
{
	struct adoption adoption = {&made->list, false};
	struct change gone = {.kind = CHANGE_RULE_GONE};
	int error = netlink_dump_routes(made->netlink, KERNEL_TABLE, kernel_made_adopt_route, &adoption);

	if (!error)
		error = netlink_dump_rules(made->netlink, kernel_made_adopt_rule, &adoption);
	if (error)
		return kernel_made_exit_code(error);
	gone.rule = (struct netlink_rule){.table = NETLINK_TABLE_LOCAL, .owner = RTPROT_KERNEL};
	if (adoption.local)
		kernel_made_append(&made->list, &gone);
	if (made->list.count)
		made->report(
			made->context, LOG_WARNING,
			"an earlier culvertd left rules but no journal in %s; this one takes the rules over; the earlier values in /proc/sys are not known, so /proc/sys stays as it is",
			made->journal.path);
	return 0;
}

int kernel_made_open(struct kernel_made *made, const char *state_dir, bool create)
{
	int code = journal_open(&made->journal, state_dir, create, made->report, made->context);

	if (!code)
		code = journal_read(&made->journal, &made->list, made->report, made->context);
	if (!code && !made->list.count)
		code = kernel_made_adopt_marked(made);
	return code;
}

void kernel_made_close(struct kernel_made *made)
{
	journal_close(&made->journal);
	change_list_free(&made->list);
}

static int kernel_made_record(struct kernel_made *made, const struct change_list *first,
			      const struct change_list *second)
{
	int error = journal_write(&made->journal, first, second);

	if (!error)
		return 0;
	made->report(made->context, LOG_ERR, "cannot write the journal of changes in %s: %s", made->journal.path,
		     strerror(-error));
	return EXIT_FILE;
}

/* What was there before our first change counts, not what our last one left. */
static void kernel_made_inherit(struct change *change, const struct change *earlier)
{
	if (change->kind == CHANGE_LINK) {
		change->link.mtu_before = earlier->link.mtu_before;
		change->link.up_before = earlier->link.up_before;
	}
	if (change->kind == CHANGE_SYSCTL && change->once)
		snprintf(change->sysctl.value, sizeof(change->sysctl.value), "%s", earlier->sysctl.value);
}

static bool kernel_made_take_back_one(struct kernel_made *made, const struct change *change)
{
	char text[CHANGE_TEXT_MAX];
	int result = change_undo(change, made->netlink);

	if (result < 0)
		kernel_made_complain(made, LOG_ERR, "cannot undo", change, result);
	if (result == CHANGE_FOREIGN) {
		change_print(change, text);
		made->report(made->context, LOG_NOTICE, "not undone, because somebody else has changed it since: %s",
			     text);
	}
	return result >= 0;
}

/* Takes back the list from its end; what fails stays in it. */
static int kernel_made_take_back(struct kernel_made *made, struct change_list *list)
{
	uint32_t failed = 0;

	for (uint32_t i = list->count; i-- > 0;)
		if (!kernel_made_take_back_one(made, &list->items[i]))
			list->items[list->count - ++failed] = list->items[i];
	if (failed)
		memmove(list->items, list->items + (list->count - failed), failed * sizeof(*list->items));
	list->count = failed;
	return failed ? EXIT_NETWORK : 0;
}

/* Whether the journal does not have it yet. */
static bool kernel_made_is_news(const struct change *change, const struct change *earlier)
{
	char text[CHANGE_TEXT_MAX], earlier_text[CHANGE_TEXT_MAX];

	if (!earlier)
		return true;
	if (change->kind != CHANGE_LINK && change->kind != CHANGE_SYSCTL)
		return false; /* they have no value */
	change_print(change, text);
	change_print(earlier, earlier_text);
	return strcmp(text, earlier_text) != 0;
}

static void kernel_made_keep_rule(void *context, const struct netlink_rule *rule)
{
	struct change change = {.kind = CHANGE_RULE, .rule = *rule};

	kernel_made_append(context, &change);
}

/* One look at the rules there are saves asking the kernel for each of ours. */
static bool kernel_made_is_so(const struct change *change, const struct change_list *rules)
{
	struct change rule = *change;

	rule.kind = CHANGE_RULE;
	if (change->kind == CHANGE_RULE)
		return change_list_find(rules, &rule, 0);
	return change->kind == CHANGE_RULE_GONE && !change_list_find(rules, &rule, 0);
}

/* What is done to one change: how it was made before (NULL: it was not), and what is known of the rules there are. */
struct making {
	const struct change *earlier;
	const struct change_list *rules;
	bool starting;
};

/* CHANGE_DONE, CHANGE_NOTHING (also where it goes without), or a negative errno that has been reported. */
static int kernel_made_apply(struct kernel_made *made, const struct change *change, const struct making *making)
{
	char text[CHANGE_TEXT_MAX];
	int result;

	if (!making->starting && making->earlier && (change->once || kernel_made_is_so(change, making->rules)))
		return CHANGE_NOTHING;
	result = change_apply(change, made->netlink);
	if (result < 0 && change->optional) {
		if (making->starting && result != -ENOENT && result != -EROFS)
			kernel_made_complain(made, LOG_NOTICE, "goes without", change, result);
		return CHANGE_NOTHING;
	}
	if (result < 0)
		kernel_made_complain(made, LOG_ERR, "cannot", change, result);
	if (result == CHANGE_DONE && !making->starting && making->earlier &&
	    !kernel_made_is_news(change, making->earlier)) {
		change_print(change, text);
		made->report(made->context, LOG_WARNING, "somebody had undone this; it was done again: %s", text);
	}
	return result;
}

/* A container's settings are made with the container: all that is missing is named at one time, to be pasted. 0, or the
 * exit code after having said so. */
static int kernel_made_check_sysctls(const struct kernel_made *made, const struct change_list *wanted)
{
	char options[SETTINGS_TEXT_MAX] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < wanted->count && used < sizeof(options); i++) {
		const struct change *change = &wanted->items[i];
		char name[SYSCTL_PATH_MAX], now[SYSCTL_VALUE_MAX], option[SYSCTL_PATH_MAX + SYSCTL_VALUE_MAX + 16];

		if (change->kind != CHANGE_SYSCTL || change->optional || !sysctl_is_read_only(change->sysctl.path))
			continue;
		if (!sysctl_read(change->sysctl.path, now) && !strcmp(now, change->sysctl.value))
			continue;
		sysctl_print_origin(change->sysctl.path, name);
		snprintf(option, sizeof(option), " --sysctl %s=%s", name, change->sysctl.value);
		if (!strstr(options, option))
			used += (size_t)snprintf(options + used, sizeof(options) - used, "%s", option);
	}
	if (!used)
		return 0;
	made->report(made->context, LOG_ERR, "/proc/sys is read-only here; start the container with%s", options);
	return EXIT_NETWORK;
}

/* Makes wanted from its beginning, and drops from it what is not ours. 0, or when starting the exit code of the first
 * failure. */
static int kernel_made_make(struct kernel_made *made, struct change_list *wanted, bool starting)
{
	struct change_list rules = {0};
	struct making making = {.rules = &rules, .starting = starting};
	uint32_t kept = 0;
	int code = 0;

	/* Should it fail, the list is empty, and every rule is asked for. */
	if (!starting && netlink_dump_rules(made->netlink, kernel_made_keep_rule, &rules))
		rules.count = 0;
	for (uint32_t i = 0; i < wanted->count; i++) {
		const struct change *change = &wanted->items[i];
		bool ours;

		making.earlier = change_list_find(&made->list, change, i);
		ours = making.earlier; /* behind a failure only what an earlier run made is there */
		if (!code) {
			int result = kernel_made_apply(made, change, &making);

			if (result < 0 && starting)
				code = kernel_made_exit_code(result);
			ours = ours || result == CHANGE_DONE || (result < 0 && !code);
		}
		if (ours)
			wanted->items[kept++] = *change;
	}
	wanted->count = kept;
	change_list_free(&rules);
	return code;
}

/* Compares what is wanted with what was made: gone gets what is no longer wanted, and room for all. False if memory ran
 * out. */
static bool kernel_made_compare(struct kernel_made *made, struct change_list *wanted, struct change_list *gone,
				bool *news)
{
	if (!change_list_reserve(gone, made->list.count + wanted->count))
		return false;
	for (uint32_t i = 0; i < made->list.count; i++)
		if (!change_list_find(wanted, &made->list.items[i], i))
			kernel_made_append(gone, &made->list.items[i]);
	*news = gone->count;
	for (uint32_t i = 0; i < wanted->count; i++) {
		const struct change *earlier = change_list_find(&made->list, &wanted->items[i], i);

		if (earlier)
			kernel_made_inherit(&wanted->items[i], earlier);
		*news |= kernel_made_is_news(&wanted->items[i], earlier);
	}
	return true;
}

int kernel_made_reconcile(struct kernel_made *made, struct change_list *wanted, bool starting)
{
	struct change_list gone = {0};
	bool news = false;
	int code = starting ? kernel_made_check_sysctls(made, wanted) : 0;

	if (code) {
		change_list_free(wanted);
		return code;
	}
	code = EXIT_NETWORK;
	if (kernel_made_compare(made, wanted, &gone, &news))
		code = news ? kernel_made_record(made, wanted, &gone) : 0;
	else
		made->report(made->context, LOG_ERR, "out of memory: nothing was changed");
	if (code) {
		change_list_free(&gone);
		change_list_free(wanted);
		return code;
	}
	code = kernel_made_make(made, wanted, starting);
	if (!code)
		kernel_made_take_back(made, &gone);
	/* What is to be taken back, or could not be, comes first, and so is undone last. */
	for (uint32_t i = 0; i < wanted->count; i++)
		kernel_made_append(&gone, &wanted->items[i]);
	change_list_free(&made->list);
	change_list_free(wanted);
	made->list = gone;
	if (code)
		kernel_made_undo(made);
	else if (news)
		code = kernel_made_record(made, &made->list, wanted);
	return code;
}

int kernel_made_undo(struct kernel_made *made)
{
	static const struct change_list nothing;
	int code = kernel_made_take_back(made, &made->list);
	int recorded = kernel_made_record(made, &made->list, &nothing);

	return code ? code : recorded;
}
