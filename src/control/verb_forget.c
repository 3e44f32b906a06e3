/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the flows of a host, of a tunnel, or of one mapping.
 */
#include <inttypes.h>

#include "control/selection.h"
#include "control/verb.h"
#include "io/clock.h"
#include "observe/log.h"

struct forget {
	struct selection selection;
	uint32_t cursor, ended;
};

static void send_forgotten(struct verb *verb, const struct forget *forget)
{
	const struct selection *selection = &forget->selection;
	struct address address = selection->what == SELECTED_HOST      ? selection->host
				 : selection->what == SELECTED_MAPPING ? selection->flow.inside_address
								       : selection->tunnel.inside_address;
	struct json *row = verb_row(verb, "forgotten");

	json_address(row, "internal-src-address", address);
	json_text(row, "id", selection->what == SELECTED_TUNNEL ? verb->words[0] : NULL);
	json_number_if(row, selection->what == SELECTED_MAPPING, "index", selection->flow.index);
	json_number(row, "flows", forget->ended);
	verb_send(verb);
}

static enum verb_step finish(struct verb *verb, const struct forget *forget)
{
	static const char *const none[] = {
		[SELECTED_HOST] = "no inside host %s has a flow",
		[SELECTED_MAPPING] = "the mapping %s has just ended by itself",
		[SELECTED_TUNNEL] = "the tunnel %s has no flow (any more)",
	};

	if (forget->ended == 0)
		return verb_fail(verb, EXIT_NOT_FOUND, none[forget->selection.what], verb->words[0]);
	if (forget->selection.what == SELECTED_MAPPING)
		log_write(verb->router->log, LOG_NOTICE, "mapping %s was forgotten by request", verb->words[0]);
	else
		log_write(verb->router->log, LOG_NOTICE, "%s was forgotten by request: %" PRIu32 " of its flows ended",
			  verb->words[0], forget->ended);
	send_forgotten(verb, forget);
	return VERB_OVER;
}

enum verb_step verb_forget(struct verb *verb)
{
	struct forget *forget = verb_memory(verb, sizeof(*forget));
	struct engine *engine = verb->router->engine;
	uint32_t budget = VERB_RECORDS_A_TURN;
	uint64_t now_ms = clock_now_ms();
	struct flow_view view;

	if (verb->is_first && verb->count != 1)
		return verb_fail(
			verb, EXIT_USAGE,
			"forget takes one word: the address of an inside host like 192.168.1.2, a tunnel like pptp-17, or the number of a mapping");
	if (verb->is_first && !selection_read(&forget->selection, verb, verb->words[0], true))
		return VERB_OVER;
	while (engine_next_flow_within(engine, &forget->cursor, &budget, now_ms, &view))
		if (selection_has_flow(&forget->selection, &view))
			forget->ended += engine_forget_flow(engine, view.index, now_ms);
	return budget > 0 ? finish(verb, forget) : VERB_AGAIN;
}
