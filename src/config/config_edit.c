/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at the text line by line with the parser's idea of comments and white space (config_parse.c), notes the one
 * place where the key belongs, and puts the pieces together.
 */
#include "config/config_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "config/config.h"

struct line {
	const char *start;
	size_t length;  /* without its end */
	size_t content; /* without comment and white space behind */
	size_t indent;
	const char *next;
};

/* Where the key belongs: [from, to) of the text gives way to the new value or line. */
struct place {
	const char *from, *to;
	bool is_value;        /* only the value is new */
	bool is_in_section;   /* else the section is new as well */
	bool below_a_comment; /* the key commented out was found, and nothing better may come but the key itself */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The line that starts at *line->next. */
static bool next_line(struct line *line, const char *end)
{
	const char *newline;

	line->start = line->next;
	if (line->start == end)
		return false;
	newline = memchr(line->start, '\n', (size_t)(end - line->start));
	line->next = newline ? newline + 1 : end;
	line->length = (size_t)((newline ? newline : end) - line->start);
	if (line->length && line->start[line->length - 1] == '\r')
		line->length--;
	line->content = line->length;
	for (size_t i = 0; i < line->content; i++)
		if ((line->start[i] == ';' || line->start[i] == '#') && (i == 0 || is_blank(line->start[i - 1])))
			line->content = i;
	while (line->content && is_blank(line->start[line->content - 1]))
		line->content--;
	for (line->indent = 0; line->indent < line->content && is_blank(line->start[line->indent]);)
		line->indent++;
	return true;
}

static bool is_section(const struct line *line, const char *name)
{
	size_t length = line->content - line->indent;

	return length == strlen(name) + 2 && line->start[line->content - 1] == ']' &&
	       !memcmp(line->start + line->indent + 1, name, length - 2);
}

/* "key =" stands at text; the place behind the "=", or NULL. */
static const char *behind_key(const char *text, const char *end, const char *key)
{
	size_t length = strlen(key);

	if ((size_t)(end - text) <= length || memcmp(text, key, length) != 0)
		return NULL;
	for (text += length; text < end && is_blank(*text);)
		text++;
	return text < end && *text == '=' ? text + 1 : NULL;
}

/* "#key = value", the way in which the sample file names what has its default. */
static bool is_commented_out(const struct line *line, const char *key)
{
	const char *text = line->start, *end = line->start + line->length;

	if (line->length == 0 || (*text != '#' && *text != ';'))
		return false;
	text++;
	if (text < end && *text == ' ')
		text++;
	return behind_key(text, end, key) != NULL;
}

/* A line of the section that was looked for. True if the search is over. */
static bool look_in_section(const struct line *line, const char *key, struct place *place)
{
	const char *value = behind_key(line->start + line->indent, line->start + line->content, key);

	if (value) {
		while (value < line->start + line->content && is_blank(*value))
			value++;
		place->from = value;
		place->to = line->start + line->content;
		place->is_value = true;
		return true;
	}
	if (is_commented_out(line, key) && !place->below_a_comment) {
		place->below_a_comment = true;
		place->from = place->to = line->next;
	} else if (line->content > line->indent && !place->below_a_comment) {
		place->from = place->to = line->next;
	}
	return false;
}

static void find_place(const char *text, const char *end, const char *section, const char *key, struct place *place)
{
	struct line line = {.next = text};
	bool is_inside = false;

	*place = (struct place){.from = end, .to = end};
	if (end - text >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		line.next = text + 3;
	while (next_line(&line, end)) {
		if (line.content > line.indent && line.start[line.indent] == '[') {
			if (place->is_in_section)
				return;
			is_inside = place->is_in_section = is_section(&line, section);
			if (is_inside)
				place->from = place->to = line.next;
		} else if (is_inside && look_in_section(&line, key, place)) {
			return;
		}
	}
}

char *config_edit_text(const char *text, size_t size, const char *section, const char *key, const char *value,
		       size_t *result_size)
{
	const char *end = text + size, *newline = memchr(text, '\n', size);
	const char *line_end = newline && newline > text && newline[-1] == '\r' ? "\r\n" : "\n";
	struct place place;
	char *result = NULL;
	FILE *out = open_memstream(&result, result_size);

	if (!out)
		return NULL;
	find_place(text, end, section, key, &place);
	fwrite(text, 1, (size_t)(place.from - text), out);
	if (place.is_value) {
		/* as in "key =", which stands there without a value */
		if (place.from[-1] == '=' && is_blank(place.from[-2]))
			fputc(' ', out);
		fputs(value, out);
	} else {
		if (place.from > text && place.from[-1] != '\n')
			fputs(line_end, out);
		if (!place.is_in_section)
			fprintf(out, "%s[%s]%s", place.from > text ? line_end : "", section, line_end);
		fprintf(out, "%s = %s%s", key, value, line_end);
	}
	fwrite(place.to, 1, (size_t)(end - place.to), out);
	if (fclose(out) == 0)
		return result;
	free(result);
	return NULL;
}

/* --- the file --- */

static bool fails(char problem[EDIT_PROBLEM], const char *what)
{
	snprintf(problem, EDIT_PROBLEM, "%s: %s", what, strerror(errno));
	return false;
}

static bool read_text(int fd, struct config_file *file, char problem[EDIT_PROBLEM])
{
	ssize_t got;

	file->text = malloc(CONFIG_FILE_MAX + 1);
	if (!file->text)
		return fails(problem, "cannot be read");
	do {
		got = read(fd, file->text + file->size, CONFIG_FILE_MAX + 1 - file->size);
		if (got > 0)
			file->size += (size_t)got;
	} while ((got > 0 && file->size <= CONFIG_FILE_MAX) || (got < 0 && errno == EINTR));
	if (got < 0)
		return fails(problem, "cannot be read");
	if (file->size <= CONFIG_FILE_MAX)
		return true;
	snprintf(problem, EDIT_PROBLEM, "is larger than %d bytes", CONFIG_FILE_MAX);
	return false;
}

int config_file_read(struct config_file *file, const char *path, char problem[EDIT_PROBLEM])
{
	struct stat status = {0};
	bool read = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);

	memset(file, 0, sizeof(*file));
	if (fd < 0 && errno == ELOOP) {
		snprintf(problem, EDIT_PROBLEM,
			 "is a symbolic link, which would be lost; start culvertd with the file itself");
		return EXIT_FILE;
	}
	if (fd < 0 && errno == ENOENT) { /* culvertd may well have started without one */
		snprintf(problem, EDIT_PROBLEM, "does not exist; make it first, an empty one will do");
		return EXIT_CONFIG;
	}
	if (fd < 0) {
		fails(problem, "cannot be opened");
		return EXIT_CONFIG;
	}
	if (fstat(fd, &status) < 0)
		fails(problem, "cannot be examined");
	else if (!S_ISREG(status.st_mode))
		snprintf(problem, EDIT_PROBLEM, "is not a file");
	else
		read = read_text(fd, file, problem);
	close(fd);
	file->device = status.st_dev;
	file->inode = status.st_ino;
	file->changed_s = status.st_ctim.tv_sec;
	file->changed_ns = status.st_ctim.tv_nsec;
	if (!read)
		config_file_free(file);
	return read ? EXIT_OK : EXIT_CONFIG;
}

void config_file_free(struct config_file *file)
{
	free(file->text);
	file->text = NULL;
}

/* Fills the new file. Owner and mode first: nobody who may not read the old one reads the new one. */
static bool fill(int fd, const struct stat *old, const char *text, size_t size, char problem[EDIT_PROBLEM])
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return fails(problem, "the new one cannot be examined");
	if ((status.st_uid != old->st_uid || status.st_gid != old->st_gid) && fchown(fd, old->st_uid, old->st_gid) < 0)
		return fails(problem, "culvertd may not give it back to its owner; edit it yourself, then reload");
	if (fchmod(fd, old->st_mode & 07777) < 0)
		return fails(problem, "its mode cannot be kept");
	while (size > 0) {
		ssize_t put = write(fd, text, size);

		if (put < 0 && errno != EINTR)
			return fails(problem, "cannot be written");
		if (put > 0) {
			text += put;
			size -= (size_t)put;
		}
	}
	return fsync(fd) == 0 || fails(problem, "cannot be written");
}

/* A rename lasts once its directory is on the disk; if that fails the file is good all the same. */
static void sync_directory(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd;

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

static bool is_still(const struct config_file *file, const struct stat *now)
{
	return S_ISREG(now->st_mode) && file->device == now->st_dev && file->inode == now->st_ino &&
	       file->changed_s == now->st_ctim.tv_sec && file->changed_ns == now->st_ctim.tv_nsec;
}

bool config_file_replace(const struct config_file *file, const char *path, const char *text, size_t size,
			 char problem[EDIT_PROBLEM])
{
	struct stat old;
	char fresh[PATH_MAX];
	bool good;
	int fd;

	if (snprintf(fresh, sizeof(fresh), "%s.new~", path) >= (int)sizeof(fresh)) {
		snprintf(problem, EDIT_PROBLEM, "its path is too long");
		return false;
	}
	unlink(fresh); /* of a process that died in between */
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fails(problem, "culvertd may not make a new file beside it; edit it yourself, then reload");
	good = lstat(path, &old) == 0 || fails(problem, "cannot be examined");
	good = good && fill(fd, &old, text, size, problem);
	if (close(fd) < 0 && good)
		good = fails(problem, "cannot be written");
	good = good && (lstat(path, &old) == 0 || fails(problem, "cannot be examined"));
	if (good && !is_still(file, &old)) {
		snprintf(problem, EDIT_PROBLEM, "somebody else has just changed it; try again");
		good = false;
	}
	if (good && rename(fresh, path) < 0)
		good = fails(problem, "cannot be replaced");
	if (good)
		sync_directory(path);
	else
		unlink(fresh);
	return good;
}
