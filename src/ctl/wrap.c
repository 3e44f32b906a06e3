/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines are broken at blanks, and only there. */
#include "ctl/wrap.h"

#include <string.h>

void wrap_print(FILE *out, const char *text, size_t column, size_t indent, size_t width)
{
	while (width > 0 && column + strlen(text) > width) {
		size_t room = width > column ? width - column : 0, at = room;

		/* the last blank at which what stands before it fits, otherwise the first one there is */
		while (at > 0 && text[at] != ' ')
			at--;
		if (at == 0 && column <= indent)
			at = strcspn(text, " ");
		if (!text[at])
			break;
		fprintf(out, "%.*s\n%*s", (int)at, text, (int)indent, "");
		text += at + strspn(text + at, " ");
		column = indent;
	}
	fputs(text, out);
}
