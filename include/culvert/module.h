/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract between the engine and a pass-through module.
 *
 * A module is a const struct in one table (passthrough/registry.c). It reads the control connections of its service and
 * asks the engine for calls; it never sees the engine's tables, keeps its records in memory the engine gave it, and
 * changes packets only byte by byte through functions that also fix checksums. The engine calls the hooks; the
 * functions named module_...() are what it offers in return.
 */
#ifndef CULVERT_MODULE_H
#define CULVERT_MODULE_H

#include <culvert/engine.h>

/* The service that claims a protocol and port (port 0: only protocols without ports), or SERVICE_NONE. */
enum service service_claiming(uint8_t protocol, uint16_t port);
/* The reason counted for what a service in mode block refuses. */
enum drop service_drop(enum service service);
const char *service_name(enum service service);

/* A TCP segment of a control connection. */
struct module_segment {
	struct packet *packet;
	uint32_t transport; /* offset of the TCP header */
	uint32_t payload;   /* offset of its data */
	uint32_t length;    /* of its data */
	uint32_t sequence;  /* of the first byte of data */
	uint32_t acknowledgement;
	bool has_acknowledgement;
	bool starts;       /* it carries the SYN */
	enum side arrived; /* where the packet came from; in a hairpin not the side it is read for */
};

struct module {
	/* Bytes of memory for its records; 0: the limits leave it none. */
	size_t (*memory_size)(const struct engine_limits *limits);
	/* Makes the memory empty. */
	void (*start)(void *memory, const struct engine_limits *limits);
	/* The memory is that of a process that died: keeps what still fits the engine's flows. */
	void (*recover)(struct engine *engine, void *memory, const struct engine_limits *limits);
	/* The records say so of this flow, too: it is this control connection or (control 0) the call of this record.
	 */
	bool (*knows)(const void *memory, uint32_t flow, uint16_t control, uint32_t record);
	/* A control connection was opened. Its state, from 1 on, or 0: not read. answered: the called end has agreed;
	 * until then a stranger's SYN may be all there is, and it is asked again. */
	uint16_t (*attach)(struct engine *engine, void *memory, uint32_t flow, bool answered);
	/* Reads and changes a segment. VERDICT_FORWARDED: it may go on. VERDICT_HELD: it was kept by module_keep(). */
	struct engine_result (*inspect)(struct engine *engine, void *memory, uint16_t control, enum side from,
					const struct module_segment *segment);
	/* A kept packet whose turn it is, to be taken by the caller, or MODULE_NONE. */
	uint32_t (*next_kept)(void *memory, uint16_t control, enum side from);
	/* The control connection is over; control is free afterwards. */
	void (*control_over)(struct engine *engine, void *memory, uint16_t control, enum tunnel_end why);
	/* A call's flow is over; why is END_NOT if the module itself ended the call before. */
	void (*call_over)(struct engine *engine, void *memory, uint32_t record, enum tunnel_end why);
	/* Lists tunnels: start with *cursor 0; false at the end. */
	bool (*next_tunnel)(struct engine *engine, const void *memory, uint32_t *cursor, struct tunnel_view *view);
};

#define MODULE_NONE UINT32_MAX

/* NULL if the service has no module. */
const struct module *module_of(enum service service);

/* --- what the engine offers --- */

uint64_t module_now_ms(const struct engine *engine);
void module_count(struct engine *engine, enum statistic statistic);
/* Addresses, ports and counters of a flow; last_ms as in tunnel_view. */
void module_view_flow(const struct engine *engine, uint32_t flow, struct flow_view *view, uint32_t last_ms[SIDES]);
/* The flow lives, is a control connection with this state, or (control 0) a call with this record. */
bool module_owns_flow(const struct engine *engine, uint32_t flow, uint16_t control, uint32_t record);
void module_report(struct engine *engine, enum engine_event_kind kind, const struct tunnel_view *view);

/*
 * Opens a call between the two ends of a control connection, for a Call ID of the inside end. Data for the outside Call
 * ID is delivered from now on; until module_call_keep() it has request_ms. The outside ID is the inside one if it is
 * free towards that remote address, else another with the same high byte, else any; with high >= 0 only one with that
 * high byte. The call's flow, or MODULE_NONE and *why.
 */
uint32_t module_call_open(struct engine *engine, uint32_t control_flow, uint16_t inside_id, int high, uint32_t record,
			  uint32_t request_ms, uint16_t *outside_id, enum drop *why);
/* A high byte under which an outside ID is free: the wanted one if possible. -1 if there is none. */
int module_call_high(struct engine *engine, uint32_t control_flow, uint8_t wanted);
/* The call's time is not over. If it is, the call is closed at once, and call_over() has been called. */
bool module_call_lives(struct engine *engine, uint32_t call_flow);
/* The remote end's Call ID became known: data of the inside end flows from now on. */
void module_call_answer(struct engine *engine, uint32_t call_flow, uint16_t remote_id);
/* The call is in use: its timer starts anew. */
void module_call_keep(struct engine *engine, uint32_t call_flow);
/* The call is over: late data passes for drain_ms, then the ID rests. */
void module_call_end(struct engine *engine, uint32_t call_flow, uint32_t drain_ms);

/* Keeps a copy of a packet for later; MODULE_NONE if there is no room. */
uint32_t module_keep(struct engine *engine, const struct packet *packet, enum side arrived);
void module_drop_kept(struct engine *engine, uint32_t kept, enum drop reason);

#endif
