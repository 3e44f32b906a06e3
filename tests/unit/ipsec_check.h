/* SPDX-License-Identifier: BSD-2-Clause */
/* The records of the IPsec module against one another and against the engine's flows. */
#ifndef CULVERT_TESTS_IPSEC_CHECK_H
#define CULVERT_TESTS_IPSEC_CHECK_H

struct engine;

/* NULL if all is as it must be between two packets, else what is wrong. */
const char *ipsec_check(const struct engine *engine);

#endif
