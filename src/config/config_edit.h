/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One key of a configuration file gets another value, and everything else in the file stays as it was written:
 * comments, order, blank lines, line ends.
 */
#ifndef CULVERT_CONFIG_CONFIG_EDIT_H
#define CULVERT_CONFIG_CONFIG_EDIT_H

#include <stdbool.h>
#include <stddef.h>

enum { EDIT_PROBLEM = 256 };

/* A file as it was read; it is replaced only if it is still that one. */
struct config_file {
	char *text; /* for config_file_free() */
	size_t size;
	unsigned long long device, inode;
	long long changed_s, changed_ns;
};

/*
 * The text with "key = value" in [section]. A line of that key gets the value; otherwise a new line goes below the key
 * commented out, or to the end of the section; a section that is missing goes to the end of the text. Of several
 * sections or lines only the first is changed, and of a list only its first line: whether the result is good,
 * config_parse() knows. The result is for the caller to free; NULL if memory ran out.
 */
char *config_edit_text(const char *text, size_t size, const char *section, const char *key, const char *value,
		       size_t *result_size);

/* An exit code, and unless that is EXIT_OK problem says why: EXIT_CONFIG if the file cannot be read, as with
 * config_load(), and EXIT_FILE if it could not be replaced. */
int config_file_read(struct config_file *file, const char *path, char problem[EDIT_PROBLEM]);
/* Puts a new file with the same owner and mode in the place of the one that was read: whoever opens the path, even
 * after a crash, sees the old text or the new one. False, with nothing changed, and problem says why. */
bool config_file_replace(const struct config_file *file, const char *path, const char *text, size_t size,
			 char problem[EDIT_PROBLEM]);
void config_file_free(struct config_file *file);

#endif
