/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration: each key both ways, each error with its line, files that mean harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/config_keys.h"
#include "io/kernel.h"

/* What was reported, one finding a line, "E " or "W " in front. */
struct report {
	char text[64 * 1024];
	size_t used;
};

struct fixture {
	struct config config, again;
	struct report report;
};

static void collect(void *context, int level, const char *text)
{
	struct report *report = context;
	int length = snprintf(report->text + report->used, sizeof(report->text) - report->used, "%s %s\n",
			      level == LOG_ERR       ? "E"
			      : level == LOG_WARNING ? "W"
						     : "N",
			      text);

	assert_true(length > 0 && (size_t)length < sizeof(report->text) - report->used);
	report->used += (size_t)length;
	for (const char *c = text; *c; c++)
		assert_true(*c >= 0x20 && *c < 0x7f);
}

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static bool parse_bytes(struct fixture *fixture, const char *text, size_t size)
{
	/* A copy of exactly that size, so that the address sanitizer sees a read behind it. */
	char *copy = malloc(size ? size : 1);
	const struct config_source source = {.path = "f"};
	bool good;

	assert_non_null(copy);
	memcpy(copy, text, size);
	fixture->report.used = 0;
	fixture->report.text[0] = '\0';
	good = config_parse(&fixture->config, "f", copy, size, &source, collect, &fixture->report);
	free(copy);
	return good;
}

static bool parse(struct fixture *fixture, const char *text)
{
	return parse_bytes(fixture, text, strlen(text));
}

#define LAN "[lan]\ninterface = eth1\n"

static void expect_good(struct fixture *fixture, const char *text)
{
	if (!parse(fixture, text))
		fail_msg("refused:\n%s%s", text, fixture->report.text);
}

/* Exactly these lines are reported. */
static void expect_report(struct fixture *fixture, const char *text, const char *report)
{
	parse(fixture, text);
	assert_string_equal(fixture->report.text, report);
}

/* Among what is reported there is this. */
static void expect_error(struct fixture *fixture, const char *text, const char *error)
{
	assert_false(parse(fixture, text));
	if (!strstr(fixture->report.text, error))
		fail_msg("\n%s\ngave:\n%snot: %s", text, fixture->report.text, error);
}

static void defaults(void **state)
{
	struct fixture *fixture = *state;
	const struct config *config = &fixture->config;

	expect_good(fixture, LAN);
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
		if (!config_key_is_list(key) && !config_key_parse(key, &fixture->config, key->initial, problem))
			fail_msg("[%s] %s = %s %s", key->section, key->name, key->initial, problem);
	}
}

/* Everything different from its default; printed and read again it is the same. */
static const char everything[] =
	"[lan]\ninterface = br-lan\ntun = tun7\n"
	"[wan]\ninterface = ppp0\nhost_ports = 22, udp:123, tcp:8000-8010 65535\noffload = no\n"
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

	expect_good(fixture, everything);
	assert_string_equal(fixture->report.text, "");
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		config_default(&fixture->again);
		if (config_key_equal(&config_keys[i], config, &fixture->again))
			fail_msg("[%s] %s was not set by the test", config_keys[i].section, config_keys[i].name);
	}
	print_to(config, text, sizeof(text));
	fixture->again = *config;
	expect_good(fixture, text);
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

	expect_good(fixture, LAN);
	for (uint32_t port = 1; port < 65535; port += 3)
		port_set_add(port % 2 ? &fixture->config.host_tcp : &fixture->config.host_udp, (uint16_t)port);
	for (uint32_t i = 0; i < PREFIXES_MAX; i++)
		fixture->config.bypass[fixture->config.bypasses++] = (struct prefix){0x0a000000 + i, 32};
	print_to(&fixture->config, text, sizeof(text));
	fixture->again = fixture->config;
	expect_good(fixture, text);
	assert_memory_equal(&fixture->again.host_tcp, &fixture->config.host_tcp, sizeof(struct port_set));
	assert_memory_equal(&fixture->again.host_udp, &fixture->config.host_udp, sizeof(struct port_set));
	assert_int_equal(fixture->config.bypasses, PREFIXES_MAX);
}

static void reads_what_people_write(void **state)
{
	struct fixture *fixture = *state;

	expect_good(fixture, "\xef\xbb\xbf[lan]\r\ninterface=eth1 ; the inside\r\n");
	assert_string_equal(fixture->config.lan_interface, "eth1");
	expect_good(fixture, "# caf\xc3\xa9\n\n[lan] # here\n   interface =\teth1\t# \xff\xfe\n\ttun = t\n; x = y\n");
	assert_string_equal(fixture->config.tun, "t");
	expect_good(fixture, LAN "tun = a"); /* no newline at the end */
	assert_string_equal(fixture->config.tun, "a");
	expect_good(fixture, LAN "[wan]\nhost_ports =\n # more\n\n  22\n\t23,\n 24,25\ninterface = w\n");
	assert_true(port_set_has(&fixture->config.host_tcp, 22) && port_set_has(&fixture->config.host_udp, 25));
	expect_good(fixture, LAN "[wan]\ninterface =\n");
}

/* All at once, in order, with the count at the end. */
static void reports_everything(void **state)
{
	expect_report(
		*state,
		"x = 1\n"                                /* 1 */
		"[lan\n"                                 /* 2 */
		"[lann]\nfoo = 1\n"                      /* 3, 4: keys of an unknown section are not looked at */
		"[lan]\ninterfce = eth1\n"               /* 5, 6 */
		"interface = eth0123456789abcdef\n"      /* 7 */
		"tun = a/b\n  foo\n"                     /* 8, 9 */
		"[nat]\nmapping = endpont-independent\n" /* 10, 11 */
		"hairpinning = yes\nhairpinning = no\n"  /* 12, 13 */
		"udp = 300\nwhat\n= 3\n"                 /* 14 to 16 */
		"[lan]\n",                               /* 17 */
		"E f:1: x stands before the first [SECTION]\n"
		"E f:2: a section is written [NAME], on a line of its own\n"
		"E f:3: unknown section [lann] (did you mean lan?)\n"
		"E f:6: unknown key interfce in section [lan] (did you mean interface?)\n"
		"E f:7: interface = eth0123456789abcdef: has 19 bytes; the name of a network device has at most 15\n"
		"E f:8: tun = a/b: can not be a network device; names have no spaces, quotes, '/', ':' or '%'\n"
		"E f:9: 'foo': there is no '='; no list above goes on here\n"
		"E f:11: mapping = endpont-independent: must be endpoint-independent | address-dependent | "
		"address-and-port-dependent (did you mean endpoint-independent?)\n"
		"E f:13: hairpinning is set here again; the first is in line 12\n"
		"E f:14: unknown key udp in section [nat] (it belongs to section [timeouts])\n"
		"E f:15: 'what': there is no '='; write KEY = VALUE\n"
		"E f:16: there is no key in front of '='\n"
		"E f:17: section [lan] stands here again; the first is in line 5\n"
		"E f: 13 errors\n");
}

static void refuses_values(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"", "E f: the LAN device is missing"},
		{"[lan]\ninterface =\n", "E f: the LAN device is missing"},
		{LAN "tun =\n", "tun is empty"},
		{LAN "tun = eth1\n", "eth1 is the TUN device"},
		{LAN "[wan]\ninterface = eth1\n", "eth1 is the device of both LAN and WAN"},
		{LAN "[wan]\ninterface = cv0\n", "cv0 is the TUN device"},
		{"[lan]\ninterface = ..\n", "f:2: interface = ..: can not be"},
		{"[lan]\ninterface = \"eth1\"\n", "f:2: interface = \"eth1\": can not be"},
		{LAN "[wan]\nhost_ports = 0\n", "f:4: host_ports = 0: must be a port"},
		{LAN "[wan]\nhost_ports = 9-8\n", "f:4: host_ports = 9-8: must be a port"},
		{LAN "[wan]\nhost_ports = 1, 65536, 3, x\n", "f:4: host_ports = 65536: must be a port"},
		{LAN "[wan]\nhost_ports = 1, 65536, 3, x\n", "f:4: host_ports = x: must be a port"},
		{LAN "[wan]\nhost_ports = 5-\n", "f:4: host_ports = 5-: must be a port"},
		{LAN "[wan]\nhost_ports = sctp:5\n", "f:4: host_ports = sctp:5: must be a port"},
		{LAN "[wan]\nhost_ports = 22,\n 70000\n", "f:5: host_ports = 70000: must be a port"},
		{LAN "[wan]\noffload = true\n", "f:4: offload = true: must be yes | no"},
		{LAN "[wan]\noffload =\n", "f:4: offload = : must be yes | no"},
		{LAN "[ipsec]\nesp = no\n", "f:4: esp = no: must be inherit | pass | plain | block"},
		{LAN "[ipsec]\nnatt = bloc\n", "(did you mean block?)"},
		{LAN "[ipsec]\nmode = inherit\n", "f:4: mode = inherit: must be pass | plain | block"},
		{LAN "[ipsec]\nnat_t = block\n", "unknown key nat_t in section [ipsec] (did you mean natt?)"},
		{LAN "[l2tp]\nike = block\n", "unknown key ike in section [l2tp] (it belongs to section [ipsec])"},
		{LAN "[ipsec]\nesp_fanout = 1\n", "f:4: esp_fanout = 1: must be yes | no"},
		{LAN "[nat]\nbypass = 10.0.0.1/8\n",
		 "f:4: bypass = 10.0.0.1/8: has bits set behind its prefix (did you mean 10.0.0.0/8?)"},
		{LAN "[nat]\nbypass = 10.0.0.0/33\n",
		 "f:4: bypass = 10.0.0.0/33: a prefix length is a number from 0 to 32"},
		{LAN "[nat]\nbypass = 10.0.0.0/\n", "a prefix length is"},
		{LAN "[nat]\nbypass = 10/8\n", "must be an IPv4 prefix"},
		{LAN "[nat]\nbypass = ::/0\n", "must be an IPv4 prefix"},
		{LAN "[nat]\nicmp_rate = -5\n", "f:4: icmp_rate = -5: must be a number from 0 to 100000"},
		{LAN "[nat]\nicmp_rate = 0x10\n", "must be a number"},
		{LAN "[nat]\nicmp_rate = 100001\n", "must be a number from 0 to 100000"},
		{LAN "[nat]\nicmp_rate = 99999999999999999999999\n", "must be a number"},
		{LAN "[nat]\nicmp_rate = 18446744073709551617\n", "must be a number"},
		{LAN "[timeouts]\nudp = 119\n",
		 "must be a number from 120 to 604800, in seconds; RFC 4787 REQ-5 asks for at least 120"},
		{LAN "[timeouts]\ntcp_established = 7439\n", "RFC 5382 REQ-5 asks for at least 7440"},
		{LAN "[timeouts]\ntcp_opening = 239\n", "RFC 5382 REQ-5 asks for at least 240"},
		{LAN "[timeouts]\nicmp = 59\n", "RFC 5508 REQ-2 asks for at least 60"},
		{LAN "[timeouts]\nudp = 300s\n", "must be a number"},
		{LAN "[limits]\nflows = 4194305\n", "must be a number from 64 to 4194304"},
		{LAN "[limits]\naddresses = 0\n", "must be a number from 1 to 64"},
		{LAN "[pptp]\nmode = blok\n", "mode = blok: must be pass | plain | block (did you mean block?)"},
		{LAN "[l2tp]\nmode = Pass\n", "(did you mean pass?)"},
		{LAN "[control]\nsocket = x\n", "must be an absolute path"},
		{LAN "[metrics]\nlisten = 0.0.0.0:80\n", "is not an address of the loopback; write 127.0.0.1:PORT"},
		{LAN "[metrics]\nlisten = 127.0.0.1\n", "must be unix:/PATH, or an address and a port"},
		{LAN "[metrics]\nlisten = unix:x\n", "must be unix:/PATH, or an address and a port"},
		{LAN "[log]\ntarget = sylog\n",
		 "must be auto | stderr | syslog | an absolute path (did you mean syslog?)"},
		{LAN "[log]\nlevel = 7\n", "must be error | warning | notice | info | debug"},
		{LAN "[fowrard:x]\n", "f:3: unknown section [fowrard:x] (did you mean forward:NAME?)"},
		{LAN "[forward]\n", "f:3: unknown section [forward] (did you mean forward:NAME?)"},
		{LAN "[ipsek]\n", "f:3: unknown section [ipsek] (did you mean ipsec?)"},
		{LAN "[zzzzzz]\n", "f:3: unknown section [zzzzzz]\n"},
		{LAN "[lan] x\n", "f:3: a section is written [NAME]"},
		{LAN "[]\n", "f:3: unknown section []"},
		{LAN "tun : x\n", "f:3: 'tun : x': there is no '='"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_error(*state, cases[i].text, cases[i].error);
}

static void refuses_forwards(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"[forward:]\n", "f:3: [forward:]: a name has 1 to 31"},
		{"[forward:a b]\n", "f:3: [forward:a b]: a name has 1 to 31"},
		{"[forward:abcdefghijabcdefghijabcdefghijab]\n", "a name has 1 to 31"},
		{"[forward:a]\n", "f:3: [forward:a] service is missing, or protocol and port"},
		{"[forward:a]\n", "f:3: [forward:a] to is missing"},
		{"[forward:a]\nport = 1\nto = 1.2.3.4\n", "f:3: [forward:a] protocol is missing"},
		{"[forward:a]\nprotocol = tcp\nto = 1.2.3.4\n", "f:3: [forward:a] port is missing"},
		{"[forward:a]\nprotocol = tcp\nport = 0\nto = 1.2.3.4\n",
		 "f:5: port = 0: must be a port or FIRST-LAST"},
		{"[forward:a]\nprotocol = tcp\nport = 5-4\nto = 1.2.3.4\n",
		 "f:5: port = 5-4: must be a port or FIRST-LAST"},
		{"[forward:a]\nprotocol = tpc\nport = 4\nto = 1.2.3.4\n", "(did you mean tcp?)"},
		{"[forward:a]\nprotocol = 0\nto = 1.2.3.4\n", "a number from 1 to 255"},
		{"[forward:a]\nprotocol = 256\nto = 1.2.3.4\n", "a number from 1 to 255"},
		{"[forward:a]\nprotocol = 51\nto = 1.2.3.4\n", "AH signs the addresses"},
		{"[forward:a]\nprotocol = gre\nport = 5\nto = 1.2.3.4\n", "this protocol has no ports"},
		{"[forward:a]\nprotocol = gre\nto = 1.2.3.4:5\n", "this protocol has no ports"},
		{"[forward:a]\nservice = pptp\nprotocol = tcp\nto = 1.2.3.4\n",
		 "service stands instead of protocol and port"},
		{"[forward:a]\nservice = pptp\nto = 1.2.3.4:5\n", "a service keeps its own ports"},
		{"[forward:a]\nservice = pptp\nto = 127.0.0.1\n", "is not the address of a host"},
		{"[forward:a]\nservice = pptp\nto = 224.0.0.1\n", "is not the address of a host"},
		{"[forward:a]\nservice = pptp\nto = web\n", "must be the IPv4 address of an inside host"},
		{"[forward:a]\nprotocol = tcp\nport = 5\nto = 1.2.3.4:0\n", "has a bad port"},
		{"[forward:a]\nprotocol = tcp\nport = 5\nto = 1.2.3.4:\n", "has a bad port"},
		{"[forward:a]\nprotocol = tcp\nport = 1-10\nto = 1.2.3.4:65530\n", "goes beyond 65535"},
		{"[forward:a]\nprotocol = udp\nport = 60-70\nto = 1.2.3.4\n",
		 "UDP port 68 always belongs to the router"},
		{"[forward:a]\nprotocol = tcp\nport = 20-30\nto = 1.2.3.4\n[wan]\nhost_ports = udp:20, 22\n",
		 "f:3: [forward:a] TCP port 22 belongs to the router itself by [wan] host_ports"},
		{"[forward:a]\nservice = ipsec\nto = 1.2.3.4\n[wan]\nhost_ports = udp:4500\n",
		 "UDP port 4500 belongs to the router"},
		{"[forward:a]\nprotocol = tcp\nport = 80-90\nto = 1.2.3.4\n[forward:b]\nprotocol = tcp+udp\nport = "
		 "70-80\nto = 1.2.3.4\n",
		 "f:7: [forward:b] and [forward:a] of line 3 both want TCP port 80\n"},
		{"[forward:a]\nservice = pptp\nto = 1.2.3.4\n[forward:b]\nprotocol = gre\nto = 1.2.3.4\n",
		 "f:6: [forward:b] and [forward:a] of line 3 both want IP protocol 47\n"},
		{"[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:b]\nservice = l2tp\nto = 1.2.3.5\n",
		 "both want UDP port 1701"},
		{"[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:a]\n",
		 "f:6: section [forward:a] stands here again; the first is in line 3"},
		{"[forward:a]\nto = 1.2.3.4\nto = 1.2.3.5\n", "f:5: to is set here again; the first is in line 4"},
		{"[forward:a]\nprot = tcp\n", "unknown key prot in section [forward:NAME]"},
		{"[forward:a]\nprotocl = tcp\n", "(did you mean protocol?)"},
	};
	char text[1024];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), LAN "%s", cases[i].text);
		expect_error(*state, text, cases[i].error);
	}
	/* A bad value is reported once, not once more as missing. */
	expect_report(*state, LAN "[forward:a]\nprotocol = tcp\nport = x\nto = 1.2.3.4\n",
		      "E f:5: port = x: must be a port or FIRST-LAST, from 1 to 65535\nE f: 1 error\n");
	/* Two services of one host that share nothing, and TCP beside UDP, are fine. */
	expect_good(*state,
		    LAN "[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:b]\nservice = ipsec\nto = 1.2.3.4\n"
			"[forward:c]\nprotocol = tcp\nport = 1701\nto = 1.2.3.4\n");
	expect_report(*state, LAN "[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[l2tp]\nmode = block\n",
		      "W f:3: warning: [forward:a] does nothing while [l2tp] mode = block\nN f: 1 warning\n");
}

/* Modes that take away more than they seem to: each is said once, with its line. */
static void warns_of_modes(void **state)
{
	static const struct {
		const char *text, *warning;
	} cases[] = {
		{"[ipsec]\nike = block\n",
		 "W f:4: warning: [ipsec] ike = block: nearly all of IPsec starts with IKE on UDP "
		 "port 500 and will not work; to refuse IPsec write mode = block\n"},
		{"[ipsec]\nmode = block\nesp = pass\n", "W f:4: warning: [ipsec] ike = block: "},
		{"[ipsec]\nnatt = block\n", "W f:4: warning: [ipsec] natt = block: behind a NAT nearly every IPsec "
					    "client goes on to UDP port 4500"},
		{"[ipsec]\nah = plain\n", "W f:4: warning: [ipsec] ah does not help AH through the NAT"},
		{"[ipsec]\nesp = plain\nesp_fanout = yes\n",
		 "W f:5: warning: [ipsec] esp_fanout does nothing unless ESP is in mode pass\n"},
		{"[limits]\ntunnels = 0\n", "W f:4: warning: [limits] tunnels = 0: PPTP, L2TP and IPsec get no help"},
		{"[ipsec]\nesp = block\n[forward:a]\nservice = ipsec\nto = 1.2.3.4\n",
		 "W f:5: warning: [forward:a] lets no ESP in while [ipsec] esp = block\n"},
		{"[forward:a]\nprotocol = udp\nport = 1701\nto = 1.2.3.4\n[l2tp]\nmode = block\n",
		 "W f:3: warning: [forward:a] does nothing while [l2tp] mode = block\n"},
		{"[forward:a]\nprotocol = esp\nto = 1.2.3.4\n[ipsec]\nesp = block\n",
		 "W f:3: warning: [forward:a] does nothing while [ipsec] esp = block\n"},
		{"[forward:a]\nservice = ipsec\nto = 1.2.3.4\n[ipsec]\nike = block\nnatt = block\nesp = block\n",
		 "W f:3: warning: [forward:a] does nothing while [ipsec] mode = block\n"},
		{"[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:b]\nservice = ipsec\nto = 1.2.3.4\n",
		 "W f:3: warning: [forward:a] lets in L2TP without encryption; L2TP in IPsec needs only [forward:b]\n"},
	};
	static const char *const silent[] = {
		"[ipsec]\nmode = block\n",
		"[ipsec]\nmode = plain\nesp = block\nah = block\n",
		"[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:b]\nservice = ipsec\nto = 1.2.3.5\n",
		"[ipsec]\nesp = block\n",
		"[ipsec]\nah = inherit\n",
		"[ipsec]\nah = block\n",
		"[ipsec]\nah = pass\n[nat]\nbypass = 10.9.0.0/16\n",
		"[ipsec]\nesp_fanout = yes\nike = plain\n",
		"[forward:a]\nprotocol = gre\nto = 1.2.3.4\n[pptp]\nmode = block\n",
		"[forward:a]\nprotocol = udp\nport = 1700-1701\nto = 1.2.3.4\n[l2tp]\nmode = block\n",
	};
	struct fixture *fixture = *state;
	char text[1024];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), LAN "%s", cases[i].text);
		expect_good(fixture, text);
		if (strncmp(fixture->report.text, cases[i].warning, strlen(cases[i].warning)) ||
		    !strstr(fixture->report.text, "N f: 1 warning\n"))
			fail_msg("\n%s\ngave:\n%snot just: %s", text, fixture->report.text, cases[i].warning);
	}
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		snprintf(text, sizeof(text), LAN "%s", silent[i]);
		expect_report(fixture, text, "");
	}
	/* A service of which two parts are blocked: the modes and what they do to the forward. */
	expect_report(
		fixture, LAN "[ipsec]\nmode = block\nike = pass\n[forward:a]\nservice = ipsec\nto = 1.2.3.4\n",
		"W f:4: warning: [ipsec] natt = block: behind a NAT nearly every IPsec client goes on to UDP port 4500 "
		"and will not get further; to refuse IPsec write mode = block\n"
		"W f:6: warning: [forward:a] lets no NAT traversal on UDP port 4500, which most clients need, in while "
		"[ipsec] natt = block\n"
		"W f:6: warning: [forward:a] lets no ESP in while [ipsec] esp = block\n"
		"N f: 3 warnings\n");
}

static void limits_forwards(void **state)
{
	struct fixture *fixture = *state;
	static char text[128 * 1024];
	size_t used = (size_t)snprintf(text, sizeof(text), LAN);

	for (int i = 0; i <= FORWARDS_MAX; i++) {
		if (i == FORWARDS_MAX)
			expect_good(fixture, text);
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "[forward:f%d]\nprotocol = tcp\nport = %d\nto = 10.0.0.1\n", i, i + 1000);
	}
	expect_error(fixture, text, "more than 256 [forward:NAME] sections");
	used = (size_t)snprintf(text, sizeof(text), LAN);
	for (int i = 0; i < FORWARDS_MAX - 1; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "[forward:f%d]\nprotocol = tcp\nport = %d\nto = 10.0.0.1\n", i, i + 2000);
	snprintf(text + used, sizeof(text) - used, "[forward:x]\nservice = pptp\nto = 10.0.0.1\n");
	expect_error(fixture, text, "more than 256 forwards");
}

static void limits_prefixes(void **state)
{
	char text[4096];
	size_t used = (size_t)snprintf(text, sizeof(text), LAN "[nat]\nbypass =\n");

	for (int i = 0; i <= PREFIXES_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " 10.0.%d.0/24\n", i);
	expect_error(*state, text, "f:69: bypass = 10.0.64.0/24: is one prefix too many; there may be 64");
}

static void survives_hostile_bytes(void **state)
{
	struct fixture *fixture = *state;
	static const char nul[] = LAN "tun = a\0b\n", nul_in_comment[] = LAN "# a\0b\n";
	static char big[1 << 20];
	const size_t line = sizeof(LAN) - 1;

	/* One line of a megabyte, as a value, a key, a section, a comment. */
	memset(big, 'y', sizeof(big));
	memcpy(big, LAN "x = ", line + 4);
	assert_false(parse_bytes(fixture, big, sizeof(big)));
	assert_non_null(strstr(fixture->report.text, "f:3: a line of 10485"));
	big[line] = '[';
	big[sizeof(big) - 1] = ']';
	assert_false(parse_bytes(fixture, big, sizeof(big)));
	big[line] = '#';
	assert_true(parse_bytes(fixture, big, sizeof(big)));
	memset(big, '\n', sizeof(big));
	assert_false(parse_bytes(fixture, big, sizeof(big)));
	assert_string_equal(
		fixture->report.text,
		"E f: the LAN device is missing: write interface = DEVICE in section [lan], or give --lan DEVICE\n"
		"E f: 1 error\n");

	assert_false(parse_bytes(fixture, nul, sizeof(nul) - 1));
	assert_non_null(strstr(fixture->report.text, "f:3: byte 0x00 in column 8; a text file has no NUL bytes"));
	assert_false(parse_bytes(fixture, nul_in_comment, sizeof(nul_in_comment) - 1));
	expect_error(fixture, LAN "tun = a\x1b[31m\n", "f:3: byte 0x1b in column 8");
	expect_error(fixture, LAN "tun = caf\xc3\xa9\n", "f:3: byte 0xc3 in column 10");
	expect_error(fixture, LAN "tun = a\rb\n", "f:3: byte 0x0d in column 8");
	/* A section that can not be read must not lend its keys to the one above. */
	expect_report(
		fixture, LAN "[caf\xc3\xa9]\ntun = x\n",
		"E f:3: byte 0xc3 in column 5; outside comments only plain ASCII text is allowed\nE f: 1 error\n");
	expect_error(fixture, LAN "[lan%s%n]\n", "f:3: unknown section [lan%s%n]");
	expect_error(fixture, LAN "tun = %s%n\n", "f:3: tun = %s%n: can not");
}

/* A line of exactly the length that can be read, and one more. */
static void limits_lines(void **state)
{
	static char junk[CONFIG_FILE_MAX];
	struct fixture *fixture = *state;
	char text[512];
	size_t used;

	for (size_t length = 195; length <= 205; length++) {
		used = (size_t)snprintf(text, sizeof(text), LAN "[nat]\n");
		used += (size_t)snprintf(text + used, sizeof(text) - used, "bypass =%*s%s", (int)(length - 8 - 7), "",
					 "1.2.3.4");
		snprintf(text + used, sizeof(text) - used, " # and a comment that does not count\nicmp_rate = 7\n");
		if (length <= 199) {
			expect_good(fixture, text);
			assert_int_equal(fixture->config.bypasses, 1);
			assert_int_equal(fixture->config.bypass[0].address, 0x01020304);
		} else {
			expect_error(fixture, text, "at most 199 are read");
		}
		assert_int_equal(fixture->config.icmp_rate, 7);
	}
	/* A large file that is something else must not keep packets waiting. */
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = i % 2 ? '\n' : 'x';
	assert_false(parse_bytes(fixture, junk, sizeof(junk)));
	assert_non_null(strstr(fixture->report.text,
			       "E f:50: 'x': there is no '='; write KEY = VALUE\n"
			       "W f:51: warning: nothing is read from here on, after so many errors\n"
			       "E f: 50 errors, 1 warning\n"));
}

static void command_line_wins(void **state)
{
	struct fixture *fixture = *state;
	static const char text[] = LAN "[wan]\ninterface = eth0\n";
	struct config_source source = {.path = "f", .lan = "lan7", .wan = "wan7"};

	assert_true(config_parse(&fixture->config, "f", text, strlen(text), &source, collect, &fixture->report));
	assert_string_equal(fixture->config.lan_interface, "lan7");
	assert_string_equal(fixture->config.wan_interface, "wan7");
	source.lan = "a\x1b/b";
	assert_false(config_parse(&fixture->config, "f", text, strlen(text), &source, collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "E f: --lan a\\x1b/b: can not be a network device"));
	source = (struct config_source){.lan = "x"};
	assert_true(config_load(&fixture->config, &source, collect, &fixture->report));
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
	assert_false(config_load(&fixture->config, &source, collect, &fixture->report));
	snprintf(text, sizeof(text), "E %s: can not be opened: No such file or directory\nE %s: 1 error\n", path, path);
	assert_string_equal(fixture->report.text, text);
	source.optional = true;
	source.lan = "l";
	assert_true(config_load(&fixture->config, &source, collect, &fixture->report));
	source.optional = false;

	fixture->report.used = 0;
	write_file(path, LAN);
	assert_int_equal(chmod(path, 0646), 0);
	assert_true(config_load(&fixture->config, &source, collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "warning: everybody may write to it"));
	assert_string_equal(fixture->config.lan_interface, "l");

	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0); /* would wait for a writer forever */
	assert_false(config_load(&fixture->config, &source, collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "is not a file"));
	assert_int_equal(unlink(path), 0);
	source.path = directory;
	assert_false(config_load(&fixture->config, &source, collect, &fixture->report));
	source.path = "/dev/zero"; /* never ends */
	assert_false(config_load(&fixture->config, &source, collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "/dev/zero: is larger than 1048576 bytes"));
	assert_int_equal(rmdir(directory), 0);
}

static void reloads(void **state)
{
	struct fixture *fixture = *state;
	char directory[] = "/tmp/culvert-test-config-XXXXXX", path[64];
	const struct config_source source = {.path = path};

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/f", directory);
	write_file(path, LAN "[timeouts]\nudp = 200\n[wan]\nhost_ports = 22\n");
	assert_true(config_load(&fixture->config, &source, collect, &fixture->report));
	assert_true(config_reload(&fixture->config, &source, collect, &fixture->report));
	assert_string_equal(fixture->report.text, "N reload: nothing is different\n");

	fixture->report.used = 0;
	fixture->again = fixture->config;
	write_file(path, LAN "[timeouts]\nudp = 2\n");
	assert_false(config_reload(&fixture->config, &source, collect, &fixture->report));
	assert_non_null(strstr(fixture->report.text, "E reload: the configuration has errors; nothing has changed\n"));
	assert_memory_equal(&fixture->config, &fixture->again, sizeof(struct config));

	fixture->report.used = 0;
	write_file(path, "[lan]\ninterface = eth7\n[timeouts]\nudp = 201\n[limits]\nflows = 1000\n"
			 "[wan]\nhost_ports = 23\n[forward:a]\nservice = pptp\nto = 1.2.3.4\n");
	assert_true(config_reload(&fixture->config, &source, collect, &fixture->report));
	assert_string_equal(fixture->report.text,
			    "W reload: [lan] interface is different now, but only a restart changes it\n"
			    "W reload: [wan] host_ports is different now, but only a restart changes it\n"
			    "N reload: [timeouts] udp has changed\n"
			    "W reload: [limits] flows is different now, but only a restart changes it\n"
			    "N reload: the [forward:NAME] sections have changed\n");
	assert_string_equal(fixture->config.lan_interface, "eth1");
	assert_int_equal(fixture->config.flows, 262144);
	assert_true(port_set_has(&fixture->config.host_tcp, 22) && !port_set_has(&fixture->config.host_tcp, 23));
	assert_int_equal(fixture->config.timeout[TIMEOUT_UDP], 201);
	assert_int_equal(fixture->config.forwards, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void fills_the_engine(void **state)
{
	struct fixture *fixture = *state;
	struct engine_config engine = {.lan_mtu = 1400, .wan_mtu = 1300, .lan_address = 5, .insides = 1};
	struct engine_limits limits;
	struct kernel_request request;

	expect_good(fixture, everything);
	config_to_engine(&fixture->config, &engine);
	assert_int_equal(engine.lan_mtu, 1400);
	assert_int_equal(engine.wan_mtu, 1300);
	assert_int_equal(engine.lan_address, 5);
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
	assert_int_equal(engine.forward[1].to_address, 0x0a010203);
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
	assert_true(port_set_has(&request.host_udp, 68) && port_set_has(&request.host_tcp, 22));
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
		parse_bytes(fixture, everything, i);
	for (size_t i = 0; i < sizeof(everything) - 1; i++) {
		memcpy(text, everything, sizeof(text));
		text[i] = bytes[i % sizeof(bytes)];
		parse_bytes(fixture, text, sizeof(text) - 1);
	}
	expect_good(fixture, everything);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(table_is_sound, set_up, tear_down),
		cmocka_unit_test_setup_teardown(prints_what_it_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(prints_long_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_what_people_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reports_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_forwards, set_up, tear_down),
		cmocka_unit_test_setup_teardown(warns_of_modes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_forwards, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_prefixes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(survives_hostile_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(command_line_wins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reads_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reloads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fills_the_engine, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_fit_the_engine, set_up, tear_down),
		cmocka_unit_test_setup_teardown(survives_damage, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
