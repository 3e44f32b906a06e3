/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of the daemon. Start: first what changes nothing outside this process, then the TUN device, then the
 * kernel's rules, last the packet socket. Stop: the other way round. What happens in between is in daemon_events.c.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/address.h"
#include "config/options.h"
#include "control/control.h"
#include "control/reload.h"
#include "control/verb.h"
#include "daemon/background.h"
#include "daemon/daemon_state.h"
#include "daemon/loop.h"
#include "daemon/privileges.h"
#include "datapath/datapath.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "io/random.h"
#include "io/tun.h"
#include "observe/log.h"
#include "observe/metrics_http.h"

static int daemon_start_engine(struct daemon *daemon)
{
	struct engine_limits limits;
	uint8_t seed[32];
	size_t size;
	int exit_code;

	config_to_limits(&daemon->config, &limits);
	size = engine_arena_size(&limits);
	if (size == 0) {
		log_write(daemon->log, LOG_ERR, "the tables would be too large; lower the values of [limits]");
		return EXIT_CONFIG;
	}
	if (!random_fill(seed, sizeof(seed))) {
		log_write(daemon->log, LOG_ERR, "cannot get random numbers from the kernel: %s", strerror(errno));
		return EXIT_NETWORK;
	}
	exit_code = state_file_open(&daemon->flows, daemon->options->state_dir, size, log_report, daemon->log);
	if (exit_code)
		return exit_code;
	engine_config_default(&daemon->engine_config);
	daemon_fill_engine_config(daemon);
	if (daemon->flows.left) {
		daemon->engine = engine_new(daemon->flows.memory, size, &limits, &daemon->engine_config, seed, true,
					    clock_now_ms());
		if (daemon->engine)
			log_write(daemon->log, LOG_NOTICE, "took over %u flows from a process that ended unexpectedly",
				  engine_counters(daemon->engine)->flows);
		else
			log_write(daemon->log, LOG_WARNING,
				  "cannot use the tables that the last process has left; starting without flows");
	}
	if (!daemon->engine)
		daemon->engine = engine_new(daemon->flows.memory, size, &limits, &daemon->engine_config, seed, false,
					    clock_now_ms());
	if (!daemon->engine) {
		log_write(daemon->log, LOG_ERR, "out of memory: no tables; lower the values of [limits]");
		return EXIT_NETWORK;
	}
	engine_on_event(daemon->engine, daemon_on_event, daemon);
	drop_rates_sample(&daemon->drop_rates, engine_counters(daemon->engine), clock_now_ms());
	return EXIT_OK;
}

/* Those who may ask. */
static int daemon_open_control(struct daemon *daemon)
{
	const struct router router = {
		.log = daemon->log,
		.options = daemon->options,
		.config = &daemon->config,
		.engine = daemon->engine,
		.kernel = daemon->kernel,
		.datapath = daemon->datapath,
		.reload = daemon->reload,
		.flows = &daemon->flows,
		.drop_rates = &daemon->drop_rates,
		.metrics = &daemon->metrics,
		.started_ms = daemon->started_ms,
	};
	int exit_code = EXIT_OK;

	struct event_base *base = loop_base(daemon->loop);

	daemon->control = control_open(base, &router, &exit_code);
	if (daemon->control) {
		const struct metrics_source source = {daemon->engine, daemon->control, control_metrics};

		daemon->metrics_http = metrics_http_open(base, &source, &daemon->config, daemon->options->user,
							 daemon->log, &exit_code);
	}
	return exit_code;
}

/* Links with the kernel: everything here is undone by daemon_stop(). */
static int daemon_start_links(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	int exit_code;

	daemon->tun = tun_open(daemon->config.tun, log_report, daemon->log, &exit_code);
	if (!daemon->tun)
		return exit_code;
	daemon->datapath = datapath_new(daemon->tun, daemon->engine, daemon->kernel, log_report, daemon->log);
	if (!daemon->datapath) {
		log_write(daemon->log, LOG_ERR, "out of memory: no data path: %s", strerror(errno));
		return EXIT_NETWORK;
	}
	exit_code = kernel_setup(daemon->kernel);
	if (exit_code)
		return exit_code;
	daemon->kernel_is_set_up = true;
	exit_code = daemon_open_wan(daemon);
	if (exit_code)
		return exit_code;
	daemon->generation = links->generation;
	daemon->told.count = UINT32_MAX;
	daemon_tell_engine(daemon, clock_now_ms());
	daemon_report_forwards(daemon);
	if (!loop_watch(daemon->loop, LOOP_LAN, tun_fd(daemon->tun)) ||
	    !loop_watch(daemon->loop, LOOP_KERNEL, kernel_event_fd(daemon->kernel))) {
		log_write(daemon->log, LOG_ERR, "cannot watch descriptors: %s", strerror(errno));
		return EXIT_NETWORK;
	}
	daemon->reload = reload_new(daemon->log, daemon->options, &daemon->config, daemon_default_wan,
				    daemon_apply_config, daemon_on_reloaded, daemon);
	if (!daemon->reload) {
		log_write(daemon->log, LOG_ERR, "out of memory: no reloads");
		return EXIT_NETWORK;
	}
	exit_code = daemon_open_control(daemon);
	return exit_code ? exit_code : privileges_drop(daemon->options->user, daemon->log);
}

/* The loop comes before the first change to the kernel: from then on SIGTERM waits for it, and then everything is
 * undone. */
static int daemon_start(struct daemon *daemon)
{
	struct kernel_request request;
	int exit_code;

	config_to_kernel(&daemon->config, daemon->options->state_dir, &request);
	daemon->kernel = kernel_open(&request, log_report, daemon->log, &exit_code);
	if (!daemon->kernel)
		return exit_code;
	/* Before the state directory: whoever starts a second one is told which process the first one is. */
	exit_code = kernel_claim(daemon->kernel);
	if (exit_code == EXIT_OK)
		exit_code = daemon_start_loop(daemon);
	if (exit_code == EXIT_OK)
		exit_code = daemon_start_engine(daemon);
	if (exit_code == EXIT_OK)
		exit_code = daemon_start_links(daemon);
	return exit_code;
}

/* Undoes what was done, however far the start came. A later failure never hides the first. */
static int daemon_stop(struct daemon *daemon, int exit_code)
{
	int undo = EXIT_OK;

	metrics_http_close(daemon->metrics_http);
	daemon->metrics_http = NULL;
	control_close(daemon->control);
	daemon->control = NULL;
	reload_free(daemon->reload);
	daemon->reload = NULL;
	if (daemon->loop && daemon->datapath)
		daemon_close_wan(daemon);
	if (daemon->kernel_is_set_up)
		undo = kernel_undo(daemon->kernel);
	datapath_free(daemon->datapath);
	tun_close(daemon->tun);
	if (daemon->engine)
		engine_free(daemon->engine);
	/* A start that failed keeps what a crash left, for the next one. */
	state_file_close(&daemon->flows, daemon->forwards || !daemon->flows.left);
	loop_free(daemon->loop);
	if (daemon->kernel)
		kernel_close(daemon->kernel);
	return exit_code ? exit_code : undo;
}

static void daemon_report_start(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	char text[ADDRESS_TEXT];

	const char *address =
		links->wan.address_count ? address_print(links->wan.addresses[0], text) : "no address yet";

	log_write(daemon->log, LOG_NOTICE, "forwarding %s -> %s (%s) via %s", daemon->config.lan_interface,
		  links->wan.name, address, daemon->config.tun);
	if (daemon->options->foreground)
		return;
	/* For whoever typed the command: the log is elsewhere. */
	dprintf(STDOUT_FILENO,
		"culvertd: forwarding %s -> %s (%s) in the background, as process %d; culvertctl shows the status, kill %d stops it, and the log is %s\n",
		daemon->config.lan_interface, links->wan.name, address, (int)getpid(), (int)getpid(),
		daemon->config.log_target[0] == '/' ? daemon->config.log_target : "that of syslog");
}

static void daemon_start_notifying(struct daemon *daemon)
{
	notify_links(&daemon->notify, daemon->config.lan_interface, kernel_links(daemon->kernel));
	notify_ready(&daemon->notify);
	if (daemon->notify.watchdog_ms && !loop_set_beat(daemon->loop, daemon->notify.watchdog_ms))
		log_write(daemon->log, LOG_WARNING,
			  "out of memory: the watchdog of the service manager gets no signal");
}

int daemon_run(const struct config *config, const struct options *options)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int exit_code;

	if (!daemon) {
		log_write(options->log, LOG_ERR, "out of memory");
		return EXIT_NETWORK;
	}
	daemon->options = options;
	daemon->log = options->log;
	daemon->config = *config;
	daemon->flows.fd = -1;
	notify_open(&daemon->notify, daemon->log);
	daemon->started_ms = clock_now_ms();
	metrics_start(&daemon->metrics, clock_unix_ms());
	daemon->timer_ms = UINT64_MAX;
	exit_code = daemon_start(daemon);
	if (exit_code == EXIT_OK) {
		daemon->forwards = true;
		daemon_report_start(daemon);
		background_ready(options->ready_fd);
		daemon_start_notifying(daemon);
		daemon_set_timer(daemon, clock_now_ms());
		if (!loop_run(daemon->loop)) {
			log_write(daemon->log, LOG_ERR, "the event loop failed: %s", strerror(errno));
			daemon->exit_code = EXIT_NETWORK;
		}
		notify_stopping(&daemon->notify);
		exit_code = daemon->exit_code;
		exit_code = daemon_stop(daemon, exit_code);
		log_write(daemon->log, LOG_NOTICE, "stopped");
	} else {
		exit_code = daemon_stop(daemon, exit_code);
	}
	notify_close(&daemon->notify);
	free(daemon);
	return exit_code;
}
