/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of /proc/net/{tcp,udp}{,6}: "  0: 0100007F:0035 00000000:0000 0A ...". An address is the four bytes (or four
 * times four) as the machine reads them as an integer; the port is in host order; the state is that of TCP, for UDP
 * too.
 */
#include "io/host_ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STATE_SYN_RECV = 3,
	STATE_TIME_WAIT = 6,
	STATE_CLOSE = 7,
	STATE_LISTEN = 10,
	STATE_NEW_SYN_RECV = 12,
};

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

/* Reads an address; false for one that IPv4 packets cannot come from or be meant for. *address is none for any. */
static bool host_ports_take_address(const char **text, struct address *address)
{
	size_t length = strspn(*text, "0123456789ABCDEF");
	uint32_t words[4] = {0};

	if (length != 8 && length != 32)
		return false;
	for (size_t i = 0; i < length / 8; i++)
		if (!host_ports_take_hex(text, 8, &words[i]))
			return false;
	*address = address_of(ntohl(words[length / 8 - 1]));
	/* IPv6: any address, or an IPv4 one in its clothes. */
	return length == 8 || (!words[0] && !words[1] && (words[2] == htonl(0xffff) || (!words[2] && !words[3])));
}

/* ADDRESS:PORT and the blanks behind it. */
static bool host_ports_take_endpoint(const char **text, struct address *address, uint16_t *port)
{
	uint32_t number;

	if (!host_ports_take_address(text, address) || *(*text)++ != ':' || !host_ports_take_hex(text, 4, &number))
		return false;
	*port = (uint16_t)number;
	*text += strspn(*text, " ");
	return true;
}

/* False if the line is no socket that is ours to know of. */
static bool host_ports_parse_line(const char *line, struct host_socket *socket)
{
	const char *text = strchr(line, ':');
	uint32_t state;

	if (!text)
		return false;
	text += 1 + strspn(text + 1, " ");
	if (!host_ports_take_endpoint(&text, &socket->local, &socket->local_port) ||
	    !host_ports_take_endpoint(&text, &socket->remote, &socket->remote_port) ||
	    !host_ports_take_hex(&text, 2, &state) || state == STATE_TIME_WAIT || !socket->local_port)
		return false;
	socket->is_server = state == STATE_LISTEN || state == STATE_CLOSE;
	socket->is_up = !socket->is_server && state != STATE_SYN_RECV && state != STATE_NEW_SYN_RECV &&
			address_is_set(socket->local) && address_is_set(socket->remote) && socket->remote_port;
	return true;
}

int host_ports_read(const char *path, uint8_t protocol, host_socket_visit *visit, void *context)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno; /* a kernel without IPv6 */
	while (getline(&line, &size, file) > 0) {
		struct host_socket socket = {.protocol = protocol};

		if (host_ports_parse_line(line, &socket))
			visit(context, &socket);
	}
	free(line);
	fclose(file);
	return 0;
}

int host_ports_visit(host_socket_visit *visit, void *context)
{
	static const struct {
		const char *path;
		uint8_t protocol;
	} files[] = {
		{"/proc/self/net/tcp", IPPROTO_TCP},
		{"/proc/self/net/tcp6", IPPROTO_TCP},
		{"/proc/self/net/udp", IPPROTO_UDP},
		{"/proc/self/net/udp6", IPPROTO_UDP},
	};
	int result = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int error = host_ports_read(files[i].path, files[i].protocol, visit, context);

		if (error)
			result = error;
	}
	return result;
}
