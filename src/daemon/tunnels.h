/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VPN tunnels as people read them: a line in the statistics for each, and a line in the log when one comes or goes.
 */
#ifndef CULVERT_DAEMON_TUNNELS_H
#define CULVERT_DAEMON_TUNNELS_H

#include "daemon/log.h"
#include "daemon/statistics.h"

enum { TUNNEL_TEXT = 400 };

/* One line about a tunnel: who, which IDs, how long, what passed and which side is silent. */
void tunnels_describe(const struct tunnel_view *view, char text[TUNNEL_TEXT]);
/* A line for each tunnel, those that live first, then those that have ended; without all at most 100 of them, the
 * youngest of the ended ones, and how many more there are. */
void tunnels_print(struct engine *engine, uint64_t now_ms, bool all, statistics_line *line, void *context);
/* Tunnels of a service that live. */
uint32_t tunnels_count(struct engine *engine, uint64_t now_ms, enum service service);
/* Writes an event to the log; context is a struct log. Fits engine_on_event(). */
void tunnels_log_event(void *context, enum engine_event_kind kind, const struct tunnel_view *view);

#endif
