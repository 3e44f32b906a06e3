/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another configuration: what it would end, reading it, keeping it, and changing one mode in its file.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include <culvert/module.h>

#include "daemon/config_edit.h"
#include "daemon/config_keys.h"
#include "daemon/options.h"
#include "daemon/rehearse.h"
#include "daemon/reload.h"
#include "daemon/text.h"
#include "daemon/tunnels.h"
#include "daemon/verb.h"
#include "io/clock.h"

/* --- findings as rows --- */

struct findings_sent {
	struct verb *verb; /* NULL: only the first error is kept */
	char error[400];   /* the first one */
};

static void send_finding(void *context, int level, const char *text)
{
	struct findings_sent *findings = context;

	if (level <= LOG_ERR && !findings->error[0])
		snprintf(findings->error, sizeof(findings->error), "%s", text);
	if (!findings->verb)
		return;
	struct json *row = verb_row(findings->verb, "finding");
	json_text(row, "severity", level <= LOG_ERR ? "error" : level == LOG_WARNING ? "warning" : "notice");
	json_text(row, "text", text);
	verb_send(findings->verb);
}

/* --- reload, confirm --- */

static enum verb_step reload(struct verb *verb, uint32_t trial_s)
{
	struct findings_sent findings = {.verb = verb};
	uint32_t ended = 0;
	int code = reload_now(verb->router->reload, trial_s, send_finding, &findings, &ended, clock_now_ms());

	if (code != EXIT_OK)
		return verb_fail(verb, code, "%s", findings.error);
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

struct rehearse_state {
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
	char memory[8];

	json_number(row, "index", view->index);
	json_text(row, "protocol-name", verb_protocol_name(view->protocol, memory));
	json_address(row, "internal-src-address", view->inside_address);
	json_number(row, "internal-src-port", view->inside_port);
	json_address(row, "external-src-address", view->outside_address);
	json_number(row, "external-src-port", view->outside_port);
	json_address(row, "external-dst-address", view->remote_address);
	json_number(row, "external-dst-port", view->remote_port);
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

/* The file to rehearse. Whoever may ask us may not have us read any file there is: it lies where the configuration
 * does. False after verb_fail(). */
static bool choose_file(struct verb *verb, char path[PATH_MAX])
{
	const char *own = verb->router->options->source.path, *word = verb->words[0], *slash;
	struct stat asked, ours;
	char directory[PATH_MAX];

	snprintf(path, PATH_MAX, "%s", own);
	if (verb->count == 0)
		return true;
	slash = strrchr(own, '/');
	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - own + 1) : 2, slash ? own : "./");
	if (!strchr(word, '/')) {
		if (snprintf(path, PATH_MAX, "%s%s", directory, word) < PATH_MAX)
			return true;
		verb_fail(verb, EXIT_USAGE, "%s: the path is too long", word);
		return false;
	}
	snprintf(path, PATH_MAX, "%.*s", (int)(strrchr(word, '/') - word + 1), word);
	if (stat(directory, &ours) == 0 && stat(path, &asked) == 0 && ours.st_dev == asked.st_dev &&
	    ours.st_ino == asked.st_ino && /* what the word says may be another place a moment later */
	    snprintf(path, PATH_MAX, "%s%s", directory, strrchr(word, '/') + 1) < PATH_MAX)
		return true;
	verb_fail(verb, EXIT_PERMISSION, "%s is not read: put the file into %s, where the configuration is", word,
		  directory);
	return false;
}

static enum verb_step start_rehearsal(struct verb *verb, struct config *next, struct rehearse_state *state)
{
	const struct router *router = verb->router;
	struct findings_sent findings = {.verb = verb};
	struct config_source source = router->options->source;
	char path[PATH_MAX];

	if (!choose_file(verb, path))
		return VERB_OVER;
	source.path = path;
	source.optional = source.optional && verb->count == 0;
	if (!config_load(next, &source, send_finding, &findings))
		return verb_fail(verb, EXIT_CONFIG, "%s", findings.error);
	config_compare(router->config, next, send_change, verb);
	state->rehearse = rehearse_new(router->config, next, router->kernel, router->engine);
	if (!state->rehearse)
		return verb_fail(verb, EXIT_NETWORK, "no memory");
	return VERB_AGAIN;
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
	struct config *next;
	enum verb_step step;

	if (!verb->is_first)
		return go_on(verb, state);
	if (verb->count > 1)
		return verb_fail(verb, EXIT_USAGE, "rehearse takes one file, or none for the configuration file");
	next = malloc(sizeof(*next));
	if (!next)
		return verb_fail(verb, EXIT_NETWORK, "no memory");
	verb->over = let_go;
	step = start_rehearsal(verb, next, state);
	free(next);
	return step;
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

	if (which < 0)
		return VERB_OVER;
	if (reload_is_on_trial(verb->router->reload))
		return verb_fail(verb, EXIT_USAGE, "a configuration is on trial: confirm it first, or wait");
	if (!config_file_read(&file, path, problem))
		return verb_fail(verb, EXIT_FILE, "nothing has changed: %s: %s", path, problem);
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
