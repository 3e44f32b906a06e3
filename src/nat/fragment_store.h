/* SPDX-License-Identifier: BSD-2-Clause */
/* The bounded memory of fragments: sets found by a hash chain, held fragments in chained blocks, in order of offset. */
#ifndef CULVERT_NAT_FRAGMENT_STORE_H
#define CULVERT_NAT_FRAGMENT_STORE_H

#include "nat/state.h"

enum { BLOCKS_PER_SET = 4 };

/* How many sets the limits give. */
uint32_t fragment_store_sets(const struct engine *engine);
/* Links all sets and blocks into their free lists. */
void fragment_store_init(struct engine *engine);
/* The set of this packet's datagram, or NULL; one whose time is over is ended. */
struct fragment_set *fragment_store_find(struct engine *engine, const struct passage *passage);
/* A new set, in the place of a random waiting one if all are in use: a flood of later fragments must not lock others
 * out. NULL if there is none to give. */
struct fragment_set *fragment_store_new_set(struct engine *engine, const struct passage *passage);
/* All of the datagram has gone on: its set makes room, and is remembered for a moment. It must hold nothing. */
void fragment_store_finish_set(struct engine *engine, struct fragment_set *set);
/* The packet is a fragment of such a datagram, so it is a copy. */
bool fragment_store_has_finished(const struct engine *engine, const struct passage *passage);
/* The set must hold nothing. */
void fragment_store_free_set(struct engine *engine, struct fragment_set *set);
/* Copies a fragment into the store; false if there is no room. */
bool fragment_store_push(struct engine *engine, struct fragment_set *set, const struct packet *packet, uint32_t offset);
/* The set holds a fragment with this offset in the datagram (bytes) and the same payload, which is what packet has
 * behind its IPv4 header. */
bool fragment_store_holds(const struct engine *engine, const struct fragment_set *set, const struct packet *packet,
			  uint32_t header_length, uint32_t offset);
/* Shows the held fragment with the lowest offset; its bytes may be changed, and live until the next call here. */
void fragment_store_first(struct engine *engine, const struct fragment_set *set, struct packet *packet);
void fragment_store_pop(struct engine *engine, struct fragment_set *set);
/* Drops and counts everything the set holds. */
void fragment_store_drop_held(struct engine *engine, struct fragment_set *set, enum drop reason);

/* Copies a packet into blocks of the same memory, on behalf of a module; its first block, or NONE if there is no room.
 */
uint32_t fragment_store_keep(struct engine *engine, const struct packet *packet);
/* Gives a kept packet back, in the engine's joined buffer, and frees its blocks. */
void fragment_store_take_kept(struct engine *engine, uint32_t kept, struct packet *packet);
void fragment_store_drop_kept(struct engine *engine, uint32_t kept);

#endif
