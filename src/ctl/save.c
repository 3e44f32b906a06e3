/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes come as hexadecimal digits. */
#include "ctl/save.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "ctl/human.h"
#include "ctl/pcapng.h"

enum { STORED_MAX = ROW_LINE_MAX / 2 };

void save_start(struct save *save, const char *path, FILE *errors)
{
	*save = (struct save){.path = path, .errors = errors};
}

static const char *name_of(const struct save *save)
{
	return strcmp(save->path, "-") ? save->path : "standard output";
}

static int refuse(const struct save *save, int code, const char *what)
{
	fprintf(save->errors, "culvertctl: %s: %s\n", name_of(save), what);
	return code;
}

/* Captures are private: the mode of an existing file is tightened before the file is truncated. */
static int claim(const struct save *save, int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return refuse(save, EXIT_FILE, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return EXIT_OK;
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0 && fchmod(fd, S_IRUSR | S_IWUSR) < 0)
		return refuse(save, EXIT_FILE, "it belongs to another user, and others may read it; name another file");
	return ftruncate(fd, 0) == 0 ? EXIT_OK : refuse(save, EXIT_FILE, strerror(errno));
}

static int save_open(struct save *save, uint32_t snap)
{
	bool is_file = strcmp(save->path, "-") != 0;
	int fd, code;

	if (!is_file && isatty(STDOUT_FILENO))
		return refuse(save, EXIT_USAGE,
			      "cannot write a capture to a terminal; write it to a file or into a pipe");
	fd = is_file ? open(save->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600) : dup(STDOUT_FILENO);
	if (fd < 0)
		return refuse(save, EXIT_FILE, strerror(errno));
	code = is_file ? claim(save, fd) : EXIT_OK;
	if (code != EXIT_OK) {
		close(fd);
		return code;
	}
	save->out = fdopen(fd, "wb");
	if (!save->out) {
		int error = errno;

		close(fd);
		return refuse(save, EXIT_FILE, strerror(error));
	}
	save->bytes = pcapng_start(save->out, snap);
	return EXIT_OK;
}

static int digit_of(char letter)
{
	if (letter >= '0' && letter <= '9')
		return letter - '0';
	return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* False if it is not pairs of digits, or too many. */
static bool read_data(const char *text, uint8_t data[STORED_MAX], uint32_t *stored)
{
	size_t length = strlen(text);

	if (length % 2 != 0 || length / 2 > STORED_MAX)
		return false;
	for (size_t i = 0; i < length / 2; i++) {
		int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		data[i] = (uint8_t)(high << 4 | low);
	}
	*stored = (uint32_t)(length / 2);
	return true;
}

static enum pcapng_way way_of(const char *event)
{
	if (!strcmp(event, "came"))
		return PCAPNG_CAME;
	return strcmp(event, "left") ? PCAPNG_STAYED : PCAPNG_LEFT;
}

static int save_packet(struct save *save, const struct row *row)
{
	uint8_t data[STORED_MAX];
	struct pcapng_packet packet = {
		.interface = strcmp(row_text(row, "side"), "lan") ? PCAPNG_WAN : PCAPNG_LAN,
		.way = way_of(row_text(row, "event")),
		.time_us = row_number(row, "time") * 1000000 + row_number(row, "microseconds"),
		.length = (uint32_t)row_number(row, "bytes"),
		.data = data,
	};
	char *comment;

	if (!save->out || !read_data(row_text(row, "data"), data, &packet.stored))
		return refuse(save, EXIT_NETWORK, "cannot understand a packet of the answer");
	comment = human_escape(row_text(row, "comment")); /* programs show it as it is */
	if (!comment)
		return refuse(save, EXIT_NETWORK, "no memory");
	packet.comment = comment;
	save->bytes += pcapng_add(save->out, &packet);
	free(comment);
	save->packets++;
	return EXIT_OK;
}

int save_add(struct save *save, const struct row *row)
{
	const char *kind = row_text(row, "kind");
	int code = EXIT_OK;

	if (!strcmp(kind, "looking") && !save->out)
		code = save_open(save, (uint32_t)row_number(row, "snap-bytes"));
	else if (!strcmp(kind, "seen"))
		code = save_packet(save, row);
	else if (!strcmp(kind, "lost"))
		save->lost += row_number(row, "packets");
	if (code == EXIT_OK && save->out && fflush(save->out) != 0)
		code = refuse(save, EXIT_FILE, strerror(errno));
	return code;
}

int save_end(struct save *save, const char *why)
{
	int code = EXIT_OK;

	if (!save->out)
		return code;
	if (fclose(save->out) != 0)
		code = refuse(save, EXIT_FILE, strerror(errno));
	save->out = NULL;
	fprintf(save->errors, "culvertctl: %s: %" PRIu64 " packet%s, %" PRIu64 " bytes; %s", name_of(save),
		save->packets, save->packets == 1 ? "" : "s", save->bytes, why);
	if (save->lost > 0)
		fprintf(save->errors, "; up to %" PRIu64 " more are left out: see rate=", save->lost);
	fputc('\n', save->errors);
	return code;
}
