/* SPDX-License-Identifier: BSD-2-Clause */
/* clang-format off */
/*
 * Start: first what changes nothing outside this process, then the TUN device, then the kernel's rules, last the packet
 * socket. Stop: the other way round. In between events call the handlers here:
 *
 *   packets from the TUN or the WAN -> datapath_receive()
 *   links, addresses, neighbours    -> kernel_read_events(), then daemon_follow_links() tells engine and data path
 *   a deadline of the engine        -> engine_expire()
 *   signals                         -> stop, reload, statistics, reopen the log
 *   requests on the control socket  -> control.c
 *   requests for metrics            -> metrics_http.c
 */
/* clang-format on */
#include "daemon/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon/background.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/datapath.h"
#include "daemon/drop_rates.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/metrics.h"
#include "daemon/metrics_http.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/privileges.h"
#include "daemon/reload.h"
#include "daemon/statistics.h"
#include "daemon/tunnels.h"
#include "daemon/verb.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "io/random.h"
#include "io/state_file.h"
#include "io/tun.h"
#include "io/wan.h"

enum {
	EXPIRY_PAUSE_MS =
		10, /* memory of flows that are over may wait that long; the flows themselves are over exactly */
	RETRY_PAUSE_MS = 50, /* packets that wait for their next hop */
	HINTS_A_TICK = 512,  /* tunnels looked at, which takes less than a millisecond */
};

struct daemon {
	const struct options *options;
	struct log *log;
	struct config config;
	struct engine_config engine_config;
	struct kernel *kernel;
	struct tun *tun;
	struct state_file flows;
	struct engine *engine;
	struct loop *loop;
	struct wan *wan;
	struct datapath *datapath;
	struct reload *reload;
	struct control *control;
	struct metrics metrics;
	struct metrics_http *metrics_http; /* NULL: nobody may ask */
	struct notify notify;
	/* the WAN as it was when the packet socket was opened and the engine was told */
	int wan_ifindex;
	uint8_t wan_mac[6];
	bool wan_ethernet;
	struct drop_rates drop_rates;
	uint64_t hint_cursor; /* of engine_tell_hints() */
	uint32_t generation;
	uint64_t started_ms;
	uint64_t timer_ms; /* when expired() will be called; UINT64_MAX: not at all */
	bool kernel_is_set_up;
	bool forwards; /* the start succeeded */
	int exit_code;
};

static const char *daemon_print_address(uint32_t address, char text[INET_ADDRSTRLEN])
{
	struct in_addr in = {.s_addr = htonl(address)};

	return inet_ntop(AF_INET, &in, text, INET_ADDRSTRLEN);
}

/* The next time at which something has to be done without a packet. */
static void daemon_set_timer(struct daemon *daemon, uint64_t now_ms)
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

/* The facts of the links and the configuration, as the engine wants them. A WAN that is away keeps its last MTU. */
static void daemon_fill_engine_config(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	struct engine_config *engine = &daemon->engine_config;

	config_to_engine(&daemon->config, engine);
	engine->host_tcp = links->host_tcp;
	engine->host_udp = links->host_udp;
	engine->lan_address = links->lan.address;
	engine->hop_address = links->hop_address;
	memcpy(engine->inside, links->lan.prefixes, sizeof(engine->inside));
	engine->insides = links->lan.prefix_count;
	if (links->lan.mtu)
		engine->lan_mtu = links->lan.mtu;
	if (links->wan.mtu)
		engine->wan_mtu = links->wan.mtu;
}

static void daemon_close_wan(struct daemon *daemon)
{
	loop_watch(daemon->loop, LOOP_WAN, -1);
	datapath_set_wan(daemon->datapath, NULL);
	wan_close(daemon->wan);
	daemon->wan = NULL;
}

static int daemon_open_wan(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	int exit_code;

	daemon->wan =
		wan_open(links->wan.ifindex, links->wan.ethernet, links->wan.mac, log_report, daemon->log, &exit_code);
	if (!daemon->wan)
		return exit_code;
	daemon->wan_ifindex = links->wan.ifindex;
	daemon->wan_ethernet = links->wan.ethernet;
	memcpy(daemon->wan_mac, links->wan.mac, sizeof(daemon->wan_mac));
	datapath_set_wan(daemon->datapath, daemon->wan);
	/* What a link without offloads could not send shall not come in from the LAN. */
	if (!tun_set_offload(daemon->tun, daemon->config.offload && wan_offloads(daemon->wan))) {
		log_write(daemon->log, LOG_ERR, "can not set the offloads of %s: %s", daemon->config.tun,
			  strerror(errno));
		return EXIT_NETWORK;
	}
	if (!loop_watch(daemon->loop, LOOP_WAN, wan_fd(daemon->wan))) {
		log_write(daemon->log, LOG_ERR, "can not watch the packet socket: %s", strerror(errno));
		return EXIT_NETWORK;
	}
	return EXIT_OK;
}

/* The packet socket follows the WAN device: away, back under another index, another link address. What changed was
 * reported by the kernel's side already. */
static void daemon_follow_wan(struct daemon *daemon)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	bool same = links->wan.ifindex == daemon->wan_ifindex && links->wan.ethernet == daemon->wan_ethernet &&
		    memcmp(links->wan.mac, daemon->wan_mac, sizeof(daemon->wan_mac)) == 0;

	if (daemon->wan && !same)
		daemon_close_wan(daemon);
	if (!daemon->wan && links->wan.ifindex != 0 && daemon_open_wan(daemon) != EXIT_OK)
		daemon_close_wan(daemon); /* the next look at the links tries again */
}

/* Forwards do not let anybody in whom another NAT has turned away before. */
static void daemon_report_private(struct daemon *daemon, const uint32_t *addresses, uint32_t count)
{
	char text[INET_ADDRSTRLEN];

	for (uint32_t i = 0; i < count && daemon->config.forwards > 0; i++)
		if (address_is_private(addresses[i]))
			log_write(daemon->log, LOG_NOTICE,
				  "%s is not a public address: if another NAT stands before this router, forwards are "
				  "reached through it only if it forwards the same ports and protocols to here",
				  daemon_print_address(addresses[i], text));
}

/* Returns how many flows ended. */
static uint32_t daemon_tell_engine(struct daemon *daemon, uint64_t now_ms)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);
	uint32_t count = links->wan.address_count, ended;

	if (count > daemon->config.addresses) {
		log_write(daemon->log, LOG_WARNING,
			  "%s has %u addresses, only the first %u are used: see [limits] addresses", links->wan.name,
			  count, daemon->config.addresses);
		count = daemon->config.addresses;
	}
	if (count == 0)
		log_write(daemon->log, LOG_WARNING,
			  "the WAN has no IPv4 address: nothing can be translated until it gets one");
	daemon_fill_engine_config(daemon);
	ended = engine_configure(daemon->engine, &daemon->engine_config, now_ms);
	ended += engine_set_outside(daemon->engine, links->wan.addresses, count, now_ms);
	if (ended)
		log_write(daemon->log, LOG_NOTICE, "%u flows ended because of the change", ended);
	daemon_report_private(daemon, links->wan.addresses, count);
	return ended;
}

/* After anything that may have changed the links. */
static void daemon_follow_links(struct daemon *daemon, uint64_t now_ms)
{
	const struct kernel_links *links = kernel_links(daemon->kernel);

	if (links->generation != daemon->generation) {
		daemon->generation = links->generation;
		daemon_follow_wan(daemon);
		daemon_tell_engine(daemon, now_ms);
	} else if (!daemon->wan && links->wan.ifindex != 0) {
		daemon_follow_wan(daemon);
	}
	notify_links(&daemon->notify, daemon->config.lan_interface, kernel_links(daemon->kernel));
	datapath_retry(daemon->datapath, now_ms);
	daemon_set_timer(daemon, now_ms);
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
		log_write(daemon->log, LOG_ERR, "the TUN device %s is gone: somebody removed it; stopping",
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
	engine_tell_hints(daemon->engine, &daemon->hint_cursor, HINTS_A_TICK, clock_now_ms());
}

static void daemon_print_statistics(struct daemon *daemon)
{
	static const char *const names[SIDES] = {"LAN", "WAN"};
	const struct datapath_counters *counters = datapath_counters(daemon->datapath);
	char text[200];

	statistics_print(daemon->engine, clock_now_ms(), daemon->options->verbosity > 0, log_line, daemon->log);
	tunnels_print(daemon->engine, clock_now_ms(), daemon->options->verbosity > 0, log_line, daemon->log);
	for (int side = 0; side < SIDES; side++) {
		snprintf(text, sizeof(text),
			 "data path %s: %llu batches, %llu receive errors, %llu packets refused by the kernel, %llu "
			 "lost before they were read",
			 names[side], (unsigned long long)counters->batches[side],
			 (unsigned long long)counters->receive_errors[side],
			 (unsigned long long)counters->refused[side], (unsigned long long)counters->lost[side]);
		log_line(daemon->log, text);
	}
	snprintf(text, sizeof(text), "data path: %llu packets have waited for their next hop",
		 (unsigned long long)counters->waited);
	log_line(daemon->log, text);
}

/* Before they end, how many tunnels a change of modes will cost. */
static void daemon_report_ends(struct daemon *daemon, uint64_t now_ms)
{
	static const char *const names[PARTS] = {
		[PART_PPTP] = "PPTP",          [PART_L2TP] = "L2TP", [PART_IKE] = "IKE",
		[PART_NATT] = "NAT traversal", [PART_ESP] = "ESP",   [PART_AH] = "AH"};

	for (int part = 0; part < PARTS; part++) {
		enum service_mode mode = config_mode_of(&daemon->config, (enum part)part);
		uint32_t tunnels = 0;

		if (mode != daemon->engine_config.mode[part])
			tunnels = tunnels_count_lost(daemon->engine, now_ms, (enum part)part, mode);
		if (tunnels)
			log_write(daemon->log, LOG_NOTICE, "%s is %s: this ends %u tunnel%s", names[part],
				  mode == MODE_BLOCK ? "blocked now" : "not read any more", tunnels,
				  tunnels == 1 ? "" : "s");
	}
}

/* After a reload: daemon->config is another one. */
static uint32_t daemon_apply_config(void *context, uint64_t now_ms)
{
	struct daemon *daemon = context;
	struct port_set tcp, udp;
	uint32_t ended;

	log_set_level(daemon->log, options_log_level(daemon->options, &daemon->config));
	log_open(daemon->log, daemon->config.log_target, daemon->options->foreground);
	daemon_report_ends(daemon, now_ms);
	config_forwarded_ports(&daemon->config, &tcp, &udp);
	kernel_set_forwards(daemon->kernel, &tcp, &udp);
	ended = daemon_tell_engine(daemon, now_ms);
	daemon_set_timer(daemon, now_ms);
	return ended;
}

static void daemon_on_reloaded(void *context, bool succeeded)
{
	struct daemon *daemon = context;

	metrics_reloaded(&daemon->metrics, succeeded, clock_unix_ms());
}

static void daemon_reload(struct daemon *daemon)
{
	uint32_t ended;

	notify_reloading(&daemon->notify);
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

static void daemon_on_event(void *context, enum engine_event_kind kind, const struct tunnel_view *view)
{
	struct daemon *daemon = context;

	tunnels_log_event(daemon->log, kind, view);
	metrics_count_event(&daemon->metrics, kind, view);
	if (daemon->control)
		control_tell(daemon->control, kind, view);
}

static int daemon_start_engine(struct daemon *daemon)
{
	struct engine_limits limits;
	uint8_t seed[32];
	size_t size;
	int exit_code;

	config_to_limits(&daemon->config, &limits);
	size = engine_arena_size(&limits);
	if (size == 0) {
		log_write(daemon->log, LOG_ERR, "the engine can not be that large: lower the values of [limits]");
		return EXIT_CONFIG;
	}
	if (!random_fill(seed, sizeof(seed))) {
		log_write(daemon->log, LOG_ERR, "no random numbers from the kernel: %s", strerror(errno));
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
			log_write(daemon->log, LOG_NOTICE, "took over %u flows of a process that ended unexpectedly",
				  engine_counters(daemon->engine)->flows);
		else
			log_write(daemon->log, LOG_WARNING,
				  "what the last process left can not be used: starting without flows");
	}
	if (!daemon->engine)
		daemon->engine = engine_new(daemon->flows.memory, size, &limits, &daemon->engine_config, seed, false,
					    clock_now_ms());
	if (!daemon->engine) {
		log_write(daemon->log, LOG_ERR, "no memory for the engine: lower the values of [limits]");
		return EXIT_NETWORK;
	}
	engine_on_event(daemon->engine, daemon_on_event, daemon);
	drop_rates_sample(&daemon->drop_rates, engine_counters(daemon->engine), clock_now_ms());
	return EXIT_OK;
}

static void daemon_on_beat(void *context)
{
	struct daemon *daemon = context;

	notify_alive(&daemon->notify);
}

static int daemon_start_loop(struct daemon *daemon)
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
		log_write(daemon->log, LOG_ERR, "no event loop: %s", strerror(errno));
		return EXIT_NETWORK;
	}
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

	daemon->control = control_open(daemon->loop, &router, &exit_code);
	if (daemon->control)
		daemon->metrics_http = metrics_http_open(daemon->loop, &router, &exit_code);
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
	daemon->datapath = datapath_new(daemon->tun, daemon->engine, daemon->kernel, daemon->log);
	if (!daemon->datapath) {
		log_write(daemon->log, LOG_ERR, "no memory for the data path: %s", strerror(errno));
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
	daemon_tell_engine(daemon, clock_now_ms());
	if (!loop_watch(daemon->loop, LOOP_LAN, tun_fd(daemon->tun)) ||
	    !loop_watch(daemon->loop, LOOP_KERNEL, kernel_event_fd(daemon->kernel))) {
		log_write(daemon->log, LOG_ERR, "can not watch descriptors: %s", strerror(errno));
		return EXIT_NETWORK;
	}
	daemon->reload = reload_new(daemon->log, daemon->options, &daemon->config, daemon_apply_config,
				    daemon_on_reloaded, daemon);
	if (!daemon->reload) {
		log_write(daemon->log, LOG_ERR, "no memory for reloads");
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
	char text[INET_ADDRSTRLEN];

	log_write(daemon->log, LOG_NOTICE, "forwarding %s -> %s (%s) via %s", daemon->config.lan_interface,
		  links->wan.name,
		  links->wan.address_count ? daemon_print_address(links->wan.addresses[0], text) : "no address yet",
		  daemon->config.tun);
}

static void daemon_start_notifying(struct daemon *daemon)
{
	notify_links(&daemon->notify, daemon->config.lan_interface, kernel_links(daemon->kernel));
	notify_ready(&daemon->notify);
	if (daemon->notify.watchdog_ms && !loop_set_beat(daemon->loop, daemon->notify.watchdog_ms))
		log_write(daemon->log, LOG_WARNING, "no memory to feed the watchdog of the service manager");
}

int daemon_run(const struct config *config, const struct options *options)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int exit_code;

	if (!daemon) {
		log_write(options->log, LOG_ERR, "no memory for the daemon");
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
