/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that the kernel has merged, and leaves to a device to cut up (GSO). */
#include <stdlib.h>

#include "rig.h"

/* Super-packets: what counts is the size of a segment; offload facts and partial sums pass. */
static void super_packets_pass(void **state)
{
	struct rig *rig = *state;

	for (int protocol = 0; protocol < 2; protocol++)
		for (uint16_t more = 0; more < 2; more++) {
			uint16_t header = protocol ? 28 : 40;
			struct packet *p =
				rig_send(rig, SIDE_LAN,
					 &(struct packet_spec){.protocol = protocol ? PROTO_UDP : PROTO_TCP,
							       .source = L1,
							       .source_port = 5000,
							       .destination = W1,
							       .destination_port = 80,
							       .flags = FLAG_ACK,
							       .df = true,
							       .payload_length = 64000,
							       .gso_size = (uint16_t)(1500 - header + more)});
			if (more) {
				rig_dropped(rig, DROP_TOO_BIG);
				rig_made_error(rig, &rig->out.item[0], SIDE_LAN, ROUTER, 3, 4, 1500);
				continue;
			}
			rig_forwarded(rig, SIDE_WAN);
			assert_int_equal(p->length, 64000 + header);
			assert_int_equal(p->offload.gso_size, 1500 - header);
			assert_true(p->offload.partial);
			assert_null(packets_verify(p));
		}
}

/* RFC 791: what may be cut is cut, a merged packet first into its segments. It counts once. */
static void merged_packets_with_df_clear_are_cut(void **state)
{
	enum { SEGMENTS = 3, SIZE = 2000, LAST = 700 };
	struct rig *rig = *state;

	for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
		uint32_t header = is_tcp ? 40 : 28, segment = 0, end = 0;
		uint16_t id = 0;
		rig_restart(rig);
		rig_send(rig, SIDE_LAN,
			 &(struct packet_spec){.protocol = is_tcp ? PROTO_TCP : PROTO_UDP,
					       .source = L1,
					       .source_port = 5000,
					       .destination = W1,
					       .destination_port = 80,
					       .sequence = 0xffffff00,
					       .flags = FLAG_ACK | FLAG_PSH | FLAG_FIN | FLAG_CWR,
					       .payload_length = (SEGMENTS - 1) * SIZE + LAST,
					       .gso_size = SIZE});
		assert_int_equal(rig->result.verdict, VERDICT_FORWARDED);
		assert_int_equal(engine_counters(rig->engine)->forwarded[SIDE_LAN], 1);
		assert_int_equal(rig->out.count, 2 * (SEGMENTS - 1) + 1);
		for (uint32_t i = 0; i < rig->out.count; i++) {
			const struct packet *p = &rig->out.item[i].packet;
			uint32_t offset = (packet_get16(p, 6) & 0x1fffu) * 8;
			assert_int_equal(rig->out.item[i].origin, i == 0 ? ORIGIN_COPY : ORIGIN_PIECE);
			assert_in_range(p->length, 21, 1500);
			assert_int_equal(p->offload.gso_type, GSO_NONE);
			if (offset == 0) {
				assert_int_equal(packet_get16(p, 4), i == 0 ? packet_get16(p, 4) : (uint16_t)(id + 1));
				id = packet_get16(p, 4);
				uint32_t size = segment == SEGMENTS - 1 ? LAST : SIZE;
				uint8_t flags = segment == 0 ? FLAG_ACK | FLAG_CWR : FLAG_ACK;
				if (segment == SEGMENTS - 1)
					flags |= FLAG_PSH | FLAG_FIN;
				if (is_tcp)
					assert_int_equal(packet_get8(p, 33), flags);
				if (is_tcp)
					assert_int_equal(packet_get32(p, 24), 0xffffff00 + segment * SIZE);
				else
					assert_int_equal(packet_get16(p, 24), 8 + size);
				end = header - 20 + size;
				segment++;
			}
			assert_int_equal(packet_get16(p, 4), id);
			assert_int_equal(!!(packet_get16(p, 6) & 0x2000), offset + p->length - 20 < end);
		}
		assert_int_equal(segment, SEGMENTS);
	}
}

/* A merged datagram of a port that is read, without data: there is one packet, and it counts. */
static void nothing_merged_counts(void **state)
{
	struct rig *rig = *state;

	packets_build(&rig->packet, &(struct packet_spec){.protocol = PROTO_UDP,
							  .source = L1,
							  .source_port = 500,
							  .destination = W1,
							  .destination_port = 500,
							  .gso_size = 100});
	struct test_packet *copy = malloc(sizeof(*copy));
	packets_copy(copy, &rig->packet.packet);
	rig_send_packet(rig, SIDE_LAN, &copy->packet);
	rig_forwarded(rig, SIDE_WAN);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(super_packets_pass),
		rig_test(merged_packets_with_df_clear_are_cut),
		rig_test(nothing_merged_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
