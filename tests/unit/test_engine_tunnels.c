/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engine adds to what a module knows of its tunnels, and hints as they are told. */
#include "ipsec_rig.h"
#include "pptp_messages.h"
#include "pptp_rig.h"

enum { OWN = 0x1234, THEIRS = 0x4321, PORT = 4000 };

struct told {
	uint32_t hints;
	enum tunnel_hint last;
	enum service service;
};

static void tell(void *context, enum engine_event_kind kind, const struct tunnel_view *view)
{
	struct told *told = context;

	if (kind != EVENT_TUNNEL_HINT)
		return;
	told->hints++;
	told->last = view->hint;
	told->service = view->service;
}

static void review(struct rig *rig)
{
	uint64_t cursor = 0;

	engine_tell_hints(rig->engine, &cursor, 1000, rig->now);
	assert_int_equal(cursor, 0);
}

static void knows_private_addresses(void **state)
{
	static const uint32_t inside[] = {0x0a000000, 0x0affffff, 0xac100000, 0xac1fffff,
					  0xc0a80000, 0xc0a8ffff, 0x64400000, 0x647fffff};
	static const uint32_t outside[] = {0x09ffffff, 0x0b000000, 0xac0fffff, 0xac200000,
					   0xc0a7ffff, 0xc0a90000, 0x643fffff, 0x64800000};

	(void)state;
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		assert_true(address_is_private(address_of(inside[i])));
		assert_false(address_is_private(address_of(outside[i])));
	}
}

/* An inside host that sends ESP and gets no answer. */
static void speak_alone(struct rig *rig, uint32_t inside, uint32_t remote, uint32_t spi)
{
	for (uint32_t i = 1; i < 13; i++) {
		assert_int_equal(ipsec_out(rig, inside, remote, spi, i), O1);
		rig_wait(rig, SECOND);
	}
}

/* Each is told once of each tunnel, and again only if it is another one. */
static void hints_are_told_once(void **state)
{
	struct rig *rig = *state;
	struct told told = {0};

	engine_on_event(rig->engine, tell, &told);
	review(rig);
	assert_int_equal(told.hints, 0);
	speak_alone(rig, L1, W1, 0x100);
	assert_int_equal(told.hints, 0); /* nobody has looked */
	review(rig);
	assert_int_equal(told.hints, 1);
	assert_int_equal(told.last, HINT_ESP_ONE_WAY);
	assert_int_equal(told.service, SERVICE_IPSEC);
	review(rig);
	assert_int_equal(told.hints, 1);
	rig_portless(rig, SIDE_LAN, PROTO_AH, L1, W1);
	review(rig);
	assert_int_equal(told.hints, 2);
	assert_int_equal(told.last, HINT_AH_SEEN);
	speak_alone(rig, L2, W2, 0x200);
	review(rig);
	assert_int_equal(told.hints, 3);
	assert_int_equal(told.last, HINT_ESP_ONE_WAY);
}

/* Some at a time: every tunnel gets its turn, and after the last one the first one comes again. */
static void hints_are_looked_for_piece_by_piece(void **state)
{
	struct rig *rig = *state;
	struct told told = {0};
	uint64_t cursor = 0;

	engine_on_event(rig->engine, tell, &told);
	speak_alone(rig, L1, W1, 0x100);
	speak_alone(rig, L2, W1, 0x200);
	speak_alone(rig, L3, W2, 0x300);
	for (int i = 0; i < 12; i++) { /* the first two have spoken for the last time a while ago */
		ipsec_out(rig, L1, W1, 0x100, 20);
		ipsec_out(rig, L2, W1, 0x200, 20);
		ipsec_out(rig, L3, W2, 0x300, 20);
		engine_tell_hints(rig->engine, &cursor, 1, rig->now);
		assert_int_equal(told.hints, i < 3 ? i + 1 : 3);
	}
	engine_tell_hints(rig->engine, &cursor, 0, rig->now);
	assert_int_equal(told.hints, 3);
}

static void told_hints_survive_a_crash(void **state)
{
	struct rig *rig = *state;
	struct told told = {0};

	speak_alone(rig, L1, W1, 0x100);
	engine_on_event(rig->engine, tell, &told);
	review(rig);
	assert_int_equal(told.hints, 1);
	rig_take_over(rig);
	rig_outside(rig, 1, O1, 0);
	engine_on_event(rig->engine, tell, &told);
	review(rig);
	assert_int_equal(told.hints, 1);
}

/* IKE goes on where only ESP is blocked; the tunnel is of no use meanwhile. */
static void a_part_is_blocked(void **state)
{
	struct rig *rig = *state;
	struct ike_spec spec = {.initiator = 1, .exchange = SA_INIT};
	struct tunnel_view view;

	assert_non_null(ipsec_ike(rig, SIDE_LAN, L1, 500, W1, 500, &spec));
	assert_int_equal(ipsec_out(rig, L1, W1, 0x100, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa00, 1), L1);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.state, TUNNEL_IS_CONNECTED);
	assert_int_equal(view.part, PART_ESP);
	rig->config.mode[PART_ESP] = MODE_BLOCK;
	rig_configure(rig);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.state, TUNNEL_IS_BLOCKED);
	assert_int_equal(view.hint, HINT_BLOCKED);
	rig->config.mode[PART_ESP] = MODE_PASS;
	rig_configure(rig);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.state, TUNNEL_IS_CONNECTED);
}

/* A call that connects, and whose data gets no answer. */
static void gre_goes_one_way(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;
	struct line line = line_to(rig, L1, PORT, W1);

	line_call(&line, OWN, THEIRS);
	for (int i = 0; i < 12; i++) {
		pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
		rig_wait(rig, SECOND);
	}
	assert_true(rig_tunnel(rig, L1, OWN, &view));
	assert_int_equal(view.silent, SIDE_WAN);
	assert_int_equal(view.hint, HINT_GRE_ONE_WAY);
	pptp_gre(rig, SIDE_WAN, W1, O1, OWN);
	assert_true(rig_tunnel(rig, L1, OWN, &view));
	assert_int_equal(view.hint, HINT_NONE);
}

/* A server inside whose client has fallen silent, and another NAT stands before the router. */
static void another_nat_before_a_server(void **state)
{
	static const uint32_t home = 0xc0a80102;
	struct rig *rig = *state;
	struct packet_spec in = {.protocol = PROTO_ESP,
				 .source = W1,
				 .destination = home,
				 .spi = 0xa00,
				 .sequence = 1,
				 .payload_length = 64};
	struct tunnel_view view;

	rig->config.forward[0] = (struct forward){.protocol = PROTO_ESP, .to_address = {L1}};
	rig->config.forwards = 1;
	rig_configure(rig);
	rig_outside(rig, 1, home, 0);
	rig_send(rig, SIDE_WAN, &in);
	rig_forwarded(rig, SIDE_LAN);
	for (uint32_t i = 1; i < 13; i++) {
		assert_int_equal(ipsec_out(rig, L1, W1, 0x100, i), home);
		assert_true(ipsec_tunnel(rig, L1, W1, &view));
		assert_true(view.inside_is_server);
		assert_int_equal(view.hint, HINT_NONE);
		if (i < 10)
			rig_wait(rig, SECOND);
	}
	rig_wait(rig, SECOND);
	ipsec_out(rig, L1, W1, 0x100, 20);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.silent, SIDE_WAN);
	assert_int_equal(view.hint, HINT_WAN_IS_PRIVATE);
	rig_send(rig, SIDE_WAN, &in);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.hint, HINT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_private_addresses),
		pptp_test(hints_are_told_once),
		pptp_test(hints_are_looked_for_piece_by_piece),
		pptp_test(told_hints_survive_a_crash),
		pptp_test(a_part_is_blocked),
		pptp_test(gre_goes_one_way),
		pptp_test(another_nat_before_a_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
