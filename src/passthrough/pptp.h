/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PPTP pass-through (RFC 2637): any number of clients to one server, whatever Call IDs they chose.
 *
 * pptp.c reads control connections as streams and says which bytes change; pptp_call.c knows the calls and what each
 * message does to them. A Call ID is translated when it is owned by the inside end: outward to the outside ID, inward
 * back again. Who is client and who is server follows from the messages, never from who opened the connection.
 */
#ifndef CULVERT_PASSTHROUGH_PPTP_H
#define CULVERT_PASSTHROUGH_PPTP_H

#include <culvert/module.h>

#include "passthrough/pptp_stream.h"

enum {
	PPTP_KEPT = 8,           /* segments kept in each direction until their turn comes */
	PPTP_KEPT_BYTES = 16384, /* and how many bytes one may have */
	PPTP_CALLS_EACH = 256,   /* calls of one control connection */
	PPTP_REQUEST_MS = 60000, /* for an answer to a call request */
	PPTP_DRAIN_MS = 30000,   /* late data passes for so long */
};

enum pptp_call_state { CALL_FREE = 0, CALL_REQUESTED, CALL_CONNECTED, CALL_CLEARING, CALL_ENDED };

struct pptp_call {
	uint32_t next;    /* of its control connection, or in the free list */
	uint32_t flow;    /* the engine's, or MODULE_NONE */
	uint32_t control; /* its control connection, or MODULE_NONE once that is over */
	uint16_t inside_id, outside_id, remote_id;
	uint8_t state;         /* enum pptp_call_state */
	uint8_t has_remote_id; /* a byte, as all that recovery reads: it may be anything then */
	uint32_t requested_ms; /* low 32 bits */
	uint8_t end;           /* enum tunnel_end */
	/* what is shown once the flow is gone */
	struct address inside_address, outside_address, remote_address;
	uint8_t inside_is_server;
	uint32_t packets[SIDES], last_ms[SIDES];
	uint64_t bytes[SIDES];
	uint32_t hints_told;
};

struct pptp_kept {
	uint32_t sequence, packet;
};

struct pptp_control {
	uint32_t flow; /* the engine's, or the next free record */
	uint8_t live;
	bool told_lost;
	bool asks_anew; /* a SYN came in the middle of the connection */
	uint8_t asker;  /* enum side, from which */
	uint8_t knocks; /* opened from outside, and the server inside has not answered yet */
	uint8_t kept_count[SIDES];
	uint16_t calls;
	uint32_t first_call;
	uint32_t refreshed_ms;
	uint32_t anew; /* where the asker's new stream begins */
	struct pptp_stream stream[SIDES];
	struct pptp_kept kept[SIDES][PPTP_KEPT];
};

struct pptp {
	uint32_t controls, calls; /* how many records there are */
	uint32_t used;            /* calls from here on never were */
	uint32_t control_free, call_free;
	uint32_t knocking;            /* control connections that knock */
	uint32_t call_oldest;         /* where the search for an ended call to overwrite goes on */
	struct pptp_control *control; /* set anew by every process */
	struct pptp_call *call;
};

extern const struct module pptp_module;

/* --- pptp_call.c --- */

/* The translated value of a field read from one side, or the value itself; false and *why if there can be none. high is
 * the first byte that has gone out already, or -1. */
bool pptp_call_translate(struct engine *engine, struct pptp *pptp, uint32_t control, enum side from,
			 enum pptp_field field, uint16_t value, int high, uint16_t *translated, enum drop *why);
/* The translated first byte of a field whose second byte has not come; false if it cannot be told. */
bool pptp_call_translate_half(struct engine *engine, const struct pptp *pptp, uint32_t control, enum side from,
			      enum pptp_field field, uint8_t value, uint8_t *translated);
/* What a whole message means for the calls. */
void pptp_call_message(struct engine *engine, struct pptp *pptp, uint32_t control, enum side from,
		       const struct pptp_stream *stream);
/* Calls stay as long as their control connection is heard. */
void pptp_call_refresh_all(struct engine *engine, struct pptp *pptp, uint32_t control);
void pptp_call_end_all(struct engine *engine, struct pptp *pptp, uint32_t control, enum tunnel_end why);
void pptp_call_flow_over(struct engine *engine, struct pptp *pptp, uint32_t call, enum tunnel_end why);
void pptp_call_view(struct engine *engine, const struct pptp *pptp, uint32_t call, struct tunnel_view *view);

#endif
