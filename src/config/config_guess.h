/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What somebody meant who wrote a word of another program. Only error messages say it: nothing is guessed silently.
 */
#ifndef CULVERT_CONFIG_CONFIG_GUESS_H
#define CULVERT_CONFIG_CONFIG_GUESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The one of the count words that has the meaning of text elsewhere, or else the nearest one; NULL if none is near. */
const char *guess_word(const char *text, const char *const *words, size_t count);
/* A time with a unit, like 5m or 2 hours, in seconds; false if it is none, or not from low to high. */
bool guess_seconds(const char *text, uint32_t low, uint32_t high, uint32_t *seconds);
/* A sentence about a key that people look for in a [forward:NAME] section; NULL if it is not known. */
const char *guess_forward_key(const char *name);

#endif
