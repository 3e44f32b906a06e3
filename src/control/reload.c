/* SPDX-License-Identifier: BSD-2-Clause */
/* Reloads and trials. */
#include "control/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "config/options.h"
#include "config/text.h"
#include "observe/log.h"

enum { MS_PER_S = 1000 };

struct reload {
	struct log *log;
	const struct options *options;
	struct config *config;
	reload_default_wan *default_wan;
	reload_apply *apply;
	reload_done *done;
	void *context;
	struct config *before; /* what comes back; NULL: nothing is on trial */
	uint64_t until_ms;
	uint32_t trial_s, restarts; /* restarts: keys of the file that want one */
	char problem[RELOAD_PROBLEM];
};

/* A finding goes to the log and to whoever asked. */
struct reader {
	struct log *log;
	config_report *report;
	void *context;
	char problem[RELOAD_PROBLEM]; /* the first error */
};

struct reload *reload_new(struct log *log, const struct options *options, struct config *config,
			  reload_default_wan *default_wan, reload_apply *apply, reload_done *done, void *context)
{
	struct reload *reload = calloc(1, sizeof(*reload));

	if (!reload)
		return NULL;
	reload->log = log;
	reload->options = options;
	reload->config = config;
	reload->default_wan = default_wan;
	reload->apply = apply;
	reload->done = done;
	reload->context = context;
	return reload;
}

void reload_free(struct reload *reload)
{
	if (!reload)
		return;
	free(reload->before);
	free(reload);
}

static void tell(void *context, int level, const char *text)
{
	struct reader *reader = context;

	log_report_text(reader->log, level, text);
	if (level <= LOG_ERR && !reader->problem[0])
		text_escape(reader->problem, sizeof(reader->problem), text);
	if (reader->report)
		reader->report(reader->context, level, text);
}

static int refuse(struct reader *reader, int code, const char *why)
{
	tell(reader, LOG_ERR, why);
	log_write(reader->log, LOG_ERR, "reload failed; keeping the running configuration");
	return code;
}

int reload_now(struct reload *reload, uint32_t trial_s, config_report *report, void *context, uint32_t *ended,
	       uint64_t now_ms)
{
	struct reader reader = {.log = reload->log, .report = report, .context = context};
	struct config_source source = reload->options->source;
	struct config *before = NULL;

	*ended = 0;
	if (reload->before)
		return refuse(
			&reader, EXIT_USAGE,
			"reload: a configuration is on trial; confirm it, or wait until the previous one is back");
	if (trial_s) {
		before = malloc(sizeof(*before));
		if (!before)
			return refuse(&reader, EXIT_NETWORK,
				      "reload: out of memory: cannot keep the previous configuration");
		*before = *reload->config;
	}
	source.default_wan = reload->default_wan(reload->context);
	if (!config_reload(reload->config, &source, tell, &reader, &reload->restarts)) {
		free(before);
		log_write(reload->log, LOG_ERR, "reload failed; keeping the running configuration");
		memcpy(reload->problem, reader.problem, sizeof(reload->problem));
		reload->done(reload->context, false);
		return EXIT_CONFIG;
	}
	reload->before = before;
	reload->problem[0] = '\0';
	reload->trial_s = trial_s;
	reload->until_ms = now_ms + (uint64_t)trial_s * MS_PER_S;
	*ended = reload->apply(reload->context, now_ms);
	log_write(reload->log, LOG_NOTICE, "the configuration was read again");
	if (before)
		log_write(reload->log, LOG_NOTICE,
			  "the configuration is on trial; the previous one comes back in %" PRIu32
			  " s unless somebody confirms the new one",
			  trial_s);
	else
		reload->done(reload->context, true);
	return EXIT_OK;
}

bool reload_is_on_trial(const struct reload *reload)
{
	return reload->before != NULL;
}

bool reload_needs_restart(const struct reload *reload)
{
	return reload->restarts > 0;
}

uint32_t reload_trial_left_s(const struct reload *reload, uint64_t now_ms)
{
	if (!reload->before || now_ms >= reload->until_ms)
		return 0;
	return (uint32_t)((reload->until_ms - now_ms + MS_PER_S - 1) / MS_PER_S);
}

const char *reload_problem(const struct reload *reload)
{
	return reload->problem;
}

bool reload_confirm(struct reload *reload)
{
	if (!reload->before)
		return false;
	free(reload->before);
	reload->before = NULL;
	log_write(reload->log, LOG_NOTICE, "the configuration on trial was confirmed");
	reload->done(reload->context, true);
	return true;
}

void reload_tick(struct reload *reload, uint64_t now_ms)
{
	if (!reload->before || now_ms < reload->until_ms)
		return;
	*reload->config = *reload->before;
	free(reload->before);
	reload->before = NULL;
	reload->apply(reload->context, now_ms);
	snprintf(reload->problem, sizeof(reload->problem), "nobody confirmed it within %" PRIu32 " s", reload->trial_s);
	reload->done(reload->context, false);
	log_write(reload->log, LOG_WARNING,
		  "nobody has confirmed the configuration within %" PRIu32
		  " s; the previous one is in force again; the files are unchanged",
		  reload->trial_s);
}
