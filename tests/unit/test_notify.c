/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a service manager hears: each message by its words, on both kinds of addresses, and silence where none is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/kernel.h"
#include "observe/notify.h"

struct fixture {
	int manager;
	char name[64]; /* as $NOTIFY_SOCKET has it */
	struct notify notify;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	fixture->manager = fixture->notify.fd = -1;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	notify_close(&fixture->notify);
	if (fixture->manager >= 0)
		close(fixture->manager);
	if (fixture->name[0] == '/')
		unlink(fixture->name);
	free(fixture);
	return 0;
}

static void listen_at(struct fixture *fixture, const char *format)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t length = sizeof(address);

	snprintf(fixture->name, sizeof(fixture->name), format, (int)getpid());
	memcpy(address.sun_path, fixture->name, strlen(fixture->name));
	if (fixture->name[0] == '@') {
		address.sun_path[0] = '\0';
		length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(fixture->name));
	}
	fixture->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_true(fixture->manager >= 0);
	assert_int_equal(bind(fixture->manager, (const struct sockaddr *)&address, length), 0);
	setenv("NOTIFY_SOCKET", fixture->name, 1);
}

/* The next message; "" if there is none. */
static const char *hear(struct fixture *fixture)
{
	static char text[512];
	ssize_t length = recv(fixture->manager, text, sizeof(text) - 1, 0);

	text[length > 0 ? length : 0] = '\0';
	return text;
}

static void speaks(void **state)
{
	struct fixture *fixture = *state;

	listen_at(fixture, "/tmp/culvert-notify-%d");
	notify_open(&fixture->notify, NULL);
	assert_true(fixture->notify.watchdog_ms == 0);
	assert_string_equal(hear(fixture), "");
	notify_ready(&fixture->notify);
	assert_string_equal(hear(fixture), "READY=1\n");
	notify_alive(&fixture->notify);
	assert_string_equal(hear(fixture), "WATCHDOG=1\n");
	notify_stopping(&fixture->notify);
	assert_string_equal(hear(fixture), "STOPPING=1\n");
}

static void speaks_to_an_abstract_name(void **state)
{
	struct fixture *fixture = *state;

	listen_at(fixture, "@culvert-notify-%d");
	notify_open(&fixture->notify, NULL);
	notify_ready(&fixture->notify);
	assert_string_equal(hear(fixture), "READY=1\n");
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The time is not before the manager's own. */
static void says_when_it_reloads(void **state)
{
	struct fixture *fixture = *state;
	unsigned long long said = 0;
	uint64_t before, after;
	char end = 0;

	listen_at(fixture, "@culvert-notify-%d");
	notify_open(&fixture->notify, NULL);
	before = now_us();
	notify_reloading(&fixture->notify);
	after = now_us();
	assert_int_equal(sscanf(hear(fixture), "RELOADING=1\nMONOTONIC_USEC=%llu%c", &said, &end), 2);
	assert_true(end == '\n' && said >= before && said <= after);
}

/* A status is told once, and cannot bring other words in. */
static void tells_its_status(void **state)
{
	struct fixture *fixture = *state;
	char text[2 * NOTIFY_STATUS_MAX];

	listen_at(fixture, "@culvert-notify-%d");
	notify_open(&fixture->notify, NULL);
	notify_status(&fixture->notify, "forwarding");
	assert_string_equal(hear(fixture), "STATUS=forwarding\n");
	notify_status(&fixture->notify, "forwarding");
	assert_string_equal(hear(fixture), "");
	notify_status(&fixture->notify, "wan\nSTOPPING=1");
	assert_string_equal(hear(fixture), "STATUS=wan\\x0aSTOPPING=1\n");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	notify_status(&fixture->notify, text);
	assert_int_equal(strlen(hear(fixture)), strlen("STATUS=\n") + NOTIFY_STATUS_MAX - 1);
}

static void expect_status(struct fixture *fixture, const struct kernel_links *links, const char *want)
{
	char message[300];

	notify_links(&fixture->notify, "lan0", links);
	snprintf(message, sizeof(message), "STATUS=%s\n", want);
	assert_string_equal(hear(fixture), message);
}

static void tells_what_is_missing(void **state)
{
	struct fixture *fixture = *state;
	struct kernel_links *links = calloc(1, sizeof(*links));

	assert_non_null(links);
	listen_at(fixture, "@culvert-notify-%d");
	notify_open(&fixture->notify, NULL);
	snprintf(links->wan.name, sizeof(links->wan.name), "wan0");
	expect_status(fixture, links, "waiting for the WAN device to come back");
	links->wan.ifindex = 3;
	expect_status(fixture, links, "waiting for the WAN device wan0: it is down or has no carrier");
	links->wan.up = true;
	expect_status(fixture, links, "waiting for an IPv4 address of the WAN device wan0");
	links->wan.address_count = 1;
	links->wan.addresses[0] = address_of(0xc6336402);
	expect_status(fixture, links,
		      "forwarding lan0 -> wan0 (198.51.100.2); the LAN device is down or has no carrier");
	links->lan.up = true;
	expect_status(fixture, links, "forwarding lan0 -> wan0 (198.51.100.2)");
	free(links);
}

static void open_with(struct fixture *fixture, const char *time, const char *process)
{
	notify_close(&fixture->notify);
	setenv("WATCHDOG_USEC", time, 1);
	if (process)
		setenv("WATCHDOG_PID", process, 1);
	else
		unsetenv("WATCHDOG_PID");
	notify_open(&fixture->notify, NULL);
	assert_true(fixture->notify.fd >= 0);
}

static void feeds_the_watchdog(void **state)
{
	struct fixture *fixture = *state;
	char own[16], other[16];

	snprintf(own, sizeof(own), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)getppid());
	listen_at(fixture, "@culvert-notify-%d");
	open_with(fixture, "30000000", NULL);
	assert_true(fixture->notify.watchdog_ms == 15000);
	open_with(fixture, "30000000", own);
	assert_true(fixture->notify.watchdog_ms == 15000);
	open_with(fixture, "30000000", other);
	assert_true(fixture->notify.watchdog_ms == 0);
	open_with(fixture, "1", own);
	assert_true(fixture->notify.watchdog_ms == 1);
	open_with(fixture, "0", own);
	assert_true(fixture->notify.watchdog_ms == 0);
	open_with(fixture, "-5", own);
	assert_true(fixture->notify.watchdog_ms == 0);
	open_with(fixture, "30s", own);
	assert_true(fixture->notify.watchdog_ms == 0);
	open_with(fixture, "30000000", "me");
	assert_true(fixture->notify.watchdog_ms == 0);
}

/* Without a manager, with a bad address, and with one that is gone: nothing happens, and nothing waits. */
static void needs_no_manager(void **state)
{
	static const char *const bad[] = {"", "@", "/", "relative", "tcp:1.2.3.4"};
	struct fixture *fixture = *state;
	char text[300];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		notify_open(&fixture->notify, NULL);
		assert_int_equal(fixture->notify.fd, -1);
		notify_ready(&fixture->notify);
	}
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	setenv("NOTIFY_SOCKET", text, 1);
	notify_open(&fixture->notify, NULL);
	assert_int_equal(fixture->notify.fd, -1);
	setenv("NOTIFY_SOCKET", "/tmp/culvert-notify-nobody", 1);
	notify_open(&fixture->notify, NULL);
	assert_true(fixture->notify.fd >= 0);
	notify_ready(&fixture->notify);
	notify_status(&fixture->notify, "nobody hears this");
}

/* A manager that does not read must not stop the daemon. */
static void does_not_wait(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start = now_us();

	listen_at(fixture, "@culvert-notify-%d");
	notify_open(&fixture->notify, NULL);
	for (int i = 0; i < 5000; i++)
		notify_alive(&fixture->notify);
	assert_string_equal(hear(fixture), "WATCHDOG=1\n");
	assert_true(now_us() - start < 5000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(speaks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(speaks_to_an_abstract_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(says_when_it_reloads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_its_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_what_is_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(feeds_the_watchdog, set_up, tear_down),
		cmocka_unit_test_setup_teardown(needs_no_manager, set_up, tear_down),
		cmocka_unit_test_setup_teardown(does_not_wait, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
