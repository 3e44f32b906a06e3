/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the virtio-net header that the kernel puts in front of packets (TUN with IFF_VNET_HDR, packet socket with
 * PACKET_VNET_HDR) and the offload facts of struct packet.
 */
#ifndef CULVERT_IO_OFFLOAD_H
#define CULVERT_IO_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/packet.h>

enum { OFFLOAD_HEADER = 10 }; /* bytes of a virtio-net header without its optional part */

/* Fills packet->offload from the header in front of a packet whose IPv4 header stands link_header bytes behind it; data
 * and length of packet are set already. False if it is merged in a way that has no place in struct packet: it cannot
 * be sent on. */
bool offload_read(const uint8_t *header, uint16_t link_header, struct packet *packet);

/* Writes the header for packet, which will have link_header bytes between the two. */
void offload_write(uint8_t *header, uint16_t link_header, const struct packet *packet);

#endif
