/* SPDX-License-Identifier: BSD-2-Clause */
/* Deciding, naming and counting a refusal are one expression: return verdict_drop(DROP_...). The caller of all steps
 * counts. */
#ifndef CULVERT_VERDICT_H
#define CULVERT_VERDICT_H

#include <culvert/engine.h>

static inline struct engine_result verdict_drop(enum drop reason)
{
	return (struct engine_result){VERDICT_DROPPED, (uint8_t)reason};
}

static inline struct engine_result verdict_forwarded(void)
{
	return (struct engine_result){VERDICT_FORWARDED, DROP_NONE};
}

static inline struct engine_result verdict_held(void)
{
	return (struct engine_result){VERDICT_HELD, DROP_NONE};
}

static inline struct engine_result verdict_consumed(void)
{
	return (struct engine_result){VERDICT_CONSUMED, DROP_NONE};
}

#endif
