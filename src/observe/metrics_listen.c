/* SPDX-License-Identifier: BSD-2-Clause */
/* A socket file or a port of the loopback. */
#include "observe/metrics_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "config/text.h"
#include "observe/log.h"

enum { QUEUE = 64 };

static int refuse(struct metrics_listener *listener, const char *text, const char *why, int exit_code, struct log *log)
{
	log_write(log, LOG_ERR, "cannot serve metrics at %s: %s; see [metrics] listen", text, why);
	if (listener->file.fd >= 0)
		close(listener->file.fd);
	listener->file.fd = -1;
	return exit_code;
}

static const char *open_port(struct metrics_listener *listener, const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct address host;
	uint16_t port;
	int on = 1;

	if (!text_endpoint(text, &host, &port))
		return "that is no address and port";
	address.sin_addr.s_addr = htonl(host.v4);
	address.sin_port = htons(port);
	listener->file.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->file.fd < 0 || setsockopt(listener->file.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(listener->file.fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener->file.fd, QUEUE) < 0)
		return strerror(errno);
	return NULL;
}

int metrics_listen_open(struct metrics_listener *listener, const char *text, const char *user, struct log *log)
{
	bool is_file = strncmp(text, "unix:", 5) == 0;
	const char *wrong;

	*listener = (struct metrics_listener){.file = {.fd = -1}};
	if (is_file)
		wrong = socket_file_open(&listener->file, text + 5, user, QUEUE, "another process serves it");
	else
		wrong = open_port(listener, text);
	return wrong ? refuse(listener, text, wrong, is_file ? EXIT_FILE : EXIT_NETWORK, log) : EXIT_OK;
}

void metrics_listen_close(struct metrics_listener *listener)
{
	/* A file that cannot be removed is replaced by the next start; a port has none. */
	socket_file_close(&listener->file);
}
