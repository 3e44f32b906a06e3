/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of packets that were dropped. */
#include "rig.h"

static bool latest(struct rig *rig, struct drop_view *view)
{
	uint64_t cursor = 0;

	return engine_next_drop(rig->engine, &cursor, rig->now, view);
}

static void tells_what_was_dropped(void **state)
{
	struct rig *rig = *state;
	struct drop_view view;

	assert_false(latest(rig, &view));
	uint16_t port = rig_open_udp(rig, L1, 5000, W1, 53);
	rig_udp(rig, SIDE_WAN, W2, 53, O1, port);
	rig_dropped(rig, DROP_FILTERED);
	rig_wait(rig, 1500);
	assert_true(latest(rig, &view));
	assert_int_equal(view.number, 1);
	assert_int_equal(view.age_ms, 1500);
	assert_int_equal(view.from, SIDE_WAN);
	assert_int_equal(view.reason, DROP_FILTERED);
	assert_int_equal(view.protocol, PROTO_UDP);
	assert_int_equal(view.source, W2);
	assert_int_equal(view.source_port, 53);
	assert_int_equal(view.destination, O1);
	assert_int_equal(view.destination_port, port);
	assert_true(view.has_mapping);
	assert_int_equal(view.mapping_address, L1);
	assert_int_equal(view.mapping_port, 5000);
	rig_portless(rig, SIDE_WAN, PROTO_ESP, W1, O1);
	assert_true(latest(rig, &view));
	assert_int_equal(view.reason, DROP_NO_OWNER);
	assert_int_equal(view.identifier, 0x1001);
	assert_false(view.has_mapping);
}

/* Nothing is believed of a packet that was not read that far. */
static void tells_no_more_than_was_read(void **state)
{
	struct rig *rig = *state;
	struct drop_view view;
	uint8_t bytes[30] = {0x65};
	struct packet packet = {.data = bytes, .length = sizeof bytes};

	rig_udp(rig, SIDE_LAN, L1, 1234, 0x7f000001, 80);
	assert_true(latest(rig, &view));
	assert_int_equal(view.reason, DROP_DESTINATION_MARTIAN);
	assert_int_equal(view.destination, 0x7f000001);
	assert_int_equal(view.destination_port, 0);
	rig_send_packet(rig, SIDE_LAN, &packet);
	assert_true(latest(rig, &view));
	assert_int_equal(view.reason, DROP_IP_VERSION);
	assert_int_equal(view.source, 0);
	assert_int_equal(view.protocol, 0);
}

static void keeps_the_last_4096(void **state)
{
	struct rig *rig = *state;
	struct drop_view view;
	uint64_t cursor = 0, expected = 5000;

	rig->in_haste = true;
	for (uint16_t i = 1; i <= 5000; i++)
		rig_udp(rig, SIDE_WAN, W1, i, O1, 9);
	for (; engine_next_drop(rig->engine, &cursor, rig->now, &view); expected--) {
		assert_int_equal(view.number, expected);
		assert_int_equal(view.source_port, expected);
		/* What comes meanwhile is not shown, and what it overwrites is not either. */
		if (expected == 4000)
			for (int i = 0; i < 10; i++)
				rig_udp(rig, SIDE_WAN, W1, 9999, O1, 9);
	}
	assert_int_equal(5000 - expected, 4096 - 10);
	assert_false(engine_next_drop(rig->engine, &cursor, rig->now, &view));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(tells_what_was_dropped),
		rig_test(tells_no_more_than_was_read),
		rig_test(keeps_the_last_4096),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
