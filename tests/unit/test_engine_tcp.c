/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP states as their timers show them (docs/nat-behaviour.md section 8; RFC 5382 REQ-2 and 5, RFC 7857 section 2).
 * The client is L1:5000 (its sequence numbers begin at 100), the server W1:80 (at 500).
 */
#include "rig.h"

#include "nat/tcp.h"

static struct packet *client(struct rig *rig, uint8_t flags, uint32_t sequence, uint32_t acknowledge)
{
	struct packet *p = rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, flags, sequence, acknowledge);

	rig_forwarded(rig, SIDE_WAN);
	return p;
}

static struct packet *server(struct rig *rig, uint8_t flags, uint32_t sequence, uint32_t acknowledge)
{
	struct packet *p = rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, flags, sequence, acknowledge);

	rig_forwarded(rig, SIDE_LAN);
	return p;
}

static void expect_(struct rig *rig, enum tcp_state want, uint32_t seconds, int line)
{
	struct flow_view view;

	if (!rig_flow(rig, PROTO_TCP, L1, 5000, W1, 80, &view))
		fail_msg("line %d: the flow is gone", line);
	if (view.tcp_state != want || view.expires_ms != seconds * SECOND)
		fail_msg("line %d: state %u, %u ms left; expected state %u, %u s", line, view.tcp_state,
			 view.expires_ms, want, seconds);
}
#define expect(rig, want, seconds) expect_(rig, want, seconds, __LINE__)

static void handshake(struct rig *rig)
{
	client(rig, FLAG_SYN, 100, 0);
	expect(rig, TCP_STATE_OPENING, 240);
	server(rig, FLAG_SYN | FLAG_ACK, 500, 101);
	client(rig, FLAG_ACK, 101, 501);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
}

static void handshake_opens(void **state)
{
	handshake(*state);
}

static void simultaneous_open(void **state)
{
	struct rig *rig = *state;

	client(rig, FLAG_SYN, 100, 0);
	server(rig, FLAG_SYN, 500, 0);
	client(rig, FLAG_SYN | FLAG_ACK, 100, 501);
	server(rig, FLAG_SYN | FLAG_ACK, 500, 101);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
}

static void retransmitted_syn_changes_nothing(void **state)
{
	struct rig *rig = *state;

	client(rig, FLAG_SYN, 100, 0);
	rig_wait(rig, 1000);
	client(rig, FLAG_SYN, 100, 0);
	expect(rig, TCP_STATE_OPENING, 240);
	server(rig, FLAG_SYN | FLAG_ACK, 500, 101);
	server(rig, FLAG_SYN | FLAG_ACK, 500, 101);
	client(rig, FLAG_ACK, 101, 501);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
	client(rig, FLAG_SYN, 100, 0);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
	server(rig, FLAG_SYN, 7000, 0);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
}

/* RFC 5382 REQ-2, half-close: one FIN leaves the connection its long timer. */
static void half_close_keeps_the_long_timer(void **state)
{
	struct rig *rig = *state;

	handshake(rig);
	client(rig, FLAG_FIN | FLAG_ACK, 101, 501);
	server(rig, FLAG_ACK, 501, 102);
	expect(rig, TCP_STATE_HALF_CLOSED, 7440);
	rig_wait(rig, 2 * 3600 * SECOND);
	server(rig, FLAG_ACK | FLAG_PSH, 501, 102);
	expect(rig, TCP_STATE_HALF_CLOSED, 7440);
	server(rig, FLAG_FIN | FLAG_ACK, 501, 102);
	expect(rig, TCP_STATE_CLOSED, 240);
	client(rig, FLAG_ACK, 102, 502);
	expect(rig, TCP_STATE_CLOSED, 240);
	rig_wait(rig, 240 * SECOND);
	assert_int_equal(rig_flows(rig), 0);
}

static void simultaneous_close(void **state)
{
	struct rig *rig = *state;

	handshake(rig);
	client(rig, FLAG_FIN | FLAG_ACK, 101, 501);
	server(rig, FLAG_FIN | FLAG_ACK, 501, 101);
	expect(rig, TCP_STATE_CLOSED, 240);
}

/* A FIN out of its receiver's window is a stranger's. */
static void fin_out_of_window_changes_nothing(void **state)
{
	struct rig *rig = *state;

	handshake(rig);
	server(rig, FLAG_FIN | FLAG_ACK, 501 + 0x20000000, 101);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
	server(rig, FLAG_FIN | FLAG_ACK, 501u - 0x20000000, 101);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
}

/* RFC 7857 section 2.2: only the exact next sequence number resets; data brings the connection back. */
static void reset_must_be_exact(void **state)
{
	static const uint32_t wrong[] = {500, 502, 510, 501 + 60000, 0, 0xffffffff};
	struct rig *rig = *state;

	handshake(rig);
	for (size_t i = 0; i < 6; i++) {
		server(rig, FLAG_RST, wrong[i], 0);
		expect(rig, TCP_STATE_ESTABLISHED, 7440);
	}
	server(rig, FLAG_RST, 501, 0);
	expect(rig, TCP_STATE_RESET, 240);
	rig_wait(rig, 60 * SECOND);
	client(rig, FLAG_ACK | FLAG_PSH, 101, 501);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
	client(rig, FLAG_RST | FLAG_ACK, 101, 501);
	expect(rig, TCP_STATE_RESET, 240);
	rig_wait(rig, 240 * SECOND);
	assert_int_equal(rig_flows(rig), 0);
}

static void sequence_numbers_wrap(void **state)
{
	struct rig *rig = *state;

	client(rig, FLAG_SYN, 0xfffffffe, 0);
	server(rig, FLAG_SYN | FLAG_ACK, 0xffffffff, 0xffffffff);
	client(rig, FLAG_ACK, 0xffffffff, 0);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
	rig_send(rig, SIDE_LAN,
		 &(struct packet_spec){.protocol = PROTO_TCP,
				       .source = L1,
				       .source_port = 5000,
				       .destination = W1,
				       .destination_port = 80,
				       .flags = FLAG_ACK,
				       .sequence = 0xffffffff,
				       .acknowledge = 0,
				       .payload_length = 100});
	server(rig, FLAG_ACK, 0, 99);
	server(rig, FLAG_RST, 0xffffffff, 0);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
	server(rig, FLAG_RST, 0, 0);
	expect(rig, TCP_STATE_RESET, 240);
}

/* The same ports are used again after a close: the flow starts anew. */
static void syn_reopens_a_closed_flow(void **state)
{
	struct rig *rig = *state;

	handshake(rig);
	client(rig, FLAG_FIN | FLAG_ACK, 101, 501);
	server(rig, FLAG_FIN | FLAG_ACK, 501, 102);
	client(rig, FLAG_ACK, 102, 502);
	expect(rig, TCP_STATE_CLOSED, 240);
	rig_wait(rig, 1000);
	client(rig, FLAG_SYN, 90000, 0);
	expect(rig, TCP_STATE_OPENING, 240);
	server(rig, FLAG_SYN | FLAG_ACK, 70000, 90001);
	client(rig, FLAG_ACK, 90001, 70001);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
}

/* After a restart of the router connections go on: any segment but RST opens, outward only. */
static void connections_are_picked_up_from_inside(void **state)
{
	struct rig *rig = *state;

	rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, FLAG_RST, 100, 0);
	rig_dropped(rig, DROP_TCP_NO_FLOW);
	rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, FLAG_ACK, 1, 1);
	rig_dropped(rig, DROP_UNSOLICITED);
	client(rig, FLAG_ACK | FLAG_PSH, 100, 500);
	server(rig, FLAG_ACK, 500, 100);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
}

/* Flags no stack sends, and every other combination passes in an established flow (adv_25). */
static void every_set_of_flags(void **state)
{
	struct rig *rig = *state;

	handshake(rig);
	for (uint32_t flags = 0; flags < 256; flags++)
		for (int side = 0; side < 2; side++) {
			bool bad = !(flags & (FLAG_SYN | FLAG_ACK | FLAG_FIN | FLAG_RST)) ||
				   ((flags & FLAG_SYN) && (flags & (FLAG_FIN | FLAG_RST)));
			if (side == SIDE_LAN)
				rig_tcp(rig, SIDE_LAN, L1, 5000, W1, 80, (uint8_t)flags, 101, 501);
			else
				rig_tcp(rig, SIDE_WAN, W1, 80, O1, 5000, (uint8_t)flags, 501, 101);
			if (bad)
				rig_dropped(rig, DROP_TCP_FLAGS);
			else
				rig_forwarded(rig, side == SIDE_LAN ? SIDE_WAN : SIDE_LAN);
		}
}

static void a_syn_may_carry_data(void **state)
{
	struct rig *rig = *state;

	rig_send(rig, SIDE_LAN,
		 &(struct packet_spec){.protocol = PROTO_TCP,
				       .source = L1,
				       .source_port = 5000,
				       .destination = W1,
				       .destination_port = 80,
				       .flags = FLAG_SYN,
				       .sequence = 100,
				       .payload_length = 50});
	rig_forwarded(rig, SIDE_WAN);
	server(rig, FLAG_SYN | FLAG_ACK, 500, 151);
	client(rig, FLAG_ACK, 151, 501);
	expect(rig, TCP_STATE_ESTABLISHED, 7440);
	server(rig, FLAG_RST, 501, 0);
	expect(rig, TCP_STATE_RESET, 240);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(handshake_opens),
		rig_test(simultaneous_open),
		rig_test(retransmitted_syn_changes_nothing),
		rig_test(half_close_keeps_the_long_timer),
		rig_test(simultaneous_close),
		rig_test(fin_out_of_window_changes_nothing),
		rig_test(reset_must_be_exact),
		rig_test(sequence_numbers_wrap),
		rig_test(syn_reopens_a_closed_flow),
		rig_test(connections_are_picked_up_from_inside),
		rig_test(every_set_of_flags),
		rig_test(a_syn_may_carry_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
