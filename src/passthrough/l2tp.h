/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L2TP pass-through (RFC 2661, RFC 3931 over UDP): any number of clients to one server, also to a server that answers
 * from another port, or to port 1701 whatever it was called from, or only what comes from port 1701.
 *
 * Datagrams are told apart by ports as long as that works. Where several hosts share outside port 1701 towards a
 * server, the Tunnel ID in a datagram's header, which its receiver has chosen, says whose it is.
 *
 * l2tp.c has the hooks and says for whom a datagram is; l2tp_message.c knows what control messages mean; l2tp_tunnel.c
 * keeps tunnels and finds them; l2tp_port.c knows who uses which outside port towards a server; l2tp_memory.c lays out
 * the records and checks them after a crash.
 */
#ifndef CULVERT_PASSTHROUGH_L2TP_H
#define CULVERT_PASSTHROUGH_L2TP_H

#include <culvert/module.h>

#include "base/siphash.h"
#include "base/table.h"
#include "passthrough/strict.h"
#include "wire/l2tp.h"

enum {
	L2TP_FLOWS = 4,          /* UDP flows of one path */
	L2TP_TUNNELS_EACH = 32,  /* tunnels of one path */
	L2TP_PATIENCE = 3,       /* SCCRQ without an answer before another outside port is tried */
	L2TP_REQUEST_MS = 60000, /* for a tunnel to be connected */
	L2TP_DRAIN_MS = 31000,   /* a tunnel that has ended is still known for so long after its last packet: peers send
				    again for 31 s (RFC 2661 section 5.7) */
	L2TP_IDLE_MS = 300000,   /* neither end of a tunnel was heard: it is over */
};

enum l2tp_state { TUNNEL_FREE = 0, TUNNEL_REQUESTED, TUNNEL_CONNECTED, TUNNEL_CLOSING, TUNNEL_ENDED };

/* What every datagram needs stands in the first cache line of each record. */
struct __attribute__((aligned(64))) l2tp_tunnel {
	uint32_t next; /* of its path, or in the queue of records that may be used anew */
	uint32_t path; /* MODULE_NONE: it has ended, and the record is only kept to be looked at */
	uint32_t inside_id, outside_id, remote_id;
	uint32_t last_ms[SIDES], packets[SIDES];
	uint64_t bytes[SIDES];
	uint8_t state;   /* enum l2tp_state */
	uint8_t version; /* 2 or 3 */
	uint8_t has_inside_id, has_remote_id;
	uint8_t alone[SIDES]; /* packets from that side since the last one from the other; stops at 255 */
	uint8_t has_data;     /* beside control messages */
	uint8_t is_fixed;     /* its ID is hidden or signed, and cannot be translated */
	/* the rest is for control messages */
	uint8_t end;       /* enum tunnel_end */
	uint8_t closes_as; /* enum tunnel_end it will have, once it is closing */
	uint8_t closed_by; /* enum side; while it is closing */
	uint8_t is_shared, inside_is_server;
	uint8_t is_listed;                       /* stands in the table of remote IDs */
	uint16_t next_ns[SIDES];                 /* of control messages; what is older was sent again */
	uint32_t same_next, same_previous;       /* ring of the tunnels with equal group and outside ID */
	uint32_t connection;                     /* version 3's ID in an SCCRQ that serves both versions, or 0 */
	uint32_t requested_ms, changed_ms;       /* low 32 bits */
	uint32_t sessions;                       /* that were connected so far */
	uint32_t inside_session, remote_session; /* the last ones assigned, or 0 */
	uint32_t hints_told;
	struct address inside_address, outside_address, remote_address;
	char inside_name[L2TP_NAME_MAX], remote_name[L2TP_NAME_MAX];
};

/* An inside endpoint and a remote address, with the flows between them: more than one if the server answers from
 * another port. */
struct __attribute__((aligned(64))) l2tp_path {
	uint32_t first; /* tunnel */
	uint32_t group;
	uint16_t outside_port;
	uint8_t live, flows, tunnels;
	uint8_t is_server;         /* the inside end was called through a forward */
	uint8_t knocks;            /* and has not answered yet */
	uint8_t may_share;         /* see l2tp_may_share() */
	uint8_t shares;            /* and uses outside port 1701 all the same */
	uint8_t is_listed;         /* stands in the table of outside ports */
	uint8_t answered;          /* something has come from the remote end */
	uint8_t unanswered;        /* SCCRQ since the last that came from there */
	uint32_t flow[L2TP_FLOWS]; /* the engine's; or the next free record */
	struct address inside_address;
	uint32_t share_next, share_previous;
	uint8_t has_asked; /* an SCCRQ came from the remote end: with these */
	uint16_t asked_id;
	char asked_name[L2TP_NAME_MAX];
};

/* The paths with equal outside and remote address. */
struct l2tp_group {
	struct address outside, remote;
	uint32_t paths;   /* how many; 0: the record is free */
	uint32_t sharing; /* the first path that shares port 1701; or the next free record */
};

struct l2tp {
	uint32_t paths, tunnels; /* how many records there are; as many groups as paths */
	uint32_t path_free, group_free;
	uint32_t idle_first,
		idle_last; /* queue of tunnel records that may be used anew, the longest unused one first */
	uint32_t used;     /* tunnel records from here on never were */
	uint32_t linked;   /* tunnels of paths */
	uint32_t extra;    /* of them, beyond the first one of each path */
	uint32_t knocking; /* paths that knock */
	uint32_t sweep;
	struct siphash_key key;
	bool has_key;
	struct strict_servers strict;
	/* set anew by every process */
	struct l2tp_path *path;
	struct l2tp_group *group;
	struct l2tp_tunnel *tunnel;
	struct table tunnel_table, remote_table, group_table, port_table;
};

extern const struct module l2tp_module;

/* --- l2tp_memory.c --- */

size_t l2tp_memory_size(const struct engine_limits *limits);
void l2tp_start(void *memory, const struct engine_limits *limits);
void l2tp_place(void *memory, const struct engine_limits *limits);
void l2tp_recover(struct engine *engine, void *memory, const struct engine_limits *limits);

/* --- l2tp_port.c --- */

/* MODULE_NONE if there is none. */
uint32_t l2tp_group_find(const struct l2tp *l2tp, struct address outside, struct address remote);
/* The path of a client that has this outside port in its group, or MODULE_NONE. */
uint32_t l2tp_path_at(const struct l2tp *l2tp, uint32_t group, uint16_t outside_port);
/* The path enters its group and the table of ports. */
void l2tp_path_join(struct l2tp *l2tp, uint32_t path, struct address outside, struct address remote);
void l2tp_path_leave(struct l2tp *l2tp, uint32_t path);
/* A flow of the path that lives and has this remote port, any if it is 0; or MODULE_NONE. */
uint32_t l2tp_path_flow(const struct engine *engine, const struct l2tp_path *path, uint16_t remote_port);
/* A client that calls from port 1701 to port 1701, but has another outside port. */
bool l2tp_may_share(const struct flow_view *view);

/* The path's flow to port 1701 leaves from there, too, or no longer. False: it does so already, or that is the router's
 * own port. */
bool l2tp_share(struct engine *engine, struct l2tp *l2tp, uint32_t path);
void l2tp_share_end(struct engine *engine, struct l2tp *l2tp, uint32_t path);
/* An SCCRQ is about to leave; is_fixed: its ID cannot be translated. It may share the port from now on. */
void l2tp_port_asks(struct engine *engine, struct l2tp *l2tp, uint32_t path, bool is_fixed);

/* --- l2tp_tunnel.c --- */

/* Tunnels of a path, by the ID that one of the ends has chosen; one that has ended but may still be heard, too.
 * MODULE_NONE if there is none. */
uint32_t l2tp_tunnel_by_inside(const struct l2tp *l2tp, uint32_t path, uint8_t version, uint32_t id);
uint32_t l2tp_tunnel_by_outside(const struct l2tp *l2tp, uint32_t path, uint8_t version, uint32_t id);
uint32_t l2tp_tunnel_by_remote(const struct l2tp *l2tp, uint32_t path, uint8_t version, uint32_t id);
/* The one whose inside ID nobody has read yet. */
uint32_t l2tp_tunnel_nameless(const struct l2tp *l2tp, uint32_t path);
/* The latest tunnel of the group to which the remote end gave this ID; or MODULE_NONE. */
uint32_t l2tp_tunnel_of_remote(const struct l2tp *l2tp, uint32_t group, uint32_t remote_id);
/* The tunnel of the group that has this outside ID, if only one can be meant; or MODULE_NONE. */
uint32_t l2tp_tunnel_of_group(const struct l2tp *l2tp, uint32_t group, uint32_t outside_id);

/* A new tunnel of a path, requested now; MODULE_NONE if there is no record for it. */
uint32_t l2tp_tunnel_open(struct engine *engine, struct l2tp *l2tp, uint32_t path, uint8_t version);
/* Its inside ID became known; the outside one is the same, or another if that one is in use where it has to be told
 * apart. */
void l2tp_tunnel_name(struct engine *engine, struct l2tp *l2tp, uint32_t tunnel, uint32_t inside_id);
/* The remote ID became known. */
void l2tp_tunnel_answer(struct l2tp *l2tp, uint32_t tunnel, uint32_t remote_id);
/* The path's port changed: the outside ID has to be told apart there, too. Only while nobody has heard of it. */
void l2tp_tunnel_rename(struct engine *engine, struct l2tp *l2tp, uint32_t tunnel);
void l2tp_tunnel_connect(struct engine *engine, struct l2tp *l2tp, uint32_t tunnel);
/* The tunnel is over; it stays known until it has been silent for a while. */
void l2tp_tunnel_end(struct engine *engine, struct l2tp *l2tp, uint32_t tunnel, enum tunnel_end why);
/* It leaves its path; the record stays to be looked at until it is needed. */
void l2tp_tunnel_unlink(struct l2tp *l2tp, uint32_t tunnel);
void l2tp_tunnel_account(struct engine *engine, struct l2tp_tunnel *tunnel, enum side from, uint32_t bytes);
/* Ends what nobody answers or hears, a piece of all tunnels at a time. */
void l2tp_tunnel_sweep(struct engine *engine, struct l2tp *l2tp);
void l2tp_tunnel_view(const struct engine *engine, const struct l2tp *l2tp, uint32_t tunnel, struct tunnel_view *view);

/* --- l2tp_message.c --- */

/* A control message; header is what l2tp_parse() made of it, tunnel the one that its Tunnel ID names or MODULE_NONE.
 * Its Assigned Tunnel ID is translated if it has to be. The tunnel that it is about, or MODULE_NONE. */
uint32_t l2tp_message_outbound(struct engine *engine, struct l2tp *l2tp, uint32_t path, uint32_t tunnel,
			       const struct l2tp_header *header, const struct module_datagram *datagram);
uint32_t l2tp_message_inbound(struct engine *engine, struct l2tp *l2tp, uint32_t path, uint32_t tunnel,
			      const struct l2tp_header *header, const struct module_datagram *datagram);

/* --- shared by all of them --- */

static inline uint32_t l2tp_now(const struct engine *engine)
{
	return (uint32_t)engine_offer(engine)->now_ms(engine);
}

static inline uint64_t l2tp_hash(const struct l2tp *l2tp, uint32_t group, uint32_t what, uint32_t kind)
{
	return siphash(&l2tp->key, (uint64_t)group << 32 | what, kind);
}

/* Strangers choose what is looked up, so that the tables' key has to be secret. */
void l2tp_take_key(struct engine *engine, struct l2tp *l2tp);
/* Puts a tunnel into the tables of its group, and takes it out; does nothing for version 3. */
void l2tp_tunnel_enter(struct l2tp *l2tp, uint32_t tunnel);
void l2tp_tunnel_leave(struct l2tp *l2tp, uint32_t tunnel);
/* The record may be used anew, after all those that were given back before. */
void l2tp_tunnel_give_back(struct l2tp *l2tp, uint32_t tunnel);

#endif
