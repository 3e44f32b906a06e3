/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration file, the files in the directory beside it, and the one of these that culvertctl mode writes.
 */
#include "config/config_keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A drop-in beside the main file, or, with name "", their directory: FILE.d, without the .ini of FILE. */
static void drop_in_path(const char *file, const char *name, char path[PATH_MAX])
{
	size_t length = strlen(file);

	if (length > 4 && !strcmp(file + length - 4, ".ini"))
		length -= 4;
	snprintf(path, PATH_MAX, "%.*s.d%s%s", (int)length, file, name[0] ? "/" : "", name);
}

const char *config_file_of(const struct config *config, const char *file, uint32_t place, char path[PATH_MAX])
{
	if (place < CONFIG_LINES)
		return file;
	drop_in_path(file, config->drop_in[place / CONFIG_LINES - 1], path);
	return path;
}

/* Reads one file on top of what config has. O_NONBLOCK: a FIFO must not make us wait. */
static void read_file(struct config *config, const char *path, bool optional, struct findings *findings)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	struct stat status;
	char *text = NULL;
	size_t size;

	findings->is_absent = fd < 0 && errno == ENOENT && optional;
	if (findings->is_absent)
		return;
	findings->is_unread = true;
	if (!file || fstat(fd, &status) < 0) {
		findings_error(findings, findings->place, "cannot be opened: %s", strerror(errno));
	} else if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) {
		findings_error(findings, findings->place, "is not a file");
	} else if (!(text = malloc(CONFIG_FILE_MAX + 1))) {
		findings_error(findings, findings->place, "out of memory");
	} else if ((size = fread(text, 1, CONFIG_FILE_MAX + 1, file)) > CONFIG_FILE_MAX) {
		findings_error(findings, findings->place, "is larger than %d bytes", CONFIG_FILE_MAX);
	} else if (ferror(file)) {
		findings_error(findings, findings->place, "cannot be read: %s", strerror(errno));
	} else {
		findings->is_unread = false;
		if (S_ISREG(status.st_mode) && status.st_mode & S_IWOTH)
			findings_warn(findings, findings->place, "everybody may write to it; use chmod o-w");
		config_parse_text(config, text, size, findings);
	}
	free(text);
	if (file)
		fclose(file);
}

static void read_drop_in(struct config *config, const struct config_source *source, const char *name,
			 struct findings *findings)
{
	const struct config_text *instead = source->instead;
	uint32_t number = findings->place / CONFIG_LINES;
	char path[PATH_MAX];

	if (number == CONFIG_DROP_INS || strlen(name) >= sizeof(config->drop_in[0])) {
		findings_error(findings, 0, "%s is not read: there may be %d drop-ins, with names of at most %zu bytes",
			       name, CONFIG_DROP_INS, sizeof(config->drop_in[0]) - 1);
		findings->is_unread = true;
		return;
	}
	memcpy(config->drop_in[number], name, strlen(name) + 1);
	findings->place += CONFIG_LINES;
	drop_in_path(source->path, name, path);
	if (instead && instead->is_drop_in && !strcmp(name, instead->name))
		config_parse_text(config, instead->text, instead->size, findings);
	else
		read_file(config, path, false, findings);
}

static int is_drop_in(const struct dirent *entry)
{
	const char *end = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && end && !strcmp(end, ".ini");
}

/* In the order of their names. */
static void read_drop_ins(struct config *config, const struct config_source *source, struct findings *findings)
{
	const char *more = source->instead && source->instead->is_drop_in ? source->instead->name : NULL;
	struct dirent **entries = NULL;
	char path[PATH_MAX];
	int count;

	drop_in_path(source->path, "", path);
	count = scandir(path, &entries, is_drop_in, alphasort);
	if (count < 0 && errno != ENOENT) {
		findings_error(findings, 0, "%s cannot be read: %s", path, strerror(errno));
		findings->is_unread = true;
	}
	for (int i = 0; i < count; i++) {
		int order = more ? strcmp(entries[i]->d_name, more) : -1;

		if (order > 0 && !findings->is_unread)
			read_drop_in(config, source, more, findings);
		if (order >= 0)
			more = NULL;
		if (!findings->is_unread)
			read_drop_in(config, source, entries[i]->d_name, findings);
		free(entries[i]);
	}
	if (more && !findings->is_unread)
		read_drop_in(config, source, more, findings);
	free(entries);
}

void config_read_files(struct config *config, const struct config_source *source, struct findings *findings)
{
	const struct config_text *instead = source->instead;
	bool is_absent;

	if (instead && !instead->is_drop_in)
		config_parse_text(config, instead->text, instead->size, findings);
	else if (source->path)
		read_file(config, source->path, source->optional, findings);
	is_absent = findings->is_absent;
	if (source->path && !findings->is_unread)
		read_drop_ins(config, source, findings);
	findings->is_absent = is_absent;
}

/* --- the drop-in of culvertctl mode --- */

void config_mode_path(const char *file, char path[PATH_MAX])
{
	drop_in_path(file, CONFIG_MODE_FILE, path);
}

static void print_keys(const struct config *config, const struct findings *findings, FILE *out)
{
	const char *section = "";

	fputs("# Written by culvertctl mode. To undo it, remove this file, then say culvertctl reload.\n", out);
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (!findings->key_line[i])
			continue;
		if (strcmp(section, key->section) != 0)
			fprintf(out, "[%s]\n", key->section);
		section = key->section;
		fprintf(out, "%s = ", key->name);
		config_key_print(key, config, out);
		fputc('\n', out);
	}
}

char *config_mode_text(const struct config_source *source, const struct config_key *key, const char *value,
		       size_t *size, config_report *report, void *context)
{
	struct config *config = malloc(sizeof(*config));
	char path[PATH_MAX], problem[PROBLEM_MAX], *text = NULL;
	struct findings findings = {.name = path, .report = report, .context = context, .config = config};
	FILE *out = open_memstream(&text, size);

	config_mode_path(source->path, path);
	if (config && out) {
		config_default(config);
		read_file(config, path, true, &findings);
		if (config->forwards > 0)
			findings_error(&findings, config->forward[0].line,
				       "would be lost, because culvertctl mode writes this file; move it to another");
		findings.key_line[key - config_keys] = 1;
		config_key_parse(key, config, value, problem);
		print_keys(config, &findings, out);
	}
	if ((out && fclose(out) != 0) || !config || findings.errors) {
		free(text);
		text = NULL;
	}
	free(config);
	return text;
}

bool config_mode_write(const char *file, const char *text, size_t size)
{
	static const char fresh[] = CONFIG_MODE_FILE "~"; /* not a drop-in */
	char path[PATH_MAX];
	int directory, fd = -1, error;
	FILE *out = NULL;
	bool good;

	drop_in_path(file, "", path);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return false;
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory >= 0)
		fd = openat(directory, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd >= 0)
		out = fdopen(fd, "w");
	good = out && fwrite(text, 1, size, out) == size && fflush(out) == 0 && fchmod(fd, 0644) == 0 &&
	       fsync(fd) == 0 && renameat(directory, fresh, directory, CONFIG_MODE_FILE) == 0;
	error = errno;
	if (out)
		fclose(out);
	if (!good && fd >= 0)
		unlinkat(directory, fresh, 0);
	if (directory >= 0) {
		fsync(directory); /* a rename lasts once its directory is on the disk */
		close(directory);
	}
	errno = error;
	return good;
}
