/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a mistyped word was meant to be.
 */
#ifndef CULVERT_BASE_SUGGEST_H
#define CULVERT_BASE_SUGGEST_H

#include <stddef.h>

/* How many letters must be inserted, deleted, replaced or swapped with their neighbour to make b of a. Gives 3 for
 * anything above 2 and for words of more than 63 bytes; case does not count. */
unsigned int suggest_distance(const char *a, const char *b);

/* The nearest of count words at a distance of at most 2 (and less than half of the word's length), or NULL. */
const char *suggest_word(const char *word, const char *const *words, size_t count);

#endif
