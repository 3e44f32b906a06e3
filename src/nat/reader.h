/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the engine and the modules: flows that are read, because they control a VPN service, and packets that modules
 * keep for later.
 */
#ifndef CULVERT_NAT_READER_H
#define CULVERT_NAT_READER_H

#include "nat/flow.h"
#include "nat/state.h"

/* Has a module read a new TCP or UDP flow, if the port of the end that was called belongs to a service that wants it.
 */
void reader_attach(struct engine *engine, uint32_t flow);
/* The same for a new flow of a mapping whose flow to the same remote address is read: a server that answers from
 * another port. */
void reader_attach_beside(struct engine *engine, uint32_t flow, uint32_t sibling);
/* Shows a packet of a flow to its module. Anything but VERDICT_FORWARDED is the packet's verdict. A datagram may be
 * meant for another flow, which *flow is then. */
struct engine_result reader_inspect(struct engine *engine, uint32_t *flow, enum side from,
				    const struct passage *passage);
/* The service whose module reads UDP flows of this outside port, or SERVICE_NONE. */
enum service reader_service_at(const struct engine *engine, uint16_t outside_port);
/* The service whose module reads this flow, or SERVICE_NONE. */
enum service reader_service_of(const struct engine *engine, uint32_t flow);
/* The same, also for flows without ports that a module owns. */
enum service reader_flow_service(const struct engine *engine, uint32_t flow);
/* The flow that a module says a datagram from the WAN is meant for although its ports are those of none, or NONE. */
uint32_t reader_claim(struct engine *engine, const struct passage *passage, enum service service);

/* The flow of a datagram that an ICMP error from the WAN quotes, with its UDP header at transport; flow is what its
 * ports say. */
uint32_t reader_quoted(const struct engine *engine, uint32_t flow, const struct passage *passage, uint32_t transport,
		       struct address outside, struct address remote);

/* A TCP connection may have ended by what was just tracked, which came from that side. */
void reader_follow_tcp(struct engine *engine, uint32_t flow, enum side from);
/* A reload may have changed what is read: stops reading where mode is no longer pass. */
void reader_follow_mode(struct engine *engine, uint32_t flow);
/* After a recovery: a flow that its module does not know any more is not read. */
void reader_drop_orphan(struct engine *engine, uint32_t flow);
/* A flow that is read is about to be closed. */
void reader_flow_closes(struct engine *engine, uint32_t flow);

/* The next packet that a module kept and whose turn has come; its bytes are in scratch memory. False if there is none.
 */
bool reader_next_kept(struct engine *engine, struct packet *packet, enum side *from);
/* Wakes modules that asked for it. */
void reader_wake(struct engine *engine);

#endif
