/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A new journal is written beside the old one and renamed over it, so there is always a whole one. It need not survive
 * a crash of the machine: the changes do not, either.
 */
#include "io/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <culvert/exit.h>

enum { JOURNAL_SIZE_MAX = 1 << 20, BOOT_ID_MAX = 48 };

/* Numbers of namespaces are not used again until the next boot. Kernels before 5.14 only have the inode, which is. */
static uint64_t journal_identify_namespace(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	struct stat status;
	bool found = false;

	if (fd >= 0) {
#ifdef SO_NETNS_COOKIE
		found = !getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size);
#endif
		close(fd);
	}
	if (!found && !stat("/proc/thread-self/ns/net", &status))
		cookie = status.st_ino;
	return cookie;
}

static void journal_identify_boot(char id[BOOT_ID_MAX])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, id, BOOT_ID_MAX - 1);

	if (fd >= 0)
		close(fd);
	id[size < 0 ? 0 : size] = '\0';
	id[strcspn(id, "\n")] = '\0';
}

int journal_open(struct journal *journal, const char *state_dir, bool create, kernel_report *report, void *context)
{
	uint64_t cookie = journal_identify_namespace();
	char boot[BOOT_ID_MAX];

	journal_identify_boot(boot);
	journal->path = state_dir;
	snprintf(journal->name, sizeof(journal->name), "kernel-%" PRIu64 ".journal", cookie);
	snprintf(journal->header, sizeof(journal->header), "# culvert journal 1 boot %s namespace %" PRIu64 "\n", boot,
		 cookie);
	if (create && mkdir(state_dir, 0755) && errno != EEXIST) {
		report(context, LOG_ERR, "cannot make the state directory %s: %s", state_dir, strerror(errno));
		return EXIT_FILE;
	}
	journal->directory = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (journal->directory < 0 && (create || errno != ENOENT)) {
		report(context, LOG_ERR, "cannot open the state directory %s: %s", state_dir, strerror(errno));
		return EXIT_FILE;
	}
	return 0;
}

void journal_close(struct journal *journal)
{
	if (journal->directory >= 0)
		close(journal->directory);
	journal->directory = -1;
}

static int journal_refuse(const struct journal *journal, kernel_report *report, void *context, const char *why)
{
	report(context, LOG_ERR,
	       "%s/%s is not a journal that culvert has written (%s) and is ignored; look at it, undo what it lists by hand if that makes sense, and remove it",
	       journal->path, journal->name, why);
	return EXIT_FILE;
}

/* The whole file, with a final NUL, to be freed; NULL if there is none (*why is NULL then), or it is refused. */
static char *journal_load(const struct journal *journal, const char **why)
{
	int fd = openat(journal->directory, journal->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat status;
	char *text = NULL;
	ssize_t size;

	*why = NULL;
	if (fd < 0) {
		if (errno != ENOENT)
			*why = errno == ELOOP ? "a symbolic link" : strerror(errno);
		return NULL;
	}
	if (fstat(fd, &status))
		*why = strerror(errno);
	else if (!S_ISREG(status.st_mode))
		*why = "not a regular file";
	else if (status.st_mode & (S_IWGRP | S_IWOTH))
		*why = "others may write to it";
	else if (status.st_size > JOURNAL_SIZE_MAX)
		*why = "too large";
	else if (!(text = calloc(1, (size_t)status.st_size + 1)))
		*why = strerror(errno);
	if (text) {
		size = read(fd, text, (size_t)status.st_size);
		if (size != status.st_size || strlen(text) != (size_t)size) {
			*why = "it cannot be read, or holds zero bytes";
			free(text);
			text = NULL;
		}
	}
	close(fd);
	return text;
}

/* 0, or the number of the first line that is no change of ours, counted from 1. */
static unsigned int journal_parse(char *lines, struct change_list *list)
{
	unsigned int number = 1;
	char *line;

	while ((line = strsep(&lines, "\n")) && (*line || lines)) {
		struct change *change = change_list_add(list);

		number++;
		/* The last line ends with a newline like any other; one without has been cut. */
		if (!change || !lines || !change_parse(change, line))
			return number;
	}
	return 0;
}

int journal_read(struct journal *journal, struct change_list *list, kernel_report *report, void *context)
{
	static const char begin[] = "# culvert journal 1 boot ";
	const char *why = NULL;
	unsigned int line;
	char *text, wrong[48];

	if (journal->directory < 0)
		return 0;
	text = journal_load(journal, &why);
	if (!text)
		return why ? journal_refuse(journal, report, context, why) : 0;
	if (!strncmp(text, journal->header, strlen(journal->header))) {
		line = journal_parse(text + strlen(journal->header), list);
		snprintf(wrong, sizeof(wrong), "line %u is not a change that culvert makes", line);
		why = line ? wrong : NULL;
	} else if (!strncmp(text, begin, strlen(begin))) {
		report(context, LOG_INFO, "%s/%s is from before the machine was started; the changes in it are gone",
		       journal->path, journal->name);
		unlinkat(journal->directory, journal->name, 0);
	} else {
		why = "its first line";
	}
	if (why) {
		change_list_free(list);
		journal_refuse(journal, report, context, why);
	}
	free(text);
	return why ? EXIT_FILE : 0;
}

static void journal_print(FILE *out, const struct change_list *list)
{
	char text[CHANGE_TEXT_MAX];

	for (uint32_t i = 0; i < list->count; i++) {
		change_print(&list->items[i], text);
		fprintf(out, "%s\n", text);
	}
}

int journal_write(struct journal *journal, const struct change_list *first, const struct change_list *second)
{
	char temporary[sizeof(journal->name) + 4];
	FILE *out;
	int fd, error = 0;

	/* Only --cleanup goes on without the state directory. What it cannot undo now, it finds by its mark again. */
	if (journal->directory < 0)
		return 0;
	if (!first->count && !second->count) {
		if (journal->directory >= 0 && unlinkat(journal->directory, journal->name, 0) && errno != ENOENT)
			return -errno;
		return 0;
	}
	snprintf(temporary, sizeof(temporary), "%s.new", journal->name);
	unlinkat(journal->directory, temporary, 0);
	fd = openat(journal->directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out) {
		error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	fputs(journal->header, out);
	journal_print(out, first);
	journal_print(out, second);
	if (ferror(out))
		error = -EIO;
	if (fclose(out) && !error)
		error = -errno;
	if (!error && renameat(journal->directory, temporary, journal->directory, journal->name))
		error = -errno;
	if (error)
		unlinkat(journal->directory, temporary, 0);
	return error;
}
