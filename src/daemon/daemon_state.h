/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the daemon share: the parts that run, and what one file does for another. Nobody else includes
 * this.
 */
#ifndef CULVERT_DAEMON_DAEMON_STATE_H
#define CULVERT_DAEMON_DAEMON_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/engine.h>

#include "config/config.h"
#include "io/kernel.h"
#include "io/state_file.h"
#include "observe/drop_rates.h"
#include "observe/metrics.h"
#include "observe/notify.h"
#include "observe/quota.h"

struct options;

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
	enum next_hop default_hop; /* as it was last logged */
	struct {
		struct address address[KERNEL_ADDRESSES_MAX];
		uint32_t count; /* UINT32_MAX: say it again */
	} told;                 /* the outside addresses that the log was told */
	uint64_t away_ms;       /* since when the WAN has no address; 0: it has one */
	bool waits;             /* flows wait for it */
	struct drop_rates drop_rates;
	struct quota quota;
	uint64_t hint_cursor; /* of engine_tell_hints() */
	uint32_t generation;
	uint64_t started_ms;
	uint64_t timer_ms; /* when the loop's timer will call; UINT64_MAX: not at all */
	bool kernel_is_set_up;
	bool forwards; /* the start succeeded */
	int exit_code;
};

/* daemon_links.c: what engine and packet socket are told of links and configuration */

/* Sets daemon->engine_config. */
void daemon_fill_engine_config(struct daemon *daemon);
/* Opens the packet socket on the WAN device. 0 or an exit code, after having logged why. */
int daemon_open_wan(struct daemon *daemon);
void daemon_close_wan(struct daemon *daemon);
/* Gives the engine its configuration and outside addresses. Returns how many flows ended. */
uint32_t daemon_tell_engine(struct daemon *daemon, uint64_t now_ms);
/* Says which forwards cannot work as the links are now. */
void daemon_report_forwards(struct daemon *daemon);
/* After anything that may have changed the links. */
void daemon_follow_links(struct daemon *daemon, uint64_t now_ms);

/* daemon_events.c: what happens while the daemon runs */

/* Makes daemon->loop, which calls the handlers. 0 or an exit code, after having logged why. */
int daemon_start_loop(struct daemon *daemon);
/* Sees to it that the loop's timer calls when next something has to be done without a packet. */
void daemon_set_timer(struct daemon *daemon, uint64_t now_ms);
/* For engine_on_event(); context is the daemon. */
void daemon_on_event(void *context, enum engine_event_kind kind, const struct tunnel_view *view);
/* For reload_new(); context is the daemon. */
const char *daemon_default_wan(void *context);
/* For reload_new(); context is the daemon, whose configuration is another one now. Returns how many flows ended. */
uint32_t daemon_apply_config(void *context, uint64_t now_ms);
void daemon_on_reloaded(void *context, bool succeeded);

#endif
