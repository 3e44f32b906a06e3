/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server of lines on a Unix stream socket: a peer asks with a line, is answered with any number of them, and may ask
 * again. It is made of libevent's buffers.
 *
 * Answers are made in turns. In each round of the loop one peer has its turn, which is a bounded piece of work; then
 * packets are looked at again. While there are packets, turns are LINES_PAUSE_MS apart, and so are the moments in which
 * connections are accepted, so that the processor is theirs however many peers ask for however much. A peer whose
 * output holds LINES_OUTPUT bytes has no turn until its reader has taken half of them.
 *
 * A line may announce bytes that are none, like the text of a file: lines_expect().
 */
#ifndef CULVERT_CONTROL_LINES_H
#define CULVERT_CONTROL_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LINES_PEERS = 64,
	LINES_ASK_MAX = 1024,    /* bytes of a line of a peer, the newline among them */
	LINES_OUTPUT = 64 << 10, /* bytes of output that wait for a reader */
	LINES_PAUSE_MS = 1,      /* from one turn to the next, if there was other work in between */
};

enum lines_next {
	LINES_DONE,  /* the answer is complete: the peer may ask again */
	LINES_AGAIN, /* another turn, please, once there is room for output */
	LINES_WAIT,  /* nothing to say now; lines_wake() asks for a turn */
};

struct event_base;
struct lines;
struct lines_peer;

struct lines_handlers {
	void *context;
	uint32_t ask_ms;  /* a peer that says nothing for so long is let go */
	uint32_t take_ms; /* and one that takes nothing for so long */
	size_t memory;    /* bytes that each peer has for the handlers' use, all 0 at first: lines_memory() */
	/* A connection came: NULL if it may ask, else the line it is sent away with, with its newline. */
	const char *(*admit)(void *context, int fd);
	/* What a connection is told that comes when LINES_PEERS are there, with its newline. */
	const char *crowded;
	/* A connection could not be accepted, with this value of errno; it waits. */
	void (*not_accepted)(void *context, int error);
	/* What a peer is told whose line is too long, or who sends so much while it waits. */
	const char *too_long;
	/* Counts other work of the loop: turns do not follow each other at once while this number grows. */
	uint64_t (*other_work)(void *context);
	/* A line without its newline, terminated by a NUL; it may hold other NULs. Turns follow. */
	void (*asked)(void *context, struct lines_peer *peer, const char *line, size_t length);
	enum lines_next (*turn)(void *context, struct lines_peer *peer);
	/* The peer went away in the middle of an answer. */
	void (*left)(void *context, struct lines_peer *peer);
};

/* Serves on a listening, non-blocking socket, which stays the caller's. NULL, with errno set, if there is no memory. */
struct lines *lines_new(struct event_base *base, int fd, const struct lines_handlers *handlers);
/* Lets go of all peers. NULL is allowed. */
void lines_free(struct lines *lines);

void *lines_memory(struct lines_peer *peer);
/* Its connection. */
int lines_fd(const struct lines_peer *peer);
/* Appends to the output. */
void lines_write(struct lines_peer *peer, const char *text, size_t length);
/* Output that waits. */
size_t lines_waiting(const struct lines_peer *peer);
/* A turn for a peer that said LINES_WAIT. */
void lines_wake(struct lines_peer *peer);

/* To be called in a turn that then says LINES_WAIT: the next one comes when size bytes have followed the line. A peer
 * that has not sent them after ask_ms is let go. */
void lines_expect(struct lines_peer *peer, size_t size);
/* Takes the bytes that were expected, once they are there; else false. */
bool lines_take(struct lines_peer *peer, void *bytes, size_t size);

#endif
