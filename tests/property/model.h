/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A naive model of the engine, written from docs/nat-behaviour.md alone.
 *
 * It keeps everything in short arrays and searches them from end to end. For each packet it says which verdicts are
 * legal and what must have come out, byte for byte. Where the document leaves the engine a choice (an outside
 * port, an IP identification, a TCP timer) the model takes the engine's choice and checks that it is a legal one.
 */
#ifndef CULVERT_TESTS_MODEL_H
#define CULVERT_TESTS_MODEL_H

#include "../unit/engine_check.h"
#include "../unit/packets.h"

enum {
	MODEL_SWEEP = 2000,   /* milliseconds within which engine_expire() finds what has expired */
	MODEL_FINISHED = 250, /* milliseconds for which fragments of a datagram that has gone on are copies */
	MODEL_FLOWS = 1024,
	MODEL_RESTS = 16384,
	MODEL_SETS = 1024,
	MODEL_PIECES = 70,
	MODEL_IDS = 256,
	MODEL_ADDRESSES = 64,
};

/* What is known of one TCP direction: enough to know whether a quoted sequence number is surely right or surely wrong.
 */
struct model_tcp {
	bool heard, syn, odd; /* odd: the sender jumped about, nothing is certain */
	uint32_t first, next;
	bool acked_known; /* by the other side */
	uint32_t acked;
};

struct model_mapping {
	bool live;
	uint8_t protocol;
	uint32_t inside, outside, remote; /* remote and remote_port only if the mapping depends on them */
	uint16_t inside_port, outside_port, remote_port;
	enum dependence dependence;
	bool by_forward;
	uint32_t flows;
	uint64_t last; /* when the last of its flows ended */
};

struct model_flow {
	bool live;
	uint8_t protocol;
	int mapping; /* index, -1 for portless protocols */
	uint32_t inside, outside, remote;
	uint16_t inside_port, outside_port, remote_port;
	bool by_forward;
	bool inward;       /* opened from outside: by a forward, or as the called end of a hairpin */
	bool from_outside; /* opened by the remote end, however */
	uint64_t deadline;
	bool loose; /* the document does not say whether the last packet refreshed it: the engine's deadline is taken */
	uint64_t touched; /* when a packet last passed; bounds the timers of TCP */
	uint64_t opened;
	struct model_tcp tcp[SIDES];
};

/* A freed port: it may not be given to others before surely, may again from perhaps on; in between the engine chooses.
 */
struct model_rest {
	uint8_t protocol;
	bool optional; /* the engine may rest it or not (TCP closed by both FINs) */
	uint32_t outside, inside;
	uint16_t outside_port, inside_port;
	uint64_t surely, perhaps;
};

struct model_host {
	bool live;
	uint32_t address, outside;
	bool uncertain; /* it came again before the engine had cleaned up: it may have kept another outside address */
	uint32_t flows;
};

enum set_state { SET_WAITING, SET_FORWARDED, SET_CONSUMED, SET_REFUSED, SET_POISONED };

struct model_piece {
	uint32_t from, to;
	struct test_packet *held; /* as it came; NULL once it went on */
};

/* The fragments of one datagram. */
struct model_set {
	bool live;
	enum side from;
	uint32_t source, destination;
	uint8_t protocol;
	uint16_t id;
	enum set_state state;
	uint64_t began, latest; /* when its first and its latest piece came */
	struct model_piece piece[MODEL_PIECES];
	uint32_t pieces, end; /* end: of the payload, 0 until the last piece has come */
	/* the translation, once the first fragment went on */
	enum side to;
	uint32_t new_source, new_destination;
	uint16_t new_id;
	bool inbound; /* it has an inside receiver: time to live counts */
};

struct model {
	struct engine_limits limits;
	struct engine_config config;
	uint32_t outside[MODEL_ADDRESSES];
	uint32_t outsides;
	uint32_t gone[MODEL_ADDRESSES]; /* addresses that the last change took away */
	uint32_t gones;
	const struct engine *engine; /* whose choices are taken */
	uint64_t now;
	struct model_flow flow[MODEL_FLOWS];
	struct model_mapping mapping[MODEL_FLOWS];
	struct model_host host[MODEL_FLOWS];
	struct model_rest *rest;
	uint32_t rests;
	struct model_set set[MODEL_SETS];
	uint64_t held[SIDES];
	struct {
		uint32_t destination;
		uint16_t id;
	} recent_id[MODEL_IDS];
	uint32_t recent_ids;
	uint64_t strangers, rested; /* resting ports given to another host, and kept from one */
	bool lazy;                  /* engine_expire() is not called */
	uint64_t stale; /* until then the engine may not have cleaned up what expired: hosts and ports may look taken */
	char error[1024];
};

/* The packet under judgement, what is legal for it and what came out. */
struct judgement {
	struct model *m;
	enum side from;
	struct test_packet *as_came; /* cut to the total length */
	struct packet *p;            /* = &as_came->packet */
	uint32_t ihl, total, offset; /* bytes; offset of the fragment */
	bool df, mf;
	uint8_t protocol;
	uint32_t source, destination;
	const struct engine_result *result;
	struct emissions *out;
	uint32_t *taken;       /* emissions judged so far */
	struct model_set *set; /* of a fragment */
	enum set_state fate;   /* what became of it */
	bool hairpin;
	bool for_router; /* no link is between, so it is never too big */
	struct {
		struct model_flow *flow;
		enum side side;
	} seen[2]; /* flows that the packet refreshes if it leaves */
	uint32_t seens;
};

enum { TRANSLATION_SLOTS = 3 };
/* A checksum that was patched: the sum over what it covers, itself included, must be what it was. */
struct checksum_slot {
	uint32_t at;        /* of the checksum */
	uint32_t from;      /* covers from here to the end of the packet */
	uint32_t addresses; /* offset of the addresses it covers as well; 0: none */
	bool udp;           /* 0 stays 0, and never becomes 0 */
	bool partial;       /* holds the pseudo-header's sum only */
};

/* A packet as it must leave. Its checksums are not filled in: they are judged by their slots. */
struct translation {
	struct test_packet *packet;
	bool id_free;    /* the engine chooses the identification */
	bool made;       /* it was held before */
	bool is_further; /* the packet that came has left pieces before */
	uint32_t quote;  /* offset of a quoted IPv4 header whose checksum must be right; 0: none */
	uint32_t slots;
	struct checksum_slot slot[TRANSLATION_SLOTS];
};
/* --- model.c: the packet rules --- */
struct model *model_new(const struct engine_limits *limits, const struct engine_config *config, uint64_t now);
void model_free(struct model *m);
/* Judges what the engine did with one packet. as_came is the packet before the engine saw it; out what has come out for
 * the batch, *taken how much of it earlier packets account for. NULL, or what is wrong. */
const char *model_judge(struct model *m, enum side from, const struct packet *as_came,
			const struct engine_result *result, struct emissions *out, uint32_t *taken);

/* --- model_check.c: headers, sections 1, 2 and 4 --- */
enum drop model_check_ip(struct judgement *j);
enum drop model_check_transport(const struct judgement *j);
enum drop model_check_icmp(const struct judgement *j);
/* Steps 2.4 and 4.3: AH and what a blocked service claims. Returns one bit for each reason that fits. Ports are looked
 * at only once the transport header was found sound. */
uint64_t model_check_claims(const struct judgement *j);
bool model_expect_blocked(struct judgement *j, uint64_t reasons);

/* --- model_leave.c: section 5 --- */
/* A translated packet leaves; inbound: it has an inside receiver. Remembers the translation for its
 * fragments. */
bool model_leave(struct judgement *j, struct translation *t, enum side to, bool inbound);
bool model_leave_unchanged(struct judgement *j, enum side to);
/* Section 4 step 10, once there is an inside receiver. True if the time to live ran out; then *good says how the drop
 * was judged. */
bool model_ttl_out(struct judgement *j, bool *good);
void model_translate_source(struct judgement *j, struct translation *t, const struct model_flow *flow);
void model_translate_destination(struct judgement *j, struct translation *t, const struct model_flow *flow);

/* --- model_icmp.c: ICMP errors, section 7 --- */
bool model_judge_error(struct judgement *j);
bool model_icmp_is_error(uint8_t type);

/* --- model_fragment.c: section 6 --- */
/* Takes note of a fragment. True if it is to be judged like a whole packet now (a good first one). Otherwise it was
 * judged; *good says how. */
bool model_judge_fragment(struct judgement *j, bool *good);
/* After the first fragment: held ones leave or are refused with it. */
bool model_release(struct judgement *j);
void model_set_drop_held(struct model *m, struct model_set *set);
/* All of the datagram has gone on. */
bool model_set_complete(const struct model_set *set);

/* --- model_tables.c: flows, mappings, hosts --- */
bool model_is_outside(const struct model *m, uint32_t address);
bool model_in_prefix(const struct prefix *prefix, uint32_t count, uint32_t address);
bool model_is_inside(const struct model *m, uint32_t address);
/* What is configured for the network of an inside host; hosts of no prefix count among the first one's. */
const struct inside *model_inside(const struct model *m, uint32_t address);
bool model_has_ports(uint8_t protocol); /* TCP, UDP, ICMP queries */
const struct forward *model_forward(const struct model *m, uint8_t protocol, uint16_t port);
uint16_t model_forward_port(const struct forward *forward, uint8_t protocol, uint16_t port);
bool model_host_port(const struct model *m, uint8_t protocol, uint16_t port);
bool model_open_port(const struct model *m, uint8_t protocol, uint16_t port); /* of those, that the WAN may reach */
struct model_flow *model_flow_inside(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
				     uint32_t remote, uint16_t remote_port);
struct model_flow *model_flow_outside(struct model *m, uint8_t protocol, uint32_t outside, uint16_t outside_port,
				      uint32_t remote, uint16_t remote_port);
struct model_mapping *model_mapping_outside(struct model *m, uint8_t protocol, uint32_t outside, uint16_t outside_port);
/* Would this mapping serve a flow of an inside endpoint to that remote one? */
bool model_mapping_serves(const struct model_mapping *mapping, uint8_t protocol, uint32_t inside, uint16_t inside_port,
			  uint32_t remote, uint16_t remote_port);
/* The first that does and that no forward has made. */
struct model_mapping *model_mapping_inside(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
					   uint32_t remote, uint16_t remote_port);
bool model_mapping_hears(struct model *m, const struct model_mapping *mapping, uint32_t remote);
/* The engine's view of a flow; false if it has none. */
bool model_engine_flow(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
		       uint16_t remote_port, struct flow_view *view);
/* Does the engine have this flow? */
bool model_engine_has(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
		      uint16_t remote_port);
struct model_host *model_host_find(struct model *m, uint32_t address); /* NULL: no such host */
uint32_t model_host_outside(struct model *m, uint32_t inside);         /* 0: no such host */
/* Opens a flow with the outside endpoint the engine chose, or NULL with m->error if the choice is not legal. */
struct model_flow *model_open_outbound(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
				       uint32_t remote, uint16_t remote_port);
struct model_flow *model_open_inbound(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port,
				      uint32_t outside, uint16_t outside_port, uint32_t remote, uint16_t remote_port,
				      bool by_forward);
void model_close(struct model *m, struct model_flow *flow, uint64_t when);
void model_touch(struct model *m, struct model_flow *flow, enum side from);
void model_see_tcp(struct judgement *j, struct model_flow *flow, enum side from);
/* Time passes: expires, and compares the engine's flows with ours. */
bool model_set_time(struct model *m, uint64_t now);
bool model_compare_flows(struct model *m);
/* --- model_ports.c: outside addresses and ports, section 3 --- */
/* The address a new host gets: that of the fewest hosts, the first of these. */
uint32_t model_address_for_new_host(const struct model *m);
bool model_any_uncertain(const struct model *m);
/* The reasons, one bit each, for which a new flow must be refused; 0: it must be opened. claimed is the engine's own
 * reason: whether ports ran out is looked up only when the engine says so, for it takes a while. outside is 0 for
 * outbound flows. */
uint64_t model_refusals(struct model *m, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
			uint16_t remote_port, uint32_t outside, enum drop claimed);
/* Judges an outside port that the engine chose for a new mapping. */
bool model_judge_port(struct model *m, uint8_t protocol, uint32_t outside, uint16_t port, uint32_t inside,
		      uint16_t inside_port);

/* --- model_change.c: what a change ends --- */
/* The service that claims a protocol and port. */
bool model_claimed(uint8_t protocol, uint16_t port, enum part *part);
/* Another configuration or other addresses; the engine says how many flows ended. */
bool model_configure(struct model *m, const struct engine_config *config, uint32_t ended);
bool model_set_outside(struct model *m, const uint32_t *addresses, uint32_t count, uint32_t ended);

/* --- model_expect.c: comparing what came out --- */
bool model_fail(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool expect_drops(struct judgement *j, uint64_t reasons);
bool expect_drop(struct judgement *j, enum drop reason);
bool expect_consumed(struct judgement *j);
/* An ICMP error made here about the packet as it came. */
bool expect_made_error(struct judgement *j, enum side to, uint32_t source, uint8_t type, uint8_t code, uint32_t rest);

/* Starts from the packet as it came, with a slot for its transport checksum if its bytes hold one. */
void translation_begin(struct judgement *j, struct translation *t);
void translation_add_slot(struct translation *t, uint8_t protocol, uint32_t ip, uint32_t transport, bool partial);
void translation_end(struct translation *t);
/* The size rules of section 5, then the bytes. Judges verdict and emissions; *forwarded tells whether it left, *id (if
 * not NULL) with which identification. The packet is translation->packet. */
/* For that destination. True: it is; *good says how that was judged. */
bool expect_too_big(struct judgement *j, enum side to, uint32_t destination, bool *good);
bool expect_leaves(struct judgement *j, struct translation *t, enum side to, bool *forwarded, uint16_t *id);

#endif
