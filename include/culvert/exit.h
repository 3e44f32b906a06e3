/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exit codes of culvertd and culvertctl; the codes of answers on the control socket are the same.
 */
#ifndef CULVERT_EXIT_H
#define CULVERT_EXIT_H

enum {
	EXIT_OK = 0,
	EXIT_USAGE = 1,
	EXIT_CONFIG = 2,
	EXIT_PERMISSION = 3,
	EXIT_NETWORK = 4,
	EXIT_FILE = 5,
	EXIT_NOT_RUNNING = 6,
	EXIT_NOT_FOUND = 7,
	EXIT_TIMED_OUT = 8,
};

#endif
