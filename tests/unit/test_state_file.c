/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file behind the tables: what one process leaves the next one finds, and nothing else is taken for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/state_file.h"

enum { SIZE = 3 * 4096 + 64 };

static char directory[64], path[80];
static int reports;

static void count_report(void *context, int level, const char *format, ...)
{
	(void)context;
	(void)level;
	(void)format;
	reports++;
}

static int open_file(struct state_file *file, size_t size)
{
	reports = 0;
	return state_file_open(file, directory, size, count_report, NULL);
}

/* Leaves a file whose memory is full of 0xc5. */
static void leave_file(void)
{
	struct state_file file;

	assert_int_equal(open_file(&file, SIZE), 0);
	assert_true(file.kept);
	memset(file.memory, 0xc5, file.size);
	state_file_close(&file, false);
	assert_int_equal(access(path, F_OK), 0);
}

static void assert_found(bool left)
{
	struct state_file file;

	assert_int_equal(open_file(&file, SIZE), 0);
	assert_int_equal(file.left, left);
	assert_true(file.kept);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(((uint8_t *)file.memory)[i], left ? 0xc5 : 0);
	assert_int_equal((uintptr_t)file.memory % 64, 0);
	state_file_close(&file, true);
	assert_int_equal(access(path, F_OK), -1);
}

static void next_process_finds_it(void **state)
{
	struct stat status;

	(void)state;
	assert_found(false);
	leave_file();
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_found(true);
}

static void another_size_or_boot_is_not_ours(void **state)
{
	struct state_file file;
	int fd;

	(void)state;
	leave_file();
	assert_int_equal(open_file(&file, SIZE + 4096), 0);
	assert_false(file.left);
	state_file_close(&file, true);

	for (off_t offset = 0; offset < 64; offset += 7) {
		uint8_t byte;

		leave_file();
		fd = open(path, O_RDWR);
		assert_true(fd >= 0);
		assert_int_equal(pread(fd, &byte, 1, offset), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
		close(fd);
		assert_found(false);
	}
	leave_file();
	assert_int_equal(truncate(path, 4096 + SIZE - 1), 0);
	assert_found(false);
}

static void second_process_is_refused(void **state)
{
	struct state_file first, second;

	(void)state;
	assert_int_equal(open_file(&first, SIZE), 0);
	assert_int_equal(open_file(&second, SIZE), 5);
	assert_int_equal(reports, 1);
	assert_int_equal(access(path, F_OK), 0);
	state_file_close(&first, true);
}

/* The copy has what was there, and what is written to it stays there. */
static void assert_snapshot(const struct state_file *file)
{
	uint8_t *copy;

	memset(file->memory, 0x5a, file->size);
	copy = state_file_snapshot(file);
	assert_non_null(copy);
	assert_memory_equal(copy, file->memory, file->size);
	memset(copy, 0x17, file->size);
	for (size_t i = 0; i < file->size; i++)
		assert_int_equal(((uint8_t *)file->memory)[i], 0x5a);
	state_file_drop_snapshot(file, copy);
	copy = state_file_snapshot(file);
	assert_non_null(copy);
	assert_memory_equal(copy, file->memory, file->size);
	state_file_drop_snapshot(file, copy);
}

static void snapshots_change_nothing(void **state)
{
	struct state_file file;

	(void)state;
	assert_int_equal(open_file(&file, SIZE), 0);
	assert_true(file.kept);
	assert_snapshot(&file);
	state_file_close(&file, true);
}

/* Ordinary memory takes the place of a file that cannot be used, and somebody says so. */
static void assert_ordinary(void)
{
	struct state_file file;

	assert_int_equal(open_file(&file, SIZE), 0);
	assert_int_equal(reports, 1);
	assert_false(file.kept);
	assert_false(file.left);
	assert_snapshot(&file);
	state_file_close(&file, true);
}

static void bad_files_are_not_used(void **state)
{
	char other[96];
	int fd;

	(void)state;
	snprintf(other, sizeof(other), "%s/other", directory);
	fd = open(other, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	assert_int_equal(symlink(other, path), 0);
	assert_ordinary();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(link(other, path), 0);
	assert_ordinary();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_ordinary();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_ordinary();
	assert_int_equal(rmdir(path), 0);

	fd = open(other, O_RDONLY);
	char found[9] = "";
	assert_int_equal(read(fd, found, 8), 8);
	assert_string_equal(found, "precious");
	close(fd);
	assert_int_equal(unlink(other), 0);
}

static void files_of_others_are_not_used(void **state)
{
	(void)state;
	for (mode_t mode = 0620; mode; mode = mode == 0620 ? 0602 : 0) {
		leave_file();
		assert_int_equal(chmod(path, mode), 0);
		assert_ordinary();
		assert_int_equal(unlink(path), 0);
	}
	leave_file();
	if (chown(path, geteuid() + 1, (gid_t)-1) != 0) {
		print_message("only root can give a file away\n");
		skip();
	}
	assert_ordinary();
}

static int make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/culvert-test.XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/flows", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(next_process_finds_it, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(another_size_or_boot_is_not_ours, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(snapshots_change_nothing, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(second_process_is_refused, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(bad_files_are_not_used, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(files_of_others_are_not_used, make_directory, remove_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
