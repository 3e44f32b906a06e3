/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another configuration: what it would end, reading it, keeping it, and changing one mode in a drop-in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include <culvert/module.h>
#include <culvert/rehearsal.h>

#include "config/config_keys.h"
#include "config/forward_check.h"
#include "config/options.h"
#include "config/text.h"
#include "control/rehearse.h"
#include "control/reload.h"
#include "control/verb.h"
#include "io/clock.h"
#include "io/kernel.h"
#include "observe/tunnel_text.h"

/* --- findings as rows --- */

struct findings_sent {
	struct verb *verb; /* NULL: only the first error is kept */
	int level;         /* what is less important than this is not sent; 0: all is */
	char error[400];   /* the first one */
};

static void send_finding(void *context, int level, const char *text)
{
	struct findings_sent *findings = context;

	if (level <= LOG_ERR && !findings->error[0])
		text_escape(findings->error, sizeof(findings->error), text); /* cut so that it can be seen */
	if (!findings->verb || (findings->level && level > findings->level))
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

static enum verb_step reload(struct verb *verb, uint32_t trial_s, int level)
{
	struct findings_sent findings = {.verb = verb, .level = level};
	uint32_t ended = 0;
	int code = reload_now(verb->router->reload, trial_s, send_finding, &findings, &ended, clock_now_ms());

	if (code != EXIT_OK)
		return verb_fail(verb, code, "%s", findings.error);
	send_forwards(verb, verb->router->config, &findings);
	struct json *row = verb_row(verb, "reloaded");
	json_number(row, "flows-ended", ended);
	json_number_if(row, trial_s, "confirm-within", trial_s);
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
		return verb_fail(verb, EXIT_USAGE, "confirm=%s is not a number of seconds from 1 to %d", confirm.text,
				 RELOAD_TRIAL_MAX_S);
	return reload(verb, trial_s, 0);
}

enum verb_step verb_confirm(struct verb *verb)
{
	if (!verb_has_no_words(verb))
		return VERB_OVER;
	if (!reload_confirm(verb->router->reload))
		return verb_fail(
			verb, EXIT_NOT_FOUND,
			"no configuration is on trial: it is confirmed or taken back, or there was no confirm=SECONDS");
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

	json_text(row, "id", tunnel_text_name(view, name) ? name : NULL);
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
	if (text)
		is_good = config_parse(next, verb->words[0], text, size, source, send_finding, &findings);
	else
		is_good = config_load(next, source, send_finding, &findings);
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
		return verb_fail(
			verb, EXIT_USAGE,
			"rehearse takes NAME size=BYTES for the text of a file, or nothing for the configuration file");
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

enum { HOSTS_COUNTED = 1024 };

/* What is asked for, and what comes of it. */
struct mode_change {
	const struct config_key *key;
	const char *value;   /* as it stands in the file */
	const char *label;   /* what it is the mode of */
	char file[PATH_MAX]; /* where it is kept */
	bool is_rehearsal;   /* nothing is changed */
	struct config next;  /* with that */
	enum service_mode before, after;
	uint32_t tunnels, hosts; /* that end */
};

/* What mode changes are the keys whose value is one, each under the word that says most: [pptp] mode is pptp. */
static const char *word_of(const struct config_key *key)
{
	if (key->type == KEY_MODE)
		return key->section;
	return key->type == KEY_PART_MODE ? key->name : NULL;
}

static enum service_mode mode_of(const struct config *config, const struct config_key *key, const char **label)
{
	enum service service = 0;
	enum part part = 0;

	while (part < PARTS && (key->type != KEY_PART_MODE || strcmp(part_name(part), key->name) != 0))
		part++;
	while (service < SERVICES - 1 && strcmp(service_name(service), key->section) != 0)
		service++;
	*label = part < PARTS ? part_label(part) : service_label(service);
	return part < PARTS ? config_mode_of(config, part) : config->service[service];
}

static enum verb_step list_modes(struct verb *verb)
{
	for (const struct config_key *key = config_keys; key < config_keys + CONFIG_KEYS; key++) {
		struct json *row;
		const char *label;

		if (!word_of(key))
			continue;
		row = verb_row(verb, "mode");
		json_text(row, "switch", word_of(key));
		json_text(row, "mode", service_mode_name(mode_of(verb->router->config, key, &label)));
		json_text(row, "section", key->section);
		json_text(row, "key", key->name);
		verb_send(verb);
	}
	return VERB_OVER;
}

/* In small letters; as routers of other makers have it, too. */
static const char *read_mode(const char *word)
{
	static const struct {
		const char *word, *value;
	} modes[] = {{"pass", "pass"},   {"on", "pass"},   {"plain", "plain"},
		     {"block", "block"}, {"off", "block"}, {"inherit", "inherit"}};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcasecmp(word, modes[i].word))
			return modes[i].value;
	return word;
}

/* False after verb_fail(). */
static bool read_change(struct verb *verb, struct mode_change *change)
{
	char problem[PROBLEM_MAX];

	change->is_rehearsal = verb->count == 3 && !strcmp(verb->words[2], "rehearse=yes");
	if (verb->count != 2 && !change->is_rehearsal) {
		verb_fail(
			verb, EXIT_USAGE,
			"mode takes a service (pptp, l2tp, ipsec, or a part of ipsec: ike, natt, esp, ah) and a mode (pass or on, plain, block or off)");
		return false;
	}
	change->value = read_mode(verb->words[1]);
	for (change->key = config_keys; change->key < config_keys + CONFIG_KEYS; change->key++) {
		const char *word = word_of(change->key);

		if (!word || strcasecmp(word, verb->words[0]) != 0)
			continue;
		if (config_key_parse(change->key, &change->next, change->value, problem))
			return true;
		verb_fail(verb, EXIT_USAGE, "%s: %s", verb->words[1], problem);
		return false;
	}
	verb_fail(verb, EXIT_USAGE, "%s has no mode; give pptp, l2tp, ipsec, ike, natt, esp or ah", verb->words[0]);
	return false;
}

/* Of the tunnels that live now. False after verb_fail(). */
static bool count_ends(struct verb *verb, struct mode_change *change)
{
	const struct router *router = verb->router;
	struct rehearse *rehearse = rehearse_new(router->config, &change->next, router->kernel, router->engine);
	struct address *host = calloc(HOSTS_COUNTED, sizeof(*host));
	uint32_t budget = UINT32_MAX, i;
	struct tunnel_view view;
	bool good = rehearse && host;
	enum flow_end why;

	while (good && rehearse_next_tunnel(rehearse, router->engine, &budget, clock_now_ms(), &view, &why)) {
		change->tunnels++;
		for (i = 0; i < change->hosts && !address_equal(host[i], view.inside_address); i++)
			continue;
		if (i == change->hosts && i < HOSTS_COUNTED)
			host[change->hosts++] = view.inside_address;
	}
	free(host);
	rehearse_free(rehearse);
	if (!good)
		verb_fail(verb, EXIT_NETWORK, "no memory");
	return good;
}

/* The configuration with the drop-in that has the new mode, written unless this is a rehearsal. */
static bool rewrite(struct verb *verb, struct mode_change *change)
{
	const char *refused = reload_problem(verb->router->reload);
	struct config_source source = verb->router->options->source;
	struct findings_sent findings = {.verb = NULL}; /* the reload that follows sends them */
	struct config_text drop_in = {.name = CONFIG_MODE_FILE, .is_drop_in = true};
	char *text = config_mode_text(&source, change->key, change->value, &drop_in.size, send_finding, &findings);
	bool good = false;

	drop_in.text = text;
	source.instead = &drop_in;
	if (!text && !findings.error[0])
		verb_fail(verb, EXIT_NETWORK, "no memory");
	else if (!text || !config_load(&change->next, &source, send_finding, &findings))
		verb_fail(verb, EXIT_CONFIG, "nothing has changed, because there is an error: %s", findings.error);
	else if (refused[0])
		verb_fail(
			verb, EXIT_USAGE,
			"nothing has changed: the file is not in force since the last reload (%.200s), and this would put all of it in force; reload it first",
			refused);
	else if (!count_ends(verb, change))
		good = false;
	else if (!change->is_rehearsal && !config_mode_write(source.path, text, drop_in.size))
		verb_fail(verb, EXIT_FILE,
			  "nothing has changed: %s cannot be written: %s; write it yourself, then reload", change->file,
			  strerror(errno));
	else
		good = true;
	free(text);
	return good;
}

static void send_change_of_mode(struct verb *verb, const struct mode_change *change)
{
	static const char *const are[] = {[MODE_PASS] = "passes",
					  [MODE_PLAIN] = "is translated like any other traffic",
					  [MODE_BLOCK] = "is blocked"};
	struct json *row = verb_row(verb, "mode-change");
	const char *end = change->is_rehearsal ? "would end" : "ended";
	char text[400] = "";

	if (!change->is_rehearsal)
		text_append(text, sizeof(text), "%s %s %s; ", change->label, are[change->after],
			    change->before == change->after ? "as before" : "now");
	if (change->tunnels == 0)
		text_append(text, sizeof(text), "no tunnel %s", end);
	else
		text_append(text, sizeof(text), "%u tunnel%s of %u host%s %s", change->tunnels,
			    change->tunnels == 1 ? "" : "s", change->hosts, change->hosts == 1 ? "" : "s", end);
	if (!change->is_rehearsal)
		text_append(text, sizeof(text), "; this is kept in %s", change->file);
	json_text(row, "switch", word_of(change->key));
	json_text(row, "before", service_mode_name(change->before));
	json_text(row, "mode", service_mode_name(change->after));
	json_number(row, "tunnels", change->tunnels);
	json_number(row, "hosts", change->hosts);
	json_bool(row, "done", !change->is_rehearsal);
	json_text(row, "file", change->is_rehearsal ? NULL : change->file);
	json_text(row, "text", text);
	verb_send(verb);
}

static enum verb_step change_mode(struct verb *verb, struct mode_change *change)
{
	enum verb_step step;

	if (!read_change(verb, change))
		return VERB_OVER;
	if (reload_is_on_trial(verb->router->reload))
		return verb_fail(verb, EXIT_USAGE, "a configuration is on trial; confirm it first, or wait");
	config_mode_path(verb->router->options->source.path, change->file);
	if (!rewrite(verb, change))
		return VERB_OVER;
	change->before = mode_of(verb->router->config, change->key, &change->label);
	change->after = mode_of(&change->next, change->key, &change->label);
	step = change->is_rehearsal ? VERB_OVER : reload(verb, 0, LOG_WARNING);
	if (!verb->has_failed)
		send_change_of_mode(verb, change);
	return step;
}

enum verb_step verb_mode(struct verb *verb)
{
	struct mode_change *change = calloc(1, sizeof(*change));
	enum verb_step step;

	if (verb->count == 0) {
		free(change);
		return list_modes(verb);
	}
	if (!change)
		return verb_fail(verb, EXIT_NETWORK, "no memory");
	config_default(&change->next);
	step = change_mode(verb, change);
	free(change);
	return step;
}
