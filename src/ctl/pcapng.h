/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A writer of pcapng files (draft-ietf-opsawg-pcapng): one section, the interfaces LAN and WAN with raw IPv4, and
 * packets with a comment each. Everything is little-endian, whatever the machine is.
 */
#ifndef CULVERT_CTL_PCAPNG_H
#define CULVERT_CTL_PCAPNG_H

#include <stdint.h>
#include <stdio.h>

enum pcapng_interface { PCAPNG_LAN = 0, PCAPNG_WAN };

enum pcapng_way { PCAPNG_STAYED = 0, PCAPNG_CAME = 1, PCAPNG_LEFT = 2 };

struct pcapng_packet {
	enum pcapng_interface interface;
	enum pcapng_way way; /* from or to there, or neither, because the link did not take it */
	uint64_t time_us;    /* since 1970 */
	uint32_t length;     /* as it was */
	uint32_t stored;     /* bytes at data */
	const uint8_t *data;
	const char *comment;
};

/* snap is the most bytes that packets will have. Both return how many bytes that was in the file; whether all could be
 * written is ferror() of the stream. */
uint32_t pcapng_start(FILE *out, uint32_t snap);
uint32_t pcapng_add(FILE *out, const struct pcapng_packet *packet);

#endif
