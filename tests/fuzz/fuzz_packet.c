/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One packet from each side into an engine with some flows: the raw bytes, then the same with right checksums.
 */
#include "stage.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stage stage;
	static struct test_packet packet;

	if (size > PACKET_LENGTH_MAX)
		return 0;
	stage_begin(&stage);
	stage_populate(&stage);
	for (int mended = 0; mended < 2; mended++) {
		memset(&packet.packet, 0, sizeof(packet.packet));
		packet.packet.data = packet.bytes;
		packet.packet.length = (uint32_t)size;
		memcpy(packet.bytes, data, size);
		if (mended) {
			if (size < 20 || packets_ihl(&packet.packet) > size || packets_ihl(&packet.packet) < 20)
				break;
			packets_fix_ip_checksum(packet.bytes);
			if (packet_get16(&packet.packet, 2) >= packets_ihl(&packet.packet))
				packets_fix_transport_checksum(&packet.packet);
		}
		stage_send(&stage, SIDE_LAN, &packet.packet);
		stage_send(&stage, SIDE_WAN, &packet.packet);
	}
	stage_end(&stage);
	return 0;
}
