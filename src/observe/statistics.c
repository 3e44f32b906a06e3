/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counters of the engine as lines: first the sums, which must come out even, then what is behind them.
 */
#include "observe/statistics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct printer {
	bool all;
	statistics_line *line;
	void *context;
};

static void print(const struct printer *printer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(const struct printer *printer, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printer->line(printer->context, text);
}

static void print_side(const struct printer *printer, const struct engine_counters *counters, enum side side)
{
	uint64_t dropped = 0, sum;

	for (unsigned int i = DROP_NONE + 1; i < DROPS; i++)
		dropped += counters->dropped[side][i];
	sum = counters->forwarded[side] + counters->consumed[side] + counters->held[side] + dropped;
	print(printer,
	      "from %s: received %" PRIu64 " (%" PRIu64 " bytes) = forwarded %" PRIu64 " + consumed %" PRIu64
	      " + held %" PRIu64 " + dropped %" PRIu64 "%s",
	      side == SIDE_LAN ? "LAN" : "WAN", counters->received[side], counters->bytes[side],
	      counters->forwarded[side], counters->consumed[side], counters->held[side], dropped,
	      sum == counters->received[side] ? "" : " (THIS SUM IS WRONG: please report it)");
}

static void print_drops(const struct printer *printer, const struct engine_counters *counters)
{
	for (unsigned int i = DROP_NONE + 1; i < DROPS; i++) {
		uint64_t lan = counters->dropped[SIDE_LAN][i], wan = counters->dropped[SIDE_WAN][i];

		if (lan || wan || printer->all)
			print(printer, "dropped %s: %" PRIu64 " from LAN, %" PRIu64 " from WAN: %s (%s)",
			      drop_name((enum drop)i), lan, wan, drop_meaning((enum drop)i), drop_advice((enum drop)i));
	}
}

static void print_counters(const struct printer *printer, const struct engine_counters *counters)
{
	for (unsigned int i = 0; i < STATS; i++) {
		if (counters->stat[i] || printer->all)
			print(printer, "%s: %" PRIu64 " (%s)", stat_name((enum statistic)i), counters->stat[i],
			      stat_meaning((enum statistic)i));
	}
}

static const char *protocol_name(unsigned int protocol, char name[16])
{
	switch (protocol) {
	case 1:
		return "ICMP";
	case 6:
		return "TCP";
	case 17:
		return "UDP";
	case 47:
		return "GRE";
	case 50:
		return "ESP";
	default:
		snprintf(name, 16, "protocol %u", protocol);
		return name;
	}
}

static void print_flows(const struct printer *printer, const struct engine *engine, uint64_t now_ms)
{
	const struct engine_counters *counters = engine_counters(engine);
	uint32_t flows[256] = {0}, cursor = 0;
	struct flow_view view;
	char name[16];

	while (engine_next_flow(engine, &cursor, now_ms, &view))
		flows[view.protocol]++;
	print(printer,
	      "flows: %" PRIu32 ", mappings: %" PRIu32 ", inside hosts: %" PRIu32 ", memory: %" PRIu64 " bytes",
	      counters->flows, counters->mappings, counters->hosts, counters->arena_bytes);
	for (unsigned int i = 0; i < 256; i++) {
		if (flows[i])
			print(printer, "flows of %s: %" PRIu32, protocol_name(i, name), flows[i]);
	}
}

void statistics_print(const struct engine *engine, uint64_t now_ms, bool all, statistics_line *line, void *context)
{
	const struct engine_counters *counters = engine_counters(engine);
	const struct printer printer = {.all = all, .line = line, .context = context};

	print_side(&printer, counters, SIDE_LAN);
	print_side(&printer, counters, SIDE_WAN);
	print_flows(&printer, engine, now_ms);
	print_counters(&printer, counters);
	print_drops(&printer, counters);
}
