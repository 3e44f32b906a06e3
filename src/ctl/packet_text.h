/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet that somebody looks at as one line: the way it takes, and what it is before and behind the translation.
 */
#ifndef CULVERT_CTL_PACKET_TEXT_H
#define CULVERT_CTL_PACKET_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/row.h"

/* The row is of a packet that left, and the row of the one that came has said that already. *told, 0 at first, is for
 * the next call. */
bool packet_text_is_told(const struct row *row, uint64_t *told);
/* lan->wan and the like; a new string, NULL if there is no memory. */
char *packet_text_way(const struct row *row);
/* Its ends and identifier, what they were translated to, and otherwise what became of it. */
char *packet_text_sentence(const struct row *row);

#endif
