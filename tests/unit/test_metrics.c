/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metrics as text: each line by its grammar, each list whole, values where they belong, counters that never go back.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "datapath/datapath.h"
#include "io/kernel.h"
#include "observe/metrics.h"

struct fixture {
	struct metrics metrics;
	struct metrics_census census;
	struct outside_view outside;
	struct engine_counters engine;
	struct datapath_counters datapath;
	struct kernel_links links;
	struct config config;
	char *text;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	config_default(&fixture->config);
	metrics_start(&fixture->metrics, 1000500);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	free(fixture->text);
	free(fixture);
	return 0;
}

static void make(struct fixture *fixture)
{
	const struct metrics_view view = {
		.engine = &fixture->engine,
		.datapath = &fixture->datapath,
		.links = &fixture->links,
		.config = &fixture->config,
		.census = &fixture->census,
		.outside = &fixture->outside,
		.outsides = 1,
		.port_limit = {1000, 2000},
		.cpu_s = 1.25,
		.is_on_trial = true,
		.resident_bytes = 4096,
		.open_fds = 7,
	};
	size_t length = 0;

	free(fixture->text);
	fixture->text = metrics_text(&fixture->metrics, &view, &length);
	assert_non_null(fixture->text);
	assert_int_equal(strlen(fixture->text), length);
}

/* The text has exactly this line. */
static void expect(struct fixture *fixture, const char *line)
{
	char framed[256];

	snprintf(framed, sizeof(framed), "\n%s\n", line);
	if (!strstr(fixture->text, framed))
		fail_msg("not in the text: %s", line);
}

static size_t count(const char *text, const char *part)
{
	size_t found = 0;

	for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
		found++;
	return found;
}

static void shows_packets(void **state)
{
	struct fixture *fixture = *state;

	fixture->engine.received[SIDE_LAN] = UINT64_MAX;
	fixture->engine.bytes[SIDE_WAN] = 12345678901;
	fixture->engine.dropped[SIDE_WAN][DROP_UNSOLICITED] = 7;
	fixture->engine.held[SIDE_LAN] = 3;
	fixture->engine.stat[STAT_ESP_PAIRED] = 11;
	fixture->engine.flows = 5;
	fixture->datapath.sent_bytes[SIDE_LAN] = 99;
	fixture->config.service[SERVICE_PPTP] = MODE_BLOCK;
	make(fixture);
	expect(fixture, "culvert_received_packets_total{side=\"lan\"} 18446744073709551615");
	expect(fixture, "culvert_received_bytes_total{side=\"wan\"} 12345678901");
	expect(fixture, "culvert_dropped_packets_total{side=\"wan\",reason=\"unsolicited\"} 7");
	expect(fixture, "culvert_dropped_packets_total{side=\"lan\",reason=\"unsolicited\"} 0");
	expect(fixture, "culvert_held_packets{side=\"lan\"} 3");
	expect(fixture, "culvert_esp_paired_total 11");
	expect(fixture, "# HELP culvert_esp_paired_total Inbound SPIs that were bound to an inside host.");
	expect(fixture, "# TYPE culvert_esp_paired_total counter");
	expect(fixture, "culvert_flows 5");
	expect(fixture, "culvert_flows_limit 262144");
	expect(fixture, "culvert_start_time_seconds 1000.500");
	expect(fixture, "culvert_cpu_seconds_total 1.250");
	expect(fixture, "culvert_sent_bytes_total{side=\"lan\"} 99");
	expect(fixture, "process_resident_memory_bytes 4096");
	expect(fixture, "process_open_fds 7");
	assert_null(strstr(fixture->text, "process_max_fds")); /* not known */
	expect(fixture, "culvert_config_trial 1");
	expect(fixture, "culvert_config_restart_needed 0");
	expect(fixture, "culvert_service_mode{service=\"pptp\",part=\"pptp\",mode=\"block\"} 1");
	expect(fixture, "culvert_service_mode{service=\"pptp\",part=\"pptp\",mode=\"pass\"} 0");
	expect(fixture, "culvert_service_mode{service=\"ipsec\",part=\"natt\",mode=\"pass\"} 1");
	assert_int_equal(count(fixture->text, "\nculvert_service_mode{"), PARTS * 3);
}

static void shows_each_entry_of_the_lists(void **state)
{
	struct fixture *fixture = *state;
	char line[128];

	make(fixture);
	assert_int_equal(count(fixture->text, "\nculvert_dropped_packets_total{"), SIDES * (DROPS - 1));
	assert_int_equal(count(fixture->text, "\nculvert_hinted_tunnels{"), HINTS - 1);
	assert_int_equal(count(fixture->text, "\nculvert_tunnels_down_total{"), SERVICES * (ENDS - 1));
	assert_int_equal(count(fixture->text, "\nculvert_tunnels{"), SERVICES * TUNNEL_IS_ENDED);
	for (int i = 0; i < STATS; i++) {
		snprintf(line, sizeof(line), "culvert_%s_total 0", stat_name((enum statistic)i));
		expect(fixture, line);
	}
}

static void shows_links_and_the_data_path(void **state)
{
	struct fixture *fixture = *state;

	fixture->links.wan.up = true;
	fixture->links.wan.address_count = 2;
	fixture->links.lan.mtu = 1400;
	fixture->datapath.lost[SIDE_WAN] = 9;
	fixture->datapath.refused[SIDE_LAN] = 8;
	fixture->datapath.waited = 6;
	fixture->outside = (struct outside_view){.address = {0xc6336402}, .tcp_ports = 5, .udp_ports = 64512};
	make(fixture);
	expect(fixture, "culvert_outside_ports{address=\"198.51.100.2\",protocol=\"tcp\"} 5");
	expect(fixture, "culvert_outside_ports{address=\"198.51.100.2\",protocol=\"udp\"} 64512");
	expect(fixture, "culvert_outside_ports{address=\"198.51.100.2\",protocol=\"icmp\"} 0");
	expect(fixture, "culvert_outside_ports_limit{protocol=\"udp\"} 2000");
	expect(fixture, "culvert_link_up{side=\"wan\"} 1");
	expect(fixture, "culvert_link_up{side=\"lan\"} 0");
	expect(fixture, "culvert_link_mtu_bytes{side=\"lan\"} 1400");
	expect(fixture, "culvert_outside_addresses 2");
	expect(fixture, "culvert_lost_packets_total{side=\"wan\"} 9");
	expect(fixture, "culvert_refused_packets_total{side=\"lan\"} 8");
	expect(fixture, "culvert_next_hop_waits_total 6");
}

static void counts_events(void **state)
{
	struct fixture *fixture = *state;
	struct tunnel_view view = {.service = SERVICE_L2TP, .silent = -1};

	metrics_count_event(&fixture->metrics, EVENT_TUNNEL_UP, &view);
	metrics_count_event(&fixture->metrics, EVENT_TUNNEL_UP, &view);
	view.end = END_NO_ANSWER;
	metrics_count_event(&fixture->metrics, EVENT_TUNNEL_DOWN, &view);
	view.service = SERVICE_PPTP;
	metrics_count_event(&fixture->metrics, EVENT_NOT_UNDERSTOOD, &view);
	view.service = SERVICE_NONE; /* nothing there to count it for */
	metrics_count_event(&fixture->metrics, EVENT_TUNNEL_UP, &view);
	make(fixture);
	expect(fixture, "culvert_tunnels_up_total{service=\"l2tp\"} 2");
	expect(fixture, "culvert_tunnels_up_total{service=\"pptp\"} 0");
	expect(fixture, "culvert_tunnels_down_total{service=\"l2tp\",reason=\"no_answer\"} 1");
	expect(fixture, "culvert_tunnels_down_total{service=\"l2tp\",reason=\"refused\"} 0");
	expect(fixture, "culvert_tunnels_not_understood_total{service=\"pptp\"} 1");
}

static void shows_the_census(void **state)
{
	struct fixture *fixture = *state;

	fixture->census.tunnels[SERVICE_IPSEC][TUNNEL_IS_CONNECTED] = 4;
	fixture->census.silent[SERVICE_IPSEC] = 2;
	fixture->census.hints[HINT_NO_ANSWER] = 1;
	make(fixture);
	expect(fixture, "culvert_tunnels{service=\"ipsec\",state=\"connected\"} 4");
	expect(fixture, "culvert_silent_tunnels{service=\"ipsec\"} 2");
	expect(fixture, "culvert_hinted_tunnels{hint=\"no_answer\"} 1");
}

static void remembers_reloads(void **state)
{
	struct fixture *fixture = *state;

	make(fixture);
	expect(fixture, "culvert_config_last_reload_successful 1");
	metrics_reloaded(&fixture->metrics, false, 2000000);
	make(fixture);
	expect(fixture, "culvert_config_last_reload_successful 0");
	expect(fixture, "culvert_config_last_reload_success_timestamp_seconds 1000.500");
	metrics_reloaded(&fixture->metrics, true, 3000000);
	make(fixture);
	expect(fixture, "culvert_config_last_reload_successful 1");
	expect(fixture, "culvert_config_last_reload_success_timestamp_seconds 3000.000");
}

/* A reader takes a counter that falls for one that began anew. */
static void never_goes_back(void **state)
{
	struct fixture *fixture = *state;

	fixture->engine.forwarded[SIDE_LAN] = 100;
	make(fixture);
	expect(fixture, "culvert_forwarded_packets_total{side=\"lan\"} 100");
	fixture->engine.forwarded[SIDE_LAN] = 98;
	make(fixture);
	expect(fixture, "culvert_forwarded_packets_total{side=\"lan\"} 100");
	fixture->engine.forwarded[SIDE_LAN] = 101;
	make(fixture);
	expect(fixture, "culvert_forwarded_packets_total{side=\"lan\"} 101");
}

static bool is_name(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && text[i] != '_')
			return false;
	/* those that all programs have under the same name, and our own */
	return length > strlen("culvert_") && (!strncmp(text, "culvert_", 8) || !strncmp(text, "process_", 8));
}

/* HELP, TYPE, then samples of that name, and no name twice. */
static void has_the_form(void **state)
{
	struct fixture *fixture = *state;
	char *rest, *line, name[128] = "", again[128], type[16] = "";
	size_t families = 0;

	make(fixture);
	assert_true(fixture->text[strlen(fixture->text) - 1] == '\n');
	for (line = strtok_r(fixture->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t length = strcspn(line, "{ ");

		if (!strncmp(line, "# HELP ", 7)) {
			length = strcspn(line + 7, " ");
			assert_true(is_name(line + 7, length) && line[7 + length] == ' ');
			assert_true(isupper((unsigned char)line[8 + length]) && line[strlen(line) - 1] == '.');
			assert_null(strchr(line, '\\'));
			snprintf(name, sizeof(name), "%.*s", (int)length, line + 7);
			line = strtok_r(NULL, "\n", &rest);
			assert_non_null(line);
			assert_int_equal(sscanf(line, "# TYPE %127s %15s", again, type), 2);
			assert_string_equal(again, name);
			assert_true(!strcmp(type, "gauge") || !strcmp(type, "counter"));
			assert_int_equal(strlen(name) > 6 && !strcmp(name + strlen(name) - 6, "_total"),
					 !strcmp(type, "counter"));
			families++;
			continue;
		}
		assert_int_equal(length, strlen(name));
		assert_memory_equal(line, name, length);
		assert_true(isdigit((unsigned char)line[strlen(line) - 1]));
	}
	assert_true(families > STATS + 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shows_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shows_each_entry_of_the_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shows_links_and_the_data_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts_events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shows_the_census, set_up, tear_down),
		cmocka_unit_test_setup_teardown(remembers_reloads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(never_goes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(has_the_form, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
