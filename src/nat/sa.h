/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ESP of many inside hosts to one remote address (RFC 4303). A flow stands for an SA pair: it is known by the SPI that
 * the inside host sends with and by the one the remote end sends with, as far as they have been seen. Which inside host
 * a new SPI of the remote end belongs to is the module's to find out.
 */
#ifndef CULVERT_NAT_SA_H
#define CULVERT_NAT_SA_H

#include <culvert/module.h>

#include "nat/flow.h"
#include "nat/state.h"

/* The flow that takes a packet of ESP with an SPI nobody has, through this outside address; NONE and *otherwise if it
 * has none now. Copies of it may have to go to several inside hosts then, see struct module_esp. */
uint32_t sa_find(struct engine *engine, const struct passage *passage, struct address outside, struct module_esp *esp,
		 struct engine_result *otherwise);
/* AH of an inside host, which is refused. */
bool sa_note_ah(struct engine *engine, const struct passage *passage);
/* Counts a packet of an SA and refreshes it. */
void sa_account(struct engine *engine, uint32_t flow, const struct passage *passage, enum side from);

/* For modules, see <culvert/module.h>. */
void sa_heard(struct engine *engine, void *memory, uint32_t record, enum side from, bool is_behind);
uint32_t sa_open(struct engine *engine, struct address inside, struct address outside, struct address remote,
		 bool is_server, enum side opened, uint32_t record, enum drop *why);
void sa_learn(struct engine *engine, uint32_t flow, enum side from, uint32_t spi);
void sa_forget(struct engine *engine, uint32_t flow, enum side from);
uint32_t sa_spi(const struct engine *engine, uint32_t flow, enum side from);
void sa_watch(struct engine *engine, uint32_t flow, bool is_watched);
void sa_keep(struct engine *engine, uint32_t flow);
void sa_close(struct engine *engine, uint32_t flow);

#endif
