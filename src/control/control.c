/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a line to the function of its verb, and from what that function says to the lines of an answer.
 *
 *   lines.c             peers, lines and turns
 *   control_socket.c    the file, and who may connect
 *   control_request.c   the words of a line
 *   answer.c            what verbs are offered for their answers
 *   verb.c, verb_*.c    the verbs
 */
#include "control/control.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "config/config.h"
#include "config/options.h"
#include "config/text.h"
#include "control/control_request.h"
#include "control/control_socket.h"
#include "control/lines.h"
#include "control/verb.h"
#include "datapath/datapath.h"
#include "observe/log.h"

static const struct verb_entry {
	const char *name;
	unsigned int version;
	enum verb_flags flags;
	verb_function *function;
} verbs[] = {
#define VERB(NAME, name, version, arguments, flags, function, sentence) {name, version, flags, function},
#include <culvert/verbs.def>
#undef VERB
};

enum {
	VERBS = sizeof(verbs) / sizeof(verbs[0]),
	ASK_MS = 10000, /* for a peer to say something */
	TAKE_MS = 30000,
};

struct control {
	struct router router;
	struct lines *lines;
	struct control_socket socket;
	struct verb_watchers watchers;
	char row[VERB_ROW_MAX]; /* of the verb that has its turn */
};

/* What there is for each connection. */
struct control_peer {
	struct control_request request;
	const struct verb_entry *entry;
	struct verb verb;
};

static const char sent_away[] =
	"{\"code\":3,\"error\":\"permission denied: root, the user of culvertd and members of the socket's group may ask\"}\n";
static const char crowded[] = "{\"code\":6,\"error\":\"too many connections at one time: try again\"}\n";
static const char too_long[] = "{\"code\":1,\"error\":\"the line is too long: 1024 bytes at most\"}\n";

static const char *control_admit(void *context, int fd)
{
	const struct control *control = context;

	return control_socket_admits(&control->socket, fd) ? NULL : sent_away;
}

static const struct verb_entry *control_find(struct verb *verb, const char *name)
{
	const char *names[VERBS], *suggestion;
	char shown[64];

	for (size_t i = 0; i < VERBS; i++) {
		names[i] = verbs[i].name;
		if (!strcmp(name, verbs[i].name))
			return &verbs[i];
	}
	text_escape(shown, sizeof(shown), name);
	suggestion = suggest_word(name, names, VERBS);
	verb_fail(verb, EXIT_USAGE, "there is no verb %s%s%s%s; help lists them", shown,
		  suggestion ? " (did you mean " : "", suggestion ? suggestion : "", suggestion ? "?)" : "");
	return NULL;
}

static void control_not_accepted(void *context, int error)
{
	const struct control *control = context;

	log_write(control->router.log, LOG_WARNING, "cannot accept a connection to the control socket: %s",
		  strerror(error));
}

static uint64_t control_count_other_work(void *context)
{
	const struct control *control = context;

	return datapath_batches(control->router.datapath);
}

/* What is going to change, and who wants that, before it is done. */
static void control_report_change(const struct control *control, const struct verb *verb, const char *line)
{
	char who[CONTROL_PEER_TEXT];

	control_socket_print_peer(lines_fd(verb->peer), who);
	log_write(control->router.log, LOG_NOTICE, "%s, asks: %.200s", who, line);
}

/* The line is judged here, the verb is called in the turns that follow. */
static void control_asked(void *context, struct lines_peer *lines_peer, const char *line, size_t length)
{
	struct control_peer *peer = lines_memory(lines_peer);
	struct control *control = context;
	struct verb *verb = &peer->verb;
	const char *wrong;

	memset(peer, 0, sizeof(*peer));
	verb->router = &control->router;
	verb->watchers = &control->watchers;
	verb->peer = lines_peer;
	verb->is_first = true;
	json_start(&verb->json, control->row, sizeof(control->row));
	wrong = control_request_read(&peer->request, line, length);
	if (wrong) {
		verb_fail(verb, EXIT_USAGE, "%s", wrong);
		return;
	}
	verb->words = peer->request.words + 1;
	verb->count = peer->request.count - 1;
	peer->entry = control_find(verb, peer->request.words[0]);
	if (!peer->entry)
		return;
	verb->name = peer->entry->name;
	verb->version = peer->entry->version;
	if (peer->entry->flags & VERB_CHANGES)
		control_report_change(control, verb, line);
}

static void control_let_go(struct verb *verb)
{
	if (verb->over)
		verb->over(verb);
	verb->over = NULL;
}

static enum lines_next control_turn(void *context, struct lines_peer *lines_peer)
{
	struct control_peer *peer = lines_memory(lines_peer);
	struct verb *verb = &peer->verb;
	enum verb_step step = VERB_OVER;

	(void)context;
	verb->rows = VERB_ROWS_A_TURN;
	if (!verb->has_failed) {
		step = peer->entry->function(verb);
		verb->is_first = false;
	}
	if (step != VERB_OVER)
		return step == VERB_AGAIN ? LINES_AGAIN : LINES_WAIT;
	control_let_go(verb);
	verb_end(verb);
	return LINES_DONE;
}

static void control_left(void *context, struct lines_peer *lines_peer)
{
	struct control_peer *peer = lines_memory(lines_peer);

	(void)context;
	control_let_go(&peer->verb);
}

/* What the log says is told those who watch, in the same words. */
static void control_hear(void *context, int level, const char *text)
{
	struct control *control = context;

	for (unsigned int i = 0; i < LINES_PEERS; i++)
		if (control->watchers.verb[i])
			control->watchers.verb[i]->hear(control->watchers.verb[i], level, text);
}

struct control *control_open(struct event_base *base, const struct router *router, int *exit_code)
{
	struct control *control = calloc(1, sizeof(*control));
	const struct lines_handlers handlers = {
		.context = control,
		.memory = sizeof(struct control_peer),
		.ask_ms = ASK_MS,
		.take_ms = TAKE_MS,
		.admit = control_admit,
		.crowded = crowded,
		.not_accepted = control_not_accepted,
		.too_long = too_long,
		.other_work = control_count_other_work,
		.asked = control_asked,
		.turn = control_turn,
		.left = control_left,
	};
	char path[PATH_MAX];

	*exit_code = EXIT_NETWORK;
	if (!control) {
		log_write(router->log, LOG_ERR, "out of memory: no control socket");
		return NULL;
	}
	control->router = *router;
	if (router->config->control_socket[0])
		snprintf(path, sizeof(path), "%s", router->config->control_socket);
	else
		snprintf(path, sizeof(path), "%s/control.sock", router->options->state_dir);
	*exit_code = control_socket_open(&control->socket, path, router->options->user, router->log);
	if (*exit_code == EXIT_OK) {
		control->lines = lines_new(base, control->socket.file.fd, &handlers);
		if (control->lines) {
			log_listen(router->log, control_hear, control);
			return control;
		}
		log_write(router->log, LOG_ERR, "out of memory: no control socket");
		*exit_code = EXIT_NETWORK;
	}
	control_close(control);
	return NULL;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	log_listen(control->router.log, NULL, NULL);
	lines_free(control->lines);
	control_socket_close(&control->socket, control->router.log);
	free(control);
}

void control_tell(struct control *control, enum engine_event_kind kind, const struct tunnel_view *view)
{
	for (unsigned int i = 0; i < LINES_PEERS; i++)
		if (control->watchers.verb[i])
			control->watchers.verb[i]->tell(control->watchers.verb[i], kind, view);
}

char *control_metrics(void *context, const struct metrics_census *census, size_t *length)
{
	const struct control *control = context;

	return verb_make_metrics(&control->router, census, length);
}
