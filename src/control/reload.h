/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another configuration while packets go on: read, checked as a whole, applied, and taken back if it was applied on
 * trial and nobody confirmed it.
 */
#ifndef CULVERT_CONTROL_RELOAD_H
#define CULVERT_CONTROL_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

enum { RELOAD_TRIAL_MAX_S = 3600, RELOAD_PROBLEM = 400 };

struct log;
struct options;
struct reload;

/* Told that the configuration has changed. Returns how many flows ended. */
typedef uint32_t reload_apply(void *context, uint64_t now_ms);
/* Told how a reload ended: what the file says is in force, or was refused or not confirmed. A trial counts when it is
 * over; a reload that is refused because of one does not count. */
typedef void reload_done(void *context, bool succeeded);

/* The device of the default route now, or "". */
typedef const char *reload_default_wan(void *context);

/* *config is the running configuration, which a reload changes. NULL: no memory. */
struct reload *reload_new(struct log *log, const struct options *options, struct config *config,
			  reload_default_wan *default_wan, reload_apply *apply, reload_done *done, void *context);
void reload_free(struct reload *reload); /* NULL is allowed; a trial that is going on is simply forgotten */

/*
 * Reads the file again and applies it. With trial_s the configuration from before comes back after so many seconds
 * unless reload_confirm() is called. All findings go to report (the log is told by itself), and *ended is the number
 * of flows that ended. Returns an exit code; unless that is EXIT_OK nothing has changed. While a trial goes on,
 * EXIT_USAGE: its outcome comes first.
 */
int reload_now(struct reload *reload, uint32_t trial_s, config_report *report, void *context, uint32_t *ended,
	       uint64_t now_ms);
/* A trial goes on. */
bool reload_is_on_trial(const struct reload *reload);
/* The file, as it was read last, has values that only a restart puts in force. */
bool reload_needs_restart(const struct reload *reload);
/* Seconds until the configuration from before comes back, rounded up; 0: nothing is on trial. */
uint32_t reload_trial_left_s(const struct reload *reload, uint64_t now_ms);
/* Why what the file says is not in force since the last reload, as a sentence for people; empty: it is. */
const char *reload_problem(const struct reload *reload);
/* Keeps what is on trial; false if nothing is. */
bool reload_confirm(struct reload *reload);
/* To be called every second or so: ends a trial whose time is over. */
void reload_tick(struct reload *reload, uint64_t now_ms);

#endif
