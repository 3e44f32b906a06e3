/* SPDX-License-Identifier: BSD-2-Clause */
/* See l2tp_rig.h. */
#include "l2tp_rig.h"

enum { DATA = 28 };

int l2tp_setup(void **state)
{
	if (rig_setup(state))
		return -1;
	struct rig *rig = *state;
	rig->service = SERVICE_L2TP;
	rig->limits.tunnels = 64;
	rig_restart(rig);
	return 0;
}

struct dialer dialer_of(struct rig *rig, uint32_t inside, uint16_t port, uint32_t remote, uint16_t id)
{
	return (struct dialer){
		.rig = rig,
		.inside = inside,
		.remote = remote,
		.inside_port = port,
		.remote_port = PORT,
		.seen_port = port,
		.id = id,
		.seen_id = id,
	};
}

struct packet *dialer_send(struct dialer *d, enum side from, const uint8_t *bytes, uint32_t count)
{
	bool lan = from == SIDE_LAN;

	return rig_send(d->rig, from,
			&(struct packet_spec){.protocol = PROTO_UDP,
					      .source = lan ? d->inside : d->remote,
					      .source_port = lan ? d->inside_port : d->remote_port,
					      .destination = lan ? d->remote : O1,
					      .destination_port = lan ? d->remote_port : d->seen_port,
					      .payload = bytes,
					      .payload_length = count,
					      .df = true});
}

void dialer_arrived(struct dialer *d, enum side from, const uint8_t *bytes, uint32_t count, uint32_t offset)
{
	bool lan = from == SIDE_LAN;

	rig_forwarded(d->rig, (enum side) !from);
	assert_int_equal(d->rig->out.count, 1);
	const struct packet *p = &d->rig->out.item[0].packet;
	assert_int_equal(p->length, DATA + count);
	assert_int_equal(packets_source(p), lan ? O1 : d->remote);
	assert_int_equal(packets_destination(p), lan ? d->remote : d->inside);
	assert_int_equal(packets_destination_port(p), lan ? d->remote_port : d->inside_port);
	if (lan)
		d->seen_port = packets_source_port(p);
	else
		assert_int_equal(packets_source_port(p), d->remote_port);
	uint32_t first = offset ? offset : count;
	assert_memory_equal(p->data + DATA, bytes, first);
	if (offset)
		assert_memory_equal(p->data + DATA + offset + 2, bytes + offset + 2, count - offset - 2);
}

static uint16_t arrived16(const struct dialer *d, uint32_t offset)
{
	return packet_get16(&d->rig->out.item[0].packet, DATA + offset);
}

/* Inward the header has seen_id, which is turned into id. */
static void send_control(struct dialer *d, enum side from, const struct l2tp_message_bytes *m, uint32_t assigned_at)
{
	bool lan = from == SIDE_LAN;

	dialer_send(d, from, m->bytes, m->length);
	d->ns[from]++;
	dialer_arrived(d, from, m->bytes, m->length, lan ? assigned_at : 4);
	if (!lan)
		assert_int_equal(arrived16(d, 4), d->id);
	else if (assigned_at)
		d->seen_id = arrived16(d, assigned_at);
}

static void begin(struct dialer *d, enum side from, struct l2tp_message_bytes *m, uint16_t session)
{
	l2tp_begin(m, 2, from == SIDE_LAN ? d->remote_id : d->seen_id, session, d->ns[from], d->ns[!from]);
}

void dialer_say(struct dialer *d, enum side from, unsigned type, uint16_t session, uint16_t assigned)
{
	static struct l2tp_message_bytes m;

	begin(d, from, &m, session);
	if (type)
		l2tp_add16(&m, 0, type);
	if (assigned)
		l2tp_add16(&m, 14, assigned);
	send_control(d, from, &m, 0);
}

void dialer_stop(struct dialer *d, enum side from)
{
	static struct l2tp_message_bytes m;

	begin(d, from, &m, 0);
	l2tp_add16(&m, 0, STOPCCN);
	uint32_t at = m.length + 6;
	l2tp_add16(&m, 9, from == SIDE_LAN ? d->id : d->remote_id);
	l2tp_add16(&m, 1, 1);
	uint16_t told = d->seen_id;
	send_control(d, from, &m, at);
	assert_int_equal(d->seen_id, told);
}

void dialer_ask(struct dialer *d)
{
	static struct l2tp_message_bytes m;
	char name[24] = "dialer-a";

	name[7] = (char)('a' + d->inside % 26);
	l2tp_build_start(&m, SCCRQ, 0, d->id, name);
	d->ns[SIDE_LAN] = d->ns[SIDE_WAN] = 0;
	send_control(d, SIDE_LAN, &m, m.length - 8 - 2);
}

void dialer_answer(struct dialer *d, uint16_t remote_id)
{
	static struct l2tp_message_bytes m;

	l2tp_build_start(&m, SCCRP, d->seen_id, remote_id, "server");
	d->remote_id = remote_id;
	send_control(d, SIDE_WAN, &m, 0);
}

void dialer_dial(struct dialer *d, uint16_t remote_id)
{
	dialer_ask(d);
	dialer_answer(d, remote_id);
	dialer_say(d, SIDE_LAN, SCCCN, 0, 0);
}

static void send_data(struct dialer *d, enum side from, unsigned bits, uint32_t count)
{
	uint8_t bytes[600];
	uint32_t at = bits & 0x4000 ? 4 : 2, header = at + 4;

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 5);
	l2tp_put(bytes, bits | 2, 2);
	l2tp_put(bytes + at, from == SIDE_LAN ? d->remote_id : d->seen_id, 2);
	if (bits & 0x0200) {
		l2tp_put(bytes + header, 3, 2);
		header += 2 + 3;
	}
	if (bits & 0x4000)
		l2tp_put(bytes + 2, header + count, 2);
	dialer_send(d, from, bytes, header + count);
	dialer_arrived(d, from, bytes, header + count, from == SIDE_WAN ? at : 0);
	if (from == SIDE_WAN)
		assert_int_equal(arrived16(d, at), d->id);
}

void dialer_data(struct dialer *d)
{
	static const unsigned shapes[] = {0, 0x4000, 0x0200, 0x4300};

	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		send_data(d, SIDE_LAN, shapes[i], 40 + i);
		send_data(d, SIDE_WAN, shapes[i], 500 - i);
	}
}

struct packet *dialer_stray(struct dialer *d, uint16_t port, uint16_t tunnel)
{
	uint8_t bytes[20] = {0, 2};

	l2tp_put(bytes + 2, tunnel, 2);
	d->seen_port = port;
	return dialer_send(d, SIDE_WAN, bytes, sizeof(bytes));
}
