/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: a Unix stream socket, mode 0660, that culvertctl and others talk to.
 *
 * A request is one line: a verb of include/culvert/verbs.def and its arguments. The answer is lines of JSON: first
 * {"schema":"culvert.VERB/VERSION"}, then a row each, last {"code":0}, or {"code":N,"error":"..."} with an exit code of
 * include/culvert/exit.h. Then the next request may come. How verbs answer: verb.h.
 *
 * Let in are root, the daemon's own user and members of the socket's group, as the kernel says who they are.
 */
#ifndef CULVERT_CONTROL_CONTROL_H
#define CULVERT_CONTROL_CONTROL_H

#include <culvert/engine.h>

struct control;
struct event_base;
struct metrics_census;
struct router;

/*
 * Makes the socket, before rights are given up. It is that of the configuration, or else control.sock in the state
 * directory; owned by the user of the options and that user's group. What a dead daemon left is replaced; a socket that
 * somebody serves is an error. NULL, after having said why, with *exit_code set. *router is copied. base is libevent's.
 */
struct control *control_open(struct event_base *base, const struct router *router, int *exit_code);
/* Lets go of all peers and removes the socket. NULL is allowed. */
void control_close(struct control *control);

/* Tells those who watch. */
void control_tell(struct control *control, enum engine_event_kind kind, const struct tunnel_view *view);

/* For metrics_http_open(); context is the control. */
char *control_metrics(void *context, const struct metrics_census *census, size_t *length);

#endif
