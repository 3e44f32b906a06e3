/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small functions on strings, without state.
 */
#include "daemon/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void text_escape(char *out, size_t size, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= 0x20 && c < 0x7f;

		/* Room for this byte, for "..." and for the final NUL. */
		if (used + (plain ? 1 : 4) + 4 > size) {
			memcpy(out + used, "...", 3);
			used += 3;
			break;
		}
		if (plain) {
			out[used++] = (char)c;
		} else {
			out[used++] = '\\';
			out[used++] = 'x';
			out[used++] = digits[c >> 4];
			out[used++] = digits[c & 15];
		}
	}
	out[used] = '\0';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int text_distance(const char *a, const char *b)
{
	enum { LONGEST = 63 };
	/* Three rows of the usual table: two back (for swaps), one back, and the one that is filled. */
	unsigned int rows[3][LONGEST + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

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

const char *text_suggest(const char *word, const char *const *words, size_t count)
{
	const char *nearest = NULL;
	unsigned int shortest = 3;

	for (size_t i = 0; i < count; i++) {
		unsigned int distance = text_distance(word, words[i]);

		if (distance < shortest && (size_t)distance * 2 < strlen(words[i])) {
			shortest = distance;
			nearest = words[i];
		}
	}
	return nearest;
}

void text_sentence(char *out, size_t size, const char *phrase)
{
	size_t length = strlen(phrase);

	snprintf(out, size, "%s%s", phrase, length && phrase[length - 1] == '.' ? "" : ".");
	if (out[0] >= 'a' && out[0] <= 'z')
		out[0] = (char)(out[0] - 'a' + 'A');
}

bool text_number(const char *text, uint32_t high, uint32_t *value)
{
	uint64_t sum = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		sum = sum * 10 + (uint64_t)(*text - '0');
		if (sum > high)
			return false;
	}
	*value = (uint32_t)sum;
	return true;
}

bool text_address(const char *text, uint32_t *address)
{
	struct in_addr parsed;

	if (inet_pton(AF_INET, text, &parsed) != 1)
		return false;
	*address = ntohl(parsed.s_addr);
	return true;
}

bool text_endpoint(const char *text, uint32_t *address, uint16_t *port)
{
	const char *colon = strchr(text, ':');
	char first[INET_ADDRSTRLEN];
	uint32_t number;

	if (!colon || (size_t)(colon - text) >= sizeof(first))
		return false;
	memcpy(first, text, (size_t)(colon - text));
	first[colon - text] = '\0';
	if (!text_address(first, address) || !text_number(colon + 1, UINT16_MAX, &number) || !number)
		return false;
	*port = (uint16_t)number;
	return true;
}
