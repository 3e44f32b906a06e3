/* SPDX-License-Identifier: BSD-2-Clause */
/* From rows to frames, and rates from two of them. */
#include <stdlib.h>
#include <string.h>

#include "ctl/top_view.h"

static void copy(char *out, size_t size, const struct row *row, const char *name)
{
	snprintf(out, size, "%s", row_text(row, name));
}

static void copy_traffic(uint64_t bytes[2], uint64_t packets[2], const struct row *row)
{
	bytes[0] = row_number(row, "bytes-out");
	bytes[1] = row_number(row, "bytes-in");
	packets[0] = row_number(row, "packets-out");
	packets[1] = row_number(row, "packets-in");
}

void top_frame_start(struct top_frame *frame)
{
	memset(frame, 0, sizeof(*frame));
}

static void add_summary(struct top_frame *frame, const struct row *row)
{
	copy(frame->version, sizeof(frame->version), row, "version");
	frame->uptime = row_number(row, "uptime");
	frame->uptime_ms = row_number(row, "uptime-ms");
	frame->flows = row_number(row, "flows");
	frame->flows_limit = row_number(row, "flows-limit");
	frame->mappings = row_number(row, "mappings");
	frame->hosts = row_number(row, "hosts");
	frame->tunnels = row_number(row, "tunnels");
	copy_traffic(frame->bytes, frame->packets, row);
}

static void add_line(struct top_frame *frame, const struct row *row)
{
	const struct row_member *age = row_find(row, "age");
	struct top_line *line;

	if (frame->lines == TOP_LINES_MAX)
		return;
	line = &frame->line[frame->lines++];
	copy(line->inside, sizeof(line->inside), row, "internal-src-address");
	copy(line->remote, sizeof(line->remote), row, "external-dst-address");
	copy(line->id, sizeof(line->id), row, "id");
	copy(line->state, sizeof(line->state), row, "state");
	copy(line->hint, sizeof(line->hint), row, "hint");
	line->flows = row_number(row, "flows");
	line->tunnels = row_number(row, "tunnels");
	line->has_age = age && age->type == ROW_NUMBER;
	line->age = row_number(row, "age");
	copy_traffic(line->bytes, line->packets, row);
}

static void add_drop(struct top_frame *frame, const struct row *row)
{
	struct top_drop *drop;

	if (frame->drops == TOP_DROPS_MAX)
		return;
	drop = &frame->drop[frame->drops++];
	copy(drop->reason, sizeof(drop->reason), row, "reason");
	copy(drop->meaning, sizeof(drop->meaning), row, "meaning");
	drop->packets[0] = row_number(row, "packets-lan");
	drop->packets[1] = row_number(row, "packets-wan");
	drop->last_minute = row_number(row, "packets-last-minute");
}

void top_frame_add(struct top_frame *frame, const struct row *row)
{
	const char *kind = row_text(row, "kind");

	if (!strcmp(kind, "summary"))
		add_summary(frame, row);
	else if (!strcmp(kind, "tunnel") || !strcmp(kind, "host"))
		add_line(frame, row);
	else if (!strcmp(kind, "drop"))
		add_drop(frame, row);
}

static bool is_same(const struct top_line *a, const struct top_line *b)
{
	return !strcmp(a->id, b->id) && !strcmp(a->inside, b->inside) && !strcmp(a->remote, b->remote);
}

/* A second; what went back (a flow ended, the daemon is another one) is no rate. */
static uint64_t rate_of(uint64_t now, uint64_t before, uint64_t passed_ms)
{
	uint64_t more = now - before;

	if (now <= before || passed_ms == 0)
		return 0;
	return more <= UINT64_MAX / 1000 ? more * 1000 / passed_ms : more / passed_ms * 1000;
}

static uint64_t rate_of_both(const uint64_t now[2], const uint64_t before[2], uint64_t passed_ms)
{
	return rate_of(now[0] + now[1], before[0] + before[1], passed_ms);
}

/* The latest trouble first. */
static int compare_drops(const void *left, const void *right)
{
	const struct top_drop *a = left, *b = right;
	uint64_t in_all[2] = {a->packets[0] + a->packets[1], b->packets[0] + b->packets[1]};

	if (a->last_minute != b->last_minute)
		return a->last_minute < b->last_minute ? 1 : -1;
	if (in_all[0] != in_all[1])
		return in_all[0] < in_all[1] ? 1 : -1;
	return strcmp(a->reason, b->reason);
}

static void rate_lines(struct top_frame *frame, const struct top_frame *before, enum top_sort sort, uint64_t passed_ms)
{
	for (uint32_t i = 0; i < frame->lines; i++) {
		struct top_line *line = &frame->line[i];

		for (uint32_t j = 0; j < before->lines; j++) {
			const struct top_line *old = &before->line[j];

			if (!is_same(line, old))
				continue;
			line->rate = sort == TOP_BY_PACKETS ? rate_of_both(line->packets, old->packets, passed_ms)
							    : rate_of_both(line->bytes, old->bytes, passed_ms);
			break;
		}
	}
}

static void rate_drops(struct top_frame *frame, const struct top_frame *before, uint64_t passed_ms)
{
	static const uint64_t none[2]; /* reasons without packets are not sent */

	for (uint32_t i = 0; i < frame->drops; i++) {
		const uint64_t *old = none;

		for (uint32_t j = 0; j < before->drops; j++)
			if (!strcmp(frame->drop[i].reason, before->drop[j].reason))
				old = before->drop[j].packets;
		frame->drop[i].rate = rate_of_both(frame->drop[i].packets, old, passed_ms);
	}
}

void top_frame_end(struct top_frame *frame, const struct top_frame *before, enum top_sort sort)
{
	uint64_t passed_ms = 0;

	frame->is_there = true;
	qsort(frame->drop, frame->drops, sizeof(frame->drop[0]), compare_drops);
	if (before->is_there && frame->uptime_ms > before->uptime_ms)
		passed_ms = frame->uptime_ms - before->uptime_ms;
	frame->has_rates = passed_ms > 0;
	for (int i = 0; i < 2; i++) {
		frame->packet_rate[i] = rate_of(frame->packets[i], before->packets[i], passed_ms);
		frame->byte_rate[i] = rate_of(frame->bytes[i], before->bytes[i], passed_ms);
	}
	rate_lines(frame, before, sort, passed_ms);
	rate_drops(frame, before, passed_ms);
}
