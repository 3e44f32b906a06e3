/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the router counts, as the text that Prometheus reads (exposition format 0.0.4).
 *
 * Names begin with culvert_, or process_ where all programs have the same name, units are base units, counters end in
 * _total. HELP lines and the values of labels come from the lists of include/culvert and from the tables in metrics.c:
 * nothing that a packet or a peer says ever becomes a label. The outside addresses are the only values that the build
 * does not fix.
 */
#ifndef CULVERT_OBSERVE_METRICS_H
#define CULVERT_OBSERVE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <culvert/engine.h>
#include <culvert/views.h>

struct config;
struct datapath_counters;
struct kernel_links;

/* What is counted for metrics and nowhere else. */
struct metrics {
	uint64_t started_ms, reloaded_ms; /* since 1970; the latter of the configuration file that is in force */
	bool reload_failed;               /* the last time */
	uint64_t up[SERVICES], down[SERVICES][ENDS], not_understood[SERVICES];
	uint64_t forwarded[SIDES]; /* the highest values that were shown */
};

/* The tunnels, counted piece by piece. All 0 at first. */
struct metrics_census {
	uint64_t cursor;
	uint32_t tunnels[SERVICES][TUNNEL_STATES]; /* those that live */
	uint32_t silent[SERVICES];
	uint32_t hints[HINTS]; /* tunnels that live and have this one */
};

/* All there is to show. */
struct metrics_view {
	const struct engine_counters *engine;
	const struct datapath_counters *datapath;
	const struct kernel_links *links;
	const struct config *config;
	const struct metrics_census *census;
	const struct outside_view *outside; /* of each outside address */
	uint32_t outsides;
	uint32_t port_limit[2]; /* TCP, UDP: of each outside address */
	uint64_t log_lines_lost;
	bool is_on_trial, needs_restart; /* of the configuration */
	double cpu_s;                    /* time on a processor that the process has used */
	uint64_t resident_bytes;         /* memory that it has now; 0: not known */
	uint32_t open_fds, max_fds;      /* 0: not known */
};

/* unix_ms: since 1970. */
void metrics_start(struct metrics *metrics, uint64_t unix_ms);
void metrics_reloaded(struct metrics *metrics, bool succeeded, uint64_t unix_ms);
void metrics_count_event(struct metrics *metrics, enum engine_event_kind kind, const struct tunnel_view *view);

/* Looks at a bounded number of tunnels; true once all of them have been counted. */
bool metrics_census_go_on(struct metrics_census *census, struct engine *engine, uint64_t now_ms);

/* The text, to be freed by the caller, and its length without the final NUL. NULL if there is no memory. */
char *metrics_text(struct metrics *metrics, const struct metrics_view *view, size_t *length);
/* Fills in what the kernel says of this process. */
void metrics_measure_process(struct metrics_view *view);

#endif
