/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio-net header: what the kernel says in it arrives beside the packet, and goes back the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_net.h>

#include "io/offload.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* newer than some headers */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum { LINK = 14, TCP_FLAGS = 20 + 13, CWR = 0x80 };

/* An IPv4 packet of that protocol with 20 bytes of header and, for TCP, 32 more. */
static struct packet make_packet(uint8_t memory[1500], uint8_t protocol)
{
	struct packet packet = {.data = memory, .length = 1500};

	memset(memory, 0, 1500);
	memory[0] = 0x45;
	memory[9] = protocol;
	if (protocol == 6)
		memory[20 + 12] = 0x80;
	return packet;
}

static bool read_header(const struct virtio_net_hdr *virtio, uint16_t link_header, struct packet *packet)
{
	uint8_t header[OFFLOAD_HEADER];

	memcpy(header, virtio, sizeof(header));
	return offload_read(header, link_header, packet);
}

static struct virtio_net_hdr write_header(uint16_t link_header, const struct packet *packet)
{
	uint8_t header[OFFLOAD_HEADER];
	struct virtio_net_hdr virtio;

	memset(header, 0xff, sizeof(header));
	offload_write(header, link_header, packet);
	memcpy(&virtio, header, sizeof(virtio));
	return virtio;
}

static void plain_packet_has_no_offload(void **state)
{
	uint8_t memory[1500];
	struct packet packet = make_packet(memory, 17);
	struct virtio_net_hdr virtio = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};

	(void)state;
	memset(&packet.offload, 0xff, sizeof(packet.offload));
	assert_true(read_header(&virtio, LINK, &packet));
	assert_int_equal(packet.offload.gso_type, GSO_NONE);
	assert_false(packet.offload.partial);
	virtio = write_header(0, &packet);
	assert_int_equal(virtio.flags, 0);
	assert_int_equal(virtio.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(virtio.hdr_len, 0);
}

/* Offsets count from the link header in one place and from the IPv4 header in the other. */
static void tcp_segments_move_between_links(void **state)
{
	uint8_t memory[1500];
	struct packet packet = make_packet(memory, 6);
	struct virtio_net_hdr virtio = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = 1448,
		.hdr_len = 54,
		.csum_start = LINK + 20,
		.csum_offset = 16,
	};

	(void)state;
	assert_true(read_header(&virtio, LINK, &packet));
	assert_int_equal(packet.offload.gso_type, GSO_TCP4);
	assert_int_equal(packet.offload.gso_size, 1448);
	assert_true(packet.offload.partial);
	assert_int_equal(packet.offload.csum_start, 20);
	assert_int_equal(packet.offload.csum_offset, 16);

	virtio = write_header(0, &packet);
	assert_int_equal(virtio.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(virtio.gso_size, 1448);
	assert_int_equal(virtio.csum_start, 20);
	assert_int_equal(virtio.csum_offset, 16);
	assert_int_equal(virtio.hdr_len, 20 + 32);
	assert_int_equal(write_header(LINK, &packet).hdr_len, LINK + 20 + 32);
	assert_int_equal(write_header(LINK, &packet).csum_start, LINK + 20);
}

static void ecn_survives_through_the_cwr_flag(void **state)
{
	uint8_t memory[1500];
	struct packet packet = make_packet(memory, 6);
	struct virtio_net_hdr virtio = {
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
		.gso_size = 1448,
	};

	(void)state;
	memory[TCP_FLAGS] = CWR;
	assert_true(read_header(&virtio, 0, &packet));
	assert_int_equal(packet.offload.gso_type, GSO_TCP4);
	assert_int_equal(write_header(0, &packet).gso_type, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
	memory[TCP_FLAGS] = 0;
	assert_int_equal(write_header(0, &packet).gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
}

static void udp_segments(void **state)
{
	uint8_t memory[1500];
	struct packet packet = make_packet(memory, 17);
	struct virtio_net_hdr virtio = {.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4, .gso_size = 1200};

	(void)state;
	assert_true(read_header(&virtio, 0, &packet));
	assert_int_equal(packet.offload.gso_type, GSO_UDP4);
	assert_int_equal(packet.offload.gso_size, 1200);
	virtio = write_header(LINK, &packet);
	assert_int_equal(virtio.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	assert_int_equal(virtio.hdr_len, LINK + 20 + 8);
}

static void what_can_not_be_expressed_is_refused(void **state)
{
	static const struct {
		uint8_t gso_type, protocol;
		uint16_t gso_size;
	} bad[] = {
		{VIRTIO_NET_HDR_GSO_TCPV6, 6, 1448},   {VIRTIO_NET_HDR_GSO_TCPV4, 47, 1448},
		{VIRTIO_NET_HDR_GSO_TCPV4, 4, 1448},   {VIRTIO_NET_HDR_GSO_TCPV4, 6, 0},
		{VIRTIO_NET_HDR_GSO_UDP_L4, 6, 1200},  {VIRTIO_NET_HDR_GSO_UDP_L4, 17, 0},
		{VIRTIO_NET_HDR_GSO_UDP_L4, 50, 1200}, {0x7f, 17, 1200},
	};
	uint8_t memory[1500];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct packet packet = make_packet(memory, bad[i].protocol);
		struct virtio_net_hdr virtio = {.gso_type = bad[i].gso_type, .gso_size = bad[i].gso_size};

		assert_false(read_header(&virtio, 0, &packet));
	}
}

/* A checksum that would start inside the link header is none of ours; a packet too short for its protocol is not read
 * beyond. */
static void hostile_offsets_and_lengths(void **state)
{
	uint8_t memory[1500];
	struct packet packet = make_packet(memory, 6);
	struct virtio_net_hdr virtio = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 13, .csum_offset = 16};

	(void)state;
	assert_true(read_header(&virtio, LINK, &packet));
	assert_false(packet.offload.partial);

	virtio = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1};
	packet.length = 0;
	assert_false(read_header(&virtio, 0, &packet));
	packet.length = 10;
	assert_true(read_header(&virtio, 0, &packet));
	assert_int_equal(write_header(LINK, &packet).hdr_len, LINK + 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_packet_has_no_offload),
		cmocka_unit_test(tcp_segments_move_between_links),
		cmocka_unit_test(ecn_survives_through_the_cwr_flag),
		cmocka_unit_test(udp_segments),
		cmocka_unit_test(what_can_not_be_expressed_is_refused),
		cmocka_unit_test(hostile_offsets_and_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
