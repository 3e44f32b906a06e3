/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiler's command line puts this in front of each unit test that is a part of tests/unit/units (units.c): the
 * test's main() becomes an entry of a list, under the name of the source.
 */
#ifndef TESTS_UNIT_PART_H
#define TESTS_UNIT_PART_H

struct unit_part {
	const char *source;
	int (*run)(void);
	struct unit_part *next;
};

/* Puts a part, which stays the caller's, into the list. */
void unit_part_enlist(struct unit_part *part);

#ifndef PART_LIST
#define main unit_part_main

static int unit_part_main(void);

__attribute__((constructor)) static void unit_part_begin(void)
{
	static struct unit_part self = {.source = __BASE_FILE__, .run = unit_part_main};

	unit_part_enlist(&self);
}
#endif

#endif
