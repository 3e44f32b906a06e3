/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of one engine: plain records in one arena, and the handle that finds them.
 *
 * The arena holds everything that outlives the process: fixed-size records linked by index, tables of indices, and a
 * header with version, sizes and keys. The handle holds pointers into the arena, the configuration and scratch memory,
 * and is made anew for every process. A record is valid only while its LIVE flag is set; the flag is set last and
 * cleared first, so that a process that dies in between leaves no half-written record that looks whole.
 */
#ifndef CULVERT_NAT_STATE_H
#define CULVERT_NAT_STATE_H

#include <culvert/engine.h>
#include <culvert/views.h>

#include "base/siphash.h"
#include "base/table.h"
#include "wire/ip.h"
#include "wire/transport.h"

enum {
	BATCH_MAX = 64,
	IDENT_BITS = 11,
	IDENTS = 1 << IDENT_BITS, /* counters of IP identifications, by destination */
	SET_RANGES = 64,          /* disjoint ranges a set of fragments may have */
	SET_HELD_MAX = 64,
	BLOCK_SIZE = 2048,
	MTU_FLOOR = 68, /* every link carries that much unfragmented (RFC 791 section 3.2) */
	MAX_FLOWS = 1 << 22,
	MAX_HOSTS = 65536,
	MAX_FRAGMENTS = 16384,
	MAX_TUNNELS = 32768,
	READY_MAX = 8,
	DROPS_KEPT = 4096,
	ATTEMPT_SETS = 64,
	ATTEMPT_WAYS = 4,
	ATTEMPT_TENS = 6, /* a minute */
	SAS_EACH = 4,     /* SAs there may be, for each of limits.tunnels */
};
#define NONE TABLE_NONE

/* The port spaces: TCP, UDP and ICMP identifiers are independent (RFC 7857 section 5). */
enum port_space { SPACE_TCP, SPACE_UDP, SPACE_ICMP, SPACES };

enum flow_flag {
	FLOW_LIVE = 1,
	FLOW_FORWARD = 2,   /* opened by a static forward */
	FLOW_HAIRPIN = 4,   /* the remote end is one of our outside addresses */
	FLOW_CALL = 8,      /* of enhanced GRE: known by Call IDs, see struct flow_key */
	FLOW_ANSWERED = 16, /* a call whose remote Call ID is known */
	FLOW_ENHANCED = 32, /* opened by enhanced GRE while that was like any other traffic */
	FLOW_INBOUND = 64,  /* opened by the remote end: such flows get half of everything */
	FLOW_SA = 128,      /* ESP known by its SPIs, see struct flow_key */
	FLOW_BY_ID = FLOW_CALL | FLOW_SA,
};

/* A session: what the fast path needs is all here. */
struct flow {
	uint32_t host; /* index; it has the inside address */
	struct address outside_address, remote_address;
	uint16_t inside_port, outside_port, remote_port;
	uint8_t protocol;
	uint8_t flags;     /* enum flow_flag */
	uint32_t mapping;  /* index; NONE for protocols without ports; next free record if not live */
	uint32_t deadline; /* low 32 bits of milliseconds */
	union {
		struct {
			uint32_t peer_next, peer_previous; /* ring of the flows with equal mapping and remote address */
		};
		uint32_t spi[SIDES]; /* of an SA: in the packets from that side; 0: not known */
	};
	uint32_t packets[SIDES];
	uint8_t timeout;       /* enum timeout */
	uint8_t tcp_state : 4; /* enum tcp_state */
	uint8_t phase : 4;     /* enum flow_phase of life.h */
	uint16_t control;      /* state of the module that reads this flow; 0: none */
	uint64_t bytes[SIDES];
};
_Static_assert(sizeof(struct flow) == 64, "a flow is one cache line");

/* The ring of all flows of one mapping, and when this one was opened; apart from the flow because no packet of it needs
 * them. */
struct sibling {
	uint32_t next, previous;
	uint32_t opened; /* low 32 bits of tenths of a second: 13 years */
};

/* One end of a TCP connection, as far as its segments told. */
struct tcp_end {
	uint32_t next;   /* end of the highest sequence sent */
	uint32_t acked;  /* highest acknowledgement sent: what this end expects next */
	uint16_t window; /* as last advertised, unscaled */
	uint8_t scale;
	uint8_t flags; /* enum tcp_end_flag of tcp.h */
};

struct tcp_track {
	struct tcp_end end[SIDES];
};

struct mapping {
	uint32_t host;                                  /* index; that of its flows */
	struct address outside_address, remote_address; /* remote: none unless the mapping depends on it */
	uint16_t inside_port, outside_port, remote_port;
	uint8_t protocol;
	uint8_t live;
	uint32_t first; /* one of its flows; next free record if not live */
};
_Static_assert(sizeof(struct mapping) == 24, "a mapping is a fixed record");

/* An inside host lives as long as a flow names it, or somebody who opens one holds it. */
struct host {
	struct address address;
	uint8_t inside; /* index of its network in the configuration, see host_inside() */
	uint8_t live;
	uint8_t held;
};
_Static_assert(sizeof(struct host) == 8, "each packet needs it, so there are eight in a cache line");

/* What a host uses; apart from it because no packet of a known flow needs this. */
struct host_use {
	struct address outside_address;
	uint32_t flows;    /* next free record if not live */
	uint32_t inbound;  /* of them, opened by remote ends */
	uint16_t controls; /* control connections that modules read for it */
};

/* What is remembered beside a call or an SA in the place of TCP's state. */
struct call_track {
	uint32_t last_ms[SIDES]; /* of the last packet from that side, low 32 bits; valid if packets[] is not 0 */
	uint32_t record;         /* of the module */
	union {
		uint32_t drain_ms; /* a call that has ended: until when late packets pass */
		uint32_t sequence; /* an SA: the highest one from the WAN */
	};
	uint8_t ended;   /* a call */
	uint8_t watched; /* an SA: its module wants to know of each packet */
	uint8_t has_sequence;
};

/* Beside a UDP flow. */
struct udp_track {
	uint16_t shared_port; /* outside port it sends from in the place of its mapping's; 0: none */
	uint8_t service;      /* enum service, if it is read or may be */
};

union flow_track {
	struct tcp_track tcp;
	struct call_track call;
	struct udp_track udp;
};
_Static_assert(sizeof(union flow_track) == 24, "beside each flow");

/* What an outside port is used for: 0 free, a mapping's index + 1, or resting. */
enum {
	PORT_RESTING = 1u << 31, /* then 8 bits that remember who had it, and 23 bits of seconds until it is free */
};

struct outside {
	struct address address; /* none: unused */
	uint32_t hosts;
	uint32_t taken[SPACES];        /* ports that mappings have; those that rest are not counted */
	uint64_t exhausted[SPACES][2]; /* until when (ms) a search in this class need not be tried again */
	uint32_t port[SPACES][65536];
};

enum set_state { SET_FREE = 0, SET_WAITING, SET_TRANSLATED, SET_CONSUMED, SET_REFUSED };

/* The fragments of one datagram. */
struct fragment_set {
	struct address source, destination;
	uint16_t identification;
	uint8_t protocol, side, state;
	uint8_t drop; /* of later fragments, if refused */
	uint8_t to;   /* enum side, once translated */
	uint8_t ranges;
	uint8_t held_count;
	bool complete_known; /* the last fragment has been seen */
	uint16_t new_identification;
	struct address new_source, new_destination;
	uint32_t deadline;
	uint32_t held; /* first block of the first held fragment, or NONE; in order of offset */
	uint32_t next; /* in its hash chain, or the free list */
	uint32_t end;  /* bytes of the whole payload, if complete_known */
	struct {
		uint16_t from, to; /* bytes; to is exclusive */
	} range[SET_RANGES];
};

struct block {
	uint32_t next;          /* block of the same fragment, or the free list */
	uint32_t next_held;     /* first block of the next held fragment */
	uint32_t length;        /* of the whole fragment, in its first block */
	uint32_t offset;        /* of the fragment in its datagram */
	uint8_t side;           /* of a packet that a module keeps: where it came from */
	struct offload offload; /* of a packet that a module keeps */
	uint8_t data[BLOCK_SIZE];
};

/* A datagram all of which has gone on: for a moment its fragments are known if the network delivers them again. */
struct finished_set {
	uint32_t tag; /* of its key; a copy of another datagram is taken for one of this with chance 2^-32 */
	uint32_t until;
};

enum { SET_CHAINS = 1024, FINISHED_SETS = 1024, WORD_BITS = 64, TENTH_MS = 100 };

struct arena_header {
	uint64_t magic;
	uint32_t version, layout;
	struct engine_limits limits;
	struct siphash_key hash_key, random_key;
	uint64_t random_counter;
	uint32_t flow_free, flow_used; /* used: records ever used, the rest is untouched memory */
	uint32_t mapping_free, mapping_used;
	uint32_t host_free, host_used;
	uint32_t set_free, block_free;
	uint32_t sets_used, resting;
	uint32_t inbound;     /* flows opened by remote ends */
	uint32_t kept[SIDES]; /* packets that modules keep */
	uint32_t outside_count;
	uint8_t outside_order[ADDRESSES_MAX]; /* records of struct outside in order of preference */
	uint32_t sweep_flow, sweep_port;
	uint64_t sweep_at;
	uint32_t set_chain[SET_CHAINS];
	struct finished_set finished_set[FINISHED_SETS]; /* by the hash of their keys, the latest wins */
	uint16_t ident[IDENTS];
	struct engine_counters counters;
};

/* A packet that was dropped. */
struct drop_record {
	uint64_t at_ms;
	struct address source, destination;
	uint32_t identifier;
	uint16_t source_port, destination_port, length;
	uint8_t protocol, from, reason;
};

enum attempt_kind {
	ATTEMPT_BLOCKED, /* by a mode */
	ATTEMPT_AH,
	ATTEMPT_REFUSED,    /* by the remote end, or on the way there */
	ATTEMPT_UNANSWERED, /* a control connection that does not open */
};

/* What an inside host has tried in vain, see attempts.h. */
struct attempt {
	uint64_t since_ms, last_ms; /* of the first and the last one, without a pause of a minute in between */
	struct address inside, outside, remote;
	struct refusal refusal;
	uint32_t ten;                 /* the ten seconds of last_ms, counted from 0 on */
	uint16_t tries[ATTEMPT_TENS]; /* in each of the last ten seconds, at their number modulo ATTEMPT_TENS */
	uint8_t kind;                 /* enum attempt_kind */
	uint8_t service, part;
	bool live, told;
};

struct icmp_budget {
	uint64_t refilled_ms;
	uint32_t thousandths;
};

struct engine_offer;

/* Those who must know of the life of a flow; NULL for what nobody must know. See life.h. */
typedef void flow_event(struct engine *engine, uint32_t index);
struct flow_events {
	flow_event *offered;   /* it is steady: from now on its packets can be rewritten by what the flow says */
	flow_event *changed;   /* it is steady and says something else now */
	flow_event *withdrawn; /* it is not steady any more */
	flow_event *ended;     /* it ends, and is still whole; it has been withdrawn before */
};

enum { EXPIRED_MAX = 64 };

struct engine {
	const struct engine_offer *offer; /* first, see <culvert/module.h> */
	struct arena_header *header;
	void *module[SERVICES];           /* each module's records */
	struct engine_counters *counters; /* in the header */
	struct table flow_out, flow_in, peer, mapping_table, host_table;
	struct flow *flow;
	union flow_track *track; /* beside each flow */
	struct sibling *sibling; /* beside each flow */
	uint64_t *special;       /* a bit for each flow, see flow.h */
	struct mapping *mapping;
	struct host *host;
	struct host_use *host_use; /* beside each host */
	struct outside *outside;
	struct fragment_set *set;
	struct block *block;
	struct engine_config config;
	struct port_set forwarded[2]; /* TCP, UDP: ports of static forwards, which mappings leave alone */
	uint32_t usable_ports[2];     /* TCP, UDP: those from 1024 up that mappings may have */
	bool any_blocked;             /* some service is in mode block */
	bool is_suspended;            /* the outside addresses are away */
	bool tells_calls;             /* calls of enhanced GRE are told apart by their Call IDs */
	bool tells_sas;               /* ESP is told apart by its SPIs */
	bool is_blocking;             /* the flow that is being closed has been blocked by a mode */
	bool follows_config;          /* no flow is left that config would end */
	bool follows_outside;         /* the same for the outside addresses */
	struct icmp_budget budget[SIDES];
	uint64_t now_ms;
	/* states of modules whose kept packets may have got their turn by the packet under way */
	struct {
		enum service service;
		uint16_t control;
		enum side side;
	} ready[READY_MAX];
	uint32_t readies;
	uint32_t waiting[SIDES]; /* packets that the data path has and that are counted as held */
	uint64_t wake_ms;        /* when a module wants to be woken, or UINT64_MAX */
	engine_event *event;
	void *event_context;
	struct drop_record drop[DROPS_KEPT]; /* the last ones, a ring */
	uint64_t drops;                      /* how many there were since this process took over */
	struct attempt attempt[ATTEMPT_SETS][ATTEMPT_WAYS];
	uint64_t demand_at; /* when the next sweep on demand may be */
	const struct flow_events *events;
	uint32_t expired[EXPIRED_MAX];          /* flows that lookups have met, a ring */
	uint32_t expireds;                      /* of them, the last EXPIRED_MAX are there */
	const struct engine_sink *sink;         /* of the call that is under way */
	uint8_t scratch[PACKET_LENGTH_MAX + 1]; /* a packet made here */
	uint8_t joined[PACKET_LENGTH_MAX + 1];  /* a held fragment of several blocks */
	uint8_t parted[PACKET_LENGTH_MAX + 1];  /* one datagram of a packet that holds several */
};

/*
 * What a flow is known by; local is the inside or the outside endpoint. Most flows are known by both ports. The packets
 * of a call or of ESP carry one identifier only, which their receiver chose, so that such a flow is known by
 * either of two, as far as they have become known.
 */
enum key_by {
	BY_PORTS = 0,
	BY_LOCAL_ID,  /* of our end: a Call ID in local_port, or an SPI */
	BY_REMOTE_ID, /* of the remote end: a Call ID in remote_port, or an SPI */
};

struct flow_key {
	struct address local, remote;
	uint16_t local_port, remote_port;
	uint8_t protocol;
	uint8_t by; /* enum key_by */
};

/* One packet on its way through the engine. */
struct passage {
	struct packet *packet;
	struct network_header ip;
	struct transport transport;
	struct flow_key key; /* of the flow it would belong to, seen from its side; for whole packets without a fault */
	uint64_t hash;       /* of the key, in flow_out or flow_in */
	enum side from;
	enum drop fault;          /* of parsing */
	struct fragment_set *set; /* of a first fragment, until its fate is known */
	enum origin origin;       /* ORIGIN_BATCH, or ORIGIN_COPY if its bytes are the engine's own */
	bool is_read;             /* the transport header was looked at, so that transport and fault say something */
	bool is_kept;             /* a module kept it, and it comes for the second time */
	bool is_sa;               /* ESP that is told apart by SPI */
};

static inline bool is_expired(uint32_t deadline, uint64_t now_ms)
{
	return (int32_t)(deadline - (uint32_t)now_ms) <= 0;
}

static inline void count(struct engine *engine, enum statistic stat)
{
	engine->counters->stat[stat]++;
}

static inline int port_space(uint8_t protocol)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return SPACE_TCP;
	case PROTOCOL_UDP:
		return SPACE_UDP;
	case PROTOCOL_ICMP:
		return SPACE_ICMP;
	default:
		return -1;
	}
}

/* The router's own ports; TCP or UDP. */
static inline const struct port_set *host_ports(const struct engine *engine, enum port_space space)
{
	return space == SPACE_TCP ? &engine->config.host_tcp : &engine->config.host_udp;
}

static inline bool port_is_of_host(const struct engine *engine, uint8_t protocol, uint16_t port)
{
	int space = port_space(protocol);

	return (space == SPACE_TCP || space == SPACE_UDP) &&
	       port_set_has(host_ports(engine, (enum port_space)space), port);
}

/* The outside address record, or NULL if the address is not ours. */
static inline struct outside *outside_find(const struct engine *engine, struct address address)
{
	for (uint32_t i = 0; i < engine->header->outside_count; i++) {
		struct outside *outside = &engine->outside[engine->header->outside_order[i]];
		if (address_equal(outside->address, address))
			return outside;
	}
	return NULL;
}

/* The inside address of a flow's or a mapping's host. */
static inline struct address host_address(const struct engine *engine, uint32_t host)
{
	return engine->host[host].address;
}

/* The first entry of the configuration whose prefix has the address, or NULL if it is not inside. */
static inline const struct inside *inside_find(const struct engine *engine, struct address address)
{
	for (uint32_t i = 0; i < engine->config.insides; i++)
		if (prefix_has(&engine->config.inside[i].prefix, address))
			return &engine->config.inside[i];
	return NULL;
}

static inline uint64_t random_next(struct engine *engine)
{
	return siphash(&engine->header->random_key, engine->header->random_counter++, 0);
}

static inline uint32_t random_below(struct engine *engine, uint32_t bound)
{
	return (uint32_t)(((random_next(engine) >> 32) * bound) >> 32);
}

#endif
