/* SPDX-License-Identifier: BSD-2-Clause */
/* The distance of Damerau and Levenshtein, as far as it is short. */
#include "base/suggest.h"

#include <stdbool.h>

enum { LONGEST = 63 };

/* At most LONGEST + 1. */
static size_t length_of(const char *word)
{
	size_t length = 0;

	while (length <= LONGEST && word[length])
		length++;
	return length;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int suggest_distance(const char *a, const char *b)
{
	/* Three rows of the usual table: two back (for swaps), one back, and the one that is filled. */
	unsigned int rows[3][LONGEST + 1];
	size_t a_length = length_of(a), b_length = length_of(b);

	if (a_length > LONGEST || b_length > LONGEST)
		return 3;
	for (unsigned int j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (unsigned int i = 1; i <= a_length; i++) {
		unsigned int *now = rows[i % 3];
		const unsigned int *before = rows[(i - 1) % 3], *two_before = rows[(i + 1) % 3];

		now[0] = i;
		for (unsigned int j = 1; j <= b_length; j++) {
			bool same = lower(a[i - 1]) == lower(b[j - 1]);

			now[j] = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + (same ? 0 : 1));
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
				now[j] = least(now[j], two_before[j - 2] + 1);
		}
	}
	return least(rows[a_length % 3][b_length], 3);
}

const char *suggest_word(const char *word, const char *const *words, size_t count)
{
	const char *nearest = NULL;
	unsigned int shortest = 3;

	for (size_t i = 0; i < count; i++) {
		unsigned int distance = suggest_distance(word, words[i]);

		if (distance < shortest && (size_t)distance * 2 < length_of(words[i])) {
			shortest = distance;
			nearest = words[i];
		}
	}
	return nearest;
}
