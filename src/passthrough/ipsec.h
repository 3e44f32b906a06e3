/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPsec pass-through (docs/nat-behaviour.md section 11): IKE is read, never changed; ESP of many clients to one server
 * is told apart by SPI.
 *
 * A peer is all IPsec between one inside host and one remote address; the peers of one outside and remote address form
 * a group, because among them every unknown SPI has to find its owner. ipsec.c is the module and its memory,
 * ipsec_peer.c knows peers and groups, ipsec_ike.c reads IKE and lets one phase 2 begin at a time, ipsec_share.c has
 * several hosts use port 500, ipsec_sa.c keeps SAs, ipsec_esp.c pairs SPIs, ipsec_doubt.c doubts pairings, ipsec_wait.c
 * knows when to look at those who wait, ipsec_view.c says what people see of all this.
 */
#ifndef CULVERT_PASSTHROUGH_IPSEC_H
#define CULVERT_PASSTHROUGH_IPSEC_H

#include <culvert/module.h>

#include "base/table.h"
#include "passthrough/strict.h"
#include "wire/ike.h"

enum {
	IPSEC_FLOWS = 4,     /* UDP flows of one peer that are read */
	IPSEC_SPIS = 4,      /* initiator SPIs of one peer that are known */
	IPSEC_SAS_EACH = 4,  /* SAs there may be, for each peer there may be */
	IPSEC_SAS_PEER = 64, /* and of a single peer */
	IPSEC_KEPT = 8,      /* ESP packets of a host that waits */
	IPSEC_RECENT = 4,    /* peers of a group to which one thing happened last, and unclear SPIs, that are known */
	IPSEC_PARTED = 32,   /* SPIs known that were forgotten */
	IPSEC_WINDOW_MS = 3000, /* for an answer to ESP with a new SPI, and for a phase 2 */
	IPSEC_CREDIT = 8,       /* how far the balance of new SPIs goes */
	IPSEC_SUSPICIOUS = 3,   /* and from where on somebody cheats */
	IPSEC_CAUTIOUS_MS = 60000,
	IPSEC_WEAK_MS = 1000,     /* after which an SPI with a single packet may have been a stranger's */
	IPSEC_IN_USE = 8,         /* packets after which an SPI is taken for a real one */
	IPSEC_FRESH_MS = 1000,    /* in which an answer comes as a rule */
	IPSEC_PATIENCE_MS = 3000, /* for an answer to first messages */
	IPSEC_VAIN = 4,           /* phases 2 opened without an answer: from then on they hold up nobody */
	IPSEC_UNHEARD_MS = 5000,  /* an unclear SPI that is not heard so long makes room for another one */
	IPSEC_REPAIR_MS = 30000,  /* between a wrong pairing and the SA it should have been for */
	IPSEC_REKEY_MS = 10000,   /* an exchange that tells whom a new initiator SPI belongs to */
	IPSEC_DOUBT_MS = 10000,   /* silence after which a pairing is doubted */
	IPSEC_UNANSWERED = 3,     /* first messages */
	IPSEC_PARTED_MS = 120000, /* in which an SPI that was forgotten is given to no other host */
};

/* Some peers of a group. If it is one, it is known: sum is the sum of their indices. */
struct ipsec_set {
	uint32_t count, sum;
};

/* Peers to which something happened lately; the oldest makes room. */
struct ipsec_recent {
	uint32_t peer; /* MODULE_NONE: unused */
	uint32_t at_ms;
};

/* Packets that wait, the oldest first. */
struct ipsec_queue {
	uint32_t packet[IPSEC_KEPT];
	uint8_t count;
};

enum ipsec_share { SHARE_NOT = 0, SHARE_TRIED, SHARE_WORKS };

/* What the clear messages of one end told. */
struct ipsec_end {
	uint8_t heard, natt, software; /* software: enum ike_software */
	uint32_t last_ms;              /* of its last IKE message; valid if heard */
};

struct ipsec_peer {
	struct address inside, outside, remote;
	uint8_t live;
	uint8_t is_server; /* the inside host was called through a forward */
	uint8_t knocks;    /* and has not answered yet */
	uint8_t is_known;  /* it is or was live: it can be shown */
	uint32_t next;     /* in the queue of records to use next */
	uint32_t group, group_next, group_previous;
	uint32_t load;                            /* of its inside host */
	uint32_t flow[IPSEC_FLOWS];               /* the engine's, or MODULE_NONE */
	uint32_t first_sa, sas, paired, unpaired; /* unpaired: SAs that lack the inbound SPI */
	/* IKE */
	uint64_t spi[IPSEC_SPIS]; /* initiator's, 0: none */
	uint8_t spi_next;
	uint8_t version;
	struct ipsec_end end[SIDES];
	uint8_t uses_natt; /* IKE or ESP went over port 4500 */
	uint8_t uses_esp;  /* ESP itself was seen */
	uint8_t is_owed;
	uint8_t is_eligible, is_owing, is_unpaired,
		is_sharing; /* in these sets of its group; owing: owed, and eligible */
	/* the phase 2 seen last: which one, who opened it, its last message, and how many had no answer */
	uint8_t has_child, child_from, turn_from, vain;
	uint32_t child_message, turn_ms;
	uint8_t share;          /* enum ipsec_share */
	uint8_t unanswered;     /* first messages in a row */
	uint32_t unanswered_ms; /* when the first of these was sent */
	uint8_t clashes;        /* an initiator SPI of it is another one's: it cannot share */
	/* waiting */
	uint8_t waits, goes; /* in the queue of its group; its turn has come */
	uint8_t is_busy;     /* it must not end now */
	uint8_t waits_ike[SIDES];
	uint32_t wait_next, ike_next;
	struct ipsec_queue kept;
	uint32_t kept_ike[SIDES];
	/* for people */
	uint8_t pairing, is_up, collides, sent_ah, is_ambiguous;
	uint8_t why; /* enum tunnel_end */
	uint32_t started_ms, last_ms[SIDES], unpaired_ms;
	uint32_t packets[SIDES], natt_packets[SIDES]; /* of data; packets: of SAs that have ended */
	uint64_t bytes[SIDES];
	uint32_t hints_told;
};

/* An SPI whose owner is not clear, and when it came first and last. */
struct ipsec_unclear {
	uint32_t spi; /* 0: none */
	uint32_t first_ms, last_ms;
};

/* An SPI from outside whose SA was forgotten, which the server does not know. It outlives its peer and group. */
struct ipsec_parted {
	uint32_t spi; /* 0: none */
	struct address inside, outside, remote;
	uint32_t at_ms;
};

struct ipsec_group {
	struct address outside, remote;
	uint8_t live, is_due;                  /* due: somebody waits, and it is looked at then */
	uint32_t next;                         /* free records */
	uint32_t due_ms, due_place;            /* when, and where in the heap */
	uint32_t first_peer, last_peer, peers; /* those who are eligible stand first */
	struct ipsec_set eligible, owing, unpaired, sharing;
	uint32_t owner; /* the peer that has port 500 towards this server, or MODULE_NONE */
	/* those who wait for an answer to a new SPI, are owed one, may have a new IKE SA, and were given an SPI */
	struct ipsec_recent window[IPSEC_RECENT], owed[IPSEC_RECENT], rekey[IPSEC_RECENT], bound[IPSEC_RECENT];
	/* the phase 2 under way */
	uint32_t gate_peer;
	/* SPIs from outside that nobody knew, less new ones from inside: both are equally many unless somebody cheats
	 */
	int8_t balance;
	uint8_t is_cautious;
	uint32_t balance_ms, cautious_ms;
	struct ipsec_unclear unclear[IPSEC_RECENT];
	uint32_t wait_first, wait_last, ike_first, ike_last;
	uint32_t wait_ms, ike_ms; /* since when the first one stands there */
	uint32_t queued_ms;       /* since when somebody waits with ESP */
};

/* The module's side of an SA, one for each flow of that kind. */
struct ipsec_sa {
	uint32_t flow; /* MODULE_NONE: free */
	uint32_t peer;
	uint32_t next, previous; /* of its peer, the latest first; or free */
	uint32_t opened_ms;      /* when its first SPI came */
	uint32_t bound_ms;       /* when the inbound SPI was bound */
	uint32_t doubted_ms;     /* when that was last looked at */
	bool gives_way;          /* it ends for the sake of another one */
};

/* Records that inside hosts have whose addresses fall into one place of a table: one host, or now and then several. */
struct ipsec_load {
	uint32_t peers, sas;
};

struct ipsec {
	uint32_t peers, sas; /* how many records there are */
	uint32_t used;       /* peers from here on never were */
	uint32_t peer_first, peer_last, group_free, sa_free;
	uint32_t knocking;
	uint32_t dues;                /* groups in which somebody waits */
	struct strict_servers strict; /* those that answer to port 500 only */
	struct ipsec_parted parted[IPSEC_PARTED];
	uint32_t parted_next; /* the place of the next one, beyond it modulo IPSEC_PARTED */
	/* set anew by every process */
	struct ipsec_peer *peer;
	struct ipsec_group *group;
	struct ipsec_sa *sa;
	struct ipsec_load *load;
	uint32_t *due; /* a heap, the earliest first */
	struct table by_pair, by_group, by_spi;
};

extern const struct module ipsec_module;

static inline uint32_t ipsec_age(const struct engine *engine, uint32_t at_ms)
{
	return (uint32_t)engine_offer(engine)->now_ms(engine) - at_ms;
}

/* --- ipsec_peer.c --- */

/* The live peer, or MODULE_NONE. */
uint32_t ipsec_peer_find(const struct engine *engine, const struct ipsec *ipsec, struct address inside,
			 struct address outside, struct address remote);
/* The same, or a new one; MODULE_NONE if all records are in use. */
uint32_t ipsec_peer_take(struct engine *engine, struct ipsec *ipsec, struct address inside, struct address outside,
			 struct address remote, bool is_server);
/* A new one for a stranger who calls a server inside that has not answered. Those may have a quarter of the records. */
uint32_t ipsec_peer_knock(struct engine *engine, struct ipsec *ipsec, struct address inside, struct address outside,
			  struct address remote);
/* The inside host has sent something: its caller is no stranger any more. */
void ipsec_peer_answers(struct ipsec *ipsec, uint32_t peer);
/* Puts a record that is whole into its group and the tables. */
void ipsec_peer_enter(const struct engine *engine, struct ipsec *ipsec, uint32_t peer);
/* Ends the peer if nothing of it is left. */
void ipsec_peer_settle(struct engine *engine, struct ipsec *ipsec, uint32_t peer, enum tunnel_end why);
/* The peer's facts changed: its places in the sets of its group follow. */
void ipsec_peer_place(struct ipsec *ipsec, uint32_t peer);
/* The group, or MODULE_NONE. */
uint32_t ipsec_group_find(const struct engine *engine, const struct ipsec *ipsec, struct address outside,
			  struct address remote);
/* The only member, or MODULE_NONE. */
uint32_t ipsec_set_only(const struct ipsec_set *set);
/* A phase 2 of the peer has begun since its last inbound SPI was bound, or (false) that was bound. */
void ipsec_peer_owe(struct ipsec *ipsec, uint32_t peer, bool is_owed);
/* Frees the group if nobody is in it. */
void ipsec_group_settle(const struct engine *engine, struct ipsec *ipsec, uint32_t group);
void ipsec_recent_add(struct ipsec_recent *recent, uint32_t peer, uint32_t now_ms);
void ipsec_recent_remove(struct ipsec_recent *recent, uint32_t peer);
/* Data has gone both ways: the tunnel is up. */
void ipsec_peer_up(struct engine *engine, struct ipsec *ipsec, uint32_t peer);
/* Is this one known by that initiator SPI? The peer of the group that is, or MODULE_NONE. */
uint32_t ipsec_spi_find(const struct engine *engine, const struct ipsec *ipsec, uint32_t group, uint64_t spi);
void ipsec_spi_learn(const struct engine *engine, struct ipsec *ipsec, uint32_t peer, uint64_t spi);

/* --- ipsec_ike.c --- */

struct engine_result ipsec_ike_datagram(struct engine *engine, struct ipsec *ipsec, uint32_t peer, enum side from,
					struct module_datagram *datagram);
/* Lets the next one's phase 2 begin if none is under way. */
void ipsec_ike_release(struct engine *engine, struct ipsec *ipsec, uint32_t group);

/* --- ipsec_share.c --- */

/* A flow of port 500 was opened. */
void ipsec_share_attach(struct engine *engine, struct ipsec *ipsec, uint32_t peer, uint32_t flow);
void ipsec_share_detach(struct ipsec *ipsec, uint32_t peer);
/* A message of the inside host on its way out. */
void ipsec_share_sent(struct engine *engine, struct ipsec *ipsec, uint32_t peer, const struct ike_header *header,
		      uint32_t flow);
/* A message of the server for this peer. */
void ipsec_share_heard(struct engine *engine, struct ipsec *ipsec, uint32_t peer, uint16_t outside_port);
/* Whose message of the server this is, or MODULE_NONE. */
uint32_t ipsec_share_owner(const struct engine *engine, const struct ipsec *ipsec, uint32_t group,
			   const struct ike_header *header);
/* The flow by which it goes to the owner, or MODULE_NONE. */
uint32_t ipsec_share_target(const struct engine *engine, const struct ipsec *ipsec, uint32_t owner);
/* The peer's flow of port 500, or MODULE_NONE. */
uint32_t ipsec_share_flow(const struct engine *engine, const struct ipsec *ipsec, uint32_t peer);

/* --- ipsec_sa.c --- */

/* Puts an SA that is whole into the list of its peer. */
void ipsec_sa_enter(struct engine *engine, struct ipsec *ipsec, uint32_t sa);
void ipsec_sa_over(struct engine *engine, void *memory, uint32_t record, enum tunnel_end why);
/* A new SA without SPIs, or MODULE_NONE and *why. */
uint32_t ipsec_sa_open(struct engine *engine, struct ipsec *ipsec, uint32_t peer, enum side opened, enum drop *why);
/* Ends an SA that makes room for another one, or whose SPI has become another one's. */
void ipsec_sa_give_way(struct engine *engine, struct ipsec *ipsec, uint32_t sa);
/* The peer's latest one that lacks just the SPI of this side, or a new one. */
uint32_t ipsec_sa_lacking(struct engine *engine, struct ipsec *ipsec, uint32_t peer, enum side lacks, enum drop *why);
/* What comes from this side with this SPI is of the SA from now on; 0: nothing is. */
void ipsec_sa_learn(struct engine *engine, struct ipsec *ipsec, uint32_t sa, enum side from, uint32_t spi);
/* The SPI, or 0. */
uint32_t ipsec_sa_spi(const struct engine *engine, const struct ipsec *ipsec, uint32_t sa, enum side from);
/* Milliseconds since the last packet from that side; UINT32_MAX if there was none. */
uint32_t ipsec_sa_last(const struct engine *engine, const struct ipsec *ipsec, uint32_t sa, enum side from);
/* IKE of the peer was heard: its SAs live as long. */
void ipsec_esp_keep_all(struct engine *engine, struct ipsec *ipsec, uint32_t peer);

/* --- ipsec_esp.c --- */

uint32_t ipsec_esp(struct engine *engine, void *memory, struct module_esp *esp, struct engine_result *otherwise);
/* Gives an inbound SPI to a peer; its flow, or MODULE_NONE and *otherwise. */
uint32_t ipsec_esp_bind(struct engine *engine, struct ipsec *ipsec, uint32_t peer, uint32_t spi, enum pairing pairing,
			struct engine_result *otherwise);
/* Lets the next waiting host go if no window is open. */
void ipsec_esp_release(struct engine *engine, struct ipsec *ipsec, uint32_t group);

/* --- ipsec_doubt.c --- */

void ipsec_sa_heard(struct engine *engine, void *memory, uint32_t record, enum side from, bool is_behind);
/* A new SPI came: step 1 from outside, -1 from inside. */
void ipsec_caution(const struct engine *engine, struct ipsec_group *group, int step);
/* The only peer to which an SPI was bound lately that had no second packet, or MODULE_NONE. */
uint32_t ipsec_only_weak(const struct engine *engine, const struct ipsec *ipsec, const struct ipsec_group *group);
/* Somebody cheats in this group, so that a new SPI proves nothing. */
bool ipsec_is_cautious(const struct engine *engine, const struct ipsec_group *group);

/* --- ipsec_wait.c --- */

/* Somebody of the group waits: it is looked at when its time has come. */
void ipsec_wait(struct engine *engine, struct ipsec *ipsec, uint32_t group, uint32_t in_ms);
/* Who has stood first since then waits no longer than a window, whatever others begin meanwhile. */
uint32_t ipsec_wait_left(const struct engine *engine, uint32_t first_ms, uint32_t left);
/* Takes all groups whose time has come out of the heap: the first one, in a list by next, each still marked as due. */
uint32_t ipsec_wait_take(const struct engine *engine, struct ipsec *ipsec);
/* Has the engine wake the module when the next group's time comes. */
void ipsec_wait_go_on(struct engine *engine, const struct ipsec *ipsec);

/* --- ipsec_view.c --- */

void ipsec_view(const struct engine *engine, const struct ipsec *ipsec, uint32_t peer, struct tunnel_view *view);

#endif
