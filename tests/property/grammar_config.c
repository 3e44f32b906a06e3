/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random configurations and outside addresses of a world, changes of them, and how time goes.
 */
#include <string.h>

#include "world.h"

static const uint32_t OUTSIDE[WORLD_ADDRESSES] = {0xc6336401, 0xc6336402, 0xc6336407, 0xc6336409}; /* 198.51.100.x */

static void random_forwards(struct test_random *r, struct engine_config *c)
{
	static const uint8_t protocol[] = {PROTO_TCP, PROTO_UDP,  PROTO_TCP, PROTO_UDP,
					   PROTO_GRE, PROTO_ICMP, PROTO_ESP};

	c->forwards = 0;
	for (uint32_t i = test_random_below(r, 5); i; i--) {
		struct forward *f = &c->forward[c->forwards++];
		*f = (struct forward){.protocol = protocol[test_random_below(r, 7)],
				      .to_address = {0x0a000002 + test_random_below(r, 4)}};
		if (f->protocol != PROTO_TCP && f->protocol != PROTO_UDP)
			continue;
		f->port_first = (uint16_t)(8000 + 10 * i);
		f->port_last = (uint16_t)(f->port_first + test_random_below(r, 4));
		f->to_port = (uint16_t)(test_random_one_in(r, 2) ? f->port_first : 5000 + test_random_below(r, 3));
		/* not both the router's and forwarded */
		for (uint32_t port = f->port_first; port <= f->port_last; port++) {
			uint64_t others = ~(UINT64_C(1) << port % 64);
			(f->protocol == PROTO_TCP ? &c->host_tcp : &c->host_udp)->bits[port / 64] &= others;
			(f->protocol == PROTO_TCP ? &c->open_tcp : &c->open_udp)->bits[port / 64] &= others;
		}
	}
	for (uint32_t i = 0; i < c->forwards; i++) /* portless ones once only */
		for (uint32_t k = 0; k < i; k++)
			if (c->forward[k].protocol == c->forward[i].protocol && !c->forward[i].port_first)
				c->forward[i--] = c->forward[--c->forwards], k = i + 1;
}

/* Some of the router's own ports are open, and at some others a connection goes on. */
static void random_open_ports(struct test_random *r, struct engine_config *c)
{
	uint64_t mask = test_random_one_in(r, 3)   ? 0
			: test_random_one_in(r, 2) ? UINT64_MAX
						   : UINT64_C(0x5555555555555555);

	for (int i = 0; i < 65536 / 64; i++) {
		c->open_tcp.bits[i] = c->host_tcp.bits[i] & mask;
		c->open_udp.bits[i] = c->host_udp.bits[i] & mask;
	}
	c->kepts = test_random_below(r, 4);
	for (uint32_t i = 0; i < c->kepts; i++)
		c->kept[i] = (struct host_connection){.local = {OUTSIDE[test_random_below(r, WORLD_ADDRESSES)]},
						      .remote = {0xcb007101},
						      .local_port = (uint16_t)(5002 + test_random_below(r, 2)),
						      .remote_port = 5002,
						      .protocol = test_random_one_in(r, 2) ? PROTO_UDP : PROTO_TCP};
}

static void random_host_ports(struct test_random *r, struct engine_config *c)
{
	memset(&c->host_tcp, 0, sizeof(c->host_tcp));
	memset(&c->host_udp, 0, sizeof(c->host_udp));
	if (test_random_one_in(r, 3)) { /* hardly a port left */
		memset(&c->host_tcp, 0xff, sizeof(c->host_tcp));
		memset(&c->host_udp, 0xff, sizeof(c->host_udp));
		for (int i = 0; i < 24; i++) {
			uint32_t port = i < 6 ? 500 + test_random_below(r, 12) : 5000 + test_random_below(r, 24);
			c->host_tcp.bits[port / 64] &= ~(UINT64_C(1) << port % 64);
			c->host_udp.bits[port / 64] &= ~(UINT64_C(1) << port % 64);
		}
	} else {
		port_set_add(&c->host_tcp, 22);
		port_set_add(&c->host_tcp, 5002);
		port_set_add(&c->host_udp, 53);
		port_set_add(&c->host_udp, 5003);
	}
	random_open_ports(r, c);
}

static enum service_mode random_mode(struct test_random *r)
{
	return test_random_one_in(r, 4) ? MODE_BLOCK : MODE_PLAIN;
}

/* The hosts are in one network or in two. */
static void random_insides(struct test_random *r, struct engine_config *c)
{
	c->insides = 1 + test_random_below(r, 2);
	c->inside[0] = (struct inside){{{0x0a000000}, 24}, {0x0a000001}, test_random_one_in(r, 3) ? 1400 : 1500};
	c->inside[1] = (struct inside){{{0x0a000004}, 30}, {0x0a000007}, test_random_one_in(r, 3) ? 1350 : 1500};
	if (c->insides == 2)
		c->inside[0].prefix.length = 30;
}

void grammar_config(struct test_random *r, struct engine_limits *limits, struct engine_config *c)
{
	*limits = (struct engine_limits){.flows = test_random_one_in(r, 3) ? 8 + test_random_below(r, 16) : 200,
					 .hosts = test_random_one_in(r, 3) ? 3 : 16,
					 .addresses = WORLD_ADDRESSES,
					 .fragments = 1024};
	engine_config_default(c);
	c->mapping = test_random_one_in(r, 4) ? 1 + test_random_below(r, 2) : ENDPOINT_INDEPENDENT;
	c->filtering = test_random_below(r, 3);
	c->hairpinning = !test_random_one_in(r, 4);
	c->refresh_inbound = test_random_one_in(r, 2);
	c->clamp_mss = !test_random_one_in(r, 4);
	for (int i = 0; i < PARTS; i++)
		c->mode[i] = random_mode(r);
	c->host_flows = test_random_one_in(r, 3) ? 4 + test_random_below(r, 8) : 1000;
	c->icmp_rate = test_random_one_in(r, 4) ? 0 : 1000000;
	random_host_ports(r, c);
	random_forwards(r, c);
	c->bypass[0] = (struct prefix){{0xc0000200}, 24}; /* 192.0.2.0/24 */
	c->bypasses = test_random_below(r, 2);
	random_insides(r, c);
	c->hop_address.v4 = 0x0a00fffe;
	c->wan_mtu = test_random_one_in(r, 3) ? 1300 + test_random_below(r, 100) : 1500;
	if (test_random_one_in(r, 4))
		c->timeout[TIMEOUT_HOLD_DOWN] = 0;
}

void grammar_change_config(struct world *w, struct test_random *r, struct engine_config *c)
{
	*c = w->config;
	switch (test_random_below(r, 7)) {
	case 0:
		c->filtering = test_random_below(r, 3);
		break;
	case 1:
		c->hairpinning = !c->hairpinning;
		break;
	case 2:
		c->refresh_inbound = !c->refresh_inbound;
		break;
	case 3:
		c->mode[test_random_below(r, PARTS)] = random_mode(r);
		break;
	case 4:
		random_host_ports(r, c);
		random_forwards(r, c);
		break;
	case 5:
		random_forwards(r, c);
		break;
	default:
		c->wan_mtu = 1300 + test_random_below(r, 201);
		break;
	}
}

uint32_t grammar_outside(struct test_random *r, uint32_t *addresses)
{
	uint32_t count = test_random_one_in(r, 8) ? 0 : 1 + test_random_below(r, WORLD_ADDRESSES - 1);
	uint32_t first = test_random_below(r, WORLD_ADDRESSES);

	for (uint32_t i = 0; i < count; i++)
		addresses[i] = OUTSIDE[(first + i) % WORLD_ADDRESSES];
	return count;
}

uint64_t grammar_time(struct world *w, struct test_random *r)
{
	static const uint32_t step[] = {1,     10,     1000,   5000,   29999,  30000,  59999,
					60000, 120000, 240000, 299999, 300000, 7440000};

	if (test_random_one_in(r, 2)) { /* to the very end of a flow, or one before */
		uint32_t start = test_random_below(r, MODEL_FLOWS);
		for (uint32_t i = 0; i < MODEL_FLOWS; i++) {
			const struct model_flow *f = &w->model->flow[(start + i) % MODEL_FLOWS];
			if (f->live && f->deadline > w->now)
				return f->deadline - test_random_below(r, 2);
		}
	}
	return w->now + step[test_random_below(r, test_random_one_in(r, 4) ? 13 : 7)];
}
