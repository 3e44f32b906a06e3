/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small functions on strings, without state.
 */
#include "config/text.h"

#include <arpa/inet.h>
#include <stdarg.h>
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

void text_append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
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

bool text_address(const char *text, struct address *address)
{
	struct in_addr parsed;

	if (inet_pton(AF_INET, text, &parsed) != 1)
		return false;
	*address = address_of(ntohl(parsed.s_addr));
	return true;
}

bool text_endpoint(const char *text, struct address *address, uint16_t *port)
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
