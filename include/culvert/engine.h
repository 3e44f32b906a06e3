/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine: IPv4 NAPT (RFC 3022, with RFC 4787, 5382, 5508, 7857) as a pure function of packets, time and a seed.
 *
 * It makes no system call, allocates nothing per packet, keeps no mutable global and knows no clock. Packets come
 * in by engine_process(), leave through the sink, and every packet gets exactly one verdict. One engine belongs to
 * one thread; nothing is shared between engines. Addresses, ports and identifiers are in host byte order here;
 * times are milliseconds of any monotonic clock.
 *
 * Time to live: the kernel's forwarding between the LAN and the TUN counts the one hop that culvert is, in both
 * directions, so the engine itself never lowers it. It answers packets from the WAN whose time to live
 * would run out on that hop (time exceeded, from the outside address), because the kernel's answer would quote inside
 * addresses.
 */
#ifndef CULVERT_ENGINE_H
#define CULVERT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <culvert/packet.h>

enum side { SIDE_LAN = 0, SIDE_WAN, SIDES };

/* Why a packet was dropped; 0 is "it was not". The list is drops.def. */
enum drop {
	DROP_NONE = 0,
#define DROP(name, text, meaning, advice) DROP_##name,
#include <culvert/drops.def>
#undef DROP
	DROPS,
};

enum statistic {
#define STAT(name, text, meaning) STAT_##name,
#include <culvert/stats.def>
#undef STAT
	STATS,
};

enum timeout {
#define TIMEOUT(name, key, floor, initial, meaning) TIMEOUT_##name,
#include <culvert/timeouts.def>
#undef TIMEOUT
	TIMEOUTS,
};

enum service {
#define SERVICE(name, section) SERVICE_##name,
#include <culvert/services.def>
#undef SERVICE
	SERVICES,
	SERVICE_NONE = SERVICES,
};

/* The parts of services that have modes of their own. */
enum part {
#define PART(name, service) PART_##name,
#include <culvert/services.def>
#undef PART
	PARTS,
	PART_NONE = PARTS,
};

/* pass: with the protocol's module; plain: translated like any other traffic; block: refused with a reason. */
enum service_mode { MODE_PASS = 0, MODE_PLAIN, MODE_BLOCK };

/* RFC 4787 sections 4.1 and 5, RFC 5382 section 4; used for mapping and for filtering. */
enum dependence { ENDPOINT_INDEPENDENT = 0, ADDRESS_DEPENDENT, ADDRESS_AND_PORT_DEPENDENT };

enum verdict {
	VERDICT_FORWARDED = 0, /* it left through the sink, perhaps as several fragments */
	VERDICT_CONSUMED,      /* it is the host's own, or was answered here */
	VERDICT_HELD,          /* a fragment that waits for its first one; forwarded or dropped later */
	VERDICT_DROPPED,       /* for the reason beside it */
};

struct engine_result {
	uint8_t verdict; /* enum verdict */
	uint8_t drop;    /* enum drop; DROP_NONE unless dropped */
};

/* Sizes fixed for the life of an engine. */
struct engine_limits {
	uint32_t flows;     /* at most 2^22 */
	uint32_t hosts;     /* inside hosts, at most 65536 */
	uint32_t addresses; /* outside addresses, at most 64 */
	uint32_t fragments; /* blocks of 2 KiB for fragments that wait; datagrams tracked are a quarter of it */
	uint32_t tunnels; /* VPN control connections that modules read, at most 32768; calls are twice that. 0: none */
};

struct prefix {
	uint32_t address;
	uint8_t length; /* 0 to 32 */
};

static inline bool prefix_has(const struct prefix *prefix, uint32_t address)
{
	return prefix->length == 0 || ((prefix->address ^ address) >> (32 - prefix->length)) == 0;
}

/* From any outside address, protocol and port to one inside host. Ports map one to one from port_first..port_last to
 * to_port upward. Protocols without ports have all three 0. */
struct forward {
	uint8_t protocol;
	uint16_t port_first, port_last;
	uint32_t to_address;
	uint16_t to_port;
};

enum { FORWARDS_MAX = 256, PREFIXES_MAX = 64 };

/* A set of ports, one bit each. */
struct port_set {
	uint64_t bits[65536 / 64];
};

static inline bool port_set_has(const struct port_set *set, uint16_t port)
{
	return (set->bits[port / 64] >> (port % 64)) & 1;
}

static inline void port_set_add(struct port_set *set, uint16_t port)
{
	set->bits[port / 64] |= UINT64_C(1) << (port % 64);
}

static inline void port_set_remove(struct port_set *set, uint16_t port)
{
	set->bits[port / 64] &= ~(UINT64_C(1) << (port % 64));
}

/* A connection of a socket of the router itself, at one of the outside addresses. */
struct host_connection {
	uint32_t local, remote;
	uint16_t local_port, remote_port;
	uint32_t protocol; /* TCP or UDP */
};

enum { HOST_CONNECTIONS_MAX = 128 };

/* Everything that a reload may change. Copied by the engine. */
struct engine_config {
	enum dependence mapping, filtering;
	bool hairpinning;
	bool refresh_inbound; /* inbound packets refresh too (RFC 4787 REQ-6) */
	bool clamp_mss;       /* to what fits both links */
	bool esp_fanout;      /* ESP that may be meant for several inside hosts goes to all of them */
	enum service_mode mode[PARTS];
	uint32_t timeout[TIMEOUTS];         /* milliseconds */
	uint32_t host_flows;                /* flows one inside host may have */
	struct port_set host_tcp, host_udp; /* the router's own ports on the outside addresses: no mapping gets them */
	struct port_set open_tcp, open_udp; /* those of them that the WAN may reach */
	struct host_connection kept[HOST_CONNECTIONS_MAX]; /* go on, though their ports are not open */
	uint32_t kepts;
	uint32_t icmp_rate; /* ICMP errors made a second, each side; 0 makes none */
	struct forward forward[FORWARDS_MAX];
	uint32_t forwards;
	struct prefix bypass[PREFIXES_MAX]; /* destinations that are not translated (RFC 6888 REQ-6) */
	uint32_t bypasses;
	/* facts of the links, not of the file */
	struct prefix inside[PREFIXES_MAX]; /* the LAN's own prefixes; sources of these never come from the WAN */
	uint32_t insides;
	uint32_t lan_address; /* the router on the LAN; source of ICMP errors made for inside hosts */
	uint32_t hop_address; /* the TUN's address; the kernel's own ICMP errors come from it */
	uint32_t lan_mtu;     /* 68 to 65535; the nearest of these counts */
	uint32_t wan_mtu;
};

/* What leaves, and which packet that was received it stands for: that one is counted as forwarded, and whoever cannot
 * send what leaves says so by engine_count_drop(). */
enum origin {
	ORIGIN_BATCH = 0, /* a packet of the caller's own array, changed in place */
	ORIGIN_COPY,  /* one that was held or kept, one of a merged packet, or the first piece of one that was cut */
	ORIGIN_PIECE, /* a further piece of what was emitted last: it counts once for all its pieces */
	ORIGIN_OWN,   /* none: made here, like ICMP errors */
};

/* Where packets leave. from is the side on which the packet was received that this one stands for. The packet and its
 * memory are valid only during the call, except for ORIGIN_BATCH: they stay valid as long as the caller keeps them. */
struct engine_sink {
	void (*emit)(void *context, enum side from, enum side to, struct packet *packet, enum origin origin);
	void *context;
};

/* Counters; for each side received = forwarded + consumed + held + dropped[1..], where held is what waits right now. */
struct engine_counters {
	uint64_t received[SIDES], forwarded[SIDES], consumed[SIDES], held[SIDES];
	uint64_t dropped[SIDES][DROPS];
	uint64_t bytes[SIDES]; /* IPv4 bytes received */
	uint64_t stat[STATS];
	/* gauges */
	uint32_t flows, mappings, hosts;
	uint64_t arena_bytes;
};

/* One flow as people see it. Portless protocols have ports 0; ICMP has its identifier in inside_port and outside_port.
 */
struct flow_view {
	uint32_t index; /* of its record: no other flow has it while this one lives */
	uint8_t protocol;
	uint8_t tcp_state;     /* enum tcp_state of nat/tcp.h; 0 for others */
	bool hairpin;          /* the remote end is another inside host behind our outside address */
	bool inside_is_server; /* opened by a forward */
	uint32_t inside_address, outside_address, remote_address;
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
enum { ADDRESSES_MAX = 64, OUTSIDE_PORTS = 65536 - 1024, OUTSIDE_IDENTIFIERS = 65536 };
struct outside_view {
	uint32_t address, hosts;
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
	uint32_t by; /* 0: nobody has refused anything */
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
	uint32_t inside_address, outside_address, remote_address;
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

enum engine_event_kind {
	EVENT_TUNNEL_UP,
	EVENT_TUNNEL_DOWN,
	EVENT_NOT_UNDERSTOOD, /* a control connection is no longer read and passes as it is */
	EVENT_TUNNEL_HINT,    /* it is now known what may be wrong */
};

/* Called for each event; view is valid only during the call. */
typedef void engine_event(void *context, enum engine_event_kind kind, const struct tunnel_view *view);

struct engine;
struct rehearsal;

/* Fills in sensible values for everything except the facts about links; MTUs are 1500. */
void engine_config_default(struct engine_config *config);

/* Returns the bytes of arena that these limits need, or 0 if a limit is out of range. */
size_t engine_arena_size(const struct engine_limits *limits);

/*
 * Makes an engine whose state is in arena (size bytes, aligned to 64, kept by the caller until after engine_free();
 * large pages help). seed is 32 bytes from the system's random source: equal seeds and inputs give equal outputs. With
 * recover true the engine takes over the arena of an engine that died: it checks records, rebuilds indices, and throws
 * inconsistent flows away. Returns NULL if memory ran out, the arena is too small or (recover) it does not fit: it is
 * of another version, has other limits or was never used.
 */
struct engine *engine_new(void *arena, size_t size, const struct engine_limits *limits,
			  const struct engine_config *config, const uint8_t seed[32], bool recover, uint64_t now_ms);
void engine_free(struct engine *engine); /* the arena stays as it is */

/* Sets another configuration. A flow stays unless its service is now blocked, its forward is gone or has changed, or
 * its outside port now belongs to the router. Returns the number of flows that ended, which are those that a rehearsal
 * names. The time depends on the number of flows of VPNs and of flows that end, not on the number of others. */
uint32_t engine_configure(struct engine *engine, const struct engine_config *config, uint64_t now_ms);

/* Why another configuration ends a flow. */
enum flow_end {
	FLOW_STAYS = 0,
	FLOW_END_BLOCKED,   /* its service */
	FLOW_END_MODE,      /* a module finds it by what it reads, and the module is switched off or on */
	FLOW_END_FORWARD,   /* is gone, or leads elsewhere */
	FLOW_END_HOST_PORT, /* its outside port belongs to the router itself */
};
const char *flow_end_text(enum flow_end end);

/* Finds out what a configuration would end. The memory, rehearsal_size() bytes as malloc() gives them, stays the
 * caller's; the engine must outlive the rehearsal. */
size_t rehearsal_size(void);
struct rehearsal *rehearsal_start(void *memory, const struct engine *engine, const struct engine_config *config);
/* Iterates over the flows that engine_configure() would end, as engine_next_flow_within() does. */
bool rehearsal_next(const struct rehearsal *rehearsal, uint32_t *cursor, uint32_t *budget, uint64_t now_ms,
		    struct flow_view *view, enum flow_end *why);
/* Returns true if there would be a forward of this protocol and outside port (0 for protocols without ports) to this
 * inside host. */
bool rehearsal_leads_to(const struct rehearsal *rehearsal, uint8_t protocol, uint16_t port, uint32_t inside_address);

/* Sets the outside addresses, in order of preference. Flows of addresses that are gone end, and waiting fragments are
 * dropped; if the list has not changed, nothing happens. count 0 is allowed: then nothing is forwarded to the WAN.
 * Returns the number of flows that ended. */
uint32_t engine_set_outside(struct engine *engine, const uint32_t *addresses, uint32_t count, uint64_t now_ms);

/*
 * Processes count packets that came from one side, in order. results, if not NULL, gets count verdicts. Packets are
 * changed in place and leave through the sink before the call returns; they are never reordered within a flow.
 */
void engine_process(struct engine *engine, enum side from, struct packet *packets, uint32_t count, uint64_t now_ms,
		    const struct engine_sink *sink, struct engine_result *results);

/* Returns the time at which engine_expire() must be called next, or UINT64_MAX. */
uint64_t engine_deadline(const struct engine *engine);
/* Does a bounded piece of expiry work: it drops held fragments whose time is over, and packets that may be sent now
 * leave through the sink. Without a sink they go on waiting. */
void engine_expire(struct engine *engine, uint64_t now_ms, const struct engine_sink *sink);

const struct engine_counters *engine_counters(const struct engine *engine);
/* What a packet that was received from a side is counted as, while the data path has it. */
enum counted {
	COUNTED_NOT,       /* the engine has not seen it */
	COUNTED_FORWARDED, /* it left through the sink */
	COUNTED_HELD,      /* it waits for its link, see engine_count_wait() */
};
/* A packet from that side did not leave, and is dropped for this reason. */
void engine_count_drop(struct engine *engine, enum side from, enum drop reason, enum counted before);
/* A packet from that side, which left through the sink, waits for its link now; or (is_over) it has left. */
void engine_count_wait(struct engine *engine, enum side from, bool is_over);

/*
 * A packet that left through the sink to the WAN did not get farther: an inside host that sent it is told by an ICMP
 * error with this code (RFC 1812 section 5.2.7.1), unless there must be none about this packet or there were enough.
 * packet needs only its first ICMP_QUOTE_MAX bytes. Not to be called from within the sink.
 */
enum unreachable { UNREACHABLE_NET = 0, UNREACHABLE_HOST = 1 };
enum { ICMP_QUOTE_MAX = 548 }; /* RFC 1812 section 4.3.2.3 allows 576 in all */
void engine_undeliverable(struct engine *engine, const struct packet *packet, enum unreachable code, uint64_t now_ms,
			  const struct engine_sink *sink);

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
	uint32_t source, destination, identifier;
	uint16_t source_port, destination_port, length;
	/* the mapping whose outside port it was sent to: its inside endpoint */
	bool has_mapping;
	uint32_t mapping_address;
	uint16_t mapping_port;
};

/* Iterates over the last packets that were dropped, at most 4096, the latest first: start with *cursor 0; false at the
 * end. Held packets whose time ran out, and those that the data path dropped, are only counted. */
bool engine_next_drop(const struct engine *engine, uint64_t *cursor, uint64_t now_ms, struct drop_view *view);
/* Ends the flow with this index. Returns false if there is none. */
bool engine_forget_flow(struct engine *engine, uint32_t index, uint64_t now_ms);

/* An inside host that has as many flows as it may have, or nearly: it gets one now and then when another one ends. */
struct full_host {
	uint32_t address, flows, inbound; /* inbound: of them, opened by remote ends, which may have half */
	bool is_full;                     /* false: only the half is used up */
};

/* Iterates over them: start with *cursor 0; false at the end. Looks at every host there is. */
bool engine_next_full_host(const struct engine *engine, uint32_t *cursor, struct full_host *host);

/* Iterates over the outside addresses in their order: start with *cursor 0; false at the end. */
bool engine_next_outside(const struct engine *engine, uint32_t *cursor, struct outside_view *view);

/* Returns how many TCP or UDP ports from 1024 up mappings may have of each outside address. Ports of the router itself
 * and of forwards do not count. */
uint32_t engine_port_limit(const struct engine *engine, uint8_t protocol);

/* Sets the function that is called for events; NULL: none. */
void engine_on_event(struct engine *engine, engine_event *event, void *context);
/* Iterates over the tunnels of all modules, those that ended lately as well: start with *cursor 0; false at the end. */
bool engine_next_tunnel(struct engine *engine, uint64_t *cursor, uint64_t now_ms, struct tunnel_view *view);
/* Iterates over what inside hosts tried without success in the last minute and no module has a record of: VPNs that a
 * mode blocks, AH, PPTP that the server refuses. Start with *cursor 0; false at the end. index is UINT32_MAX, packets
 * from the LAN are those of the last minute. */
bool engine_next_attempt(struct engine *engine, uint32_t *cursor, uint64_t now_ms, struct tunnel_view *view);
/* Looks at no more than budget tunnels, from *cursor on (0 at first; after the last one it begins anew), and reports
 * each hint that was not yet reported for its tunnel. */
void engine_tell_hints(struct engine *engine, uint64_t *cursor, uint32_t budget, uint64_t now_ms);
/* Returns true for an address (host byte order) of a private network or of a provider's NAT (RFC 1918, RFC 6598). */
bool address_is_private(uint32_t address);

/* Checks every table against every other one. Returns NULL if all is well, else what is wrong. For tests: it is slow.
 */
const char *engine_check(const struct engine *engine);

const char *drop_name(enum drop reason);
const char *drop_meaning(enum drop reason);
const char *drop_advice(enum drop reason);
const char *tunnel_end_text(enum tunnel_end end);
const char *tunnel_hint_name(enum tunnel_hint hint);
const char *tunnel_hint_text(enum tunnel_hint hint);
const char *tunnel_state_name(enum tunnel_state state);
const char *pairing_name(enum pairing pairing);
const char *stat_name(enum statistic stat);
const char *stat_meaning(enum statistic stat);

#endif
