/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers that answer to one source port only, for as long as that is believed. The one that would be forgotten first
 * makes room for another one.
 */
#ifndef CULVERT_PASSTHROUGH_STRICT_H
#define CULVERT_PASSTHROUGH_STRICT_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/types.h>

enum { STRICT_SERVERS = 64, STRICT_MS = 24 * 60 * 60 * 1000 };

struct strict_servers {
	struct {
		struct address address;
		uint64_t until_ms; /* 0: none */
	} server[STRICT_SERVERS];
};

bool strict_knows(const struct strict_servers *strict, struct address address, uint64_t now_ms);
void strict_learn(struct strict_servers *strict, struct address address, uint64_t now_ms);
/* After a crash: forgets what cannot have been learnt. */
void strict_recover(struct strict_servers *strict, uint64_t now_ms);

#endif
