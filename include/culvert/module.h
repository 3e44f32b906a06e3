/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract between the engine and a pass-through module.
 *
 * A module is a const struct in one table (passthrough/registry.c). It reads the flows that control its service: TCP
 * connections (PPTP) or UDP flows (L2TP, IKE). What carries no ports is told apart by identifiers, which the module
 * finds out: Call IDs of enhanced GRE, SPIs of ESP. A module never sees the engine's tables, keeps its records in
 * memory the engine gave it, and changes packets only byte by byte through functions that also fix checksums. The
 * engine calls the hooks; struct engine_offer is what it offers in return. Hooks stand in groups: for all services, for
 * TCP connections, for datagrams, for flows without ports. A hook that a service has no use for is NULL.
 */
#ifndef CULVERT_MODULE_H
#define CULVERT_MODULE_H

#include <culvert/engine.h>
#include <culvert/views.h>

/* What each part of a service claims: the list of services.def, in its order. */
struct service_claim {
	enum part part;
	uint8_t protocol;
	uint16_t port; /* 0: a protocol without ports */
	enum claim_how { CLAIM_OWN, CLAIM_SHARED, CLAIM_REFUSED } how;
};

enum {
	SERVICE_CLAIMS = 0
#define CLAIM(part, protocol, port, how) +1
#include <culvert/services.def>
#undef CLAIM
};

extern const struct service_claim service_claims[SERVICE_CLAIMS];

/* Returns the part that claims a protocol and port (port 0: only protocols without ports), or PART_NONE. */
enum part part_claiming(uint8_t protocol, uint16_t port);
/* The same, for ports that several inside hosts may share. */
enum part part_sharing(uint8_t protocol, uint16_t port);
/* Returns the part that flows of a service's datagrams at a port of nobody's belong to, or PART_NONE: a server may
 * answer from elsewhere than its own port. */
enum part part_elsewhere(enum service service);
enum service service_of_part(enum part part);
/* The port that several inside hosts may share, or 0. */
uint16_t service_shared_port(enum service service);
/* Returns the drop reason of packets that a part in mode block refuses. */
enum drop part_drop(enum part part);
/* A part without a key of its own has the key "mode" of its service. */
bool part_has_key(enum part part);
/* Words as in the configuration: the section of a service, the name of a part, the key with its mode. */
const char *service_name(enum service service);
const char *part_name(enum part part);
const char *part_key(enum part part);
const char *service_mode_name(enum service_mode mode);
/* As people write them. */
const char *service_label(enum service service);
const char *part_label(enum part part);

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
	bool has_syn;      /* also one in the middle of the connection, which means nothing by itself */
	enum side arrived; /* where the packet came from; in a hairpin not the side it is read for */
};

/* A datagram of a UDP flow, or a first fragment of one. */
struct module_datagram {
	struct packet *packet;
	uint32_t transport; /* offset of the UDP header */
	uint32_t payload;   /* offset of its data */
	uint32_t length;    /* of its data as the UDP header says; a first fragment may hold less */
	uint32_t flow;      /* that it belongs to by its ports; MODULE_NONE in claim() */
	struct address outside_address, remote_address;
	uint16_t outside_port, remote_port;
	enum side arrived; /* where the packet came from; in a hairpin not the side it is read for */
	bool is_hairpin;
};

/* An ESP packet with an SPI that no flow has. */
struct module_esp {
	const struct packet *packet;
	enum side from;
	struct address
		inside_address; /* from the LAN: its sender; from the WAN: the target of a forward of ESP, or none */
	struct address outside_address, remote_address;
	uint32_t spi, sequence;
	bool may_fan_out;         /* a copy may go to each of several inside hosts */
	struct address copies[4]; /* for the module to fill in: these hosts, with VERDICT_FORWARDED and no flow */
	uint32_t copies_count;
};

struct module {
	/* Returns the bytes of memory for the module's records; 0: the limits leave no room for any. */
	size_t (*memory_size)(const struct engine_limits *limits);
	/* Initialises the memory without any record. */
	void (*start)(void *memory, const struct engine_limits *limits);
	/* The memory is a copy at another address: sets the pointers into it, and changes nothing else. */
	void (*place)(void *memory, const struct engine_limits *limits);
	/* The memory comes from a process that died: keeps the records that still fit the engine's flows. */
	void (*recover)(struct engine *engine, void *memory, const struct engine_limits *limits);
	/* Returns true if the module's own records agree that it reads this flow with this state, or (control 0) that
	 * this record owns the flow. */
	bool (*knows)(const struct engine *engine, const void *memory, uint32_t flow, uint16_t control,
		      uint32_t record);
	/* A flow that controls the service was opened. Returns the number of its state, from 1 on, or 0 if the module
	 * does not read the flow. answered: the called end has agreed; before that a stranger may have sent alone, and
	 * the engine asks again later. Flows may share a state. */
	uint16_t (*attach)(struct engine *engine, void *memory, uint32_t flow, bool answered);
	/* Returns the next kept packet that may be sent, which the caller takes, or MODULE_NONE if there is none. */
	uint32_t (*next_kept)(struct engine *engine, void *memory, uint16_t control, enum side from);
	/* The time that the module has set with wake_at() has come. */
	void (*wake)(struct engine *engine, void *memory);
	/* The module no longer reads this flow; control is free afterwards, unless other flows share it. */
	void (*control_over)(struct engine *engine, void *memory, uint16_t control, uint32_t flow, enum tunnel_end why);
	/* Lists tunnels: start with *cursor 0. Returns false at the end. */
	bool (*next_tunnel)(struct engine *engine, const void *memory, uint32_t *cursor, struct tunnel_view *view);
	/* Returns the hints that were reported for a tunnel, a bit for each; all are 0 in a new tunnel. tunnel: the
	 * index of its view. */
	uint32_t *(*told)(void *memory, uint32_t tunnel);

	/* TCP connections that are read. */
	struct {
		/* Reads and changes a segment. Returns VERDICT_FORWARDED if the segment may pass, and VERDICT_HELD if
		 * the module has kept it with keep(). */
		struct engine_result (*segment)(struct engine *engine, void *memory, uint16_t control, enum side from,
						const struct module_segment *read);
	} stream;

	/* UDP flows that are read. */
	struct {
		/* Reads and changes a datagram, as segment() does. The module may give one from the WAN to another flow
		 * of the same outside address. */
		struct engine_result (*datagram)(struct engine *engine, void *memory, uint16_t control, enum side from,
						 struct module_datagram *read);
		/* A datagram came from the WAN for a port of the service, or for a mapping that has a flow with its
		 * sender which the module reads, and no flow has these two endpoints. Returns the flow that it is for,
		 * or MODULE_NONE. */
		uint32_t (*claim)(struct engine *engine, void *memory, const struct module_datagram *read);
		/* An ICMP error quotes a datagram that left from a port which several hosts may share. Returns the flow
		 * of the quoted datagram, or MODULE_NONE; read->flow is the flow that the ports alone would name. */
		uint32_t (*quoted)(const struct engine *engine, const void *memory, const struct module_datagram *read);
	} datagrams;

	/* Flows without ports, which the module opens and the engine tells apart by identifiers: calls and SAs. Only
	 * IPsec has a use for esp(), ah() and sa_heard(). */
	struct {
		/* The flow of a call or an SA has ended; why is END_NOT if the module itself has ended it before. */
		void (*over)(struct engine *engine, void *memory, uint32_t record, enum tunnel_end why);
		/* ESP came with a new SPI. Returns the flow that takes it, or MODULE_NONE with the verdict in
		 * *otherwise. */
		uint32_t (*esp)(struct engine *engine, void *memory, struct module_esp *esp,
				struct engine_result *otherwise);
		/* An inside host sent AH, which is not translated. Returns true if the module knows other IPsec between
		 * this host and this remote end, and so shows the AH there. */
		bool (*ah)(struct engine *engine, void *memory, struct address inside, struct address outside,
			   struct address remote);
		/* A packet of a watched SA came, or (is_behind) its sequence number fell far back. */
		void (*sa_heard)(struct engine *engine, void *memory, uint32_t record, enum side from, bool is_behind);
	} portless;
};

#define MODULE_NONE UINT32_MAX
enum { MODULE_SILENT_MS = 10000 }; /* without a packet, before a tunnel is said to be silent */

/* Returns how many of a module's records may belong to strangers that a server inside has not answered. */
static inline uint32_t module_quarter(uint32_t records)
{
	return records >= 4 ? records / 4 : 1;
}

/* Returns how many of them one inside host may have: a quarter stays for the others. Callers of a server inside are no
 * hosts of ours. */
static inline uint32_t module_share(uint32_t records)
{
	return records - records / 4;
}

/* Returns the side of a tunnel from which nothing has come for a while although the other one sends, or -1. */
static inline int module_silent_side(const struct tunnel_view *view)
{
	for (int side = 0; side < SIDES; side++) {
		uint32_t silence_ms = view->packets[side] > 0 ? view->last_ms[side] : view->age_ms;
		bool other_speaks = view->packets[!side] > 0 && view->last_ms[!side] < MODULE_SILENT_MS;
		if (other_speaks && silence_ms >= MODULE_SILENT_MS)
			return side;
	}
	return -1;
}

/* NULL if the service has no module. */
const struct module *module_of(enum service service);

/*
 * What the engine offers: functions that it hands to modules, so that a module needs nothing but packets to be linked.
 */
struct engine_offer {
	uint64_t (*now_ms)(const struct engine *engine);
	void (*count)(struct engine *engine, enum statistic statistic);
	/* Addresses, ports and counters of a flow; last_ms as in tunnel_view. */
	void (*view_flow)(const struct engine *engine, uint32_t flow, struct flow_view *view, uint32_t last_ms[SIDES]);
	/* Returns true if the flow exists and is read for this service with this state, or (control 0) is a call or an
	 * SA with this record. */
	bool (*owns_flow)(const struct engine *engine, enum service service, uint32_t flow, uint16_t control,
			  uint32_t record);
	void (*report)(struct engine *engine, enum engine_event_kind kind, const struct tunnel_view *view);

	/*
	 * Opens a call between the two ends of a control connection, for a Call ID of the inside end. From now on the
	 * engine delivers data for the outside Call ID; until call_keep() the call lasts request_ms. The outside ID is
	 * the inside one if that is free towards the remote address, else another one with the same high byte, else
	 * any; with high
	 * >= 0 only one with that high byte. Returns the flow of the call, or MODULE_NONE with the reason in *why.
	 */
	uint32_t (*call_open)(struct engine *engine, uint32_t control_flow, uint16_t inside_id, int high,
			      uint32_t record, uint32_t request_ms, uint16_t *outside_id, enum drop *why);
	/* Returns a high byte with which an outside ID is free, the wanted one if possible, or -1. */
	int (*call_high)(struct engine *engine, uint32_t control_flow, uint8_t wanted);
	/* Returns true if the call has not expired. If it has, it is closed at once, and portless.over() was called. */
	bool (*call_lives)(struct engine *engine, uint32_t call_flow);
	/* Sets the Call ID of the remote end: from now on data of the inside end can pass. */
	void (*call_answer)(struct engine *engine, uint32_t call_flow, uint16_t remote_id);
	/* Starts the timer of the call anew, because it is in use. */
	void (*call_keep)(struct engine *engine, uint32_t call_flow);
	/* Ends the call: late data passes for drain_ms, then the ID rests. */
	void (*call_end)(struct engine *engine, uint32_t call_flow, uint32_t drain_ms);

	/* The two ends of a TCP connection begin anew, while the engine takes it for one that is under way. */
	void (*reopen)(struct engine *engine, uint32_t control_flow);

	/* --- SAs of ESP (RFC 4301 section 4.4): flows between an inside host and a remote address, known by SPIs ---
	 */

	/* Opens a flow without an SPI. From its last packet on it lasts TIMEOUT_ESP_OPENING, and once it has both SPIs,
	 * TIMEOUT_ESP. is_server: the inside end was called through a forward; opened: which side began. Returns the
	 * flow, or MODULE_NONE with the reason in *why. */
	uint32_t (*sa_open)(struct engine *engine, struct address inside, struct address outside, struct address remote,
			    bool is_server, enum side opened, uint32_t record, enum drop *why);
	/* Makes ESP that comes from this side with this SPI belong to the flow. No other flow may have that SPI. */
	void (*sa_learn)(struct engine *engine, uint32_t flow, enum side from, uint32_t spi);
	/* Takes the SPI of this side from the flow. */
	void (*sa_forget)(struct engine *engine, uint32_t flow, enum side from);
	/* Returns the SPI of this side, or 0. */
	uint32_t (*sa_spi)(const struct engine *engine, uint32_t flow, enum side from);
	/* Switches on or off that sa_heard() is called for every packet. */
	void (*sa_watch)(struct engine *engine, uint32_t flow, bool is_watched);
	/* If the flow has both SPIs, lets it live at least as long as a UDP flow of a VPN that had a packet just now.
	 */
	void (*sa_keep)(struct engine *engine, uint32_t flow);
	void (*sa_close)(struct engine *engine, uint32_t flow);
	/* Gives an inside host another outside address for its new flows. Returns false if there is none. */
	bool (*move_host)(struct engine *engine, struct address inside);

	/* --- outside ports that several inside hosts share towards one server --- */

	/* Lets packets of the flow leave from this outside port instead of that of its mapping; 0: from its own port
	 * again. datagram() and claim() find the flow of the answers. Does nothing for a port of the router itself. */
	void (*share_port)(struct engine *engine, uint32_t flow, uint16_t outside_port);
	uint16_t (*shared_port)(const struct engine *engine, uint32_t flow);

	/* --- packets that wait --- */

	/* Says that a packet kept for this state from this side may be sent: next_kept() is called after the current
	 * packet. Returns false if too many are ready already; then the caller must try again a little later. */
	bool (*ready)(struct engine *engine, enum service service, uint16_t control, enum side from);
	/* Has wake() called at this time, or soon after. The earliest time that was set counts. */
	void (*wake_at)(struct engine *engine, uint64_t at_ms);
	uint64_t (*random)(struct engine *engine);
	/* Returns a keyed hash for tables of the module, which is the same as long as the arena exists. */
	uint64_t (*hash)(const struct engine *engine, uint64_t a, uint64_t b);

	/* Keeps a copy of a packet for later. Returns its number, or MODULE_NONE if there is no room. */
	uint32_t (*keep)(struct engine *engine, const struct packet *packet, enum side arrived);
	void (*drop_kept)(struct engine *engine, uint32_t kept, enum drop reason);
};

/* An engine begins with a pointer to what it offers. */
static inline const struct engine_offer *engine_offer(const struct engine *engine)
{
	return *(const struct engine_offer *const *)(const void *)engine;
}

#endif
