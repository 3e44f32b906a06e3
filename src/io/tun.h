/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TUN device: the LAN side of the data path. What the kernel forwards from inside hosts is read here, and what
 * is written here the kernel forwards to them.
 *
 * The device is not persistent: it goes away with the process, whatever ends it.
 */
#ifndef CULVERT_IO_TUN_H
#define CULVERT_IO_TUN_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/packet.h>

#include "io/batch.h"
#include "io/kernel.h"

struct tun;

/* Creates the device. Without offload the kernel segments what it hands out and completes its checksums. Returns NULL
 * with *exit_code set (3 permission, 4 network), after having reported why; the caller ends it with tun_close(). */
struct tun *tun_open(const char *name, kernel_report *report, void *context, int *exit_code);
/* NULL is allowed. The device is gone then, with its addresses and routes. */
void tun_close(struct tun *tun);

/* Switches what the kernel may leave to us: segments to be cut and checksums to be completed. Packets that wait in the
 * device already stay as they are. False, with errno set, if the kernel refuses. */
bool tun_set_offload(struct tun *tun, bool offload);

/* Readable when there are packets; it does not block. */
int tun_fd(const struct tun *tun);

/* Fills batch with what is there, until it is full or holds 256 KiB. False if the device is gone for good. */
bool tun_receive(struct tun *tun, struct batch *batch);

/* Packets for us that the kernel threw away since the device exists, because too many waited. 0 if it does not say. */
uint64_t tun_count_lost(const struct tun *tun);

/* Hands one packet to the kernel; the BATCH_HEADROOM bytes in front of it are overwritten. 0, or the errno. */
int tun_send(struct tun *tun, const struct packet *packet);

#endif
