/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A naive model of what becomes of IPsec: lists that are searched from end to end, written from
 * docs/nat-behaviour.md section 11 alone. It is asked for the fate of every packet and says what leaves, in order. Only
 * the outside port of a new mapping is learned from the engine, and judged.
 */
#ifndef CULVERT_TESTS_ESP_MODEL_H
#define CULVERT_TESTS_ESP_MODEL_H

#include "../unit/engine_check.h"
#include "../unit/packets.h"

enum { HOSTS = 6, SERVERS = 3, PEERS = HOSTS * SERVERS, SAS = 600, FLOWS = 200, WAITING = 8, OUTS = 80, FAN = 4 };
enum { KNOWN = 4, LATE = 4, MODEL_PLACES = 2 };

/* A packet, as far as the model looks at it. tag tells it from every other one, and later ones have
 * higher tags. */
struct message {
	enum side from;
	uint32_t host, server;  /* numbers; host only from the LAN */
	uint32_t outside;       /* number of the address; only from the WAN */
	uint16_t port, at_port; /* inside or outside port, and the server's; 0: ESP */
	uint32_t spi, sequence;
	bool is_ike; /* its header is sound, and it is on port 500 or behind the marker of 4500 */
	uint64_t initiator;
	bool is_first; /* the responder's SPI is 0 */
	uint8_t version, exchange;
	bool is_answer; /* version 2 */
	uint32_t id, tag;
};

struct out {
	enum side to;
	uint32_t host, server, outside; /* outside only to the WAN */
	uint16_t port, at_port;         /* port 0 to the WAN: that of the flow, which is not known yet */
	uint32_t flow;                  /* then its index */
	uint32_t tag;
	bool is_copy; /* one of several, of which at most FAN leave */
};

struct sa {
	bool live;
	uint32_t peer, number, spi[SIDES];
	uint64_t opened, heard, spoke, deadline, bound, looked; /* spoke: the LAN */
	bool is_watched;                                        /* the pairing may be wrong */
	uint32_t packets;                                       /* from the WAN */
	enum pairing pairing;
};

struct peer {
	bool exists;
	bool has_window;
	uint64_t window; /* opened then */
	struct message waiting[WAITING];
	uint32_t waits;
	bool sent_native, on_4500, owed, answered;
	uint64_t known[KNOWN]; /* initiators' SPIs that tell it from others, the latest last */
	uint32_t knowns;
	bool clashes;           /* it sent or got one that tells another peer */
	struct message phase2;  /* seen last; from is who asks, tag 0: there was none */
	enum side phase2_spoke; /* who said something of it last */
	uint64_t phase2_at;     /* and when */
	bool has_turn;
	uint32_t unheard; /* phases 2 opened without a message of them from the WAN */
	struct message held[SIDES];
	bool holds[SIDES];
	bool shares;
	uint32_t unanswered;    /* first messages in a row */
	uint64_t unanswered_at; /* the first of them */
};

struct ike_flow {
	bool live;
	uint32_t host, server;
	uint16_t inside_port, outside_port, at_port; /* outside_port 0: not known yet */
	bool keeps;                                  /* its port was free when it was opened */
	uint64_t deadline;
};

/* An inbound SPI that may be anybody's, and when it came first and last. */
struct doubt {
	uint32_t spi; /* 0: none */
	uint64_t since, last;
};

/* The last four different peers to which something happened, the latest last. */
struct late {
	uint32_t peer[LATE], count;
	uint64_t at[LATE];
};

/* What the peers of one server and outside address have in common. */
struct group {
	uint32_t queue[PEERS], queued;         /* those who wait, the first first */
	uint64_t first_since, some_since;      /* when the first one came first, and when somebody began to wait */
	uint32_t ike_queue[PEERS], ike_queued; /* the same for messages that wait */
	uint64_t ike_since;
	struct doubt doubt[LATE];
	struct late got, renews; /* an SPI of ESP; an exchange that may end in a new IKE SA */
	int balance;
	bool is_cautious, has_moved;
	uint64_t moved, cautious;
};

struct model {
	uint32_t stayed_with; /* the host that the engine gave a packet from the WAN to */
	const struct engine_config *config;
	uint64_t now;
	uint32_t outside_of[HOSTS];
	struct peer peer[PEERS]; /* host * SERVERS + server */
	struct sa sa[SAS];
	uint32_t sas;
	struct group group[SERVERS][MODEL_PLACES];
	struct ike_flow flow[FLOWS];
	uint64_t strict[SERVERS]; /* until then */
	struct out out[OUTS];
	uint32_t outs, copies; /* copies: so many of them leave */
	uint32_t bound[PAIRINGS], waited, joined, cautious;
};

void model_begin(struct model *m, const struct engine_config *config, uint64_t now);
/* The packet's verdict; what leaves is in m->out. */
struct engine_result model_packet(struct model *m, const struct message *message);
/* When something leaves without a packet. */
uint64_t model_next(const struct model *m);
/* Flows or SAs are over: from now on until model_clean_up() only time may pass. */
bool model_has_expired(const struct model *m);
/* They are gone, and what there was because of them. */
void model_clean_up(struct model *m);
/* Time has passed, at most to model_next(). */
void model_advance(struct model *m, uint64_t now);
/* The SA that takes ESP from that side with that SPI, or NULL. */
struct sa *model_sa(struct model *m, enum side from, uint32_t host, uint32_t server, uint32_t outside, uint32_t spi);
uint32_t model_held(const struct model *m);

/* --- between the files of the model --- */

static inline uint32_t model_host(uint32_t peer)
{
	return peer / SERVERS;
}
static inline uint32_t model_server(uint32_t peer)
{
	return peer % SERVERS;
}
static inline struct engine_result model_drop(enum drop why)
{
	return (struct engine_result){.verdict = VERDICT_DROPPED, .drop = (uint8_t)why};
}
static inline bool model_is_paired(const struct sa *sa)
{
	return sa->spi[SIDE_LAN] && sa->spi[SIDE_WAN];
}
bool model_passes(const struct model *m, enum part part);
bool model_same_group(const struct model *m, uint32_t a, uint32_t b);
bool model_has_turn(const struct model *m, uint32_t peer);
bool model_is_eligible(const struct model *m, uint32_t peer);
bool model_is_read(const struct model *m, uint16_t at_port);
void model_emit(struct model *m, struct out out);
struct group *model_group(struct model *m, uint32_t peer);
struct sa *model_new_sa(struct model *m, uint32_t peer);
void model_touch_sa(struct model *m, struct sa *sa);
void model_note_late(struct late *late, uint32_t peer, uint64_t now);
struct engine_result model_esp_out(struct model *m, const struct message *message);
struct engine_result model_esp_in(struct model *m, const struct message *message);
bool model_release_esp(struct model *m);
uint64_t model_next_window(const struct model *m);
struct engine_result model_udp(struct model *m, const struct message *message);
bool model_release_ike(struct model *m);
uint64_t model_next_turn(const struct model *m);

#endif
