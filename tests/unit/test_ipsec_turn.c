/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose turn it is: one phase 2 at a time, and who is owed an SPI by it. docs/nat-behaviour.md section 11. */
#include "ipsec_check.h"
#include "ipsec_rig.h"

#define test(name) cmocka_unit_test_setup_teardown(name, ipsec_rig_setup, rig_teardown)

static void check(const struct rig *rig)
{
	const char *wrong = ipsec_check(rig->engine);

	if (wrong)
		fail_msg("%s", wrong);
}

static void pair(struct rig *rig, uint32_t inside, uint32_t number)
{
	assert_int_equal(ipsec_out(rig, inside, W1, 0x100 + number, 1), O1);
	assert_int_equal(ipsec_in(rig, W1, 0xa00 + number, 1), inside);
}

/* A message of the client's; the port it leaves from, 0 if it waits. */
static uint16_t ask(struct rig *rig, uint32_t inside, uint8_t exchange, uint32_t message_id)
{
	const struct ike_spec spec = {.initiator = inside,
				      .responder = exchange == SA_INIT ? 0 : 9,
				      .exchange = exchange,
				      .message_id = message_id};
	const struct packet *out = ipsec_ike(rig, SIDE_LAN, inside, 500, W1, 500, &spec);

	return out ? packets_source_port(out) : 0;
}

/* One of the server's to that port, an answer or a request. */
static const struct packet *told(struct rig *rig, uint32_t inside, uint16_t port, uint8_t exchange, bool is_answer)
{
	const struct ike_spec spec = {.initiator = inside,
				      .responder = 9,
				      .exchange = exchange,
				      .message_id = exchange != SA_INIT,
				      .response = is_answer};

	return ipsec_ike(rig, SIDE_WAN, W1, 500, O1, port, &spec);
}

/* It ends a quarter of a second after its flow, not three seconds after its last message. */
static void the_turn_of_a_peer_that_ends(void **state)
{
	struct rig *rig = *state;
	uint16_t port = ask(rig, L1, SA_INIT, 0);

	rig_wait(rig, 299 * SECOND);
	assert_non_null(told(rig, L1, port, CHILD, false));
	assert_int_equal(ask(rig, L2, CHILD, 1), 0);
	rig_held(rig);
	rig_wait(rig, 999);
	assert_int_equal(rig->out.count, 0);
	rig_wait(rig, 252);
	assert_int_equal(rig->out.count, 1);
	check(rig);
}

/* What waited meets a flow that has ended meanwhile and goes nowhere: the next one's turn begins. */
static void a_turn_that_comes_to_nothing(void **state)
{
	struct rig *rig = *state;
	uint16_t first = ask(rig, L1, SA_INIT, 0), second = ask(rig, L2, SA_INIT, 0);

	rig_wait(rig, 298 * SECOND);
	assert_int_not_equal(ask(rig, L3, CHILD, 1), 0);
	assert_int_not_equal(ask(rig, L2, INFORMATIONAL, 0), 0);
	rig_wait(rig, SECOND);
	assert_null(told(rig, L1, first, CHILD, false));
	rig_held(rig);
	assert_null(told(rig, L2, second, CHILD, false));
	rig_held(rig);
	rig_wait(rig, 1999);
	assert_int_equal(rig->out.count, 0);
	rig_wait(rig, 2);
	assert_int_equal(rig->out.count, 1);
	assert_int_equal(packets_destination(&rig->out.item[0].packet), L2);
	check(rig);
}

/* Its ESP goes in UDP from now on, so that no new SPI is to be expected. */
static void the_turn_of_a_peer_that_turns_to_nat_traversal(void **state)
{
	static const uint8_t esp[40] = {0, 0, 1, 2, 0, 0, 0, 1};
	struct rig *rig = *state;

	assert_int_not_equal(ask(rig, L1, AUTH, 1), 0);
	assert_int_equal(ask(rig, L2, AUTH, 1), 0);
	rig_held(rig);
	rig_send(rig, SIDE_LAN,
		 &(struct packet_spec){.protocol = PROTO_UDP,
				       .source = L1,
				       .source_port = PORT_NATT,
				       .destination = W1,
				       .destination_port = PORT_NATT,
				       .payload = esp,
				       .payload_length = sizeof(esp)});
	assert_int_equal(rig->out.count, 2);
	assert_int_equal(packets_destination_port(&rig->out.item[0].packet), PORT_NATT);
	assert_int_equal(packets_destination_port(&rig->out.item[1].packet), 500);
	check(rig);
}

/* Hosts that begin say nothing about the one whose phase 2 has just been answered. */
static void who_is_owed_is_not_forgotten(void **state)
{
	struct rig *rig = *state;
	struct tunnel_view view;

	pair(rig, L1, 1);
	pair(rig, L2, 2);
	rig_wait(rig, 60 * SECOND);
	uint16_t port = ask(rig, L1, CHILD, 1);
	assert_non_null(told(rig, L1, port, CHILD, true));
	for (uint32_t i = 0; i < 6; i++)
		assert_int_not_equal(ask(rig, L3 + i, SA_INIT, 0), 0);
	assert_int_equal(ipsec_in(rig, W1, 0xa11, 1), L1);
	assert_true(ipsec_tunnel(rig, L1, W1, &view));
	assert_int_equal(view.pairing, PAIRING_RECENCY);
	check(rig);
}

/* ESP with a new SPI may overtake the server's answer: that it is owed to another one, who never sent any, is no reason
 * to give it to that one. */
static void esp_overtakes_the_answer(void **state)
{
	struct rig *rig = *state;

	uint16_t silent = ask(rig, L1, CHILD, 1);
	assert_non_null(told(rig, L1, silent, CHILD, true));
	rig_wait(rig, 60 * SECOND);
	uint16_t port = ask(rig, L2, CHILD, 1);
	assert_int_not_equal(port, 0);
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 1), 0);
	rig_dropped(rig, DROP_ESP_AMBIGUOUS);
	assert_non_null(told(rig, L2, port, CHILD, true));
	assert_int_equal(ipsec_in(rig, W1, 0xa02, 2), L2);
	/* now nobody asks, and only one is owed */
	rig_wait(rig, 60 * SECOND);
	assert_int_equal(ipsec_in(rig, W1, 0xa01, 1), L1);
}

/* A new initiator SPI on shared port 500 is that of the one whose IKE SA may have been renewed, and of no other. */
static void who_may_have_a_new_ike_sa(void **state)
{
	struct rig *rig = *state;
	uint16_t port = ask(rig, L1, SA_INIT, 0);

	assert_int_equal(port, 500);
	assert_non_null(told(rig, L1, port, SA_INIT, true));
	for (uint32_t i = 0; i < 5; i++)
		assert_int_not_equal(ask(rig, L3 + i, SA_INIT, 0), 500);
	for (uint32_t i = 0; i < 4; i++) {
		port = ask(rig, L2, SA_INIT, 0);
		rig_wait(rig, SECOND);
	}
	assert_int_equal(port, 500);
	assert_non_null(told(rig, L2, port, SA_INIT, true));
	rig_wait(rig, 20 * SECOND);
	ask(rig, L2, SA_INIT, 0);
	assert_null(told(rig, 77, 500, INFORMATIONAL, false));
	rig_dropped(rig, DROP_IKE_NO_PEER);
	assert_int_equal(ask(rig, L2, CHILD, 5), 500);
	/* as many as are remembered, who do not use that port */
	for (uint32_t i = 0; i < 5; i++)
		assert_int_not_equal(ask(rig, L3 + i, SA_INIT, 0), 500);
	const struct packet *in = told(rig, 78, 500, INFORMATIONAL, false);
	assert_non_null(in);
	assert_int_equal(packets_destination(in), L2);
	check(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_turn_of_a_peer_that_ends),
		test(a_turn_that_comes_to_nothing),
		test(the_turn_of_a_peer_that_turns_to_nat_traversal),
		test(who_is_owed_is_not_forgotten),
		test(esp_overtakes_the_answer),
		test(who_may_have_a_new_ike_sa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
