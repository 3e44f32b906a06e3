/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of /proc/net/{tcp,udp}{,6}: "  0: 0100007F:0035 00000000:0000 0A ...". An address is the four bytes (or four
 * times four) as the machine reads them as an integer; the port is in host order; the state is that of TCP, for UDP
 * too.
 */
#include "io/host_ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_TIME_WAIT = 6 };

/* Reads exactly digits hexadecimal digits from *text, and moves it behind them. */
static bool host_ports_take_hex(const char **text, int digits, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++, (*text)++) {
		static const char hex[] = "0123456789ABCDEF";
		const char *digit = **text ? strchr(hex, **text) : NULL;

		if (!digit)
			return false;
		*value = *value << 4 | (uint32_t)(digit - hex);
	}
	return true;
}

/* Reads an address; false for one that IPv4 packets cannot be meant for. *address is 0 for any. */
static bool host_ports_take_address(const char **text, uint32_t *address)
{
	size_t length = strspn(*text, "0123456789ABCDEF");
	uint32_t words[4] = {0};

	if (length != 8 && length != 32)
		return false;
	for (size_t i = 0; i < length / 8; i++)
		if (!host_ports_take_hex(text, 8, &words[i]))
			return false;
	*address = ntohl(words[length / 8 - 1]);
	/* IPv6: any address, or an IPv4 one in its clothes. */
	return length == 8 || (!words[0] && !words[1] && (words[2] == htonl(0xffff) || (!words[2] && !words[3])));
}

/* The line's local port, or 0 if it is none of ours. */
static uint16_t host_ports_parse_line(const char *line, const uint32_t *addresses, uint32_t count)
{
	const char *text = strchr(line, ':'), *remote;
	uint32_t address, port, state;
	bool ours;

	if (!text)
		return 0;
	text += 1 + strspn(text + 1, " ");
	if (!host_ports_take_address(&text, &address) || *text++ != ':' || !host_ports_take_hex(&text, 4, &port))
		return 0;
	remote = text + strspn(text, " ");
	text = remote + strcspn(remote, " ");
	text += strspn(text, " ");
	if (!host_ports_take_hex(&text, 2, &state) || state == STATE_TIME_WAIT)
		return 0;
	ours = !address;
	for (uint32_t i = 0; i < count; i++)
		ours |= addresses[i] == address;
	return ours ? (uint16_t)port : 0;
}

int host_ports_read(const char *path, const uint32_t *addresses, uint32_t count, struct port_set *ports)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno; /* a kernel without IPv6 */
	while (getline(&line, &size, file) > 0) {
		uint16_t port = host_ports_parse_line(line, addresses, count);

		if (port)
			port_set_add(ports, port);
	}
	free(line);
	fclose(file);
	return 0;
}

int host_ports_find(const uint32_t *addresses, uint32_t count, struct port_set *tcp, struct port_set *udp)
{
	const struct {
		const char *path;
		struct port_set *ports;
	} files[] = {
		{"/proc/self/net/tcp", tcp},
		{"/proc/self/net/tcp6", tcp},
		{"/proc/self/net/udp", udp},
		{"/proc/self/net/udp6", udp},
	};
	int result = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int error = host_ports_read(files[i].path, addresses, count, files[i].ports);

		if (error)
			result = error;
	}
	return result;
}
