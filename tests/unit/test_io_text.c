/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What src/io reads as text and must not trust: changes in a journal, lists of ports in /proc/sys, sockets in
 * /proc/net.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/host_ports.h"
#include "io/kernel_change.h"
#include "io/sysctl.h"

static const char *const lines[] = {
	"sysctl -w net.ipv4.conf.lan0.forwarding='1' # was '0'",
	"sysctl -w net.ipv4.conf.eth0/5.rp_filter='2' # was '0'",
	"sysctl -w net.ipv6.conf.cv0.disable_ipv6='1' # was ''",
	"sysctl -w net.ipv4.ip_local_port_range='64512 65534' # was '32768 60999'",
	"sysctl -w net.ipv4.ip_local_reserved_ports='1024-64511,64600' # was ''",
	"ip link set dev cv0 mtu 1500 up",
	"ip link set dev cv0 mtu 1400 up # was mtu 1500 down",
	"ip address add 192.0.0.8/32 dev cv0",
	"ip route add unreachable default metric 4294967295 table 2747 proto 202",
	"ip route add default dev cv0 metric 1 table 2747 proto 202",
	"ip rule add pref 100 to 198.51.100.2/32 iif cv0 lookup local protocol 202",
	"ip rule add pref 102 not iif wan0 goto 106 protocol 202",
	"ip rule add pref 103 from 203.0.113.9/32 to 198.51.100.2/32 iif wan0 ipproto 6 sport 40000 dport 22-22 "
	"lookup local protocol 202",
	"ip rule add pref 104 to 198.51.100.2/32 iif wan0 ipproto 6 dport 22-22 lookup local protocol 202",
	"ip rule add pref 105 iif wan0 ipproto 255 blackhole protocol 202",
	"ip rule add pref 109 iif lan0 lookup 2747 protocol 202",
	"ip rule add pref 110 from 192.0.0.8/32 iif lo lookup 2747 protocol 202",
	"ip rule add pref 112 iif cv0 unreachable protocol 202",
	"ip rule del pref 0 lookup local",
};

enum { SOCKETS_TEXT = 1024 };
enum { LINES = sizeof(lines) / sizeof(lines[0]), ROUNDS = 200000 };

static void changes_are_read_as_they_are_written(void **state)
{
	char text[CHANGE_TEXT_MAX];
	struct change change;

	(void)state;
	for (size_t i = 0; i < LINES; i++) {
		if (!change_parse(&change, lines[i]))
			fail_msg("not understood: %s", lines[i]);
		change_print(&change, text);
		assert_string_equal(text, lines[i]);
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Whatever is read is one of culvert's own changes, and written it is the same text. */
static void damaged_lines_are_refused_or_harmless(void **state)
{
	static const char letters[] = " ./-0123456789'#\t\nabiprtw%\x80\xff";
	uint32_t seed = 1, taken = 0;
	char text[CHANGE_TEXT_MAX], again[CHANGE_TEXT_MAX];
	struct change change;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t length;

		snprintf(text, sizeof(text), "%s", lines[next_random(&seed) % LINES]);
		length = strlen(text);
		for (uint32_t i = next_random(&seed) % 3 + 1; i; i--)
			text[next_random(&seed) % length] = letters[next_random(&seed) % (sizeof(letters) - 1)];
		if (next_random(&seed) % 8 == 0)
			text[next_random(&seed) % length] = '\0';
		if (!change_parse(&change, text))
			continue;
		taken++;
		change_print(&change, again);
		assert_string_equal(text, again);
		if (change.kind == CHANGE_SYSCTL)
			assert_true(sysctl_is_known(change.sysctl.path, change.sysctl.before));
		if (change.kind == CHANGE_RULE)
			assert_in_range(change.rule.preference, KERNEL_PREFERENCE, KERNEL_PREFERENCE_LAST);
		if (change.kind == CHANGE_ROUTE)
			assert_int_equal(change.route.table, KERNEL_TABLE);
		if (change.kind == CHANGE_ADDRESS)
			assert_int_equal(change.address.address.v4, KERNEL_HOP_ADDRESS.v4);
	}
	assert_in_range(taken, 100, ROUNDS / 2); /* both ways are taken */
}

static void only_our_own_settings_may_be_written(void **state)
{
	(void)state;
	assert_true(sysctl_is_known("net/ipv4/conf/eth0.5/forwarding", "1"));
	assert_false(sysctl_is_known("net/ipv4/conf/eth0/route_localnet", "1"));
	assert_false(sysctl_is_known("net/ipv4/conf/../../../kernel/forwarding", "1"));
	assert_false(sysctl_is_known("net/ipv4/conf/../forwarding", "1"));
	assert_false(sysctl_is_known("net/ipv4/conf//forwarding", "1"));
	assert_false(sysctl_is_known("net/ipv4/conf/eth0/forwarding/", "1"));
	assert_false(sysctl_is_known("net/ipv4/ip_local_port_range", "1\n2"));
	assert_false(sysctl_is_known("kernel/core_pattern", "1"));
}

static void settings_of_devices_come_from_others(void **state)
{
	static const char *const pairs[][2] = {
		{"net/ipv4/conf/eth1/forwarding", "net.ipv4.ip_forward"},
		{"net/ipv4/conf/cv0/rp_filter", "net.ipv4.conf.default.rp_filter"},
		{"net/ipv4/icmp_errors_use_inbound_ifaddr", "net.ipv4.icmp_errors_use_inbound_ifaddr"},
	};
	char name[SYSCTL_PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		sysctl_print_origin(pairs[i][0], name);
		assert_string_equal(name, pairs[i][1]);
	}
}

static void lists_of_ports(void **state)
{
	static const char *const wrong[] = {"x", ",1", "1-", "65536", "1 2", "-1", "99999999999999999999", "1--2"};
	struct port_set ports = {0};
	char text[SYSCTL_VALUE_MAX];
	uint32_t first, last;

	(void)state;
	assert_true(sysctl_parse_ports("22,1024-64511,65535", &ports));
	assert_true(port_set_has(&ports, 22) && port_set_has(&ports, 2000) && port_set_has(&ports, 65535));
	assert_false(port_set_has(&ports, 23) || port_set_has(&ports, 64512));
	assert_true(sysctl_print_ports(&ports, text));
	assert_string_equal(text, "22,1024-64511,65535");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (sysctl_parse_ports(wrong[i], &ports))
			fail_msg("taken: %s", wrong[i]);
	for (uint32_t port = 0; port < 65536; port += 2)
		port_set_add(&ports, (uint16_t)port);
	assert_false(sysctl_print_ports(&ports, text)); /* does not fit */
	assert_true(sysctl_parse_range("32768 60999", &first, &last) && first == 32768 && last == 60999);
	assert_false(sysctl_parse_range("32768", &first, &last) || sysctl_parse_range("1 2 3", &first, &last));
}

/* Each socket that was seen, as "LOCAL:PORT REMOTE:PORT" and what it is, in hexadecimal. */
static void note_socket(void *context, const struct host_socket *socket)
{
	char *text = context;
	size_t used = strlen(text);

	snprintf(text + used, SOCKETS_TEXT - used, "%x:%u %x:%u%s%s\n", socket->local.v4, socket->local_port,
		 socket->remote.v4, socket->remote_port, socket->is_server ? " server" : "",
		 socket->is_up ? " up" : "");
}

/* Addresses stand in /proc/net as the machine reads them; these are those of a little-endian one. */
static void sockets_of_the_router(void **state)
{
	static const char text[] =
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
		"   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n"
		"   1: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n"
		"  12: 026433C6:1F90 01020304:0050 01 00000000:00000000 00:00000000 00000000     0        0 1\n"
		"  13: 026433C6:1F91 01020304:0050 06 00000000:00000000 00:00000000 00000000     0        0 1\n"
		"   4: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0\n"
		"   5: 0000000000000000FFFF0000026433C6:0051 0000000000000000FFFF000001020304:0050 01 0:0\n"
		"   5: 026433C6:0052 01020304:0051 03 0:0\n"
		"   5: 026433C6:0053 01020304:0052 02 0:0\n"
		"   5: 00000000:0044 00000000:0000 07 0:0\n"
		"   6: 000080FE00000000FF8F70D2C8FEE8B7:0052 00000000000000000000000000000000:0000 01 0:0\n"
		"   7: 00000000:0\n   8: 0000:0016\n   9\n:::::\n  10: 00000000:ZZZZ 00000000:0000 0A\n";
	char path[] = "/tmp/test_io_text.XXXXXX";
	char found[SOCKETS_TEXT] = "";
	int fd = mkstemp(path), one = 1;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(host_ports_read(path, IPPROTO_TCP, note_socket, found), 0);
	unlink(path);
	if (*(char *)&one != 1) {
		print_message("skipped: the sample is that of a little-endian machine\n");
		skip();
	}
	assert_string_equal(found, "0:22 0:0 server\n"
				   "7f000001:53 0:0 server\n"
				   "c6336402:8080 4030201:80 up\n"
				   "0:80 0:0 server\n"
				   "c6336402:81 4030201:80 up\n"
				   "c6336402:82 4030201:81\n"
				   "c6336402:83 4030201:82 up\n"
				   "0:68 0:0 server\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_read_as_they_are_written),
		cmocka_unit_test(damaged_lines_are_refused_or_harmless),
		cmocka_unit_test(only_our_own_settings_may_be_written),
		cmocka_unit_test(settings_of_devices_come_from_others),
		cmocka_unit_test(lists_of_ports),
		cmocka_unit_test(sockets_of_the_router),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
