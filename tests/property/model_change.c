/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What another configuration or other outside addresses end.
 */
#include <string.h>

#include "model.h"

bool model_claimed(uint8_t protocol, uint16_t port, enum part *part)
{
	static const struct {
		enum part part;
		uint8_t protocol;
		uint16_t port;
	} claim[] = {
#define CLAIM(name, number, at, how) {PART_##name, number, at},
#include <culvert/services.def>
#undef CLAIM
	};

	for (size_t i = 0; i < sizeof(claim) / sizeof(claim[0]); i++)
		/* Of GRE only the enhanced kind is PPTP's, which the grammar does not make. */
		if (protocol != PROTO_GRE && claim[i].protocol == protocol &&
		    (!claim[i].port || claim[i].port == port)) {
			*part = claim[i].part;
			return true;
		}
	return false;
}

enum fate { FATE_STAYS, FATE_EITHER, FATE_ENDS };

static bool blocked(const struct model *m, uint8_t protocol, uint16_t port)
{
	enum part part;

	return model_claimed(protocol, port, &part) && m->config.mode[part] == MODE_BLOCK;
}

static bool is_gone(const struct model *m, uint32_t address)
{
	for (uint32_t i = 0; i < m->gones; i++)
		if (m->gone[i] == address)
			return true;
	return false;
}

/* What must become of a flow under the configuration or the addresses that m has now. */
static enum fate flow_fate(const struct model *m, const struct model_flow *f, bool configured)
{
	if (!configured)
		return model_is_outside(m, f->outside) ? is_gone(m, f->remote) ? FATE_EITHER : FATE_STAYS : FATE_ENDS;
	if (f->inward && blocked(m, f->protocol, f->remote_port))
		return FATE_EITHER;
	if (blocked(m, f->protocol, f->remote_port) || model_host_port(m, f->protocol, f->outside_port))
		return FATE_ENDS;
	if (f->by_forward) {
		const struct forward *forward = model_forward(m, f->protocol, f->outside_port);
		if (!forward || forward->to_address.v4 != f->inside ||
		    model_forward_port(forward, f->protocol, f->outside_port) != f->inside_port)
			return FATE_ENDS;
	}
	/* The document does not say: the claimed port is ours. */
	if (blocked(m, f->protocol, f->outside_port))
		return FATE_EITHER;
	/* A flow beside one of a forward may share its mapping. */
	if (f->mapping >= 0 && m->mapping[f->mapping].by_forward)
		return FATE_EITHER;
	return FATE_STAYS;
}

/* Ends the flows that must end; where either is right, the engine's choice is taken. */
static bool end_flows(struct model *m, uint32_t ended, bool configured)
{
	uint32_t count = 0;

	for (int i = 0; i < MODEL_FLOWS; i++) {
		struct model_flow *f = &m->flow[i];
		struct flow_view view;
		if (!f->live)
			continue;
		enum fate fate = flow_fate(m, f, configured);
		if (fate == FATE_EITHER)
			fate = model_engine_flow(m, f->protocol, f->inside, f->inside_port, f->remote, f->remote_port,
						 &view)
				       ? FATE_STAYS
				       : FATE_ENDS;
		if (fate == FATE_ENDS) {
			model_close(m, f, m->now);
			count++;
		}
	}
	if (count != ended)
		return model_fail(m, "%u flows ended, the model says %u", ended, count);
	return model_compare_flows(m);
}

bool model_configure(struct model *m, const struct engine_config *config, uint32_t ended)
{
	m->config = *config;
	m->gones = 0;
	return end_flows(m, ended, true);
}

bool model_set_outside(struct model *m, const uint32_t *addresses, uint32_t count, uint32_t ended)
{
	uint32_t before[MODEL_ADDRESSES], befores = m->outsides;

	memcpy(before, m->outside, sizeof(before));
	memcpy(m->outside, addresses, count * sizeof(*addresses));
	m->outsides = count;
	m->gones = 0;
	for (uint32_t i = 0; i < befores; i++)
		if (!model_is_outside(m, before[i]))
			m->gone[m->gones++] = before[i];
	for (uint32_t i = 0; i < m->gones; i++) {
		for (int h = 0; h < MODEL_FLOWS; h++)
			if (m->host[h].live && m->host[h].outside == m->gone[i])
				m->host[h].outside =
					0; /* still has a flow elsewhere; gets another address, whichever */
	}
	bool good = end_flows(m, ended, false);
	for (uint32_t i = 0; i < m->rests; i++) /* the ports of an address that went need not rest when it comes back */
		for (uint32_t k = 0; k < m->gones; k++)
			m->rest[i].optional |= m->rest[i].outside == m->gone[k];
	return good;
}
