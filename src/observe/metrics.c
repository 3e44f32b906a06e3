/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters as metrics. */
#include "observe/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <culvert/module.h>

#include "base/address.h"
#include "config/config.h"
#include "config/text.h"
#include "datapath/datapath.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "observe/tunnel_text.h"

enum { TUNNELS_A_PIECE = 1024 };

static const char *const port_owners[] = {"tcp", "udp", "icmp"};

void metrics_start(struct metrics *metrics, uint64_t unix_ms)
{
	memset(metrics, 0, sizeof(*metrics));
	metrics->started_ms = metrics->reloaded_ms = unix_ms;
}

void metrics_reloaded(struct metrics *metrics, bool succeeded, uint64_t unix_ms)
{
	metrics->reload_failed = !succeeded;
	if (succeeded)
		metrics->reloaded_ms = unix_ms;
}

void metrics_count_event(struct metrics *metrics, enum engine_event_kind kind, const struct tunnel_view *view)
{
	if (view->service >= SERVICES || view->end >= ENDS)
		return;
	switch (kind) {
	case EVENT_TUNNEL_UP:
		metrics->up[view->service]++;
		break;
	case EVENT_TUNNEL_DOWN:
		metrics->down[view->service][view->end]++;
		break;
	case EVENT_NOT_UNDERSTOOD:
		metrics->not_understood[view->service]++;
		break;
	case EVENT_TUNNEL_HINT: /* a gauge tells of them */
		break;
	}
}

static void census_count(struct metrics_census *census, const struct tunnel_view *view)
{
	if (view->end != END_NOT || view->service >= SERVICES)
		return;
	census->tunnels[view->service][view->state]++;
	census->silent[view->service] += view->silent >= 0;
	census->hints[view->hint]++;
}

bool metrics_census_go_on(struct metrics_census *census, struct engine *engine, uint64_t now_ms)
{
	struct tunnel_view view;

	for (int i = 0; i < TUNNELS_A_PIECE; i++) {
		if (!engine_next_tunnel(engine, &census->cursor, now_ms, &view))
			return true;
		census_count(census, &view);
	}
	return false;
}

static void describe(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP culvert_%s %s\n# TYPE culvert_%s %s\n", name, help, name, type);
}

static void print_gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
	describe(out, name, "gauge", help);
	fprintf(out, "culvert_%s %" PRIu64 "\n", name, value);
}

static void print_counter(FILE *out, const char *name, const char *help, uint64_t value)
{
	describe(out, name, "counter", help);
	fprintf(out, "culvert_%s %" PRIu64 "\n", name, value);
}

static void print_sides(FILE *out, const char *name, const char *type, const char *help, const uint64_t values[SIDES])
{
	describe(out, name, type, help);
	for (int side = 0; side < SIDES; side++)
		fprintf(out, "culvert_%s{side=\"%s\"} %" PRIu64 "\n", name, side_name((enum side)side), values[side]);
}

/* Under the names that all programs have for them. */
static void print_usual(FILE *out, const char *name, const char *help, uint64_t value)
{
	if (value > 0)
		fprintf(out, "# HELP process_%s %s\n# TYPE process_%s gauge\nprocess_%s %" PRIu64 "\n", name, help,
			name, name, value);
}

static void print_process(FILE *out, const struct metrics *metrics, const struct metrics_view *view)
{
	describe(out, "build_info", "gauge", "Always 1; the version that runs.");
	fprintf(out, "culvert_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	describe(out, "start_time_seconds", "gauge", "When the process started, since 1970.");
	fprintf(out, "culvert_start_time_seconds %.3f\n", (double)metrics->started_ms / 1000);
	describe(out, "cpu_seconds_total", "counter", "Time on a processor that the process has used.");
	fprintf(out, "culvert_cpu_seconds_total %.3f\n", view->cpu_s);
	print_usual(out, "resident_memory_bytes", "Resident memory size in bytes.", view->resident_bytes);
	print_usual(out, "open_fds", "Number of open file descriptors.", view->open_fds);
	print_usual(out, "max_fds", "Maximum number of open file descriptors.", view->max_fds);
	print_counter(out, "log_lines_lost_total", "Lines of the log that its reader did not take.",
		      view->log_lines_lost);
	print_gauge(out, "config_trial", "Whether a configuration is on trial and waits for its confirmation.",
		    view->is_on_trial);
	print_gauge(out, "config_restart_needed",
		    "Whether the configuration file has values that only a restart puts in force.",
		    view->needs_restart);
	print_gauge(out, "config_last_reload_successful",
		    "Whether the last reload could be read, and was not taken back for want of a confirmation.",
		    !metrics->reload_failed);
	describe(out, "config_last_reload_success_timestamp_seconds", "gauge",
		 "When the configuration in force was read or confirmed, since 1970.");
	fprintf(out, "culvert_config_last_reload_success_timestamp_seconds %.3f\n",
		(double)metrics->reloaded_ms / 1000);
}

/* A packet that waited for its next hop in vain is taken off what was forwarded, and a counter must not go back. */
static void print_forwarded(FILE *out, struct metrics *metrics, const struct engine_counters *engine)
{
	for (int side = 0; side < SIDES; side++)
		if (engine->forwarded[side] > metrics->forwarded[side])
			metrics->forwarded[side] = engine->forwarded[side];
	print_sides(out, "forwarded_packets_total", "counter", "Packets from this side that were sent on.",
		    metrics->forwarded);
}

static void print_packets(FILE *out, struct metrics *metrics, const struct engine_counters *engine,
			  const struct datapath_counters *datapath)
{
	print_sides(out, "received_packets_total", "counter", "Packets that came from this side.", engine->received);
	print_sides(out, "received_bytes_total", "counter", "Bytes of IPv4 that came from this side.", engine->bytes);
	print_sides(out, "sent_bytes_total", "counter", "Bytes of IPv4 that were handed to the link of this side.",
		    datapath->sent_bytes);
	print_forwarded(out, metrics, engine);
	print_sides(out, "consumed_packets_total", "counter",
		    "Packets from this side that were the router's own or were answered by it.", engine->consumed);
	print_sides(out, "held_packets", "gauge", "Packets from this side that wait right now.", engine->held);
	describe(out, "dropped_packets_total", "counter", "Packets from this side that were dropped, by reason.");
	for (int reason = DROP_NONE + 1; reason < DROPS; reason++)
		for (int side = 0; side < SIDES; side++)
			fprintf(out, "culvert_dropped_packets_total{side=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
				side_name((enum side)side), drop_name((enum drop)reason),
				engine->dropped[side][reason]);
}

static void print_statistics(FILE *out, const struct engine_counters *engine)
{
	char name[64], help[256];

	for (int i = 0; i < STATS; i++) {
		snprintf(name, sizeof(name), "%s_total", stat_name((enum statistic)i));
		text_sentence(help, sizeof(help), stat_meaning((enum statistic)i));
		print_counter(out, name, help, engine->stat[i]);
	}
}

static void print_tables(FILE *out, const struct metrics_view *view)
{
	print_gauge(out, "flows", "Flows that live.", view->engine->flows);
	print_gauge(out, "flows_limit", "Flows there may be: [limits] flows.", view->config->flows);
	print_gauge(out, "mappings", "Outside ports in use.", view->engine->mappings);
	print_gauge(out, "hosts", "Inside hosts that have flows.", view->engine->hosts);
	print_gauge(out, "hosts_limit", "Inside hosts there may be: [limits] hosts.", view->config->hosts);
	print_gauge(out, "tunnels_limit", "VPN control connections that can be read: [limits] tunnels.",
		    view->config->tunnels);
	print_gauge(out, "table_memory_bytes", "Memory of all tables.", view->engine->arena_bytes);
}

/* 1 for the mode that is in force, 0 for the others. */
static void print_modes(FILE *out, const struct config *config)
{
	describe(out, "service_mode", "gauge", "Whether this mode of this part of a VPN service is in force.");
	for (int part = 0; part < PARTS; part++)
		for (int mode = MODE_PASS; mode <= MODE_BLOCK; mode++)
			fprintf(out, "culvert_service_mode{service=\"%s\",part=\"%s\",mode=\"%s\"} %d\n",
				service_name(service_of_part((enum part)part)), part_name((enum part)part),
				service_mode_name((enum service_mode)mode),
				(int)config_mode_of(config, (enum part)part) == mode);
}

static void print_tunnels(FILE *out, const struct metrics_census *census)
{
	describe(out, "tunnels", "gauge", "VPN tunnels that live, by service and state.");
	for (int service = 0; service < SERVICES; service++)
		for (int i = 0; i < TUNNEL_IS_ENDED; i++)
			fprintf(out, "culvert_tunnels{service=\"%s\",state=\"%s\"} %" PRIu32 "\n",
				service_name((enum service)service), tunnel_state_name((enum tunnel_state)i),
				census->tunnels[service][i]);
	describe(out, "silent_tunnels", "gauge",
		 "VPN tunnels of which one side has been silent while the other speaks.");
	for (int service = 0; service < SERVICES; service++)
		fprintf(out, "culvert_silent_tunnels{service=\"%s\"} %" PRIu32 "\n",
			service_name((enum service)service), census->silent[service]);
	describe(out, "hinted_tunnels", "gauge",
		 "VPN tunnels with something wrong; culvert-nat(7) explains the hints.");
	for (int hint = HINT_NONE + 1; hint < HINTS; hint++)
		fprintf(out, "culvert_hinted_tunnels{hint=\"%s\"} %" PRIu32 "\n",
			tunnel_hint_name((enum tunnel_hint)hint), census->hints[hint]);
}

static void print_events(FILE *out, const struct metrics *metrics)
{
	describe(out, "tunnels_up_total", "counter", "VPN tunnels that were connected.");
	for (int service = 0; service < SERVICES; service++)
		fprintf(out, "culvert_tunnels_up_total{service=\"%s\"} %" PRIu64 "\n",
			service_name((enum service)service), metrics->up[service]);
	describe(out, "tunnels_down_total", "counter", "VPN tunnels that ended, by what ended them.");
	for (int service = 0; service < SERVICES; service++)
		for (int end = END_NOT + 1; end < ENDS; end++)
			fprintf(out, "culvert_tunnels_down_total{service=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
				service_name((enum service)service), tunnel_text_end_word((enum tunnel_end)end),
				metrics->down[service][end]);
	describe(out, "tunnels_not_understood_total", "counter",
		 "Control connections that were no longer understood and pass as they are.");
	for (int service = 0; service < SERVICES; service++)
		fprintf(out, "culvert_tunnels_not_understood_total{service=\"%s\"} %" PRIu64 "\n",
			service_name((enum service)service), metrics->not_understood[service]);
}

static void print_links(FILE *out, const struct kernel_links *links)
{
	const uint64_t up[SIDES] = {links->lan.up, links->wan.up}, mtu[SIDES] = {links->lan.mtu, links->wan.mtu};

	print_sides(out, "link_up", "gauge", "Whether the device of this side is up and has a carrier.", up);
	print_sides(out, "link_mtu_bytes", "gauge", "The largest packet that the link of this side takes.", mtu);
	print_gauge(out, "outside_addresses", "IPv4 addresses of the WAN device.", links->wan.address_count);
}

static void print_outside(FILE *out, const struct metrics_view *view)
{
	char address[ADDRESS_TEXT];

	describe(out, "outside_ports", "gauge",
		 "Ports, or ICMP identifiers, of an outside address that mappings have.");
	for (uint32_t i = 0; i < view->outsides; i++) {
		const struct outside_view *outside = &view->outside[i];
		const uint32_t used[] = {outside->tcp_ports, outside->udp_ports, outside->icmp_identifiers};

		for (int protocol = 0; protocol < 3; protocol++)
			fprintf(out, "culvert_outside_ports{address=\"%s\",protocol=\"%s\"} %" PRIu32 "\n",
				address_print(outside->address, address), port_owners[protocol], used[protocol]);
	}
	describe(
		out, "outside_ports_limit", "gauge",
		"How many of them, from port 1024 up, mappings may have of each outside address: not those of the router itself and of forwards.");
	for (int protocol = 0; protocol < 3; protocol++)
		fprintf(out, "culvert_outside_ports_limit{protocol=\"%s\"} %" PRIu32 "\n", port_owners[protocol],
			protocol < 2 ? view->port_limit[protocol] : (uint32_t)OUTSIDE_IDENTIFIERS);
}

static void print_datapath(FILE *out, const struct datapath_counters *datapath)
{
	print_sides(out, "receive_batches_total", "counter", "Wake-ups that brought packets from this side.",
		    datapath->batches);
	print_sides(out, "receive_errors_total", "counter", "Errors while receiving from this side.",
		    datapath->receive_errors);
	print_sides(out, "refused_packets_total", "counter", "Packets to this side that the kernel did not take.",
		    datapath->refused);
	print_sides(out, "lost_packets_total", "counter",
		    "Packets from this side that the kernel threw away because they were not read in time.",
		    datapath->lost);
	print_counter(out, "next_hop_waits_total", "Packets that have waited for their next hop to be known.",
		      datapath->waited);
}

char *metrics_text(struct metrics *metrics, const struct metrics_view *view, size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);
	bool failed;

	if (!out)
		return NULL;
	print_process(out, metrics, view);
	print_packets(out, metrics, view->engine, view->datapath);
	print_statistics(out, view->engine);
	print_tables(out, view);
	print_modes(out, view->config);
	print_tunnels(out, view->census);
	print_events(out, metrics);
	print_links(out, view->links);
	print_outside(out, view);
	print_datapath(out, view->datapath);
	failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}

/* As the kernel says it, 0 if it does not. */
static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char line[128] = "", *all, *resident;
	uint32_t pages = 0;

	if (!file)
		return 0;
	if (fgets(line, sizeof(line), file)) {
		resident = line;
		all = strsep(&resident, " "); /* the first number is the whole address space */
		if (all && resident)
			text_number(strsep(&resident, " "), UINT32_MAX, &pages);
	}
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint32_t open_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint32_t count = 0;

	if (!folder)
		return 0;
	for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count - 1; /* that of the folder itself */
}

void metrics_measure_process(struct metrics_view *view)
{
	view->cpu_s = (double)clock_cpu_us() / 1e6;
	view->resident_bytes = resident_bytes();
	view->open_fds = open_fds();
	view->max_fds = (uint32_t)sysconf(_SC_OPEN_MAX);
}
