/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What people may see of an engine: flows, tunnels, drops, hosts and addresses, read while it runs. Nothing here
 * changes anything. Each list is read with a cursor that starts at 0; records may come and go in between. Addresses,
 * ports and identifiers are in host byte order.
 */
#ifndef CULVERT_VIEWS_H
#define CULVERT_VIEWS_H

#include <culvert/types.h>

struct engine;

/* One flow as people see it. Portless protocols have ports 0; ICMP has its identifier in inside_port and outside_port.
 */
struct flow_view {
	uint32_t index; /* of its record: no other flow has it while this one lives */
	uint8_t protocol;
	uint8_t tcp_state;     /* enum tcp_state of nat/tcp.h; 0 for others */
	bool hairpin;          /* the remote end is another inside host behind our outside address */
	bool inside_is_server; /* opened by a forward */
	struct address inside_address, outside_address, remote_address;
	uint16_t inside_port, outside_port, remote_port;
	uint64_t bytes[SIDES]; /* received from that side */
	uint32_t packets[SIDES];
	uint32_t expires_ms; /* from now */
	uint32_t idle_ms; /* since the last packet that kept it alive; once [timeouts] has changed, from the next one on
			   */
	uint64_t age_ms;  /* since it was opened, in tenths of a second */
};

/* An outside address and what mappings have of it; a port of theirs is one of OUTSIDE_PORTS, or a lower one that the
 * inside host had chosen. */
enum { OUTSIDE_PORTS = 65536 - 1024, OUTSIDE_IDENTIFIERS = 65536 };
struct outside_view {
	struct address address;
	uint32_t hosts;
	uint32_t tcp_ports, udp_ports, icmp_identifiers;
};

/* In the order of a tunnel's life. */
enum tunnel_state {
	TUNNEL_IS_REQUESTED = 0,
	TUNNEL_IS_NEGOTIATING, /* both ends speak, and there is no data yet */
	TUNNEL_IS_CONNECTED,
	TUNNEL_IS_BLOCKED, /* the router refuses its data */
	TUNNEL_IS_CLEARING,
	TUNNEL_IS_ENDED,
	TUNNEL_STATES, /* also: none */
};

/* Why a tunnel ended. */
enum tunnel_end {
	END_NOT = 0,
	END_REFUSED,
	END_DISCONNECTED,
	END_CLEARED,
	END_STOPPED,
	END_CONTROL_CLOSED,
	END_CONTROL_RESET,
	END_CONTROL_SILENT,
	END_SILENT,
	END_NO_ANSWER,
	END_ROUTER,
	END_BLOCKED, /* by a mode */
	ENDS,
};

/* How the inside host of an inbound SPI was found (docs/nat-behaviour.md section 11). */
enum pairing {
	PAIRING_NONE = 0, /* nothing was bound */
	PAIRING_SOLE,     /* no other host was possible */
	PAIRING_RECENCY,  /* only this host had just negotiated by IKE */
	PAIRING_GUESSED,
	PAIRING_REPAIRED, /* the SPI was first bound to another host */
	PAIRINGS,
};

enum tunnel_hint {
	HINT_NONE = 0,
#define HINT(name, text, sentence) HINT_##name,
#include <culvert/hints.def>
#undef HINT
	HINTS,
};

/* What a remote end, or a router on the way, has said about packets of a tunnel: an ICMP error of this type and code
 * about a packet of this protocol to this port (0 for protocols without ports); type 0: a reset. */
struct refusal {
	struct address by; /* none: nobody has refused anything */
	uint16_t port;
	uint8_t protocol, type, code;
};

/* A VPN tunnel: a PPTP call, an L2TP tunnel, or all IPsec between an inside host and a remote address. Identifiers
 * count only where their has_... is true; texts are valid as long as the view. */
struct tunnel_view {
	enum service service;
	uint32_t index;   /* of its record: no other tunnel of this service has it; UINT32_MAX: it has none */
	const char *kind; /* "PPTP", "L2TP", "L2TPv3", "IPsec" */
	enum part
		part; /* of the service: the part that carries its data, or its control messages if there is none yet */
	const char *data; /* what carries its data: "GRE", "UDP", "ESP", "ESP in UDP"; "" if there is none yet */
	struct address inside_address, outside_address, remote_address;
	bool inside_is_server;
	uint16_t inside_port, remote_port; /* of its control connection; 0: not known, or there is none any more */
	bool has_inside_id, has_remote_id;
	uint32_t inside_id, outside_id, remote_id; /* Call ID, Tunnel ID, SPI: the one that its owner has chosen */
	enum tunnel_state state;
	const char *inside_name, *remote_name;   /* host name or software, printable; NULL: not known */
	bool is_shared;                          /* it uses an outside port that other hosts use as well */
	uint8_t ike_version;                     /* 1 or 2; 0: no IKE was seen */
	bool natt_inside, natt_remote;           /* who offered NAT traversal */
	uint32_t sessions;                       /* of L2TP: that were connected in this tunnel so far */
	uint32_t inside_session, remote_session; /* their last Session IDs; 0: none was seen */
	enum pairing pairing;                    /* of the last SPI that was bound */
	enum tunnel_hint hint;
	enum tunnel_end end;   /* END_NOT while it lives */
	uint32_t age_ms;       /* since it was requested */
	uint64_t bytes[SIDES]; /* received from that side */
	uint32_t packets[SIDES];
	uint32_t last_ms[SIDES]; /* since the last packet from that side; counts only if there were packets */
	/* since the last control message from the remote end, if they are not counted in packets */
	bool control_heard;
	uint32_t control_ms;
	struct refusal refusal; /* that HINT_REFUSED, HINT_UNREACHABLE or HINT_PROHIBITED is about */
	int silent;             /* enum side that has been silent for 10 s while the other one sends, or -1 */
};

/* Iterates over the flows: start with *cursor 0. Returns false at the end. Flows may come and go in between. */
bool engine_next_flow(const struct engine *engine, uint32_t *cursor, uint64_t now_ms, struct flow_view *view);
/* The same, but reads at most *budget records and subtracts them; also returns false when *budget is used up. */
bool engine_next_flow_within(const struct engine *engine, uint32_t *cursor, uint32_t *budget, uint64_t now_ms,
			     struct flow_view *view);

/* A packet that was dropped. Ports, and the SPI, Call ID, GRE key or ICMP type << 8 | code, are 0 where there are none.
 */
struct drop_view {
	uint64_t number; /* 1 for the first one since this process took over */
	uint64_t age_ms;
	enum side from;
	enum drop reason;
	uint8_t protocol;
	struct address source, destination;
	uint32_t identifier;
	uint16_t source_port, destination_port, length;
	/* the mapping whose outside port it was sent to: its inside endpoint */
	bool has_mapping;
	struct address mapping_address;
	uint16_t mapping_port;
};

/* Iterates over the last packets that were dropped, at most 4096, the latest first: start with *cursor 0; false at the
 * end. Held packets whose time ran out, and those that the data path dropped, are only counted. */
bool engine_next_drop(const struct engine *engine, uint64_t *cursor, uint64_t now_ms, struct drop_view *view);

/* An inside host that has as many flows as it may have, or nearly: it gets one now and then when another one ends. */
struct full_host {
	struct address address;
	uint32_t flows, inbound; /* inbound: of them, opened by remote ends, which may have half */
	bool is_full;            /* false: only the half is used up */
};

/* Iterates over them: start with *cursor 0; false at the end. Looks at every host there is. */
bool engine_next_full_host(const struct engine *engine, uint32_t *cursor, struct full_host *host);

/* Iterates over the outside addresses in their order: start with *cursor 0; false at the end. */
bool engine_next_outside(const struct engine *engine, uint32_t *cursor, struct outside_view *view);

/* Iterates over the tunnels of all modules, those that ended lately as well: start with *cursor 0; false at the end. */
bool engine_next_tunnel(struct engine *engine, uint64_t *cursor, uint64_t now_ms, struct tunnel_view *view);
/* Iterates over what inside hosts tried without success in the last minute and no module has a record of: VPNs that a
 * mode blocks, AH, PPTP that the server refuses. Start with *cursor 0; false at the end. index is UINT32_MAX, packets
 * from the LAN are those of the last minute. */
bool engine_next_attempt(struct engine *engine, uint32_t *cursor, uint64_t now_ms, struct tunnel_view *view);

const char *tunnel_end_text(enum tunnel_end end);
const char *tunnel_hint_name(enum tunnel_hint hint);
const char *tunnel_hint_text(enum tunnel_hint hint);
const char *tunnel_state_name(enum tunnel_state state);
const char *pairing_name(enum pairing pairing);

#endif
