/* SPDX-License-Identifier: BSD-2-Clause */
/* The texts of the lists, and the default configuration. */
#include <string.h>

#include <culvert/rehearsal.h>

#include "nat/state.h"

struct drop_text {
	const char *name, *meaning, *advice;
};

static const struct drop_text drop_text[DROPS] = {
	[DROP_NONE] = {"none", "not dropped", ""},
#define DROP(name, text, meaning, advice) [DROP_##name] = {text, meaning, advice},
#include <culvert/drops.def>
#undef DROP
};

static const char *const stat_text[STATS][2] = {
#define STAT(name, text, meaning) [STAT_##name] = {text, meaning},
#include <culvert/stats.def>
#undef STAT
};

const char *side_name(enum side side)
{
	return side == SIDE_LAN ? "lan" : "wan";
}

const char *drop_name(enum drop reason)
{
	return reason < DROPS ? drop_text[reason].name : "unknown";
}

const char *drop_meaning(enum drop reason)
{
	return reason < DROPS ? drop_text[reason].meaning : "";
}

const char *drop_advice(enum drop reason)
{
	return reason < DROPS ? drop_text[reason].advice : "";
}

const char *tunnel_end_text(enum tunnel_end end)
{
	static const char *const texts[ENDS] = {
		[END_NOT] = "",
		[END_REFUSED] = "refused by the other end",
		[END_DISCONNECTED] = "disconnected",
		[END_CLEARED] = "cleared by the client",
		[END_STOPPED] = "the control connection was stopped",
		[END_CONTROL_CLOSED] = "the control connection was closed",
		[END_CONTROL_RESET] = "the control connection was reset",
		[END_CONTROL_SILENT] = "the control connection fell silent",
		[END_SILENT] = "silence",
		[END_NO_ANSWER] = "no answer",
		[END_ROUTER] = "ended by the router",
		[END_BLOCKED] = "blocked by a mode",
	};

	return end < ENDS ? texts[end] : "";
}

const char *flow_end_text(enum flow_end end)
{
	switch (end) {
	case FLOW_STAYS:
		break;
	case FLOW_END_BLOCKED:
		return "its service would be blocked";
	case FLOW_END_MODE:
		return "it would be told apart in another way";
	case FLOW_END_FORWARD:
		return "no forward would lead there";
	case FLOW_END_HOST_PORT:
		return "its outside port would be the router's own";
	}
	return "";
}

const char *tunnel_hint_name(enum tunnel_hint hint)
{
	static const char *const names[HINTS] = {
		[HINT_NONE] = "",
#define HINT(name, text, sentence) [HINT_##name] = text,
#include <culvert/hints.def>
#undef HINT
	};

	return hint < HINTS ? names[hint] : "";
}

const char *tunnel_hint_text(enum tunnel_hint hint)
{
	static const char *const texts[HINTS] = {
		[HINT_NONE] = "",
#define HINT(name, text, sentence) [HINT_##name] = sentence,
#include <culvert/hints.def>
#undef HINT
	};

	return hint < HINTS ? texts[hint] : "";
}

const char *tunnel_state_name(enum tunnel_state state)
{
	static const char *const names[TUNNEL_STATES] = {"requested", "negotiating", "connected",
							 "blocked",   "clearing",    "ended"};

	return state < TUNNEL_STATES ? names[state] : "";
}

const char *pairing_name(enum pairing pairing)
{
	static const char *const names[PAIRINGS] = {
		[PAIRING_NONE] = "none",       [PAIRING_SOLE] = "sole",         [PAIRING_RECENCY] = "recency",
		[PAIRING_GUESSED] = "guessed", [PAIRING_REPAIRED] = "repaired",
	};

	return pairing < PAIRINGS ? names[pairing] : "none";
}

const char *stat_name(enum statistic statistic)
{
	return statistic < STATS ? stat_text[statistic][0] : "unknown";
}

const char *stat_meaning(enum statistic statistic)
{
	return statistic < STATS ? stat_text[statistic][1] : "";
}

void engine_config_default(struct engine_config *config)
{
	static const uint32_t seconds[TIMEOUTS] = {
#define TIMEOUT(name, key, floor, initial, meaning) [TIMEOUT_##name] = initial,
#include <culvert/timeouts.def>
#undef TIMEOUT
	};

	memset(config, 0, sizeof(*config));
	config->mapping = ENDPOINT_INDEPENDENT;
	config->filtering = ADDRESS_DEPENDENT;
	config->hairpinning = true;
	config->clamp_mss = true;
	for (int i = 0; i < TIMEOUTS; i++)
		config->timeout[i] = seconds[i] * 1000;
	config->host_flows = 16384;
	config->icmp_rate = 100;
	config->wan_mtu = 1500;
	for (int i = 0; i < PREFIXES_MAX; i++)
		config->inside[i].mtu = 1500;
}
