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

static bool host_ports_is_ours(const char *text, const uint32_t *addresses, uint32_t count)
{
	uint32_t words[4] = {0}, address;
	size_t length = strlen(text);

	for (size_t i = 0; i < length / 8 && i < 4; i++)
		if (sscanf(text + i * 8, "%8x", &words[i]) != 1)
			return false;
	/* IPv6: any address, or an IPv4 one in its clothes; another can not take IPv4. */
	if (length == 32) {
		if (words[0] || words[1] || (words[2] && words[2] != htonl(0xffff)))
			return false;
		if (!words[2])
			return !words[3];
		words[0] = words[3];
	} else if (length != 8) {
		return false;
	}
	address = ntohl(words[0]);
	for (uint32_t i = 0; i < count; i++)
		if (addresses[i] == address)
			return true;
	return !address;
}

int host_ports_read(const char *path, const uint32_t *addresses, uint32_t count, struct port_set *ports)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno; /* a kernel without IPv6 */
	while (getline(&line, &size, file) > 0) {
		char address[33];
		unsigned int port, state;

		if (sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*4x %2x", address, &port, &state) != 3)
			continue;
		if (port && state != STATE_TIME_WAIT && host_ports_is_ours(address, addresses, count))
			port_set_add(ports, (uint16_t)port);
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
