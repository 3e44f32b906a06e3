/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of flows: which phases they go through, and what those hear who must know. */
#include <string.h>

#include "ipsec_rig.h"
#include "nat/life.h"
#include "pptp_rig.h"

/* What was told since it was asked last: offered, changed, withdrawn, ended, of whatever flow. */
static struct {
	const struct engine *engine;
	const struct flow_events *behind;
	char told[64];
	uint32_t index;
} heard;

static void hear(struct engine *engine, uint32_t index, char what)
{
	size_t count = strlen(heard.told);

	/* A shadow has nobody who takes anything from it. */
	assert_ptr_equal(engine, heard.engine);
	assert_true(count + 1 < sizeof(heard.told));
	heard.told[count] = what;
	heard.index = index;
}

static void hear_offered(struct engine *engine, uint32_t index)
{
	assert_int_equal(engine->flow[index].phase, FLOW_STEADY);
	hear(engine, index, 'o');
}

static void hear_changed(struct engine *engine, uint32_t index)
{
	hear(engine, index, 'c');
}

static void hear_withdrawn(struct engine *engine, uint32_t index)
{
	assert_int_not_equal(engine->flow[index].phase, FLOW_STEADY);
	hear(engine, index, 'w');
}

static void hear_ended(struct engine *engine, uint32_t index)
{
	assert_true(engine->flow[index].flags & FLOW_LIVE);
	hear(engine, index, 'e');
	heard.behind->ended(engine, index);
}

static void listen(struct rig *rig)
{
	static const struct flow_events events = {hear_offered, hear_changed, hear_withdrawn, hear_ended};

	memset(&heard, 0, sizeof(heard));
	heard.engine = rig->engine;
	heard.behind = rig->engine->events;
	rig->engine->events = &events;
}

#define assert_told(what)                                  \
	do {                                               \
		assert_string_equal(heard.told, what);     \
		memset(heard.told, 0, sizeof(heard.told)); \
	} while (0)

static void a_datagram_each_way_makes_steady(void **state)
{
	struct rig *rig = *state;

	listen(rig);
	uint16_t port = rig_open_udp(rig, L1, 5000, W1, 7000);
	rig_open_udp(rig, L1, 5000, W1, 7000);
	assert_told("");
	rig_udp(rig, SIDE_WAN, W1, 7000, O1, port);
	assert_told("o");
	rig_udp(rig, SIDE_WAN, W1, 7000, O1, port);
	rig_open_udp(rig, L1, 5000, W1, 7000);
	assert_told("");
	rig_wait(rig, 301 * SECOND);
	assert_told("we");
}

static void a_flow_without_an_answer_is_never_offered(void **state)
{
	struct rig *rig = *state;

	listen(rig);
	rig_open_udp(rig, L1, 5000, W1, 7000);
	rig_echo(rig, SIDE_LAN, L1, W1, 8, 77);
	rig_wait(rig, 301 * SECOND);
	assert_told("ee");
}

static void a_query_and_its_answer(void **state)
{
	struct rig *rig = *state;

	listen(rig);
	struct packet *out = rig_echo(rig, SIDE_LAN, L1, W1, 8, 77);
	rig_echo(rig, SIDE_WAN, W1, O1, 0, packet_get16(out, 24));
	assert_told("o");
}

static void a_connection_from_the_first_syn_to_the_end(void **state)
{
	struct rig *rig = *state;

	listen(rig);
	struct packet *out = rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_SYN, 100, 0);
	uint16_t port = packet_get16(out, 20);
	assert_told("");
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, port, FLAG_SYN | FLAG_ACK, 500, 101);
	assert_told("o");
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_ACK, 101, 501);
	assert_told("");
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_FIN | FLAG_ACK, 101, 501);
	assert_told("w");
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, port, FLAG_FIN | FLAG_ACK, 501, 102);
	assert_told("");
	/* The same endpoints again: another life of the same flow. */
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_SYN, 9000, 0);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, port, FLAG_SYN | FLAG_ACK, 7000, 9001);
	assert_told("o");
	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_RST, 9001, 0);
	assert_told("w");
	rig_wait(rig, 241 * SECOND);
	assert_told("e");
}

static void both_flows_of_a_hairpin(void **state)
{
	struct rig *rig = *state;

	uint16_t called = rig_open_udp(rig, L2, 6000, W1, 7000);
	listen(rig);
	rig_udp(rig, SIDE_LAN, L1, 5000, O1, called);
	rig_forwarded(rig, SIDE_LAN);
	assert_told("");
	uint16_t caller = packet_get16(&rig->out.item[0].packet, 20);
	rig_udp(rig, SIDE_LAN, L2, 6000, O1, caller);
	rig_forwarded(rig, SIDE_LAN);
	assert_told("oo");
}

static void a_call_from_its_answer_to_its_end(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 5000, W1);

	listen(rig);
	uint16_t outside = line_request(&line, 7);
	assert_told("");
	line_message(&line, SIDE_WAN, 8, 900, outside, 1);
	assert_told("o");
	/* The connection, then the call, which lingers. */
	line_reset(&line, SIDE_LAN);
	assert_told("ww");
}

static void an_sa_when_both_spis_are_known(void **state)
{
	struct rig *rig = *state;

	listen(rig);
	ipsec_out(rig, L1, W1, 0x100, 1);
	assert_told("");
	assert_int_equal(ipsec_in(rig, W1, 0x900, 1), L1);
	assert_told("o");
	ipsec_out(rig, L1, W1, 0x100, 2);
	assert_told("");
}

static void a_flow_that_a_mode_ends(void **state)
{
	struct rig *rig = *state;

	line_to(rig, L1, 5000, W1);
	listen(rig);
	rig->config.mode[PART_PPTP] = MODE_BLOCK;
	rig_configure(rig);
	assert_told("cwe"); /* nobody reads it any more; then it ends */
}

static void a_removed_flow_is_withdrawn_first(void **state)
{
	struct rig *rig = *state;
	struct flow_view view;

	uint16_t port = rig_open_udp(rig, L1, 5000, W1, 7000);
	rig_udp(rig, SIDE_WAN, W1, 7000, O1, port);
	listen(rig);
	assert_true(rig_flow(rig, 17, L1, 5000, W1, 7000, &view));
	life_end(rig->engine, view.index);
	assert_told("we");
	assert_int_equal(heard.index, view.index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_datagram_each_way_makes_steady),
		rig_test(a_flow_without_an_answer_is_never_offered),
		rig_test(a_query_and_its_answer),
		rig_test(a_connection_from_the_first_syn_to_the_end),
		rig_test(both_flows_of_a_hairpin),
		pptp_test(a_call_from_its_answer_to_its_end),
		cmocka_unit_test_setup_teardown(an_sa_when_both_spis_are_known, ipsec_rig_setup, rig_teardown),
		pptp_test(a_flow_that_a_mode_ends),
		rig_test(a_removed_flow_is_withdrawn_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
