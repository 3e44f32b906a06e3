/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sentences in lines that are no wider than a terminal.
 */
#ifndef CULVERT_CTL_WRAP_H
#define CULVERT_CTL_WRAP_H

#include <stddef.h>
#include <stdio.h>

/*
 * Prints text, which is printable ASCII, at the cursor, which stands at a column (the first is 0). Where the next word
 * would go past width columns a new line begins, indent columns further in; a word that fits no line stands as it is.
 * With a width of 0 there is one line. No newline at the end.
 */
void wrap_print(FILE *out, const char *text, size_t column, size_t indent, size_t width);

#endif
