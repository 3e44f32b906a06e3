/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Colours of a terminal (ECMA-48). They only repeat what the words say.
 */
#ifndef CULVERT_CTL_COLOUR_H
#define CULVERT_CTL_COLOUR_H

#include <stdbool.h>

#define COLOUR_BOLD   "\033[1m"
#define COLOUR_RED    "\033[31m"
#define COLOUR_GREEN  "\033[32m"
#define COLOUR_YELLOW "\033[33m"

/* What to write before and behind a coloured text; colour NULL is none. */
static inline const char *colour_on(bool in_colour, const char *colour)
{
	return in_colour && colour ? colour : "";
}

static inline const char *colour_off(bool in_colour, const char *colour)
{
	return in_colour && colour ? "\033[0m" : "";
}

#endif
