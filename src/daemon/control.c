/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a line to the function of its verb, and from what that function says to the lines of an answer.
 *
 *   loop_lines.c        peers, lines and turns
 *   control_socket.c    the file, and who may connect
 *   control_request.c   the words of a line
 *   verb.c, verb_*.c    the verbs
 */
#include "daemon/control.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "daemon/config.h"
#include "daemon/control_request.h"
#include "daemon/control_socket.h"
#include "daemon/datapath.h"
#include "daemon/log.h"
#include "daemon/loop_lines.h"
#include "daemon/options.h"
#include "daemon/text.h"
#include "daemon/verb.h"

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
	struct verb *watcher[LINES_PEERS]; /* NULL: a free place */
	char row[VERB_ROW_MAX];            /* of the verb that has its turn */
	char watch_row[VERB_ROW_MAX];      /* of those who watch, because they are told in the middle of such a turn */
};

/* What there is for each connection. */
struct control_peer {
	struct control_request request;
	const struct verb_entry *entry;
	struct verb verb;
	bool has_begun; /* the schema was sent */
	int code;
	char error[512];
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
	verb->control = control;
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
	if (peer->entry && (peer->entry->flags & VERB_CHANGES))
		control_report_change(control, verb, line);
}

/* Whatever is sent first, the schema comes before it. */
static void control_begin(struct verb *verb)
{
	struct control_peer *peer = lines_memory(verb->peer);
	char schema[64];

	if (peer->has_begun || verb->has_failed)
		return;
	peer->has_begun = true;
	snprintf(schema, sizeof(schema), "culvert.%s/%u", peer->entry->name, peer->entry->version);
	json_begin(&verb->json);
	json_text(&verb->json, "schema", schema);
	verb_send(verb);
}

static void control_end(struct verb *verb)
{
	const struct control_peer *peer = lines_memory(verb->peer);

	control_begin(verb);
	json_begin(&verb->json);
	json_number(&verb->json, "code", (uint64_t)peer->code);
	if (verb->has_failed)
		json_text(&verb->json, "error", peer->error);
	verb_send(verb);
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
	control_end(verb);
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
		if (control->watcher[i])
			verb_watch_hear(control->watcher[i], level, text);
}

struct control *control_open(struct loop *loop, const struct router *router, int *exit_code)
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
		control->lines = lines_new(loop, control->socket.file.fd, &handlers);
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
		if (control->watcher[i])
			verb_watch_tell(control->watcher[i], kind, view);
}

/* --- what verbs are offered, as far as it is about their peer --- */

void *verb_memory(struct verb *verb, size_t size)
{
	return size <= sizeof(verb->memory) ? verb->memory : NULL;
}

bool verb_has_room(const struct verb *verb)
{
	return verb->rows > 0 && lines_waiting(verb->peer) < LINES_OUTPUT;
}

struct json *verb_row(struct verb *verb, const char *kind)
{
	control_begin(verb);
	json_begin(&verb->json);
	json_text(&verb->json, "kind", kind);
	return &verb->json;
}

void verb_send(struct verb *verb)
{
	lines_write(verb->peer, verb->json.text, json_end(&verb->json));
	if (verb->rows > 0)
		verb->rows--;
}

void verb_begin(struct verb *verb)
{
	control_begin(verb);
}

enum verb_step verb_fail(struct verb *verb, int code, const char *format, ...)
{
	struct control_peer *peer = lines_memory(verb->peer);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(peer->error, sizeof(peer->error), format, arguments);
	va_end(arguments);
	peer->code = code;
	verb->has_failed = true;
	return VERB_OVER;
}

void verb_wake(struct verb *verb)
{
	lines_wake(verb->peer);
}

void verb_expect(struct verb *verb, size_t size)
{
	lines_expect(verb->peer, size);
}

bool verb_take(struct verb *verb, void *bytes, size_t size)
{
	return lines_take(verb->peer, bytes, size);
}

bool verb_keeps_up(const struct verb *verb)
{
	return lines_waiting(verb->peer) < LINES_OUTPUT;
}

static void control_unwatch(struct verb *verb)
{
	for (unsigned int i = 0; i < LINES_PEERS; i++)
		if (verb->control->watcher[i] == verb)
			verb->control->watcher[i] = NULL;
}

void verb_start_watching(struct verb *verb)
{
	for (unsigned int i = 0; i < LINES_PEERS; i++) {
		if (verb->control->watcher[i])
			continue;
		verb->control->watcher[i] = verb;
		json_start(&verb->json, verb->control->watch_row, sizeof(verb->control->watch_row));
		verb->over = control_unwatch;
		return;
	}
}
