/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration: each key both ways, files and the command line, and what the engine is told. Its errors are in
 * test_config_errors.c.
 */
#include "config_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "config/config_keys.h"
#include "io/kernel.h"

static void defaults(void **state)
{
	struct fixture *fixture = *state;
	const struct config *config = &fixture->config;

	fixture_expect_good(fixture, LAN);
	assert_string_equal(fixture->report.text, "");
	assert_string_equal(config->lan_interface, "eth1");
	assert_string_equal(config->tun, "cv0");
	assert_string_equal(config->wan_interface, "");
	assert_int_equal(config->mapping, ENDPOINT_INDEPENDENT);
	assert_int_equal(config->filtering, ADDRESS_DEPENDENT);
	assert_true(config->hairpinning && config->clamp_mss && config->offload);
	assert_false(config->refresh_inbound);
	assert_int_equal(config->icmp_rate, 100);
	assert_int_equal(config->timeout[TIMEOUT_UDP], 300);
	assert_int_equal(config->timeout[TIMEOUT_TCP_ESTABLISHED], 7440);
	assert_int_equal(config->flows, 262144);
	assert_int_equal(config->host_flows, 16384);
	assert_int_equal(config->hosts, 4096);
	assert_int_equal(config->fragments, 1024);
	assert_int_equal(config->addresses, 16);
	for (int i = 0; i < SERVICES; i++)
		assert_int_equal(config->service[i], MODE_PASS);
	for (int i = 0; i < PARTS; i++)
		assert_int_equal(config->part[i], PART_MODE_INHERIT);
	assert_false(config->esp_fanout);
	assert_int_equal(config->forwards, 0);
	assert_string_equal(config->control_socket, "");
	assert_string_equal(config->metrics_listen, "");
	assert_string_equal(config->log_target, "auto");
	assert_int_equal(config->log_level, LOG_INFO);
}

/* The table itself: every default is a good value, and every floor is below it. */
static void table_is_sound(void **state)
{
	struct fixture *fixture = *state;
	char problem[PROBLEM_MAX];

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		assert_true(key->sentence[0]);
		assert_true(key->low <= key->high);
		assert_false(config_key_is_list(key) && key->restart); /* config_keep_fixed() */
		if (!config_key_is_list(key) && !config_key_parse(key, &fixture->config, key->initial, problem))
			fail_msg("[%s] %s = %s %s", key->section, key->name, key->initial, problem);
	}
}

/* Everything different from its default; printed and read again it is the same. */
static const char everything[] =
	"[lan]\ninterface = br-lan\ntun = tun7\n"
	"[wan]\ninterface = ppp0\nhost_ports = 22, udp:123, tcp:8000-8010 auto 65535\noffload = no\n"
	"[nat]\nmapping = address-dependent\nfiltering = address-and-port-dependent\nhairpinning = no\n"
	"bypass = 10.0.0.0/8, 192.168.0.0/16\n\t172.16.0.0/12 0.0.0.0/0 1.2.3.4\nclamp_mss = no\n"
	"refresh_inbound = yes\nicmp_rate = 0\n"
	"[timeouts]\nudp = 120\nudp_dns = 5\nudp_vpn = 301\ntcp_opening = 241\ntcp_established = 604800\n"
	"tcp_closing = 241\nicmp = 61\ngre = 30\ngre_call = 601\nesp = 120\nesp_opening = 3\nother = 30\nfragment = "
	"5\nhold_down = 0\n"
	"[limits]\nflows = 4194304\nhost_flows = 1\nhosts = 65536\nfragments = 16\naddresses = 64\ntunnels = 32768\n"
	"[pptp]\nmode = block\n[l2tp]\nmode = plain\n[ipsec]\nmode = block\nike = pass\nnatt = plain\nesp = pass\nah = "
	"pass\nesp_fanout = yes\n"
	"[control]\nsocket = /tmp/x\n[metrics]\nlisten = 127.0.0.1:1\n[log]\ntarget = /var/log/c.log\nlevel = debug\n"
	"[forward:a]\nprotocol = tcp+udp\nport = 80-90\nto = 10.1.2.3:8080\n"
	"[forward:b]\nprotocol = 41\nto = 10.1.2.4\n"
	"[forward:c]\nservice = l2tp\nto = 10.1.2.5\n"
	"[forward:d]\nprotocol = gre\nto = 10.1.2.5\n"
	"[forward:e]\nprotocol = 6\nport = 1000\nto = 10.1.2.5\n";

static void print_to(const struct config *config, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");

	assert_non_null(out);
	config_print(config, out);
	assert_int_equal(fclose(out), 0);
}

static void prints_what_it_reads(void **state)
{
	struct fixture *fixture = *state;
	struct config *config = &fixture->config;
	static char text[65536], again[65536];

	fixture_expect_good(fixture, everything);
	assert_string_equal(fixture->report.text, "");
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		config_default(&fixture->again);
		if (config_key_equal(&config_keys[i], config, &fixture->again))
			fail_msg("[%s] %s was not set by the test", config_keys[i].section, config_keys[i].name);
	}
	print_to(config, text, sizeof(text));
	fixture->again = *config;
	fixture_expect_good(fixture, text);
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		if (!config_key_equal(&config_keys[i], config, &fixture->again))
			fail_msg("[%s] %s is different after printing", config_keys[i].section, config_keys[i].name);
	}
	print_to(config, again, sizeof(again));
	assert_string_equal(text, again);
	assert_int_equal(config->forwards, 5);
	assert_int_equal(config->bypasses, 5);
	assert_true(port_set_has(&config->host_tcp, 8005) && !port_set_has(&config->host_udp, 8005));
	assert_true(port_set_has(&config->host_tcp, 65535) && port_set_has(&config->host_udp, 65535));
	assert_true(port_set_has(&config->host_udp, 123) && !port_set_has(&config->host_tcp, 123));
}

/* Lists that need many lines are printed in lines that can be read. */
static void prints_long_lists(void **state)
{
	struct fixture *fixture = *state;
	static char text[1 << 20];

	fixture_expect_good(fixture, LAN);
	for (uint32_t port = 1; port < 65535; port += 3)
		port_set_add(port % 2 ? &fixture->config.host_tcp : &fixture->config.host_udp, (uint16_t)port);
	for (uint32_t i = 0; i < PREFIXES_MAX; i++)
		fixture->config.bypass[fixture->config.bypasses++] = (struct prefix){{0x0a000000 + i}, 32};
	print_to(&fixture->config, text, sizeof(text));
	fixture->again = fixture->config;
	fixture_expect_good(fixture, text);
	assert_memory_equal(&fixture->again.host_tcp, &fixture->config.host_tcp, sizeof(struct port_set));
	assert_memory_equal(&fixture->again.host_udp, &fixture->config.host_udp, sizeof(struct port_set));
	assert_int_equal(fixture->config.bypasses, PREFIXES_MAX);
}

/* ssh is open unless the file says otherwise, and nothing else is. */
static void opens_ssh_by_default(void **state)
{
	static const struct port_set none;
	struct fixture *fixture = *state;
	struct config *config = &fixture->config;

	fixture_expect_good(fixture, LAN);
	assert_true(port_set_has(&config->host_tcp, 22) && !config->host_auto);
	assert_memory_equal(&config->host_udp, &none, sizeof(none));
	fixture_expect_good(fixture, LAN "[wan]\nhost_ports =\n");
	assert_memory_equal(&config->host_tcp, &none, sizeof(none));
	fixture_expect_good(fixture, LAN "[wan]\nhost_ports = udp:53\n");
	assert_false(port_set_has(&config->host_tcp, 22) || !port_set_has(&config->host_udp, 53));
	fixture_expect_good(fixture, LAN "[wan]\nhost_ports = auto, tcp:443\n");
	assert_true(config->host_auto && port_set_has(&config->host_tcp, 443) && !port_set_has(&config->host_tcp, 22));
	assert_string_equal(fixture->report.text, "");
	/* a forward of port 22 is asked for, the default is not */
	fixture_expect_good(fixture, LAN "[forward:a]\nprotocol = tcp\nport = 20-30\nto = 1.2.3.4\n");
	assert_memory_equal(&config->host_tcp, &none, sizeof(none));
	assert_non_null(
		strstr(fixture->report.text,
		       "W f:3: warning: [forward:a] takes TCP port 22; the WAN no longer reaches ssh on the router"));
}

static void reads_what_people_write(void **state)
{
	struct fixture *fixture = *state;

	fixture_expect_good(fixture, "\xef\xbb\xbf[lan]\r\ninterface=eth1 ; the inside\r\n");
	assert_string_equal(fixture->config.lan_interface, "eth1");
	fixture_expect_good(fixture,
			    "# caf\xc3\xa9\n\n[lan] # here\n   interface =\teth1\t# \xff\xfe\n\ttun = t\n; x = y\n");
	assert_string_equal(fixture->config.tun, "t");
	fixture_expect_good(fixture, LAN "tun = a"); /* no newline at the end */
	assert_string_equal(fixture->config.tun, "a");
	fixture_expect_good(fixture, LAN "[wan]\nhost_ports =\n # more\n\n  22\n\t23,\n 24,25\ninterface = w\n");
	assert_true(port_set_has(&fixture->config.host_tcp, 22) && port_set_has(&fixture->config.host_udp, 25));
	fixture_expect_good(fixture, LAN "[wan]\ninterface =\n");
}

static void command_line_wins(void **state)
{
	struct fixture *fixture = *state;
	static const char text[] = LAN "[wan]\ninterface = eth0\n";
	struct config_source source = {.path = "f", .lan = "lan7", .wan = "wan7"};

	assert_true(
		config_parse(&fixture->config, "f", text, strlen(text), &source, fixture_collect, &fixture->report));
	assert_string_equal(fixture->config.lan_interface, "lan7");
	assert_string_equal(fixture->config.wan_interface, "wan7");
	source.lan = "a\x1b/b";
	assert_false(
		config_parse(&fixture->config, "f", text, strlen(text), &source, fixture_collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "E culvertd: --lan a\\x1b/b: cannot be a network device"));
	source = (struct config_source){.lan = "x"};
	assert_true(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	assert_string_equal(fixture->config.lan_interface, "x");
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void reads_files(void **state)
{
	struct fixture *fixture = *state;
	char directory[] = "/tmp/culvert-test-config-XXXXXX", path[64], text[256];
	struct config_source source = {.path = path};

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/f", directory);
	assert_false(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	snprintf(text, sizeof(text), "E %s: cannot be opened: No such file or directory\nE %s: 1 error\n", path, path);
	assert_string_equal(fixture->report.text, text);
	source.optional = true;
	source.lan = "l";
	assert_true(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	source.optional = false;

	fixture->report.used = 0;
	write_file(path, LAN);
	assert_int_equal(chmod(path, 0646), 0);
	assert_true(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "warning: everybody may write to it"));
	assert_string_equal(fixture->config.lan_interface, "l");

	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0); /* would wait for a writer forever */
	assert_false(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "is not a file"));
	assert_int_equal(unlink(path), 0);
	source.path = directory;
	assert_false(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	source.path = "/dev/zero"; /* never ends */
	assert_false(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "/dev/zero: is larger than 1048576 bytes"));
	assert_int_equal(rmdir(directory), 0);
}

/* Writes a file of the directory "c.d" beside the configuration file "c.ini". */
static void write_drop_in(const char *directory, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/c.d/%s", directory, name);
	write_file(path, text);
}

static void remove_all(const char *directory)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

static void reads_drop_ins(void **state)
{
	struct fixture *fixture = *state;
	char directory[] = "/tmp/culvert-test-config-XXXXXX", path[64], text[256];
	struct config_source source = {.path = path};
	struct config *config = &fixture->config;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/c.ini", directory);
	snprintf(text, sizeof(text), "%s/c.d", directory);
	write_file(path, LAN "[timeouts]\nudp = 200\n[wan]\nhost_ports = 22, 23\n"
			     "[forward:a]\nprotocol = tcp\nport = 80\nto = 1.2.3.4\n");
	assert_true(config_load(config, &source, fixture_collect, &fixture->report));
	assert_int_equal(mkdir(text, 0700), 0);
	write_drop_in(directory, "20-b.ini", "[timeouts]\nudp = 202\n[forward:b]\nservice = pptp\nto = 1.2.3.5\n");
	write_drop_in(directory, "10-a.ini", "[timeouts]\nudp = 201\n[wan]\nhost_ports = 24\n[forward:a]\nport = 81\n");
	write_drop_in(directory, ".30.ini", "nonsense");
	write_drop_in(directory, "30.ini~", "nonsense");
	write_drop_in(directory, "ini", "nonsense");
	assert_true(config_load(config, &source, fixture_collect, &fixture->report));
	assert_string_equal(fixture->report.text, "");
	assert_int_equal(config->timeout[TIMEOUT_UDP], 202);
	assert_true(port_set_has(&config->host_tcp, 24) && !port_set_has(&config->host_tcp, 22));
	assert_int_equal(config->forwards, 2);
	assert_int_equal(config->forward[0].port_first, 81);
	assert_int_equal(config->forward[0].to_address.v4, 0x01020304);
	assert_int_equal(config->forward[1].to_address.v4, 0x01020305);

	remove_all(directory);
}

static void names_what_is_wrong_in_drop_ins(void **state)
{
	struct fixture *fixture = *state;
	char directory[] = "/tmp/culvert-test-config-XXXXXX", path[64], text[256];
	struct config_source source = {.path = path};
	struct config *config = &fixture->config;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/c.ini", directory);
	snprintf(text, sizeof(text), "%s/c.d", directory);
	assert_int_equal(mkdir(text, 0700), 0);
	write_file(path, LAN "[forward:a]\nprotocol = tcp\nport = 80\nto = 1.2.3.4\n");
	write_drop_in(directory, "10-a.ini", "[forward:a]\nport = 81\n");
	write_drop_in(directory, "20-b.ini",
		      "[timeouts]\nudp = 202\nudp = 203\n[forward:b]\n"
		      "protocol = tcp\nport = 81\nto = 1.2.3.5\n[nat]\nfoo = 1\n");
	assert_false(config_load(config, &source, fixture_collect, &fixture->report));
	snprintf(text, sizeof(text), "E %s/c.d/20-b.ini:3: udp is set here again; the first is in line 2\n", directory);
	assert_non_null(strstr(fixture->report.text, text));
	snprintf(text, sizeof(text), "E %s/c.d/20-b.ini:9: unknown key foo in section [nat]", directory);
	assert_non_null(strstr(fixture->report.text, text));
	snprintf(
		text, sizeof(text),
		"E %s/c.d/20-b.ini:4: [forward:b] and [forward:a] of line 1 of %s/c.d/10-a.ini both want TCP port 81\n",
		directory, directory);
	assert_non_null(strstr(fixture->report.text, text));
	snprintf(text, sizeof(text), "E %s: 3 errors\n", path);
	assert_non_null(strstr(fixture->report.text, text));

	/* a text in the place of a file, with the others as they are */
	write_drop_in(directory, "20-b.ini", "[timeouts]\nudp = 202\n");
	assert_false(config_parse(config, "f", LAN, strlen(LAN), &source, fixture_collect, &fixture->report));
	snprintf(text, sizeof(text), "E %s/c.d/10-a.ini:1: [forward:a] ", directory);
	assert_non_null(strstr(fixture->report.text, text));
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {"00.ini", "10-a.ini", "30.ini"};
		static const uint32_t udp[] = {202, 202, 300};
		const struct config_text instead = {names[i], true, "[timeouts]\nudp = 300\n", 21};

		source.instead = &instead;
		assert_true(config_load(config, &source, fixture_collect, &fixture->report));
		assert_int_equal(config->timeout[TIMEOUT_UDP], udp[i]);
		assert_int_equal(config->forward[0].port_first, i == 1 ? 80 : 81);
	}
	source.instead = NULL;

	/* what cannot be read is not left out silently */
	snprintf(text, sizeof(text), "%s/c.d/15.ini", directory);
	assert_int_equal(mkdir(text, 0700), 0);
	fixture->report.used = 0;
	assert_false(config_load(config, &source, fixture_collect, &fixture->report));
	snprintf(text, sizeof(text), "E %s/c.d/15.ini: is not a file\nE %s: 1 error\n", directory, path);
	assert_string_equal(fixture->report.text, text);
	snprintf(text, sizeof(text), "%s/c.d/15.ini", directory);
	assert_int_equal(rmdir(text), 0);
	for (int i = 0; i < CONFIG_DROP_INS; i++) {
		snprintf(text, sizeof(text), "50-%d.ini", i);
		write_drop_in(directory, text, "");
	}
	assert_false(config_load(config, &source, fixture_collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "ini is not read: there may be 32 drop-ins"));
	remove_all(directory);
}

static void writes_the_drop_in_of_a_mode(void **state)
{
	static const char note[] =
		"# Written by culvertctl mode. To undo it, remove this file, then say culvertctl reload.\n";
	struct fixture *fixture = *state;
	char directory[] = "/tmp/culvert-test-config-XXXXXX", path[64], expected[256], *text;
	const struct config_source source = {.path = path};
	const struct config_key *mode = config_keys, *natt = config_keys;
	size_t size;

	while (strcmp(mode->section, "pptp") != 0)
		mode++;
	while (strcmp(natt->name, "natt") != 0)
		natt++;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/c.ini", directory);
	write_file(path, LAN "[pptp]\nmode = plain\n");
	text = config_mode_text(&source, natt, "plain", &size, fixture_collect, &fixture->report);
	assert_true(config_mode_write(path, text, size));
	free(text);
	text = config_mode_text(&source, mode, "block", &size, fixture_collect, &fixture->report);
	snprintf(expected, sizeof(expected), "%s[pptp]\nmode = block\n[ipsec]\nnatt = plain\n", note);
	assert_string_equal(text, expected);
	assert_int_equal(size, strlen(expected));
	assert_true(config_mode_write(path, text, size));
	free(text);
	assert_true(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	assert_int_equal(fixture->config.service[SERVICE_PPTP], MODE_BLOCK);
	assert_int_equal(config_mode_of(&fixture->config, PART_NATT), MODE_PLAIN);
	assert_string_equal(fixture->report.text, "");
	write_drop_in(directory, "90-mode.ini", "[pptp]\nmode = off\n");
	assert_null(config_mode_text(&source, natt, "plain", &size, fixture_collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "/c.d/90-mode.ini:2: mode = off: "));
	remove_all(directory);
	assert_false(config_mode_write(path, "", 0));
}

static void ignore_change(void *context, const struct config_change *change)
{
	(void)context;
	(void)change;
}

static void reloads(void **state)
{
	struct fixture *fixture = *state;
	char directory[] = "/tmp/culvert-test-config-XXXXXX", path[64];
	const struct config_source source = {.path = path};
	uint32_t restarts = 9;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/f", directory);
	write_file(path, LAN "[timeouts]\nudp = 200\n[wan]\nhost_ports = 22\n");
	assert_true(config_load(&fixture->config, &source, fixture_collect, &fixture->report));
	assert_true(config_reload(&fixture->config, &source, fixture_collect, &fixture->report, &restarts));
	assert_string_equal(fixture->report.text, "N reload: nothing is different\n");
	assert_int_equal(restarts, 0);

	fixture->report.used = 0;
	fixture->again = fixture->config;
	write_file(path, LAN "[timeouts]\nudp = 2\n");
	assert_false(config_reload(&fixture->config, &source, fixture_collect, &fixture->report, &restarts));
	assert_non_null(strstr(fixture->report.text, "E reload: the configuration has errors; nothing has changed\n"));
	assert_memory_equal(&fixture->config, &fixture->again, sizeof(struct config));

	fixture->report.used = 0;
	write_file(path, "[lan]\ninterface = eth7\n[timeouts]\nudp = 201\n[limits]\nflows = 1000\n"
			 "[wan]\nhost_ports = 23\n[forward:a]\nservice = pptp\nto = 1.2.3.4\n");
	assert_true(config_reload(&fixture->config, &source, fixture_collect, &fixture->report, &restarts));
	assert_string_equal(fixture->report.text,
			    "W reload: [lan] interface has changed in the file, but only a restart applies it\n"
			    "N reload: [wan] host_ports has changed from 22 to 23\n"
			    "N reload: [timeouts] udp has changed from 200 to 201\n"
			    "W reload: [limits] flows has changed in the file, but only a restart applies it\n"
			    "N reload: the [forward:NAME] sections have changed\n");
	assert_int_equal(restarts, 2);
	fixture->report.used = 0;
	fixture->report.text[0] = 0;
	struct config_source here = {.path = path, .default_wan = "eth0"};
	fixture->again = fixture->config;
	memcpy(fixture->again.wan_interface, "eth0", 5);
	assert_int_equal(config_compare(&fixture->again, &fixture->config, "eth0", ignore_change, NULL), 0);
	assert_int_equal(config_compare(&fixture->config, &fixture->again, "eth0", ignore_change, NULL), 0);
	assert_int_equal(config_compare(&fixture->again, &fixture->config, "eth2", ignore_change, NULL), 1);
	assert_int_equal(config_compare(&fixture->again, &fixture->config, "", ignore_change, NULL), 1);
	assert_int_equal(config_compare(&fixture->again, &fixture->config, NULL, ignore_change, NULL), 1);
	assert_true(config_reload(&fixture->again, &here, fixture_collect, &fixture->report, &restarts));
	assert_null(strstr(fixture->report.text, "[wan] interface"));

	assert_string_equal(fixture->config.lan_interface, "eth1");
	assert_int_equal(fixture->config.flows, 262144);
	assert_true(port_set_has(&fixture->config.host_tcp, 23) && !port_set_has(&fixture->config.host_tcp, 22));
	assert_int_equal(fixture->config.timeout[TIMEOUT_UDP], 201);
	assert_int_equal(fixture->config.forwards, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void fills_the_engine(void **state)
{
	struct fixture *fixture = *state;
	struct engine_config engine = {
		.wan_mtu = 1300, .inside[0] = {.router_address = {5}, .mtu = 1400}, .insides = 1};
	struct engine_limits limits;
	struct kernel_request request;

	fixture_expect_good(fixture, everything);
	config_to_engine(&fixture->config, &engine);
	assert_int_equal(engine.inside[0].mtu, 1400);
	assert_int_equal(engine.wan_mtu, 1300);
	assert_int_equal(engine.inside[0].router_address.v4, 5);
	assert_int_equal(engine.insides, 1);
	assert_int_equal(engine.mapping, ADDRESS_DEPENDENT);
	assert_int_equal(engine.filtering, ADDRESS_AND_PORT_DEPENDENT);
	assert_false(engine.hairpinning || engine.clamp_mss);
	assert_true(engine.refresh_inbound);
	assert_int_equal(engine.timeout[TIMEOUT_UDP], 120000);
	assert_int_equal(engine.timeout[TIMEOUT_TCP_ESTABLISHED], 604800000);
	assert_int_equal(engine.timeout[TIMEOUT_HOLD_DOWN], 0);
	assert_int_equal(engine.mode[PART_PPTP], MODE_BLOCK);
	assert_int_equal(engine.mode[PART_L2TP], MODE_PLAIN);
	assert_int_equal(engine.mode[PART_IKE], MODE_PASS);
	assert_int_equal(engine.mode[PART_NATT], MODE_PLAIN);
	assert_int_equal(engine.mode[PART_ESP], MODE_PASS);
	assert_int_equal(engine.mode[PART_AH], MODE_PASS);
	assert_true(engine.esp_fanout);
	assert_int_equal(engine.host_flows, 1);
	assert_int_equal(engine.icmp_rate, 0);
	assert_true(port_set_has(&engine.host_udp, 68) && !port_set_has(&engine.host_tcp, 68));
	assert_int_equal(engine.bypasses, 5);
	/* a is two, b one, c two (UDP 1701 and protocol 115), d and e one each */
	assert_int_equal(engine.forwards, 7);
	assert_int_equal(engine.forward[0].protocol, 6);
	assert_int_equal(engine.forward[1].protocol, 17);
	assert_int_equal(engine.forward[1].port_first, 80);
	assert_int_equal(engine.forward[1].port_last, 90);
	assert_int_equal(engine.forward[1].to_port, 8080);
	assert_int_equal(engine.forward[1].to_address.v4, 0x0a010203);
	assert_int_equal(engine.forward[2].protocol, 41);
	assert_int_equal(engine.forward[2].to_port, 0);
	assert_int_equal(engine.forward[3].port_first, 1701);
	assert_int_equal(engine.forward[3].to_port, 1701);
	assert_int_equal(engine.forward[4].protocol, 115);
	assert_int_equal(engine.forward[6].to_port, 1000);
	config_to_limits(&fixture->config, &limits);
	assert_int_equal(limits.flows, 4194304);
	assert_int_equal(limits.hosts, 65536);
	assert_int_equal(limits.addresses, 64);
	assert_int_equal(limits.fragments, 16);
	config_to_kernel(&fixture->config, "/x", &request);
	assert_string_equal(request.lan, "br-lan");
	assert_string_equal(request.wan, "ppp0");
	assert_string_equal(request.tun, "tun7");
	assert_string_equal(request.state_dir, "/x");
	assert_true(port_set_has(&request.ports.host_udp, 68) && port_set_has(&request.ports.host_tcp, 22));
	assert_true(request.ports.open_all && port_set_has(&request.ports.forward_udp, 85));
}

/* What the configuration allows, the engine takes: the smallest and the largest of every limit. */
static void limits_fit_the_engine(void **state)
{
	struct fixture *fixture = *state;
	struct engine_limits limits;

	for (int largest = 0; largest < 2; largest++) {
		config_default(&fixture->config);
		for (size_t i = 0; i < CONFIG_KEYS; i++) {
			if (!strcmp(config_keys[i].section, "limits"))
				*(uint32_t *)((char *)&fixture->config + config_keys[i].offset) =
					largest ? config_keys[i].high : config_keys[i].low;
		}
		config_to_limits(&fixture->config, &limits);
		assert_true(engine_arena_size(&limits) > 0);
	}
}

/* Every cut and every changed byte of a good file is read without harm. */
static void survives_damage(void **state)
{
	struct fixture *fixture = *state;
	static const char bytes[] = {'\0', '[', ']', '=', '\n', ' ', ':', '#', ',', '-', '/', '9', (char)0xff};
	char text[sizeof(everything)];

	for (size_t i = 0; i < sizeof(everything); i += 7)
		fixture_parse_bytes(fixture, everything, i);
	for (size_t i = 0; i < sizeof(everything) - 1; i++) {
		memcpy(text, everything, sizeof(text));
		text[i] = bytes[i % sizeof(bytes)];
		fixture_parse_bytes(fixture, text, sizeof(text) - 1);
	}
	fixture_expect_good(fixture, everything);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		config_test(defaults),
		config_test(table_is_sound),
		config_test(prints_what_it_reads),
		config_test(prints_long_lists),
		config_test(opens_ssh_by_default),
		config_test(reads_what_people_write),
		config_test(command_line_wins),
		config_test(reads_files),
		config_test(reads_drop_ins),
		config_test(names_what_is_wrong_in_drop_ins),
		config_test(writes_the_drop_in_of_a_mode),
		config_test(reloads),
		config_test(fills_the_engine),
		config_test(limits_fit_the_engine),
		config_test(survives_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
