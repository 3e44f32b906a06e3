/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TUN device with virtio-net headers: the kernel hands over whole segments of up to 64 KiB with unfinished checksums,
 * and takes them back the same way, so that one translation serves dozens of packets of the wire.
 */
#include "io/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "io/offload.h"

/* linux/if_tun.h of 2022 does not know these two; the kernel takes them both or none. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
	/* One batch should stay in the second-level cache: what is read here is written again at once. */
	BATCH_BYTES = 256 * 1024,
	/* Packets that wait while culvertd does something else, a few milliseconds of small ones. */
	QUEUE_LENGTH = 2000,
};

struct tun {
	int fd;
	char name[IFNAMSIZ];
};

/* A wish: with the default of 500 the loop works too, but drops bursts of small packets sooner. */
static void tun_set_queue_length(const char *name)
{
	struct ifreq request = {.ifr_qlen = QUEUE_LENGTH};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	(void)ioctl(fd, SIOCSIFTXQLEN, &request);
	close(fd);
}

/* 0 or the errno of the step that *step names. */
static int tun_create(int fd, const char *name, const char **step)
{
	struct ifreq request = {0};
	int header = OFFLOAD_HEADER;

	request.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	*step = "create";
	if (ioctl(fd, TUNSETIFF, &request) != 0)
		return errno;
	*step = "set the size of virtio headers of";
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) != 0)
		return errno;
	tun_set_queue_length(name);
	return 0;
}

static void tun_explain(const char *name, const char *step, int error, kernel_report *report, void *context)
{
	switch (error) {
	case EBUSY:
	case EEXIST:
		report(context, LOG_ERR,
		       "there is a device %s already: stop the program that has it (or: ip link del %s), or choose another name with [lan] tun",
		       name, name);
		break;
	case EPERM:
	case EACCES:
		report(context, LOG_ERR, "not allowed to %s the TUN device %s: run with CAP_NET_ADMIN", step, name);
		break;
	default:
		report(context, LOG_ERR, "cannot %s the TUN device %s: %s", step, name, strerror(error));
	}
}

static int tun_open_clone(kernel_report *report, void *context)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		report(context, LOG_ERR,
		       "no /dev/net/tun: load the kernel module (modprobe tun), or give the container the device (--device /dev/net/tun)");
	else
		report(context, LOG_ERR, "cannot open /dev/net/tun: %s", strerror(errno));
	return -1;
}

struct tun *tun_open(const char *name, kernel_report *report, void *context, int *exit_code)
{
	struct tun *tun;
	const char *step;
	int fd, error;

	*exit_code = EXIT_PERMISSION;
	fd = tun_open_clone(report, context);
	if (fd < 0)
		return NULL;
	error = tun_create(fd, name, &step);
	if (error) {
		tun_explain(name, step, error, report, context);
		if (error != EPERM && error != EACCES)
			*exit_code = EXIT_NETWORK;
		close(fd);
		return NULL;
	}
	tun = malloc(sizeof(*tun));
	if (!tun) {
		report(context, LOG_ERR, "no memory for the TUN device %s", name);
		*exit_code = EXIT_NETWORK;
		close(fd);
		return NULL;
	}
	tun->fd = fd;
	snprintf(tun->name, sizeof(tun->name), "%s", name);
	*exit_code = 0;
	return tun;
}

void tun_close(struct tun *tun)
{
	if (!tun)
		return;
	close(tun->fd);
	free(tun);
}

int tun_fd(const struct tun *tun)
{
	return tun->fd;
}

/* The kernel says no to kinds it does not know: ask for less until it agrees. */
bool tun_set_offload(struct tun *tun, bool offload)
{
	static const unsigned int wishes[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN,
		TUN_F_CSUM,
		0,
	};
	enum { WISHES = sizeof(wishes) / sizeof(wishes[0]) };

	for (uint32_t i = offload ? 0 : WISHES - 1; i < WISHES; i++) {
		if (ioctl(tun->fd, TUNSETOFFLOAD, wishes[i]) == 0)
			return true;
	}
	return false;
}

bool tun_receive(struct tun *tun, struct batch *batch)
{
	uint32_t bytes = 0;

	batch->count = batch->truncated = batch->foreign = 0;
	while (batch->count < BATCH_PACKETS && bytes < BATCH_BYTES) {
		struct packet *packet = &batch->packets[batch->count];
		uint8_t *slot = batch_slot(batch, batch->count);
		ssize_t got = read(tun->fd, slot - OFFLOAD_HEADER, OFFLOAD_HEADER + PACKET_LENGTH_MAX);

		if (got < OFFLOAD_HEADER) {
			if (got < 0 && errno == EINTR)
				continue;
			return got >= 0 || errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
		}
		packet->data = slot;
		packet->length = (uint32_t)got - OFFLOAD_HEADER;
		bytes += packet->length;
		if (offload_read(slot - OFFLOAD_HEADER, 0, packet))
			batch->count++;
		else
			batch->foreign++;
	}
	return true;
}

int tun_send(struct tun *tun, const struct packet *packet)
{
	uint8_t *start = packet->data - OFFLOAD_HEADER;
	ssize_t sent;

	offload_write(start, 0, packet);
	do {
		sent = write(tun->fd, start, OFFLOAD_HEADER + packet->length);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? errno : 0;
}

/* The number in that column of numbers between spaces; 0 if there are not that many. */
static uint64_t tun_read_column(const char *text, uint32_t column)
{
	uint64_t number = 0;

	for (uint32_t i = 0; i <= column; i++) {
		char *end;

		number = strtoull(text, &end, 10);
		if (end == text)
			return 0;
		text = end;
	}
	return number;
}

uint64_t tun_count_lost(const struct tun *tun)
{
	/* Behind the name: eight numbers of what we wrote, then bytes, packets, errors and drops of what we read. */
	enum { DROPS_COLUMN = 11 };
	FILE *devices = fopen("/proc/net/dev", "re");
	char line[512];
	uint64_t lost = 0;

	if (!devices)
		return 0;
	while (fgets(line, sizeof(line), devices)) {
		char *name = line + strspn(line, " "), *colon = strchr(name, ':');

		if (!colon)
			continue;
		*colon = '\0';
		if (strcmp(name, tun->name) == 0)
			lost = tun_read_column(colon + 1, DROPS_COLUMN);
	}
	fclose(devices);
	return lost;
}
