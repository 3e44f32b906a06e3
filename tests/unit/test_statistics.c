/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The statistics as text: sums that come out even, every reason by its name, and silence about what is zero.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observe/statistics.h"

enum { LAN_HOST = 0xc0a84d0b, REMOTE = 0xcb007101, OUTSIDE = 0xcb007102 };

struct fixture {
	void *arena;
	struct engine *engine;
	char text[32 * 1024];
	size_t used;
};

static void collect(void *context, const char *line)
{
	struct fixture *fixture = context;
	int length = snprintf(fixture->text + fixture->used, sizeof(fixture->text) - fixture->used, "%s\n", line);

	assert_true(length > 0 && (size_t)length < sizeof(fixture->text) - fixture->used);
	fixture->used += (size_t)length;
}

static int set_up(void **state)
{
	static const struct engine_limits limits = {.flows = 64, .hosts = 4, .addresses = 1, .fragments = 16};
	static const uint8_t seed[32] = {1};
	const struct address outside = {OUTSIDE};
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct engine_config *config = calloc(1, sizeof(*config));
	size_t size = engine_arena_size(&limits);

	if (!fixture || !config || !size)
		return -1;
	fixture->arena = aligned_alloc(64, (size + 63) / 64 * 64);
	engine_config_default(config);
	fixture->engine = engine_new(fixture->arena, size, &limits, config, seed, false, 1000);
	free(config);
	*state = fixture;
	if (!fixture->engine)
		return -1;
	engine_set_outside(fixture->engine, &outside, 1, 1000);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	engine_free(fixture->engine);
	free(fixture->arena);
	free(fixture);
	return 0;
}

static void throw_away(void *context, enum side from, enum side to, struct packet *packet, enum origin origin)
{
	(void)context;
	(void)to;
	(void)packet;
	(void)from;
	(void)origin;
}

static void process(struct fixture *fixture, enum side from, uint8_t *data, uint32_t length)
{
	const struct engine_sink sink = {.emit = throw_away};
	struct packet packet = {.data = data, .length = length};

	engine_process(fixture->engine, from, &packet, 1, 1000, &sink, NULL);
}

/* A GRE packet: 20 bytes of IPv4 with a right checksum, and 8 more. */
static void process_gre(struct fixture *fixture)
{
	uint8_t data[28] = {0x45, 0, 0, 28, 0, 1, 0, 0, 64, 47};
	struct packet packet = {.data = data, .length = sizeof(data)};
	uint32_t sum = 0;

	packet_put32(&packet, 12, LAN_HOST);
	packet_put32(&packet, 16, REMOTE);
	for (uint32_t i = 0; i < 20; i += 2)
		sum += packet_get16(&packet, i);
	sum = (sum & 0xffff) + (sum >> 16);
	packet_put16(&packet, 10, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
	process(fixture, SIDE_LAN, data, sizeof(data));
}

static void prints_what_happened(void **state)
{
	struct fixture *fixture = *state;
	uint8_t garbage[4] = {0x45};

	process_gre(fixture);
	process(fixture, SIDE_WAN, garbage, 4);
	process(fixture, SIDE_WAN, garbage, 3);
	engine_count_drop(fixture->engine, SIDE_LAN, DROP_LINK_DOWN, COUNTED_FORWARDED);
	statistics_print(fixture->engine, 1000, false, collect, fixture);
	assert_non_null(strstr(fixture->text,
			       "from LAN: received 1 (28 bytes) = forwarded 0 + consumed 0 + held 0 + dropped 1\n"));
	assert_non_null(strstr(fixture->text, "from WAN: received 2 "));
	assert_non_null(strstr(fixture->text, "= forwarded 0 + consumed 0 + held 0 + dropped 2\n"));
	assert_non_null(strstr(fixture->text, "flows: 1, mappings: "));
	assert_non_null(strstr(fixture->text, "flows of GRE: 1\n"));
	assert_non_null(strstr(fixture->text, "flows_created: 1 ("));
	assert_non_null(strstr(fixture->text, "dropped ip_short: 0 from LAN, 2 from WAN: "));
	assert_non_null(strstr(fixture->text, "dropped link_down: 1 from LAN, 0 from WAN: "));
	assert_null(strstr(fixture->text, "ip_version"));
	assert_null(strstr(fixture->text, "flows_closed"));
	assert_null(strstr(fixture->text, "SUM IS WRONG"));
}

static void prints_all(void **state)
{
	struct fixture *fixture = *state;
	char line[128];

	statistics_print(fixture->engine, 1000, true, collect, fixture);
	for (unsigned int i = DROP_NONE + 1; i < DROPS; i++) {
		snprintf(line, sizeof(line), "\ndropped %s: 0 from LAN, 0 from WAN: ", drop_name((enum drop)i));
		assert_non_null(strstr(fixture->text, line));
	}
	for (unsigned int i = 0; i < STATS; i++) {
		snprintf(line, sizeof(line), "\n%s: 0 (", stat_name((enum statistic)i));
		assert_non_null(strstr(fixture->text, line));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(prints_what_happened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(prints_all, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
