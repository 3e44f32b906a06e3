/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio-net header (struct virtio_net_hdr, in the byte order of the machine) is read and written as a whole.
 * Offsets in it count from the first byte behind it, be that a link header or the IPv4 header; ours count from the IPv4
 * header.
 */
#include "io/offload.h"

#include <linux/virtio_net.h>
#include <string.h>

_Static_assert(sizeof(struct virtio_net_hdr) == OFFLOAD_HEADER, "the header of PACKET_VNET_HDR is 10 bytes");

enum { IP_TCP = 6, IP_UDP = 17, TCP_FLAG_CWR = 0x80 };

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

bool offload_read(const uint8_t *header, uint16_t link_header, struct packet *packet)
{
	struct offload *offload = &packet->offload;
	struct virtio_net_hdr virtio;

	memcpy(&virtio, header, sizeof(virtio));
	memset(offload, 0, sizeof(*offload));
	if (virtio.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && virtio.csum_start >= link_header) {
		offload->partial = true;
		offload->csum_start = (uint16_t)(virtio.csum_start - link_header);
		offload->csum_offset = virtio.csum_offset;
	}
	switch (virtio.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
	case VIRTIO_NET_HDR_GSO_UDP: /* one large datagram that IP has to fragment: the engine does that anyway */
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		offload->gso_type = GSO_TCP4;
		offload->gso_size = virtio.gso_size;
		/* Segments of a tunnel that the kernel merged look like this too, and the header cannot say so. */
		return virtio.gso_size > 0 && packet_get8(packet, 9) == IP_TCP;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		offload->gso_type = GSO_UDP4;
		offload->gso_size = virtio.gso_size;
		return virtio.gso_size > 0 && packet_get8(packet, 9) == IP_UDP;
	default:
		return false;
	}
}

/* The length of the IPv4 and transport headers: what the kernel wants in one piece. */
static uint16_t offload_header_length(const struct packet *packet)
{
	uint32_t transport = (packet_get8(packet, 0) & 0xfU) * 4;

	if (packet_get8(packet, 9) == IP_TCP)
		return (uint16_t)(transport + (packet_get8(packet, transport + 12) >> 4) * 4U);
	return (uint16_t)(transport + 8);
}

void offload_write(uint8_t *header, uint16_t link_header, const struct packet *packet)
{
	const struct offload *offload = &packet->offload;
	struct virtio_net_hdr virtio = {.gso_type = VIRTIO_NET_HDR_GSO_NONE};

	if (offload->partial) {
		virtio.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		virtio.csum_start = (uint16_t)(offload->csum_start + link_header);
		virtio.csum_offset = offload->csum_offset;
	}
	if (offload->gso_type != GSO_NONE) {
		uint32_t transport = (packet_get8(packet, 0) & 0xfU) * 4;

		virtio.gso_size = offload->gso_size;
		virtio.hdr_len = (uint16_t)(offload_header_length(packet) + link_header);
		virtio.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		if (offload->gso_type == GSO_TCP4) {
			virtio.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
			/* The one fact of the kernel's that is not kept beside the packet, because it stands in it (RFC
			 * 3168 section 6.1.2: only the first segment may carry CWR). */
			if (packet_get8(packet, transport + 13) & TCP_FLAG_CWR)
				virtio.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		}
	}
	memcpy(header, &virtio, sizeof(virtio));
}
