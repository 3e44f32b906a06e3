/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole text is read before culvertd is asked, which does not wait for long. */
#include "ctl/offer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <culvert/exit.h>

static int refuse(const struct offer *offer, const char *what, FILE *errors)
{
	fprintf(errors, "culvertctl: %s: %s\n", offer->name, what);
	return EXIT_CONFIG;
}

/* A request holds printable ASCII without blanks; of a long path the end says more. */
static void choose_name(struct offer *offer, const char *path)
{
	size_t length = strlen(path), skipped = length < OFFER_NAME ? 0 : length - OFFER_NAME + 1;

	if (!strcmp(path, "-"))
		path = "standard-input";
	snprintf(offer->name, sizeof(offer->name), "%s", path[0] ? path + skipped : "?");
	for (char *at = offer->name; *at; at++)
		if (*at < 0x21 || *at > 0x7e)
			*at = '?';
}

static int read_stream(struct offer *offer, FILE *in, FILE *errors)
{
	offer->text = malloc(OFFER_MAX + 1);
	if (!offer->text)
		return refuse(offer, "out of memory", errors);
	offer->size = fread(offer->text, 1, OFFER_MAX + 1, in);
	if (ferror(in))
		return refuse(offer, strerror(errno), errors);
	if (offer->size > OFFER_MAX)
		return refuse(offer, "it is too long for a configuration", errors);
	snprintf(offer->announced, sizeof(offer->announced), "size=%zu", offer->size);
	return EXIT_OK;
}

int offer_read(struct offer *offer, const char *path, FILE *errors)
{
	FILE *in;
	int code;

	*offer = (struct offer){.text = NULL};
	choose_name(offer, path);
	if (!strcmp(path, "-"))
		return read_stream(offer, stdin, errors);
	in = fopen(path, "re");
	if (!in)
		return refuse(offer, strerror(errno), errors);
	code = read_stream(offer, in, errors);
	fclose(in);
	return code;
}

void offer_free(struct offer *offer)
{
	free(offer->text);
	offer->text = NULL;
}
