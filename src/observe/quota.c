/* SPDX-License-Identifier: BSD-2-Clause */
/* Hosts at their limit. */
#include "observe/quota.h"

#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>

#include <culvert/engine.h>

#include "base/address.h"
#include "observe/log.h"

enum { QUIET_MS = 600000 };

void quota_describe(const struct full_host *host, uint32_t host_flows, char text[QUOTA_TEXT])
{
	char address[ADDRESS_TEXT];

	address_print(host->address, address);
	if (host->is_full)
		snprintf(text, QUOTA_TEXT,
			 "%s has reached [limits] host_flows (%" PRIu32
			 "): its new connections are dropped; find out what it does, or raise host_flows",
			 address, host_flows);
	else
		snprintf(
			text, QUOTA_TEXT,
			"%s has %" PRIu32
			" flows that came from outside, which is half of [limits] host_flows: new ones from outside are dropped",
			address, host->inbound);
}

/* True if it was not told of lately; it is from now on. */
static bool is_news(struct quota *quota, struct address address, uint64_t now_ms)
{
	uint32_t oldest = 0;

	for (uint32_t i = 0; i < QUOTA_HOSTS; i++) {
		bool is_it = quota->host[i].told_ms > 0 && address_equal(quota->host[i].address, address);

		if (is_it && now_ms - quota->host[i].told_ms < QUIET_MS)
			return false;
		if (is_it || quota->host[i].told_ms < quota->host[oldest].told_ms)
			oldest = i;
		if (is_it)
			break;
	}
	quota->host[oldest].address = address;
	quota->host[oldest].told_ms = now_ms;
	return true;
}

void quota_look(struct quota *quota, const struct engine *engine, uint32_t host_flows, struct log *log, uint64_t now_ms)
{
	const struct engine_counters *counters = engine_counters(engine);
	uint64_t dropped = counters->dropped[SIDE_LAN][DROP_HOST_LIMIT] + counters->dropped[SIDE_WAN][DROP_HOST_LIMIT];
	struct full_host host;
	char text[QUOTA_TEXT];
	uint32_t cursor = 0, told = 0;

	if (dropped == quota->dropped)
		return;
	quota->dropped = dropped;
	while (told < QUOTA_HOSTS && engine_next_full_host(engine, &cursor, &host)) {
		if (!is_news(quota, host.address, now_ms))
			continue;
		told++;
		quota_describe(&host, host_flows, text);
		log_write(log, LOG_WARNING, "%s", text);
	}
}
