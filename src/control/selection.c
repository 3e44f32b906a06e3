/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of tunnels and mappings, and what belongs to them. */
#include "control/selection.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include <culvert/module.h>

#include "config/text.h"
#include "control/capture_text.h"
#include "control/verb.h"
#include "io/clock.h"
#include "observe/tunnel_text.h"

/* --- from a word --- */

static bool find_mapping(struct selection *selection, struct verb *verb, uint32_t index)
{
	uint32_t cursor = index, budget = 1;

	selection->what = SELECTED_MAPPING;
	if (engine_next_flow_within(verb->router->engine, &cursor, &budget, clock_now_ms(), &selection->flow))
		return true;
	verb_fail(verb, EXIT_NOT_FOUND, "there is no mapping %" PRIu32 " (any more); mappings lists those that exist",
		  index);
	return false;
}

static bool find_tunnel(struct selection *selection, struct verb *verb, const char *word, enum service service,
			uint32_t index)
{
	uint64_t cursor = (uint64_t)service << 32 | index, next = cursor + 1;
	char end[TUNNEL_END];

	selection->what = SELECTED_TUNNEL;
	if (!engine_next_tunnel(verb->router->engine, &cursor, clock_now_ms(), &selection->tunnel) || cursor != next) {
		verb_fail(verb, EXIT_NOT_FOUND, "there is no tunnel %s (any more); tunnels lists those that exist",
			  word);
		return false;
	}
	if (selection->tunnel.end == END_NOT)
		return true;
	verb_fail(verb, EXIT_NOT_FOUND, "the tunnel %s has ended: %s", word, tunnel_text_end(&selection->tunnel, end));
	return false;
}

bool selection_read_tunnel(const char *word, enum service *service, uint32_t *index)
{
	const char *dash = strrchr(word, '-');
	size_t length = dash ? (size_t)(dash - word) : 0;

	for (*service = 0; dash && *service < SERVICES; (*service)++)
		if (strlen(service_name(*service)) == length && !strncasecmp(service_name(*service), word, length))
			return text_number(dash + 1, UINT32_MAX - 1, index);
	return false;
}

bool selection_read(struct selection *selection, struct verb *verb, const char *word, bool takes_hosts)
{
	enum service service;
	uint32_t index;

	*selection = (struct selection){.what = SELECTED_ALL};
	if (text_number(word, UINT32_MAX - 1, &index))
		return find_mapping(selection, verb, index);
	if (selection_read_tunnel(word, &service, &index))
		return find_tunnel(selection, verb, word, service, index);
	if (text_address(word, &selection->host)) {
		selection->what = SELECTED_HOST;
		if (takes_hosts)
			return true;
		verb_fail(verb, EXIT_USAGE, "%s is an address; write host=%s, or remote=%s", word, word, word);
		return false;
	}
	if (verb_is_like_address(word))
		verb_fail(verb, EXIT_USAGE, "not an IPv4 address: %.60s", word);
	else
		verb_fail(
			verb, EXIT_USAGE,
			"cannot understand %.60s: give %sa tunnel like pptp-17 or the number of a mapping, as tunnels and mappings list them",
			word, takes_hosts ? "the address of an inside host like 192.168.1.2, " : "");
	return false;
}

/* --- flows --- */

/* One of them is a port of the service. */
static bool has_port_of(enum service service, uint8_t protocol, uint16_t one, uint16_t other)
{
	return (one != 0 && service_of_part(part_claiming(protocol, one)) == service) ||
	       (other != 0 && service_of_part(part_claiming(protocol, other)) == service);
}

static bool tunnel_has_flow(const struct tunnel_view *tunnel, const struct flow_view *flow)
{
	if (!address_equal(flow->inside_address, tunnel->inside_address) ||
	    !address_equal(flow->remote_address, tunnel->remote_address))
		return false;
	switch (tunnel->service) {
	case SERVICE_PPTP:
		if (flow->protocol == PROTOCOL_GRE)
			return flow->inside_port == tunnel->inside_id;
		return flow->protocol == PROTOCOL_TCP && tunnel->inside_port != 0 &&
		       flow->inside_port == tunnel->inside_port && flow->remote_port == tunnel->remote_port;
	case SERVICE_L2TP:
		return flow->protocol == PROTOCOL_L2TP || (flow->protocol == PROTOCOL_UDP && tunnel->inside_port != 0 &&
							   flow->inside_port == tunnel->inside_port);
	default:
		if (flow->protocol == PROTOCOL_UDP)
			return has_port_of(tunnel->service, PROTOCOL_UDP, flow->inside_port, flow->remote_port);
		return flow->protocol == PROTOCOL_ESP || flow->protocol == PROTOCOL_AH;
	}
}

bool selection_has_flow(const struct selection *selection, const struct flow_view *view)
{
	const struct flow_view *flow = &selection->flow;

	switch (selection->what) {
	case SELECTED_HOST:
		return address_equal(view->inside_address, selection->host);
	case SELECTED_MAPPING:
		return view->index == flow->index && view->protocol == flow->protocol &&
		       address_equal(view->inside_address, flow->inside_address) &&
		       view->inside_port == flow->inside_port &&
		       address_equal(view->remote_address, flow->remote_address) &&
		       view->remote_port == flow->remote_port;
	case SELECTED_TUNNEL:
		return tunnel_has_flow(&selection->tunnel, view);
	default:
		return true;
	}
}

/* --- packets --- */

/* How a packet goes between the two ends, from the inside or the outside one as it is called on that side. */
struct way {
	bool is_outbound;
	uint16_t local_port, remote_port; /* 0: later fragments, and what has no ports */
};

/* False if it does not go between them at all. */
static bool read_way(const struct capture_ends *ends, struct address local, struct address remote, struct way *way)
{
	if (address_equal(ends->source, local) && address_equal(ends->destination, remote))
		*way = (struct way){true, ends->source_port, ends->destination_port};
	else if (address_equal(ends->source, remote) && address_equal(ends->destination, local))
		*way = (struct way){false, ends->destination_port, ends->source_port};
	else
		return false;
	return true;
}

/* What is not known is 0, of the ends and of the packet. */
static bool may_equal(uint32_t one, uint32_t other)
{
	return one == 0 || other == 0 || one == other;
}

static bool mapping_has_packet(const struct flow_view *flow, const struct capture_ends *ends, enum side side)
{
	uint16_t local_port = side == SIDE_LAN ? flow->inside_port : flow->outside_port;
	struct way way;

	if (ends->protocol != flow->protocol ||
	    !read_way(ends, side == SIDE_LAN ? flow->inside_address : flow->outside_address, flow->remote_address,
		      &way))
		return false;
	switch (flow->protocol) {
	case PROTOCOL_TCP:
	case PROTOCOL_UDP:
		return may_equal(way.local_port, local_port) && may_equal(way.remote_port, flow->remote_port);
	case PROTOCOL_ICMP:
		return may_equal(ends->identifier, local_port);
	case PROTOCOL_GRE: /* a call has the ID that the receiver chose */
		return may_equal(ends->identifier, way.is_outbound ? flow->remote_port : local_port);
	default:
		return true;
	}
}

static bool pptp_has_packet(const struct tunnel_view *tunnel, const struct capture_ends *ends, const struct way *way,
			    enum side side)
{
	uint32_t local_id = side == SIDE_LAN ? tunnel->inside_id : tunnel->outside_id;

	if (ends->protocol == PROTOCOL_GRE)
		return may_equal(ends->identifier, way->is_outbound ? tunnel->remote_id : local_id);
	if (ends->protocol != PROTOCOL_TCP)
		return false;
	if (tunnel->inside_port == 0)
		return has_port_of(tunnel->service, PROTOCOL_TCP, way->local_port, way->remote_port);
	return may_equal(way->remote_port, tunnel->remote_port) &&
	       (side == SIDE_WAN || may_equal(way->local_port, tunnel->inside_port));
}

static bool tunnel_has_packet(const struct tunnel_view *tunnel, const struct capture_ends *ends, enum side side)
{
	struct address local = side == SIDE_LAN ? tunnel->inside_address : tunnel->outside_address;
	struct way way;

	if (!read_way(ends, local, tunnel->remote_address, &way))
		return false;
	switch (tunnel->service) {
	case SERVICE_PPTP:
		return pptp_has_packet(tunnel, ends, &way, side);
	case SERVICE_L2TP: /* the server may answer from another port */
		if (ends->protocol != PROTOCOL_UDP)
			return ends->protocol == PROTOCOL_L2TP;
		if (side == SIDE_LAN && tunnel->inside_port != 0)
			return may_equal(way.local_port, tunnel->inside_port);
		return way.remote_port == 0 ||
		       has_port_of(tunnel->service, PROTOCOL_UDP, way.local_port, way.remote_port);
	default:
		if (ends->protocol == PROTOCOL_UDP)
			return way.remote_port == 0 ||
			       has_port_of(tunnel->service, PROTOCOL_UDP, way.local_port, way.remote_port);
		return ends->protocol == PROTOCOL_ESP || ends->protocol == PROTOCOL_AH;
	}
}

bool selection_has_packet(const struct selection *selection, const struct capture_ends *ends, enum side side)
{
	switch (selection->what) {
	case SELECTED_HOST:
		return address_equal(ends->source, selection->host) ||
		       address_equal(ends->destination, selection->host);
	case SELECTED_MAPPING:
		return mapping_has_packet(&selection->flow, ends, side);
	case SELECTED_TUNNEL:
		return tunnel_has_packet(&selection->tunnel, ends, side);
	default:
		return true;
	}
}
