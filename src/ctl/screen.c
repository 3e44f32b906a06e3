/* SPDX-License-Identifier: BSD-2-Clause */
/* The status screen: each kind of row has its lines. */
#include "ctl/screen.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/colour.h"
#include "ctl/human.h"
#include "ctl/wrap.h"

enum {
	ADDRESSES = 4, /* shown of one side, so that many leave room for the rest */
	WARNING = 9,   /* columns of the word */
	INDENT = 4,    /* of what goes on in the next line */
	SERVICES = 74, /* columns that all states of tunnels take */
	OPEN_TEXT = 1024,
};

static void print_label(struct screen *screen, const char *colour, const char *label)
{
	fprintf(screen->out, "%s%s%s", colour_on(screen->in_colour, colour), label,
		colour_off(screen->in_colour, colour));
}

/* A text of the answer, made safe. */
static bool print_text(struct screen *screen, const char *colour, const char *text)
{
	char *safe = human_escape(text);

	if (!safe)
		return false;
	print_label(screen, colour, safe);
	free(safe);
	return true;
}

/* The rest of a line, at this column already; what does not fit goes to lines that are further in. */
static void print_rest(struct screen *screen, size_t column, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void print_rest(struct screen *screen, size_t column, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	wrap_print(screen->out, text, column, INDENT, screen->room);
	fputc('\n', screen->out);
}

static bool print_daemon(struct screen *screen, const struct row *row)
{
	uint64_t flows = row_number(row, "flows"), limit = row_number(row, "flows-limit");
	char up[HUMAN_MAX], memory[HUMAN_MAX];

	human_seconds(up, row_number(row, "uptime"));
	human_bytes(memory, row_number(row, "memory-bytes"));
	print_label(screen, COLOUR_BOLD, "culvertd ");
	if (!print_text(screen, COLOUR_BOLD, row_text(row, "version")))
		return false;
	print_rest(screen, strlen("culvertd ") + strlen(row_text(row, "version")),
		   ", process %" PRIu64 ", up %s, tables %s", row_number(row, "process"), up, memory);
	fputs("  ", screen->out);
	print_rest(screen, 2,
		   "%" PRIu64 " of %" PRIu64 " flows (%" PRIu64 " %%), %" PRIu64 " mappings, %" PRIu64 " of %" PRIu64
		   " inside hosts",
		   flows, limit, limit ? flows * 100 / limit : 0, row_number(row, "mappings"), row_number(row, "hosts"),
		   row_number(row, "hosts-limit"));
	return true;
}

static bool print_interface(struct screen *screen, const struct row *row)
{
	bool is_up = !strcmp(row_text(row, "state"), "up");

	fputs(strcmp(screen->kind, "daemon") ? "" : "\n", screen->out);
	print_label(screen, COLOUR_BOLD, !strcmp(row_text(row, "side"), "lan") ? "LAN " : "WAN ");
	if (!print_text(screen, COLOUR_BOLD, row_text(row, "name")))
		return false;
	fputs(": ", screen->out);
	print_label(screen, is_up ? COLOUR_GREEN : COLOUR_RED, is_up ? "up" : "down");
	fprintf(screen->out, ", MTU %" PRIu64 "\n", row_number(row, "mtu"));
	return true;
}

static bool print_address(struct screen *screen, const struct row *row)
{
	if (screen->addresses++ >= ADDRESSES)
		return true;
	fprintf(screen->out, "  %s address ", !strcmp(row_text(row, "side"), "lan") ? "inside" : "outside");
	if (!print_text(screen, NULL, row_text(row, "address")))
		return false;
	fputc('\n', screen->out);
	return true;
}

/* Behind the addresses of a side: how many were left out. */
static void end_addresses(struct screen *screen)
{
	if (screen->addresses > ADDRESSES)
		fprintf(screen->out, "  and %" PRIu32 " more; --json names them\n", screen->addresses - ADDRESSES);
	screen->addresses = 0;
}

/* What of the router itself the WAN can reach. */
static bool print_open(struct screen *screen, const struct row *row)
{
	const char *tcp = row_text(row, "tcp"), *udp = row_text(row, "udp"), *answers = row_text(row, "answers");
	uint64_t kept = row_number(row, "kept");
	char text[OPEN_TEXT], connections[64] = "", *safe;
	bool is_auto = !strcmp(row_text(row, "in-use-at-start"), "open");

	if (kept)
		snprintf(connections, sizeof(connections), "; %" PRIu64 " connection%s from before the start", kept,
			 kept == 1 ? "" : "s");
	snprintf(text, sizeof(text), "open to the WAN: %s%s%s%s%s%secho%s%s%s%s%s", tcp[0] ? "TCP " : "", tcp,
		 tcp[0] ? ", " : "", udp[0] ? "UDP " : "", udp, udp[0] ? ", " : "",
		 is_auto ? " (host_ports = auto: whatever was in use at the start)" : "", answers[0] ? ", and " : "",
		 answers, answers[0] ? " for answers (UDP: from anybody)" : "", connections);
	safe = human_escape(text);
	if (!safe)
		return false;
	fputs("  ", screen->out);
	wrap_print(screen->out, safe, 2, INDENT, screen->room);
	fputc('\n', screen->out);
	free(safe);
	return true;
}

static bool print_traffic(struct screen *screen, const struct row *row)
{
	char bytes[HUMAN_MAX];

	human_bytes(bytes, row_number(row, "bytes"));
	fputs(strcmp(screen->kind, "traffic") ? "\n" : "", screen->out);
	print_label(screen, COLOUR_BOLD, !strcmp(row_text(row, "side"), "lan") ? "from LAN" : "from WAN");
	print_rest(screen, strlen("from LAN"),
		   ": %" PRIu64 " packets, %s: %" PRIu64 " forwarded, %" PRIu64 " for the router, %" PRIu64
		   " held, %" PRIu64 " dropped",
		   row_number(row, "packets"), bytes, row_number(row, "forwarded"), row_number(row, "consumed"),
		   row_number(row, "held"), row_number(row, "dropped"));
	return true;
}

/* The same as a column, cut to its width. */
static bool print_column(struct screen *screen, int width, const char *text)
{
	char *safe = human_escape(text);

	if (!safe)
		return false;
	fprintf(screen->out, "%-*.*s  ", width, width, safe);
	free(safe);
	return true;
}

/* Where there is little room the states that do not last are left out. */
static bool print_service(struct screen *screen, const struct row *row)
{
	static const struct {
		const char *state;
		bool is_short;
	} states[] = {{"requested", false}, {"negotiating", false}, {"connected", false},
		      {"blocked", false},   {"clearing", true},     {"ended", true}};
	bool is_narrow = screen->room > 0 && screen->room < SERVICES, is_first = strcmp(screen->kind, "service") != 0;

	if (is_first) {
		fputc('\n', screen->out);
		print_label(screen, COLOUR_BOLD, "service  mode ");
		for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
			if (is_narrow && states[i].is_short)
				continue;
			fputs("  ", screen->out);
			print_label(screen, COLOUR_BOLD, states[i].state);
		}
		fputc('\n', screen->out);
	}
	if (!print_column(screen, 7, row_text(row, "service")) || !print_column(screen, 5, row_text(row, "mode")))
		return false;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (!is_narrow || !states[i].is_short)
			fprintf(screen->out, "%s%*" PRIu64, i == 0 ? "" : "  ", (int)strlen(states[i].state),
				row_number(row, states[i].state));
	fputc('\n', screen->out);
	return true;
}

static bool print_warning(struct screen *screen, const struct row *row)
{
	char *safe = human_escape(row_text(row, "text"));

	if (!safe)
		return false;
	fputs(strcmp(screen->kind, "warning") ? "\n" : "", screen->out);
	screen->warnings++;
	print_label(screen, COLOUR_YELLOW, "warning: ");
	wrap_print(screen->out, safe, WARNING, WARNING, screen->room);
	fputc('\n', screen->out);
	free(safe);
	return true;
}

static const struct {
	const char *kind;
	bool (*print)(struct screen *screen, const struct row *row);
} kinds[] = {
	{"daemon", print_daemon},   {"interface", print_interface}, {"address", print_address}, {"open", print_open},
	{"traffic", print_traffic}, {"service", print_service},     {"warning", print_warning},
};

void screen_start(struct screen *screen, FILE *out, bool in_colour, uint32_t room)
{
	*screen = (struct screen){.out = out, .in_colour = in_colour, .room = room};
}

bool screen_add(struct screen *screen, const struct row *row)
{
	const char *kind = row_text(row, "kind");
	bool good = true;

	if (strcmp(kind, "address") != 0)
		end_addresses(screen);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].kind, kind))
			good = kinds[i].print(screen, row);
	snprintf(screen->kind, sizeof(screen->kind), "%s", kind);
	return good;
}

void screen_end(struct screen *screen)
{
	if (screen->warnings == 0) {
		fputc('\n', screen->out);
		print_label(screen, COLOUR_GREEN, "no warnings");
		fputc('\n', screen->out);
	}
}
