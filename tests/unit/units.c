/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Most unit tests in one program, so that they are linked once: `units tests/unit/test_x.c` runs the main() of that
 * source, and `units` alone says which there are.
 */
#include <stdio.h>
#include <string.h>

#define PART_LIST
#include "part.h"

static struct unit_part *parts;

void unit_part_enlist(struct unit_part *part)
{
	part->next = parts;
	parts = part;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
	for (const struct unit_part *part = parts; argc == 2 && part; part = part->next) {
		if (!strcmp(base_name(part->source), base_name(argv[1])))
			return part->run();
	}
	fprintf(stderr, "usage: units SOURCE, which is one of:\n");
	for (const struct unit_part *part = parts; part; part = part->next)
		fprintf(stderr, "  %s\n", part->source);
	return 99;
}
