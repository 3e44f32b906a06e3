/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of captures, byte by byte, and as tshark reads them where there is one; rows that must not become packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <culvert/exit.h>

#include "ctl/pcapng.h"
#include "ctl/save.h"

/* An IPv4 header and three bytes, so that there is padding. */
static const uint8_t ip[] = {0x45, 0, 0, 23, 0,    1,  0,   0, 64,  200, 0x52, 0x1b,
			     10,   0, 0, 2,  0xc6, 51, 100, 2, 'a', 'b', 'c'};

/* clang-format off */
static const uint8_t expected[] = {
	/* section header */
	0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0,
	/* LAN, WAN: raw IPv4 (228), 256 bytes at most, a name, the end of options */
	1, 0, 0, 0, 32, 0, 0, 0, 228, 0, 0, 0, 0, 1, 0, 0, 2, 0, 3, 0, 'L', 'A', 'N', 0, 0, 0, 0, 0, 32, 0, 0, 0,
	1, 0, 0, 0, 32, 0, 0, 0, 228, 0, 0, 0, 0, 1, 0, 0, 2, 0, 3, 0, 'W', 'A', 'N', 0, 0, 0, 0, 0, 32, 0, 0, 0,
	/* a packet to the WAN: time, 23 bytes of 1500 and one of padding, comment, flags (outbound), end of options */
	6, 0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0x05, 0, 0, 0, 0x04, 0x03, 0x02, 0x01, 23, 0, 0, 0, 0xdc, 0x05, 0, 0,
	0x45, 0, 0, 23, 0, 1, 0, 0, 64, 200, 0x52, 0x1b, 10, 0, 0, 2, 0xc6, 51, 100, 2, 'a', 'b', 'c', 0,
	1, 0, 5, 0, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 80, 0, 0, 0,
};
/* clang-format on */

static void bytes_are_as_the_format_says(void **state)
{
	const struct pcapng_packet packet = {
		.interface = PCAPNG_WAN,
		.way = PCAPNG_LEFT,
		.time_us = 0x501020304,
		.length = 1500,
		.stored = sizeof(ip),
		.data = ip,
		.comment = "hello",
	};
	char *bytes = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&bytes, &size);

	(void)state;
	assert_non_null(out);
	uint32_t said = pcapng_start(out, 256);
	said += pcapng_add(out, &packet);
	fclose(out);
	assert_int_equal(size, sizeof(expected));
	assert_int_equal(said, sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
	free(bytes);
}

/* A comment of any length keeps the blocks whole. */
static void every_length_is_padded(void **state)
{
	char comment[2000];

	(void)state;
	for (uint32_t i = 0; i < 1100; i += i < 16 ? 1 : 271) {
		struct pcapng_packet packet = {.stored = i % 24, .data = ip, .length = 23, .comment = comment};
		uint8_t *bytes = NULL;
		size_t size = 0;
		FILE *out = open_memstream((char **)&bytes, &size);

		assert_non_null(out);
		memset(comment, 'x', sizeof(comment));
		comment[i] = '\0';
		uint32_t said = pcapng_add(out, &packet);
		fclose(out);
		assert_int_equal(said, size);
		assert_int_equal(size % 4, 0);
		assert_int_equal(bytes[4] | bytes[5] << 8, size);
		assert_int_equal(bytes[size - 4] | bytes[size - 3] << 8, size);
		assert_true(size < 1200);
		free(bytes);
	}
}

/* --- rows --- */

static struct row row;

static int add(struct save *save, const char *line)
{
	assert_null(row_read(&row, line, strlen(line)));
	return save_add(save, &row);
}

#define LOOKING "{\"kind\":\"looking\",\"packets\":9,\"packets-per-second\":9,\"snap-bytes\":64}"
#define SEEN(side, event, data)                                                                                   \
	"{\"kind\":\"seen\",\"time\":1700000000,\"microseconds\":250000,\"side\":\"" side "\",\"event\":\"" event \
	"\",\"bytes\":23,\"comment\":\"a " event " one\",\"data\":\"" data "\"}"
#define IP_DATA "450000170001000040c8521b0a000002c6336402616263"

static void make_path(char path[64])
{
	snprintf(path, 64, "/tmp/test_pcapng.XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

static long long size_of(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return (long long)status.st_size;
}

static void rows_become_packets_that_tshark_reads(void **state)
{
	static const char *const lines[] = {
		"LAN|a came one|10.0.0.2|23|1700000000.250000000|0x00000001\n",
		"WAN|a left one|10.0.0.2|23|1700000000.250000000|0x00000002\n",
		"WAN|a dropped one|10.0.0.2|23|1700000000.250000000|0x00000000\n",
	};
	char path[64], command[512], line[256], end[256];
	struct save save;

	(void)state;
	make_path(path);
	save_start(&save, path, tmpfile());
	assert_int_equal(add(&save, LOOKING), EXIT_OK);
	assert_int_equal(add(&save, SEEN("lan", "came", IP_DATA)), EXIT_OK);
	assert_int_equal(add(&save, "{\"kind\":\"lost\",\"packets\":3}"), EXIT_OK);
	assert_int_equal(add(&save, SEEN("wan", "left", IP_DATA)), EXIT_OK);
	assert_int_equal(add(&save, SEEN("wan", "dropped", IP_DATA)), EXIT_OK);
	assert_int_equal(save_end(&save, "enough"), EXIT_OK);
	rewind(save.errors);
	assert_non_null(fgets(line, sizeof(line), save.errors));
	snprintf(end, sizeof(end),
		 "culvertctl: %s: 3 packets, %lld bytes; enough; up to 3 more are left out: see rate=\n", path,
		 size_of(path));
	assert_string_equal(line, end);
	fclose(save.errors);
	if (system("command -v tshark >/dev/null") != 0) {
		unlink(path);
		print_message("no tshark here to read the file\n");
		skip();
	}
	snprintf(command, sizeof(command),
		 "tshark -r %s -T fields -E separator='|' -e frame.interface_name -e frame.comment -e ip.src "
		 "-e frame.len -e frame.time_epoch -e frame.packet_flags 2>/dev/null",
		 path);
	FILE *shark = popen(command, "r");
	assert_non_null(shark);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_non_null(fgets(line, sizeof(line), shark));
		assert_string_equal(line, lines[i]);
	}
	assert_null(fgets(line, sizeof(line), shark));
	assert_int_equal(pclose(shark), 0);
	unlink(path);
}

/* What is no packet is refused, and nothing of it is written. */
static void what_is_wrong_is_refused(void **state)
{
	static const char *const wrong[] = {
		SEEN("lan", "came", "4"),
		SEEN("lan", "came", "4g"),
		SEEN("lan", "came", "4A"),
		SEEN("lan", "came", "45\\u00e4\\u00e4"),
	};
	char path[64];
	struct save save;

	(void)state;
	make_path(path);
	save_start(&save, path, tmpfile());
	assert_int_equal(add(&save, SEEN("lan", "came", IP_DATA)), EXIT_NETWORK); /* before the start */
	assert_null(save.out);
	assert_int_equal(add(&save, LOOKING), EXIT_OK);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(add(&save, wrong[i]), EXIT_NETWORK);
	assert_int_equal(ftell(save.out), 28 + 32 + 32);
	assert_int_equal(save_end(&save, "enough"), EXIT_OK);
	fclose(save.errors);
	unlink(path);
}

/* Without a packet it is a whole file; what stood there goes when the capture begins, and others do not read it. */
static void a_file_that_is_there_is_claimed(void **state)
{
	char path[64];
	struct stat status;
	struct save save;
	FILE *before;

	(void)state;
	make_path(path);
	before = fopen(path, "w");
	assert_non_null(before);
	for (int i = 0; i < 1000; i++)
		fputs("something", before);
	fclose(before);
	assert_int_equal(chmod(path, 0666), 0);
	save_start(&save, path, tmpfile());
	assert_int_equal(save_end(&save, "never begun"), EXIT_OK);
	assert_int_equal(ftell(save.errors), 0);
	assert_int_equal(size_of(path), 9000);
	assert_int_equal(add(&save, LOOKING), EXIT_OK);
	assert_int_equal(save_end(&save, "enough"), EXIT_OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(status.st_size, 28 + 32 + 32);
	fclose(save.errors);
	unlink(path);
}

/* A disk without room is an error and no shorter file. */
static void a_full_disk_is_noticed(void **state)
{
	struct save save;

	(void)state;
	if (access("/dev/full", W_OK) != 0) {
		print_message("no /dev/full here\n");
		skip();
	}
	save_start(&save, "/dev/full", tmpfile());
	assert_int_equal(add(&save, LOOKING), EXIT_FILE);
	save_end(&save, "it is full");
	fclose(save.errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_as_the_format_says),          cmocka_unit_test(every_length_is_padded),
		cmocka_unit_test(rows_become_packets_that_tshark_reads), cmocka_unit_test(what_is_wrong_is_refused),
		cmocka_unit_test(a_file_that_is_there_is_claimed),       cmocka_unit_test(a_full_disk_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
