/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts at their limit as the log names them, and drops of the last minute by side.
 */
#include <stdio.h>
#include <string.h>

#include "observe/drop_rates.h"
#include "observe/log.h"
#include "observe/quota.h"
#include "rig.h"

enum { LIMIT = 10, TEN_MINUTES = 10 * MINUTE };

/* In place of the log's own. */
static char said[QUOTA_TEXT];
static uint32_t lines;

void log_write(struct log *log, int level, const char *format, ...)
{
	va_list arguments;

	(void)log;
	(void)level;
	va_start(arguments, format);
	vsnprintf(said, sizeof(said), format, arguments);
	va_end(arguments);
	lines++;
}

static void use_up(struct rig *rig, uint32_t inside)
{
	for (uint16_t i = 0; i < LIMIT; i++)
		rig_udp(rig, SIDE_LAN, inside, (uint16_t)(5000 + i), W1, 7);
	rig_udp(rig, SIDE_LAN, inside, 6000, W1, 7);
	rig_dropped(rig, DROP_HOST_LIMIT);
}

static uint32_t look(struct rig *rig, struct quota *quota)
{
	uint32_t before = lines;

	quota_look(quota, rig->engine, LIMIT, NULL, rig->now);
	return lines - before;
}

static void hosts_are_named_once(void **state)
{
	struct quota quota = {.dropped = 0};
	struct rig *rig = *state;

	rig->config.host_flows = LIMIT;
	rig_configure(rig);
	assert_int_equal(look(rig, &quota), 0);
	use_up(rig, L1);
	assert_int_equal(look(rig, &quota), 1);
	assert_string_equal(said,
			    "10.0.0.2 has reached [limits] host_flows (10): its new connections are dropped; find "
			    "out what it does, or raise host_flows");
	assert_int_equal(look(rig, &quota), 0);
	use_up(rig, L2);
	assert_int_equal(look(rig, &quota), 1);
	assert_non_null(strstr(said, "10.0.0.3 has reached"));
	rig_wait(rig, TEN_MINUTES);
	use_up(rig, L1);
	assert_int_equal(look(rig, &quota), 1);
	assert_non_null(strstr(said, "10.0.0.2 has reached"));
}

static void what_came_from_outside_is_told_apart(void **state)
{
	struct quota quota = {.dropped = 0};
	struct rig *rig = *state;

	rig->config.host_flows = LIMIT;
	rig->config.forward[0] = (struct forward){PROTO_TCP, 8080, 8080, {L1}, 80};
	rig->config.forwards = 1;
	rig_configure(rig);
	for (uint16_t i = 0; i <= LIMIT / 2; i++)
		rig_tcp(rig, SIDE_WAN, W1, (uint16_t)(5000 + i), O1, 8080, FLAG_SYN, 77, 0);
	rig_dropped(rig, DROP_HOST_LIMIT);
	assert_int_equal(look(rig, &quota), 1);
	assert_string_equal(said,
			    "10.0.0.2 has 5 flows that came from outside, which is half of [limits] host_flows: new "
			    "ones from outside are dropped");
}

/* More hosts than are remembered: some are named again, none is forgotten. */
static void many_hosts(void **state)
{
	struct quota quota = {.dropped = 0};
	struct rig *rig = *state;
	uint32_t told = 0;

	rig->limits.hosts = 64;
	rig->limits.flows = 1024;
	rig->config.host_flows = LIMIT;
	rig_restart(rig);
	for (uint32_t i = 0; i < 40; i++)
		use_up(rig, L1 + i);
	for (int i = 0; i < 3; i++) {
		told += look(rig, &quota);
		rig_udp(rig, SIDE_LAN, L1, 6000, W1, 7);
	}
	assert_true(told >= 40);
}

static void drops_by_side(void **state)
{
	static struct drop_rates rates;
	struct engine_counters counters = {.received = {10, 20}};

	(void)state;
	counters.dropped[SIDE_LAN][DROP_FILTERED] = 3;
	drop_rates_sample(&rates, &counters, 1000);
	counters.received[SIDE_LAN] = 15;
	counters.dropped[SIDE_LAN][DROP_FILTERED] = 7;
	counters.dropped[SIDE_WAN][DROP_FILTERED] = 1;
	assert_int_equal(drop_rates_of_side(&rates, &counters, SIDE_LAN, DROP_FILTERED, 2000), 4);
	assert_int_equal(drop_rates_of_side(&rates, &counters, SIDE_WAN, DROP_FILTERED, 2000), 1);
	assert_int_equal(drop_rates_of_side(&rates, &counters, SIDE_LAN, DROP_NONE, 2000), 5);
	assert_int_equal(drop_rates_of_side(&rates, &counters, SIDE_WAN, DROP_NONE, 2000), 0);
	assert_int_equal(drop_rates_last_minute(&rates, &counters, DROP_FILTERED, 2000), 5);
	assert_int_equal(drop_rates_last_minute(&rates, &counters, DROP_FILTERED, 61001), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(hosts_are_named_once),
		rig_test(what_came_from_outside_is_told_apart),
		rig_test(many_hosts),
		cmocka_unit_test(drops_by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
