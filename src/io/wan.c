/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet socket bound to IPv4 on one link, with virtio-net headers in both directions: merged packets (GRO, or the
 * segments of a neighbour on a virtual link) come in whole, and leave whole for the link to cut.
 *
 * Three kinds of links. Ethernet: SOCK_RAW, and the link header is written here. Bare IP (tun, wireguard, mobile
 * modems): SOCK_RAW without a link header. Links with a header that only their driver knows (ppp): SOCK_DGRAM, for
 * which the kernel has no virtio headers, so that packets are plain both ways. Frames for other stations and our own
 * transmissions are stopped by a socket filter before they cost anything.
 */
#include "io/wan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "io/offload.h"

enum {
	/* Packets that wait while culvertd does something else. The kernel counts the memory behind a packet, about 1
	 * KiB for a small one and twice its size for a merged one. */
	RECEIVE_BUFFER = 16 << 20,
	/* What may wait in the queueing discipline of a WAN slower than the LAN; that is where it is decided what to
	   drop. */
	SEND_BUFFER = 8 << 20,
	/* One batch should stay in the second-level cache: what is received here is written again at once. */
	BATCH_BYTES = 256 * 1024,
	ASK_MIN = 4,
};

struct wan {
	int fd;
	uint16_t link_header; /* bytes of it: 14 or 0 */
	uint16_t virtio;      /* bytes of the virtio header: 10 or 0 */
	uint8_t mac[6];
	uint32_t ask; /* packets to ask for next time, so that a batch is about BATCH_BYTES */
	uint32_t queued;
	uint32_t tags[BATCH_PACKETS];
	struct mmsghdr in[BATCH_PACKETS], out[BATCH_PACKETS];
	struct iovec in_vector[BATCH_PACKETS], out_vector[BATCH_PACKETS];
};

/* 0, or the errno of the step that *step names. */
static int wan_configure(int fd, int ifindex, bool virtio, const char **step)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OTHERHOST, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = ifindex,
	};
	int on = virtio, receive = RECEIVE_BUFFER, send = SEND_BUFFER;

	*step = "ask for virtio headers on";
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0 && virtio)
		return errno;
	*step = "attach a filter to";
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0)
		return errno;
	/* Sizes are wishes: without CAP_NET_ADMIN in the first user namespace the kernel cuts them to its own limits.
	 */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive, sizeof(receive)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send, sizeof(send)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof(send));
	*step = "bind";
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return errno;
	return 0;
}

static void wan_prepare_vectors(struct wan *wan)
{
	for (uint32_t i = 0; i < BATCH_PACKETS; i++) {
		wan->in[i].msg_hdr.msg_iov = &wan->in_vector[i];
		wan->in[i].msg_hdr.msg_iovlen = 1;
		wan->out[i].msg_hdr.msg_iov = &wan->out_vector[i];
		wan->out[i].msg_hdr.msg_iovlen = 1;
	}
	wan->ask = BATCH_PACKETS;
}

/* Does the kernel expect IPv4 packets on that link and nothing in front of them? Not told: no. */
static bool wan_is_bare(int ifindex)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool bare = fd >= 0 && if_indextoname((unsigned int)ifindex, request.ifr_name) &&
		    ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
		    (request.ifr_hwaddr.sa_family == ARPHRD_NONE || request.ifr_hwaddr.sa_family == ARPHRD_RAWIP);

	if (fd >= 0)
		close(fd);
	return bare;
}

struct wan *wan_open(int ifindex, bool ethernet, const uint8_t mac[6], kernel_report *report, void *context,
		     int *exit_code)
{
	bool virtio = ethernet || wan_is_bare(ifindex);
	/* Protocol 0: nothing is received before bind() says from which link. */
	int fd = socket(AF_PACKET, (virtio ? SOCK_RAW : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const char *step = "open";
	struct wan *wan;
	int error = 0;

	if (fd < 0)
		error = errno;
	else
		error = wan_configure(fd, ifindex, virtio, &step);
	wan = error ? NULL : calloc(1, sizeof(*wan));
	if (!wan) {
		if (!error)
			error = ENOMEM;
		*exit_code = error == EPERM || error == EACCES ? EXIT_PERMISSION : EXIT_NETWORK;
		report(context, LOG_ERR, "cannot %s a packet socket on the WAN link (index %d): %s%s", step, ifindex,
		       strerror(error), *exit_code == EXIT_PERMISSION ? "; run with CAP_NET_RAW" : "");
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	wan->fd = fd;
	wan->link_header = ethernet ? ETH_HLEN : 0;
	wan->virtio = virtio ? OFFLOAD_HEADER : 0;
	memcpy(wan->mac, mac, sizeof(wan->mac));
	wan_prepare_vectors(wan);
	*exit_code = 0;
	return wan;
}

void wan_close(struct wan *wan)
{
	if (!wan)
		return;
	close(wan->fd);
	free(wan);
}

int wan_fd(const struct wan *wan)
{
	return wan->fd;
}

/* Large packets in small batches, small ones in large batches. */
static void wan_adapt(struct wan *wan, uint32_t got, uint32_t bytes)
{
	if (bytes > BATCH_BYTES && wan->ask > ASK_MIN)
		wan->ask /= 2;
	else if (got == wan->ask && bytes < BATCH_BYTES / 2 && wan->ask < BATCH_PACKETS)
		wan->ask *= 2;
}

int wan_receive(struct wan *wan, struct batch *batch)
{
	const uint32_t front = (uint32_t)wan->virtio + wan->link_header;
	uint32_t bytes = 0;
	int got;

	batch->count = batch->truncated = batch->foreign = 0;
	for (uint32_t i = 0; i < wan->ask; i++) {
		wan->in_vector[i].iov_base = batch_slot(batch, i) - front;
		wan->in_vector[i].iov_len = front + PACKET_LENGTH_MAX;
	}
	got = recvmmsg(wan->fd, wan->in, wan->ask, 0, NULL);
	if (got < 0)
		return errno;
	for (uint32_t i = 0; i < (uint32_t)got; i++) {
		struct packet *packet = &batch->packets[batch->count];

		bytes += wan->in[i].msg_len;
		if (wan->in[i].msg_hdr.msg_flags & MSG_TRUNC || wan->in[i].msg_len < front) {
			batch->truncated++;
			continue;
		}
		packet->data = batch_slot(batch, i);
		packet->length = wan->in[i].msg_len - front;
		memset(&packet->offload, 0, sizeof(packet->offload));
		if (!wan->virtio || offload_read(packet->data - front, wan->link_header, packet))
			batch->count++;
		else
			batch->foreign++;
	}
	wan_adapt(wan, (uint32_t)got, bytes);
	return 0;
}

uint64_t wan_take_lost(struct wan *wan)
{
	struct tpacket_stats found; /* since it was asked last */
	socklen_t size = sizeof(found);

	return getsockopt(wan->fd, SOL_PACKET, PACKET_STATISTICS, &found, &size) == 0 ? found.tp_drops : 0;
}

bool wan_offloads(const struct wan *wan)
{
	return wan->virtio != 0;
}

void wan_queue(struct wan *wan, const struct packet *packet, const uint8_t mac[6], uint32_t tag)
{
	uint8_t *link = packet->data - wan->link_header, *start = link - wan->virtio;
	const uint16_t type = htons(ETH_P_IP);
	struct iovec *vector = &wan->out_vector[wan->queued];

	if (wan->virtio)
		offload_write(start, wan->link_header, packet);
	if (wan->link_header) {
		memcpy(link, mac, ETH_ALEN);
		memcpy(link + ETH_ALEN, wan->mac, ETH_ALEN);
		memcpy(link + offsetof(struct ethhdr, h_proto), &type, sizeof(type));
	}
	vector->iov_base = start;
	vector->iov_len = (size_t)wan->virtio + wan->link_header + packet->length;
	wan->tags[wan->queued++] = tag;
}

uint32_t wan_queued(const struct wan *wan)
{
	return wan->queued;
}

void wan_flush(struct wan *wan, wan_failed *failed, void *context)
{
	uint32_t done = 0;

	while (done < wan->queued) {
		int sent = sendmmsg(wan->fd, wan->out + done, wan->queued - done, 0);

		if (sent > 0) {
			done += (uint32_t)sent;
			continue;
		}
		if (sent < 0 && errno == EINTR)
			continue;
		/* The first one was refused; the others get their own chance. */
		failed(context, wan->tags[done], errno);
		done++;
	}
	wan->queued = 0;
}
