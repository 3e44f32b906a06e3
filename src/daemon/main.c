/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * culvertd: from the command line to daemon_run(). Nothing is started and nothing is changed before the command line,
 * the configuration and the rights are known to be good.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/forward_check.h"
#include "config/options.h"
#include "daemon/background.h"
#include "daemon/daemon.h"
#include "daemon/loop.h"
#include "daemon/pidfile.h"
#include "daemon/privileges.h"
#include "io/kernel.h"
#include "io/standard_files.h"
#include "observe/log.h"

/* Findings of the configuration, before it says where messages go: to the journal with their level, and to people as
 * they are, for the text names the file itself. */
static void report_finding(void *context, int level, const char *text)
{
	if (log_is_journal(context))
		log_report_text(context, level, text);
	else
		fprintf(stderr, "%s\n", text);
}

static int check(const struct options *options, struct config *config)
{
	uint32_t warnings;

	if (!config_load(config, &options->source, report_finding, options->log))
		return EXIT_CONFIG;
	warnings = forward_report_here(config, options->source.path, report_finding, options->log);
	if (options->source.optional && access(options->source.path, F_OK) < 0)
		printf("%s is not there: the defaults are good\n", options->source.path);
	else if (warnings)
		printf("%s: the configuration is good, with %" PRIu32 " warning%s about forwards\n",
		       options->source.path, warnings, warnings == 1 ? "" : "s");
	else
		printf("%s: the configuration is good\n", options->source.path);
	return EXIT_OK;
}

static int dry_run(const struct options *options, const struct config *config)
{
	struct kernel_request request;
	struct kernel *kernel;
	int code = EXIT_NETWORK;

	config_to_kernel(config, options->state_dir, &request);
	kernel = kernel_open(&request, log_report, options->log, &code);
	if (!kernel)
		return code;
	code = kernel_print_plan(kernel, stdout);
	kernel_close(kernel);
	return code;
}

static int print_version(const struct options *options)
{
	puts("culvertd " PACKAGE_VERSION);
	if (options->verbosity <= 0)
		return EXIT_OK;
#ifdef HAVE_LIBCAP_NG
	puts("libcap-ng: yes; rights are given up after the start, --user works");
#else
	puts("libcap-ng: no; rights are not given up after the start, --user does not work");
#endif
	printf("libseccomp: %s\n", privileges_have_filter() ? "yes; system calls are filtered after the start"
							    : "no; system calls are not filtered");
	printf("libevent: %s\n", loop_library_version());
	return EXIT_OK;
}

/* *path relative to where we were started, before the background process goes elsewhere; memory is the new string's. */
static bool make_absolute(const char **path, char memory[PATH_MAX])
{
	char here[PATH_MAX];

	if (!*path || **path == '/')
		return true;
	if (!getcwd(here, sizeof(here)) || snprintf(memory, PATH_MAX, "%s/%s", here, *path) >= PATH_MAX) {
		fprintf(stderr, "culvertd: the path %s is too long\n", *path);
		return false;
	}
	*path = memory;
	return true;
}

/* The daemon itself, in the foreground or already in the background. */
static int run(const struct options *options, const struct config *config)
{
	struct pidfile pidfile = {.fd = -1};
	int code = EXIT_OK;

	if (options->pidfile)
		code = pidfile_open(&pidfile, options->pidfile, options->log);
	if (code == EXIT_OK)
		code = daemon_run(config, options);
	pidfile_close(&pidfile);
	return code;
}

static int start(const struct options *given, const struct config *config)
{
	struct options options = *given;
	char paths[3][PATH_MAX];
	/* A closed pipe is an error like others, not the end. */
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	int code;

	if (!options.foreground && getpid() == 1) {
		fputs("culvertd: culvertd is the first process of this container, and the container ends with it; add -f to stay in the foreground\n",
		      stderr);
		return EXIT_USAGE;
	}
	if (!make_absolute(&options.source.path, paths[0]) || !make_absolute(&options.pidfile, paths[1]) ||
	    !make_absolute(&options.state_dir, paths[2]))
		return EXIT_FILE;
	code = privileges_check(options.user, options.log);
	if (code == EXIT_OK)
		code = privileges_prepare_directory(options.state_dir, options.user, options.log);
	if (code != EXIT_OK)
		return code;
	if (!options.foreground)
		close_range(STDERR_FILENO + 1, ~0U, 0); /* whoever waits for the end of an inherited pipe */
	if (!log_open(options.log, config->log_target, options.foreground))
		return EXIT_FILE;
	sigaction(SIGPIPE, &ignore, NULL);
	if (!options.foreground)
		code = background_start(&options.ready_fd, options.log);
	return code == EXIT_OK ? run(&options, config) : code;
}

/* The actions that need a configuration. */
static int act_on_config(const struct options *options, struct config *config)
{
	if (options->action == ACTION_CHECK)
		return check(options, config);
	if (!config_load(config, &options->source, report_finding, options->log))
		return EXIT_CONFIG;
	log_set_level(options->log, options_log_level(options, config));
	if (options->action == ACTION_PRINT_CONFIG) {
		config_print(config, stdout);
		return EXIT_OK;
	}
	return options->action == ACTION_DRY_RUN ? dry_run(options, config) : start(options, config);
}

static int act(const struct options *options, struct config *config)
{
	switch (options->action) {
	case ACTION_HELP:
		options_print_help(stdout);
		return EXIT_OK;
	case ACTION_VERSION:
		return print_version(options);
	case ACTION_PRINT_DEFAULTS:
		config_print_defaults(stdout);
		return EXIT_OK;
	case ACTION_CLEANUP:
		config_default(config);
		log_set_level(options->log, options_log_level(options, config));
		return kernel_cleanup(options->state_dir, log_report, options->log);
	case ACTION_CHECK:
	case ACTION_DRY_RUN:
	case ACTION_PRINT_CONFIG:
	case ACTION_RUN:
		break;
	}
	return act_on_config(options, config);
}

int main(int argc, char **argv)
{
	struct options options;
	struct config *config;
	int code;

	standard_files_occupy();
	code = options_parse(&options, argc, argv, stderr);
	if (code != EXIT_OK)
		return code;
	config = malloc(sizeof(*config));
	options.log = log_new();
	if (!config || !options.log) {
		fputs("culvertd: no memory\n", stderr);
		code = EXIT_NETWORK;
	} else {
		code = act(&options, config);
	}
	log_free(options.log);
	free(config);
	if (fflush(stdout) != 0 && code == EXIT_OK) {
		fprintf(stderr, "culvertd: standard output: %s\n", strerror(errno));
		return EXIT_FILE;
	}
	return code;
}
