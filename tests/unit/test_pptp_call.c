/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls from request to end: their data, their timers, how they end and what is shown of them, what runs out, hairpins,
 * errors, fragments, modes, and recovery. docs/nat-behaviour.md, section 10.
 */
#include "pptp_rig.h"

#include <string.h>

enum { OWN = 0x4d21, THEIRS = 0x3e17, DRAIN = 30 * SECOND, HOLD_DOWN = 120 * SECOND, GRE_CALL = 600 * SECOND };

/* A call of L1 whose ID had to change; L2 has it towards the same server. */
static struct line changed_call(struct rig *rig, uint16_t *outside_id)
{
	struct line other = line_to(rig, L2, 40000, W1), line = line_to(rig, L1, 3000, W1);

	assert_int_equal(line_call(&other, OWN, THEIRS + 1), OWN);
	*outside_id = line_call(&line, OWN, THEIRS);
	assert_int_not_equal(*outside_id, OWN);
	return line;
}

/* --- data --- */

static void data_before_the_answer(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t outside_id = line_request(&line, OWN);
	struct packet *p = pptp_gre(rig, SIDE_WAN, W1, O1, outside_id);

	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L1);
	assert_int_equal(packet_get16(p, 26), OWN);
	pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS); /* which ID is the server's is not known yet */
	rig_dropped(rig, DROP_GRE_NO_CALL);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside_id, 1, THEIRS, OWN);
	line_data_passes(&line, OWN, outside_id, THEIRS);
}

static void data_of_nobody(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);

	pptp_gre(rig, SIDE_WAN, W2, O1, outside_id); /* another server */
	rig_dropped(rig, DROP_GRE_NO_CALL);
	pptp_gre(rig, SIDE_WAN, W1, O1, outside_id ^ 0x100);
	rig_dropped(rig, DROP_GRE_NO_CALL);
	pptp_gre(rig, SIDE_WAN, W1, O2, outside_id);
	rig_dropped(rig, DROP_NOT_FOR_US);
	pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS + 1); /* another client's call */
	rig_dropped(rig, DROP_GRE_NO_CALL);
	pptp_gre(rig, SIDE_LAN, L2, W1, THEIRS);
	rig_dropped(rig, DROP_GRE_NO_CALL);
	pptp_gre(rig, SIDE_LAN, L3, W1, THEIRS);
	rig_dropped(rig, DROP_GRE_NO_CALL);
	struct packet *p = pptp_gre(rig, SIDE_WAN, W1, O1, OWN); /* L2's, whatever L1 calls its own */
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L2);
	assert_int_equal(rig_flows(rig), 4);
	line_data_passes(&line, OWN, outside_id, THEIRS);
}

/* The first word of RFC 2637 section 4.1, bit by bit. */
static void the_header_of_data(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t outside_id = line_call(&line, OWN, THEIRS);
	static struct test_packet p;

	for (int bit = 0; bit < 32; bit++) {
		packets_build(&p, &(struct packet_spec){.protocol = PROTO_GRE,
							.enhanced = true,
							.call_id = outside_id,
							.source = W1,
							.destination = O1,
							.payload_length = 40});
		packet_put32(&p.packet, 20, 0x2001880b ^ UINT32_C(1) << bit);
		rig_send_packet(rig, SIDE_WAN, &p.packet);
		if (bit == 28 || bit == 23) /* sequence and acknowledgement */
			rig_forwarded(rig, SIDE_LAN);
		else if (bit <= 16) /* another protocol or version 0, which is not PPTP: nobody started it */
			rig_dropped(rig, DROP_NO_OWNER);
		else
			rig_dropped(rig, DROP_GRE_MALFORMED);
	}
	for (uint32_t length = 0; length < 8; length++) {
		p.packet.length = 20 + length;
		packet_put16(&p.packet, 2, (uint16_t)p.packet.length);
		packet_put32(&p.packet, 20, 0x2001880b);
		packets_fix_ip_checksum(p.bytes);
		rig_send_packet(rig, SIDE_WAN, &p.packet);
		rig_dropped(rig, DROP_GRE_MALFORMED);
	}
}

static void other_gre_goes_its_way(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t outside_id = line_call(&line, OWN, THEIRS);
	static struct test_packet p;

	rig_portless(rig, SIDE_LAN, PROTO_GRE, L1, W1);
	rig_forwarded(rig, SIDE_WAN);
	rig_portless(rig, SIDE_LAN, PROTO_GRE, L2, W1);
	rig_dropped(rig, DROP_OWNER_TAKEN);
	for (uint32_t host = 0; host < 2; host++)
		for (uint32_t key = 0; key < 2; key++) { /* one owner a key */
			packets_build(&p, &(struct packet_spec){.protocol = PROTO_GRE,
								.source = L1 + host,
								.destination = W1,
								.payload_length = 40});
			packet_put16(&p.packet, 20, 0x2000);
			packet_put32(&p.packet, 24, (uint32_t)OWN << 16 | (host * 2 + key));
			rig_send_packet(rig, SIDE_LAN, &p.packet);
			rig_forwarded(rig, SIDE_WAN);
			packet_put32(&p.packet, 12, W1);
			packet_put32(&p.packet, 16, O1);
			packets_fix_ip_checksum(p.bytes);
			struct packet *back = rig_send_packet(rig, SIDE_WAN, &p.packet);
			rig_forwarded(rig, SIDE_LAN);
			assert_int_equal(packets_destination(back), L1 + host);
			assert_int_equal(packet_get32(back, 24), (uint32_t)OWN << 16 | (host * 2 + key));
		}
	line_data_passes(&line, OWN, outside_id, THEIRS);
}

/* Version 1 that is not PPP's: EoIP is told apart by its tunnel ID, all else has one owner for each remote address; in
 * every mode, since it is no part of PPTP. */
static void version_1_of_others(void **state)
{
	struct rig *rig = *state;
	static struct test_packet p;

	for (int mode = MODE_PASS; mode <= MODE_BLOCK; mode++) {
		rig->config.mode[PART_PPTP] = (enum service_mode)mode;
		rig_configure(rig);
		for (uint32_t i = 0; i < 4; i++) {
			bool is_eoip = i < 3; /* tunnels of two hosts, then a tunnel that another host has */
			packets_build(&p, &(struct packet_spec){.protocol = PROTO_GRE,
								.source = i == 1   ? L2
									  : i == 2 ? L3
										   : L1,
								.destination = W1,
								.payload_length = 60});
			packet_put32(&p.packet, 20, is_eoip ? 0x20016400 : 0x20010800);
			packet_put32(&p.packet, 24, (uint32_t)60 << 16 | (i == 0 ? 0x0a00 : 0x0b00));
			rig_send_packet(rig, SIDE_LAN, &p.packet);
			if (i == 2) {
				rig_dropped(rig, DROP_OWNER_TAKEN);
				continue;
			}
			rig_forwarded(rig, SIDE_WAN);
			packet_put32(&p.packet, 12, W1);
			packet_put32(&p.packet, 16, O1);
			packets_fix_ip_checksum(p.bytes);
			struct packet *back = rig_send_packet(rig, SIDE_WAN, &p.packet);
			rig_forwarded(rig, SIDE_LAN);
			assert_int_equal(packets_destination(back), i == 1 ? L2 : L1);
		}
	}
	packets_build(&p, &(struct packet_spec){.protocol = PROTO_GRE, .source = L1, .destination = W1});
	packet_put32(&p.packet, 20, 0x20016400);
	p.packet.length = 27;
	packet_put16(&p.packet, 2, 27);
	packets_fix_ip_checksum(p.bytes);
	rig_send_packet(rig, SIDE_LAN, &p.packet);
	rig_dropped(rig, DROP_GRE_MALFORMED);
}

static void fragments_of_data(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);
	static struct test_packet whole, piece[2];

	for (int order = 0; order < 2; order++) {
		packets_build(&whole, &(struct packet_spec){.protocol = PROTO_GRE,
							    .enhanced = true,
							    .call_id = outside_id,
							    .source = W1,
							    .destination = O1,
							    .id = (uint16_t)(7 + order),
							    .payload_length = 1992});
		packets_build_fragment(&piece[0], &whole, 0, 1200);
		packets_build_fragment(&piece[1], &whole, 1200, 800);
		rig_send_packet(rig, SIDE_WAN, &piece[order].packet);
		if (order)
			rig_held(rig);
		else
			rig_forwarded(rig, SIDE_LAN);
		rig_send_packet(rig, SIDE_WAN, &piece[!order].packet);
		rig_forwarded(rig, SIDE_LAN);
		for (uint32_t i = 0; i < rig->out.count; i++)
			assert_int_equal(packets_destination(&rig->out.item[i].packet), L1);
		if (order)
			assert_int_equal(packet_get16(&rig->out.item[0].packet, 26), OWN);
	}
	packets_build_fragment(&piece[0], &whole, 0, 8); /* a first piece that holds the Call ID and nothing more */
	packet_put16(&piece[0].packet, 4, 20);
	packets_fix_ip_checksum(piece[0].bytes);
	struct packet *p = rig_send_packet(rig, SIDE_WAN, &piece[0].packet);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packet_get16(p, 26), OWN);
	line_data_passes(&line, OWN, outside_id, THEIRS);
}

/* --- errors about data --- */

static void errors_from_outside(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);
	static struct test_packet error;

	pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
	for (uint32_t quote = 28; quote <= 68; quote += 40) {
		struct packet sent = rig->out.item[0].packet;
		packets_build_error(&error, X, O1, 3, 4, 1400, sent.data, quote);
		struct packet copy = error.packet;
		struct packet *p = rig_send_packet(rig, SIDE_WAN, &copy);
		rig_forwarded(rig, SIDE_LAN);
		assert_int_equal(packets_source(p), X);
		assert_int_equal(packets_destination(p), L1);
		assert_int_equal(packet_get32(p, 28 + 12), L1);
		assert_int_equal(packet_get32(p, 28 + 16), W1);
		assert_int_equal(packet_get16(p, 28 + 26), THEIRS);
		assert_int_equal(packets_sum(p->data + 28, 20, 0), 0xffff);
		pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
	}
	packets_build_error(&error, X, O1, 3, 4, 1400, rig->out.item[0].packet.data, 28);
	packet_put16(&error.packet, 28 + 26, 0x7777); /* of no call */
	packets_fix_transport_checksum(&error.packet);
	rig_send_packet(rig, SIDE_WAN, &error.packet);
	rig_dropped(rig, DROP_ICMP_QUOTE_UNKNOWN);
	line_data_passes(&line, OWN, outside_id, THEIRS);
}

static void errors_from_inside(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);
	static struct test_packet error;

	pptp_gre(rig, SIDE_WAN, W1, O1, outside_id);
	uint8_t delivered[28];
	memcpy(delivered, rig->out.item[0].packet.data, 28);
	/* Unreachable would end everybody's calls at the server; what a path MTU needs goes on. */
	for (uint32_t code = 0; code < 16; code++) {
		if (code == 4)
			continue;
		packets_build_error(&error, L1, W1, 3, (uint8_t)code, 0, delivered, 28);
		rig_send_packet(rig, SIDE_LAN, &error.packet);
		rig_dropped(rig, DROP_ICMP_OTHER_CALLS);
	}
	packets_build_error(&error, L1, W1, 3, 4, 0, delivered, 28);
	struct packet *p = rig_send_packet(rig, SIDE_LAN, &error.packet);
	rig_forwarded(rig, SIDE_WAN);
	assert_int_equal(packets_source(p), O1);
	assert_int_equal(packet_get32(p, 28 + 12), W1);
	assert_int_equal(packet_get32(p, 28 + 16), O1);
	assert_int_equal(packet_get16(p, 28 + 26), outside_id);
	packet_put16(&error.packet, 28 + 26, outside_id); /* not an ID of L1's */
	packets_fix_transport_checksum(&error.packet);
	rig_send_packet(rig, SIDE_LAN, &error.packet);
	rig_dropped(rig, DROP_ICMP_QUOTE_UNKNOWN);
	line_data_passes(&line, OWN, outside_id, THEIRS);
}

/* --- hairpins --- */

struct hairpin {
	struct line caller, called; /* both ends are inside: each sends from the LAN */
	uint16_t caller_outside, called_outside;
};

static const uint8_t *turn(struct rig *rig, struct line *from, struct line *to, unsigned type, uint16_t first,
			   uint16_t second)
{
	uint8_t bytes[MESSAGE_MAX];
	uint32_t length = message_build(bytes, type, first, second, RESULT_CONNECTED), count;

	from->next[SIDE_WAN] = to->next[SIDE_LAN];
	struct packet *p = line_send(from, SIDE_LAN, bytes, length);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_source(p), O1);
	assert_int_equal(packets_destination(p), to->inside);
	return line_data(p, &count);
}

/* L1 calls SERVER through our own address; both IDs change. */
static struct hairpin hairpinned_call(struct rig *rig)
{
	struct hairpin h = {.caller = line_plan(rig, false, L1, 3000, O1)};
	struct line other = line_plan(rig, false, L2, 2000, O1), other_called;

	for (int i = 0; i < 2; i++) { /* the first pair takes both IDs */
		struct line *a = i ? &h.caller : &other, *b = i ? &h.called : &other_called;
		struct packet *p = line_segment(a, SIDE_LAN, FLAG_SYN, a->next[SIDE_LAN]++, NULL, 0);
		rig_forwarded(rig, SIDE_LAN);
		*b = (struct line){.rig = rig,
				   .inside = SERVER,
				   .inside_port = 1723,
				   .remote = O1,
				   .remote_port = packets_source_port(p),
				   .next = {5000, a->next[SIDE_LAN]}};
		line_segment(b, SIDE_LAN, FLAG_SYN | FLAG_ACK, b->next[SIDE_LAN]++, NULL, 0);
		rig_forwarded(rig, SIDE_LAN);
		if (i == 0)
			turn(rig, a, b, OUTGOING_REQUEST, THEIRS + 1, 0);
		const uint8_t *data = turn(rig, a, b, OUTGOING_REQUEST, OWN, 0);
		h.caller_outside = message_get16(data + 12);
		data = turn(rig, b, a, OUTGOING_REPLY, (uint16_t)(THEIRS + i), h.caller_outside);
		h.called_outside = message_get16(data + 12);
		assert_int_equal(message_get16(data + 14), OWN);
	}
	return h;
}

static void a_hairpinned_call(void **state)
{
	struct rig *rig = *state;
	struct hairpin h = hairpinned_call(rig);
	static struct test_packet error;

	assert_int_not_equal(h.caller_outside, OWN);
	assert_int_not_equal(h.called_outside, THEIRS + 1);
	struct packet *p = pptp_gre(rig, SIDE_LAN, L1, O1, h.called_outside);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_source(p), O1);
	assert_int_equal(packets_destination(p), SERVER);
	assert_int_equal(packet_get16(p, 26), THEIRS + 1);
	packets_build_error(&error, SERVER, O1, 3, 4, 0, p->data, 28);
	p = rig_send_packet(rig, SIDE_LAN, &error.packet);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_source(p), O1);
	assert_int_equal(packets_destination(p), L1);
	assert_int_equal(packet_get32(p, 28 + 12), L1);
	assert_int_equal(packet_get32(p, 28 + 16), O1);
	assert_int_equal(packet_get16(p, 28 + 26), h.called_outside);
	p = pptp_gre(rig, SIDE_LAN, SERVER, O1, h.caller_outside);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), L1);
	assert_int_equal(packet_get16(p, 26), OWN);
	packets_build_error(&error, L1, O1, 3, 4, 0, p->data, 28);
	p = rig_send_packet(rig, SIDE_LAN, &error.packet);
	rig_forwarded(rig, SIDE_LAN);
	assert_int_equal(packets_destination(p), SERVER);
	assert_int_equal(packet_get16(p, 28 + 26), h.caller_outside);
	pptp_gre(rig, SIDE_LAN, L3, O1, h.called_outside);
	rig_dropped(rig, DROP_GRE_NO_CALL);
	pptp_gre(rig, SIDE_WAN, W1, O1, h.called_outside);
	rig_dropped(rig, DROP_GRE_NO_CALL);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	rig_expect_tunnel(rig, SERVER, THEIRS + 1, TUNNEL_IS_CONNECTED, END_NOT);
	turn(rig, &h.caller, &h.called, CLEAR_REQUEST, OWN, 0);
	rig_expect_tunnel(rig, SERVER, THEIRS + 1, TUNNEL_IS_CLEARING, END_NOT);
	const uint8_t *data = turn(rig, &h.called, &h.caller, DISCONNECT_NOTIFY, THEIRS + 1, 0);
	assert_int_equal(message_get16(data + 12), h.called_outside);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_CLEARED);
	rig_expect_tunnel(rig, SERVER, THEIRS + 1, TUNNEL_IS_ENDED, END_CLEARED);
	rig->config.hairpinning = false;
	rig_configure(rig);
	pptp_gre(rig, SIDE_LAN, L1, O1, h.called_outside);
	rig_dropped(rig, DROP_HAIRPIN_OFF);
}

/* --- ends --- */

/* Data drains, then nothing passes, then the ID rests, and then others may have it. */
static void expect_the_end(struct rig *rig, struct line *line, uint16_t outside_id, enum tunnel_end end)
{
	rig_expect_tunnel(rig, line->inside, OWN, TUNNEL_IS_ENDED, end);
	rig_wait(rig, DRAIN - 1);
	line_data_passes(line, OWN, outside_id, THEIRS);
	rig_wait(rig, 1);
	line_data_refused(line, outside_id, THEIRS);
	rig_wait(rig, HOLD_DOWN - 1);
	struct line third = line_to(rig, L3, 5000, line->remote);
	assert_int_not_equal(line_request(&third, outside_id), outside_id);
	rig_wait(rig, 1);
	line_data_refused(line, outside_id, THEIRS);
	third = line_to(rig, L3, 5001, line->remote);
	assert_int_equal(line_call(&third, outside_id, 99), outside_id);
	rig_expect_tunnel(rig, line->inside, OWN, TUNNEL_IS_ENDED, end);
}

static void ended_by_every_cause(void **state)
{
	for (int cause = 0; cause < 8; cause++) {
		struct rig *rig = *state;
		uint16_t outside_id;
		rig_restart(rig);
		struct line line = changed_call(rig, &outside_id);
		enum tunnel_end end = END_DISCONNECTED;
		switch (cause) {
		case 0:
			line_message(&line, SIDE_WAN, DISCONNECT_NOTIFY, THEIRS, 0, 4);
			break;
		case 1:
			line_message(&line, SIDE_LAN, CLEAR_REQUEST, OWN, 0, 0);
			line_data_passes(&line, OWN, outside_id, THEIRS);
			line_message(&line, SIDE_WAN, DISCONNECT_NOTIFY, outside_id, 0, 4);
			end = END_CLEARED;
			break;
		case 2:
			line_message(&line, SIDE_LAN, STOP_REQUEST, 1, 0, 0);
			line_data_passes(&line, OWN, outside_id, THEIRS);
			line_message(&line, SIDE_WAN, STOP_REPLY, 1, 0, 0);
			end = END_STOPPED;
			break;
		case 3:
			line_message(&line, SIDE_WAN, STOP_REQUEST, 1, 0, 0);
			line_message(&line, SIDE_LAN, STOP_REPLY, 1, 0, 0);
			end = END_STOPPED;
			break;
		case 4:
			line_segment(&line, SIDE_LAN, FLAG_FIN | FLAG_ACK, line.next[SIDE_LAN]++, NULL, 0);
			rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
			line_segment(&line, SIDE_WAN, FLAG_FIN | FLAG_ACK, line.next[SIDE_WAN]++, NULL, 0);
			end = END_CONTROL_CLOSED;
			break;
		case 5:
		case 6:
			line_reset(&line, cause == 5 ? SIDE_LAN : SIDE_WAN);
			end = END_CONTROL_RESET;
			break;
		default:
			line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside_id, RESULT_REFUSED, THEIRS, OWN);
			end = END_REFUSED;
			break;
		}
		expect_the_end(rig, &line, outside_id, end);
	}
}

/* Nobody has cleaned up yet: the answer is too late all the same, whether the call was answered before or not. */
static void an_answer_too_late(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t outside_id = line_request(&line, OWN), other = line_call(&line, OWN + 1, THEIRS + 1);

	rig->now += MINUTE;
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside_id, 1, THEIRS, OWN);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_NO_ANSWER);
	pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
	rig_dropped(rig, DROP_GRE_NO_CALL);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS + 1, other, 1, THEIRS + 1, OWN + 1);
	rig_expect_tunnel(rig, L1, OWN + 1, TUNNEL_IS_CONNECTED, END_NOT);
}

static void a_request_without_an_answer(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t outside_id = line_request(&line, OWN);

	rig_wait(rig, MINUTE - 1);
	pptp_gre(rig, SIDE_WAN, W1, O1, outside_id); /* early data is no answer */
	rig_forwarded(rig, SIDE_LAN);
	line_message(&line, SIDE_LAN, ECHO_REQUEST, 1, 1, 0); /* nor is a living control connection */
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_REQUESTED, END_NOT);
	rig_wait(rig, 1);
	pptp_gre(rig, SIDE_WAN, W1, O1, outside_id);
	rig_dropped(rig, DROP_GRE_NO_CALL);
	rig_wait(rig, SECOND * 10);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_NO_ANSWER);
	line_expect(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside_id, 1, THEIRS, outside_id);
	pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
	rig_dropped(rig, DROP_GRE_NO_CALL);
	line_call(&line, OWN, THEIRS);
}

/* Giving up before the answer makes the wait no longer; an answer all the same does. */
static void cleared_before_the_answer(void **state)
{
	for (int answered = 0; answered < 2; answered++) {
		struct rig *rig = *state;
		rig_restart(rig);
		struct line line = line_to(rig, L1, 3000, W1);
		uint16_t outside_id = line_request(&line, OWN);
		line_message(&line, SIDE_LAN, CLEAR_REQUEST, OWN, 0, 0);
		if (answered)
			line_message(&line, SIDE_WAN, OUTGOING_REPLY, THEIRS, outside_id, 1);
		rig_wait(rig, 30 * SECOND);
		line_message(&line, SIDE_LAN, ECHO_REQUEST, 1, 1, 0);
		rig_wait(rig, 41 * SECOND);
		rig_expect_tunnel(rig, L1, OWN, answered ? TUNNEL_IS_CLEARING : TUNNEL_IS_ENDED,
				  answered ? END_NOT : END_NO_ANSWER);
	}
}

static void silence(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t outside_id = line_call(&line, OWN, THEIRS);

	for (int i = 0; i < 3; i++) { /* each of the three keeps it: control, data out, data in */
		rig_wait(rig, GRE_CALL - 1);
		if (i == 0)
			line_message(&line, SIDE_WAN, ECHO_REQUEST, 1, 1, 0);
		else if (i == 1)
			pptp_gre(rig, SIDE_LAN, L1, W1, THEIRS);
		else
			pptp_gre(rig, SIDE_WAN, W1, O1, outside_id);
		rig_forwarded(rig, i == 1 ? SIDE_WAN : SIDE_LAN);
		rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	}
	rig_wait(rig, GRE_CALL - 1);
	line_acknowledge(&line, SIDE_LAN); /* says nothing of the call */
	rig_wait(rig, 1);
	line_data_refused(&line, outside_id, THEIRS);
	rig_wait(rig, SECOND * 10);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_SILENT);
}

static void a_forgotten_control_connection(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t outside_id = line_call(&line, OWN, THEIRS);

	for (int i = 0; i < 12; i++) { /* data keeps the call while the control connection is forgotten */
		line_data_passes(&line, OWN, outside_id, THEIRS);
		rig_wait(rig, GRE_CALL - SECOND);
	}
	line_data_passes(&line, OWN, outside_id, THEIRS);
	rig_wait(rig, 7439 * SECOND - 12 * (GRE_CALL - SECOND));
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_CONNECTED, END_NOT);
	rig_wait(rig, 2 * SECOND);
	rig_expect_tunnel(rig, L1, OWN, TUNNEL_IS_ENDED, END_CONTROL_SILENT);
}

static void dialling_again(void **state)
{
	struct rig *rig = *state;
	uint16_t outside_id;
	struct line line = changed_call(rig, &outside_id);

	for (int i = 0; i < 20; i++) { /* on this connection, on a new one; soon, and after the drain */
		if (i % 2) {
			line_reset(&line, SIDE_LAN);
			line = line_to(rig, L1, (uint16_t)(3100 + i), W1);
		} else {
			line_message(&line, SIDE_WAN, DISCONNECT_NOTIFY, THEIRS, 0, 4);
		}
		rig_wait(rig, i % 4 < 2 ? SECOND : DRAIN + SECOND);
		assert_int_equal(line_call(&line, OWN, THEIRS), outside_id);
		line_data_passes(&line, OWN, outside_id, THEIRS);
	}
	assert_int_equal(rig_tunnels(rig, false), 2);
	line_reset(&line, SIDE_LAN);
	struct line third = line_to(rig, L3, 3000, W1); /* somebody else does not get it */
	assert_int_not_equal(line_request(&third, outside_id), outside_id);
}

/* A remote end that uses its ID again at once, for the same host and for another one. */
static void a_remote_id_used_again(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1), other = line_to(rig, L2, 3000, W1);
	uint16_t a = line_call(&line, OWN, THEIRS);

	line_message(&line, SIDE_WAN, DISCONNECT_NOTIFY, THEIRS, 0, 4);
	uint16_t b = line_call(&line, OWN + 1, THEIRS);
	line_data_passes(&line, OWN + 1, b, THEIRS);
	struct tunnel_view view;
	assert_true(rig_tunnel(rig, L1, OWN + 1, &view));
	assert_int_equal(view.packets[SIDE_LAN], 1);
	assert_int_equal(view.inside_port, 3000);
	assert_int_equal(view.remote_port, 1723);
	line_message(&line, SIDE_WAN, DISCONNECT_NOTIFY, THEIRS, 0, 4);
	uint16_t c = line_call(&other, OWN + 2, THEIRS);
	line_data_passes(&other, OWN + 2, c, THEIRS);
	assert_int_not_equal(a, b);
	rig_wait(rig, 10 * MINUTE);
}

/* Its data tells how long a call is idle, not the connection that keeps it. */
static void a_call_is_idle_without_data(void **state)
{
	struct rig *rig = *state;
	struct line line = line_to(rig, L1, 3000, W1);
	uint16_t outside = line_call(&line, 5, 6);
	struct flow_view view;

	rig_wait(rig, 20 * SECOND);
	assert_true(rig_flow(rig, PROTO_GRE, L1, 5, W1, 6, &view));
	assert_int_equal(view.age_ms, 20 * SECOND);
	assert_int_equal(view.idle_ms, 20 * SECOND);
	pptp_gre(rig, SIDE_WAN, W1, O1, outside);
	rig_forwarded(rig, SIDE_LAN);
	rig_wait(rig, 5 * SECOND);
	pptp_gre(rig, SIDE_LAN, L1, W1, 6);
	rig_wait(rig, 2 * SECOND);
	line_message(&line, SIDE_LAN, ECHO_REQUEST, 1, 2, 0);
	assert_true(rig_flow(rig, PROTO_GRE, L1, 5, W1, 6, &view));
	assert_int_equal(view.age_ms, 27 * SECOND);
	assert_int_equal(view.idle_ms, 2 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pptp_test(data_before_the_answer),
		pptp_test(data_of_nobody),
		pptp_test(the_header_of_data),
		pptp_test(other_gre_goes_its_way),
		pptp_test(version_1_of_others),
		pptp_test(fragments_of_data),
		pptp_test(errors_from_outside),
		pptp_test(errors_from_inside),
		pptp_test(a_hairpinned_call),
		pptp_test(ended_by_every_cause),
		pptp_test(a_request_without_an_answer),
		pptp_test(an_answer_too_late),
		pptp_test(cleared_before_the_answer),
		pptp_test(silence),
		pptp_test(a_forgotten_control_connection),
		pptp_test(dialling_again),
		pptp_test(a_remote_id_used_again),
		pptp_test(a_call_is_idle_without_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
