/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the running router behaves, requirement by requirement of include/culvert/requirements.def. Each row has a shadow
 * of the engine to itself, so that no row depends on what another one has opened.
 *
 * Nothing counts as met that cannot be seen: while the WAN is down, or if the hosts of the test can have no flow, what
 * would be met is not visible from here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <culvert/packet.h>

#include "control/selftest.h"
#include "control/verb.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "io/state_file.h"

enum { SETTLED_MS = 2000, QUOTE_MAX = 64, ROWS_A_TURN = 4 };

struct requirement {
	const char *rfc, *name, *behaviour, *text;
	enum selftest_level level;
	selftest_check *check;
};

static const struct requirement requirements[] = {
#define REQUIREMENT(number, requirement, level, behaviour, check, text) \
	{"RFC " #number, requirement, behaviour, text, SELFTEST_##level, selftest_##check},
#include <culvert/requirements.def>
};

enum { REQUIREMENTS = sizeof(requirements) / sizeof(requirements[0]) };

struct selftest {
	uint32_t next;
	uint32_t sum[SELFTEST_RESULTS];
};

static uint8_t protocol_of(const struct requirement *requirement)
{
	if (!strcmp(requirement->rfc, "RFC 5382"))
		return PROTOCOL_TCP;
	return !strcmp(requirement->rfc, "RFC 5508") ? PROTOCOL_ICMP : PROTOCOL_UDP;
}

/* Why nothing can be seen, or NULL. */
static const char *blindness(const struct router *router)
{
	const struct kernel_links *links = kernel_links(router->kernel);

	if (!links->wan.up)
		return "the WAN is down; would show it: a WAN that is up";
	return links->wan.address_count ? NULL : "there is no outside address; would show it: one";
}

static void judge(const struct bench *bench, struct finding *finding)
{
	const char *blind = blindness(bench->router);

	if (finding->source == SELFTEST_KNOWN || finding->result == SELFTEST_DEVIATES)
		return;
	if (blind)
		snprintf(finding->value, sizeof(finding->value), "%s", blind);
	else if (bench->obstacle)
		snprintf(finding->value, sizeof(finding->value),
			 "the hosts of the test can have no flow: %s; would show it: room for them",
			 drop_name(bench->obstacle));
	else if (!finding->value[0])
		snprintf(finding->value, sizeof(finding->value), "no packet of the test came so far");
	else
		return;
	finding->result = SELFTEST_UNSEEN;
	finding->source = SELFTEST_KNOWN;
}

static void send_row(struct verb *verb, const struct requirement *requirement, const struct finding *finding)
{
	static const char *const results[] = {"met", "not met", "deviation", "not visible from here"};
	static const char *const levels[] = {"MUST", "SHOULD"};
	static const char *const sources[] = {"observed", "configuration", NULL};
	struct json *row = verb_row(verb, "behaviour");

	json_text(row, "rfc", requirement->rfc);
	json_text(row, "requirement", requirement->name);
	json_text(row, "level", levels[requirement->level]);
	json_text(row, "behaviour", requirement->behaviour);
	json_text(row, "result", results[finding->result]);
	json_text(row, "value", finding->value);
	json_text(row, "from", sources[finding->source]);
	verb_send(verb);
}

/* False if memory ran out. */
static bool look(struct verb *verb, struct selftest *selftest, uint8_t bytes[PACKET_LENGTH_MAX])
{
	const struct requirement *requirement = &requirements[selftest->next];
	uint8_t quote[QUOTE_MAX];
	struct finding finding = {.result = SELFTEST_UNSEEN};
	struct bench bench = {.router = verb->router,
			      .quote = quote,
			      .now_ms = clock_now_ms() + SETTLED_MS, /* errors may be made again */
			      .protocol = protocol_of(requirement),
			      .sum = selftest->sum,
			      .text = requirement->text};
	void *snapshot = state_file_snapshot(verb->router->flows);

	if (!snapshot)
		return false;
	bench.bytes = bytes;
	bench.shadow = engine_shadow(verb->router->engine, snapshot);
	if (bench.shadow) {
		requirement->check(&bench, &finding);
		engine_free(bench.shadow);
		judge(&bench, &finding);
		selftest->sum[finding.result]++;
		send_row(verb, requirement, &finding);
	}
	state_file_drop_snapshot(verb->router->flows, snapshot);
	return bench.shadow != NULL;
}

enum verb_step verb_selftest(struct verb *verb)
{
	struct selftest *selftest = verb_memory(verb, sizeof(*selftest));
	uint8_t *bytes;
	bool is_well = true;

	if (!verb_has_no_words(verb))
		return VERB_OVER;
	bytes = malloc(PACKET_LENGTH_MAX);
	is_well = bytes != NULL;
	for (int i = 0; is_well && i < ROWS_A_TURN && selftest->next < REQUIREMENTS && verb_has_room(verb); i++) {
		is_well = look(verb, selftest, bytes);
		selftest->next += is_well;
	}
	free(bytes);
	if (!is_well)
		return verb_fail(verb, EXIT_NETWORK, "out of memory: cannot copy the tables: %s", strerror(errno));
	return selftest->next < REQUIREMENTS ? VERB_AGAIN : VERB_OVER;
}
