/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks: type, length, body, length again; all of it, options too, in units of 4 bytes. */
#include "ctl/pcapng.h"

#include <string.h>

enum {
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	OPTION_NAME = 2,  /* of an interface */
	OPTION_FLAGS = 2, /* of a packet */
	LINKTYPE_IPV4 = 228,
	BLOCK_FRAME = 12, /* type and both lengths */
	COMMENT_MAX = 1024,
};

static const uint32_t block_section = 0x0a0d0d0a, byte_order = 0x1a2b3c4d;

static uint32_t padded(uint32_t length)
{
	return (length + 3) & ~UINT32_C(3);
}

static void put16(FILE *out, uint32_t value)
{
	putc((int)(value & 255), out);
	putc((int)(value >> 8 & 255), out);
}

static void put32(FILE *out, uint32_t value)
{
	put16(out, value & 0xffff);
	put16(out, value >> 16);
}

static void put_bytes(FILE *out, const void *bytes, uint32_t length)
{
	fwrite(bytes, 1, length, out);
	for (uint32_t i = length; i < padded(length); i++)
		putc(0, out);
}

static void put_option(FILE *out, uint32_t code, const void *value, uint32_t length)
{
	put16(out, code);
	put16(out, length);
	put_bytes(out, value, length);
}

static uint32_t put_interface(FILE *out, const char *name, uint32_t snap)
{
	uint32_t length = BLOCK_FRAME + 8 + 4 + padded((uint32_t)strlen(name)) + 4;

	put32(out, BLOCK_INTERFACE);
	put32(out, length);
	put16(out, LINKTYPE_IPV4);
	put16(out, 0);
	put32(out, snap);
	put_option(out, OPTION_NAME, name, (uint32_t)strlen(name));
	put_option(out, OPTION_END, "", 0);
	put32(out, length);
	return length;
}

uint32_t pcapng_start(FILE *out, uint32_t snap)
{
	const uint32_t length = BLOCK_FRAME + 16;

	put32(out, block_section);
	put32(out, length);
	put32(out, byte_order);
	put16(out, 1); /* version 1.0 */
	put16(out, 0);
	put32(out, UINT32_MAX); /* the section is as long as the file */
	put32(out, UINT32_MAX);
	put32(out, length);
	return length + put_interface(out, "LAN", snap) + put_interface(out, "WAN", snap);
}

uint32_t pcapng_add(FILE *out, const struct pcapng_packet *packet)
{
	uint32_t comment = (uint32_t)strnlen(packet->comment, COMMENT_MAX);
	uint32_t length = BLOCK_FRAME + 20 + padded(packet->stored) + 4 + padded(comment) + 8 + 4;
	const uint8_t flags[4] = {(uint8_t)packet->way};

	put32(out, BLOCK_PACKET);
	put32(out, length);
	put32(out, (uint32_t)packet->interface);
	put32(out, (uint32_t)(packet->time_us >> 32)); /* microseconds, as no option says otherwise */
	put32(out, (uint32_t)packet->time_us);
	put32(out, packet->stored);
	put32(out, packet->length);
	put_bytes(out, packet->data, packet->stored);
	put_option(out, OPTION_COMMENT, packet->comment, comment);
	put_option(out, OPTION_FLAGS, flags, sizeof(flags));
	put_option(out, OPTION_END, "", 0);
	put32(out, length);
	return length;
}
