/* SPDX-License-Identifier: BSD-2-Clause */
/* Forwards and the links. */
#include "config/forward_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>

#include "base/address.h"
#include "config/text.h"

enum place forward_place(const struct kernel_links *links, struct address address)
{
	if (kernel_links_is_outside(links, address) || address_equal(address, links->hop_address))
		return PLACE_ROUTER;
	for (uint32_t i = 0; i < links->lan.address_count; i++)
		if (address_equal(links->lan.addresses[i], address))
			return PLACE_ROUTER;
	if (kernel_links_is_inside(links, address))
		return PLACE_INSIDE;
	return links->lan.prefix_count ? PLACE_ELSEWHERE : PLACE_UNKNOWN;
}

bool forward_problem(const struct config_forward *forward, const struct config *config,
		     const struct kernel_links *links, char text[FORWARD_PROBLEM])
{
	char to[ADDRESS_TEXT];

	address_print(forward->to_address, to);
	switch (forward_place(links, forward->to_address)) {
	case PLACE_ROUTER:
		snprintf(
			text, FORWARD_PROBLEM,
			"[forward:%s] leads to %s, which is the router itself; a forward reaches only inside hosts, so nothing arrives; open the router's own ports with [wan] host_ports",
			forward->name, to);
		return true;
	case PLACE_ELSEWHERE:
		snprintf(
			text, FORWARD_PROBLEM,
			"[forward:%s] leads to %s, which is in no network of %s; nothing arrives; write an inside host, or give the router a route to it through %s",
			forward->name, to, config->lan_interface, config->lan_interface);
		return true;
	case PLACE_INSIDE:
	case PLACE_UNKNOWN:
		break;
	}
	return false;
}

bool forward_takes_own_ports(const struct config_forward *forward, const struct kernel_links *links,
			     char text[FORWARD_PROBLEM])
{
	if (!links->own_first || forward->port_last < links->own_first || forward->port_first > links->own_last)
		return false;
	snprintf(
		text, FORWARD_PROBLEM,
		"[forward:%s] takes ports of %" PRIu32 "-%" PRIu32
		", which the router's own connections get: from these ports they have no answer; leave them out of the range",
		forward->name, links->own_first, links->own_last);
	return true;
}

static void tell(const struct config *config, const struct config_forward *forward, const char *file,
		 const char *problem, config_report *report, void *context)
{
	char raw[FORWARD_PROBLEM + 200], text[FORWARD_PROBLEM + 200], path[PATH_MAX];

	snprintf(raw, sizeof(raw), "%.150s:%" PRIu32 ": warning: %s", config_file_of(config, file, forward->line, path),
		 forward->line % CONFIG_LINES, problem);
	text_escape(text, sizeof(text), raw);
	report(context, LOG_WARNING, text);
}

uint32_t forward_report(const struct config *config, const char *file, const struct kernel_links *links,
			config_report *report, void *context)
{
	char problem[FORWARD_PROBLEM];
	uint32_t count = 0;

	for (uint32_t i = 0; i < config->forwards; i++) {
		if (!forward_problem(&config->forward[i], config, links, problem) &&
		    !forward_takes_own_ports(&config->forward[i], links, problem))
			continue;
		count++;
		tell(config, &config->forward[i], file, problem, report, context);
	}
	return count;
}

/* The file may be for another machine. */
uint32_t forward_report_here(const struct config *config, const char *file, config_report *report, void *context)
{
	char problem[FORWARD_PROBLEM], to[ADDRESS_TEXT];
	struct kernel_links links;
	uint32_t count = 0;

	if (config->forwards == 0)
		return 0;
	if (kernel_peek(config->lan_interface, config->wan_interface, &links))
		return forward_report(config, file, &links, report, context);
	snprintf(
		problem, sizeof(problem),
		"%.100s: %s does not exist or has no address, so this check cannot tell whether the forwards lead to inside hosts",
		file, config->lan_interface);
	report(context, LOG_NOTICE, problem);
	for (uint32_t i = 0; i < config->forwards; i++) {
		const struct config_forward *forward = &config->forward[i];

		if (address_is_private(forward->to_address))
			continue;
		snprintf(
			problem, sizeof(problem),
			"[forward:%s] leads to %s, which is not a private address; a forward reaches only inside hosts",
			forward->name, address_print(forward->to_address, to));
		tell(config, forward, file, problem, report, context);
		count++;
	}
	return count;
}
