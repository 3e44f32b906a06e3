/* SPDX-License-Identifier: BSD-2-Clause */
/* clang-format off */
/*
 * The daemon, while it runs: the loop calls the handlers here.
 *
 *   packets from the TUN or the WAN -> datapath_receive()
 *   links, addresses, neighbours    -> kernel_read_events(), then daemon_follow_links() tells engine and data path
 *   a deadline of the engine        -> engine_expire()
 *   signals                         -> stop, reload, statistics, reopen the log
 *   requests on the control socket  -> control.c
 *   requests for metrics            -> metrics_http.c
 */
/* clang-format on */
#include "daemon/daemon_state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <culvert/module.h>

#include "config/options.h"
#include "control/control.h"
#include "control/rehearse.h"
#include "control/reload.h"
#include "daemon/loop.h"
#include "datapath/datapath.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "observe/log.h"
#include "observe/statistics.h"
#include "observe/tunnel_text.h"

enum {
	EXPIRY_PAUSE_MS =
		10, /* memory of flows that are over may wait that long; the flows themselves are over exactly */
	RETRY_PAUSE_MS = 50, /* packets that wait for their next hop */
	HINTS_A_TICK = 512,  /* tunnels looked at, which takes less than a millisecond */
};

void daemon_set_timer(struct daemon *daemon, uint64_t now_ms)
{
	uint64_t next = engine_deadline(daemon->engine);

	if (next != UINT64_MAX && next < now_ms + EXPIRY_PAUSE_MS)
		next = now_ms + EXPIRY_PAUSE_MS;
	if (datapath_waits(daemon->datapath) && next > now_ms + RETRY_PAUSE_MS)
		next = now_ms + RETRY_PAUSE_MS;
	if (next >= daemon->timer_ms)
		return; /* it is called before that anyway, and looks again then */
	daemon->timer_ms = next;
	loop_set_timer(daemon->loop, next - now_ms);
}

static void daemon_fail(struct daemon *daemon, int exit_code)
{
	daemon->exit_code = exit_code;
	loop_stop(daemon->loop);
}

static void daemon_on_readable(void *context, enum loop_source source)
{
	struct daemon *daemon = context;
	uint64_t now_ms = clock_now_ms();
	int got;

	if (source == LOOP_KERNEL) {
		kernel_read_events(daemon->kernel);
		daemon_follow_links(daemon, now_ms);
		return;
	}
	got = datapath_receive(daemon->datapath, source == LOOP_LAN ? SIDE_LAN : SIDE_WAN, now_ms);
	if (got < 0 && source == LOOP_LAN) {
		log_write(daemon->log, LOG_ERR, "the TUN device %s is gone; somebody has removed it; stopping",
			  daemon->config.tun);
		daemon_fail(daemon, EXIT_NETWORK);
		return;
	}
	/* An error of the WAN is news of its link, which comes through the kernel's notifications as well. */
	if (got > 0)
		daemon_set_timer(daemon, now_ms);
}

static void daemon_on_expired(void *context)
{
	struct daemon *daemon = context;
	uint64_t now_ms = clock_now_ms();

	daemon->timer_ms = UINT64_MAX;
	datapath_expire(daemon->datapath, now_ms);
	datapath_retry(daemon->datapath, now_ms);
	daemon_set_timer(daemon, now_ms);
}

static void daemon_on_ticked(void *context)
{
	struct daemon *daemon = context;

	kernel_refresh(daemon->kernel);
	daemon_follow_links(daemon, clock_now_ms());
	reload_tick(daemon->reload, clock_now_ms());
	log_flush(daemon->log);
	drop_rates_sample(&daemon->drop_rates, engine_counters(daemon->engine), clock_now_ms());
	quota_look(&daemon->quota, daemon->engine, daemon->config.host_flows, daemon->log, clock_now_ms());
	engine_tell_hints(daemon->engine, &daemon->hint_cursor, HINTS_A_TICK, clock_now_ms());
}

static void daemon_print_statistics(struct daemon *daemon)
{
	static const char *const names[SIDES] = {"LAN", "WAN"};
	const struct datapath_counters *counters = datapath_counters(daemon->datapath);
	char text[200];

	statistics_print(daemon->engine, clock_now_ms(), daemon->options->verbosity > 0, log_line, daemon->log);
	tunnel_text_print_all(daemon->engine, clock_now_ms(), daemon->options->verbosity > 0, log_line, daemon->log);
	for (int side = 0; side < SIDES; side++) {
		snprintf(
			text, sizeof(text),
			"data path %s: %llu batches, %llu receive errors, %llu packets refused by the kernel, %llu lost before they were read",
			names[side], (unsigned long long)counters->batches[side],
			(unsigned long long)counters->receive_errors[side], (unsigned long long)counters->refused[side],
			(unsigned long long)counters->lost[side]);
		log_line(daemon->log, text);
	}
	snprintf(text, sizeof(text), "data path: %llu packets have waited for the link address of their next hop",
		 (unsigned long long)counters->waited);
	log_line(daemon->log, text);
}

/* Before they end, how many tunnels a change of modes will cost. */
static void daemon_report_ends(struct daemon *daemon, uint64_t now_ms)
{
	for (int part = 0; part < PARTS; part++) {
		enum service_mode mode = config_mode_of(&daemon->config, (enum part)part);
		uint32_t tunnels = 0;

		if (mode != daemon->engine_config.mode[part])
			tunnels = rehearse_count_lost(daemon->engine, now_ms, (enum part)part, mode);
		if (tunnels)
			log_write(daemon->log, LOG_NOTICE, "%s is %s; this ends %u tunnel%s",
				  part_label((enum part)part), mode == MODE_BLOCK ? "blocked now" : "not read any more",
				  tunnels, tunnels == 1 ? "" : "s");
	}
}

const char *daemon_default_wan(void *context)
{
	struct daemon *daemon = context;

	return kernel_default_wan(daemon->kernel);
}

uint32_t daemon_apply_config(void *context, uint64_t now_ms)
{
	struct daemon *daemon = context;
	struct kernel_ports_wanted ports;
	uint32_t ended;

	log_set_level(daemon->log, options_log_level(daemon->options, &daemon->config));
	log_open(daemon->log, daemon->config.log_target, daemon->options->foreground);
	daemon_report_ends(daemon, now_ms);
	config_to_ports(&daemon->config, &ports);
	kernel_set_ports(daemon->kernel, &ports);
	daemon->told.count = UINT32_MAX;
	ended = daemon_tell_engine(daemon, now_ms);
	daemon_report_forwards(daemon);
	daemon_set_timer(daemon, now_ms);
	return ended;
}

void daemon_on_reloaded(void *context, bool succeeded)
{
	struct daemon *daemon = context;

	metrics_reloaded(&daemon->metrics, succeeded, clock_unix_ms());
}

static void daemon_reload(struct daemon *daemon)
{
	uint32_t ended;

	notify_reloading(&daemon->notify);
	log_write(daemon->log, LOG_NOTICE, "SIGHUP asks: reload");
	reload_now(daemon->reload, 0, NULL, NULL, &ended, clock_now_ms());
	notify_ready(&daemon->notify);
}

static void daemon_on_signalled(void *context, int number)
{
	struct daemon *daemon = context;

	switch (number) {
	case SIGHUP:
		daemon_reload(daemon);
		break;
	case SIGUSR1:
		daemon_print_statistics(daemon);
		break;
	case SIGUSR2:
		log_reopen(daemon->log);
		break;
	default:
		loop_stop(daemon->loop);
	}
}

void daemon_on_event(void *context, enum engine_event_kind kind, const struct tunnel_view *view)
{
	struct daemon *daemon = context;

	tunnel_text_log(daemon->log, kind, view);
	metrics_count_event(&daemon->metrics, kind, view);
	if (daemon->control)
		control_tell(daemon->control, kind, view);
}

static void daemon_on_beat(void *context)
{
	struct daemon *daemon = context;

	notify_alive(&daemon->notify);
}

int daemon_start_loop(struct daemon *daemon)
{
	const struct loop_handlers handlers = {
		.context = daemon,
		.readable = daemon_on_readable,
		.signalled = daemon_on_signalled,
		.ticked = daemon_on_ticked,
		.expired = daemon_on_expired,
		.beat = daemon_on_beat,
	};

	daemon->loop = loop_new(&handlers);
	if (!daemon->loop) {
		log_write(daemon->log, LOG_ERR, "cannot make an event loop: %s", strerror(errno));
		return EXIT_NETWORK;
	}
	return EXIT_OK;
}
