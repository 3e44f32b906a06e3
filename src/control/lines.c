/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peers are bufferevents. Each is in one of three states:
 *
 *   ASKING      reads until there is a line, at most ask_ms
 *   ANSWERING   has turns; it reads no further, except while it waits, when only the end of the connection counts, or
 *               the bytes that the turn wants, at most ask_ms
 *   CLOSING     what is left of the output goes out
 *
 * Who has closed its half of the connection is answered all the same, a stream until it goes. libevent stops reading
 * then, for the end of that half can be read again and again; so a timer looks whether the peer is still there.
 *
 * Turns come from a timer: libevent looks at timers once a round, so that descriptors are looked at between two turns
 * however many peers want one. Its time is zero, or a pause while there is other work.
 */
#include "control/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

enum { ACCEPTS_A_ROUND = 4, NO_ACCEPT_MS = 100, LOOK_MS = 1000 };

enum peer_state { PEER_ASKING, PEER_ANSWERING, PEER_CLOSING };

struct lines_peer {
	struct lines *lines;
	struct bufferevent *buffer;
	struct event *impatience;
	enum peer_state state;
	bool wants_turn;
	bool waits;      /* for lines_wake() */
	bool is_broken;  /* a line was lost for want of memory */
	bool has_ended;  /* it says nothing more, but may still listen */
	size_t expected; /* bytes that the turn to come wants to have; 0: none */
	max_align_t memory[];
};

struct lines {
	struct lines_handlers handlers;
	struct event_base *base;
	struct event *listener;
	struct event *door; /* opens the listener again */
	struct event *turn;
	struct lines_peer *peer[LINES_PEERS]; /* NULL: a free place */
	unsigned int last;                    /* had its turn last */
	/* What other work there had been when a turn was wanted last, and when somebody was let in last. */
	uint64_t work_at_turn, work_at_door;
};

static struct timeval interval_of(uint32_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

static void peer_free(struct lines_peer *peer)
{
	struct lines *lines = peer->lines;

	if (peer->state == PEER_ANSWERING)
		lines->handlers.left(lines->handlers.context, peer);
	for (unsigned int i = 0; i < LINES_PEERS; i++)
		if (lines->peer[i] == peer)
			lines->peer[i] = NULL;
	if (peer->impatience)
		event_free(peer->impatience);
	if (peer->buffer)
		bufferevent_free(peer->buffer);
	free(peer);
}

/* Was there other work since this was asked last with the same *before? */
static bool lines_has_other_work(const struct lines *lines, uint64_t *before)
{
	uint64_t now = lines->handlers.other_work(lines->handlers.context);
	bool has = now != *before;

	*before = now;
	return has;
}

static void lines_want_turn(struct lines *lines)
{
	struct timeval pause;

	if (evtimer_pending(lines->turn, NULL))
		return;
	pause = interval_of(lines_has_other_work(lines, &lines->work_at_turn) ? LINES_PAUSE_MS : 0);
	evtimer_add(lines->turn, &pause);
}

static void peer_want_turn(struct lines_peer *peer)
{
	peer->wants_turn = true;
	lines_want_turn(peer->lines);
}

/* Nothing is read any more; frees the peer if there is nothing to write either. */
static void peer_close(struct lines_peer *peer)
{
	peer->state = PEER_CLOSING;
	bufferevent_disable(peer->buffer, EV_READ);
	evtimer_del(peer->impatience);
	if (lines_waiting(peer) == 0)
		peer_free(peer);
}

static void peer_listen(struct lines_peer *peer)
{
	const struct timeval patience = interval_of(peer->lines->handlers.ask_ms);

	peer->state = PEER_ASKING;
	bufferevent_enable(peer->buffer, EV_READ);
	evtimer_add(peer->impatience, &patience);
}

/* The last that it is told. It may be gone afterwards. */
static void peer_refuse(struct lines_peer *peer)
{
	const struct lines_handlers *handlers = &peer->lines->handlers;

	if (peer->state == PEER_ANSWERING)
		handlers->left(handlers->context, peer);
	lines_write(peer, handlers->too_long, strlen(handlers->too_long));
	peer_close(peer);
}

/* Takes one line from the input, if there is one. The peer may be gone afterwards. */
static void peer_take_line(struct lines_peer *peer)
{
	const struct lines_handlers *handlers = &peer->lines->handlers;
	struct evbuffer *input = bufferevent_get_input(peer->buffer);
	struct evbuffer_ptr end = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);
	size_t length = end.pos < 0 ? evbuffer_get_length(input) : (size_t)end.pos;
	char line[LINES_ASK_MAX + 1];

	if (length >= LINES_ASK_MAX) {
		peer_refuse(peer);
		return;
	}
	if (end.pos < 0)
		return;
	evbuffer_remove(input, line, length + 1);
	line[length] = '\0';
	evtimer_del(peer->impatience);
	bufferevent_disable(peer->buffer, EV_READ);
	peer->state = PEER_ANSWERING;
	peer->waits = false;
	handlers->asked(handlers->context, peer, line, length);
	peer_want_turn(peer);
}

/* The turn that waits for bytes has them. */
static void peer_take_expected(struct lines_peer *peer)
{
	if (evbuffer_get_length(bufferevent_get_input(peer->buffer)) < peer->expected)
		return;
	peer->expected = 0;
	evtimer_del(peer->impatience);
	bufferevent_disable(peer->buffer, EV_READ);
	lines_wake(peer);
}

/* Who waits and fills its input meanwhile is not read any more, and would not be heard to go. */
static void on_input(struct bufferevent *buffer, void *argument)
{
	struct lines_peer *peer = argument;

	if (peer->state == PEER_ASKING)
		peer_take_line(peer);
	else if (peer->state == PEER_ANSWERING && peer->expected > 0)
		peer_take_expected(peer);
	else if (peer->state == PEER_ANSWERING && evbuffer_get_length(bufferevent_get_input(buffer)) >= LINES_ASK_MAX)
		peer_refuse(peer);
}

/* The output has room again. */
static void on_output(struct bufferevent *buffer, void *argument)
{
	struct lines_peer *peer = argument;

	(void)buffer;
	if (peer->state == PEER_CLOSING && lines_waiting(peer) == 0)
		peer_free(peer);
	else if (peer->state == PEER_ANSWERING && !peer->waits)
		peer_want_turn(peer);
}

/* Both halves are closed. */
static bool peer_is_gone(const struct lines_peer *peer)
{
	struct pollfd poll_fd = {.fd = lines_fd(peer), .events = 0};

	return poll(&poll_fd, 1, 0) == 1;
}

/* It says nothing more, and is answered until it goes. */
static void peer_look_after(struct lines_peer *peer)
{
	const struct timeval pause = interval_of(LOOK_MS);

	peer->has_ended = true;
	if (peer_is_gone(peer))
		peer_free(peer);
	else
		evtimer_add(peer->impatience, &pause);
}

/* End of file, an error, or nothing taken for take_ms. */
static void on_event(struct bufferevent *buffer, short what, void *argument)
{
	struct lines_peer *peer = argument;

	(void)buffer;
	if ((what & BEV_EVENT_EOF) && peer->state == PEER_ASKING)
		peer_close(peer);
	else if ((what & BEV_EVENT_EOF) && peer->state == PEER_ANSWERING && peer->expected == 0)
		peer_look_after(peer);
	else
		peer_free(peer);
}

static void on_impatience(evutil_socket_t fd, short what, void *argument)
{
	struct lines_peer *peer = argument;

	(void)fd;
	(void)what;
	if (peer->state == PEER_ANSWERING && peer->has_ended) {
		peer_look_after(peer);
		return;
	}
	if (peer->state == PEER_ANSWERING)
		peer->lines->handlers.left(peer->lines->handlers.context, peer);
	peer_close(peer);
}

static void peer_have_turn(struct lines_peer *peer)
{
	const struct lines_handlers *handlers = &peer->lines->handlers;
	enum lines_next next = handlers->turn(handlers->context, peer);

	peer->waits = next == LINES_WAIT;
	if (next == LINES_WAIT) {
		bufferevent_enable(peer->buffer, EV_READ); /* to hear that it goes */
		if (peer->expected > 0)
			peer_take_expected(peer);
	} else if (next == LINES_DONE) {
		peer_listen(peer);
		peer_take_line(peer);
	} else if (lines_waiting(peer) < LINES_OUTPUT) {
		peer_want_turn(peer); /* otherwise on_output() does */
	}
}

static void on_turn(evutil_socket_t fd, short what, void *argument)
{
	struct lines *lines = argument;
	struct lines_peer *chosen = NULL;

	(void)fd;
	(void)what;
	for (unsigned int i = 1; i <= LINES_PEERS; i++) {
		unsigned int at = (lines->last + i) % LINES_PEERS;

		if (!lines->peer[at] || !lines->peer[at]->wants_turn)
			continue;
		if (chosen) {
			lines_want_turn(lines);
			break;
		}
		chosen = lines->peer[at];
		lines->last = at;
		i = 0; /* from here once around, for whether somebody else wants one as well */
		chosen->wants_turn = false;
	}
	if (chosen && chosen->is_broken)
		peer_free(chosen);
	else if (chosen && chosen->state == PEER_ANSWERING)
		peer_have_turn(chosen);
}

/* False if there is no memory; the peer is to be freed then. */
static bool peer_fill(struct lines_peer *peer, int fd)
{
	const struct timeval patience = interval_of(peer->lines->handlers.take_ms);
	struct event_base *base = peer->lines->base;

	peer->buffer = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!peer->buffer) {
		close(fd);
		return false;
	}
	peer->impatience = evtimer_new(base, on_impatience, peer);
	if (!peer->impatience)
		return false;
	bufferevent_setcb(peer->buffer, on_input, on_output, on_event, peer);
	bufferevent_setwatermark(peer->buffer, EV_READ, 0, LINES_ASK_MAX);
	bufferevent_setwatermark(peer->buffer, EV_WRITE, LINES_OUTPUT / 2, 0);
	bufferevent_set_timeouts(peer->buffer, NULL, &patience);
	bufferevent_enable(peer->buffer, EV_WRITE);
	return true;
}

static void send_away(int fd, const char *line)
{
	/* It goes whether it has heard that or not. */
	if (send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		errno = 0;
	close(fd);
}

static void take_in(struct lines *lines, int fd)
{
	const struct lines_handlers *handlers = &lines->handlers;
	const char *refusal = handlers->admit(handlers->context, fd);
	struct lines_peer **place = NULL;

	for (unsigned int i = 0; i < LINES_PEERS && !place; i++)
		if (!lines->peer[i])
			place = &lines->peer[i];
	if (refusal || !place) {
		send_away(fd, refusal ? refusal : handlers->crowded);
		return;
	}
	*place = calloc(1, sizeof(**place) + handlers->memory);
	if (!*place) {
		close(fd);
		return;
	}
	(*place)->lines = lines;
	if (peer_fill(*place, fd))
		peer_listen(*place);
	else
		peer_free(*place);
}

static void on_door(evutil_socket_t fd, short what, void *argument)
{
	struct lines *lines = argument;

	(void)fd;
	(void)what;
	event_add(lines->listener, NULL);
}

/* Who comes now waits in the kernel's queue. */
static void lines_shut_door(struct lines *lines, uint32_t ms)
{
	const struct timeval pause = interval_of(ms);

	event_del(lines->listener);
	evtimer_add(lines->door, &pause);
}

/* A few, and nobody for a while if there is other work, or for want of descriptors. */
static void on_connection(evutil_socket_t listener, short what, void *argument)
{
	struct lines *lines = argument;

	(void)what;
	if (lines_has_other_work(lines, &lines->work_at_door))
		lines_shut_door(lines, LINES_PAUSE_MS);
	for (unsigned int i = 0; i < ACCEPTS_A_ROUND; i++) {
		int fd = accept4((int)listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take_in(lines, fd);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			lines->handlers.not_accepted(lines->handlers.context, errno);
			lines_shut_door(lines, NO_ACCEPT_MS);
		}
		return;
	}
}

struct lines *lines_new(struct event_base *base, int fd, const struct lines_handlers *handlers)
{
	struct lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return NULL;
	lines->handlers = *handlers;
	lines->base = base;
	lines->turn = evtimer_new(lines->base, on_turn, lines);
	lines->door = evtimer_new(lines->base, on_door, lines);
	lines->listener = event_new(lines->base, fd, EV_READ | EV_PERSIST, on_connection, lines);
	if (lines->turn && lines->door && lines->listener && event_add(lines->listener, NULL) == 0)
		return lines;
	lines_free(lines);
	errno = ENOMEM;
	return NULL;
}

void lines_free(struct lines *lines)
{
	if (!lines)
		return;
	for (unsigned int i = 0; i < LINES_PEERS; i++)
		if (lines->peer[i])
			peer_free(lines->peer[i]);
	if (lines->listener)
		event_free(lines->listener);
	if (lines->door)
		event_free(lines->door);
	if (lines->turn)
		event_free(lines->turn);
	free(lines);
}

void *lines_memory(struct lines_peer *peer)
{
	return peer->memory;
}

int lines_fd(const struct lines_peer *peer)
{
	return bufferevent_getfd(peer->buffer);
}

void lines_write(struct lines_peer *peer, const char *text, size_t length)
{
	if (bufferevent_write(peer->buffer, text, length) == 0)
		return;
	/* An answer with a hole is none: its reader sees it end without the last line. */
	peer->is_broken = true;
	peer_want_turn(peer);
}

size_t lines_waiting(const struct lines_peer *peer)
{
	return evbuffer_get_length(bufferevent_get_output(peer->buffer));
}

void lines_wake(struct lines_peer *peer)
{
	if (peer->state == PEER_ANSWERING) {
		peer->waits = false;
		peer_want_turn(peer);
	}
}

void lines_expect(struct lines_peer *peer, size_t size)
{
	const struct timeval patience = interval_of(peer->lines->handlers.ask_ms);

	peer->expected = size;
	bufferevent_setwatermark(peer->buffer, EV_READ, 0, size > LINES_ASK_MAX ? size : LINES_ASK_MAX);
	evtimer_add(peer->impatience, &patience);
}

bool lines_take(struct lines_peer *peer, void *bytes, size_t size)
{
	struct evbuffer *input = bufferevent_get_input(peer->buffer);

	if (evbuffer_get_length(input) < size || evbuffer_remove(input, bytes, size) != (int)size)
		return false;
	bufferevent_setwatermark(peer->buffer, EV_READ, 0, LINES_ASK_MAX);
	return true;
}
