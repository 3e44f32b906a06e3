/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The test rig: see rig.h.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALWAYS_EXPLAINED = 100, THEN_ONE_IN = 32 };    /* packets of a test: a copy of the arena takes a while */
enum { ALWAYS_PROTECTED = 10, PROTECTED_ONE_IN = 8 }; /* explanations: so does a change of all its pages */

/* Maps the arena's file, so that the arena ends where a page ends, and the next page is nobody's. */
static void *map(struct rig *rig, int flags)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (rig->size + 63) / 64 * 64;

	rig->mapped = (size + page - 1) / page * page;
	uint8_t *place = mmap(NULL, rig->mapped + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(place != MAP_FAILED);
	assert_true(mmap(place, rig->mapped, PROT_READ | PROT_WRITE, flags | MAP_FIXED, rig->file, 0) == place);
	return place + rig->mapped - size;
}

static void unmap(struct rig *rig, void *arena)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	munmap((void *)((uintptr_t)arena / page * page), rig->mapped + page);
}

static void make_arena(struct rig *rig)
{
	rig->size = engine_arena_size(&rig->limits);
	assert_int_not_equal(rig->size, 0);
	rig->file = memfd_create("arena", 0);
	assert_int_not_equal(rig->file, -1);
	assert_int_equal(ftruncate(rig->file, (off_t)rig->size + 2 * sysconf(_SC_PAGESIZE)), 0);
	rig->arena = map(rig, MAP_SHARED);
}

static void start(struct rig *rig)
{
	rig->engine = engine_new(rig->arena, rig->size, &rig->limits, &rig->config, rig->seed, false, rig->now);
	assert_non_null(rig->engine);
	packets_set_outside(rig->engine, &O1, 1, rig->now);
}

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (!rig)
		return -1;
	*state = rig;
	rig->now = 1000000;
	rig->service = SERVICE_NONE;
	rig->limits = (struct engine_limits){.flows = 4096, .hosts = 64, .addresses = 2, .fragments = 256};
	engine_config_default(&rig->config);
	rig->config.inside[0].prefix = (struct prefix){{0x0a000000}, 16};
	rig->config.insides = 1;
	rig->config.inside[0].router_address.v4 = ROUTER;
	rig->config.hop_address.v4 = HOP;
	for (int i = 0; i < 32; i++)
		rig->seed[i] = (uint8_t)(i * 11 + 3);
	emissions_init(&rig->out);
	make_arena(rig);
	start(rig);
	return 0;
}

static void unmake_arena(struct rig *rig)
{
	unmap(rig, rig->arena);
	close(rig->file);
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;

	engine_free(rig->engine);
	unmake_arena(rig);
	emissions_free(&rig->out);
	free(rig);
	return 0;
}

void rig_restart(struct rig *rig)
{
	engine_free(rig->engine);
	if (engine_arena_size(&rig->limits) == rig->size) {
		memset(rig->arena, 0, rig->size); /* a new one would have to get its pages from the kernel */
	} else {
		unmake_arena(rig);
		make_arena(rig);
	}
	start(rig);
}

void rig_take_over(struct rig *rig)
{
	engine_free(rig->engine);
	rig->engine = engine_new(rig->arena, rig->size, &rig->limits, &rig->config, rig->seed, true, rig->now);
	assert_non_null(rig->engine);
	emissions_clear(&rig->out);
	rig_check(rig);
}

void rig_move(struct rig *rig)
{
	void *arena = map(rig, MAP_SHARED);

	engine_free(rig->engine);
	unmap(rig, rig->arena);
	rig->arena = arena;
	rig->engine = NULL;
}

void rig_configure(struct rig *rig)
{
	engine_configure(rig->engine, &rig->config, rig->now);
}

void rig_outside(struct rig *rig, uint32_t count, uint32_t first, uint32_t second)
{
	uint32_t address[2] = {first, second};

	packets_set_outside(rig->engine, address, count, rig->now);
}

void rig_check(struct rig *rig)
{
	const char *wrong = packets_check_conservation(engine_counters(rig->engine));

	if (!wrong && !rig->in_haste)
		wrong = engine_check(rig->engine);
	for (uint32_t i = 0; !wrong && i < rig->out.count; i++)
		wrong = rig->wrong_sums ? packets_verify_ip(&rig->out.item[i].packet)
					: packets_verify(&rig->out.item[i].packet);
	if (wrong)
		fail_msg("%s", wrong);
}

static void protect(struct rig *rig, int protection)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)rig->arena / page * page;

	assert_int_equal(mprotect((void *)start, rig->mapped, protection), 0);
}

void rig_explain(struct rig *rig, enum side from, const struct packet *packet, struct explanation *explanation)
{
	void *copy = map(rig, MAP_PRIVATE); /* as in culvertd: it costs the pages that are written */
	bool protects = rig->asked++ < ALWAYS_PROTECTED || rig->asked % PROTECTED_ONE_IN == 0;

	packets_copy(&rig->work, packet);
	if (protects)
		protect(rig, PROT_READ);
	struct engine *shadow = engine_shadow(rig->engine, copy);
	assert_non_null(shadow);
	engine_explain(shadow, from, &rig->work.packet, rig->now, explanation);
	engine_free(shadow);
	if (protects)
		protect(rig, PROT_READ | PROT_WRITE);
	unmap(rig, copy);
}

static void compare_output(const struct explain_output *told, const struct emission *e)
{
	const struct packet *packet = &e->packet;
	bool has_ports = told->protocol == PROTO_TCP || told->protocol == PROTO_UDP;

	assert_int_equal(told->to, e->to);
	assert_int_equal(told->made, e->origin == ORIGIN_OWN);
	assert_int_equal(told->protocol, packet_get8(packet, 9));
	assert_int_equal(told->ttl, packet_get8(packet, 8));
	assert_int_equal(told->source.v4, packets_source(packet));
	assert_int_equal(told->destination.v4, packets_destination(packet));
	assert_int_equal(told->length, packet_get16(packet, 2));
	assert_int_equal(told->offset, (packet_get16(packet, 6) & 0x1fff) * 8);
	if (!has_ports || told->offset != 0 || told->length < 28)
		return;
	assert_int_equal(told->source_port, packets_source_port(packet));
	assert_int_equal(told->destination_port, packets_destination_port(packet));
}

/* What was told before must be what has happened. */
static void compare(const struct rig *rig, const struct explanation *told)
{
	assert_int_equal(told->result.verdict, rig->result.verdict);
	assert_int_equal(told->result.drop, rig->result.drop);
	assert_int_equal(told->outputs, rig->out.count);
	for (uint32_t i = 0; i < rig->out.count && i < EXPLAIN_OUTPUTS; i++)
		compare_output(&told->output[i], &rig->out.item[i]);
	assert_int_equal(told->rule == RULE_NONE, rig->result.verdict == VERDICT_DROPPED);
}

struct packet *rig_send_packet(struct rig *rig, enum side from, const struct packet *packet)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &rig->out};

	struct explanation told;
	bool explains = !rig->in_haste && (rig->explained++ < ALWAYS_EXPLAINED || rig->explained % THEN_ONE_IN == 0);

	if (packet != &rig->packet.packet)
		packets_copy(&rig->packet, packet);
	if (explains)
		rig_explain(rig, from, packet, &told);
	packets_copy(&rig->work, packet);
	emissions_clear(&rig->out);
	memset(&rig->result, 0xff, sizeof(rig->result));
	engine_process(rig->engine, from, &rig->work.packet, 1, rig->now, &sink, &rig->result);
	if (explains)
		compare(rig, &told);
	rig_check(rig);
	return rig->out.count == 1 ? &rig->out.item[0].packet : NULL;
}

struct packet *rig_send(struct rig *rig, enum side from, const struct packet_spec *spec)
{
	packets_build(&rig->packet, spec);
	return rig_send_packet(rig, from, &rig->packet.packet);
}

struct packet *rig_udp(struct rig *rig, enum side from, uint32_t source, uint16_t source_port, uint32_t destination,
		       uint16_t destination_port)
{
	return rig_send(rig, from,
			&(struct packet_spec){.protocol = PROTO_UDP,
					      .source = source,
					      .source_port = source_port,
					      .destination = destination,
					      .destination_port = destination_port,
					      .payload_length = 20});
}

struct packet *rig_tcp(struct rig *rig, enum side from, uint32_t source, uint16_t source_port, uint32_t destination,
		       uint16_t destination_port, uint8_t flags, uint32_t sequence, uint32_t acknowledge)
{
	return rig_send(rig, from,
			&(struct packet_spec){.protocol = PROTO_TCP,
					      .source = source,
					      .source_port = source_port,
					      .destination = destination,
					      .destination_port = destination_port,
					      .flags = flags,
					      .sequence = sequence,
					      .acknowledge = acknowledge,
					      .df = true});
}

struct packet *rig_echo(struct rig *rig, enum side from, uint32_t source, uint32_t destination, uint8_t type,
			uint16_t id)
{
	return rig_send(rig, from,
			&(struct packet_spec){.protocol = PROTO_ICMP,
					      .source = source,
					      .destination = destination,
					      .icmp_type = type,
					      .source_port = id,
					      .sequence = 7,
					      .payload_length = 56});
}

struct packet *rig_portless(struct rig *rig, enum side from, uint8_t protocol, uint32_t source, uint32_t destination)
{
	return rig_send(rig, from,
			&(struct packet_spec){.protocol = protocol,
					      .source = source,
					      .destination = destination,
					      .spi = 0x1001,
					      .sequence = 1,
					      .payload_length = 40});
}

void rig_wait(struct rig *rig, uint64_t ms)
{
	struct engine_sink sink = {.emit = emissions_emit, .context = &rig->out};

	emissions_clear(&rig->out);
	rig->now += ms;
	for (int i = 0; engine_deadline(rig->engine) <= rig->now; i++) {
		assert_true(i < 1000000);
		engine_expire(rig->engine, rig->now, &sink);
	}
	rig_check(rig);
}

static const char *verdict_text(const struct rig *rig)
{
	static char text[100]; /* only for a message before the test ends */

	snprintf(text, sizeof(text), "verdict %u (%s), %u emissions", rig->result.verdict,
		 rig->result.drop < DROPS ? drop_name(rig->result.drop) : "?", rig->out.count);
	return text;
}

void rig_forwarded_(struct rig *rig, enum side to, const char *file, int line)
{
	if (rig->result.verdict == VERDICT_FORWARDED && rig->result.drop == DROP_NONE && rig->out.count >= 1 &&
	    rig->out.item[0].to == to)
		return;
	print_error("expected: forwarded to side %d; got: %s\n", to, verdict_text(rig));
	_fail(file, line);
}

void rig_dropped_(struct rig *rig, enum drop reason, const char *file, int line)
{
	if (rig->result.verdict == VERDICT_DROPPED && rig->result.drop == reason)
		return;
	print_error("expected: dropped for %s; got: %s\n", drop_name(reason), verdict_text(rig));
	_fail(file, line);
}

void rig_consumed(struct rig *rig)
{
	assert_int_equal(rig->result.verdict, VERDICT_CONSUMED);
	assert_int_equal(rig->out.count, 0);
}

void rig_held(struct rig *rig)
{
	assert_int_equal(rig->result.verdict, VERDICT_HELD);
	assert_int_equal(rig->out.count, 0);
}

uint16_t rig_open_udp(struct rig *rig, uint32_t source, uint16_t source_port, uint32_t destination,
		      uint16_t destination_port)
{
	struct packet *p = rig_udp(rig, SIDE_LAN, source, source_port, destination, destination_port);

	rig_forwarded(rig, SIDE_WAN);
	assert_non_null(p);
	return packets_source_port(p);
}

bool rig_flow(struct rig *rig, uint8_t protocol, uint32_t inside, uint16_t inside_port, uint32_t remote,
	      uint16_t remote_port, struct flow_view *view)
{
	uint32_t cursor = 0;

	while (engine_next_flow(rig->engine, &cursor, rig->now, view))
		if (view->protocol == protocol && view->inside_address.v4 == inside &&
		    view->inside_port == inside_port && view->remote_address.v4 == remote &&
		    view->remote_port == remote_port)
			return true;
	return false;
}

uint32_t rig_flows(struct rig *rig)
{
	struct flow_view view;
	uint32_t cursor = 0, count = 0;

	while (engine_next_flow(rig->engine, &cursor, rig->now, &view))
		count++;
	return count;
}

void rig_made_error(struct rig *rig, const struct emission *e, enum side to, uint32_t source, uint8_t type,
		    uint8_t code, uint32_t rest)
{
	const struct packet *p = &e->packet, *about = &rig->packet.packet;
	uint32_t total = packet_get16(about, 2), quote = total < 548 ? total : 548;

	assert_int_equal(e->to, to);
	assert_int_equal(e->origin, ORIGIN_OWN);
	assert_null(packets_verify(p));
	assert_int_equal(p->length, 28 + quote);
	assert_int_equal(packet_get8(p, 1), 0xc0);
	assert_int_equal(packet_get8(p, 9), PROTO_ICMP);
	assert_int_equal(packets_source(p), source);
	assert_int_equal(packets_destination(p), packets_source(about));
	assert_int_equal(packet_get8(p, 20), type);
	assert_int_equal(packet_get8(p, 21), code);
	assert_int_equal(packet_get32(p, 24), rest);
	assert_memory_equal(p->data + 28, about->data, quote);
}

uint64_t rig_stat(const struct rig *rig, enum statistic stat)
{
	return engine_counters(rig->engine)->stat[stat];
}

bool rig_tunnel(struct rig *rig, uint32_t inside, uint32_t id, struct tunnel_view *view)
{
	struct tunnel_view each;
	uint64_t cursor = 0;
	bool found = false;

	while (engine_next_tunnel(rig->engine, &cursor, rig->now, &each)) {
		assert_int_equal(each.service, rig->service);
		assert_int_equal(each.index, (uint32_t)cursor - 1); /* so it is found again */
		if (each.inside_address.v4 != inside || !each.has_inside_id || each.inside_id != id)
			continue;
		/* Of two that are equally old, the one that lives is the younger one. */
		if (!found || each.age_ms < view->age_ms || (each.age_ms == view->age_ms && each.end == END_NOT))
			*view = each;
		found = true;
	}
	return found;
}

void rig_expect_tunnel(struct rig *rig, uint32_t inside, uint32_t id, enum tunnel_state state, enum tunnel_end end)
{
	struct tunnel_view view;

	if (!rig_tunnel(rig, inside, id, &view))
		fail_msg("no tunnel with ID %u; expected one that is %s", id, tunnel_state_name(state));
	assert_int_equal(view.state, state);
	assert_int_equal(view.end, end);
}

uint32_t rig_tunnels(struct rig *rig, bool ended_too)
{
	struct tunnel_view view;
	uint64_t cursor = 0;
	uint32_t count = 0;

	while (engine_next_tunnel(rig->engine, &cursor, rig->now, &view))
		count += ended_too || view.end == END_NOT;
	return count;
}
