/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text of a file that goes to culvertd with a request. It is read here, with the rights of whoever asks: culvertd,
 * which may read more, opens no file for others.
 */
#ifndef CULVERT_CTL_OFFER_H
#define CULVERT_CTL_OFFER_H

#include <stddef.h>
#include <stdio.h>

enum { OFFER_NAME = 201, OFFER_MAX = 4 << 20 };

struct offer {
	char *text; /* NULL: there is none */
	size_t size;
	char name[OFFER_NAME]; /* what messages call it: a word of a request */
	char announced[32];    /* the word "size=BYTES" */
};

/* Reads the file, or, if path is "-", the standard input; at most OFFER_MAX bytes. An exit code, after having said on
 * errors what is wrong. offer_free() is allowed in any case. */
int offer_read(struct offer *offer, const char *path, FILE *errors);
void offer_free(struct offer *offer);

#endif
