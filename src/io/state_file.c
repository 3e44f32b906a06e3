/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file is one page of our own, which says of what boot and size it is, and the memory behind it, mapped shared. Its
 * space is allocated before it is mapped, so that a file system that fills up later cannot kill the process. Ordinary
 * memory in its place has a descriptor as well, so that both can be mapped a second time.
 */
#include "io/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <culvert/exit.h>

enum { FRONT = 4096, BOOT_ID = 36 };

/* The first page of the file. */
struct front {
	char magic[16];
	char boot[BOOT_ID];
	uint32_t reserved;
	uint64_t size;
};

static const char magic[16] = "culvert flows 1";

static bool state_file_read_boot(char boot[BOOT_ID])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return false;
	got = read(fd, boot, BOOT_ID);
	close(fd);
	return got == BOOT_ID;
}

/* 0, or the errno. EWOULDBLOCK: another process has it. */
static int state_file_open_file(struct state_file *file)
{
	struct stat status;

	file->fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (file->fd < 0)
		return errno;
	if (fstat(file->fd, &status) != 0)
		return errno;
	if (!S_ISREG(status.st_mode) || status.st_nlink != 1)
		return EINVAL;
	/* What is in it is trusted as the process itself is. */
	if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)))
		return EPERM;
	if (flock(file->fd, LOCK_EX | LOCK_NB) != 0)
		return errno;
	return 0;
}

/* Is the file what a process of this boot left, of this size? */
static bool state_file_fits(const struct state_file *file, const struct front *wanted)
{
	struct front found;
	struct stat status;

	return fstat(file->fd, &status) == 0 && status.st_size == (off_t)file->mapping_size &&
	       pread(file->fd, &found, sizeof(found), 0) == (ssize_t)sizeof(found) &&
	       memcmp(&found, wanted, sizeof(found)) == 0;
}

/* 0, or the errno. */
static int state_file_map_file(struct state_file *file, const struct front *front)
{
	int error = 0;

	file->left = state_file_fits(file, front);
	if (!file->left && ftruncate(file->fd, 0) != 0)
		return errno;
	/* Also for a file that fits: it could have holes. */
	error = posix_fallocate(file->fd, 0, (off_t)file->mapping_size);
	if (error)
		return error;
	if (!file->left && pwrite(file->fd, front, sizeof(*front), 0) != (ssize_t)sizeof(*front))
		return errno ? errno : EIO;
	file->mapping = mmap(NULL, file->mapping_size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (file->mapping == MAP_FAILED)
		return errno;
	file->memory = (uint8_t *)file->mapping + FRONT;
	file->kept = true;
	return 0;
}

static int state_file_try_file(struct state_file *file, const char *state_dir)
{
	struct front front = {.size = file->size};
	int error;

	memcpy(front.magic, magic, sizeof(magic));
	if (!state_file_read_boot(front.boot))
		return ENOSYS;
	if ((size_t)snprintf(file->path, sizeof(file->path), "%s/flows", state_dir) >= sizeof(file->path))
		return ENAMETOOLONG;
	error = state_file_open_file(file);
	if (error == EWOULDBLOCK)
		return error;
	if (!error) {
		error = state_file_map_file(file, &front);
		if (error) /* nothing half done stays behind, least of all what fills the file system */
			(void)unlink(file->path);
	}
	return error;
}

/* False, with errno set, if there is no memory. */
static bool state_file_map_memory(struct state_file *file)
{
	file->mapping = NULL;
	file->fd = memfd_create("culvert flows", MFD_CLOEXEC);
	if (file->fd < 0 || ftruncate(file->fd, (off_t)file->mapping_size) != 0)
		return false;
	file->mapping = mmap(NULL, file->mapping_size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	if (file->mapping == MAP_FAILED) {
		file->mapping = NULL;
		return false;
	}
	(void)madvise(file->mapping, file->mapping_size, MADV_HUGEPAGE);
	file->memory = (uint8_t *)file->mapping + FRONT;
	return true;
}

int state_file_open(struct state_file *file, const char *state_dir, size_t size, kernel_report *report, void *context)
{
	int error;

	memset(file, 0, sizeof(*file));
	file->fd = -1;
	file->size = size;
	file->mapping_size = size + FRONT;
	error = state_file_try_file(file, state_dir);
	if (!error)
		return 0;
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	file->left = false;
	if (error == EWOULDBLOCK) {
		report(context, LOG_ERR,
		       "a culvertd in another network namespace uses the state directory %s; give each its own with --state-dir",
		       state_dir);
		return EXIT_FILE;
	}
	report(context, LOG_WARNING, "flows will not survive a crash, because culvertd cannot use %s/flows: %s",
	       state_dir, strerror(error));
	if (!state_file_map_memory(file)) {
		report(context, LOG_ERR, "out of memory: no tables (%zu MiB); lower [limits] flows", size >> 20);
		state_file_close(file, false);
		return EXIT_NETWORK;
	}
	return 0;
}

void *state_file_snapshot(const struct state_file *file)
{
	void *mapping =
		mmap(NULL, file->mapping_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file->fd, 0);

	return mapping != MAP_FAILED ? (uint8_t *)mapping + FRONT : NULL;
}

void state_file_drop_snapshot(const struct state_file *file, void *snapshot)
{
	munmap((uint8_t *)snapshot - FRONT, file->mapping_size);
}

void state_file_close(struct state_file *file, bool forget)
{
	if (file->mapping)
		munmap(file->mapping, file->mapping_size);
	if (file->fd >= 0) {
		if (forget && file->kept)
			(void)unlink(file->path);
		close(file->fd);
	}
	memset(file, 0, sizeof(*file));
	file->fd = -1;
}
