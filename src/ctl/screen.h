/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status on one screen.
 */
#ifndef CULVERT_CTL_SCREEN_H
#define CULVERT_CTL_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/row.h"

struct screen {
	FILE *out;
	bool in_colour;
	uint32_t room;      /* columns of the terminal; 0: as wide as it comes */
	char kind[32];      /* of the row before */
	uint32_t warnings;  /* so far */
	uint32_t addresses; /* so far, of one side */
};

void screen_start(struct screen *screen, FILE *out, bool in_colour, uint32_t room);
/* Rows of the verb status, in the order in which they come. False if there is no memory. */
bool screen_add(struct screen *screen, const struct row *row);
void screen_end(struct screen *screen);

#endif
