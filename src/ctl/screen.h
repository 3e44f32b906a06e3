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
	char kind[32];     /* of the row before */
	uint32_t warnings; /* so far */
};

void screen_start(struct screen *screen, FILE *out, bool in_colour);
/* Rows of the verb status, in the order in which they come. False if there is no memory. */
bool screen_add(struct screen *screen, const struct row *row);
void screen_end(struct screen *screen);

#endif
