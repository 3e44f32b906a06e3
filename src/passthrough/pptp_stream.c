/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a control stream. */
#include "passthrough/pptp_stream.h"

#include "base/serial.h"

void pptp_stream_start(struct pptp_stream *stream, uint32_t sequence)
{
	if (stream->started && stream->next == sequence)
		return;
	*stream = (struct pptp_stream){.next = sequence, .started = true, .state = PPTP_STREAM_IN_STEP};
}

void pptp_stream_search(struct pptp_stream *stream, uint32_t sequence, const uint8_t *bytes, uint32_t count)
{
	uint16_t type;

	if (count < PPTP_HEADER || !pptp_header_is_sound(bytes, &type))
		return;
	*stream = (struct pptp_stream){.next = sequence, .started = true, .state = PPTP_STREAM_IN_STEP};
}

static bool is_field(const struct pptp_stream *stream, uint32_t offset)
{
	const struct pptp_shape *shape = pptp_shape(stream->type);

	return (offset == PPTP_OFFSET_FIRST ? shape->first : shape->second) != PPTP_FIELD_NONE;
}

/* Takes one byte of the head; what it completes. */
static enum pptp_stop take_byte(struct pptp_stream *stream, uint8_t byte, uint32_t *offset)
{
	stream->head[stream->taken++] = byte;
	if (stream->taken < PPTP_HEADER)
		return PPTP_STOP_END;
	if (stream->taken == PPTP_HEADER) {
		if (pptp_header_is_sound(stream->head, &stream->type))
			return PPTP_STOP_END;
		stream->state = PPTP_STREAM_OUT_OF_STEP;
		return PPTP_STOP_LOST;
	}
	*offset = stream->taken <= PPTP_OFFSET_SECOND ? PPTP_OFFSET_FIRST : PPTP_OFFSET_SECOND;
	if ((stream->taken == PPTP_OFFSET_FIRST + 2 || stream->taken == PPTP_OFFSET_SECOND + 2) &&
	    is_field(stream, *offset))
		return PPTP_STOP_FIELD;
	if (stream->taken == PPTP_HEAD)
		return PPTP_STOP_MESSAGE;
	return PPTP_STOP_END;
}

/* The last byte read is the first half of a field. */
static bool stands_in_field(const struct pptp_stream *stream, uint32_t *offset)
{
	if (stream->taken != PPTP_OFFSET_FIRST + 1 && stream->taken != PPTP_OFFSET_SECOND + 1)
		return false;
	*offset = stream->taken - 1u;
	return is_field(stream, *offset);
}

enum pptp_stop pptp_stream_read(struct pptp_stream *stream, const uint8_t *bytes, uint32_t count, uint32_t *used,
				uint32_t *offset)
{
	while (*used < count) {
		uint16_t length = stream->taken >= PPTP_HEADER ? pptp_shape(stream->type)->length : PPTP_HEAD;
		if (stream->taken >= PPTP_HEAD || stream->taken >= length) {
			/* The rest of the body, all at once. */
			uint32_t left = (uint32_t)length - stream->taken;
			uint32_t part = count - *used < left ? count - *used : left;
			stream->taken = (uint16_t)(stream->taken + part);
			stream->next += part;
			*used += part;
			if (stream->taken == length)
				stream->taken = 0;
			continue;
		}
		stream->next++;
		enum pptp_stop stop = take_byte(stream, bytes[(*used)++], offset);
		bool is_short = stop == PPTP_STOP_END && stream->taken > PPTP_HEADER && stream->taken == length;
		if (stop == PPTP_STOP_MESSAGE || is_short) {
			if (stream->taken == pptp_shape(stream->type)->length)
				stream->taken = 0;
			return PPTP_STOP_MESSAGE;
		}
		if (stop != PPTP_STOP_END)
			return stop;
	}
	return stands_in_field(stream, offset) ? PPTP_STOP_HALF : PPTP_STOP_END;
}

bool pptp_stream_remember(struct pptp_stream *stream, uint32_t sequence, uint8_t value)
{
	for (unsigned i = 0; i < stream->patches; i++) {
		if (stream->patch[i].sequence == sequence) {
			stream->patch[i].value = value;
			return true;
		}
	}
	if (stream->patches == PPTP_PATCHES)
		return false;
	stream->patch[stream->patches++] = (struct pptp_patch){sequence, value};
	return true;
}

void pptp_stream_acknowledge(struct pptp_stream *stream, uint32_t acknowledgement)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < stream->patches; i++)
		if (!serial_before(stream->patch[i].sequence, acknowledgement))
			stream->patch[kept++] = stream->patch[i];
	stream->patches = (uint8_t)kept;
}
