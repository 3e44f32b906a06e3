/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What would happen to a packet: a dry run of the engine on a copy of its memory.
 *
 * The copy is the caller's: pages that are copied as they are written cost nothing (a private mapping of the file that
 * the arena is in), and ordinary memory with the same bytes serves as well. The engine itself is only read.
 */
#ifndef CULVERT_EXPLAIN_H
#define CULVERT_EXPLAIN_H

#include <culvert/engine.h>
#include <culvert/views.h>

/* By what a packet found its way. */
enum rule {
#define RULE(name, text, meaning) RULE_##name,
#include <culvert/rules.def>
#undef RULE
	RULES,
};

enum { EXPLAIN_OUTPUTS = 8 };

/* A packet that would leave. Ports, and the SPI, Call ID, GRE key or ICMP type << 8 | code, are 0 where there are none;
 * ICMP queries have their identifier in source_port. */
struct explain_output {
	enum side to;
	bool made; /* the engine made it: an ICMP error about the packet */
	uint8_t protocol, ttl;
	struct address source, destination;
	uint32_t identifier;
	uint16_t source_port, destination_port;
	uint16_t length, offset; /* bytes; offset of a fragment */
};

struct explanation {
	struct engine_result result;
	enum rule rule;
	/* the flow it belongs to, as it would be afterwards */
	bool has_flow, flow_is_new, mapping_is_new;
	struct flow_view flow;
	bool is_hairpin;
	uint16_t shared_port; /* outside port that it leaves from in the place of the flow's own, or 0 */
	/* the forward of the configuration that opened the flow, or FORWARDS_MAX */
	uint32_t forward;
	/* what claims it, the mode of that, and the service whose module reads the flow */
	enum part part;
	enum service_mode mode;
	enum service reader;
	/* of a packet from the WAN that was dropped: the mapping it was sent to */
	bool has_nearest;
	struct address nearest_address;
	uint16_t nearest_port;
	uint32_t outputs; /* what would leave; of more than EXPLAIN_OUTPUTS only the first are kept */
	struct explain_output output[EXPLAIN_OUTPUTS];
	uint32_t mtu; /* of the link it would leave by */
};

/* An engine that is another one as it is now, in a copy of its arena (aligned to 64, kept by the caller until after
 * engine_free()). Whatever is done to it changes nothing outside the copy, and nobody is told of its events. NULL if
 * memory ran out. */
struct engine *engine_shadow(const struct engine *engine, void *arena_copy);

/*
 * Has the shadow of an engine, fresh from engine_shadow(), process a packet, and tells what became of it and why. The
 * packet's bytes are changed as those of any other packet. Ask a new shadow for each packet, or the same one for
 * packets that follow one another.
 */
void engine_explain(struct engine *shadow, enum side from, struct packet *packet, uint64_t now_ms,
		    struct explanation *explanation);

const char *rule_name(enum rule rule);
const char *rule_meaning(enum rule rule);

#endif
