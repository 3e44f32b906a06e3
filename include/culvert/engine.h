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
#include <culvert/types.h>

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

/* A network of the LAN, and the router's part in it. */
struct inside {
	struct prefix prefix;          /* sources of it never come from the WAN */
	struct address router_address; /* source of ICMP errors made for its hosts; none: none are made */
	uint32_t mtu;                  /* of the link to them, 68 to 65535; the nearest of these counts */
};

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
	struct inside inside[PREFIXES_MAX]; /* an inside host of none of them is treated like one of the first */
	uint32_t insides;
	struct address hop_address; /* the TUN's address; the kernel's own ICMP errors come from it */
	uint32_t wan_mtu;           /* as for struct inside */
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

struct tunnel_view; /* <culvert/views.h> */

enum engine_event_kind {
	EVENT_TUNNEL_UP,
	EVENT_TUNNEL_DOWN,
	EVENT_NOT_UNDERSTOOD, /* a control connection is no longer read and passes as it is */
	EVENT_TUNNEL_HINT,    /* it is now known what may be wrong */
};

/* Called for each event; view is valid only during the call. */
typedef void engine_event(void *context, enum engine_event_kind kind, const struct tunnel_view *view);

struct engine;

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

/* Sets the outside addresses, in order of preference. Flows of addresses that are gone end, and waiting fragments are
 * dropped; if the list has not changed, nothing happens. count 0 is allowed: then nothing is forwarded to the WAN.
 * Returns the number of flows that ended. */
uint32_t engine_set_outside(struct engine *engine, const struct address *addresses, uint32_t count, uint64_t now_ms);
/* The outside addresses are away, perhaps to come back: as without any, nothing is forwarded to the WAN or from it, but
 * no flow ends, until engine_set_outside(). */
void engine_suspend_outside(struct engine *engine);

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

/* Ends the flow with this index. Returns false if there is none. */
bool engine_forget_flow(struct engine *engine, uint32_t index, uint64_t now_ms);

/* Returns how many TCP or UDP ports from 1024 up mappings may have of each outside address. Ports of the router itself
 * and of forwards do not count. */
uint32_t engine_port_limit(const struct engine *engine, uint8_t protocol);

/* Sets the function that is called for events; NULL: none. */
void engine_on_event(struct engine *engine, engine_event *event, void *context);
/* Looks at no more than budget tunnels, from *cursor on (0 at first; after the last one it begins anew), and reports
 * each hint that was not yet reported for its tunnel. */
void engine_tell_hints(struct engine *engine, uint64_t *cursor, uint32_t budget, uint64_t now_ms);

#endif
