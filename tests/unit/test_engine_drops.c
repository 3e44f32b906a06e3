/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of packets that were dropped. */
#include <stdlib.h>

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
	assert_int_equal(view.source.v4, W2);
	assert_int_equal(view.source_port, 53);
	assert_int_equal(view.destination.v4, O1);
	assert_int_equal(view.destination_port, port);
	assert_true(view.has_mapping);
	assert_int_equal(view.mapping_address.v4, L1);
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
	struct packet packet = {.data = bytes, .length = sizeof(bytes)};

	rig_udp(rig, SIDE_LAN, L1, 1234, 0x7f000001, 80);
	assert_true(latest(rig, &view));
	assert_int_equal(view.reason, DROP_DESTINATION_MARTIAN);
	assert_int_equal(view.destination.v4, 0x7f000001);
	assert_int_equal(view.destination_port, 0);
	rig_send_packet(rig, SIDE_LAN, &packet);
	assert_true(latest(rig, &view));
	assert_int_equal(view.reason, DROP_IP_VERSION);
	assert_int_equal(view.source.v4, 0);
	assert_int_equal(view.protocol, 0);
}

/* The same for each reason that comes before the transport header is read, with another packet's ports still lying in
 * the memory that this one gets. */
static void tells_no_ports_of_others(void **state)
{
	static const struct {
		enum drop reason;
		uint8_t at, value; /* what is spoilt of a good packet */
		bool fixed;        /* the header's sum is made right again */
	} spoilt[] = {
		{DROP_IP_CHECKSUM, 8, 7, false},       {DROP_IP_VERSION, 0, 0x65, true},
		{DROP_IP_SHORT, 2, 0xff, true},        {DROP_IP_SHORT, 0, 0x41, true},
		{DROP_SOURCE_MARTIAN, 12, 127, true},  {DROP_DESTINATION_MARTIAN, 16, 127, true},
		{DROP_FRAGMENT_LENGTH, 6, 0x20, true}, {DROP_NO_OUTSIDE_ADDRESS, 9, 17, true},
	};
	struct rig *rig = *state;
	struct packet_spec good = {.protocol = PROTO_UDP,
				   .source = L1,
				   .source_port = 1234,
				   .destination = W1,
				   .destination_port = 4321,
				   .payload_length = 33};
	struct test_packet *packet = malloc(sizeof(*packet));
	struct drop_view view;

	for (uint32_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		bool is_read = spoilt[i].reason == DROP_NO_OUTSIDE_ADDRESS;
		rig_send(rig, SIDE_LAN, &good);
		rig_forwarded(rig, SIDE_WAN);
		if (is_read)
			rig_outside(rig, 0, 0, 0);
		packets_build(packet, &good);
		packet->bytes[spoilt[i].at] = spoilt[i].value;
		if (spoilt[i].fixed && packets_ihl(&packet->packet) >= 20)
			packets_fix_ip_checksum(packet->bytes);
		rig_send_packet(rig, SIDE_LAN, &packet->packet);
		rig_dropped(rig, spoilt[i].reason);
		assert_true(latest(rig, &view));
		assert_int_equal(view.reason, spoilt[i].reason);
		assert_int_equal(view.source_port, is_read ? 1234 : 0);
		assert_int_equal(view.destination_port, is_read ? 4321 : 0);
	}
	/* an option, and a fragment too short for its header: neither fits above */
	static const uint8_t options[4] = {131, 3, 4, 0};
	rig_outside(rig, 1, O1, 0);
	for (int i = 0; i < 2; i++) {
		rig_send(rig, SIDE_LAN, &good);
		struct packet_spec bad = good;
		if (i == 0)
			bad.ip_options = options, bad.ip_options_length = sizeof(options);
		else
			bad.protocol = PROTO_TCP, bad.flags = FLAG_ACK, bad.fragment_offset = 8;
		rig_send(rig, SIDE_LAN, &bad);
		rig_dropped(rig, i == 0 ? DROP_IP_OPTION : DROP_FRAGMENT_TINY);
		assert_true(latest(rig, &view));
		assert_int_equal(view.source.v4, L1);
		assert_int_equal(view.source_port, 0);
		assert_int_equal(view.destination_port, 0);
	}
	free(packet);
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
		rig_test(tells_no_ports_of_others),
		rig_test(keeps_the_last_4096),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
