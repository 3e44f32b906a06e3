/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a word of a request means: the inside host 192.168.1.2, the tunnel pptp-17, or the mapping 42 as rows of
 * tunnels and mappings name them; and which flows and packets are its own.
 *
 * The word is resolved once, so a selection goes on meaning the same when its tunnel or mapping has ended and the name
 * has gone to another one.
 */
#ifndef CULVERT_CONTROL_SELECTION_H
#define CULVERT_CONTROL_SELECTION_H

#include <stdbool.h>
#include <stdint.h>

#include <culvert/views.h>

struct capture_ends;
struct verb;

enum selected { SELECTED_ALL = 0, SELECTED_HOST, SELECTED_MAPPING, SELECTED_TUNNEL };

struct selection {
	enum selected what;
	struct address host;       /* of SELECTED_HOST */
	struct flow_view flow;     /* of SELECTED_MAPPING */
	struct tunnel_view tunnel; /* of SELECTED_TUNNEL; its texts are not kept */
};

/* Reads the name of a tunnel, which there need not be: pptp-17 and the like. */
bool selection_read_tunnel(const char *word, enum service *service, uint32_t *index);
/* Reads a word; hosts are taken if takes_hosts is set. False after verb_fail(): it is no such word, or nothing that
 * lives has that name. */
bool selection_read(struct selection *selection, struct verb *verb, const char *word, bool takes_hosts);
bool selection_has_flow(const struct selection *selection, const struct flow_view *view);
/* A packet, as it is on that side of the translation. The control connection of a PPTP tunnel and the GRE of its own
 * call; of L2TP all tunnels that have their ports in common. Later fragments have no ports: those between the same
 * addresses count. */
bool selection_has_packet(const struct selection *selection, const struct capture_ends *ends, enum side side);

#endif
