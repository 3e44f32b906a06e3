/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The answer to one request: what verbs are offered for it, as far as it is about their peer.
 */
#include <stdarg.h>
#include <stdio.h>

#include "control/lines.h"
#include "control/verb.h"

void *verb_memory(struct verb *verb, size_t size)
{
	return size <= sizeof(verb->memory) ? verb->memory : NULL;
}

bool verb_has_room(const struct verb *verb)
{
	return verb->rows > 0 && verb_keeps_up(verb);
}

bool verb_keeps_up(const struct verb *verb)
{
	return lines_waiting(verb->peer) < LINES_OUTPUT;
}

void verb_send(struct verb *verb)
{
	lines_write(verb->peer, verb->json.text, json_end(&verb->json));
	if (verb->rows > 0)
		verb->rows--;
}

void verb_begin(struct verb *verb)
{
	char schema[64];

	if (verb->has_begun || verb->has_failed)
		return;
	verb->has_begun = true;
	snprintf(schema, sizeof(schema), "culvert.%s/%u", verb->name, verb->version);
	json_begin(&verb->json);
	json_text(&verb->json, "schema", schema);
	verb_send(verb);
}

struct json *verb_row(struct verb *verb, const char *kind)
{
	verb_begin(verb);
	json_begin(&verb->json);
	json_text(&verb->json, "kind", kind);
	return &verb->json;
}

enum verb_step verb_fail(struct verb *verb, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(verb->error, sizeof(verb->error), format, arguments);
	va_end(arguments);
	verb->code = code;
	verb->has_failed = true;
	return VERB_OVER;
}

void verb_end(struct verb *verb)
{
	verb_begin(verb);
	json_begin(&verb->json);
	json_number(&verb->json, "code", (uint64_t)verb->code);
	if (verb->has_failed)
		json_text(&verb->json, "error", verb->error);
	verb_send(verb);
}

void verb_wake(struct verb *verb)
{
	lines_wake(verb->peer);
}

void verb_expect(struct verb *verb, size_t size)
{
	lines_expect(verb->peer, size);
}

bool verb_take(struct verb *verb, void *bytes, size_t size)
{
	return lines_take(verb->peer, bytes, size);
}

static void verb_stop_watching(struct verb *verb)
{
	for (unsigned int i = 0; i < LINES_PEERS; i++)
		if (verb->watchers->verb[i] == verb)
			verb->watchers->verb[i] = NULL;
}

void verb_start_watching(struct verb *verb, verb_teller *tell, verb_hearer *hear)
{
	for (unsigned int i = 0; i < LINES_PEERS; i++) {
		if (verb->watchers->verb[i])
			continue;
		verb->watchers->verb[i] = verb;
		json_start(&verb->json, verb->watchers->row, sizeof(verb->watchers->row));
		verb->tell = tell;
		verb->hear = hear;
		verb->over = verb_stop_watching;
		return;
	}
}
