/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments in any order, without reassembly (RFC 4787 REQ-14); docs/nat-behaviour.md section 6.
 *
 * A set stands for one datagram. Its first fragment holds the ports, is translated like a whole packet and leaves its
 * translation in the set; later ones follow it. What comes too early is held in blocks of a fixed store. Nothing is
 * ever joined, so there is no reassembly to overflow; overlaps are refused.
 */
#ifndef CULVERT_NAT_FRAGMENT_H
#define CULVERT_NAT_FRAGMENT_H

#include "nat/rewrite.h"
#include "nat/state.h"

/*
 * Takes a fragment in. true: it is dealt with, and *result says how. false: it is the first of its datagram; translate
 * it like a whole packet (passage->set stays set), then call fragment_settle() whatever became of it.
 */
bool fragment_arrive(struct engine *engine, struct passage *passage, struct engine_result *result);
/* Remembers how the first fragment was translated. */
void fragment_remember(struct passage *passage, const struct rewrite *rewrite, enum side to);
/* The first fragment's fate decides that of the held ones and of those to come. */
void fragment_settle(struct engine *engine, struct passage *passage, struct engine_result result);
/* Drops what waited too long. */
void fragment_expire(struct engine *engine);
/* Forgets everything, dropping what is held. */
void fragment_reset(struct engine *engine);

#endif
