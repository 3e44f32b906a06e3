/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of culvertd.
 */
#ifndef CULVERT_CONFIG_OPTIONS_H
#define CULVERT_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include <culvert/exit.h>

#include "config/config.h"

#define OPTIONS_STATE_DIR "/run/culvert"

enum action {
	ACTION_RUN,
	ACTION_CHECK,
	ACTION_DRY_RUN,
	ACTION_CLEANUP,
	ACTION_PRINT_CONFIG,
	ACTION_PRINT_DEFAULTS,
	ACTION_VERSION,
	ACTION_HELP,
};

struct log;

/* The strings belong to argv. */
struct options {
	enum action action;
	struct config_source source;
	bool foreground;
	int verbosity;         /* the count of -v, or -1 for -q */
	const char *pidfile;   /* NULL: none */
	const char *user;      /* NULL: stay who we are */
	const char *state_dir; /* never NULL */

	/* What main() has opened for daemon_run(). */
	struct log *log;
	int ready_fd; /* for background_ready(); -1 in the foreground */
};

/* Returns EXIT_OK, or EXIT_USAGE after having said on errors what is wrong. */
int options_parse(struct options *options, int argc, char **argv, FILE *errors);
void options_print_help(FILE *out);
/* The level for log_set_level(): the configuration's, made wider or narrower by -v and -q. */
int options_log_level(const struct options *options, const struct config *config);

#endif
