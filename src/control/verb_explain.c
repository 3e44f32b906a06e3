/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What would happen to a packet. The words become a packet (probe.c), which a shadow of the engine on a snapshot of its
 * memory processes; nothing of the engine itself is changed, and nothing is sent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <culvert/explain.h>
#include <culvert/module.h>

#include "config/config.h"
#include "config/config_keys.h"
#include "config/forward_check.h"
#include "config/text.h"
#include "control/probe.h"
#include "control/verb.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "io/state_file.h"
#include "wire/ip.h"
#include "wire/transport.h"

enum { TTL = 64, POSITIONS = 4, SOURCE_PORT = 50000 };

enum key {
	BY_CALL_ID,
	BY_SPI,
	BY_TUNNEL_ID,
	BY_FLAGS,
	BY_TYPE,
	BY_ID,
	BY_LENGTH,
	BY_TTL,
	BY_DF,
	BY_OFFSET,
	KEYS,
};

/* What becomes of the packet in the end, in and outside the engine. */
enum fate { FATE_FORWARDED, FATE_CONSUMED, FATE_HELD, FATE_DROPPED, FATE_NOT_OURS, FATE_UNDELIVERABLE };

static const struct {
	const char *name, *text;
} fates[] = {
	[FATE_FORWARDED] = {"forwarded", "forwarded"},
	[FATE_CONSUMED] = {"consumed", "for the router itself"},
	[FATE_HELD] = {"held", "held until a fragment or another host's negotiation is finished"},
	[FATE_DROPPED] = {"dropped", "dropped"},
	[FATE_NOT_OURS] = {"not-ours", "not ours: the kernel takes it"},
	[FATE_UNDELIVERABLE] = {"undeliverable", "translated, but no host gets it"},
};

struct note {
	const char *name, *text; /* NULL: there is none */
	char memory[FORWARD_PROBLEM];
};

/* --- from words to a packet --- */

/* ADDRESS or ADDRESS:PORT. */
static bool read_endpoint(const char *text, struct address *address, uint16_t *port)
{
	const char *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);
	char part[16];
	uint32_t number = 0;

	if (length >= sizeof(part) || (colon && !text_number(colon + 1, 65535, &number)))
		return false;
	memcpy(part, text, length);
	part[length] = '\0';
	*port = (uint16_t)number;
	return text_address(part, address);
}

/* A number, or 0x and hexadecimal digits as SPIs are written. */
static bool read_number(const char *text, uint32_t high, uint32_t *number)
{
	uint64_t value = 0;

	if (strncmp(text, "0x", 2) != 0 || !text[2] || strlen(text) > 10)
		return text_number(text, high, number);
	for (text += 2; *text; text++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = strchr(digits, *text | 0x20);

		if (!digit)
			return false;
		value = value * 16 + (uint64_t)(digit - digits);
	}
	*number = (uint32_t)value;
	return value <= high;
}

/* syn, syn+ack, ... */
static bool read_flags(const char *text, uint8_t *flags)
{
	static const struct {
		const char *name;
		uint8_t bit;
	} names[] = {{"syn", PROBE_TCP_SYN},
		     {"ack", PROBE_TCP_ACK},
		     {"rst", PROBE_TCP_RST},
		     {"fin", PROBE_TCP_FIN},
		     {"psh", PROBE_TCP_PSH}};
	size_t i;

	for (*flags = 0;; text += 4) {
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strncmp(text, names[i].name, 3))
				break;
		if (i == sizeof(names) / sizeof(names[0]) || (text[3] && text[3] != '+'))
			return false;
		*flags |= names[i].bit;
		if (!text[3])
			return true;
	}
}

static bool read_yes(const char *text, bool *yes)
{
	*yes = !strcmp(text, "yes");
	return *yes || !strcmp(text, "no");
}

static bool read_option(enum key key, const char *text, struct probe *probe)
{
	uint32_t number = 0;

	switch (key) {
	case BY_CALL_ID:
		probe->id_kind = PROBE_CALL_ID;
		return read_number(text, 65535, &probe->id);
	case BY_SPI:
		probe->id_kind = PROBE_SPI;
		return read_number(text, UINT32_MAX, &probe->id);
	case BY_TUNNEL_ID:
		probe->id_kind = PROBE_TUNNEL_ID;
		return read_number(text, 65535, &probe->id);
	case BY_FLAGS:
		return read_flags(text, &probe->tcp_flags);
	case BY_DF:
		return read_yes(text, &probe->df);
	case BY_LENGTH:
		return read_number(text, PACKET_LENGTH_MAX, &probe->length);
	case BY_TYPE:
		if (!read_number(text, 255, &number))
			return false;
		probe->icmp_type = (uint8_t)number;
		return number != 3 && number != 11 && number != 12;
	case BY_ID:
		if (!read_number(text, 65535, &number))
			return false;
		probe->source_port = (uint16_t)number;
		return true;
	case BY_TTL:
		if (!read_number(text, 255, &number))
			return false;
		probe->ttl = (uint8_t)number;
		return true;
	default:
		if (!read_number(text, 65528, &number))
			return false;
		probe->offset = (uint16_t)number;
		return number % 8 == 0;
	}
}

static bool read_options(struct verb *verb, struct probe *probe)
{
	static const struct verb_key keys[KEYS] = {
		[BY_CALL_ID] = {"call-id", VERB_KEY_WORD},
		[BY_SPI] = {"spi", VERB_KEY_WORD},
		[BY_TUNNEL_ID] = {"tunnel-id", VERB_KEY_WORD},
		[BY_FLAGS] = {"flags", VERB_KEY_WORD},
		[BY_TYPE] = {"type", VERB_KEY_WORD},
		[BY_ID] = {"id", VERB_KEY_WORD},
		[BY_LENGTH] = {"length", VERB_KEY_WORD},
		[BY_TTL] = {"ttl", VERB_KEY_WORD},
		[BY_DF] = {"df", VERB_KEY_WORD},
		[BY_OFFSET] = {"offset", VERB_KEY_WORD},
	};
	static const struct {
		const char *expected;
		uint8_t protocols[2]; /* it means something to; 0: to all */
	} facts[KEYS] = {
		[BY_CALL_ID] = {"a number to 65535, for gre", {PROTOCOL_GRE}},
		[BY_SPI] = {"a number like 0x1000, for esp and udp", {PROTOCOL_ESP, PROTOCOL_UDP}},
		[BY_TUNNEL_ID] = {"a number to 65535, for udp", {PROTOCOL_UDP}},
		[BY_FLAGS] = {"syn, ack, rst, fin and psh joined by +, for tcp", {PROTOCOL_TCP}},
		[BY_TYPE] =
			{"the number of a query or answer, for icmp; errors quote a packet, so they cannot be made here",
			 {PROTOCOL_ICMP}},
		[BY_ID] = {"a number to 65535, for icmp", {PROTOCOL_ICMP}},
		[BY_LENGTH] = {"the bytes of the whole packet, at most 65535", {0}},
		[BY_TTL] = {"a number to 255", {0}},
		[BY_DF] = {"yes or no", {0}},
		[BY_OFFSET] = {"the bytes before a fragment, a multiple of 8", {0}},
	};
	struct verb_value values[KEYS];

	if (!verb_read_keys(verb, keys, KEYS, values))
		return false;
	for (int key = 0; key < KEYS; key++) {
		const uint8_t *protocols = facts[key].protocols;
		bool fits = protocols[0] == 0 || protocols[0] == probe->protocol || protocols[1] == probe->protocol;

		if (!values[key].is_given || (fits && read_option((enum key)key, values[key].text, probe)))
			continue;
		verb_fail(verb, EXIT_USAGE, "%s= takes %s", keys[key].name, facts[key].expected);
		return false;
	}
	return true;
}

static bool needs_ports(const struct probe *probe)
{
	return (probe->protocol == PROTOCOL_TCP || probe->protocol == PROTOCOL_UDP) && probe->offset == 0;
}

/* Where the source has none: what people ask about is the destination. Hosts send from the port of a VPN to the same.
 */
static bool choose_source_port(struct probe *probe)
{
	uint16_t port = probe->destination_port;
	bool is_same = probe->protocol == PROTOCOL_UDP && part_claiming(PROTOCOL_UDP, port) != PART_NONE;

	if (!needs_ports(probe) || probe->source_port != 0)
		return false;
	probe->source_port = is_same ? port : SOURCE_PORT;
	return true;
}

/* False after verb_fail(). *chosen: nobody has named the source port. */
static bool read_probe(struct verb *verb, enum side *from, struct probe *probe, bool *chosen)
{
	const char *const *words = verb->words;
	uint32_t protocol;

	*probe = (struct probe){.ttl = TTL, .tcp_flags = PROBE_TCP_SYN, .icmp_type = ICMP_ECHO};
	if (verb->count < POSITIONS || (strcasecmp(words[0], "out") != 0 && strcasecmp(words[0], "in") != 0)) {
		verb_fail(
			verb, EXIT_USAGE,
			"explain takes in or out, a protocol, and the source and destination of the packet as it arrives; for example: out tcp 192.168.1.2 203.0.113.1:443");
		return false;
	}
	*from = strcasecmp(words[0], "out") == 0 ? SIDE_LAN : SIDE_WAN;
	if (!verb_read_protocol(words[1], &protocol)) {
		verb_fail(verb, EXIT_USAGE,
			  "%s is not a protocol; give tcp, udp, icmp, gre, esp, ah, l2tp or a number up to 255",
			  words[1]);
		return false;
	}
	probe->protocol = (uint8_t)protocol;
	for (int i = 2; i < POSITIONS; i++) {
		if (read_endpoint(words[i], i == 2 ? &probe->source : &probe->destination,
				  i == 2 ? &probe->source_port : &probe->destination_port))
			continue;
		verb_fail(verb, EXIT_USAGE, "%s is not an endpoint; give an IPv4 address, with :PORT for tcp and udp",
			  words[i]);
		return false;
	}
	verb->words += POSITIONS;
	verb->count -= POSITIONS;
	if (!read_options(verb, probe))
		return false;
	*chosen = false;
	if (needs_ports(probe) && !strchr(words[POSITIONS - 1], ':')) {
		verb_fail(verb, EXIT_USAGE, "%s has no port; write it behind the address, like %s:443",
			  words[POSITIONS - 1], words[POSITIONS - 1]);
		return false;
	}
	*chosen = !strchr(words[2], ':') && choose_source_port(probe);
	return true;
}

/* --- from an explanation to rows --- */

/* The section that forward number index of the engine comes from. */
static const char *forward_name(const struct config *config, uint32_t index)
{
	struct forward expanded[FORWARD_EXPANDS_MAX];

	for (uint32_t i = 0; i < config->forwards; i++) {
		uint32_t count = config_forward_expand(&config->forward[i], expanded);

		if (index < count)
			return config->forward[i].name;
		index -= count;
	}
	return NULL;
}

static const char *age_of(bool is_there, bool is_new)
{
	return is_there ? (is_new ? "new" : "existing") : NULL;
}

static void send_verdict(struct verb *verb, const struct explanation *explanation, enum fate fate)
{
	const struct flow_view *flow = &explanation->flow;
	enum drop reason = (enum drop)explanation->result.drop;
	bool has_flow = explanation->has_flow,
	     has_ports = has_flow && (flow->protocol == PROTOCOL_TCP || flow->protocol == PROTOCOL_UDP);
	bool has_rule = fate != FATE_DROPPED && fate != FATE_NOT_OURS;
	struct json *row = verb_row(verb, "verdict");

	json_text(row, "verdict", fates[fate].name);
	json_text(row, "verdict-text", fates[fate].text);
	json_text(row, "reason", reason ? drop_name(reason) : NULL);
	json_text(row, "meaning", reason ? drop_meaning(reason) : NULL);
	json_text(row, "advice", reason ? drop_advice(reason) : NULL);
	json_text(row, "rule", has_rule ? rule_name(explanation->rule) : NULL);
	json_text(row, "rule-meaning", has_rule ? rule_meaning(explanation->rule) : NULL);
	json_text(row, "flow", age_of(has_flow, explanation->flow_is_new));
	json_number_if(row, has_flow && !explanation->flow_is_new, "index", flow->index);
	json_text(row, "mapping",
		  age_of(has_ports || (has_flow && flow->protocol == PROTOCOL_ICMP), explanation->mapping_is_new));
	json_endpoint(row, has_flow, "internal-src", flow->inside_address, flow->inside_port);
	json_endpoint(row, has_flow, "external-src", flow->outside_address, flow->outside_port);
	json_endpoint(row, has_flow, "external-dst", flow->remote_address, flow->remote_port);
	json_number_if(row, explanation->shared_port, "shared-port", explanation->shared_port);
	json_text(row, "forward", forward_name(verb->router->config, explanation->forward));
	json_bool(row, "hairpin", explanation->is_hairpin);
	json_text(row, "part", explanation->part != PART_NONE ? part_name(explanation->part) : NULL);
	json_text(row, "mode", explanation->part != PART_NONE ? service_mode_name(explanation->mode) : NULL);
	json_text(row, "module", explanation->reader != SERVICE_NONE ? service_name(explanation->reader) : NULL);
	json_endpoint(row, explanation->has_nearest, "nearest-src", explanation->nearest_address,
		      explanation->nearest_port);
	json_number(row, "mtu", explanation->mtu);
	json_number(row, "packets", explanation->outputs);
	verb_send(verb);
}

static void send_output(struct verb *verb, const struct explain_output *output)
{
	struct json *row = verb_row(verb, "packet");
	bool has_id = output->protocol == PROTOCOL_ICMP || output->protocol == PROTOCOL_GRE ||
		      output->protocol == PROTOCOL_ESP;
	char memory[8];

	json_text(row, "to", side_name(output->to));
	json_number(row, "transport-protocol", output->protocol);
	json_text(row, "protocol-name", verb_protocol_name(output->protocol, memory));
	json_endpoint(row, true, "src", output->source, output->source_port);
	json_endpoint(row, true, "dst", output->destination, output->destination_port);
	json_number_if(row, has_id, "identifier", output->identifier);
	json_number(row, "bytes", output->length);
	json_number(row, "offset", output->offset);
	json_number(row, "ttl", output->ttl);
	json_bool(row, "made-here", output->made);
	verb_send(verb);
}

static void send_note(struct verb *verb, const char *name, const char *text)
{
	struct json *row = verb_row(verb, "note");

	json_text(row, "note", name);
	json_text(row, "text", text);
	verb_send(verb);
}

/* --- what happens before the engine gets the packet, or behind it --- */

/* The section that the flow's target stands in, if a forward leads there. */
static const struct config_forward *forward_to(const struct config *config, struct address address)
{
	for (uint32_t i = 0; i < config->forwards; i++)
		if (address_equal(config->forward[i].to_address, address))
			return &config->forward[i];
	return NULL;
}

/* The kernel has the packet first, and keeps some. False if it does not keep this one. */
static bool is_kept_by_kernel(struct verb *verb, enum side from, const struct probe *probe, struct note *note)
{
	const struct kernel_links *links = kernel_links(verb->router->kernel);
	enum place place = forward_place(links, probe->destination);

	if (from != SIDE_LAN)
		return false;
	/* What inside hosts send to an outside address is ours. */
	if (kernel_links_is_outside(links, probe->destination))
		place = PLACE_ELSEWHERE;
	if (place == PLACE_ROUTER) {
		note->name = "own-address";
		note->text =
			"the destination is the router itself; its kernel takes the packet, and culvertd never sees it";
	} else if (place == PLACE_INSIDE) {
		note->name = "inside-destination";
		note->text =
			"the destination is in a network of the LAN; the packet stays there, and culvertd never sees it";
	} else if (probe->ttl <= 1) {
		note->name = "time-to-live";
		note->text =
			"the time to live ends in the router's kernel, which answers with time exceeded, and culvertd never sees it";
	} else {
		return false;
	}
	return true;
}

/* What the engine forwards, the data path may have to drop. */
static enum drop drop_behind(struct verb *verb, const struct explanation *explanation)
{
	struct kernel *kernel = verb->router->kernel;

	for (uint32_t i = 0; i < explanation->outputs && i < EXPLAIN_OUTPUTS; i++) {
		const struct explain_output *output = &explanation->output[i];

		if (output->to != SIDE_WAN || output->made)
			continue;
		if (!kernel_links(kernel)->wan.up)
			return DROP_LINK_DOWN;
		enum next_hop hop = kernel_peek_next_hop(kernel, output->destination);
		if (hop == NEXT_HOP_SILENT || hop == NEXT_HOP_NO_ROUTE)
			return hop == NEXT_HOP_SILENT ? DROP_LINK_NEXT_HOP : DROP_LINK_NO_ROUTE;
	}
	return DROP_NONE;
}

/* A forward to where no inside host is. */
static bool is_undeliverable(struct verb *verb, const struct explanation *explanation, char problem[FORWARD_PROBLEM])
{
	const struct config *config = verb->router->config;
	const struct config_forward *forward = explanation->has_flow && explanation->flow.inside_is_server
						       ? forward_to(config, explanation->flow.inside_address)
						       : NULL;

	return forward && explanation->result.verdict == VERDICT_FORWARDED &&
	       forward_problem(forward, config, kernel_links(verb->router->kernel), problem);
}

/* What becomes of the packet in the end; explanation is changed to what is true then. */
static enum fate find_fate(struct verb *verb, enum side from, const struct probe *probe,
			   struct explanation *explanation, struct note *note)
{
	static const enum fate of_verdict[] = {
		[VERDICT_FORWARDED] = FATE_FORWARDED,
		[VERDICT_CONSUMED] = FATE_CONSUMED,
		[VERDICT_HELD] = FATE_HELD,
		[VERDICT_DROPPED] = FATE_DROPPED,
	};
	enum drop drop;

	if (is_kept_by_kernel(verb, from, probe, note)) {
		*explanation = (struct explanation){
			.forward = FORWARDS_MAX,
			.part = PART_NONE,
			.reader = SERVICE_NONE,
		};
		return FATE_NOT_OURS;
	}
	if (is_undeliverable(verb, explanation, note->memory)) {
		note->name = "forward-leads-nowhere";
		note->text = note->memory;
		return FATE_UNDELIVERABLE;
	}
	drop = explanation->result.verdict == VERDICT_FORWARDED ? drop_behind(verb, explanation) : DROP_NONE;
	if (drop != DROP_NONE) {
		explanation->result = (struct engine_result){VERDICT_DROPPED, (uint8_t)drop};
		explanation->outputs = 0;
	}
	return of_verdict[explanation->result.verdict];
}

/* False with errno set. */
static bool run_dry(const struct router *router, const struct probe *probe, enum side from,
		    struct explanation *explanation)
{
	uint8_t *bytes = malloc(PACKET_LENGTH_MAX);
	void *snapshot = state_file_snapshot(router->flows);
	struct engine *shadow = bytes && snapshot ? engine_shadow(router->engine, snapshot) : NULL;
	bool has_run = shadow != NULL;
	struct packet packet;

	if (has_run) {
		probe_build(probe, &packet, bytes);
		engine_explain(shadow, from, &packet, clock_now_ms(), explanation);
		engine_free(shadow);
	}
	if (snapshot)
		state_file_drop_snapshot(router->flows, snapshot);
	free(bytes);
	return has_run;
}

static void send_source_port(struct verb *verb, const struct probe *probe)
{
	char text[80];

	snprintf(text, sizeof(text), "the source was given without a port; explain uses %u", probe->source_port);
	send_note(verb, "source-port", text);
}

enum verb_step verb_explain(struct verb *verb)
{
	struct explanation explanation;
	struct note note = {.name = NULL};
	struct probe probe;
	enum side from;
	enum fate fate;
	bool chosen;

	if (!read_probe(verb, &from, &probe, &chosen))
		return VERB_OVER;
	if (!run_dry(verb->router, &probe, from, &explanation))
		return verb_fail(verb, EXIT_NETWORK, "out of memory: cannot copy the tables: %s", strerror(errno));
	fate = find_fate(verb, from, &probe, &explanation, &note);
	send_verdict(verb, &explanation, fate);
	if (note.name)
		send_note(verb, note.name, note.text);
	if (chosen)
		send_source_port(verb, &probe);
	for (uint32_t i = 0; i < explanation.outputs && i < EXPLAIN_OUTPUTS; i++)
		send_output(verb, &explanation.output[i]);
	return VERB_OVER;
}
