/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another configuration: what it would end, reading it, keeping it, and changing one mode in its file.
 */
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <culvert/module.h>

#include "daemon/config_edit.h"
#include "daemon/config_keys.h"
#include "daemon/forward_check.h"
#include "daemon/options.h"
#include "daemon/rehearse.h"
#include "daemon/reload.h"
#include "daemon/text.h"
#include "daemon/tunnels.h"
#include "daemon/verb.h"
#include "io/clock.h"
#include "io/kernel.h"

/* --- findings as rows --- */

struct findings_sent {
	struct verb *verb; /* NULL: only the first error is kept */
	char error[400];   /* the first one */
};

static void send_finding(void *context, int level, const char *text)
{
	struct findings_sent *findings = context;

	if (level <= LOG_ERR && !findings->error[0])
		text_escape(findings->error, sizeof(findings->error), text); /* cut so that it can be seen */
	if (!findings->verb)
		return;
	struct json *row = verb_row(findings->verb, "finding");
	json_text(row, "severity", verb_severity(level));
	json_text(row, "text", text);
	verb_send(findings->verb);
}

/* What is wrong with the forwards of a configuration that is good in itself. */
static void send_forwards(struct verb *verb, const struct config *config, struct findings_sent *findings)
{
	const char *file = verb->router->options->source.path;

	forward_report(config, file ? file : "culvertd", kernel_links(verb->router->kernel), send_finding, findings);
}

/* --- reload, confirm --- */

static enum verb_step reload(struct verb *verb, uint32_t trial_s)
{
	struct findings_sent findings = {.verb = verb};
	uint32_t ended = 0;
	int code = reload_now(verb->router->reload, trial_s, send_finding, &findings, &ended, clock_now_ms());

	if (code != EXIT_OK)
		return verb_fail(verb, code, "%s", findings.error);
	send_forwards(verb, verb->router->config, &findings);
	struct json *row = verb_row(verb, "reloaded");
	json_number(row, "flows-ended", ended);
	if (trial_s)
		json_number(row, "confirm-within", trial_s);
	else
		json_null(row, "confirm-within");
	verb_send(verb);
	return VERB_OVER;
}

enum verb_step verb_reload(struct verb *verb)
{
	static const struct verb_key keys[] = {{"confirm", VERB_KEY_WORD}};
	struct verb_value confirm;
	uint32_t trial_s = 0;

	if (!verb_read_keys(verb, keys, 1, &confirm))
		return VERB_OVER;
	if (confirm.is_given && (!text_number(confirm.text, RELOAD_TRIAL_MAX_S, &trial_s) || trial_s == 0))
		return verb_fail(verb, EXIT_USAGE, "confirm=%s is not good: it takes seconds, 1 to %d", confirm.text,
				 RELOAD_TRIAL_MAX_S);
	return reload(verb, trial_s);
}

enum verb_step verb_confirm(struct verb *verb)
{
	if (!verb_has_no_words(verb))
		return VERB_OVER;
	if (!reload_confirm(verb->router->reload))
		return verb_fail(verb, EXIT_NOT_FOUND,
				 "no configuration is on trial: its time was over, or it was not reloaded with "
				 "confirm=SECONDS");
	json_text(verb_row(verb, "confirmed"), "configuration", "stays");
	verb_send(verb);
	return VERB_OVER;
}

/* --- rehearse --- */

enum { REHEARSE_NAME_MAX = 200 };

struct rehearse_state {
	size_t expected; /* bytes of a text */
	struct rehearse *rehearse;
	uint32_t changes, restarts, flows, tunnels;
	bool flows_are_over;
};

static void let_go(struct verb *verb)
{
	struct rehearse_state *state = verb_memory(verb, sizeof(*state));

	rehearse_free(state->rehearse);
	state->rehearse = NULL;
}

static void send_change(void *context, const struct config_change *change)
{
	struct verb *verb = context;
	struct rehearse_state *state = verb_memory(verb, sizeof(*state));
	struct json *row = verb_row(verb, "change");
	char name[CONFIG_NAME_MAX + 16];

	snprintf(name, sizeof(name), "%s%s", change->is_forward ? "forward:" : "", change->section);
	json_text(row, "section", name);
	json_text(row, "key", change->key);
	json_text(row, "before", change->before);
	json_text(row, "after", change->after);
	json_bool(row, "needs-restart", change->needs_restart);
	verb_send(verb);
	state->changes++;
	state->restarts += change->needs_restart;
}

static void send_flow(struct verb *verb, const struct flow_view *view, enum flow_end why)
{
	struct json *row = verb_row(verb, "ending-flow");

	json_number(row, "index", view->index);
	verb_put_flow(row, view);
	json_text(row, "reason", flow_end_text(why));
	verb_send(verb);
}

static void send_tunnel(struct verb *verb, const struct tunnel_view *view, enum flow_end why)
{
	struct json *row = verb_row(verb, "ending-tunnel");
	char name[TUNNEL_NAME];

	json_text(row, "id", tunnels_name(view, name) ? name : NULL);
	json_text(row, "service", service_name(view->service));
	json_text(row, "type", view->kind);
	json_text(row, "state", tunnel_state_name(view->state));
	json_address(row, "internal-src-address", view->inside_address);
	json_address(row, "external-src-address", view->outside_address);
	json_address(row, "external-dst-address", view->remote_address);
	json_number(row, "age", view->age_ms / 1000);
	json_text(row, "reason", flow_end_text(why));
	verb_send(verb);
}

static void send_sum(struct verb *verb, const struct rehearse_state *state)
{
	struct json *row = verb_row(verb, "rehearsed");

	json_number(row, "changes", state->changes);
	json_number(row, "changes-that-need-a-restart", state->restarts);
	json_number(row, "flows-that-end", state->flows);
	json_number(row, "tunnels-that-end", state->tunnels);
	verb_send(verb);
}

/* What is to be compared with the running configuration is in next, unless it is not good. */
static enum verb_step start_comparison(struct verb *verb, struct rehearse_state *state, const struct config *next,
				       bool is_good, struct findings_sent *findings)
{
	const struct router *router = verb->router;

	if (!is_good)
		return verb_fail(verb, EXIT_CONFIG, "%s", findings->error);
	send_forwards(verb, next, findings);
	config_compare(router->config, next, kernel_default_wan(router->kernel), send_change, verb);
	state->rehearse = rehearse_new(router->config, next, router->kernel, router->engine);
	if (!state->rehearse)
		return verb_fail(verb, EXIT_NETWORK, "no memory");
	return VERB_AGAIN;
}

/* Our own file, or the text that the peer has sent. */
static enum verb_step rehearse_text(struct verb *verb, struct rehearse_state *state, char *text, size_t size)
{
	const struct config_source *source = &verb->router->options->source;
	struct findings_sent findings = {.verb = verb};
	struct config *next = malloc(sizeof(*next));
	enum verb_step step;
	bool is_good;

	if (!next)
		return verb_fail(verb, EXIT_NETWORK, "no memory");
	if (text) {
		config_default(next);
		is_good = config_parse(next, verb->words[0], text, size, source, send_finding, &findings);
	} else {
		is_good = config_load(next, source, send_finding, &findings);
	}
	step = start_comparison(verb, state, next, is_good, &findings);
	free(next);
	return step;
}

static enum verb_step take_text(struct verb *verb, struct rehearse_state *state)
{
	size_t size = state->expected;
	char *text = malloc(size + 1);
	enum verb_step step;

	state->expected = 0;
	if (!text || !verb_take(verb, text, size))
		step = verb_fail(verb, EXIT_NETWORK, "no memory");
	else
		step = rehearse_text(verb, state, text, size);
	free(text);
	return step;
}

/*
 * NAME size=BYTES: we read no file for others, since who may ask us need not be allowed to read what we are. They send
 * the text, after the row "send", so that it cannot be taken for requests by a daemon that does not expect it.
 */
static enum verb_step expect_text(struct verb *verb, struct rehearse_state *state)
{
	static const char key[] = "size=";
	uint32_t size;

	if (verb->count != 2 || strncmp(verb->words[1], key, strlen(key)) != 0)
		return verb_fail(verb, EXIT_USAGE,
				 "rehearse takes the text of a file: NAME size=BYTES, or nothing for the configuration "
				 "file");
	if (strlen(verb->words[0]) > REHEARSE_NAME_MAX)
		return verb_fail(verb, EXIT_USAGE, "the name of the file is longer than %d bytes", REHEARSE_NAME_MAX);
	if (!text_number(verb->words[1] + strlen(key), CONFIG_FILE_MAX, &size))
		return verb_fail(verb, EXIT_CONFIG, "%s: a configuration has at most %d bytes", verb->words[0],
				 CONFIG_FILE_MAX);
	json_number(verb_row(verb, "send"), "bytes", size);
	verb_send(verb);
	state->expected = size;
	if (size == 0)
		return take_text(verb, state);
	verb_expect(verb, size);
	return VERB_WAITS;
}

/* One turn's worth. */
static enum verb_step go_on(struct verb *verb, struct rehearse_state *state)
{
	uint32_t budget = VERB_RECORDS_A_TURN;
	uint64_t now_ms = clock_now_ms();
	struct tunnel_view tunnel;
	struct flow_view flow;
	enum flow_end why;

	while (!state->flows_are_over && verb_has_room(verb)) {
		if (rehearse_next_flow(state->rehearse, &budget, now_ms, &flow, &why)) {
			send_flow(verb, &flow, why);
			state->flows++;
			continue;
		}
		state->flows_are_over = budget > 0;
		return VERB_AGAIN;
	}
	while (verb_has_room(verb)) {
		if (rehearse_next_tunnel(state->rehearse, verb->router->engine, &budget, now_ms, &tunnel, &why)) {
			send_tunnel(verb, &tunnel, why);
			state->tunnels++;
			budget--;
			continue;
		}
		if (budget == 0)
			return VERB_AGAIN;
		send_sum(verb, state);
		return VERB_OVER;
	}
	return VERB_AGAIN;
}

enum verb_step verb_rehearse(struct verb *verb)
{
	struct rehearse_state *state = verb_memory(verb, sizeof(*state));

	verb->over = let_go;
	if (state->rehearse)
		return go_on(verb, state);
	if (!verb->is_first)
		return take_text(verb, state);
	return verb->count > 0 ? expect_text(verb, state) : rehearse_text(verb, state, NULL, 0);
}

/* --- mode --- */

/* What mode changes: the word that people say, and where it stands in the file. */
static const struct {
	const char *word, *section, *key;
} switches[] = {
	{"pptp", "pptp", "mode"},  {"l2tp", "l2tp", "mode"}, {"ipsec", "ipsec", "mode"}, {"ike", "ipsec", "ike"},
	{"natt", "ipsec", "natt"}, {"esp", "ipsec", "esp"},  {"ah", "ipsec", "ah"},
};

enum { SWITCHES = sizeof(switches) / sizeof(switches[0]) };

/* The switch that is asked for, with a good value; -1 after verb_fail(). */
static int choose_switch(struct verb *verb, struct config *scratch)
{
	char problem[PROBLEM_MAX];

	if (verb->count != 2) {
		verb_fail(verb, EXIT_USAGE,
			  "mode takes what (pptp, l2tp, ipsec, or of ipsec: ike, natt, esp, ah) and how (pass, plain, "
			  "block)");
		return -1;
	}
	for (int i = 0; i < SWITCHES; i++) {
		if (strcmp(switches[i].word, verb->words[0]) != 0)
			continue;
		for (size_t j = 0; j < CONFIG_KEYS; j++) {
			if (strcmp(config_keys[j].section, switches[i].section) ||
			    strcmp(config_keys[j].name, switches[i].key))
				continue;
			if (config_key_parse(&config_keys[j], scratch, verb->words[1], problem))
				return i;
			verb_fail(verb, EXIT_USAGE, "%s: %s", verb->words[1], problem);
			return -1;
		}
	}
	verb_fail(verb, EXIT_USAGE, "%s has no mode: take pptp, l2tp, ipsec, ike, natt, esp or ah", verb->words[0]);
	return -1;
}

/* The file as it is, with one value changed, if that is a good configuration. */
static bool rewrite(struct verb *verb, const char *path, const struct config_file *file, int which,
		    struct config *scratch)
{
	const char *refused = reload_problem(verb->router->reload);
	struct findings_sent findings = {.verb = NULL}; /* the reload that follows sends them */
	char problem[EDIT_PROBLEM];
	size_t size;
	char *text = config_edit_text(file->text, file->size, switches[which].section, switches[which].key,
				      verb->words[1], &size);
	bool good = false;

	if (!text)
		verb_fail(verb, EXIT_NETWORK, "no memory");
	else if (!config_parse(scratch, path, text, size, &verb->router->options->source, send_finding, &findings))
		verb_fail(verb, EXIT_CONFIG, "nothing has changed, because the file is not good: %s", findings.error);
	else if (refused[0])
		verb_fail(verb, EXIT_USAGE,
			  "nothing has changed: the file is not in force since the last reload (%.200s), and all of it "
			  "would be: reload it first",
			  refused);
	else if (size == file->size && !memcmp(text, file->text, size))
		good = true;
	else if (!config_file_replace(file, path, text, size, problem))
		verb_fail(verb, EXIT_FILE, "nothing has changed: %s: %s", path, problem);
	else
		good = true;
	free(text);
	return good;
}

static enum verb_step change_mode(struct verb *verb, struct config *scratch)
{
	const char *path = verb->router->options->source.path;
	char problem[EDIT_PROBLEM];
	struct config_file file;
	int which = choose_switch(verb, scratch);
	bool good;
	int code;

	if (which < 0)
		return VERB_OVER;
	if (reload_is_on_trial(verb->router->reload))
		return verb_fail(verb, EXIT_USAGE, "a configuration is on trial: confirm it first, or wait");
	code = config_file_read(&file, path, problem);
	if (code != EXIT_OK)
		return verb_fail(verb, code, "nothing has changed: %s: %s", path, problem);
	good = rewrite(verb, path, &file, which, scratch);
	config_file_free(&file);
	return good ? reload(verb, 0) : VERB_OVER;
}

enum verb_step verb_mode(struct verb *verb)
{
	struct config *scratch = malloc(sizeof(*scratch));
	enum verb_step step;

	if (!scratch)
		return verb_fail(verb, EXIT_NETWORK, "no memory");
	config_default(scratch);
	step = change_mode(verb, scratch);
	free(scratch);
	return step;
}
