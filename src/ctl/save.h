/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rows of a capture as a pcapng file. It is made here and not by culvertd, so that it is written with the rights of
 * whoever asks.
 */
#ifndef CULVERT_CTL_SAVE_H
#define CULVERT_CTL_SAVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/row.h"

struct save {
	const char *path; /* "-": the standard output */
	FILE *errors;
	FILE *out;                     /* NULL until the capture has begun, so that a refused one overwrites nothing */
	uint64_t packets, bytes, lost; /* bytes: of the file */
};

void save_start(struct save *save, const char *path, FILE *errors);
/* Takes a row; each packet is in the file when this returns. An exit code, after having said on errors what is wrong.
 */
int save_add(struct save *save, const struct row *row);
/* If it has begun, says how many packets and bytes there are, how many packets are missing, and why it ended. An exit
 * code. */
int save_end(struct save *save, const char *why);

#endif
