/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A life of the engine: a list of records, each 4 bytes (what, time, how much, seed) and some bytes of packet. Lengths
 * and checksums are mended 7 times in 8, so that packets get past the parser; some steps change the configuration or
 * the addresses.
 */
#include "stage.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(struct packet *p)
{
	if (p->length < 20)
		return;
	if (p->data[0] >> 4 != 4 || packets_ihl(p) < 20 || packets_ihl(p) > p->length)
		p->data[0] = 0x45;
	packet_put16(p, 2, (uint16_t)p->length);
	uint32_t ihl = packets_ihl(p);
	if (p->data[9] == PROTO_UDP)
		packet_put16(p, ihl + 4, (uint16_t)(p->length - ihl));
	if (p->data[9] == PROTO_TCP &&
	    (packet_get8(p, ihl + 12) >> 4 < 5 || (packet_get8(p, ihl + 12) >> 4) * 4u > p->length - ihl))
		packet_put8(p, ihl + 12, 0x50);
	if (p->data[9] == PROTO_ICMP && p->length >= ihl + 28 && packet_get8(p, ihl + 8) >> 4 == 4) { /* a quote */
		uint32_t inner = (packet_get8(p, ihl + 8) & 15u) * 4;
		if (inner >= 20 && packet_has(p, ihl + 8, inner))
			packets_fix_ip_checksum(p->data + ihl + 8);
	}
	packets_fix_ip_checksum(p->data);
	packets_fix_transport_checksum(p);
}

/* Addresses are short words for the few that mean something here. */
static void address(struct packet *p, enum side from, uint8_t choice)
{
	static const uint32_t remote[4] = {0xcb007101, 0xcb007102, 0xc0000201, 0xc6336401};

	packet_put32(p, from == SIDE_LAN ? 12 : 16,
		     from == SIDE_LAN ? 0x0a000002u + choice % 4 : 0xc6336401u + choice % 2);
	packet_put32(p, from == SIDE_LAN ? 16 : 12, remote[choice / 4 % 4]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t step[8] = {0, 1, 1000, 30000, 60000, 120000, 300000, 7440000};
	static struct stage stage;
	static struct test_packet packet;
	uint32_t outside[2] = {0xc6336401, 0xc6336402};

	stage_begin(&stage);
	stage_populate(&stage);
	for (size_t at = 0; at + 4 <= size && stage.steps < 256;) {
		uint8_t what = data[at], time = data[at + 1], much = data[at + 2], choice = data[at + 3];
		at += 4;
		if (time & 0x80)
			stage_wait(&stage, step[time % 8]);
		if ((what & 0xf0) == 0xf0) {
			stage.config.filtering = what % 3;
			stage.config.hairpinning = what & 4;
			stage.config.mode[PART_ESP] = what & 8 ? MODE_BLOCK : MODE_PASS;
			engine_configure(stage.engine, &stage.config, stage.now);
			continue;
		}
		if ((what & 0xf0) == 0xe0) {
			packets_set_outside(stage.engine, outside, what % 3, stage.now);
			continue;
		}
		size_t length = much < size - at ? much : size - at;
		enum side from = what & 1 ? SIDE_WAN : SIDE_LAN;
		memset(&packet.packet, 0, sizeof(packet.packet));
		packet.packet.data = packet.bytes;
		packet.packet.length = (uint32_t)length;
		memcpy(packet.bytes, data + at, length);
		at += length;
		if (what & 2 && length >= 20)
			address(&packet.packet, from, choice);
		if (what >> 2 & 7)
			mend(&packet.packet);
		stage_send(&stage, from, &packet.packet);
	}
	stage_end(&stage);
	return 0;
}
