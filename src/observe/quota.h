/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside hosts that have used up [limits] host_flows: the log names each of them, once in ten minutes.
 */
#ifndef CULVERT_OBSERVE_QUOTA_H
#define CULVERT_OBSERVE_QUOTA_H

#include <culvert/views.h>

struct log;

enum { QUOTA_TEXT = 200, QUOTA_HOSTS = 16 };

/* All 0 at first. */
struct quota {
	uint64_t dropped; /* host_limit, at the last look */
	struct {
		struct address address;
		uint64_t told_ms;
	} host[QUOTA_HOSTS]; /* those told last */
};

/* What a host at its limit is told of: "10.0.0.2 has reached ...". */
void quota_describe(const struct full_host *host, uint32_t host_flows, char text[QUOTA_TEXT]);
/* To be called every few seconds; as long as nothing is dropped it looks at one counter. */
void quota_look(struct quota *quota, const struct engine *engine, uint32_t host_flows, struct log *log,
		uint64_t now_ms);

#endif
