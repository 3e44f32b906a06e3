/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether forwards can work: what the file alone does not tell, because it depends on the addresses and routes of the
 * links as they are now.
 */
#ifndef CULVERT_CONFIG_FORWARD_CHECK_H
#define CULVERT_CONFIG_FORWARD_CHECK_H

#include "config/config.h"
#include "io/kernel.h"

enum place {
	PLACE_INSIDE, /* in a network of the LAN or behind it */
	PLACE_ROUTER, /* an address of the router */
	PLACE_ELSEWHERE,
	PLACE_UNKNOWN, /* the LAN has no address now */
};

enum { FORWARD_PROBLEM = 256 };

/* Where an address is. */
enum place forward_place(const struct kernel_links *links, struct address address);
/* True if the forward cannot work; text says why and what to do. */
bool forward_problem(const struct config_forward *forward, const struct config *config,
		     const struct kernel_links *links, char text[FORWARD_PROBLEM]);
/* True if it takes ports that the router's own connections get; text says what comes of it. */
bool forward_takes_own_ports(const struct config_forward *forward, const struct kernel_links *links,
			     char text[FORWARD_PROBLEM]);
/* Reports each forward that cannot work: "FILE:LINE: warning: ...", the level LOG_WARNING. Returns how many. */
uint32_t forward_report(const struct config *config, const char *file, const struct kernel_links *links,
			config_report *report, void *context);
/* The same for culvertd --check, which looks at this machine's links by itself, and says so if they tell nothing. */
uint32_t forward_report_here(const struct config *config, const char *file, config_report *report, void *context);

#endif
