/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One direction of a PPTP control connection as a stream of bytes: messages cut anywhere, several in a segment, sent
 * again with other boundaries. Knows where Call IDs stand, not what they mean.
 *
 * What is translated is remembered as single bytes by their place in the stream, so that whatever part of a field a
 * later segment carries again gets the same value. A byte is forgotten once the receiver has acknowledged it.
 */
#ifndef CULVERT_PASSTHROUGH_PPTP_STREAM_H
#define CULVERT_PASSTHROUGH_PPTP_STREAM_H

#include <culvert/packet.h>

#include "wire/pptp.h"

enum { PPTP_PATCHES = 32 };

enum pptp_stream_state {
	PPTP_STREAM_SEARCHING = 0, /* the start was not seen: waits for a segment that starts with a message */
	PPTP_STREAM_IN_STEP,
	PPTP_STREAM_OUT_OF_STEP, /* not PPTP, or no longer understood: nothing is read any more */
};

struct pptp_patch {
	uint32_t sequence;
	uint8_t value;
};

struct pptp_stream {
	uint32_t next; /* sequence number of the first byte not yet read */
	uint8_t state;
	bool started;   /* next is valid */
	uint16_t taken; /* bytes of the current message that were read */
	uint16_t type;  /* of it, once the header is there */
	uint8_t head[PPTP_HEAD];
	bool half; /* the first byte of a field has gone out alone, with the value sent_half */
	uint8_t sent_half;
	uint8_t patches;
	struct pptp_patch patch[PPTP_PATCHES]; /* in order of sequence */
};

enum pptp_stop {
	PPTP_STOP_END,     /* all bytes were read */
	PPTP_STOP_HALF,    /* all were read, and the last one is the first half of a field */
	PPTP_STOP_FIELD,   /* a field that may hold a Call ID is complete */
	PPTP_STOP_MESSAGE, /* all of a message that matters was read */
	PPTP_STOP_LOST,    /* no sound header: the stream is out of step now */
};

/* The SYN was seen; sequence is that of the first byte to come. */
void pptp_stream_start(struct pptp_stream *stream, uint32_t sequence);
/* A segment starts here in a stream that searches: in step from now on if it starts with a message. */
void pptp_stream_search(struct pptp_stream *stream, uint32_t sequence, const uint8_t *bytes, uint32_t count);
/*
 * Reads bytes that start at stream->next until something is to be done. *used grows by what was read. PPTP_STOP_FIELD
 * and PPTP_STOP_HALF: *offset is the field's place in the message, 12 or 14; the field's first byte stands at sequence
 * stream->next - 2 (FIELD) or - 1 (HALF). PPTP_STOP_MESSAGE: stream->type and stream->head tell.
 */
enum pptp_stop pptp_stream_read(struct pptp_stream *stream, const uint8_t *bytes, uint32_t count, uint32_t *used,
				uint32_t *offset);
/* Remembers the value of a byte; false if there are too many. */
bool pptp_stream_remember(struct pptp_stream *stream, uint32_t sequence, uint8_t value);
/* Forgets what the receiver has. */
void pptp_stream_acknowledge(struct pptp_stream *stream, uint32_t acknowledgement);

#endif
