/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether the tables of an engine agree with each other. For the tests of all kinds.
 */
#ifndef CULVERT_TESTS_ENGINE_CHECK_H
#define CULVERT_TESTS_ENGINE_CHECK_H

#include <culvert/engine.h>

/* Checks every table against every other one. NULL, or what is wrong. It is slow. */
const char *engine_check(const struct engine *engine);

#endif
