/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: its file, and the credentials of its peers. */
#include "control/control_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <culvert/exit.h>

#include "observe/log.h"

enum { QUEUE = 1024, GROUPS_MAX = 256 };

int control_socket_open(struct control_socket *control, const char *path, const char *user, struct log *log)
{
	const char *wrong;

	control->file.fd = -1;
	if (strlen(path) >= sizeof(control->file.path)) {
		log_write(
			log, LOG_ERR,
			"the path of the control socket is longer than %zu bytes; set a shorter one in [control] socket",
			sizeof(control->file.path) - 1);
		return EXIT_FILE;
	}
	wrong = socket_file_open(&control->file, path, user, QUEUE, "another culvertd serves it");
	if (!wrong)
		return EXIT_OK;
	log_write(log, LOG_ERR, "cannot make the control socket %s: %s; see [control] socket", path, wrong);
	return EXIT_FILE;
}

void control_socket_close(struct control_socket *control, struct log *log)
{
	if (!socket_file_close(&control->file))
		log_write(log, LOG_NOTICE, "cannot remove the control socket %s (%s); the next start replaces it",
			  control->file.path, strerror(errno));
}

/* The kernel says who the peer was when it connected. */
bool control_socket_admits(const struct control_socket *control, int peer)
{
	struct ucred who;
	gid_t groups[GROUPS_MAX];
	socklen_t length = sizeof(who);

	if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0)
		return false;
	if (who.uid == 0 || who.uid == geteuid() || who.gid == control->file.group)
		return true;
	length = sizeof(groups);
	if (getsockopt(peer, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0)
		return false;
	for (size_t i = 0; i < length / sizeof(groups[0]); i++)
		if (groups[i] == control->file.group)
			return true;
	return false;
}

void control_socket_print_peer(int peer, char text[CONTROL_PEER_TEXT])
{
	struct ucred who;
	socklen_t length = sizeof(who);

	if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0)
		snprintf(text, CONTROL_PEER_TEXT, "somebody");
	else if (who.uid == 0)
		snprintf(text, CONTROL_PEER_TEXT, "root, process %d", (int)who.pid);
	else
		snprintf(text, CONTROL_PEER_TEXT, "user %u, process %d", (unsigned int)who.uid, (int)who.pid);
}
