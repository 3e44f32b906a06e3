/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VPN tunnels as people read them: a line in the statistics for each, and a line in the log when one comes or goes, or
 * when something becomes known about what is wrong with it.
 */
#ifndef CULVERT_OBSERVE_TUNNEL_TEXT_H
#define CULVERT_OBSERVE_TUNNEL_TEXT_H

#include <culvert/engine.h>
#include <culvert/views.h>

#include "observe/log.h"
#include "observe/statistics.h"

enum {
	TUNNEL_TEXT = 960,
	TUNNEL_FIELDS = 400,
	TUNNEL_NAME = 24,
	TUNNEL_HINT = 480,
	TUNNEL_END = 80
}; /* both fit a line of the log */

/* One line about a tunnel: who, how, which IDs, how long, what passed, which side is silent, and, if something is known
 * about what is wrong with it, a second sentence that says so. */
void tunnel_text(const struct tunnel_view *view, char text[TUNNEL_TEXT]);
/* The sentence of its hint, and before it who has refused it or which switch blocks it; returns text. "": no hint. */
const char *tunnel_text_hint(const struct tunnel_view *view, char text[TUNNEL_HINT]);
/* Why it ended, with the switch if it was blocked; returns text. */
const char *tunnel_text_end(const struct tunnel_view *view, char text[TUNNEL_END]);
/* A line for each tunnel, those that live first, then those that have ended; without all at most 100 of them, the
 * youngest of the ended ones, and how many more there are. Last how many encrypt nothing. */
void tunnel_text_print_all(struct engine *engine, uint64_t now_ms, bool all, statistics_line *line, void *context);
/* The name of a tunnel, service and index: "pptp-17". False if it has none. */
bool tunnel_text_name(const struct tunnel_view *view, char name[TUNNEL_NAME]);
/* The word of fields and metrics: "control_reset". */
const char *tunnel_text_end_word(enum tunnel_end end);
/* The same for programs: " [event=tunnel_up service=pptp inside=... ]", NAME=VALUE without blanks in a value. */
void tunnel_text_fields(const struct tunnel_view *view, enum engine_event_kind kind, char text[TUNNEL_FIELDS]);
/* Writes an event to the log; context is a struct log. Fits engine_on_event(). */
void tunnel_text_log(void *context, enum engine_event_kind kind, const struct tunnel_view *view);

#endif
