/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses as text: without snprintf(), which takes longer than the rest of a row. */
#include "base/address.h"

const char *address_print(struct address address, char text[ADDRESS_TEXT])
{
	char *at = text;

	for (int shift = 24; shift >= 0; shift -= 8) {
		uint32_t number = address.v4 >> shift & 255;

		if (number >= 100)
			*at++ = (char)('0' + number / 100);
		if (number >= 10)
			*at++ = (char)('0' + number / 10 % 10);
		*at++ = (char)('0' + number % 10);
		*at++ = shift > 0 ? '.' : '\0';
	}
	return text;
}
