/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traffic for the benchmark: small UDP datagrams, TCP connections and round trips, as fast as one process can.
 *
 * Each role runs for a number of seconds and then prints one number: datagrams sent or received, connections made, or
 * the median and the 99th percentile of the round trip in microseconds, with the share that was lost. Servers run until
 * a signal ends them.
 *
 * pace sends at a rate, and tally counts all of it: which of the datagrams were lost, and whether here. scatter sends
 * at a rate to the addresses that it reads, one after the other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BURST = 64,
	DATAGRAM_MAX = 1472,
	ROUND_TRIPS_MAX = 1 << 20,
	SEGMENTS_MAX = 44,       /* datagrams of DATAGRAM_MAX that fit one UDP datagram of 64 KiB */
	PACE_NS = 250 * 1000,    /* between looks at what is due */
	TALLY_BUFFER = 64 << 20, /* bytes that wait when the receiver does not run for a while */
	TALLY_SILENCE_MS = 500,  /* after that nothing comes any more */
	PATIENCE_MS = 1000,      /* for an answer */
	SCATTER_MAX = 1 << 16,
};

static void fail(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t after_ns(const char *seconds)
{
	return now_ns() + (uint64_t)(strtod(seconds, NULL) * 1e9);
}

static struct sockaddr_in endpoint(const char *address, const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (address && inet_pton(AF_INET, address, &to.sin_addr) != 1) {
		errno = EINVAL;
		fail(address);
	}
	return to;
}

static int open_socket(int type, const char *address, const char *port, bool server)
{
	struct sockaddr_in to = endpoint(address, port);
	int fd = socket(AF_INET, type, 0), yes = 1, size = 4 << 20;

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (type == SOCK_DGRAM && server)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (server && bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		fail("bind");
	if (!server && connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		fail("connect");
	return fd;
}

/* The same memory for every datagram: what is measured is the way, not the payload. */
static void prepare(struct mmsghdr *messages, struct iovec *vector, size_t size)
{
	static uint8_t payload[DATAGRAM_MAX];

	vector->iov_base = payload;
	vector->iov_len = size;
	memset(messages, 0, BURST * sizeof(*messages));
	for (int i = 0; i < BURST; i++) {
		messages[i].msg_hdr.msg_iov = vector;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
}

static int run_send(char **arguments)
{
	int fd = open_socket(SOCK_DGRAM, arguments[0], arguments[1], false);
	uint64_t end = after_ns(arguments[2]), sent = 0;
	size_t size = (size_t)atoi(arguments[3]);
	struct mmsghdr messages[BURST];
	struct iovec vector;

	prepare(messages, &vector, size < DATAGRAM_MAX ? size : DATAGRAM_MAX);
	while (now_ns() < end) {
		int count = sendmmsg(fd, messages, BURST, 0);

		if (count > 0)
			sent += (uint64_t)count;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
			fail("send");
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}

/* Counts for so many seconds after the first datagram; 0 if none comes for ten seconds. */
static int run_receive(char **arguments)
{
	int fd = open_socket(SOCK_DGRAM, NULL, arguments[0], true);
	struct pollfd waiting = {.fd = fd, .events = POLLIN};
	struct mmsghdr messages[BURST];
	struct iovec vector;
	uint64_t end, received = 0;

	prepare(messages, &vector, DATAGRAM_MAX);
	printf("ready\n");
	fflush(stdout);
	if (poll(&waiting, 1, 10000) > 0) {
		end = after_ns(arguments[1]);
		while (now_ns() < end) {
			int count = recvmmsg(fd, messages, BURST, MSG_DONTWAIT, NULL);

			if (count > 0)
				received += (uint64_t)count;
			else
				poll(&waiting, 1, 10);
		}
	}
	printf("%llu\n", (unsigned long long)received);
	return 0;
}

/* Several datagrams in one call, which the kernel or the far end cuts (UDP_SEGMENT). */
static uint64_t send_burst(int fd, const uint8_t *payload, size_t size, int segments)
{
	if (send(fd, payload, size * (size_t)segments, 0) > 0)
		return (uint64_t)segments;
	if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
		fail("send");
	return 0;
}

/* What could not be sent in time is sent a little later: the sum is that of the rate. */
static int run_pace(char **arguments)
{
	static uint8_t payload[SEGMENTS_MAX * DATAGRAM_MAX];
	int fd = open_socket(SOCK_DGRAM, arguments[0], arguments[1], false);
	int size = atoi(arguments[3]), segments = atoi(arguments[5]);
	double due_a_ns = strtod(arguments[4], NULL) / 1e3 / 8 / size; /* Mbit/s of payload */
	uint64_t start = now_ns(), end = after_ns(arguments[2]), sent = 0, now;
	struct timespec pause = {.tv_nsec = PACE_NS};

	if (size < 1 || size > DATAGRAM_MAX || segments < 1 || segments > SEGMENTS_MAX) {
		errno = EINVAL;
		fail("size and segments");
	}
	if (segments > 1 && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) != 0)
		fail("UDP_SEGMENT");
	while ((now = now_ns()) < end) {
		uint64_t due = (uint64_t)((double)(now - start) * due_a_ns);

		for (int i = 0; i < BURST && sent + (uint64_t)segments <= due; i += segments)
			sent += send_burst(fd, payload, (size_t)size, segments);
		if (sent + (uint64_t)segments > due)
			nanosleep(&pause, NULL);
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}

/* How many datagrams this socket has had no room for, as the kernel tells with each that it takes. */
static uint32_t read_overflow(struct msghdr *message, uint32_t before)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
			memcpy(&before, CMSG_DATA(c), sizeof(before));
	return before;
}

static int run_tally(char **arguments)
{
	static union {
		char bytes[CMSG_SPACE(sizeof(uint32_t))];
		struct cmsghdr align;
	} control[BURST];
	int fd = open_socket(SOCK_DGRAM, NULL, arguments[0], true), yes = 1, size = TALLY_BUFFER;
	struct pollfd waiting = {.fd = fd, .events = POLLIN};
	struct mmsghdr messages[BURST];
	struct iovec vector;
	uint64_t first = 0, last = 0, received = 0;
	uint32_t overflow = 0;

	prepare(messages, &vector, DATAGRAM_MAX);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &yes, sizeof(yes)) != 0)
		fail("receive buffer");
	printf("ready\n");
	fflush(stdout);
	while (poll(&waiting, 1, received ? TALLY_SILENCE_MS : 10000) > 0) {
		for (int i = 0; i < BURST; i++) {
			messages[i].msg_hdr.msg_control = &control[i];
			messages[i].msg_hdr.msg_controllen = sizeof(control[i]);
		}
		int count = recvmmsg(fd, messages, BURST, MSG_DONTWAIT, NULL);
		if (count <= 0)
			continue;
		last = now_ns();
		first = received ? first : last;
		received += (uint64_t)count;
		overflow = read_overflow(&messages[count - 1].msg_hdr, overflow);
	}
	printf("%llu %u %.6f\n", (unsigned long long)received, overflow, (double)(last - first) / 1e9);
	return 0;
}

static int run_accept(char **arguments)
{
	int listener = open_socket(SOCK_STREAM, NULL, arguments[0], true);

	if (listen(listener, 4096) != 0)
		fail("listen");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		uint8_t byte;

		if (fd < 0)
			return 1;
		if (recv(fd, &byte, 1, 0) == 1)
			(void)send(fd, &byte, 1, MSG_NOSIGNAL);
		close(fd);
	}
}

/* One connection after the other: connect, one byte there and back, and a reset in place of TIME-WAIT. */
static int run_connect(char **arguments)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	uint64_t end = after_ns(arguments[2]), made = 0;
	uint8_t byte = 0;

	while (now_ns() < end) {
		int fd = open_socket(SOCK_STREAM, arguments[0], arguments[1], false);

		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
			fail("answer");
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
		made++;
	}
	printf("%llu\n", (unsigned long long)made);
	return 0;
}

static int run_echo(char **arguments)
{
	int fd = open_socket(SOCK_DGRAM, NULL, arguments[0], true);
	uint8_t payload[DATAGRAM_MAX];

	printf("ready\n");
	fflush(stdout);
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t got = recvfrom(fd, payload, sizeof(payload), 0, (struct sockaddr *)&from, &size);

		if (got < 0)
			return 1;
		(void)sendto(fd, payload, (size_t)got, 0, (struct sockaddr *)&from, size);
	}
}

static int compare(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

/* One datagram at a time, each so many milliseconds after the answer to the one before. */
static int run_ping(char **arguments)
{
	int fd = open_socket(SOCK_DGRAM, arguments[0], arguments[1], false);
	struct pollfd waiting = {.fd = fd, .events = POLLIN};
	uint32_t *taken = calloc(ROUND_TRIPS_MAX, sizeof(*taken)), count = 0, number = 0;
	uint64_t end = after_ns(arguments[2]);
	struct timespec pause = {.tv_nsec = atoi(arguments[3]) * 1000000L};

	if (!taken)
		fail("memory");
	for (; now_ns() < end && count < ROUND_TRIPS_MAX; number++) {
		uint64_t start = now_ns();
		uint32_t answer = 0;

		if (send(fd, &number, sizeof(number), 0) != sizeof(number) && errno != ECONNREFUSED)
			fail("send");
		if (poll(&waiting, 1, PATIENCE_MS) == 1 && recv(fd, &answer, sizeof(answer), 0) == sizeof(answer) &&
		    answer == number)
			taken[count++] = (uint32_t)((now_ns() - start) / 100);
		if (pause.tv_nsec)
			nanosleep(&pause, NULL);
	}
	if (count == 0) {
		errno = ETIMEDOUT;
		fail("no answer");
	}
	qsort(taken, count, sizeof(*taken), compare);
	printf("%.1f %.1f %.5f\n", taken[count / 2] / 10.0, taken[(uint64_t)count * 99 / 100] / 10.0,
	       1 - (double)count / number);
	free(taken);
	return 0;
}

/* What could not be sent in time is sent a little later, as by pace. */
static int run_scatter(char **arguments)
{
	static struct sockaddr_in to[SCATTER_MAX];
	char line[INET_ADDRSTRLEN + 1];
	uint32_t count = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in from = endpoint(arguments[0], "0");
	double due_a_ns = strtod(arguments[2], NULL) / 1e9;
	struct timespec pause = {.tv_nsec = PACE_NS};
	uint64_t start = now_ns();

	if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
		fail("bind");
	while (count < SCATTER_MAX && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		to[count++] = endpoint(line, arguments[1]);
	}
	if (count == 0) {
		errno = EINVAL;
		fail("addresses");
	}
	printf("ready\n");
	fflush(stdout);
	for (uint64_t sent = 0, due = 0; sent <= due; nanosleep(&pause, NULL))
		for (due = (uint64_t)((double)(now_ns() - start) * due_a_ns); sent < due; sent++) {
			struct sockaddr_in *next = &to[sent % count];

			(void)sendto(fd, "x", 1, 0, (struct sockaddr *)next, sizeof(*next));
		}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name, *arguments;
		int count;
		int (*run)(char **arguments);
	} roles[] = {
		{"send", "ADDRESS PORT SECONDS SIZE", 4, run_send},
		{"receive", "PORT SECONDS", 2, run_receive},
		{"pace", "ADDRESS PORT SECONDS SIZE MBITS SEGMENTS", 6, run_pace},
		{"tally", "PORT", 1, run_tally},
		{"accept", "PORT", 1, run_accept},
		{"connect", "ADDRESS PORT SECONDS", 3, run_connect},
		{"echo", "PORT", 1, run_echo},
		{"ping", "ADDRESS PORT SECONDS PAUSE_MS", 4, run_ping},
		{"scatter", "FROM PORT RATE", 3, run_scatter},
	};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (argc == roles[i].count + 2 && strcmp(argv[1], roles[i].name) == 0)
			return roles[i].run(argv + 2);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		fprintf(stderr, "usage: traffic %s %s\n", roles[i].name, roles[i].arguments);
	return 1;
}
