/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values as people read them.
 */
#ifndef CULVERT_CTL_HUMAN_H
#define CULVERT_CTL_HUMAN_H

#include <stddef.h>
#include <stdint.h>

enum { HUMAN_MAX = 32 };

/* "512 B", "1.2 KiB", "34 MiB" */
void human_bytes(char out[HUMAN_MAX], uint64_t bytes);
/* "99999999", "100 M", "1000 G": at most 8 characters, in decimal units */
void human_count(char out[HUMAN_MAX], uint64_t count);
/* "12 s", "3 m 4 s", "2 h 5 m", "3 d 4 h" */
void human_seconds(char out[HUMAN_MAX], uint64_t seconds);
/* Every byte that is not printable ASCII as \xNN, a new string to be freed. NULL if there is no memory. */
char *human_escape(const char *text);

#endif
