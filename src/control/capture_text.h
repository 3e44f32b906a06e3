/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a captured packet says, and what is said about it.
 */
#ifndef CULVERT_CONTROL_CAPTURE_TEXT_H
#define CULVERT_CONTROL_CAPTURE_TEXT_H

#include "control/capture.h"
#include "wire/ip.h"

/* What is not there is 0; a packet may hold anything. */
void capture_text_read(const struct packet *packet, struct capture_ends *ends);

/* Of an ICMP message: its type and code in words, and the packet that an error quotes; empty for all others. */
void capture_text_detail(const struct packet *packet, const struct capture_ends *ends, char detail[CAPTURE_DETAIL]);

/* The comment of a packet that came (packet == came; left is the first one that left, or NULL) or of one that left
 * because of it. mapping is the inside host it was sent to although it was dropped, or none. */
void capture_text_comment(struct capture_packet *packet, const struct capture_packet *came,
			  const struct capture_packet *left, struct address mapping);
/* The comment of one that left long after it came. */
void capture_text_waited(struct capture_packet *packet);

#endif
