/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes come as hexadecimal digits. */
#include "ctl/save.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "ctl/human.h"
#include "ctl/pcapng.h"

enum { STORED_MAX = ROW_LINE_MAX / 2 };

void save_start(struct save *save, const char *path, FILE *errors)
{
	*save = (struct save){.path = path, .errors = errors};
}

static int refuse(const struct save *save, int code, const char *what)
{
	fprintf(save->errors, "culvertctl: %s: %s\n", strcmp(save->path, "-") ? save->path : "standard output", what);
	return code;
}

/* What passes a router is not for everybody to read. */
static int save_open(struct save *save, uint32_t snap)
{
	bool is_file = strcmp(save->path, "-") != 0;
	int fd;

	if (!is_file && isatty(STDOUT_FILENO))
		return refuse(save, EXIT_USAGE, "a capture is not for terminals: write it to a file, or into a pipe");
	fd = is_file ? open(save->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : dup(STDOUT_FILENO);
	if (fd < 0)
		return refuse(save, EXIT_FILE, strerror(errno));
	save->out = fdopen(fd, "wb");
	if (!save->out) {
		int error = errno;

		close(fd);
		return refuse(save, EXIT_FILE, strerror(error));
	}
	pcapng_start(save->out, snap);
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

static int save_packet(struct save *save, const struct row *row)
{
	uint8_t data[STORED_MAX];
	struct pcapng_packet packet = {
		.interface = strcmp(row_text(row, "side"), "lan") ? PCAPNG_WAN : PCAPNG_LAN,
		.has_left = !strcmp(row_text(row, "event"), "left"),
		.time_us = row_number(row, "time") * 1000000 + row_number(row, "microseconds"),
		.length = (uint32_t)row_number(row, "bytes"),
		.data = data,
	};
	char *comment;

	if (!save->out || !read_data(row_text(row, "data"), data, &packet.stored))
		return refuse(save, EXIT_NETWORK, "a packet of the answer is not understood");
	comment = human_escape(row_text(row, "comment")); /* programs show it as it is */
	if (!comment)
		return refuse(save, EXIT_NETWORK, "no memory");
	packet.comment = comment;
	pcapng_add(save->out, &packet);
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

int save_end(struct save *save)
{
	int code = EXIT_OK;

	if (!save->out)
		return code;
	if (fclose(save->out) != 0)
		code = refuse(save, EXIT_FILE, strerror(errno));
	save->out = NULL;
	fprintf(save->errors, "culvertctl: %" PRIu64 " packets", save->packets);
	if (save->lost > 0)
		fprintf(save->errors, ", up to %" PRIu64 " more were lost to the limits", save->lost);
	fputc('\n', save->errors);
	return code;
}
